"""Checks that what a constructor takes for prediction is what ``task.predict`` takes."""

from __future__ import annotations

from flash.testing._battery import Trainers
from flash.testing._compare import flat, same
from flash.testing._with_data import Constructor, Constructors, Parts, maker
from flash.testing._with_task import ROUGHLY, MakeTask, WithTask, output_of

__all__ = ["PredictionTwinChecks"]


class PredictionTwinChecks(WithTask):
    """What has to hold for the ``predict_`` argument of each constructor, and for ``task.predict``."""

    def test_task_predict_takes_what_each_constructor_takes(
        self,
        constructor: Constructor,
        parts: Parts,
        constructors: Constructors,
        make_task: MakeTask,
        trainer: Trainers,
    ) -> None:
        """A task that was made for data predicts the argument of the part ``predict`` itself, with the same results."""
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
                assert same(list(task.predict(raw, output=output_of(task))), expected, ROUGHLY), (
                    f"Expected task.predict to take what {name} takes, {list(arguments['predict'])}, with the same "
                    "results, but they differ."
                )
