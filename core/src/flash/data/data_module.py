"""DataModule: the datasets and loaders of all stages."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import Self

from flash.data.auto_dataset import AutoDataset, SourceRows
from flash.data.batch import Features
from flash.data.columns import ArrayTree, Columns
from flash.data.loader import Loader, SamplerSpec, check_count, make_loader
from flash.data.messages import show_values
from flash.data.process import Postprocess, Preprocess, StageHooks
from flash.data.recognition import RawData, Recognition
from flash.data.showing import draw_batch
from flash.data.splits import GroupSpec, Split, groups_of, split_inputs, times_of
from flash.data.stage import Stage
from flash.data.streams import AutoStream, load_dataset
from flash.errors import CheckpointError, ConfigurationError, DataError
from flash.former import FORMER_ARGUMENTS, FORMER_MEMBERS, with_former_members
from flash.plugins import get_host
from flash.plugins.registry import Registry
from flash.serialization import refuse_unknown_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DataModule"]


@with_former_members(FORMER_MEMBERS["DataModule"])
class DataModule(pl.LightningDataModule):
    """Datasets for training, validation, testing and prediction, with their preprocessing hooks.

    Takes any torch datasets. The ``from_*`` constructors of the domains create the datasets from files, tables or
    arrays; all of them call :meth:`from_load_data_inputs`.

    Args:
        train_dataset: Samples to train on.
        val_dataset: Samples to validate on.
        test_dataset: Samples to test on.
        predict_dataset: Samples to predict.
        preprocess: The hooks that load and transform samples and batches; without it, samples are collated
            unchanged.
        postprocess: The hooks that transform predictions.
        batch_size: Number of samples per batch.
        num_workers: Number of worker processes; 0 loads in this process.
        val_split: A fraction of the train samples, between 0 and 1, to use for validation instead; stratified if
            there are classes.
        test_split: A fraction of the train samples to use for testing instead; they are taken before those of
            ``val_split``, which is then a fraction of the other ones.
        groups: Train samples that the splits must not divide, such as the images of one patient: one group per
            sample, in the order of the train data; a function of the path or text of a sample; or the name of a column
            of the train table.
        times: The time of each train sample, in the same forms, as numbers or dates such as ``"2024-05-31"``: the
            splits then take the latest samples, instead of random ones.
        seed: Seed of the splits and the order of train samples. ``None`` draws one from torch's global
            generator, so that it depends on ``seed_everything``.
        sampler: A sampler of the train rows, instead of shuffling: a torch sampler, or a class or function that
            returns one for the dataset.
        pin_memory: Whether to use pinned memory; by default if CUDA is available.
        persistent_workers: Whether workers are kept alive between epochs.

    Raises:
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> dataset = TensorDataset(torch.randn(10, 3), torch.randint(0, 2, (10,)))
        >>> dm = DataModule(train_dataset=dataset, batch_size=4, val_split=0.2, seed=0)
        >>> len(dm.train_dataset), len(dm.val_dataset)
        (8, 2)
    """

    preprocess_cls: ClassVar[type[Preprocess]] = Preprocess
    postprocess_cls: ClassVar[type[Postprocess]] = Postprocess
    #: Arguments of older programs that the constructors do not take, with what to write instead.
    former_arguments: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init__(
        self,
        train_dataset: Dataset[Any] | None = None,
        val_dataset: Dataset[Any] | None = None,
        test_dataset: Dataset[Any] | None = None,
        predict_dataset: Dataset[Any] | None = None,
        *,
        preprocess: Preprocess | None = None,
        postprocess: Postprocess | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        val_split: float | None = None,
        test_split: float | None = None,
        groups: GroupSpec | None = None,
        times: GroupSpec | None = None,
        seed: int | None = None,
        sampler: SamplerSpec | None = None,
        pin_memory: bool | None = None,
        persistent_workers: bool = True,
    ) -> None:
        super().__init__()
        check_count("batch_size", batch_size)
        check_count("num_workers", num_workers, minimum=0)
        self.preprocess = preprocess
        self.postprocess = postprocess
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = int(torch.randint(2**31, (1,)).item()) if seed is None else seed
        self.sampler = sampler
        self._loader_options = {
            "pin_memory": torch.cuda.is_available() if pin_memory is None else pin_memory,
            "persistent_workers": persistent_workers,
        }
        given = {
            Stage.TRAIN: train_dataset,
            Stage.VAL: val_dataset,
            Stage.TEST: test_dataset,
            Stage.PREDICT: predict_dataset,
        }
        given = {stage: dataset for stage, dataset in given.items() if dataset is not None}
        # The rows of the train data that the samples of a stage are, after a split.
        self._source_rows: dict[Stage, SourceRows] = {}
        splits = {"val_split": val_split, "test_split": test_split, "groups": groups, "times": times}
        splits = {name: value for name, value in splits.items() if value is not None}
        if splits:
            given |= self._split(given, splits)
        # Without train data, inputs are loaded by the preprocess of the task that is bound later.
        self._pending_inputs: dict[Stage, Any] = {}
        if preprocess is not None:
            self._pending_inputs = {stage: data for stage, data in given.items() if not _is_loaded(data)}
        self._datasets = {stage: data for stage, data in given.items() if stage not in self._pending_inputs}
        self._device_hooks: dict[Stage, StageHooks] = {}
        # The requirements of the connected task's network on its inputs.
        self._input_spec: Any = None
        # Cached features of a frozen backbone for all rows of a stage, with the targets.
        self._features: dict[Stage, Columns] = {}
        # Off by default: prediction samples are sorted by length only if the caller restores the order of the results.
        self._predicts_by_length = False
        self._predicts_in_any_order = False
        self._rows_to_predict: Sequence[int] | None = None
        if preprocess is not None and (Stage.TRAIN in self._pending_inputs or preprocess.state_dict()):
            self._load_pending()

    def _split(self, given: Mapping[Stage, Any], options: Mapping[str, Any]) -> dict[Stage, Any]:
        """Split the train data before it is loaded: first the test rows off, then the validation rows."""
        by = {name: options[name] for name in _PER_ROW if name in options}
        stages = [stage for stage in (Stage.TEST, Stage.VAL) if f"{stage.value}_split" in options]
        if by and not stages:
            name = next(iter(by))
            raise ConfigurationError(f"Expected {name} together with val_split or test_split, but got {name} alone.")
        if len(stages) > 1:
            _check_by_both(by)
        parts: dict[Stage, Any] = {}
        for stage in stages:
            fraction = options[f"{stage.value}_split"]
            _check_split(stage, fraction, given, self.sampler)
            rest = parts.get(Stage.TRAIN, given[Stage.TRAIN])
            parts[Stage.TRAIN], parts[stage] = split = self._split_off(stage, rest, fraction, by)
            is_first = len(parts) == 2
            before = self._source_rows.pop(Stage.TRAIN, None)
            # The split of a preprocess may return another pair.
            if isinstance(split, Split) and (is_first or before is not None):
                for part, rows in zip((Stage.TRAIN, stage), split.rows, strict=True):
                    self._source_rows[part] = SourceRows(Stage.TRAIN, rows) if before is None else before.take(rows)
        return parts

    def _split_off(self, stage: Stage, data: Any, fraction: float, by: Mapping[str, GroupSpec]) -> tuple[Any, Any]:
        """Return the rows that are left, and those for the stage."""
        if _is_loaded(data):
            raise ConfigurationError(
                f"Expected train data that is not loaded yet, since {stage.value}_split takes rows away before "
                "anything is learned from them, but got an AutoDataset. Use from_load_data_inputs(..., "
                f"{stage.value}_split=...)."
            )
        split: Callable[..., Any] = split_inputs if self.preprocess is None else self.preprocess.split
        for name in by:
            if name not in inspect.signature(split).parameters:
                raise ConfigurationError(
                    f"Expected a preprocess whose split takes {name}, but {type(self.preprocess).__name__}.split does "
                    f"not. Add the argument {name}=None to it, or pass {stage.value} data instead of "
                    f"{stage.value}_split."
                )
        values = {name: _PER_ROW[name](data, given) for name, given in by.items()}
        return cast("tuple[Any, Any]", split(data, fraction, self.seed, **values))

    # ------------------------------------------------------------------ constructors

    @classmethod
    def check_arguments(cls, given: Iterable[str], also: Iterable[str] = ()) -> None:
        """Reject unknown keyword arguments of a ``from_*`` constructor.

        Call it first in each constructor that passes ``**kwargs`` on, so that a typo is an error before data is read.

        Args:
            given: The names of the arguments that are passed on.
            also: Additional names that the constructor takes.

        Raises:
            UnknownArgumentError: If an argument is unknown; the message names the closest one.

        Example:
            >>> DataModule.check_arguments(["batch_size", "separator"], also=["separator"])
        """
        own: Mapping[str, inspect.Parameter] = inspect.signature(cls.__init__).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
            own = {**inspect.signature(DataModule.__init__).parameters, **own}
        known = [*also, *(name for name in own if name != "self" and not name.endswith("_dataset"))]
        if any(name not in known for name in given):
            constructor = _constructor_called(cls)
            parameters = inspect.signature(getattr(cls, constructor)).parameters.values()
            named = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
            unknown = [name for name in given if name not in known]
            former = {**FORMER_ARGUMENTS, **cls.former_arguments}
            refuse_unknown_arguments(f"{cls.__name__}.{constructor}", unknown, [*named, *known], former)

    @classmethod
    def from_load_data_inputs(
        cls,
        train_load_data_input: Any = None,
        val_load_data_input: Any = None,
        test_load_data_input: Any = None,
        predict_load_data_input: Any = None,
        *,
        preprocess: Preprocess | None = None,
        postprocess: Postprocess | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from raw inputs: each is passed to the preprocess's ``load_data`` for its stage.

        Train data is loaded first, so that the preprocess knows its statistics and labels. Without train data, the
        inputs are loaded when a task with a preprocess is bound.

        Args:
            train_load_data_input: The argument of ``train_load_data`` or ``load_data``.
            val_load_data_input: The same for validation.
            test_load_data_input: The same for testing.
            predict_load_data_input: The same for prediction.
            preprocess: The hooks; by default a new ``cls.preprocess_cls()``.
            postprocess: The hooks for predictions; by default a new ``cls.postprocess_cls()``.
            kwargs: The arguments of the constructor, such as ``batch_size``.

        Example:
            >>> dm = DataModule.from_load_data_inputs(train_load_data_input=[(1.0, 2.0), (3.0, 4.0)], batch_size=2)
            >>> len(dm.train_dataset)
            2
        """
        cls.check_arguments(kwargs)
        inputs: dict[Stage, Any] = {
            Stage.TRAIN: train_load_data_input,
            Stage.VAL: val_load_data_input,
            Stage.TEST: test_load_data_input,
            Stage.PREDICT: predict_load_data_input,
        }
        inputs = {stage: data for stage, data in inputs.items() if data is not None}
        if not inputs:
            raise DataError(f"Expected data for at least one stage, but {cls.__name__} was given none.")
        fitted = preprocess is not None and bool(preprocess.state_dict())
        preprocess = cls.preprocess_cls() if preprocess is None else preprocess
        postprocess = cls.postprocess_cls() if postprocess is None else postprocess
        splits = {name: kwargs.pop(name) for name in _SPLITS if name in kwargs}
        splits = {name: value for name, value in splits.items() if value is not None}
        module = cls(preprocess=preprocess, postprocess=postprocess, **kwargs)
        if splits:
            inputs |= module._split(inputs, splits)
        module._pending_inputs = inputs
        if fitted or Stage.TRAIN in inputs:
            module._load_pending()
        return module

    @classmethod
    def from_tensors(
        cls,
        train_data: ArrayTree | None = None,
        train_targets: ArrayTree | None = None,
        val_data: ArrayTree | None = None,
        val_targets: ArrayTree | None = None,
        test_data: ArrayTree | None = None,
        test_targets: ArrayTree | None = None,
        predict_data: ArrayTree | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from tensors in memory, one row per sample.

        Args:
            train_data: Inputs, shape ``(rows, ...)``; also a dict or tuple of such, for a network of several inputs.
            train_targets: Targets, shape ``(rows,)`` or ``(rows, ...)``.
            val_data: Inputs for validation.
            val_targets: Targets for validation.
            test_data: Inputs for testing.
            test_targets: Targets for testing.
            predict_data: Inputs for prediction.
            kwargs: As for :meth:`from_load_data_inputs`.

        Example:
            >>> import torch
            >>> dm = DataModule.from_tensors(torch.randn(6, 2), torch.tensor([0, 1, 2, 0, 1, 2]), seed=0)
            >>> dm.num_classes
            3
        """
        kwargs.setdefault("preprocess", TensorPreprocess())
        return cls.from_load_data_inputs(
            train_load_data_input=_pair("train", train_data, train_targets),
            val_load_data_input=_pair("val", val_data, val_targets),
            test_load_data_input=_pair("test", test_data, test_targets),
            predict_load_data_input=predict_data,
            **kwargs,
        )

    @classmethod
    def from_numpy(cls, *args: Any, **kwargs: Any) -> Self:
        """Create a data module from numpy arrays; the arguments are those of :meth:`from_tensors`.

        Float arrays are converted to torch's default dtype.

        Example:
            >>> import numpy as np
            >>> dm = DataModule.from_numpy(np.zeros((4, 2)), np.zeros(4), batch_size=4, seed=0)
            >>> next(iter(dm.train_dataloader()))[0].dtype
            torch.float32
        """
        return cls.from_tensors(*args, **kwargs)

    @classmethod
    def from_datasets(  # type: ignore[override]  # the arguments and the type of this class
        cls,
        train_dataset: Dataset[Any] | None = None,
        val_dataset: Dataset[Any] | None = None,
        test_dataset: Dataset[Any] | None = None,
        predict_dataset: Dataset[Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a data module from torch datasets; the same as calling the class."""
        cls.check_arguments(kwargs, ["preprocess", "postprocess"])
        return cls(train_dataset, val_dataset, test_dataset, predict_dataset, **kwargs)

    @classmethod
    def from_source(cls, source: str, **kwargs: Any) -> Self:
        """Create a data module with a data source that a plugin registered.

        Args:
            source: The name of the source; ``cls.available_sources()`` lists them.
            kwargs: The arguments of the source.

        Raises:
            UnknownNameError: If no installed plugin registers the source for this data module.
        """
        module: Self = cls.source_factory(source)(cls, **kwargs)
        return module

    @classmethod
    def source_factory(cls, source: str) -> Callable[..., Any]:
        """Return what :meth:`from_source` calls with the class and the arguments.

        Args:
            source: The name of the source.

        Raises:
            UnknownNameError: If no installed plugin registers the source for this data module.
        """
        factory: Callable[..., Any] = cls._sources().get(source)
        return factory

    @classmethod
    def recognize(
        cls,
        raw: RawData,  # noqa: ARG003  # for subclasses
        target_fields: str | Sequence[str] | None = None,  # noqa: ARG003
    ) -> Recognition | None:
        """Return how this data module reads raw data; ``None`` if it is not for it.

        ``flash baseline`` asks the data module of each task, and takes the one that is most sure. Override it for a
        domain.

        Args:
            raw: A table or a folder.
            target_fields: The columns of targets, if it is a table.
        """
        return None

    @classmethod
    def available_sources(cls) -> list[str]:
        """Return the names of the data sources that plugins registered for this data module."""
        return cls._sources().list()

    @classmethod
    def _sources(cls) -> Registry:
        paths = {f"{base.__module__}:{base.__qualname__}" for base in cls.__mro__}
        host = get_host()
        scopes = {"*"} | {task.name for task in host.contributions("task") if task.spec.data in paths}
        return Registry(
            f"data sources of {cls.__name__}",
            plugins=lambda: [each for each in host.contributions("data source") if each.spec.scope in scopes],
            explain=lambda name: host.explain_missing("data source", name),
        )

    def __repr__(self) -> str:
        """Return a summary: the number of samples per stage, and facts of the train data."""
        counts: dict[str, object] = {stage.value: self._count(stage) for stage in Stage}
        # The facts of data that is not loaded yet are not known, and this does not load it.
        facts = {} if Stage.TRAIN in self._pending_inputs else self.facts
        return f"{type(self).__name__}({show_values({**counts, 'batch_size': self.batch_size, **facts})})"

    __str__ = __repr__

    def _count(self, stage: Stage) -> int | str | None:
        if stage in self._pending_inputs:
            return "not loaded"
        dataset = self._datasets.get(stage)
        return None if dataset is None else len(dataset) if hasattr(dataset, "__len__") else "stream"

    # ------------------------------------------------------------------ datasets and facts

    @property
    def train_dataset(self) -> Any:
        """The samples to train on, or ``None``."""
        return self._dataset(Stage.TRAIN)

    @property
    def val_dataset(self) -> Any:
        """The samples to validate on, or ``None``."""
        return self._dataset(Stage.VAL)

    @property
    def test_dataset(self) -> Any:
        """The samples to test on, or ``None``."""
        return self._dataset(Stage.TEST)

    @property
    def predict_dataset(self) -> Any:
        """The samples to predict, or ``None``."""
        return self._dataset(Stage.PREDICT)

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of the train data for the task: ``num_classes``, ``labels``, ``num_inputs``, ...

        These are the attributes that the preprocess's ``load_data`` set on the train dataset.
        """
        return self.train_dataset.facts if isinstance(self.train_dataset, AutoDataset | AutoStream) else {}

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the train targets; ``None`` if they are not classes."""
        number: int | None = self._fact("num_classes")
        return number

    @property
    def labels(self) -> list[Any] | None:
        """Names of the classes, in the order of their indices; ``None`` if they have none."""
        names: list[Any] | None = self._fact("labels")
        return names

    @property
    def multi_label(self) -> bool:
        """True if a sample can have several classes at once."""
        return bool(self._fact("multi_label"))

    def _fact(self, name: str) -> Any:
        return self.facts.get(name, getattr(self.train_dataset, name, None))

    def _dataset(self, stage: Stage) -> Any:
        if stage in self._pending_inputs:
            self._load_pending()
        return self._datasets.get(stage)

    def indexed_dataset(self, stage: str) -> AutoDataset:
        """Return the samples of a stage with their hooks, to look at some of them by index.

        Args:
            stage: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.

        Raises:
            DataError: If there is no data for the stage, or it is a stream.
            ConfigurationError: If there is no such stage.

        Example:
            >>> dm = DataModule.from_load_data_inputs(train_load_data_input=["sun", "moon"])
            >>> dm.indexed_dataset("train").display([1])
            ['moon']
        """
        if stage not in [each.value for each in Stage]:
            names = ", ".join(repr(each.value) for each in Stage)
            raise ConfigurationError(f"Expected a stage among {names}, but got {stage!r}.")
        chosen = Stage(stage)
        dataset = self._dataset(chosen)
        if dataset is None:
            raise DataError(
                f"Expected {chosen.value} data to look at, but this {type(self).__name__} has none. Pass it when the "
                f"data module is made, or choose a stage that has data: stage={self._stages_with_data()}."
            )
        if not _is_loaded(dataset):  # any torch dataset, without hooks
            hooks = self.preprocess or Preprocess()
            dataset = load_dataset(dataset, chosen, hooks, self._input_spec, self._source_rows.get(chosen))
        if isinstance(dataset, AutoStream):
            raise DataError(
                f"Expected {chosen.value} data with a length and indices, to look at some samples again, but it is a "
                "stream. Make a data module of some of them: list(itertools.islice(stream, 1000))."
            )
        return dataset  # type: ignore[no-any-return]  # that is what is left

    def _stages_with_data(self) -> str:
        return " or ".join(repr(each.value) for each in Stage if self._dataset(each) is not None) or "none"

    def _load_pending(self) -> None:
        assert self.preprocess is not None
        # In the order of the stages: train first.
        for stage in sorted(self._pending_inputs, key=list(Stage).index):
            self._datasets[stage] = load_dataset(
                self._pending_inputs[stage], stage, self.preprocess, self._input_spec, self._source_rows.get(stage)
            )
        self._pending_inputs = {}

    # ------------------------------------------------------------------ the task

    def use_preprocess(self, preprocess: Preprocess) -> None:
        """Use the preprocess that a task was trained with.

        Raises:
            DataError: If this module's own preprocess has other statistics or labels from its train data.
        """
        if preprocess is self.preprocess:
            return
        own = self.preprocess.state_dict() if self.preprocess is not None else {}
        if self.preprocess and own and preprocess.state_dict() and not self.preprocess.agrees_with(preprocess):
            raise DataError(
                "Expected data that is prepared as the task's train data was, but this data module learned other "
                "statistics or labels from its own train data. Make the data module with the task's: "
                f"{type(self).__name__}.from_...(..., preprocess=task.preprocess)."
            )
        if self._pending_inputs and not own:
            self.preprocess = preprocess

    @property
    def input_spec(self) -> Any:
        """Requirements of the connected task's network on its inputs; ``None`` if no task is connected."""
        return self._input_spec

    def connect(self, input_spec: Any) -> None:
        """Prepare batches for a network; called by :func:`flash.core.binding.bind`.

        Args:
            input_spec: The requirements of the network on its inputs.

        Raises:
            ConfigurationError: If the preprocess cannot meet them.
        """
        if self.preprocess is not None:
            self.preprocess.check_input_spec(input_spec)
        self._input_spec = input_spec
        for stage, dataset in self._datasets.items():
            if isinstance(dataset, AutoDataset | AutoStream):
                self._datasets[stage] = dataset.with_input_spec(input_spec)

    # ------------------------------------------------------------------ loaders

    @contextmanager
    def bucket_by_length(self, allowed: bool) -> Iterator[None]:
        """Sort prediction samples by length for the duration of the context, if allowed.

        The caller restores the order of the results with :func:`flash.data.samplers.restore_order`.
        """
        self._predicts_by_length = allowed
        try:
            yield
        finally:
            self._predicts_by_length = False

    @contextmanager
    def predict_in_any_order(self, allowed: bool) -> Iterator[None]:
        """Let workers read parts of their own of samples on disk for the duration of the context, if allowed.

        Prediction batches then come in another order. The caller restores the order of the results with
        :func:`flash.data.loader.rows_of_batch`, or with :func:`flash.data.samplers.restore_order`.
        """
        self._predicts_in_any_order = allowed
        try:
            yield
        finally:
            self._predicts_in_any_order = False

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Forget at the end of the context which samples :meth:`predict_only` chose."""
        try:
            yield
        finally:
            self._rows_to_predict = None

    def predict_only(self, rows: Sequence[int]) -> None:
        """Let the prediction loader have some samples alone, within :meth:`predicting`.

        Args:
            rows: Their places among the samples for prediction.
        """
        self._rows_to_predict = rows

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the train samples, shuffled."""
        if self.train_dataset is None:
            raise DataError(
                f"Expected train data, but this {type(self).__name__} has none. Pass a train_ argument, such as "
                "train_file, train_data_frame or train_dataset."
            )
        return self._loader(Stage.TRAIN)

    def val_dataloader(self) -> Any:
        """Return the loader of the validation samples; an empty list if there are none."""
        return [] if self.val_dataset is None else self._loader(Stage.VAL)

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the test samples."""
        return self._required(Stage.TEST)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the samples to predict."""
        return self._required(Stage.PREDICT)

    def _required(self, stage: Stage) -> DataLoader[Any]:
        if self._dataset(stage) is None:
            raise DataError(
                f"Expected {stage.value} data, but this {type(self).__name__} has none. "
                f"Pass a {stage.value}_ argument, such as {stage.value}_file or {stage.value}_data_frame."
            )
        return self._loader(stage)

    def _loader(self, stage: Stage) -> DataLoader[Any]:
        trainer: Any = self.trainer
        dataset = self._dataset(stage)
        if stage is Stage.PREDICT and self._rows_to_predict is not None:
            dataset = dataset.subset(self._rows_to_predict, stage)
        loader = make_loader(
            dataset,
            stage,
            self.preprocess,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            seed=self.seed,
            # current_epoch is not updated yet when the loaders of a resumed run are created.
            epoch=trainer.fit_loop.epoch_progress.current.processed if trainer is not None else 0,
            shard=(trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1),
            sampler=self.sampler if stage is Stage.TRAIN else None,
            by_length=stage is not Stage.PREDICT or self._predicts_by_length,
            in_any_order=self._predicts_in_any_order if stage is Stage.PREDICT else _evaluates_all(trainer, stage),
            **self._loader_options,
        )
        if isinstance(loader, Loader):
            loader.features = partial(self._features.get, stage)
        return loader

    def cache_features(self, stage: Stage, columns: Columns) -> None:
        """Use cached features for the batches of a stage, instead of its samples.

        Args:
            stage: The stage.
            columns: The features and the targets of all its samples, in dataset order.
        """
        self._features[stage] = columns

    def clear_features(self) -> None:
        """Remove cached features, so that all batches are made from samples again."""
        self._features.clear()

    # ------------------------------------------------------------------ figures

    def show_batch(self, stage: str = "train", count: int = 9) -> Figure:
        """Draw samples of a stage with their targets, as :meth:`flash.Preprocess.display` shows them.

        Images are drawn after all transforms, as the network takes them.

        Args:
            stage: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            count: The maximum number of samples; they are drawn at random with the data module's ``seed``.

        Returns:
            A matplotlib figure, which notebooks display; ``figure.savefig("batch.png")`` saves it.

        Raises:
            DataError: If there is no data for the stage, or it is a stream.
            ConfigurationError: If matplotlib is not installed, or ``count`` is not a positive integer.
        """
        return draw_batch(self.indexed_dataset(stage), count, self.seed, self.labels)

    def plot_predictions(self, task: Any, stage: str = "val", count: int = 9) -> Figure:
        """Draw predictions of a task beside the targets; the same as ``task.plot_predictions(self, stage, count)``.

        Args:
            task: A :class:`flash.Task`.
            stage: ``"val"``, ``"train"``, ``"test"`` or ``"predict"``.
            count: The maximum number of samples.
        """
        figure: Figure = task.plot_predictions(self, stage, count)
        return figure

    # ------------------------------------------------------------------ Lightning's hooks

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch to the device; batches are on the CPU already."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Run the device hooks of the preprocess."""
        if self.preprocess is None or (isinstance(batch, tuple | list) and batch and isinstance(batch[0], Features)):
            return batch
        hooks = self._hooks_now(self.preprocess)
        if not hooks.transforms_on_device:
            return batch
        # Lightning converted the batch of the loader to the run's precision; the hooks may have created new tensors.
        trainer: Any = self.trainer
        return trainer.precision_plugin.convert_input(hooks.transform_on_device(batch))

    def _hooks_now(self, preprocess: Preprocess) -> StageHooks:
        stage = _stage_of(self.trainer)
        hooks = self._device_hooks.get(stage)
        known = hooks is not None and hooks.preprocess is preprocess and hooks.input_spec is self._input_spec
        if hooks is None or not known:
            hooks = self._device_hooks[stage] = StageHooks(preprocess, stage, self._input_spec)
        return hooks

    def state_dict(self) -> dict[str, Any]:
        """Return the seed, so that a resumed run has the same batches as an uninterrupted one."""
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the seed of the run that is resumed.

        Raises:
            CheckpointError: If there is none, or it is not a whole number from 0.
        """
        seed = state_dict.get("seed") if isinstance(state_dict, dict) else None
        if not isinstance(seed, int) or not 0 <= seed < 1 << 63:
            raise CheckpointError(
                f"Expected the seed of the run in the checkpoint, a whole number from 0, but got {seed!r:.50}. The "
                "file is damaged, or of another program: use an earlier one."
            )
        self.seed = seed


class TensorPreprocess(Preprocess):
    """Arrays or tensors with their targets, in memory."""

    def load_data(self, data: Any, dataset: Any) -> Columns:
        columns = Columns(tuple(_in_default_dtype(part) for part in data))
        if self.training:
            inputs, targets = columns.tree
            if isinstance(inputs, Tensor):
                dataset.num_inputs = inputs.shape[-1]
            if isinstance(targets, Tensor) and not targets.is_floating_point() and targets.ndim == 1:
                dataset.num_classes = int(targets.max()) + 1
        return columns

    def predict_load_data(self, data: Any) -> Columns:
        return Columns(_in_default_dtype(data))


# The former name, which checkpoints of 0.1.0 refer to.
_PairPreprocess = TensorPreprocess


def _constructor_called(cls: type) -> str:
    """Return the name of the outermost ``from_*`` constructor of a class on the call stack."""
    found, frame = "from_load_data_inputs", sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name.startswith("from_") and frame.f_locals.get("cls") is cls:
            found = frame.f_code.co_name
        frame = frame.f_back  # type: ignore[assignment]  # None at the end
    return found


def _in_default_dtype(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {name: _in_default_dtype(part) for name, part in data.items()}
    if isinstance(data, tuple) and any(isinstance(part, Tensor | np.ndarray | Mapping) for part in data):
        return tuple(map(_in_default_dtype, data))
    tensor = torch.as_tensor(data)
    return tensor.to(torch.get_default_dtype()) if tensor.dtype is torch.float64 else tensor


def _pair(stage: str, data: Any, targets: Any) -> Any:
    if (data is None) != (targets is None):
        missing, given = ("targets", "data") if targets is None else ("data", "targets")
        raise DataError(f"Expected {stage}_data together with {stage}_targets, but got {given} without {missing}.")
    return None if data is None else (data, targets)


def _stage_of(trainer: Any) -> Stage:
    if trainer.predicting:
        return Stage.PREDICT
    if trainer.testing:
        return Stage.TEST
    return Stage.VAL if trainer.validating or trainer.sanity_checking else Stage.TRAIN


def _evaluates_all(trainer: Any, stage: Stage) -> bool:
    """Return whether a trainer evaluates all batches of a stage; the integer 1 means one batch."""
    limit = getattr(trainer, f"limit_{stage.value}_batches", None)
    return isinstance(limit, float) and limit == 1.0


# Arguments of splits, and how their values per row are found.
_PER_ROW: dict[str, Callable[[Any, GroupSpec], list[Any]]] = {"groups": groups_of, "times": times_of}
_SPLITS = ("val_split", "test_split", *_PER_ROW)


def _check_by_both(by: Mapping[str, GroupSpec]) -> None:
    for name, given in by.items():
        if not isinstance(given, str) and not callable(given):
            raise ConfigurationError(
                f"Expected {name} as the name of a column or a function, since test_split and val_split take rows away "
                "one after the other, but got a list of values. Split the data once with val_split, and pass test data."
            )


def _check_split(stage: Stage, fraction: float, stages: Collection[Stage], sampler: Any) -> None:
    argument, noun = f"{stage.value}_split", {Stage.VAL: "validation"}.get(stage, stage.value)
    if isinstance(fraction, bool) or not isinstance(fraction, float) or not 0 < fraction < 1:
        raise ConfigurationError(
            f"Expected {argument} to be a fraction between 0 and 1, such as 0.1, but got {fraction!r}."
        )
    if Stage.TRAIN not in stages:
        raise ConfigurationError(f"Expected train data to split {noun} data off, but got {argument} alone.")
    if stage in stages:
        raise ConfigurationError(f"Expected {argument} or {noun} data, but got both. Leave one of them out.")
    if sampler is not None and not _makes_sampler(sampler):
        raise ConfigurationError(
            f"Expected a sampler that is made of the train rows, since {argument} takes rows away and the others get "
            f"new numbers, but got a {type(sampler).__name__} that was made before. Pass a function that makes one: "
            f"sampler=lambda dataset: ...; or pass {stage.value} data instead of {argument}."
        )


def _is_loaded(data: Any) -> bool:
    return isinstance(data, AutoDataset | AutoStream)


def _makes_sampler(sampler: Any) -> bool:
    return isinstance(sampler, type) or not hasattr(sampler, "__iter__")
