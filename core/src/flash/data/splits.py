"""Split train data into train and validation data, before statistics are computed from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from flash.data.columns import Columns
from flash.data.labels import indicated_classes
from flash.data.tables import Table, is_missing
from flash.errors import ConfigurationError, DataError

__all__ = ["classes_of", "count_inputs", "split_inputs", "split_rows", "take_rows"]

Rows = npt.NDArray[np.int64]


def split_inputs(data: Any, fraction: float, seed: int, classes: Any = None) -> tuple[Any, Any]:
    """Split the inputs of ``load_data`` at random into those for training and those for validation.

    Data has rows if it is a tensor, an array, a data frame, a :class:`~flash.data.columns.Columns`, a
    :class:`~flash.data.tables.Table`, a list or another sequence of samples, a dataset with a length, or an object with
    a length and ``take(rows)``. A tuple or dict of such data of one length is split row by row: inputs, targets and
    other values per row stay together.

    Args:
        data: The inputs.
        fraction: The fraction of rows for validation, between 0 and 1.
        seed: Seed of the split.
        classes: One class per row, or a list of classes, by which the split is stratified; by default the result of
            :func:`classes_of`. An empty list is no classes.

    Returns:
        The train and the validation inputs, of the type of ``data``; neither is empty.

    Raises:
        ConfigurationError: If ``fraction`` is not between 0 and 1, or the data has no rows.
        DataError: If there are fewer than two rows, or parts of different lengths.

    Example:
        >>> train, val = split_inputs((torch.arange(10), torch.arange(10) % 2), 0.2, seed=0)
        >>> len(train[0]), val[1]
        (8, tensor([0, 1]))
    """
    found = classes_of(data) if classes is None else classes
    train, val = split_rows(count_inputs(data), fraction, seed, found if found is not None and len(found) else None)
    return take_rows(data, train), take_rows(data, val)


def count_inputs(data: Any) -> int:
    """Return the number of rows of inputs.

    Raises:
        ConfigurationError: If the data has no rows, such as a path.
        DataError: If its parts have different lengths.

    Example:
        >>> count_inputs({"left": [1, 2], "right": [3, 4]})
        2
    """
    if isinstance(data, Table):
        return data.num_rows
    parts = _parts(data)
    if parts is not None:
        lengths = [count_inputs(part) for part in parts]
        if len(set(lengths)) > 1:
            raise DataError(
                f"Expected parts with one number of rows to split validation data off, but got {lengths}. Pass one "
                "target, weight and group per input; or override split in the preprocess."
            )
        return lengths[0]
    if isinstance(data, str | bytes) or not hasattr(data, "__len__"):
        what = f"the text {data[:40]!r}" if isinstance(data, str) else type(data).__name__
        raise ConfigurationError(
            f"Expected train data with a length and rows to split validation data off, but got {what}. Pass val data "
            "instead of val_split, or override split in the preprocess."
        )
    return len(data)


def take_rows(data: Any, rows: Sequence[int] | Rows) -> Any:
    """Return the given rows of inputs, of the same type.

    Raises:
        ConfigurationError: If the rows of the data cannot be indexed.

    Example:
        >>> take_rows((["a", "b"], torch.tensor([1, 2])), [1])
        (['b'], tensor([2]))
    """
    index = np.asarray(rows, dtype=np.int64)
    parts = _parts(data)
    if parts is not None:
        taken = [take_rows(part, rows) for part in parts]
        if isinstance(data, Mapping):
            return dict(zip(data, taken, strict=True))
        filled = iter(taken)
        return tuple(None if part is None else next(filled) for part in data)
    if isinstance(data, Tensor):
        return data[torch.from_numpy(index)]
    if isinstance(data, np.ndarray):
        return data[index]
    if isinstance(data, Columns):
        return Columns(data.take(torch.from_numpy(index)))
    if hasattr(data, "iloc"):  # pandas
        return data.iloc[index]
    if hasattr(data, "get_columns"):  # polars
        return data[index]
    if hasattr(data, "select") and hasattr(data, "column_names"):  # Hugging Face
        return data.select(index)
    if isinstance(data, Dataset):
        return Subset(data, index.tolist())
    if hasattr(data, "take"):
        return data.take(index.tolist())
    if hasattr(data, "__getitem__") and not isinstance(data, Mapping):
        return [data[row] for row in index.tolist()]
    raise ConfigurationError(
        f"Expected train data whose rows can be taken by their number, to split validation data off, but got "
        f"{type(data).__name__}. Pass val data instead of val_split, or override split in the preprocess."
    )


def classes_of(data: Any) -> Any:
    """Return one class per row if the data has targets that are classes, without loading samples; else ``None``.

    They are the last part of a tuple, the attribute ``targets``, the last tensor of a ``TensorDataset``, or the second
    value of samples in a list.

    Example:
        >>> classes_of((["a", "b"], [1, 0]))
        [1, 0]
    """
    if isinstance(data, Columns):
        data = data.tree
    if isinstance(data, tuple) and _parts(data) is not None:
        targets = next((part for part in reversed(data[1:]) if part is not None), None)
    elif isinstance(data, list) and data and all(isinstance(sample, tuple) and len(sample) == 2 for sample in data):
        targets = [target for _, target in data]
    else:
        targets = getattr(data, "targets", None)
        tensors = getattr(data, "tensors", None)
        targets = tensors[-1] if targets is None and tensors else targets
    return _as_classes(targets)


def _as_classes(targets: Any) -> Any:
    if isinstance(targets, Tensor | np.ndarray | list | tuple) and len(targets) and _is_row(targets[0]):
        indicated = indicated_classes(targets)
        if indicated is not None:
            return indicated
    if isinstance(targets, Tensor):
        return targets if targets.ndim == 1 and not targets.is_floating_point() else None
    if hasattr(targets, "shape"):  # an array or a series
        targets = targets.tolist() if len(targets.shape) == 1 and getattr(targets.dtype, "kind", "O") != "f" else None
    if isinstance(targets, Sequence) and targets and not isinstance(targets, str):
        kinds = {type(target) for target in targets if not is_missing(target)}
        if kinds <= {int, str, bool} or kinds <= {list, tuple, set, frozenset}:
            return targets
    return None


def _is_row(target: Any) -> bool:
    return isinstance(target, list | tuple) or getattr(target, "ndim", 0) == 1


def _parts(data: Any) -> list[Any] | None:
    """Return the columns of a tuple or dict, or ``None`` if its elements are samples."""
    if isinstance(data, Table):
        return None
    if isinstance(data, Mapping):
        return list(data.values())
    if type(data) is tuple and any(_is_column(part) for part in data):
        return [part for part in data if part is not None]
    return None


def _is_column(part: Any) -> bool:
    return hasattr(part, "__len__") and not isinstance(part, str | bytes) and getattr(part, "ndim", 1) > 0


def split_rows(length: int, val_split: float, seed: int, classes: Any = None) -> tuple[Rows, Rows]:
    """Split ``range(length)`` at random into train and validation rows, both sorted and neither empty.

    With ``classes``, the split is stratified, and each class keeps at least one train row; a class with one row stays
    in train.

    Args:
        length: The number of rows.
        val_split: The fraction of rows for validation, between 0 and 1.
        seed: Seed of the split.
        classes: One class per row, or a list of classes per row; each class then keeps a train row.

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
        chosen = _stratified(classes, wanted, random)
    if chosen is None:
        chosen = random.permutation(length)[:wanted]
    is_val = np.zeros(length, dtype=bool)
    is_val[chosen] = True
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)


def _stratified(given: Any, wanted: int, random: np.random.Generator) -> Rows | None:
    if isinstance(given, Sequence) and any(isinstance(each, list | tuple | set | frozenset) for each in given):
        return _stratified_multi_label(given, wanted, random)
    # As text: a missing class, or a mix of numbers and strings, cannot be sorted.
    plain = given.tolist() if hasattr(given, "tolist") else given
    classes = np.array([str(each) for each in plain])
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    exact = counts * (wanted / len(classes))
    quota = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    # The rows that remain after rounding down are assigned by the largest remainders.
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


def _stratified_multi_label(given: Sequence[Any], wanted: int, random: np.random.Generator) -> Rows | None:
    """Draw validation rows at random such that each of their classes keeps a train row."""
    several = (list, tuple, set, frozenset)
    rows = [{str(label) for label in (each if isinstance(each, several) else ())} for each in given]
    left = Counter(label for labels in rows for label in labels)
    chosen: list[int] = []
    for row in random.permutation(len(rows)).tolist():
        if all(left[label] > 1 for label in rows[row]):
            left.subtract(rows[row])
            chosen.append(row)
            if len(chosen) == wanted:
                break
    return np.array(chosen, dtype=np.int64) if chosen else None
