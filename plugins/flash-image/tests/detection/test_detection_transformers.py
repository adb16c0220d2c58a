"""Detectors of transformers: losses, boxes, checkpoints, layers to freeze, and what is wrong with a folder."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import flash
from flash.core.export import portable_of
from flash.core.finetuning import backbone_layers
from flash.download.pretrained import HubError
from flash.errors import CheckpointError, ConfigurationError, ExportError, UnknownNameError
from flash.image import ObjectDetectionData, ObjectDetector
from flash.image.detection.checkpoints import describe, transformer_detector
from flash.image.detection.transformer import TransformerDetector, resized_sides
from flash.testing import in_clean_process

KINDS = (
    "rt_detr",
    "rt_detr_v2",
    "d_fine",
    "detr",
    "conditional_detr",
    "dab-detr",
    "deformable_detr",
    "table-transformer",
    "yolos",
)
WIDTHS = (8, 8, 16, 16)


def tiny_config(kind: str, width: int = 16, **changes: Any) -> Any:
    """Return the configuration of a tiny detector of a kind."""
    sizes: dict[str, Any] = {"num_queries": 10, "decoder_layers": 2, "encoder_layers": 1, "num_labels": 2}
    sizes |= {f"{part}_{size}": 2 for part in ("encoder", "decoder") for size in ("attention_heads",)}
    sizes |= {f"{part}_ffn_dim": width for part in ("encoder", "decoder")}
    body: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": list(WIDTHS), "depths": [1] * 4, "layer_type": "basic"}
    if kind in ("rt_detr", "rt_detr_v2", "d_fine"):
        levels = ["stage2", "stage3", "stage4"]
        sizes |= {"backbone_config": {"model_type": "rt_detr_resnet", **body, "out_features": levels}}
        sizes |= {"encoder_hidden_dim": width, "encoder_in_channels": list(WIDTHS[1:]), "d_model": width}
        sizes |= {"decoder_in_channels": [width] * 3, "num_denoising": 4}
    elif kind == "yolos":
        sizes = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": width}
        sizes |= {"image_size": [64, 64], "patch_size": 16, "num_detection_tokens": 10, "num_labels": 2}
    else:
        levels = ["stage2", "stage3", "stage4"] if kind == "deformable_detr" else ["stage4"]
        sizes |= {"backbone_config": {"model_type": "resnet", **body, "out_features": levels}}
        # The groups of its normalization are 32.
        sizes["hidden_size" if kind == "dab-detr" else "d_model"] = 64 if kind == "deformable_detr" else width
    return transformers.AutoConfig.for_model(kind, **{**sizes, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., str]:
    """Saves a tiny detector with random weights, as a folder of the hub would be."""

    def save(kind: str = "rt_detr", **changes: Any) -> str:
        torch.manual_seed(0)
        network = transformers.AutoModelForObjectDetection.from_config(tiny_config(kind, **changes))
        path = tmp_path / "networks" / kind
        network.save_pretrained(path)
        return str(path)

    return save


@pytest.fixture
def data(draw: Callable[..., Any]) -> ObjectDetectionData:
    return ObjectDetectionData.from_images(*draw(4).parts(), *draw(4, seed=1).parts(), batch_size=2, seed=0)


def floats(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"images": [image.float() / 255 for image in inputs["images"]]}


# ---------------------------------------------------------------------- training


@pytest.mark.parametrize("kind", KINDS)
def test_detectors_of_all_kinds_give_losses_boxes_and_both(folder: Callable[..., str], kind: str) -> None:
    task = ObjectDetector(num_classes=2, backbone=folder(kind), image_size=128, pretrained=False)
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "iscrowd": torch.zeros(0).long()}
    square = {"boxes": torch.tensor([[5.0, 5, 40, 40]]), "labels": torch.tensor([2]), "iscrowd": torch.tensor([0])}
    batch = ({"images": [torch.rand(3, 64, 80), torch.rand(3, 64, 64)]}, [square, nothing])
    trained = task.train().step(batch, 0)
    trained["loss"].backward()
    assert any(
        parameter.grad is not None and parameter.grad.any() for parameter in backbone_layers(task)[-1].parameters()
    )
    judged = task.eval().step(batch, 0)
    assert judged["loss"] > 0
    assert judged["loss"] == task.step(batch, 0)["loss"], "it is not random"
    assert judged["logs"].keys() == trained["logs"].keys() >= {"loss_bbox", "loss_giou"}
    for found, image in zip(judged["y_hat"], batch[0]["images"], strict=True):
        assert len(found["boxes"]) == len(found["labels"]) == 10
        assert found["scores"].equal(found["scores"].sort(descending=True).values)
        assert set(found["labels"].tolist()) <= {1, 2}
        assert (found["boxes"] >= 0).all()
        assert (found["boxes"] <= torch.tensor([*image.shape[:0:-1]] * 2)).all()


def test_the_validation_loss_does_not_depend_on_the_batch_size(
    draw: Callable[..., Any], folder: Callable[..., str], trainer: Callable[..., Any]
) -> None:
    parts = draw(5).parts()
    sizes = [ObjectDetectionData.from_images(*parts, *parts, batch_size=rows) for rows in (1, 2, 5)]
    task = ObjectDetector.from_data(sizes[0], backbone=folder(), pretrained=False, image_size=64)
    one, *more = [trainer().validate(task, data, verbose=False)[0] for data in sizes]
    assert {"val_loss", "val_loss_giou"} <= set(one)
    assert more == [pytest.approx(one, rel=1e-4)] * 2


@pytest.mark.slow
@pytest.mark.train
def test_it_learns_to_find_squares_and_tell_their_colors(
    draw: Callable[..., Any], folder: Callable[..., str], trainer: Callable[..., Any]
) -> None:
    body = {"model_type": "rt_detr_resnet", "embedding_size": 16, "hidden_sizes": [16, 16, 32, 32], "depths": [1] * 4}
    backbone = folder(
        width=32,
        backbone_config={**body, "layer_type": "basic", "out_features": ["stage2", "stage3", "stage4"]},
        encoder_in_channels=[16, 32, 32],
        num_queries=20,
        num_denoising=10,
        freeze_backbone_batch_norms=False,
    )
    train, val = draw(96), draw(24, seed=1)
    dm = ObjectDetectionData.from_images(*train.parts(), *val.parts(), batch_size=8, seed=0)
    task = ObjectDetector.from_data(dm, backbone=backbone, pretrained=False, image_size=64, learning_rate=2e-3)
    fit = trainer(max_epochs=16, gradient_clip_val=1.0, check_val_every_n_epoch=4)
    fit.fit(task, dm)
    assert fit.callback_metrics["val_map_50"] > 0.5
    assert {"train_loss_vfl", "val_loss_giou", "val_loss"} <= set(fit.callback_metrics)


@pytest.mark.parametrize("kind", ["rt_detr", "yolos"])
def test_a_frozen_backbone_stays_as_it_is_and_the_rest_learns(
    data: ObjectDetectionData, folder: Callable[..., str], trainer: Callable[..., Any], kind: str
) -> None:
    task = ObjectDetector.from_data(
        data,
        backbone=folder(kind, **({} if kind == "yolos" else {"freeze_backbone_batch_norms": False})),
        image_size=64,
    )
    model: Any = task.model
    frozen = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    rest = {name: value.clone() for name, value in model.state_dict().items()}
    trainer().finetune(task, data, strategy="freeze")
    assert all(value.equal(frozen[name]) for name, value in model.backbone.state_dict().items())
    assert any(not value.equal(rest[name]) for name, value in model.state_dict().items())


def test_the_layers_of_the_backbone_are_its_stem_and_its_stages(folder: Callable[..., str]) -> None:
    task = ObjectDetector(num_classes=2, backbone=folder(), pretrained=False)
    layers = backbone_layers(task)
    assert [type(layer).__name__ for layer in layers] == ["RTDetrResNetEmbeddings", *["RTDetrResNetStage"] * 4]
    model: Any = task.model
    inside = {parameter for layer in layers for parameter in layer.parameters()}
    assert inside == set(model.backbone.parameters())


# ---------------------------------------------------------------------- boxes


class Oracle(nn.Module):
    """A network that returns the boxes that it was told last, as fractions of what it sees."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.config = SimpleNamespace(model_type=kind)
        self.told: list[dict[str, Tensor]] = []
        self.backbone = nn.Flatten()

    def answer(self, pixels: Tensor, mask: Tensor | None, labels: Any) -> Any:
        self.seen, self.mask = pixels, mask
        self.told = self.told if labels is None else labels
        boxes = torch.stack([each["boxes"] for each in self.told])
        logits = torch.full((*boxes.shape[:2], 3), -9.0)
        for row, each in enumerate(self.told):
            logits[row, range(len(boxes[row])), each["class_labels"]] = 9.0
        return SimpleNamespace(logits=logits, pred_boxes=boxes, loss=torch.tensor(7.0), loss_dict={})


