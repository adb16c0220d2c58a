"""Write samples as shards: Parquet files of small row groups, which are read and shuffled from the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from flash.data.data_module import DataModule
from flash.data.inputs import names_of
from flash.data.labels import ClassLabels
from flash.data.row_files import row_format
from flash.data.samples import SamplePreprocess
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError, DataError
from flash.serialization import writing_folder

__all__ = ["sample_rows", "write_shards"]

# Small row groups are well mixed when they are read in random order; larger ones need less of a footer.
_GROUP_BYTES = 1 << 18
_GROUP_ROWS = 1_000
_SHARD_BYTES = 1 << 28


def write_shards(rows: Iterable[Mapping[str, Any]], folder: str | Path) -> int:
    """Write rows as a folder of Parquet files, which ``from_parquet`` reads from the disk, shuffled.

    Rows are read once, in order, and about 256 kB of them are in memory at a time: they may come from a generator or
    from a stream of the library ``datasets``. The folder appears when it is complete.

    Args:
        rows: A dict for each sample: the bytes of an image, a text, classes, numbers. Each column has values of one
            type, which its first ones decide.
        folder: A folder that does not exist yet, or is empty.

    Returns:
        The number of rows.

    Raises:
        DataError: If there are no rows, a row is no dict or has other columns, or a value is of another type than those
            before.
        CheckpointError: If the folder cannot be written; there is none then.
        ConfigurationError: If pyarrow is not installed.

    Example::

        files = Path("photos").rglob("*.jpg")
        write_shards(({"image": file.read_bytes(), "label": file.parent.name} for file in files), "shards")
    """
    row_format(Path("shards.parquet"), "shards")  # pyarrow is installed
    with writing_folder(folder, what="folder of shards", folder_argument="write_shards(rows, folder)") as written:
        count = _write(_groups(rows), written)
    return count


def sample_rows(
    data: DataModule,
    stage: str,
    input_field: str | Sequence[str] | None = None,
    target_fields: str | Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the samples of a stage as rows for :func:`write_shards`: unopened sources, with classes by their names.

    Args:
        data: Data whose samples may lie on disk, such as images and texts.
        stage: ``"train"``, ``"val"`` or ``"test"``.
        input_field: The column of sources, or those of their parts; by default what a sample is called, such as
            ``"image"``.
        target_fields: The column of targets, or those of several numbers; by default ``"target"``.

    Raises:
        ConfigurationError: If samples of this kind cannot lie on disk.
        DataError: If there is no data for the stage, or a sample is no file and no text.

    Example::

        data = ImageClassificationData.from_folders(train_folder="photos")
        write_shards(sample_rows(data, "train"), "shards")
    """
    preprocess = data.preprocess
    targets = preprocess.targets if isinstance(preprocess, SamplePreprocess) else None
    if not isinstance(preprocess, SamplePreprocess) or not preprocess.reads_lazily or targets is None:
        raise ConfigurationError(
            f"Expected data whose samples can be read from shards, which are images or texts with classes or numbers, "
            f"but {type(data).__name__} has other ones. Tables need no shards: write them as Parquet."
        )
    fields = names_of(input_field) or [preprocess.noun]
    columns = names_of(target_fields) or ["target"]
    dataset = data.indexed_dataset(stage)
    for row in range(len(dataset)):
        source, target = dataset.raw(row)[:2]
        if not isinstance(target, Tensor) or target.ndim > 1:
            raise ConfigurationError(
                f"Expected a class, classes or numbers as the target of each {preprocess.noun}, which a column holds, "
                f"but {type(data).__name__} has targets of another kind."
            )
        stored = preprocess.stored_source(source, f"{preprocess.noun} {row} of the {stage} data")
        parts = stored if isinstance(stored, tuple) else (stored,)
        names = fields if len(fields) == len(parts) else [f"{preprocess.noun}_{part}" for part in range(len(parts))]
        yield {**dict(zip(names, parts, strict=True)), **_target_columns(target, targets, columns)}


def _target_columns(target: Tensor, targets: ClassLabels | NumberTargets, columns: Sequence[str]) -> dict[str, Any]:
    values = target.tolist()
    if isinstance(targets, NumberTargets):
        several = targets.names or (columns if len(columns) > 1 else None)
        if isinstance(values, list) and several is not None:
            return dict(zip(several, values, strict=True))
        return {columns[0]: values}
    labels = targets.labels
    if not targets.multi_label:
        return {columns[0]: labels[int(target)]}
    if len(columns) == len(labels) and len(columns) > 1:
        return dict(zip(columns, map(int, values), strict=True))
    return {columns[0]: [label for label, has in zip(labels, values, strict=True) if has]}


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, list[Any]]]:
    """Yield the columns of so many rows as a row group has."""
    names: list[str] | None = None
    group: dict[str, list[Any]] = {}
    size = number = 0
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or (names is not None and sorted(row) != sorted(names)):
            wanted = "a dict of columns" if names is None else f"the columns {', '.join(map(repr, names))}"
            got = ", ".join(map(repr, row)) if isinstance(row, Mapping) else f"a {type(row).__name__}"
            raise DataError(f"Expected {wanted} in each row, but row {number} (counted from 0) has {got}.")
        names = list(row) if names is None else names
        for name in names:
            group.setdefault(name, []).append(row[name])
            size += _size(row[name])
        if size >= _GROUP_BYTES or len(group[names[0]]) >= _GROUP_ROWS:
            yield group
            group, size = {}, 0
    if group:
        yield group


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return len(value) if isinstance(value, str | bytes | Sequence) else 8


def _write(groups: Iterator[dict[str, list[Any]]], folder: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    first = next(groups, None)
    if first is None:
        raise DataError("Expected rows to write as shards, but there are none.")
    schema = _table(pa, first, None, 0).schema
    # Files of images are compressed already, and each is another one.
    large = [name for name in schema.names if _is_binary(pa, schema.field(name).type)]
    options: dict[str, Any] = {"use_dictionary": [name for name in schema.names if name not in large] or False}
    options["compression"] = {name: "none" if name in large else "zstd" for name in schema.names}
    options["write_statistics"] = [name for name in schema.names if name not in large] or False
    if any(pa.types.is_nested(field.type) for field in schema):  # whose columns have other names
        options = {"compression": "none" if large else "zstd", "use_dictionary": not large, "write_statistics": False}
    rest: Iterator[dict[str, list[Any]]] = chain([first], groups)
    rows = number = 0
    while group := next(rest, None):
        path, written = folder / f"{number:05}.parquet", 0
        with parquet.ParquetWriter(path, schema, **options) as writer:
            while group is not None:
                table = _table(pa, group, schema, rows)
                writer.write_table(table)
                rows, written = rows + table.num_rows, written + table.nbytes
                group = None if written >= _SHARD_BYTES else next(rest, None)
        number += 1
    return rows


def _is_binary(pa: Any, kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(_is_binary(pa, kind.field(place).type) for place in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _table(pa: Any, columns: Mapping[str, list[Any]], schema: Any, first: int) -> Any:
    try:
        table = pa.table(dict(columns))
        return table if schema is None else table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        last = first + len(next(iter(columns.values()))) - 1
        raise DataError(
            f"Expected values of one type in each column, but in rows {first:,} to {last:,} (counted from 0): "
            f"{' '.join(str(error).split()).rstrip('.')}. Convert them first."
        ) from error
