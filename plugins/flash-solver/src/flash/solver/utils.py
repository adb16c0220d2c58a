"""Small tools for loops: running averages, read-only models, files that are written whole or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from torch import Tensor, nn

from flash.serialization import replacing

__all__ = ["AnyPath", "Averager", "averager", "readonly", "write_and_rename"]

AnyPath = Path | str


class Averager:
    """Averages metrics over the steps of a loop; see :func:`averager`.

    It has a state, so that a loop that is interrupted goes on averaging where it was.

    Args:
        beta: What old values are multiplied by at each step; 1 gives the plain mean.
    """

    def __init__(self, beta: float = 1) -> None:
        self.beta = beta
        self._total: dict[str, float] = defaultdict(float)
        self._weight: dict[str, float] = defaultdict(float)

    def __call__(self, metrics: Mapping[str, Any], weight: float = 1) -> dict[str, float]:
        """Take in the metrics of a step, and return the averages of all that have been seen.

        Args:
            metrics: Numbers, or tensors with one element.
            weight: How much this step counts, such as its number of samples.
        """
        for name, value in metrics.items():
            # The first test is the cheap one: torch answers the second with code of its own.
            plain = type(value) is float or not isinstance(value, Tensor)
            number = float(value if plain else value.detach())
            self._total[name] = self._total[name] * self.beta + weight * number
            self._weight[name] = self._weight[name] * self.beta + weight
        return {name: total / self._weight[name] for name, total in self._total.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        return {"total": dict(self._total), "weight": dict(self._weight)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the sums of an interrupted loop."""
        self._total = defaultdict(float, state["total"])
        self._weight = defaultdict(float, state["weight"])


def averager(beta: float = 1) -> Averager:
    """Return a function that averages metrics over the steps of a loop.

    Args:
        beta: What old values are multiplied by at each step: 1 gives the plain mean, less an exponential average.

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
    """Let gradients flow through a model, but not into its parameters.

    Args:
        model: The model; each parameter's own setting comes back at the end, also after an error.

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
    """Open a file that takes the place of ``path`` once it is complete and on the disk.

    Whatever happens, ``path`` is at any time either the old file or the new one, whole.

    Args:
        path: The file to write.
        mode: As in ``open``.
        suffix: Accepted as by Flashy. The temporary file has a name of its own in any case.
        pid: Accepted as by Flashy, for the same reason.

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
