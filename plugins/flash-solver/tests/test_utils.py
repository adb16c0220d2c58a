from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from flash.solver import averager, readonly, write_and_rename


def test_an_averager_gives_the_weighted_mean() -> None:
    average = averager()
    average({"loss": 1.0}, weight=3)
    assert average({"loss": torch.tensor(5.0)}, weight=1) == {"loss": 2.0}


def test_old_values_fade_with_beta() -> None:
    average = averager(beta=0.5)
    average({"loss": 1})
    assert average({"loss": 4}) == {"loss": 3.0}


def test_metrics_that_come_now_and_then_stay_and_do_not_fade() -> None:
    average = averager(beta=0.5)
    average({"a": 1, "b": 2})
    assert average({"a": 4}) == {"a": 3.0, "b": 2.0}


def test_a_tensor_with_a_gradient_is_averaged_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert averager()({"loss": torch.ones(1, requires_grad=True)}) == {"loss": 1.0}


def test_an_averager_goes_on_where_another_was() -> None:
    first, second = averager(), averager()
    first({"loss": 1.0})
    second.load_state_dict(first.state_dict())
    assert second({"loss": 3.0}) == {"loss": 2.0}


def test_readonly_gives_each_parameter_its_own_setting_back_also_after_an_error() -> None:
    model = nn.Linear(1, 1)
    model.bias.requires_grad_(False)

    def fail() -> None:
        with readonly(model):
            assert not model.weight.requires_grad
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert model.weight.requires_grad
    assert not model.bias.requires_grad


@pytest.mark.parametrize("pid", [False, True])
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, pid: bool) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with write_and_rename(path, "w", pid=pid) as file:
            file.write("half")
            assert path.read_text() == "old"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    with write_and_rename(path, "w", pid=pid) as file:
        file.write("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
