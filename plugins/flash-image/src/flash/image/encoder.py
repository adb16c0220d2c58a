"""Open and resize images as the inputs of a network, as :class:`~flash.image.preprocess.ImagePreprocess` does.

An exported folder has a copy of this file, which therefore needs nothing but numpy and Pillow.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from flash.errors import DataError

__all__ = [
    "BadImageError",
    "batches",
    "center_crop",
    "check_upload",
    "decode",
    "encode_samples",
    "formats",
    "image_of_array",
    "problem_of",
    "resized_center",
    "results",
    "run",
    "run_lengths",
    "upright_rgb",
]

_Array = npt.NDArray[Any]

# Pillow would also read PostScript, which it passes to an interpreter: untrusted files must not execute code.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000", "MPO", "DIB", "ICO", "PCX", "TGA")
# A 16-bit image without a value of this is nearly black: its values have 12 bits or fewer.
_DARK = 1 << 12
_EIGHT_OF = {
    8: "np.asarray(image).astype(np.uint8)",
    10: "(np.asarray(image) >> 2).astype(np.uint8)",
    12: "(np.asarray(image) >> 4).astype(np.uint8)",
}
# A stranger's image of more pixels is refused before it is decoded: a file of some kilobytes may hold them. Photos of
# the largest cameras in phones have as many.
_MAX_UPLOADED_PIXELS = 50_000_000
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


# ---------------------------------------------------------------------- files


def decode(file: str | Path | io.BytesIO, min_size: tuple[int, int] | None, name: str) -> Image.Image:
    """Decode a file, rotate it upright and convert it to RGB.

    Args:
        file: The path, or the bytes in memory.
        min_size: The minimum width and height that are needed; see :func:`flash.image.open_image`.
        name: The name of the image in messages.

    Raises:
        BadImageError: If it cannot be decoded.
        DataError: If there is no such file, or the image is larger than Pillow allows.
    """
    try:
        with Image.open(file, formats=formats()) as image:
            if min_size is not None:
                image.draft(None, (2 * min_size[0], 2 * min_size[1]))
            return upright_rgb(image, name)
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
            f"Expected an image, but {name} {problem_of(file, error)}. Replace or remove it; data "
            'modules take on_bad_sample="skip" to leave such files out.'
        ) from error


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that are read, without those that may execute code."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def problem_of(file: str | Path | io.BytesIO, error: Exception) -> str:
    """Return why a file cannot be decoded, the end of a sentence."""
    start = file.getvalue()[:16] if isinstance(file, io.BytesIO) else _first_bytes(Path(file))
    if not start:
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return f"is of no format that can be read (it starts with {start!r})"
    return f"cannot be decoded ({error or type(error).__name__})"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


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
        flash.image.encoder.BadImageError: Expected an image, but the upload is of no format that can be read (...
    """
    file = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=formats()) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise _too_large("more") from error
    # As in decoding: nearly any error.
    except Exception as error:
        raise BadImageError(
            f"Expected an image, but the upload {problem_of(file, error)}. Send another file."
        ) from error
    if width * height > _MAX_UPLOADED_PIXELS:
        raise _too_large(f"{width:,} x {height:,}")


def _too_large(got: str) -> DataError:
    return DataError(
        f"Expected an image of at most {_MAX_UPLOADED_PIXELS:,} pixels, but the upload has {got}. Make it smaller."
    )


# ---------------------------------------------------------------------- colors and orientation


def upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """Apply the EXIF orientation, blend transparency on white, scale 16 bits to 8, and convert to RGB."""
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
        return image_of_array(_sixteen_to_eight(image), name)
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


def image_of_array(array: _Array, name: str) -> Image.Image:
    """Convert an array ``(height, width[, channels])`` of integers from 0 to 255, or floats from 0 to 1.

    Raises:
        DataError: If it has another shape, or other values.
    """
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


# ---------------------------------------------------------------------- geometry


