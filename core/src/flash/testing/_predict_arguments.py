"""Checks that ``task.predict`` accepts the same input as the ``predict_`` arguments of constructors."""

from __future__ import annotations

from flash.testing._compare import flat, same
from flash.testing._conformance import Trainers
from flash.testing._with_data import Constructor, Constructors, Parts, maker
from flash.testing._with_task import TOLERANCE, MakeTask, WithTask, output_of

__all__ = ["PredictionTwinChecks"]


class PredictionTwinChecks(WithTask):
    """Checks of the ``predict_`` argument of each constructor, compared with ``task.predict``."""

    def test_task_predict_takes_what_each_constructor_takes(
        self,
        constructor: Constructor,
        parts: Parts,
        constructors: Constructors,
        make_task: MakeTask,
        trainer: Trainers,
    ) -> None:
        """Check that a task predicts the raw ``predict`` argument with the same results as the data module."""
        ways = {"the constructor": (constructor, parts), **constructors}
        for name, (way, arguments) in ways.items():
            if "predict" not in arguments:
                continue
            data = maker(way, arguments)("train", "predict")
            task = make_task(data)
            expected = flat(trainer().predict(task, datamodule=data, output=output_of(task)))
            size = len(data.predict_dataset)
            assert len(expected) == size, f"Expected {size} results with the data of {name}, but got {len(expected)}."
            if len(arguments["predict"]) == 1:
                (raw,) = arguments["predict"].values()
                assert same(list(task.predict(raw, output=output_of(task))), expected, TOLERANCE), (
                    f"Expected task.predict to take what {name} takes, {list(arguments['predict'])}, with the same "
                    "results, but they differ."
                )
