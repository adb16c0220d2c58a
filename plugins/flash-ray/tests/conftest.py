"""A table, its data module and task, and one cluster for all tests that need one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import flash
from flash.tabular import TabularClassificationData, TabularClassifier

# The module of callbacks.
sys.path.insert(0, str(Path(__file__).parent))


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


@pytest.fixture
def data() -> flash.DataModule:
    return data_of(16)


@pytest.fixture
def task(data: flash.DataModule) -> flash.Task:
    return task_of(data)


@pytest.fixture
def trainer_options() -> dict[str, Any]:
    """A trainer that writes nothing."""
    return dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


@pytest.fixture
def checkpoint(tmp_path: Path, data: flash.DataModule, task: flash.Task, trainer_options: dict[str, Any]) -> str:
    """A task that was trained for an epoch."""
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, data)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    return str(tmp_path / "task.ckpt")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder of 2,000 rows in eight files, none of which has as many as a block."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = frame_of(2000).drop(columns="answer")
    for number in range(8):
        rows[number * 250 : (number + 1) * 250].to_parquet(folder / f"rows-{number}.parquet")
    return folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A local cluster of two CPUs."""
    if " " in sys.executable:
        pytest.skip("Ray starts workers by a shell, and this environment is in a folder whose path has spaces")
    import killing
    import ray

    # Workers do not find the folder of the tests.
    ray.cloudpickle.register_pickle_by_value(killing)
    with pytest.MonkeyPatch.context() as patch:
        # Each worker finds the bytecode of torch.
        patch.setenv("PYTHONDONTWRITEBYTECODE", "")
        patch.setenv("OMP_NUM_THREADS", "1")
        assert "RAY_AUTH_MODE" not in os.environ  # Ray's own security is what is tested.
        ray.init(num_cpus=2, include_dashboard=True, log_to_driver=False)
        yield ray
        ray.shutdown()
