"""The output of instance segmentation: predictions as boxes, labels, scores and masks."""

from __future__ import annotations

from typing import Any

from flash.core.registry import ComponentRegistry

from ..detection.outputs import best_rows, boxes
from .images import encode_masks

__all__ = ["instance_outputs", "instances"]

#: The outputs of instance segmentation, by name.
instance_outputs = ComponentRegistry("output", "outputs", "image/instance_segmentation")


def instances(predictions: Any, task: Any) -> list[dict[str, list[Any]]]:
    """Return ``boxes``, ``labels`` and ``scores`` as of a detector, and ``masks``, per image.

    A mask is in the size of the image, as COCO's run lengths, ``{"size": [height, width], "counts": "..."}``, of which
    :func:`flash.image.instances.images.decode_masks` makes an array.
    """
    found = boxes(predictions, task)
    for each, prediction in zip(found, predictions, strict=True):
        each["masks"] = encode_masks(prediction["masks"][best_rows(prediction, task)])
    return found
