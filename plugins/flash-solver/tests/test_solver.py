from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flash.solver import BaseSolver, Formatter, SolverError, get_xp, is_xp


class Solver(BaseSolver):
    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.model = torch.nn.Linear(3, 1)
        self.optim = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.best: dict[str, Any] = {}
        self.register_stateful("model", "optim", "best")

    def run(self, epochs: int) -> None:
        self.restore()
        for _ in range(self.epoch, epochs + 1):
            self.run_stage("train", self.train)
            self.commit()

    def train(self) -> dict[str, Any]:
        loss = self.model(torch.randn(4, 3)).abs().mean()
        loss.backward()
        self.optim.step()
        self.optim.zero_grad()
        return {"loss": loss.item()}


def losses(solver: BaseSolver) -> list[float]:
    return [epoch["train"]["loss"] for epoch in solver.history]


def test_four_epochs_equal_two_and_two(tmp_path: Path) -> None:
    torch.manual_seed(1)
    straight = Solver(tmp_path / "a")
    straight.run(4)
    torch.manual_seed(1)
    Solver(tmp_path / "b").run(2)
    torch.manual_seed(99)
    resumed = Solver(tmp_path / "b")
    resumed.run(4)
    assert losses(resumed) == losses(straight)
    for one, other in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_solver_needs_a_folder_or_an_experiment() -> None:
    assert not is_xp()
    with pytest.raises(SolverError, match="Not in a xp!.*BaseSolver\\(folder='runs/first'\\)"):
        BaseSolver()
    with pytest.raises(RuntimeError):
        get_xp()


def test_the_order_of_state_is_that_of_registration(tmp_path: Path) -> None:
    assert list(Solver(tmp_path).state_dict()) == ["history", "model", "optim", "best"]


def test_the_history_is_one_list_and_a_file(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    history = solver.history
    solver.run(2)
    assert solver.history is history
    stored = json.loads((tmp_path / "history.json").read_text())
    assert stored == history
    assert set(stored[0]["train"]) == {"loss", "duration"}
    assert solver.epoch == 3
    with pytest.raises(AttributeError):
        solver.epoch = 7  # type: ignore[misc]


def test_the_checkpoint_decides_about_the_history(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    solver.run(1)
    solver.run_stage("train", solver.train)
    solver.commit(save_checkpoint=False)
    assert len(json.loads((tmp_path / "history.json").read_text())) == 2
    again = Solver(tmp_path)
    assert again.restore()
    assert again.epoch == 2


def test_without_a_checkpoint_nothing_is_restored(tmp_path: Path) -> None:
    assert not Solver(tmp_path).restore()


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("text", "text"),
        (None, None),
        (np.float32(0.5), 0.5),
        (np.arange(2), [0, 1]),
        (torch.tensor(2), 2),
        (torch.ones(1, requires_grad=True), 1.0),
        (torch.ones(2), [1.0, 1.0]),
        (torch.zeros(5000), "tensor(5000,)"),
        ({"a": torch.tensor(1.0)}, {"a": 1.0}),
        (Path("a"), "a"),
        (True, True),
    ],
)
def test_metrics_of_any_kind_never_stop_a_run(tmp_path: Path, value: Any, stored: Any) -> None:
    solver = Solver(tmp_path)
    solver.init_tensorboard()
    solver.run_stage("train", lambda: {"it": value})
    solver.commit()
    assert solver.history[0]["train"]["it"] == stored
    assert json.loads((tmp_path / "history.json").read_text())[0]["train"]["it"] == stored


def test_run_stage_returns_the_very_dict_with_its_duration(tmp_path: Path) -> None:
    solver, metrics = Solver(tmp_path), {"loss": 1.0}
    assert solver.run_stage("train", lambda factor: metrics, 3) is metrics
    assert 0 <= metrics["duration"] < 1
    assert list(solver.run_stage("valid", lambda: None)) == ["duration"]


