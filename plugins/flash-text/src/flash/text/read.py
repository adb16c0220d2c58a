"""Reading tables that have a column of texts: CSV, JSON and Parquet files, and data frames."""

from __future__ import annotations

import json
import math
import numbers
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flash.errors import DataError, MissingColumnError

__all__ = ["column", "read_csv", "read_file", "read_json", "read_parquet", "texts_of"]


def read_file(path: str | Path, text_fields: Collection[str] = (), target_fields: Collection[str] = ()) -> pd.DataFrame:
    """Read a table from a file whose name ends in ``.csv``, ``.tsv``, ``.json``, ``.jsonl`` or ``.parquet``.

    The arguments are those of :func:`read_csv`.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".json", ".jsonl"):
        return read_json(path)
    return read_parquet(path) if suffix in (".parquet", ".pq") else read_csv(path, text_fields, target_fields)


def read_csv(path: str | Path, text_fields: Collection[str] = (), target_fields: Collection[str] = ()) -> pd.DataFrame:
    """Read a comma-separated file (tab-separated for ``.tsv``), also compressed; the first line names the columns.

    Args:
        path: The file.
        text_fields: Columns of texts: "NA", "null" and "007" stay what they are, and nothing is a text of no letters.
        target_fields: Columns of targets, where nothing is a missing target, and "None" is a class.

    Raises:
        DataError: If the file is missing, empty, not UTF-8, or seems to be separated by something else.
    """
    path = _existing(path)
    separator = "\t" if ".tsv" in (suffix.lower() for suffix in path.suffixes) else ","
    try:
        with warnings.catch_warnings():
            # Where rows are longer than the first line, pandas drops values, or moves all to the wrong column.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                dtype=dict.fromkeys(text_fields, str),
                keep_default_na=False,
                na_values={field: [""] for field in target_fields},
                index_col=False,
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        raise DataError(f"Expected a table in {path}, but the file is empty.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"Expected a table of UTF-8 text in {path}, but: {error}. "
            "Read it with pandas.read_csv(path, encoding=...) and pass the result to from_data_frame."
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(
            f"Expected as many values in each row of {path} as its first line has names, separated by {separator!r}, "
            f"but: {str(error).strip()} Put texts that contain {separator!r} in double quotes."
        ) from error
    if len(frame.columns) == 1 and any(mark in str(frame.columns[0]) for mark in ";\t|"):
        raise DataError(
            f"Expected columns separated by {separator!r} in {path}, but its first line is {frame.columns[0]!r}. "
            "Read it with pandas.read_csv(path, sep=...) and pass the result to from_data_frame."
        )
    return _checked(frame, str(path))


def read_json(path: str | Path, field: str | None = None) -> pd.DataFrame:
    """Read a JSON file: a list of objects, an object of columns, or an object in each line (JSON Lines).

    Args:
        path: The file.
        field: The name of what holds the rows, where the file is an object with more in it.

    Raises:
        DataError: If the file is missing, empty, not UTF-8, or none of these.
    """
    path = _existing(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = _parse(text)
        if field is not None:
            found = found[field]
    except UnicodeDecodeError as error:
        raise DataError(f"Expected JSON, which is UTF-8 text, in {path}, but: {error}.") from error
    except ValueError as error:
        raise DataError(
            f"Expected JSON in {path}, a list of objects or an object in each line, but: {error}"
        ) from error
    except (KeyError, TypeError) as error:
        known = f"it has {', '.join(map(repr, found))}" if isinstance(found, dict) else "it is a list"
        raise DataError(f"Expected an object with {field!r} in {path}, but {known}.") from error
    if isinstance(found, dict) and all(isinstance(values, list) for values in found.values()):
        lengths = sorted({len(values) for values in found.values()})
        if len(lengths) > 1:
            raise DataError(f"Expected columns of one length in {path}, but got lengths {lengths}.")
        return _checked(pd.DataFrame(found, dtype=object), str(path))
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return _checked(pd.DataFrame(found, dtype=object), str(path))
    raise DataError(
        f"Expected a list of objects, or an object of columns, in {path}, but got another kind of JSON. "
        "Where the rows are inside an object, name what holds them: field='data'."
    )


def _parse(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else []
    except json.JSONDecodeError:
        lines = text.splitlines()
        if len(lines) < 2 or not text.lstrip().startswith("{"):
            raise
        return [json.loads(line) for line in lines if line.strip()]


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a Parquet file.

    Raises:
        DataError: If the file is missing, no Parquet file, or pyarrow is not installed.
    """
    path = _existing(path)
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(
            "Expected pyarrow to be installed, to read a Parquet file: pip install 'flash-text[parquet]'."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"Expected a Parquet file at {path}, but: {error}") from error
    return _checked(frame, str(path))


def column(table: pd.DataFrame | Mapping[str, Sequence[Any]], name: str, source: str) -> list[Any]:
    """Return the values of a column as a list.

    Args:
        table: A data frame, or a mapping of columns.
        name: The column.
        source: What the table is, for the message: ``"the train data"``.

    Raises:
        MissingColumnError: If there is no such column; the message says which there are.
    """
    names = list(table.columns if isinstance(table, pd.DataFrame) else table)
    if name not in names:
        known = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
        raise MissingColumnError(f"Expected a column {name!r} in {source}, but it has {known}.")
    values = table[name]
    return values.tolist() if isinstance(values, pd.Series) else list(values)


def texts_of(values: Iterable[Any], source: str) -> list[str]:
    """Return values as texts: numbers become their digits, and a text may have no letters.

    Args:
        values: One value a row.
        source: What they are, for the message: ``"the train data"``.

    Raises:
        DataError: If a value is missing, or is neither a text nor a number.

    Example:
        >>> texts_of(["good", 7, ""], "the train data")
        ['good', '7', '']
    """
    texts: list[str] = []
    missing: list[int] = []
    for row, value in enumerate(values):
        if isinstance(value, str):
            texts.append(value)
        elif _is_missing(value):
            missing.append(row)
        elif isinstance(value, numbers.Number | np.bool_):
            texts.append(str(value))
        else:
            raise DataError(
                f"Expected a text in each row of {source}, but row {row} (counted from 0) is a "
                f"{type(value).__name__}. Make it a text first."
            )
    if missing:
        raise DataError(
            f"Expected a text in each row of {source}, but {len(missing)} of {len(texts) + len(missing)} have none, "
            f"the first of them row {missing[0]} (counted from 0). Drop these rows, or fill them with ''."
        )
    return texts


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"Expected a table at {path}, but there is no such file.")
    return path


def _checked(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if len(frame) == 0 or len(frame.columns) == 0:
        raise DataError(f"Expected {name} to have rows and columns, but it has shape {frame.shape}.")
    named: pd.DataFrame = frame.set_axis([str(each) for each in frame.columns], axis=1)
    return named
