"""Images from files and from memory, as upright 8-bit RGB images."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from flash.data.files import local_path
from flash.errors import DataError

__all__ = ["BadImageError", "ImageSource", "check_upload", "load_into_memory", "open_image", "thumbnail"]

#: The types of an image: a path, the bytes of a file, a PIL image, an array ``(height, width[, channels])``, a tensor
#: ``([channels,] height, width)``, or a Hugging Face dict of ``bytes`` and ``path``.
ImageSource = str | Path | bytes | Image.Image | np.ndarray | Tensor | Mapping[str, Any]
_Array = npt.NDArray[Any]

# Pillow would also read PostScript, which it passes to an interpreter: untrusted files must not execute code.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000", "MPO", "DIB", "ICO", "PCX", "TGA")
# A stranger's image of more pixels is refused before it is decoded: a file of some kilobytes may hold them. Photos of
# the largest cameras in phones have as many.
_MAX_UPLOADED_PIXELS = 50_000_000
# A 16-bit image without a value of this is nearly black: its values have 12 bits or fewer.
_DARK = 1 << 12
_EIGHT_OF = {
    8: "np.asarray(image).astype(np.uint8)",
    10: "(np.asarray(image) >> 2).astype(np.uint8)",
    12: "(np.asarray(image) >> 4).astype(np.uint8)",
}
_ORIENTATION = 0x0112
_EXIF_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(DataError):
    """An image that cannot be decoded: truncated, empty, or not an image."""


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
        return _from_file(local_path(source), min_size, name or str(source))
    if isinstance(source, Image.Image):
        return _upright_rgb(source, name or "an image in memory")
    if isinstance(source, Tensor):
        return _from_array(_tensor_to_array(source), name or "a tensor")
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "an array")
    if isinstance(source, bytes):
        return _from_file(io.BytesIO(source), min_size, name or "an image in memory")
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


def check_upload(content: bytes) -> None:
    """Reject an image from a stranger by its first bytes, without decoding it.

    Args:
        content: The bytes of the file.

    Raises:
        BadImageError: If they are no image.
        DataError: If the image has more than 50 million pixels.

    Example:
        >>> check_upload(b"no image")
        Traceback (most recent call last):
        flash.image.read.BadImageError: Expected an image, but the upload is of no format that can be read (...
    """
    file = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=_formats()) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise _too_large("more") from error
    # As in decoding: nearly any error.
    except Exception as error:
        raise BadImageError(f"Expected an image, but the upload {_problem(file, error)}. Send another file.") from error
    if width * height > _MAX_UPLOADED_PIXELS:
        raise _too_large(f"{width:,} x {height:,}")


def _too_large(got: str) -> DataError:
    return DataError(
        f"Expected an image of at most {_MAX_UPLOADED_PIXELS:,} pixels, but the upload has {got}. Make it smaller."
    )


# ---------------------------------------------------------------------- files


def _from_file(file: str | Path | io.BytesIO, min_size: tuple[int, int] | None, name: str) -> Image.Image:
    try:
        with Image.open(file, formats=_formats()) as image:
            if min_size is not None:
                image.draft(None, (2 * min_size[0], 2 * min_size[1]))
            return _upright_rgb(image, name)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"Expected an image at {name}, but there is no such file. Check the path.") from error
    except (PermissionError, IsADirectoryError) as error:
        raise DataError(f"Expected an image at {name}, but it cannot be read: {error.strerror}.") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"Expected an image of at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels, but {name} has more. Make it "
            "smaller; or, if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS."
        ) from error
    # For damaged files, Pillow's decoders raise errors of nearly any type.
    except Exception as error:
        raise BadImageError(
            f"Expected an image, but {name} {_problem(file, error)}. Replace or remove it; data "
            'modules take on_bad_sample="skip" to leave such files out.'
        ) from error


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _problem(file: str | Path | io.BytesIO, error: Exception) -> str:
    start = file.getvalue()[:16] if isinstance(file, io.BytesIO) else _first_bytes(Path(file))
    if not start:
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return f"is of no format that can be read (it starts with {start!r})"
    return f"cannot be decoded ({error or type(error).__name__})"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


# ---------------------------------------------------------------------- colors and orientation


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    rgb = image if image.mode == "RGB" and not image.has_transparency_data else _to_rgb(image, name)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    # Parsing EXIF is slow, and most files have none.
    if image.format != "TIFF" and not _EXIF_KEYS & image.info.keys():
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    # A damaged EXIF block does not make the image unusable.
    except Exception:
        return 1


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_array(_sixteen_to_eight(image), name)
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        background = Image.new("RGB", image.size, "white")
        background.paste(with_alpha, mask=with_alpha.getchannel("A"))
        return background
    return image.convert("RGB")


def _sixteen_to_eight(image: Image.Image) -> _Array:
    values = np.asarray(image)
    if image.mode == "F":
        return values
    # Older versions of Pillow open 16-bit PNG files in the 32-bit mode, and all versions those of PPM.
    if image.mode.startswith("I;16") or image.format in ("PNG", "PPM") or 255 < values.max() <= 65535:
        _warn_of_darkness(int(values.max()))
        return (values >> 8).astype(np.uint8)
    return values


def _warn_of_darkness(highest: int) -> None:
    """Warn of 16-bit images that are nearly black; without their names, so that the warning is shown once."""
    if 0 < highest < _DARK:
        bits = next(bits for bits in (8, 10, 12) if highest < 1 << bits)
        warnings.warn(
            f"Expected 16-bit images to use their range, 0 to 65535, but got one whose values have {bits} bits: it "
            f"becomes nearly black, with at most {1 << bits >> 8} of 256 levels of gray. If the camera or microscope "
            f"gives {bits} bits, pass arrays: {_EIGHT_OF[bits]}.",
            stacklevel=2,
        )


# ---------------------------------------------------------------------- arrays


def _tensor_to_array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    if tensor.ndim == 3:
        tensor = tensor.permute(1, 2, 0)
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy()


def _from_array(array: _Array, name: str) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or array.size == 0:
        raise DataError(
            f"Expected {name} as an array (height, width[, channels]) or a tensor ([channels,] height, width), with 1 "
            f"to 4 channels, but its height, width and channels are {array.shape}."
        )
    values = np.ascontiguousarray(_eight_bits(array, name))
    image = Image.fromarray(values[..., 0] if array.ndim == 3 and channels == 1 else values)
    return image if image.mode == "RGB" else _to_rgb(image, name)


def _eight_bits(array: _Array, name: str) -> Any:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * 255
    low, high = (array.min(), array.max()) if kind in "iuf" else (-1, -1)
    if kind == "f" and low >= 0 and high <= 1:
        return np.rint(array * 255).astype(np.uint8)
    # Not by the values of one image: a dark one of 16 bits, or of floats up to 255, would be read unlike the others.
    if kind in "iu" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise DataError(
        f"Expected {name} to hold integers from 0 to 255, or floats from 0 to 1, but got {array.dtype} from {low} to "
        f"{high}. {_how_to_scale(kind, low, high)}"
    )


def _how_to_scale(kind: str, low: Any, high: Any) -> str:
    if kind in "iu" and low >= 0 and high <= 65535:
        bits = next(bits for bits in (10, 12, 14, 16) if high < 1 << bits)
        return f"If its values have {bits} bits, convert all images alike: (array >> {bits - 8}).astype('uint8')."
    if kind == "f" and low >= 0 and high <= 255:
        return "If its values are from 0 to 255, convert all images alike: array.astype('uint8')."
    return "Scale all images alike to this range, such as by (array - lowest) / (highest - lowest)."


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
