"""Processes that work together: what each returns or raises, and one that does not notice that another is gone."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch
import torch.distributed as dist

from flash.testing import _group
from flash.testing._group import run_group

pytestmark = pytest.mark.process


def test_each_returns_its_result() -> None:
    def work(rank: int) -> list[float]:
        dist.init_process_group("gloo")
        number = torch.tensor([float(rank + 1)])
        dist.all_reduce(number)
        dist.destroy_process_group()
        return number.tolist()

    assert [(each.code, each.result) for each in run_group(work, 2)] == [(0, [3.0])] * 2


def test_one_process_has_the_environment_of_this_one() -> None:
    (outcome,) = run_group(lambda rank: (rank, "RANK" in os.environ), 1)
    assert outcome.result == (0, False)


def test_an_error_and_a_signal_are_outcomes() -> None:
    def work(rank: int) -> None:
        if rank:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("no data")

    failed, killed = run_group(work, 2)
    assert failed.code == 1
    assert "ValueError: no data" in str(failed.error)
    assert (killed.code, killed.error) == (-signal.SIGKILL, None)


def test_a_process_that_waits_for_a_dead_one_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_group, "_NOTICE", 0.1)

    def work(rank: int) -> None:
        if rank:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()

    with pytest.raises(AssertionError, match="when one of 2 has died, but 1 did not within 0.1 seconds"):
        run_group(work, 2)
