"""Inference as a program without branches: it finds what torchvision's own code finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from spread_weights import spread
from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from flash.core.export import portable_of
from flash.data.portable import make_inputs
from flash.errors import ConfigurationError, ExportError
from flash.image import ObjectDetector
from flash.image.detection import models
from flash.image.detection.inference import (
    Inference,
    TaskReference,
    align,
    resized_size,
    telling_threshold,
    threshold_of,
)

SIZES = [(40, 60), (77, 33), (64, 64), (5, 90)]


def body(width: int = 8) -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(3, width, 4, stride=4), nn.ReLU(), nn.Conv2d(width, width, 4, stride=4))
    vars(layers)["out_channels"] = width
    return layers


def retinanet() -> RetinaNet:
    anchors = AnchorGenerator(((16, 24),), ((0.5, 1.0, 2.0),))
    return RetinaNet(body(32), 4, anchor_generator=anchors, min_size=64, max_size=128, topk_candidates=50)


def fcos() -> FCOS:
    return FCOS(body(32), 4, anchor_generator=AnchorGenerator(((16,),), ((1.0,),)), min_size=64, max_size=128)


def ssd() -> SSD:
    layers = body()
    vars(layers)["out_channels"] = [8]
    return SSD(layers, DefaultBoxGenerator([[2]]), (64, 64), 4, topk_candidates=7, nms_thresh=0.3)


def two_stages() -> Any:
    """The tiny detector, as the fixture of all tests of detection registers it."""
    return ObjectDetector.backbones.get("tiny")(4)


TINY: dict[str, Callable[[], nn.Module]] = {
    "two stages": two_stages,
    "retinanet": retinanet,
    "fcos": fcos,
    "ssd": ssd,
}


def found_by(model: Any, image: torch.Tensor, threshold: float) -> list[torch.Tensor]:
    part = getattr(model, "roi_heads", model)
    part.score_thresh = threshold
    with torch.no_grad():
        (found,) = model([image])
    return [found[name] for name in ("boxes", "labels", "scores")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", TINY)
def test_every_family_finds_what_torchvision_finds(family: str, size: tuple[int, int]) -> None:
    model = spread(TINY[family]())
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    counts = []
    for threshold in (0.0, 0.2, 0.5):
        expected = found_by(model, image, threshold)
        with torch.no_grad():
            got = Inference(model)(image, torch.tensor([threshold]))
        for one, other in zip(expected, got, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-3)
        counts.append(len(expected[0]))
    assert counts[0] > 1
    with torch.no_grad():
        assert [each.shape for each in Inference(model)(image, torch.tensor([1.0]))] == [(0, 4), (0,), (0,)]


@pytest.mark.slow
@pytest.mark.parametrize("name", models.DETECTORS)
def test_every_detector_of_torchvision_finds_the_same(name: str) -> None:
    sizes = {} if name.startswith("ssd") else {"min_size": 96, "max_size": 160}
    task = ObjectDetector(3, backbone=name, pretrained=False, **sizes)  # type: ignore[arg-type]
    part = task.eval().exported_parts(_specs(task))["model"]
    assert part.reference is not None
    for size in part.sizes[1:]:
        tensors = make_inputs(part.inputs, size, 1)
        with torch.no_grad():
            both = [
                dict(zip(part.outputs, (each.numpy() for each in network(*tensors)), strict=True))
                for network in (part.reference, part.module)
            ]
        expected, got = align(*both)
        assert len(expected["scores"]) >= 8
        for output in part.outputs:
            np.testing.assert_allclose(got[output], expected[output], rtol=1e-4, atol=1e-3)


def test_the_size_of_a_resized_image_is_that_of_torchvision() -> None:
    for least, most in ((800, 1333), (320, 640), (64, 128)):
        transform = GeneralizedRCNNTransform(least, most, [0.0], [1.0])
        random = np.random.default_rng(0)
        for height, width in [*random.integers(20, 700, (60, 2)).tolist(), [600, 900], [least, most]]:
            # A part of an image would do, but for its size.
            expected = transform.resize(torch.zeros(1, height, width))[0].shape[-2:]
            assert tuple(resized_size((height, width), transform)) == tuple(expected), (height, width, least)


class TestAlign:
    @pytest.fixture
    def found(self) -> dict[str, Any]:
        left = np.arange(20, dtype=np.float32)[:, None] * 50
        boxes = np.concatenate([left, left * 0, left + 30, left * 0 + 30], 1)
        return {"boxes": boxes, "labels": np.arange(20) % 3 + 1, "scores": np.linspace(0.9, 0.3, 20, dtype=np.float32)}

    @staticmethod
    def rows(found: dict[str, Any], rows: Any) -> dict[str, Any]:
        return {name: each[rows] for name, each in found.items()}

    def test_another_order_is_the_same(self, found: dict[str, Any]) -> None:
        order = np.random.default_rng(0).permutation(20)
        expected, got = align(found, self.rows(found, order))
        for name, each in expected.items():
            np.testing.assert_array_equal(got[name], each)
        # The best scores once more, whichever boxes they belong to.
        assert expected["scores"].shape == (28,)

    def test_four_of_twenty_may_be_missing_and_five_not(self, found: dict[str, Any]) -> None:
        expected, got = align(found, self.rows(found, slice(4, None)))
        assert expected["boxes"].shape == got["boxes"].shape == (16, 4)
        expected, got = align(found, self.rows(found, slice(5, None)))
        assert (expected["boxes"].shape, got["boxes"].shape) == ((20, 4), (15, 4))
        expected, got = align(self.rows(found, slice(5, None)), found)
        assert (expected["boxes"].shape, got["boxes"].shape) == ((15, 4), (20, 4))

    @pytest.mark.parametrize(("name", "change"), [("labels", 1), ("boxes", 20), ("scores", 0.1)])
    def test_others_in_their_place_are_different(self, found: dict[str, Any], name: str, change: float) -> None:
        changed = {**found, name: found[name] + change}
        expected, got = align(found, changed)
        assert not np.array_equal(expected[name], got[name])

    def test_a_small_shift_stays_visible(self, found: dict[str, Any]) -> None:
        expected, got = align(found, {**found, "boxes": found["boxes"] + np.float32(0.5)})
        assert np.abs(expected["boxes"] - got["boxes"]).max() == 0.5

    def test_of_tied_scores_the_scores_are_compared(self, found: dict[str, Any]) -> None:
        tied = {**found, "scores": np.full(20, 0.25, dtype=np.float32)}
        expected, got = align(self.rows(tied, slice(0, 10)), self.rows(tied, slice(10, 20)))
        assert expected["boxes"].shape == (0, 4)
        assert expected["scores"].tolist() == got["scores"].tolist() == [0.25] * 8

    def test_none_are_none(self, found: dict[str, Any]) -> None:
        none = self.rows(found, slice(0, 0))
        assert align(none, none)[0]["scores"].shape == (0,)
        assert align(found, none)[1]["boxes"].shape == (0, 4)


def _specs(task: ObjectDetector) -> Any:
    specs = portable_of(task).inputs
    assert specs is not None
    return specs


class TestTask:
    @pytest.fixture
    def task(self) -> ObjectDetector:
        return ObjectDetector(labels=["a", "b", "c"], backbone=spread(two_stages()), score_threshold=0.25)

    def test_inputs_and_results_are_described(self, task: ObjectDetector) -> None:
        portable = portable_of(task)
        assert {name: spec.shape for name, spec in _specs(task).items()} == {
            "image": (1, 3, "height", "width"),
            "score_threshold": (1,),
        }
        assert portable.settings["score_threshold"] == threshold_of(task.model) == 0.05
        assert task.exported_result() == {"kind": "boxes", "labels": ["a", "b", "c"], "threshold": 0.25}

    def test_files_are_compared_on_detections_that_there_are(self, task: ObjectDetector) -> None:
        part = task.eval().exported_parts(_specs(task))["model"]
        assert part.reference is not None
        for size in part.sizes[1:]:
            with torch.no_grad():
                boxes, _, _ = part.reference(*make_inputs(part.inputs, size, 1))
            assert len(boxes) >= 3
        assert threshold_of(task.model) == 0.05

    def test_a_threshold_is_below_scores_that_are_all_the_same(self) -> None:
        same: Any = lambda image, threshold: (None, None, torch.full((20,), 0.5))  # noqa: E731
        assert 0 < telling_threshold(same, [torch.zeros(1)]) < 0.5
        none: Any = lambda image, threshold: (None, None, torch.zeros(0))  # noqa: E731
        assert telling_threshold(none, [torch.zeros(1)]) == 0

    def test_the_threshold_of_the_network_stays(self, task: ObjectDetector) -> None:
        with torch.no_grad():
            TaskReference(task.eval())(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), torch.tensor([0.5]))
        assert threshold_of(task.model) == 0.05

    def test_other_inputs_are_an_error(self, task: ObjectDetector) -> None:
        from flash.data.portable import TensorSpec

        with pytest.raises(ConfigurationError, match="Expected the inputs of a detector, one image of any size"):
            task.exported_parts(TensorSpec("float32", ("batch", 3)))

    def test_another_kind_of_network_is_an_error(self) -> None:
        class Own(nn.Module):
            def forward(self, images: Any) -> Any:
                return [
                    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)} for _ in images
                ]

        task = ObjectDetector(2, backbone=Own(), metrics={})
        assert not Inference.knows(task.model)
        with pytest.raises(ExportError, match=r"Expected a detector of torchvision \(FasterRCNN, .* but got a Own"):
            task.exported_parts(_specs(task))
