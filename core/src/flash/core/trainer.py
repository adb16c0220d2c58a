"""Trainer: Lightning's Trainer with finetuning, task outputs and safe checkpoints."""

from __future__ import annotations

import inspect
import logging
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelSummary, ProgressBar, StochasticWeightAveraging
from pytorch_lightning.plugins import CheckpointIO, LayerSync, Precision
from pytorch_lightning.plugins.environments import ClusterEnvironment  # type: ignore[attr-defined]  # re-exported
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]  # likewise
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from flash.core._finetuning_state import release
from flash.core.averaging import AverageWeights
from flash.core.callbacks import CheckResumed, GatherPredictions, KeepBest, KeepBestIfLogged
from flash.core.checkpoint import FlashCheckpointIO
from flash.core.console import FlashProgressBar, NetworkSummary, clean_console, format_matrix
from flash.core.finetuning import StrategySpec, is_strategy, resolve_strategy
from flash.core.frozen_features import FrozenFeatures
from flash.core.model import Task
from flash.core.outputs import OutputSpec
from flash.core.prediction_files import WritePredictions
from flash.core.registry import Registry
from flash.core.run_state import explaining_damage
from flash.core.sharding import ShardedStrategy
from flash.data.data_module import DataModule
from flash.data.messages import show_values
from flash.data.samplers import restore_order, sorted_rows
from flash.errors import ConfigurationError, FinetuningError
from flash.former import FORMER_MEMBERS, with_former_members
from flash.plugins import get_host
from flash.serialization import call_with, refuse_unknown_arguments

__all__ = ["CallbackSpec", "LightningPlugin", "Loaders", "Trainer"]

#: A callback: one of Lightning, a name, or a pair of a name and its arguments.
CallbackSpec: TypeAlias = Callback | str | tuple[str, Mapping[str, Any]]
#: A plugin of Lightning, as its ``Trainer`` takes it.
LightningPlugin: TypeAlias = Precision | ClusterEnvironment | CheckpointIO | LayerSync
#: A loader of batches, or several: a ``DataLoader``, any other iterable of batches, a list or dict of these.
Loaders: TypeAlias = Iterable[Any]

log = logging.getLogger(__name__)

# The length of a training whose length nobody said, measured on tables of 40 to 50,000 rows, photos and texts
# (benchmarks/quality.py).
_MOST_EPOCHS = 100
_PATIENCE = 10
_EPOCHS_WITHOUT_VALIDATION = 20
# Without validation data, small data is trained on for more epochs, until there are so many batches.
_BATCHES_WITHOUT_VALIDATION = 300

# Callbacks that average weights; Lightning has the last one since 2.6.
_AVERAGES: tuple[type[Callback], ...] = (
    AverageWeights,
    StochasticWeightAveraging,
    *(getattr(pl.callbacks, name) for name in ("WeightAveraging",) if hasattr(pl.callbacks, name)),
)

#: Callbacks of plugins by name.
callback_registry = Registry(
    "callbacks",
    plugins=lambda: get_host().contributions("callback"),
    explain=lambda name: get_host().explain_missing("callback", name),
)


class _NoProfiler(PassThroughProfiler):
    """A no-op profiler that does not create a context manager per call, as Lightning's does."""

    _nothing: AbstractContextManager[Any] = nullcontext()

    def profile(self, action_name: str) -> Any:
        """Return a context that does nothing."""
        return self._nothing


