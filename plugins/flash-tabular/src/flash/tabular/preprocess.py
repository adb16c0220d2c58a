"""TabularPreprocess: encode rows as tensors, with statistics of the training rows only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from flash import Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.display import Display
from flash.data.kept_rows import KeptRows
from flash.data.labels import class_indices
from flash.data.portable import Portable, TensorSpec
from flash.data.requests import RequestFields, RequestRows
from flash.data.splits import Split, draw_stratified, split_inputs
from flash.data.stored_columns import ColumnsWriter
from flash.data.stored_table import StoredTable
from flash.data.tables import Table
from flash.errors import ConfigurationError, DataError

from ._few import columns_of_rows, rows_of_columns
from .learning import SchemaLearner, learn_schema
from .read import check_columns, read_table
from .schema import MAX_ABS_ZSCORE, Schema
from .targets import ClassTargets, NumberTargets, Targets, TargetsLearner, learn_targets, targets_from_serializable

__all__ = ["TabularPreprocess"]

# Columns of lists are named by integers, which frame.columns returns as NumPy integers.
_NAME = (str, int, np.integer)
# Of the values of a category, truth values alone have several spellings.
_TRUTHS = ("true", "false", "1", "0")


class TabularPreprocess(Preprocess):
    """Converts tables to tensors: standardized numbers, codes of categories, and targets.

    Everything that is learned (column kinds, means, categories, labels) comes from the training rows; it is the state
    of this object, which is saved in checkpoints.

    Args:
        kind: ``"classification"`` or ``"regression"``.
        target_fields: The target column; several binary columns for multi-label classification, or several columns of
            numbers for regression.
        categorical_fields: The categorical columns.
        numerical_fields: The numerical columns. If neither kind is named, both are inferred and printed.
        verbose: Whether to print inferred columns.
        decimal: The decimal mark of numbers in text files; ``None`` is a point, and decimal commas are an error.

    Example:
        >>> from flash.data.auto_dataset import AutoDataset
        >>> from flash.data.stage import Stage
        >>> preprocess = TabularPreprocess("classification", "bought", verbose=False)
        >>> rows = {"age": [20, 30, 40], "city": ["Rome", "Oslo", "Rome"], "bought": ["no", "yes", "no"]}
        >>> dataset = AutoDataset(rows, Stage.TRAIN, preprocess)
        >>> inputs, target = dataset[1]
        >>> inputs["categorical"], target, dataset.labels
        (tensor([1], dtype=torch.int32), tensor(1), ['no', 'yes'])
    """

    def __init__(
        self,
        kind: Literal["classification", "regression"] = "classification",
        target_fields: str | int | Sequence[str | int] | None = None,
        categorical_fields: str | int | Sequence[str | int] | None = None,
        numerical_fields: str | int | Sequence[str | int] | None = None,
        verbose: bool = True,
        decimal: str | None = None,
    ) -> None:
        if kind not in ("classification", "regression"):
            raise ConfigurationError(f"Expected kind to be 'classification' or 'regression', but got {kind!r}.")
        self.kind = kind
        self.target_fields = _names(target_fields) or []
        self.categorical_fields = _names(categorical_fields)
        self.numerical_fields = _names(numerical_fields)
        self.verbose = verbose
        self.decimal = decimal
        self.several_targets = target_fields is not None and not isinstance(target_fields, _NAME)
        #: A column of groups for ``val_split``, which is not a feature.
        self.group_field: str | None = None
        self.schema: Schema | None = None
        self.targets: Targets | None = None

    @property
    def target_names(self) -> list[str] | None:
        """The target columns of a regression of several numbers, by which their scores are logged; else ``None``."""
        targets = self.targets
        return list(targets.fields) if isinstance(targets, NumberTargets) and len(targets.fields) > 1 else None

    def split(
        self,
        data: Any,
        fraction: float,
        seed: int,
        groups: Sequence[Any] | None = None,
        times: Sequence[float] | None = None,
    ) -> tuple[Any, Any]:
        """Split the rows of a table, stratified by class if it is a classification.

        Raises:
            MissingColumnError: If a target column is not in the table.
            DataError: If a target is missing, or no class has two rows.
        """
        if isinstance(data, StoredTable):
            return self._split_stored(data, fraction, seed)
        table = data if isinstance(data, Table) else read_table(data)
        columns: Any = table
        if isinstance(table, Table):
            names = [name for name in self.target_fields if name in table]
            columns = Table({name: table[name] for name in names}, table.name, table.is_text)
        frame = self._read(columns)
        targets = self._learn_targets(frame)
        return split_inputs(table, fraction, seed, targets.strata(targets.encode(frame, "train")), groups, times)

    def _split_stored(self, table: StoredTable, fraction: float, seed: int) -> Split:
        learner, fields = self._targets_learner(), self.target_fields
        check_columns(table.columns, fields, "train")
        table.for_each_part(lambda part: learner.add(self._read(part)), fields)
        targets = learner.targets()

        def strata(part: Any) -> npt.NDArray[np.int64]:
            frame = self._read(part)
            codes = targets.strata(targets.encode(frame, "train")) if isinstance(targets, ClassTargets) else None
            return np.zeros(len(frame), dtype=np.int64) if codes is None else np.array(codes)

        counts = np.zeros(1, dtype=np.int64)
        for codes in table.in_parts(strata, fields):
            found = np.bincount(codes, minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
        flags = draw_stratified(table.in_parts(strata, fields), counts, fraction, seed)
        train, held_out = table.keep(~flags), table.keep(flags)
        return Split(train, held_out, (KeptRows(~flags), KeptRows(flags)))

    def load_data(self, data: Any, dataset: AutoDataset) -> Columns:
        """Encode a table with targets; on training rows, learn the statistics first, once."""
        if isinstance(data, StoredTable):
            return self._load_stored(data, dataset)
        frame = self._read(data)
        schema, targets = self._learned() or self._learn(frame)
        y = targets.encode(frame, dataset.hooks.stage.value)
        inputs = _inputs(schema, frame, dataset.hooks.stage.value)
        self._accept(schema, targets, dataset, targets.facts(y))
        return Columns((inputs, y))

    def _load_stored(self, table: StoredTable, dataset: AutoDataset) -> Columns:
        """Encode a table part by part into a file."""
        stage = dataset.hooks.stage.value
        schema, targets = self._learned() or self._learn_stored(table)
        check_columns(table.columns, [*schema.fields, *targets.fields], stage)

        def encode(part: Any) -> tuple[dict[str, Tensor], Tensor]:
            frame = self._read(part)
            return _inputs(schema, frame, stage, is_whole=False), targets.encode(frame, stage)

        facts: dict[str, Any] = {}
        with ColumnsWriter() as writer:
            for inputs, y in table.in_parts(encode, [*schema.fields, *targets.fields]):
                writer.append((inputs, y))
                facts = targets.facts_of_more(facts, y)
            self._accept(schema, targets, dataset, facts)
            return writer.columns()

    def _learned(self) -> tuple[Schema, Targets] | None:
        """Return what was learned; ``None`` if it is to be learned from the rows that are loaded."""
        if self.schema is not None and self.targets is not None:
            return self.schema, self.targets
        if self.training:
            return None
        raise DataError(
            "Expected statistics that were learned from train rows, but there are none yet. Add train "
            "data, or pass preprocess=task.preprocess of a trained task."
        )

    def _accept(self, schema: Schema, targets: Targets, dataset: AutoDataset, facts: dict[str, Any]) -> None:
        """Keep what was learned: only after all rows were encoded, so that a failure leaves none of rejected rows."""
        if self.schema is not schema:
            self.schema, self.targets = schema, targets
            self._report(schema, targets)
        if self.training:
            for name, fact in (self._facts(schema) | facts).items():
                setattr(dataset, name, fact)

    def predict_load_data(self, data: Any) -> Columns:
        """Encode a table without targets."""
        schema = self._learned_schema()
        if isinstance(data, StoredTable):
            check_columns(data.columns, schema.fields, "predict")
            with ColumnsWriter() as writer:
                for inputs in data.in_parts(
                    lambda part: _inputs(schema, self._read(part), "predict", is_whole=False), schema.fields
                ):
                    writer.append(inputs)
                return writer.columns()
        if isinstance(data, RequestRows):
            # JSON has no durations: a request has their seconds.
            data = data.columns | {name: pd.to_timedelta(data.columns[name], unit="s") for name in schema.durations}
        columns = columns_of_rows(data)
        encoded = None if columns is None else schema.encode_few(columns, rows_of_columns(columns))
        return Columns(_tensors(*(encoded or schema.encode(self._read(data), "predict"))))

    def _learned_schema(self) -> Schema:
        if self.schema is None:
            raise DataError(
                "Expected a trained task, whose preprocess knows the columns, but this one has seen no train rows. "
                "Train it, or load it from a checkpoint."
            )
        return self.schema

    def is_table_to_predict(self, data: Any) -> bool:
        """Return whether the argument of ``predict`` is a path."""
        return isinstance(data, str | os.PathLike)

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return each row by the names of its columns, with numbers, categories and dates as they are written.

        Columns that no network uses are not kept, and so are not part of it; see
        :meth:`~flash.tabular.schema.Schema.decode` for what is rounded.
        """
        taken = samples.take(rows)
        inputs = taken if self.predicting else taken[0]
        assert self.schema is not None
        columns = self.schema.decode(inputs["numerical"].numpy(), inputs["categorical"].numpy())
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def request_fields(self) -> RequestFields:
        """Return the columns that the network uses, with their types, categories, and medians of the train rows.

        Raises:
            DataError: If there were no train rows.
        """
        return RequestFields("table", self._learned_schema().request_fields)

    def parts(self, samples: Any) -> list[str]:
        """Return the columns that the network uses."""
        return [] if self.schema is None else self.schema.fields

    def exchange(self, samples: Any, part: str, order: Tensor) -> Columns:
        """Return the rows with all features of one column, such as the parts of a date, from other rows."""
        assert self.schema is not None
        inputs = samples.tree if self.predicting else samples.tree[0]
        changed = {}
        fields = {
            "numerical": [column.name for column in self.schema.numerical],
            "categorical": [column.name for column in self.schema.categorical],
        }
        for name, columns in fields.items():
            places = [place for place, column in enumerate(columns) if column == part]
            changed[name] = inputs[name].clone()
            changed[name][:, places] = inputs[name][order][:, places]
        return Columns(changed if self.predicting else (changed, samples.tree[1]))

    def portable(self) -> Portable:
        """Return the inputs, and the schema for the encoder of delimited files."""
        if self.schema is None:
            return Portable(reason="the preprocess has seen no train rows")
        schema = self.schema.to_serializable()
        for column, description in zip(self.schema.numerical, schema["numerical"], strict=True):
            description["is_truth"] = column.is_truth
        for category in schema["categorical"]:
            indices = class_indices(category["categories"])
            category["aliases"] = {text: indices[text] + 1 for text in _TRUTHS if text in indices}
        is_class = self.kind == "classification" and not self.several_targets
        return Portable(
            {
                "numerical": TensorSpec("float32", ("batch", len(self.schema.numerical))),
                "categorical": TensorSpec(
                    "int32", ("batch", len(self.schema.categorical)), values=self.schema.cardinalities
                ),
            },
            encoder=f"{__package__}.encoder",
            settings={
                **schema,
                "decimal": self.decimal,
                "limit": MAX_ABS_ZSCORE,
                # Classes stay as they are written, and so are not read as numbers.
                "target_fields": self.target_fields if is_class else [],
            },
        )

    def _learn(self, frame: pd.DataFrame) -> tuple[Schema, Targets]:
        targets = self._learn_targets(frame)
        return learn_schema(frame, self.categorical_fields, self.numerical_fields, self._no_features), targets

    def _learn_stored(self, table: StoredTable) -> tuple[Schema, Targets]:
        """Learn from a table in one pass."""
        targets = self._targets_learner()
        columns = SchemaLearner(table.columns, self.categorical_fields, self.numerical_fields, self._no_features)

        def learn(part: Any) -> None:
            frame = self._read(part)
            targets.add(frame)
            columns.add(frame)

        table.for_each_part(learn, [*columns.names, *self.target_fields])
        return columns.schema(), targets.targets()

    @property
    def _no_features(self) -> list[str]:
        return [*self.target_fields, *([] if self.group_field is None else [self.group_field])]

    def _targets_learner(self) -> TargetsLearner:
        return TargetsLearner(self._named_targets(), self.kind, self.several_targets)

    def _learn_targets(self, frame: pd.DataFrame) -> Targets:
        return learn_targets(frame, self._named_targets(), self.kind, self.several_targets)

    def _named_targets(self) -> list[str]:
        if not self.target_fields:
            raise ConfigurationError("Expected target_fields to name the column to predict, but got none.")
        return self.target_fields

    def _report(self, schema: Schema, targets: Targets) -> None:
        if self.verbose and self.categorical_fields is None and self.numerical_fields is None:
            print(f"{schema.summary()}\ntarget_fields: {', '.join(self.target_fields)} ({targets.summary()})")

    def _read(self, data: Any) -> pd.DataFrame:
        """Read a table; columns of untyped files are read by the learned schema."""
        is_class = self.kind == "classification" and not self.several_targets
        known = self.schema
        return read_table(
            data,
            text_fields=[] if known is None else known.text_fields,
            number_fields=[] if known is None else [column.name for column in known.numerical],
            class_fields=self.target_fields if is_class else [],
            decimal=self.decimal,
        )

    def _facts(self, schema: Schema) -> dict[str, Any]:
        return {
            "num_numerical": len(schema.numerical),
            "cardinalities": schema.cardinalities,
            "bins": schema.bins,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the kinds and statistics of the columns, and the labels or statistics of the targets."""
        if self.schema is None or self.targets is None:
            return {}
        return {"schema": self.schema.to_serializable(), "targets": self.targets.to_serializable()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of a fitted preprocess."""
        if state:
            self.schema = Schema.from_serializable(state["schema"])
            self.targets = targets_from_serializable(state["targets"])


def _inputs(schema: Schema, frame: pd.DataFrame, stage: str, is_whole: bool = True) -> dict[str, Tensor]:
    return _tensors(*schema.encode(frame, stage, is_whole=is_whole))


def _tensors(numbers: npt.NDArray[np.float32], codes: npt.NDArray[np.int32]) -> dict[str, Tensor]:
    return {"numerical": torch.from_numpy(numbers), "categorical": torch.from_numpy(codes)}


def _names(fields: str | int | Sequence[str | int] | None) -> list[str] | None:
    if fields is None:
        return None
    return [str(fields)] if isinstance(fields, _NAME) else [str(name) for name in fields]
