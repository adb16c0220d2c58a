"""ObjectDetector: learns, freezes, predicts, travels in checkpoints, and says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models.detection import FasterRCNN

import flash
from flash.core.finetuning import backbone_layers
from flash.errors import CheckpointError, ConfigurationError, UnknownNameError
from flash.image import ObjectDetectionData, ObjectDetector
from flash.image.detection.plots import mistakes
from flash.testing import in_clean_process

Draw = Callable[..., Any]
MakeTrainer = Callable[..., flash.Trainer]
SMALL = "ssdlite320_mobilenet_v3_large"


@pytest.fixture
def data(draw: Draw) -> ObjectDetectionData:
    return ObjectDetectionData.from_images(*draw(4).parts(), *draw(4, seed=1).parts(), batch_size=2, seed=0)


@pytest.fixture
def sensitive(tiny: dict[str, Any]) -> dict[str, Any]:
    """A tiny detector that presents all that it finds, however unsure."""
    return {**tiny, "score_threshold": 0.0}


def weights_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.train
def test_it_learns_to_find_squares_and_tell_their_colors(
    draw: Draw, tiny: dict[str, Any], trainer: MakeTrainer
) -> None:
    train, val = draw(96), draw(24, seed=1)
    dm = ObjectDetectionData.from_images(*train.parts(), *val.parts(), batch_size=8, seed=0, augmentation="flip")
    task = ObjectDetector.from_data(dm, **tiny)
    fit = trainer(max_epochs=6, callbacks=[("keep_best", {"monitor": "val_map", "mode": "max"})])
    fit.fit(task, dm)
    logged = fit.callback_metrics
    assert logged["val_map_50"] > 0.5
    parts = [logged[f"val_loss_{part}"] for part in ("classifier", "box_reg", "objectness", "rpn_box_reg")]
    assert torch.isclose(sum(parts, torch.tensor(0.0)), logged["val_loss"], rtol=1e-3)
    assert {"train_loss", "train_loss_classifier", "val_map", "val_map_75"} <= set(logged)
    found = task.predict(val.images)
    missed = sum(
        mistakes(each, torch.tensor(boxes, dtype=torch.float), labels)[0]
        for each, boxes, labels in zip(found, val.boxes, val.labels, strict=True)
    )
    assert missed <= 6, "of 24"


# ---------------------------------------------------------------------- prediction


def test_a_prediction_has_boxes_labels_and_scores_best_first(
    data: ObjectDetectionData, sensitive: Any, draw: Draw
) -> None:
    task = ObjectDetector.from_data(data, **sensitive)
    for found in task.predict(draw(3).images):
        assert list(found) == ["boxes", "labels", "scores"]
        assert len(found["boxes"]) == len(found["labels"]) == len(found["scores"]) > 0
        assert set(found["labels"]) <= {"blue", "red"}
        assert found["scores"] == sorted(found["scores"], reverse=True)
        assert all(0 <= left < right <= 64 and 0 <= top < bottom <= 64 for left, top, right, bottom in found["boxes"])
    json.dumps(found)


def test_the_threshold_leaves_out_what_the_network_is_unsure_of(data: ObjectDetectionData, sensitive: Any) -> None:
    task = ObjectDetector.from_data(data, **sensitive)
    image = [np.zeros((64, 64, 3), np.uint8)]
    scores = task.predict(image)[0]["scores"]
    task.score_threshold = scores[1]
    assert task.predict(image)[0]["scores"] == [score for score in scores if score >= scores[1]]
    assert len(task.predict(image, output="raw")[0]["scores"]) == len(scores), "raw shows all"


def test_boxes_are_in_pixels_of_the_image_as_it_was_handed_in() -> None:
    """A detector that sees all images resized still returns boxes in their own pixels."""

    class Whole(nn.Module):
        def forward(self, images: Any) -> Any:
            return [
                {
                    "boxes": torch.tensor([[0.0, 0, image.shape[2], image.shape[1]]]),
                    "labels": torch.tensor([1]),
                    "scores": torch.tensor([1.0]),
                }
                for image in images
            ]

    task = ObjectDetector(labels=["all"], backbone=Whole())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save("photo.jpg", exif=exif)
    assert task.predict(["photo.jpg"]) == [{"boxes": [[0, 0, 40, 60]], "labels": ["all"], "scores": [1.0]}]


@pytest.mark.process
def test_predictions_do_not_depend_on_the_batch_or_the_way(
    draw: Draw, sensitive: Any, trainer: MakeTrainer, tmp_path: Path
) -> None:
    drawn = draw(5, sizes=((64, 64), (100, 50), (40, 90)))
    dm = ObjectDetectionData.from_images(
        train_images=drawn.images,
        train_targets=drawn.labels,
        train_bboxes=drawn.boxes,
        predict_images=drawn.images,
        batch_size=5,
    )
    task = ObjectDetector.from_data(dm, **sensitive)
    one_by_one = [task.predict([image])[0] for image in drawn.images]

    def same(found: list[Any]) -> None:
        assert len(found) == len(one_by_one)
        for ours, theirs in zip(found, one_by_one, strict=True):
            assert ours["labels"] == theirs["labels"]
            assert np.allclose(ours["boxes"], theirs["boxes"], atol=1e-3)

    same(task.predict(drawn.images, batch_size=5))
    same(task.predict(drawn.images, batch_size=2))
    same([each for batch in trainer().predict(task, datamodule=dm) for each in batch])
    paths = drawn.save(tmp_path / "images")
    same(task.predict(paths))
    same(task.predict(tmp_path / "images"))
    workers = ObjectDetectionData.from_files(
        predict_files=paths, batch_size=2, num_workers=2, preprocess=task.preprocess
    )
    same([each for batch in trainer().predict(task, datamodule=workers) for each in batch])


def test_numbers_are_shown_where_classes_have_no_names(draw: Draw, sensitive: Any) -> None:
    task = ObjectDetector(num_classes=3, **sensitive)
    assert set(task.predict(draw(1).images)[0]["labels"]) <= {0, 1, 2}


# ---------------------------------------------------------------------- training


def test_a_batch_of_different_sizes_with_and_without_boxes_trains(draw: Draw, tiny: Any, trainer: MakeTrainer) -> None:
    drawn = draw(4, sizes=((64, 64), (100, 50)))
    for row in (0, 1):
        drawn.boxes[row], drawn.labels[row] = [], []
    dm = ObjectDetectionData.from_images(*drawn.parts(), *drawn.parts(), batch_size=2, labels=["blue", "red"])
    task = ObjectDetector.from_data(dm, **tiny)
    before = weights_of(task.model)
    fit = trainer()
    fit.fit(task, dm)
    assert torch.isfinite(fit.callback_metrics["train_loss"])
    assert torch.isfinite(fit.callback_metrics["val_loss"])
    assert any(not value.equal(before[name]) for name, value in task.model.state_dict().items())


@pytest.mark.parametrize(
    "backbone", ["fasterrcnn_mobilenet_v3_large_320_fpn", "retinanet_resnet50_fpn_v2", "fcos_resnet50_fpn", SMALL]
)
def test_detectors_of_all_kinds_give_losses_boxes_and_both(backbone: str) -> None:
    sizes: dict[str, Any] = {} if backbone == SMALL else {"min_size": 64, "max_size": 96}
    task = ObjectDetector(num_classes=2, backbone=backbone, pretrained=False, **sizes)
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "iscrowd": torch.zeros(0).long()}
    square = {"boxes": torch.tensor([[5.0, 5, 40, 40]]), "labels": torch.tensor([2]), "iscrowd": torch.tensor([0])}
    batch = ({"images": [torch.rand(3, 64, 80), torch.rand(3, 64, 64)]}, [square, nothing])
    trained = task.train().step(batch, 0)
    trained["loss"].backward()
    assert all(parameter.grad is not None for parameter in task.model.parameters())
    judged = task.eval().step(batch, 0)
    assert judged["loss"] > 0
    assert judged["logs"].keys() == trained["logs"].keys()
    assert [set(found) for found in judged["y_hat"]] == [{"boxes", "labels", "scores"}] * 2


def test_the_validation_loss_changes_nothing_and_comes_out_alike(data: ObjectDetectionData, tiny: Any) -> None:
    task = ObjectDetector.from_data(data, **tiny)
    task.eval()
    inputs, targets = next(iter(data.val_dataloader()))
    batch = ({"images": [image.float() / 255 for image in inputs["images"]]}, targets)
    before, random = weights_of(task), torch.get_rng_state()
    first, second = task.step(batch, 0), task.step(batch, 0)
    assert first["loss"] == second["loss"] > 0
    assert all(value.equal(before[name]) for name, value in task.state_dict().items())
    assert torch.get_rng_state().equal(random)
    assert not any(module.training for module in task.modules())


def test_the_validation_loss_does_not_depend_on_the_batch_size(draw: Draw, tiny: Any, trainer: MakeTrainer) -> None:
    images, labels, boxes = draw(5).parts()
    images = [image[: 64 - 8 * row] for row, image in enumerate(images)]
    sizes = [ObjectDetectionData.from_images(*[images, labels, boxes] * 2, batch_size=rows) for rows in (1, 2, 5)]
    task = ObjectDetector.from_data(sizes[0], **tiny)
    one, *more = [trainer().validate(task, data, verbose=False)[0] for data in sizes]
    assert {"val_loss", "val_loss_box_reg"} <= set(one)
    assert more == [pytest.approx(one)] * 2


def test_the_validation_loss_can_be_left_out(data: ObjectDetectionData, tiny: Any, trainer: MakeTrainer) -> None:
    task = ObjectDetector.from_data(data, val_loss=False, **tiny)
    fit = trainer()
    fit.fit(task, data)
    assert "val_map" in fit.callback_metrics
    assert not any(name.startswith("val_loss") for name in fit.callback_metrics)


def test_crowds_do_not_count_in_the_validation_loss(data: ObjectDetectionData, tiny: Any) -> None:
    task = ObjectDetector.from_data(data, **tiny).eval()
    image = torch.rand(3, 64, 64)
    boxes = torch.tensor([[1.0, 2, 30, 40], [20, 20, 60, 60]])
    both = {"boxes": boxes, "labels": torch.tensor([1, 2]), "iscrowd": torch.tensor([0, 1])}
    alone = {name: value[:1] for name, value in both.items()}
    batch = {"images": [image]}
    assert task.step((batch, [both]), 0)["loss"] == task.step((batch, [alone]), 0)["loss"]


def test_testing_logs_the_score(data: ObjectDetectionData, draw: Draw, tiny: Any, trainer: MakeTrainer) -> None:
    task = ObjectDetector.from_data(data, **tiny)
    dm = ObjectDetectionData.from_images(
        test_images=draw(3).images, test_targets=draw(3).labels, test_bboxes=draw(3).boxes
    )
    (logged,) = trainer().test(task, dm, verbose=False)
    assert {"test_map", "test_map_50", "test_loss"} <= set(logged)


@pytest.mark.train
@pytest.mark.parametrize(
    ("strategy", "changed"), [("freeze", False), (("freeze_unfreeze", 1), True), ("no_freeze", True)]
)
def test_finetuning_strategies_freeze_the_backbone(
    data: ObjectDetectionData, tiny: Any, trainer: MakeTrainer, strategy: Any, changed: bool
) -> None:
    task = ObjectDetector.from_data(data, **tiny)
    model: Any = task.model
    frozen: Any = task.modules_to_freeze()
    assert frozen is model.backbone
    before, head = weights_of(model.backbone), weights_of(model.roi_heads)
    trainer(max_epochs=2).finetune(task, data, strategy=strategy)
    assert any(not value.equal(before[name]) for name, value in model.backbone.state_dict().items()) is changed
    assert any(not value.equal(head[name]) for name, value in model.roi_heads.state_dict().items())


def test_its_layers_are_those_of_the_body_then_the_feature_pyramid(data: ObjectDetectionData, tiny: Any) -> None:
    task = ObjectDetector.from_data(data, **tiny)
    held = [parameter for layer in backbone_layers(task) for parameter in layer.parameters()]
    assert {*held} == {*task.model.backbone.parameters()}
    assert len(held) == len({*held})


@pytest.mark.train
@pytest.mark.parametrize(("freeze_norm", "moves"), [("all", False), ("body", False), ("none", True)])
def test_frozen_norms_keep_their_statistics_also_when_unfrozen(
    data: ObjectDetectionData, tiny: Any, trainer: MakeTrainer, freeze_norm: Any, moves: bool
) -> None:
    task = ObjectDetector.from_data(data, freeze_norm=freeze_norm, **tiny)
    before = weights_of(task.model)
    trainer(max_epochs=2).finetune(task, data, strategy=("freeze_unfreeze", 1))
    after = task.model.state_dict()
    assert any(not after[name].equal(before[name]) for name in after if name.endswith("running_mean")) is moves
    assert any(
        not after[name].equal(before[name]) for name in after if name.startswith("backbone") and "weight" in name
    )


def test_the_argument_of_0_1_0_is_accepted_and_not_recorded(data: ObjectDetectionData, tiny: Any) -> None:
    task = ObjectDetector.from_data(data, norm_at_rest="all", **tiny)
    assert task.freeze_norm == "all"
    assert (task.recorded_arguments["freeze_norm"], task.recorded_arguments["norm_at_rest"]) == ("all", None)
    assert ObjectDetector.from_data(data, norm_at_rest="all", freeze_norm="none", **tiny).freeze_norm == "none"


# ---------------------------------------------------------------------- checkpoints


@pytest.mark.process
def test_a_checkpoint_loads_in_a_new_process_without_a_network(
    data: ObjectDetectionData, draw: Draw, trainer: MakeTrainer, tmp_path: Path
) -> None:
    task = ObjectDetector.from_data(data, backbone=SMALL, pretrained=False, score_threshold=0.0, freeze_norm="all")
    run = trainer(max_steps=1, limit_val_batches=0)
    run.fit(task, data)
    run.save_checkpoint("detector.ckpt")
    paths = [str(path) for path in draw(2, seed=5).save(tmp_path / "images")]
    program = (
        "import flash\n"
        "task = flash.Task.load_from_checkpoint('detector.ckpt')\n"
        "result = [type(task).__name__, task.labels, task.freeze_norm, task.predict(paths)]\n"
    )
    name, labels, freeze_norm, found = in_clean_process(Path.cwd(), program, paths=paths)
    assert (name, labels, freeze_norm) == ("ObjectDetector", ["blue", "red"], "all")
    for ours, theirs in zip(task.predict(paths), found, strict=True):
        assert ours["labels"] == theirs["labels"]
        assert len(ours["boxes"]) > 0
        assert np.allclose(ours["boxes"], theirs["boxes"], atol=1e-3)


def test_a_module_as_backbone_is_passed_again(data: ObjectDetectionData, tiny: Any, trainer: MakeTrainer) -> None:
    def module() -> FasterRCNN:
        factory: Any = ObjectDetector.backbones.get("tiny")
        made: FasterRCNN = factory(num_classes=3)
        return made

    task = ObjectDetector.from_data(data, backbone=module())
    run = trainer(max_steps=1, limit_val_batches=0)
    run.fit(task, data)
    run.save_checkpoint("detector.ckpt")
    with pytest.raises(CheckpointError, match="Expected backbone to be passed"):
        ObjectDetector.load_from_checkpoint("detector.ckpt")
    loaded = ObjectDetector.load_from_checkpoint("detector.ckpt", backbone=module())
    assert all(value.equal(task.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_augmentation_does_not_hinder_loading(draw: Draw, tiny: Any, trainer: MakeTrainer) -> None:
    from torchvision.transforms import v2

    dm = ObjectDetectionData.from_images(*draw(2).parts(), augmentation=v2.RandomVerticalFlip())
    task = ObjectDetector.from_data(dm, **tiny)
    run = trainer(max_steps=1)
    run.fit(task, dm)
    run.save_checkpoint("detector.ckpt")
    loaded = ObjectDetector.load_from_checkpoint("detector.ckpt")
    assert loaded.predict(draw(1).images) == task.predict(draw(1).images)


# ---------------------------------------------------------------------- data of others


def test_a_task_judges_data_without_train_data_by_its_own_classes(
    data: ObjectDetectionData, draw: Draw, tiny: Any
) -> None:
    task = ObjectDetector(labels=["red", "green", "blue"], **tiny)
    dm = ObjectDetectionData.from_images(None, None, None, *draw(2).parts())
    task.use_data(dm)
    assert [dm.val_dataset[row][1]["labels"].tolist() for row in range(2)] == [[3], [1]]


def test_data_with_other_classes_is_an_error(data: ObjectDetectionData, tiny: Any) -> None:
    with pytest.raises(ConfigurationError, match="data with the 3 classes of the task, but it has 2"):
        ObjectDetector(num_classes=3, **tiny).use_data(data)
    with pytest.raises(ConfigurationError, match=r"classes are \['red', 'blue'\], in this order, but they are"):
        ObjectDetector(labels=["red", "blue"], **tiny).use_data(data)


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "num_classes of at least 1, or labels, but got num_classes=None"),
        ({"num_classes": 0}, "num_classes of at least 1"),
        ({"num_classes": 3, "labels": ["a"]}, "one label per class, but got 1 labels for 3 classes"),
        ({"num_classes": 1, "score_threshold": 2}, "score_threshold to be between 0 and 1, but got 2"),
        ({"num_classes": 1, "freeze_norm": "some"}, "'all', 'body', 'none' or None, but got 'some'"),
        ({"num_classes": 1, "pretrained": True}, "pretrained=False for the backbone 'tiny', which has no weights"),
        (
            {"num_classes": 1, "backbone_kwargs": {"depth": 3}},
            r"that 'tiny' takes \(.*\), but got \{'depth': 3\}",
        ),
        ({"num_classes": 1, "backbone": nn.Flatten(), "min_size": 64}, "got a module, which is made already"),
    ],
)
def test_wrong_arguments_are_errors(tiny: dict[str, Any], arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ObjectDetector(**{**tiny, **arguments})


def test_an_unknown_backbone_is_an_error_that_says_what_is_close() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fasterrcnn_resnet50_fpn'"):
        ObjectDetector(num_classes=2, backbone="fasterrcnn_resnet50")


def test_sizes_reach_the_network(tiny: Any) -> None:
    task = ObjectDetector(num_classes=2, min_size=96, max_size=160, **tiny)
    model: Any = task.model
    assert (model.transform.min_size, model.transform.max_size) == ((96,), 160)
