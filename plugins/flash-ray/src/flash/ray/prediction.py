"""``flash.ray.predict``: the predictions of a table on Ray Data."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

import flash
from flash.core.prediction_files import PredictionFile
from flash.core.restoring import RUN_STATES, checked_metadata
from flash.data.row_files import FORMATS
from flash.data.tables import READ_OPTIONS, ReadOptions
from flash.errors import ConfigurationError, DataError
from flash.serialization import is_free, read_checkpoint, refuse_unknown_arguments

from .actor import PAYLOAD, Predictor
from .cluster import check_fits, check_workers, packed, started, unpacked

__all__ = ["predict"]

#: A file of a table, several, a folder of them, or a ``ray.data.Dataset`` of rows.
Source = Any

# Rows that an actor predicts at once; their results are one message.
_BLOCK_ROWS = 1024
# Rows of a file in a folder that is written.
_FILE_ROWS = 1_000_000
_PARQUET = (".parquet", ".pq")
# Read by Flash, which knows what a cell of text is from the train rows, and not by Ray, for which "007" is 7.
_TEXT = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json")


def predict(
    checkpoint: str | os.PathLike[str],
    source: Source,
    target: str | os.PathLike[str],
    *,
    id_field: str | None = None,
    ordered: bool = False,
    output: str | None = None,
    batch_size: int = 64,
    names: tuple[str, str] | None = None,
    num_workers: int = 2,
    use_gpu: bool = False,
    **reading: Unpack[ReadOptions],
) -> int:
    """Predict the rows of a table on Ray Data, each once, and write them with their ids.

    Each worker loads the checkpoint once. The columns are those of ``flash predict``. Nothing is written if a row
    cannot be predicted, and an older file stays.

    Args:
        checkpoint: A checkpoint of a task, which each machine finds at this path or address.
        source: A file of Parquet, CSV or JSON Lines, a folder of such files of one format, or a list of files; or a
            ``ray.data.Dataset`` whose rows are those of a table.
        target: A file, whose suffix says its format: ``.parquet``, ``.csv`` or ``.jsonl``; or a new folder for
            several files of Parquet.
        id_field: The column that tells which row a prediction is of. Without it, ``ordered`` is needed, and the ids are
            the numbers of the rows.
        ordered: Whether rows are written in the order of the source, by file name and row; by default in that in which
            they are done, which is faster if some are slow.
        output: What is predicted, such as ``"probabilities"``; by default the task's.
        batch_size: Number of rows per batch of the network.
        names: The names of the column of ids and of that of predictions; by default ``id_field`` and ``"prediction"``.
        num_workers: The number of workers.
        use_gpu: Whether each worker has a GPU.
        reading: How to read tables of text: ``sep``, ``encoding``, ``quotechar``.

    Returns:
        The number of rows.

    Raises:
        ConfigurationError: If an argument is wrong, or the cluster is too small.
        CheckpointError: If the checkpoint cannot be loaded, or the target cannot be written.
        DataError: If there are no rows, a row cannot be predicted, or the column of ids is missing.
    """
    refuse_unknown_arguments("flash.ray.predict", reading, [*READ_OPTIONS, "id_field", "ordered", "output", "names"])
    check_workers(num_workers)
    if id_field is None and not ordered:
        raise ConfigurationError(
            "Expected id_field, the column that tells which row a prediction is of, since rows are done in any order. "
            "Pass it, or ordered=True, which numbers the rows."
        )
    path = Path(target)
    _check_target(path)
    files = None if _is_dataset(source) else _files_of(source)
    ray = started()
    import ray.data as ray_data

    cpus = _cpus_of_worker(num_workers, use_gpu, ray.cluster_resources())
    worker = {"num_gpus": 1} if use_gpu else {"num_cpus": cpus}
    check_fits({"GPU" if use_gpu else "CPU": num_workers * (1 if use_gpu else cpus)}, ray.cluster_resources())
    found = checkpoint if "://" in str(checkpoint) or not Path(checkpoint).exists() else Path(checkpoint).absolute()
    predictor = {
        "checkpoint": str(found),
        "id_field": id_field,
        "output": output,
        "batch_size": batch_size,
        "device": "cuda" if use_gpu else "cpu",
        "reading": dict(reading),
        "sent": _sent(ray, str(found)),
    }
    with _data_context(ray_data, ordered), warnings.catch_warnings():
        rows = _rows_of(ray_data, source, files, reading)
        by_file = files is not None and not _is_parquet(files[0])
        results = rows.map_batches(
            Predictor,
            fn_constructor_kwargs=predictor,
            batch_size=1 if by_file else _BLOCK_ROWS,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray_data.ActorPoolStrategy(size=num_workers),
            **worker,
        )
        # Ray warns of small tables, which have too few blocks for all workers.
        warnings.filterwarnings("ignore", "The minimum number of concurrent actors")
        # Closing it ends the workers, also after an error, whose traceback would keep them.
        with contextlib.closing(iter(results.iter_batches(batch_size=None, batch_format="pyarrow"))) as batches:
            messages = (message for batch in batches for message in batch[PAYLOAD].to_pylist())
            return _write(path, messages, names or (id_field or "id", "prediction"))


def _sent(ray: Any, checkpoint: str) -> list[Any] | None:
    """Return a reference to the packed task of a checkpoint that has a class or function of this program.

    A worker could not load it: it is another program, and a checkpoint imports no module but those of packages.
    """
    if not Path(checkpoint).exists():
        return None
    stored = checked_metadata(read_checkpoint(checkpoint), checkpoint)
    if not _is_of_program({name: value for name, value in stored.items() if name not in RUN_STATES}):
        return None
    return [ray.put(packed(flash.Task.load_from_checkpoint(checkpoint), "a task"))]


def _is_of_program(stored: Any) -> bool:
    """Return whether a description in the metadata of a checkpoint is of a class or function of no package.

    Example:
        >>> ours = {"class": "flash.core.model:Task", "dist": "flash-core", "version": "0.1.0"}
        >>> _is_of_program({"task": ours}), _is_of_program({"task": {**ours, "class": "__main__:Mine", "dist": None}})
        (False, True)
    """
    if isinstance(stored, Mapping):
        path = stored.get("class", stored.get("target"))
        if isinstance(path, str) and ":" in path and stored.get("dist") is None:
            return True
        return any(map(_is_of_program, stored.values()))
    return isinstance(stored, list | tuple) and any(map(_is_of_program, stored))


def _write(path: Path, messages: Iterable[bytes], names: tuple[str, str] = ("id", "prediction")) -> int:
    """Write what is in messages of :class:`Predictor`, in their order, and return the number of rows."""
    is_file = path.suffix in FORMATS
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    # Parts of a file that is not complete are in a folder beside it.
    left = path.with_name(f"{path.name}.parts") if is_file else temporary
    file: PredictionFile | None = None
    count = first = number = 0
    try:
        for message in messages:
            content = unpacked(message)
            if isinstance(content, Exception):
                raise content
            classes, ids, results = content
            if file is not None and not is_file and count - first >= _FILE_ROWS:
                file.finish()
                file, first, number = None, count, number + 1
            if file is None:
                target = path if is_file else temporary / f"part-{number:05}.parquet"
                file = PredictionFile(target, run=dict, columns=names, classes=classes, argument="target")
                file.begin(resume=False)
            rows = range(count - first, count - first + len(results))
            file.write(rows, range(count, count + len(results)) if ids is None else ids, results)
            count += len(results)
        if file is None:
            raise DataError("Expected rows to predict, but the source has none. Check its path.")
        file.finish()
        if not is_file:
            if path.exists():
                path.rmdir()  # It is empty, as was checked before.
            temporary.rename(path)
    finally:
        shutil.rmtree(left, ignore_errors=True)
    return count


def _check_target(path: Path) -> None:
    if path.suffix in FORMATS:
        return
    if path.suffix and not path.is_dir():
        raise ConfigurationError(
            f"Expected target to end in {', '.join(FORMATS)}, or to be a folder, but got {path}. Choose one of these."
        )
    if not is_free(path):
        raise ConfigurationError(
            f"Expected target to be a new or an empty folder, but {path} is there already. Choose another, or remove "
            "it."
        )


def _is_dataset(source: Any) -> bool:
    return hasattr(source, "map_batches")


def _files_of(source: Any) -> list[str]:
    """Return the files of a table, by name."""
    given = source if isinstance(source, list | tuple) else [source]
    if not all(isinstance(each, str | os.PathLike) for each in given) or not given:
        raise ConfigurationError(
            f"Expected source to be the path of a table or of a folder of tables, or a Ray Dataset, but got a "
            f"{type(source).__name__}. Make a dataset of it: ray.data.from_pandas(frame), ray.data.from_items(rows)."
        )
    found: list[str] = []
    for each in map(os.fspath, given):
        if "://" in each:
            found.append(each)
        elif os.path.isdir(each):
            inside = sorted(path for path in Path(each).rglob("*") if path.suffix.lower() in (*_PARQUET, *_TEXT))
            found += [str(path.absolute()) for path in inside]
        elif os.path.isfile(each):
            found.append(str(Path(each).absolute()))
        else:
            raise DataError(f"Expected a table or a folder of tables at {each}, but there is none. Check the path.")
    formats = sorted({_format_of(each) for each in found})
    if len(formats) != 1 or formats[0] not in (*_PARQUET, *_TEXT):
        what = ", ".join(formats) or "no table"
        raise DataError(
            f"Expected files of one format, Parquet, CSV or JSON Lines, but {given[0]} has {what}. Pass a list of "
            "files."
        )
    return found


def _format_of(path: str) -> str:
    suffix = Path(path).suffix.lower()
    return _PARQUET[0] if suffix in _PARQUET else suffix


def _is_parquet(path: str) -> bool:
    return _format_of(path) == _PARQUET[0]


def _rows_of(ray_data: Any, source: Any, files: list[str] | None, reading: Mapping[str, Any]) -> Any:
    """Return a dataset of the rows, or of the files that workers read themselves."""
    if files is None:
        return source
    if not _is_parquet(files[0]):
        return ray_data.from_items([{"file": file} for file in files], override_num_blocks=len(files))
    if reading:
        raise ConfigurationError(
            f"Expected no {next(iter(reading))} for Parquet, whose cells have types, but got "
            f"{next(iter(reading.values()))!r}. Leave it out."
        )
    return ray_data.read_parquet(files)


def _cpus_of_worker(num_workers: int, use_gpu: bool, resources: Mapping[str, float]) -> float:
    """Return the CPUs that a worker reserves: one, or less if the tasks that read would otherwise wait for ever.

    Example:
        >>> _cpus_of_worker(2, False, {"CPU": 8}), _cpus_of_worker(2, False, {"CPU": 2})
        (1.0, 0.5)
    """
    if use_gpu:
        return 0.0
    cpus = resources.get("CPU", 1)
    if num_workers < cpus or num_workers > cpus + 1:
        return 1.0  # There is one left; or there are too few, which is an error.
    return (cpus - 1) / num_workers if cpus > 1 else 0.5 / num_workers


@contextlib.contextmanager
def _data_context(ray_data: Any, ordered: bool) -> Iterator[None]:
    """Keep the order of rows, if it is asked for, and print no bars, for the duration of the context."""
    context = ray_data.DataContext.get_current()
    before = context.execution_options.preserve_order, context.enable_progress_bars
    context.execution_options.preserve_order, context.enable_progress_bars = ordered, False
    try:
        yield
    finally:
        context.execution_options.preserve_order, context.enable_progress_bars = before