def resized_center(image: Image.Image, short: int, size: int, resampling: Image.Resampling) -> Image.Image:
    """Resize the shorter side and center-crop in one call, as timm's evaluation transforms do in two.

    Only the pixels of the crop are computed; their values are the same.

    Args:
        image: The image.
        short: The length of the shorter side after resizing, in pixels.
        size: The side of the crop, in pixels, at most ``short``.
        resampling: Pillow's filter.

    Example:
        >>> resized_center(Image.new("RGB", (20, 10)), 8, 8, Image.Resampling.BILINEAR).size
        (8, 8)
    """
    width, height = image.size
    shorter = min(width, height)
    # As torchvision's Resize and CenterCrop round.
    new_width, new_height = int(short * width / shorter), int(short * height / shorter)
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    across, down = width / new_width, height / new_height
    box = (left * across, top * down, min((left + size) * across, width), min((top + size) * down, height))
    return image.resize((size, size), resampling, box)


def center_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """Crop the center, of an image that is at least as large, as torchvision's CenterCrop rounds.

    Example:
        >>> center_crop(Image.new("RGB", (20, 10)), 4, 6).size
        (6, 4)
    """
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


# ---------------------------------------------------------------------- batches


def batches(
    source: str, settings: Mapping[str, Any], reader: Any, batch_size: int
) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield the inputs of batches of images.

    Args:
        source: The path of an image, of a folder of images, or of a table with a column of paths.
        settings: What :meth:`flash.image.preprocess.ImagePreprocess.portable` returns, or that of a detector.
        reader: Its ``read_table(path)`` returns the columns of a delimited file.
        batch_size: Images per batch; a detector gets one at a time, since their sizes differ.

    Yields:
        The paths, and ``input``, uint8, shape ``(images, channels, height, width)``. For a detector ``image`` of shape
        ``(1, 3, height, width)``, and ``score_threshold``, shape ``(1,)``.

    Raises:
        DataError: If there is no image, or one cannot be decoded.
    """
    paths = _paths(source, settings, reader)
    if "score_threshold" in settings:
        for path in paths:
            yield [str(path)], _of_detector(path, settings, str(path))
        return
    for start in range(0, len(paths), batch_size):
        chosen = paths[start : start + batch_size]
        yield (
            [str(path) for path in chosen],
            {"input": np.stack([_encoded(path, settings, str(path)) for path in chosen])},
        )


def _of_detector(file: Path | io.BytesIO, settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    pixels = np.array(decode(file, None, name)).transpose(2, 0, 1)
    threshold = np.array([settings["score_threshold"]], dtype=np.float32)
    return {"image": np.ascontiguousarray(pixels[None]), "score_threshold": threshold}


def encode_samples(
    samples: Sequence[bytes],
    settings: Mapping[str, Any],
    reader: Any,  # noqa: ARG001  # of others
) -> dict[str, Any]:
    """Return what :func:`batches` does for the files of a request; for a detector, of one.

    Args:
        samples: The bytes of each file.
        settings: As for :func:`batches`.
        reader: Not used.
    """
    if "score_threshold" in settings:
        (content,) = samples
        return _of_detector(io.BytesIO(content), settings, "image 0 of the predict data")
    # As the samples of a list are called in Flash.
    images = [
        _encoded(io.BytesIO(content), settings, f"image {place} of the predict data")
        for place, content in enumerate(samples)
    ]
    return {"input": np.stack(images)}


def _paths(source: str, settings: Mapping[str, Any], reader: Any) -> list[Path]:
    path, extensions = Path(source).expanduser(), settings["extensions"]
    if path.is_dir():
        files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
        found = sorted(file for file in files if file.suffix.lower() in extensions and not _is_hidden(file, path))
        if not found:
            raise DataError(f"Expected images in {path}, but it holds none.")
        return found
    if path.suffix.lower() in settings["tables"]:
        column, table = settings["input_field"], reader.read_table(source)
        if column not in table:
            raise DataError(
                f"Expected a column {column!r} of paths in {path}, but it has {', '.join(map(repr, table))}."
            )
        return [path.parent / (cell or "") for cell in table[column]]
    return [path]


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _encoded(file: Path | io.BytesIO, settings: Mapping[str, Any], name: str) -> _Array:
    height, width, resampling = settings["height"], settings["width"], Image.Resampling[settings["resampling"]]
    tall, wide = settings["resized"]
    longest = max(tall, wide)
    image = decode(file, (longest, longest), name)
    if settings["geometry"] == "fused":
        image = resized_center(image, tall, height, resampling)
    elif settings["geometry"] == "shorter":
        shorter = min(image.size)
        image = image.resize((int(tall * image.width / shorter), int(tall * image.height / shorter)), resampling)
        image = center_crop(image, height, width)
    else:
        image = center_crop(image.resize((wide, tall), resampling), height, width)
    pixels = np.array(image.convert("L") if settings["channels"] == 1 else image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


# ---------------------------------------------------------------------- boxes


def run(networks: Mapping[str, Any], inputs: dict[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Run the network; return its outputs with one row per image.

    Args:
        networks: Functions from named arrays to named arrays; ``model``.
        inputs: Those of a batch.
        result: What the task says of its results.
    """
    outputs: dict[str, Any] = networks["model"](inputs)
    # The rows of a detector's outputs are boxes of its one image.
    return {name: array[None] for name, array in outputs.items()} if result["kind"] == "boxes" else outputs


