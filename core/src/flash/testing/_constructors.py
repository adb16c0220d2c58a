"""Checks of each declared constructor: the same samples from each kind of input, each with a unique id."""

from __future__ import annotations

from typing import Any

from flash.testing._with_data import (
    STAGES,
    Constructor,
    Constructors,
    MakeData,
    Parts,
    WithData,
    dataset_of,
    maker,
    same_samples,
)

__all__ = ["ConstructorChecks"]


class ConstructorChecks(WithData):
    """Checks of the constructors of the fixtures ``constructors`` and ``constructor``."""

    def test_each_constructor_has_the_same_samples(self, make_data: MakeData, constructors: Constructors) -> None:
        """Check that all constructors have the same samples, in any order, in each stage with arguments."""
        expected = {stage: self.samples(make_data("train", stage), stage) for stage in STAGES}
        for name, (constructor, parts) in constructors.items():
            assert "train" in parts, f"Expected arguments of {name} for train, but there are those for {sorted(parts)}."
            for stage in [stage for stage in STAGES if stage in parts]:
                found = self.samples(maker(constructor, parts)("train", stage), stage)
                assert len(found) == len(expected[stage]), (
                    f"Expected {len(expected[stage])} {stage} samples of {name}, but got {len(found)}."
                )
                assert same_samples(found, expected[stage]), (
                    f"Expected the {stage} samples of the fixture `parts` from {name} too, but they differ."
                )

    def test_each_sample_has_an_id_of_its_own(
        self, constructor: Constructor, parts: Parts, constructors: Constructors
    ) -> None:
        """Check that sample ids are unique per stage, so that outputs can refer to samples by id."""
        for name, (way, arguments) in {"the constructor": (constructor, parts), **constructors}.items():
            for stage in [stage for stage in STAGES if stage in arguments]:
                dataset: Any = dataset_of(maker(way, arguments)("train", stage), stage)
                if hasattr(dataset, "id_of"):
                    ids = [dataset.id_of(row) for row in range(len(dataset))]
                    twice = sorted({str(each) for each in ids if ids.count(each) > 1})
                    assert not twice, f"Expected an id for each {stage} sample of {name}, but several have {twice[0]}."
