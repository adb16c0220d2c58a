"""A run that is resumed from any of its checkpoints equals the uninterrupted one, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers.logger import DummyLogger
from torch import nn
from torch.utils.data import IterableDataset, WeightedRandomSampler

import flash
from flash.core._resuming import Position, position_of
from flash.errors import CheckpointError
from flash.serialization import equal

EPOCHS, BATCHES = 3, 12
DROPS_AT_ONCE = ("ReduceLROnPlateau", {"patience": 0, "threshold": 0.5})


class Rows(IterableDataset[Any]):
    def __init__(self, data: Any) -> None:
        self.data = data

    def __iter__(self) -> Any:
        return iter(self.data)


class SizedRows(Rows):
    def __len__(self) -> int:
        return len(self.data)


class Noisy(flash.Preprocess):
    """Adds noise to each train row, and to each train batch on the device."""

    def __init__(self, kind: Callable[[Any], Any] = list) -> None:
        self.kind = kind

    def train_load_data(self, data: Any) -> Any:
        return self.kind(data)

    def train_post_tensor_transform(self, sample: Any) -> Any:
        return sample[0] + torch.randn(4), sample[1]

    def collate(self, samples: Any) -> Any:
        rows, targets = zip(*samples, strict=True)
        return torch.stack(rows), torch.stack(targets)

    def train_per_batch_transform_on_device(self, batch: Any) -> Any:
        return batch[0] + torch.randn(1), batch[1]


class Network(flash.Task):
    def __init__(self, lr_scheduler: Any) -> None:
        super().__init__(loss_fn=nn.functional.cross_entropy, learning_rate=0.05, lr_scheduler=lr_scheduler)
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


class Log(DummyLogger):
    """Keeps what is logged, by epoch, step and name."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[tuple[Any, ...], float] = {}

    def log_metrics(self, metrics: Any, step: Any = None) -> None:
        self.values |= {(metrics["epoch"], step, name): float(value) for name, value in metrics.items()}


@dataclass
class Run:
    schedule: Any = "cosine_with_warmup"
    kind: Callable[[Any], Any] = list
    data: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    callbacks: tuple[Callback, ...] = ()
    keep: dict[str, Any] = field(default_factory=lambda: {"every_n_train_steps": 1})
    #: The checkpoints to resume from: each of that many.
    every: int = 5

    def fit(self, seed: int, folder: Path | None = None, ckpt_path: Path | None = None) -> tuple[Any, Any, Any]:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(60, 4, generator=generator)
        rows = list(zip(x, (x[:, 0] > 0).long(), strict=True))
        torch.manual_seed(seed)
        data = flash.DataModule.from_load_data_inputs(
            train_load_data_input=rows,
            val_load_data_input=rows[:12],
            preprocess=Noisy(self.kind),
            batch_size=5,
            seed=3,
            **self.data,
        )
        task, log = Network(self.schedule), Log()
        keep = [] if folder is None else [ModelCheckpoint(folder, filename="{step}", save_top_k=-1, **self.keep)]
        silent: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        trainer = flash.Trainer(
            max_epochs=EPOCHS,
            callbacks=[*keep, *self.callbacks],
            logger=log,
            enable_checkpointing=bool(keep),
            **silent,
            **self.trainer,
        )
        trainer.fit(task, data, ckpt_path=ckpt_path)
        return (trainer.global_step, trainer.current_epoch, task.history), dict(task.state_dict()), log.values


def weighted(generator: Any = None) -> Any:
    return lambda rows: WeightedRandomSampler([1.0] * len(rows), len(rows), generator=generator)


