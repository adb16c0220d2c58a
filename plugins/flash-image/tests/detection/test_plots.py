"""Pictures: what is drawn, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flash.errors import ConfigurationError, DataError
from flash.image import ObjectDetectionData, ObjectDetector
from flash.image.detection.plots import mistakes

Draw = Callable[..., Any]


def captions(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_show_batch_draws_each_box_with_its_label_where_it_is(draw: Draw, tmp_path: Path) -> None:
    drawn = draw(3)
    figure = ObjectDetectionData.from_images(*drawn.parts(), seed=0).show_batch(count=2)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        pixels: Any = axes.images[0].get_array()
        row = next(row for row, image in enumerate(drawn.images) if np.array_equal(image, pixels))
        box: Any = axes.patches[0]
        assert len(axes.patches) == 1
        left, top, right, bottom = drawn.boxes[row][0]
        assert (box.get_x(), box.get_y()) == (left - 0.5, top - 0.5)
        assert (box.get_width(), box.get_height()) == (right - left, bottom - top)
        assert captions(axes) == drawn.labels[row]
    figure.savefig(tmp_path / "batch.png")
    assert len(np.unique(np.asarray(Image.open(tmp_path / "batch.png")))) > 50, "something is drawn"


class Seer(ObjectDetector):
    """Finds what it is told to."""

    told: Any = ()

    def predict(self, raw: Any, output: Any = None, batch_size: int = 4) -> list[Any]:
        return [self.told(np.asarray(image).transpose(1, 2, 0)) for image in raw]


def test_predictions_stand_beside_the_truth_with_the_worst_first(draw: Draw, tiny: dict[str, Any]) -> None:
    drawn = draw(3)
    dm = ObjectDetectionData.from_images(*drawn.parts(), *drawn.parts(), seed=0)
    task = Seer.from_data(dm, **tiny)

    def told(image: Any) -> Any:
        row = next(row for row, each in enumerate(drawn.images) if np.array_equal(each, image))
        found = [
            {"boxes": drawn.boxes[0], "labels": drawn.labels[0], "scores": [0.9]},
            {"boxes": [[0, 0, 4, 4], [0, 0, 3, 3]], "labels": ["red", "red"], "scores": [0.8, 0.7]},
            {"boxes": [], "labels": [], "scores": []},
        ]
        return found[row]

    task.told = told
    figure = dm.plot_predictions(task, count=3)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["1 missed, 2 false", "1 missed, 0 false", "0 missed, 0 false"]
    assert captions(figure.axes[0]) == [*drawn.labels[1], "red 0.80", "red 0.70"]
    assert len(dm.plot_predictions(task, count=1).axes) == 1


def test_a_box_counts_once_and_only_for_its_class() -> None:
    there = torch.tensor([[0.0, 0, 10, 10]])
    box = [0.0, 0, 10, 10]
    assert mistakes({"boxes": [box, box], "labels": ["cat", "cat"]}, there, ["cat"]) == (0, 1)
    assert mistakes({"boxes": [box], "labels": ["dog"]}, there, ["cat"]) == (1, 1)
    assert mistakes({"boxes": [[0, 0, 4, 10]], "labels": ["cat"]}, there, ["cat"]) == (1, 1)
    assert mistakes({"boxes": [], "labels": []}, there[:0], []) == (0, 0)


def test_a_stage_without_boxes_cannot_be_drawn(draw: Draw) -> None:
    dm = ObjectDetectionData.from_images(*draw(2).parts())
    for stage in ("val", "predict", "vla"):
        with pytest.raises(DataError, match=f"Expected {stage} data with boxes to draw, but there is none"):
            dm.show_batch(stage)


def test_the_task_draws_what_the_data_draw_and_counts_are_checked(draw: Draw, tiny: dict[str, Any]) -> None:
    drawn = draw(3)
    dm = ObjectDetectionData.from_images(*drawn.parts(), *drawn.parts(), seed=0)
    task = ObjectDetector.from_data(dm, **tiny)
    titles = [axes.get_title() for axes in task.plot_predictions(dm, count=2, max_images=2).axes]
    assert titles == [axes.get_title() for axes in dm.plot_predictions(task, count=2, max_images=2).axes]
    assert all(title.startswith("1 missed, ") for title in titles)
    for draw_with in (dm.show_batch, lambda count: task.plot_predictions(dm, count=count)):
        with pytest.raises(ConfigurationError, match="Expected count to be a whole number of at least 1, but got 0"):
            draw_with(count=0)
    with pytest.raises(ConfigurationError, match=r"outputs of another kind. Call task.plot_predictions\(data\)"):
        task.plot_confusion(dm)
    with pytest.raises(
        ConfigurationError, match=r"ObjectDetectionData are one whole. See its results with task.plot_pred"
    ):
        task.plot_importance(dm)
    with pytest.raises(
        ConfigurationError, match=r"this ObjectDetector predicts something else. See its results with ta"
    ):
        task.plot_importance(dm, rows=[0])


def test_a_person_is_shown_images_without_boxes(draw: Draw) -> None:
    drawn = draw(2)
    images, labels, boxes = drawn.parts()
    dm = ObjectDetectionData.from_images(
        train_images=images, train_targets=labels, train_bboxes=boxes, predict_images=images
    )
    for stage in ("train", "predict"):
        for image, original in zip(dm.indexed_dataset(stage).display([0, 1]), images, strict=True):
            np.testing.assert_array_equal(image, original)
