"""KeypointDetectionPreprocess: images of any size with the points of their objects, to batches for Keypoint R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from flash import Registry
from flash.core.registry import ComponentRegistry
from flash.data.auto_dataset import AutoDataset
from flash.errors import ConfigurationError, DataError

from ..detection.augmentations import Augmentation
from ..detection.boxes import AnnotatedImage
from ..detection.exif import orientation_of
from ..detection.preprocess import DetectionInputs, DetectionInputSpec, ObjectDetectionPreprocess
from .images import KeypointImage
from .moving import upright_points, with_points
from .names import Keypoints, read_keypoints, read_skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KeypointDetectionPreprocess", "KeypointInputSpec", "KeypointInputs", "augmentations"]

#: Augmentations by name, which move images with their boxes and points.
augmentations = ComponentRegistry("augmentation", "augmentations of keypoints", "image/keypoints")


@dataclass(frozen=True)
class KeypointInputs(DetectionInputs):
    """Images of one stage, with the points of their objects.

    Args:
        keypoints: The names of the points, if the data defines them.
        skeleton: The pairs of points that are connected, by their numbers, if the data defines them.
    """

    keypoints: Sequence[str] | None = None
    skeleton: Sequence[Any] = ()


@dataclass(frozen=True)
class KeypointInputSpec(DetectionInputSpec):
    """The ``input_spec`` of detectors of keypoints: their classes and their points.

    Args:
        keypoints: The names of the points, or their number.
    """

    keypoints: tuple[str, ...] | int = 0


class KeypointDetectionPreprocess(ObjectDetectionPreprocess):
    """Decode images with the points of their objects in the workers.

    As :class:`~flash.image.detection.preprocess.ObjectDetectionPreprocess`, with ``keypoints`` in each target: x, y and
    visibility of shape ``(boxes, points, 3)``, which move with the image in augmentations; and ``area``, that of each
    object in pixels.

    Args:
        augmentation: As for :class:`~flash.image.detection.preprocess.ObjectDetectionPreprocess`. In a mirrored image
            the left and the right point of each pair change places.
        labels: The names of the classes, in order; by default those in the train data.
        keypoints: The names of the points, in order; by default those in the train data, or their number there.
        skeleton: The pairs of points between which figures draw lines, by name or by number from 0.

    Example:
        >>> import numpy as np
        >>> from flash.data.stage import Stage
        >>> from flash.image.keypoints.images import read_objects
        >>> image = read_objects(np.zeros((40, 40, 3), np.uint8), ["cat"], [[[10, 20], [30, 24]]], None, "photo")
        >>> dataset = AutoDataset(KeypointInputs([image]), Stage.TRAIN, KeypointDetectionPreprocess())
        >>> dataset[0][1]["keypoints"]
        tensor([[[10., 20.,  2.],
                 [30., 24.,  2.]]])
    """

    augmentations: ClassVar[Registry] = augmentations

    def __init__(
        self,
        augmentation: str | Augmentation = "none",
        labels: Sequence[Any] | None = None,
        keypoints: Keypoints | None = None,
        skeleton: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(augmentation, labels)
        self.keypoints = None if keypoints is None else read_keypoints(keypoints)
        if skeleton and self.keypoints is None:
            raise ConfigurationError("Expected keypoints=[...], the names of the points, together with skeleton.")
        self.skeleton = read_skeleton(skeleton or (), self.keypoints or 0)

    # ------------------------------------------------------------------ datasets

    def load_parts(self, data: DetectionInputs, dataset: AutoDataset) -> None:
        """Learn the points of train data, and check those of each stage.

        Args:
            data: The images of a stage.
            dataset: The dataset of the stage, which takes facts of train data.

        Raises:
            DataError: If there are no points, or other ones than in the train data.
        """
        stage = dataset.hooks.stage.value
        of_data = data.keypoints if isinstance(data, KeypointInputs) else None
        if self.training and self.keypoints is None:
            self.keypoints = _keypoints_in(data) if of_data is None else read_keypoints(of_data)
            self.skeleton = read_skeleton(data.skeleton, self.keypoints) if isinstance(data, KeypointInputs) else []
        known = self._known_keypoints()
        if of_data is not None and not isinstance(known, int) and list(of_data) != known:
            raise DataError(
                f"Expected the points of the {stage} data to be {', '.join(known)}, in this order, but they are "
                f"{', '.join(of_data)}. Use data with the same points."
            )
        count = _count(known)
        for image in data.images:
            points = image.points if isinstance(image, KeypointImage) else None
            if points is not None and len(points) and points.shape[1] != count:
                raise DataError(
                    f"Expected {count} points for each object, but {image.name} has "
                    f"{points.shape[1]}. Write NaN for points that are missing."
                )
        if self.training:
            facts: Any = dataset
            facts.keypoints = known

    def _known_keypoints(self) -> list[str] | int:
        """Return the points: this object's own, or those of the connected task."""
        of_task = self.input_spec.keypoints if isinstance(self.input_spec, KeypointInputSpec) else None
        if self.keypoints is None and not of_task:
            raise DataError(
                "Expected the points of the objects, which are learned from train data, but there is none. Add train "
                "data, pass keypoints=[...], or pass preprocess=task.preprocess of a task that was trained."
            )
        return read_keypoints(of_task) if self.keypoints is None else self.keypoints

    def check_input_spec(self, input_spec: Any) -> None:
        """Raise an error if the detector has other classes or points, or the same in another order."""
        super().check_input_spec(input_spec)
        if self.keypoints is None or not isinstance(input_spec, KeypointInputSpec):
            return
        own, other = self.keypoints, input_spec.keypoints
        of_other = other if isinstance(other, int) else list(other)
        is_named = not isinstance(own, int) and not isinstance(other, int)
        if _count(own) != _count(of_other) or (is_named and own != of_other):
            raise ConfigurationError(
                f"Expected data whose keypoints are {of_other}, as those of the task, but they are {own}. Make the "
                "task with KeypointDetector.from_data(datamodule)."
            )

    # ------------------------------------------------------------------ samples

    def object_parts(self, image: AnnotatedImage, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return the points of the objects in the upright image, and their areas.

        Args:
            image: The image.
            size: Its width and height.

        Raises:
            DataError: If it has no points.
        """
        if not isinstance(image, KeypointImage) or image.points is None or image.areas is None:
            raise DataError(
                f"Expected the points of each object, but {image.name} has boxes only. Make the data with "
                "KeypointDetectionData."
            )
        if not len(image.points):
            return {"keypoints": torch.zeros(0, _count(self._known_keypoints()), 3), "area": image.areas}
        orientation = 1 if image.size in (None, size) else orientation_of(image.source)
        known = self._known_keypoints()
        points = upright_points(image.points, image.size, size, orientation, known, image.name)
        return {"keypoints": points, "area": image.areas}

    def augmented(
        self, pixels: Tensor, target: dict[str, Tensor], augmentation: Augmentation
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a train image and its target after an augmentation; points move with the image.

        Args:
            pixels: Shape ``(3, height, width)``, 0 to 255.
            target: ``boxes``, ``labels`` and the further parts of the objects.
            augmentation: Takes an image and a target, as torchvision's v2 transforms do.
        """
        return super().augmented(pixels, target, with_points(augmentation, self._known_keypoints()))

    def draw_parts(self, axis: Axes, objects: Mapping[str, Any], color: str, dashed: bool = False) -> None:
        """Draw the points of objects, and lines between those that are connected."""
        from .plots import draw_points

        draw_points(axis, objects.get("keypoints", ()), self.skeleton, color, dashed)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the names of the classes, and the points with the pairs that are connected."""
        points = {} if self.keypoints is None else {"keypoints": self.keypoints, "skeleton": self.skeleton}
        return {**super().state_dict(), **points}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the names of the classes, and the points."""
        super().load_state_dict({name: value for name, value in state.items() if name == "labels"})
        if "keypoints" in state:
            self.keypoints = read_keypoints(state["keypoints"])
            self.skeleton = read_skeleton(state["skeleton"], self.keypoints)


def _count(keypoints: Keypoints) -> int:
    return keypoints if isinstance(keypoints, int) else len(keypoints)


def _keypoints_in(data: DetectionInputs) -> int:
    points = [image.points for image in data.images if isinstance(image, KeypointImage) and len(image.boxes)]
    counts = [each.shape[1] for each in points if each is not None]
    if not counts or not counts[0]:
        raise DataError(
            "Expected at least one object with points in the train data, but no image has any. Check the annotations, "
            "or name the points: keypoints=[...]."
        )
    return counts[0]
