"""Tables that name image files and their classes: CSV, JSON, and data frames."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flash.errors import DataError, MissingColumnError

from .inputs import ImageInputs

__all__ = ["Table", "frame_table", "read_csv", "read_json", "table_inputs", "with_whole_numbers"]

#: Columns by name.
Table = Mapping[str, list[Any]]


def read_csv(file: str | Path) -> Table:
    """The columns of a CSV file whose first line names them; an empty cell is missing."""
    path = _existing(file)
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            rows = list(reader)
            names = list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Expected a CSV file in UTF-8, but {path} is none ({error}). Save it as such.") from error
    return {name: [row[name] or None for row in rows] for name in names}


def read_json(file: str | Path) -> Table:
    """The columns of a JSON file: a list of objects, or one object a line."""
    path = _existing(file)
    try:
        text = path.read_text(encoding="utf-8-sig")
        is_list = text.lstrip().startswith("[")
        rows = json.loads(text) if is_list else [json.loads(line) for line in text.splitlines() if line.strip()]
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"Expected a JSON file with a list of objects, or with an object in each line, but {path} is none "
            f"({error})."
        ) from error
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"Expected a list of objects in {path}, but it holds other elements.")
    names = {name: None for row in rows for name in row}
    return {name: [row.get(name) for row in rows] for name in names}


def frame_table(frame: Any) -> Table:
    """The columns of a data frame, of pandas or of another library that has ``columns`` and ``[name]``."""
    if isinstance(frame, Mapping):
        return {name: list(column) for name, column in frame.items()}
    if not hasattr(frame, "columns") or not hasattr(frame, "__getitem__"):
        raise DataError(f"Expected a data frame, or a dict of columns, but got {type(frame).__name__}.")
    return {name: list(frame[name]) for name in frame.columns}


def _existing(file: str | Path) -> Path:
    path = Path(file)
    if not path.is_file():
        raise DataError(f"Expected a table at {path}, but there is no such file. Check the path.")
    return path


def with_whole_numbers(tables: Mapping[str, Table], fields: str | Sequence[str] | None) -> dict[str, Table]:
    """The tables with targets as numbers where all of them are, in all tables: a CSV file holds text alone.

    Args:
        tables: The table of each stage.
        fields: The columns of targets.

    Example:
        >>> with_whole_numbers({"train": {"age": ["7", "10"]}, "val": {"age": ["7"]}}, "age")["val"]
        {'age': [7]}
        >>> with_whole_numbers({"train": {"code": ["007", "10"]}}, "code")["train"]
        {'code': ['007', '10']}
    """
    names = [fields] if isinstance(fields, str) else list(fields or [])
    made: dict[str, Any] = {stage: dict(table) for stage, table in tables.items()}
    for name in names:
        values = [value for table in tables.values() for value in table.get(name, []) if value is not None]
        if all(value.lstrip("-").isdecimal() and str(int(value)) == value for value in values):
            for table in made.values():
                if name in table:
                    table[name] = [None if value is None else int(value) for value in table[name]]
    return made


def table_inputs(
    table: Table, input_field: str, target_fields: str | Sequence[str] | None, root: Path | None, stage: str
) -> ImageInputs:
    """Images and targets of a table.

    Args:
        table: The columns.
        input_field: The column of paths.
        target_fields: The column of classes, or a list of columns of zeros and ones.
        root: The folder that paths start from, unless they are absolute.
        stage: Prediction needs no targets.

    Raises:
        MissingColumnError: If a column is missing.
        DataError: If a row names no image.
    """
    sources = [_source(value, root, row, input_field, stage) for row, value in enumerate(_column(table, input_field))]
    if stage == "predict":
        return ImageInputs(sources)
    if target_fields is None:
        raise DataError("Expected target_fields to name the column of classes, but got none.")
    if isinstance(target_fields, str):
        return ImageInputs(sources, _column(table, target_fields))
    indicators = [np.asarray(row) for row in zip(*(_column(table, name) for name in target_fields), strict=True)]
    return ImageInputs(sources, indicators, names=list(target_fields))


def _source(value: Any, root: Path | None, row: int, field: str, stage: str) -> Any:
    if value is None or (isinstance(value, float) and value != value):
        raise DataError(f"Expected an image in every row of the {stage} table, but row {row} has no {field!r}.")
    return value if root is None or not isinstance(value, str | Path) else root / value


def _column(table: Table, name: str) -> list[Any]:
    if name not in table:
        close = difflib.get_close_matches(str(name), [str(known) for known in table], 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise MissingColumnError(f"Expected a column {name!r}, but the table has {', '.join(map(str, table))}.{hint}")
    return table[name]
