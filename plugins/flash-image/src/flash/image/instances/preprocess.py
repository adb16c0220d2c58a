"""InstanceSegmentationPreprocess: images of any size with a mask per object, to batches for Mask R-CNN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from flash import Registry
from flash.core.registry import ComponentRegistry
from flash.errors import DataError

from ..detection.boxes import AnnotatedImage
from ..detection.exif import orientation_of
from ..detection.preprocess import ObjectDetectionPreprocess
from ..segmentation.masks import upright_mask
from .images import SegmentedImage, decode_masks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["InstanceSegmentationPreprocess", "augmentations"]

#: Augmentations by name, which move images with their boxes and masks.
augmentations = ComponentRegistry("augmentation", "augmentations of instances", "image/instance_segmentation")


class InstanceSegmentationPreprocess(ObjectDetectionPreprocess):
    """Decode images and draw the masks of their objects in the workers.

    As :class:`~flash.image.detection.preprocess.ObjectDetectionPreprocess`, with ``masks`` in each target: zeros and
    ones of shape ``(boxes, height, width)``, which move with the image in augmentations.

    Args:
        augmentation: As for :class:`~flash.image.detection.preprocess.ObjectDetectionPreprocess`.
        labels: The names of the classes, in order; by default those in the train data.

    Example:
        >>> from flash.data.auto_dataset import AutoDataset
        >>> from flash.data.stage import Stage
        >>> from flash.image.detection.preprocess import DetectionInputs
        >>> from flash.image.instances.images import read_instances
        >>> image = read_instances(np.zeros((2, 3, 3), np.uint8), ["cat"], np.array([[0, 1, 1], [0, 0, 0]]), "photo")
        >>> dataset = AutoDataset(DetectionInputs([image]), Stage.TRAIN, InstanceSegmentationPreprocess())
        >>> dataset[0][1]["masks"]
        tensor([[[0, 1, 1],
                 [0, 0, 0]]], dtype=torch.uint8)
    """

    augmentations: ClassVar[Registry] = augmentations

    def object_parts(self, image: AnnotatedImage, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return the masks of the objects, in the orientation of the upright image.

        Args:
            image: The image.
            size: Its width and height.

        Raises:
            DataError: If it has no masks, or a mask is malformed or of another size.
        """
        if not isinstance(image, SegmentedImage):
            raise DataError(
                f"Expected a mask per object, but {image.name} has boxes only. Make the data with "
                "InstanceSegmentationData."
            )
        orientation = orientation_of(image.source)
        drawn = [
            upright_mask(mask.astype(np.uint8), size, orientation, image.name)
            for mask in (image.masks() if len(image.shapes) else ())
        ]
        masks = np.array(drawn, dtype=np.uint8).reshape(-1, *size[::-1])
        return {"masks": torch.from_numpy(masks)}

    def draw_parts(self, axis: Axes, objects: Mapping[str, Any], color: str, dashed: bool = False) -> None:
        """Draw the masks of objects; beside predicted masks, the boxes of true objects are drawn alone."""
        from .plots import draw_masks

        masks = objects.get("masks", ())
        if len(masks) and not dashed:
            draw_masks(
                axis, masks.numpy().astype(np.bool_) if isinstance(masks, Tensor) else decode_masks(masks), color
            )
