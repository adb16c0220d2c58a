"""Masks of COCO files: polygons and run lengths of objects, drawn when they are needed; and panoptic segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from flash.data.files import FileInputs
from flash.data.messages import show, show_some
from flash.data.stage import Stage, Stages
from flash.errors import DataError

from ..detection.coco import CocoImage, is_pair, read_annotations
from ..detection.exif import upright_size
from .panoptic import PanopticMask

__all__ = ["BACKGROUND", "CocoMask", "coco_inputs"]

#: The name of the class of pixels without an object.
BACKGROUND = "background"
_Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CocoMask:
    """The objects of an image, which become a mask.

    Args:
        size: Width and height of the mask.
        classes: The class index of each object, from 1.
        shapes: For each object its ``segmentation`` in the file: polygons, or a dict of ``counts`` and ``size``.
        name: The name of the image in messages.

    Example:
        >>> CocoMask((4, 2), (1,), ([[0, 0, 2, 0, 2, 2, 0, 2]],), "photo.jpg").draw().tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0]]
    """

    size: tuple[int, int]
    classes: tuple[int, ...]
    shapes: tuple[Any, ...] = field(repr=False)
    name: str

    def draw(self) -> npt.NDArray[np.uint8]:
        """Return the mask, shape ``(height, width)``; larger objects are drawn first.

        Raises:
            DataError: If a shape is malformed.
        """
        drawn = self.draw_each()
        mask = np.zeros(self.size[::-1], np.uint8)
        for place in sorted(range(len(drawn)), key=lambda each: -int(drawn[each].sum())):
            mask[drawn[place]] = self.classes[place]
        return mask

    def draw_each(self) -> list[_Bits]:
        """Return the pixels of each object, shape ``(height, width)``.

        Raises:
            DataError: If a shape is malformed.
        """
        return [self._bits(shape) for shape in self.shapes]

    def _bits(self, shape: Any) -> _Bits:
        width, height = self.size
        if isinstance(shape, dict):
            counts = shape.get("counts")
            lengths: Any = _decoded(counts) if isinstance(counts, str | bytes) else counts
            are_lengths = isinstance(lengths, list) and all(type(each) is int and each >= 0 for each in lengths)
            if shape.get("size") != [height, width] or not are_lengths or sum(lengths) != width * height:
                raise self._malformed(shape)
            values = np.arange(len(lengths)) % 2 == 1
            runs: _Bits = np.repeat(values, lengths).reshape(width, height).T
            return runs
        if not isinstance(shape, list):
            raise self._malformed(shape)
        polygons = shape if shape and isinstance(shape[0], list) else [shape] if shape else []
        bits = np.zeros((height, width), np.bool_)
        for polygon in polygons:
            # Fewer corners have no area; tools write them.
            if _is_polygon(polygon) and len(polygon) < 6:
                continue
            if not _is_polygon(polygon):
                raise self._malformed(polygon)
            corners = np.clip(np.array(polygon, np.float64).reshape(-1, 2), 0, self.size)
            (found,) = coco_mask.frPyObjects([corners.ravel().tolist()], height, width)
            bits |= coco_mask.decode(found).astype(np.bool_)
        return bits

    def _malformed(self, shape: Any) -> DataError:
        return DataError(
            f"Expected the segmentation of each object to be polygons [x, y, x, y, ...], or run lengths of its image, "
            f"{self.size[0]} x {self.size[1]} pixels, but {self.name} has {show(shape)}. Export it again as COCO."
        )


def _is_polygon(polygon: Any) -> bool:
    is_even = isinstance(polygon, list) and len(polygon) % 2 == 0
    return is_even and all(
        isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each) for each in polygon
    )


def _decoded(text: str | bytes) -> list[int] | None:
    """Return the run lengths in COCO's compressed form, a variable-length code; ``None`` if it is malformed."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode("latin-1", "replace") if isinstance(text, str) else text:
        part = letter - 48
        if not 0 <= part < 64 or shift > 35:
            return None
        value |= (part & 31) << shift
        shift += 5
        if part & 32:
            continue
        if part & 16:
            value -= 1 << shift
        # From the third on, a length is the difference to the one before the last.
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    return None if shift else lengths


def coco_inputs(
    stages: Stages[tuple[Any, Any, Any]], labels: Sequence[Any] | None, known: Sequence[Any] | None, unlabeled: int
) -> tuple[Stages[Any], Sequence[Any] | None]:
    """Return the images and masks of each stage, and the names of the classes.

    Args:
        stages: The folder of images, the COCO file, and the folder of masks of a panoptic file of each stage.
        labels: The names of the classes, without the background of objects; by default those of the first file.
        known: All classes of a task that was trained, in place of ``labels``.
        unlabeled: The value of pixels without a segment in masks of panoptic files.

    Raises:
        DataError: If a folder is without its file, an object is of an unknown category, or files are of several kinds.
    """
    first: bool | None = None

    def read(stage: Stage, given: tuple[Any, Any, Any]) -> FileInputs | None:
        nonlocal known, first
        folder, ann_file, mask_folder = given
        if not is_pair(stage.value, folder, ann_file):
            return None
        images, names, _ = read_annotations(folder, ann_file, "segmentation", panoptic=True, mask_folder=mask_folder)
        is_panoptic = images[0].mask is not None
        if mask_folder is not None and not is_panoptic:
            raise DataError(
                f"Expected {stage.value}_target_folder together with a panoptic file, whose masks are in it, but "
                f"{ann_file} has the shapes of objects. Leave it out."
            )
        first = is_panoptic if first is None else first
        if known is None:
            named = names if labels is None else labels
            known = list(named) if is_panoptic else [BACKGROUND, *named]
        if first != is_panoptic or not (is_panoptic or known[0] == BACKGROUND):
            raise DataError(
                "Expected the COCO files of all data to be of one kind, objects on a background or panoptic segments, "
                f"but {ann_file} of the {stage.value} data is not of the kind of the first. Pass files of one kind."
            )
        # The background is no category of objects.
        index = {name: place for place, name in enumerate(known) if is_panoptic or place}
        masks = [_mask_of(image, index, stage.value, unlabeled) for image in images]
        return FileInputs([image.path for image in images], masks)

    return stages.map(read), known


def _mask_of(image: CocoImage, index: dict[Any, int], stage: str, unlabeled: int) -> CocoMask | PanopticMask:
    unknown = next((label for label in image.labels if label not in index), None)
    if unknown is not None:
        raise DataError(
            f"Expected the categories of objects in the {stage} data to be among {show_some(list(index))}, but "
            f"{image.path} has {show(unknown)}. Name all classes: labels=[...]."
        )
    if image.mask is not None:
        pairs = zip(image.annotations, image.labels, strict=True)
        classes = {segment["id"]: index[label] for segment, label in pairs}
        return PanopticMask(image.mask, classes, unlabeled, str(image.path))
    size = image.size or upright_size(Path(image.path))
    if size is None:
        raise DataError(
            f"Expected width and height of {image.path} in its COCO file, but they are missing, and the image cannot "
            "be read. Add them."
        )
    shapes = tuple(each["segmentation"] for each in image.annotations)
    return CocoMask(size, tuple(index[label] for label in image.labels), shapes, str(image.path))
