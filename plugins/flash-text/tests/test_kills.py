"""A training that is killed again and again equals one that was never killed, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flash.text import TextClassificationData, TextClassifier

#: Resumes in the middle of the training, at least, in each of the tests.
RESUMES = 20
EPOCHS, BATCH, ROWS = 4, 4, 50
BATCHES = 10  # A fifth of 50 texts is split off.

CASES: dict[str, dict[str, Any]] = {
    "warm-up": {"task": {"lr_scheduler": "cosine_with_warmup"}},
    "thawed": {"strategy": ("freeze_unfreeze", 2)},
    "accumulated": {"trainer": {"accumulate_grad_batches": 3}, "steps": 4},
}


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_equals_the_whole_one(
    case: str, reviews: Callable[..., Any], bert: str, killed: Callable[..., Any]
) -> None:
    options = CASES[case]
    texts, targets = reviews(ROWS)
    steps = options.get("steps", BATCHES)  # of an epoch

    def train(life: Any) -> dict[str, Any]:
        data = TextClassificationData.from_lists(texts, targets, val_split=0.2, batch_size=BATCH, seed=0)
        task = TextClassifier.from_data(data, backbone=bert, **options.get("task", {}))
        given = {"strategy": options.get("strategy"), "every": 2 if steps == BATCHES else 1}
        result = life.fit(task, data, max_epochs=EPOCHS, **given, **options.get("trainer", {}))
        return {**result, "predictions": task.predict(texts, output="probabilities")}

    run = killed(train, EPOCHS * steps, steps)
    assert run.resumes >= RESUMES
    assert run.in_an_epoch >= RESUMES // 2
    assert len(set(run.moments)) > 5
