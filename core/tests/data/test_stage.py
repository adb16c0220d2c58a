"""One value per stage."""

from __future__ import annotations

from flash.data.stage import Stage, Stages


def test_stages_are_those_that_have_a_value() -> None:
    stages: Stages[int] = Stages(1, None, 3, None)
    assert list(stages) == [(Stage.TRAIN, 1), (Stage.TEST, 3)]
    assert stages.map(lambda stage, value: value + 1) == Stages(2, None, 4, None)
    assert stages.required("number") is stages
