"""Images with a mask per object: from COCO files, and from arrays, which are kept as run lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from flash.errors import DataError

from ..detection.boxes import AnnotatedImage, read_boxes
from ..detection.coco import CocoImage, crowds_of, read_annotations
from ..detection.exif import upright_size
from ..encoder import run_lengths
from ..segmentation.coco import CocoMask

__all__ = ["SegmentedImage", "boxes_of", "decode_masks", "encode_masks", "read_coco_instances", "read_instances"]

_Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SegmentedImage(AnnotatedImage):
    """An image with boxes, and the shape of the object in each.

    Args:
        shapes: For each box polygons or run lengths, as in COCO files; see
            :class:`~flash.image.segmentation.coco.CocoMask`.
    """

    shapes: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shapes) != len(self.boxes):
            raise DataError(
                f"Expected one mask per object, but {self.name} has {len(self.labels)} objects and {len(self.shapes)} "
                "masks."
            )

    def of_objects(self, kept: Tensor) -> dict[str, Any]:
        """Return what belongs to some of the objects, by the names of the fields."""
        shapes = tuple(shape for shape, keep in zip(self.shapes, kept.tolist(), strict=True) if keep)
        return {**super().of_objects(kept), "shapes": shapes}

    def masks(self) -> list[_Bits]:
        """Return the pixels of each object, shape ``(height, width)`` of the annotated image.

        Raises:
            DataError: If a shape is malformed, or the size of the image is unknown.
        """
        if self.size is None:
            raise DataError(
                f"Expected width and height of {self.name} in its COCO file, but they are missing, and the image "
                "cannot be read. Add them."
            )
        return CocoMask(self.size, (1,) * len(self.shapes), self.shapes, self.name).draw_each()


def read_coco_instances(folder: str | Path, ann_file: str | Path) -> tuple[list[SegmentedImage], list[str]]:
    """Read the images of a folder with the shapes in a COCO file, and the names of the categories.

    Args:
        folder: The folder that the file names of the images are relative to.
        ann_file: The JSON file with ``images``, ``annotations`` and ``categories``.

    Raises:
        DataError: If the file is not a COCO file, refers to a missing image or category, or a shape is malformed.
    """
    found, names, _ = read_annotations(folder, ann_file, "segmentation")
    return [_segmented(image, ann_file) for image in found], names


def _segmented(image: CocoImage, ann_file: str | Path) -> SegmentedImage:
    name = str(image.path)
    size = image.size or upright_size(image.path)
    shapes = tuple(each["segmentation"] for each in image.annotations)
    if all("bbox" in each for each in image.annotations):
        boxes = read_boxes([each["bbox"] for each in image.annotations], "xywh", name)
    else:
        empty = SegmentedImage(
            image.path, torch.zeros(len(shapes), 4), image.labels, size=size, name=name, shapes=shapes
        )
        boxes = boxes_of(empty.masks())
    crowd = crowds_of(image, ann_file)
    return SegmentedImage(image.path, boxes, image.labels, crowd=crowd, size=size, name=name, shapes=shapes)


def read_instances(source: Any, labels: Sequence[Any], masks: Any, name: str) -> SegmentedImage:
    """Return an image with the objects in its masks; those without a pixel are left out.

    Args:
        source: The image, as for :func:`flash.image.read.open_image`.
        labels: The class of each object.
        masks: An array of shape ``(objects, height, width)`` of zeros and ones, or a list of such masks; or one array,
            a PIL image or the path of an image, of shape ``(height, width)``, whose pixels are 0 or the number of the
            object, in ascending order.
        name: The name of the image in messages.

    Raises:
        DataError: If there are not as many masks as labels, or they are of another shape.

    Example:
        >>> numbers = np.array([[0, 1, 1], [2, 2, 0]])
        >>> read_instances(np.zeros((2, 3, 3), np.uint8), ["cat", "dog"], numbers, "photo").boxes
        tensor([[1., 0., 3., 1.],
                [0., 1., 2., 2.]])
    """
    drawn = _masks_of(masks, name)
    size = upright_size(source)
    if len(drawn) != len(labels):
        raise DataError(
            f"Expected one mask per object, but {name} has {len(labels)} labels and {len(drawn)} masks. Pass an empty "
            "list of both for an image without objects."
        )
    if size is not None and len(drawn) and drawn.shape[:0:-1] not in (size, size[::-1]):
        raise DataError(
            f"Expected the masks of {name} to have its size, {size[0]} x {size[1]} pixels, but they have "
            f"{drawn.shape[2]} x {drawn.shape[1]}. Resize neither, or both."
        )
    rows = [row for row, mask in enumerate(drawn) if mask.any()]
    kept = [drawn[row] for row in rows]
    own = (drawn.shape[2], drawn.shape[1]) if len(drawn) else size
    return SegmentedImage(
        source,
        boxes_of(kept),
        tuple(labels[row] for row in rows),
        size=own,
        name=name,
        shapes=tuple(encode_masks(torch.from_numpy(np.array(kept, dtype=np.bool_)))) if kept else (),
    )


def _masks_of(masks: Any, name: str) -> _Bits:
    if isinstance(masks, str | Path | Image.Image):
        try:
            with Image.open(masks) if isinstance(masks, str | Path) else masks as picture:
                array = np.array(picture)
        except (OSError, ValueError) as error:
            raise DataError(f"Expected the masks of {name} in {masks}, but it cannot be read: {error}.") from error
    else:
        try:
            array = np.asarray(masks.cpu() if isinstance(masks, Tensor) else masks)
        except (TypeError, ValueError) as error:
            raise DataError(f"Expected masks of one size for {name}, but got an error: {error}.") from error
    if array.size == 0:
        return np.zeros((0, 1, 1), np.bool_)
    if array.dtype.kind not in "bui" or array.ndim not in (2, 3) or (array.ndim == 3 and array.max() > 1):
        raise DataError(
            f"Expected the masks of {name} to be zeros and ones of shape (objects, height, width), or numbers of "
            f"objects of shape (height, width), but got {array.dtype} of shape {array.shape}. Convert them, or load "
            "the file without colors."
        )
    if array.ndim == 3:
        return array.astype(np.bool_)
    numbers = np.unique(array[array > 0])
    objects: _Bits = array[None] == numbers[:, None, None]
    return objects


def boxes_of(masks: Sequence[_Bits]) -> Tensor:
    """Return left, top, right and bottom edge of each mask, shape ``(masks, 4)``; zeros where it has no pixel.

    Example:
        >>> boxes_of([np.array([[False, True, True]])])
        tensor([[1., 0., 3., 1.]])
    """
    boxes = torch.zeros(len(masks), 4)
    for row, mask in enumerate(masks):
        lines, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(lines):
            boxes[row] = torch.tensor([columns[0], lines[0], columns[-1] + 1, lines[-1] + 1])
    return boxes


def encode_masks(masks: Tensor) -> list[dict[str, Any]]:
    """Return masks as COCO's compressed run lengths, which are plain values.

    Args:
        masks: Booleans, shape ``(objects, height, width)``.

    Example:
        >>> encode_masks(torch.tensor([[[False, True], [False, True]]]))
        [{'size': [2, 2], 'counts': '22'}]
    """
    return [run_lengths(mask) for mask in masks.cpu().numpy()]


def decode_masks(masks: Sequence[dict[str, Any]]) -> npt.NDArray[np.bool_]:
    """Return the pixels of objects, shape ``(objects, height, width)``, from the run lengths in a prediction.

    Example:
        >>> decode_masks([{"size": [2, 2], "counts": "22"}]).astype(int).tolist()
        [[[0, 1], [0, 1]]]
    """
    if not masks:
        return np.zeros((0, 0, 0), np.bool_)
    drawn: _Bits = coco_mask.decode(list(masks)).transpose(2, 0, 1).astype(np.bool_)
    return drawn
