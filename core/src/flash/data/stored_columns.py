"""Columns in a file: samples as whole tensors that no memory has to hold."""

from __future__ import annotations

import contextlib
import math
import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten
from typing_extensions import Self

from flash.data.columns import ArrayTree, Columns
from flash.data.windows import Windows
from flash.errors import DataError
from flash.serialization import scratch_file

__all__ = ["ColumnsWriter", "StoredColumns"]

# Rows are read in blocks of about a page, of which so many are kept.
_BLOCK_BYTES = 1 << 12
_BLOCKS = 1 << 13


class _Leaf(NamedTuple):
    """The place of a tensor in a row."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def of(self, rows: npt.NDArray[np.uint8]) -> Tensor:
        """Return the tensor of some rows, shape ``(rows, ...)``."""
        size = math.prod(self.shape) * self.dtype.itemsize
        own = np.ascontiguousarray(rows[:, self.start : self.start + size])
        return torch.from_numpy(own.view(self.dtype).reshape(len(rows), *self.shape))


class StoredColumns(Columns):
    """The :class:`~flash.data.columns.Columns` of a file, which lies in the folder for temporary files.

    Rows are read in blocks of 4 kB, of which 32 MB are kept: an order that has the rows of a block near each other,
    such as that of :class:`~flash.data.windows.WindowedRows`, reads each block once. The file is removed together with
    this object; other processes can read it until then. A :class:`ColumnsWriter` makes it.

    Example:
        >>> with ColumnsWriter() as writer:
        ...     writer.append((torch.arange(6).reshape(3, 2), torch.tensor([0, 1, 0])))
        ...     data = writer.columns()
        >>> len(data), data[1]
        (3, (tensor([2, 3]), tensor(1)))
    """

    def __init__(self, file: IO[bytes], leaves: Sequence[_Leaf], structure: TreeSpec, length: int, width: int) -> None:
        self._layout, self._structure, self._length, self._width = tuple(leaves), structure, length, width
        self._path = file.name
        self._is_flat_tuple = structure.type is tuple and structure.num_nodes == len(leaves) + 1
        self._open(file)
        weakref.finalize(self, _remove, file, Path(self._path), os.getpid())

    def _open(self, file: IO[bytes]) -> None:
        self._file = file
        #: The number of rows that are read together.
        self.rows_of_block = max(1, _BLOCK_BYTES // self._width)
        blocks = -(-self._length // self.rows_of_block)
        self._slots = np.full(blocks, -1, dtype=np.int32)
        self._held = np.full(min(_BLOCKS, blocks), -1, dtype=np.int64)
        self._next = 0
        self._kept: npt.NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open(Path(self._path).open("rb", buffering=0))  # noqa: SIM115  # as long as this object

    @property
    def blocks_kept(self) -> int:
        """The number of blocks that are kept in memory."""
        return len(self._held)

    @property
    def windows(self) -> Windows:
        """The shuffling of the rows."""
        # Two windows are in memory where one follows another.
        return Windows(self.rows_of_block, max(1, self.blocks_kept // 2))

    def __getitem__(self, index: int) -> Any:
        row = index + self._length if index < 0 else index
        if not 0 <= row < self._length:
            raise IndexError(f"There are {self._length} rows, but no row {index}.")
        return self._nest([leaf.of(self._gather(np.array([row])))[0] for leaf in self._layout])

    def take(self, rows: Tensor | slice | Sequence[int]) -> Any:
        """Return several rows at once: the nesting of the columns, with tensors of ``len(rows)`` rows."""
        if isinstance(rows, slice):
            rows = range(*rows.indices(self._length))
        if isinstance(rows, range) and rows.step == 1:
            taken = self._read(rows.start, len(rows))
        else:
            index = rows.numpy() if isinstance(rows, Tensor) else np.asarray(rows, dtype=np.int64)
            if len(index) and not (index.min() >= 0 and index.max() < self._length):
                raise IndexError(f"There are {self._length} rows, but got rows {index.min()} to {index.max()}.")
            taken = self._gather(index)
        return self._nest([leaf.of(taken) for leaf in self._layout])

    @property
    def tree(self) -> Any:
        """The nested tensors: all of them are read into memory."""
        return self.take(slice(None))

    # ------------------------------------------------------------------ reading

    def _read(self, start: int, count: int) -> npt.NDArray[np.uint8]:
        rows = np.empty((count, self._width), dtype=np.uint8)
        self._fill(rows.reshape(-1).data, start)
        return rows

    def _fill(self, view: memoryview, start: int) -> None:
        """Fill a buffer with the rows from ``start`` on."""
        offset = start * self._width
        while len(view):
            if hasattr(os, "preadv"):  # forked workers share the position in the file
                count = os.preadv(self._file.fileno(), [view], offset)
            else:  # pragma: no cover  # Windows
                self._file.seek(offset)
                count = self._file.readinto(view)  # type: ignore[attr-defined]  # a raw file
            if not count:
                raise DataError(
                    f"Expected {self._length} rows in {self._path}, in which the encoded table is kept, but the file "
                    "is shorter: something else changed it. Run the program again."
                )
            view, offset = view[count:], offset + count

    def _gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return some rows, shape ``(rows, bytes)``."""
        if self._kept is None:
            shape = (self.blocks_kept * self.rows_of_block, self._width)
            self._kept = np.empty(shape, dtype=np.uint8)
        blocks = rows // self.rows_of_block
        if (self._slots[blocks] < 0).any():
            needed = np.unique(blocks)
            if len(needed) > self.blocks_kept:
                half = len(rows) // 2
                return np.concatenate([self._gather(rows[:half]), self._gather(rows[half:])])
            self._load(needed[self._slots[needed] < 0], needed)
        places = self._slots[blocks].astype(np.int64) * self.rows_of_block + rows % self.rows_of_block
        taken: npt.NDArray[np.uint8] = self._kept.take(places, axis=0)
        return taken

    def _load(self, missing: npt.NDArray[np.int64], needed: npt.NDArray[np.int64]) -> None:
        """Read blocks, in place of those that were read first and are not needed now."""
        assert self._kept is not None
        is_needed = np.zeros(self.blocks_kept, dtype=bool)
        held = self._slots[needed]
        is_needed[held[held >= 0]] = True
        order = (self._next + np.arange(self.blocks_kept)) % self.blocks_kept
        chosen = order[~is_needed[order]][: len(missing)]
        self._next = (int(chosen[-1]) + 1) % self.blocks_kept
        old = self._held[chosen]
        self._slots[old[old >= 0]] = -1
        self._held[chosen] = missing
        self._slots[missing] = chosen
        size = self.rows_of_block * self._width
        whole = self._kept.reshape(-1).data
        for block, slot in zip(missing.tolist(), chosen.tolist(), strict=True):
            first = block * self.rows_of_block
            count = min(self.rows_of_block, self._length - first)
            self._fill(whole[slot * size : slot * size + count * self._width], first)


