"""That real weights learn from real reviews, with the default settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import flash
from flash.text import TextClassificationData, TextClassifier

pytestmark = [pytest.mark.train, pytest.mark.slow]


@pytest.fixture(scope="module")
def reviews(shared: Path) -> dict[str, pd.DataFrame]:
    """1,000 reviews to train on and 300 to test on; of their mean vectors a linear probe gets 0.78 right."""
    folder = shared / "data" / "text"
    tables = {name: pd.read_csv(folder / f"imdb_{name}_5k.csv") for name in ("train", "test")}
    sizes = {"train": 1000, "test": 300}
    return {name: table.sample(sizes[name], random_state=0) for name, table in tables.items()}


def accuracy(
    reviews: dict[str, pd.DataFrame], minilm: str, trainer: Callable[..., flash.Trainer], strategy: str, epochs: int
) -> float:
    torch.manual_seed(0)
    data: Any = TextClassificationData.from_data_frame(
        "review", "sentiment", train_data_frame=reviews["train"], test_data_frame=reviews["test"], seed=0
    )
    task = TextClassifier.from_data(data, backbone=minilm)
    assert task.max_length == 256
    fitter = trainer(max_epochs=epochs)
    fitter.finetune(task, data, strategy=strategy)
    return float(fitter.test(task, datamodule=data, verbose=False)[0]["test_accuracy"])


def test_one_epoch_of_everything(
    reviews: dict[str, pd.DataFrame], minilm: str, trainer: Callable[..., flash.Trainer]
) -> None:
    assert accuracy(reviews, minilm, trainer, "no_freeze", 1) >= 0.82


def test_five_epochs_of_the_head(
    reviews: dict[str, pd.DataFrame], minilm: str, trainer: Callable[..., flash.Trainer]
) -> None:
    assert accuracy(reviews, minilm, trainer, "freeze", 5) >= 0.76
