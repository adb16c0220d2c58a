from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flash.solver import AdversarialLoss, BaseSolver


def make(lr: float = 0.05) -> AdversarialLoss:
    adversary = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    return AdversarialLoss(adversary, torch.optim.Adam(adversary.parameters(), lr=lr))


@pytest.mark.train
def test_a_generator_learns_where_the_data_is() -> None:
    loss = make()
    generator = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.02)
    for _ in range(300):
        real, fake = torch.randn(32, 2) + 3, generator(torch.randn(32, 2))
        loss.train_adv(fake, real)
        optimizer.zero_grad()
        loss(fake).backward()
        optimizer.step()
    distance = (generator(torch.randn(500, 2)).mean(0) - 3).abs()
    assert distance.max() < 1.0


def test_the_generators_loss_leaves_the_adversary_alone() -> None:
    loss, fake = make(), torch.zeros(3, 2, requires_grad=True)
    loss(fake).backward()
    assert fake.grad is not None
    assert all(parameter.grad is None for parameter in loss.adversary.parameters())
    assert all(parameter.requires_grad for parameter in loss.adversary.parameters())


def test_training_the_adversary_sends_nothing_to_the_generator() -> None:
    loss, fake = make(), torch.zeros(3, 2, requires_grad=True)
    before = [parameter.clone() for parameter in loss.adversary.parameters()]
    loss.train_adv(fake, torch.ones(3, 2))
    assert fake.grad is None
    assert any(not torch.equal(one, other) for one, other in zip(before, loss.adversary.parameters(), strict=True))


def test_the_optimizer_is_part_of_the_state_also_inside_another_module(tmp_path: Path) -> None:
    class Solver(BaseSolver):
        def __init__(self) -> None:
            super().__init__(tmp_path)
            self.losses = nn.ModuleDict({"adversarial": make()})
            self.register_stateful("losses")

    solver = Solver()
    solver.losses["adversarial"].train_adv(torch.zeros(3, 2), torch.ones(3, 2))
    solver.commit()
    again = Solver()
    assert again.restore()
    optimizer: Any = again.losses["adversarial"].optimizer
    assert len(optimizer.state_dict()["state"]) == 4
    assert torch.equal(
        optimizer.state_dict()["state"][0]["exp_avg"],
        solver.losses["adversarial"].optimizer.state_dict()["state"][0]["exp_avg"],
    )
    # The same state can be loaded twice.
    state = solver.state_dict()
    for _ in range(2):
        again.load_state_dict(state)


@pytest.mark.process
def test_adversaries_of_several_processes_stay_equal(in_processes: Callable[..., Any]) -> None:
    def work(rank: int) -> list[float]:
        torch.manual_seed(rank)
        loss = make()
        for _ in range(3):
            loss.train_adv(torch.randn(4, 2), torch.randn(4, 2) + 1)
        return [float(parameter.sum()) for parameter in loss.adversary.parameters()]

    first, second = in_processes(2, work)
    assert first == second
