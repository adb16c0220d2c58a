"""The trivial model of images with objects: the mean object of each class, in every image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from flash.core.structured_prediction import Array
from flash.data.auto_dataset import AutoDataset

from .average_precision import Matching, Objects, joined_statistics, match_objects
from .comparison import annotated_images

__all__ = ["UsualObjects"]


class UsualObjects:
    """Finds the same objects in every image: of each class the mean box, scored by the share of images that have it.

    Boxes are in shares of the width and height of images. The mask of an object is its whole box, and its points are
    those of the mean pose in it.

    Args:
        matching: How found objects are matched with true ones.
    """

    kind = "trivial"

    def __init__(self, matching: Matching) -> None:
        self.matching = matching
        self._labels = torch.zeros(0, dtype=torch.long)
        self._boxes = torch.zeros(0, 4)
        self._scores = torch.zeros(0)
        self._points: Tensor | None = None

    def fit(self, data: Any) -> UsualObjects:
        """Compute the mean objects of the train images.

        Args:
            data: The data module.
        """
        labels, boxes, points, has = [], [], [], []
        for image, target in annotated_images(data.train_dataset):
            counted = torch.from_numpy(~self.matching.ignored(target))
            labels.append(target["labels"][counted])
            boxes.append(target["boxes"][counted] / _sides(image))
            has.append(torch.bincount(labels[-1], minlength=int(data.num_classes) + 1) > 0)
            if "keypoints" in target:
                points.append(_in_boxes(target["keypoints"][counted], target["boxes"][counted]))
        known, of_each = torch.cat(labels), torch.cat(boxes)
        self._labels = torch.from_numpy(np.unique(known.numpy()))
        self._scores = torch.stack(has).float().mean(0)[self._labels]
        chosen = [known == label for label in self._labels]
        self._boxes = torch.stack([of_each[rows].mean(0) for rows in chosen]) if chosen else of_each
        if points and chosen:
            poses = torch.cat(points)
            self._points = torch.stack([_mean_pose(poses[rows]) for rows in chosen])
        return self

    def predict(self, dataset: AutoDataset) -> Array:
        """Return the statistics of the images, as :meth:`ComparedDetector.predicted_statistics` does.

        Args:
            dataset: Images with objects.
        """
        pairs = annotated_images(dataset)
        return joined_statistics([match_objects(self._found(*pair), pair[1], self.matching) for pair in pairs])

    def _found(self, image: Tensor, target: Objects) -> dict[str, Tensor]:
        boxes = self._boxes * _sides(image)
        found = {"labels": self._labels, "scores": self._scores, "boxes": boxes}
        if "masks" in target:
            rows, columns = (torch.arange(side) + 0.5 for side in image.shape[1:])
            left, top, right, bottom = (edge[:, None] for edge in boxes.unbind(1))
            inside_rows, inside_columns = (rows > top) & (rows < bottom), (columns > left) & (columns < right)
            found["masks"] = inside_rows[:, :, None] & inside_columns[:, None]
        if "keypoints" in target:
            points = (
                torch.zeros(len(boxes), *target["keypoints"].shape[1:2], 2) if self._points is None else self._points
            )
            found["keypoints"] = boxes[:, None, :2] + points * (boxes[:, 2:] - boxes[:, :2])[:, None]
        return found


def _sides(image: Tensor) -> Tensor:
    height, width = image.shape[1:]
    return torch.tensor([width, height, width, height], dtype=torch.float32)


def _in_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """Return x and y of points in shares of their boxes, NaN where they are not annotated."""
    places = (points[..., :2] - boxes[:, None, :2]) / (boxes[:, 2:] - boxes[:, :2])[:, None]
    return torch.where(points[..., 2:] > 0, places, torch.nan)


def _mean_pose(poses: Tensor) -> Tensor:
    """Return the mean of each point, the middle of the box for one that is never annotated."""
    return poses.nanmean(0).nan_to_num(0.5)
