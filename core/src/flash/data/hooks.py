"""What a dataset asks of the hooks that its samples go through; a preprocess has them for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch.utils.data import Dataset

from flash.data.stage import Stage

__all__ = ["HooksByStage", "SampleHooks"]


class HooksByStage(Protocol):
    """An object that has hooks for each stage: a :class:`~flash.data.process.Preprocess`."""

    def stage_hooks(self, stage: Stage, input_spec: Any = None) -> SampleHooks:
        """Return the hooks as they apply to one stage, and to a network that expects such inputs."""

    def is_deterministic(self, stage: Stage) -> bool:
        """Return whether a sample of a stage comes out alike each time."""


class SampleHooks(Protocol):
    """The hooks as they apply to one stage: :class:`~flash.data.process.StageHooks`."""

    stage: Stage
    input_spec: Any
    has_default_sample_path: bool
    transforms_on_device: bool

    @property
    def preprocess(self) -> HooksByStage:
        """What the hooks belong to."""

    def load_data(self, data: Any, dataset: Dataset[Any]) -> Any:
        """Return the samples; facts about them are set on the dataset."""

    def prepare_samples(self, samples: Any, dataset: Dataset[Any]) -> Any:
        """Prepare all samples for the network."""

    def load_sample(self, sample: Any, dataset: Dataset[Any]) -> Any:
        """Load one sample, and transform it."""

    def transform_sample(self, sample: Any) -> Any:
        """Transform a sample that is loaded already."""

    def collate(self, samples: Sequence[Any]) -> Any:
        """Make one batch of a list of samples."""

    def transform_batch(self, batch: Any) -> Any:
        """Transform a batch that came from memory as a whole."""

    def transform_on_device(self, batch: Any) -> Any:
        """Transform a batch on the device that the model is on."""
