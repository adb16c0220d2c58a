"""Runs: the trainings of a race. Each trains for some seconds, can go on later, and predicts."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import flash
from flash import DataModule, Task
from flash.core.console import training_quietly
from flash.core.evaluation import evaluate_dataset
from flash.core.regression import RegressionTask
from flash.core.structured_prediction import StructuredTask
from flash.data.auto_dataset import AutoDataset

from ._resampling import Array
from .models import Model
from .samples import features_of, outputs_in, targets_of

__all__ = ["EnsembleRun", "HeadRun", "ModelRun", "OutOfTime", "Run", "TaskRun", "has_pretrained_features"]

# Features are computed for as many samples at a time, and first for fewer, which tell whether there is time.
_CHUNK = 256
_FIRST_CHUNK = 32


class OutOfTime(Exception):  # noqa: N818  # no error: the race goes on
    """A run did not get as far as to predict in its time."""


class Run(ABC):
    """One training of a race.

    Args:
        name: Its name in the leaderboard.
        summary: What it is, in one sentence.

    Attributes:
        seconds: The time that it has trained and predicted.
        is_finished: Whether there is nothing left to train.
        task: The task, if it is one.
        epochs: The number of epochs so far; ``None`` if there are no epochs.
    """

    kind: Literal["trivial", "classical", "network", "ensemble"] = "network"

    def __init__(self, name: str, summary: str) -> None:
        self.name = name
        self.summary = summary
        self.seconds = 0.0
        self.is_finished = False
        self.task: Task | None = None
        self.epochs: int | None = None

    @property
    def parameters(self) -> int | None:
        """The number of weights."""
        return None if self.task is None else sum(each.numel() for each in self.task.parameters())

    @property
    def history(self) -> Sequence[Mapping[str, float]]:
        """The metrics per epoch."""
        return [] if self.task is None else list(getattr(self.task, "history", ()))

    @abstractmethod
    def train(self, data: DataModule, seconds: float) -> None:
        """Train for about as many seconds.

        Raises:
            OutOfTime: If it cannot predict yet.
        """

    @abstractmethod
    def predict(self, data: DataModule, dataset: AutoDataset) -> Array:
        """Return probabilities ``(samples, classes)``, numbers ``(samples, targets)``, or statistics of samples."""


class ModelRun(Run):
    """A model that is fitted at once.

    Args:
        name: Its name in the leaderboard.
        summary: What it is, in one sentence.
        model: The model.
        kind: What it is.
    """

    def __init__(
        self, name: str, summary: str, model: Model, kind: Literal["trivial", "classical"] = "classical"
    ) -> None:
        super().__init__(name, summary)
        self.kind = kind
        self.model = model

    def train(self, data: DataModule, seconds: float) -> None:
        """Fit the model, however long it takes."""
        with warnings.catch_warnings():
            # Of scikit-learn, such as that a solver did not converge: its scores say how good it is.
            warnings.simplefilter("ignore")
            self.model.fit(data)
        self.is_finished = True

    def predict(self, data: DataModule, dataset: AutoDataset) -> Array:
        """Return the predictions of the model."""
        found = self.model.predict(dataset)
        values = np.asarray(found.cpu() if isinstance(found, Tensor) else found, dtype=np.float64)
        return values.reshape(len(dataset), -1)


class _NetworkRun(Run):
    """A run of a task."""

    def __init__(self, name: str, summary: str, task: Task) -> None:
        super().__init__(name, summary)
        self.task: Task = task

    def predict(self, data: DataModule, dataset: AutoDataset) -> Array:
        """Return the predictions of the task."""
        self.task.use_data(data)
        own = dataset.with_input_spec(self.task.input_spec)
        if isinstance(self.task, StructuredTask):
            found = self.task.predicted_statistics(own, data.batch_size, data.num_workers)
            return np.asarray(found, dtype=np.float64).reshape(len(dataset), -1)
        return outputs_in(evaluate_dataset(self.task, data, own, batch_size=_prediction_batch(data)))


class EnsembleRun(_NetworkRun):
    """The mean of several tasks, as one task, which is trained already.

    Args:
        name: Its name in the leaderboard.
        summary: What it is, in one sentence.
        task: The task.
    """

    kind = "ensemble"

    def train(self, data: DataModule, seconds: float) -> None:
        """Do nothing: its members are trained."""
        self.is_finished = True


class TaskRun(_NetworkRun):
    """A task that is trained epoch by epoch, and can go on from where it was.

    Args:
        name: Its name in the leaderboard.
        summary: What it is, in one sentence.
        task: The task.
        strategy: The finetuning strategy; ``None`` trains everything.
        folder: Where the run can be stopped and go on: the checkpoint of its last step.
        starts_from: A run that fitted the head alone, from which the training starts: a random head would distort
            pretrained features (Kumar et al., "Fine-Tuning can Distort Pretrained Features", 2022).
    """

    def __init__(
        self,
        name: str,
        summary: str,
        task: Task,
        strategy: Any,
        folder: Path,
        starts_from: HeadRun | None = None,
    ) -> None:
        super().__init__(name, summary, task)
        self.strategy = strategy
        self.file = folder / "last.ckpt"
        self.starts_from = starts_from
        self.epochs = 0

    def train(self, data: DataModule, seconds: float) -> None:
        """Train for some seconds, or until nothing improves; the task has its best weights then."""
        stop = _StopAfter(seconds, self.file)
        if not self.file.exists() and self.starts_from is not None and self.starts_from.is_finished:
            head: Any = self.task.head
            head.load_state_dict(self.starts_from.head.state_dict())
        with training_quietly() as silence:
            trainer = flash.Trainer(
                callbacks=[stop],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                default_root_dir=self.file.parent,
            )
            silence()
            options: dict[str, Any] = {"ckpt_path": self.file} if self.file.exists() else {}
            if self.strategy is None:
                trainer.fit(self.task, datamodule=data, **options)
            else:
                trainer.finetune(self.task, datamodule=data, strategy=self.strategy, **options)
        self.epochs = trainer.current_epoch
        self.is_finished = not stop.has_stopped


class HeadRun(_NetworkRun):
    """A linear head on the features of a frozen backbone: the optimum, by scikit-learn, as weights of the task.

    Args:
        name: Its name in the leaderboard.
        summary: What it is, in one sentence.
        task: A task with ``forward_features``, whose ``head`` ends with a linear layer.
    """

    def train(self, data: DataModule, seconds: float) -> None:
        """Compute the features of as many train samples as there is time for, and fit the head.

        Raises:
            OutOfTime: If there is no time for enough of them.
        """
        self.task.use_data(data)
        rows, features = self._features(data, time.monotonic(), seconds)
        targets = targets_of(data.train_dataset)[rows]
        scaler = StandardScaler().fit(features)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a solver that did not converge
            weight, bias = _linear(self.task, scaler.transform(features), targets)
        weight = weight / scaler.scale_
        layer = _last_layer(self.task)
        assert layer is not None
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(weight))
            layer.bias.copy_(torch.as_tensor(bias - weight @ scaler.mean_))
        # As a loaded checkpoint: the head is trained.
        self.task.load_state_dict(self.task.state_dict())
        self.is_finished = True

    @property
    def head(self) -> nn.Module:
        """The fitted head."""
        head = self.task.head
        assert isinstance(head, nn.Module)
        return head

    def _features(self, data: DataModule, start: float, seconds: float) -> tuple[Array, Array]:
        """Return the rows whose features were computed, drawn at random, and their features."""
        dataset = data.train_dataset
        head: Any = self.task.head
        before = head[:-1] if isinstance(head, nn.Sequential) else nn.Identity()
        order = np.random.default_rng(data.seed).permutation(len(dataset))
        evaluated = sum(len(each) for each in (data.val_dataset, data.test_dataset) if each is not None)
        found: list[Array] = []
        done = 0
        while done < len(order):
            chunk = min(_CHUNK, max(_FIRST_CHUNK, done))
            part = dataset.subset(order[done : done + chunk].tolist(), dataset.hooks.stage)
            found.append(features_of(self.task, part, _prediction_batch(data), data.num_workers, before))
            done += len(part)
            per_row = (time.monotonic() - start) / done
            if per_row * (done + min(_CHUNK, len(order) - done) + evaluated) > seconds:
                break
        if per_row * evaluated > seconds:
            raise OutOfTime(f"its backbone takes {per_row:.2g} s per sample")
        if done < len(order):
            self.summary = f"{self.summary.rstrip('.')}, fitted on {done:,} of {len(order):,} train samples."
        return order[:done], np.concatenate(found)


def has_pretrained_features(task: Task) -> bool:
    """Return whether a task is a linear head on a pretrained backbone, which is worth fitting alone.

    The head of structured prediction has more than one result per sample.
    """
    overrides = type(task).forward_features is not Task.forward_features
    is_pretrained = bool(task.recorded_arguments.get("pretrained", False))
    return overrides and is_pretrained and not isinstance(task, StructuredTask) and _last_layer(task) is not None


def _last_layer(task: Task) -> nn.Linear | None:
    """Return the linear layer that a head is, or ends with; ``None`` if other layers before it would have to train."""
    head = getattr(task, "head", None)
    *before, last = head if isinstance(head, nn.Sequential) and len(head) else [head]
    fixed = all(isinstance(each, nn.LayerNorm | nn.Dropout | nn.Identity | nn.Flatten) for each in before)
    return last if fixed and type(last) is nn.Linear and last.bias is not None else None


def _linear(task: Task, features: Array, targets: Array) -> tuple[Array, Array]:
    """Return weights ``(outputs, features)`` and bias ``(outputs,)`` of a linear model."""
    if isinstance(task, RegressionTask):
        mean, std = task.target_mean.cpu().numpy(), task.target_std.cpu().numpy()
        model = Ridge().fit(features, (targets.reshape(len(targets), -1) - mean) / std)
        return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    if targets.ndim > 1:
        pairs = [_logistic(features, column, 2) for column in targets.T]
        return np.stack([weight[1] - weight[0] for weight, _ in pairs]), np.array([b[1] - b[0] for _, b in pairs])
    return _logistic(features, targets, int(getattr(task, "num_classes", 2)))


def _logistic(features: Array, targets: Array, num_classes: int) -> tuple[Array, Array]:
    weight, bias = np.zeros((num_classes, features.shape[1])), np.full(num_classes, -20.0)
    present = np.unique(targets).astype(int)
    if len(present) < 2:
        bias[present] = 20.0
        return weight, bias
    model = LogisticRegression(max_iter=500).fit(features, targets)
    if len(present) == 2:
        # The scores of two classes, whose difference is that of the model.
        weight[present], bias[present] = np.stack([-model.coef_[0], model.coef_[0]]) / 2, 0.0
        bias[present] = np.array([-model.intercept_[0], model.intercept_[0]]) / 2
    else:
        weight[present], bias[present] = model.coef_, model.intercept_
    return weight, bias


class _StopAfter(Callback):
    """Stops a training after some seconds, and saves where it is, to go on from exactly there."""

    def __init__(self, seconds: float, file: Path) -> None:
        self.seconds = seconds
        self.file = file
        self.has_stopped = False
        self._deadline = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._deadline = time.monotonic() + self.seconds

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() > self._deadline:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            # Before the validation that a stop brings, which an uninterrupted training would not have.
            trainer.save_checkpoint(self.file)
            trainer.should_stop = self.has_stopped = True


def _prediction_batch(data: DataModule) -> int:
    return max(data.batch_size, 64)
