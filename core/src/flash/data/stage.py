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
    """The stage of a sample; its value is the prefix of the hooks for this stage only.

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

    It avoids repetition in constructors with ``train_file``, ``val_file``, ``test_file`` and ``predict_file``.

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
        """Iterate over the stages that have a value, as pairs of stage and value."""
        for stage in Stage:
            value = getattr(self, stage.value)
            if value is not None:
                yield stage, value

    def map(self, make: Callable[[Stage, T], U | None]) -> Stages[U]:
        """Return the results of a function for each stage that has a value."""
        return Stages(**{stage.value: make(stage, value) for stage, value in self})

    def required(self, name: str) -> Stages[T]:
        """Return the same stages if at least one has a value.

        Args:
            name: The name of the arguments without the prefix of the stage, such as ``"file"``.

        Raises:
            DataError: If no stage has a value.
        """
        if not any(True for _ in self):
            names = [f"{stage.value}_{name}" for stage in Stage]
            raise DataError(f"Expected at least one {name}: {', '.join(names[:-1])} or {names[-1]}.")
        return self

    def as_inputs(self) -> dict[str, Any]:
        """Return the arguments of :meth:`flash.DataModule.from_load_data_inputs`."""
        return {f"{stage.value}_load_data_input": value for stage, value in self}
