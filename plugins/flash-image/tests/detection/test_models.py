"""Torchvision's detectors: weights that are published, in files, for other classes, and out of reach."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.ops import FrozenBatchNorm2d

import flash
from flash.core.finetuning import backbone_layers
from flash.errors import CheckpointError, ConfigurationError, UnsafeCheckpointError
from flash.image import BackboneUnavailableError, ObjectDetector
from flash.image.detection import models
from flash.image.detection.weights import load_detector, published_weights, with_eps
from flash.plugins import get_host

SMALL = "ssdlite320_mobilenet_v3_large"


@pytest.fixture(scope="module")
def coco() -> dict[str, Tensor]:
    """Weights of the smallest detector for the classes of COCO."""
    torch.manual_seed(1)
    return dict(ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91).state_dict())


@pytest.fixture
def cached(coco: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The same, where torch looks for weights that were downloaded before."""
    file = tmp_path / "torch_home" / "hub" / "checkpoints" / Path(get_model_weights(SMALL).DEFAULT.url).name
    file.parent.mkdir(parents=True)
    torch.save(coco, file)
    return file


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_every_listed_backbone_is_one_of_torchvision_and_says_what_it_is() -> None:
    listed = {each.name: each for each in get_host().contributions("backbone", "detection")}
    assert set(listed) == set(models.DETECTORS)
    assert all(callable(listed[name].load()) for name in listed)
    for name, each in listed.items():
        score = get_model_weights(name).DEFAULT.meta["_metrics"]["COCO-val2017"]["box_map"]
        assert f"COCO mAP {score}" in each.spec.summary
    assert set(models.DETECTORS) <= set(ObjectDetector.available_backbones())


@pytest.mark.parametrize("name", ["fasterrcnn_mobilenet_v3_large_320_fpn", SMALL])
def test_a_detector_without_weights_is_built_and_all_of_it_can_be_trained(name: str) -> None:
    model = models.torchvision_detector(name, 3, pretrained=False)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(isinstance(module, FrozenBatchNorm2d) for module in model.modules())


def test_cached_weights_are_used_and_the_classes_are_those_of_coco(
    cached: Path, coco: dict[str, Tensor], offline: None
) -> None:
    task = ObjectDetector(backbone=SMALL)
    assert task.num_classes == 90
    assert task.labels is not None
    assert task.labels[:2] == ["person", "bicycle"]
    own = task.model.state_dict()
    assert all(own[name].equal(value) for name, value in coco.items())


def test_other_classes_start_anew_and_the_rest_is_loaded(cached: Path, coco: dict[str, Tensor], offline: None) -> None:
    task = ObjectDetector(labels=["cat", "dog"], backbone=SMALL)
    own = task.model.state_dict()
    fresh = {name for name, value in coco.items() if own[name].shape != value.shape}
    assert fresh, "the layers that give scores"
    assert all(name.startswith("head.classification_head.") for name in fresh)
    assert all(own[name].equal(value) for name, value in coco.items() if name not in fresh)


def test_pretrained_weights_learn_more_slowly_and_keep_the_statistics_of_their_norms(
    cached: Path, offline: None
) -> None:
    known = ObjectDetector(num_classes=2, backbone=SMALL)
    fresh = ObjectDetector(num_classes=2, backbone=SMALL, pretrained=False)
    assert (known.learning_rate, fresh.learning_rate) == (1e-4, 1e-3)
    assert (known.freeze_norm, fresh.freeze_norm) == ("all", "none")
    run = flash.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", max_epochs=0)
    run.strategy.connect(known)
    run.save_checkpoint("known.ckpt")
    loaded = ObjectDetector.load_from_checkpoint("known.ckpt")
    assert (loaded.learning_rate, loaded.freeze_norm) == (1e-4, "all")


def test_weights_of_a_file_are_loaded(coco: dict[str, Tensor], tmp_path: Path, offline: None) -> None:
    torch.save({"model": coco, "epoch": 3}, tmp_path / "mine.pth")
    task = ObjectDetector(num_classes=90, backbone=SMALL, pretrained=tmp_path / "mine.pth")
    own = task.model.state_dict()
    assert all(own[name].equal(value) for name, value in coco.items())


@pytest.mark.parametrize("pretrained", [True, "backbone"])
def test_without_network_and_cache_the_error_says_what_to_do(pretrained: Any, offline: None) -> None:
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    with pytest.raises(
        BackboneUnavailableError, match="Expected pretrained weights from https://.*put that file at"
    ) as no:
        ObjectDetector(num_classes=2, backbone=name, pretrained=pretrained)
    assert "pretrained='path/to/weights.pth'; pretrained=False starts with random weights" in str(no.value)
    assert "no network" in str(no.value)


