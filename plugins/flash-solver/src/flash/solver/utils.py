"""Utilities for training loops: running averages, read-only models, atomic file writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from torch import Tensor, nn

from flash.serialization import explaining_write_errors as explain
from flash.serialization import replacing, writing

__all__ = [
    "AnyPath",
    "Averager",
    "averager",
    "explaining_write_errors",
    "readonly",
    "write_and_rename",
    "writing_in_folder",
]

AnyPath = Path | str
_FOLDER_ARGUMENT = "BaseSolver(folder=...)"


class Averager:
    """Averages metrics over the steps of a loop; see :func:`averager`.

    It has a state dict, so that an interrupted loop can resume the average.

    Args:
        beta: The decay of old values per step; 1 for the arithmetic mean.
    """

    def __init__(self, beta: float = 1) -> None:
        self.beta = beta
        self._total: dict[str, float] = defaultdict(float)
        self._weight: dict[str, float] = defaultdict(float)

    def __call__(self, metrics: Mapping[str, Any], weight: float = 1) -> dict[str, float]:
        """Add the metrics of a step, and return the averages over all steps so far.

        Args:
            metrics: Numbers, or tensors with one element.
            weight: The weight of this step, such as its number of samples.
        """
        for name, value in metrics.items():
            # The first test is the cheap one: isinstance of a Tensor runs torch's own Python code.
            is_scalar = type(value) is float or not isinstance(value, Tensor)
            number = float(value if is_scalar else value.detach())
            self._total[name] = self._total[name] * self.beta + weight * number
            self._weight[name] = self._weight[name] * self.beta + weight
        return {name: total / self._weight[name] for name, total in self._total.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the weighted sums."""
        return {"total": dict(self._total), "weight": dict(self._weight)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the weighted sums."""
        self._total = defaultdict(float, state["total"])
        self._weight = defaultdict(float, state["weight"])


def averager(beta: float = 1) -> Averager:
    """Return a function that averages metrics over the steps of a loop.

    Args:
        beta: The decay of old values per step: 1 for the arithmetic mean, less for an exponential moving average.

    Example:
        >>> average = averager()
        >>> average({"loss": 1.0})
        {'loss': 1.0}
        >>> average({"loss": 4.0}, weight=2)
        {'loss': 3.0}
    """
    return Averager(beta)


@contextmanager
def readonly(model: nn.Module) -> Iterator[nn.Module]:
    """Context manager: set ``requires_grad=False`` for all parameters; gradients still flow through the model.

    Args:
        model: The model; each parameter's ``requires_grad`` is restored on exit, also after an error.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> with readonly(model):
        ...     model.weight.requires_grad
        False
        >>> model.weight.requires_grad
        True
    """
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in before:
            parameter.requires_grad_(False)
        yield model
    finally:
        for parameter, flag in before:
            parameter.requires_grad_(flag)


@contextmanager
def write_and_rename(
    path: AnyPath,
    mode: str = "wb",
    suffix: str = ".tmp",  # noqa: ARG001  # Flashy's signature
    pid: bool = False,  # noqa: ARG001  # the same
) -> Iterator[IO[Any]]:
    """Write a file atomically: ``path`` is replaced once the new file is complete and flushed to disk.

    Args:
        path: The file to write.
        mode: As in ``open``.
        suffix: Ignored; accepted for compatibility with Flashy. The temporary file always has a unique name.
        pid: Ignored, for the same reason.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with write_and_rename(path, "w") as file:
        ...     _ = file.write("1 2 3")
        >>> path.read_text()
        '1 2 3'
    """
    with replacing(Path(path), mode) as file:
        yield file


@contextmanager
def writing_in_folder(path: AnyPath, mode: str = "wb") -> Iterator[IO[Any]]:
    """Context manager: write a file of the run atomically, in a folder that is created, text as UTF-8.

    Args:
        path: The file.
        mode: As in ``open``.

    Raises:
        CheckpointError: If it cannot be written; an older file of that name is untouched.
    """
    encoding = None if "b" in mode else "utf-8"
    with writing(path, mode, folder_argument=_FOLDER_ARGUMENT, encoding=encoding) as file:
        yield file


@contextmanager
def explaining_write_errors(path: AnyPath) -> Iterator[None]:
    """Context manager: raise an error in words if a file of the run cannot be written.

    Args:
        path: The file.

    Raises:
        CheckpointError: If the operating system refuses to write.

    Example:
        >>> with explaining_write_errors("runs/history.json"):
        ...     raise OSError("No space left on device")
        Traceback (most recent call last):
        ...
        flash.errors.CheckpointError: The file runs/history.json could not be written: No space left on device. An \
older file of that name is untouched. Free some space, or choose another folder with BaseSolver(folder=...).
    """
    with explain(path, folder_argument=_FOLDER_ARGUMENT):
        yield
