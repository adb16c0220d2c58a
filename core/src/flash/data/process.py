"""Preprocess and Postprocess: the hooks that transform data before and after the network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from flash.data.auto_dataset import AutoDataset
from flash.data.display import Display, check_displays, summarize
from flash.data.parts import default_exchange, default_parts, inputs_of
from flash.data.pieces import Pieces, check_pieces
from flash.data.portable import Portable
from flash.data.requests import RequestFields
from flash.data.splits import split_inputs
from flash.data.stage import Stage
from flash.errors import DataError
from flash.serialization import Configurable, equal, writing

__all__ = ["Postprocess", "Preprocess", "StageHooks"]

_SAMPLE_HOOKS = ("load_sample", "pre_tensor_transform", "to_tensor_transform", "post_tensor_transform")
# The hooks between a sample and the input of a network.
_TRANSFORMS = (
    *_SAMPLE_HOOKS,
    "collate",
    "per_batch_transform",
    "per_sample_transform_on_device",
    "per_batch_transform_on_device",
)
_HOOKS = (
    "load_data",
    "prepare_samples",
    *_TRANSFORMS,
    "display",
    "display_inputs",
    "display_targets",
    "parts",
    "exchange",
    "portable",
    "pieces",
)
# The hooks that make the inputs of a network from raw inputs, before they are on its device.
_ENCODING_HOOKS = ("load_data", "prepare_samples", *_SAMPLE_HOOKS, "collate", "per_batch_transform")
# The result of _positional_arguments for each method.
_ARGUMENTS: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class Preprocess(Configurable):
    """Transform raw data to batches, in steps; override the hooks that you need.

    The hooks run in this order. Each can be overridden for one stage only by prefixing its name with ``train_``,
    ``val_``, ``test_`` or ``predict_``; the prefixed one takes precedence.

    ========================================  ==========================  =====================================
    hook                                      runs                        input
    ========================================  ==========================  =====================================
    ``split(data, fraction, seed, groups)``   once, for ``val_split``     the input of the DataModule
    ``load_data(data, dataset)``              once                        the input of the DataModule
    ``prepare_samples(samples, dataset)``     once per network            the result of ``load_data``
    ``load_sample(sample, dataset)``          per sample, in the worker   one element of ``load_data``'s result
    ``pre_tensor_transform(sample)``          per sample, in the worker   e.g. a PIL image
    ``to_tensor_transform(sample)``           per sample, in the worker
    ``post_tensor_transform(sample)``         per sample, in the worker   tensors
    ``collate(samples)``                      per batch, in the worker    a list of samples
    ``per_batch_transform(batch)``            per batch, in the worker    the result of ``collate``
    ``per_sample_transform_on_device(s)``     per sample, on the device   one sample of the batch
    ``per_batch_transform_on_device(b)``      per batch, on the device
    ``display(samples, rows)``                for figures and reports     all samples, and which to show
    ``display_inputs(inputs)``                for ``show_batch``          the inputs of a batch, on the device
    ``display_targets(samples, rows)``        for figures                 all samples, and which to show
    ``parts(samples)``, ``exchange(...)``     for importance              all samples
    ``portable()``                            for export
    ``request_fields()``                      for services
    ``pieces(samples, row, most)``            for importance              all samples, and which to divide
    ========================================  ==========================  =====================================

    While a hook runs, exactly one of ``self.training``, ``self.validating``, ``self.testing`` and
    ``self.predicting`` is true. Facts that a task needs (``dataset.num_inputs = 10``) are set on the dataset in
    ``load_data``. If ``load_data`` returns a :class:`~flash.data.columns.Columns`, and no per-sample hook is
    overridden, whole batches are indexed in memory.

    The requirements of the network on its inputs, such as the size of images or a tokenizer, are in
    ``self.input_spec`` while a hook runs: the value of :attr:`flash.Task.input_spec`. It is never stored here, so
    that several tasks can share one preprocess.

    Statistics and labels that ``load_data`` computes from train data belong in :meth:`state_dict`, as serializable
    values: they are stored in checkpoints and used in prediction.

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
        """Requirements of the network on its inputs, for the running hook; ``None`` before a task is connected."""
        return self._input_spec

    @property
    def training(self) -> bool:
        """True if the running hook is for training."""
        return self._stage is Stage.TRAIN

    @property
    def validating(self) -> bool:
        """True if the running hook is for validation."""
        return self._stage is Stage.VAL

    @property
    def testing(self) -> bool:
        """True if the running hook is for testing."""
        return self._stage is Stage.TEST

    @property
    def predicting(self) -> bool:
        """True if the running hook is for prediction."""
        return self._stage is Stage.PREDICT

    @contextmanager
    def at(self, stage: Stage, input_spec: Any = None) -> Iterator[None]:
        """Set the current stage and ``self.input_spec`` for the duration of the context.

        Args:
            stage: The stage.
            input_spec: The requirements of the network on its inputs.
        """
        before, self._stage, self._input_spec = (self._stage, self._input_spec), stage, input_spec
        try:
            yield
        finally:
            self._stage, self._input_spec = before

    def split(
        self,
        data: Any,
        fraction: float,
        seed: int,
        groups: Sequence[Any] | None = None,
        times: Sequence[float] | None = None,
    ) -> tuple[Any, Any]:
        """Split the train inputs into train and validation inputs, for ``val_split`` and ``test_split``.

        This runs before ``load_data``, so that statistics are not computed from validation rows. The
        default is :func:`flash.data.splits.split_inputs`; override it for inputs of other types, or to define
        the classes.

        Args:
            data: The argument of ``load_data``.
            fraction: The fraction of rows for validation.
            seed: Seed of the split.
            groups: One group per row, if the data module was made with ``groups``; an override without this argument
                cannot be used with them.
            times: One time per row, if the data module was made with ``times``; as for ``groups``.

        Returns:
            The train and the validation inputs; as a :class:`flash.data.splits.Split`, which ``split_inputs`` returns,
            the ids of samples are their rows of ``data``.
        """
        return split_inputs(data, fraction, seed, groups=groups, times=times)

    def load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Return the samples: an object with a length and ``[index]``, or a stream; called once per dataset.

        A stream is an ``IterableDataset``, another iterable, or a function that returns an iterator;
        see :class:`~flash.data.streams.AutoStream` for how it is sharded between workers and processes.
        """
        return data

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Prepare all samples of a dataset for a network: tokenize texts, or split series into windows of its length.

        This runs when samples are first accessed after a task was connected, once per ``self.input_spec``; not
        for streams. By default the samples are unchanged.

        Args:
            samples: The result of ``load_data``.
            dataset: The dataset.

        Returns:
            An object with a length and ``[index]``.
        """
        return samples

    def is_table_to_predict(self, data: Any) -> bool:
        """Return whether an argument of ``task.predict`` is the path of a table, each row of which is a sample.

        ``task.predict_each`` then reads a large table part by part: ``predict_load_data`` gets
        :class:`flash.data.tables.Table` objects.

        Args:
            data: The argument.
        """
        return False

    def check_input_spec(self, input_spec: Any) -> None:
        """Reject a network whose inputs this object cannot prepare; called when a task is connected.

        Args:
            input_spec: The requirements of the network on its inputs; ``None`` if its task does not define them.

        Raises:
            ConfigurationError: If the preprocess cannot meet them.
        """

    def load_sample(self, sample: Any, dataset: AutoDataset) -> Any:
        """Load one sample, such as a file whose path ``load_data`` returned."""
        return sample

    def pre_tensor_transform(self, sample: Any) -> Any:
        """Transform a sample before it is converted to tensors."""
        return sample

    def to_tensor_transform(self, sample: Any) -> Any:
        """Convert a sample to tensors: by default numpy arrays and floats, to torch's default dtype."""
        return _to_tensors(sample)

    def post_tensor_transform(self, sample: Any) -> Any:
        """Transform the tensors of a sample."""
        return sample

    def collate(self, samples: Sequence[Any]) -> Any:
        """Collate a list of samples to a batch."""
        return default_collate(list(samples))

    def per_batch_transform(self, batch: Any) -> Any:
        """Transform a batch in the worker."""
        return batch

    def per_sample_transform_on_device(self, sample: Any) -> Any:
        """Transform one sample of a batch on the device of the model."""
        return sample

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        """Transform a batch on the device of the model."""
        return batch

    # ------------------------------------------------------------------ for a person

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return what a person looks at for some samples, in figures and reports: values, without any drawing.

        For each sample it is text, a dict of values by name (such as the columns of a row), or an image as a uint8
        array of shape ``(height, width, 3)``; the target is not part of it. Show the sample as it was before
        transforms: an image in its own colors, a number in its unit. By default a sample is summarized: its shape, mean
        and standard deviation if it is a large tensor.

        Args:
            samples: All samples of a dataset, as in :attr:`flash.data.auto_dataset.AutoDataset.samples`: the result of
                ``load_data``, or once a task is connected that of ``prepare_samples``.
            rows: The indices of the samples to show, of which there may be many.

        Returns:
            One value per row, in the order of ``rows``.

        Example:
            >>> class Words(Preprocess):
            ...     def display(self, samples, rows):
            ...         return [f"the word {samples[row]!r}" for row in rows]
            >>> Words().stage_hooks(Stage.PREDICT).display(["sun", "evening"], [1])
            ["the word 'evening'"]
        """
        return [summarize(inputs_of(samples[row], self.predicting)) for row in rows]

    def display_inputs(self, inputs: Any) -> Sequence[Display]:
        """Return what a person looks at for the inputs of a batch, after all transforms.

        Override it if a person can see what the transforms did, such as augmentations of images; ``show_batch`` then
        draws it. Otherwise ``show_batch`` draws the result of :meth:`display`.

        Args:
            inputs: The inputs of a batch, as the network takes them.

        Returns:
            One value per sample, each of a type that :meth:`display` returns.
        """
        raise NotImplementedError(f"{type(self).__name__} does not show the inputs of a network.")

    def display_targets(self, samples: Any, rows: Sequence[int]) -> Sequence[str] | None:
        """Return the targets of some samples as text, in figures.

        By default it is ``None``: classes are shown by their names and numbers as they are. Override it for targets
        that are something else, such as texts.

        Args:
            samples: As in :meth:`display`.
            rows: The indices of the samples.
        """
        return None

    def preview_spec(self) -> Any:
        """Return the ``input_spec`` with which ``show_batch`` makes batches before a task is connected.

        By default it is ``None``.
        """
        return None

    def parts(self, samples: Any) -> list[str]:
        """Return the names of the parts of the inputs whose importance to a task can be computed; empty for one whole.

        By default these are the keys of inputs that are a dict, and the columns of inputs in memory that are one
        tensor of shape ``(samples, columns)``.

        Args:
            samples: As in :meth:`display`.
        """
        return default_parts(samples, self.predicting)

    def exchange(self, samples: Any, part: str, order: Tensor) -> Any:
        """Return samples with one part of the inputs from other samples, for its importance; the targets stay.

        Args:
            samples: As in :meth:`display`.
            part: One of :meth:`parts`.
            order: For each sample the index of the one whose part it gets, shape ``(samples,)``.

        Returns:
            Samples of the same type, or another object with a length and ``[index]``.
        """
        return default_exchange(samples, part, order, self.predicting)

    def portable(self) -> Portable:
        """Return what is needed to make the inputs of the network without Flash, for ``task.export``.

        By default nothing is known. A subclass that overrides a hook which makes inputs overrides this too; otherwise
        what its base class returns is not used.

        Example:
            >>> from flash.data.portable import TensorSpec
            >>> class Pitch(Preprocess):
            ...     def portable(self):
            ...         inputs = TensorSpec("float32", ("batch", 128))
            ...         return Portable(inputs, encoder="acme_flash_audio.encoder", settings={"rate": 16000})
            >>> Pitch().stage_hooks(Stage.PREDICT).portable().encoder
            'acme_flash_audio.encoder'
        """
        return Portable(reason=f"{type(self).__name__}.portable does not say how inputs are made")

    def overrides_hooks(self, base: type[Preprocess], stage: Stage) -> bool:
        """Return whether a subclass of a domain's preprocess overrides a hook between a sample and the network's input.

        Of such hooks nothing is known: a domain that knows its own transforms asks in ``is_deterministic``.

        Args:
            base: The preprocess of the domain, whose own hooks do not count.
            stage: The stage.

        Example:
            >>> class Doubled(Preprocess):
            ...     def train_post_tensor_transform(self, sample):
            ...         return 2 * sample
            >>> Doubled().overrides_hooks(Preprocess, Stage.TRAIN), Doubled().overrides_hooks(Preprocess, Stage.VAL)
            (True, False)
        """
        names = [name for hook in _TRANSFORMS for name in (hook, f"{stage.value}_{hook}")]
        return any(getattr(type(self), name, None) is not getattr(base, name, None) for name in names)

    def request_fields(self) -> RequestFields:
        """Return what a sample is in a request to a service, such as the columns of a row with their types.

        A service checks requests against it, and passes ``task.predict`` what its kind says; a text of a request is
        never opened as a path or URL. By default a sample is an array of numbers.

        Raises:
            DataError: If it is learned from train data, and there was none.

        Example:
            >>> class Words(Preprocess):
            ...     def request_fields(self):
            ...         return RequestFields("text")
            >>> Words().request_fields().kind
            'text'
        """
        return RequestFields("numbers")

    def pieces(self, samples: Any, row: int, most: int) -> Pieces | None:
        """Return how one sample is divided into pieces, for their importance to its prediction: words, or patches.

        Unlike :meth:`parts`, which all samples have in common, each sample has its own pieces. By default it is
        ``None``: the sample is one whole. Samples without some pieces go through the other hooks as all samples do.

        Args:
            samples: As in :meth:`display`.
            row: The index of the sample.
            most: The greatest number of pieces.

        Example:
            >>> from flash.data.pieces import without_words, words_of
            >>> class Sentences(Preprocess):
            ...     def pieces(self, samples, row, most):
            ...         text = samples[row]
            ...         words = words_of(text, most)
            ...         return Pieces(text, words, lambda each: [without_words(text, words, out) for out in each])
            >>> Sentences().stage_hooks(Stage.PREDICT).pieces(["not bad"], 0, 9).without([[0]])
            ['bad']
        """
        return None

    def stage_hooks(self, stage: Stage, input_spec: Any = None) -> StageHooks:
        """Return the hooks for one stage and the input requirements of a network."""
        return StageHooks(self, stage, input_spec)

    def is_deterministic(self, stage: Stage) -> bool:
        """Return whether the samples of a stage are deterministic, so that their features can be cached.

        The default is False: override it if the hooks draw no random numbers.
        """
        return False

    def agrees_with(self, other: Preprocess) -> bool:
        """Return whether data prepared by this object is compatible with a task that was trained with the other.

        By default both must have the same state. Override it if part of the state is from the task.
        """
        return equal(self.state_dict(), other.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the state learned from train data, as serializable values: numbers, strings, tensors, lists, dicts."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state that :meth:`state_dict` returned.

        Raises:
            NotImplementedError: If there is state and the class does not override this method.
        """
        if state:
            raise NotImplementedError(f"{type(self).__name__} has state but does not override load_state_dict.")