def test_damaged_weights_in_the_cache_are_an_error(cached: Path) -> None:
    cached.write_bytes(cached.read_bytes()[:1000])
    with pytest.raises(BackboneUnavailableError, match="could not be loaded"):
        ObjectDetector(num_classes=2, backbone=SMALL)


def test_weights_of_the_backbone_alone_are_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: None
) -> None:
    from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

    weights: Any = MobileNet_V3_Large_Weights.IMAGENET1K_V1
    network = mobilenet_v3_large(weights=None)
    file = tmp_path / "torch_home" / "hub" / "checkpoints" / Path(weights.url).name
    file.parent.mkdir(parents=True)
    torch.save(network.state_dict(), file)
    task = ObjectDetector(num_classes=2, backbone="fasterrcnn_mobilenet_v3_large_320_fpn", pretrained="backbone")
    model: Any = task.model
    assert model.backbone.body["0"][0].weight.equal(network.features[0][0].weight)
    assert task.freeze_norm == "body"
    assert task.modules_to_freeze() is model.backbone.body, "the pyramid on top of it is random"
    assert backbone_layers(task) == [each for each in model.backbone.body.values() if [*each.parameters()]]
    task.train()
    norms = [module for module in model.backbone.body.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)


def test_a_backbone_whose_network_differs_with_weights_of_its_own_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="True, False or a path for ssdlite320.*, but got 'backbone'"):
        ObjectDetector(num_classes=2, backbone=SMALL, pretrained="backbone")


def test_what_is_no_file_of_these_weights_is_an_error(coco: dict[str, Tensor], tmp_path: Path) -> None:
    def make(path: Path) -> ObjectDetector:
        return ObjectDetector(num_classes=2, backbone=SMALL, pretrained=path)

    with pytest.raises(CheckpointError, match="gone.pth"):
        make(tmp_path / "gone.pth")
    torch.save(dict(list(coco.items())[5:]), tmp_path / "part.pth")
    with pytest.raises(ConfigurationError, match="to be those of the chosen backbone, but they are not: . are missing"):
        make(tmp_path / "part.pth")
    torch.save({name: torch.zeros(7) for name in coco}, tmp_path / "shape.pth")
    with pytest.raises(ConfigurationError, match="Choose the backbone, and the backbone_kwargs"):
        make(tmp_path / "shape.pth")


def test_a_file_that_would_execute_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"w": Evil()}, tmp_path / "evil.pth", pickle_module=pickle)
    with pytest.raises(UnsafeCheckpointError):
        ObjectDetector(num_classes=2, backbone=SMALL, pretrained=tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


def test_weights_made_without_epsilon_give_the_same_with_it() -> None:
    torch.manual_seed(0)
    frozen = FrozenBatchNorm2d(3, eps=0.0)
    frozen.running_var = torch.rand(3) + 0.01
    frozen.running_mean, frozen.weight, frozen.bias = torch.randn(3), torch.randn(3), torch.randn(3)
    plain = nn.BatchNorm2d(3).eval()
    plain.load_state_dict(with_eps(dict(frozen.state_dict())), strict=False)
    images = torch.randn(2, 3, 4, 4)
    assert torch.allclose(plain(images), frozen(images), atol=1e-5)


@pytest.mark.parametrize("family", ["faster_rcnn", "keypoint_rcnn", "mask_rcnn", "retinanet"])
def test_all_weights_that_torchvision_sets_no_epsilon_for_are_known(family: str) -> None:
    module = importlib.import_module(f"torchvision.models.detection.{family}")
    (enum,) = re.findall(r"if weights == (\w+)\.COCO_V1:\s+overwrite_eps", inspect.getsource(module))
    assert Path(getattr(module, enum).COCO_V1.url).name in models.WITHOUT_EPS


def test_names_of_older_versions_are_translated() -> None:
    """Published weights of RetinaNet have names that torchvision's modules do not have any more."""
    model = models.torchvision_detector("retinanet_resnet50_fpn", 3, pretrained=False)

    def former(name: str) -> str:
        name = re.sub(r"_head\.conv\.(\d)\.0\.", lambda found: f"_head.conv.{2 * int(found[1])}.", name)
        return re.sub(r"_blocks\.(\d)\.0\.", r"_blocks.\1.", name)

    older = {former(name): torch.full_like(value, 0.5) for name, value in model.state_dict().items()}
    assert set(older) != set(model.state_dict())
    load_detector(model, older, "old.pth")
    assert all((value == 0.5).all() for value in model.state_dict().values() if value.is_floating_point())


def test_published_weights_are_checked_against_the_cache_alone_when_they_are_there(cached: Path, offline: None) -> None:
    assert "backbone.features.0.0.0.weight" in published_weights(get_model_weights(SMALL).DEFAULT.url)


def test_a_size_for_a_network_of_fixed_size_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no min_size for ssdlite320.*, which resizes all images to one size"):
        ObjectDetector(num_classes=2, backbone=SMALL, pretrained=False, min_size=100)
