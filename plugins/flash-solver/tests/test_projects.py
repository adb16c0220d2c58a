"""Whole projects: the one of Flashy's README, under Hydra alone and under Dora, and what Flashy itself left behind."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flash.solver import BaseSolver
from flash.solver.checkpoint import read_checkpoint
from flash.solver.xp import XP, Settings

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

README = """
import torch
from {home} import hydra_main
import {package} as flashy


class Solver(flashy.BaseSolver):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.model = torch.nn.Linear(32, 1)
        self.optim = torch.optim.Adam(self.model.parameters(), lr=cfg.lr)
        self.best_state = {{}}
        self.register_stateful('model', 'optim', 'best_state')
        self.init_tensorboard()

    def run(self):
        self.restore()
        for epoch in range(self.epoch, self.cfg.epochs):
            self.run_stage('train', self.train)
            self.commit(save_checkpoint=epoch % 2 == 1)

    def train(self):
        x = torch.randn(4, 32)
        y = self.model(x)
        loss = y.abs().mean()
        loss.backward()
        self.optim.step()
        self.optim.zero_grad()
        return {{'loss': loss.item()}}


@hydra_main(config_path='config', config_name='config', version_base='1.1')
def main(cfg):
    flashy.setup_logging()
    flashy.distrib.init({backend})
    solver = Solver(cfg)
    solver.run()


if __name__ == '__main__':
    main()
"""


def project(folder: Path, home: str, package: str = "flash.solver", backend: str = "") -> Path:
    basic = folder / "basic"
    (basic / "config").mkdir(parents=True, exist_ok=True)
    (basic / "__init__.py").touch()
    (basic / "train.py").write_text(README.format(home=home, package=package, backend=backend))
    (basic / "config" / "config.yaml").write_text("epochs: 5\nlr: 0.1\ndora:\n  dir: outputs\n")
    return folder


def run(module: str, folder: Path, *argv: str, without_dora: bool = False) -> None:
    """What ``python -m module`` does in a folder."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.argv = [module, *argv]
    if without_dora:
        sys.modules["dora"] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def losses(folder: Path, sig: str = "97d170e1") -> list[float]:
    history = json.loads((folder / "outputs" / "xps" / sig / "history.json").read_text())
    return [epoch["train"]["loss"] for epoch in history]


def files(folder: Path) -> set[str]:
    found = (str(path.relative_to(folder)) for path in (folder / "outputs").rglob("*") if path.is_file())
    return {re.sub(r"tfevents.*", "tfevents", path) for path in found}


