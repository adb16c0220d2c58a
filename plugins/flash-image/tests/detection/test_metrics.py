"""Mean average precision."""

from __future__ import annotations

import math

import torch

from flash.image.detection.metrics import BoxMeanAveragePrecision

BOX = torch.tensor([[0.0, 0.0, 10.0, 10.0]])


def test_half_of_the_boxes_found_is_half_the_score() -> None:
    metric = BoxMeanAveragePrecision()
    there = {"boxes": BOX, "labels": torch.tensor([1])}
    found = {**there, "scores": torch.tensor([0.9])}
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "scores": torch.zeros(0)}
    metric.update([found, nothing], [there, there])
    assert set(values := metric.compute()) == {"map", "map_50", "map_75"}
    assert math.isclose(values["map_50"], 0.5, abs_tol=0.01)


def test_what_is_found_in_a_crowd_is_no_mistake() -> None:
    metric = BoxMeanAveragePrecision()
    there = {"boxes": torch.cat([BOX, BOX + 50]), "labels": torch.tensor([1, 1]), "iscrowd": torch.tensor([0, 1])}
    found = {"boxes": torch.cat([BOX + 50, BOX]), "labels": torch.tensor([1, 1]), "scores": torch.tensor([0.9, 0.8])}
    metric.update([found], [there])
    assert math.isclose(metric.compute()["map"], 1.0, abs_tol=1e-6)


def test_without_boxes_to_find_it_is_not_a_number() -> None:
    metric = BoxMeanAveragePrecision()
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    metric.update([{**nothing, "scores": torch.zeros(0)}], [nothing])
    assert math.isnan(metric.compute()["map"])
