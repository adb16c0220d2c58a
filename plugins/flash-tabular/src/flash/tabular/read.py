"""Read tables from files, data frames, dicts and lists into a pandas data frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from flash.data import tables
from flash.errors import DataError

__all__ = ["read_table"]

# The spellings of missing numbers and dates; in a text column they are ordinary text.
_MISSING = frozenset(
    {"#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a", "nan", "null"}
)
_BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_DECIMAL_COMMA = r"[+-]?\d+(,\d+)?"
_DATE = r"\d{4}-\d{1,2}-\d{1,2}.*"


def read_table(
    data: Any,
    text_fields: Collection[str] = (),
    number_fields: Collection[str] = (),
    class_fields: Collection[str] = (),
    decimal: str | None = None,
) -> pd.DataFrame:
    """Read a table into a data frame with unique string column names; a data frame is not copied.

    Args:
        data: Any input of :func:`flash.data.tables.read_table`; a pandas data frame, a dict of columns, or a list of
            rows that are dicts, tuples or lists.
        text_fields: Columns of untyped files to read as text, even if all values look like numbers.
        number_fields: Columns of untyped files to read as numbers where possible.
        class_fields: Columns of untyped files that are class labels, which stay as written (``1.10``), unless all are
            integers.
        decimal: The decimal mark of numbers in untyped files; ``None`` is a point, and decimal commas are an error.

    Raises:
        DataError: If the input is none of these, empty, or has duplicate column names.

    Example:
        >>> read_table([{"a": 1, "b": "x"}, {"a": 2}]).columns.tolist()
        ['a', 'b']
    """
    frame: pd.DataFrame
    if isinstance(data, pd.DataFrame):
        frame = data
    elif isinstance(data, Mapping) and not isinstance(data, tables.Table):
        frame = _from_columns(data)
    elif isinstance(data, Sequence) and not isinstance(data, str) and not _is_file_list(data):
        frame = _from_rows(data)
    else:
        table = tables.read_table(data)
        if table.is_text:
            frame = _infer_types(table, text_fields, number_fields, class_fields, decimal)
        elif isinstance(table.frame, pd.DataFrame):
            frame = table.frame
        elif table.frame is not None:
            frame = table.frame.to_pandas()
        else:
            frame = pd.DataFrame(dict(table))
    return _check_frame(frame, "the table")


def _is_file_list(data: Sequence[Any]) -> bool:
    return bool(data) and all(tables.is_table_file(part) or hasattr(part, "read") for part in data)


# ---------------------------------------------------------------------- types of text files


def _infer_types(
    table: tables.Table,
    text_fields: Collection[str],
    number_fields: Collection[str],
    class_fields: Collection[str],
    decimal: str | None,
) -> pd.DataFrame:
    """Infer the column types of a text file. This is the only place that decides which text is a number."""
    columns: dict[str, pd.Series[Any]] = {}
    for name, cells in table.columns.items():
        if name in class_fields:
            columns[name] = pd.Series(tables.whole_numbers(cells), dtype=object)
        elif name in text_fields:
            columns[name] = pd.Series(cells, dtype=object)
        else:
            columns[name] = _infer_column_type(name, cells, table.name, name in number_fields, decimal)
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame


def _infer_column_type(name: str, cells: list[str | None], source: str, is_number: bool, decimal: str | None) -> Any:
    text = pd.Series(cells, dtype=object)
    if decimal not in (None, "."):
        text = text.str.replace(decimal, ".", regex=False).where(text.notna(), None)
    numbers = pd.to_numeric(text, errors="coerce")
    rest = text[numbers.isna() & text.notna()]
    words = set(rest.unique())
    if words <= _MISSING:
        known = len(text) - len(rest)
        return numbers if is_number or len(rest) < known or not words else pd.Series(cells, dtype=object)
    if words <= _BOOLEANS.keys() and numbers.isna().all():
        truth = text.map(_BOOLEANS)
        return truth.astype(bool) if text.notna().all() else truth.astype(object).where(text.notna(), None)
    wanted = rest[~rest.isin(_MISSING)]
    if decimal is None and wanted.str.fullmatch(_DECIMAL_COMMA).all():
        raise DataError(
            f"Expected numbers with a decimal point in column {name!r} of {source}, but got {wanted.iloc[0]!r}. If the "
            "comma is the decimal mark, pass decimal=','; if this is no number, pass decimal='.'."
        )
    if is_number or wanted.str.fullmatch(_DATE).all():
        return pd.Series(cells, dtype=object).where(~text.isin(_MISSING), None)
    return pd.Series(cells, dtype=object)


# ---------------------------------------------------------------------- rows and columns


def _from_rows(data: Sequence[Any]) -> pd.DataFrame:
    kinds = {type(row) for row in data}
    for kind in kinds:
        if issubclass(kind, str | bytes) or not issubclass(kind, Mapping | Sequence | pd.Series | np.ndarray):
            raise DataError(
                f"Expected a list of rows, each a dict, tuple or list, but got one of type {kind.__name__}. "
                "For a single row, pass [row]."
            )
    if len({issubclass(kind, Mapping | pd.Series) for kind in kinds}) > 1:
        raise DataError("Expected rows of one kind, but some name their values and some do not. Pass dicts only.")
    frame: pd.DataFrame = pd.DataFrame.from_records(list(data)) if len(data) else pd.DataFrame()
    return frame


def _from_columns(data: Mapping[Any, Any]) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.DataFrame(data)
    except ValueError as error:
        scalars = all(not isinstance(value, Sequence) or isinstance(value, str) for value in data.values())
        hint = "For a single row, pass [row]." if scalars else "Give every column the same number of values."
        raise DataError(f"Expected a dict of columns, but pandas says: {error}. {hint}") from error
    return frame


def _check_frame(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if len(frame) == 0 or len(frame.columns) == 0:
        raise DataError(f"Expected {name} to have rows and columns, but it has shape {frame.shape}.")
    columns = [str(column) for column in frame.columns]
    _check_unique(columns, name)
    if columns != list(frame.columns):
        frame = frame.set_axis(columns, axis=1)
    return frame


def _check_unique(columns: Sequence[str], name: str) -> None:
    twice = sorted(column for column, count in Counter(columns).items() if count > 1)
    if twice:
        raise DataError(
            f"Expected columns with different names in {name}, but there are several of "
            f"{', '.join(map(repr, twice))}. Rename or drop them."
        )
