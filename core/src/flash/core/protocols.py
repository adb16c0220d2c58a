"""Protocol of a task, for modules that the task itself imports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from torch.nn.modules.module import _IncompatibleKeys

from flash.core.registry import Registry
from flash.data.process import Postprocess, Preprocess
from flash.errors import CheckpointError

__all__ = ["TaskLike"]


class TaskLike(Protocol):
    """A :class:`flash.Task`, as far as binding, outputs, checkpoints and changes of structure need it."""

    backbones: ClassVar[Registry]
    outputs: ClassVar[Registry]
    loss_registry: ClassVar[Registry]
    metric_registry: ClassVar[Registry]
    default_output: str
    preprocess: Preprocess | None
    postprocess: Postprocess | None
    preprocess_error: CheckpointError | None
    history: list[dict[str, float]]
    _structure: list[dict[str, Any]]

    @property
    def recorded_arguments(self) -> Mapping[str, Any]:
        """Arguments that a checkpoint holds."""

    @property
    def structure_changes(self) -> list[dict[str, Any]]:
        """Changes by ``change_structure``."""

    @property
    def input_spec(self) -> Any:
        """Requirements of the network on its inputs."""

    def record_arguments(self, **values: Any) -> None:
        """Record arguments, in place of the ones that were passed."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Load weights."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move the weights to a device."""
