"""Files with targets: a data module for any domain that defines how a file is opened."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, overload

from typing_extensions import Self

from flash.data.auto_dataset import AutoDataset, SourceRows
from flash.data.damaged import without_damaged
from flash.data.datasets import InMemory, dataset_inputs, is_deterministic, stream_inputs
from flash.data.display import Display
from flash.data.folders import (
    check_files_exist,
    file_state,
    is_path,
    list_class_files,
    list_files,
    local_path,
    table_folder,
)
from flash.data.inputs import SampleDataset, SampleInputs, Samples, Targets, source_name, with_article
from flash.data.labels import ClassLabels
from flash.data.recognition import RawData, Recognition, certainty_of_kind, part_folders
from flash.data.requests import RequestFields
from flash.data.row_streams import StreamInputs, is_row_stream
from flash.data.samples import SampleData, SamplePreprocess
from flash.data.stage import Stage, Stages
from flash.data.stored_samples import StoredSamples
from flash.data.tables import Table, is_missing, is_table_file
from flash.data.targets import NumberTargets
from flash.data.windows import Windows
from flash.errors import ConfigurationError, DataError
from flash.former import take_alias

__all__ = [
    "FileData",
    "FileInputs",
    "FilePreprocess",
    "FileSample",
    "OnBadSample",
    "list_class_files",
    "list_files",
    "local_path",
    "table_folder",
]

#: ``"error"`` raises for a sample that cannot be opened; ``"skip"`` tries all samples first, and drops such.
OnBadSample = Literal["error", "skip"]


@dataclass(frozen=True)
class FileInputs(SampleInputs):
    """Unopened samples of one stage, with their targets.

    Args:
        sources: One per sample: a path, a URL, or any other source that the domain can open.
        targets: One per source; ``None`` for prediction.
        names: The names of the classes, if targets are class indices or rows of zeros and ones.
        on_bad_sample: ``"error"`` raises for a sample that cannot be opened; ``"skip"`` drops such.
        deterministic: Whether opening a source returns the same sample each time.

    Raises:
        DataError: If the numbers of targets and sources differ.
        ConfigurationError: If ``on_bad_sample`` has another value.
    """

    on_bad_sample: OnBadSample = "error"
    deterministic: bool = True

    def __post_init__(self) -> None:
        if self.on_bad_sample not in ("error", "skip"):
            raise ConfigurationError(f"Expected on_bad_sample to be 'error' or 'skip', but got {self.on_bad_sample!r}.")
        super().__post_init__()


class FileSample(NamedTuple):
    """An unopened sample, with its encoded target, and its name in messages and results."""

    source: Any
    target: Any
    name: str


class _Names(Sequence[str]):
    """The names of samples."""

    def __init__(self, samples: _FileSamples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._samples.name_of(row) for row in range(len(self))[index]]
        return self._samples.name_of(index)


class _FileSamples:
    """Sources with their encoded targets.

    Args:
        sources: One per sample.
        targets: A tensor with one row per source, or ``None``.
        noun: Noun for a source that is not a path.
        stage: The stage of the samples, for the same names.
    """

    #: The rows of the data that the user passed, for the same names.
    source_rows: SourceRows | None = None

    def __init__(self, sources: Sequence[Any], targets: Any, noun: str, stage: Stage) -> None:
        self.targets = targets
        self._sources = sources
        self._noun = noun
        self._stage = stage

    @property
    def ids(self) -> Sequence[str]:
        """The name of each sample."""
        return _Names(self)

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> FileSample:
        source = self._sources[index]
        target = None if self.targets is None else self.targets[index]
        return FileSample(source, target, self._name(source, index))

    def name_of(self, index: int) -> str:
        """Return the name of a sample, without reading one that lies on disk."""
        return self._name(None if isinstance(self._sources, StoredSamples) else self._sources[index], index)

    def _name(self, source: Any, index: int) -> str:
        known = self.source_rows
        row, stage = (index, self._stage) if known is None else (int(known.rows[index]), known.stage)
        return source_name(source, row, self._noun, stage.value)

    @property
    def windows(self) -> Windows | None:
        """The shuffling of sources on disk."""
        return getattr(self._sources, "windows", None)


def _numbered(samples: Any, dataset: AutoDataset) -> Any:
    """Return samples whose names have the rows of the data that the user passed."""
    if isinstance(samples, _FileSamples):
        samples.source_rows = dataset.source_rows
    return samples


class FilePreprocess(SamplePreprocess):
    """Open files with targets; a domain defines how a file is opened, and its target.

    Override :meth:`open_sample`, and class attributes as needed. The other hooks are those of
    :class:`~flash.data.process.Preprocess`: they receive the pair of the opened sample and its target, or in prediction
    the sample alone.

    Example:
        >>> class TextFiles(FilePreprocess):
        ...     extensions = (".txt",)
        ...     def open_sample(self, source):
        ...         return float(len(Path(source).read_text()))
        >>> TextFiles().state_dict()
        {}
    """

    noun = "file"
    #: File extensions, in lower case; empty for all files.
    extensions: ClassVar[Collection[str]] = ()

    #: The usual keys of sources in datasets of dicts, such as ``("audio",)``.
    dataset_fields: ClassVar[Collection[str]] = ()
    #: Packages whose datasets return the same samples each time, if their attribute ``transforms`` is ``None``.
    dataset_libraries: ClassVar[Collection[str]] = ()

    #: The stages whose sources may be opened to different samples each time.
    nondeterministic_stages: frozenset[Stage] = frozenset()

    def open_sample(self, source: Any) -> Any:
        """Open one sample.

        Args:
            source: A local path, or another source of the data module.
        """
        raise NotImplementedError(f"{type(self).__name__} must override open_sample, which opens one {self.noun}.")

    def try_sample(self, source: Any, name: str) -> None:
        """Check that a sample can be opened, by opening it; override it if a cheaper check suffices.

        Args:
            source: The source of the data module.
            name: The name of the sample in messages.
        """
        self._opened(source, name)

    @classmethod
    def sources_of(cls, values: Any, name: str, root: Path | None = None) -> Any:
        """Return sources, with relative paths joined to a folder."""
        sources = super().sources_of(values, name, root)
        if root is None or not isinstance(sources, list | tuple):
            return sources
        return [root / source if is_path(source) else source for source in sources]

    def check_inputs(self, inputs: Any, dataset: AutoDataset) -> Any:
        """Check that all files exist; if bad samples are skipped, try to open them."""
        stage = dataset.hooks.stage
        if not inputs.deterministic:
            self.nondeterministic_stages |= {stage}
        if inputs.on_bad_sample == "skip":
            inputs, bad, kept = without_damaged(inputs, self.try_sample, self.noun, stage.value)
            vars(dataset)["bad_samples"] = bad
            if bad:
                dataset.keep_rows(kept)
        else:
            advice = "Check the path."
            if stage is not Stage.PREDICT:
                advice = f'Check the paths and {self.noun}s_root, or pass on_bad_sample="skip" to leave them out.'
            check_files_exist(inputs.sources, stage.value, self.noun, advice)
        return inputs

    def load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Encode the targets; for train data, learn classes or statistics first."""
        return _numbered(super().load_data(data, dataset), dataset)

    def make_samples(self, sources: Sequence[Any], targets: Any, stage: Stage) -> Any:
        """Return the samples of a dataset, each with its name."""
        return _FileSamples(sources, targets, self.noun, stage)

    def stream_samples(self, stage: Stage, sources: Sequence[Any], targets: Any, first: int) -> list[Any]:
        """Return samples of a stream, whose names have their rows in it."""
        samples = _FileSamples(sources, targets, self.noun, stage)
        samples.source_rows = SourceRows(stage, range(first, first + len(sources)))
        return [samples[row] for row in range(len(sources))]

    def predict_load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Load the samples to predict: a path, a URL, a folder, a list of these, or a table or its path."""
        if isinstance(data, StreamInputs):
            return super().predict_load_data(data, dataset)
        inputs = data if isinstance(data, FileInputs) else as_file_inputs(self.inputs_to_predict(data))
        return _numbered(super().predict_load_data(inputs, dataset), dataset)

    def source_state(self, source: Any) -> Any:
        """Return the path, the size and the time of a local file."""
        return file_state(source) if isinstance(source, str | Path) else None

    def stored_source(self, source: Any, name: str) -> Any:
        """Return the bytes of a file."""
        if isinstance(source, str | Path):
            return local_path(source).read_bytes()
        if isinstance(source, Mapping) and isinstance(source.get("bytes"), bytes):
            return source["bytes"]
        return super().stored_source(source, name)

    def sources_to_predict(self, data: Any) -> Sequence[Any]:
        """Return one source per sample for a path, a URL, a folder, or a list of these."""
        if isinstance(data, str | Path):
            if is_path(data) and os.path.isdir(Path(data).expanduser()):
                return list_files(data, self.extensions, self.noun)
            return [data]
        if isinstance(data, bytes) or not hasattr(data, "__iter__"):
            raise DataError(
                f"Expected {self.noun}s to predict: a path, a folder, a list or a table, but got {type(data).__name__}."
            )
        return list(data)

    def is_table_to_predict(self, data: Any) -> bool:
        """Return whether the argument of ``predict`` is the path of a table."""
        return is_table_file(data) and Path(str(data)).suffix.lower() not in self.extensions

    def load_sample(self, sample: FileSample, dataset: AutoDataset) -> Any:
        """Open the file of a sample."""
        opened = self._opened(sample.source, sample.name)
        return opened if sample.target is None else (opened, sample.target)

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return the name of each file; a domain whose files can be seen overrides it."""
        return [samples[row].name for row in rows]

    def request_fields(self) -> RequestFields:
        """Return that a sample is an uploaded file, with the extensions of this class."""
        return RequestFields("file", extensions=self.extensions)

    def _opened(self, source: Any, name: str) -> Any:
        try:
            return self.open_sample(local_path(source) if isinstance(source, str | Path) else source)
        except (NotImplementedError, DataError):
            raise
        # Libraries raise any exception for a file that they cannot read.
        except Exception as error:
            raise DataError(
                f"Expected {with_article(self.noun)} that can be opened, but {name} cannot be: "
                f"{type(error).__name__}: {error}. Repair it, or leave it out."
            ) from error


