"""The mean average precision of keypoints is that of COCO's own evaluation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pycocotools.cocoeval import Params

from flash.errors import ConfigurationError
from flash.image.keypoints.metrics import KeypointMeanAveragePrecision, default_sigmas
from flash.image.keypoints.models import published_keypoints

BOX = torch.tensor([[0.0, 0.0, 40.0, 25.0]])  # an area of 1000
POINTS = torch.tensor([[[5.0, 5.0, 2.0], [30.0, 20.0, 1.0]]])
ONE = torch.tensor([1])


def score(found: Any, true: Any, sigmas: Any = (0.05, 0.05)) -> dict[str, float]:
    metric = KeypointMeanAveragePrecision(sigmas)
    metric.update([found], [true])
    return {name: float(value) for name, value in metric.compute().items()}


def truth(**parts: Any) -> dict[str, Any]:
    return {"keypoints": POINTS, "labels": ONE, "boxes": BOX, **parts}


def guess(**parts: Any) -> dict[str, Any]:
    return {"keypoints": POINTS, "labels": ONE, "scores": torch.tensor([0.9]), **parts}


def shifted(distance: float) -> torch.Tensor:
    return POINTS + torch.tensor([distance, 0.0, 0.0])


def distance_of(similarity: float, area: float = 1000.0, sigma: float = 0.05) -> float:
    """The distance at which the similarity of points has a value."""
    return math.sqrt(-2 * area * (2 * sigma) ** 2 * math.log(similarity))


def test_the_right_points_are_perfect_and_exchanged_or_far_ones_are_nothing() -> None:
    assert score(guess(), truth()) == pytest.approx({"map": 1.0, "map_50": 1.0, "map_75": 1.0})
    assert score(guess(keypoints=POINTS[:, [1, 0]]), truth())["map"] == 0
    assert score(guess(keypoints=shifted(30)), truth())["map_50"] == 0
    assert score(guess(labels=torch.tensor([2])), truth())["map"] == 0


@pytest.mark.parametrize(("similarity", "thresholds"), [(0.52, 1), (0.77, 6), (0.93, 9)])
def test_the_distance_counts_as_the_similarity_of_keypoints_says(similarity: float, thresholds: int) -> None:
    found = guess(keypoints=shifted(distance_of(similarity)))
    values = score(found, truth())
    assert values == pytest.approx(
        {"map": thresholds / 10, "map_50": 1.0, "map_75": float(similarity > 0.75)}, abs=1e-3
    )


def test_a_larger_area_and_a_larger_sigma_forgive_more() -> None:
    found = guess(keypoints=shifted(distance_of(0.52)))
    larger = score(found, truth(area=torch.tensor([4000.0])))
    assert larger["map"] == pytest.approx(0.7)  # 0.52 to the power of a quarter is 0.849
    assert score(found, truth(), (0.1, 0.1)) == pytest.approx(larger)


def test_points_that_are_not_annotated_do_not_count() -> None:
    wrong = POINTS.clone()
    wrong[0, 1, 0] += 500
    assert score(guess(keypoints=wrong), truth())["map_75"] == 0
    unseen = POINTS.clone()
    unseen[0, 1] = 0
    assert score(guess(keypoints=wrong), truth(keypoints=unseen))["map"] == pytest.approx(1.0)


def test_crowds_are_ignored_and_nothing_to_find_is_no_number() -> None:
    two: dict[str, Any] = {
        "keypoints": torch.cat([POINTS, shifted(200)]),
        "labels": ONE.repeat(2),
        "boxes": torch.cat([BOX, BOX + 200]),
    }
    assert score(guess(), two)["map"] == pytest.approx(0.5, abs=0.01)
    assert score(guess(), {**two, "iscrowd": torch.tensor([0, 1])})["map"] == pytest.approx(1.0)
    nothing = {"keypoints": torch.zeros(0, 2, 3), "labels": ONE[:0], "boxes": torch.zeros(0, 4)}
    assert math.isnan(score(guess(), nothing)["map"])
    assert math.isnan(score(guess(), truth(keypoints=POINTS * 0))["map"])
    missing = {"keypoints": torch.zeros(0, 2, 3), "labels": ONE[:0], "scores": torch.zeros(0)}
    assert score(missing, truth())["map"] == 0


def test_images_are_kept_apart_and_batches_make_no_difference() -> None:
    found, true = [guess(), guess(keypoints=shifted(distance_of(0.6)))], [truth(), truth()]
    together, apart = KeypointMeanAveragePrecision([0.05, 0.05]), KeypointMeanAveragePrecision([0.05, 0.05])
    together.update(found, true)
    for pair in zip(found, true, strict=True):
        apart.update([pair[0]], [pair[1]])
    assert apart.compute() == together.compute()
    assert 0.2 < together.compute()["map"] < 1
    apart.reset()
    assert math.isnan(apart.compute()["map"])


def test_sigmas_are_cocos_own_for_its_persons() -> None:
    assert default_sigmas(published_keypoints()) == pytest.approx(list(Params(iouType="keypoints").kpt_oks_sigmas))
    assert default_sigmas(17) == default_sigmas([str(number) for number in range(17)]) == [0.05] * 17
    with pytest.raises(ConfigurationError, match="sigmas to be a positive number for each point, but got"):
        KeypointMeanAveragePrecision([0.1, -1])
