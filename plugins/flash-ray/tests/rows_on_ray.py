"""A table, its data module and its task, for the tests of Ray."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

import flash
from flash.tabular import TabularClassificationData, TabularClassifier

__all__ = ["data_of", "frame_of", "task_of"]


def frame_of(rows: int) -> Any:
    """Rows whose answer is the sign of a sum."""
    numbers = np.random.default_rng(0).normal(size=(rows, 2))
    answers = np.where(numbers.sum(1) > 0, "yes", "no")
    ids = [f"r{row}" for row in range(rows)]
    return pd.DataFrame({"row_id": ids, "long": numbers[:, 0], "wide": numbers[:, 1], "answer": answers})


def data_of(batch_size: int) -> flash.DataModule:
    """Rows to train on: batches of 16 and 32 have no rest."""
    rows = frame_of(320).drop(columns="row_id")
    return TabularClassificationData.from_data_frame(
        target_fields="answer",
        train_data_frame=rows[:256],
        val_data_frame=rows[256:],
        batch_size=batch_size,
        seed=0,
        verbose=False,
    )


def task_of(data: flash.DataModule) -> flash.Task:
    """A network without dropout, whose weights are the same each time."""
    torch.manual_seed(0)
    sizes = {"n_blocks": 1, "d_block": 8, "d_embedding": 4, "dropout": 0.0}
    return TabularClassifier.from_data(
        data, backbone="mlp", backbone_kwargs=sizes, optimizer="SGD", learning_rate=0.1, metrics=["accuracy"]
    )
