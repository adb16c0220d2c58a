"""The size of an image that annotations are fractions or percentages of."""

from __future__ import annotations

from pathlib import Path

__all__ = ["upright_size_of"]


def upright_size_of(path: Path | str, annotated: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the width and height of an upright image, in pixels; of one on the web as annotated, if that is known.

    Args:
        path: A file, or a URL.
        annotated: The width and height that its annotation says.
    """
    # Of the package whose data is made.
    from flash.image import open_image
    from flash.image.detection.exif import upright_size

    found = upright_size(path) if isinstance(path, Path) else annotated
    return open_image(path).size if found is None else found