class WithMask(Oracle):
    def forward(self, pixel_values: Tensor, pixel_mask: Tensor | None = None, labels: Any = None) -> Any:
        return self.answer(pixel_values, pixel_mask, labels)


class WithoutMask(Oracle):
    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
        return self.answer(pixel_values, None, labels)


@pytest.mark.parametrize("make", [lambda: WithMask("detr"), lambda: WithoutMask("yolos"), lambda: WithMask("dab-detr")])
@pytest.mark.parametrize("image_size", [(96, 64), 64])
def test_boxes_reach_the_network_as_fractions_and_come_back_in_pixels(make: Any, image_size: Any) -> None:
    network = make()
    model = TransformerDetector(network, {"mean": [0.0] * 3, "std": [1.0] * 3})
    model.resize_to(image_size)
    images = [torch.rand(3, 40, 80), torch.rand(3, 60, 30)]
    boxes = [torch.tensor([[10.0, 5, 50, 30]]), torch.tensor([[0.0, 30, 30, 60]])]
    targets = [{"boxes": each, "labels": torch.tensor([2])} for each in boxes]
    assert model(images, targets) == {"loss": torch.tensor(7.0)}
    height, width = network.seen.shape[-2:]
    for row, (image, box) in enumerate(zip(images, boxes, strict=True)):
        sides = (96, 64) if isinstance(image_size, tuple) else resized_sides(image.shape[-2:], 64, 64)
        own = torch.tensor([*sides[::-1]] * 2) / torch.tensor([*image.shape[:0:-1]] * 2) * box
        canvas = torch.tensor([width, height] * 2 if isinstance(network, WithoutMask) else [*sides[::-1]] * 2)
        center, extent = (own[:, :2] + own[:, 2:]) / 2, own[:, 2:] - own[:, :2]
        assert torch.allclose(network.told[row]["boxes"], torch.cat([center, extent], 1) / canvas, atol=1e-6)
        if network.mask is not None:
            assert network.mask[row].sum() == sides[0] * sides[1]
    for found, box in zip(model.eval()(images), boxes, strict=True):
        assert torch.allclose(found["boxes"], box, atol=1e-3)
        assert found["labels"].tolist() == [2]
        assert found["scores"] > 0.9