@with_former_members(FORMER_MEMBERS["Trainer"])
class Trainer(pl.Trainer):
    """Lightning's ``Trainer``, with :meth:`finetune`, and :meth:`predict` with the task's outputs.

    All arguments of Lightning's Trainer work unchanged: loggers, callbacks, devices, precisions, strategies.
    Checkpoints are written atomically, and read without executing code.

    Args:
        callbacks: Lightning callbacks; also names of registered ones, such as ``"keep_best"``, or
            ``("keep_best", {"patience": 5})``.
        plugins: As in Lightning.
        plugin_callbacks: Whether to add the automatic callbacks of installed plugins.
        kwargs: The arguments of Lightning's ``Trainer``, such as ``max_epochs``. ``strategy="sharded"`` is
            :class:`~flash.core.sharding.ShardedStrategy`. Without ``max_epochs``, ``max_steps``
            and ``max_time``, a task with validation data trains until its validation loss has not improved for 10
            epochs, at most 100, and keeps its best weights, which some tasks average over the last steps; without
            validation data it trains for 20 epochs.

    Example:
        >>> trainer = Trainer(max_epochs=3, callbacks=["keep_best"], logger=False, enable_checkpointing=False)
        >>> trainer.max_epochs
        3
    """

    def __init__(
        self,
        *,
        callbacks: CallbackSpec | Iterable[CallbackSpec] | None = None,
        plugins: LightningPlugin | Iterable[LightningPlugin] | None = None,
        plugin_callbacks: bool = True,
        **kwargs: Any,
    ) -> None:
        _refuse_unknown(type(self).__name__, pl.Trainer.__init__, kwargs, ["plugin_callbacks"])
        chosen = _make_callbacks(callbacks)
        if plugin_callbacks:
            chosen += _automatic_callbacks()
        for argument, kind, ours in (
            ("enable_progress_bar", ProgressBar, FlashProgressBar),
            ("enable_model_summary", ModelSummary, NetworkSummary),
        ):
            wanted = kwargs.get(argument) is not False and not kwargs.get("barebones")
            if wanted and not any(isinstance(callback, kind) for callback in chosen):
                chosen.append(ours())
        if isinstance(kwargs.get("logger"), str):
            raise ConfigurationError(
                f"Expected a logger of Lightning, such as CSVLogger('logs'), or True or False, but got "
                f"{kwargs['logger']!r}."
            )
        given = _as_list(plugins)
        if not any(isinstance(plugin, CheckpointIO) for plugin in given):
            given.append(FlashCheckpointIO())
        if kwargs.get("strategy") == "sharded":
            kwargs["strategy"] = ShardedStrategy()
        if kwargs.get("profiler") is None and not kwargs.get("barebones"):
            kwargs["profiler"] = _NoProfiler()
        # Lightning would train for 1,000 epochs.
        self._is_open_ended = _is_open_ended(kwargs)
        if self._is_open_ended:
            kwargs["max_epochs"] = _MOST_EPOCHS
        _configure_logging()
        with clean_console(), _saying_where_there_is_no_gpu():
            super().__init__(callbacks=chosen or None, plugins=given, **kwargs)
        self._strategy: list[Callback] = []

    def __repr__(self) -> str:
        """Return a summary: the length of the training, devices, precision, and callbacks."""
        if not hasattr(self, "fit_loop"):  # Lightning logs the object while it is constructed.
            return object.__repr__(self)
        settings: dict[str, object] = {
            "max_epochs": self.max_epochs,
            "max_steps": self.max_steps if self.max_steps > 0 else None,
            "accelerator": type(self.accelerator).__name__.removesuffix("Accelerator").lower(),
            "devices": self.num_devices,
            "precision": self.precision,
            "callbacks": [type(callback) for callback in self.callbacks],
        }
        return f"{type(self).__name__}({show_values(settings)})"

    def fit(  # type: ignore[override]  # additional arguments of newer versions are passed on
        self,
        model: pl.LightningModule,
        train_dataloaders: Loaders | pl.LightningDataModule | None = None,
        val_dataloaders: Loaders | None = None,
        datamodule: pl.LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        """Train all parameters that the user did not freeze; the arguments are those of Lightning's ``fit``."""
        if "strategy" in kwargs:
            raise ConfigurationError(
                "Expected no strategy to fit with, which trains everything, but got "
                f"{kwargs['strategy']!r}. Finetune with it: trainer.finetune(task, data, strategy=...)."
            )
        _refuse_unknown(f"{type(self).__name__}.fit", pl.Trainer.fit, kwargs)
        self._finetune(model, [], train_dataloaders, val_dataloaders, datamodule, ckpt_path, **kwargs)

    def finetune(
        self,
        model: pl.LightningModule,
        train_dataloaders: pl.LightningDataModule | Loaders | None = None,
        val_dataloaders: Loaders | StrategySpec | None = None,
        datamodule: pl.LightningDataModule | Loaders | None = None,
        strategy: StrategySpec | None = None,
        ckpt_path: str | Path | None = None,
        frozen_features: bool | FrozenFeatures = True,
        **kwargs: Any,
    ) -> None:
        """Train with a finetuning strategy, which freezes and unfreezes modules.

        Args:
            model: The task, or any LightningModule with a ``backbone``.
            train_dataloaders: The data: a data module, or train loaders.
            val_dataloaders: Validation loaders, if there is no data module; or the strategy, in the third place.
            datamodule: The data module, by name.
            strategy: A name from ``Task.available_finetuning_strategies()``, a tuple such as
                ``("freeze_unfreeze", 5)`` or ``("unfreeze_milestones", ((3, 6), 2))``, or a callback.
            ckpt_path: A checkpoint of a run with the same strategy, to resume from.
            frozen_features: Whether to cache the features of a frozen backbone if that does not
                change results; or a :class:`~flash.core.frozen_features.FrozenFeatures` with its options.
            kwargs: Nothing else; another argument is an error that says what to write.

        Raises:
            UnknownArgumentError: If there is no such argument.
            FinetuningError: If the strategy is missing, or finds nothing to freeze, or the task overrides
                ``configure_finetune_callback`` of Lightning Flash 0.x.
            UnknownNameError: If the name of the strategy is not registered.

        Example:
            >>> import torch
            >>> class Digits(Task):
            ...     def __init__(self):
            ...         super().__init__(loss_fn=torch.nn.functional.cross_entropy)
            ...         self.backbone, self.head = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)
            ...     def forward(self, x):
            ...         return self.head(self.backbone(x).relu())
            >>> dm = DataModule.from_tensors(torch.randn(8, 4), torch.tensor([0, 1] * 4), seed=0)
            >>> options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
            >>> trainer = Trainer(max_epochs=1, enable_model_summary=False, **options)
            >>> trainer.finetune(Digits(), dm, strategy="freeze")
            >>> trainer.current_epoch
            1
        """
        known = inspect.signature(Trainer.finetune).parameters
        refuse_unknown_arguments(f"{type(self).__name__}.finetune", kwargs, [*known][1:-1])
        _refuse_former_override(model)
        val_loaders, chosen = _by_place(val_dataloaders, strategy)
        callbacks = resolve_strategy(chosen)
        if frozen_features is not False:
            callbacks.append(frozen_features if isinstance(frozen_features, FrozenFeatures) else FrozenFeatures())
        loaders, data = _given_data(train_dataloaders, datamodule)
        self._finetune(model, callbacks, loaders, val_loaders, data, ckpt_path)

    def _finetune(
        self,
        model: pl.LightningModule,
        strategy: list[Callback],
        train_dataloaders: Loaders | pl.LightningDataModule | None,
        val_dataloaders: Loaders | None,
        datamodule: pl.LightningDataModule | None,
        ckpt_path: str | Path | None,
        **kwargs: Any,
    ) -> None:
        _check_order(model)
        if ckpt_path is None and self.max_epochs and 0 < self.max_epochs <= self.current_epoch:
            log.warning(
                "There is nothing left to train: this trainer has trained its %d epochs. Train on with a new Trainer.",
                self.max_epochs,
            )
        # They stay after the run, so that a checkpoint that is saved then can be resumed. They are first in the list,
        # so that they unfreeze before other callbacks run.
        others = [callback for callback in self.callbacks if callback not in self._strategy]
        self.callbacks: list[Callback] = strategy + others
        self._strategy = strategy
        release(model)
        self._connect(model, train_dataloaders, datamodule)
        if self._is_open_ended:
            data = datamodule if isinstance(datamodule, pl.LightningDataModule) else train_dataloaders
            has_validation = _has_validation(model, data, val_dataloaders) and self.limit_val_batches != 0
            self._choose_length(model, has_validation, data)
        console = clean_console(self.progress_bar_callback, freezes=bool(strategy))
        with console, _resuming_from(ckpt_path, self.callbacks):
            super().fit(model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, **kwargs)

    def _choose_length(self, model: pl.LightningModule, has_validation: bool, data: Any) -> None:
        """Train until nothing improves, if there is validation data; else for a number of epochs that fits the data."""
        self.fit_loop.max_epochs = _MOST_EPOCHS if has_validation else _epochs_without_validation(_num_batches(data))
        if not has_validation:
            log.info(
                "Neither max_epochs nor validation data is passed: training for %d epochs.", self.fit_loop.max_epochs
            )
            return
        if not isinstance(model, Task):
            return
        averages = model.averages_weights and not isinstance(self.strategy, ModelParallelStrategy)
        if averages and not any(isinstance(each, _AVERAGES) for each in self.callbacks):
            self.callbacks.insert(len(self._strategy), AverageWeights())
            log.info("What is validated and kept is a moving average of the weights (the callback average_weights).")
        if not any(isinstance(each, KeepBest | EarlyStopping) for each in self.callbacks):
            # Before the callbacks that write checkpoints, which hold its state.
            self.callbacks.insert(len(self._strategy), KeepBestIfLogged(patience=_PATIENCE))
            log.info(
                "No max_epochs is passed: training until val_loss has not improved for %d epochs, at most %d; the best "
                "weights are kept.",
                _PATIENCE,
                _MOST_EPOCHS,
            )

    def validate(  # type: ignore[override]  # as above
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Loaders | pl.LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: pl.LightningDataModule | None = None,
        **kwargs: Any,
    ) -> list[Mapping[str, float]]:
        """Run one validation; the arguments are those of Lightning's ``validate``."""
        self._connect(model, dataloaders, datamodule)
        with clean_console(self.progress_bar_callback), _resuming_from(ckpt_path):
            scores = super().validate(model, dataloaders, ckpt_path, verbose, datamodule, **kwargs)
        self._show_matrices("val", verbose)
        return scores

    def test(  # type: ignore[override]  # as above
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Loaders | pl.LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: pl.LightningDataModule | None = None,
        **kwargs: Any,
    ) -> list[Mapping[str, float]]:
        """Run the test; the arguments are those of Lightning's ``test``."""
        self._connect(model, dataloaders, datamodule)
        with clean_console(self.progress_bar_callback), _resuming_from(ckpt_path):
            scores = super().test(model, dataloaders, ckpt_path, verbose, datamodule, **kwargs)
        self._show_matrices("test", verbose)
        return scores

    def _show_matrices(self, stage: str, verbose: bool) -> None:
        """Print the metrics of a stage that are matrices, which are not in Lightning's table of numbers."""
        task: Any = self.lightning_module
        shows = verbose and self.is_global_zero and isinstance(task, Task)
        for name, value in task.metric_values.items() if shows else ():
            if name.startswith(f"{stage}_") and isinstance(value, Tensor) and value.ndim == 2:
                print(format_matrix(name, value, task.output_names))

    def predict(  # type: ignore[override]
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Loaders | pl.LightningDataModule | None = None,
        datamodule: pl.LightningDataModule | None = None,
        output: OutputSpec | None = None,
        to: str | Path | None = None,
        resume: bool = False,
        **kwargs: Any,
    ) -> list[Any] | None:
        """Predict, and convert the predictions to the task's output.

        Args:
            model: The task; by default the one of the last run.
            dataloaders: Loaders, or a data module.
            datamodule: The data.
            output: A name from ``task.available_outputs()``, a callable that takes a batch of predictions, or
                ``None`` for ``task.output``, else the task's default.
            to: A file to write the predictions to, as they come: .csv, .jsonl or .parquet. It has a row for each
                sample, with its id, in their order, from any number of processes. Until it is complete, what is
                predicted is kept in the folder of that name with ``.parts``, and an older file stays.
            resume: Whether to go on after what an interrupted run has written to that folder, with the same task,
                output and data.
            kwargs: Additional arguments of Lightning's ``predict``.

        Returns:
            A list of batches, each a list with one result per sample, such as ``[["ants", "bees"], ["ants"]]``; with
            several processes complete, in order and without duplicates. ``None`` with ``to``.
        """
        task = model if model is not None else self.lightning_module
        self._connect(task, dataloaders, datamodule)
        if not isinstance(task, Task):
            if output is not None:
                raise ConfigurationError("Expected a Flash task, for output= to be presented, but got another module.")
            with clean_console(self.progress_bar_callback), _resuming_from(kwargs.get("ckpt_path")):
                return super().predict(model, dataloaders, datamodule, **kwargs)
        before, task.output = task.output, task.output if output is None else output
        try:
            if to is not None:
                write = WritePredictions(Path(to), resume=resume)
                self._predict_to(task, write, model, dataloaders, datamodule, **kwargs)
                return None
            if resume:
                raise ConfigurationError(
                    "Expected to= with the file of the interrupted run, but got resume=True alone."
                )
            return self._predict(task, model, dataloaders, datamodule, **kwargs)
        finally:
            task.output = before

    def _predict(self, task: Task, model: Any, dataloaders: Any, datamodule: Any, **kwargs: Any) -> list[Any] | None:
        """Predict, and return the results of all processes in the order of the samples."""
        with tempfile.TemporaryDirectory() as folder:
            gather = GatherPredictions(Path(folder) / "predictions")
            ordering = self._ordering(task, dataloaders if datamodule is None else datamodule)
            resuming = _resuming_from(kwargs.get("ckpt_path"))
            with self._with_callback(gather), clean_console(self.progress_bar_callback), ordering, resuming:
                batches = super().predict(model, dataloaders, datamodule, **kwargs)
            wanted = kwargs.get("return_predictions") is not False
            if batches is None:
                return gather.load_saved() if wanted else None
            # Of several processes, the callback has put them in order.
            return batches if self.world_size > 1 else _in_input_order(batches, self.predict_dataloaders)

    def _predict_to(
        self, task: Task, write: WritePredictions, model: Any, dataloaders: Any, datamodule: Any, **kwargs: Any
    ) -> None:
        """Predict, and let a callback write the results."""
        if kwargs.pop("return_predictions", None):
            raise ConfigurationError(
                "Expected return_predictions=True or to=, but got both: what is written is not held in memory."
            )
        if isinstance(dataloaders, list | tuple | dict):
            raise ConfigurationError(
                f"Expected one loader or a DataModule, to write predictions to one file, but got a "
                f"{type(dataloaders).__name__} of loaders. Call predict for each."
            )
        data = dataloaders if datamodule is None else datamodule
        resuming = _resuming_from(kwargs.get("ckpt_path"))
        with ExitStack() as contexts:
            if isinstance(data, DataModule):
                contexts.enter_context(data.predicting())
                contexts.enter_context(data.predict_in_any_order(self._may_reorder(task)))
            for context in (self._with_callback(write), clean_console(self.progress_bar_callback), resuming):
                contexts.enter_context(context)
            super().predict(model, dataloaders, datamodule, return_predictions=False, **kwargs)

    @contextmanager
    def _with_callback(self, callback: Callback) -> Iterator[None]:
        self.callbacks.append(callback)
        try:
            yield
        finally:
            self.callbacks.remove(callback)

    @contextmanager
    def _ordering(self, task: Task, data: Any) -> Iterator[None]:
        """Let prediction batches come in another order when the original one can be restored afterwards."""
        if not isinstance(data, DataModule):
            yield
            return
        allowed = self._may_reorder(task)
        with data.bucket_by_length(allowed and self.world_size == 1), data.predict_in_any_order(allowed):
            yield

    def _may_reorder(self, task: Task) -> bool:
        """Return whether all batches are predicted, and nothing but their results depends on them."""
        saves = task.postprocess is not None and task.postprocess.saves
        # The integer 1 means one batch.
        whole = isinstance(self.limit_predict_batches, float) and self.limit_predict_batches == 1.0
        return whole and type(task).predict_step is Task.predict_step and not saves

    def save_checkpoint(
        self, filepath: str | Path, weights_only: bool | None = False, storage_options: Any = None
    ) -> None:
        """Save a checkpoint; the arguments are those of Lightning's ``save_checkpoint``."""
        super().save_checkpoint(filepath, weights_only, storage_options)

    def _connect(self, model: Any, dataloaders: Any, datamodule: Any) -> None:
        _check_order(model)
        task = model if model is not None else self.lightning_module
        data = _as_datamodule(dataloaders) if datamodule is None else datamodule
        if isinstance(task, Task) and isinstance(data, DataModule):
            task.use_data(data)


@contextmanager
def _resuming_from(path: str | Path | None, callbacks: list[Callback] | None = None) -> Iterator[None]:
    """Raise an error in words, in place of Lightning's and torch's, if the file to resume from is of another run.

    Args:
        path: The file; ``None`` for a run from the beginning.
        callbacks: Those of the trainer, if it trains.
    """
    if path is None:
        yield
        return
    check = CheckResumed(path)
    if callbacks is not None:
        callbacks.append(check)
    try:
        with explaining_damage(path), _saying_that_other_parameters_are_trained(path):
            yield
    finally:
        if callbacks is not None:
            callbacks.remove(check)


@contextmanager
def _saying_that_other_parameters_are_trained(path: str | Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if "different number of parameter groups" not in str(error):
            raise
        raise FinetuningError(
            f"Expected the run that {path} was saved in, but this one trains other parameters. Resume it with the same "
            "call, fit or finetune, and the same strategy."
        ) from error


@contextmanager
def _saying_where_there_is_no_gpu() -> Iterator[None]:
    try:
        yield
    except MisconfigurationException as error:
        if "No supported gpu backend" not in str(error):
            raise
        raise ConfigurationError(
            "Expected a GPU for accelerator='gpu', but PyTorch finds none here. Leave accelerator out, or check "
            "torch.cuda.is_available()."
        ) from error


def _check_order(model: Any) -> None:
    if isinstance(model, pl.LightningDataModule):
        raise ConfigurationError(
            f"Expected the task first and the data second, but got a {type(model).__name__} first: "
            "trainer.fit(task, data)."
        )


def _by_place(val_dataloaders: Any, strategy: Any) -> tuple[Any, Any]:
    """Return validation loaders and strategy, either of which may be in the third place of ``finetune``."""
    return (None, val_dataloaders) if strategy is None and is_strategy(val_dataloaders) else (val_dataloaders, strategy)


def _given_data(train_dataloaders: Any, datamodule: Any) -> tuple[Any, Any]:
    """Return train loaders and data module, whichever of the two arguments has them; Lightning refuses both."""
    if train_dataloaders is not None and datamodule is not None:
        return train_dataloaders, datamodule
    given = train_dataloaders if datamodule is None else datamodule
    return _as_loaders(given), _as_datamodule(given)


def _refuse_former_override(model: Any) -> None:
    """Reject a task whose choice of a strategy, as in Lightning Flash 0.x, would be ignored in silence."""
    if hasattr(model, "configure_finetune_callback"):
        raise FinetuningError(
            f"Expected the strategy as an argument, but {type(model).__name__} overrides configure_finetune_callback, "
            "which is not called. Remove it, and pass what it returns: trainer.finetune(task, datamodule, "
            "strategy=MyFinetuning())."
        )


def _refuse_unknown(name: str, function: Any, given: Mapping[str, Any], also: Iterable[str] = ()) -> None:
    """Reject arguments that Lightning's method does not take."""
    parameters = inspect.signature(function).parameters.values()
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        known = [each.name for each in parameters if each.name != "self"]
        refuse_unknown_arguments(name, given, [*known, *also])


def _configure_logging() -> None:
    """Configure the logger of Flash as Lightning does for its own, unless the program configured logging."""
    logger = logging.getLogger("flash")
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)


def _in_input_order(batches: list[Any], loader: Any) -> list[Any]:
    rows = sorted_rows(loader)
    if rows is None:
        return batches
    samples = restore_order(rows, [sample for batch in batches for sample in batch])
    size = len(batches[0])
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def _as_datamodule(data: pl.LightningDataModule | Loaders | None) -> pl.LightningDataModule | None:
    return data if isinstance(data, pl.LightningDataModule) else None


def _as_loaders(data: pl.LightningDataModule | Loaders | None) -> Loaders | None:
    return None if isinstance(data, pl.LightningDataModule) else data


def _is_open_ended(arguments: Mapping[str, Any]) -> bool:
    """Return whether the arguments of a trainer say nothing of the length of a training."""
    is_test = arguments.get("fast_dev_run") or arguments.get("barebones")
    unset = arguments.get("max_epochs") is None and arguments.get("max_time") is None
    return unset and arguments.get("max_steps", -1) == -1 and not is_test


def _has_validation(model: pl.LightningModule, data: Any, val_dataloaders: Any) -> bool:
    if isinstance(data, DataModule):
        return data.val_dataset is not None
    owner = data if isinstance(data, pl.LightningDataModule) else model
    return val_dataloaders is not None or is_overridden("val_dataloader", owner)


def _epochs_without_validation(batches: int | None) -> int:
    """Return 20 epochs, and more for small data, at most 100.

    Example:
        >>> [_epochs_without_validation(batches) for batches in (1, 4, 5, 100, None)]
        [100, 75, 60, 20, 20]
    """
    enough = 0 if not batches else math.ceil(_BATCHES_WITHOUT_VALIDATION / batches)
    return min(max(_EPOCHS_WITHOUT_VALIDATION, enough), _MOST_EPOCHS)


def _num_batches(data: Any) -> int | None:
    """Return the number of train batches in an epoch; ``None`` if it is not known before they are made."""
    if isinstance(data, DataModule):
        samples = data.train_dataset
        return math.ceil(len(samples) / data.batch_size) if hasattr(samples, "__len__") else None
    # Lightning also takes lists and dicts of loaders, whose own length is not that of an epoch.
    return len(data) if isinstance(data, DataLoader) and not isinstance(data.dataset, IterableDataset) else None


def _as_list(plugins: LightningPlugin | Iterable[LightningPlugin] | None) -> list[LightningPlugin]:
    if plugins is None:
        return []
    return [plugins] if isinstance(plugins, LightningPlugin) else list(plugins)


def _make_callbacks(callbacks: CallbackSpec | Iterable[CallbackSpec] | None) -> list[Callback]:
    if callbacks is None:
        return []
    if isinstance(callbacks, Callback | str | tuple) or not isinstance(callbacks, Iterable):
        callbacks = [callbacks]
    return [_make_callback(callback) for callback in callbacks]


def _make_callback(callback: Any) -> Callback:
    if isinstance(callback, Callback):
        return callback
    name, arguments = callback if isinstance(callback, tuple) and len(callback) == 2 else (callback, {})
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise ConfigurationError(
            f"Expected a Lightning callback, a name such as 'keep_best', or (name, arguments), but got {callback!r}."
        )
    made: Callback = call_with(f"the callback {name!r}", callback_registry.get(name), keywords=arguments)
    return made


def _automatic_callbacks() -> list[Callback]:
    made = []
    for name, contribution in get_host().callbacks().items():
        if contribution.spec.automatic:
            provider = contribution.provider
            log.info(
                "The plugin %s %s adds the callback %s; Trainer(plugin_callbacks=False) leaves it out.",
                provider.dist,
                provider.version,
                name,
            )
            made.append(_make_callback(name))
    return made
