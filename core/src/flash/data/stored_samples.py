"""Samples in Parquet that stay on disk, such as the bytes of images, and are read row group by row group."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from flash.data._frames import parquet_dataset, parquet_errors
from flash.data.stored_table import StoredTable, as_source, store_table
from flash.data.windows import Windows
from flash.errors import DataError

__all__ = ["LARGE_BYTES", "WINDOW_BYTES", "StoredSamples", "store_samples"]

#: Columns of samples that take more, uncompressed, are not read into memory, unless the user wants it.
LARGE_BYTES = 1 << 30
#: The bytes of the row groups that are in memory at a time, and whose rows are mixed, in each process and worker.
WINDOW_BYTES = 1 << 27
# Row groups of a window, at least: with fewer, rows that lie together stay together.
_FEWEST_GROUPS = 4
_MOST_GROUPS = 1 << 12
_FILES_OPEN = 16

_Rows = npt.NDArray[np.int64]


class StoredSamples(Sequence[Any]):
    """One column of samples in Parquet, or several of their parts; each is read when it is asked for.

    Of the row groups that were read last, :data:`WINDOW_BYTES` are kept: an order that has the rows of a group near
    each other, such as that of :class:`~flash.data.windows.WindowedRows`, reads each group once. For a row nothing is
    held; after :meth:`take`, its number.

    Args:
        files: The files.
        columns: The columns; a sample of several is a tuple.
        name: What the user calls the data, for error messages.

    Raises:
        DataError: If a file is damaged, or has row groups of which memory would hold too few.
    """

    def __init__(self, files: Sequence[str], columns: Sequence[str], name: str) -> None:
        self._files, self.columns, self._name = tuple(files), tuple(columns), name
        sizes: list[int] = []
        places: list[tuple[int, int]] = []
        largest = self.nbytes = self.missing = 0
        for number, file in enumerate(self._files):
            for group, (rows, size, missing) in enumerate(_groups_of(file, self.columns)):
                largest, self.nbytes, self.missing = max(largest, size), self.nbytes + size, self.missing + missing
                if rows:
                    sizes.append(rows)
                    places.append((number, group))
        self._places = np.array(places, dtype=np.int32).reshape(-1, 2)
        self._edges: _Rows = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._rows: _Rows | None = None
        #: The size of the largest row group, in bytes.
        self.largest_group = largest
        self._groups_kept = int(min(max(WINDOW_BYTES // max(largest, 1), 1), _MOST_GROUPS))
        self._forget()

    def _forget(self) -> None:
        self._groups: OrderedDict[int, list[Any]] = OrderedDict()
        self._open: OrderedDict[int, Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_groups": OrderedDict(), "_open": OrderedDict()}

    @property
    def fits(self) -> bool:
        """True if enough row groups fit into memory that rows of several are mixed."""
        return self.largest_group * _FEWEST_GROUPS <= WINDOW_BYTES or len(self._places) == 1

    @property
    def windows(self) -> Windows:
        """The shuffling of the rows."""
        edges = self._edges if self._rows is None else np.unique(np.searchsorted(self._rows, self._edges))
        return Windows(torch.from_numpy(edges), self._groups_kept)

    def __len__(self) -> int:
        return int(self._edges[-1]) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> StoredSamples: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        place = int(index)  # of a tensor too
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(f"There are {len(self)} rows, but no row {index}.")
        row = place if self._rows is None else int(self._rows[place])
        group = int(np.searchsorted(self._edges, row, side="right")) - 1
        values = [column[row - int(self._edges[group])].as_py() for column in self._group(group)]
        if any(value is None for value in values):
            raise DataError(
                f"Expected a value in each row of {self._columns_shown} of {self._name}, but row {row} (counted from "
                "0) has none. Drop these rows."
            )
        return values[0] if len(values) == 1 else tuple(values)

    @property
    def _columns_shown(self) -> str:
        return " and ".join(map(repr, self.columns))

    def take(self, rows: Sequence[int] | _Rows) -> StoredSamples:
        """Return some of the rows, in the order of the file.

        Args:
            rows: Their places, counted from 0, ascending.
        """
        taken = np.asarray(rows, dtype=np.int64)
        if len(taken) > 1 and not bool((np.diff(taken) > 0).all()):
            raise DataError(
                f"Expected rows of {self._name} in the order of its files, each once, since it stays on disk, but got "
                "another order. Read it into memory: in_memory=True."
            )
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._rows = taken if self._rows is None else self._rows[taken]
        other._forget()
        return other

    def pick(self, rows: Sequence[int]) -> list[Any]:
        """Return the samples of some rows as a list."""
        return [self[row] for row in rows]

    def _group(self, number: int) -> list[Any]:
        """Return the columns of a row group."""
        found = self._groups.get(number)
        if found is None:
            while len(self._groups) >= self._groups_kept:
                self._groups.popitem(last=False)
            file, group = map(int, self._places[number])
            with parquet_errors(self._files[file]):
                table = self._file(file).read_row_group(group, columns=list(self.columns), use_threads=False)
            wanted = int(self._edges[number + 1] - self._edges[number])
            if table.num_rows != wanted:
                raise DataError(
                    f"Expected {self._files[file]} to stay as it is while it is used, but row group {group} had "
                    f"{wanted:,} rows and now has {table.num_rows:,}. Run the program again."
                )
            found = self._groups[number] = [table.column(name).combine_chunks() for name in self.columns]
        self._groups.move_to_end(number)
        return found

    def _file(self, number: int) -> Any:
        import pyarrow.parquet as parquet

        found = self._open.get(number)
        if found is None:
            while len(self._open) >= _FILES_OPEN:
                self._open.popitem(last=False)[1].close()
            # Without reading ahead, there are no threads, which a fork would lose.
            found = self._open[number] = parquet.ParquetFile(self._files[number], pre_buffer=False)
        self._open.move_to_end(number)
        return found


def _groups_of(file: str, columns: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return the number of rows of each row group, the bytes of some columns, and how many values are known to miss."""
    import pyarrow.parquet as parquet

    with parquet_errors(file):
        metadata = parquet.read_metadata(file)
    found = []
    for group in range(metadata.num_row_groups):
        described = metadata.row_group(group)
        size = missing = 0
        for place in range(described.num_columns):
            column = described.column(place)
            if column.path_in_schema.partition(".")[0] in columns:
                size += column.total_uncompressed_size
                counts = column.statistics
                # Of nested columns, such as bytes with a path that may be missing, each value is looked at when read.
                if "." not in column.path_in_schema and counts is not None and counts.has_null_count:
                    missing += counts.null_count
        found.append((described.num_rows, size, missing))
    return found


