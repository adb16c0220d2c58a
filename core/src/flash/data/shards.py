"""Write samples as shards: Parquet files of small row groups, which are read and shuffled from the disk."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from flash.data.data_module import DataModule
from flash.data.inputs import names_of
from flash.data.labels import ClassLabels
from flash.data.row_files import row_format
from flash.data.samples import SamplePreprocess
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError, DataError
from flash.serialization import UnfinishedFolder, explaining_write_errors, resuming_folder, writing

__all__ = ["sample_rows", "write_shard_folders", "write_shards"]

log = logging.getLogger(__name__)

# Small row groups are well mixed when they are read in random order; larger ones need less of a footer.
_GROUP_BYTES = 1 << 18
_GROUP_ROWS = 1_000
_SHARD_BYTES = 1 << 28


def write_shards(rows: Iterable[Mapping[str, Any]], folder: str | Path) -> int:
    """Write rows as a folder of Parquet files, which ``from_parquet`` reads from the disk, shuffled.

    Rows are read once, in order, and about 256 kB of them are in memory at a time: they may come from a generator or
    from a stream of the library ``datasets``. The folder appears when it is complete; until then, its files are in a
    folder of the name with ``.parts``. After an interruption, the same call goes on after the files that are complete:
    their rows are compared, and not written again.

    Args:
        rows: A dict for each sample: the bytes of an image, a text, classes, numbers. Each column has values of one
            type, which its first ones decide.
        folder: A folder that does not exist yet, or is empty.

    Returns:
        The number of rows.

    Raises:
        DataError: If there are no rows, a row is no dict or has other columns, or a value is of another type than those
            before; or if an interrupted run had other rows.
        CheckpointError: If the folder cannot be written, or is there already, or another program is writing it.
        ConfigurationError: If pyarrow is not installed.

    Example::

        files = Path("photos").rglob("*.jpg")
        write_shards(({"image": file.read_bytes(), "label": file.parent.name} for file in files), "shards")
    """
    return write_shard_folders({"": rows}, folder, folder_argument="write_shards(rows, folder)")[""]


def write_shard_folders(
    rows: Mapping[str, Iterable[Mapping[str, Any]]],
    folder: str | Path,
    *,
    folder_argument: str = "write_shard_folders(rows, folder)",
) -> dict[str, int]:
    """Write rows as several folders of shards in a new one, which appears when all of them are complete.

    Args:
        rows: The rows of each folder by its name, as :func:`write_shards` takes them.
        folder: A folder that does not exist yet, or is empty.
        folder_argument: Where the user chose the folder, for error messages.

    Returns:
        The number of rows of each.

    Raises:
        DataError: As of :func:`write_shards`.
        CheckpointError: As of :func:`write_shards`.
        ConfigurationError: If pyarrow is not installed.

    Example::

        stages = ("train", "val")
        write_shard_folders({stage: sample_rows(data, stage) for stage in stages}, "shards")
    """
    row_format(Path("shards.parquet"), "shards")  # pyarrow is installed
    with resuming_folder(folder, what="folder of shards", folder_argument=folder_argument) as unfinished:
        _refuse_other_folders(unfinished, rows)
        return {name: _write(each, unfinished, name, folder_argument) for name, each in rows.items()}


def sample_rows(
    data: DataModule,
    stage: str,
    input_field: str | Sequence[str] | None = None,
    target_fields: str | Sequence[str] | None = None,
) -> Iterator[Mapping[str, Any]]:
    """Yield the samples of a stage as rows for :func:`write_shards`: unopened sources, with classes by their names.

    A file is read when its column is asked for. A run that goes on after an interruption compares only its path, its
    size and its time.

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
        name = f"{preprocess.noun} {row} of the {stage} data"
        if not isinstance(target, Tensor) or target.ndim > 1:
            raise ConfigurationError(
                f"Expected a class, classes or numbers as the target of each {preprocess.noun}, which a column holds, "
                f"but {type(data).__name__} has targets of another kind."
            )
        of_target = _target_columns(target, targets, columns)
        state = preprocess.source_state(source)
        if state is not None:
            yield _UnreadRow(preprocess, source, name, fields[0], of_target, state)
            continue
        stored = preprocess.stored_source(source, name)
        parts = stored if isinstance(stored, tuple) else (stored,)
        names = fields if len(fields) == len(parts) else [f"{preprocess.noun}_{part}" for part in range(len(parts))]
        yield {**dict(zip(names, parts, strict=True)), **of_target}


