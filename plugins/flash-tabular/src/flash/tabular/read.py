"""Reading tables: files, data frames, dicts and lists become one kind of data frame."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flash.errors import DataError

__all__ = ["check_exists", "read_csv", "read_parquet", "read_table"]


def read_table(data: Any, text_fields: Collection[str] = ()) -> pd.DataFrame:
    """Return a table as a data frame with unique column names that are strings; nothing is copied.

    Args:
        data: A data frame; a path that ends in ``.csv``, ``.tsv`` or ``.parquet``; a dict of columns; a list of
            rows that are dicts, tuples or lists.
        text_fields: Columns of a file without types that are text, even where all of it looks like numbers.

    Raises:
        DataError: If it is none of these, empty, or has two columns of one name.

    Example:
        >>> read_table([{"a": 1, "b": "x"}, {"a": 2}]).columns.tolist()
        ['a', 'b']
    """
    if isinstance(data, str | Path):
        path = Path(data)
        return read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else read_csv(path, text_fields)
    if isinstance(data, pd.DataFrame):
        frame = data
    elif isinstance(data, Mapping):
        frame = _from_columns(data)
    elif isinstance(data, Sequence):
        frame = _from_rows(data)
    else:
        raise DataError(
            "Expected a table: a pandas DataFrame, a path to a .csv or .parquet file, a dict of columns or a list "
            f"of rows, but got {type(data).__name__}."
        )
    return _checked(frame, "the table")


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


def read_csv(path: Path, text_fields: Collection[str] = ()) -> pd.DataFrame:
    """Read a comma-separated file (tab-separated for ``.tsv``), also compressed; the first line names the columns.

    Args:
        path: The file.
        text_fields: Columns that are text, even where all of it looks like numbers: ``"007"`` is not 7.

    Raises:
        DataError: If the file is missing, empty, not text, or seems to be separated by something else.
    """
    separator = "\t" if ".tsv" in (suffix.lower() for suffix in path.suffixes) else ","
    check_exists(path)
    try:
        names = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
        # In one piece: read in several, "007" could be text in one and a number in the next.
        types = {str(name): str for name in names if str(name) in text_fields}
        with warnings.catch_warnings():
            # Where rows are longer than the first line, pandas drops values, or moves all to the wrong column.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, sep=separator, dtype=types, low_memory=False, index_col=False)
    except pd.errors.EmptyDataError:
        raise DataError(f"Expected a table in {path}, but the file is empty.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"Expected a table of UTF-8 text in {path}, but: {error}. "
            "Read it with pandas.read_csv(path, encoding=...) and pass the result to from_data_frame."
        ) from error
    except pd.errors.ParserWarning:
        raise DataError(
            f"Expected {len(names)} values in each row of {path}, as its first line has names, but rows have "
            "more. Add the missing names to the first line."
        ) from None
    except pd.errors.ParserError as error:
        raise DataError(
            f"Expected a table of text separated by {separator!r} in {path}, but: {str(error).strip()}"
        ) from error
    _check_unique([str(name) for name in names], str(path))
    if len(names) == 1 and any(mark in str(names.iloc[0]) for mark in ";\t|"):
        raise DataError(
            f"Expected columns separated by {separator!r} in {path}, but its first line is {names.iloc[0]!r}. "
            "Read it with pandas.read_csv(path, sep=...) and pass the result to from_data_frame."
        )
    return _checked(frame, str(path))


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file.

    Raises:
        DataError: If the file is missing, no Parquet file, or pyarrow is not installed.
    """
    check_exists(path)
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(
            "Expected pyarrow to be installed, to read a Parquet file: pip install 'flash-tabular[parquet]'."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"Expected a Parquet file at {path}, but: {error}") from error
    return _checked(frame, str(path))


def check_exists(path: Path) -> None:
    """Raise an error if there is no such file."""
    if not path.is_file():
        raise DataError(f"Expected a table at {path}, but there is no such file.")


def _checked(frame: pd.DataFrame, name: str) -> pd.DataFrame:
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