@pytest.mark.process
def test_the_readmes_project_runs_and_runs_again_with_dora_and_without(
    tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    for package in ("hydra", "tensorboard"):
        pytest.importorskip(package, reason="the project needs it")
    pytest.importorskip("dora", reason="Dora is compared with")
    ours = project(tmp_path / "ours", "flash.solver")
    doras = project(tmp_path / "doras", "dora")
    in_process(lambda: run("basic.train", ours, without_dora=True))
    in_process(lambda: run("dora", doras, "-P", "basic", "run"))
    assert len(losses(ours)) == len(losses(doras)) == 4
    assert files(ours) == files(doras)
    before = losses(ours)
    in_process(lambda: run("basic.train", ours, without_dora=True))
    # Every second epoch was saved, the last one that was: 3.
    assert losses(ours)[:3] == before[:3]
    # What one began the other goes on with.
    in_process(lambda: run("dora", ours, "-P", "basic", "run"))
    assert losses(ours)[:3] == before[:3]
    for manager, arguments in (("basic.train", ["lr=0.5"]), ("dora", ["-P", "basic", "run", "lr=0.5"])):
        in_process(lambda: run(manager, ours, *arguments, without_dora=manager != "dora"))  # noqa: B023  # at once
    assert {path.name for path in (ours / "outputs" / "xps").iterdir()} == {"97d170e1", "3b45fed1"}


@pytest.mark.process
def test_a_project_of_hydra_1_1_works_in_its_experiments_folder_and_without_warnings(
    tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    pytest.importorskip("hydra", reason="the project needs it")
    folder = project(tmp_path, "flash.solver")
    path = folder / "basic" / "train.py"
    path.write_text(path.read_text().replace("flashy.setup_logging()", "open('here', 'w').close(); return"))

    def strict() -> None:
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        sys.argv = ["basic.train"]
        sys.modules["dora"] = None  # type: ignore[assignment]  # as above
        warnings.simplefilter("error")
        runpy.run_module("basic.train", run_name="__main__", alter_sys=True)

    assert in_process(strict)[0] == 0
    assert (folder / "outputs" / "xps" / "97d170e1" / "here").exists()


@pytest.mark.process
def test_a_checkpoint_that_flashy_wrote_is_read_safely_and_gone_on_with(
    tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    for package in ("flashy", "dora", "hydra"):
        pytest.importorskip(package, reason="Flashy itself makes the file")
    folder = project(tmp_path, "dora", package="flashy")
    in_process(lambda: run("dora", folder, "-P", "basic", "run"))
    before = losses(folder)
    assert len(before) == 4
    path = folder / "outputs" / "xps" / "97d170e1" / "checkpoint.th"
    stored = read_checkpoint(path)
    assert stored["xp.cfg"] == {"epochs": 5, "lr": 0.1, "dora": {"dir": "outputs"}}
    assert stored["xp.sig"] == "97d170e1"
    config = project(tmp_path, "dora") / "basic" / "config" / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 5", "epochs: 7"))
    in_process(lambda: run("dora", folder, "-P", "basic", "run"))
    assert losses(folder)[:3] == before[:3]
    assert len(losses(folder)) == 6
    assert read_checkpoint(path)["_flash"]["format"] == 1
    # It needs neither Flashy nor Hydra nor OmegaConf to be read.
    solver = in_a_solver(tmp_path / "other", path)
    assert torch.equal(solver.model.weight, read_checkpoint(path)["model"]["weight"])


def in_a_solver(folder: Path, path: Path) -> Any:
    class Solver(BaseSolver):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.nn.Linear(32, 1)
            self.optim = torch.optim.Adam(self.model.parameters())
            self.best_state: dict[str, Any] = {}
            self.register_stateful("model", "optim", "best_state")

    with XP(Settings(dir=folder), cfg={}, argv=[], delta=[]).enter():
        solver = Solver()
        assert solver.restore(path)
    assert solver.epoch == len(solver.history) + 1 > 1
    return solver


@pytest.mark.process
def test_dora_starts_several_processes(tmp_path: Path) -> None:
    for package in ("hydra", "tensorboard", "dora"):
        pytest.importorskip(package, reason="the project needs it")
    folder = project(tmp_path, "dora")
    path = folder / "basic" / "train.py"
    path.write_text(path.read_text().replace("self.init_tensorboard()", "pass"))
    command = [sys.executable, "-m", "dora", "-P", "basic", "run", "-d", "--ddp_workers=2"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    log = folder / "outputs" / "xps" / "97d170e1" / "worker_1.log"
    worker = log.read_text() if log.exists() else "no log"
    assert result.returncode == 0, f"{result.stderr}\n{worker}"
    assert len(losses(folder)) == 4
    assert "Distributed init: 1/2" in worker


@pytest.mark.process
def test_the_basic_example_runs_and_goes_on(tmp_path: Path, in_process: Callable[..., Any]) -> None:
    for package in ("hydra", "tensorboard"):
        pytest.importorskip(package, reason="the example needs it")
    import shutil

    folder = tmp_path / "example"
    shutil.copytree(EXAMPLES / "solver_basic", folder)
    config = folder / "basic" / "config" / "config.yaml"
    config.write_text(re.sub("dir: .*", "dir: outputs", config.read_text()))
    for _ in range(2):
        in_process(lambda: run("basic.train", folder, without_dora=True))
        assert len(losses(folder)) == 10
