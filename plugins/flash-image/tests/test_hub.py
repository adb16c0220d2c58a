"""timm's pretrained weights: from the cache, else a clear and quick error; never random ones."""

from __future__ import annotations

import email.message
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants

from flash.errors import ConfigurationError, FlashError
from flash.image import BackboneUnavailableError, ImageBackbone, ImageClassifier
from flash.image.backbones import timm_backbone

pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture
def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose network is down, and nobody has told the hub's client so."""

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.mark.parametrize(
    ("name", "pretrained"),
    [("test_resnet", True), ("test_resnet", "r160_in1k"), ("test_resnet.r160_in1k", True)],
)
@pytest.mark.usefixtures("without_network")
def test_cached_weights_are_used_without_asking_the_network(hub: Any, name: str, pretrained: Any) -> None:
    trained = hub("test_resnet.r160_in1k")
    task = ImageClassifier(num_classes=2, backbone=name, pretrained=pretrained)
    assert isinstance(task.backbone, ImageBackbone)
    mine = task.backbone.network.state_dict()
    assert all(torch.equal(mine[key], value) for key, value in trained.items() if key in mine)
    assert len(mine) == len(trained) - 2


@pytest.mark.usefixtures("without_network")
def test_without_network_and_cache_it_is_a_clear_error_within_seconds() -> None:
    start = time.monotonic()
    with pytest.raises(
        BackboneUnavailableError,
        match="Expected the pretrained weights of resnet18, but they are not cached and cannot be downloaded "
        ".*Name or service not known.* pass pretrained='path/to/weights', or pretrained=False",
    ):
        ImageClassifier(num_classes=2)
    assert time.monotonic() - start < 10


@pytest.mark.usefixtures("without_network")
def test_weights_that_are_no_hubs_are_asked_for_at_their_own_address() -> None:
    name = next(
        each for each in timm.list_pretrained() if not getattr(timm.get_pretrained_cfg(each), "hf_hub_id", None)
    )
    with pytest.raises(BackboneUnavailableError, match=f"Expected the pretrained weights of {name}"):
        timm_backbone(name)


def test_the_hubs_own_offline_mode_is_the_same_error() -> None:
    with pytest.raises(BackboneUnavailableError, match="pretrained=False"):
        timm_backbone("test_resnet")


def test_the_error_is_of_both_families() -> None:
    with pytest.raises(OSError, match="Expected the pretrained weights") as caught:
        timm_backbone("test_resnet")
    assert isinstance(caught.value, FlashError)


def test_an_address_that_answers_with_an_error_has_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(request: Any, timeout: float) -> Any:
        asked.append(request.full_url)
        raise urllib.error.HTTPError(request.full_url, 405, "Method Not Allowed", email.message.Message(), None)

    def create(*_: Any, pretrained: bool, **__: Any) -> Any:
        raise OSError("the hub says no")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(BackboneUnavailableError, match="OSError: the hub says no"):
        timm_backbone("test_resnet")
    assert asked == [constants.ENDPOINT]


def test_a_model_without_weights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: None)
    with pytest.raises(ConfigurationError, match="Expected pretrained weights of test_resnet, but timm .* has none"):
        timm_backbone("test_resnet")


def test_the_tag_of_the_weights_travels_in_a_checkpoint(hub: Any) -> None:
    hub("test_resnet.r160_in1k")
    task = ImageClassifier(num_classes=2, backbone="test_resnet", pretrained="r160_in1k")
    assert task.recorded_arguments["backbone"] == "flash-image/test_resnet.r160_in1k"
