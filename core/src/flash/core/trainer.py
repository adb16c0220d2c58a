"""Trainer: Lightning's Trainer with finetuning, task outputs and safe checkpoints."""

from __future__ import annotations

import inspect
import logging
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import pytorch_lightning as pl
from lightning_fabric.plugins import ClusterEnvironment
from pytorch_lightning.callbacks import Callback, ProgressBar
from pytorch_lightning.plugins import CheckpointIO, LayerSync, Precision
from pytorch_lightning.profilers import PassThroughProfiler

from flash.core._finetuning_state import release
from flash.core.callbacks import FlashProgressBar, GatherPredictions
from flash.core.checkpoint import FlashCheckpointIO, resuming_from
from flash.core.finetuning import StrategySpec, resolve_strategy
from flash.core.frozen_features import FrozenFeatures
from flash.core.model import Task
from flash.core.outputs import OutputSpec
from flash.core.registry import Registry
from flash.data.data_module import DataModule
from flash.data.samplers import restore_order, sorted_rows
from flash.errors import ConfigurationError
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


class Trainer(pl.Trainer):
    """Lightning's ``Trainer``, with :meth:`finetune`, and :meth:`predict` with the task's outputs.

    All arguments of Lightning's Trainer work unchanged: loggers, callbacks, devices, precisions, strategies.
    Checkpoints are written atomically, and read without executing code.

    Args:
        callbacks: Lightning callbacks; also names of registered ones, such as ``"keep_best"``, or
            ``("keep_best", {"patience": 5})``.
        plugins: As in Lightning.
        plugin_callbacks: Whether to add the automatic callbacks of installed plugins.
        kwargs: The arguments of Lightning's ``Trainer``, such as ``max_epochs``.

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
        wants_bar = kwargs.get("enable_progress_bar") is not False and not kwargs.get("barebones")
        if wants_bar and not any(isinstance(callback, ProgressBar) for callback in chosen):
            chosen.append(FlashProgressBar())
        given = _as_list(plugins)
        if not any(isinstance(plugin, CheckpointIO) for plugin in given):
            given.append(FlashCheckpointIO())
        if kwargs.get("profiler") is None and not kwargs.get("barebones"):
            kwargs["profiler"] = _NoProfiler()
        _configure_logging()
        super().__init__(callbacks=chosen or None, plugins=given, **kwargs)
        self._strategy: list[Callback] = []

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
        datamodule: pl.LightningDataModule | Loaders | None = None,
        strategy: StrategySpec | None = None,
        ckpt_path: str | Path | None = None,
        train_dataloaders: Loaders | None = None,
        val_dataloaders: Loaders | None = None,
        frozen_features: bool | FrozenFeatures = True,
        **kwargs: Any,
    ) -> None:
        """Train with a finetuning strategy, which freezes and unfreezes modules.

        Args:
            model: The task, or any LightningModule with a ``backbone``.
            datamodule: The data; or a train dataloader.
            strategy: A name from ``Task.available_finetuning_strategies()``, a tuple such as
                ``("freeze_unfreeze", 5)`` or ``("unfreeze_milestones", ((3, 6), 2))``, or a callback.
            ckpt_path: A checkpoint of a run with the same strategy, to resume from.
            train_dataloaders: Train loaders, if there is no data module.
            val_dataloaders: Validation loaders, if there is no data module.
            frozen_features: Whether to cache the features of a frozen backbone if that does not
                change results; or a :class:`~flash.core.frozen_features.FrozenFeatures` with its options.
            kwargs: Nothing else; another argument is an error that says what to write.

        Raises:
            UnknownArgumentError: If there is no such argument.
            FinetuningError: If the strategy is missing, or finds nothing to freeze.
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
        callbacks = resolve_strategy(strategy)
        if frozen_features is not False:
            callbacks.append(frozen_features if isinstance(frozen_features, FrozenFeatures) else FrozenFeatures())
        data = _as_datamodule(datamodule)
        loaders = _as_loaders(datamodule) if train_dataloaders is None else train_dataloaders
        self._finetune(model, callbacks, loaders, val_dataloaders, data, ckpt_path)

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
        # They stay after the run, so that a checkpoint that is saved then can be resumed. They are first in the list,
        # so that they unfreeze before other callbacks run.
        others = [callback for callback in self.callbacks if callback not in self._strategy]
        self.callbacks: list[Callback] = strategy + others
        self._strategy = strategy
        release(model)
        self._connect(model, train_dataloaders, datamodule)
        with warnings.catch_warnings():
            # Lightning warns about a data module without validation data.
            warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
            with resuming_from(ckpt_path):
                super().fit(model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, **kwargs)

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
        with resuming_from(ckpt_path):
            return super().validate(model, dataloaders, ckpt_path, verbose, datamodule, **kwargs)

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
        with resuming_from(ckpt_path):
            return super().test(model, dataloaders, ckpt_path, verbose, datamodule, **kwargs)

    def predict(  # type: ignore[override]
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Loaders | pl.LightningDataModule | None = None,
        datamodule: pl.LightningDataModule | None = None,
        output: OutputSpec | None = None,
        **kwargs: Any,
    ) -> list[Any] | None:
        """Predict, and convert the predictions to the task's output.

        Args:
            model: The task; by default the one of the last run.
            dataloaders: Loaders, or a data module.
            datamodule: The data.
            output: A name from ``task.available_outputs()``, a callable that takes a batch of predictions, or
                ``None`` for the task's default.
            kwargs: Additional arguments of Lightning's ``predict``.

        Returns:
            A list of batches, each a list with one result per sample, such as ``[["ants", "bees"], ["ants"]]``; with
            several processes complete, in order and without duplicates.
        """
        task = model if model is not None else self.lightning_module
        self._connect(task, dataloaders, datamodule)
        if not isinstance(task, Task):
            if output is not None:
                raise ConfigurationError("Expected a Flash task, for output= to be presented, but got another module.")
            return super().predict(model, dataloaders, datamodule, **kwargs)
        before, task.output = task.output, output
        with tempfile.TemporaryDirectory() as folder:
            gather = GatherPredictions(Path(folder) / "predictions")
            self.callbacks.append(gather)
            try:
                with self._by_length(task, dataloaders if datamodule is None else datamodule):
                    batches = super().predict(model, dataloaders, datamodule, **kwargs)
                wanted = kwargs.get("return_predictions") is not False
                if batches is None:
                    return gather.load_saved() if wanted else None
                return _in_input_order(batches, self.predict_dataloaders)
            finally:
                self.callbacks.remove(gather)
                task.output = before

    def _by_length(self, task: Task, data: Any) -> AbstractContextManager[None]:
        """Bucket prediction batches by length when the original order can be restored afterwards."""
        if not isinstance(data, DataModule):
            return nullcontext()
        saves = task.postprocess is not None and task.postprocess.saves
        # The integer 1 means one batch.
        whole = isinstance(self.limit_predict_batches, float) and self.limit_predict_batches == 1.0
        whole = whole and type(task).predict_step is Task.predict_step
        return data.bucket_by_length(self.world_size == 1 and whole and not saves)

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


def _check_order(model: Any) -> None:
    if isinstance(model, pl.LightningDataModule):
        raise ConfigurationError(
            f"Expected the task first and the data second, but got a {type(model).__name__} first: "
            "trainer.fit(task, data)."
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
