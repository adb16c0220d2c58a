"""A training that is killed again and again equals one that was never killed, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from torch.utils.data import WeightedRandomSampler

#: Resumes in the middle of the training, at least, in each of the tests.
RESUMES = 20
EPOCHS, BATCH, ROWS = 5, 5, 80
BATCHES = 13  # A fifth of 80 rows is split off; 64 rows are 12 batches of 5 and one of 4.


def drawn_with_weights(dataset: Any) -> WeightedRandomSampler:
    return WeightedRandomSampler([1.0 + row % 3 for row in range(len(dataset))], len(dataset))


CASES: dict[str, dict[str, Any]] = {
    "shuffled": {"task": {"lr_scheduler": "cosine_with_warmup"}},
    "sampler": {"data": {"sampler": drawn_with_weights}, "task": {"lr_scheduler": "OneCycleLR"}},
    "plateau": {
        "task": {"lr_scheduler": ("ReduceLROnPlateau", {"patience": 0, "threshold": 0.5}), "optimizer": "Adam"},
        "trainer": {"callbacks": ["average_weights", "keep_best"]},
    },
}


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_equals_the_whole_one(
    case: str, table: Callable[..., pd.DataFrame], kinds: Any, tiny: Any, killed: Callable[..., Any]
) -> None:
    frame, options = table(ROWS), CASES[case]
    kind = kinds["number" if case == "plateau" else "binary"]

    def train(life: Any) -> dict[str, Any]:
        data = kind.load(frame, val_split=0.2, **{"batch_size": BATCH, **options.get("data", {})})
        task = kind.task.from_data(data, **tiny("resnet"), **options["task"])
        result = life.fit(task, data, max_epochs=EPOCHS, **options.get("trainer", {}))
        return {**result, "predictions": task.predict(frame, output=kind.output)}

    run = killed(train, EPOCHS * BATCHES, BATCHES)
    assert run.resumes >= RESUMES
    assert run.in_an_epoch >= RESUMES // 2
    assert len(set(run.moments)) > 5
