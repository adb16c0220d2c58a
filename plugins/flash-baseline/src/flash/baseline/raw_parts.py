"""Rows of raw data that a baseline learns from, in each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from flash.data.labels import is_missing_target
from flash.data.messages import list_some, show
from flash.data.recognition import RawData
from flash.data.tables import is_missing
from flash.errors import DataError, MissingColumnError

from ._resampling import Array

__all__ = ["RawParts", "rows_with_inputs", "rows_with_targets"]


class RawParts:
    """Raw data of each part, and the rows of it that are learned from.

    Args:
        given: The data of ``"train"``, and of ``"val"`` and ``"test"`` if they are given.

    Attributes:
        learned: The data without the rows that are left out.
        kept: Of each part that rows were left out of, the rows that were not.

    Example:
        >>> parts = RawParts({"train": RawData.of({"x": [1, 2, 3], "y": ["a", None, "b"]})})
        >>> parts.leave_out(lambda raw, part: rows_with_targets(raw, "y", part))
        [('train', array([1]), 3)]
        >>> parts.learned["train"].table["x"], parts.kept
        ([1, 3], {'train': [0, 2]})
    """

    def __init__(self, given: Mapping[str, RawData]) -> None:
        self.given = given
        self.learned = dict(given)
        self.kept: dict[str, Sequence[int]] = {}

    def leave_out(self, find: Callable[[RawData, str], Sequence[int] | None]) -> list[tuple[str, Array, int]]:
        """Leave rows out.

        Args:
            find: Returns the rows of a part that stay, ``None`` for all; called with what is left of the data, and the
                name of the part.

        Returns:
            The name of each part that rows are left out of now, with these rows, and how many it had when it was given.
        """
        gaps = []
        for part, raw in self.given.items():
            left = self.learned[part]
            stay = find(left, part)
            if stay is None or raw.table is None or left.table is None:
                continue
            before = np.asarray(self.kept.get(part, range(raw.table.num_rows)))
            self.kept[part] = before[stay].tolist()
            self.learned[part] = replace(left, table=left.table.take(stay))
            gaps.append((part, np.setdiff1d(before, self.kept[part]), raw.table.num_rows))
        return gaps


def rows_with_targets(raw: RawData, target: str | Sequence[str] | None, part: str) -> list[int] | None:
    """Return the rows of a table that have a target, from the others nothing can be learned; ``None`` if all have one.

    Args:
        raw: The data.
        target: The columns of targets.
        part: The part that the data is of, for the error.

    Raises:
        MissingColumnError: If a part for comparing models has no column of targets.
        DataError: If no row has a target.

    Example:
        >>> rows_with_targets(RawData.of({"x": [1, 2, 3], "y": ["a", " ", "b"]}), "y", "train")
        [0, 2]
    """
    names = [target] if isinstance(target, str) else list(target or ())
    table = raw.table
    if table is None:
        return None
    absent = [name for name in names if name not in table]
    if absent and part != "train":
        raise MissingColumnError(
            f"Expected {part} data with the target {absent[0]!r}, by which models are compared, but it has "
            f"{list_some(table, most=30)}. Leave it out; its rows are what flash predict best.ckpt DATA is for."
        )
    if absent:
        return None
    targets = list(zip(*(table[name] for name in names), strict=True))
    kept = [row for row, values in enumerate(targets) if not any(map(is_missing_target, values))]
    if not kept:
        raise DataError(
            f"Expected a value of {' and '.join(map(show, names))} in some {part} row, but all {len(targets):,} have "
            "none. Fill the targets in, name another column to predict, or leave this data out."
        )
    return kept if len(kept) < len(targets) else None


def rows_with_inputs(raw: RawData, field: str, part: str) -> list[int] | None:
    """Return the rows of a table that have a sample in its column; ``None`` if all have one, or it is no table.

    Args:
        raw: The data.
        field: The column of samples.
        part: The part that the data is of, for the error.

    Raises:
        MissingColumnError: If the table has no such column.
        DataError: If no row has a sample.

    Example:
        >>> rows_with_inputs(RawData.of({"text": ["good", None, "bad"], "y": [1, 0, 0]}), "text", "train")
        [0, 2]
    """
    if raw.table is None:
        return None
    values = raw.table[field]
    kept = [row for row, value in enumerate(values) if not is_missing(value)]
    if not kept:
        raise DataError(
            f"Expected a value of {show(field)} in some {part} row, but all {len(values):,} have none. Fill them in, "
            "or leave this data out."
        )
    return kept if len(kept) < len(values) else None
