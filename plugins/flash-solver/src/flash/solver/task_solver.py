"""TaskSolver: a solver that trains any Flash task, with a loop to read and override."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pytorch_lightning
import torch
from lightning_fabric import Fabric

from flash import DataModule, Task
from flash.core.finetuning import release, resolve_strategy
from flash.core.restoring import checked_metadata
from flash.core.run_state import check_optimizer, check_run, check_schedule
from flash.errors import CheckpointError, ConfigurationError
from flash.serialization import restore_rng_state
from flash.solver import distrib
from flash.solver.sampling import set_epoch
from flash.solver.solver import BaseSolver
from flash.solver.task_state import MetricsState, completed_epochs, loops_state
from flash.solver.trainer_shim import TrainerShim, parse_optimizers
from flash.solver.utils import AnyPath

__all__ = ["TaskSolver"]

_SOLVER_KEY = "solver"


class TaskSolver(BaseSolver):
    """Trains a task on its data, with a loop that subclasses can override.

    Finetuning strategies are those of ``trainer.finetune``. Checkpoints are interchangeable with those of
    ``flash.Trainer``: each resumes from the other's, and ``Task.load_from_checkpoint`` reads both. Devices, precision
    and distributed strategies are Fabric's. A run that was stopped by a signal or killed resumes deterministically.

    The finetuning strategy is the only Lightning callback that runs; Lightning's loggers do not. Frozen features are
    not cached but computed in each step.

    Args:
        task: The task.
        datamodule: Its data.
        strategy: The finetuning strategy, which freezes and unfreezes layers: a name such as ``"freeze"``,
            ``(name, arguments)``, or a finetuning callback.
        folder: The output folder; by default the folder of the experiment.
        max_epochs: The number of epochs.
        fabric: Lightning's Fabric, or its arguments: ``{"precision": "bf16-mixed", "devices": 2}``.
        gradient_clip_val: The maximum norm of all gradients together; ``None`` disables clipping.
        commit_every: The interval between checkpoints within an epoch: a number of steps, or a ``timedelta``.
        kwargs: Further arguments of :class:`~flash.solver.BaseSolver`.

    Raises:
        ConfigurationError: If the number of started processes is not the one that Fabric was configured with.

    Example:
        >>> import tempfile
        >>> data = DataModule.from_tensors(torch.randn(16, 2), torch.randn(16, 1), val_split=0.25, seed=0)
        >>> task = Task(torch.nn.Linear(2, 1), torch.nn.functional.mse_loss, optimizer="SGD", learning_rate=0.1)
        >>> solver = TaskSolver(task, data, folder=tempfile.mkdtemp(), max_epochs=2, fabric={"accelerator": "cpu"})
        >>> solver.run()
        >>> [sorted(epoch) for epoch in solver.history]
        [['train', 'val'], ['train', 'val']]
    """

    def __init__(
        self,
        task: Task,
        datamodule: DataModule,
        strategy: Any = "no_freeze",
        folder: AnyPath | None = None,
        *,
        max_epochs: int = 1,
        fabric: Fabric | Mapping[str, Any] | None = None,
        gradient_clip_val: float | None = None,
        commit_every: Any = None,
        **kwargs: Any,
    ) -> None:
        self.fabric = fabric if isinstance(fabric, Fabric) else Fabric(**(fabric or {}))
        _launch(self.fabric)
        super().__init__(folder, **kwargs)
        self.task = task
        self.datamodule = datamodule
        self.max_epochs = max_epochs
        self.gradient_clip_val = gradient_clip_val
        self.commit_every = commit_every
        self.trainer_shim = TrainerShim(self.fabric, task, datamodule, max_epochs)
        self._strategies: list[Any] = resolve_strategy(strategy)
        self._optimizers: list[Any] = []
        self._began = False
        with self._attached():
            self._prepare()

    def _prepare(self) -> None:
        """Bind the task to its data, freeze, configure the optimizers, and move everything to the device."""
        task, shim = self.task, self.trainer_shim
        release(task)
        task.use_data(self.datamodule)
        shim.callbacks = self._strategies
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        task.configure_model()
        task.setup("fit")
        for callback in self._strategies:
            callback.setup(shim, task, "fit")
        self._module: Any = self.fabric.setup_module(task)
        shim.optimizers, shim.lr_scheduler_configs = parse_optimizers(task.configure_optimizers())
        wrapped = self.fabric.setup_optimizers(*shim.optimizers)
        self._optimizers = list(wrapped) if isinstance(wrapped, tuple) else [wrapped]
        self._set_trainer()

    def _set_trainer(self) -> None:
        """Set the shim as the task's trainer and Fabric."""
        task: Any = self.task
        task._trainer = task._fabric = self.trainer_shim
        task._fabric_optimizers = self._optimizers
        cast(Any, self.datamodule).trainer = self.trainer_shim

    @contextmanager
    def _attached(self) -> Iterator[None]:
        """Context manager: attach the task to the solver, and detach it afterwards, so that a trainer can use it."""
        task: Any = self.task
        self._set_trainer()
        try:
            yield
        finally:
            task._trainer = task._fabric = None
            task._fabric_optimizers = []
            cast(Any, self.datamodule).trainer = None

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the checkpoint in Lightning's format; the registered state is under the key ``solver``."""
        task, shim = self.task, self.trainer_shim
        checkpoint: dict[str, Any] = {
            "epoch": max(len(self.history) - 1, 0),
            "global_step": shim.global_step,
            "pytorch-lightning_version": pytorch_lightning.__version__,  # type: ignore[attr-defined]  # it is there
            "state_dict": dict(task.state_dict()),
            "loops": loops_state(shim, len(self.history)),
            "callbacks": {each.state_key: each.state_dict() for each in self._strategies if each.state_dict()},
            "optimizer_states": [optimizer.state_dict() for optimizer in shim.optimizers],
            "lr_schedulers": [_scheduler_state(each.scheduler) for each in shim.lr_scheduler_configs],
            task.CHECKPOINT_HYPER_PARAMS_KEY: dict(task.hparams),
            type(self.datamodule).__qualname__: self.datamodule.state_dict(),
            _SOLVER_KEY: super().state_dict(),
        }
        scaler = self.fabric._precision.state_dict()
        if scaler:
            checkpoint["precision"] = scaler
        task.on_save_checkpoint(checkpoint)
        return checkpoint

    def load_state_dict(self, state: Any, strict: bool = True, ignore: Collection[str] = ()) -> None:
        """Load a checkpoint of a TaskSolver or of Lightning's Trainer."""
        if "state_dict" not in state:
            raise CheckpointError(
                "Expected a checkpoint of a task, by a TaskSolver or by Lightning's Trainer, but got one of another "
                "solver. Load it with the solver that wrote it."
            )
        source = self._restored_from or "the checkpoint"
        check_run(state, source)
        checked_metadata(state, source)
        if _SOLVER_KEY in state:
            super().load_state_dict(state[_SOLVER_KEY], strict, ignore)
        else:
            # Trainer does not save the metrics of its epochs.
            self.history[:] = [{} for _ in range(completed_epochs(state))]
        shim = self.trainer_shim
        shim.global_step = state["global_step"]
        self.task.load_state_dict(state["state_dict"], strict=strict)
        self.datamodule.load_state_dict(state.get(type(self.datamodule).__qualname__, {"seed": self.datamodule.seed}))
        for callback in self._strategies:
            if callback.state_key in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][callback.state_key])
        self._begin()
        self._load_optimizers(state)
        if "precision" in state:
            self.fabric._precision.load_state_dict(state["precision"])
        random_state = state.get("flash", {}).get("random_state")
        if _SOLVER_KEY not in state and random_state is not None and self.fabric.world_size == 1:
            restore_rng_state(random_state)

    def _load_optimizers(self, state: Mapping[str, Any]) -> None:
        shim = self.trainer_shim
        if len(state["optimizer_states"]) != len(shim.optimizers):
            raise CheckpointError(
                f"Expected a checkpoint with {len(shim.optimizers)} optimizers, as the task has, but got one with "
                f"{len(state['optimizer_states'])}. Make the task with the same arguments."
            )
        for optimizer, stored in zip(self._optimizers, state["optimizer_states"], strict=True):
            optimizer.load_state_dict(stored)
        for optimizer in shim.optimizers:
            check_optimizer(optimizer, self._restored_from or "the checkpoint")
        for each, stored in zip(shim.lr_scheduler_configs, state["lr_schedulers"], strict=True):
            each.scheduler.load_state_dict(stored)
            check_schedule(each.scheduler, stored, self._restored_from or "the checkpoint")

    def restore(self, path: AnyPath | None = None, **kwargs: Any) -> bool:
        """Load a checkpoint, also one of Lightning's Trainer; arguments as of ``BaseSolver.restore``."""
        with self._attached():
            return super().restore(path, **kwargs)

    # ------------------------------------------------------------------ training

    def run(self) -> None:
        """Train the remaining epochs; restore the newest checkpoint first, unless one was restored already."""
        if not self._began:
            self.restore()
        with self._attached():
            self._begin()
            self.task.on_train_start()
            for _ in range(self.epoch, self.max_epochs + 1):
                self.run_epoch()
                self.commit()
            self.task.on_train_end()
        self.wait_for_checkpoint()

    def _begin(self) -> None:
        """Call ``on_fit_start`` once, after the weights are loaded and before the optimizers' state is."""
        if self._began:
            return
        self._began = True
        self._set_trainer()
        for callback in self._strategies:
            callback.on_fit_start(self.trainer_shim, self.task)
        self.task.on_fit_start()

    def run_epoch(self) -> None:
        """Train and validate for one epoch, then step the learning-rate schedulers."""
        shim = self.trainer_shim
        shim.current_epoch = self.epoch - 1
        self.run_stage("train", self.train)
        if self.datamodule.val_dataset is not None:
            self.run_stage("val", self.validate)
        self._step_schedulers("epoch", shim.current_epoch + 1)

    def train(self) -> dict[str, Any]:
        """Train on all training batches once, and return the mean loss and the metrics."""
        task, shim = self.task, self.trainer_shim
        self._start_training()
        loader = self._loader(self.datamodule.train_dataloader())
        shim.num_training_batches = len(loader)
        for index, batch in self._batches("train", loader):
            for callback in self._strategies:
                callback.on_train_batch_start(shim, task, batch, index)
            if task.automatic_optimization:
                self.step(batch, index)
            else:
                self.forward_step("training_step", batch, index)
                shim.global_step += 1
            self._step_schedulers("step", shim.global_step)
        task.on_train_epoch_end()
        return self._metrics("train")

    def step(self, batch: Any, index: int) -> None:
        """Compute the loss of a batch and step each optimizer. Override it for a custom loop."""
        shim = self.trainer_shim
        result = self.forward_step("training_step", batch, index)
        loss = result["loss"] if isinstance(result, Mapping) else result
        if loss is None:
            return
        self.fabric.backward(loss)
        for optimizer, wrapped in zip(shim.optimizers, self._optimizers, strict=True):
            if self.gradient_clip_val is not None:
                self.fabric.clip_gradients(self._module, wrapped, max_norm=self.gradient_clip_val)
            wrapped.step()
            optimizer.zero_grad()
        shim.global_step += 1

    def forward_step(self, name: str, batch: Any, index: int) -> Any:
        """Call a step method of the task, such as ``training_step``, in Fabric's precision context."""
        with self.fabric._precision.forward_context():
            return getattr(self._module, name)(batch, index)

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Compute the loss and the metrics of the validation data."""
        task, shim = self.task, self.trainer_shim
        training = [module for module in task.modules() if module.training]
        shim.training, shim.validating = False, True
        task.eval()
        try:
            task.on_validation_epoch_start()
            loader = self._loader(self.datamodule.val_dataloader())
            for index, batch in self._batches("val", loader):
                self.forward_step("validation_step", batch, index)
            task.on_validation_epoch_end()
        finally:
            shim.training, shim.validating = True, False
            for module in training:
                module.training = True
        return self._metrics("val")

    def _start_training(self) -> None:
        task, shim = self.task, self.trainer_shim
        before = [parameter.requires_grad for parameter in task.parameters()]
        task.train()
        for callback in self._strategies:
            callback.on_train_epoch_start(shim, task)
        if before != [parameter.requires_grad for parameter in task.parameters()] and self.fabric.world_size > 1:
            # DDP registers gradient hooks only for parameters that were trainable when it was constructed.
            self._module = self.fabric.setup_module(task, move_to_device=False)
            self._set_trainer()
        task.on_train_epoch_start()

    def _loader(self, loader: Any) -> Any:
        """Return a loader of this process's share of the batches."""
        if self.fabric.world_size == 1:
            return loader
        wrapped: Any = self.fabric.setup_dataloaders(loader, move_to_device=False)
        # Fabric's wrapper counts epochs from the start of the process; after a resume, set_epoch sets the right one.
        return wrapped._dataloader

    def _batches(self, stage: str, loader: Any) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, batch on the device)`` of a stage; after an interruption, resume at the next batch."""
        metrics = self._stage_metrics(stage)
        if metrics is not None:
            metrics.reset()
        self.trainer_shim.logged.clear()
        carry = MetricsState(metrics, self.trainer_shim)
        every = self.commit_every if stage == "train" else None
        bar = self.log_progress(stage, loader, updates=0, carry=carry, commit_every=every)
        # The epoch seeds the order of the samples, and Lightning counts epochs from 0.
        set_epoch(loader, self.trainer_shim.current_epoch)
        for index, batch in enumerate(bar, bar.skipped):
            yield index, self._on_device(batch)

    def _on_device(self, batch: Any) -> Any:
        data = self.datamodule
        batch = data.on_before_batch_transfer(self.trainer_shim.convert_input(batch), 0)
        batch = data.transfer_batch_to_device(batch, self.fabric.device, 0)
        return data.on_after_batch_transfer(batch, 0)

    def _stage_metrics(self, stage: str) -> Any:
        return self.task.stage_metrics[f"{stage}_metrics"]

    def _metrics(self, stage: str) -> dict[str, Any]:
        """Return the mean loss, the metrics and the values that the task logged in a stage, over all processes."""
        metrics = self._stage_metrics(stage)
        values = {name: float(value) for name, value in metrics.compute(self.task.output_names).items()}
        metrics.reset()
        self.trainer_shim.callback_metrics |= {f"{stage}_{name}": value for name, value in values.items()}
        return {**values, **distrib.average_metrics(self.trainer_shim.pop_logged(stage))}

    def _step_schedulers(self, interval: str, count: int) -> None:
        for each in self.trainer_shim.lr_scheduler_configs:
            if each.interval == interval and count % each.frequency == 0:
                each.step(self.trainer_shim.callback_metrics)


def _scheduler_state(scheduler: Any) -> dict[str, Any]:
    """Return a scheduler's state dict without its callables, such as the lambdas of ``LambdaLR``."""
    state: dict[str, Any] = scheduler.state_dict()
    return {key: value for key, value in state.items() if not callable(value)}


def _launch(fabric: Fabric) -> None:
    """Launch the processes, or join those that torchrun or Dora launched."""
    if "WORLD_SIZE" in os.environ:
        wanted, started = fabric.world_size, int(os.environ["WORLD_SIZE"])
        if wanted != started:
            raise ConfigurationError(
                f"Expected {wanted} processes, as Fabric is configured, but {started} were started by torchrun or "
                f"Dora. Start {wanted}, or configure Fabric with {started} devices."
            )
        distrib.set_environment()
    fabric.launch()