def _class_folders(folder: Path, extensions: Collection[str]) -> list[Path]:
    """Return the folders in a folder that have a file with one of the extensions."""
    inside = [each for each in sorted(folder.iterdir()) if each.is_dir() and not each.name.startswith(".")]
    return [each for each in inside if any(file.suffix.lower() in extensions for file in each.rglob("*"))]


def _has_files(table: Table, column: str, extensions: Collection[str]) -> bool:
    """Return whether the first cells of a column are paths of files with one of the extensions."""
    cells = [cell for cell in islice(table[column], 20) if not is_missing(cell)]
    paths = [Path(cell).expanduser() for cell in cells if isinstance(cell, str | Path)]
    root = table.folder or Path()
    return bool(paths) and all(path.suffix.lower() in extensions and (root / path).is_file() for path in paths)


def as_file_inputs(inputs: SampleInputs) -> FileInputs:
    """Convert inputs to :class:`FileInputs`."""
    if isinstance(inputs, FileInputs):
        return inputs
    return FileInputs(inputs.sources, inputs.targets, inputs.names, inputs.groups, inputs.times)


class FileData(SampleData):
    """Samples of files with targets, for a domain whose preprocess is a :class:`FilePreprocess`.

    Set ``preprocess_cls``; the constructors take the arguments of its ``__init__`` too, and ``on_bad_sample``. Columns
    of tables hold paths, relative to ``root``, or to the folder of the table; ``train_root`` and so on set it
    for one stage.

    Example:
        >>> import tempfile
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
    def recognize(cls, raw: RawData, target_fields: str | Sequence[str] | None = None) -> Recognition | None:
        """Recognize folders of files with a subfolder per class, and tables with a column of files that exist."""
        preprocess = cls.preprocess_cls
        if not preprocess.extensions:
            return None
        plural = f"{preprocess.noun}s"
        if raw.folder is not None and preprocess.targets_cls is ClassLabels:
            folders = part_folders(raw.folder)
            classes = _class_folders(folders["train"], preprocess.extensions)
            by_part = {f"{part}_folder": str(folder) for part, folder in folders.items()}
            why = f"{folders['train']} has {len(classes)} folders with {plural}"
            return Recognition("from_folders", by_part, why, 0.9) if len(classes) > 1 else None
        certainty = certainty_of_kind(raw, target_fields, preprocess.targets_cls.kind)
        if raw.table is None or certainty is None:
            return None
        column = next((name for name in raw.table if _has_files(raw.table, name, preprocess.extensions)), None)
        if column is None:
            return None
        arguments = {"input_field": column, "target_fields": target_fields, "train_data_frame": raw.table}
        why = f"the column {column} has paths of {plural}, and {certainty[1]}"
        return Recognition("from_data_frame", arguments, why, 0.9 * certainty[0])

    @classmethod
    def from_folders(
        cls,
        train_folder: str | Path | None = None,
        val_folder: str | Path | None = None,
        test_folder: str | Path | None = None,
        predict_folder: str | Path | None = None,
        *,
        valid_folder: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from folders that have one subfolder per class, named after it.

        Subfolders are searched recursively. Hidden files and files of other kinds are skipped, with a warning.

        Args:
            train_folder: A folder with a subfolder per class.
            val_folder: The same for validation.
            test_folder: The same for testing.
            predict_folder: A folder of files, searched recursively; they are sorted by path.
            valid_folder: An alias of ``val_folder``.
            options: The arguments of the class and of its preprocess.

        Raises:
            DataError: If a folder is missing or has no files, or a class does not occur in the train data.
            ConfigurationError: If the targets are numbers, which folders do not name.
        """
        cls.check_options(options)
        given = [train_folder, val_folder, valid_folder, test_folder]
        if cls.preprocess_cls.targets_cls is NumberTargets and any(folder is not None for folder in given):
            raise ConfigurationError(
                "Expected numbers as targets, but the names of folders are classes. Write a table of files and numbers "
                f"and use from_csv, or use from_files. {cls.preprocess_cls.advice}".rstrip()
            )
        if valid_folder is not None and val_folder is not None:
            raise ConfigurationError("Expected val_folder or valid_folder, its other name, but got both.")
        folders: Stages[str | Path] = Stages(train_folder, val_folder or valid_folder, test_folder, predict_folder)
        inputs = folders.required("folder").map(cls._listed)
        if inputs.train is not None and len(set(inputs.train.targets)) < 2:
            raise DataError(
                f"Expected folders of at least two classes in {train_folder}, but only {inputs.train.targets[0]!r} "
                f"holds {cls.preprocess_cls.noun}s. Pass the folder that has one folder for each class."
            )
        return cls.from_inputs(inputs, options)

    @classmethod
    def from_files(
        cls,
        train_files: Samples | None = None,
        train_targets: Targets | None = None,
        val_files: Samples | None = None,
        val_targets: Targets | None = None,
        test_files: Samples | None = None,
        test_targets: Targets | None = None,
        predict_files: Samples | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from files; the arguments are those of ``from_lists``, with paths or URLs as samples."""
        return cls.from_lists(
            train_files, train_targets, val_files, val_targets, test_files, test_targets, predict_files, **options
        )

    @classmethod
    def from_datasets(  # type: ignore[override]  # the options are named
        cls,
        train_dataset: SampleDataset | None = None,
        val_dataset: SampleDataset | None = None,
        test_dataset: SampleDataset | None = None,
        predict_dataset: SampleDataset | None = None,
        *,
        input_field: str | None = None,
        target_fields: str | Sequence[str] | None = None,
        in_memory: bool = False,
        **options: Any,
    ) -> Self:
        """Create a data module from torch or Hugging Face datasets, of ``(source, target)`` or of dicts.

        A stream (``datasets.load_dataset(..., streaming=True)``, or an ``IterableDataset`` of torch) is read in each
        epoch, in its own order; classes without names are learned in one pass before.

        Class names are taken from ``dataset.classes``, or from Hugging Face's ``ClassLabel``. Sources are any that the
        domain opens.

        Args:
            train_dataset: Samples to train on.
            val_dataset: Samples to validate on.
            test_dataset: Samples to test on.
            predict_dataset: Samples to predict; they may also be sources without targets.
            input_field: The key of sources in dicts; by default the usual one of the domain.
            target_fields: The key of targets in dicts, or a list of keys of numbers, such as zeros and ones; by default
                ``label``, ``labels`` or ``target``.
            in_memory: Whether to read streams into memory first; they are then shuffled and split as other data is.
            options: The arguments of the class and of its preprocess. ``deterministic=True``, where it takes that,
                declares that datasets with transforms return the same sample each time.

        Raises:
            DataError: If a dataset has no length, or its samples have another form.
            MissingColumnError: If dicts lack a key.
        """
        if "target_field" in options:
            target_fields = take_alias(options, "target_field", "target_fields", target_fields)
        cls.check_options(options, ["delimiter"])
        delimiter = options.pop("delimiter", None)
        preprocess = cls.preprocess_cls
        names: Any = {"noun": preprocess.noun, "keys": tuple(preprocess.dataset_fields)}

        def read(stage: Stage, dataset: Any) -> Any:
            if is_row_stream(dataset) and not in_memory:
                return stream_inputs(dataset, input_field, target_fields, stage.value, delimiter, **names)
            whole = InMemory(dataset) if is_row_stream(dataset) else dataset
            found = dataset_inputs(whole, input_field, target_fields, stage.value, **names)
            deterministic = is_deterministic(whole, preprocess.dataset_libraries)
            return replace(as_file_inputs(found.separated(delimiter, stage)), deterministic=deterministic)

        datasets = Stages(train_dataset, val_dataset, test_dataset, predict_dataset)
        return cls.from_inputs(datasets.map(read), options)

    # ------------------------------------------------------------------ for constructors of domains

    @classmethod
    def check_options(cls, options: Mapping[str, Any], also: Collection[str] = ()) -> None:
        """Reject options that neither the class nor its preprocess takes."""
        super().check_options(options, ["on_bad_sample", *also])

    @classmethod
    def table_options(cls) -> Collection[str]:
        """Return the additional options of constructors for tables."""
        roots = cls._roots()
        return (*super().table_options(), *roots, *(f"{stage.value}_{name}" for stage in Stage for name in roots))

    @classmethod
    def _roots(cls) -> tuple[str, str]:
        return "root", f"{cls.preprocess_cls.noun}s_root"

    @classmethod
    def root_of(cls, stage: Stage, options: Mapping[str, Any]) -> Path | None:
        """Return the folder that paths in the table of a stage are relative to, from the options for tables."""
        names = [*(f"{stage.value}_{name}" for name in cls._roots()), *cls._roots()]
        given = [options[name] for name in names if options.get(name) is not None]
        return Path(given[0]).expanduser() if given else None

    @classmethod
    def with_sources(cls, inputs: SampleInputs, stage: Stage, root: Path | None = None) -> Any:
        """Return inputs with sources that the domain validated or converted."""
        return as_file_inputs(super().with_sources(inputs, stage, root))

    @classmethod
    def from_inputs(
        cls, inputs: Stages[Any], options: dict[str, Any], input_field: str | Sequence[str] | None = None
    ) -> Self:
        """Create a data module from inputs, and from options whose names were checked; see the base class."""
        on_bad_sample = options.pop("on_bad_sample", "error")

        def as_files(stage: Stage, data: Any) -> Any:
            if not isinstance(data, StreamInputs):
                return replace(as_file_inputs(data), on_bad_sample=on_bad_sample)
            if on_bad_sample != "error":
                raise ConfigurationError(
                    f"Expected on_bad_sample='error' for {stage.value} data that comes in a stream, which is not read "
                    f"before, but got {on_bad_sample!r}. Leave such samples out of the stream, or pass in_memory=True."
                )
            return data

        files = inputs.map(as_files)
        return super().from_inputs(files, options, input_field)

    @classmethod
    def _listed(cls, stage: Stage, folder: str | Path) -> FileInputs:
        extensions, noun = cls.preprocess_cls.extensions, cls.preprocess_cls.noun
        if stage is Stage.PREDICT:
            return FileInputs(list_files(folder, extensions, noun))
        return FileInputs(*list_class_files(folder, extensions, noun))
