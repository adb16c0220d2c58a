"""Tables in Parquet that stay on disk, and are read part by part in memory that does not grow with them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flash.data._frames import columns_of, parquet_dataset, parquet_errors, parquet_parts
from flash.data.kept_rows import KeptRows
from flash.data.tables import Table, format_of
from flash.errors import DataError, FlashError, MissingColumnError

__all__ = ["LARGE_CELLS", "PART_CELLS", "StoredTable", "store_table"]

#: Tables with more cells are not read into memory, unless the user wants it.
LARGE_CELLS = 20_000_000
#: The cells of a part: about 50 MB, as objects of Python.
PART_CELLS = 1_000_000


@dataclass(frozen=True)
class StoredTable:
    """A table in Parquet that is not in memory, or some of its rows.

    Its length is its number of rows, and their order that of the files.

    Args:
        files: The file, the folder, or several files.
        name: What the user calls it, for error messages.
        columns: The names of its columns.
        num_rows: The number of rows in the files.
        kept: Which of them are its rows; ``None`` for all.
    """

    files: Path | tuple[Path, ...]
    name: str
    columns: tuple[str, ...]
    num_rows: int
    kept: KeptRows | None = None

    def __len__(self) -> int:
        return self.num_rows if self.kept is None else len(self.kept)

    def parts(self, columns: Collection[str] | None = None) -> Iterator[Table]:
        """Yield tables of several rows each.

        Args:
            columns: The columns to read; by default all.

        Raises:
            DataError: If a file is damaged, or changed since the table was opened.
        """
        wanted = list(self.columns if columns is None else dict.fromkeys(columns))
        size = max(1, PART_CELLS // max(1, len(wanted)))
        first = 0
        for part in parquet_parts(as_source(self.files), size, wanted, self.name):
            last = first + part.num_rows - 1
            taken = part if self.kept is None else part.filter(_as_mask(self.kept.flags(first, last + 1)))
            if taken.num_rows:
                found = columns_of(taken)
                assert found is not None
                yield Table(found, f"{self.name}, rows {first:,} to {last:,} (counted from 0)")
            first = last + 1
        if first != self.num_rows:
            raise DataError(
                f"Expected {self.name} to stay as it is while it is used, but it had {self.num_rows:,} rows and now "
                f"has {first:,}. Run the program again."
            )

    def in_parts(self, read: Callable[[Table], Any], columns: Collection[str] | None = None) -> Iterator[Any]:
        """Yield the results of a function of each part; its errors tell the rows of the part.

        Args:
            read: The function.
            columns: The columns to read; by default all.
        """
        for part in self.parts(columns):
            with _telling(part.name):
                result = read(part)
            yield result

    def for_each_part(self, use: Callable[[Table], None], columns: Collection[str] | None = None) -> None:
        """Call a function with each part; the arguments and errors are those of :meth:`in_parts`."""
        for _ in self.in_parts(use, columns):
            pass

    def read(self, columns: Collection[str]) -> Table:
        """Return some columns of all rows in memory; of values that repeat, such as classes, each is there once.

        Args:
            columns: The columns.

        Raises:
            MissingColumnError: If there is no such column.
        """
        for name in columns:
            if name not in self.columns:
                raise MissingColumnError(
                    f"Expected a column {name!r} in {self.name}, but it has {', '.join(map(repr, self.columns))}."
                )
        found: dict[str, list[Any]] = {name: [] for name in columns}
        known: dict[Any, Any] = {}
        for part in self.parts(columns) if found else ():
            for name, values in found.items():
                values += [
                    known.setdefault((type(value), value), value) if type(value) in (str, int) else value
                    for value in part[name]
                ]
        return Table(found, self.name)

    def keep(self, flags: npt.NDArray[np.bool_]) -> StoredTable:
        """Return some of the rows.

        Args:
            flags: For each row whether it is one of them, shape ``(rows,)``.
        """
        kept = KeptRows(flags)
        return replace(self, kept=kept if self.kept is None else self.kept.within(kept))


def store_table(source: Any, in_memory: bool | None = None) -> StoredTable | None:
    """Return a table that stays on disk; ``None`` if it is to be read into memory.

    Args:
        source: A table: a path of Parquet, a folder of Parquet files or a list of such files can stay on disk.
        in_memory: Whether to read it; ``None`` decides by its size, :data:`LARGE_CELLS`.

    Raises:
        DataError: If it is to stay on disk, and is no Parquet on a local disk.

    Example:
        >>> store_table({"a": [1, 2]}) is None
        True
    """
    if in_memory:
        return None
    files = _files_of(source)
    if files is None:
        if in_memory is None:
            return None
        raise DataError(
            "Expected Parquet on a local disk (a file, a folder of files, or a list of files) for in_memory=False, but "
            f"got {source if isinstance(source, str | os.PathLike) else type(source).__name__}. Write the table as "
            "Parquet, or leave in_memory out."
        )
    name = str(files) if isinstance(files, Path) else f"{files[0]} and {len(files) - 1} more"
    with parquet_errors(name):
        dataset = parquet_dataset(as_source(files))
        columns, rows = tuple(dataset.schema.names), dataset.count_rows()
    if in_memory is None and rows * len(columns) <= LARGE_CELLS:
        return None
    if not rows:
        raise DataError(f"Expected {name} to have rows, but it has none.")
    return StoredTable(files, name, columns, rows)


def _files_of(source: Any) -> Path | tuple[Path, ...] | None:
    if isinstance(source, list | tuple):
        found = [_files_of(each) for each in source]
        files = tuple(each for each in found if isinstance(each, Path) and each.is_file())
        return files if files and len(files) == len(source) else None
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source).expanduser()
    if path.is_dir():
        return path if any(path.rglob("*.parquet")) or any(path.rglob("*.pq")) else None
    return path if path.is_file() and format_of(path.name) == "parquet" and path.suffix.lower() in _SUFFIXES else None


_SUFFIXES = (".parquet", ".pq")


def as_source(files: Path | tuple[Path, ...]) -> Any:
    """Return files as Arrow takes them."""
    return files if isinstance(files, Path) else [str(file) for file in files]


def _as_mask(flags: npt.NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(flags)


@contextlib.contextmanager
def _telling(name: str) -> Iterator[None]:
    """Say in which part an error is."""
    try:
        yield
    except FlashError as error:
        raise type(error)(f"{error} This is in {name}.") from error
