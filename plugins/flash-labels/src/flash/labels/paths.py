"""The files that tasks refer to: those that Label Studio serves from this disk, under one folder, and URLs."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from flash.data.messages import show
from flash.errors import ConfigurationError, DataError

__all__ = ["LOCAL_FILES", "file_of", "reference_to"]

#: What the references to files begin with that Label Studio serves from its document root.
LOCAL_FILES = "/data/local-files/?d="
_UPLOADS = "/data/upload/"


def file_of(reference: Any, folder: str | Path, name: str, *, urls: bool = False) -> Path | str:
    """Return the file that a task refers to, or its URL.

    A file of the local storage (``/data/local-files/?d=a/b.jpg``) is ``a/b.jpg`` in the folder; so is a relative path.
    An uploaded one (``/data/upload/3/b.jpg``) is ``upload/3/b.jpg``, ``3/b.jpg`` or ``b.jpg``, the first that exists.

    Args:
        reference: What the task says.
        folder: The folder of the files. A task cannot refer to others: it may come from elsewhere.
        name: The name of the task in messages.
        urls: Whether files on the web are downloaded, when they are opened.

    Raises:
        DataError: If it lies outside of the folder, is a URL of another kind, or on the web without ``urls``.

    Example:
        >>> file_of("/data/local-files/?d=cats/my%201.jpg", "photos", "task 1").as_posix()
        'photos/cats/my 1.jpg'
    """
    if not isinstance(reference, str) or not reference.strip() or "\0" in reference:
        raise DataError(f"Expected {name} to refer to a file, but got {show(reference)}. Correct it, or leave it out.")
    parts = urlsplit(reference) if not PureWindowsPath(reference).drive else None
    scheme = "" if parts is None else parts.scheme
    root = Path(folder).expanduser()
    if scheme in ("", "http", "https") and parts is not None:
        if parts.path.rstrip("/") == LOCAL_FILES.partition("/?")[0]:
            wanted = [each[2:] for each in parts.query.split("&") if each.startswith("d=")]
            return root / _inside(unquote(wanted[0] if wanted else ""), root, name)
        if parts.path.startswith(_UPLOADS):
            return _uploaded(unquote(parts.path.removeprefix(_UPLOADS)), root, name)
    if scheme in ("http", "https"):
        if urls:
            return reference
        raise DataError(
            f"Expected a file in {root}, but {name} refers to {show(reference)}. Pass urls=True, to download such "
            "files when they are used, or download them, and export the tasks again with their paths."
        )
    if scheme:
        raise DataError(
            f"Expected a file in {root}, or a URL of http or https, but {name} refers to {show(reference[:200])}. "
            "Download the files, and write their paths in the folder."
        )
    return root / _inside(reference, root, name)


def _uploaded(path: str, root: Path, name: str) -> Path:
    relative = _inside(path, root, name)
    places = [root / "upload" / relative, root / relative, root / relative.name]
    return next((place for place in places if os.path.isfile(place)), places[-1])


def _inside(path: str, root: Path, name: str) -> PurePosixPath:
    """Return a path relative to the folder; an absolute one has to lie in it."""
    written = PurePosixPath(path.replace("\\", "/"))  # which Windows writes
    folder = PurePosixPath(_normal(root).as_posix())
    if written.is_relative_to(folder):
        written = written.relative_to(folder)
    if written.is_absolute() or ".." in written.parts or PureWindowsPath(written).drive or not written.parts:
        raise DataError(
            f"Expected the files of tasks to lie in {root}, but {name} refers to {show(path)}. Pass the folder that "
            "Label Studio serves files from as data_folder."
        )
    return written


def _normal(path: Path) -> Path:
    # Links stay: a folder of links is a folder too.
    return Path(os.path.normpath(path.absolute()))


def reference_to(file: str | Path, folder: str | Path | None, prefix: str = LOCAL_FILES) -> str:
    """Return how a task refers to a file.

    Args:
        file: The file; a URL is its own reference.
        folder: The folder that Label Studio serves files from.
        prefix: What comes before the path in that folder.

    Raises:
        ConfigurationError: If there is no folder.
        DataError: If the file is not in the folder.

    Example:
        >>> reference_to("photos/cats/my 1.jpg", "photos")
        '/data/local-files/?d=cats/my%201.jpg'
    """
    if isinstance(file, str) and urlsplit(file).scheme in ("http", "https"):
        return file
    if folder is None:
        raise ConfigurationError(
            f"Expected data_folder, the folder that Label Studio serves files from, for {file}, but it is missing. "
            "It is LOCAL_FILES_DOCUMENT_ROOT of Label Studio, or a folder whose files a web server has under prefix=..."
        )
    path, root = (_normal(Path(each).expanduser()) for each in (file, folder))
    if not path.is_relative_to(root):
        raise DataError(
            f"Expected files in data_folder={str(folder)!r}, but got {file}. Pass a folder above all files."
        )
    return prefix + quote(path.relative_to(root).as_posix())
