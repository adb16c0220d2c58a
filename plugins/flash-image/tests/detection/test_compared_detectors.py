"""What a baseline has of detectors: statistics of images, words, pictures, a trivial model, recipes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flash import Trainer
from flash.image import (
    InstanceSegmentation,
    InstanceSegmentationData,
    KeypointDetectionData,
    KeypointDetector,
    ObjectDetectionData,
    ObjectDetector,
)
from flash.image.detection import recipes
from flash.image.detection.average_precision import BOXES, MASKS, class_precisions, point_matching
from flash.image.detection.usual_objects import UsualObjects
from flash.image.instances import recipes as instance_recipes
from flash.image.keypoints import recipes as keypoint_recipes

LABELS = ["blue", "red"]


@pytest.fixture
def data(draw: Callable[..., Any]) -> ObjectDetectionData:
    train, val = draw(6).parts(), draw(5, seed=1, sizes=((64, 64), (80, 50))).parts()
    return ObjectDetectionData.from_images(*train, *val, batch_size=2, augmentation="flip", labels=LABELS)


@pytest.fixture
def task(data: ObjectDetectionData, tiny: dict[str, Any]) -> ObjectDetector:
    torch.manual_seed(0)
    made = ObjectDetector.from_data(data, score_threshold=0.0, **tiny)
    made.use_data(data)
    return made


def metrics_of(statistics: tuple[Any, Any], task: type[ObjectDetector]) -> dict[str, float]:
    ones = np.ones((1, len(statistics[0])))
    return {each.name: float(each.prepare(*statistics)(ones)[0]) for each in task.statistics_metrics()}


def test_the_metrics_of_a_comparison_are_those_that_validation_logs(
    data: ObjectDetectionData, task: ObjectDetector
) -> None:
    with torch.no_grad():
        # Boxes around a common place, some of which are right.
        task.model.roi_heads.box_predictor.bbox_pred.weight.mul_(4)
    dataset = data.val_dataset
    assert dataset is not None
    found = task.predicted_statistics(dataset, batch_size=3)
    truth = ObjectDetector.true_statistics(dataset, 2)
    (logged,) = Trainer(logger=False, enable_progress_bar=False).validate(task, data, verbose=False)
    for name, value in metrics_of((truth, found), ObjectDetector).items():
        assert 0 < value == pytest.approx(logged[f"val_{name}"], abs=1e-6)
    rows = ObjectDetector.class_scores(truth, found, LABELS)
    assert [row["count"] for row in rows] == (truth > 0).sum(0).tolist()
    assert np.mean([row["map_50"] for row in rows]) == pytest.approx(logged["val_map_50"], abs=1e-6)


def test_a_class_without_objects_has_no_score(task: ObjectDetector) -> None:
    truth = np.array([[1.0, 0.0]])
    predicted = np.array([[-1.0] + [0.0] * 11])
    assert ObjectDetector.class_scores(truth, predicted, LABELS) == [
        {"label": "blue", "count": 1, "map": 0.0, "map_50": 0.0},
        {"label": "red", "count": 0, "map": None, "map_50": None},
    ]
    assert ObjectDetector.class_counts(truth) is truth


def test_targets_and_predictions_are_told_in_numbers_of_each_class(
    data: ObjectDetectionData, task: ObjectDetector, draw: Callable[..., Any]
) -> None:
    dataset: Any = data.val_dataset
    drawn = draw(5, seed=1, sizes=((64, 64), (80, 50)))
    assert ObjectDetector.describe_targets(dataset, [3, 0], LABELS) == [f"1 {drawn.labels[row][0]}" for row in (3, 0)]
    (told,) = task.describe_predictions(dataset, [2], LABELS)
    (found,) = task.predict(drawn.images[2:3])
    counts = {label: found["labels"].count(label) for label in LABELS}
    assert told == ", ".join(f"{count} {label}" for label, count in counts.items() if count)
    task.score_threshold = 1.0
    assert task.describe_predictions(dataset, [2], LABELS) == ["none"]


def test_pictures_have_the_truth_on_the_left_and_the_prediction_on_the_right(
    data: ObjectDetectionData, task: ObjectDetector
) -> None:
    task.score_threshold = 1.0
    square, wide = task.pictures(data.val_dataset, [0, 1])
    assert (square.shape, square.dtype) == ((240, 2 * 240 + 8, 3), np.uint8)
    assert wide.shape == (150, 2 * 240 + 8, 3)
    left, right = square[:, :240], square[:, -240:]
    # A box with its caption is green, and there is none on the right.
    green = [(part[..., 1] > 170) & (part[..., 0] < 80) for part in (left, right)]
    assert green[0].sum() > 100
    assert not green[1].any()


def test_crowds_are_not_counted(tmp_path: Path, draw: Callable[..., Any]) -> None:
    drawn = draw(2)
    file = drawn.coco(tmp_path / "boxes.json", [path.name for path in drawn.save(tmp_path)])
    content = json.loads(file.read_text())
    content["annotations"][1]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    data = ObjectDetectionData.from_coco(tmp_path, file)
    assert ObjectDetector.true_statistics(data.train_dataset, 2).tolist() == [[1, 0], [0, 0]]


# ---------------------------------------------------------------------- the trivial model


def boxes_of(model: UsualObjects, data: Any, task: type[ObjectDetector]) -> list[list[float]]:
    """Return the average precision of each class at each threshold of the trivial model on the validation images."""
    found = model.fit(data).predict(data.val_dataset)
    truth = task.true_statistics(data.val_dataset, data.num_classes)
    return class_precisions(truth, found, task.matching).round(3).tolist()


def test_the_trivial_model_finds_the_mean_box_of_each_class_in_shares_of_the_image() -> None:
    images = [np.zeros((20, 40, 3), np.uint8), np.zeros((40, 80, 3), np.uint8), np.zeros((40, 80, 3), np.uint8)]
    # The mean of the first class is the middle half of an image.
    train = [["a"], ["a", "b"], []], [[[8, 4, 28, 14]], [[24, 12, 64, 32], [0, 0, 8, 8]], []]
    val = images[1:2], [["a", "b"]], [[[20, 10, 60, 30], [0, 0, 8, 8]]]
    data = ObjectDetectionData.from_images(images, *train, *val)
    model = recipes.usual_boxes(data)
    assert model.kind == "trivial"
    assert boxes_of(model, data, ObjectDetector) == [[1.0] * 10, [1.0] * 10]
    scores = model.predict(data.val_dataset).reshape(-1, 12)[:, :2]
    assert scores.round(3).tolist() == [[0, 0.667], [1, 0.333]]


def test_the_trivial_model_of_masks_takes_whole_boxes_and_that_of_points_the_mean_pose() -> None:
    images, classes = [np.zeros((20, 20, 3), np.uint8)] * 2, [["a"], ["a"]]
    masks = np.zeros((2, 1, 20, 20), np.bool_)
    masks[:, 0, 5:15, 5:15] = True
    masks[0, 0, 5:15, 5:9] = False
    of_masks = InstanceSegmentationData.from_images(images, classes, list(masks[[1, 1]]), images, classes, list(masks))
    # 60 of 100 pixels are at least the half, and no more than 0.6.
    (precisions,) = boxes_of(instance_recipes.usual_masks(of_masks), of_masks, InstanceSegmentation)
    assert precisions[0] == 1.0
    assert precisions[3] < 1.0
    points: Any = [[[[8, 8], [12, 12]]], [[[8, 8], [12, 12]]]]
    of_points = KeypointDetectionData.from_images(images, classes, points, images, classes, points)
    assert boxes_of(keypoint_recipes.usual_points(of_points), of_points, KeypointDetector) == [[1.0] * 10]


def test_a_detector_of_points_is_compared_by_its_own_sigmas() -> None:
    assert (ObjectDetector.matching, InstanceSegmentation.matching) == (BOXES, MASKS)
    task = KeypointDetector(labels=["a"], keypoints=1, sigmas=[0.5], pretrained=False)
    box, there = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[[5.0, 5.0, 2.0]]])
    pair = {"keypoints": there + 3}, {"keypoints": there, "boxes": box, "labels": torch.tensor([1])}
    assert task.own_matching().overlaps(*pair) == point_matching([0.5]).overlaps(*pair) > 0.9
    assert KeypointDetector(labels=["a"], keypoints=1, pretrained=False).own_matching().overlaps(*pair) < 0.1


# ---------------------------------------------------------------------- the other recipes


@pytest.mark.parametrize(
    ("task", "module", "names"),
    [
        (ObjectDetector, recipes, ["ssdlite", "scratch"]),
        (InstanceSegmentation, instance_recipes, ["frozen", "scratch"]),
        (KeypointDetector, keypoint_recipes, ["frozen", "scratch"]),
    ],
)
def test_recipes_are_tasks_for_the_data(
    task: Any, module: Any, names: list[str], monkeypatch: pytest.MonkeyPatch, data: Any
) -> None:
    made: list[dict[str, Any]] = []

    def from_data(data: Any, **options: Any) -> Any:
        made.append(options)
        return torch.nn.Identity()

    monkeypatch.setattr(task, "from_data", from_data)
    built = [getattr(module, name)(data) for name in names]
    assert [isinstance(each, tuple) and each[1] == "freeze" for each in built] == [name == "frozen" for name in names]
    assert [options.get("pretrained", True) for options in made] == [True, False]
