"""Mean average precision (mAP) of masks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

__all__ = ["MaskMeanAveragePrecision"]

_REPORTED = ("map", "map_50", "map_75")


class MaskMeanAveragePrecision(MeanAveragePrecision):
    """COCO's mean average precision of masks, computed by torchmetrics and pycocotools.

    ``map`` is the mean over classes and over IoU thresholds from 0.5 to 0.95; ``map_50`` and ``map_75`` are the values
    at one threshold. They are NaN if there are no true objects.

    Example:
        >>> mask = torch.tensor([[[True, True], [False, False]]])
        >>> metric = MaskMeanAveragePrecision()
        >>> found = {"masks": mask, "labels": torch.tensor([1]), "scores": torch.tensor([0.9])}
        >>> metric.update([found], [{"masks": mask, "labels": torch.tensor([1])}])
        >>> round(float(metric.compute()["map"]), 3)
        1.0
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(iou_type="segm", **kwargs)
        self.warn_on_many_detections = False

    def update(self, preds: list[dict[str, Tensor]], target: list[dict[str, Tensor]]) -> None:
        """Add the objects that were found in images, and the true ones.

        Args:
            preds: ``masks``, shape ``(objects, height, width)``, ``labels`` and ``scores`` per image.
            target: ``masks`` and ``labels`` per image, and optionally ``iscrowd``.
        """
        super().update([_with_bits(each) for each in preds], [_with_bits(each) for each in target])

    def compute(self) -> dict[str, Tensor]:
        """Return ``map``, ``map_50`` and ``map_75`` over all images."""
        values: dict[str, Tensor] = super().compute()
        none = torch.tensor(math.nan)
        return {name: value if (value := values[name]) >= 0 else none for name in _REPORTED}


def _with_bits(objects: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**objects, "masks": objects["masks"].bool()}
