"""``flash.ray.fit`` and ``flash.ray.finetune``: a training on Ray Train."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import flash
from flash.core.finetuning import StrategySpec, resolve_strategy
from flash.core.restoring import checked_metadata
from flash.core.structure import repeat_changes
from flash.errors import ConfigurationError
from flash.serialization import accepted_parameters, read_checkpoint, refuse_unknown_arguments

from .cluster import Failures, check_fits, check_workers, packed, started, unpacked
from .worker import TASK_FILE, train

__all__ = ["Run", "finetune", "fit"]

log = logging.getLogger(__name__)

# Arguments of a trainer that Ray decides, each with what to pass instead.
_OF_RAY = {
    "accelerator": "use_gpu=True or False",
    "devices": "num_workers, the number of processes",
    "num_nodes": "num_workers, the number of processes, which Ray places on machines",
    "strategy": "nothing: the processes average their gradients (DDP)",
    "enable_checkpointing": "nothing: the checkpoint of each epoch is what a training goes on from",
}


@dataclass(frozen=True)
class Run:
    """A finished training.

    Args:
        task: The task that was passed, with its trained weights and its history.
        metrics: The metrics of the last epoch.
        checkpoint: A checkpoint of the task, which ``Task.load_from_checkpoint`` opens.
        result: The ``ray.train.Result``.
    """

    task: flash.Task
    metrics: Mapping[str, float]
    checkpoint: Path
    result: Any

    @property
    def history(self) -> list[dict[str, float]]:
        """The metrics of each epoch, as in ``task.history``."""
        return self.task.history


def fit(
    task: flash.Task,
    data: flash.DataModule,
    *,
    num_workers: int = 2,
    use_gpu: bool = False,
    resources_per_worker: Mapping[str, float] | None = None,
    max_failures: int = 3,
    storage_path: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **trainer: Any,
) -> Run:
    """Train all parameters of a task on Ray Train, as :meth:`flash.Trainer.fit` does in this process.

    Each worker has its own share of the data, and ``data.batch_size`` rows of it per step, so that a step uses
    ``num_workers * data.batch_size`` rows. After each epoch a checkpoint is stored. Where a worker dies, Ray starts all
    of them again, and the training goes on from the last checkpoint, with the order of the rows and the random numbers
    that it would have had.

    Args:
        task: The task; it has the trained weights afterwards.
        data: The data module. Files that it reads later, such as images, are where each worker finds them.
        num_workers: The number of worker processes.
        use_gpu: Whether each worker has a GPU.
        resources_per_worker: What a worker needs, such as ``{"CPU": 4}``; by default a CPU, or a GPU.
        max_failures: How often the workers are started again after one died; -1 for always.
        storage_path: A folder for checkpoints that all machines share, or an address such as ``"s3://..."``; by default
            Ray's, ``~/ray_results``.
        name: The name of the run, a folder in ``storage_path``. A run of a name that is there goes on where it was; one
            that is complete trains nothing, which a warning says. By default it is a new one.
        trainer: Arguments of :class:`flash.Trainer`, such as ``max_epochs``. Callbacks run in the workers.

    Raises:
        ConfigurationError: If an argument is wrong, or is one that Ray decides; if the cluster is too small, or the
            task cannot be sent to it.
        FlashError: What the training of a worker raised.
        ray.train.TrainingFailedError: If workers died more often than ``max_failures``.
    """
    return _train(
        task,
        data,
        None,
        trainer,
        num_workers=num_workers,
        use_gpu=use_gpu,
        resources=resources_per_worker,
        max_failures=max_failures,
        storage_path=storage_path,
        name=name,
    )


def finetune(
    task: flash.Task,
    data: flash.DataModule,
    strategy: StrategySpec,
    *,
    num_workers: int = 2,
    use_gpu: bool = False,
    resources_per_worker: Mapping[str, float] | None = None,
    max_failures: int = 3,
    storage_path: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **trainer: Any,
) -> Run:
    """Train a task on Ray Train with a finetuning strategy, as :meth:`flash.Trainer.finetune` does in this process.

    Args:
        task: As for :func:`fit`, and so are the others but ``strategy``.
        data: The data module.
        strategy: A name such as ``"freeze"``, a tuple such as ``("freeze_unfreeze", 5)``, or a callback.
        num_workers: The number of worker processes.
        use_gpu: Whether each worker has a GPU.
        resources_per_worker: What a worker needs.
        max_failures: How often the workers are started again.
        storage_path: A folder for checkpoints that all machines share.
        name: The name of the run.
        trainer: Arguments of :class:`flash.Trainer`.

    Raises:
        FinetuningError: If the strategy is missing, or finds nothing to freeze.
        ConfigurationError: As for :func:`fit`, and so are the other errors.
    """
    resolve_strategy(strategy)  # Its errors are those of the call, before anything starts.
    return _train(
        task,
        data,
        strategy,
        trainer,
        num_workers=num_workers,
        use_gpu=use_gpu,
        resources=resources_per_worker,
        max_failures=max_failures,
        storage_path=storage_path,
        name=name,
    )


def _train(
    task: flash.Task,
    data: flash.DataModule,
    strategy: StrategySpec | None,
    trainer: Mapping[str, Any],
    *,
    num_workers: int,
    use_gpu: bool,
    resources: Mapping[str, float] | None,
    max_failures: int,
    storage_path: str | os.PathLike[str] | None,
    name: str | None,
) -> Run:
    check_workers(num_workers)
    _check_arguments(task, data, max_failures)
    _check_trainer(trainer)
    task.use_data(data)
    ray = started()
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    scaling = ScalingConfig(
        num_workers=num_workers, use_gpu=use_gpu, resources_per_worker=dict(resources) if resources else None
    )
    check_fits(_needed(num_workers, use_gpu, resources), ray.cluster_resources())
    # As a trainer here would have it: the workers are in another folder.
    options = {**trainer, "default_root_dir": _as_storage(trainer.get("default_root_dir") or Path.cwd())}
    content = packed((task, _without_trainer(data), strategy, options), "a task and data")
    failures = ray.remote(num_cpus=0)(Failures).remote()
    config = {
        "content": ray.put(content),
        "failures": failures,
        # Of this program's random numbers, so that a seed of the program is one of the training.
        "seed": int(torch.randint(2**31, ()).item()),
    }
    storage = None if storage_path is None else _as_storage(storage_path)
    run = RunConfig(
        name=name,
        storage_path=storage,
        failure_config=FailureConfig(max_failures=max_failures),
        checkpoint_config=CheckpointConfig(num_to_keep=1),
    )
    try:
        result = TorchTrainer(train, train_loop_config=config, scaling_config=scaling, run_config=run).fit()
    # Raised again below, if it is one that a worker recorded.
    except ray.train.TrainingFailedError as error:
        _raise_recorded(ray, failures, error)
        raise
    _raise_recorded(ray, failures, None)
    if not ray.get(failures.has_begun.remote()):
        log.warning(
            "The run %s was complete: nothing was trained, and the task has its weights. Another name trains again.",
            name,
        )
    ray.kill(failures)
    return _finish(task, result)


def _needed(num_workers: int, use_gpu: bool, resources: Mapping[str, float] | None) -> dict[str, float]:
    """Return what all workers need; a GPU of each is also needed if ``resources`` does not name it.

    Example:
        >>> _needed(2, False, None), _needed(2, True, {"CPU": 4})
        ({'CPU': 2.0}, {'GPU': 2.0, 'CPU': 8})
    """
    per_worker = {"GPU": 1.0} if use_gpu else {} if resources else {"CPU": 1.0}
    return {name: amount * num_workers for name, amount in {**per_worker, **(resources or {})}.items()}


def _finish(task: flash.Task, result: Any) -> Run:
    """Give a task what its workers learned."""
    with result.checkpoint.as_directory() as folder:
        path = Path(folder, TASK_FILE)
        checkpoint = read_checkpoint(path)
    stored = checked_metadata(checkpoint, path)
    repeat_changes(task, stored["structure"])
    task.load_state_dict(checkpoint["state_dict"])
    task.history = [dict(epoch) for epoch in stored["history"]]
    return Run(task, dict(result.metrics), Path(result.checkpoint.path, TASK_FILE), result)


def _raise_recorded(ray: Any, failures: Any, cause: BaseException | None) -> None:
    first = ray.get(failures.first.remote())
    if first is not None:
        raise unpacked(first) from cause


def _check_arguments(task: Any, data: Any, max_failures: Any) -> None:
    for value, kind, place in ((task, flash.Task, "first"), (data, flash.DataModule, "second")):
        if not isinstance(value, kind):
            raise ConfigurationError(
                f"Expected the task first and the data module second, but got a {type(value).__name__} {place}: "
                "flash.ray.fit(task, data)."
            )
    if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < -1:
        raise ConfigurationError(
            f"Expected max_failures to be a number of times, or -1 for always, but got {max_failures!r}."
        )


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    decided = [name for name in _OF_RAY if name in trainer]
    if decided:
        raise ConfigurationError(
            f"Expected no {decided[0]}, which Ray decides, but got {trainer[decided[0]]!r}. Pass {_OF_RAY[decided[0]]}."
        )
    own = ["num_workers", "use_gpu", "resources_per_worker", "max_failures", "storage_path", "name"]
    refuse_unknown_arguments("flash.ray.fit", trainer, [*own, *accepted_parameters(flash.Trainer)])


def _without_trainer(data: flash.DataModule) -> flash.DataModule:
    """Return a data module that holds no trainer of this process, which cannot be sent to another."""
    sent = copy.copy(data)
    sent.trainer = None
    return sent


def _as_storage(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return text if "://" in text else str(Path(text).expanduser().absolute())