def test_a_stage_reports_once_an_epoch(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    solver.run_stage("train", dict)
    with pytest.raises(SolverError, match="Stage train already exist for epoch 1"):
        solver.run_stage("train", dict)
    solver.commit()
    solver.run_stage("train", dict)


def test_stages_are_not_nested_and_an_error_leaves_the_solver_usable(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    with pytest.raises(SolverError, match="'inner' is started inside 'train'"):
        solver.run_stage("train", lambda: solver.run_stage("inner", dict))
    assert solver._pending_metrics == {}
    solver.run_stage("train", dict)
    assert list(solver._pending_metrics) == ["train"]


def test_what_belongs_to_a_stage_says_so_outside_one(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    for use in (
        lambda: solver.formatter,
        lambda: solver.current_stage,
        lambda: solver.log_progress("train", [1]),
        lambda: solver.log_metrics("train", {}),
    ):
        with pytest.raises(SolverError, match="Expected to be in a stage"):
            use()
    assert solver._pending_metrics == {}
    solver.log_metrics("train", {"loss": 1.0}, Formatter())
    assert solver._pending_metrics == {"train": {"loss": 1.0}}


def test_each_stage_has_its_own_formatter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Percent(Solver):
        def get_formatter(self, stage_name: str) -> Formatter:
            return Formatter({"acc": ".1%"} if stage_name == "valid" else {}, exclude_keys=["duration"])

    solver = Percent(tmp_path)
    with caplog.at_level("INFO"):
        solver.run_stage("train", lambda: {"acc": 0.5})
        solver.run_stage("valid", lambda: {"acc": 0.5})
    assert "acc=0.500" in caplog.messages[0]
    assert "acc=50.0%" in caplog.messages[1]


def test_progress_is_named_after_stage_and_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    solver = Solver(tmp_path)

    def train() -> None:
        progress = solver.log_progress("train", range(4), updates=2)
        for index in progress:
            progress.update(loss=index)

    with caplog.at_level("INFO"):
        solver.run_stage("train", train)
    assert caplog.messages[0].startswith("Train | Epoch 1 | 2/4 | ")
    assert caplog.messages[0].endswith("it/sec | loss 2.000")


def test_a_loader_is_told_the_epoch(tmp_path: Path) -> None:
    solver, told = Solver(tmp_path), []

    class Loader(list[int]):
        def set_epoch(self, epoch: int) -> None:
            told.append(epoch)

    for _ in range(2):
        solver.run_stage("train", lambda: {"n": len(list(solver.log_progress("train", Loader([1]))))})
        solver.commit()
    assert told == [1, 2]


def test_past_metrics_can_be_shown_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Solver(tmp_path).run(2)
    with caplog.at_level("INFO"):
        Solver(tmp_path).restore(replay_metrics=True)
    assert ["Epoch 1" in caplog.messages[0], "Epoch 2" in caplog.messages[1]] == [True, True]


def test_run_has_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="Write one"):
        BaseSolver(tmp_path).run()


@pytest.mark.process
def test_importing_the_solver_brings_no_experiment_manager_and_no_lightning() -> None:
    program = (
        "import sys, flash.solver as flashy\n"
        "flashy.BaseSolver, flashy.distrib, flashy.adversarial, flashy.loggers.WandbLogger, flashy.get_xp\n"
        "print([name for name in ('dora', 'hydra', 'omegaconf', 'wandb', 'pytorch_lightning') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


class AudioStyleSolver(BaseSolver):
    """Does what larger projects do: its own files, its own commit, a path that is a method."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.model = torch.nn.Linear(1, 1)
        self.best_state: dict[str, Any] = {}
        self.register_stateful("model", "best_state")
        self.saved: list[str] = []

    def checkpoint_path(self, name: str = "last") -> Path:
        return self.folder / f"checkpoint_{name}.th"

    def commit(self, save_checkpoints: bool = True) -> None:
        self.history.append(self._pending_metrics)
        self._start_epoch()
        if save_checkpoints:
            state = {name: source.state_dict() for name, source in self.stateful.sources.items()}
            torch.save(state, self.checkpoint_path())
        self.xp.link.update_history(self.history)

    def restore(self, replay_metrics: bool = False) -> bool:
        if not self.checkpoint_path().exists():
            return False
        state = torch.load(self.checkpoint_path(), weights_only=True)
        for name, source in self.stateful.sources.items():
            source.load_state_dict(state[name])
        for number, epoch in enumerate(self.history, 1):
            for stage, metrics in epoch.items():
                self.result_logger._log_summary(stage, metrics, number, formatter=self.get_formatter(stage))
        return True


def test_a_solver_that_saves_in_its_own_way_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    solver = AudioStyleSolver(tmp_path)
    for _ in range(2):
        solver.run_stage("train", lambda: {"loss": 0.5})
        assert solver._pending_metrics["train"]["loss"] == 0.5
        solver.commit()
    again = AudioStyleSolver(tmp_path)
    with caplog.at_level("INFO"):
        assert again.restore()
    assert torch.equal(again.model.weight, solver.model.weight)
    assert again.epoch == 3
    assert "Train Summary | Epoch 2 | loss=0.500" in caplog.messages[1]
    assert (tmp_path / "checkpoint_last.th").exists()


def test_a_path_that_is_a_method_serves_the_own_commit_too(tmp_path: Path) -> None:
    class Named(Solver):
        def checkpoint_path(self) -> Path:
            return self.folder / "named.th"

    Named(tmp_path).run(1)
    assert (tmp_path / "named.th").exists()
    assert Named(tmp_path).restore()
