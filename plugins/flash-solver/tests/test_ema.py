from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from flash.errors import ConfigurationError
from flash.solver import EMA, BaseSolver


def test_the_average_follows_the_weights_and_buffers_are_copied() -> None:
    model = nn.BatchNorm1d(1)
    ema = EMA(model, decay=0.9)
    with torch.no_grad():
        model.weight.fill_(2.0)
    model.running_mean.fill_(7.0)
    ema.update()
    with ema.swap():
        assert model.weight.item() == pytest.approx(0.9 * 1 + 0.1 * 2)
        assert model.running_mean.item() == 7.0
    assert model.weight.item() == 2.0


def test_warmup_forgets_the_first_weights_sooner() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    ema = EMA(model, decay=0.999, warmup=True)
    model.weight.data.fill_(1.0)
    ema.update()
    with ema.swap():
        assert model.weight.item() == pytest.approx(1 - 2 / 11)


def test_a_swap_is_undone_after_an_error_and_is_not_nested() -> None:
    model = nn.Linear(1, 1)
    ema = EMA(model, 0.5)
    before = model.weight.item()
    model.weight.data += 1
    with pytest.raises(ConfigurationError, match="swap\\(\\) is in use already"), ema.swap(), ema.swap():
        pass
    assert model.weight.item() == before + 1


def test_the_optimizer_trains_the_models_own_weights_after_a_swap() -> None:
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    ema = EMA(model, 0.5)
    with ema.swap():
        pass
    before = model.weight.item()
    model(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    assert model.weight.item() == pytest.approx(before - 1)


class Averaging(BaseSolver):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.model = nn.Linear(1, 1, bias=False)
        self.ema = EMA(self.model, decay=0.5)
        self.register_stateful("ema", "model")


def test_a_checkpoint_that_is_written_during_a_swap_has_both_weights_in_their_places(tmp_path: Path) -> None:
    solver = Averaging(tmp_path)
    solver.model.weight.data.fill_(0.0)
    solver.ema = EMA(solver.model, decay=0.5)
    solver.model.weight.data.fill_(4.0)
    solver.ema.update()
    with solver.ema.swap():
        solver.commit()
        assert solver.model.weight.item() == 2.0
    again = Averaging(tmp_path)
    assert again.restore()
    assert again.model.weight.item() == 4.0
    assert again.ema.steps == 1
    with again.ema.swap():
        assert again.model.weight.item() == 2.0


def test_a_decay_is_a_share() -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 1, but got 1.5"):
        EMA(nn.Linear(1, 1), 1.5)
