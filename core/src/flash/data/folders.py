"""List files in folders, and resolve paths and URLs to local files."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flash.data.inputs import with_article
from flash.data.messages import list_some
from flash.download import fetch
from flash.errors import DataError

__all__ = ["check_files_exist", "is_path", "list_class_files", "list_files", "local_path", "table_folder"]

_log = logging.getLogger("flash.data")


def list_files(folder: str | Path, extensions: Collection[str] = (), noun: str = "file") -> list[Path]:
    """Return the files in a folder, recursively, sorted by path.

    Hidden files are skipped; so are files with other extensions, with a warning.

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
    files, strays = _walk(root, extensions)
    _report(root, strays, len(files), f"no {noun} by its name")
    if not files:
        raise DataError(f"Expected {noun}s in {root}{_endings(extensions)}, but it holds none.")
    return files


def list_class_files(
    folder: str | Path, extensions: Collection[str] = (), noun: str = "file"
) -> tuple[list[Path], list[str]]:
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
        _log.warning("Left out %s classes in %s, without %s: %s.", count, root, with_article(noun), list_some(empty))
    return files, [name for name, (taken, _) in found.items() for _ in taken]


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


def local_path(source: str | Path) -> Path:
    """Return the local path of a file; a URL is downloaded first, once per process.

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


def _walk(folder: Path, extensions: Collection[str]) -> tuple[list[Path], list[Path]]:
    files: list[Path] = []
    strays: list[Path] = []
    for path in _visible_files(folder):
        (files if not extensions or path.suffix.lower() in extensions else strays).append(path)
    return sorted(files), sorted(strays)


def _visible_files(folder: Path) -> Iterator[Path]:
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        # Symlinks are followed, and may form a cycle.
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            yield from (Path(parent, name) for name in names if not name.startswith("."))
        seen.add(real)


def _report(root: Path, strays: list[Path], kept: int, why: str) -> None:
    if strays:
        names = list_some([path.relative_to(root).as_posix() for path in strays])
        _log.warning("Skipped %d of %d files in %s (%s): %s.", len(strays), len(strays) + kept, root, why, names)


def _endings(extensions: Collection[str]) -> str:
    return f" ({', '.join(sorted(extensions))})" if extensions else ""
