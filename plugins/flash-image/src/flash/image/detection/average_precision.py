"""Mean average precision from statistics of each image, so that it is computed again for any weights of the images.

COCO's evaluation matches detections within an image and a class, at each threshold of their overlap, best first. What
comes of it, a row for each detection, is all that the precision of a data set depends on: detections are sorted once,
and precision is accumulated with the weights of their images. Values are those of torchmetrics and pycocotools.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from flash.core.structured_prediction import Array, Evaluation, StatisticsMetric

__all__ = [
    "BOXES",
    "MASKS",
    "Matching",
    "Objects",
    "box_overlaps",
    "class_precisions",
    "ignored_objects",
    "joined_statistics",
    "mask_overlaps",
    "match_objects",
    "point_matching",
    "precision_metrics",
    "true_counts",
]

#: Objects of an image: ``labels`` (from 1), and ``boxes``, ``masks`` or ``keypoints``; found ones with ``scores``.
Objects = Mapping[str, Tensor]
# The numbers of a block of weights.
_BLOCK = 1 << 21
_HIT, _FALSE, _IGNORED, _NONE = 1.0, 0.0, -1.0, -1.0


def ignored_objects(true: Objects) -> Array:
    """Return which true objects do not count: crowds and difficult ones, shape ``(objects,)``."""
    return _crowds(true)


def _crowds(true: Objects) -> Array:
    return np.asarray(true["iscrowd"].cpu() > 0) if "iscrowd" in true else np.zeros(len(true["labels"]), bool)


# The thresholds are those that torchmetrics computes with.
def _overlap_thresholds() -> Array:
    return torch.linspace(0.5, 0.95, 10).double().numpy()


def _recall_thresholds() -> Array:
    return torch.linspace(0.0, 1.0, 101).double().numpy()


@dataclass(frozen=True)
class Matching:
    """Way to match found objects with true ones, and its thresholds.

    Args:
        overlaps: From found and true objects of an image to how alike they are, ``(found, true)``, 0 to 1.
        ignored: From true objects to which of them do not count, ``(true,)``.
        most: How many objects of a class count in an image, the best ones.
        thresholds: The overlaps from which a found object is a true one.
        recalls: The recalls at which precision is measured.
    """

    overlaps: Callable[[Objects, Objects], Array]
    ignored: Callable[[Objects], Array] = ignored_objects
    most: int = 100
    thresholds: Array = field(default_factory=_overlap_thresholds, repr=False)
    recalls: Array = field(default_factory=_recall_thresholds, repr=False)


# ---------------------------------------------------------------------- how alike objects are


def box_overlaps(found: Objects, true: Objects) -> Array:
    """Return the IoU of boxes, or the share of a found box that is inside a crowd.

    Args:
        found: ``boxes``, left, top, right and bottom edge, shape ``(found, 4)``.
        true: ``boxes``, and optionally ``iscrowd``.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> box_overlaps({"boxes": boxes}, {"boxes": boxes + 5, "labels": torch.tensor([1])}).round(2).tolist()
        [[0.14]]
    """
    first, second = (_corner_and_size(each["boxes"]) for each in (found, true))
    starts = np.maximum(first[:, None, :2], second[None, :, :2])
    ends = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    common = (ends - starts).clip(min=0).prod(2)
    return _over_union(common, first[:, 2:].prod(1), second[:, 2:].prod(1), _crowds(true))


def _corner_and_size(boxes: Tensor) -> Array:
    corners = boxes.detach().float().cpu()
    sides = corners[:, 2:] - corners[:, :2]
    return np.asarray(torch.cat([corners[:, :2], sides], dim=1).double())


def _over_union(common: Array, found: Array, true: Array, crowds: Array) -> Array:
    both = found[:, None] + np.where(crowds, 0.0, true)[None] - np.where(crowds[None], 0.0, common)
    return np.asarray(np.divide(common, both, out=np.zeros_like(common), where=(common > 0) & (both > 0)))


def mask_overlaps(found: Objects, true: Objects) -> Array:
    """Return the IoU of masks, or the share of a found mask that is inside a crowd.

    Args:
        found: ``masks``, shape ``(found, height, width)``.
        true: ``masks``, and optionally ``iscrowd``.

    Example:
        >>> left, both = torch.tensor([[[True, False]]]), torch.tensor([[[True, True]]])
        >>> mask_overlaps({"masks": left}, {"masks": both, "labels": torch.tensor([1])}).tolist()
        [[0.5]]
    """
    drawn, masks = found["masks"].bool().cpu(), true["masks"].bool().cpu()
    common = np.zeros((len(drawn), len(masks)))
    for place, mask in enumerate(masks):
        rows, columns = mask.any(1).nonzero().flatten().tolist(), mask.any(0).nonzero().flatten().tolist()
        if rows:
            inside_rows, inside_columns = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            both = drawn[:, inside_rows, inside_columns] & mask[inside_rows, inside_columns]
            common[:, place] = both.flatten(1).sum(1).numpy()
    areas = [each.flatten(1).sum(1).double().numpy() for each in (drawn, masks)]
    return _over_union(common, areas[0], areas[1], _crowds(true))


def point_matching(sigmas: Sequence[float]) -> Matching:
    """Return the matching of objects by their points: object keypoint similarity (OKS).

    Args:
        sigmas: How far annotators of each point differ, as a share of the size of the object.

    Example:
        >>> points = torch.tensor([[[10.0, 10.0, 2.0]]])
        >>> true = {"keypoints": points, "boxes": torch.tensor([[5.0, 5.0, 15.0, 15.0]]), "labels": torch.tensor([1])}
        >>> point_matching([0.05]).overlaps({"keypoints": points[..., :2] + 1}, true).round(2).tolist()
        [[0.37]]
    """
    # The thresholds are those that pycocotools computes with.
    thresholds, recalls = np.linspace(0.5, 0.95, 10), np.linspace(0.0, 1.0, 101)
    return Matching(lambda found, true: _similarities(found, true, sigmas), _without_points, 20, thresholds, recalls)


def _without_points(true: Objects) -> Array:
    seen = np.asarray((true["keypoints"][..., 2] > 0).any(1).cpu()) if len(true["labels"]) else np.zeros(0, bool)
    return np.asarray(_crowds(true) | ~seen)


def _similarities(found: Objects, true: Objects, sigmas: Sequence[float]) -> Array:
    guessed = found["keypoints"][..., :2].detach().float().cpu().double().numpy()
    variances = (np.asarray(sigmas, dtype=np.float64) * 2) ** 2
    boxes = _corner_and_size(true["boxes"])
    areas = true["area"].float().double().cpu().numpy() if "area" in true else boxes[:, 2:].prod(1)
    similar = np.zeros((len(guessed), len(boxes)))
    for place, points in enumerate(true["keypoints"].float().double().cpu().numpy()):
        seen = points[:, 2] > 0
        away = guessed - points[:, :2]
        if not seen.any():
            # Of an object without annotated points: how far points are outside its box, in twice its size.
            start, size = boxes[place, :2], boxes[place, 2:]
            away = (start - size - guessed).clip(min=0) + (guessed - start - 2 * size).clip(min=0)
        errors = (away**2).sum(2) / variances / (areas[place] + np.spacing(1)) / 2
        similar[:, place] = np.exp(-errors[:, seen] if seen.any() else -errors).mean(1)
    return similar


BOXES = Matching(box_overlaps)
MASKS = Matching(mask_overlaps)


# ---------------------------------------------------------------------- statistics of images


def true_counts(true: Objects, num_classes: int, matching: Matching) -> Array:
    """Return the number of objects of each class in an image that count, shape ``(classes,)``."""
    counted = true["labels"].cpu().numpy()[~matching.ignored(true)] - 1
    return np.bincount(counted, minlength=num_classes)[:num_classes].astype(np.float64)


def joined_statistics(images: Sequence[Array]) -> Array:
    """Return a row for each image, with as many numbers: those of :func:`match_objects`, with class -1 where none is.

    Args:
        images: What :func:`match_objects` returned for each image.
    """
    padded = np.zeros((len(images), max([1, *map(len, images)]), images[0].shape[1]))
    padded[:, :, 0] = _NONE
    for place, each in enumerate(images):
        padded[place, : len(each)] = each
    return padded.reshape(len(images), -1)


def match_objects(found: Objects, true: Objects, matching: Matching) -> Array:
    """Match the objects that were found in an image with the true ones.

    Args:
        found: The objects that were found, with ``scores``.
        true: The true ones.
        matching: How they are matched.

    Returns:
        A row for each found object, with its class from 0, its score, and at each threshold 1 for a hit, 0 for a
        mistake, and -1 if it does not count.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> true = {"boxes": boxes, "labels": torch.tensor([1])}
        >>> match_objects({**true, "scores": torch.tensor([0.5])}, true, BOXES)[0, :4].tolist()
        [0.0, 0.5, 1.0, 1.0]
    """
    labels, scores = found["labels"].cpu().numpy(), found["scores"].detach().float().cpu().double().numpy()
    parts = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        places = places[np.argsort(-scores[places], kind="stable")[: matching.most]]
        of_class = torch.from_numpy(np.flatnonzero(true["labels"].cpu().numpy() == label))
        some = {name: part.cpu()[torch.from_numpy(places)] for name, part in found.items()}
        others = {name: part.cpu()[of_class] for name, part in true.items()}
        overlaps = matching.overlaps(some, others)
        outcomes = _outcomes(overlaps, matching.ignored(others), _crowds(others), matching.thresholds)
        parts.append(np.column_stack([np.full(len(places), label - 1.0), scores[places], outcomes]))
    return np.concatenate([np.zeros((0, 2 + len(matching.thresholds))), *parts])


def _outcomes(overlaps: Array, ignored: Array, crowds: Array, thresholds: Array) -> Array:
    """Return what comes of each found object, best first, at each threshold: ``(found, thresholds)``."""
    outcomes = np.full((len(overlaps), len(thresholds)), _FALSE)
    bounds = np.minimum(thresholds, 1 - 1e-10)
    # Those that do not count are matched last.
    order = np.argsort(ignored, kind="stable")
    overlaps, ignored, crowds = overlaps[:, order], ignored[order], crowds[order]
    is_free = np.ones((len(thresholds), len(order)), bool)
    candidates = np.flatnonzero((overlaps >= bounds.min()).any(1))
    for row in candidates:
        fits = is_free & (overlaps[row] >= bounds[:, None])
        counting = fits & ~ignored
        fits = np.where(counting.any(1, keepdims=True), counting, fits)
        values = np.where(fits, overlaps[row], -1.0)
        # Of equal ones the last.
        best = len(order) - 1 - values[:, ::-1].argmax(1)
        (matched,) = np.nonzero(fits.any(1))
        best = best[matched]
        outcomes[row, matched] = np.where(ignored[best], _IGNORED, _HIT)
        is_free[matched, best] = crowds[best]
    return outcomes


# ---------------------------------------------------------------------- precision of data sets


def precision_metrics(matching: Matching) -> tuple[StatisticsMetric, ...]:
    """Return ``map``, the mean over classes and thresholds, and ``map_50``, that of the lowest threshold.

    Their values are NaN if there are no true objects.

    Args:
        matching: How objects are matched.
    """

    def metric(name: str, count: int | None) -> StatisticsMetric:
        def prepare(truth: Array, predicted: Array) -> Evaluation:
            curves = _Curves(truth, predicted, matching, count)
            return lambda weights: _known_mean(curves.precisions(np.asarray(weights, dtype=np.float64)))

        return StatisticsMetric(name, prepare)

    return metric("map", None), metric("map_50", 1)


def class_precisions(truth: Array, predicted: Array, matching: Matching) -> Array:
    """Return the average precision of each class at each threshold, ``(classes, thresholds)``, NaN without objects.

    Args:
        truth: :func:`true_counts` of each image.
        predicted: :func:`joined_statistics` of the images.
        matching: How they were matched.
    """
    return np.asarray(_Curves(truth, predicted, matching).precisions(np.ones((1, len(truth))))[0])


def _known_mean(precisions: Array) -> Array:
    """Return the mean over classes, and thresholds, that are not NaN; NaN without any."""
    known = ~np.isnan(precisions)
    totals, counts = np.where(known, precisions, 0.0).sum((1, 2)), known.sum((1, 2))
    means = np.full(len(totals), np.nan)
    np.divide(totals, counts, out=means, where=counts > 0)
    return means


class _Curves:
    """The detections of each class, best first.

    Args:
        truth: Objects per class and image.
        predicted: :func:`joined_statistics` of the images.
        matching: How they were matched.
        count: The number of thresholds, the lowest ones; ``None`` for all.
    """

    def __init__(self, truth: Array, predicted: Array, matching: Matching, count: int | None = None) -> None:
        self.truth = np.asarray(truth, dtype=np.float64)
        self.recalls = matching.recalls
        self.count = len(matching.thresholds) if count is None else count
        rows = np.asarray(predicted).reshape(len(truth), -1, 2 + len(matching.thresholds))
        images, places = np.nonzero(rows[:, :, 0] != _NONE)
        found = rows[images, places]
        order = np.argsort(-found[:, 1], kind="stable")
        self.images, self.labels, self.outcomes = images[order], found[order, 0], found[order, 2 : 2 + self.count]

    def precisions(self, weights: Array) -> Array:
        """Return average precision, ``(weightings, classes, thresholds)``; NaN for classes without objects."""
        found = np.full((len(weights), self.truth.shape[1], self.count), np.nan)
        for label in np.flatnonzero(self.truth.any(0)):
            (rows,) = np.nonzero(self.labels == label)
            step = max(1, _BLOCK // max(1, len(rows)))
            for start in range(0, len(weights), step):
                block = weights[start : start + step]
                true = np.einsum("rn,n->r", block, self.truth[:, label])
                self._measure(block, true, self.images[rows], self.outcomes[rows], found[start : start + step, label])
        return found

    def _measure(self, weights: Array, true: Array, images: Array, outcomes: Array, found: Array) -> None:
        """Write the precision of a class, where it has objects, ``(weightings, thresholds)``."""
        known = true > 0
        each = weights[known][:, images]
        seen = each.cumsum(1)
        for place in range(found.shape[1]):
            (hits,) = np.nonzero(outcomes[:, place] == _HIT)
            (ignored,) = np.nonzero(outcomes[:, place] == _IGNORED)
            counted = seen[:, hits]
            if len(ignored):
                left_out = np.pad(each[:, ignored].cumsum(1), ((0, 0), (1, 0)))
                counted = counted - left_out[:, np.searchsorted(ignored, hits)]
            found[known, place] = self._areas(each[:, hits].cumsum(1), counted, true[known])

    def _areas(self, right: Array, counted: Array, true: Array) -> Array:
        """Return the mean precision over recalls, from what is right, and what counts, up to each hit."""
        # The precision at a recall is the best at it or at a higher one, which is that of a hit.
        precision = np.maximum.accumulate((right / (counted + np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(self.recalls, right / true[:, None], side="right")
        return np.asarray((np.diff(reached, prepend=0) * precision).sum(1) / len(self.recalls))
