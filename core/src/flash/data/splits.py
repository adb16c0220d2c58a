"""Splitting train rows into train and validation rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from flash.errors import ConfigurationError, DataError

__all__ = ["split_rows"]

Rows = npt.NDArray[np.int64]


def split_rows(length: int, val_split: float, seed: int, classes: npt.ArrayLike | None = None) -> tuple[Rows, Rows]:
    """Split ``range(length)`` at random into train and validation rows, both sorted and neither empty.

    With ``classes``, each class gives its share of the validation rows (stratified), and keeps at least one train
    row; a class with one row stays in train.

    Args:
        length: The number of rows.
        val_split: The fraction of rows for validation, between 0 and 1.
        seed: The same seed gives the same split.
        classes: One class a row, of any type that numpy can sort.

    Raises:
        ConfigurationError: If ``val_split`` is not between 0 and 1.
        DataError: If there are fewer than two rows.

    Example:
        >>> train, val = split_rows(10, 0.2, seed=0, classes=[0] * 5 + [1] * 5)
        >>> len(train), len(val)
        (8, 2)
    """
    if isinstance(val_split, bool) or not isinstance(val_split, float) or not 0 < val_split < 1:
        raise ConfigurationError(
            f"Expected val_split to be a fraction between 0 and 1, such as 0.1, but got {val_split!r}."
        )
    if length < 2:
        raise DataError(
            f"Expected at least 2 rows to split off validation data, but got {length}. Leave val_split out."
        )
    wanted = min(max(round(length * val_split), 1), length - 1)
    random = np.random.default_rng(seed)
    chosen = None
    if classes is not None:
        chosen = _stratified(np.asarray(classes), wanted, random)
    if chosen is None:
        chosen = random.permutation(length)[:wanted]
    is_val = np.zeros(length, dtype=bool)
    is_val[chosen] = True
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)


def _stratified(classes: npt.NDArray[Any], wanted: int, random: np.random.Generator) -> Rows | None:
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    exact = counts * (wanted / len(classes))
    quota = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    # The largest remainders get the rows that rounding down left over.
    for index in np.argsort(-(exact - np.floor(exact)), kind="stable"):
        if quota.sum() >= wanted:
            break
        if quota[index] < counts[index] - 1:
            quota[index] += 1
    if quota.sum() == 0:
        return None
    order = random.permutation(len(classes))
    order = order[np.argsort(codes[order], kind="stable")]
    starts = np.cumsum(counts) - counts
    return np.concatenate([order[start : start + n] for start, n in zip(starts, quota, strict=True)])
