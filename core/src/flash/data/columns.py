"""Samples in memory as whole tensors, so that a batch is one indexing operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from flash.errors import DataError

__all__ = ["ArrayTree", "Columns"]

#: Tensors or numpy arrays, in any nesting of tuples, lists and dicts.
ArrayTree: TypeAlias = Tensor | np.ndarray | Sequence["ArrayTree"] | Mapping[str, "ArrayTree"]


class Columns:
    """Tensors that share their first dimension, in any nesting of tuples, lists and dicts.

    Element ``i`` is the same nesting with each tensor's row ``i``; :meth:`take` returns the same nesting for many
    rows at once, which costs one indexing operation per tensor instead of one Python call per row.

    Args:
        tree: Tensors or numpy arrays, nested. Arrays are not copied.

    Raises:
        DataError: If the tensors have different lengths, or there are none.

    Example:
        >>> data = Columns((torch.arange(6).reshape(3, 2), torch.tensor([0, 1, 0])))
        >>> len(data)
        3
        >>> data[1]
        (tensor([2, 3]), tensor(1))
        >>> data.take(slice(0, 2))
        (tensor([[0, 1],
                [2, 3]]), tensor([0, 1]))
    """

    def __init__(self, tree: ArrayTree) -> None:
        leaves, self._structure = tree_flatten(tree_map(_as_tensor, tree))
        if not leaves:
            raise DataError("Expected at least one tensor, but got none.")
        lengths = sorted({len(leaf) for leaf in leaves})
        if len(lengths) > 1:
            raise DataError(f"Expected tensors with one number of rows, but got {lengths}.")
        self._leaves: list[Tensor] = leaves
        self._length = lengths[0]
        self._is_flat_tuple = type(tree) is tuple and all(isinstance(part, Tensor | np.ndarray) for part in tree)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return self._nest([leaf[index] for leaf in self._leaves])

    def take(self, rows: Tensor | slice | Sequence[int]) -> Any:
        """Return several rows at once: the nesting of the columns, with tensors of ``len(rows)`` rows."""
        if isinstance(rows, slice):
            batch = [leaf[rows] for leaf in self._leaves]
        elif isinstance(rows, range) and rows.step == 1:
            # A network may write to its inputs, which the samples are not.
            batch = [leaf[rows.start : rows.stop].clone() for leaf in self._leaves]
        else:
            index = rows if isinstance(rows, Tensor) else torch.as_tensor(np.asarray(rows, dtype=np.int64))
            batch = [leaf.index_select(0, index) for leaf in self._leaves]
        return self._nest(batch)

    @property
    def tree(self) -> Any:
        """The nested tensors."""
        return self._nest(self._leaves)

    def _nest(self, leaves: list[Tensor]) -> Any:
        # Fast path for the usual pair of inputs and targets, without unflattening the tree for each batch.
        return tuple(leaves) if self._is_flat_tuple else tree_unflatten(leaves, self._structure)


def _as_tensor(leaf: Any) -> Tensor:
    if isinstance(leaf, Tensor):
        tensor = leaf
    elif isinstance(leaf, np.ndarray):
        tensor = torch.from_numpy(np.ascontiguousarray(leaf))
    else:
        raise DataError(f"Expected tensors or numpy arrays, but got {type(leaf).__name__}.")
    if tensor.ndim == 0:
        raise DataError("Expected tensors with one row per sample, but got a single number.")
    return tensor
