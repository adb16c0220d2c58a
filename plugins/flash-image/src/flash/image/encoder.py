"""Open and resize images as the inputs of a network, as :class:`~flash.image.preprocess.ImagePreprocess` does.

An exported folder has a copy of this file, which therefore needs nothing but numpy and Pillow.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from flash.errors import DataError

__all__ = [
    "TABLES",
    "BadImageError",
    "batches",
    "best_classes",
    "center_crop",
    "channels_first",
    "check_upload",
    "decode",
    "encode_samples",
    "fit",
    "formats",
    "grid_sides",
    "image_of_array",
    "padded",
    "problem_of",
    "resized_center",
    "results",
    "run",
    "run_lengths",
    "score_factors",
    "tile_places",
    "upright_rgb",
]

_Array = npt.NDArray[Any]
_Network = Callable[[Mapping[str, Any]], Mapping[str, Any]]

#: The suffixes of tables with a column of paths.
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
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
# Sides of images that are cut into tiles are multiples of this, as are the places of tiles: the scores of most networks
# are then at the same places in all tiles.
_GRID = 32
# Scores of all classes at each pixel of a photo are gigabytes: of that many they are computed in parts.
_VALUES_AT_ONCE = 1 << 24
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
        settings: What :meth:`flash.image.preprocess.ImagePreprocess.portable` returns, or that of a detector or of
            segmentation.
        reader: Its ``read_table(path)`` returns the columns of a delimited file.
        batch_size: Images per batch; a detector, and a network of tiles, get one at a time, since their sizes differ.

    Yields:
        The paths, and ``input``, uint8, shape ``(images, channels, height, width)``. For a detector ``image`` of shape
        ``(1, 3, height, width)``, and ``score_threshold``, shape ``(1,)``; for segmentation what :func:`fit` returns.

    Raises:
        DataError: If there is no image, or one cannot be decoded.
    """
    paths = _paths(source, settings, reader)
    batch_size = 1 if settings.get("resize") == "tiles" else batch_size
    if "score_threshold" in settings:
        for path in paths:
            yield [str(path)], _of_detector(path, settings, str(path))
        return
    for start in range(0, len(paths), batch_size):
        chosen = paths[start : start + batch_size]
        names = [str(path) for path in chosen]
        yield names, _inputs([(path, str(path)) for path in chosen], settings)


