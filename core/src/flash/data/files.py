"""Files: which there are, and a data module of them for any domain that says how one is opened."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from typing_extensions import Self

from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule
from flash.data.labels import ClassLabels
from flash.data.process import Preprocess
from flash.data.splits import take_rows
from flash.data.stage import Stage, Stages
from flash.data.tables import READ_OPTIONS, Table, TableFormat, is_table, is_table_file, read_table, whole_numbers
from flash.data.targets import NumberTargets
from flash.download import fetch
from flash.errors import ConfigurationError, DataError

__all__ = [
    "FileData",
    "FileInputs",
    "FilePreprocess",
    "check_files_exist",
    "list_class_files",
    "list_files",
    "local_path",
    "pair_inputs",
    "table_folder",
    "table_inputs",
]

_log = logging.getLogger("flash.data")


# ---------------------------------------------------------------------- which files there are


def list_files(folder: str | Path, extensions: Collection[str] = (), noun: str = "file") -> list[Path]:
    """Return the files in a folder and the folders inside it, sorted by their paths.

    Hidden files are left out; so are files with other extensions, and a warning counts them.

    Args:
        folder: The folder.
        extensions: The extensions of files to take, such as ``".wav"``, in small letters; all if there are none.
        noun: The name of such a file in messages.

    Raises:
        DataError: If there is no such folder, or no such file in it.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.wav", "a.WAV", "notes.txt", ".hidden.wav"):
        ...         _ = Path(folder, name).touch()
        ...     [file.name for file in list_files(folder, [".wav"])]
        ['a.WAV', 'b.wav']
    """
    root = _existing(folder, noun)
    files, strays = _walk(root, extensions)
    _report(root, strays, len(files), f"no {noun} by its name")
    if not files:
        raise DataError(f"Expected {noun}s in {root}{_endings(extensions)}, but it holds none.")
    return files


def list_class_files(
    folder: str | Path, extensions: Collection[str] = (), noun: str = "file"
) -> tuple[list[Path], list[str]]:
    """Return the files of a folder that has one folder per class, sorted by their paths, and the class of each.

    Hidden files and folders are left out; so are files with other extensions, files beside the class folders and
    classes without a file, and a warning says so. The arguments are those of :func:`list_files`.

    Raises:
        DataError: If there is no such folder, or no class folder with such a file in it.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("yes/1.wav", "no/2.wav"):
        ...         Path(folder, name).parent.mkdir()
        ...         _ = Path(folder, name).touch()
        ...     list_class_files(folder)[1]
        ['no', 'yes']
    """
    root = _existing(folder, noun)
    inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    found = {path.name: _walk(path, extensions) for path in inside if path.is_dir()}
    files = [file for taken, _ in found.values() for file in taken]
    if not files:
        raise DataError(
            f"Expected a folder with {noun}s{_endings(extensions)} for each class in {root}, but found {len(found)} "
            f"folders and {len(inside) - len(found)} files in it, and no {noun} inside the folders."
        )
    strays = [path for path in inside if not path.is_dir()] + [stray for _, other in found.values() for stray in other]
    _report(root, sorted(strays), len(files), f"no {noun} by its name, or not in a class folder")
    empty = [name for name, (taken, _) in found.items() if not taken]
    if empty:
        count = f"{len(empty)} of {len(found)}"
        _log.warning("Left out %s classes in %s, without %s: %s.", count, root, _one(noun), _few(empty))
    return files, [name for name, (taken, _) in found.items() for _ in taken]


def check_files_exist(sources: Any, stage: str, noun: str = "file", advice: str = "Check the paths.") -> None:
    """Look for all files before training, rather than miss one in the middle of it.

    Args:
        sources: Paths, or anything else, which is not looked at; so are URLs.
        stage: The stage, for the message.
        noun: The name of such a file in messages.
        advice: What to do about it.

    Raises:
        DataError: If some are missing; it counts them and names the first.
    """
    # Elements of anything else, such as somebody's dataset, may take long to get.
    listed = sources if isinstance(sources, list | tuple) or hasattr(sources, "tolist") else ()
    missing = [source for source in listed if _is_path(source) and not os.path.isfile(source)]  # noqa: PTH113  # a quarter of the time, of a million files
    if missing:
        raise DataError(
            f"Expected {len(sources)} {noun} files in the {stage} data, but {len(missing)} of them do not exist, such "
            f"as {missing[0]}. {advice}"
        )


def local_path(source: str | Path) -> Path:
    """Return the path of a file; one of a URL is downloaded first, once per process.

    Example:
        >>> local_path("~/a.wav") == Path.home() / "a.wav"
        True
    """
    if not _is_url(source):
        return Path(source).expanduser()
    name = Path(urlsplit(str(source)).path).name or "file"
    return fetch(
        str(source), _downloads() / hashlib.sha256(str(source).encode()).hexdigest()[:16] / name, progress=False
    )


@functools.cache
def _downloads() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="flash-files-")
    _kept.append(folder)
    return Path(folder.name)


# Removed when the process ends.
_kept: list[tempfile.TemporaryDirectory[str]] = []


def _is_url(source: Any) -> bool:
    return isinstance(source, str) and urlsplit(source).scheme in ("http", "https", "file")


def _is_path(source: Any) -> bool:
    return isinstance(source, str | Path) and not _is_url(source)


def _existing(folder: str | Path, noun: str) -> Path:
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = "a file" if root.exists() else "no such folder"
        raise DataError(f"Expected a folder of {noun}s at {root}, but there is {what}. Check the path.")
    return root


def _walk(folder: Path, extensions: Collection[str]) -> tuple[list[Path], list[Path]]:
    files: list[Path] = []
    strays: list[Path] = []
    for path in _visible_files(folder):
        (files if not extensions or path.suffix.lower() in extensions else strays).append(path)
    return sorted(files), sorted(strays)


def _visible_files(folder: Path) -> Iterator[Path]:
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        # Links are followed, and may lead in a circle.
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            yield from (Path(parent, name) for name in names if not name.startswith("."))
        seen.add(real)


def _report(root: Path, strays: list[Path], kept: int, why: str) -> None:
    if strays:
        names = _few([path.relative_to(root).as_posix() for path in strays])
        _log.warning("Skipped %d of %d files in %s (%s): %s.", len(strays), len(strays) + kept, root, why, names)


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _endings(extensions: Collection[str]) -> str:
    return f" ({', '.join(sorted(extensions))})" if extensions else ""


def _one(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


# ---------------------------------------------------------------------- files with their targets


@dataclass(frozen=True)
class FileInputs:
    """Samples of one stage that are not opened yet, with their targets.

    Args:
        sources: One per sample: a path, a URL, or whatever else the domain opens.
        targets: One per source; ``None`` for prediction.
        names: The names of the classes, if targets are their numbers or rows of zeros and ones.

    Raises:
        DataError: If there are not as many targets as sources.

    Example:
        >>> FileInputs(["a.wav", "b.wav"], ["yes", "no"]).take([1])
        FileInputs(sources=['b.wav'], targets=['no'], names=None)
    """

    sources: Sequence[Any]
    targets: Any = None
    names: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self.sources):
            raise DataError(
                f"Expected one target per sample, but got {len(self.sources)} samples and {len(self.targets)} targets."
            )

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Sequence[int]) -> Self:
        """Return the given rows alone."""
        targets = None if self.targets is None else _take(self.targets, rows)
        return replace(self, sources=_take(self.sources, rows), targets=targets)


def _take(values: Any, rows: Sequence[int]) -> Any:
    if isinstance(values, list | tuple):
        return [values[row] for row in rows]
    return take_rows(values, rows) if hasattr(values, "shape") else _Rows(values, rows)


class _Rows(Sequence[Any]):
    """Some elements of a sequence, fetched when they are asked for."""

    def __init__(self, whole: Any, rows: Sequence[int]) -> None:
        self._whole = whole
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._whole[self._rows[index]]


def pair_inputs(stage: Stage, sources: Any, targets: Any, noun: str = "file") -> FileInputs | None:
    """Return sources with their targets, or ``None`` if there are neither.

    Args:
        stage: The stage; prediction needs no targets.
        sources: A list, an array, or another iterable of sources.
        targets: The same of targets.
        noun: The name of a source in messages.

    Raises:
        DataError: If there is one without the other.

    Example:
        >>> pair_inputs(Stage.TRAIN, ["a.wav"], ["yes"]).targets
        ['yes']
    """
    if stage is not Stage.PREDICT and (sources is None) != (targets is None):
        given, missing = ("targets", f"{noun}s") if sources is None else (f"{noun}s", "targets")
        raise DataError(
            f"Expected {stage.value} {noun}s together with {stage.value}_targets, but got {given} without {missing}."
        )
    if sources is None:
        return None
    return FileInputs(_sequence(sources, noun), None if targets is None else _sequence(targets, noun))


def _sequence(values: Any, noun: str) -> Any:
    """Return arrays, tensors and lists as they are, and a list of anything else, such as a column of pandas."""
    if isinstance(values, str | Path | bytes):
        raise DataError(f"Expected {_one(noun)} or target per sample, in a list, but got {values!r} alone.")
    is_array = hasattr(values, "shape") and not hasattr(values, "index")
    return values if isinstance(values, list | tuple) or is_array else list(values)


def table_inputs(
    table: Table,
    input_field: str,
    target_fields: str | Sequence[str] | None,
    root: str | Path | None,
    stage: Stage,
    noun: str = "file",
) -> FileInputs:
    """Return the sources and targets of a table.

    Args:
        table: The columns.
        input_field: The column of paths.
        target_fields: The column of targets, or a list of columns of zeros and ones.
        root: The folder that paths start from, unless they are absolute.
        stage: The stage; prediction needs no targets.
        noun: The name of a source in messages.

    Raises:
        MissingColumnError: If a column is missing.
        DataError: If a row names no source.

    Example:
        >>> table = Table({"file": ["a.wav"], "word": ["yes"]})
        >>> table_inputs(table, "file", "word", None, Stage.TRAIN)
        FileInputs(sources=['a.wav'], targets=['yes'], names=None)
    """
    folder = None if root is None else Path(root).expanduser()
    sources = list(table[input_field])
    for row, value in enumerate(sources):
        if value is None:
            raise DataError(
                f"Expected {_one(noun)} in every row of the {stage.value} table, but row {row} has no {input_field!r}."
            )
        if folder is not None and _is_path(value):
            sources[row] = folder / value
    if stage is Stage.PREDICT:
        return FileInputs(sources)
    if target_fields is None:
        raise DataError("Expected target_fields to name the column of targets, but got none.")
    names = [target_fields] if isinstance(target_fields, str) else list(target_fields)
    columns = [whole_numbers(table[name]) if table.is_text else table[name] for name in names]
    if isinstance(target_fields, str):
        return FileInputs(sources, columns[0])
    return FileInputs(sources, _indicators(columns), names)


def _indicators(columns: Sequence[Sequence[Any]]) -> Any:
    import numpy as np

    return [np.asarray(row) for row in zip(*columns, strict=True)]


def table_folder(file: Any) -> Path | None:
    """Return the folder that the paths in a table start from: that of its file, or of all files of a list.

    Example:
        >>> table_folder("data/train.csv"), table_folder("https://host/train.csv")
        (PosixPath('data'), None)
    """
    files = file if isinstance(file, list | tuple) else [file]
    parents = {Path(part).expanduser().parent for part in files if _is_path(part)}
    return parents.pop() if len(parents) == 1 else None


# ---------------------------------------------------------------------- a domain of files


class FilePreprocess(Preprocess):
    """Opens files with targets; a domain says how one is opened, and what its target is.

    Override :meth:`open_sample`, and the class attributes where they differ. The other hooks are those of
    :class:`~flash.data.process.Preprocess`: they get the pair of the opened sample and its target, or in prediction the
    sample alone.

    Example:
        >>> class TextFiles(FilePreprocess):
        ...     extensions = (".txt",)
        ...     def open_sample(self, source):
        ...         return float(len(Path(source).read_text()))
        >>> TextFiles().state_dict()
        {}
    """

    #: The extensions of such files, in small letters; all if there are none.
    extensions: ClassVar[Collection[str]] = ()
    #: The name of such a file in messages.
    noun: ClassVar[str] = "file"
    #: What targets are: :class:`~flash.data.labels.ClassLabels` or :class:`~flash.data.targets.NumberTargets`.
    targets_cls: ClassVar[type[ClassLabels] | type[NumberTargets]] = ClassLabels

    #: What was learned of the train targets.
    targets: ClassLabels | NumberTargets | None = None
    #: The column of paths, for tables to predict.
    input_field: str | None = None

    def open_sample(self, source: Any) -> Any:
        """Open one sample.

        Args:
            source: A path of this machine; or what the data module was given that is no path.
        """
        raise NotImplementedError(f"{type(self).__name__} must override open_sample, which opens one {self.noun}.")

    def load_data(self, data: FileInputs, dataset: AutoDataset) -> Any:
        """Encode the targets; of train data, learn them first."""
        stage = dataset.hooks.stage.value
        if data.targets is None:
            raise DataError(f"Expected a target for every {self.noun} of the {stage} data, but got none.")
        check_files_exist(data.sources, stage, self.noun)
        if self.targets is None and not self.training:
            raise DataError(
                "Expected targets that were learned from train data, but there are none yet. Add train data, or pass "
                "preprocess=task.preprocess of a task that was trained."
            )
        learned = self.targets or self.targets_cls.learn(data.targets, data.names)
        encoded = learned.encode(data.targets, stage)
        self.targets = learned
        if self.training:
            for name, fact in learned.facts(encoded).items():
                setattr(dataset, name, fact)
        return _Samples(data.sources, encoded)

    def predict_load_data(self, data: Any) -> Any:
        """Take a path, a URL, a folder, a list of these, or a table or its path."""
        inputs = data if isinstance(data, FileInputs) else self._to_predict(data)
        check_files_exist(inputs.sources, "predict", self.noun)
        return _Samples(inputs.sources, None)

    def _to_predict(self, data: Any) -> FileInputs:
        if isinstance(data, str | Path):
            if is_table_file(data) and Path(str(data)).suffix.lower() not in self.extensions:
                return self._of_table(read_table(data), table_folder(data))
            is_folder = _is_path(data) and Path(data).expanduser().is_dir()
            return FileInputs(list_files(data, self.extensions, self.noun) if is_folder else [data])
        if is_table(data):
            return self._of_table(read_table(data, name="the predict data"), None)
        if isinstance(data, bytes) or not hasattr(data, "__iter__"):
            raise DataError(
                f"Expected {self.noun}s to predict: a path, a folder, a list or a table, but got {type(data).__name__}."
            )
        return FileInputs(list(data))

    def _of_table(self, table: Table, root: Path | None) -> FileInputs:
        if self.input_field is None:
            raise DataError(
                f"Expected a list of {self.noun}s, since the task was not trained on a table and knows no column of "
                "them. Pass the column: task.predict(list(table['file']))."
            )
        return table_inputs(table, self.input_field, None, root, Stage.PREDICT, self.noun)

    def load_sample(self, sample: Any, dataset: AutoDataset) -> Any:
        """Open the file of a sample."""
        source, target = sample
        try:
            opened = self.open_sample(local_path(source) if isinstance(source, str | Path) else source)
        except (NotImplementedError, DataError):
            raise
        # Whatever a library raises for a file that it cannot read.
        except Exception as error:
            named = source if isinstance(source, str | Path) else type(source).__name__
            raise DataError(
                f"Expected {_one(self.noun)} that can be opened, but {named} cannot be: {type(error).__name__}: {error}"
                ". Repair it, or leave it out."
            ) from error
        return opened if target is None else (opened, target)

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned of the targets."""
        if self.targets is None:
            return {}
        return {"targets": self.targets.to_plain(), "input_field": self.input_field}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what another preprocess learned."""
        if state:
            self.targets = self.targets_cls.from_plain(state["targets"])
            self.input_field = state["input_field"]

    def agrees_with(self, other: Preprocess) -> bool:
        """Return whether the targets are the same."""
        return isinstance(other, FilePreprocess) and other.targets == self.targets


class _Samples:
    """Sources with their encoded targets."""

    def __init__(self, sources: Sequence[Any], targets: Any) -> None:
        self.targets = targets
        self._sources = sources

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._sources[index], None if self.targets is None else self.targets[index]


class FileData(DataModule):
    """Samples of files with targets, for a domain whose preprocess is a :class:`FilePreprocess`.

    Set ``preprocess_cls``; the constructors take the arguments of its ``__init__`` too.

    Example:
        >>> class TextFiles(FilePreprocess):
        ...     def open_sample(self, source):
        ...         return float(len(Path(source).read_text()))
        >>> class TextFileData(FileData):
        ...     preprocess_cls = TextFiles
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("long/1.txt", "short/2.txt"):
        ...         Path(folder, name).parent.mkdir()
        ...         _ = Path(folder, name).write_text(name)
        ...     dm = TextFileData.from_folders(folder)
        >>> dm.labels
        ['long', 'short']
    """

    preprocess_cls: ClassVar[type[FilePreprocess]] = FilePreprocess

    @classmethod
    def from_folders(
        cls,
        train_folder: str | Path | None = None,
        val_folder: str | Path | None = None,
        test_folder: str | Path | None = None,
        predict_folder: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Make a data module of folders that have one folder per class, which names it.

        Args:
            train_folder: Holds a folder per class.
            val_folder: The same for validation.
            test_folder: The same for testing.
            predict_folder: Holds files, at any depth.
            options: The arguments of the class and of its preprocess.

        Raises:
            DataError: If a folder is missing or has no files, or a class was never seen in training.
        """
        cls._check_options(options)
        extensions, noun = cls.preprocess_cls.extensions, cls.preprocess_cls.noun

        def listed(stage: Stage, folder: str | Path) -> FileInputs:
            if stage is Stage.PREDICT:
                return FileInputs(list_files(folder, extensions, noun))
            return FileInputs(*list_class_files(folder, extensions, noun))

        folders: Stages[str | Path] = Stages(train_folder, val_folder, test_folder, predict_folder)
        folders = folders.required("folder")
        return cls._of_inputs(folders.map(listed), options)

    @classmethod
    def from_files(
        cls,
        train_files: Any = None,
        train_targets: Any = None,
        val_files: Any = None,
        val_targets: Any = None,
        test_files: Any = None,
        test_targets: Any = None,
        predict_files: Any = None,
        **options: Any,
    ) -> Self:
        """Make a data module of files.

        Args:
            train_files: Paths or URLs.
            train_targets: The target of each.
            val_files: Paths for validation.
            val_targets: Their targets.
            test_files: Paths for testing.
            test_targets: Their targets.
            predict_files: Paths for prediction.
            options: The arguments of the class and of its preprocess.

        Raises:
            DataError: If a file or a target is missing, or a class was never seen in training.
        """
        cls._check_options(options)
        given = Stages(
            (train_files, train_targets), (val_files, val_targets), (test_files, test_targets), (predict_files, None)
        )
        inputs = given.map(lambda stage, pair: pair_inputs(stage, *pair, cls.preprocess_cls.noun))
        return cls._of_inputs(inputs.required("files"), options)

    @classmethod
    def from_csv(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **options: Any,
    ) -> Self:
        """Make a data module of CSV files that name files and targets.

        Args:
            input_field: The column of paths; they start from ``root``, or from the folder of the CSV file.
            target_fields: The column of targets; or a list of columns of zeros and ones, one per class.
            train_file: Names the files to train on.
            val_file: The same for validation.
            test_file: The same for testing.
            predict_file: The same for prediction; the targets may be absent.
            options: The arguments of the class and of its preprocess, ``root``, and those of
                :class:`~flash.data.tables.ReadOptions`.

        Raises:
            MissingColumnError: If a column is missing.
            DataError: If a file is missing, or a row has no path or target.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_tables("csv", files, input_field, target_fields, options)

    @classmethod
    def from_json(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **options: Any,
    ) -> Self:
        """Make a data module of JSON files: a list of objects, or an object in each line.

        The arguments are those of :meth:`from_csv`. A target may also be a list of classes.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_tables("json", files, input_field, target_fields, options)

    @classmethod
    def from_parquet(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **options: Any,
    ) -> Self:
        """Make a data module of Parquet files, or folders of them; the arguments are those of :meth:`from_csv`."""
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_tables("parquet", files, input_field, target_fields, options)

    @classmethod
    def from_data_frame(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_data_frame: Any = None,
        val_data_frame: Any = None,
        test_data_frame: Any = None,
        predict_data_frame: Any = None,
        **options: Any,
    ) -> Self:
        """Make a data module of data frames of pandas, polars or Arrow, or of dicts of columns.

        The arguments are those of :meth:`from_csv`; paths start from ``root``, or from the current folder.
        """
        frames = Stages(train_data_frame, val_data_frame, test_data_frame, predict_data_frame).required("data_frame")
        return cls._of_tables(None, frames, input_field, target_fields, options)

    # ------------------------------------------------------------------ what they share

    @classmethod
    def _check_options(cls, options: Mapping[str, Any], also: Collection[str] = ()) -> None:
        cls.check_arguments(options, ["preprocess", "postprocess", *_own_arguments(cls.preprocess_cls), *also])

    @classmethod
    def _of_tables(
        cls,
        format: TableFormat | None,
        tables: Stages[Any],
        input_field: str,
        target_fields: str | Sequence[str] | None,
        options: dict[str, Any],
    ) -> Self:
        cls._check_options(options, ["root", *(READ_OPTIONS if format else ())])
        root = options.pop("root", None)
        reading = {name: options.pop(name) for name in READ_OPTIONS if name in options}

        def read(stage: Stage, source: Any) -> FileInputs:
            name = None if format else f"the {stage.value} data frame"
            table = read_table(source, format=format, name=name, **reading)
            folder = root if root is not None or format is None else table_folder(source)
            return table_inputs(table, input_field, target_fields, folder, stage, cls.preprocess_cls.noun)

        return cls._of_inputs(tables.map(read), options, input_field)

    @classmethod
    def _of_inputs(cls, inputs: Stages[FileInputs], options: dict[str, Any], input_field: str | None = None) -> Self:
        own = {name: options.pop(name) for name in _own_arguments(cls.preprocess_cls) if name in options}
        preprocess = options.pop("preprocess", None)
        if preprocess is not None and own:
            raise ConfigurationError(
                f"Expected a preprocess or options that make one, but got both: preprocess and {', '.join(own)}. Leave "
                "out one of the two."
            )
        if preprocess is None:
            preprocess = cls.preprocess_cls(**own)
            preprocess.input_field = input_field
        return cls.from_load_data_inputs(**inputs.as_inputs(), preprocess=preprocess, **options)


def _own_arguments(preprocess: type[Preprocess]) -> list[str]:
    if preprocess.__init__ is object.__init__:
        return []
    parameters = inspect.signature(preprocess.__init__).parameters.values()
    return [each.name for each in parameters if each.name != "self" and each.kind is not each.VAR_KEYWORD]
