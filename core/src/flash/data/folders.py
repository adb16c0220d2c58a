"""List files in folders, in little memory, and resolve paths and URLs to local files."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload
from urllib.parse import urlsplit

from flash.data.inputs import with_article
from flash.data.messages import list_some
from flash.download import fetch
from flash.errors import DataError

__all__ = [
    "FileList",
    "check_files_exist",
    "file_state",
    "is_path",
    "list_class_files",
    "list_files",
    "local_path",
    "table_folder",
]

_log = logging.getLogger("flash.data")

# A table may name any address, also one that sends without an end.
_MAX_BYTES_OF_SAMPLE = 1 << 30


class FileList(Sequence[Path]):
    """The paths of many files in a folder: the bytes of their names, one after the other.

    A path takes 8 bytes beside those of its name, relative to the folder; as an object of Python it takes some 500.

    Args:
        folder: The folder.
        names: The paths relative to the folder; they are read once.

    Example:
        >>> files = FileList("photos", ["ants/1.jpg", "bees/2.jpg"])
        >>> len(files), str(files[1]), files == [Path("photos/ants/1.jpg"), Path("photos/bees/2.jpg")]
        (2, 'photos/bees/2.jpg', True)
    """

    def __init__(self, folder: str | Path, names: Iterable[str] = ()) -> None:
        self._folder = os.fspath(folder)
        self._names = bytearray()
        self._ends = array("q", [0])
        for name in names:
            self.append(name)

    def append(self, name: str) -> None:
        """Add a file.

        Args:
            name: Its path relative to the folder.
        """
        self._names += os.fsencode(name)
        self._ends.append(len(self._names))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def _name(self, place: int) -> str:
        return os.fsdecode(bytes(self._names[self._ends[place] : self._ends[place + 1]]))

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> FileList: ...
    def __getitem__(self, index: Any) -> Any:
        places = range(len(self))[index]
        return self.take(places) if isinstance(places, range) else Path(self._folder, self._name(places))

    def __iter__(self) -> Iterator[Path]:
        return (Path(self._folder, self._name(place)) for place in range(len(self)))

    def take(self, rows: Iterable[int]) -> FileList:
        """Return some of the files, in the order of the rows.

        Args:
            rows: Their places, counted from 0.
        """
        return FileList(self._folder, (self._name(int(row)) for row in rows))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it can be appended to

    @property
    def nbytes(self) -> int:
        """The size of the paths in memory, in bytes."""
        return len(self._names) + self._ends.itemsize * len(self._ends)


def list_files(folder: str | Path, extensions: Collection[str] = (), noun: str = "file") -> FileList:
    """Return the files in a folder, recursively, sorted by path.

    Hidden files are skipped; so are files with other extensions, with a warning. The result takes some 30 bytes per
    file: ``list(...)`` of it is an ordinary list.

    Args:
        folder: The folder.
        extensions: The file extensions to keep, such as ``".wav"``, in lower case; empty for all files.
        noun: Noun for such a file in messages.

    Raises:
        DataError: If the folder does not exist, or has no such file.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.wav", "a.WAV", "notes.txt", ".hidden.wav"):
        ...         _ = Path(folder, name).touch()
        ...     [file.name for file in list_files(folder, [".wav"])]
        ['a.WAV', 'b.wav']
    """
    root = _existing(folder, noun)
    files, strays = FileList(root), FileList(root)
    _walk(root, extensions, files, strays)
    _report(root, strays, len(files), f"no {noun} by its name")
    if not files:
        raise DataError(f"Expected {noun}s in {root}{_endings(extensions)}, but it holds none.")
    return files


def list_class_files(
    folder: str | Path, extensions: Collection[str] = (), noun: str = "file"
) -> tuple[FileList, list[str]]:
    """Return the files of a folder that has one subfolder per class, sorted by path, and the class of each.

    Hidden files and folders are skipped; so are files with other extensions, files outside the class folders and
    classes without a file, with a warning. The arguments are those of :func:`list_files`.

    Raises:
        DataError: If the folder does not exist, or no class folder has such a file.

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
    files, strays, classes = FileList(root), FileList(root), []
    found: dict[str, int] = {}
    for path in inside:
        if path.is_dir():
            before = len(files)
            _walk(path, extensions, files, strays, path.name)
            found[path.name] = len(files) - before
            classes += [path.name] * found[path.name]
        else:
            strays.append(path.name)
    if not files:
        raise DataError(
            f"Expected a folder with {noun}s{_endings(extensions)} for each class in {root}, but found {len(found)} "
            f"folders and {len(inside) - len(found)} files in it, and no {noun} inside the folders."
        )
    _report(root, strays, len(files), f"no {noun} by its name, or not in a class folder")
    empty = [name for name, count in found.items() if not count]
    if empty:
        count = f"{len(empty)} of {len(found)}"
        _log.warning("Left out %s classes in %s, without %s: %s.", count, root, with_article(noun), list_some(empty))
    return files, classes