RUNS = {
    "a schedule that counts steps": lambda: Run(every=1),
    "no schedule": lambda: Run(schedule=None),
    "a schedule that monitors a value": lambda: Run(schedule=DROPS_AT_ONCE),
    "such a schedule and a checkpoint per epoch": lambda: Run(schedule=DROPS_AT_ONCE, keep={}, every=1),
    "such a schedule and a checkpoint per validation": lambda: Run(
        schedule=DROPS_AT_ONCE, keep={"monitor": "val_loss", "save_on_train_epoch_end": False}, every=1
    ),
    "no validation": lambda: Run(trainer={"limit_val_batches": 0}, every=3),
    "a validation in two epochs": lambda: Run(trainer={"check_val_every_n_epoch": 2}, every=3),
    "two validations in an epoch": lambda: Run(trainer={"val_check_interval": 0.5}, every=3),
    "accumulated gradients": lambda: Run(trainer={"accumulate_grad_batches": 5}, every=1),
    "less than all batches": lambda: Run(trainer={"limit_train_batches": 7}, every=3),
    "a sampler": lambda: Run(data={"sampler": weighted()}),
    "a sampler with a generator": lambda: Run(data={"sampler": weighted(torch.Generator().manual_seed(1))}, every=4),
    "a stream": lambda: Run(schedule=None, kind=Rows),
    "a stream with a length": lambda: Run(kind=SizedRows),
}


@pytest.mark.train
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_resumed_from_any_checkpoint_equals_the_whole_one(name: str, tmp_path: Path) -> None:
    compare(RUNS[name], tmp_path)


WORKERS = {
    "rows": lambda: Run(data={"num_workers": 2}, every=11),
    "a stream": lambda: Run(schedule=None, kind=Rows, data={"num_workers": 2}, every=11),
    "a checkpoint per epoch": lambda: Run(data={"num_workers": 1}, keep={}, every=2),
}


@pytest.mark.process
@pytest.mark.parametrize("name", WORKERS)
def test_it_does_when_workers_draw_random_numbers(name: str, tmp_path: Path) -> None:
    compare(WORKERS[name], tmp_path)


def compare(make: Callable[[], Run], folder: Path) -> None:
    progress, weights, logged = make().fit(0, folder)
    files = sorted(folder.glob("*.ckpt"), key=lambda file: int(file.stem.partition("=")[2]))
    run = make()
    assert files
    for file in files[run.every - 1 :: run.every]:
        found, resumed, values = make().fit(99, ckpt_path=file)
        assert found == progress
        assert [name for name in weights if not torch.equal(weights[name], resumed[name])] == [], file.stem
        assert {key: value for key, value in values.items() if logged[key] != value} == {}, file.stem
        first = torch.load(file, weights_only=True)["epoch"]
        assert [key for key in logged if key[0] > first and key not in values] == [], file.stem


@pytest.mark.process
def test_what_workers_draw_does_not_depend_on_their_number(tmp_path: Path) -> None:
    one, two = (Run(schedule=None, data={"num_workers": number}).fit(0)[1] for number in (1, 2))
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.mark.train
def test_accumulated_gradients_are_in_a_checkpoint_of_that_moment_alone(
    trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    class Save(Callback):
        def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            trainer.save_checkpoint(tmp_path / f"{batch_idx}.ckpt")

    data = flash.DataModule.from_tensors(torch.randn(12, 3), torch.randn(12, 1), batch_size=4, seed=0)
    options = {**trainer_options, "callbacks": [Save()], "accumulate_grad_batches": 2}
    flash.Trainer(max_epochs=1, **options).fit(flash.Task(nn.Linear(3, 1), nn.functional.mse_loss), data)
    saved = [torch.load(tmp_path / f"{number}.ckpt", weights_only=True)["flash"] for number in range(3)]
    assert [sorted(each.get("gradients", {})) for each in saved] == [["model.bias", "model.weight"], [], []]


def test_a_checkpoint_without_loops_is_anywhere() -> None:
    assert position_of({}) is Position.ANYWHERE


@pytest.mark.parametrize(
    "loops",
    [
        {"epoch_loop.batch_progress": 3},
        {"epoch_loop.batch_progress": {}, "epoch_loop.val_loop.batch_progress": {}},
        {"epoch_loop.batch_progress": {"current": {"ready": 1}}, "state_dict": []},
    ],
)
def test_the_progress_of_a_damaged_file_is_an_error(loops: Any) -> None:
    with pytest.raises(CheckpointError, match="the progress of its run is damaged .*Use an earlier checkpoint"):
        position_of(loops)


@pytest.mark.train
def test_a_run_with_other_metrics_says_that_those_of_the_epoch_are_of_its_rest(
    trainer_options: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = flash.DataModule.from_tensors(torch.randn(12, 3), torch.randn(12, 1), batch_size=4, seed=0)

    def fit(metrics: Any, **options: Any) -> None:
        keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2)
        task = flash.Task(nn.Linear(3, 1), nn.functional.mse_loss, metrics=metrics)
        given = {**trainer_options, "callbacks": [keep], "enable_checkpointing": True}
        flash.Trainer(max_epochs=1, **given).fit(task, data, **options)

    fit(None)
    fit({"mae": nn.functional.l1_loss}, ckpt_path=tmp_path / "step=2.ckpt")
    assert "those of this epoch are of the batches that are left" in caplog.text


@pytest.mark.train
def test_a_training_after_the_validation_of_a_checkpoint_is_a_new_one(
    trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    data = flash.DataModule.from_tensors(torch.randn(12, 3), torch.randn(12, 1), batch_size=4, val_split=0.5, seed=0)
    file, task = tmp_path / "sound.ckpt", flash.Task(nn.Linear(3, 1), nn.functional.mse_loss)
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, data)
    trainer.save_checkpoint(file)

    again = flash.Task(nn.Linear(3, 1), nn.functional.mse_loss)
    trainer = flash.Trainer(max_epochs=2, **trainer_options)
    trainer.validate(again, data, ckpt_path=file, verbose=False)
    assert again.history == task.history
    trainer.fit(again, data)
    assert [epoch["epoch"] for epoch in again.history] == [0, 1]


@pytest.mark.train
def test_a_run_is_not_resumed_from_a_file_without_random_state(trainer_options: dict[str, Any], tmp_path: Path) -> None:
    data = flash.DataModule.from_tensors(torch.randn(12, 3), torch.randn(12, 1), batch_size=4, seed=0)
    file, task = tmp_path / "damaged.ckpt", flash.Task(nn.Linear(3, 1), nn.functional.mse_loss)
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, data)
    trainer.save_checkpoint(file)
    content = torch.load(file, weights_only=True)
    del content["flash"]["random_state"]
    torch.save(content, file)
    with pytest.raises(CheckpointError, match="'random_state' is not what Flash writes"):
        flash.Trainer(max_epochs=2, **trainer_options).fit(task, data, ckpt_path=file)


