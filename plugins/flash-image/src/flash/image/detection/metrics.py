"""Mean average precision (mAP) of boxes, and what that of masks has in common with it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

__all__ = ["BoxMeanAveragePrecision", "ReportedMeanAveragePrecision"]

_REPORTED = ("map", "map_50", "map_75")


class ReportedMeanAveragePrecision(MeanAveragePrecision):
    """COCO's mean average precision, computed by torchmetrics and pycocotools.

    ``map`` is the mean over classes and over IoU thresholds from 0.5 to 0.95; ``map_50`` and ``map_75`` are the values
    at one threshold. They are NaN if there are no true objects.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.warn_on_many_detections = False

    def compute(self) -> dict[str, Tensor]:
        """Return ``map``, ``map_50`` and ``map_75`` over all images."""
        values: dict[str, Tensor] = super().compute()
        none = torch.tensor(math.nan)
        return {name: value if (value := values[name]) >= 0 else none for name in _REPORTED}


class BoxMeanAveragePrecision(ReportedMeanAveragePrecision):
    """The mean average precision of boxes; see :class:`ReportedMeanAveragePrecision`.

    Example:
        >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> metric = BoxMeanAveragePrecision()
        >>> found = {"boxes": box, "labels": torch.tensor([1]), "scores": torch.tensor([0.9])}
        >>> metric.update([found], [{"boxes": box, "labels": torch.tensor([1])}])
        >>> round(float(metric.compute()["map"]), 3)
        1.0
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(box_format="xyxy", iou_type="bbox", **kwargs)
