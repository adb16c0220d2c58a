"""Precision from statistics of images: that of torchmetrics and of pycocotools, with any weights of the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flash.image.detection.average_precision import (
    BOXES,
    MASKS,
    Matching,
    class_precisions,
    joined_statistics,
    match_objects,
    point_matching,
    precision_metrics,
    true_counts,
)
from flash.image.detection.metrics import BoxMeanAveragePrecision
from flash.image.instances.metrics import MaskMeanAveragePrecision
from flash.image.keypoints.metrics import KeypointMeanAveragePrecision

SIDE, CLASSES, SIGMAS = 40, 3, [0.05, 0.1, 0.08]
Objects = list[dict[str, Tensor]]


def drawn(random: np.random.Generator, boxes: Tensor) -> Tensor:
    """Draw a mask in each box, with some pixels missing."""
    masks = torch.zeros(len(boxes), SIDE, SIDE, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = torch.from_numpy(random.random((bottom - top, right - left)) < 0.9)
    return masks


def points_in(random: np.random.Generator, boxes: Tensor) -> Tensor:
    places = torch.from_numpy(random.random((len(boxes), len(SIGMAS), 2))).float()
    return boxes[:, None, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, None]


def some_boxes(random: np.random.Generator, count: int) -> Tensor:
    corners = random.integers(0, SIDE - 12, (count, 2))
    return torch.from_numpy(np.concatenate([corners, corners + random.integers(5, 12, (count, 2))], 1)).float()


def some_images(seed: int, count: int = 25) -> tuple[Objects, Objects]:
    """Return objects that are found in images, and the true ones: near ones, false ones, crowds, the same score."""
    random = np.random.default_rng(seed)
    found, true = [], []
    for row in range(count):
        boxes = some_boxes(random, int(random.integers(0, 7)) if row else 0)
        labels = torch.from_numpy(random.integers(1, CLASSES + 1, len(boxes)))
        near = (boxes + torch.from_numpy(random.integers(-2, 3, boxes.shape))).clamp(0, SIDE)
        near[:, 2:] = near[:, 2:].maximum(near[:, :2] + 1)
        points = points_in(random, boxes)
        seen = torch.from_numpy(random.integers(0, 3, (*points.shape[:2], 1))).float()
        seen[random.random(len(boxes)) < 0.1] = 0
        masks = drawn(random, boxes)
        crowds = torch.from_numpy((random.random(len(boxes)) < 0.2).astype(np.int64))
        true.append(
            {
                "boxes": boxes,
                "labels": labels,
                "iscrowd": crowds,
                "masks": masks,
                "keypoints": torch.cat([points, seen], 2),
                "area": (boxes[:, 2:] - boxes[:, :2]).prod(1) * 0.7,
            }
        )
        false = some_boxes(random, int(random.integers(0, 6)))
        moved = points + torch.from_numpy(random.normal(0, 0.7, points.shape)).float()
        others = torch.from_numpy(random.integers(1, CLASSES + 1, len(false)))
        wrong = torch.from_numpy(random.random(len(labels)) < 0.2)
        scores = torch.from_numpy(random.random(len(near) + len(false)).round(1)).float()
        found.append(
            {
                "boxes": torch.cat([near, false]),
                "labels": torch.cat([torch.where(wrong, labels % CLASSES + 1, labels), others]),
                "scores": scores,
                "masks": torch.cat([masks.roll(1, 2), drawn(random, false)]),
                "keypoints": torch.cat([moved, points_in(random, false)]),
            }
        )
    return found, true


def statistics(found: Objects, true: Objects, matching: Matching) -> tuple[Any, Any]:
    rows = [match_objects(*pair, matching) for pair in zip(found, true, strict=True)]
    return np.stack([true_counts(each, CLASSES, matching) for each in true]), joined_statistics(rows)


def values(found: Objects, true: Objects, matching: Matching, weights: Any) -> dict[str, list[float]]:
    counts = statistics(found, true, matching)
    return {each.name: each.prepare(*counts)(np.array(weights)).tolist() for each in precision_metrics(matching)}


def usual(metric: Any, found: Objects, true: Objects) -> dict[str, Any]:
    metric.update(found, true)
    computed = metric.compute()
    return {name: pytest.approx([float(computed[name])], abs=1e-6) for name in ("map", "map_50")}


KINDS = [
    pytest.param(BoxMeanAveragePrecision, BOXES, id="boxes"),
    pytest.param(MaskMeanAveragePrecision, MASKS, id="masks"),
    pytest.param(lambda: KeypointMeanAveragePrecision(SIGMAS), point_matching(SIGMAS), id="points"),
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("metric", "matching"), KINDS)
def test_with_equal_weights_precision_is_that_of_the_metric_of_the_task(
    metric: Any, matching: Matching, seed: int
) -> None:
    found, true = some_images(seed)
    computed = values(found, true, matching, np.ones((1, len(true))))
    assert computed == usual(metric(), found, true)
    assert 0.02 < computed["map"][0] < computed["map_50"][0] < 0.98


@pytest.mark.parametrize(("metric", "matching"), KINDS)
def test_an_image_that_counts_twice_is_one_that_is_there_twice(metric: Any, matching: Matching) -> None:
    found, true = some_images(3, 12)
    for each in found:  # The order of equal scores of several images is not defined.
        each["scores"] = torch.from_numpy(np.random.default_rng(len(each["scores"])).random(len(each["scores"])))
    for place, each in enumerate(found):
        each["scores"] = (each["scores"] + place * 1e-3).float()
    weights = [2, 0, 1, 3, 1, 0, 0, 2, 1, 1, 0, 1]
    repeated = [row for row, weight in enumerate(weights) for _ in range(weight)]
    expected = usual(metric(), [found[row] for row in repeated], [true[row] for row in repeated])
    assert values(found, true, matching, [weights]) == expected


def test_precision_of_a_class_is_not_defined_where_it_does_not_occur() -> None:
    found, true = some_images(0)
    true = [{name: part[each["labels"] != 2] for name, part in each.items()} for each in true]
    precisions = class_precisions(*statistics(found, true, BOXES), BOXES)
    assert precisions.shape == (CLASSES, 10)
    assert np.isnan(precisions).all(1).tolist() == [False, True, False]
    assert values(found, true, BOXES, np.ones((1, len(true)))) == usual(BoxMeanAveragePrecision(), found, true)
    weights = np.zeros((2, len(true)))
    weights[1] = 1
    nothing, everything = values(found, true, BOXES, weights)["map"]
    assert np.isnan(nothing)
    assert everything == pytest.approx(float(precisions[[0, 2]].mean()))


def test_only_the_best_hundred_of_a_class_count_in_an_image() -> None:
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(120, 1)
    found = [{"boxes": boxes, "labels": torch.ones(120, dtype=torch.long), "scores": torch.arange(120) / 120}]
    true = [{"boxes": boxes[:1], "labels": torch.ones(1, dtype=torch.long)}]
    counts, predicted = statistics(found, true, BOXES)
    assert counts.tolist() == [[1, 0, 0]]
    rows = predicted.reshape(100, 12)
    assert rows[:, 1].min() == pytest.approx(20 / 120)
    # The object is matched once, by the best one.
    assert rows[0, 2:].tolist() == [1.0] * 10
    assert not rows[1:, 2:].any()


def test_images_without_a_found_object_have_statistics_of_none() -> None:
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    there = {"boxes": torch.tensor([[0.0, 0.0, 9.0, 9.0]]), "labels": torch.tensor([2])}
    found = [{**nothing, "scores": torch.zeros(0)}] * 2
    counts, predicted = statistics(found, [there, nothing], BOXES)
    assert predicted.shape == (2, 12)
    assert np.isfinite(predicted).all()
    assert counts.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert values(found, [there, nothing], BOXES, [[1, 1]])["map"] == [0.0]
