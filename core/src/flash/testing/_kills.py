"""Kill trainings with SIGKILL, resume them, and compare them with a run that was never killed."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers.logger import DummyLogger
from torch.utils._pytree import tree_flatten

import flash
from flash.testing._group import run_group
from flash.testing._trainer import SILENT

__all__ = ["MOMENTS", "Killed", "Life", "Train", "is_same", "run_whole", "run_with_kills"]

# The moments of each process of a training; the first one also writes files.
_OF_EACH = ("batch", "backward", "step", "validation")
#: The moments of a training, in which it may die.
MOMENTS = (*_OF_EACH, "half a file", "sync", "before replace", "after replace")
_MOST_LIVES = 300


class EpochLog(DummyLogger):
    """A logger that appends what it receives to a file, so that it outlives the process.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append the metrics of an epoch."""
        values = {name: float(value).hex() for name, value in metrics.items() if name != "epoch"}
        with self._path.open("a") as file:
            file.write(json.dumps([int(metrics["epoch"]), step, values]) + "\n")


class Dying(Callback):
    """A callback that kills its process in a moment of training.

    Args:
        batches: The number of batches before.
        moment: One of ``MOMENTS``: the next one of its kind.
    """

    def __init__(self, batches: int, moment: str) -> None:
        self._left = batches
        self._moment = moment

    def _die_in(self, moment: str) -> None:
        if self._left <= 0 and moment == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_start(self, *_: Any) -> None:
        """Die between two batches."""
        self._die_in("batch")
        self._left -= 1

    def on_after_backward(self, *_: Any) -> None:
        """Die with gradients."""
        self._die_in("backward")

    def on_before_zero_grad(self, *_: Any) -> None:
        """Die after a step of the optimizer, before its checkpoint."""
        self._die_in("step")

    def on_validation_batch_end(self, trainer: Any, *_: Any) -> None:
        """Die in the middle of a validation."""
        if not trainer.sanity_checking:
            self._die_in("validation")

    @contextmanager
    def watching_files(self) -> Iterator[None]:
        """Die in the middle of writing a checkpoint, which happens in these calls."""
        save, sync, replace = torch.save, os.fsync, Path.replace

        def dying_save(value: Any, file: Any, *args: Any, **kwargs: Any) -> None:
            if self._left <= 0 and self._moment == "half a file":
                file.write(b"half a file")
                file.flush()
            self._die_in("half a file")
            save(value, file, *args, **kwargs)

        def dying_sync(descriptor: Any) -> None:
            self._die_in("sync")
            sync(descriptor)

        def dying_replace(path: Path, target: Any) -> Path:
            self._die_in("before replace")
            result = replace(path, target)
            self._die_in("after replace")
            return result

        with (
            mock.patch.object(torch, "save", dying_save),
            mock.patch.object(os, "fsync", dying_sync),
            mock.patch.object(Path, "replace", dying_replace),
        ):
            yield


@dataclass(frozen=True)
class Life:
    """The handle that a test gives to a training.

    Args:
        folder: The folder for its checkpoints; it resumes from the last one in it, if there is one.
        callback: To be given to the trainer.
        logger: To be given to the trainer.
        rank: The number of this process.
        processes: The number of processes that train together.
    """

    folder: Path
    callback: Callback
    logger: EpochLog
    rank: int = 0
    processes: int = 1

    @property
    def is_resumed(self) -> bool:
        """True if there is a checkpoint to resume from."""
        return any(self.folder.glob("*.ckpt"))

    def fit(self, task: flash.Task, data: Any, *, strategy: Any = None, every: int = 2, **options: Any) -> Any:
        """Fit or finetune, from the last checkpoint if there is one, and return all that the run has become.

        Args:
            task: The task.
            data: The data module.
            strategy: To finetune with; by default everything is trained.
            every: The number of steps between two checkpoints.
            options: Additional arguments of the trainer.

        Returns:
            Weights, states of the optimizer and the schedulers, steps and epochs.
        """
        keep = ModelCheckpoint(self.folder, every_n_train_steps=every, save_last=True)
        callbacks = [self.callback, keep, *options.pop("callbacks", [])]
        silent = {**SILENT, "logger": self.logger, "enable_checkpointing": True, "callbacks": callbacks}
        if self.processes > 1:
            silent |= {"devices": self.processes, "strategy": "ddp"}
        trainer = flash.Trainer(**{**silent, **options})
        resumed: dict[str, Any] = {"ckpt_path": "last"} if self.is_resumed else {}
        if strategy is None:
            trainer.fit(task, data, **resumed)
        else:
            trainer.finetune(task, data, strategy=strategy, **resumed)
        return {
            "weights": {name: value.clone() for name, value in task.state_dict().items()},
            "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "rates": [config.scheduler.get_last_lr() for config in trainer.lr_scheduler_configs],
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
        }


#: Trains in a folder and returns tensors and numbers: weights, states and predictions.
Train = Callable[[Life], Any]


@dataclass(frozen=True)
class Killed:
    """A training that was killed again and again.

    Args:
        result: What the last life returned; of several processes, what each returned.
        epochs: What was logged, by epoch, step and name.
        moments: The moments in which it was killed.
        resumes: The number of lives that started from a checkpoint in the middle of the training.
        in_an_epoch: How many of these checkpoints were in the middle of an epoch.
    """

    result: Any
    epochs: dict[tuple[int, int, str], str]
    moments: tuple[str, ...] = ()
    resumes: int = 0
    in_an_epoch: int = 0


def is_same(one: Any, other: Any) -> bool:
    """Return whether two results are equal, tensors bit for bit."""
    (leaves, tree), (others, other_tree) = tree_flatten(one), tree_flatten(other)
    return tree == other_tree and all(map(_is_same_leaf, leaves, others))


def _is_same_leaf(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(one == other)


def run_whole(train: Train, folder: Path, processes: int = 1) -> Killed:
    """Run a training in processes of its own, without killing it.

    Args:
        train: The training.
        folder: An empty folder for its checkpoints.
        processes: The number of processes that train together.
    """
    code, result = _live(train, folder, processes, seed=0)
    assert code == 0, f"Expected the whole run to end, but its exit code is {code}."
    return Killed(result, _logged(folder, processes))


def run_with_kills(
    train: Train, folder: Path, steps: int, steps_per_epoch: int, seed: int = 0, processes: int = 1
) -> Killed:
    """Run a training, kill it at random moments with SIGKILL, and resume it, until it is done.

    Args:
        train: The training.
        folder: An empty folder for its checkpoints.
        steps: The number of steps of the whole training.
        steps_per_epoch: The number of steps of an epoch.
        seed: Seed of the moments.
        processes: The number of processes that train together, one of which is killed each time.

    Raises:
        AssertionError: If a life fails, other values were logged for an epoch than before, or it does not end.
    """
    chance = random.Random(seed)  # noqa: S311  # no secret
    moments: list[str] = []
    resumes = in_an_epoch = 0
    for life in range(_MOST_LIVES):
        start = _last_step(folder)
        rank = chance.randrange(processes) if processes > 1 else 0
        moment = chance.choice(_OF_EACH if rank else MOMENTS)
        dying = Dying(chance.randint(1, 4), moment)
        # What is not resumed starts as the whole run does; a resumed life draws other numbers before.
        code, result = _live(train, folder, processes, seed=life if start else 0, victim=rank, dying=dying)
        resumes += 0 < start < steps
        in_an_epoch += 0 < start < steps and start % steps_per_epoch != 0
        if code == 0:
            return Killed(result, _logged(folder, processes), tuple(moments), resumes, in_an_epoch)
        assert code == -signal.SIGKILL, f"Expected a life to end by SIGKILL, but its exit code is {code}."
        moments.append(moment)
    raise AssertionError(f"Expected the run to end, but it was killed {_MOST_LIVES} times.")


def _last_step(folder: Path) -> int:
    """Return the step of the newest checkpoint; 0 without one."""
    files = sorted(folder.glob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
    return int(torch.load(files[-1], weights_only=True)["global_step"]) if files else 0


def _live(
    train: Train, folder: Path, processes: int, seed: int, victim: int = 0, dying: Dying | None = None
) -> tuple[int, Any]:
    """Run one life, and return the exit code of the process that may die, and the results."""
    folder.mkdir(exist_ok=True)

    def work(rank: int) -> Any:
        # Each process draws other numbers.
        torch.manual_seed(seed * processes + rank)
        random.seed(seed * processes + rank)
        callback = dying if dying is not None and rank == victim else Dying(2**31, "batch")
        with callback.watching_files():
            return train(Life(folder, callback, EpochLog(_log_of(folder, rank)), rank, processes))

    outcomes = run_group(work, processes)
    code = outcomes[victim].code
    for outcome in outcomes if code != -signal.SIGKILL else []:
        assert outcome.error is None, f"Expected a training that resumes, but it failed:\n{outcome.error}"
    results = [outcome.result for outcome in outcomes]
    return code, results if processes > 1 else results[0]


def _log_of(folder: Path, rank: int) -> Path:
    return folder / f"epochs-{rank}.jsonl"


def _logged(folder: Path, processes: int) -> dict[tuple[int, int, str], str]:
    """Return the logged values by epoch, step and name, which are one in all lives and all processes."""
    logged: dict[tuple[int, int, str], str] = {}
    logs = [_log_of(folder, rank).read_text().splitlines() for rank in range(processes)]
    for line in itertools.chain(*logs):
        epoch, step, values = json.loads(line)
        for name, value in values.items():
            known = logged.setdefault((epoch, step, name), value)
            assert known == value, f"Expected {name} of epoch {epoch} to be {known} in each life, but got {value}."
    return logged
