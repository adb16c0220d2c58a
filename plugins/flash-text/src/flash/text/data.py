"""TextClassificationData: texts with their classes, from files, tables, lists and datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from typing_extensions import Self

from flash import DataModule
from flash.data.process import Preprocess
from flash.data.stage import Stage, Stages
from flash.data.tables import READ_OPTIONS, TableFormat, read_table

from .preprocess import TextPreprocess
from .rows import TextInputs
from .sources import Fields, from_dataset, from_lists, from_table

__all__ = ["TextClassificationData"]


class TextClassificationData(DataModule):
    """Texts, each with a class, or with any number of classes.

    Texts become tokens when a task comes, whose backbone decides how; each text once. Batches are of texts of similar
    length and as wide as the longest of them.

    Example:
        >>> dm = TextClassificationData.from_lists(["fine film", "a bore"], ["positive", "negative"])
        >>> dm.num_classes, dm.labels
        (2, ['negative', 'positive'])
    """

    preprocess_cls = TextPreprocess

    @classmethod
    def from_data_frame(
        cls,
        input_field: str,
        target_fields: Fields = None,
        train_data_frame: Any = None,
        val_data_frame: Any = None,
        test_data_frame: Any = None,
        predict_data_frame: Any = None,
        *,
        delimiter: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of data frames of pandas, polars or Arrow.

        Args:
            input_field: The column of texts.
            target_fields: The column of classes; where it holds lists, or strings with a ``delimiter``, a text can
                have several. Or a list of columns of zeros and ones, one a class.
            train_data_frame: Rows to train on.
            val_data_frame: Rows to validate on.
            test_data_frame: Rows to test on.
            predict_data_frame: Rows to predict; their targets are not looked at.
            delimiter: What stands between the classes of a text, such as ``","``. Without it, a string is one class.
            kwargs: Further arguments of :class:`~flash.data.data_module.DataModule`, such as ``batch_size`` (16 by
                default) and ``val_split``, and ``preprocess``: that of a trained task, whose classes are to be used.

        Raises:
            MissingColumnError: If a column is missing; the message says which there are.
            DataError: If a table is empty, a text or a target is missing, or a class is not among those of the train
                data.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"review": ["fine film", "a bore"], "sentiment": ["positive", "negative"]})
            >>> dm = TextClassificationData.from_data_frame("review", "sentiment", train_data_frame=frame)
            >>> len(dm.train_dataset), dm.labels
            (2, ['negative', 'positive'])
        """
        tables = Stages(train_data_frame, val_data_frame, test_data_frame, predict_data_frame)
        return cls._from_tables(from_table, tables, input_field, target_fields, delimiter, **kwargs)

    @classmethod
    def from_csv(
        cls,
        input_field: str,
        target_fields: Fields = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        *,
        delimiter: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of CSV files, whose first line names the columns.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame, and those of
        :class:`~flash.data.tables.ReadOptions` but ``delimiter``. Texts stay as they are written: ``NA``, ``null`` and
        ``007`` are texts; an empty cell is missing.
        """
        files = Stages(train_file, val_file, test_file, predict_file)
        return cls._from_files("csv", files, input_field, target_fields, delimiter, **kwargs)

    @classmethod
    def from_json(
        cls,
        input_field: str,
        target_fields: Fields = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        *,
        field: str | None = None,
        delimiter: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of JSON files: lists of objects, objects of columns, or an object in each line.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame; ``field`` names
        what holds the rows, where a file is an object with more in it.
        """
        files = Stages(train_file, val_file, test_file, predict_file)
        return cls._from_files("json", files, input_field, target_fields, delimiter, field=field, **kwargs)

    @classmethod
    def from_parquet(
        cls,
        input_field: str,
        target_fields: Fields = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        *,
        delimiter: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of Parquet files; needs pyarrow: ``pip install "flash-text[parquet]"``.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame.
        """
        files = Stages(train_file, val_file, test_file, predict_file)
        return cls._from_files("parquet", files, input_field, target_fields, delimiter, **kwargs)

    @classmethod
    def from_lists(
        cls,
        train_data: Sequence[str] | None = None,
        train_targets: Sequence[Any] | None = None,
        val_data: Sequence[str] | None = None,
        val_targets: Sequence[Any] | None = None,
        test_data: Sequence[str] | None = None,
        test_targets: Sequence[Any] | None = None,
        predict_data: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of lists of texts and targets.

        Args:
            train_data: Texts to train on.
            train_targets: Their classes, or lists of classes where a text can have several.
            val_data: Texts to validate on.
            val_targets: Their classes.
            test_data: Texts to test on.
            test_targets: Their classes.
            predict_data: Texts to predict.
            kwargs: As for :meth:`from_data_frame`.

        Example:
            >>> dm = TextClassificationData.from_lists(["loud and fast", "slow"], [["loud", "fast"], []])
            >>> dm.multi_label, dm.labels
            (True, ['fast', 'loud'])
        """
        given = Stages(
            (train_data, train_targets), (val_data, val_targets), (test_data, test_targets), (predict_data, None)
        )
        return cls._from_inputs(given.map(lambda stage, pair: from_lists(*pair, stage.value)), None, **kwargs)

    @classmethod
    def from_datasets(  # type: ignore[override]  # the columns come first, as in all from_* of texts
        cls,
        input_field: str,
        target_fields: Fields = None,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
        predict_dataset: Any = None,
        *,
        delimiter: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module of datasets of the library ``datasets``, streaming or not, or of sequences of dicts.

        A stream is read once, to its end. The arguments are those of :meth:`from_data_frame`, with a dataset in place
        of each data frame.

        Example:
            >>> rows = [{"text": "fine film", "label": 1}, {"text": "a bore", "label": 0}]
            >>> TextClassificationData.from_datasets("text", "label", train_dataset=rows).labels
            [0, 1]
        """
        tables = Stages(train_dataset, val_dataset, test_dataset, predict_dataset)
        return cls._from_tables(from_dataset, tables, input_field, target_fields, delimiter, **kwargs)

    # ------------------------------------------------------------------ what they share

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
        target_fields: Fields,
        delimiter: str | None,
        **kwargs: Any,
    ) -> Self:
        cls.check_arguments(kwargs)
        inputs = tables.map(
            lambda stage, table: take(
                table, input_field, None if stage is Stage.PREDICT else target_fields, delimiter, stage.value
            )
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
            preprocess=TextPreprocess(input_field) if preprocess is None else preprocess,
            batch_size=batch_size,
            **kwargs,
        )
