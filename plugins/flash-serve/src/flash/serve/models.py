"""Models that a service predicts with: a task in memory or of a checkpoint, or the networks of an exported folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

import flash
from flash.core.outputs import find_output, resolve_output, takes_ids
from flash.core.prediction import preprocess_of
from flash.data.requests import RequestFields
from flash.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from flash.export.loading import ExportedTask

__all__ = ["Model", "TaskModel", "export", "load"]

_PRECISIONS = {"32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16, "64": torch.float64}
#: The file that describes a folder of ``task.export``.
_EXPORT = "export.json"


class Model(Protocol):
    """Model as a service asks it."""

    @property
    def title(self) -> str:
        """The name of the class of the task."""

    @property
    def fields(self) -> RequestFields:
        """The description of a sample."""

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the classes, if there are probabilities of them."""

    @property
    def names(self) -> Sequence[Any] | None:
        """The names of the classes, or of the numbers of a prediction, if they are known."""

    def predict(self, samples: Sequence[Any]) -> Sequence[tuple[Any, Sequence[float] | None]]:
        """Return the prediction of each sample, and the probabilities of its classes if there are any.

        Args:
            samples: As the kind of ``fields`` says.
        """


class TaskModel:
    """A task, whose answers are what ``task.predict`` returns.

    Args:
        task: The task, in eval mode.

    Raises:
        DataError: If the task has not learned what a sample is.

    Example:
        >>> from torch import nn
        >>> TaskModel(flash.Task(nn.Linear(2, 1))).fields.kind
        'numbers'
    """

    def __init__(self, task: flash.Task) -> None:
        self._task = task
        self.title = type(task).__name__
        self.fields = preprocess_of(task).request_fields()
        self.names = task.output_names
        self.classes = _class_names(task)
        chosen = find_output(task, task.output)
        # A postprocess of the user's own expects the results of the output that was chosen.
        is_default = task.postprocess is None or type(task.postprocess) is flash.Postprocess
        self._has_both = self.classes is not None and is_default and not takes_ids(chosen)
        # They are looked up once.
        self._outputs = [chosen, find_output(task, "probabilities")] if self._has_both else []

    def predict(self, samples: Sequence[Any]) -> list[tuple[Any, Sequence[float] | None]]:
        """Return the prediction of each sample and the probabilities of its classes, by one call of ``task.predict``.

        Args:
            samples: As the kind of ``fields`` says.
        """
        if self._has_both:
            return self._predict(samples, self._both)
        return [(each, None) for each in self._predict(samples, None)]

    def _both(self, predictions: Any, inputs: Any) -> list[Any]:
        outputs = [resolve_output(self._task, each, inputs)(predictions) for each in self._outputs]
        return list(zip(*outputs, strict=True))

    def _predict(self, samples: Sequence[Any], output: Any) -> list[Any]:
        if self.fields.kind != "numbers":
            return self._task.predict(samples, output, batch_size=len(samples))
        try:
            return self._task.predict(np.stack(samples), output, batch_size=len(samples))
        except DataError:
            raise
        # No preprocess says what shape they have, so that it is the network that refuses them.
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise DataError(
                f"Expected numbers that the network takes, but those of shape {samples[0].shape} are refused: {error}. "
                "Send as many as a sample has."
            ) from error


class _ExportedModel:
    """An exported folder, whose answers are those of its ``predict.py``, which it does not execute."""

    def __init__(self, exported: ExportedTask) -> None:
        result = exported.result
        labels = result.get("labels")
        self._exported = exported
        self.title, self.fields = exported.title, exported.fields
        self.names = result.get("names") if labels is None else labels
        self.classes = None if result["kind"] != "classes" or labels is None else [str(each) for each in labels]

    def predict(self, samples: Sequence[Any]) -> list[tuple[Any, Sequence[float] | None]]:
        if self.classes is None:
            return [(each, None) for (each,) in self._exported.predict(samples)]
        return [(each, found) for each, found in self._exported.predict(samples, (None, "probabilities"))]


def load(source: str | os.PathLike[str], device: str = "cpu", precision: str = "32") -> Model:
    """Load what a service predicts with.

    Args:
        source: A checkpoint, as in :meth:`flash.Task.load_from_checkpoint`, or a folder of :meth:`flash.Task.export`.
        device: The device of a checkpoint, such as ``"cuda"``.
        precision: The precision of the weights of a checkpoint: ``"32"``, ``"16"``, ``"bf16"`` or ``"64"``.

    Raises:
        ConfigurationError: If the device or the precision is unknown, or is not that of an exported folder, or a
            package is not installed.
        CheckpointError: If it is neither.
    """
    if precision not in _PRECISIONS:
        raise ConfigurationError(f"Expected precision to be one of {', '.join(_PRECISIONS)}, but got {precision!r}.")
    if _is_export(source):
        return _load_export(Path(source), device, precision)
    task = flash.Task.load_from_checkpoint(os.fspath(source)).eval()
    try:
        task = task.to(device=torch.device(device), dtype=None if precision == "32" else _PRECISIONS[precision])
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(
            f"Expected a device that is there, such as cpu, but got {device!r}: {error}"
        ) from error
    return TaskModel(task)


def export(
    task: flash.Task | str | os.PathLike[str], folder: Path, format: str, device: str = "cpu", precision: str = "32"
) -> Path:
    """Write a task into a folder that :func:`load` reads, and whose networks predict faster if they are small.

    Args:
        task: The task, or its checkpoint.
        folder: The folder, as in :meth:`flash.Task.export`.
        format: The format, such as ``"onnx"``.
        device: The device that was asked for; a format is for the CPU.
        precision: The precision that was asked for; a format keeps that of the task.

    Returns:
        The folder.

    Raises:
        ConfigurationError: If it is a folder that is exported already, or is not for the CPU and in 32 bits.
        ExportError: If the task cannot be exported.
        PluginError: If no plugin exports tasks.
        UnknownNameError: If there is no such format.
    """
    if not isinstance(task, flash.Task) and _is_export(task):
        raise ConfigurationError(
            f"Expected a checkpoint to export as {format!r}, but {os.fspath(task)} is an exported folder. Leave the "
            "format out: it is served as it is."
        )
    if (device, precision) != ("cpu", "32"):
        raise ConfigurationError(
            f"Expected a service of {format!r} to be on the CPU in 32 bits, but got the device {device!r} and the "
            f"precision {precision!r}. Leave the format out, or them."
        )
    if not isinstance(task, flash.Task):
        task = flash.Task.load_from_checkpoint(os.fspath(task))
    return task.export(folder, format)


def _is_export(source: str | os.PathLike[str]) -> bool:
    return Path(source, _EXPORT).is_file()


def _load_export(folder: Path, device: str, precision: str) -> Model:
    try:
        from flash.export.loading import load_export
    except ImportError as error:
        raise ConfigurationError(
            f"Expected the package flash-export, which reads the exported folder {folder}, but it is not installed: "
            'pip install "flash-serve[export]".'
        ) from error
    if (device, precision) != ("cpu", "32"):
        raise ConfigurationError(
            f"Expected the exported folder {folder} to be served as it was written, on the CPU, but got the device "
            f"{device!r} and the precision {precision!r}. Serve the checkpoint instead, or leave them out."
        )
    return _ExportedModel(load_export(folder))


def _class_names(task: flash.Task) -> list[str] | None:
    """Return the names of the classes, if the task has probabilities of them."""
    if "probabilities" not in task.available_outputs():
        return None
    names = task.output_names
    count = getattr(task, "num_classes", None)
    return names or ([str(number) for number in range(count)] if isinstance(count, int) else None)
