"""AutoDataset: a map-style dataset whose samples are transformed by the hooks of a preprocess."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from flash.data.columns import Columns
from flash.data.display import Display
from flash.data.hooks import HooksByStage, SampleHooks
from flash.data.kept_rows import KeptRows
from flash.data.pieces import Pieces
from flash.data.stage import Stage
from flash.data.windows import Windows
from flash.errors import DataError

__all__ = ["AutoDataset", "SourceRows", "is_indexed"]


#: Numbers of rows, counted from 0.
RowNumbers: TypeAlias = Sequence[int] | npt.NDArray[np.int64]


@dataclass(frozen=True)
class SourceRows:
    """Rows of the data that the user passed, which the samples of a dataset are.

    Args:
        stage: The stage that the data was passed for: of validation samples that were split off, the train stage.
        rows: The row of each sample, counted from 0.
    """

    stage: Stage
    rows: RowNumbers

    def take(self, rows: RowNumbers) -> SourceRows:
        """Return those of some samples."""
        if isinstance(self.rows, KeptRows) and isinstance(rows, KeptRows):
            return SourceRows(self.stage, self.rows.within(rows))
        return SourceRows(self.stage, [int(self.rows[row]) for row in rows])


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
        source_rows: The rows of the data that the user passed, if ``data`` is a part of it.
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
        self,
        data: Any,
        stage: Stage,
        preprocess: HooksByStage,
        input_spec: Any = None,
        *,
        source_rows: SourceRows | None = None,
        streams: bool = False,
    ) -> None:
        self._hooks = preprocess.stage_hooks(stage, input_spec)
        self._source_rows = source_rows
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
    def source_rows(self) -> SourceRows | None:
        """The rows of the data that the user passed; ``None`` if the samples are all of its rows, or are not rows."""
        return self._source_rows

    def keep_rows(self, kept: Sequence[int]) -> None:
        """Say which rows were kept; called by ``load_data`` if it drops some.

        Args:
            kept: The rows of the data that ``load_data`` got.
        """
        whole = self._source_rows
        self._source_rows = SourceRows(self._hooks.stage, list(kept)) if whole is None else whole.take(kept)

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
    def windows(self) -> Windows | None:
        """The shuffling of samples that lie on disk: their attribute ``windows``; else ``None``."""
        windows: Windows | None = getattr(self.samples, "windows", None) if self._rows is None else None
        return windows

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
            other._source_rows = (
                SourceRows(self._hooks.stage, rows) if self._source_rows is None else self._source_rows.take(rows)
            )
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
        """Return the id of a sample: its entry in ``ids`` of ``load_data``'s result, its file, or its row.

        The file is the ``name`` of the sample, where ``load_data`` returned a list. The row is that of the data that
        the user passed, counted from 0, also of samples that were split off. If ``prepare_samples`` returned another
        number of samples, such as windows of series, it is their number.
        """
        row = index if self._rows is None else self._rows[index]
        samples = self.samples
        ids = getattr(samples, "ids", None)
        if ids is not None:
            return ids[row]
        # Another collection may load the sample, or unpack it, when it is indexed.
        name = getattr(samples[row], "name", None) if isinstance(samples, list | tuple) else None
        known = self._known_rows
        return name if isinstance(name, str | PurePath) else row if known is None else int(known[row])

    @property
    def _known_rows(self) -> RowNumbers | None:
        """The row of each sample in the data that the user passed; ``None`` if it is the number of the sample."""
        known = self._source_rows
        return None if known is None or len(known.rows) != len(self.samples) else known.rows

    def ids_of(self, rows: Sequence[int]) -> list[Any]:
        """Return the ids of several samples."""
        if self.columns is not None and self._rows is None and getattr(self.samples, "ids", None) is None:
            known = self._known_rows
            return list(rows) if known is None else [int(known[row]) for row in rows]
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

    def pieces(self, row: int, most: int) -> Pieces | None:
        """Return how one sample is divided into pieces, such as words; ``None`` if it is one whole.

        Args:
            row: The index of the sample.
            most: The greatest number of pieces.

        Raises:
            ConfigurationError: If the hook ``pieces`` returns something else.
        """
        return self._hooks.pieces(self.samples, self._places([row])[0], most)

    def without_pieces(self, pieces: Pieces, left_out: Sequence[Collection[int]]) -> AutoDataset:
        """Return a dataset of one sample without some of its pieces for each entry of ``left_out``.

        Args:
            pieces: The result of :meth:`pieces`.
            left_out: The indices of the pieces to leave out.

        Example:
            >>> from flash import Preprocess
            >>> from flash.data.pieces import words_of, without_words
            >>> class Words(Preprocess):
            ...     def pieces(self, samples, row, most):
            ...         text, words = samples[row], words_of(samples[row], most)
            ...         return Pieces(text, words, lambda each: [without_words(text, words, out) for out in each])
            >>> dataset = AutoDataset(["good", "not so bad"], Stage.PREDICT, Preprocess())
            >>> dataset.pieces(1, most=9) is None
            True
            >>> dataset = AutoDataset(["good", "not so bad"], Stage.PREDICT, Words())
            >>> list(dataset.without_pieces(dataset.pieces(1, most=9), [[], [0, 1]]))
            ['not so bad', 'bad']
        """
        other = self._copy()
        other._samples = other._prepared = self._hooks.without_pieces(pieces, left_out)
        other._rows = other._source_rows = None
        return other


def is_indexed(samples: Any) -> bool:
    """Return whether samples can be accessed by index."""
    is_iterable_dataset = isinstance(samples, IterableDataset)
    return not is_iterable_dataset and hasattr(samples, "__len__") and hasattr(samples, "__getitem__")
