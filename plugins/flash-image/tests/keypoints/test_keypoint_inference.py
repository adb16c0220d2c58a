"""Inference of Keypoint R-CNN as a program without branches: it finds what torchvision's own code finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from spread_weights import spread
from torch import nn

from flash.core.export import portable_of
from flash.data.portable import make_inputs
from flash.errors import ExportError
from flash.image import KeypointDetector
from flash.image.encoder import results
from flash.image.keypoints.inference import KeypointInference, align_points

NAMES = ["left_end", "right_end"]


@pytest.fixture
def network() -> Any:
    return spread(KeypointDetector.backbones.get("tiny")(3, 2))


@pytest.mark.parametrize("size", [(40, 60), (77, 33), (64, 64), (9, 90)])
def test_points_are_those_of_torchvision(network: Any, size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    network.roi_heads.score_thresh = 0.1
    with torch.no_grad():
        (expected,) = network([image])
        boxes, labels, scores, points, values = KeypointInference(network)(image, torch.tensor([0.1]))
    assert len(scores) > 3
    assert labels.equal(expected["labels"])
    torch.testing.assert_close(boxes, expected["boxes"], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(points, expected["keypoints"][..., :2], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(values, expected["keypoints_scores"], rtol=1e-4, atol=1e-4)
    assert len(set(points.flatten(0, 1)[:, 0].tolist())) > 3
    with torch.no_grad():
        none = KeypointInference(network)(image, torch.tensor([1.0]))
    assert [each.shape for each in none] == [(0, 4), (0,), (0,), (0, 2, 2), (0, 2)]


def test_the_task_says_what_its_file_returns(network: Any) -> None:
    task = KeypointDetector(labels=["a", "b"], keypoints=NAMES, backbone=network, score_threshold=0.25).eval()
    specs: Any = portable_of(task).inputs
    part = task.exported_parts(specs)["model"]
    assert part.outputs == ("boxes", "labels", "scores", "keypoints", "keypoint_scores")
    assert part.reference is not None
    tensors = make_inputs(part.inputs, part.sizes[1], 1)
    with torch.no_grad():
        both = [
            dict(zip(part.outputs, (each.numpy() for each in network(*tensors)), strict=True))
            for network in (part.reference, part.module)
        ]
    expected, got = align_points(*both)
    assert expected["keypoints"].shape == got["keypoints"].shape
    assert len(expected["keypoints"]) >= 8
    for output in part.outputs:
        np.testing.assert_allclose(got[output], expected[output], rtol=1e-4, atol=1e-3)
    images = [np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)]
    (raw,) = task.predict(images, output="raw")
    named = zip(part.outputs, task.inference.named(raw), strict=True)
    found = results({name: each.numpy()[None] for name, each in named}, task.exported_result())
    assert found == task.predict(images)
    assert len(found[0]["keypoints"]) > 3


def test_another_network_is_not_exported_and_says_so() -> None:
    class Own(nn.Module):
        def forward(self, images: Any) -> Any:
            return images

    task = KeypointDetector(2, keypoints=NAMES, backbone=Own(), metrics={})
    specs: Any = portable_of(task).inputs
    with pytest.raises(ExportError, match="Expected a Keypoint R-CNN of torchvision, whose .* but got a Own"):
        task.exported_parts(specs)


class TestAlign:
    @pytest.fixture
    def found(self) -> dict[str, Any]:
        left = np.arange(12, dtype=np.float32)[:, None] * 50
        boxes = np.concatenate([left, left * 0, left + 30, left * 0 + 30], 1)
        points = np.random.default_rng(0).uniform(0, 600, (12, 5, 2)).astype(np.float32)
        scores = np.linspace(0.9, 0.3, 12, dtype=np.float32)
        labels, values = np.ones(12, dtype=np.int64), points[..., 0] / 100
        return {"boxes": boxes, "labels": labels, "scores": scores, "keypoints": points, "keypoint_scores": values}

    def test_a_fifth_of_the_points_may_be_others(self, found: dict[str, Any]) -> None:
        points = found["keypoints"].copy()
        points.reshape(-1, 2)[::5] += 40
        expected, got = align_points(found, {**found, "keypoints": points})
        assert expected["keypoints"].shape == (48, 2)
        np.testing.assert_array_equal(got["keypoints"], expected["keypoints"])
        assert expected["keypoint_scores"].shape == (48,)
        points.reshape(-1, 2)[1] += 40
        expected, got = align_points(found, {**found, "keypoints": points})
        assert np.abs(got["keypoints"] - expected["keypoints"]).max() == pytest.approx(40)

    def test_scores_are_compared_as_well(self, found: dict[str, Any]) -> None:
        expected, got = align_points(found, {**found, "keypoint_scores": found["keypoint_scores"] + 1})
        assert np.abs(got["keypoint_scores"] - expected["keypoint_scores"]).min() > 0.9

    def test_none_are_none(self, found: dict[str, Any]) -> None:
        none = {name: each[:0] for name, each in found.items()}
        assert align_points(none, none)[0]["keypoints"].shape == (0, 5, 2)
        assert len(align_points(found, none)[0]["keypoints"]) == 12
