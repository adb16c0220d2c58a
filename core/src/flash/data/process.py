"""Preprocess and Postprocess: the hooks that data goes through before and after the network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from flash.data.auto_dataset import AutoDataset
from flash.data.splits import split_inputs
from flash.data.stage import Stage
from flash.errors import DataError
from flash.serialization import Configurable, equal

__all__ = ["Postprocess", "Preprocess", "StageHooks"]

_SAMPLE_HOOKS = ("load_sample", "pre_tensor_transform", "to_tensor_transform", "post_tensor_transform")
_HOOKS = (
    "load_data",
    "prepare_samples",
    *_SAMPLE_HOOKS,
    "collate",
    "per_batch_transform",
    "per_sample_transform_on_device",
    "per_batch_transform_on_device",
)


class Preprocess(Configurable):
    """Turns raw data into batches, one hook a step; override the ones that you need.

    The hooks run in this order. Each can be overridden for one stage alone by prefixing its name with ``train_``,
    ``val_``, ``test_`` or ``predict_``; the prefixed one wins.

    ========================================  ==========================  =====================================
    hook                                      runs                        gets
    ========================================  ==========================  =====================================
    ``split(data, fraction, seed)``           once, for ``val_split``     what the DataModule was given
    ``load_data(data, dataset)``              once                        what the DataModule was given
    ``prepare_samples(samples, dataset)``     once for each network       what ``load_data`` returned
    ``load_sample(sample, dataset)``          per sample, in the worker   one element of what ``load_data`` gave
    ``pre_tensor_transform(sample)``          per sample, in the worker   e.g. a PIL image
    ``to_tensor_transform(sample)``           per sample, in the worker
    ``post_tensor_transform(sample)``         per sample, in the worker   tensors
    ``collate(samples)``                      per batch, in the worker    a list of samples
    ``per_batch_transform(batch)``            per batch, in the worker    what ``collate`` gave
    ``per_sample_transform_on_device(s)``     per sample, on the device   one sample of the batch
    ``per_batch_transform_on_device(b)``      per batch, on the device
    ========================================  ==========================  =====================================

    While a hook runs, exactly one of ``self.training``, ``self.validating``, ``self.testing`` and
    ``self.predicting`` is true. Facts that a task needs (``dataset.num_inputs = 10``) are set on the dataset in
    ``load_data``. Where ``load_data`` returns a :class:`~flash.data.columns.Columns`, and no per-sample hook is
    overridden, batches are taken from memory as a whole.

    What the network expects of its inputs, such as the size of images or a tokenizer, a hook finds in
    ``self.input_spec``: the value that the task states in :attr:`flash.Task.input_spec`. It is never stored here, so
    that several tasks can share one preprocess.

    What ``load_data`` learns from train data (statistics, labels) belongs into :meth:`state_dict`, as plain data:
    a checkpoint carries it, and prediction uses it.

    Example:
        >>> class Scale(Preprocess):
        ...     def to_tensor_transform(self, sample):
        ...         return torch.tensor(sample) / 255
        ...     def train_post_tensor_transform(self, sample):
        ...         return sample.flip(0)
        >>> hooks = StageHooks(Scale(), Stage.TRAIN)
        >>> hooks.transform_sample([0, 255])
        tensor([1., 0.])
    """

    _stage: Stage | None = None
    _input_spec: Any = None

    @property
    def input_spec(self) -> Any:
        """What the network expects of its inputs, for the hook that runs now; ``None`` before a task is connected."""
        return self._input_spec

    @property
    def training(self) -> bool:
        """Whether the hook that runs now serves training."""
        return self._stage is Stage.TRAIN

    @property
    def validating(self) -> bool:
        """Whether the hook that runs now serves validation."""
        return self._stage is Stage.VAL

    @property
    def testing(self) -> bool:
        """Whether the hook that runs now serves testing."""
        return self._stage is Stage.TEST

    @property
    def predicting(self) -> bool:
        """Whether the hook that runs now serves prediction."""
        return self._stage is Stage.PREDICT

    @contextmanager
    def at(self, stage: Stage, input_spec: Any = None) -> Iterator[None]:
        """Let ``self.training`` and its kin answer for a stage, and ``self.input_spec`` for a network, while open.

        Args:
            stage: The stage.
            input_spec: What the network expects of its inputs.
        """
        before, self._stage, self._input_spec = (self._stage, self._input_spec), stage, input_spec
        try:
            yield
        finally:
            self._stage, self._input_spec = before

    def split(self, data: Any, fraction: float, seed: int) -> tuple[Any, Any]:
        """Split the train inputs into those for training and those for validation, for ``val_split``.

        This runs before ``load_data``, so that nothing that is learned from train rows has seen validation rows. By
        default :func:`flash.data.splits.split_inputs` does it; override it for inputs of other types, or to say what
        the classes are.

        Args:
            data: What ``load_data`` takes.
            fraction: The fraction of rows for validation.
            seed: The same seed gives the same split.
        """
        return split_inputs(data, fraction, seed)

    def load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Return the samples: anything with a length and ``[index]``; or a stream. Runs once for each dataset.

        A stream is an ``IterableDataset``, another iterable, or a function that returns an iterator;
        :class:`~flash.data.streams.AutoStream` says how it is shared out between workers and processes.
        """
        return data

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Prepare all samples of a dataset for a network: tokenize texts, or cut series into windows of its length.

        This runs when samples are first needed after a task was connected, and once for each ``self.input_spec``; not
        for streams. By default the samples stay as they are.

        Args:
            samples: What ``load_data`` returned.
            dataset: The dataset.

        Returns:
            Anything with a length and ``[index]``.
        """
        return samples

    def check_input_spec(self, input_spec: Any) -> None:
        """Refuse a network whose inputs this object cannot make; called when a task is connected.

        Args:
            input_spec: What the network expects of its inputs; ``None`` where its task does not state it.

        Raises:
            ConfigurationError: If it does not fit.
        """

    def load_sample(self, sample: Any, dataset: AutoDataset) -> Any:
        """Load one sample, such as a file that ``load_data`` only named."""
        return sample

    def pre_tensor_transform(self, sample: Any) -> Any:
        """Transform a sample before it becomes tensors."""
        return sample

    def to_tensor_transform(self, sample: Any) -> Any:
        """Make tensors of a sample: by default of numpy arrays and floats, at torch's default float type."""
        return _to_tensors(sample)

    def post_tensor_transform(self, sample: Any) -> Any:
        """Transform the tensors of a sample."""
        return sample

    def collate(self, samples: Sequence[Any]) -> Any:
        """Make one batch of a list of samples."""
        return default_collate(list(samples))

    def per_batch_transform(self, batch: Any) -> Any:
        """Transform a batch in the worker."""
        return batch

    def per_sample_transform_on_device(self, sample: Any) -> Any:
        """Transform one sample of a batch, on the device that the model is on."""
        return sample

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        """Transform a batch on the device that the model is on."""
        return batch

    def stage_hooks(self, stage: Stage, input_spec: Any = None) -> StageHooks:
        """Return the hooks as they apply to one stage, and to a network that expects such inputs."""
        return StageHooks(self, stage, input_spec)

    def is_deterministic(self, stage: Stage) -> bool:
        """Whether a sample of a stage comes out alike each time, so that what is computed of it can be kept.

        By default this is not assumed: override it where the hooks draw no random numbers.
        """
        return False

    def agrees_with(self, other: Preprocess) -> bool:
        """Whether data that went through this object fits a task that was trained with the other.

        By default both must have the same state. Override it where part of the state comes from the task.
        """
        return equal(self.state_dict(), other.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What this object learned from train data, as plain data: numbers, strings, tensors, lists, dicts."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            NotImplementedError: If there is state and the class did not override this method.
        """
        if state:
            raise NotImplementedError(f"{type(self).__name__} has state but does not override load_state_dict.")


class StageHooks:
    """The hooks of a preprocess as they apply to one stage, looked up once.

    Args:
        preprocess: The object whose methods are the hooks.
        stage: The stage that decides which prefixed methods count.
        input_spec: What the network expects of its inputs, where a task is connected.
    """

    def __init__(self, preprocess: Preprocess, stage: Stage, input_spec: Any = None) -> None:
        self.preprocess = preprocess
        self.stage = stage
        self.input_spec = input_spec
        resolved = {name: self._resolve(name) for name in _HOOKS}
        self._load_data = resolved["load_data"]
        self._prepare_samples = resolved["prepare_samples"]
        self._load_sample = resolved["load_sample"]
        self._transforms = [
            resolved[name] for name in _SAMPLE_HOOKS[1:] if name == "to_tensor_transform" or not self._is_default(name)
        ]
        self._collate = resolved["collate"]
        self._per_batch = resolved["per_batch_transform"]
        self._sample_on_device = resolved["per_sample_transform_on_device"]
        self._batch_on_device = resolved["per_batch_transform_on_device"]
        self._sample_arguments = _positional_arguments(self._load_sample)
        self.has_default_sample_path = all(self._is_default(name) for name in (*_SAMPLE_HOOKS, "collate"))
        self._transforms_samples_on_device = not self._is_default("per_sample_transform_on_device")
        self.transforms_on_device = self._transforms_samples_on_device or not self._is_default(
            "per_batch_transform_on_device"
        )

    def _resolve(self, name: str) -> Callable[..., Any]:
        own: Callable[..., Any] = getattr(self.preprocess, name)
        prefixed: Callable[..., Any] | None = getattr(self.preprocess, f"{self.stage.value}_{name}", None)
        return own if prefixed is None else prefixed

    def _is_default(self, name: str) -> bool:
        return getattr(self._resolve(name), "__func__", None) is getattr(Preprocess, name)

    def load_data(self, data: Any, dataset: Dataset[Any]) -> Any:
        """Run ``load_data``, with the dataset where the hook takes one."""
        arguments = (data, dataset)[: _positional_arguments(self._load_data)]
        with self.preprocess.at(self.stage, self.input_spec):
            return self._load_data(*arguments)

    def prepare_samples(self, samples: Any, dataset: Dataset[Any]) -> Any:
        """Run ``prepare_samples``, where a task is connected."""
        if self.input_spec is None or self._is_default("prepare_samples"):
            return samples
        with self.preprocess.at(self.stage, self.input_spec):
            return self._prepare_samples(samples, dataset)

    def load_sample(self, sample: Any, dataset: Dataset[Any]) -> Any:
        """Run ``load_sample`` and the three tensor transforms."""
        with self.preprocess.at(self.stage, self.input_spec):
            sample = self._load_sample(*(sample, dataset)[: self._sample_arguments])
            for transform in self._transforms:
                sample = transform(sample)
        return sample

    def transform_sample(self, sample: Any) -> Any:
        """Run the three tensor transforms on a sample that is loaded already."""
        with self.preprocess.at(self.stage, self.input_spec):
            for transform in self._transforms:
                sample = transform(sample)
        return sample

    def collate(self, samples: Sequence[Any]) -> Any:
        """Run ``collate`` and ``per_batch_transform``."""
        with self.preprocess.at(self.stage, self.input_spec):
            return self._per_batch(self._collate(samples))

    def transform_batch(self, batch: Any) -> Any:
        """Run ``per_batch_transform`` on a batch that came from memory as a whole."""
        with self.preprocess.at(self.stage, self.input_spec):
            return self._per_batch(batch)

    def transform_on_device(self, batch: Any) -> Any:
        """Run the two device hooks, after the batch has been moved to the device."""
        if not self.transforms_on_device:
            return batch
        with self.preprocess.at(self.stage, self.input_spec):
            if self._transforms_samples_on_device:
                samples = [self._sample_on_device(sample) for sample in _unbatch(batch)]
                batch = self._collate(samples)
            return self._batch_on_device(batch)


class Postprocess(Configurable):
    """Turns what the network gave for a batch into one result for each sample.

    The hooks run in this order: ``per_batch_transform`` on the network's output; then the task's output (labels,
    probabilities, ...) is made of it; ``uncollate`` splits the batch; ``per_sample_transform`` sees each result.
    ``save_data`` and ``save_sample`` store results where a ``save_path`` is given.

    Args:
        save_path: A folder; where given, each result is passed to :meth:`save_sample`.

    Example:
        >>> Postprocess().uncollate(torch.tensor([[1.0], [2.0]]))
        [tensor([1.]), tensor([2.])]
    """

    def __init__(self, save_path: str | None = None) -> None:
        self.save_path = save_path
        self._saved = 0

    @property
    def saves(self) -> bool:
        """Whether results are saved as they come, so that samples must come in their order."""
        return self.save_path is not None

    def per_batch_transform(self, batch: Any) -> Any:
        """Transform the network's output for a whole batch."""
        return batch

    def uncollate(self, batch: Any) -> list[Any]:
        """Split a batch into a list with one result a sample.

        Raises:
            DataError: If parts of the batch have different lengths, or it cannot be split.
        """
        return _unbatch(batch)

    def per_sample_transform(self, sample: Any) -> Any:
        """Transform the result of one sample."""
        return sample

    def save_data(self, data: Sequence[Any]) -> None:
        """Save the results of a batch: by default each with :meth:`save_sample`."""
        for sample in data:
            self.save_sample(sample, f"{self.save_path}/{self._saved}.pt")
            self._saved += 1

    def save_sample(self, sample: Any, path: str) -> None:
        """Save one result."""
        torch.save(sample, path)

    def __call__(self, batch: Any, output: Callable[[Any], Any]) -> list[Any]:
        """Run all hooks on the network's output for one batch; ``output`` is the task's own presentation."""
        samples = self.uncollate(output(self.per_batch_transform(batch)))
        if type(self).per_sample_transform is not Postprocess.per_sample_transform:
            samples = [self.per_sample_transform(sample) for sample in samples]
        if self.saves:
            self.save_data(samples)
        return samples


def _positional_arguments(function: Callable[..., Any]) -> int:
    """How many of ``(data, dataset)`` a hook takes: the documentation's own examples leave ``dataset`` out."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 2
    return min(2, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters))


def _to_tensors(sample: Any) -> Any:
    if isinstance(sample, np.ndarray | np.generic):
        if sample.dtype.kind not in "biuf":
            return sample
        tensor = torch.as_tensor(sample)
        return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor
    if isinstance(sample, float):
        return torch.tensor(sample)
    if isinstance(sample, tuple) and type(sample) is tuple:
        return tuple(_to_tensors(part) for part in sample)
    if isinstance(sample, list):
        return [_to_tensors(part) for part in sample]
    if isinstance(sample, dict):
        return {key: _to_tensors(part) for key, part in sample.items()}
    return sample


def _unbatch(batch: Any) -> list[Any]:
    if isinstance(batch, Tensor):
        if batch.ndim == 0:
            raise DataError(
                "Expected a batch with one result a sample, but the result is a single number. "
                "Return a tensor of shape (batch, ...) from forward, or override Postprocess.uncollate."
            )
        return list(batch.unbind(0))
    if isinstance(batch, Mapping):
        parts = [_unbatch(value) for value in batch.values()]
        _check_lengths(parts)
        return [dict(zip(batch, row, strict=True)) for row in zip(*parts, strict=True)]
    if isinstance(batch, tuple):
        parts = [_unbatch(value) for value in batch]
        _check_lengths(parts)
        return list(zip(*parts, strict=True))
    if isinstance(batch, list):
        return batch
    raise DataError(
        f"Expected a tensor, list, tuple or dict as a batch of results, but got {type(batch).__name__}. "
        "Override Postprocess.uncollate to split it."
    )


def _check_lengths(parts: Sequence[Sequence[Any]]) -> None:
    lengths = sorted({len(part) for part in parts})
    if len(lengths) > 1:
        raise DataError(f"Expected parts of one length in a batch of results, but got lengths {lengths}.")
