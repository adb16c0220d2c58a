"""The four stages that data goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from flash.errors import DataError

__all__ = ["Stage", "Stages"]

T = TypeVar("T")
U = TypeVar("U")


class Stage(str, Enum):
    """What a sample is used for; its value is the prefix of the hooks that serve only this stage.

    Example:
        >>> Stage.TRAIN.value
        'train'
    """

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    PREDICT = "predict"


@dataclass(frozen=True)
class Stages(Generic[T]):
    """One value per stage, such as a file; ``None`` for a stage without data.

    It spares a constructor with ``train_file``, ``val_file``, ``test_file`` and ``predict_file`` to write everything
    four times.

    Args:
        train: The value for training.
        val: The value for validation.
        test: The value for testing.
        predict: The value for prediction.

    Example:
        >>> files = Stages("a.csv", None, "b.csv", None)
        >>> files.map(lambda stage, file: f"{stage.value} {file}").as_inputs()
        {'train_load_data_input': 'train a.csv', 'test_load_data_input': 'test b.csv'}
    """

    train: T | None = None
    val: T | None = None
    test: T | None = None
    predict: T | None = None

    def __iter__(self) -> Iterator[tuple[Stage, T]]:
        """Iterate over the stages that have a value, with it."""
        for stage in Stage:
            value = getattr(self, stage.value)
            if value is not None:
                yield stage, value

    def map(self, make: Callable[[Stage, T], U | None]) -> Stages[U]:
        """Return what a function makes of each value that is there."""
        return Stages(**{stage.value: make(stage, value) for stage, value in self})

    def required(self, name: str) -> Stages[T]:
        """Return the same stages if there is a value for one of them.

        Args:
            name: The arguments without their prefix, such as ``"file"``.

        Raises:
            DataError: If there is none.
        """
        if not any(True for _ in self):
            names = [f"{stage.value}_{name}" for stage in Stage]
            raise DataError(f"Expected at least one {name}: {', '.join(names[:-1])} or {names[-1]}.")
        return self

    def as_inputs(self) -> dict[str, Any]:
        """Return the arguments of :meth:`flash.DataModule.from_load_data_inputs`."""
        return {f"{stage.value}_load_data_input": value for stage, value in self}
