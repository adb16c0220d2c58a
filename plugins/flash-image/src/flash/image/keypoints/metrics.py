"""Mean average precision (mAP) of keypoints, by object keypoint similarity (OKS)."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params
from torch import Tensor
from torchmetrics import Metric

from flash.errors import ConfigurationError

from .models import published_keypoints
from .names import Keypoints

__all__ = ["KeypointMeanAveragePrecision", "default_sigmas"]

# As many objects of a class count in an image, as in COCO's own evaluation.
_MOST = 20
# For points whose spread nobody measured; COCO's own are from 0.025 (nose) to 0.107 (hips).
_SIGMA = 0.05


def default_sigmas(keypoints: Keypoints) -> list[float]:
    """Return how far annotators of each point differ, as a share of the size of the object.

    Args:
        keypoints: The names of the points, or their number.

    Returns:
        COCO's own values for the 17 points of its persons, and 0.05 for each of other points.

    Example:
        >>> default_sigmas(["head", "tail"])
        [0.05, 0.05]
    """
    if isinstance(keypoints, int):
        return [_SIGMA] * keypoints
    if list(keypoints) == published_keypoints():
        return [float(sigma) for sigma in Params(iouType="keypoints").kpt_oks_sigmas]
    return [_SIGMA] * len(keypoints)


class KeypointMeanAveragePrecision(Metric):
    """COCO's mean average precision of keypoints, computed by pycocotools.

    The similarity of a predicted and a true object is that of their points, OKS: the mean over annotated points of
    ``exp(-distance ** 2 / (2 * area * (2 * sigma) ** 2))``. ``map`` is the mean over classes and over thresholds of
    OKS from 0.5 to 0.95; ``map_50`` and ``map_75`` are the values at one threshold. They are NaN if there are no true
    objects with annotated points.

    Args:
        sigmas: How far annotators of each point differ, as a share of the size of the object: one number a point.
        kwargs: Further arguments of torchmetrics' ``Metric``.

    Raises:
        ConfigurationError: If a sigma is not a positive number.

    Example:
        >>> metric = KeypointMeanAveragePrecision(sigmas=[0.05, 0.05])
        >>> points = torch.tensor([[[10.0, 10.0, 2.0], [30.0, 30.0, 2.0]]])
        >>> box, label = torch.tensor([[5.0, 5.0, 35.0, 35.0]]), torch.tensor([1])
        >>> found = {"keypoints": points, "labels": label, "scores": torch.tensor([0.9])}
        >>> metric.update([found], [{"keypoints": points, "labels": label, "boxes": box}])
        >>> round(float(metric.compute()["map"]), 3)
        1.0
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    found: list[Tensor]
    true: list[Tensor]

    def __init__(self, sigmas: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sigmas = [float(sigma) for sigma in sigmas]
        if not self.sigmas or not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise ConfigurationError(
                f"Expected sigmas to be a positive number for each point, but got {list(sigmas)!r}. Write "
                "sigmas=[0.05, 0.05] for two points."
            )
        # One row a true or predicted object, one entry an image.
        self.add_state("found", default=[], dist_reduce_fx=None)
        self.add_state("true", default=[], dist_reduce_fx=None)

    def update(self, preds: list[dict[str, Tensor]], target: list[dict[str, Tensor]]) -> None:
        """Add the objects that were found in images, and the true ones.

        Args:
            preds: ``keypoints``, shape ``(objects, points, 2 or more)`` with x and y first, ``labels`` and ``scores``
                per image.
            target: ``keypoints``, shape ``(objects, points, 3)`` with x, y and visibility, ``labels`` and ``boxes`` per
                image, and optionally ``area``, by default that of the box, and ``iscrowd``.
        """
        for found, true in zip(preds, target, strict=True):
            points = found["keypoints"][..., :2].reshape(-1, 2 * len(self.sigmas))
            self.found.append(_joined(found["labels"], found["scores"], points))
            boxes = true["boxes"]
            areas = true.get("area", (boxes[:, 2:] - boxes[:, :2]).prod(1))
            ignored = true.get("iscrowd", torch.zeros_like(true["labels"]))
            points = true["keypoints"].reshape(-1, 3 * len(self.sigmas))
            self.true.append(_joined(true["labels"], ignored, areas, boxes, points))

    def compute(self) -> dict[str, Tensor]:
        """Return ``map``, ``map_50`` and ``map_75`` over all images."""
        with contextlib.redirect_stdout(io.StringIO()):
            precision = self._precision()
        values = {"map": precision, "map_50": precision[:1], "map_75": precision[5:6]}
        return {name: torch.tensor(_mean(value), dtype=torch.float32) for name, value in values.items()}

    def _precision(self) -> Any:
        """Return the precision by threshold, recall and class; -1 where there is no true object."""
        true = [row for image, rows in enumerate(self.true) for row in _true_objects(image, rows)]
        found = [row for image, rows in enumerate(self.found) for row in _found_objects(image, rows)]
        if not any(each["num_keypoints"] and not each["iscrowd"] for each in true):
            return np.zeros((0, 0))
        categories = [{"id": number} for number in sorted({each["category_id"] for each in true})]
        images = [{"id": image} for image in range(len(self.true))]
        evaluation = COCOeval(_coco(true, images, categories), _coco(found, images, categories), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(self.sigmas)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [_MOST]
        evaluation.evaluate()
        evaluation.accumulate()
        return evaluation.eval["precision"][..., 0, 0]


def _joined(*parts: Tensor) -> Tensor:
    return torch.cat([part.float().reshape(len(parts[0]), -1) if len(part) else _empty(part) for part in parts], dim=1)


def _empty(part: Tensor) -> Tensor:
    return torch.zeros(0, part.shape[1] if part.ndim > 1 else 1, device=part.device)


def _mean(precision: Any) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else math.nan


def _coco(objects: list[dict[str, Any]], images: Any, categories: Any) -> Any:
    coco = COCO()
    numbered = [{**each, "id": number} for number, each in enumerate(objects, start=1)]
    coco.dataset = {"images": images, "annotations": numbered, "categories": categories}
    coco.createIndex()
    return coco


def _true_objects(image: int, rows: Tensor) -> list[dict[str, Any]]:
    objects = []
    for label, ignored, area, left, top, right, bottom, *points in rows.double().tolist():
        objects.append(
            {
                "image_id": image,
                "category_id": int(label),
                "iscrowd": int(ignored),
                "area": area,
                "bbox": [left, top, right - left, bottom - top],
                "keypoints": points,
                "num_keypoints": sum(seen > 0 for seen in points[2::3]),
            }
        )
    return objects


def _found_objects(image: int, rows: Tensor) -> list[dict[str, Any]]:
    objects = []
    for label, score, *places in rows.double().tolist():
        points = [value for x, y in zip(places[::2], places[1::2], strict=True) for value in (x, y, 1.0)]
        objects.append({"image_id": image, "category_id": int(label), "score": score, "area": 1.0, "keypoints": points})
    return objects
