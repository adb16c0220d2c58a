"""The image files in a folder, by their extensions."""

from __future__ import annotations

from pathlib import Path

from flash.data.files import list_files
from flash.data.folders import FileList

__all__ = ["IMAGE_EXTENSIONS", "image_files"]

#: The extensions of image files; matched without regard to case.
IMAGE_EXTENSIONS = frozenset(
    {".avif", ".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)


def image_files(folder: str | Path) -> FileList:
    """Return the image files in a folder and the folders inside it, sorted; see :func:`flash.data.files.list_files`."""
    return list_files(folder, IMAGE_EXTENSIONS, "image")
