"""Inference of Keypoint R-CNN as a program without branches; see :mod:`flash.image.detection.inference`.

torchvision resizes the heat maps of each object to the pixels of its box and takes the highest value of each. Here the
weights of that resizing are two matrices per object, one of rows and one of columns; objects come one after the other,
since the heat maps of all of them would take gigabytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..detection.inference import Detected, Inference, align, pool, row_by_row

__all__ = ["KeypointInference", "align_points"]

# That of bicubic interpolation in torch.
_CUBIC = -0.75
# Points are the same if they differ by so many pixels, and their scores by this share; so many may differ by more.
_SAME_PIXELS, _SAME_SCORE, _SHARE_OTHER = 0.1, 1e-3, 0.2


class KeypointInference(Inference):
    """Detect the objects in one image, with x and y of their points and the scores of these.

    Shapes are ``(boxes, points, 2)``, in pixels, and ``(boxes, points)``.

    Args:
        model: A Keypoint R-CNN of torchvision that has made a prediction before.
    """

    scales: ClassVar[Mapping[str, float]] = {**Inference.scales, "keypoints": 1000.0, "keypoint_scores": 10.0}
    networks: ClassVar[str] = "a Keypoint R-CNN of torchvision"

    @classmethod
    def knows(cls, model: nn.Module) -> bool:
        """Return whether a network is a Keypoint R-CNN of torchvision."""
        return cls.has_heads(model, mask=False, keypoint=True)

    @staticmethod
    def named(found: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return what the task found in an image, in the order of outputs."""
        return *Inference.named(found), found["keypoints"][..., :2], found["keypoints_scores"]

    @staticmethod
    def align(expected: Mapping[str, Any], got: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the outputs of two programs in one form; see :func:`align_points`."""
        return align_points(expected, got)

    def parts(self, detected: Detected) -> tuple[Tensor, ...]:
        """Return the points of the detections, and their scores."""
        heads: Any = self.model
        heads, transform = heads.roi_heads, heads.transform
        # There is one at least, so that no layer gets an empty batch.
        boxes = functional.pad(detected.resized, (0, 0, 0, 1))
        pooled, order = pool(heads.keypoint_roi_pool, detected.features, boxes)
        maps = heads.keypoint_predictor(heads.keypoint_head(pooled))
        places, scores = _highest(maps, boxes[order], max([transform.max_size, *(transform.fixed_size or ())]))
        ratio = [_float(whole) / _float(part) for whole, part in zip(detected.size, detected.resized_size, strict=True)]
        rows = order.argsort()[:-1]
        return (places * torch.stack(ratio[::-1]))[rows], scores[rows]


def _float(value: Any) -> Tensor:
    return torch.scalar_tensor(value, dtype=torch.float32)


def _highest(maps: Tensor, boxes: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Return the place of the highest value of each heat map, resized to whole pixels of its box, and the value.

    Args:
        maps: Shape ``(boxes, points, height, width)``.
        boxes: Corners in pixels, shape ``(boxes, 4)``.
        longest: The most pixels that a side of a box has.

    Returns:
        x and y, shape ``(boxes, points, 2)``, and values, shape ``(boxes, points)``.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    whole = sides.ceil()
    width, height = (side.item() for side in whole.amax(0).to(torch.int64))
    for side in (width, height):
        torch._check(side >= 1)
        torch._check(side <= longest + 1)
    columns, rows = torch.arange(width), torch.arange(height)
    tall, wide = maps.shape[-2:]

    def find(heat: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        across, down = pixels.chunk(2)
        values = _cubic(rows, down, tall) @ heat @ _cubic(columns, across, wide).T
        # Of the pixels of the largest box.
        own = (rows < down)[:, None] & (columns < across)[None]
        of_rows, columns_of = torch.where(own, values, -torch.inf).max(-1)
        score, row = of_rows.max(-1)
        column = columns_of.gather(-1, row[:, None])[:, 0]
        return torch.stack([column, row], dim=-1), score

    places, scores = row_by_row(find, maps, whole)
    return (places.float() + 0.5) * (sides / whole)[:, None] + boxes[:, None, :2], scores


def _cubic(places: Tensor, length: Tensor, side: int) -> Tensor:
    """Return the weights of bicubic interpolation, shape ``(places, side)``.

    Args:
        places: Pixels of the resized map.
        length: The number of its pixels.
        side: The number of values that it is resized from.
    """
    scale = torch.full((1,), side, dtype=torch.float32) / length
    sources = scale * (places.float() + 0.5) - 0.5
    first = sources.floor()
    after = sources - first
    values = torch.arange(side)
    weights = torch.zeros(1)
    for tap, distance in enumerate((after + 1, after, 1 - after, 2 - after), -1):
        if tap in (0, 1):
            share = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
        else:
            share = ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC
        # Values beyond the edge are those at the edge.
        place = (first + tap).clamp(0, side - 1)
        weights = weights + share[:, None] * (place[:, None] == values)
    return weights


def align_points(expected: Mapping[str, Any], got: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the detections of two programs in one order, with the points that are the same in both.

    Where two places of a heat map have nearly the same value, rounding decides which is the higher one. A fifth of the
    points may therefore differ; if more do, they are returned as they are.

    Args:
        expected: ``boxes``, ``labels``, ``scores``, ``keypoints`` and ``keypoint_scores`` as arrays.
        got: The same of the other program.
    """
    expected, got = align(expected, got)
    if expected["keypoints"].shape != got["keypoints"].shape:
        return expected, got
    same = np.abs(expected["keypoints"] - got["keypoints"]).max(-1, initial=0) <= _SAME_PIXELS
    shift = np.abs(expected["keypoint_scores"] - got["keypoint_scores"])
    same &= shift <= _SAME_SCORE * (1 + np.abs(expected["keypoint_scores"]))
    if not same.size or 1 - same.mean() > _SHARE_OTHER:
        return expected, got
    names = ("keypoints", "keypoint_scores")
    return tuple({**each, **{name: each[name][same] for name in names}} for each in (expected, got))  # type: ignore[return-value]