def test_images_are_resized_as_the_network_was_trained() -> None:
    assert resized_sides((480, 640), 800, 1333) == [800, 1066]
    assert resized_sides((100, 500), 800, 1333) == [266, 1333]
    network = WithMask("detr")
    network.told = [{"boxes": torch.rand(1, 4), "class_labels": torch.tensor([0])}]
    model = TransformerDetector(network, {"size": {"shortest_edge": 32, "longest_edge": 80}}).eval()
    model([torch.full((3, 64, 64), 0.485)])
    assert network.seen.shape == (1, 3, 32, 32)
    assert network.seen[0, 0].abs().max() < 1e-5


# ---------------------------------------------------------------------- checkpoints


@pytest.mark.process
def test_a_checkpoint_loads_in_a_new_process_without_the_folder(
    data: ObjectDetectionData,
    draw: Callable[..., Any],
    folder: Callable[..., str],
    trainer: Callable[..., Any],
    tmp_path: Path,
) -> None:
    backbone = folder()
    options: dict[str, Any] = {"image_size": 64, "score_threshold": 0.0, "backbone_kwargs": {"num_queries": 6}}
    task = ObjectDetector.from_data(data, backbone=backbone, **options)
    run = trainer(max_steps=1, limit_val_batches=0)
    run.fit(task, data)
    run.save_checkpoint("detector.ckpt")
    shutil.rmtree(backbone)
    paths = [str(path) for path in draw(2, seed=5).save(tmp_path / "images")]
    program = (
        "import flash\n"
        "task = flash.Task.load_from_checkpoint('detector.ckpt')\n"
        "result = [type(task).__name__, task.labels, task.model.fixed_size, task.predict(paths)]\n"
    )
    name, labels, size, found = in_clean_process(Path.cwd(), program, paths=paths)
    assert (name, labels, size) == ("ObjectDetector", ["blue", "red"], (64, 64))
    assert [len(each["boxes"]) for each in found] == [6, 6]
    for ours, theirs in zip(task.predict(paths), found, strict=True):
        assert ours["labels"] == theirs["labels"]
        assert np.allclose(ours["boxes"], theirs["boxes"], atol=1e-3)