def check_files_exist(sources: Any, stage: str, noun: str = "file", advice: str = "Check the paths.") -> None:
    """Check before training that all files exist.

    Args:
        sources: Paths; URLs and other sources are not checked.
        stage: The stage, for the message.
        noun: Noun for such a file in messages.
        advice: The last sentence of the message.

    Raises:
        DataError: If files are missing; the message has their number and the first one.
    """
    # Elements of other types, such as a dataset of the user, may be slow to access.
    listed = sources if isinstance(sources, list | tuple) or hasattr(sources, "tolist") else ()
    missing = [source for source in listed if is_path(source) and not os.path.isfile(source)]
    folder = next((source for source in missing if os.path.isdir(source)), None)
    if folder is not None:
        raise DataError(
            f"Expected {noun} files in the {stage} data, but {folder} is a folder. Pass its files, or the folder "
            "alone, which is searched for files."
        )
    if len(listed) == 1 and missing:
        raise DataError(f"Expected the {noun} file {missing[0]} in the {stage} data, but it does not exist. {advice}")
    if missing:
        raise DataError(
            f"Expected {len(sources)} {noun} files in the {stage} data, but {len(missing)} of them do not exist, such "
            f"as {missing[0]}. {advice}"
        )


def file_state(source: str | Path) -> tuple[str, int, int] | None:
    """Return what changes if a local file is written again: its path, its size, and the time it was written.

    ``None`` for a URL and for what is no file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> file_state(path) is None, path.write_text("text"), file_state(path)[1]
        (True, 4, 4)
    """
    if _is_url(source):
        return None
    try:
        state = local_path(source).stat()
    except (OSError, ValueError):
        return None
    return str(source), state.st_size, state.st_mtime_ns


def local_path(source: str | Path) -> Path:
    """Return the local path of a file; a URL is downloaded first, once per process.

    Raises:
        DownloadError: If a URL cannot be downloaded, or its file has more than 1 GiB: a table can name any address.

    Example:
        >>> local_path("~/a.wav") == Path.home() / "a.wav"
        True
    """
    if not _is_url(source):
        return Path(source).expanduser()
    name = Path(urlsplit(str(source)).path).name or "file"
    folder = _downloads() / hashlib.sha256(str(source).encode()).hexdigest()[:16]
    return fetch(str(source), folder / name, progress=False, max_bytes=_MAX_BYTES_OF_SAMPLE)


@functools.cache
def _downloads() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="flash-files-")
    _kept.append(folder)
    return Path(folder.name)


# Removed when the process ends.
_kept: list[tempfile.TemporaryDirectory[str]] = []


def _is_url(source: Any) -> bool:
    return isinstance(source, str) and urlsplit(source).scheme in ("http", "https", "file")


def is_path(source: Any) -> bool:
    """Return whether a source is a local path, not a URL.

    Example:
        >>> is_path("a.wav"), is_path("https://host/a.wav"), is_path(b"")
        (True, False, False)
    """
    return isinstance(source, str | Path) and not _is_url(source)


def table_folder(file: Any) -> Path | None:
    """Return the folder that paths in a table are relative to: the one of its file, or of all files of a list.

    Example:
        >>> table_folder("data/train.csv"), table_folder("https://host/train.csv")
        (PosixPath('data'), None)
    """
    files = file if isinstance(file, list | tuple) else [file]
    parents = {Path(part).expanduser().parent for part in files if is_path(part)}
    return parents.pop() if len(parents) == 1 else None


def _existing(folder: str | Path, noun: str) -> Path:
    root = Path(folder).expanduser()
    if not os.path.isdir(root):
        what = "a file" if os.path.isfile(root) else "no such folder"
        raise DataError(f"Expected a folder of {noun}s at {root}, but there is {what}. Check the path.")
    return root


def _walk(folder: Path, extensions: Collection[str], files: FileList, strays: FileList, prefix: str = "") -> None:
    """Add the files in a folder with one of the extensions, and the others, sorted by path."""
    for name in _visible_files(folder, prefix and f"{prefix}/", set()):
        # Not by a Path, which would intern the names of all files.
        stem, _, ending = name.rpartition("/")[2].rpartition(".")
        is_kept = not extensions or (stem and f".{ending}".lower() in extensions)
        (files if is_kept else strays).append(name)


def _visible_files(folder: Path, prefix: str, seen: set[str]) -> Iterator[str]:
    """Yield the paths of files, relative to the root: those of one folder at a time are in memory."""
    # Symlinks are followed, and may form a cycle.
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    try:
        with os.scandir(folder) as entries:
            inside = sorted((each.name, each.is_dir()) for each in entries if not each.name.startswith("."))
    except OSError:  # As os.walk does.
        return
    for name, is_folder in inside:
        if is_folder:
            yield from _visible_files(folder / name, f"{prefix}{name}/", seen)
        else:
            yield prefix + name


def _report(root: Path, strays: FileList, kept: int, why: str) -> None:
    if strays:
        names = list_some(path.relative_to(root).as_posix() for path in strays)
        _log.warning("Skipped %d of %d files in %s (%s): %s.", len(strays), len(strays) + kept, root, why, names)


def _endings(extensions: Collection[str]) -> str:
    return f" ({', '.join(sorted(extensions))})" if extensions else ""
