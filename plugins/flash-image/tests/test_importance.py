"""Importance of patches: that of a prediction of the image with the patch in its mean color, computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from flash.core.classification import ClassificationTask
from flash.core.evaluation import evaluate_rows
from flash.core.occlusion import piece_importance
from flash.core.regression import RegressionTask
from flash.data.pieces import Box
from flash.errors import ConfigurationError
from flash.image import ImageClassificationData, ImageClassifier, ImageEmbedder, ImageRegressionData

CONFIG: dict[str, Any] = {"input_size": (3, 32, 32), "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop_pct": 1.0}


def noise(seed: int, height: int = 32, width: int = 32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def covered(image: np.ndarray[Any, Any], rows: slice, columns: slice) -> np.ndarray[Any, Any]:
    changed = image.copy()
    changed[rows, columns] = np.round(image.mean((0, 1)))
    return changed


class Corner(ClassificationTask):
    """Decides by the red of the upper right eighth of each side alone."""

    def forward(self, x: Tensor) -> Tensor:
        red = x[:, 0, :4, -4:].mean((1, 2))
        return torch.stack([-red, red], 1)


def test_the_one_patch_that_decides_is_the_only_important_one() -> None:
    images = np.stack([noise(seed) for seed in range(3)])
    images[:, :4, -4:, 0] = 255
    data = ImageClassificationData.from_numpy(
        images, ["a", "b", "a"], images, ["a", "b", "a"], data_config=CONFIG, batch_size=10
    )
    for found, image in zip(piece_importance(Corner(labels=["a", "b"]), data, rows=[0, 1, 2]), images, strict=True):
        assert found.name == "b"
        assert found.value == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
        mean = np.round(image[:, :, 0].mean()) / 255
        assert found.places[7] == Box(28, 0, 32, 4)
        assert found.values[7] == pytest.approx(1 / (1 + np.exp(-2)) - 1 / (1 + np.exp(-2 * mean)), abs=1e-5)
        assert [*found.values[:7], *found.values[8:]] == [0.0] * 63
        np.testing.assert_array_equal(found.shown, image)


class Mean(RegressionTask):
    """Two numbers: ten times the mean of red, and that of blue."""

    def forward(self, x: Tensor) -> Tensor:
        return 10 * x[:, [0, 2]].mean((2, 3))


def test_a_patch_changes_a_number_by_what_its_pixels_say() -> None:
    image = noise(0, 32, 64)
    data = ImageRegressionData.from_images(
        [Image.fromarray(image)] * 2,
        [[1.0, 2.0], [3.0, 5.0]],
        [Image.fromarray(image)],
        [[1.0, 2.0]],
        data_config=CONFIG,
        transform=lambda picture: torch.as_tensor(np.array(picture)).permute(2, 0, 1).float() / 255,
    )
    for target, channel in ((None, 0), (1, 2)):
        (found,) = piece_importance(Mean(2), data, rows=[0], most=8, target=target)
        assert [(place.left, place.top) for place in found.places] == [(x, y) for y in (0, 16) for x in (0, 16, 32, 48)]
        whole = 10 * image[:, :, channel].mean() / 255
        without = [
            10 * covered(image, slice(y, y + 16), slice(x, x + 16))[:, :, channel].mean() / 255
            for y in (0, 16)
            for x in (0, 16, 32, 48)
        ]
        assert found.value == pytest.approx(whole, rel=1e-4)
        assert found.values == pytest.approx([whole - each for each in without], abs=1e-4)


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_the_whole_image_is_predicted_as_always_and_patches_are_where_they_are_drawn(
    extension: str, tmp_path: Path
) -> None:
    for kind in "ab":
        for number in range(2):
            file = tmp_path / kind / f"{number}.{extension}"
            file.parent.mkdir(exist_ok=True)
            # A large file, which is decoded at a part of its size and shown at another.
            Image.fromarray(noise(number, 900, 1300)).resize((1300, 900)).save(file)
    data = ImageClassificationData.from_folders(tmp_path, tmp_path, data_config=CONFIG)
    task = ImageClassifier.from_data(data, backbone="test_resnet", pretrained=False)
    found = piece_importance(task, data, rows=[3], most=6)[0]
    assert found.id == str(tmp_path / "b" / f"1.{extension}")
    evaluated = evaluate_rows(task, data)
    assert evaluated.probabilities is not None
    assert found.value == float(evaluated.probabilities[3].max())
    height, width = found.shown.shape[:2]
    assert max(height, width) == 512
    assert (found.places[-1].right, found.places[-1].bottom) == (width, height)
    dataset = data.indexed_dataset("val")
    pieces = dataset.pieces(3, 6)
    assert pieces is not None
    samples = dataset.without_pieces(pieces, [[place] for place in range(6)])
    for place, box in enumerate(pieces.places):
        assert isinstance(box, Box)
        changed = (samples[place][0] != dataset[3][0]).any(0)
        rows, columns = (
            slice(round(a * 32 / size), round(b * 32 / size))
            for a, b, size in ((box.top, box.bottom, height), (box.left, box.right, height))
        )
        # The network sees the middle of the image, of which the resized pixels at the edge of a patch mix both sides.
        offset = round((width - height) / 2 * 32 / height)
        inside = torch.zeros(32, 32, dtype=torch.bool)
        left, right = max(columns.start - offset - 2, 0), max(columns.stop - offset + 2, 0)
        inside[max(rows.start - 2, 0) : rows.stop + 2, left:right] = True
        assert not (changed & ~inside).any()
        assert changed.any() or not inside.any()


def test_each_image_is_beside_its_heat_map() -> None:
    images = np.stack([noise(seed) for seed in range(3)])
    images[:, :4, -4:, 0] = 255
    data = ImageClassificationData.from_numpy(images, list("aba"), images, list("aba"), data_config=CONFIG, seed=0)
    task = Corner(labels=["a", "b"])
    figure: Any = task.plot_importance(data, count=2)
    assert isinstance(figure, matplotlib.figure.Figure)
    shown, heat, *_, scale = figure.axes
    assert len(figure.axes) == 5
    assert (shown.get_title(), scale.get_xlabel()) == ("b 88%, truth a", "drop of the probability without the piece")
    values = np.asarray(heat.images[1].get_array())
    assert (values[:4, -4:] > 0.1).all()
    assert np.count_nonzero(values) == 16
    chosen: Any = task.plot_importance(data, rows=[2])
    np.testing.assert_array_equal(chosen.axes[0].images[0].get_array(), images[2])


def test_an_embedder_says_what_to_do() -> None:
    images = np.stack([noise(seed) for seed in range(4)])
    data = ImageClassificationData.from_numpy(images, list("abab"), images, list("abab"), data_config=CONFIG)
    task = ImageEmbedder(backbone="test_resnet", pretrained=False, data_config=CONFIG)
    with pytest.raises(
        ConfigurationError, match=r"this ImageEmbedder predicts something else. See its results with task"
    ):
        task.plot_importance(data)
