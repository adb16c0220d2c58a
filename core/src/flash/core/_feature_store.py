"""Where the features of all samples are: in memory, or beyond a budget in a file that is mapped into it."""

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

__all__ = ["FeatureStore", "put"]

_BLOCK = bytes(2**22)


class FeatureStore:
    """Room for tensors with one row a sample, for several datasets.

    Args:
        memory_budget: How many bytes may be held in memory; what is beyond goes to files.
        folder: Where these files are made; by default where temporary files are.

    Example:
        >>> store = FeatureStore(memory_budget=2**20)
        >>> rows = store.room_for(torch.zeros(2, 8), length=100)
        >>> rows.shape, store.bytes_in_memory, store.bytes_on_disk
        (torch.Size([100, 8]), 3200, 0)
    """

    def __init__(self, memory_budget: int, folder: str | Path | None = None) -> None:
        self._budget = memory_budget
        self._folder = folder
        self.bytes_in_memory = 0
        self.bytes_on_disk = 0

    def room_for(self, batch: Any, length: int) -> Any:
        """Return tensors of ``length`` rows that are otherwise like those of a batch.

        Raises:
            OSError: If a file is needed and the disk has no room for it.
        """
        return tree_map(lambda tensor: self._room(tensor, length), batch)

    def _room(self, tensor: Tensor, length: int) -> Tensor:
        shape = (length, *tensor.shape[1:])
        size = math.prod(shape) * tensor.element_size()
        if self.bytes_in_memory + size <= self._budget:
            self.bytes_in_memory += size
            return torch.empty(shape, dtype=tensor.dtype)
        with _reserved_file(size, self._folder) as path:
            room = torch.from_file(path, shared=True, size=math.prod(shape), dtype=tensor.dtype).view(shape)
        self.bytes_on_disk += size
        return room


def put(room: Any, rows: Tensor, batch: Any) -> None:
    """Write a batch into the given rows."""
    for whole, part in zip(tree_leaves(room), tree_leaves(batch), strict=True):
        whole[rows] = part.to(whole.device, whole.dtype)


@contextlib.contextmanager
def _reserved_file(size: int, folder: str | Path | None) -> Iterator[str]:
    """A file that really has its size on the disk, and is gone once its last mapping is.

    A mapped file that were only as long would end the process where the disk is full.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix="flash-features-", delete=False) as file:
        try:
            for start in range(0, size, len(_BLOCK)):
                file.write(_BLOCK[: min(len(_BLOCK), size - start)])
            file.flush()
            yield file.name
        finally:
            # Windows keeps a file that is mapped; its own cleaning of temporary files finds it.
            with contextlib.suppress(PermissionError):
                Path(file.name).unlink()
