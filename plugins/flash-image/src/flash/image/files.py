"""Lists of image files: of a folder, or of one folder a class; sorted, and without what is no image."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from flash.errors import DataError

__all__ = ["IMAGE_EXTENSIONS", "class_files", "image_files"]

#: What the name of an image file ends with; case does not count.
IMAGE_EXTENSIONS = frozenset(
    {".avif", ".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

_log = logging.getLogger("flash.image")


def image_files(folder: str | Path) -> list[Path]:
    """The image files in a folder and the folders inside it, sorted.

    Hidden files are left out; so are files of other kinds, and a warning counts them.

    Args:
        folder: The folder.

    Raises:
        DataError: If there is no such folder, or no image in it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg"):
        ...         _ = Path(folder, name).touch()
        ...     [file.name for file in image_files(folder)]
        ['a.PNG', 'b.jpg']
    """
    root = _existing(folder)
    files, strays = _walk(root)
    _report(root, strays, len(files), "no image by its name")
    if not files:
        raise DataError(f"Expected images in {root} ({_endings()}), but it holds none.")
    return files


def class_files(folder: str | Path) -> tuple[list[Path], list[str]]:
    """The image files of a folder that has one folder for each class, sorted, and the class of each.

    Hidden files and folders are left out; so are files of other kinds, files beside the class folders and classes
    without an image, and a warning says so.

    Args:
        folder: The folder.

    Raises:
        DataError: If there is no such folder, or no class folder with an image in it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("bees/1.jpg", "ants/2.jpg"):
        ...         Path(folder, name).parent.mkdir()
        ...         _ = Path(folder, name).touch()
        ...     class_files(folder)[1]
        ['ants', 'bees']
    """
    root = _existing(folder)
    inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    found = {path.name: _walk(path) for path in inside if path.is_dir()}
    files = [file for images, _ in found.values() for file in images]
    if not files:
        raise DataError(
            f"Expected a folder with images ({_endings()}) for each class in {root}, but found {len(found)} folders "
            f"and {len(inside) - len(found)} files in it, and no image inside the folders."
        )
    strays = [path for path in inside if not path.is_dir()] + [stray for _, other in found.values() for stray in other]
    _report(root, sorted(strays), len(files), "no image by its name, or not in a class folder")
    empty = [name for name, (images, _) in found.items() if not images]
    if empty:
        count = f"{len(empty)} of {len(found)}"
        _log.warning("Left out %s classes in %s, without an image: %s.", count, root, _few(empty))
    return files, [name for name, (images, _) in found.items() for _ in images]


def _existing(folder: str | Path) -> Path:
    root = Path(folder)
    if not root.is_dir():
        what = "a file" if root.exists() else "no such folder"
        raise DataError(f"Expected a folder of images at {root}, but there is {what}. Check the path.")
    return root


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    files: list[Path] = []
    strays: list[Path] = []
    for path in _visible_files(folder):
        (files if path.suffix.lower() in IMAGE_EXTENSIONS else strays).append(path)
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


def _endings() -> str:
    return ", ".join(sorted(IMAGE_EXTENSIONS))