class _UnreadRow(Mapping[str, Any]):
    """A row with a file that is read when its column is asked for."""

    def __init__(
        self,
        preprocess: SamplePreprocess,
        source: Any,
        name: str,
        column: str,
        of_target: Mapping[str, Any],
        state: Any,
    ) -> None:
        self._preprocess, self._source, self._name = preprocess, source, name
        self._column, self._of_target = column, of_target
        #: What changes if the row does.
        self.state = {column: state, **of_target}

    def __getitem__(self, column: str) -> Any:
        if column != self._column or column in self._of_target:
            return self._of_target[column]
        try:
            return self._preprocess.stored_source(self._source, self._name)
        except OSError as error:
            raise DataError(
                f"Expected a file that can be read, but {self._name} cannot be: {error}. Repair it, or leave it out."
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.state)

    def __len__(self) -> int:
        return len(self.state)


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


def _groups(
    rows: Iterable[Mapping[str, Any]], first: int = 0, names: list[str] | None = None
) -> Iterator[dict[str, list[Any]]]:
    """Yield the columns of so many rows as a row group has.

    Args:
        rows: The rows.
        first: The number of the first one.
        names: The columns, if they are known.
    """
    group: dict[str, list[Any]] = {}
    size = 0
    for number, row in enumerate(rows, first):
        if not isinstance(row, Mapping) or (names is not None and sorted(row) != sorted(names)):
            wanted = "a dict of columns" if names is None else f"the columns {', '.join(map(repr, names))}"
            got = ", ".join(map(repr, row)) if isinstance(row, Mapping) else f"a {type(row).__name__}"
            raise DataError(f"Expected {wanted} in each row, but row {number} (counted from 0) has {got}.")
        names = list(row) if names is None else names
        for name in names:
            value = row[name]
            group.setdefault(name, []).append(value)
            size += _size(value)
        if size >= _GROUP_BYTES or len(group[names[0]]) >= _GROUP_ROWS:
            yield group
            group, size = {}, 0
    if group:
        yield group


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return len(value) if isinstance(value, str | bytes | Sequence) else 8


class _Shard(NamedTuple):
    """Content of a complete file, and what the next one needs to know."""

    rows: int
    #: The bytes of the file.
    size: int
    #: Digest of the rows.
    digest: str
    #: Whether there were no more rows.
    is_last: bool
    #: The columns and their types, as Arrow serializes them.
    schema: str


class _Digested:
    """Rows, whose digest is taken while they pass."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows, self._digest = iter(rows), hashlib.blake2b(digest_size=20)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self._rows:
            _digest_value(self._digest, row.state if isinstance(row, _UnreadRow) else row)
            yield row

    def digest(self) -> str:
        """Return the digest of the rows since the last call."""
        found, self._digest = self._digest.hexdigest(), hashlib.blake2b(digest_size=20)
        return found


def _digest_value(digest: Any, value: Any) -> None:
    """Add a value to a digest, with its kind and its length, so that no other value has the same bytes."""
    if isinstance(value, Mapping):
        digest.update(f"dict {len(value)} ".encode())
        for name in sorted(value, key=str):
            _digest_value(digest, name)
            _digest_value(digest, value[name])
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)} ".encode())
        for each in value:
            _digest_value(digest, each)
    else:
        kind = type(value).__name__
        if hasattr(value, "__array__"):
            array = np.asarray(value)
            kind, value = f"{array.dtype} {array.shape}", array.tolist() if array.dtype == object else array.tobytes()
        if isinstance(value, bytearray | memoryview):
            value = bytes(value)
        elif not isinstance(value, bytes):
            value = (value if isinstance(value, str) else repr(value)).encode(errors="surrogatepass")
        digest.update(f"{kind} {len(value)} ".encode())
        digest.update(value)


def _write(rows: Iterable[Mapping[str, Any]], unfinished: UnfinishedFolder, name: str, folder_argument: str) -> int:
    """Write the files of a folder that are not there yet, and return the number of rows of all."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    folder, notes = unfinished.content / name, unfinished.notes / name
    with explaining_write_errors(folder, what="folder of shards", folder_argument=folder_argument):
        kept = _complete_shards(folder, notes)
    passing = _Digested(rows)
    total = sum(shard.rows for shard in kept)
    _compare(kept, passing, unfinished.path)
    schema = None if not kept else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(kept[0].schema)))
    groups = _groups(passing, total, None if schema is None else schema.names)
    group = next(groups, None)
    if schema is None:
        if group is None:
            raise DataError("Expected rows to write as shards, but there are none.")
        schema = _table(pa, group, None, 0).schema
    number = len(kept)
    while group is not None:
        path, first, size = _path(folder, number), total, 0
        with (
            writing(path, what="shard", folder_argument=folder_argument) as file,
            parquet.ParquetWriter(file, schema, **_write_options(pa, schema)) as writer,
        ):
            while group is not None:
                table = _table(pa, group, schema, total)
                writer.write_table(table)
                total, size = total + table.num_rows, size + table.nbytes
                # The rows of the next file are not read before the digest of this one is taken.
                group = None if size >= _SHARD_BYTES else next(groups, None)
        shard = _Shard(
            total - first,
            path.stat().st_size,
            passing.digest(),
            size < _SHARD_BYTES,
            base64.b64encode(schema.serialize()).decode(),
        )
        with writing(_note(notes, number), "w", encoding="utf-8", folder_argument=folder_argument) as file:
            json.dump(shard._asdict(), file)
        group, number = None if shard.is_last else next(groups, None), number + 1
    return total


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.parquet"


