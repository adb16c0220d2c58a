"""Damaged checkpoints, at each door that takes one: a right answer or an error in a sentence, and no code that runs."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from torch import nn

from flash import Task
from flash.serialization import equal
from flash.solver import BaseSolver, TaskSolver
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.testing import silent_trainer

from .corpus import OTHERS, Damaged, damaged_bytes, damaged_members, damaged_values, other_formats, outcome

pytestmark = [pytest.mark.train, pytest.mark.slow]

#: How many damaged checkpoints there are of each kind; docs/promises.md has the sums.
BYTES, MEMBERS, VALUES = 48, 24, 120
KINDS = ("trainer", "finetuning", "task solver", "solver")
COUNT = len(KINDS) * (BYTES + MEMBERS + VALUES + OTHERS)

FRAME = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0] * 4, "city": list("xyxz") * 4, "y": list("pq") * 8})
ROWS = FRAME[["size", "city"]].head(4)


def make_data() -> TabularClassificationData:
    frames: Any = dict.fromkeys(("train_data_frame", "val_data_frame", "test_data_frame", "predict_data_frame"), FRAME)
    return TabularClassificationData.from_data_frame(target_fields="y", batch_size=8, seed=0, verbose=False, **frames)


def make_task(data: TabularClassificationData) -> TabularClassifier:
    torch.manual_seed(1)
    sizes = {"n_blocks": 1, "d_block": 8, "d_embedding": 2}
    return TabularClassifier.from_data(data, backbone="mlp", backbone_kwargs=sizes)


class Loop(BaseSolver):
    """A loop of its own: a layer, an optimizer, a value."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        torch.manual_seed(2)
        self.model = nn.Linear(3, 2)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.best = 1.0
        self.register_stateful("model", "optimizer", "best")

    def train(self) -> dict[str, float]:
        self.optimizer.zero_grad()
        loss = self.model(torch.ones(4, 3)).square().mean()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}

    def run(self, epochs: int = 1) -> None:
        for _ in range(epochs):
            self.run_stage("train", self.train)
            self.commit()


class Door(NamedTuple):
    """A call that takes a checkpoint, what it gives, and which files it is for."""

    name: str
    call: Callable[[Path, Path], Any]
    kinds: tuple[str, ...]


def load(file: Path, _: Path) -> Any:
    task = Task.load_from_checkpoint(file)
    return {"predictions": task.predict(ROWS, output="probabilities"), **task.state_dict()}


def fit(file: Path, _: Path) -> Any:
    data = make_data()
    task = make_task(data)
    silent_trainer(max_epochs=2).fit(task, data, ckpt_path=file)
    return dict(task.state_dict())


def finetune(file: Path | None, folder: Path, epochs: int = 2) -> Any:
    """Finetune with a strategy and a callback that have a state of their own."""
    data = make_data()
    task = make_task(data)
    trainer = silent_trainer(max_epochs=epochs, callbacks=["average_weights", "keep_best"], default_root_dir=folder)
    trainer.finetune(task, data, strategy=("freeze_unfreeze", 1), ckpt_path=file)
    if file is None:
        trainer.save_checkpoint(folder / "finetuning.ckpt")
    return dict(task.state_dict())


def validate(file: Path, _: Path) -> Any:
    data = make_data()
    return silent_trainer().validate(make_task(data), data, ckpt_path=file, verbose=False)


def run_test(file: Path, _: Path) -> Any:
    data = make_data()
    return silent_trainer().test(make_task(data), data, ckpt_path=file, verbose=False)


def predict(file: Path, _: Path) -> Any:
    data = make_data()
    return silent_trainer().predict(make_task(data), datamodule=data, output="probabilities", ckpt_path=file)


def task_solver(file: Path, folder: Path) -> Any:
    data = make_data()
    solver = TaskSolver(make_task(data), data, folder=folder, max_epochs=2, fabric={"accelerator": "cpu"})
    solver.restore(file)
    solver.run()
    return dict(solver.task.state_dict())


def solver(file: Path, folder: Path) -> Any:
    loop = Loop(folder)
    loop.restore(file)
    loop.run()
    # Not the values that are the program's own: a solver keeps whatever it is given.
    return dict(loop.model.state_dict())


DOORS = [
    Door("load_from_checkpoint", load, ("trainer", "finetuning", "task solver")),
    Door("finetune", finetune, ("finetuning",)),
    Door("fit", fit, ("trainer", "task solver")),
    Door("validate", validate, ("trainer",)),
    Door("test", run_test, ("trainer",)),
    Door("predict", predict, ("trainer",)),
    Door("TaskSolver.restore", task_solver, ("trainer", "task solver")),
    Door("BaseSolver.restore", solver, ("solver",)),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole checkpoint of each kind."""
    folder = tmp_path_factory.mktemp("sound")
    data = make_data()
    trainer = silent_trainer()
    trainer.fit(make_task(data), data)
    trainer.save_checkpoint(folder / "trainer.ckpt")
    finetune(None, folder, epochs=1)
    by_solver = TaskSolver(make_task(data), data, folder=folder / "task", fabric={"accelerator": "cpu"})
    by_solver.run()
    loop = Loop(folder / "loop")
    loop.run()
    files = (
        folder / "trainer.ckpt",
        folder / "finetuning.ckpt",
        folder / "task/checkpoint.th",
        folder / "loop/checkpoint.th",
    )
    return dict(zip(KINDS, files, strict=True))


def damaged(file: Path, marker: Path) -> Iterator[Damaged]:
    content = file.read_bytes()
    yield from damaged_bytes(content, 1, BYTES)
    yield from damaged_members(content, 2, MEMBERS)
    yield from damaged_values(torch.load(file, weights_only=True), 3, VALUES, _write)
    yield from other_formats(marker)


def _write(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_checkpoint_is_one_error_at_every_door(kind: str, sound: dict[str, Path], tmp_path: Path) -> None:
    marker, file = tmp_path / "code ran", tmp_path / "damaged.ckpt"
    folders = (tmp_path / f"run{number}" for number in itertools.count())
    doors = [door for door in DOORS if kind in door.kinds]
    right = {door.name: door.call(sound[kind], next(folders)) for door in doors}
    wrong = []
    damages = list(damaged(sound[kind], marker))
    assert len(damages) == COUNT // len(KINDS)
    for number, damage in enumerate(damages):
        file.write_bytes(damage.content)
        sentences = set()
        for door in doors:
            is_right = functools.partial(equal, right[door.name])
            result = outcome(functools.partial(door.call, file, next(folders)), is_right)
            wrong += [f"{door.name}: {damage.name}: {result.wrong}"] if result.wrong else []
            sentences.add(result.sentence)
        if number < BYTES and len(sentences) > 1:
            wrong.append(f"{damage.name}: the doors disagree: {sentences}")
        assert not marker.exists(), damage.name
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
