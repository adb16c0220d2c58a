"""TaskSolver: any task of Flash and its data, trained by a solver that you can read and change."""

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
from flash.errors import CheckpointError, ConfigurationError
from flash.serialization import restore_rng_state
from flash.solver import distrib
from flash.solver.sampling import set_epoch
from flash.solver.solver import BaseSolver
from flash.solver.task_run import TaskRun, read_optimizers
from flash.solver.task_state import MetricsState, epochs_of, loops_state
from flash.solver.utils import AnyPath

__all__ = ["TaskSolver"]

_OWN = "solver"


class TaskSolver(BaseSolver):
    """Trains a task on its data, with a loop that is yours to override.

    Finetuning strategies are those of ``trainer.finetune``, and checkpoints those of ``flash.Trainer``: each loads
    and goes on with what the other wrote, and ``Task.load_from_checkpoint`` reads both. Devices, precision and
    strategies for several processes are Fabric's. A run that is asked to stop, or killed, goes on exactly.

    Of Lightning's callbacks only the finetuning strategy runs; its loggers do not. Frozen features are computed in
    each step.

    Args:
        task: The task.
        datamodule: Its data.
        strategy: What is frozen and when it thaws: a name such as ``"freeze"``, ``(name, arguments)``, or a
            finetuning callback.
        folder: Where everything goes; by default the folder of the experiment.
        max_epochs: How many epochs there are.
        fabric: Lightning's Fabric, or its arguments: ``{"precision": "bf16-mixed", "devices": 2}``.
        gradient_clip_val: The largest norm of all gradients together; ``None`` for any.
        commit_every: After how many steps, or how much time (a ``timedelta``), everything is saved within an epoch.
        kwargs: Further arguments of :class:`~flash.solver.BaseSolver`.

    Raises:
        ConfigurationError: If the processes that were started are not as many as Fabric was asked for.

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
        self.task_run = TaskRun(self.fabric, task, datamodule, max_epochs)
        self._strategies: list[Any] = resolve_strategy(strategy)
        self._optimizers: list[Any] = []
        self._began = False
        with self._attached():
            self._prepare()

    def _prepare(self) -> None:
        """Connect task and data, freeze, make the optimizers, and move everything to the device."""
        task, run = self.task, self.task_run
        release(task)
        task.use_data(self.datamodule)
        run.callbacks = self._strategies
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        task.configure_model()
        task.setup("fit")
        for callback in self._strategies:
            callback.setup(run, task, "fit")
        self._module: Any = self.fabric.setup_module(task)
        run.optimizers, run.lr_scheduler_configs = read_optimizers(task.configure_optimizers())
        wrapped = self.fabric.setup_optimizers(*run.optimizers)
        self._optimizers = list(wrapped) if isinstance(wrapped, tuple) else [wrapped]
        self._pretend()

    def _pretend(self) -> None:
        """Let the task take the run for its trainer and for Fabric."""
        task: Any = self.task
        task._trainer = task._fabric = self.task_run
        task._fabric_optimizers = self._optimizers
        cast(Any, self.datamodule).trainer = self.task_run

    @contextmanager
    def _attached(self) -> Iterator[None]:
        """While the solver works, the task belongs to it; afterwards it is free for any trainer."""
        task: Any = self.task
        self._pretend()
        try:
            yield
        finally:
            task._trainer = task._fabric = None
            task._fabric_optimizers = []
            cast(Any, self.datamodule).trainer = None

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the checkpoint, in the form that Lightning gives it; what was registered is under ``solver``."""
        task, run = self.task, self.task_run
        checkpoint: dict[str, Any] = {
            "epoch": max(len(self.history) - 1, 0),
            "global_step": run.global_step,
            "pytorch-lightning_version": pytorch_lightning.__version__,  # type: ignore[attr-defined]  # it is there
            "state_dict": dict(task.state_dict()),
            "loops": loops_state(run, len(self.history)),
            "callbacks": {each.state_key: each.state_dict() for each in self._strategies if each.state_dict()},
            "optimizer_states": [optimizer.state_dict() for optimizer in run.optimizers],
            "lr_schedulers": [_state_of(each.scheduler) for each in run.lr_scheduler_configs],
            task.CHECKPOINT_HYPER_PARAMS_KEY: dict(task.hparams),
            type(self.datamodule).__qualname__: self.datamodule.state_dict(),
            _OWN: super().state_dict(),
        }
        scaler = self.fabric._precision.state_dict()
        if scaler:
            checkpoint["precision"] = scaler
        task.on_save_checkpoint(checkpoint)
        return checkpoint

    def load_state_dict(self, state: Any, strict: bool = True, ignore: Collection[str] = ()) -> None:
        """Load a checkpoint of this class or of Lightning's Trainer."""
        if "state_dict" not in state:
            raise CheckpointError(
                "Expected a checkpoint of a task, by a TaskSolver or by Lightning's Trainer, but this is one of "
                "another solver."
            )
        if _OWN in state:
            super().load_state_dict(state[_OWN], strict, ignore)
        else:
            # Trainer does not keep the metrics of its epochs.
            self.history[:] = [{} for _ in range(epochs_of(state))]
        run = self.task_run
        run.global_step = state["global_step"]
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
        if _OWN not in state and random_state is not None and self.fabric.world_size == 1:
            restore_rng_state(random_state)

    def _load_optimizers(self, state: Mapping[str, Any]) -> None:
        run = self.task_run
        if len(state["optimizer_states"]) != len(run.optimizers):
            raise CheckpointError(
                f"Expected a checkpoint with {len(run.optimizers)} optimizers, as the task has, but this one has "
                f"{len(state['optimizer_states'])}. Make the task with the same arguments."
            )
        for optimizer, stored in zip(self._optimizers, state["optimizer_states"], strict=True):
            optimizer.load_state_dict(stored)
        for each, stored in zip(run.lr_scheduler_configs, state["lr_schedulers"], strict=True):
            each.scheduler.load_state_dict(stored)

    def restore(self, path: AnyPath | None = None, **kwargs: Any) -> bool:
        """Go on from a checkpoint; arguments as of ``BaseSolver.restore``. Files of Lightning's Trainer will do."""
        with self._attached():
            return super().restore(path, **kwargs)

    # ------------------------------------------------------------------ training

    def run(self) -> None:
        """Go on from the newest checkpoint, if there is one and none was restored, and train what is left."""
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
        """Let the strategies begin, once, after the weights are there and before the optimizers' state is."""
        if self._began:
            return
        self._began = True
        self._pretend()
        for callback in self._strategies:
            callback.on_fit_start(self.task_run, self.task)
        self.task.on_fit_start()

    def run_epoch(self) -> None:
        """Train and validate once, and let the learning rates step."""
        run = self.task_run
        run.current_epoch = self.epoch - 1
        self.run_stage("train", self.train)
        if self.datamodule.val_dataset is not None:
            self.run_stage("val", self.validate)
        self._step_schedulers("epoch", run.current_epoch + 1)

    def train(self) -> dict[str, Any]:
        """Train on all train batches once, and return the mean loss and the metrics."""
        task, run = self.task, self.task_run
        self._start_training()
        loader = self._loader(self.datamodule.train_dataloader())
        run.num_training_batches = len(loader)
        for index, batch in self._batches("train", loader):
            for callback in self._strategies:
                callback.on_train_batch_start(run, task, batch, index)
            if task.automatic_optimization:
                self.step(batch, index)
            else:
                self.forward_step("training_step", batch, index)
                run.global_step += 1
            self._step_schedulers("step", run.global_step)
        task.on_train_epoch_end()
        return self._metrics("train")

    def step(self, batch: Any, index: int) -> None:
        """Make one step of each optimizer. Override it for a loop of your own."""
        run = self.task_run
        result = self.forward_step("training_step", batch, index)
        loss = result["loss"] if isinstance(result, Mapping) else result
        if loss is None:
            return
        self.fabric.backward(loss)
        for optimizer, wrapped in zip(run.optimizers, self._optimizers, strict=True):
            if self.gradient_clip_val is not None:
                self.fabric.clip_gradients(self._module, wrapped, max_norm=self.gradient_clip_val)
            wrapped.step()
            optimizer.zero_grad()
        run.global_step += 1

    def forward_step(self, name: str, batch: Any, index: int) -> Any:
        """Call a step of the task, such as ``training_step``, in the precision of the run."""
        with self.fabric._precision.forward_context():
            return getattr(self._module, name)(batch, index)

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Compute the loss and the metrics of the validation data."""
        task, run = self.task, self.task_run
        training = [module for module in task.modules() if module.training]
        run.training, run.validating = False, True
        task.eval()
        try:
            task.on_validation_epoch_start()
            loader = self._loader(self.datamodule.val_dataloader())
            for index, batch in self._batches("val", loader):
                self.forward_step("validation_step", batch, index)
            task.on_validation_epoch_end()
        finally:
            run.training, run.validating = True, False
            for module in training:
                module.training = True
        return self._metrics("val")

    def _start_training(self) -> None:
        task, run = self.task, self.task_run
        before = [parameter.requires_grad for parameter in task.parameters()]
        task.train()
        for callback in self._strategies:
            callback.on_train_epoch_start(run, task)
        if before != [parameter.requires_grad for parameter in task.parameters()] and self.fabric.world_size > 1:
            # DDP averages the gradients of those parameters alone that trained when it was made.
            self._module = self.fabric.setup_module(task, move_to_device=False)
            self._pretend()
        task.on_train_epoch_start()

    def _loader(self, loader: Any) -> Any:
        """Give each process its share of the batches."""
        if self.fabric.world_size == 1:
            return loader
        wrapped: Any = self.fabric.setup_dataloaders(loader, move_to_device=False)
        # Its wrapper counts epochs from the start of the process; a run that goes on is told the right one.
        return wrapped._dataloader

    def _batches(self, stage: str, loader: Any) -> Iterator[tuple[int, Any]]:
        """Go through the batches of a stage, on the device; an interrupted run goes on with the next one."""
        metrics = self._stage_metrics(stage)
        if metrics is not None:
            metrics.reset()
        self.task_run.logged.clear()
        carry = MetricsState(metrics, self.task_run)
        every = self.commit_every if stage == "train" else None
        bar = self.log_progress(stage, loader, updates=0, carry=carry, commit_every=every)
        # Lightning counts epochs from 0, and the order of the samples follows from their number.
        set_epoch(loader, self.task_run.current_epoch)
        for index, batch in enumerate(bar, bar.skipped):
            yield index, self._on_device(batch)

    def _on_device(self, batch: Any) -> Any:
        data = self.datamodule
        batch = data.on_before_batch_transfer(self.task_run.convert_input(batch), 0)
        batch = data.transfer_batch_to_device(batch, self.fabric.device, 0)
        return data.on_after_batch_transfer(batch, 0)

    def _stage_metrics(self, stage: str) -> Any:
        return self.task.stage_metrics[f"{stage}_metrics"]

    def _metrics(self, stage: str) -> dict[str, Any]:
        """The mean loss and the metrics of a stage, over all processes, and what the task logged by itself."""
        metrics = self._stage_metrics(stage)
        values = {name: float(value) for name, value in metrics.compute().items()}
        metrics.reset()
        self.task_run.callback_metrics |= {f"{stage}_{name}": value for name, value in values.items()}
        return {**values, **distrib.average_metrics(self.task_run.take_logged(stage))}

    def _step_schedulers(self, interval: str, count: int) -> None:
        for each in self.task_run.lr_scheduler_configs:
            if each.interval == interval and count % each.frequency == 0:
                each.step(self.task_run.callback_metrics)


def _state_of(scheduler: Any) -> dict[str, Any]:
    """A scheduler's state, without functions of the user's."""
    state: dict[str, Any] = scheduler.state_dict()
    return {key: value for key, value in state.items() if not callable(value)}


def _launch(fabric: Fabric) -> None:
    """Start or find the other processes."""
    if "WORLD_SIZE" in os.environ:
        wanted, started = fabric.world_size, int(os.environ["WORLD_SIZE"])
        if wanted != started:
            raise ConfigurationError(
                f"Expected {wanted} processes, as Fabric was asked for, but {started} were started by torchrun or "
                f"Dora. Start {wanted}, or ask Fabric for {started} devices."
            )
        distrib.set_environment()
    fabric.launch()