def test_weights_are_loaded_and_layers_of_other_classes_start_anew(folder: Callable[..., str]) -> None:
    backbone = folder()
    stored = transformers.AutoModelForObjectDetection.from_pretrained(backbone).state_dict()
    same = ObjectDetector(num_classes=2, backbone=backbone)
    model: Any = same.model
    own = model.network.state_dict()
    assert all(own[name].equal(value) for name, value in stored.items())
    assert (same.learning_rate, same.freeze_norm) == (1e-4, "all")
    other: Any = ObjectDetector(num_classes=5, backbone=backbone).model
    own = other.network.state_dict()
    fresh = {name for name, value in stored.items() if own[name].shape != value.shape}
    assert fresh
    assert all("class_embed" in name or "enc_score_head" in name for name in fresh)
    assert all(own[name].equal(value) for name, value in stored.items() if name not in fresh)


def test_without_classes_they_are_those_of_the_checkpoint(folder: Callable[..., str]) -> None:
    task = ObjectDetector(backbone=folder(id2label={0: "cat", 1: "dog"}, label2id={"cat": 0, "dog": 1}))
    assert task.labels == ["cat", "dog"]


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({"size": 800, "max_size": 1000}, {"size": {"shortest_edge": 800, "longest_edge": 1000}}),
        ({"size": {"shortest_edge": 5, "longest_edge": 9}}, {"size": {"shortest_edge": 5, "longest_edge": 9}}),
        ({"size": {"height": 64, "width": 96}, "do_normalize": False}, {"size": [64, 96], "mean": [0.0] * 3}),
        (
            {"do_normalize": True, "image_mean": [0.1] * 3, "image_std": [0.2] * 3},
            {"mean": [0.1] * 3, "std": [0.2] * 3},
        ),
    ],
)
def test_images_are_as_the_checkpoint_says(folder: Callable[..., str], settings: Any, images: Any) -> None:
    backbone = folder("detr")
    (Path(backbone) / "preprocessor_config.json").write_text(json.dumps(settings))
    model = transformer_detector(backbone, 3, pretrained=False)
    assert images.items() <= model.images.items()
    again = transformer_detector("gone", 3, pretrained=False, config=json.loads(json.dumps(describe(model))))
    assert again.images == model.images


# ---------------------------------------------------------------------- what is wrong


