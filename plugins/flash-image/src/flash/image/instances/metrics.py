"""Mean average precision (mAP) of masks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..detection.metrics import ReportedMeanAveragePrecision

__all__ = ["MaskMeanAveragePrecision"]


class MaskMeanAveragePrecision(ReportedMeanAveragePrecision):
    """The mean average precision of masks; see :class:`~flash.image.detection.metrics.ReportedMeanAveragePrecision`.

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

    def update(self, preds: list[dict[str, Tensor]], target: list[dict[str, Tensor]]) -> None:
        """Add the objects that were found in images, and the true ones.

        Args:
            preds: ``masks``, shape ``(objects, height, width)``, ``labels`` and ``scores`` per image.
            target: ``masks`` and ``labels`` per image, and optionally ``iscrowd``.
        """
        super().update([_with_bits(each) for each in preds], [_with_bits(_with_some(each)) for each in target])


def _with_some(objects: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the true objects of an image, or an empty crowd, which nothing matches, where there are none.

    Torchmetrics leaves images without masks out, so that what is found in them would be no mistake.
    """
    if len(objects["labels"]):
        return objects
    labels, masks = objects["labels"].new_ones(1), objects["masks"].new_zeros(1, *objects["masks"].shape[1:])
    return {"labels": labels, "masks": masks, "iscrowd": torch.ones_like(labels)}


def _with_bits(objects: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**objects, "masks": objects["masks"].bool()}
