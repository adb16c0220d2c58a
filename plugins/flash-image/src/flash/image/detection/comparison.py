"""Comparison of detectors by ``flash baseline``: the statistics of their images, words and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flash.core.prediction import predict_batches
from flash.core.structured_prediction import Array, StatisticsMetric, StructuredTask
from flash.data.auto_dataset import AutoDataset
from flash.data.stage import Stage

from .average_precision import (
    BOXES,
    Matching,
    Objects,
    class_precisions,
    joined_statistics,
    match_objects,
    precision_metrics,
    true_counts,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ComparedDetector", "annotated_images"]


def annotated_images(dataset: AutoDataset) -> Iterator[tuple[Tensor, Objects]]:
    """Yield each image, uint8 of shape ``(3, height, width)``, with all of its objects; none is augmented.

    Args:
        dataset: Images with objects, of any stage.
    """
    whole = dataset.subset(range(len(dataset)), Stage.VAL)
    yield from (whole[row] for row in range(len(whole)))


class ComparedDetector(StructuredTask):
    """Part of a task that finds objects in images: models are compared by COCO's mean average precision.

    The statistics of an image are the number of its objects per class, and what comes of each detection at each
    threshold (:func:`~flash.image.detection.average_precision.match_objects`).
    """

    #: How found objects are matched with true ones.
    matching: ClassVar[Matching] = BOXES

    def own_matching(self) -> Matching:
        """Return the matching of this task, which may depend on its arguments; by default :attr:`matching`."""
        return self.matching

    @classmethod
    def statistics_metrics(cls) -> Sequence[StatisticsMetric]:
        """Return mean average precision over thresholds of the overlap from 0.5 to 0.95, and that at 0.5."""
        return precision_metrics(cls.matching)

    @classmethod
    def true_statistics(cls, dataset: AutoDataset, num_classes: int | None = None) -> Array:
        """Return the number of objects of each class in each image that count, shape ``(images, classes)``."""
        counts = [true_counts(target, num_classes or 0, cls.matching) for _, target in annotated_images(dataset)]
        return np.array(counts).reshape(len(counts), num_classes or 0)

    def predicted_statistics(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
        """Detect the objects, and return what comes of each detection, shape ``(images, width)``."""
        task: Any = self
        matching = self.own_matching()
        matched: dict[int, Array] = {}
        for batch in predict_batches(task, dataset, batch_size=batch_size, num_workers=num_workers):
            for row, each, target in zip(batch.rows, batch.output, batch.targets, strict=True):
                matched[int(row)] = match_objects(each, target, matching)
        return joined_statistics([matched[row] for row in range(len(dataset))])

    @classmethod
    def class_counts(cls, truth: Array) -> Array | None:
        """Return the statistics of the targets, which are these counts."""
        return truth

    @classmethod
    def class_scores(cls, truth: Array, predicted: Array, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return mean average precision of each class, over thresholds and at 0.5."""
        rows = []
        for place, (label, values) in enumerate(
            zip(labels, class_precisions(truth, predicted, cls.matching), strict=True)
        ):
            is_there = bool(np.isfinite(values).all())
            scores = {"map": float(values.mean()), "map_50": float(values[0])} if is_there else {}
            count = int((truth[:, place] > 0).sum())
            rows.append({"label": label, "count": count, "map": None, "map_50": None} | scores)
        return rows

    @classmethod
    def describe_targets(cls, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the number of objects of each class in each image, such as ``"2 cat, 1 dog"``."""
        counts = cls.true_statistics(dataset.subset(rows, dataset.hooks.stage), len(labels))
        return [_in_words(zip(labels, each.astype(int).tolist(), strict=True)) for each in counts]

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the number of objects of each class that are found with a score of the threshold or more."""
        task: Any = self
        images = [image for image, _ in annotated_images(dataset.subset(rows, dataset.hooks.stage))]
        counts = (Counter(map(str, each["labels"])) for each in task.predict(images, output=task.default_output))
        numbered = labels if task.labels is not None else list(map(str, range(len(labels))))
        return [
            _in_words((label, count[known]) for label, known in zip(labels, numbered, strict=True)) for count in counts
        ]

    def pictures(self, dataset: AutoDataset, rows: Sequence[int]) -> list[Any]:
        """Return true objects (left) and predicted ones (right) over images, uint8, ``(height, width, 3)`` each."""
        from .plots import pictures

        chosen = annotated_images(dataset.subset(rows, dataset.hooks.stage))
        return pictures(self, dataset.hooks.preprocess, list(chosen))


def _in_words(counts: Any) -> str:
    return ", ".join(f"{count} {label}" for label, count in counts if count) or "none"
