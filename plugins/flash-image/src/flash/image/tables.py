"""Tables that name images and their classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flash.data.tables import Table, whole_numbers
from flash.errors import DataError

from .inputs import ImageInputs

__all__ = ["table_inputs"]


def table_inputs(
    table: Table, input_field: str, target_fields: str | Sequence[str] | None, root: Path | None, stage: str
) -> ImageInputs:
    """Return the images and targets of a table.

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
    sources = [_source(value, root, row, input_field, stage) for row, value in enumerate(table[input_field])]
    if stage == "predict":
        return ImageInputs(sources)
    if target_fields is None:
        raise DataError("Expected target_fields to name the column of classes, but got none.")
    if isinstance(target_fields, str):
        return ImageInputs(sources, _targets(table, target_fields))
    indicators = [np.asarray(row) for row in zip(*(_targets(table, name) for name in target_fields), strict=True)]
    return ImageInputs(sources, indicators, names=list(target_fields))


def _source(value: Any, root: Path | None, row: int, field: str, stage: str) -> Any:
    if value is None:
        raise DataError(f"Expected an image in every row of the {stage} table, but row {row} has no {field!r}.")
    return value if root is None or not isinstance(value, str | Path) else root / value


def _targets(table: Table, name: str) -> list[Any]:
    return whole_numbers(table[name]) if table.is_text else table[name]