def results(outputs: Mapping[str, Any], result: Mapping[str, Any], _: Any = None) -> list[dict[str, list[Any]]]:
    """Return what was found in each image, best first, as ``task.predict`` does.

    Args:
        outputs: ``boxes``, ``labels`` (from 1) and ``scores`` of each image; and ``masks``, or ``keypoints`` and
            ``keypoint_scores``, if the network finds them.
        result: ``labels``, or ``None``, and ``threshold``, the least score.
    """
    rows = zip(*outputs.values(), strict=True)
    return [_of_image(dict(zip(outputs, row, strict=True)), result) for row in rows]


def _of_image(found: Mapping[str, _Array], result: Mapping[str, Any]) -> dict[str, list[Any]]:
    scores = found["scores"]
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= np.float32(result["threshold"])]
    places = (found["labels"][order] - 1).tolist()
    labels = places if result["labels"] is None else [result["labels"][place] for place in places]
    objects = {"boxes": found["boxes"][order].tolist(), "labels": labels, "scores": scores[order].tolist()}
    if "masks" in found:
        objects["masks"] = [run_lengths(found["masks"][row]) for row in order]
    for name in ("keypoints", "keypoint_scores"):
        if name in found:
            objects[name] = found[name][order].tolist()
    return objects


def run_lengths(mask: _Array) -> dict[str, Any]:
    """Return a mask as COCO's compressed run lengths, as :func:`flash.image.instances.images.encode_masks` does.

    The lengths of runs of zeros and ones take turns, column by column, the first one of zeros. Each, from the fourth on
    less the one before the last, is written as digits of 5 bits, the lowest first; a bit says that another one follows.

    Args:
        mask: Booleans, shape ``(height, width)``.

    Example:
        >>> run_lengths(np.array([[False, True], [False, True]]))
        {'size': [2, 2], 'counts': '22'}
    """
    pixels = mask.T.reshape(-1)
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    edges = np.concatenate([[0] if pixels[0] else [], [0], changes, [pixels.size]]).astype(np.int64)
    lengths = np.diff(edges)
    lengths[3:] -= lengths[1:-2].copy()
    text = []
    for length in lengths.tolist():
        more = True
        while more:
            digit, length = length & 31, length >> 5
            more = length != (-1 if digit & 16 else 0)
            text.append(chr(48 + (digit | 32 if more else digit)))
    return {"size": [int(side) for side in mask.shape], "counts": "".join(text)}
