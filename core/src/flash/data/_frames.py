"""Columns of data frames of pandas, polars and Arrow, and of Parquet files, without importing any of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from flash.data._missing import without_missing
from flash.data.delimited import check_unique
from flash.errors import DataError

__all__ = ["FrameColumns", "columns_of", "parquet_dataset", "parquet_errors", "parquet_parts", "read_parquet"]


class FrameColumns(Mapping[str, list[Any]]):
    """Columns of a data frame, each converted to a list on access.

    Args:
        frame: The data frame.
        columns: Its columns by name.
    """

    def __init__(self, frame: Any, columns: Mapping[str, Any]) -> None:
        self.frame = frame
        self._columns = columns

    def __getitem__(self, name: str) -> list[Any]:
        return without_missing(_to_list(self._columns[name]))

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def take(self, rows: Sequence[int]) -> FrameColumns:
        """Return the columns of a data frame of the given rows, of the same library."""
        index, frame = np.asarray(rows, dtype=np.int64), self.frame
        if hasattr(frame, "iloc"):  # pandas
            taken = frame.iloc[index]
        else:  # Arrow; polars
            taken = frame.take(index) if hasattr(frame, "take") else frame[index]
        columns = columns_of(taken)
        assert isinstance(columns, FrameColumns)
        return columns


def columns_of(data: Any) -> Mapping[str, list[Any]] | None:
    """Return the columns of a data frame, a mapping of columns or a list of rows, or ``None`` if it is none of these.

    Example:
        >>> columns_of([{"a": 1}, {"a": 2, "b": "x"}])
        {'a': [1, 2], 'b': [None, 'x']}
    """
    if isinstance(data, Mapping):
        return _of_mapping(data)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _of_rows(data) if data and all(isinstance(row, Mapping) for row in data) else None
    if hasattr(data, "collect") and hasattr(data, "collect_schema"):  # a LazyFrame of polars
        data = data.collect()
    if hasattr(data, "column_names") and hasattr(data, "to_pydict"):  # a table or record batch of Arrow
        names, columns = data.column_names, data.columns
    elif hasattr(data, "get_columns") and hasattr(data, "columns"):  # polars
        names, columns = data.columns, data.get_columns()
    elif hasattr(data, "columns") and hasattr(data, "iloc"):  # pandas
        names = data.columns.tolist()
        columns = [data.iloc[:, place] for place in range(len(names))]
    else:
        return None
    named = [str(name) for name in names]
    check_unique(named, "the data frame")
    return FrameColumns(data, dict(zip(named, columns, strict=True)))


def _of_rows(rows: Sequence[Mapping[Any, Any]]) -> dict[str, list[Any]]:
    """Return the columns of rows that are mappings, in the order of their first occurrence."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {str(name): without_missing([row.get(name) for row in rows]) for name in names}


def read_parquet(path: Path, name: str) -> Any:
    """Read a Parquet file, or all Parquet files in a folder, as an Arrow table.

    Raises:
        DataError: If it is not a Parquet file, or pyarrow is not installed.
    """
    try:
        import pyarrow.dataset  # noqa: F401  # it is used elsewhere
    except ImportError as error:
        raise DataError(
            f"Expected pyarrow to be installed, to read the Parquet file {name}: pip install pyarrow."
        ) from error
    with parquet_errors(name):
        return parquet_dataset(path).to_table()


@contextmanager
def parquet_errors(name: str) -> Iterator[None]:
    """Context manager: raise an error in words if Parquet cannot be read.

    Args:
        name: The file or folder.

    Raises:
        DataError: If it is damaged, or of another kind.
    """
    try:
        yield
    # Arrow's errors inherit from OSError or ValueError.
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"Expected a Parquet file at {name}, but: {reason}. Copy, download or write it again."
        ) from error