def _note(notes: Path, number: int) -> Path:
    return notes / f"{number:05}.json"


def _complete_shards(folder: Path, notes: Path) -> list[_Shard]:
    """Return what is known of the files that an interrupted run has completed, and remove all others."""
    for each in (folder, notes):
        each.mkdir(exist_ok=True)
    found: list[_Shard] = []
    for number in count():
        try:
            shard = _Shard(**json.loads(_note(notes, number).read_text(encoding="utf-8")))
            if _path(folder, number).stat().st_size != shard.size:
                break
        except (OSError, ValueError, TypeError):
            break
        found.append(shard)
    known = {each for number in range(len(found)) for each in (_path(folder, number), _note(notes, number))}
    for file in (*folder.iterdir(), *notes.iterdir()):
        if file.is_file() and file not in known:
            file.unlink()
    return found


def _refuse_other_folders(unfinished: UnfinishedFolder, names: Iterable[str]) -> None:
    """Raise an error if an interrupted run has written other folders than these, which would be taken for theirs."""
    wanted = set(names)
    found = {each.name if each.is_dir() else "" for each in unfinished.content.iterdir()}
    if not found <= wanted:
        shown = " and ".join(repr(name) if name else "shards outside of folders" for name in sorted(found - wanted))
        raise DataError(
            f"Expected the folders of shards of the run that was interrupted, to go on with them, but it wrote {shown} "
            f"too. Pass the same ones, or remove {unfinished.path} to begin again."
        )


def _compare(shards: Sequence[_Shard], rows: _Digested, parts: Path) -> None:
    """Pass over the rows of complete files.

    Raises:
        DataError: If they are other ones.
    """
    first, passing = 0, iter(rows)
    for shard in shards:
        number = sum(1 for _ in islice(passing, shard.rows))
        is_same = number == shard.rows and rows.digest() == shard.digest
        if is_same and shard.is_last:
            is_same = next(passing, None) is None
        if not is_same:
            raise DataError(
                f"Expected the rows of the run that was interrupted, to go on after its shards, but some of the rows "
                f"{first:,} to {first + shard.rows - 1:,} (counted from 0) are others, or were changed since. Pass the "
                f"same ones, or remove {parts} to begin again."
            )
        first += shard.rows
    if shards:
        log.info("%s rows were written before an interruption: the others follow.", f"{first:,}")


def _write_options(pa: Any, schema: Any) -> dict[str, Any]:
    # Files of images are compressed already, and each is another one.
    large = [name for name in schema.names if _is_binary(pa, schema.field(name).type)]
    if any(pa.types.is_nested(field.type) for field in schema):  # whose columns have other names
        return {"compression": "none" if large else "zstd", "use_dictionary": not large, "write_statistics": False}
    others = [name for name in schema.names if name not in large] or False
    compression = {name: "none" if name in large else "zstd" for name in schema.names}
    return {"use_dictionary": others, "compression": compression, "write_statistics": others}


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
