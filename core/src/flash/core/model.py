"""Task: a LightningModule that knows its loss, its metrics, its data and how to present predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from typing_extensions import Self

from flash import __version__
from flash.core._plain import Rebuildable, to_plain
from flash.core._random_state import capture_random_state, restore_random_state
from flash.core.callbacks import MetricLogger
from flash.core.checkpoint import (
    describe,
    describe_backbone,
    naming_backbone,
    read_checkpoint,
    rebuild,
    resolve_class,
)
from flash.core.finetuning import finetuning_strategies
from flash.core.losses import make_loss
from flash.core.metrics import StageMetrics
from flash.core.optimizers import make_lr_scheduler, make_optimizer
from flash.core.outputs import outputs_of, resolve_output, task_outputs
from flash.core.registry import Registry
from flash.data.auto_dataset import AutoDataset
from flash.data.features import Features
from flash.data.loader import in_input_order, make_loader
from flash.data.process import Postprocess, Preprocess, StageHooks
from flash.data.stage import Stage
from flash.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    from flash.data.data_module import DataModule

__all__ = ["Task"]

_FORMAT = 1
_PLAIN_TYPES = (str, int, float, bool, type(None))


class Task(Rebuildable, pl.LightningModule):
    """A network with what is needed to train it, judge it and use it.

    Most tasks override ``__init__`` and ``forward``. ``step`` serves training, validation and testing alike;
    ``training_step`` and its kin can be overridden as in any LightningModule.

    A batch is ``(inputs, targets)``. The loss is logged as ``train_loss``, ``val_loss`` and ``test_loss``, each
    metric as ``train_<name>``, ``val_<name>`` and ``test_<name>``, once an epoch.

    Args:
        model: The network; ``forward`` calls it.
        loss_fn: Takes ``(forward(inputs), targets)`` and gives the loss.
        optimizer: A class such as ``torch.optim.SGD``, a callable that takes the parameters, a name from
            ``available_optimizers()``, or ``(name, kwargs)``.
        learning_rate: The optimizer's learning rate; ``None`` leaves its default.
        metrics: Torchmetrics objects or callables ``(predictions, targets) -> number``; one, a list, or a dict that
            names them. Each stage has its own copy.
        lr_scheduler: A class, a callable that takes the optimizer, a name, ``(name, kwargs)``, or
            ``(name, kwargs, {"interval": "step"})``.
        preprocess: The hooks that raw inputs go through; taken from the data that the task is trained on.
        postprocess: The hooks that predictions go through.

    Example:
        >>> task = Task(nn.Linear(2, 1), loss_fn=nn.functional.mse_loss, optimizer="SGD", learning_rate=0.1)
        >>> len(task.predict(torch.zeros(3, 2)))
        3
    """

    #: Backbones by name; each domain has its own registry.
    backbones: ClassVar[Registry] = Registry("backbones")
    #: Presentations of predictions by name.
    outputs: ClassVar[Registry] = task_outputs
    #: What raw inputs go through in a task that has seen no data.
    preprocess_cls: ClassVar[type[Preprocess]] = Preprocess
    #: The presentation that :meth:`predict` uses when none is asked for.
    default_output: str = "raw"

    def __init__(
        self,
        model: nn.Module | None = None,
        loss_fn: Callable[..., Any] | None = None,
        optimizer: Any = "AdamW",
        learning_rate: float | None = None,
        metrics: Any = None,
        lr_scheduler: Any = None,
        preprocess: Preprocess | None = None,
        postprocess: Postprocess | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss_fn = make_loss(loss_fn)
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.lr_scheduler = lr_scheduler
        stages = ("train_metrics", "val_metrics", "test_metrics")
        self.stage_metrics = nn.ModuleDict({stage: StageMetrics(metrics) for stage in stages})
        self.preprocess = preprocess
        self.postprocess = postprocess
        self.hparams.update(self._arguments.plain)
        self._output: Any = None
        self._random_state: Any = None
        # Why there is no preprocess, where a checkpoint had one that could not be made again.
        self._lost_preprocess: CheckpointError | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets some plain attributes of a module many times a step, and torch looks each time whether they
        # are parameters; here they are not.
        if type(value) in _PLAIN_TYPES and name in self.__dict__:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    # ------------------------------------------------------------------ making tasks

    @classmethod
    def from_data(cls, datamodule: DataModule, **kwargs: Any) -> Self:
        """Make a task for data: what the data says about the task is passed to the constructor.

        Facts such as ``num_classes`` and ``labels`` are taken from the train data where the constructor has
        parameters of these names, and the data's preprocess becomes the task's.

        Args:
            datamodule: The data.
            kwargs: Arguments of the constructor; they win over the data's facts.

        Example:
            >>> from flash.data.data_module import DataModule
            >>> class Regression(Task):
            ...     def __init__(self, num_inputs, learning_rate=0.01):
            ...         super().__init__(nn.Linear(num_inputs, 1), nn.functional.mse_loss, learning_rate=learning_rate)
            >>> dm = DataModule.from_tensors(torch.randn(8, 3), torch.randn(8, 1), seed=0)
            >>> Regression.from_data(dm).model
            Linear(in_features=3, out_features=1, bias=True)
        """
        parameters = inspect.signature(cls.__init__).parameters
        facts = {name: value for name, value in datamodule.facts.items() if name in parameters}
        task = cls(**{**facts, **kwargs})
        task.use_data(datamodule)
        return task

    def use_data(self, datamodule: DataModule) -> None:
        """Connect the task with data, before a run: its preprocess is the data's, or the data's becomes its own.

        Raises:
            DataError: If the task was trained with a preprocess that learned something else.
        """
        own, theirs = self.preprocess, datamodule.preprocess
        learned_only_there = theirs is not None and theirs.state_dict() and own is not None and not own.state_dict()
        if own is None or learned_only_there:
            self.preprocess = theirs
        else:
            datamodule.adopt(own)
        if self.postprocess is None:
            self.postprocess = datamodule.postprocess
        for preprocess in {id(each): each for each in (self.preprocess, datamodule.preprocess)}.values():
            if preprocess is not None:
                self.configure_preprocess(preprocess)

    def configure_preprocess(self, preprocess: Preprocess) -> None:
        """Tell the preprocess what it must know of the network, such as the size of images or the tokenizer.

        Called whenever task and data are connected; override it where there is something to tell.
        """

    # ------------------------------------------------------------------ training

    def forward(self, x: Any) -> Any:
        """Return the network's output for the inputs of a batch.

        A task that says what its features are gives ``forward_head(forward_features(x))``; another one calls its
        ``model``.

        Args:
            x: The inputs of a batch, or their :class:`~flash.data.features.Features`, which are not computed again.
        """
        if isinstance(x, Features):
            return self.forward_head(x.values)
        if type(self).forward_features is not Task.forward_features:
            return self.forward_head(self.forward_features(x))
        if self.model is None:
            raise ConfigurationError(f"Expected {type(self).__name__} to have a model, or to override forward.")
        return self.model(x)

    def forward_features(self, x: Any) -> Any:
        """Return what the backbone gives for the inputs of a batch: tensors with one row a sample.

        Override it, together with :meth:`forward_head`, where the modules of :meth:`modules_to_freeze` and nothing
        else compute it. While all of these are frozen, each sample's features are then computed only once
        (see :class:`~flash.core.frozen_features.FrozenFeatures`).
        """
        raise ConfigurationError(f"Expected {type(self).__name__} to override forward_features, but it does not.")

    def forward_head(self, features: Any) -> Any:
        """Return the network's output for what :meth:`forward_features` gave."""
        raise ConfigurationError(f"Expected {type(self).__name__} to override forward_head, but it does not.")

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the loss of a batch, and what metrics compare; serves training, validation and testing.

        Args:
            batch: ``(inputs, targets)``.
            batch_idx: The number of the batch.

        Returns:
            A dict with ``loss``, and with ``y_hat`` and ``y`` where there are metrics; or the loss alone. A dict
            ``logs`` holds more numbers to log.
        """
        x, y = batch
        y_hat = self(x)
        y = _like_predictions(y, y_hat)
        return {"loss": self.compute_loss(y_hat, y), "y_hat": y_hat, "y": y}

    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:
        """Compare the network's output with the targets."""
        if self.loss_fn is None:
            raise ConfigurationError(
                f"Expected {type(self).__name__} to have a loss_fn, or to override step. "
                "Pass one, such as loss_fn=torch.nn.functional.cross_entropy."
            )
        loss: Tensor = self.loss_fn(y_hat, y)
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run :meth:`step`, and collect what is logged."""
        loss = self._shared_step(batch, batch_idx, "train")
        trainer: Any = self.trainer
        if trainer.logger is not None and (trainer.global_step + 1) % trainer.log_every_n_steps == 0:
            self.log("train_loss_step", loss.detach(), batch_size=1)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run :meth:`step`, and collect what is logged."""
        return self._shared_step(batch, batch_idx, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Run :meth:`step`, and collect what is logged."""
        return self._shared_step(batch, batch_idx, "test")

    def _shared_step(self, batch: Any, batch_idx: int, stage: str) -> Tensor:
        metrics: Any = self.stage_metrics[f"{stage}_metrics"]
        result = self.step(batch, batch_idx)
        if not isinstance(result, dict):
            metrics.update(result)
            return result  # type: ignore[no-any-return]  # step's contract: a dict, or the loss
        loss: Tensor = result["loss"]
        metrics.update(loss, *self.for_metrics(result.get("y_hat"), result.get("y")))
        for name, value in result.get("logs", {}).items():
            self.log(f"{stage}_{name}", value, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def for_metrics(self, y_hat: Any, y: Any) -> tuple[Any, Any]:
        """Return predictions and targets as the metrics take them; by default as they are."""
        return y_hat, y

    def trained_parameters(self) -> list[Any]:
        """Return what the optimizer trains: by default all parameters that are not frozen.

        Override it for groups that have their own settings: ``[{"params": [...], "lr": 1e-3}, ...]``, or
        ``{"params": [...], "lr_factor": 0.1}`` for a part of the learning rate that the optimizer has otherwise. What
        thaws later gets its learning rate from that of the first group.
        """
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def configure_optimizers(self) -> Any:
        """Make the optimizer of all parameters that are not frozen, and the learning-rate scheduler.

        Raises:
            ConfigurationError: If there is nothing to train.
        """
        trained = self.trained_parameters()
        if not trained:
            raise ConfigurationError(
                f"Expected weights to train, but this {type(self).__name__} has none, or all of them are frozen. Give "
                "it a head with weights, or choose the strategy 'no_freeze'."
            )
        optimizer = make_optimizer(self.optimizer, trained, self.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_factor", 1.0)
        if self.lr_scheduler is None:
            return optimizer
        trainer = self._trainer
        return {"optimizer": optimizer, "lr_scheduler": make_lr_scheduler(self.lr_scheduler, optimizer, trainer)}

    def configure_callbacks(self) -> list[Callback]:
        """Bring the callback that logs losses and metrics once an epoch."""
        trainer: Any = self._trainer
        attached = () if trainer is None else trainer.callbacks
        return [] if any(isinstance(callback, MetricLogger) for callback in attached) else [MetricLogger()]

    def modules_to_freeze(self) -> nn.Module | list[nn.Module] | None:
        """Return what finetuning strategies freeze: by default ``backbone``, also inside ``model``."""
        for owner in (self, self.model):
            backbone = getattr(owner, "backbone", None)
            if isinstance(backbone, nn.Module):
                return backbone
        return None

    # ------------------------------------------------------------------ prediction

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> list[Any]:
        """Return one presented result for each sample of a batch."""
        return self.present(self.forward_batch(batch), self._output)

    def forward_batch(self, batch: Any) -> Any:
        """Return the network's output for a batch of inputs, or of ``(inputs, targets)``."""
        paired = isinstance(batch, tuple | list) and len(batch) == 2
        return self(batch[0] if paired else batch)

    def present(self, predictions: Any, output: str | Callable[[Any], Any] | None = None) -> list[Any]:
        """Turn the network's output for a batch into a list with one result a sample.

        Args:
            predictions: What ``forward`` gave.
            output: A name from ``available_outputs()``, a callable, or ``None`` for the default.
        """
        postprocess = self.postprocess or Postprocess()
        return postprocess(predictions, resolve_output(self, output))

    def predict(self, raw: Any, output: str | Callable[[Any], Any] | None = None, batch_size: int = 64) -> list[Any]:
        """Predict raw inputs, which go through the preprocess that the task was trained with.

        Args:
            raw: What the preprocess's ``predict_load_data`` takes: a table, a list of files, an array, ...
            output: A name from ``available_outputs()``, a callable that takes a batch of predictions, or ``None``
                for the task's default.
            batch_size: How many samples the network sees at once.

        Returns:
            One result for each input, in their order.

        Example:
            >>> task = Task(nn.Linear(2, 1))
            >>> [result.shape for result in task.predict(torch.zeros(2, 2), output="raw")]
            [torch.Size([1]), torch.Size([1])]
        """
        if self._lost_preprocess is not None and self.preprocess is None:
            raise self._lost_preprocess
        present = resolve_output(self, output)
        preprocess = self.preprocess or self.preprocess_cls()
        self.configure_preprocess(preprocess)
        hooks = StageHooks(preprocess, Stage.PREDICT)
        postprocess = self.postprocess or Postprocess()
        dataset = AutoDataset(raw, Stage.PREDICT, preprocess)
        by_length = not postprocess.saves
        loader = make_loader(dataset, Stage.PREDICT, preprocess, batch_size=batch_size, by_length=by_length)
        results: list[Any] = []
        with self._evaluating(), torch.inference_mode():
            for batch in loader:
                moved = hooks.transform_on_device(self.transfer_batch_to_device(batch, self.device, 0))
                results += postprocess(self.forward_batch(self._in_own_precision(moved)), present)
        return in_input_order(results, loader)

    def _in_own_precision(self, batch: Any) -> Any:
        """Floats of a batch as the weights are, which a run in half or double precision leaves so."""
        precision = next((each.dtype for each in self.parameters() if each.is_floating_point()), None)
        if precision in (None, torch.get_default_dtype()):
            return batch
        return tree_map(
            lambda each: each.to(precision) if isinstance(each, Tensor) and each.is_floating_point() else each, batch
        )

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True

    @property
    def output(self) -> Any:
        """The presentation that :meth:`predict_step` uses; ``None`` is the task's default."""
        return self._output

    @output.setter
    def output(self, output: Any) -> None:
        resolve_output(self, output)
        self._output = output

    # ------------------------------------------------------------------ what there is to choose from

    @classmethod
    def available_backbones(cls, filter: str | None = None) -> list[str]:
        """The names of the backbones; ``filter`` is a pattern such as ``"res*"``."""
        return cls.backbones.list(filter)

    @classmethod
    def available_finetuning_strategies(cls) -> list[str]:
        """The names that ``trainer.finetune(..., strategy=...)`` takes, those of plugins included."""
        return finetuning_strategies.list()

    @classmethod
    def available_outputs(cls) -> list[str]:
        """The names that ``predict(..., output=...)`` takes."""
        return outputs_of(cls).list()

    @classmethod
    def available_optimizers(cls) -> list[str]:
        """The names that ``optimizer`` takes."""
        from flash.core.optimizers import optimizers

        return optimizers.list()

    @classmethod
    def available_lr_schedulers(cls) -> list[str]:
        """The names that ``lr_scheduler`` takes."""
        from flash.core.optimizers import lr_schedulers

        return lr_schedulers.list()

    # ------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store all that is needed to make this task again. A subclass that overrides this calls it too."""
        checkpoint["flash"] = {
            "format": _FORMAT,
            "version": __version__,
            "task": describe(self),
            "backbone": describe_backbone(self.backbones, self._arguments.plain.get("backbone")),
            "preprocess": self._describe_process(self.preprocess),
            "postprocess": self._describe_process(self.postprocess),
            "random_state": capture_random_state(),
        }
        key = self.CHECKPOINT_HYPER_PARAMS_KEY
        if key in checkpoint:
            checkpoint[key] = {name: value for name, value in checkpoint[key].items() if _is_plain(value)}

    @staticmethod
    def _describe_process(process: Preprocess | Postprocess | None) -> dict[str, Any] | None:
        if process is None:
            return None
        state = to_plain(process.state_dict()) if isinstance(process, Preprocess) else {}
        return {**describe(process), "state": state}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember where the random numbers of the interrupted run were."""
        self._random_state = checkpoint.get("flash", {}).get("random_state")

    def on_train_start(self) -> None:
        """Go on with the random numbers of the interrupted run, if this one resumes it.

        Several processes draw different numbers, of which a checkpoint has only those of one.
        """
        if self._random_state is not None and self.trainer.world_size == 1:
            restore_random_state(self._random_state)
        self._random_state = None

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's has loading options that are unsafe
        cls,
        checkpoint_path: Any,
        map_location: Any = "cpu",
        strict: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Load a task from a checkpoint file or URL, with its preprocess, without a network or pretrained weights.

        Called on :class:`Task` itself, it finds the class of the stored task among the installed plugins. Nothing
        in the file is executed.

        Args:
            checkpoint_path: A path, or an http(s) URL.
            map_location: The device for the weights.
            strict: Whether weights that are missing or too many are an error.
            kwargs: Arguments of the constructor that replace the stored ones; needed for those that a checkpoint
                cannot hold, such as a network. ``preprocess`` and ``postprocess`` are accepted by every task.

        Raises:
            CheckpointError: If the file is missing, truncated or no checkpoint of a Flash task, or holds another
                task than was asked for, or comes from a plugin that is not installed.
            UnsafeCheckpointError: If loading it would execute code.
        """
        checkpoint = read_checkpoint(checkpoint_path, map_location)
        stored = checkpoint.get("flash")
        if not isinstance(stored, dict) or "task" not in stored:
            raise CheckpointError(
                f"Expected a checkpoint of a Flash task, but {checkpoint_path} is one of another program. Load its "
                "weights yourself: task.load_state_dict(torch.load(path, weights_only=True)['state_dict'])."
            )
        if stored["format"] > _FORMAT:
            raise CheckpointError(
                f"Expected a checkpoint of flash-core {__version__} or older, but {checkpoint_path} was written by "
                f"flash-core {stored['version']}: pip install --upgrade flash-core."
            )
        task_class = _choose_class(cls, stored["task"])
        parameters = inspect.signature(task_class.__init__).parameters
        given: dict[str, Any] = {name: kwargs.pop(name) for name in ("preprocess", "postprocess") if name in kwargs}
        # The weights come from the file: nothing is downloaded to be overwritten at once.
        offline = {"pretrained": False} if "pretrained" in parameters else {}
        for name in ("preprocess", "postprocess"):
            stored["task"]["left_out"].pop(name, None)
        with naming_backbone(stored.get("backbone")):
            task: Self = rebuild(
                stored["task"], task_class, {**offline, **kwargs}, source=f"{cls.__name__}.load_from_checkpoint"
            )
            task._load_weights(checkpoint["state_dict"], strict, str(checkpoint_path))
        task._restore_processes(stored, given)
        return task

    def _load_weights(self, weights: dict[str, Tensor], strict: bool, source: str) -> None:
        try:
            self.load_state_dict(weights, strict=strict)
        except CheckpointError:
            raise
        except RuntimeError as error:
            raise CheckpointError(
                f"Expected the weights of a {type(self).__name__} made with the same arguments, but those in {source} "
                f"do not fit: {error}"
            ) from error
        devices = {tensor.device for tensor in weights.values()}
        if len(devices) == 1:
            self.to(devices.pop())

    def _restore_processes(self, stored: dict[str, Any], given: dict[str, Any]) -> None:
        self.preprocess = given.get("preprocess")
        self.postprocess = given.get("postprocess")
        description = stored["preprocess"]
        if self.preprocess is None and description is not None:
            try:
                preprocess = rebuild(description, resolve_class(description, Preprocess), {}, source="Preprocess")
            except (CheckpointError, TypeError) as error:
                name = description["class"].partition(":")[2]
                self._lost_preprocess = CheckpointError(
                    f"Expected the preprocess {name} that the task was trained with, but it cannot be made here. "
                    f"{error} Or pass it: load_from_checkpoint(path, preprocess={name}(...))."
                )
            else:
                self.preprocess = preprocess
        if self.preprocess is not None and description is not None and description["state"]:
            self.preprocess.load_state_dict(description["state"])
        description = stored["postprocess"]
        if self.postprocess is None and description is not None:
            self.postprocess = rebuild(description, resolve_class(description, Postprocess), {}, source="Postprocess")


def _like_predictions(y: Any, y_hat: Any) -> Any:
    """One number a sample, shape ``(batch,)``, as ``(batch, 1)`` where the network gives that.

    Comparing the two as they are would broadcast each prediction to all targets, and teach the mean.
    """
    if isinstance(y, Tensor) and isinstance(y_hat, Tensor) and y.is_floating_point():
        return y.unsqueeze(-1) if y_hat.shape == (*y.shape, 1) else y
    return y


def _choose_class(asked: type[Any], description: dict[str, Any]) -> type[Any]:
    """The class to make: the stored one, or the one that was asked for where that extends it or bears its name."""
    name = description["class"].partition(":")[2]
    bears_the_name = asked is not Task and asked.__qualname__ == name
    try:
        found = resolve_class(description, Task)
    except CheckpointError:
        if bears_the_name:
            return asked
        raise
    if issubclass(found, asked):
        return found
    if bears_the_name or issubclass(asked, found):
        return asked
    raise CheckpointError(
        f"Expected a checkpoint of a {asked.__name__}, but this one holds a {name}. "
        f"Call {name}.load_from_checkpoint, or flash.Task.load_from_checkpoint, which finds the class."
    )


def _is_plain(value: Any) -> bool:
    try:
        to_plain(value)
    except TypeError:
        return False
    return not callable(value)