def store_samples(
    source: Any, columns: Sequence[str], in_memory: bool | None = None
) -> tuple[StoredSamples, StoredTable] | None:
    """Return columns of samples that stay on disk, and their table; ``None`` if they are to be read into memory.

    Args:
        source: A file of Parquet, a folder of them or a list.
        columns: The columns of samples.
        in_memory: Whether to read them; ``None`` decides by their size, :data:`LARGE_BYTES`.

    Raises:
        DataError: If they are to stay on disk, and are no Parquet on a local disk; a column is missing, or a value; or
            the row groups are too large.
    """
    if in_memory:
        return None
    if in_memory is None and not isinstance(source, str | Path | list | tuple):
        return None
    try:
        table = store_table(source, in_memory=False)
    except DataError:
        if in_memory is None:
            return None  # Whoever reads it into memory says what is wrong.
        raise
    assert table is not None
    with parquet_errors(table.name):
        dataset = parquet_dataset(as_source(table.files))
        inside = all(name in fragment.physical_schema.names for fragment in _first(dataset) for name in columns)
    if not inside:
        if in_memory is None:
            return None
        table_columns = ", ".join(map(repr, table.columns))
        raise DataError(
            f"Expected {' and '.join(map(repr, columns))} in {table.name}, but it has the columns {table_columns}."
        )
    found = StoredSamples(dataset.files, columns, table.name)
    if in_memory is None and (found.nbytes <= LARGE_BYTES or not found.fits):
        return None
    if not found.fits:
        raise DataError(
            f"Expected row groups of at most {WINDOW_BYTES // _FEWEST_GROUPS >> 20} MB in {table.name}, several of "
            f"which are in memory at a time, but one has {found.largest_group >> 20} MB. Write the rows again with "
            "flash.data.shards.write_shards(rows, folder), or pass in_memory=True."
        )
    if found.missing:
        raise DataError(
            f"Expected a value in each row of {found._columns_shown} of {table.name}, but {found.missing:,} of "
            f"{len(found):,} have none. Drop these rows."
        )
    return found, table


def _first(dataset: Any) -> list[Any]:
    return [next(dataset.get_fragments())]
