"""Masks: pixel values of a file or an array, and the classes that they stand for."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from flash.data.files import local_path
from flash.data.messages import show, show_some
from flash.errors import ConfigurationError, DataError
from flash.serialization import made_from

from ..encoder import BadImageError, formats, problem_of
from .coco import CocoMask
from .dataset import DatasetSample
from .panoptic import PanopticMask

__all__ = ["IGNORED", "MAX_CLASSES", "LabelsMap", "MaskTargets", "Value", "read_mask", "upright_mask"]

log = logging.getLogger(__name__)

#: What stands for a pixel that never counts, in masks of class indices.
IGNORED = 255
#: The greatest number of classes, whose indices are 8-bit integers.
MAX_CLASSES = 254
_UNKNOWN = 254
_MAX_VALUE = 65535
_LOSSY = ("JPEG", "MPO")

#: The value of a class in the masks of the data: a number, or a color ``(red, green, blue)`` of integers from 0 to 255.
Value: TypeAlias = int | tuple[int, int, int]
#: The value of each class by its name.
LabelsMap: TypeAlias = Mapping[Any, Value]
Mask = npt.NDArray[Any]


def read_mask(source: Any, name: str, colors: bool = False) -> Mask:
    """Return the values of a mask.

    Args:
        source: A path, the bytes of a file, a PIL image, an array ``(height, width[, 3])`` or a tensor ``([1 or 3,]
            height, width)``.
        name: The name of the mask in messages.
        colors: Whether classes are colors: a palette is then looked up. Otherwise its indices are the values.

    Returns:
        Integers of shape ``(height, width)``, or with ``colors`` of shape ``(height, width, 3)``.

    Raises:
        DataError: If it cannot be decoded, holds floats, has another shape, or there is no such file.

    Example:
        >>> read_mask(np.array([[0, 1], [2, 255]]), "a mask")
        array([[  0,   1],
               [  2, 255]])
    """
    if isinstance(source, DatasetSample):
        source = source.read()[1]
    if isinstance(source, CocoMask):
        return source.draw()
    if isinstance(source, PanopticMask):
        return source.decode(read_mask(source.path, str(source.path), colors=True))
    if isinstance(source, Mapping) and {"bytes", "path"} & set(source):
        source = source.get("bytes") or source.get("path")
    if isinstance(source, str | Path | bytes):
        source = _opened(source, name)
    if isinstance(source, Image.Image):
        return _checked(_values_of(source, colors), name, colors)
    if isinstance(source, Tensor):
        array = source.detach().cpu().numpy()
        return _checked(array.transpose(1, 2, 0) if array.ndim == 3 else array, name, colors)
    if isinstance(source, np.ndarray | list):
        return _checked(np.asarray(source), name, colors)
    raise DataError(
        f"Expected a mask: a path, bytes, a PIL image, an array or a tensor, but {name} is {type(source).__name__}."
    )


def _opened(source: str | Path | bytes, name: str) -> Image.Image:
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else local_path(source)
    try:
        with Image.open(file, formats=formats()) as image:
            if image.format in _LOSSY:
                raise DataError(
                    f"Expected masks in a format without loss, such as PNG, but {name} is a JPEG, whose values are not "
                    "those that were written. Export the masks again as PNG."
                )
            image.load()
            opened: Image.Image = image
        return opened
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"Expected a mask at {name}, but there is no such file. Check the path.") from error
    # For damaged files, Pillow's decoders raise errors of nearly any type.
    except Exception as error:
        raise BadImageError(
            f"Expected a mask, but {name} {problem_of(file, error)}. Replace or remove it; data modules take "
            'on_bad_sample="skip" to leave such files out.'
        ) from error


def _values_of(image: Image.Image, colors: bool) -> Mask:
    if colors and image.mode != "RGB":
        return np.asarray(image.convert("RGB"))
    if image.mode in ("RGBA", "LA", "PA"):
        return np.asarray(image)[..., :-1].squeeze()
    return np.asarray(image)


def _checked(values: Mask, name: str, colors: bool) -> Mask:
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.dtype.kind not in "iu":
        raise DataError(
            f"Expected masks of whole numbers, the class of each pixel, but {name} holds {values.dtype}. Convert it: "
            "mask.astype('uint8'), or probabilities by their argmax."
        )
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if not colors and values.ndim == 3 and values.shape[2] == 3:
        # Gray that a tool has written three times.
        if not ((values[..., 0] == values[..., 1]).all() and (values[..., 0] == values[..., 2]).all()):
            raise DataError(
                f"Expected masks of numbers, but {name} has colors, such as "
                f"{_color_of(values[_first(values[..., 0] != values[..., 1], values[..., 0] != values[..., 2])])}. "
                "Name them: labels_map={'road': (128, 64, 128), ...}."
            )
        values = values[..., 0]
    wanted = 3 if colors else 2
    if values.ndim != wanted or (colors and values.shape[2] != 3) or not values.size:
        shape = "(height, width, 3), the color of each pixel" if colors else "(height, width), the class of each pixel"
        raise DataError(f"Expected masks of shape {shape}, but {name} has the shape {values.shape}.")
    return values


def _first(*wrong: Mask) -> tuple[int, ...]:
    """Return the first place where one of several masks is true."""
    return tuple(int(each) for each in np.argwhere(np.logical_or.reduce(wrong))[0])


def _color_of(pixel: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in pixel)


def upright_mask(mask: Mask, size: tuple[int, int], orientation: int, name: str) -> Mask:
    """Return a mask in the orientation of its upright image.

    Masks are drawn either on the upright image or on the one that a camera stored sideways; their size shows which.

    Args:
        mask: Shape ``(height, width, ...)``.
        size: Width and height of the upright image.
        orientation: The orientation of the image in EXIF, 1 (upright) to 8.
        name: The name of the image in messages.

    Raises:
        DataError: If the mask has another size than the image.

    Example:
        >>> upright_mask(np.array([[1, 2]]), (1, 2), 6, "photo.jpg").tolist()
        [[1], [2]]
    """
    height, width = mask.shape[:2]
    if (width, height) == size:
        return mask
    if (height, width) != size or orientation < 5:
        raise DataError(
            f"Expected a mask of the size of its image, {size[0]} x {size[1]} pixels, but that of {name} is {width} x "
            f"{height}. Use the image that the mask was drawn on, or resize the mask without interpolation."
        )
    turned = {5: (0, False), 6: (-1, True), 7: (2, False), 8: (1, True)}
    quarters, is_rotation = turned[orientation]
    rotated = np.rot90(mask, quarters)
    return rotated if is_rotation else np.swapaxes(rotated, 0, 1)


# ---------------------------------------------------------------------- classes


@dataclass(frozen=True)
class MaskTargets:
    """The classes of masks, and the values that stand for them.

    Args:
        labels: The names of the classes, in the order of their indices.
        values: The value of each class in masks: a number, or a list of red, green and blue.
        ignore: The value of pixels that never count; ``None`` if there is none.
        counts: The number of train pixels of each class; ``None`` if they were not counted.

    Example:
        >>> targets = MaskTargets.of_map({"sky": (0, 0, 255), "road": (90, 90, 90)}, None)
        >>> targets.encode(np.array([[[90, 90, 90], [0, 0, 255]]]), "a mask", "train")
        array([[1, 0]], dtype=uint8)
    """

    #: What the targets are.
    kind: ClassVar[Literal["classes"]] = "classes"

    labels: list[Any]
    values: list[Any]
    ignore: Any = IGNORED
    counts: list[int] | None = None

    @classmethod
    def of_map(cls, labels_map: LabelsMap, ignore: Any) -> MaskTargets:
        """Return the classes that a map names.

        Args:
            labels_map: The value of each class by its name, in the order of their indices.
            ignore: The value of pixels that never count.

        Raises:
            ConfigurationError: If there are too few or too many classes, or values of several kinds, or one twice.
        """
        values = [_plain_value(value, f"labels_map[{name!r}]") for name, value in labels_map.items()]
        are_colors = {isinstance(value, list) for value in values}
        if len(are_colors) > 1:
            raise ConfigurationError(
                "Expected labels_map to hold colors or numbers, but got both. Write colors: (red, green, blue) each."
            )
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ConfigurationError(
                f"Expected one value per class in labels_map, but {twice} is there twice. Join the two classes."
            )
        _check_count(len(values), "labels_map")
        return cls(list(labels_map), values, None if ignore is None else _plain_value(ignore, "ignore_index"))

    @classmethod
    def of_labels(cls, labels: Sequence[Any], ignore: Any) -> MaskTargets:
        """Return classes whose values are their indices."""
        _check_count(len(labels), "labels")
        ignored = None if ignore is None else _plain_value(ignore, "ignore_index")
        return cls(list(labels), list(range(len(labels))), ignored)

    @classmethod
    def learn(cls, masks: Iterable[Mask], ignore: Any) -> MaskTargets:
        """Return the classes of train masks of numbers: from 0 to the highest.

        Args:
            masks: Shape ``(height, width)`` each.
            ignore: The value of pixels that never count.

        Raises:
            DataError: If there are too few or too many classes, or a value is negative.
        """
        counts = _counted(masks, ignore)
        highest = int(counts.nonzero()[0].max(initial=-1))
        found = [int(value) for value in counts.nonzero()[0]]
        if len(found) < 2:
            hint = f" {ignore} is ignored: pass ignore_index=None if it is a class." if ignore is not None else ""
            raise DataError(
                f"Expected masks with at least two classes in the train data, but all pixels that count are "
                f"{found[0] if found else 'ignored'}.{hint}"
            )
        if highest >= MAX_CLASSES:
            raise DataError(
                f"Expected at most {MAX_CLASSES} classes, from 0, in the masks of the train data, but the highest "
                f"value is {highest}, of {len(found)} different ones. Name the values that are classes: "
                f"labels_map={{'background': {found[0]}, 'object': {found[-1]}, ...}}."
            )
        missing = [value for value in range(highest) if not counts[value]]
        if missing:
            log.warning(
                "The train masks have the values %s: %d classes, of which %s have no pixel. If classes are missing by "
                "intent, name the others: labels_map={'background': %d, 'object': %d, ...}.",
                show_some(found),
                highest + 1,
                show_some(missing),
                found[0],
                found[-1],
            )
        numbers = list(range(highest + 1))
        return cls(numbers, list(numbers), ignore, [int(each) for each in counts[: highest + 1]])

    def counted(self, masks: Iterable[Mask]) -> MaskTargets:
        """Return the same with the number of pixels of each class.

        Args:
            masks: Encoded masks.
        """
        counts = _counted(masks, IGNORED)
        return MaskTargets(self.labels, self.values, self.ignore, [int(each) for each in counts[: len(self.labels)]])

    @property
    def are_colors(self) -> bool:
        """True if the values are colors."""
        return bool(self.values) and isinstance(self.values[0], list)

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """A color for each class: its own, or that of Pascal VOC for its index."""
        if self.are_colors:
            return [(red, green, blue) for red, green, blue in self.values]
        return [voc_color(place) for place in range(len(self.labels))]

    def encode(self, values: Mask, name: str, stage: str) -> npt.NDArray[np.uint8]:
        """Return the class index of each pixel, and :data:`IGNORED` where it does not count.

        Args:
            values: The mask, as :func:`read_mask` returns it.
            name: The name of the mask in messages.
            stage: The stage of the mask in messages.

        Raises:
            DataError: If a value is no class.
        """
        if self.are_colors:
            codes = (values[..., 0].astype(np.int32) << 16) | (values[..., 1].astype(np.int32) << 8) | values[..., 2]
            ignore = None if self.ignore is None or not isinstance(self.ignore, list) else tuple(self.ignore)
            table = _table(tuple(map(tuple, self.values)), ignore)
        else:
            codes = values
            if isinstance(self.ignore, int) and not 0 <= self.ignore <= _MAX_VALUE:
                codes = np.where(values == self.ignore, _MAX_VALUE, values)
            table = _table(tuple(self.values), self.ignore if isinstance(self.ignore, int) else None)
        outside = codes.dtype != np.uint8 and (int(codes.min()) < 0 or int(codes.max()) >= len(table))
        encoded: npt.NDArray[np.uint8] = table.take(np.clip(codes, 0, len(table) - 1) if outside else codes)
        wrong = (codes < 0) | (codes >= len(table)) | (encoded == _UNKNOWN) if outside else encoded == _UNKNOWN
        if wrong.any():
            raise self._unknown(values, wrong, name, stage)
        return encoded

    def _unknown(self, values: Mask, wrong: Mask, name: str, stage: str) -> DataError:
        place = _first(wrong)
        got = _color_of(values[place]) if self.are_colors else int(values[place])
        known = [tuple(value) for value in self.values] if self.are_colors else self.values
        where = f"{int(wrong.sum()):,} pixels, such as that of row {place[0]} and column {place[1]}"
        what = "colors" if self.are_colors else "values"
        return DataError(
            f"Expected the {what} of masks in the {stage} data to be those of the classes, {show_some(known)}, but "
            f"{name} has {got} in {where}. Correct the mask, name all classes in labels_map, or pass it as "
            "ignore_index."
        )

    def facts(self) -> dict[str, Any]:
        """Return the facts about the masks that a task needs."""
        counts = {} if self.counts is None else {"class_counts": self.counts}
        return {"num_classes": len(self.labels), "labels": list(self.labels), **counts}

    def to_serializable(self) -> dict[str, Any]:
        """Return the state as serializable values, for a checkpoint."""
        counts = {} if self.counts is None else {"counts": self.counts}
        return {"labels": self.labels, "values": self.values, "ignore": self.ignore, **counts}

    @classmethod
    def from_serializable(cls, plain: Mapping[str, Any]) -> MaskTargets:
        """Restore an object from the result of :meth:`to_serializable`."""
        return made_from(cls, plain)


def voc_color(index: int) -> tuple[int, int, int]:
    """Return the color of a class in the masks of Pascal VOC.

    Example:
        >>> voc_color(0), voc_color(1), voc_color(15)
        ((0, 0, 0), (128, 0, 0), (192, 128, 128))
    """
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return color[0], color[1], color[2]


@lru_cache(maxsize=8)
def _table(values: tuple[Any, ...], ignore: Any) -> npt.NDArray[np.uint8]:
    """Return the class index of each possible value."""
    codes = [_code(value) for value in values]
    size = 1 << 24 if isinstance(values[0], tuple) else _MAX_VALUE + 1
    table = np.full(size, _UNKNOWN, np.uint8)
    if ignore is not None:
        table[_code(ignore) if not isinstance(ignore, int) or 0 <= ignore <= _MAX_VALUE else _MAX_VALUE] = IGNORED
    table[codes] = np.arange(len(codes), dtype=np.uint8)
    return table


def _code(value: Any) -> int:
    if isinstance(value, int):
        return value
    red, green, blue = value
    return int(red) << 16 | int(green) << 8 | int(blue)


def _counted(masks: Iterable[Mask], ignore: Any) -> npt.NDArray[np.int64]:
    counts = np.zeros(_MAX_VALUE + 1, np.int64)
    for mask in masks:
        flat = mask.ravel()
        if isinstance(ignore, int) and not 0 <= ignore <= _MAX_VALUE:
            flat = flat[flat != ignore]
        if flat.size and (int(flat.min()) < 0 or int(flat.max()) > _MAX_VALUE):
            wrong = int(flat.min()) if int(flat.min()) < 0 else int(flat.max())
            raise DataError(
                f"Expected masks of classes from 0 to {MAX_CLASSES - 1} in the train data, but one has the value "
                f"{wrong}. Pass ignore_index={wrong} if it never counts."
            )
        found = np.bincount(flat)
        counts[: len(found)] += found
    if isinstance(ignore, int) and 0 <= ignore <= _MAX_VALUE:
        counts[ignore] = 0
    return counts


def _plain_value(value: Any, what: str) -> Any:
    """Return a number, or a color as a list."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, list | tuple) and len(value) == 3 and all(_is_byte(each) for each in value):
        return [int(each) for each in value]
    raise ConfigurationError(
        f"Expected {what} to be a number, or a color (red, green, blue) of integers from 0 to 255, but got "
        f"{show(value)}."
    )


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _check_count(count: int, argument: str) -> None:
    if not 2 <= count <= MAX_CLASSES:
        raise ConfigurationError(f"Expected {argument} to name 2 to {MAX_CLASSES} classes, but got {count}.")


def to_tensor(mask: npt.NDArray[np.uint8]) -> Tensor:
    """Return an encoded mask as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(mask))
