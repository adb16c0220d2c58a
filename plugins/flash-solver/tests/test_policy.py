from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flash.errors import ConfigurationError
from flash.solver import BaseSolver, CheckpointPolicy
from flash.solver.checkpoint import read_checkpoint


def run(folder: Path, losses: list[Any], **policy: Any) -> BaseSolver:
    solver = BaseSolver(folder)
    solver.keep_checkpoints(**policy)
    solver.restore()
    for loss in losses:
        solver.run_stage("valid", lambda: {"loss": loss})  # noqa: B023  # it runs at once
        solver.commit()
    return solver


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.th")}


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    run(tmp_path, [1, 2, 3, 4], last=2)
    assert files(tmp_path) == {"checkpoint.th", "checkpoint_3.th", "checkpoint_4.th"}
    assert len(read_checkpoint(tmp_path / "checkpoint_3.th")["history"]) == 3


def test_every_second_one_is_kept_besides_the_last(tmp_path: Path) -> None:
    run(tmp_path, [1] * 5, last=1, every=2)
    assert files(tmp_path) == {"checkpoint.th", "checkpoint_2.th", "checkpoint_4.th", "checkpoint_5.th"}


@pytest.mark.parametrize(("mode", "epoch"), [("min", 3), ("max", 2)])
def test_the_best_one_is_kept_and_can_be_restored(tmp_path: Path, mode: str, epoch: int) -> None:
    run(tmp_path, [2.0, 5.0, 1.0, float("nan"), None, 3.0], best="valid/loss", mode=mode)
    assert files(tmp_path) == {"checkpoint.th", "best.th"}
    solver = BaseSolver(tmp_path)
    assert solver.restore(best=True)
    assert len(solver.history) == epoch


def test_the_best_is_that_of_all_runs(tmp_path: Path) -> None:
    run(tmp_path, [1.0], best="valid/loss")
    run(tmp_path, [2.0], best="valid/loss")
    assert len(read_checkpoint(tmp_path / "best.th")["history"]) == 1


def test_files_of_epochs_that_a_run_went_back_before_are_removed(tmp_path: Path) -> None:
    run(tmp_path, [1, 2, 3], last=3)
    (tmp_path / "checkpoint.th").write_bytes((tmp_path / "checkpoint_1.th").read_bytes())
    run(tmp_path, [5], last=3)
    assert files(tmp_path) == {"checkpoint.th", "checkpoint_1.th", "checkpoint_2.th"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"last": 0}, "Expected last to be a whole number of at least 1, but got 0"),
        ({"every": 1.5}, "Expected every to be a whole number"),
        ({"best": "loss"}, "Expected best to name a stage and a metric"),
        ({"best": "valid/loss", "mode": "least"}, "Expected mode to be 'min' or 'max', but got 'least'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CheckpointPolicy(**options)
