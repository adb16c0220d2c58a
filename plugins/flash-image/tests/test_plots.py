"""Figures: what the network sees, with labels; and predictions beside the truth, worst first."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torchvision.transforms import v2

import flash
from flash.core.classification import ClassificationTask
from flash.core.regression import RegressionTask
from flash.errors import ConfigurationError, DataError
from flash.image import ImageClassificationData, ImageRegressionData

CONFIG: dict[str, Any] = {"input_size": (3, 16, 16), "mean": (0.4, 0.5, 0.6), "std": (0.2,) * 3, "crop_pct": 1.0}
GRAYS = (0, 60, 120, 180, 240)


class Brightness(ClassificationTask):
    """Calls a picture bright by its mean alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x.mean((1, 2, 3))
        return torch.stack([-bright, bright], 1)


class Flipped(Brightness):
    """The same, for classes in the alphabet's order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).flip(1)


def grays() -> list[Image.Image]:
    return [Image.new("RGB", (16, 16), (gray, gray, gray)) for gray in GRAYS]


def data(targets: list[Any], **options: Any) -> ImageClassificationData:
    images = grays()
    return ImageClassificationData.from_images(
        images, targets, images, targets, predict_images=images, data_config=CONFIG, seed=0, **options
    )


def drawn(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def colors(figure: Figure) -> list[Any]:
    return [axes.title.get_color() for axes in figure.axes]


# ---------------------------------------------------------------------- batches


def test_a_batch_is_shown_as_it_was_with_its_labels() -> None:
    targets = ["dark", "dark", "dark", "bright", "bright"]
    figure = data(targets).show_batch("val", 5)
    for image, title in zip(drawn(figure), titles(figure), strict=True):
        assert image.shape == (16, 16, 3)
        assert title == targets[GRAYS.index(int(image[0, 0, 0]))]
        assert len(np.unique(image)) == 1


def test_what_augmentation_does_is_seen(picture: Callable[..., Image.Image]) -> None:
    images = [picture("red", size=(60, 40), seed=seed) for seed in range(4)]
    dm = ImageClassificationData.from_images(
        images, ["a", "b"] * 2, images, ["a", "b"] * 2, augmentation="trivial", data_config=CONFIG, seed=0
    )
    torch.manual_seed(0)
    once, again = drawn(dm.show_batch(count=4)), drawn(dm.show_batch(count=4))
    assert not all(np.array_equal(*pair) for pair in zip(once, again, strict=True))
    once, again = drawn(dm.show_batch("val", 4)), drawn(dm.show_batch("val", 4))
    assert all(np.array_equal(*pair) for pair in zip(once, again, strict=True))


def test_a_batch_can_be_shown_before_a_task_is_there(picture: Callable[..., Image.Image]) -> None:
    images, targets = [picture("red"), picture("blue")], ["a", "b"]
    dm = ImageClassificationData.from_images(images, targets, seed=0)
    figure = dm.show_batch()
    assert [image.shape for image in drawn(figure)] == [(224, 224, 3)] * 2
    assert figure.texts[0].get_text() == "train: 224 × 224 pixels, before a task"  # noqa: RUF001  # the sign that it is
    sized = ImageClassificationData.from_images(images, targets, image_size=(32, 48)).show_batch()
    assert [image.shape for image in drawn(sized)] == [(32, 48, 3)] * 2
    # It was a preview: the data still waits for a task.
    with pytest.raises(ConfigurationError, match="no task is connected yet"):
        next(iter(dm.train_dataloader()))


def test_what_a_users_own_transform_made_is_spread_over_the_whole_range(picture: Callable[..., Image.Image]) -> None:
    own = v2.Compose([v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize([99] * 3, [7] * 3)])
    dm = ImageClassificationData.from_images([picture("red"), picture("blue")], ["a", "b"], transform=own)
    for image in drawn(dm.show_batch()):
        assert (image.min(), image.max()) == (0, 255)


def test_several_labels_and_images_without_labels_are_shown_too() -> None:
    lists = [["red", "round"], [], ["round"], [], []]
    assert sorted(titles(data(lists).show_batch("val", 5))) == ["none", "none", "none", "red, round", "round"]
    figure = data(["a", "b", "a", "b", "a"]).show_batch("predict", 3)
    assert titles(figure) == ["", "", ""]
    means = [image.mean() for image in drawn(figure)]
    assert means == sorted(means)


def test_gray_networks_are_shown_in_gray(picture: Callable[..., Image.Image]) -> None:
    images, config = [picture("red"), picture("blue")], {**CONFIG, "input_size": (1, 16, 16)}
    dm = ImageClassificationData.from_images(images, ["a", "b"], data_config=config)
    for image in drawn(dm.show_batch()):
        assert image.shape == (16, 16, 3)
        assert (image[..., 0] == image[..., 1]).all()
        assert (image[..., 0] == image[..., 2]).all()


# ---------------------------------------------------------------------- predictions


def test_predictions_are_beside_the_truth() -> None:
    dm = data(["b dark", "b dark", "b dark", "a bright", "b dark"])
    task = Flipped(labels=["a bright", "b dark"])
    figure = dm.plot_predictions(task, count=2)
    certain = torch.tensor([240 / 255 - 0.5]).div(0.2).mul(2).sigmoid()
    assert titles(figure)[0].startswith("a bright ")
    assert titles(figure)[0].endswith("%, but b dark")
    assert abs(int(titles(figure)[0].split()[2].rstrip("%,")) - 100 * float(certain)) < 3
    assert colors(figure)[0] == "#c62828"
    assert colors(figure)[1] == "#1a7f37"
    assert figure.axes[0].get_xlabel().endswith(" · image 4 of the val data")
    assert figure.axes[0].get_xlabel().startswith("loss ")
    assert drawn(figure)[0].mean() == 240


def test_all_are_ordered_by_their_loss_across_batches() -> None:
    dm = data(["b dark"] * 4 + ["a bright"], batch_size=2)
    figure = dm.plot_predictions(Flipped(labels=["a bright", "b dark"]), count=5)
    losses = [float(axes.get_xlabel().split()[1]) for axes in figure.axes]
    assert losses == sorted(losses, reverse=True)
    assert drawn(figure)[0].mean() == 180


def test_without_truth_the_least_certain_come_first() -> None:
    dm = data(["b dark"] * 3 + ["a bright"] * 2)
    figure = dm.plot_predictions(Flipped(labels=["a bright", "b dark"]), "predict", count=1)
    assert drawn(figure)[0].mean() == 120
    assert figure.axes[0].get_xlabel().startswith("uncertain ")


def test_several_labels_are_compared_as_sets() -> None:
    class Both(ClassificationTask):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[9.0, -9.0]]).expand(len(x), 2)

    dm = data([["red"], ["red"], ["round"], ["red"], []])
    figure = dm.plot_predictions(Both(labels=["red", "round"], multi_label=True), count=5)
    assert titles(figure)[0] == "red, but round"
    assert titles(figure)[1] == "red, but none"
    assert titles(figure)[2:] == ["red"] * 3


def test_a_trained_network_is_left_in_training_mode() -> None:
    task = Flipped(labels=["a bright", "b dark"], model=nn.Dropout())
    data(["b dark"] * 4 + ["a bright"]).plot_predictions(task)
    assert task.model is not None
    assert task.training
    assert task.model.training


# ---------------------------------------------------------------------- figures


def test_figures_are_saved_and_shown_in_notebooks_without_a_display() -> None:
    figure = data(["a", "b", "a", "b", "a"]).show_batch()
    buffer = io.BytesIO()
    figure.savefig(buffer)
    assert Image.open(buffer).format == "PNG"
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]  # what IPython calls
    assert not mpl.is_interactive()
    assert "matplotlib.pyplot" not in vars(mpl)


def test_mistakes_are_shown_as_they_were_before_transforms_and_small(picture: Callable[..., Image.Image]) -> None:
    images = [picture("red", size=(1200, 600)), picture("blue", size=(30, 60))]
    dm = ImageClassificationData.from_images(images, ["a", "b"], images, ["a", "b"], data_config=CONFIG)
    figure = Flipped(labels=["a", "b"]).plot_predictions(dm)
    assert sorted(image.shape for image in drawn(figure)) == [(60, 30, 3), (256, 512, 3)]
    small = next(image for image in drawn(figure) if image.shape == (60, 30, 3))
    np.testing.assert_array_equal(small, np.asarray(images[1].convert("RGB")))


def test_what_cannot_be_drawn_is_an_error() -> None:
    dm = data(["a", "b", "a", "b", "a"])
    with pytest.raises(DataError, match="Expected test data to look at, but this ImageClassificationData has none"):
        dm.show_batch("test")
    for count in (0, -1, True, 2.5):
        with pytest.raises(ConfigurationError, match="Expected count to be a whole number of at least 1"):
            dm.show_batch(count=count)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigurationError, match="Expected a stage among 'train', .*, but got 'v'"):
        dm.show_batch("v")


def test_a_task_without_a_loss_is_shown_on_the_first_images() -> None:
    figure = flash.Task(nn.Flatten()).plot_predictions(data(["a", "b", "a", "b", "a"]), count=2)
    assert [image.mean() for image in drawn(figure)] == [0, 60]
    assert titles(figure)[0].startswith("768 numbers, mean ")
    assert figure.axes[1].get_xlabel() == "image 1 of the val data"


# ---------------------------------------------------------------------- numbers


class Level(RegressionTask):
    """Predicts the level of gray, of 255, and with two targets also a hundred."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = (x * 0.2 + torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)).mean((1, 2, 3)) * 255
        return torch.stack([level, torch.full_like(level, 100.0)][: self.num_targets], 1)


