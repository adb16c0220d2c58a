"""Images from files and from memory, as upright 8-bit RGB images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from flash.data.files import local_path
from flash.errors import DataError

from .encoder import BadImageError, decode, image_of_array, upright_rgb

__all__ = ["BadImageError", "ImageSource", "load_into_memory", "open_image", "thumbnail"]

#: The types of an image: a path, the bytes of a file, a PIL image, an array ``(height, width[, channels])``, a tensor
#: ``([channels,] height, width)``, or a Hugging Face dict of ``bytes`` and ``path``.
ImageSource = str | Path | bytes | Image.Image | np.ndarray | Tensor | Mapping[str, Any]
_Array = npt.NDArray[Any]


def open_image(source: ImageSource, min_size: tuple[int, int] | None = None, name: str | None = None) -> Image.Image:
    """Open an image, rotate it upright and convert it to RGB.

    The EXIF orientation is applied. Transparent images are blended on white, files of 16 bits are scaled to 8, with
    a warning if that makes them nearly black. An animation yields its first frame.

    Args:
        source: A path, a URL (downloaded once per process), the bytes of a file, a PIL image, an array
            ``(height, width[, channels])`` or a tensor ``([channels,] height, width)`` with 1, 2 (gray and alpha), 3
            or 4 (with alpha) channels. Integers of any size are from 0 to 255, floats from 0 to 1.
        min_size: The minimum width and height that are needed, in pixels. A larger JPEG is decoded at a half, a
            quarter or an eighth of its size where that still has twice as many pixels per side, as in Pillow's
            ``thumbnail``; that is several times as fast.
        name: The name of the image in messages; by default its path.

    Raises:
        BadImageError: If it cannot be decoded.
        DownloadError: If a URL cannot be fetched.
        DataError: If there is no such file, the image is larger than Pillow allows, or it is of another type.

    Example:
        >>> image = open_image(np.zeros((4, 6), dtype=np.uint8))
        >>> image.mode, image.size
        ('RGB', (6, 4))
    """
    if isinstance(source, str | Path):
        return decode(local_path(source), min_size, name or str(source))
    if isinstance(source, Image.Image):
        return upright_rgb(source, name or "an image in memory")
    if isinstance(source, Tensor):
        return image_of_array(_tensor_to_array(source), name or "a tensor")
    if isinstance(source, np.ndarray):
        return image_of_array(source, name or "an array")
    if isinstance(source, bytes):
        return decode(io.BytesIO(source), min_size, name or "an image in memory")
    if isinstance(source, Mapping) and {"bytes", "path"} & set(source):
        inside = source.get("bytes") or source.get("path")
        if inside is not None:
            return open_image(inside, min_size, name)
    raise DataError(
        f"Expected an image: a path, bytes, a PIL image, an array or a tensor, but got {type(source).__name__}"
        f"{f' for {name}' if name else ''}."
    )


def thumbnail(source: ImageSource, name: str | None = None, most: int = 512) -> npt.NDArray[np.uint8]:
    """Open an image for a person to look at, shrunk if it is larger.

    Args:
        source: As in :func:`open_image`.
        name: The name of the image in messages.
        most: The maximum width and height in pixels.

    Returns:
        The image, shape ``(height, width, 3)``.

    Example:
        >>> thumbnail(np.zeros((100, 200), dtype=np.uint8), most=50).shape
        (25, 50, 3)
    """
    image = open_image(source, (most // 2, most // 2), name)
    image.thumbnail((most, most))
    return np.array(image)


# ---------------------------------------------------------------------- arrays


def _tensor_to_array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    if tensor.ndim == 3:
        tensor = tensor.permute(1, 2, 0)
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy()


def load_into_memory(sources: Sequence[Any]) -> None:
    """Load PIL images that still refer to an open file, which several workers must not read concurrently.

    A damaged image is skipped here; using it raises an error that names it.

    Args:
        sources: Image sources; only lists and tuples are searched.
    """
    for source in sources if isinstance(sources, list | tuple) else ():
        if isinstance(source, Image.Image) and getattr(source, "fp", None) is not None:
            with contextlib.suppress(Exception):
                source.load()
