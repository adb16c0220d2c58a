"""The task: that it learns, in which size it is measured, what it predicts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchmetrics.classification import MulticlassJaccardIndex

import flash
from flash.cli import main
from flash.errors import ConfigurationError, FormerNameError, UnknownNameError
from flash.image import SemanticSegmentation, SemanticSegmentationData, SemanticSegmentationPostprocess
from flash.image.segmentation.heads import Linear, segmentation_heads
from flash.image.segmentation.outputs import best_classes, resized_scores

Draw = Callable[..., Any]
LABELS = ["ground", "circle", "square"]
SIZES = ((48, 48), (60, 40), (33, 71))


def trainer(**options: Any) -> flash.Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return flash.Trainer(**{**quiet, "accelerator": "cpu", "max_epochs": 1, "num_sanity_val_steps": 0, **options})


def data_of(draw: Draw, train: int = 16, val: int = 7, **options: Any) -> SemanticSegmentationData:
    parts = (*draw(train, 0).parts(), *draw(val, 1, SIZES).parts())
    return SemanticSegmentationData.from_images(*parts, **{"labels": LABELS, "seed": 0, "batch_size": 4, **options})


@pytest.mark.train
def test_it_learns_where_squares_and_circles_are(draw: Draw, tiny: dict[str, Any]) -> None:
    """What a shifted, a permuted or a transposed mask would reach is far below."""
    torch.manual_seed(0)
    true = np.stack(draw(24, 1).masks)
    metric = MulticlassJaccardIndex(3)
    assert float(metric(torch.from_numpy(np.roll(true, 4, 1)), torch.from_numpy(true))) < 0.72
    assert float(metric(torch.from_numpy(np.array([0, 2, 1])[true]), torch.from_numpy(true))) < 0.4
    assert float(metric(torch.from_numpy(true.transpose(0, 2, 1).copy()), torch.from_numpy(true))) < 0.5
    data = SemanticSegmentationData.from_images(
        *draw(240, 0).parts(), *draw(24, 1).parts(), labels=LABELS, seed=0, augmentation="flip"
    )
    task = SemanticSegmentation.from_data(data, **tiny, learning_rate=3e-3)
    trainer(max_epochs=7).fit(task, data)
    assert task.history[-1]["val_iou"] > 0.8, task.history[-1]


def test_scores_are_those_of_masks_in_their_own_size_whatever_the_batch(draw: Draw, tiny: dict[str, Any]) -> None:
    data = data_of(draw)
    task = SemanticSegmentation.from_data(data, **tiny, class_weights=[0.2, 1.0, 3.0])
    logs = []
    for size in (1, 3, 7):
        sized = data_of(draw, batch_size=size)
        logs.append(trainer().validate(task, datamodule=sized, verbose=False)[0])
    for name in ("val_loss", "val_iou"):
        assert [log[name] for log in logs] == pytest.approx([logs[0][name]] * 3, rel=1e-4)
    drawn = draw(7, 1, SIZES)
    metric = MulticlassJaccardIndex(3)
    scores = []
    for image, mask in zip(drawn.images, drawn.masks, strict=True):
        (found,) = task.predict([image])
        assert found.shape == mask.shape
        assert found.dtype == np.uint8
        metric.update(torch.from_numpy(found).flatten(), torch.from_numpy(mask).flatten())
        scores.append(torch.from_numpy(task.predict([image], output="logits")[0]).flatten(1))
    assert logs[0]["val_iou"] == pytest.approx(float(metric.compute()), rel=1e-5)
    plain = SemanticSegmentation.from_data(data, **tiny, class_weights=[0.2, 1.0, 3.0], dice_weight=0.0)
    plain.load_state_dict(task.state_dict())
    loss = trainer().validate(plain, datamodule=data, verbose=False)[0]["val_loss"]
    truth = torch.cat([torch.from_numpy(mask).flatten() for mask in drawn.masks]).long()
    expected = nn.functional.cross_entropy(torch.cat(scores, 1).T, truth, torch.tensor([0.2, 1.0, 3.0]))
    assert loss == pytest.approx(float(expected), rel=1e-4)


def test_pixels_that_do_not_count_change_neither_loss_nor_metric(draw: Draw, tiny: dict[str, Any]) -> None:
    images, masks = draw(4, 1).parts()
    task = None
    logs = []
    for change in (False, True):
        half = [np.where(np.arange(48)[:, None] < 20, 255, mask).astype(np.uint8) for mask in masks]
        if change:
            other = [image.copy() for image in half]
            half = [np.where(each == 255, -1, each.astype(int)) for each in other]
        data = SemanticSegmentationData.from_images(
            images, half, images, half, labels=LABELS, ignore_index=-1 if change else 255, batch_size=2, seed=0
        )
        task = task or SemanticSegmentation.from_data(data, **tiny)
        logs.append(trainer().validate(task, datamodule=data, verbose=False)[0])
    assert logs[0] == logs[1]
    metric = MulticlassJaccardIndex(3)
    assert task is not None
    for found, mask in zip(task.predict(images), masks, strict=True):
        metric.update(torch.from_numpy(found[20:]).flatten(), torch.from_numpy(mask[20:]).flatten())
    assert logs[0]["val_iou"] == pytest.approx(float(metric.compute()), rel=1e-5)


def test_a_loss_of_torch_is_averaged_over_pixels(draw: Draw, tiny: dict[str, Any]) -> None:
    data = data_of(draw)
    weights = torch.tensor([0.2, 1.0, 3.0])
    own = SemanticSegmentation.from_data(data, **tiny, loss_fn=nn.CrossEntropyLoss(weights))
    ours = SemanticSegmentation.from_data(data, **tiny, class_weights=weights, dice_weight=0.0)
    ours.load_state_dict({**ours.state_dict(), **{k: v for k, v in own.state_dict().items() if "loss_fn" not in k}})
    losses = [trainer().validate(task, datamodule=data, verbose=False)[0]["val_loss"] for task in (own, ours)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_outputs_are_in_the_size_of_the_image(draw: Draw, tiny: dict[str, Any]) -> None:
    data = data_of(draw)
    task = SemanticSegmentation.from_data(data, **tiny)
    trainer().fit(task, data)
    images = draw(3, 2, SIZES).images
    masks = task.predict(images)
    chances = task.predict(images, output="probabilities")
    scores = task.predict(images, output="logits")
    for image, mask, chance, score in zip(images, masks, chances, scores, strict=True):
        assert mask.shape == image.shape[:2]
        assert chance.shape == score.shape == (3, *image.shape[:2])
        np.testing.assert_allclose(chance.sum(0), 1, rtol=1e-5)
        assert np.array_equal(score.argmax(0), mask)
    for mask, areas, names in zip(
        masks, task.predict(images, output="areas"), task.predict(images, output="classes"), strict=True
    ):
        assert areas == {LABELS[index]: float((mask == index).mean()) for index in sorted_by_area(mask)}
        assert names == list(areas)
    assert task.predict(images, output="raw")[0].shape == (3, 16, 16)


def sorted_by_area(mask: np.ndarray[Any, Any]) -> list[int]:
    return sorted(np.unique(mask).tolist(), key=lambda index: -int((mask == index).sum()))


def test_many_classes_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.randn(9, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = resized_scores(scores, (20, 30)).argmax(0)
    monkeypatch.setattr("flash.image.segmentation.outputs._VALUES_AT_ONCE", 2 * 20 * 30)
    assert torch.equal(best_classes(scores, (20, 30)).long(), expected)


def test_predicted_masks_are_saved_as_png(draw: Draw, tiny: dict[str, Any], tmp_path: Path) -> None:
    data = data_of(draw)
    task = SemanticSegmentation.from_data(data, **tiny)
    trainer().fit(task, data)
    images = draw(5, 2, SIZES).images
    expected = task.predict(images)
    task.postprocess = SemanticSegmentationPostprocess(str(tmp_path / "masks"))
    task.predict(images, batch_size=2)
    for row, mask in enumerate(expected):
        saved = Image.open(tmp_path / "masks" / f"{row}.png")
        assert saved.mode == "P"
        assert np.array_equal(np.asarray(saved), mask)


@pytest.mark.train
def test_the_command_writes_masks_that_are_data_to_train_on(draw: Draw, tiny: dict[str, Any], tmp_path: Path) -> None:
    data = data_of(draw)
    task = SemanticSegmentation.from_data(data, **tiny)
    fitted = trainer()
    fitted.fit(task, data)
    fitted.save_checkpoint(tmp_path / "task.ckpt")
    images, _ = draw(5, 2, SIZES).save(tmp_path)
    deep = tmp_path / "images" / "deep" / "0.5.png"
    deep.parent.mkdir()
    images[4] = images[4].rename(deep)
    arguments = [str(tmp_path / name) for name in ("task.ckpt", "images", "predicted")]
    assert main(["predict", *arguments[:2], "-o", f"{arguments[2]}/"]) == 0
    for path, mask in zip(images, task.predict(images), strict=True):
        saved = Image.open(tmp_path / "predicted" / path.relative_to(tmp_path / "images"))
        assert saved.mode == "P"
        assert np.array_equal(np.asarray(saved), mask)
    again = SemanticSegmentationData.from_folders(*arguments[1:], labels=LABELS, batch_size=2)
    assert len(again.train_dataset) == 5


@pytest.mark.parametrize("head", ["fpn", "deeplab", "linear"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_any_head_is_trained_on_any_kind_of_backbone(draw: Draw, head: str, backbone: str) -> None:
    data = data_of(draw, 4, 3, image_size=160)
    task = SemanticSegmentation.from_data(data, backbone=backbone, pretrained=False, head=head)
    task.use_data(data)
    batch = data.train_dataset.hooks.transform_on_device(next(iter(data.train_dataloader())))
    task.step(batch, 0)["loss"].backward()
    silent = [name for name, weight in task.named_parameters() if weight.grad is None]
    assert not silent
    assert task.predict(draw(1, 3, SIZES[1:]).images)[0].shape == (40, 60)


@pytest.mark.parametrize("head", ["unet", "upernet", "segformer"])
def test_decoders_of_segmentation_models_are_heads(draw: Draw, head: str) -> None:
    data = data_of(draw, 4, 3, image_size=64)
    task = SemanticSegmentation.from_data(data, backbone="test_resnet", pretrained=False, head=head)
    trainer().fit(task, data)
    assert task.predict(draw(1, 3, SIZES[1:]).images)[0].shape == (40, 60)
    with pytest.raises(ConfigurationError, match="a backbone with 4 maps, .* but got 2"):
        segmentation_heads.get(head)([8, 16], 3)


def test_a_head_of_a_package_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch.decoders.unet.decoder", None)
    with pytest.raises(ConfigurationError, match=r"for head='unet', .* pip install 'flash-image\[segmentation\]'"):
        segmentation_heads.get("unet")([8, 16, 32, 64], 3)


def test_a_module_that_returns_maps_is_a_backbone_and_a_function_makes_a_head(draw: Draw) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)

        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            first = self.first(images).relu()
            return [first, self.second(first)]

    made: list[Any] = []

    def head(channels: list[int], classes: int) -> nn.Module:
        made.append((channels, classes))
        return Linear(channels, classes)

    data = data_of(draw)
    config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    task = SemanticSegmentation.from_data(data, backbone=Two(), head=head, data_config=config)
    trainer().fit(task, data)
    assert made == [([4, 6], 3)]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"head": "unett"}, UnknownNameError, "unett"),
        ({"dice_weight": -1}, ConfigurationError, "dice_weight to be a number of at least 0, but got -1"),
        ({"backbone": nn.Conv2d(3, 4, 3)}, ConfigurationError, "a list of maps .* a Conv2d returned a Tensor"),
        ({"multi_label": True}, ConfigurationError, "Expected one class per pixel, but got multi_label=True"),
        ({"head": 3}, ConfigurationError, "Expected head to be one of 'deeplab', 'fpn', 'linear', 'segformer'"),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_constructor(
    options: dict[str, Any], error: type[Exception], said: str, tiny: dict[str, Any]
) -> None:
    with pytest.raises(error, match=said):
        SemanticSegmentation(3, **{**tiny, **options})


def test_the_names_of_former_programs_lead_here() -> None:
    from flash.image import SemanticSegmentation as Former

    assert Former is SemanticSegmentation
    with pytest.raises(FormerNameError, match=r"StyleTransfer"):
        from flash.image import StyleTransfer  # type: ignore[attr-defined]  # noqa: F401
