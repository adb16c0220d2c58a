"""WithTask: the fixtures that checks of tasks share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pytest

import flash
from flash.testing._battery import Trainers
from flash.testing._with_data import MakeData, WithData

__all__ = ["ROUGHLY", "MakeTask", "WithTask", "output_of", "predict_of"]

#: Makes a task for a data module, with random weights.
MakeTask = Callable[[flash.DataModule], flash.Task]

#: How far numbers may differ that were computed in batches of other sizes.
ROUGHLY = 1e-3


class WithTask(WithData):
    """Checks that need a task: a subclass gives the fixtures ``make_task``, ``raw_inputs`` and ``bad_inputs`` too."""

    #: Whether the task has a backbone that finetuning strategies can freeze.
    freezable: ClassVar[bool] = True

    @pytest.fixture
    def make_task(self) -> MakeTask:
        """Makes a task for a data module; give it in your subclass. It is small, and needs no pretrained weights."""
        raise NotImplementedError(
            "Expected a fixture `make_task` that returns a function from a data module to a task."
        )

    @pytest.fixture
    def raw_inputs(self) -> Any:
        """The inputs of the part ``predict``, as ``task.predict`` takes them; give it in your subclass.

        A list, an array, a tensor or a data frame.
        """
        raise NotImplementedError("Expected a fixture `raw_inputs` with what task.predict takes.")

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        """Inputs that ``task.predict`` must refuse, by what is wrong with them; give it in your subclass."""
        raise NotImplementedError("Expected a fixture `bad_inputs` with inputs that have to be refused.")

    @pytest.fixture
    def trained(
        self, request: pytest.FixtureRequest, make_task: MakeTask, make_data: MakeData, trainer: Trainers
    ) -> flash.Task:
        """A task after one epoch, which all checks share: what could change it takes ``fitted`` instead."""
        # A class that is run for several values of a parameter has a task for each of them.
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
        """A copy of the task after one epoch, without its trainer."""
        return copy.deepcopy(trained)


def output_of(task: flash.Task) -> str | None:
    """Return the output with most in it: the network's numbers, where the task gives them."""
    return "raw" if "raw" in task.available_outputs() else None


def predict_of(task: flash.Task, raw: Any) -> Sequence[Any]:
    """Predict with that output."""
    return task.predict(raw, output=output_of(task))
