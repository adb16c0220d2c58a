"""Mean intersection over union (IoU) of masks."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex

__all__ = ["MeanIoU", "class_ious"]


class MeanIoU(MulticlassJaccardIndex):
    """Mean over classes of the IoU of all pixels, computed by torchmetrics.

    Pixels of all images are counted together, as is usual for masks. A class that neither the masks nor the predictions
    have a pixel of is left out of the mean.

    Args:
        num_classes: The number of classes.

    Example:
        >>> import torch
        >>> metric = MeanIoU(3)
        >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]))
        >>> round(float(metric.compute()), 4)
        0.5833
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(num_classes, average="macro", validate_args=False, **kwargs)


def class_ious(confusion: Tensor) -> Tensor:
    """Return the IoU of each class; NaN for one without pixels in masks and predictions.

    Args:
        confusion: Numbers of pixels, true classes by predicted classes, shape ``(classes, classes)``.

    Example:
        >>> import torch
        >>> class_ious(torch.tensor([[1, 0, 0], [1, 2, 0], [0, 0, 0]]))
        tensor([0.5000, 0.6667,    nan])
    """
    hits = confusion.diagonal().float()
    return hits / (confusion.sum(0) + confusion.sum(1) - confusion.diagonal())
