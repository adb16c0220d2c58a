"""Lists of image files: of a folder, or of one folder per class; sorted, and without what is no image."""

from __future__ import annotations

from pathlib import Path

from flash.data.files import list_class_files, list_files

__all__ = ["IMAGE_EXTENSIONS", "class_files", "image_files"]

#: What the name of an image file ends with; case does not count.
IMAGE_EXTENSIONS = frozenset(
    {".avif", ".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)


def image_files(folder: str | Path) -> list[Path]:
    """Return the image files in a folder and the folders inside it, sorted; see :func:`flash.data.files.list_files`."""
    return list_files(folder, IMAGE_EXTENSIONS, "image")


def class_files(folder: str | Path) -> tuple[list[Path], list[str]]:
    """Return the image files of a folder that has one folder per class, sorted, and the class of each.

    See :func:`flash.data.files.list_class_files`.
    """
    return list_class_files(folder, IMAGE_EXTENSIONS, "image")
