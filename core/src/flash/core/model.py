"""Task: a LightningModule with its loss, metrics, preprocessing and outputs."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.precision import MixedPrecision
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys
from typing_extensions import Self, TypeVar

from flash import __version__
from flash.core._resuming import (
    Position,
    monitored_values,
    position_of,
    resume_loops,
    states_of_processes,
    states_of_this_process,
    unused_gradients,
)
from flash.core.backbones import build_backbone, stated_layers
from flash.core.binding import bind, check_pair
from flash.core.callbacks import HyperparameterLogger, MetricLogger
from flash.core.checkpoint import describe_backbone, qualified_arguments
from flash.core.console import describe_modules
from flash.core.embedding import TaskEmbedding
from flash.core.export import TaskExport
from flash.core.figures import TaskFigures
from flash.core.finetuning import as_modules, finetuning_strategies
from flash.core.hub import TaskHub
from flash.core.layers import child_layers
from flash.core.losses import LossSpec, losses, make_loss
from flash.core.metrics import MetricSpec, StageMetrics, metric_registry, named_metrics, weight_of_loss
from flash.core.optimizers import (
    DEFAULT_OPTIMIZER,
    LRSchedulerSpec,
    OptimizerSpec,
    follow_new_length,
    is_default_optimizer,
    lr_schedulers,
    make_lr_scheduler,
    make_optimizer,
    optimizers,
    split_parameters,
)
from flash.core.outputs import (
    OutputSpec,
    components_of,
    outputs_of,
    task_outputs,
)
from flash.core.prediction import TaskPrediction
from flash.core.registry import Registry, qualified_choice
from flash.core.restoring import FORMAT, checked_metadata, load_task
from flash.core.sharding import is_sharded, shard
from flash.core.structure import apply_change, describe_change, repeat_changes, same_change
from flash.data.batch import Features, count_rows, split_batch
from flash.data.messages import show_some, show_values
from flash.data.process import Postprocess, Preprocess
from flash.data.stage import Stage
from flash.errors import CheckpointError, ConfigurationError, FormerMemberError
from flash.former import FORMER_MEMBERS, with_former_members
from flash.plugins import default_owner
from flash.serialization import (
    Configurable,
    MapLocation,
    NotSerializableError,
    accepted_parameters,
    capture_rng_state,
    describe,
    restore_rng_state,
    to_serializable,
)

if TYPE_CHECKING:
    from flash.data.data_module import DataModule

__all__ = ["Task"]

log = logging.getLogger(__name__)

# How many times its default a learning rate may be before fitting warns of it.
_MOST_TIMES = 30
T = TypeVar("T")
B = TypeVar("B", default=nn.Module)
_PLAIN_TYPES = (str, int, float, bool, type(None))


@with_former_members(FORMER_MEMBERS["Task"])
class Task(Configurable, TaskEmbedding, TaskExport, TaskFigures, TaskHub, TaskPrediction, pl.LightningModule):
    """A network with its training, evaluation and prediction.

    Most tasks override ``__init__`` and ``forward``. ``step`` is used for training, validation and testing;
    ``training_step`` and so on can be overridden as in any LightningModule.

    A batch is ``(inputs, targets)``. The loss is logged as ``train_loss``, ``val_loss`` and ``test_loss``, each
    metric as ``train_<name>``, ``val_<name>`` and ``test_<name>``, once per epoch.

    Args:
        model: The network; ``forward`` calls it.
        loss_fn: Takes ``(forward(inputs), targets)`` and returns the loss; or a name from ``available_losses()``.
        optimizer: A class such as ``torch.optim.SGD``, a callable that takes the parameters, a name from
            ``available_optimizers()``, or ``(name, kwargs)``.
        learning_rate: The optimizer's learning rate; ``None`` uses its default.
        metrics: Torchmetrics objects, callables ``(predictions, targets) -> number``, or names from
            ``available_metrics()``; one, a list, or a dict by name. Each stage has its own copy.
        lr_scheduler: A class, a callable that takes the optimizer, a name, ``(name, kwargs)``, or
            ``(name, kwargs, {"interval": "step"})``.
        preprocess: The hooks that transform raw inputs; by default those of the data that the task is trained on.
        postprocess: The hooks that transform predictions.

    Example:
        >>> task = Task(nn.Linear(2, 1), loss_fn=nn.functional.mse_loss, optimizer="SGD", learning_rate=0.1)
        >>> len(task.predict(torch.zeros(3, 2)))
        3
    """

    #: Backbones by name; each domain has its own registry.
    backbones: ClassVar[Registry] = Registry("backbones")
    #: Outputs of predictions by name.
    outputs: ClassVar[Registry] = task_outputs
    #: Arguments that :meth:`from_data` fills in from the data, which command lines do not ask for.
    data_facts: ClassVar[tuple[str, ...]] = ("num_inputs", "num_classes", "labels", "multi_label", "class_counts")
    #: Losses and metrics by name; a class has those of its kind, such as classification, which its outputs define.
    loss_registry: ClassVar[Registry] = losses
    metric_registry: ClassVar[Registry] = metric_registry
    #: Names under which the registries of all tasks were part of this class before.
    finetuning_strategies: ClassVar[Registry] = finetuning_strategies
    lr_schedulers_registry: ClassVar[Registry] = lr_schedulers
    optimizers_registry: ClassVar[Registry] = optimizers
    #: The preprocess of a task that is not bound to data.
    preprocess_cls: ClassVar[type[Preprocess]] = Preprocess
    #: The default output of :meth:`predict`.
    default_output: str = "raw"
    #: Learning rate of the modules of :meth:`modules_to_freeze`, as a multiple of that of the other modules.
    backbone_lr_factor: float = 1.0
    #: Whether a training without ``max_epochs``, which stops early by itself, averages the weights, as
    #: ``callbacks=["average_weights"]`` does in any training. True where that was measured to be better.
    averages_weights: bool = False

    def __init__(
        self,
        model: nn.Module | None = None,
        loss_fn: LossSpec | None = None,
        optimizer: OptimizerSpec = DEFAULT_OPTIMIZER,
        learning_rate: float | None = None,
        metrics: MetricSpec | None = None,
        lr_scheduler: LRSchedulerSpec | None = None,
        preprocess: Preprocess | None = None,
        postprocess: Postprocess | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        cls = type(self)
        named_losses, named = components_of(cls, self.loss_registry), components_of(cls, self.metric_registry)
        self.loss_fn = make_loss(qualified_choice(named_losses, self, "loss_fn", loss_fn), registry=named_losses)
        metrics = named_metrics(qualified_choice(named, self, "metrics", metrics), registry=named)
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.lr_scheduler = lr_scheduler
        stages = ("train_metrics", "val_metrics", "test_metrics")
        # Whether weights were trained or loaded since the task was made.
        self._has_trained = False
        self.stage_metrics = nn.ModuleDict({stage: StageMetrics(metrics) for stage in stages})
        self.preprocess = preprocess
        self.postprocess = postprocess
        self.hparams.update(self.recorded_arguments)
        self.history: list[dict[str, float]] = []
        self._structure: list[dict[str, Any]] = []
        self._output: OutputSpec | None = None
        self._random_state: Any = None
        self._train_metrics: Any = None
        self._is_resumed = False
        self._position = Position.ANYWHERE
        self._monitored: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}
        # Set if the preprocess of a checkpoint could not be rebuilt.
        self.preprocess_error: CheckpointError | None = None
        # The default learning rates with the default optimizer: of new modules, and of pretrained ones.
        self._usual_rates: tuple[float | None, float | None] = (None, None)

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets some attributes of a module many times per step, and torch checks each time whether they
        # are parameters; this skips the check for values that cannot be.
        if type(value) in _PLAIN_TYPES and name in self.__dict__:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        """Return a summary: hyperparameters, and a line per module; ``print(task.backbone)`` shows its layers."""
        lines = [show_values(self.hparams), *describe_modules(self)]
        return "\n  ".join([f"{type(self).__name__}(", *filter(None, lines)]) + "\n)"

    # ------------------------------------------------------------------ making tasks

    @classmethod
    def from_data(cls, datamodule: DataModule, **kwargs: Any) -> Self:
        """Create a task for data: facts about the data are passed to the constructor.

        Facts such as ``num_classes`` and ``labels`` are taken from the train data if the constructor has parameters
        of these names, or passes ``**kwargs`` on to one that has; the task uses the preprocess of the data.

        Args:
            datamodule: The data.
            kwargs: Arguments of the constructor; they take precedence over the data's facts.

        Raises:
            ConfigurationError: If the data is for another kind of task.
            UnknownArgumentError: If the constructor has no such argument.

        Example:
            >>> from flash.data.data_module import DataModule
            >>> class Regression(Task):
            ...     def __init__(self, num_inputs, learning_rate=0.01):
            ...         super().__init__(nn.Linear(num_inputs, 1), nn.functional.mse_loss, learning_rate=learning_rate)
            >>> dm = DataModule.from_tensors(torch.randn(8, 3), torch.randn(8, 1), seed=0)
            >>> Regression.from_data(dm).model
            Linear(in_features=3, out_features=1, bias=True)
        """
        check_pair(cls, datamodule)
        facts = {name: value for name, value in datamodule.facts.items() if name in accepted_parameters(cls)}
        task = _make_with_facts(cls, {name: value for name, value in facts.items() if name not in kwargs}, kwargs)
        bind(task, datamodule)
        return task

    def use_data(self, datamodule: DataModule) -> None:
        """Bind the task to data; a Trainer does this automatically.

        Raises:
            ConfigurationError: If the data is for another kind of task, or has other classes.
            DataError: If the task was trained with a preprocess of another state.
        """
        bind(self, datamodule)

    @property
    def input_spec(self) -> Any:
        """Requirements of the network on its inputs, such as the image size or a tokenizer; ``None`` if there are none.

        The hooks of a preprocess read it from ``self.input_spec``. The default is the ``input_spec`` of the backbone.
        Override it with an immutable value that compares equal for equal requirements, such as a frozen
        dataclass.
        """
        stated = [getattr(module, "input_spec", None) for module in as_modules(self.modules_to_freeze())]
        return next((spec for spec in stated if spec is not None), None)

    def build_backbone(
        self,
        backbone: str | Path | nn.Module,
        *arguments: Any,
        kwargs: Mapping[str, Any] | None = None,
        makes: type[B] = nn.Module,  # type: ignore[assignment]  # the default is one of the types
        **options: Any,
    ) -> B:
        """Build a backbone from a name or a module; see :mod:`flash.core.backbones`.

        Args:
            backbone: A name from ``available_backbones()``, or a module, which is returned unchanged.
            arguments: Positional arguments of every factory of the domain.
            kwargs: Additional arguments of the user for the factory (``backbone_kwargs``).
            makes: The type that a factory of the domain returns.
            options: Arguments such as ``pretrained``, for factories that take them.

        Raises:
            ConfigurationError: If it is neither, or there are arguments that the factory does not take.
            UnknownNameError: If there is no such name.

        Example:
            >>> Task().build_backbone(nn.Linear(2, 4)).out_features
            4
        """
        return build_backbone(backbone, self.backbone_factory, *arguments, kwargs=kwargs, makes=makes, **options)

    def backbone_factory(self, name: str) -> Callable[..., Any]:
        """Return the factory of a backbone; the default of a task refers to its own package.

        Args:
            name: The ``backbone`` argument of the task.

        Raises:
            UnknownNameError: If there is no such name.
        """
        factory: Callable[..., Any] = self.backbones.get(name, prefer=default_owner(self, "backbone", name))
        return factory

    # ------------------------------------------------------------------ training

    def forward(self, x: Any) -> Any:
        """Return the network's output for the inputs of a batch.

        A task that overrides ``forward_features`` returns ``forward_head(forward_features(x))``; other tasks call
        their ``model``.

        Args:
            x: The inputs of a batch, or their cached :class:`~flash.data.batch.Features`.
        """
        if isinstance(x, Features):
            return self.forward_head(x.values)
        if self.has_features:
            return self.forward_head(self.forward_features(x))
        if self.model is None:
            raise ConfigurationError(f"Expected {type(self).__name__} to have a model, or to override forward.")
        return self.model(x)

    @property
    def has_features(self) -> bool:
        """True if the task overrides :meth:`forward_features`."""
        return type(self).forward_features is not Task.forward_features

    def forward_features(self, x: Any) -> Any:
        """Return the features of the backbone for the inputs of a batch: tensors with one row per sample.

        Override it, together with :meth:`forward_head`, if it depends on the modules of :meth:`modules_to_freeze`
        only. While all of these are frozen, the features of each sample are then computed only once
        (see :class:`~flash.core.frozen_features.FrozenFeatures`).
        """
        raise ConfigurationError(f"Expected {type(self).__name__} to override forward_features, but it does not.")

    def forward_head(self, features: Any) -> Any:
        """Return the network's output for the features of :meth:`forward_features`."""
        raise ConfigurationError(f"Expected {type(self).__name__} to override forward_head, but it does not.")

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the loss, predictions and targets of a batch, for training, validation and testing.

        Args:
            batch: ``(inputs, targets)``.
            batch_idx: The index of the batch.

        Returns:
            A dict with ``loss``, and with ``y_hat`` and ``y`` if there are metrics; or the loss alone. ``weight``
            is the weight of the loss in the mean of the epoch, by default the number of samples. A dict ``logs``
            has additional values to log, means over the samples of the batch.
        """
        if self.training and not self._has_trained:  # An attribute of a module takes as long as a metric to set.
            self._has_trained = True
        x, y = split_batch(batch, self._stage())
        y_hat = self(x)
        y = _like_predictions(y, y_hat)
        return {"loss": self.compute_loss(y_hat, y), "y_hat": y_hat, "y": y, "weight": self.loss_weight(y)}

    def _stage(self) -> Stage:
        trainer: Any = self._trainer
        if trainer is None or trainer.training:
            return Stage.TRAIN
        return Stage.TEST if trainer.testing else Stage.VAL

    def loss_weight(self, y: Any) -> Tensor | None:
        """Return the weight of the loss of a batch in the mean of an epoch; ``None`` for the number of samples.

        By default it is the sum of the class weights of a weighted loss, such as
        ``torch.nn.CrossEntropyLoss(weight=...)``.

        Args:
            y: The targets of the batch.
        """
        return weight_of_loss(self.loss_fn, y)

    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:
        """Compute the loss of the network's output and the targets."""
        if self.loss_fn is None:
            raise ConfigurationError(
                f"Expected {type(self).__name__} to have a loss_fn, or to override step. "
                "Pass one, such as loss_fn=torch.nn.functional.cross_entropy."
            )
        loss: Tensor = self.loss_fn(y_hat, y)
        return loss

    def sample_losses(self, y_hat: Any, y: Any) -> Tensor | None:
        """Return the loss of each sample of a batch, shape ``(batch,)``, by which figures sort predictions.

        By default it is :meth:`compute_loss` of each sample alone; ``None`` if there is no loss for the outputs of
        ``forward``, or outputs and targets are not tensors with one row per sample.

        Args:
            y_hat: The network's output for the batch.
            y: The targets of the batch.
        """
        has_loss = self.loss_fn is not None or type(self).compute_loss is not Task.compute_loss
        y = _like_predictions(y, y_hat)
        are_rows = isinstance(y_hat, Tensor) and isinstance(y, Tensor) and y_hat.ndim and y.ndim
        if not has_loss or not are_rows or len(y_hat) != len(y):
            return None
        losses = [self.compute_loss(y_hat[row : row + 1], y[row : row + 1]) for row in range(len(y))]
        return torch.stack([loss.detach().float().mean() for loss in losses])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run :meth:`step`, and accumulate loss and metrics."""
        if not self._has_trained:
            self._has_trained = True
        loss = self._shared_step(batch, batch_idx, "train")
        trainer: Any = self.trainer
        if trainer.logger is not None and (trainer.global_step + 1) % trainer.log_every_n_steps == 0:
            self.log("train_loss_step", loss.detach(), batch_size=1)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run :meth:`step`, and accumulate loss and metrics."""
        return self._shared_step(batch, batch_idx, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run :meth:`step`, and accumulate loss and metrics."""
        return self._shared_step(batch, batch_idx, "test")

    def _shared_step(self, batch: Any, batch_idx: int, stage: str) -> Tensor:
        metrics: Any = self.stage_metrics[f"{stage}_metrics"]
        try:
            result = self.step(batch, batch_idx)
        except TypeError as error:
            _check_step(self.step, error)
            raise
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigurationError(
                f"Expected more than one value per channel for BatchNorm to train on, but got a batch of "
                f"{count_rows(batch)}. Raise batch_size of the data, or the size of the inputs."
            ) from error
        rows = count_rows(batch)
        if not isinstance(result, dict):
            metrics.update(result, rows=rows)
            return result  # type: ignore[no-any-return]  # step's contract: a dict, or the loss
        if "loss" not in result:
            raise ConfigurationError(
                f"Expected step to return a dict with 'loss', or the loss alone, but got {show_some(result)}."
            )
        loss: Tensor = result["loss"]
        predictions, targets = self.for_metrics(result.get("y_hat"), result.get("y"))
        metrics.update(loss, predictions, targets, rows=rows, weight=result.get("weight"))
        for name, value in result.get("logs", {}).items():
            metrics.log(name, value, rows)
        return loss

    @property
    def output_names(self) -> list[str] | None:
        """The names of the network's outputs, by which metrics with a value for each are logged.

        They are the labels of a classification; ``None`` if the outputs have no names.
        """
        labels: Any = getattr(self, "labels", None)
        return None if labels is None else [str(label) for label in labels]

    @property
    def metric_values(self) -> dict[str, Any]:
        """Values of all metrics in the last epoch of each stage, by the names in the logs, such as ``"val_accuracy"``.

        Unlike ``trainer.callback_metrics``, they include those that are not numbers: a confusion matrix is a tensor of
        shape ``(classes, classes)``, and curves are as their torchmetrics object returned them.
        """
        stages: Any = self.stage_metrics.items()
        return {
            f"{stage.removesuffix('_metrics')}_{name}": value
            for stage, metrics in stages
            for name, value in metrics.values.items()
        }

    def for_metrics(self, y_hat: Any, y: Any) -> tuple[Any, Any]:
        """Convert predictions and targets for the metrics; by default unchanged."""
        return y_hat, y

    def use_default_rates(
        self,
        learning_rate: float | None,
        *,
        weight_decay: float | None = None,
        backbone_lr_factor: float = 1.0,
        pretrained_learning_rate: float | None = None,
    ) -> None:
        """Set default rates for the network, unless the user passed others; for use in ``__init__``.

        Rates that were measured with the default optimizer are not used with another one, which keeps its own.

        Args:
            learning_rate: The learning rate with the default optimizer, if none was passed.
            weight_decay: The weight decay with the default optimizer.
            backbone_lr_factor: Learning rate of the modules of :meth:`modules_to_freeze`, as a multiple of that of
                the other modules: below 1 for pretrained weights, so that a new head does not distort them.
            pretrained_learning_rate: The default of these modules, if an explicit rate is used for them without the
                factor. Fitting warns of a rate that is more than 30 times the default of what it trains.

        Example:
            >>> task = Task(nn.Linear(2, 1))
            >>> task.use_default_rates(1e-3, weight_decay=1e-4)
            >>> task.configure_optimizers().defaults["lr"], task.configure_optimizers().defaults["weight_decay"]
            (0.001, 0.0001)
        """
        if is_default_optimizer(self.optimizer):
            self._usual_rates = (learning_rate, pretrained_learning_rate or learning_rate)
            self.learning_rate = learning_rate if self.learning_rate is None else self.learning_rate
            if weight_decay is not None:
                self.optimizer = (DEFAULT_OPTIMIZER, {"weight_decay": weight_decay})
        self.backbone_lr_factor = backbone_lr_factor
        # Recorded, since they may depend on pretrained weights, which are not loaded again from a checkpoint.
        rates = {"learning_rate": self.learning_rate, "backbone_lr_factor": backbone_lr_factor}
        accepted = accepted_parameters(type(self))
        rates = {name: rate for name, rate in rates.items() if name in accepted}
        self.record_arguments(**rates)
        self.hparams.update(rates)

    def trained_parameters(self) -> list[Any]:
        """Return the parameters or parameter groups for the optimizer: by default all that are not frozen.

        If :attr:`backbone_lr_factor` is not 1, the parameters of :meth:`modules_to_freeze` are a second group with
        that multiple of the learning rate. Override it for other groups: ``[{"params": [...], "lr": 1e-3}, ...]``, or
        ``{"params": [...], "lr_factor": 0.1}`` for a multiple of the optimizer's learning rate. The learning rate of
        parameters that are unfrozen later is derived from that of the first group.
        """
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if self.backbone_lr_factor == 1.0:
            return trained
        return split_parameters(trained, as_modules(self.modules_to_freeze()), {"lr_factor": self.backbone_lr_factor})

    def configure_model(self) -> None:
        """Shard the weights over processes, if the strategy of the trainer is one that does."""
        strategy = None if self._trainer is None else self._trainer.strategy
        if isinstance(strategy, ModelParallelStrategy):
            mesh = strategy.device_mesh["data_parallel"]
            # Called before each run.
            if mesh.size() > 1 and not is_sharded(self):
                shard(self, self.backbone_layers(), mesh)

    def configure_optimizers(self) -> Any:
        """Create the optimizer of all parameters that are not frozen, and the learning-rate scheduler.

        Raises:
            ConfigurationError: If there is nothing to train.
        """
        trained = self.trained_parameters()
        if not trained:
            raise ConfigurationError(
                f"Expected weights to train, but this {type(self).__name__} has none, or all of them are frozen. Add "
                "a head with weights, or choose the strategy 'no_freeze'."
            )
        chosen = qualified_choice(optimizers, self, "optimizer", self.optimizer)
        mixed = isinstance(getattr(self._trainer, "precision_plugin", None), MixedPrecision)
        optimizer = make_optimizer(chosen, trained, self.learning_rate, fuse=not mixed)
        self._check_rate()
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_factor", 1.0)
        if self.lr_scheduler is None:
            return optimizer
        scheduler = qualified_choice(lr_schedulers, self, "lr_scheduler", self.lr_scheduler)
        return {"optimizer": optimizer, "lr_scheduler": make_lr_scheduler(scheduler, optimizer, self._trainer)}

    def _check_rate(self) -> None:
        """Warn, once, of a learning rate that is many times the default of what is trained."""
        frozen = [*as_modules(self.modules_to_freeze())]
        trains_pretrained = any(parameter.requires_grad for each in frozen for parameter in each.parameters())
        usual = self._usual_rates[trains_pretrained]
        if usual and self.learning_rate is not None and self.learning_rate > _MOST_TIMES * usual:
            log.warning(
                "Expected a learning rate near the default of this %s, %g, but got learning_rate=%g, which is %d times "
                "as much: it may learn nothing. Leave learning_rate out, or pass at most %g.",
                type(self).__name__,
                usual,
                self.learning_rate,
                round(self.learning_rate / usual),
                10 * usual,
            )
            self._usual_rates = (None, None)

    def configure_callbacks(self) -> list[Callback]:
        """Return the callbacks that log losses and metrics once per epoch, and hyperparameters once."""
        trainer: Any = self._trainer
        attached = () if trainer is None else trainer.callbacks
        kinds = (MetricLogger, HyperparameterLogger)
        return [kind() for kind in kinds if not any(isinstance(callback, kind) for callback in attached)]

    def modules_to_freeze(self) -> nn.Module | list[nn.Module] | None:
        """Return the modules that finetuning strategies freeze: by default ``backbone``, also inside ``model``."""
        for owner in (self, self.model):
            backbone = getattr(owner, "backbone", None)
            if isinstance(backbone, nn.Module):
                return backbone
        return None

    def backbone_layers(self) -> list[nn.Module]:
        """Return the layers of the backbone for strategies, in the order of the forward pass; each has parameters.

        By default each module of :meth:`modules_to_freeze` returns them from a method ``layers``, or they are its
        children, after unwrapping modules with a single child. Override it if the blocks of the network are nested
        deeper; :mod:`flash.core.layers` has functions for that.
        """
        layers: list[nn.Module] = []
        for module in as_modules(self.modules_to_freeze()):
            stated = stated_layers(module)
            layers += child_layers([module]) if stated is None else stated
        return layers

    # ------------------------------------------------------------------ structure

    def change_structure(self, target: str | Callable[..., Any], /, **arguments: Any) -> None:
        """Change the network by a function, which is recorded in checkpoints and called again on load.

        For adapters, another head, or more embeddings. A change that was applied already, with the same arguments, is
        not applied again.

        Args:
            target: A function that is marked with :func:`flash.core.structure.changes_structure`, or its
                ``"module:function"``; it takes the task and the arguments.
            arguments: Serializable values.

        Raises:
            ConfigurationError: If the function cannot be imported, or is not marked, or an argument cannot be
                serialized.

        Example:
            >>> from flash.core.structure import changes_structure
            >>> @changes_structure
            ... def widen(task, width):
            ...     task.model = nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))
            >>> widen.__module__ = "__main__"  # as in a notebook
            >>> import __main__
            >>> __main__.widen = widen
            >>> task = Task(nn.Linear(2, 1))
            >>> task.change_structure(widen, width=8)
            >>> len(task.model), task.structure_changes[0]["target"]
            (2, '__main__:widen')
        """
        change = describe_change(target, arguments)
        if not any(same_change(change, known) for known in self._structure):
            apply_change(self, change)
            self._structure.append(change)

    def forget_structure(self, target: str) -> None:
        """Remove recorded changes that were undone, such as merged adapters: they are no longer applied on load.

        Args:
            target: The ``"module:function"`` of the changes.
        """
        self._structure = [change for change in self._structure if change["target"] != target]

    @property
    def structure_changes(self) -> list[dict[str, Any]]:
        """Changes by :meth:`change_structure`, in order: ``target`` and ``arguments`` of each."""
        return list(self._structure)

    # ------------------------------------------------------------------ prediction

    def split_batch(self, batch: Any, stage: Stage) -> tuple[Any, Any]:
        """Return the inputs and the targets of a batch from a loader other than that of a Flash data module.

        Override it for loaders with other batches. The batches of a data module are
        ``(inputs, targets)``, and in prediction inputs alone.

        Args:
            batch: A batch of the loader.
            stage: The stage of the batch.

        Returns:
            ``(inputs, targets)``, with ``None`` as targets in prediction.

        Raises:
            DataError: If it is not a pair, or an ambiguous prediction batch.
        """
        return split_batch(batch, stage, foreign=True)

    # ------------------------------------------------------------------ what there is to choose from

    @classmethod
    def available_backbones(cls, filter: str | None = None) -> list[str]:
        """Return the names of the backbones; ``filter`` is a pattern such as ``"res*"``."""
        return cls.backbones.list(filter)

    @classmethod
    def available_finetuning_strategies(cls) -> list[str]:
        """Return the names for ``trainer.finetune(..., strategy=...)``, those of plugins included."""
        return finetuning_strategies.list()

    @classmethod
    def available_outputs(cls) -> list[str]:
        """Return the names for ``predict(..., output=...)``."""
        return outputs_of(cls).list()

    @classmethod
    def available_metrics(cls) -> list[str]:
        """Return the names for ``metrics``: those for the kind of the task.

        Example:
            >>> from flash.core.classification import ClassificationTask
            >>> ClassificationTask.available_metrics()
            ['accuracy', 'auroc', 'average_precision', 'confusion_matrix', 'f1', 'kappa', 'precision', 'recall']
        """
        return components_of(cls, cls.metric_registry).list()

    @classmethod
    def available_losses(cls) -> list[str]:
        """Return the names for ``loss_fn``: those for the kind of the task.

        Example:
            >>> from flash.core.classification import ClassificationTask
            >>> ClassificationTask.available_losses()
            ['bce', 'cross_entropy']
        """
        return components_of(cls, cls.loss_registry).list()

    @classmethod
    def available_optimizers(cls) -> list[str]:
        """Return the names for ``optimizer``."""
        return optimizers.list()

    @classmethod
    def available_lr_schedulers(cls) -> list[str]:
        """Return the names for ``lr_scheduler``."""
        return lr_schedulers.list()

    # ------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the metadata for rebuilding this task. A subclass that overrides this has to call it."""
        random_state = capture_rng_state()
        checkpoint["flash"] = {
            # Older versions cannot apply structure changes, so they must reject the file.
            "format": FORMAT if self._structure else 1,
            "version": __version__,
            "task": {**describe(self), "init": qualified_arguments(self)},
            "backbone": describe_backbone(self.backbones, self.recorded_arguments.get("backbone")),
            "preprocess": self._describe_process(self.preprocess),
            "postprocess": self._describe_process(self.postprocess),
            "random_state": random_state,
            "structure": self.structure_changes,
            "history": [dict(epoch) for epoch in self.history],
        }
        if isinstance(self._trainer, pl.Trainer):
            states = self._states_of_epoch(self._trainer)
            of_all = states_of_processes(self._trainer, {"random_state": random_state, **states})
            checkpoint["flash"] |= states | of_all
        key = self.CHECKPOINT_HYPER_PARAMS_KEY
        if key in checkpoint:
            checkpoint[key] = {name: value for name, value in checkpoint[key].items() if _is_plain(value)}

    def _states_of_epoch(self, trainer: pl.Trainer) -> dict[str, Any]:
        """Return what a run in the middle of an epoch has accumulated, as far as there is any."""
        metrics: Any = self.stage_metrics["train_metrics"]
        states = {
            "train_metrics": metrics.accumulated() if metrics.is_updated else {},
            "monitored": monitored_values(trainer),
            "gradients": unused_gradients(trainer, self),
        }
        return {name: state for name, state in states.items() if state}

    @staticmethod
    def _describe_process(process: Preprocess | Postprocess | None) -> dict[str, Any] | None:
        if process is None:
            return None
        state = to_serializable(process.state_dict()) if isinstance(process, Preprocess) else {}
        return {**describe(process), "state": state}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Apply the structure changes of the checkpoint, and keep its other states for a run that is resumed."""
        stored = checked_metadata(checkpoint, "the file to resume from")
        repeat_changes(self, stored.get("structure") or [])
        self.history = [dict(epoch) for epoch in stored.get("history", [])]
        if isinstance(self._trainer, pl.Trainer) and self._trainer.state.fn != TrainerFn.FITTING:
            # validate, test and predict take the weights.
            return
        loops = checkpoint.get("loops", {}).get("fit_loop", {})
        states = states_of_this_process(self._trainer, stored, loops)
        self._random_state, self._train_metrics = states.get("random_state"), states.get("train_metrics")
        self._is_resumed = True
        self._monitored, self._gradients = stored.get("monitored", {}), states.get("gradients", {})
        self._position = position_of(loops)

    def on_train_start(self) -> None:
        """Go on where an interrupted run was: its batch, RNG state, metrics, accumulated gradients, and schedule.

        With several processes, each has its own RNG state, metrics and gradients.
        """
        ours = self.lr_scheduler is not None and type(self).configure_optimizers is Task.configure_optimizers
        if self._is_resumed and ours:
            for config in self.trainer.lr_scheduler_configs:
                choice = qualified_choice(lr_schedulers, self, "lr_scheduler", self.lr_scheduler)
                follow_new_length(choice, config.scheduler, self.trainer)
        if not self._is_resumed:
            # Epochs that this trainer fitted before, if it goes on with them.
            self.history = [each for each in self.history if each["epoch"] < self.trainer.current_epoch]
        if self._is_resumed:
            resume_loops(self.trainer, self._position, self._monitored)
        if self._train_metrics is not None:
            metrics: Any = self.stage_metrics["train_metrics"]
            is_restored = metrics.restore(self._train_metrics, self.device)
            if not is_restored:
                log.warning("The checkpoint has other metrics: those of this epoch are of the batches that are left.")
        if self._gradients:
            for name, parameter in self.named_parameters():
                gradient = self._gradients.get(name)
                parameter.grad = None if gradient is None else gradient.to(parameter.device)
        if self._random_state is not None:
            restore_rng_state(self._random_state)
        self._is_resumed, self._random_state, self._train_metrics = False, None, None
        self._gradients = {}

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's has loading options that are unsafe
        cls,
        checkpoint_path: str | Path,
        map_location: MapLocation = "cpu",
        strict: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Load a task with its preprocess from a checkpoint, without downloading pretrained weights.

        Called on :class:`Task` itself, it finds the class of the stored task among the installed plugins. No code
        in the file is executed.

        Args:
            checkpoint_path: A file, an http(s) URL, or what :meth:`from_pretrained` takes.
            map_location: The device for the weights.
            strict: Whether missing or unexpected weights are an error.
            kwargs: Arguments of the constructor that replace the stored ones; needed for those that a checkpoint
                cannot hold, such as a network. ``preprocess`` and ``postprocess`` are accepted by every task.

        Raises:
            CheckpointError: If the file is missing, truncated or not a checkpoint of a Flash task, or holds another
                task than the class, or one of a plugin that is not installed.
            UnsafeCheckpointError: If loading it would execute code.
        """
        return load_task(cls, Task, checkpoint_path, map_location, strict, kwargs)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Load weights, as ``torch.nn.Module`` does; weights of another network raise a CheckpointError.

        Raises:
            CheckpointError: If names or shapes do not fit.
        """
        try:
            keys: _IncompatibleKeys = super().load_state_dict(state_dict, strict=strict, assign=assign)
        except CheckpointError:
            raise
        except RuntimeError as error:
            raise CheckpointError(
                f"Expected the weights of a {type(self).__name__} made with the same arguments, such as its backbone, "
                f"but these do not fit: {error} If the network was changed after it was made, change it with "
                "task.change_structure(...), which checkpoints repeat."
            ) from error
        self._has_trained = True
        return keys


def _make_with_facts(cls: type[T], facts: dict[str, Any], kwargs: dict[str, Any]) -> T:
    """Create a task, without facts that a subclass passes to its base class itself."""
    while True:
        try:
            return cls(**facts, **kwargs)
        except TypeError as error:
            found = re.search(r"got multiple values for (?:keyword )?argument '(\w+)'", str(error))
            if found is None or found[1] not in facts:
                raise
            del facts[found[1]]


def _check_step(step: Callable[..., Any], error: TypeError) -> None:
    """Raise an error that says so, if a step has a third parameter, as in Lightning Flash 0.x."""
    parameters = [*inspect.signature(step).parameters.values()]
    if len(parameters) > 2 and parameters[2].default is parameters[2].empty and parameters[2].name == "metrics":
        raise FormerMemberError(
            "Expected step(self, batch, batch_idx), but got step(self, batch, batch_idx, metrics) of version 0.x of "
            "Lightning Flash. Leave metrics out, and return {'loss': loss, 'y_hat': y_hat, 'y': y}: the task computes "
            "its metrics from them."
        ) from error


def _like_predictions(y: Any, y_hat: Any) -> Any:
    """Unsqueeze float targets ``(batch,)`` to ``(batch, 1)`` if the output has that shape.

    Otherwise the loss would broadcast to ``(batch, batch)``, and the network would learn the mean.
    """
    if isinstance(y, Tensor) and isinstance(y_hat, Tensor) and y.is_floating_point():
        return y.unsqueeze(-1) if y_hat.shape == (*y.shape, 1) else y
    return y


def _is_plain(value: Any) -> bool:
    try:
        to_serializable(value)
    except NotSerializableError:
        return False
    return not callable(value)