PROCESSES: dict[str, dict[str, Any]] = {
    "each step": {},
    "accumulated gradients": {"accumulate_grad_batches": 4},
    "less than all batches": {"limit_train_batches": 4},
}


class SeedEach(Callback):
    """Each process draws other numbers, as augmentations and dropout should."""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        torch.manual_seed(torch.initial_seed() + trainer.global_rank)


def fit_by_two(folder: Path, seed: int, ckpt_path: Path | None = None, **options: Any) -> None:
    """Train with two processes, and save a checkpoint after each batch."""
    run = Run(trainer={"devices": 2, "strategy": "ddp_fork", **options}, callbacks=(SeedEach(),))
    run.fit(seed, folder, ckpt_path)


@pytest.mark.process
@pytest.mark.parametrize("name", PROCESSES)
def test_a_run_of_two_processes_is_resumed_by_two(name: str, tmp_path: Path) -> None:
    fit_by_two(tmp_path / "whole", 0, **PROCESSES[name])
    files = sorted((tmp_path / "whole").glob("*.ckpt"), key=lambda file: int(file.stem.partition("=")[2]))
    last = torch.load(files[-1], weights_only=True)
    states = [each["random_state"] for each in last["flash"]["processes"]]
    assert not torch.equal(*(state["torch"] for state in states))
    for number in (1, len(files) // 2):
        folder = tmp_path / str(number)
        fit_by_two(folder, 99, files[number], **PROCESSES[name])
        found = torch.load(folder / files[-1].name, weights_only=True)
        assert equal(found["state_dict"], last["state_dict"])
        assert equal(found["flash"]["processes"], last["flash"]["processes"])
        assert found["flash"]["history"] == last["flash"]["history"]


@pytest.mark.process
def test_the_middle_of_an_epoch_belongs_to_the_number_of_processes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit_by_two(tmp_path, 0)
    with pytest.raises(
        CheckpointError, match="Expected 2 processes, .*the middle of an epoch, but got 1: .*as many dev"
    ):
        Run().fit(0, ckpt_path=tmp_path / "step=2.ckpt")
    Run().fit(0, ckpt_path=tmp_path / "step=6.ckpt")
    assert "had 2 processes, and this one has 1: the next epochs have other batches" in caplog.text
