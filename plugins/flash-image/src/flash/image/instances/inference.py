"""Inference of Mask R-CNN as a program without branches; see :mod:`flash.image.detection.inference`.

torchvision pastes the mask of each object into the image by resizing it to whole pixels. Here the weights of that
resizing are two matrices per object, one of rows and one of columns, so that a mask is a product; objects come one
after the other, since the masks of all of them as numbers would take four times the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..detection.inference import Detected, Inference, align, pool, row_by_row

__all__ = ["InstanceInference", "align_masks"]

# Pixels around the mask of an object, which torchvision adds before it resizes it.
_PADDING = 1

_Bits = npt.NDArray[np.bool_]


class InstanceInference(Inference):
    """Detect the objects in one image, with their masks: booleans, shape ``(boxes, height, width)``.

    Args:
        model: A Mask R-CNN of torchvision that has made a prediction before.
    """

    # Of masks it is the share of pixels that differ by more than a shift of one pixel explains.
    scales: ClassVar[Mapping[str, float]] = {**Inference.scales, "masks": 100.0}
    networks: ClassVar[str] = "a Mask R-CNN of torchvision"

    @classmethod
    def knows(cls, model: nn.Module) -> bool:
        """Return whether a network is a Mask R-CNN of torchvision."""
        return cls.has_heads(model, mask=True, keypoint=False)

    @staticmethod
    def named(found: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return what the task found in an image, in the order of outputs."""
        return *Inference.named(found), found["masks"]

    @staticmethod
    def align(expected: Mapping[str, Any], got: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the outputs of two programs in one form; see :func:`align_masks`."""
        return align_masks(expected, got)

    def parts(self, detected: Detected) -> tuple[Tensor, ...]:
        """Return the masks of the detections."""
        heads: Any = self.model
        heads = heads.roi_heads
        # There is one at least, so that no layer gets an empty batch.
        resized, boxes = (functional.pad(each, (0, 0, 0, 1)) for each in (detected.resized, detected.boxes))
        pooled, order = pool(heads.mask_roi_pool, detected.features, resized)
        labels = functional.pad(detected.labels, (0, 1))[order]
        probable = heads.mask_predictor(heads.mask_head(pooled)).sigmoid()
        masks = functional.pad(probable[torch.arange(labels.shape[0]), labels], (_PADDING,) * 4)
        pasted = _pasted(masks, _expanded(boxes[order], masks.shape[-1]), detected.size)
        return (pasted[order.argsort()[:-1]],)


def _expanded(boxes: Tensor, side: int) -> Tensor:
    """Return the pixels that masks with their padding cover: left, top, width and height, shape ``(boxes, 4)``."""
    halves = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * (side / (side - 2 * _PADDING))
    middles = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    first, last = (middles - halves).to(torch.int64), (middles + halves).to(torch.int64)
    return torch.cat([first, (last - first + 1).clamp(min=1)], dim=1)


def _pasted(masks: Tensor, places: Tensor, size: tuple[Any, Any]) -> Tensor:
    """Return masks in the size of the image, as booleans.

    Args:
        masks: The probability of each pixel, shape ``(boxes, side, side)``.
        places: Left, top, width and height of each, shape ``(boxes, 4)``.
        size: Height and width of the image.
    """
    rows, columns = (torch.arange(side, dtype=torch.int64) for side in size)
    side = masks.shape[-1]

    def paste(mask: Tensor, place: Tensor) -> tuple[Tensor]:
        left, top, width, height = place.chunk(4)
        drawn = _linear(rows - top, height, side) @ mask @ _linear(columns - left, width, side).T
        return (drawn >= 0.5,)

    (pasted,) = row_by_row(paste, masks, places)
    return pasted


def _linear(places: Tensor, length: Tensor, side: int) -> Tensor:
    """Return the weights of linear interpolation, shape ``(places, side)``; zeros for places outside.

    Args:
        places: Pixels, counted from the first one of the resized mask.
        length: The number of its pixels.
        side: The number of values that it is resized from.
    """
    scale = torch.full((1,), side, dtype=torch.float32) / length.float()
    sources = (scale * (places.float() + 0.5) - 0.5).clamp(0, side - 1)
    weights = (1 - (sources[:, None] - torch.arange(side)).abs()).clamp(min=0)
    return weights * ((places >= 0) & (places < length))[:, None]


def align_masks(expected: Mapping[str, Any], got: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the detections of two programs in one order, with masks as shares of pixels that differ.

    Rounding decides whether a pixel at the edge of a mask belongs to it, and to which pixel a mask is moved. Pixels
    count as different if neither they nor one of their neighbors are alike in both masks.

    Args:
        expected: ``boxes``, ``labels``, ``scores`` and ``masks`` as arrays.
        got: The same of the other program.

    Returns:
        Both, as of :func:`~flash.image.detection.inference.align`; ``masks`` are zeros, and the share in those of the
        other program, shape ``(boxes,)``.
    """
    expected, got = align(expected, got)
    if expected["masks"].shape != got["masks"].shape:
        return expected, got
    shares = np.array([_difference(*pair) for pair in zip(expected["masks"], got["masks"], strict=True)], np.float32)
    return {**expected, "masks": np.zeros_like(shares)}, {**got, "masks": shares}


def _difference(one: _Bits, other: _Bits) -> float:
    pixels = max(int((one | other).sum()), 1)
    return int(((one & ~_near(other)) | (other & ~_near(one))).sum()) / pixels


def _near(mask: _Bits) -> _Bits:
    """Return the pixels of a mask and their neighbors."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    shifts = [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    near: _Bits = np.any(shifts, axis=0)
    return near
