"""A training that is killed again and again equals one that was never killed, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flash.image import ImageClassificationData, ImageClassifier

#: Resumes in the middle of the training, at least, in each of the tests.
RESUMES = 20
EPOCHS, BATCH, ROWS = 4, 4, 50
BATCHES = 10  # A fifth of 50 pictures is split off.

CASES: dict[str, dict[str, Any]] = {
    "augmented": {"task": {"lr_scheduler": "linear_with_warmup"}},
    "augmented by workers": {"data": {"num_workers": 1}},
    "thawed": {"strategy": ("freeze_unfreeze", 2), "data": {"augmentation": "none"}},
}


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_equals_the_whole_one(
    case: str, draw: Callable[..., Any], tiny: Any, killed: Callable[..., Any]
) -> None:
    options = CASES[case]
    targets = [("square", "circle")[seed % 2] for seed in range(ROWS)]
    pictures = [draw(target, seed) for seed, target in enumerate(targets)]

    def train(life: Any) -> dict[str, Any]:
        given = {"augmentation": "randaugment", "batch_size": BATCH, "val_split": 0.2, "seed": 0}
        data = ImageClassificationData.from_images(pictures, targets, **{**given, **options.get("data", {})})
        task = ImageClassifier.from_data(data, **tiny, **options.get("task", {}))
        result = life.fit(task, data, strategy=options.get("strategy"), max_epochs=EPOCHS)
        return {**result, "predictions": task.predict(pictures, output="probabilities")}

    run = killed(train, EPOCHS * BATCHES, BATCHES)
    assert run.resumes >= RESUMES
    assert run.in_an_epoch >= RESUMES // 2
    assert len(set(run.moments)) > 5
