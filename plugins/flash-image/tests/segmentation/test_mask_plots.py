"""Figures of masks: what is drawn, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from flash.errors import ConfigurationError, DataError
from flash.image import SemanticSegmentation, SemanticSegmentationData
from flash.image.segmentation.plots import overlay, pixel_confusion

Draw = Callable[..., Any]
LABELS = ["ground", "circle", "square"]
SIZES = ((48, 48), (60, 40))


class Seer(SemanticSegmentation):
    """Sees the first masks as they are and the last ones turned, at the resolution of the image."""

    masks: Any = ()

    def forward(self, x: Any) -> torch.Tensor:
        found = []
        for image in x["image"]:
            key = float(image.float().mean())
            row = min(range(len(self.masks)), key=lambda place: abs(self.masks[place][0] - key))
            found.append(self.masks[row][1])
        return torch.stack(found)


def seer(data: SemanticSegmentationData, drawn: Any, tiny: dict[str, Any]) -> Seer:
    task = Seer.from_data(data, **tiny)
    task.use_data(data)
    task.masks = []
    for row, mask in enumerate(drawn.masks):
        inputs, _ = data.val_dataset[row]
        image = data.preprocess.transforms_for(task.input_spec).normalize(inputs["image"][None])
        seen = np.array([0, 2, 1], np.uint8)[mask] if row == 1 else mask
        scores = nn.functional.one_hot(torch.from_numpy(seen).long(), 3).permute(2, 0, 1).float()
        task.masks.append((float(image.mean()), nn.functional.interpolate(scores[None], (240, 240))[0]))
    return task


def data_of(drawn: Any) -> SemanticSegmentationData:
    return SemanticSegmentationData.from_images(*drawn.parts(), *drawn.parts(), labels=LABELS, seed=0, batch_size=2)


def test_the_worst_images_come_first_with_their_iou(draw: Draw, tiny: dict[str, Any], tmp_path: Path) -> None:
    drawn = draw(3, 5, SIZES)
    data = data_of(drawn)
    task = seer(data, drawn, tiny)
    figure = task.plot_predictions(data, count=2)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 2
    assert titles[0] == "IoU 33%", "of three classes one is right"
    assert titles[1] == "IoU 100%"
    assert figure.axes[0].get_xlabel() == "image 1 of the val data"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == LABELS
    shown: Any = figure.axes[0].images[0].get_array()
    assert shown.shape == (40, 60 + 6 + 60, 3)
    figure.savefig(tmp_path / "predictions.png")
    assert len(data.plot_predictions(task).axes) == 3


def test_scores_and_confusion_count_pixels(draw: Draw, tiny: dict[str, Any]) -> None:
    drawn = draw(2, 5, SIZES)
    data = data_of(drawn)
    task = seer(data, drawn, tiny)
    matrix = pixel_confusion(task, data, "val")
    counts = [np.bincount(mask.ravel(), minlength=3) for mask in drawn.masks]
    assert matrix[1, 1] == counts[0][1]
    assert matrix[1, 2] == counts[1][1]
    assert matrix[0, 0] == counts[0][0] + counts[1][0]
    bars = task.plot_scores(data)
    assert next(label.get_text() for label in bars.axes[0].get_yticklabels()) == "ground"
    assert task.plot_confusion(data).axes
    with pytest.raises(DataError, match="with masks, but the predict data has none"):
        pixel_confusion(task, SemanticSegmentationData.from_images(predict_images=drawn.images), "predict")


def test_a_batch_is_drawn_with_its_masks_after_augmentation(draw: Draw) -> None:
    drawn = draw(3)
    drawn.masks[0][:5] = 255
    data = SemanticSegmentationData.from_images(
        drawn.images, drawn.masks, predict_images=drawn.images, labels=LABELS, seed=0
    )
    figure = data.show_batch(count=3)
    assert len(figure.axes) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*LABELS, "not counted"]
    assert len(data.show_batch("predict", 2).axes) == 2
    with pytest.raises(ConfigurationError, match="count"):
        data.show_batch(count=0)


def test_predictions_without_masks_are_beside_their_images(draw: Draw, tiny: dict[str, Any]) -> None:
    drawn = draw(3)
    data = SemanticSegmentationData.from_images(drawn.images, drawn.masks, predict_images=drawn.images, seed=0)
    task = SemanticSegmentation.from_data(data, **tiny)
    assert [axes.get_title() for axes in task.plot_predictions(data, "predict").axes] == ["", "", ""]


def test_colors_of_a_mask_do_not_depend_on_the_color_of_the_image() -> None:
    palette = [(0, 0, 0), (255, 0, 0)]
    mask = np.ones((2, 2), np.uint8)
    for color in ((255, 0, 0), (0, 0, 255)):
        found = overlay(np.full((4, 4, 3), color, np.uint8), mask, palette)
        assert (found[..., 1] == found[..., 2]).all()
        assert (found[..., 0] > found[..., 1]).all()
