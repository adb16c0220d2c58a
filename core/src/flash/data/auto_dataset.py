"""AutoDataset: a map-style dataset whose samples are transformed by the hooks of a preprocess."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from flash.data.columns import Columns
from flash.data.display import Display
from flash.data.hooks import HooksByStage, SampleHooks
from flash.data.stage import Stage
from flash.errors import DataError

__all__ = ["AutoDataset", "is_indexed"]


class AutoDataset(Dataset[Any]):
    """Raw data, loaded and transformed by the hooks of a :class:`~flash.data.process.Preprocess`.

    ``dataset[i]`` is sample ``i`` after the per-sample hooks. Attributes that ``load_data`` sets on the dataset are
    facts about the data (``dataset.num_inputs = 10``): readable as ``datamodule.train_dataset.num_inputs``, and
    passed to the task by :meth:`flash.Task.from_data`.

    Args:
        data: The argument of the preprocess's ``load_data``.
        stage: The stage of the samples.
        preprocess: The :class:`~flash.data.process.Preprocess` whose hooks transform the samples.
        input_spec: The requirements of the network on its inputs, if known; see
            :meth:`~flash.data.process.Preprocess.prepare_samples`.
        streams: Whether ``load_data`` may return an iterable; use :func:`flash.data.streams.load_dataset`, which
            handles it.

    Raises:
        DataError: If ``load_data`` returned samples without a length or without elements.

    Example:
        >>> from flash import Preprocess
        >>> dataset = AutoDataset([1.0, 2.0], Stage.TRAIN, Preprocess())
        >>> len(dataset), dataset[1]
        (2, tensor(2.))
    """

    def __init__(
        self, data: Any, stage: Stage, preprocess: HooksByStage, input_spec: Any = None, *, streams: bool = False
    ) -> None:
        self._hooks = preprocess.stage_hooks(stage, input_spec)
        self._rows: Sequence[int] | None = None
        # The samples prepared for the network, computed on first access.
        self._prepared: Any = None
        self._samples = self._hooks.load_data(data, self)
        if not is_indexed(self._samples):
            if streams and (isinstance(self._samples, Iterable) or callable(self._samples)):
                return
            raise DataError(
                f"Expected {type(preprocess).__name__}.load_data to return a sequence of samples, "
                f"but got {type(self._samples).__name__}. Return a list, an array or a torch Dataset."
            )
        if len(self._samples) == 0:
            raise DataError(f"Expected at least one sample in the {stage.value} data, but it is empty.")

    @property
    def hooks(self) -> SampleHooks:
        """The hooks that transform the samples."""
        return self._hooks

    @property
    def facts(self) -> dict[str, Any]:
        """Facts about the data: the attributes that ``load_data`` set on this dataset."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @property
    def source(self) -> Any:
        """The return value of ``load_data``."""
        return self._samples

    @property
    def samples(self) -> Any:
        """The samples before the per-sample hooks, prepared for the network if a task is connected."""
        if self._prepared is None:
            self._prepared = self._hooks.prepare_samples(self._samples, self)
        return self._prepared

    def with_input_spec(self, input_spec: Any) -> AutoDataset:
        """Return this dataset for another network, without loading the data again.

        Args:
            input_spec: The requirements of the network on its inputs.
        """
        if input_spec == self._hooks.input_spec:
            return self
        other = self._copy()
        other._hooks = self._hooks.preprocess.stage_hooks(self._hooks.stage, input_spec)
        other._prepared = None
        return other

    def _copy(self) -> AutoDataset:
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    @property
    def columns(self) -> Columns | None:
        """The samples as tensors in memory, if whole batches can be indexed; else ``None``."""
        if not self._hooks.has_default_sample_path:
            return None
        samples = self.samples
        if type(samples) is TensorDataset and self._rows is None:
            return Columns(tuple(samples.tensors))
        return samples if isinstance(samples, Columns) else None

    @property
    def lengths(self) -> Tensor | None:
        """Length per sample, shape ``(samples,)``, if the samples have an attribute ``lengths``; else ``None``.

        Batches are then bucketed by length, so that little padding is needed.
        """
        lengths: Tensor | None = getattr(self.samples, "lengths", None)
        if lengths is None or self._rows is None:
            return lengths
        return lengths[torch.as_tensor(self._rows)]

    def subset(self, rows: Sequence[int], stage: Stage) -> AutoDataset:
        """Return the given rows as a dataset for ``stage``, without loading the data again."""
        other, samples = self._copy(), self.samples
        other._hooks = self._hooks.preprocess.stage_hooks(stage, self._hooks.input_spec)
        other._rows = rows if self._rows is None else [self._rows[row] for row in rows]
        if isinstance(samples, Columns):
            other._samples = other._prepared = Columns(samples.take(rows))
            other._rows = None
        return other

    def __len__(self) -> int:
        return len(self.samples if self._rows is None else self._rows)

    def __getitem__(self, index: int) -> Any:
        return self._hooks.load_sample(self.raw(index), self)

    def batch(self, rows: Sequence[int]) -> Any:
        """Return the batch of some samples, as a loader makes it.

        Args:
            rows: The indices of the samples.

        Example:
            >>> from flash import Preprocess
            >>> AutoDataset([1.0, 2.0, 3.0], Stage.PREDICT, Preprocess()).batch([2, 0])
            tensor([3., 1.])
        """
        columns = self.columns
        if columns is not None:
            return self._hooks.transform_batch(columns.take(rows))
        return self._hooks.collate([self[row] for row in rows])

    def id_of(self, index: int) -> Any:
        """Return the id of a sample: its entry in ``ids`` of ``load_data``'s result, else its file or row."""
        row = index if self._rows is None else self._rows[index]
        samples = self.samples
        ids = getattr(samples, "ids", None)
        if ids is not None:
            return ids[row]
        name = None if self.columns is not None else getattr(samples[row], "name", None)
        return name if isinstance(name, str | PurePath) else row

    def ids_of(self, rows: Sequence[int]) -> list[Any]:
        """Return the ids of several samples."""
        if self.columns is not None and self._rows is None and getattr(self.samples, "ids", None) is None:
            return list(rows)
        return [self.id_of(row) for row in rows]

    def raw(self, index: int) -> Any:
        """Return sample ``index`` before the per-sample hooks."""
        return self.samples[index if self._rows is None else self._rows[index]]

    def display(self, rows: Sequence[int]) -> list[Display]:
        """Return what a person looks at for some samples: text, values by name, or an image; the hook ``display``.

        Args:
            rows: The indices of the samples.

        Returns:
            One value per row, in their order; see :meth:`flash.Preprocess.display`.

        Raises:
            ConfigurationError: If the hook returns something else.

        Example:
            >>> from flash import Preprocess
            >>> AutoDataset(["good", "bad"], Stage.PREDICT, Preprocess()).display([1, 0])
            ['bad', 'good']
        """
        return self._hooks.display(self.samples, self._places(rows))

    def display_targets(self, rows: Sequence[int]) -> list[str] | None:
        """Return the targets of some samples as text; ``None`` if they are classes or numbers."""
        if self._hooks.stage is Stage.PREDICT:
            return None
        return self._hooks.display_targets(self.samples, self._places(rows))

    def _places(self, rows: Sequence[int]) -> list[int]:
        return list(rows) if self._rows is None else [self._rows[row] for row in rows]

    def parts(self) -> list[str]:
        """Return the names of the parts of the inputs, such as the columns of a table; empty if they are one whole."""
        return self._hooks.parts(self.samples)

    def exchange(self, part: str, order: Tensor) -> AutoDataset:
        """Return this dataset with one part of the inputs from other samples.

        Args:
            part: One of :meth:`parts`.
            order: For each sample the index of the one whose part it gets, shape ``(samples,)``.

        Example:
            >>> from flash import Preprocess
            >>> rows = Columns({"age": torch.tensor([20, 30]), "height": torch.tensor([1.8, 1.6])})
            >>> AutoDataset(rows, Stage.PREDICT, Preprocess()).exchange("age", torch.tensor([1, 0]))[0]
            {'age': tensor(30), 'height': tensor(1.8000)}
        """
        other = self._copy()
        places = torch.arange(len(self)) if self._rows is None else torch.as_tensor(self._rows)
        # Samples that are not in this subset keep their own part.
        full = torch.arange(len(self.samples))
        full[places] = places[order]
        other._samples = other._prepared = self._hooks.exchange(self.samples, part, full)
        return other


def is_indexed(samples: Any) -> bool:
    """Return whether samples can be accessed by index."""
    is_iterable_dataset = isinstance(samples, IterableDataset)
    return not is_iterable_dataset and hasattr(samples, "__len__") and hasattr(samples, "__getitem__")
