"""Fixtures that checks of tasks share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pytest

import flash
from flash.testing._conformance import Trainers
from flash.testing._with_data import MakeData, WithData

__all__ = ["TOLERANCE", "MakeTask", "WithTask", "output_of", "predict_of"]

#: Creates a task for a data module, with random weights.
MakeTask = Callable[[flash.DataModule], flash.Task]

#: Tolerance for numbers that are computed in batches of different sizes.
TOLERANCE = 1e-3


class WithTask(WithData):
    """Checks that need a task, with the additional fixtures ``make_task``, ``raw_inputs`` and ``bad_inputs``."""

    #: Whether the task has a backbone that finetuning strategies can freeze.
    freezable: ClassVar[bool] = True

    @pytest.fixture
    def make_task(self) -> MakeTask:
        """Return a function that creates a small task without pretrained weights for a data module; override it."""
        raise NotImplementedError(
            "Expected a fixture `make_task` that returns a function from a data module to a task."
        )

    @pytest.fixture
    def raw_inputs(self) -> Any:
        """Return the inputs of the part ``predict``, as ``task.predict`` takes them; override it in your subclass.

        They are a list, an array, a tensor or a data frame.
        """
        raise NotImplementedError("Expected a fixture `raw_inputs` with what task.predict takes.")

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        """Return inputs that ``task.predict`` must reject, by a description of the error; override it."""
        raise NotImplementedError("Expected a fixture `bad_inputs` with inputs that have to be refused.")

    @pytest.fixture
    def trained(
        self, request: pytest.FixtureRequest, make_task: MakeTask, make_data: MakeData, trainer: Trainers
    ) -> flash.Task:
        """Return a task after one epoch, shared by all checks: checks that could change it use ``fitted``."""
        # A parametrized class has a task per parameter value.
        values = getattr(request.node, "callspec", None)
        key = f"_trained_{sorted(values.indices.items()) if values else ''}"
        if key not in vars(type(self)):
            data = make_data("train", "val")
            task = make_task(data)
            trainer().fit(task, data)
            setattr(type(self), key, task)
        shared: flash.Task = vars(type(self))[key]
        return shared

    @pytest.fixture
    def fitted(self, trained: flash.Task) -> flash.Task:
        """Return a copy of the task after one epoch, without its trainer."""
        return copy.deepcopy(trained)


def output_of(task: flash.Task) -> str | None:
    """Return the most detailed output: ``"raw"`` if the task has it, otherwise the default."""
    return "raw" if "raw" in task.available_outputs() else None


def predict_of(task: flash.Task, raw: Any) -> Sequence[Any]:
    """Predict with the output of :func:`output_of`."""
    return task.predict(raw, output=output_of(task))