def numbers(targets: list[Any]) -> ImageRegressionData:
    images = grays()
    return ImageRegressionData.from_images(
        images, targets, images, targets, predict_images=images, data_config=CONFIG, seed=0
    )


def test_a_batch_of_numbers_is_shown_with_them() -> None:
    assert sorted(titles(numbers([0.5, 1, 2, 3, 12345.678]).show_batch("val", 5))) == [
        "0.5",
        "1",
        "12,346",
        "2",
        "3",
    ]
    pairs = [[gray, 2 * gray] for gray in GRAYS]
    assert "60, 120" in titles(numbers(pairs).show_batch("val", 5))


def test_predicted_numbers_are_beside_the_true_ones_and_the_worst_is_first() -> None:
    dm = numbers([0, 60, 90, 180, 250])
    std = dm.facts["target_std"][0]
    figure = dm.plot_predictions(Level.from_data(dm), count=3)
    assert titles(figure)[:2] == ["120, truth 90", "240, truth 250"]
    notes = [axes.get_xlabel() for axes in figure.axes]
    assert notes[0] == f"loss {(30 / std) ** 2:.2f} · image 2 of the val data"
    assert notes[1] == f"loss {(10 / std) ** 2:.2f} · image 4 of the val data"
    assert figure.texts[0].get_text() == "val: predictions, highest loss first"
    both = numbers([[gray, 100 + gray] for gray in GRAYS])
    assert titles(both.plot_predictions(Level.from_data(both), count=1)) == ["240, 100, truth 240, 340"]


def test_numbers_of_new_images_are_drawn_in_their_order() -> None:
    dm = numbers([0, 60, 90, 180, 250])
    figure = dm.plot_predictions(Level.from_data(dm), "predict", 5)
    assert [abs(float(title)) for title in titles(figure)] == pytest.approx(GRAYS, abs=0.01)
    assert figure.axes[0].get_xlabel() == "image 0 of the predict data"
    assert figure.texts[0].get_text() == "predict: predictions"