def _inputs(files: Sequence[tuple[Path | io.BytesIO, str]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of files, each with its name in messages."""
    if "resize" in settings:
        return _stacked([fit(decode(file, None, name), settings) for file, name in files])
    return {"input": np.stack([_encoded(file, settings, name) for file, name in files])}


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
    names = [f"image {place} of the predict data" for place in range(len(samples))]
    return _inputs([(io.BytesIO(content), name) for content, name in zip(samples, names, strict=True)], settings)


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
    return channels_first(image, settings["channels"])


# ---------------------------------------------------------------------- images of masks


def fit(image: Image.Image, settings: Mapping[str, Any]) -> dict[str, _Array]:
    """Return the input of a network of segmentation for one image, and the size of the image.

    Args:
        image: The image.
        settings: ``height``, ``width`` and ``channels`` of the network's images, or of tiles; ``mean`` of each channel;
            ``resampling``, the name of Pillow's filter; ``resize``: ``"squash"``, ``"pad"`` or ``"tiles"``; and
            ``tile_overlap``, the fraction of a tile that the next one covers too.

    Returns:
        ``image``: uint8, shape ``(channels, height, width)``; ``size``: the height and width of the image. Unless it
        fills its input, ``inside``: how many rows and columns of it do. For tiles ``tile``: their height and width, and
        the steps from one to the next.
    """
    sides = (settings["height"], settings["width"])
    channels, mean, resampling = settings["channels"], settings["mean"], Image.Resampling[settings["resampling"]]
    size = np.array([image.height, image.width])
    if settings["resize"] == "squash":
        picture = image if image.size == sides[::-1] else image.resize(sides[::-1], resampling)
        return {"image": channels_first(picture, channels), "size": size}
    if settings["resize"] == "pad":
        factor = min(sides[0] / image.height, sides[1] / image.width)
        rows, columns = (max(1, round(side * factor)) for side in (image.height, image.width))
        pixels = channels_first(image.resize((columns, rows), resampling), channels)
        return {"image": padded(pixels, sides, mean), "size": size, "inside": np.array([rows, columns])}
    steps = [max(1, round(each * (1 - settings["tile_overlap"]) / _GRID)) * _GRID for each in sides]
    return {
        "image": padded(channels_first(image, channels), grid_sides((image.height, image.width), sides), mean),
        "size": size,
        "inside": size.copy(),
        "tile": np.array([*sides, *(min(step, each) for step, each in zip(steps, sides, strict=True))]),
    }


def grid_sides(size: Sequence[int], tile: Sequence[int]) -> list[int]:
    """Return the height and width that an image is padded to before it is cut into tiles.

    Example:
        >>> grid_sides((70, 20), (64, 64))
        [96, 64]
    """
    return [max(each, math.ceil(side / _GRID) * _GRID) for each, side in zip(tile, size, strict=True)]


def padded(pixels: _Array, sides: Sequence[int], mean: Sequence[float]) -> _Array:
    """Return an image with padding of the network's mean color at the bottom and at the right.

    Args:
        pixels: Shape ``(channels, rows, columns)``.
        sides: The height and width to pad to.
        mean: The mean of each channel, of values between 0 and 1.

    Example:
        >>> padded(np.zeros((1, 1, 1), np.uint8), (1, 3), [0.2]).tolist()
        [[[0, 51, 51]]]
    """
    if pixels.shape[1:] == tuple(sides):
        return pixels
    colors = np.rint(np.array(mean, np.float32) * 255).astype(np.uint8)
    canvas: _Array = np.broadcast_to(colors[:, None, None], (len(pixels), *sides)).copy()
    canvas[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return canvas


def channels_first(image: Image.Image, channels: int) -> _Array:
    """Return the pixels of an image, uint8, shape ``(channels, height, width)``, of one channel in gray."""
    pixels = np.array(image.convert("L") if channels == 1 else image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _stacked(samples: Sequence[Mapping[str, _Array]]) -> dict[str, _Array]:
    """Return the inputs of a batch; images of several sizes are padded with zeros, which no network sees."""
    height, width = (max(each["image"].shape[axis] for each in samples) for axis in (1, 2))
    images = [padded(each["image"], (height, width), [0.0] * len(each["image"])) for each in samples]
    return {
        "image": np.stack(images),
        **{name: np.stack([each[name] for each in samples]) for name in samples[0] if name != "image"},
    }


# ---------------------------------------------------------------------- masks


def _scores(network: _Network, inputs: Mapping[str, _Array]) -> list[_Array]:
    """Return the scores of each image without those of its padding, shape ``(classes, rows, columns)``."""
    images = inputs["image"]
    if "tile" in inputs:
        sizes = inputs["inside"].tolist()
        return [_of_tiles(network, *each) for each in zip(images, sizes, inputs["tile"].tolist(), strict=True)]
    scores: list[_Array] = list(network({"image": images})["logits"])
    if "inside" not in inputs:
        return scores
    parts = inputs["inside"] / np.array(images.shape[2:])
    return [_unpadded(each, part) for each, part in zip(scores, parts.tolist(), strict=True)]


def _of_tiles(
    network: _Network,
    image: _Array,
    size: Sequence[int],
    settings: Sequence[int],
) -> _Array:
    """Return the mean of the scores of the tiles that cover a place."""
    tile, steps = settings[:2], settings[2:]
    sides = grid_sides(size, tile)
    places = tile_places(sides, tile, steps)
    total: Any = None
    count: Any = None
    for top, left in places:
        part = np.ascontiguousarray(image[None, :, top : top + tile[0], left : left + tile[1]])
        scores = network({"image": part})["logits"][0]
        if total is None:
            down, across = score_factors(scores.shape[1:], tile, places)
            total = np.zeros((len(scores), sides[0] // down, sides[1] // across), np.float32)
            count = np.zeros(total.shape[1:], np.float32)
        if (down, across) == (1, 1) and scores.shape[1:] != tuple(tile):
            scores = _resized(scores, tile)
        rows = slice(top // down, top // down + scores.shape[1])
        columns = slice(left // across, left // across + scores.shape[2])
        total[:, rows, columns] += scores
        count[rows, columns] += 1
    return _unpadded(total / count, [inside / side for inside, side in zip(size, sides, strict=True)])


def tile_places(sides: Sequence[int], tile: Sequence[int], steps: Sequence[int]) -> list[tuple[int, int]]:
    """Return the top and the left of tiles that cover an image; the last ones end where it does.

    Args:
        sides: The height and width of the image.
        tile: Those of a tile.
        steps: The steps from one tile to the next, down and across.

    Example:
        >>> tile_places((64, 96), (64, 64), (32, 32))
        [(0, 0), (0, 32)]
    """
    tops, lefts = (
        [*range(0, side - each, step), side - each] for side, each, step in zip(sides, tile, steps, strict=True)
    )
    return [(top, left) for top in tops for left in lefts]


def score_factors(scores: Sequence[int], tile: Sequence[int], places: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return how many pixels a score stands for, down and across; 1 unless the scores of all tiles are on one grid.

    Args:
        scores: The rows and columns of the scores of a tile.
        tile: The height and width of a tile.
        places: The tops and lefts of the tiles.

    Example:
        >>> score_factors((16, 16), (64, 64), [(0, 0), (0, 32)]), score_factors((15, 15), (64, 64), [(0, 0)])
        ((4, 4), (1, 1))
    """
    factors = []
    for axis in (0, 1):
        factor, left = divmod(tile[axis], scores[axis])
        is_grid = factor > 0 and not left and all(place[axis] % factor == 0 for place in places)
        factors.append(factor if is_grid and _GRID % factor == 0 and tile[axis] % factor == 0 else 0)
    return (factors[0], factors[1]) if all(factors) else (1, 1)


def _unpadded(scores: _Array, part: Sequence[float]) -> _Array:
    """Return scores of an image alone, without those of the padding, at as many places."""
    for axis, fraction in enumerate(part, 1):
        count = scores.shape[axis]
        scores = _sampled(scores, np.float32(fraction) * (np.arange(count, dtype=np.float32) + 0.5) - 0.5, axis)
    return scores


def _resized(scores: _Array, size: Sequence[int], rows: slice = slice(None)) -> _Array:
    """Return scores in another size, bilinearly interpolated; of some rows of it."""
    for axis, (wanted, chosen) in enumerate(zip(size, (rows, slice(None)), strict=True), 1):
        factor = np.float32(scores.shape[axis]) / np.float32(wanted)
        scores = _sampled(scores, factor * (np.arange(wanted, dtype=np.float32)[chosen] + 0.5) - 0.5, axis)
    return scores


def _sampled(scores: _Array, places: _Array, axis: int) -> _Array:
    """Return scores at fractional places of an axis, bilinearly interpolated."""
    last = scores.shape[axis] - 1
    places = np.clip(places, 0, last).astype(np.float32)
    lower = places.astype(np.int64)
    share = (places - lower).reshape([-1 if each == axis else 1 for each in range(scores.ndim)])
    below, above = scores.take(lower, axis), scores.take(np.minimum(lower + 1, last), axis)
    return np.asarray((1 - share) * below + share * above)


def best_classes(scores: _Array, size: Sequence[int]) -> _Array:
    """Return the class with the highest score at each pixel, uint8, shape ``size``.

    Args:
        scores: Shape ``(classes, rows, columns)``.
        size: Height and width.

    Example:
        >>> best_classes(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), (2, 4)).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    height, width = size
    at_once = max(1, _VALUES_AT_ONCE // (len(scores) * width))
    starts = range(0, height, at_once)
    parts = [_resized(scores, size, slice(start, start + at_once)).argmax(0).astype(np.uint8) for start in starts]
    return np.concatenate(parts)


def _masks(outputs: Mapping[str, Any], result: Mapping[str, Any]) -> list[Any]:
    output = result["output"]
    found: list[Any] = []
    for scores, size in zip(outputs["logits"], outputs["size"].tolist(), strict=True):
        if output in ("labels", "classes", "areas"):
            mask = best_classes(scores, size)
            found.append(mask if output == "labels" else _areas(mask, result["labels"]))
        elif output in ("probabilities", "logits"):
            sized = _resized(scores, size)
            powers = np.exp(sized - sized.max(0))
            found.append(sized if output == "logits" else powers / powers.sum(0))
        else:
            raise DataError(
                f"Expected output to be labels, classes, areas, probabilities, logits or raw, but got {output!r}."
            )
    return [list(each) for each in found] if output == "classes" else found


def _areas(mask: _Array, labels: Sequence[Any]) -> dict[Any, float]:
    """Return the fraction of the pixels of each class in a mask, by its name, largest first."""
    counts = np.bincount(mask.ravel(), minlength=len(labels))
    order = [place for place in np.argsort(-counts, kind="stable").tolist() if counts[place]]
    return {labels[place]: float(counts[place] / mask.size) for place in order}


# ---------------------------------------------------------------------- results


def run(networks: Mapping[str, Any], inputs: dict[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Run the network; return its outputs with one row per image.

    Args:
        networks: Functions from named arrays to named arrays; ``model``.
        inputs: Those of a batch.
        result: What the task says of its results.
    """
    if result["kind"] == "masks":
        return {"logits": _scores(networks["model"], inputs), "size": inputs["size"]}
    outputs: dict[str, Any] = networks["model"](inputs)
    # The rows of a detector's outputs are boxes of its one image.
    return {name: array[None] for name, array in outputs.items()} if result["kind"] == "boxes" else outputs


def results(outputs: Mapping[str, Any], result: Mapping[str, Any], _: Any = None) -> list[Any]:
    """Return what was found in each image, best first, or its mask, as ``task.predict`` does.

    Args:
        outputs: ``boxes``, ``labels`` (from 1) and ``scores`` of each image, and ``masks``, or ``keypoints`` and
            ``keypoint_scores``, if the network finds them; or its ``logits`` and ``size``.
        result: ``labels``, or ``None``, and ``threshold``, the least score; or ``labels`` and the ``output`` of masks.
    """
    if result["kind"] == "masks":
        return _masks(outputs, result)
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
