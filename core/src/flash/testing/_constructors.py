"""Checks of each declared constructor: the same samples whatever they come from, each with an id."""

from __future__ import annotations

from typing import Any

from flash.testing._with_data import STAGES, Constructors, MakeData, WithData, dataset_of, maker, same_samples

__all__ = ["ConstructorChecks"]


class ConstructorChecks(WithData):
    """What has to hold for the constructors of the fixture ``constructors``, and for the first one."""

    def test_each_constructor_has_the_same_samples(self, make_data: MakeData, constructors: Constructors) -> None:
        """In each stage that it has arguments for; the order may be another one."""
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

    def test_each_sample_has_an_id_of_its_own(self, make_data: MakeData, constructors: Constructors) -> None:
        """Outputs that name samples can tell them apart, whatever the data came from."""
        ways = {"the constructor": make_data, **{name: maker(*given) for name, given in constructors.items()}}
        for name, make in ways.items():
            dataset: Any = dataset_of(make("train", "predict"), "predict")
            if hasattr(dataset, "id_of"):
                ids = [dataset.id_of(row) for row in range(len(dataset))]
                twice = sorted({str(each) for each in ids if ids.count(each) > 1})
                assert not twice, f"Expected an id for each sample of {name}, but several have {twice[0]}."
