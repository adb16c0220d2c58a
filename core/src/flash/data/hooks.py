"""Protocols of the hooks that transform the samples of a dataset; a preprocess has them per stage."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import Dataset

from flash.data.display import Display
from flash.data.pieces import Pieces
from flash.data.stage import Stage

__all__ = ["HooksByStage", "SampleHooks"]


class HooksByStage(Protocol):
    """An object with hooks per stage: a :class:`~flash.data.process.Preprocess`."""

    def stage_hooks(self, stage: Stage, input_spec: Any = None) -> SampleHooks:
        """Return the hooks for one stage and the input requirements of a network."""

    def is_deterministic(self, stage: Stage) -> bool:
        """Return whether the samples of a stage are deterministic."""

    def preview_spec(self) -> Any:
        """Return the input requirements for figures before a task is connected."""


class SampleHooks(Protocol):
    """The hooks for one stage: :class:`~flash.data.process.StageHooks`."""

    stage: Stage
    input_spec: Any
    has_default_sample_path: bool
    transforms_on_device: bool

    @property
    def preprocess(self) -> HooksByStage:
        """The object that the hooks belong to."""

    def load_data(self, data: Any, dataset: Dataset[Any]) -> Any:
        """Return the samples, and set facts about them on the dataset."""

    def prepare_samples(self, samples: Any, dataset: Dataset[Any]) -> Any:
        """Prepare all samples for the network."""

    def load_sample(self, sample: Any, dataset: Dataset[Any]) -> Any:
        """Load and transform one sample."""

    def transform_sample(self, sample: Any) -> Any:
        """Transform a sample that is loaded already."""

    def collate(self, samples: Sequence[Any]) -> Any:
        """Collate a list of samples to a batch."""

    def transform_batch(self, batch: Any) -> Any:
        """Transform a batch that was indexed in memory as a whole."""

    def transform_on_device(self, batch: Any) -> Any:
        """Transform a batch on the device of the model."""

    def display(self, samples: Any, rows: Sequence[int]) -> list[Display]:
        """Return what a person looks at for some samples."""

    @property
    def displays_inputs(self) -> bool:
        """True if the inputs of a network can be shown to a person."""

    def display_inputs(self, inputs: Any, count: int) -> list[Display]:
        """Return what a person looks at for the inputs of a batch."""

    def display_targets(self, samples: Any, rows: Sequence[int]) -> list[str] | None:
        """Return the targets of some samples as text, if the hook is overridden."""

    def parts(self, samples: Any) -> list[str]:
        """Return the names of the parts of the inputs."""

    def exchange(self, samples: Any, part: str, order: Tensor) -> Any:
        """Return samples with one part of the inputs from other samples."""

    def pieces(self, samples: Any, row: int, most: int) -> Pieces | None:
        """Return how one sample is divided into pieces; ``None`` if it is one whole."""

    def without_pieces(self, pieces: Pieces, left_out: Sequence[Collection[int]]) -> Any:
        """Return the samples without some pieces, one for each collection of pieces."""
