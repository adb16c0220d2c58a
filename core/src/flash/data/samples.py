"""Samples with targets: a data module for any domain that defines its samples, from lists and tables of all kinds."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from typing_extensions import Self

from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule
from flash.data.folders import table_folder
from flash.data.inputs import (
    SampleInputs,
    Samples,
    Targets,
    as_sequence,
    is_single,
    names_of,
    pair_inputs,
    sources_in,
    with_article,
)
from flash.data.labels import ClassLabels
from flash.data.process import Preprocess
from flash.data.row_streams import SampleStream, StreamInputs
from flash.data.splits import split_inputs
from flash.data.stage import Stage, Stages
from flash.data.stored_samples import store_samples
from flash.data.tables import (
    READ_OPTIONS,
    FileSource,
    Table,
    TableFormat,
    TableSource,
    is_missing,
    is_table,
    is_table_file,
    read_table,
)
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError, DataError
from flash.former import take_alias
from flash.serialization import equal

__all__ = ["SampleData", "SamplePreprocess"]

# In the constructors here, a delimiter separates the classes of a sample; columns are separated by ``sep``.
_READ_OPTIONS = tuple(name for name in READ_OPTIONS if name != "delimiter")
_MAY_BE_MISSING = ("NoneType", "float", "NAType", "NaTType")


class SamplePreprocess(Preprocess):
    """Samples with targets; a domain defines its samples and targets.

    Override :meth:`sources_of` to validate or convert values, :meth:`learn` to compute statistics of the train samples,
    :meth:`make_samples` if samples are more than pairs, and the hooks of :class:`~flash.data.process.Preprocess`: they
    receive the pair of a source and its encoded target, or in prediction the source alone.

    Example:
        >>> class Lengths(SamplePreprocess):
        ...     noun = "word"
        ...     def load_sample(self, sample, dataset):
        ...         word, target = sample
        ...         return (float(len(word)), target) if target is not None else float(len(word))
        >>> class LengthData(SampleData):
        ...     preprocess_cls = Lengths
        >>> data = LengthData.from_lists(["sun", "evening"], ["short", "long"], batch_size=2)
        >>> data.labels, data.train_dataset[1]
        (['long', 'short'], (tensor(7.), tensor(0)))
    """

    #: Noun for a sample in messages.
    noun: ClassVar[str] = "sample"
    #: Kind of targets: :class:`~flash.data.labels.ClassLabels` or :class:`~flash.data.targets.NumberTargets`.
    targets_cls: ClassVar[type[ClassLabels] | type[NumberTargets]] = ClassLabels
    #: Advice for targets of the other kind, such as ``"For numbers use PitchData and PitchRegressor."``.
    advice: ClassVar[str] = ""
    #: The maximum number of columns that the parts of a sample are in, such as 2 for pairs.
    max_input_fields: ClassVar[int] = 1
    #: Whether samples may be sources that lie on disk or come in a stream: ``sources_of`` leaves a
    #: :class:`~flash.data.stored_samples.StoredSamples` as it is, and ``make_samples`` reads no source.
    reads_lazily: ClassVar[bool] = False

    #: Classes or statistics of the train targets.
    targets: ClassLabels | NumberTargets | None = None
    #: Result of :meth:`learn`.
    learned: Mapping[str, Any] = MappingProxyType({})
    #: The column of sources, or those of their parts, for tables to predict.
    input_field: str | Sequence[str] | None = None

    @property
    def target_names(self) -> list[str] | None:
        """The names of several numbers per sample, by which their scores are logged; ``None`` if they have none."""
        return self.targets.names if isinstance(self.targets, NumberTargets) else None

    # ------------------------------------------------------------------ for domains to override

    @classmethod
    def sources_of(
        cls,
        values: Sequence[Any],
        name: str,
        root: Path | None = None,  # noqa: ARG003  # for domains of files
    ) -> Any:
        """Return the values of a column or list as sources: anything with a length and ``[index]``, such as a tensor.

        Args:
            values: One per sample.
            name: Name of the data for messages, such as ``"the train data"``.
            root: The folder that relative paths are relative to.

        Raises:
            DataError: If a value is missing.
        """
        for row, value in enumerate(values if isinstance(values, list | tuple) else ()):
            # By its type first: comparing an image with itself would decode it.
            if type(value).__name__ in _MAY_BE_MISSING and is_missing(value):
                raise DataError(
                    f"Expected {with_article(cls.noun)} in every row of {name}, but row {row} (counted from 0) has "
                    "none. Drop these rows."
                )
        return values

    def check_inputs(self, inputs: Any, dataset: AutoDataset) -> Any:
        """Reject or drop inputs that cannot be opened, before statistics are computed from them."""
        return inputs

    def learn(self, sources: Any) -> Mapping[str, Any]:
        """Return statistics of the train data that samples of all stages need, such as a scale, as serializable values.

        This runs once, before samples are made, and not where the state of another preprocess was taken over. Other
        methods find it in ``self.learned``; :meth:`state_dict` carries it.

        Args:
            sources: Those of the train data, as :meth:`sources_of` returned them.
        """
        return {}

    def make_samples(self, sources: Sequence[Any], targets: Any, stage: Stage) -> Any:
        """Return the samples of a dataset.

        Args:
            sources: One per sample.
            targets: The encoded targets, one row per sample; ``None`` in prediction.
            stage: The stage.
        """
        return _Pairs(sources, targets)

    def split(
        self,
        data: Any,
        fraction: float,
        seed: int,
        groups: Sequence[Any] | None = None,
        times: Sequence[float] | None = None,
    ) -> tuple[Any, Any]:
        """Split the train inputs, stratified by the classes of their targets.

        Raises:
            DataError: If a target is missing, or no class has two samples.
        """
        if isinstance(data, StreamInputs):
            raise ConfigurationError(
                f"Expected {self.noun}s with a length to split some off, but got a stream. Pass validation data of its "
                "own, such as stream.take(1000) beside stream.skip(1000); or read it: in_memory=True."
            )
        return split_inputs(data, fraction, seed, self.classes_to_split_by(data), groups, times)

    def classes_to_split_by(self, inputs: Any) -> Any:
        """Return one class per sample, or a list of classes, for ``val_split``; an empty list if there are none.

        Args:
            inputs: Those of the train data, before :meth:`check_inputs`.

        Raises:
            DataError: If a target is missing or cannot be read: before the split, so that no row is called validation
                data that the caller passed as train data.
        """
        if inputs.targets is None:
            return []
        return self.targets_cls.strata(inputs.targets, inputs.names, self.advice)

    def stored_source(self, source: Any, name: str) -> Any:
        """Return what a column of Parquet holds of a source: bytes or a text; or a tuple of these, for several columns.

        Args:
            source: The source.
            name: What the sample is called in messages.

        Raises:
            DataError: If a source of this kind cannot be stored.
        """
        parts = source if isinstance(source, tuple) else (source,)
        if not all(isinstance(part, str | bytes) for part in parts):
            raise DataError(
                f"Expected bytes or text to store in a shard, but {name} is a {type(source).__name__}. Write the rows "
                "in Python: flash.data.shards.write_shards(rows, folder)."
            )
        return source

    def source_state(self, source: Any) -> Any:
        """Return what changes if a source is written again, such as the time of a file; ``None`` for what is in memory.

        A run that goes on after an interruption compares sources by it, and does not read them again.
        """
        return None

    def sources_to_predict(self, data: Any) -> Sequence[Any]:
        """Return one source per sample for an argument of ``predict`` that is not a table.

        Raises:
            DataError: If it is not a collection of samples.
        """
        if is_single(data):
            raise DataError(
                f"Expected {self.noun}s to predict: a list or a table, but got {type(data).__name__}. For a single "
                "one, pass [it]."
            )
        sources: Sequence[Any] = as_sequence(data)
        return sources

    # ------------------------------------------------------------------ hooks

    def load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Encode the targets; for train data, learn classes or statistics first."""
        stage = dataset.hooks.stage
        if isinstance(data, StreamInputs):
            return self._load_stream(data, dataset)
        if data.targets is None:
            raise DataError(
                f"Expected a target for every {self.noun} of the {stage.value} data, but got none. Name target_fields, "
                "or pass targets."
            )
        data = self.check_inputs(data, dataset)
        if self.targets is None and not self.training:
            raise _not_learned("classes" if self.targets_cls is ClassLabels else "targets")
        learned = self.targets or self.targets_cls.learn(data.targets, data.names, self.advice)
        encoded = learned.encode(data.targets, stage.value, self.advice)
        if self.targets is None:
            self.learned = dict(self.learn(data.sources))
        self.targets = learned
        if self.training:
            for name, fact in learned.facts(encoded).items():
                setattr(dataset, name, fact)
        return self.make_samples(data.sources, encoded, stage)

    def _load_stream(self, data: StreamInputs, dataset: AutoDataset) -> SampleStream:
        """Return samples that are made when they come; for train data, learn classes or statistics in one pass."""
        stage = dataset.hooks.stage
        if self.targets is None and not self.training:
            raise _not_learned("classes" if self.targets_cls is ClassLabels else "targets")
        learned = self.targets
        if learned is None and self.targets_cls is ClassLabels and data.are_indices and data.names is not None:
            learned = ClassLabels(list(data.names), by_number=True)
        if learned is None:
            learned, facts = self.targets_cls.learn_parts(data.targets(), data.names, self.advice)
        else:
            facts = learned.facts(learned.encode([], stage.value))
            facts.pop("class_counts", None)  # which nobody has counted
        self.targets = learned
        if self.training:
            for name, fact in facts.items():
                setattr(dataset, name, fact)
        encode = partial(learned.encode, stage=stage.value, advice=self.advice)
        return SampleStream(data, encode, partial(self.stream_samples, stage))

    def stream_samples(self, stage: Stage, sources: Sequence[Any], targets: Any, first: int) -> Iterable[Any]:
        """Return samples of a stream.

        Args:
            stage: The stage.
            sources: One per sample.
            targets: The encoded targets, one row per sample; ``None`` in prediction.
            first: The number of the first sample in the stream.
        """
        name = f"the {stage.value} data, from row {first:,} on"
        samples = self.make_samples(self.sources_of(sources, name), targets, stage)
        return [samples[row] for row in range(len(sources))]

    def predict_load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Load the samples to predict: any input of :meth:`sources_to_predict`, or a table or its path."""
        if isinstance(data, StreamInputs):
            return SampleStream(data, None, partial(self.stream_samples, Stage.PREDICT))
        if not self.learned and type(self).learn is not SamplePreprocess.learn:
            raise _not_learned("statistics")
        inputs = data if isinstance(data, SampleInputs) else self.inputs_to_predict(data)
        inputs = self.check_inputs(inputs, dataset)
        return self.make_samples(inputs.sources, None, Stage.PREDICT)

    def inputs_to_predict(self, data: Any) -> SampleInputs:
        """Convert the argument of ``predict`` to inputs."""
        if self.is_table_to_predict(data):
            return self._of_table(read_table(data), table_folder(data))
        if is_table(data):
            if isinstance(data, Table):
                return self._of_table(data, data.folder)
            return self._of_table(read_table(data, name="the predict data"), None)
        return SampleInputs(self.sources_of(self.sources_to_predict(data), "the predict data"))

    def is_table_to_predict(self, data: Any) -> bool:
        """Return whether the argument of ``predict`` is the path of a table."""
        return isinstance(data, Path) or (is_table_file(data) and os.path.isfile(data))

    def _of_table(self, table: Table, root: Path | None) -> SampleInputs:
        if self.input_field is None:
            raise DataError(
                f"Expected a list of {self.noun}s, since the task was not trained on a table and knows no column of "
                f"them. Pass the column: task.predict(list(table['{self.noun}']))."
            )
        return SampleInputs(self.sources_of(sources_in(table, self.input_field), "the predict data", root))

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the classes or statistics of the targets, and the statistics of the samples."""
        if self.targets is None:
            return {}
        learned = {"learned": self.learned} if self.learned else {}
        return {"targets": self.targets.to_serializable(), "input_field": self.input_field, **learned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of another preprocess."""
        if state:
            self.targets = self.targets_cls.from_serializable(state["targets"])
            self.input_field = state.get("input_field", self.input_field)
            self.learned = state.get("learned", self.learned)

    def agrees_with(self, other: Preprocess) -> bool:
        """Return whether the same was learned, whatever column the samples came from."""
        own, its = ({**each.state_dict(), "input_field": None} for each in (self, other))
        return equal(own, its)


def _not_learned(what: str) -> DataError:
    return DataError(
        f"Expected {what} that were learned from train data, but there are none yet. Add train data, or pass "
        "preprocess=task.preprocess of a task that was trained."
    )


class _Pairs:
    """Sources with their encoded targets."""

    def __init__(self, sources: Sequence[Any], targets: Any) -> None:
        self.targets = targets
        self._sources = sources

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._sources[index], None if self.targets is None else self.targets[index]


class SampleData(DataModule):
    """Samples with targets, for a domain whose preprocess is a :class:`SamplePreprocess`.

    Set ``preprocess_cls``; the constructors take the arguments of its ``__init__`` too.

    Example:
        >>> data = SampleData.from_lists([[0.0, 1.0], [2.0, 3.0]], ["low", "high"], batch_size=2)
        >>> data.labels
        ['high', 'low']
    """

    preprocess_cls: ClassVar[type[SamplePreprocess]] = SamplePreprocess
    #: The default batch size.
    default_batch_size: ClassVar[int] = 64

    @classmethod
    def from_lists(
        cls,
        train_data: Samples | None = None,
        train_targets: Targets | None = None,
        val_data: Samples | None = None,
        val_targets: Targets | None = None,
        test_data: Samples | None = None,
        test_targets: Targets | None = None,
        predict_data: Samples | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from samples and their targets.

        Args:
            train_data: Samples to train on.
            train_targets: One target per sample: a class or a number; or a list of classes, or a row of zeros and ones.
            val_data: Samples for validation.
            val_targets: Their targets.
            test_data: Samples for testing.
            test_targets: Their targets.
            predict_data: Samples for prediction.
            options: The arguments of the class and of its preprocess; ``delimiter``, which separates the classes of
                a target that is one text.

        Raises:
            DataError: If a target is missing, or a class does not occur in the train data.
        """
        cls.check_options(options, ["delimiter"])
        delimiter = options.pop("delimiter", None)
        given = Stages(
            (train_data, train_targets), (val_data, val_targets), (test_data, test_targets), (predict_data, None)
        )
        return cls.from_inputs(given.map(lambda stage, pair: cls.pair(stage, *pair, delimiter)), options)

    @classmethod
    def from_tensors(
        cls,
        train_data: Samples | None = None,
        train_targets: Targets | None = None,
        val_data: Samples | None = None,
        val_targets: Targets | None = None,
        test_data: Samples | None = None,
        test_targets: Targets | None = None,
        predict_data: Samples | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from tensors with one row per sample; the arguments are those of :meth:`from_lists`.

        Use ``from_numpy`` for arrays.
        """
        return cls.from_lists(
            train_data, train_targets, val_data, val_targets, test_data, test_targets, predict_data, **options
        )

    @classmethod
    def from_data_frame(
        cls,
        input_field: str | Sequence[str],
        target_fields: str | Sequence[str] | None = None,
        train_data_frame: TableSource | None = None,
        val_data_frame: TableSource | None = None,
        test_data_frame: TableSource | None = None,
        predict_data_frame: TableSource | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from data frames of pandas, polars or Arrow, or from dicts of columns.

        Args:
            input_field: The column of samples; a list of columns where a sample has parts, such as a pair of texts.
            target_fields: The column of targets, which may hold lists of classes; or a list of columns of zeros and
                ones, one per class; for regression a list of columns of numbers.
            train_data_frame: Rows to train on.
            val_data_frame: Rows for validation.
            test_data_frame: Rows for testing.
            predict_data_frame: Rows for prediction; their targets are ignored.
            options: The arguments of the class and of its preprocess; ``delimiter``, which separates the classes
                of a sample if they are written as one text.

        Raises:
            MissingColumnError: If a column is missing; the message lists the available ones.
            DataError: If a table is empty, a sample or a target is missing, or a class does not occur in the train
                data.
        """
        frames = Stages(train_data_frame, val_data_frame, test_data_frame, predict_data_frame).required("data_frame")
        return cls._of_tables(None, frames, input_field, target_fields, options)

    @classmethod
    def from_csv(
        cls,
        input_field: str | Sequence[str],
        target_fields: str | Sequence[str] | None = None,
        train_file: FileSource | None = None,
        val_file: FileSource | None = None,
        test_file: FileSource | None = None,
        predict_file: FileSource | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from CSV files, whose first line names the columns.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame, and ``sep``,
        ``encoding`` and ``quotechar`` of :class:`~flash.data.tables.ReadOptions`. Cells are strings; an
        empty one is missing.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_tables("csv", files, input_field, target_fields, options)

    @classmethod
    def from_json(
        cls,
        input_field: str | Sequence[str],
        target_fields: str | Sequence[str] | None = None,
        train_file: FileSource | None = None,
        val_file: FileSource | None = None,
        test_file: FileSource | None = None,
        predict_file: FileSource | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from JSON files: lists of objects, objects of columns, or one object per line.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame; ``field`` names
        the key of the rows, if a file is an object that contains them.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_tables("json", files, input_field, target_fields, options)

    @classmethod
    def from_parquet(
        cls,
        input_field: str | Sequence[str],
        target_fields: str | Sequence[str] | None = None,
        train_file: FileSource | None = None,
        val_file: FileSource | None = None,
        test_file: FileSource | None = None,
        predict_file: FileSource | None = None,
        *,
        in_memory: bool | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from Parquet files, or folders of them; requires pyarrow.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame, and ``in_memory``:
        ``False`` leaves the samples on disk, ``True`` reads them, and by default it depends on their size, see
        :mod:`flash.data.stored_samples`. Targets are in memory.

        Raises:
            DataError: If samples are to stay on disk that cannot.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        if in_memory is False and not cls.preprocess_cls.reads_lazily:
            raise ConfigurationError(
                f"Expected a data module whose samples can stay on disk for in_memory=False, but {cls.__name__} has "
                "all of them in memory. Leave in_memory out."
            )
        in_memory = in_memory if cls.preprocess_cls.reads_lazily else True
        return cls._of_tables("parquet", files, input_field, target_fields, options, in_memory)

    # ------------------------------------------------------------------ for constructors of domains

    @classmethod
    def table_options(cls) -> Collection[str]:
        """Return the additional options of constructors for tables."""
        return ("delimiter",)

    @classmethod
    def check_options(cls, options: Mapping[str, Any], also: Collection[str] = ()) -> None:
        """Reject options that neither the class nor its preprocess takes; call it first in each constructor.

        Args:
            options: The keyword arguments of the constructor that are passed on.
            also: Additional names that the constructor takes.

        Raises:
            UnknownArgumentError: If an option is unknown; the message names the closest one.
        """
        cls.check_arguments(options, ["preprocess", "postprocess", *_own_arguments(cls.preprocess_cls), *also])

    @classmethod
    def pair(cls, stage: Stage, sources: Any, targets: Any, delimiter: str | None = None) -> Any:
        """Return sources with their targets, or ``None`` if there are neither."""
        inputs = pair_inputs(stage, sources, targets, cls.preprocess_cls.noun)
        return None if inputs is None else cls.with_sources(inputs.separated(delimiter, stage), stage)

    @classmethod
    def with_sources(cls, inputs: SampleInputs, stage: Stage, root: Path | None = None) -> Any:
        """Return inputs with sources that the domain validated or converted."""
        sources = cls.preprocess_cls.sources_of(inputs.sources, f"the {stage.value} data", root)
        return SampleInputs(sources, inputs.targets, inputs.names)

    @classmethod
    def from_inputs(
        cls, inputs: Stages[Any], options: dict[str, Any], input_field: str | Sequence[str] | None = None
    ) -> Self:
        """Create a data module from inputs, and from options whose names were checked.

        Args:
            inputs: The inputs of the preprocess's ``load_data``, by stage.
            options: The arguments of the class and of its preprocess.
            input_field: The column or the columns of sources, if they are from tables.

        Raises:
            ConfigurationError: If both a preprocess and options of a preprocess are passed.
        """
        own = {name: options.pop(name) for name in _own_arguments(cls.preprocess_cls) if name in options}
        preprocess = options.pop("preprocess", None)
        if preprocess is not None and own:
            raise ConfigurationError(
                f"Expected a preprocess or options that make one, but got both: preprocess and {', '.join(own)}. Leave "
                "out one of the two."
            )
        if preprocess is None and "input_field" in _own_arguments(cls.preprocess_cls):
            preprocess = cls.preprocess_cls(**own, input_field=input_field)
        elif preprocess is None:
            preprocess = cls.preprocess_cls(**own)
            preprocess.input_field = input_field
        options.setdefault("batch_size", cls.default_batch_size)
        return cls.from_load_data_inputs(**inputs.as_inputs(), preprocess=preprocess, **options)

    @classmethod
    def _of_tables(
        cls,
        format: TableFormat | None,
        tables: Stages[Any],
        input_field: str | Sequence[str],
        target_fields: str | Sequence[str] | None,
        options: dict[str, Any],
        in_memory: bool | None = True,
    ) -> Self:
        if "target_field" in options:
            target_fields = take_alias(options, "target_field", "target_fields", target_fields)
        cls.check_options(options, [*cls.table_options(), *(_READ_OPTIONS if format else ())])
        input_field = cls.checked_input_field(input_field)
        reading = {name: options.pop(name) for name in _READ_OPTIONS if name in options}
        of_table = {name: options.pop(name) for name in cls.table_options() if name in options}
        per_row = {name: options[name] for name in ("groups", "times") if isinstance(options.get(name), str)}

        def read(stage: Stage, source: Any) -> Any:
            name = None if format else f"the {stage.value} data frame"
            own = [] if stage is Stage.PREDICT else names_of(target_fields)
            stored = None if in_memory else store_samples(source, names_of(input_field), in_memory)
            sources = None if stored is None else stored[0]
            table = (
                read_table(source, format=format, name=name, **reading)
                if stored is None
                else stored[1].read([*own, *(per_row.values() if stage is Stage.TRAIN else ())])
            )
            inputs = SampleInputs.of_table(table, input_field, target_fields, stage, of_table.get("delimiter"), sources)
            folder = cls.root_of(stage, of_table)
            if folder is None:
                folder = table_folder(source) if format else getattr(source, "folder", None)
            found = cls.with_sources(inputs, stage, folder)
            of_rows = {name: list(table[column]) for name, column in per_row.items() if stage is Stage.TRAIN}
            return replace(found, **of_rows)

        return cls.from_inputs(tables.map(read), options, input_field)

    @classmethod
    def checked_input_field(cls, input_field: str | Sequence[str]) -> str | list[str]:
        """Return the column of sources, or a list of the columns of their parts.

        Raises:
            ConfigurationError: If there are more columns than a sample has parts.
        """
        if isinstance(input_field, str) or not isinstance(input_field, Sequence):
            return input_field
        names, most = list(input_field), cls.preprocess_cls.max_input_fields
        if not 1 <= len(names) <= most:
            wanted = f"one column, that of the {cls.preprocess_cls.noun}s"
            wanted += f", or a list of at most {most}" if most > 1 else ""
            raise ConfigurationError(
                f"Expected input_field to name {wanted}, but got {names!r}. Join the columns into one first."
            )
        return names if len(names) > 1 else names[0]

    @classmethod
    def root_of(cls, stage: Stage, options: Mapping[str, Any]) -> Path | None:  # noqa: ARG003  # for domains of files
        """Return the folder that paths in the table of a stage are relative to, from the options for tables."""
        return None


def _own_arguments(preprocess: type[Preprocess]) -> list[str]:
    if preprocess.__init__ is object.__init__:
        return []
    parameters = inspect.signature(preprocess.__init__).parameters.values()
    return [each.name for each in parameters if each.name != "self" and each.kind is not each.VAR_KEYWORD]
