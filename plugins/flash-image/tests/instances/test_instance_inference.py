"""Inference of Mask R-CNN as a program without branches: it finds what torchvision's own code finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from spread_weights import spread
from torch import nn

from flash.core.export import portable_of
from flash.data.portable import make_inputs
from flash.errors import ExportError
from flash.image import InstanceSegmentation
from flash.image.encoder import results, run_lengths
from flash.image.instances.inference import InstanceInference, align_masks


@pytest.fixture
def network() -> Any:
    return spread(InstanceSegmentation.backbones.get("tiny")(3))


@pytest.mark.parametrize("size", [(40, 60), (77, 33), (64, 64), (9, 90)])
def test_masks_are_those_of_torchvision(network: Any, size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    network.roi_heads.score_thresh = 0.1
    with torch.no_grad():
        (expected,) = network([image])
        boxes, labels, scores, masks = InstanceInference(network)(image, torch.tensor([0.1]))
    assert len(scores) > 3
    assert labels.equal(expected["labels"])
    torch.testing.assert_close(boxes, expected["boxes"], rtol=1e-4, atol=1e-3)
    probable = expected["masks"][:, 0]
    own, sure = probable >= 0.5, (probable - 0.5).abs() > 1e-4
    assert masks.dtype is torch.bool
    assert masks.shape == (len(scores), *size)
    assert 0 < float(own.float().mean()) < 1
    # Where no unit of a layer is active, the probability is 0.5, and rounding decides.
    assert masks[sure].equal(own[sure])
    assert float(sure.float().mean()) > 0.7
    with torch.no_grad():
        none = InstanceInference(network)(image, torch.tensor([1.0]))
    assert [each.shape for each in none] == [(0, 4), (0,), (0,), (0, *size)]


def test_the_task_says_what_its_file_returns(network: Any) -> None:
    task = InstanceSegmentation(labels=["a", "b"], backbone=network, score_threshold=0.25).eval()
    specs: Any = portable_of(task).inputs
    part = task.exported_parts(specs)["model"]
    assert part.outputs == ("boxes", "labels", "scores", "masks")
    assert part.reference is not None
    tensors = make_inputs(part.inputs, part.sizes[1], 1)
    with torch.no_grad():
        both = [
            dict(zip(part.outputs, (each.numpy() for each in network(*tensors)), strict=True))
            for network in (part.reference, part.module)
        ]
    expected, got = align_masks(*both)
    assert len(both[0]["masks"]) >= 8
    assert expected["masks"].tolist() == [0] * len(got["masks"])
    assert got["masks"].max() < 0.001
    images = [np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)]
    (raw,) = task.predict(images, output="raw")
    named = zip(part.outputs, task.inference.named(raw), strict=True)
    found = results({name: each.numpy()[None] for name, each in named}, task.exported_result())
    assert found == task.predict(images)
    assert len(found[0]["masks"]) > 3


def test_another_network_is_not_exported_and_says_so() -> None:
    class Own(nn.Module):
        def forward(self, images: Any) -> Any:
            return images

    task = InstanceSegmentation(2, backbone=Own(), metrics={})
    specs: Any = portable_of(task).inputs
    with pytest.raises(ExportError, match="Expected a Mask R-CNN of torchvision, whose inference .* but got a Own"):
        task.exported_parts(specs)


class TestAlign:
    @pytest.fixture
    def found(self) -> dict[str, Any]:
        left = np.arange(12, dtype=np.float32)[:, None] * 50
        boxes = np.concatenate([left, left * 0, left + 30, left * 0 + 30], 1)
        masks = np.zeros((12, 40, 600), dtype=bool)
        for place in range(12):
            masks[place, 5:25, 50 * place + 5 : 50 * place + 25] = True
        scores = np.linspace(0.9, 0.3, 12, dtype=np.float32)
        return {"boxes": boxes, "labels": np.ones(12, dtype=np.int64), "scores": scores, "masks": masks}

    def test_a_shift_of_one_pixel_is_rounding(self, found: dict[str, Any]) -> None:
        for axes in ((1, 0), (0, 1), (1, 1)):
            _, got = align_masks(found, {**found, "masks": np.roll(found["masks"], axes, (1, 2))})
            assert got["masks"].tolist() == [0] * 12

    @pytest.mark.parametrize("change", [2, 30])
    def test_others_are_the_share_that_differs(self, found: dict[str, Any], change: int) -> None:
        masks = found["masks"].copy()
        masks[3] = np.roll(masks[3], change, 1) if change == 2 else False
        expected, got = align_masks(found, {**found, "masks": masks})
        assert expected["masks"].tolist() == [0] * 12
        # A shift of two pixels leaves a row on each side, of 22 in both masks.
        assert np.flatnonzero(got["masks"]).tolist() == [3]
        assert got["masks"][3] == pytest.approx(2 / 22 if change == 2 else 1)

    def test_another_order_is_the_same_and_another_number_is_not(self, found: dict[str, Any]) -> None:
        order = np.random.default_rng(0).permutation(12)
        _, got = align_masks(found, {name: each[order] for name, each in found.items()})
        assert got["masks"].tolist() == [0] * 12
        expected, got = align_masks(found, {name: each[:4] for name, each in found.items()})
        assert (len(expected["masks"]), len(got["masks"])) == (12, 4)


def _drawn(kind: str, random: np.random.Generator) -> Any:
    height, width = random.integers(1, 70, 2)
    if kind == "noise":
        return random.random((height, width)) < random.random()
    mask = np.full((height, width), kind == "full")
    if kind == "rectangle":
        mask[height // 3 :, width // 4 : width // 2 + 1] = True
    return mask


@pytest.mark.parametrize("kind", ["noise", "rectangle", "empty", "full"])
def test_run_lengths_are_those_of_coco(kind: str) -> None:
    random = np.random.default_rng(0)
    draw: Callable[[], Any] = lambda: _drawn(kind, random)  # noqa: E731
    for mask in (*(draw() for _ in range(40)), np.zeros((3000, 2), bool), np.ones((40, 3000), bool)):
        coco = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert run_lengths(mask) == {"size": coco["size"], "counts": coco["counts"].decode("ascii")}
