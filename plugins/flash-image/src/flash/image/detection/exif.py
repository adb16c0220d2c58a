"""EXIF orientation and size of an image, without decoding its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

__all__ = ["orientation_of", "upright_size"]

_ORIENTATION = 0x0112


def orientation_of(source: Any) -> int:
    """Return the EXIF orientation of an image, 1 (upright) to 8; 1 if it has none.

    Example:
        >>> orientation_of(Image.new("RGB", (4, 2)))
        1
    """
    return _size_and_orientation(source)[1]


def upright_size(source: Any) -> tuple[int, int] | None:
    """Return the width and height of the upright image, in pixels; ``None`` if that requires decoding it.

    Example:
        >>> upright_size(Image.new("RGB", (4, 2)))
        (4, 2)
    """
    size, orientation = _size_and_orientation(source)
    return size if size is None or orientation < 5 else size[::-1]


def _size_and_orientation(source: Any) -> tuple[tuple[int, int] | None, int]:
    if isinstance(source, Image.Image):
        return source.size, _exif_orientation(source)
    if isinstance(source, np.ndarray) and source.ndim in (2, 3):
        return (source.shape[1], source.shape[0]), 1
    if isinstance(source, Tensor) and source.ndim in (2, 3):
        return (source.shape[-1], source.shape[-2]), 1
    if not isinstance(source, str | Path):
        return None, 1
    try:
        with Image.open(source) as image:
            return image.size, _exif_orientation(image)
    # Decoding the image later raises an error with the details.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, 1


def _exif_orientation(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    # A damaged EXIF block counts as none.
    except (OSError, ValueError, SyntaxError, TypeError):
        return 1
    return orientation if 1 <= orientation <= 8 else 1
