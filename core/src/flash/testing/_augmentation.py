"""Checks of random augmentation: it changes train samples only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flash.data.stage import Stage
from flash.testing._compare import flat
from flash.testing._with_data import STAGES, MakeData, WithData, batches_of, equal_samples, same_samples

__all__ = ["AugmentationChecks"]


class AugmentationChecks(WithData):
    """Checks of a data module with the options of the fixture ``augmented``."""

    def test_augmentation_changes_train_samples_alone(self, make_data: MakeData, augmented: Mapping[str, Any]) -> None:
        """Check that augmentation changes the train samples of each epoch, and no samples of other stages."""
        if not augmented:
            return
        data, plain = make_data(*STAGES, **augmented), make_data(*STAGES)
        loader = data.train_dataloader()
        first, second = (flat(map(self.samples_of, batches_of(data, "train", loader=loader))) for _ in range(2))
        assert len(first) == len(second), (
            f"Expected as many samples in each epoch, but got {len(first)}, {len(second)}."
        )
        assert not same_samples(first, second), (
            f"Expected other train samples in the second epoch with {dict(augmented)}, but they are those of the first."
        )
        for stage in STAGES[1:]:
            one, again = (self.samples(data, stage) for _ in range(2))
            assert equal_samples(one, again), f"Expected the same {stage} samples each time, but they differ."
            assert equal_samples(one, self.samples(plain, stage)), (
                f"Expected the same {stage} samples with augmentation as without, but they differ."
            )

    def test_what_is_called_deterministic_is_alike_each_time(
        self, make_data: MakeData, augmented: Mapping[str, Any]
    ) -> None:
        """Check that ``is_deterministic`` holds, since features of a frozen backbone are cached based on it."""
        for options in [{}, augmented] if augmented else [{}]:
            data = make_data(*STAGES, **options)
            said = [] if data.preprocess is None else [*map(data.preprocess.is_deterministic, Stage)]
            for stage in [stage for stage, fixed in zip(Stage, said, strict=False) if fixed]:
                first, second = (self.samples(data, stage.value) for _ in range(2))
                assert same_samples(first, second), (
                    f"Expected the {stage.value} samples alike each time with {dict(options)}, since is_deterministic "
                    "says so, but they differ."
                )