_STATE = ("_layout", "_structure", "_length", "_width", "_path", "_is_flat_tuple")


def _remove(file: IO[bytes], path: Path, owner: int) -> None:
    file.close()
    # A forked worker has a copy of the object, and not the file.
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            path.unlink()


class ColumnsWriter(contextlib.AbstractContextManager["ColumnsWriter"]):
    """Write the rows of :class:`StoredColumns`, part by part.

    Args:
        folder: The folder of the file; by default the one for temporary files.

    Raises:
        DataError: If the file cannot be written, such as when the disk is full; it is removed.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._leaves: list[_Leaf] = []
        self._structure: TreeSpec | None = None
        self._length = self._width = 0

    def append(self, tree: ArrayTree) -> None:
        """Write rows.

        Args:
            tree: Tensors that share their first dimension, in the nesting, with the types and the other dimensions of
                those before.

        Raises:
            DataError: If the file cannot be written, or the tensors are unlike those before.
        """
        with self._explaining():
            columns = Columns(tree)
            flat, structure = tree_flatten(columns.tree)
            arrays = [leaf.numpy() for leaf in flat]
            if self._structure is None:
                self._lay_out(arrays, structure)
            if structure != self._structure or [(each.shape[1:], each.dtype) for each in arrays] != [
                (leaf.shape, leaf.dtype) for leaf in self._leaves
            ]:
                raise DataError("Expected rows of one nesting, shape and type, but a part of the table has others.")
            rows = np.zeros((len(columns), self._width), dtype=np.uint8)
            for leaf, array in zip(self._leaves, arrays, strict=True):
                data = np.ascontiguousarray(array).reshape(len(columns), -1).view(np.uint8)
                rows[:, leaf.start : leaf.start + data.shape[1]] = data
            assert self._file is not None
            view = rows.reshape(-1).data
            while len(view):
                view = view[self._file.write(view) :]
            self._length += len(columns)

    def _lay_out(self, arrays: Sequence[npt.NDArray[Any]], structure: TreeSpec) -> None:
        self._structure = structure
        for array in arrays:
            self._width = -(-self._width // array.dtype.itemsize) * array.dtype.itemsize
            self._leaves.append(_Leaf(self._width, array.shape[1:], array.dtype))
            self._width += math.prod(array.shape[1:]) * array.dtype.itemsize
        self._width = max(1, self._width)
        self._file = scratch_file(self._folder, "flash-columns")

    def columns(self) -> StoredColumns:
        """Return the columns that were written, to which the file belongs from now on.

        Raises:
            DataError: If there are no rows.
        """
        if self._file is None or self._structure is None:
            raise DataError("Expected at least one row, but the table has none.")
        file, self._file = self._file, None
        return StoredColumns(file, self._leaves, self._structure, self._length, self._width)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"Expected to write {self._width} bytes for each row of the table to the folder for temporary files, "
                f"but after {self._length:,} rows: {error}. Free some space, or name another folder in the environment "
                "variable TMPDIR."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        if self._file is not None:
            _remove(self._file, Path(self._file.name), os.getpid())
