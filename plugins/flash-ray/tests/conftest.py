"""A table, its data module and task, and one cluster for all tests that need one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flash

# The modules of tests beside this one.
sys.path.insert(0, str(Path(__file__).parent))

from rows_on_ray import data_of, frame_of, task_of


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
