"""Feature cache: in RAM up to a budget, then in memory-mapped temporary files."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["FeatureStore", "write_rows"]

_BLOCK = bytes(2**22)


class FeatureStore:
    """Allocate tensors with one row per sample, for several datasets.

    Args:
        memory_budget: Maximum number of bytes in RAM; beyond it files are used.
        folder: The folder of these files; by default the one for temporary files.

    Example:
        >>> store = FeatureStore(memory_budget=2**20)
        >>> rows = store.allocate(torch.zeros(2, 8), length=100)
        >>> rows.shape, store.bytes_in_memory, store.bytes_on_disk
        (torch.Size([100, 8]), 3200, 0)
    """

    def __init__(self, memory_budget: int, folder: str | Path | None = None) -> None:
        self._budget = memory_budget
        self._folder = folder
        self.bytes_in_memory = 0
        self.bytes_on_disk = 0

    def allocate(self, batch: Any, length: int) -> Any:
        """Allocate tensors of ``length`` rows with the shapes and dtypes of a batch.

        Raises:
            OSError: If a file is needed and the disk is full.
        """
        return tree_map(lambda tensor: self._allocate(tensor, length), batch)

    def _allocate(self, tensor: Tensor, length: int) -> Tensor:
        shape = (length, *tensor.shape[1:])
        size = math.prod(shape) * tensor.element_size()
        if self.bytes_in_memory + size <= self._budget:
            self.bytes_in_memory += size
            return torch.empty(shape, dtype=tensor.dtype)
        with _reserved_file(size, self._folder) as path:
            cache = torch.from_file(path, shared=True, size=math.prod(shape), dtype=tensor.dtype).view(shape)
        self.bytes_on_disk += size
        return cache


def write_rows(cache: Any, rows: Tensor, batch: Any) -> None:
    """Write a batch to the given rows."""
    for whole, part in zip(tree_leaves(cache), tree_leaves(batch), strict=True):
        whole[rows] = part.to(whole.device, whole.dtype)


@contextlib.contextmanager
def _reserved_file(size: int, folder: str | Path | None) -> Iterator[str]:
    """Create a file with its size allocated on disk, which is removed when its last mapping is closed.

    Writing to a mapped sparse file would kill the process if the disk is full.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix="flash-features-", delete=False) as file:
        try:
            for start in range(0, size, len(_BLOCK)):
                file.write(_BLOCK[: min(len(_BLOCK), size - start)])
            file.flush()
            yield file.name
        finally:
            # Windows cannot remove a mapped file; it is left to the cleanup of temporary files.
            with contextlib.suppress(PermissionError):
                Path(file.name).unlink()