def parquet_dataset(source: Path | Sequence[str]) -> Any:
    """Return Arrow's data set of a Parquet file, of all in a folder, or of a list of files.

    Raises:
        DataError: If files of a list have other columns than the first one.
    """
    import pyarrow.dataset as datasets

    # Partitions are categories, as parquet.read_table and pandas.read_parquet have them.
    partitions = datasets.HivePartitioning.discover(infer_dictionary=True)
    dataset = datasets.dataset(source, format="parquet", partitioning=partitions)
    if isinstance(source, Path):
        schema = _schema_of_all(dataset) if source.is_dir() else dataset.schema
        is_same = schema == dataset.schema
        return dataset if is_same else datasets.dataset(source, schema, format="parquet", partitioning=partitions)
    for fragment in dataset.get_fragments():
        unlike = sorted(set(fragment.physical_schema.names) ^ set(dataset.schema.names))
        if unlike:
            raise DataError(
                f"Expected the same columns in {source[0]} and {fragment.path}, but only one of them has "
                f"{', '.join(map(repr, unlike))}. Rename or drop them."
            )
    return dataset


def _schema_of_all(dataset: Any) -> Any:
    """Return the schema of the files of a folder: the columns of each, whose types hold the values of all, if any do.

    Otherwise that of the first file would be it, in which a column may have been empty, or not there yet.
    """
    import pyarrow as pa

    fields = {each.name: each for each in dataset.schema}
    for fragment in dataset.get_fragments():
        for field in fragment.physical_schema:
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                # Of types that have none in common, values are converted to the first one.
                with contextlib.suppress(pa.ArrowInvalid, pa.ArrowTypeError):
                    both = [pa.schema([known]), pa.schema([field])]
                    fields[field.name] = pa.unify_schemas(both, promote_options="permissive").field(0)
    return pa.schema(list(fields.values()), metadata=dataset.schema.metadata)


def parquet_parts(
    source: Path | Sequence[str], rows: int, columns: Sequence[str] | None = None, name: str | None = None
) -> Iterator[Any]:
    """Yield Arrow tables of several rows each, of a Parquet file or all Parquet files in a folder, in their order.

    Args:
        source: The file or folder, which :func:`read_parquet` can read, or a list of files.
        rows: The number of rows of a part; the last may have fewer.
        columns: The columns to read; by default all.
        name: The table, for error messages; by default errors are those of Arrow.
    """
    with contextlib.nullcontext() if name is None else parquet_errors(name):
        yield from _parquet_parts(parquet_dataset(source), rows, columns)


def _parquet_parts(dataset: Any, rows: int, columns: Sequence[str] | None) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.dataset as datasets

    # A few batches are read ahead, and what was read of a file is not kept until its end, so memory is bounded.
    reading = datasets.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)
    options = {"batch_size": rows, "batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
    options["fragment_scan_options"] = reading
    batches = dataset.to_batches(columns=columns, **options)
    held: list[Any] = []
    for batch in batches:
        held.append(batch)
        while sum(each.num_rows for each in held) >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
    if sum(each.num_rows for each in held):
        yield pa.Table.from_batches(held)


def _of_mapping(data: Mapping[Any, Any]) -> dict[str, list[Any]]:
    single = [name for name, values in data.items() if isinstance(values, str | bytes) or not _has_rows(values)]
    if single:
        raise DataError(
            f"Expected a dict of columns, but {single[0]!r} is a single value. For a single row, pass [row]."
        )
    columns = {str(name): without_missing(_to_list(values)) for name, values in data.items()}
    check_unique([str(name) for name in data], "the dict of columns")
    lengths = sorted({len(values) for values in columns.values()})
    if len(lengths) > 1:
        raise DataError(
            f"Expected columns of one length, but got lengths {lengths}. Give every column the same number of values."
        )
    return columns


def _has_rows(values: Any) -> bool:
    return hasattr(values, "__iter__")


def _to_list(column: Any) -> list[Any]:
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(column, method):
            values: list[Any] = getattr(column, method)()
            return values
    return list(column)
