"""SummarizationData and TranslationData: pairs of texts from files, tables, lists and datasets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import Self

from flash import DataModule
from flash.data.process import Preprocess
from flash.data.stage import Stage, Stages
from flash.data.tables import READ_OPTIONS, TableFormat, read_table
from flash.errors import ConfigurationError

from ..rows import TextInputs
from ..sources import from_dataset, from_lists, from_table
from .preprocess import Seq2SeqPreprocess

__all__ = ["Seq2SeqData", "SummarizationData", "TranslationData"]


class Seq2SeqData(DataModule):
    """Texts to read with texts to write. Use :class:`SummarizationData` or :class:`TranslationData`.

    Texts become tokens when a task comes, which decides how; each text once. Batches are of texts of similar length
    and as wide as the longest of them.
    """

    preprocess_cls = Seq2SeqPreprocess

    @classmethod
    def from_data_frame(
        cls,
        input_field: str,
        target_fields: str | None = None,
        train_data_frame: Any = None,
        val_data_frame: Any = None,
        test_data_frame: Any = None,
        predict_data_frame: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of data frames of pandas, polars or Arrow.

        Args:
            input_field: The column of texts to read.
            target_fields: The column of texts to write.
            train_data_frame: Rows to train on.
            val_data_frame: Rows to validate on.
            test_data_frame: Rows to test on.
            predict_data_frame: Rows to predict; their targets are not looked at.
            kwargs: Further arguments of :class:`~flash.data.data_module.DataModule`, such as ``batch_size`` (16 by
                default) and ``val_split``.

        Raises:
            MissingColumnError: If a column is missing; the message says which there are.
            DataError: If a table is empty, or a text or a target is missing or a target is empty.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"en": ["one", "two"], "de": ["eins", "zwei"]})
            >>> dm = TranslationData.from_data_frame("en", "de", train_data_frame=frame)
            >>> len(dm.train_dataset)
            2
        """
        tables = Stages(train_data_frame, val_data_frame, test_data_frame, predict_data_frame)
        return cls._from_tables(from_table, tables, input_field, target_fields, **kwargs)

    @classmethod
    def from_csv(
        cls,
        input_field: str,
        target_fields: str | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of CSV files, whose first line names the columns.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame, and those of
        :class:`~flash.data.tables.ReadOptions`. Texts stay as they are written: ``NA``, ``null`` and ``007`` are texts;
        an empty cell is missing.
        """
        files = Stages(train_file, val_file, test_file, predict_file)
        return cls._from_files("csv", files, input_field, target_fields, **kwargs)

    @classmethod
    def from_json(
        cls,
        input_field: str,
        target_fields: str | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        *,
        field: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of JSON files: lists of objects, objects of columns, or an object in each line.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame; ``field`` names
        what holds the rows, where a file is an object with more in it.
        """
        files = Stages(train_file, val_file, test_file, predict_file)
        return cls._from_files("json", files, input_field, target_fields, field=field, **kwargs)

    @classmethod
    def from_parquet(
        cls,
        input_field: str,
        target_fields: str | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of Parquet files; needs pyarrow: ``pip install "flash-text[parquet]"``.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame.
        """
        files = Stages(train_file, val_file, test_file, predict_file)
        return cls._from_files("parquet", files, input_field, target_fields, **kwargs)

    @classmethod
    def from_lists(
        cls,
        train_data: Any = None,
        train_targets: Any = None,
        val_data: Any = None,
        val_targets: Any = None,
        test_data: Any = None,
        test_targets: Any = None,
        predict_data: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of lists of texts.

        Args:
            train_data: Texts to read, to train on.
            train_targets: The text to write for each.
            val_data: The same for validation.
            val_targets: The same for validation.
            test_data: The same for testing.
            test_targets: The same for testing.
            predict_data: Texts to predict.
            kwargs: As for :meth:`from_data_frame`.

        Example:
            >>> dm = SummarizationData.from_lists(["a long story", "another one"], ["a story", "one"], batch_size=2)
            >>> len(dm.train_dataset)
            2
        """
        given = Stages(
            (train_data, train_targets), (val_data, val_targets), (test_data, test_targets), (predict_data, None)
        )
        return cls._from_inputs(given.map(lambda stage, pair: from_lists(*pair, stage.value)), None, **kwargs)

    @classmethod
    def from_datasets(  # type: ignore[override]  # the columns are named first, as in the other constructors
        cls,
        input_field: str,
        target_fields: str | None = None,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
        predict_dataset: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of datasets of the library ``datasets``, streaming or not, or of any rows that are dicts.

        A stream is read once and kept compactly. The arguments are those of :meth:`from_data_frame`, with a dataset
        in place of each data frame.

        Example:
            >>> dm = TranslationData.from_datasets("en", "de", [{"en": "one", "de": "eins"}])
            >>> len(dm.train_dataset)
            1
        """
        datasets = Stages(train_dataset, val_dataset, test_dataset, predict_dataset)
        return cls._from_tables(from_dataset, datasets, input_field, target_fields, **kwargs)

    @classmethod
    def _from_files(cls, format: TableFormat, files: Stages[Any], *args: Any, **kwargs: Any) -> Self:
        cls.check_arguments(kwargs, READ_OPTIONS)
        reading = {name: kwargs.pop(name) for name in READ_OPTIONS if name in kwargs}
        tables = files.required("file").map(lambda _, file: read_table(file, format=format, **reading))
        return cls._from_tables(from_table, tables, *args, **kwargs)

    @classmethod
    def _from_tables(
        cls,
        take: Callable[..., TextInputs],
        tables: Stages[Any],
        input_field: str,
        target_fields: str | None,
        **kwargs: Any,
    ) -> Self:
        target = None if target_fields is None else _one(target_fields)
        cls.check_arguments(kwargs)
        inputs = tables.map(
            lambda stage, table: take(table, input_field, None if stage is Stage.PREDICT else target, None, stage.value)
        )
        return cls._from_inputs(inputs, input_field, **kwargs)

    @classmethod
    def _from_inputs(
        cls,
        inputs: Stages[TextInputs],
        input_field: str | None,
        *,
        preprocess: Preprocess | None = None,
        batch_size: int = 16,
        **kwargs: Any,
    ) -> Self:
        return cls.from_load_data_inputs(
            **inputs.as_inputs(),
            preprocess=Seq2SeqPreprocess(input_field) if preprocess is None else preprocess,
            batch_size=batch_size,
            **kwargs,
        )


class SummarizationData(Seq2SeqData):
    """Texts with their summaries.

    Example:
        >>> dm = SummarizationData.from_lists(["It rained all day in Bergen."], ["Rain in Bergen."])
        >>> len(dm.train_dataset)
        1
    """


class TranslationData(Seq2SeqData):
    """Texts with their translations.

    Example:
        >>> dm = TranslationData.from_lists(["good day", "good night"], ["guten Tag", "gute Nacht"])
        >>> len(dm.train_dataset)
        2
    """


def _one(target_fields: Any) -> str:
    if isinstance(target_fields, str):
        return target_fields
    raise ConfigurationError(
        f"Expected target_fields to name one column, that of the texts to write, but got {target_fields!r}."
    )