class StageHooks:
    """The hooks of a preprocess for one stage, resolved once.

    Args:
        preprocess: The object whose methods are the hooks.
        stage: The stage whose prefixed methods take precedence.
        input_spec: The requirements of the network on its inputs, if a task is connected.
    """

    def __init__(self, preprocess: Preprocess, stage: Stage, input_spec: Any = None) -> None:
        self.preprocess = preprocess
        self.stage = stage
        self.input_spec = input_spec
        resolved = self._resolved = {name: self._resolve(name) for name in _HOOKS}
        self._load_data = resolved["load_data"]
        self._prepare_samples = resolved["prepare_samples"]
        self._load_sample = resolved["load_sample"]
        self._transforms = [
            resolved[name] for name in _SAMPLE_HOOKS[1:] if name == "to_tensor_transform" or not self._is_default(name)
        ]
        self._collate = resolved["collate"]
        self._per_batch = resolved["per_batch_transform"]
        self._transforms_batches = not self._is_default("per_batch_transform")
        self._sample_on_device = resolved["per_sample_transform_on_device"]
        self._batch_on_device = resolved["per_batch_transform_on_device"]
        self._display = resolved["display"]
        self._display_inputs = resolved["display_inputs"]
        self._display_targets = resolved["display_targets"]
        self._portable = resolved["portable"]
        self._parts, self._exchange, self._pieces = resolved["parts"], resolved["exchange"], resolved["pieces"]
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
        return getattr(self._resolved[name], "__func__", None) is getattr(Preprocess, name)

    def load_data(self, data: Any, dataset: Dataset[Any]) -> Any:
        """Run ``load_data``, with the dataset if the hook takes one."""
        arguments = (data, dataset)[: _positional_arguments(self._load_data)]
        with self.preprocess.at(self.stage, self.input_spec):
            return self._load_data(*arguments)

    def prepare_samples(self, samples: Any, dataset: Dataset[Any]) -> Any:
        """Run ``prepare_samples``, if a task is connected."""
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
        """Run ``per_batch_transform`` on a batch that was indexed in memory as a whole."""
        if not self._transforms_batches:
            return batch
        with self.preprocess.at(self.stage, self.input_spec):
            return self._per_batch(batch)

    def display(self, samples: Any, rows: Sequence[int]) -> list[Display]:
        """Run ``display``, and check its result.

        Raises:
            ConfigurationError: If it does not return one text, dict or image per row.
        """
        with self.preprocess.at(self.stage, self.input_spec):
            displays = self._display(samples, rows)
        return check_displays(displays, len(rows), f"{type(self.preprocess).__name__}.display")

    @property
    def displays_inputs(self) -> bool:
        """True if ``display_inputs`` is overridden."""
        return not self._is_default("display_inputs")

    def display_inputs(self, inputs: Any, count: int) -> list[Display]:
        """Run ``display_inputs`` on the inputs of ``count`` samples, and check its result.

        Raises:
            ConfigurationError: If it does not return one text, dict or image per sample.
        """
        with self.preprocess.at(self.stage, self.input_spec):
            displays = self._display_inputs(inputs)
        return check_displays(displays, count, f"{type(self.preprocess).__name__}.display_inputs")

    def display_targets(self, samples: Any, rows: Sequence[int]) -> list[str] | None:
        """Run ``display_targets``."""
        with self.preprocess.at(self.stage, self.input_spec):
            found = self._display_targets(samples, rows)
        return None if found is None else list(found)

    def parts(self, samples: Any) -> list[str]:
        """Run ``parts``."""
        with self.preprocess.at(self.stage, self.input_spec):
            return list(self._parts(samples))

    def portable(self) -> Portable:
        """Run ``portable``; nothing is known if a hook that makes inputs is overridden in a subclass of its class."""
        classes = type(self.preprocess).__mro__
        owner = self._owner("portable")
        for name in _ENCODING_HOOKS:
            other = self._owner(name)
            if classes.index(other) < classes.index(owner):
                known = f"{other.__name__} overrides {name}, of which {owner.__name__}.portable does not know"
                return Portable(reason=known)
        with self.preprocess.at(self.stage, self.input_spec):
            found: Portable = self._portable()
        return found

    def _owner(self, name: str) -> type:
        """Return the class that defines the hook of the stage."""
        names = {name, f"{self.stage.value}_{name}"}
        return next(each for each in type(self.preprocess).__mro__ if names & vars(each).keys())

    def exchange(self, samples: Any, part: str, order: Tensor) -> Any:
        """Run ``exchange``."""
        with self.preprocess.at(self.stage, self.input_spec):
            return self._exchange(samples, part, order)

    def pieces(self, samples: Any, row: int, most: int) -> Pieces | None:
        """Run ``pieces``, and check its result.

        Raises:
            ConfigurationError: If it returns something else, or a piece is not inside of what is shown.
        """
        with self.preprocess.at(self.stage, self.input_spec):
            found = self._pieces(samples, row, most)
        return check_pieces(found, f"{type(self.preprocess).__name__}.pieces")

    def without_pieces(self, pieces: Pieces, left_out: Sequence[Collection[int]]) -> Any:
        """Return the samples without some pieces, one for each collection of pieces."""
        with self.preprocess.at(self.stage, self.input_spec):
            return pieces.without(left_out)

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
    """Convert the output of the network for a batch to one result per sample.

    The hooks run in this order: ``per_batch_transform`` on the network's output; then the task's output (labels,
    probabilities, ...) is computed from it; ``uncollate`` splits the batch; ``per_sample_transform`` transforms each
    result. ``save_data`` and ``save_sample`` store results if there is a ``save_path``. With ``save_sample`` and
    ``suffix_of``, which says what the file is, ``flash predict -o FOLDER/`` writes a file for each input.

    Args:
        save_path: A folder; if passed, each result is saved there with :meth:`save_sample`.

    Example:
        >>> Postprocess().uncollate(torch.tensor([[1.0], [2.0]]))
        [tensor([1.]), tensor([2.])]
    """

    def __init__(self, save_path: str | None = None) -> None:
        self.save_path = save_path
        self._saved = 0

    @property
    def saves(self) -> bool:
        """True if results are saved batch by batch, so that samples must be predicted in order."""
        return self.save_path is not None

    def per_batch_transform(self, batch: Any) -> Any:
        """Transform the network's output for a whole batch."""
        return batch

    def uncollate(self, batch: Any) -> list[Any]:
        """Split a batch into a list with one result per sample.

        Raises:
            DataError: If parts of the batch have different lengths, or it cannot be split.
        """
        return _unbatch(batch)

    def per_sample_transform(self, sample: Any) -> Any:
        """Transform the result of one sample."""
        return sample

    def save_data(self, data: Sequence[Any]) -> None:
        """Save the results of a batch, by default each with :meth:`save_sample`."""
        for sample in data:
            self.save_sample(sample, f"{self.save_path}/{self._saved}{self.suffix_of(sample)}")
            self._saved += 1

    def suffix_of(self, sample: Any) -> str:
        """Return the suffix of the file that :meth:`save_sample` writes a result to, by default ``".pt"``.

        Args:
            sample: The result.
        """
        return ".pt"

    def save_sample(self, sample: Any, path: str) -> None:
        """Save one result, by default with ``torch.save``.

        Args:
            sample: The result.
            path: The file, with the suffix of :meth:`suffix_of`.
        """
        with writing(path, what="prediction", folder_argument="Postprocess(save_path=...)") as file:
            torch.save(sample, file)

    def __call__(self, batch: Any, output: Callable[[Any], Any]) -> list[Any]:
        """Run all hooks on the network's output for one batch; ``output`` converts it to the task's output."""
        samples = self.uncollate(output(self.per_batch_transform(batch)))
        if type(self).per_sample_transform is not Postprocess.per_sample_transform:
            samples = [self.per_sample_transform(sample) for sample in samples]
        if self.saves:
            self.save_data(samples)
        return samples


def _positional_arguments(function: Callable[..., Any]) -> int:
    """Return how many of ``(data, dataset)`` a hook takes; ``dataset`` may be omitted."""
    method = getattr(function, "__func__", None)
    # Reading a signature takes as long as encoding a row.
    if method in _ARGUMENTS:
        return _ARGUMENTS[method]
    count = _count_arguments(function)
    if method is not None:
        _ARGUMENTS[method] = count
    return count


def _count_arguments(function: Callable[..., Any]) -> int:
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
                "Expected a batch with one result per sample, but the result is a single number. "
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