def test_a_checkpoint_that_does_not_fit_is_an_error(folder: Callable[..., str], tmp_path: Path) -> None:
    backbone = Path(folder())
    weights = load_file(backbone / "model.safetensors")
    name = next(name for name in weights if "encoder_input_proj" in name)
    save_file({each: value for each, value in weights.items() if each != name}, backbone / "model.safetensors")
    with pytest.raises(HubError, match="Expected weights for all of a RTDetrForObjectDetection .* 1 are"):
        ObjectDetector(num_classes=2, backbone=str(backbone))
    (backbone / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(HubError, match="Expected weights in the folder .* Copy or download"):
        ObjectDetector(num_classes=2, backbone=str(backbone))
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(ConfigurationError, match="Expected a detector of transformers of the kind .* the kind 'bert'"):
        ObjectDetector(num_classes=2, backbone=tmp_path / "bert")


def test_a_checkpoint_with_code_of_its_own_is_refused(folder: Callable[..., str]) -> None:
    backbone = Path(folder())
    config = json.loads((backbone / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForObjectDetection": "own.Net"}}
    (backbone / "config.json").write_text(json.dumps(config))
    (backbone / "own.py").write_text(f"open({str(backbone / 'executed')!r}, 'w')")
    with pytest.raises(ConfigurationError, match="needs custom code, which is never run"):
        ObjectDetector(num_classes=2, backbone=str(backbone))
    assert not (backbone / "executed").exists()


def test_a_name_that_the_hub_does_not_give_is_an_error() -> None:
    with pytest.raises(HubError, match="Expected a configuration for 'nobody/nothing', but there is no such"):
        ObjectDetector(num_classes=2, backbone="nobody/nothing")
    with pytest.raises(UnknownNameError, match="'d0' is not among the detection backbones, and it is neither a folder"):
        ObjectDetector(num_classes=2, backbone="d0")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"pretrained": "backbone"}, "pretrained to be True or False for the checkpoint .*, but got 'backbone'"),
        ({"backbone_kwargs": {"depth": 3}}, "entries of RTDetrConfig, but 'depth' is none"),
        ({"image_size": (64, 100)}, r"multiples of 32 pixels .*, but got \(64, 100\). Write image_size=\(64, 96\)"),
        ({"min_size": 64}, "'min_size' is none. Leave it out; image_size is an argument"),
    ],
)
def test_wrong_arguments_are_errors(folder: Callable[..., str], arguments: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ObjectDetector(num_classes=2, backbone=folder(), **arguments)


@pytest.mark.parametrize("library", ["transformers", "scipy"])
def test_a_library_that_is_missing_is_an_error_that_names_the_extra(
    library: str, folder: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, before = folder(), importlib.import_module

    def refuse(name: str, *arguments: Any) -> Any:
        if name == library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return before(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ConfigurationError, match=rf"Expected {library} for a .*install 'flash-image\[transformers\]'"):
        ObjectDetector(num_classes=2, backbone=backbone)


def test_a_model_that_transformers_does_not_know_any_more_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="model that the installed transformers knows, but got 'lost_detr'"):
        transformer_detector("any", 3, config={"network": {"model_type": "lost_detr"}, "images": {}})


def test_images_that_keep_their_shape_are_no_file_of_a_network_that_fixes_it(folder: Callable[..., str]) -> None:
    task = ObjectDetector(num_classes=2, backbone=folder("detr"), pretrained=False, image_size=64)
    inputs = portable_of(task).inputs
    assert inputs is not None
    with pytest.raises(
        ExportError, match=r"of transformers with a fixed size of images \(image_size=\(height, width\)\)"
    ):
        task.exported_parts(inputs)


def test_a_task_comes_back_from_a_folder_of_its_own(
    data: ObjectDetectionData, folder: Callable[..., str], draw: Callable[..., Any], tmp_path: Path
) -> None:
    task = ObjectDetector.from_data(data, backbone=folder("yolos"), image_size=(64, 64), score_threshold=0.0)
    task.save_pretrained(tmp_path / "saved")
    loaded = flash.Task.from_pretrained(tmp_path / "saved")
    assert loaded.predict(draw(2).images) == task.predict(draw(2).images)
