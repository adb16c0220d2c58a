"""Trainings that are killed: what resumes exactly passes, and what does not is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.testing._kills import is_same, run_whole, run_with_kills

pytestmark = pytest.mark.process

EPOCHS, BATCHES = 4, 6


class Counting(flash.Task):
    """Its loss grows with a number that no checkpoint has."""

    def __init__(self, counts: bool) -> None:
        super().__init__(nn.Linear(3, 1), nn.functional.mse_loss, lr_scheduler="cosine_with_warmup")
        self.counts, self.number = counts, 0

    def step(self, batch: Any, batch_idx: int) -> Any:
        self.number += self.counts
        result = super().step(batch, batch_idx)
        return {**result, "loss": result["loss"] * (1 + self.number)}


def training(counts: bool) -> Callable[[Any], Any]:
    def train(life: Any) -> Any:
        x = torch.arange(72.0).view(24, 3) / 72
        data = flash.DataModule.from_tensors(x, x.sum(1, keepdim=True), batch_size=4, seed=0)
        return life.fit(Counting(counts), data, max_epochs=EPOCHS)

    return train


def test_a_training_that_resumes_exactly_equals_the_whole_one(killed: Any) -> None:
    run = killed(training(False), EPOCHS * BATCHES, BATCHES)
    assert run.resumes >= run.in_an_epoch > 0
    assert len(run.moments) >= run.resumes


def test_a_training_that_does_not_is_found(killed: Any) -> None:
    with pytest.raises(AssertionError, match=r"of epoch \d to be .* in each life|Expected the same weights as without"):
        killed(training(True), EPOCHS * BATCHES, BATCHES)


def test_the_error_of_a_training_is_the_error_of_the_test(tmp_path: Path) -> None:
    def fails(life: Any) -> Any:
        raise ValueError("no data")

    with pytest.raises(AssertionError, match="(?s)Expected a training that resumes, but it failed:.*no data"):
        run_whole(fails, tmp_path / "whole")


def test_a_training_that_never_ends_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash.testing._kills._MOST_LIVES", 1)
    with pytest.raises(AssertionError, match="Expected the run to end, but it was killed 1 times"):
        run_with_kills(training(False), tmp_path / "killed", EPOCHS * BATCHES, BATCHES)


@pytest.mark.parametrize("other", [torch.zeros(2), torch.ones(2).double(), torch.ones(3), "text", [torch.ones(2)]])
def test_results_are_the_same_bit_for_bit_alone(other: Any) -> None:
    assert is_same({"a": torch.ones(2)}, {"a": torch.ones(2)})
    assert not is_same({"a": torch.ones(2)}, {"a": other})


def test_one_of_several_processes_is_killed(killed: Any) -> None:
    run = killed(training(False), EPOCHS * BATCHES // 2, BATCHES // 2, seed=1, processes=2)
    assert run.resumes >= run.in_an_epoch > 0
