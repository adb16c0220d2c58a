"""TabularClassificationData and TabularRegressionData: data modules of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

from typing_extensions import Self

from flash import DataModule
from flash.data import tables
from flash.data.process import Preprocess
from flash.data.recognition import RawData, Recognition, certainty_of_kind
from flash.data.stage import Stages
from flash.data.stored_table import StoredTable, store_table
from flash.data.tables import READ_OPTIONS, FileSource, TableFormat, TableSource
from flash.errors import ConfigurationError
from flash.former import take_alias, with_former_members

from ._former import DATA_ARGUMENTS, DATA_MEMBERS
from .preprocess import TabularPreprocess
from .read import read_table

__all__ = ["TabularClassificationData", "TabularData", "TabularRegressionData"]

# Columns of rows that are tuples or lists are named by integers.
Fields = str | int | Sequence[str | int] | None
#: A table in memory; rows may also be tuples.
Table: TypeAlias = TableSource | Sequence[Sequence[Any]]
# The options of from_data_frame besides the arguments of DataModule.
_OPTIONS = ("verbose", "decimal")


@with_former_members(DATA_MEMBERS)
class TabularData(DataModule):
    """Base class of :class:`TabularClassificationData` and :class:`TabularRegressionData`."""

    preprocess_cls = TabularPreprocess
    former_arguments = DATA_ARGUMENTS
    kind: ClassVar[Literal["classification", "regression"]]

    @classmethod
    def recognize(cls, raw: RawData, target_fields: str | Sequence[str] | None = None) -> Recognition | None:
        """Recognize tables with a column of targets and others."""
        certainty = certainty_of_kind(raw, target_fields, "classes" if cls.kind == "classification" else "numbers")
        if raw.table is None or certainty is None:
            return None
        targets = 1 if isinstance(target_fields, str) else len(target_fields or ())
        columns = len(raw.table) - targets
        if columns < 1:
            return None
        arguments = {"target_fields": target_fields, "train_data_frame": raw.table, "decimal": raw.decimal}
        noun = "column" if columns == 1 else "columns"
        why = f"it is a table with {columns} {noun} besides the target, and {certainty[1]}"
        return Recognition("from_data_frame", arguments, why, 0.5 * certainty[0])

    @classmethod
    def from_data_frame(
        cls,
        categorical_fields: Fields = None,
        numerical_fields: Fields = None,
        target_fields: Fields = None,
        train_data_frame: Table | None = None,
        val_data_frame: Table | None = None,
        test_data_frame: Table | None = None,
        predict_data_frame: Table | None = None,
        *,
        preprocess: Preprocess | None = None,
        verbose: bool = True,
        decimal: str | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from pandas data frames.

        Args:
            categorical_fields: The categorical columns.
            numerical_fields: The numerical columns. If neither kind is named, both are inferred and printed.
            target_fields: The column to predict; a list of columns for multi-label classification (zeros and
                ones) or for a regression of several numbers.
            train_data_frame: The training rows.
            val_data_frame: The validation rows.
            test_data_frame: The test rows.
            predict_data_frame: The rows to predict; the target may be absent.
            preprocess: The preprocess of a trained task, whose statistics and labels are reused.
            verbose: Whether to print inferred columns.
            decimal: The decimal mark of numbers in text files; by default a point, and decimal commas are an error.
            batch_size: The number of rows per batch; by default between 32 and 512, for 50 to 100 batches per epoch.
            kwargs: Further arguments of :class:`~flash.data.data_module.DataModule`, such as ``val_split``.

        Raises:
            MissingColumnError: If a column is missing; the message names it.
            DataError: If a table is empty, or a column has invalid values.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"age": [20, 30, 40, 50], "bought": ["no", "yes", "no", "yes"]})
            >>> dm = TabularClassificationData.from_data_frame(
            ...     target_fields="bought", train_data_frame=frame, verbose=False
            ... )
            >>> dm.num_classes, dm.labels
            (2, ['no', 'yes'])
        """
        if "target_field" in kwargs:
            target_fields = take_alias(kwargs, "target_field", "target_fields", target_fields)
        cls.check_arguments(kwargs)
        if preprocess is None:
            preprocess = TabularPreprocess(
                cls.kind, target_fields, categorical_fields, numerical_fields, verbose=verbose, decimal=decimal
            )
        elif decimal is not None:
            raise ConfigurationError(
                "Expected decimal or the preprocess of a trained task, which knows it, but got both. Remove decimal."
            )
        groups = kwargs.get("groups")
        if isinstance(groups, str) and isinstance(preprocess, TabularPreprocess):
            preprocess.group_field = groups
        if batch_size is None:
            batch_size = 512 if train_data_frame is None else _batch_size(_count_rows(train_data_frame))
        return cls.from_load_data_inputs(
            **Stages(train_data_frame, val_data_frame, test_data_frame, predict_data_frame).as_inputs(),
            preprocess=preprocess,
            batch_size=batch_size,
            **kwargs,
        )

    @classmethod
    def from_csv(
        cls,
        categorical_fields: Fields = None,
        numerical_fields: Fields = None,
        target_fields: Fields = None,
        train_file: FileSource | None = None,
        val_file: FileSource | None = None,
        test_file: FileSource | None = None,
        predict_file: FileSource | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from CSV files with a header line.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame, and those of
        :class:`~flash.data.tables.ReadOptions`. Column types (numbers, dates, categories) are inferred from the
        training rows; class labels stay as written.
        """
        if "target_field" in kwargs:
            target_fields = take_alias(kwargs, "target_field", "target_fields", target_fields)
        cls.check_arguments(kwargs, (*READ_OPTIONS, *_OPTIONS))
        read = _read("csv", Stages(train_file, val_file, test_file, predict_file), kwargs)
        return cls.from_data_frame(categorical_fields, numerical_fields, target_fields, *read, **kwargs)

    @classmethod
    def from_json(
        cls,
        categorical_fields: Fields = None,
        numerical_fields: Fields = None,
        target_fields: Fields = None,
        train_file: FileSource | None = None,
        val_file: FileSource | None = None,
        test_file: FileSource | None = None,
        predict_file: FileSource | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from JSON files: lists of objects, objects of columns, or one object per line.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame, and ``field``: the
        key of the rows, if they are nested in an object.
        """
        if "target_field" in kwargs:
            target_fields = take_alias(kwargs, "target_field", "target_fields", target_fields)
        cls.check_arguments(kwargs, (*READ_OPTIONS, *_OPTIONS))
        read = _read("json", Stages(train_file, val_file, test_file, predict_file), kwargs)
        return cls.from_data_frame(categorical_fields, numerical_fields, target_fields, *read, **kwargs)

    @classmethod
    def from_parquet(
        cls,
        categorical_fields: Fields = None,
        numerical_fields: Fields = None,
        target_fields: Fields = None,
        train_file: FileSource | None = None,
        val_file: FileSource | None = None,
        test_file: FileSource | None = None,
        predict_file: FileSource | None = None,
        *,
        in_memory: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from Parquet files; requires pyarrow: ``pip install "flash-tabular[parquet]"``.

        The arguments are those of :meth:`from_data_frame`, with a file in place of each data frame, and ``in_memory``.
        A file, a folder of files or a list of files with more than 20 million cells is not read into memory: it is
        read part by part, and encoded into a file in the folder for temporary files (``TMPDIR``), from which training
        reads.

        Args:
            categorical_fields: As for :meth:`from_data_frame`.
            numerical_fields: As for :meth:`from_data_frame`.
            target_fields: As for :meth:`from_data_frame`.
            train_file: The training rows.
            val_file: The validation rows.
            test_file: The test rows.
            predict_file: The rows to predict.
            in_memory: Whether to read the tables into memory; by default those of up to 20 million cells, and all if
                ``groups`` or ``times`` divide them.
            kwargs: As for :meth:`from_data_frame`.

        Raises:
            ConfigurationError: If ``in_memory=False`` is passed together with ``groups`` or ``times``.
            DataError: As :meth:`from_data_frame`; or if no table can stay on disk for ``in_memory=False``.
        """
        if "target_field" in kwargs:
            target_fields = take_alias(kwargs, "target_field", "target_fields", target_fields)
        cls.check_arguments(kwargs, (*READ_OPTIONS, *_OPTIONS))
        if kwargs.get("groups") is not None or kwargs.get("times") is not None:
            if in_memory is False:
                raise ConfigurationError(
                    "Expected tables in memory for splits by groups or times, but got in_memory=False. Divide the rows "
                    "before, and pass val_file; or leave in_memory out."
                )
            in_memory = True
        files = Stages(train_file, val_file, test_file, predict_file)
        read = _read("parquet", files, kwargs, in_memory)
        return cls.from_data_frame(categorical_fields, numerical_fields, target_fields, *read, **kwargs)

    @classmethod
    def from_dicts(
        cls,
        categorical_fields: Fields = None,
        numerical_fields: Fields = None,
        target_fields: Fields = None,
        train_dict: Table | None = None,
        val_dict: Table | None = None,
        test_dict: Table | None = None,
        predict_dict: Table | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from dicts of columns, such as ``{"age": [20, 30], "city": ["Rome", "Oslo"]}``.

        The arguments are those of :meth:`from_data_frame`, with a dict in place of each data frame.
        """
        dicts = (train_dict, val_dict, test_dict, predict_dict)
        return cls.from_data_frame(categorical_fields, numerical_fields, target_fields, *dicts, **kwargs)

    @classmethod
    def from_lists(
        cls,
        categorical_fields: Fields = None,
        numerical_fields: Fields = None,
        target_fields: Fields = None,
        train_list: Table | None = None,
        val_list: Table | None = None,
        test_list: Table | None = None,
        predict_list: Table | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from lists of rows: dicts such as ``{"age": 20, "city": "Rome"}``, or tuples.

        The columns of tuples are named by their position: ``"0"``, ``"1"``, ... The arguments are those of
        :meth:`from_data_frame`, with a list in place of each data frame.
        """
        lists = (train_list, val_list, test_list, predict_list)
        return cls.from_data_frame(categorical_fields, numerical_fields, target_fields, *lists, **kwargs)


class TabularClassificationData(TabularData):
    """Data module of table rows, each with one class, or any number of classes.

    Example:
        >>> dm = TabularClassificationData.from_lists(
        ...     target_fields="bought",
        ...     train_list=[{"age": 20, "bought": 0}, {"age": 30, "bought": 1}],
        ...     verbose=False,
        ... )
        >>> dm.labels
        [0, 1]
    """

    kind = "classification"


class TabularRegressionData(TabularData):
    """Data module of table rows, each with one or several numbers to predict.

    Example:
        >>> dm = TabularRegressionData.from_dicts(
        ...     target_fields="price", train_dict={"area": [20, 30, 50], "price": [1.0, 1.5, 2.5]}, verbose=False
        ... )
        >>> dm.facts["num_targets"]
        1
    """

    kind = "regression"


def _count_rows(table: Any) -> int:
    if isinstance(table, StoredTable):
        return len(table)
    return table.num_rows if isinstance(table, tables.Table) else len(read_table(table))


def _batch_size(rows: int) -> int:
    return min(512, max(32, 1 << max(rows // 50, 1).bit_length() - 1))


def _read(format: TableFormat, files: Stages[Any], options: dict[str, Any], in_memory: bool | None = True) -> list[Any]:
    reading = {name: options.pop(name) for name in READ_OPTIONS if name in options}
    # What does not suit Parquet is an error of reading.
    in_memory = True if reading else in_memory

    def table_of(_: object, file: Any) -> Any:
        stored = None if in_memory else store_table(file, in_memory)
        return tables.read_table(file, format=format, **reading) if stored is None else stored

    read = files.required("file").map(table_of)
    return [read.train, read.val, read.test, read.predict]
