"""``flash fit --engine ray`` and ``flash predict --engine ray``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flash
from flash.core.finetuning import StrategySpec
from flash.data.tables import ReadOptions

from . import prediction, training

__all__ = ["fit", "predict"]


def fit(
    task: flash.Task,
    data: flash.DataModule,
    *,
    strategy: StrategySpec | None,
    trainer: Mapping[str, Any],
    folder: Path,
    num_workers: int = 2,
    use_gpu: bool = False,
    max_failures: int = 3,
) -> Path:
    """Train a task, in place.

    Args:
        task: The task.
        data: The data.
        strategy: The finetuning strategy; ``None`` trains everything.
        trainer: Arguments of :class:`flash.Trainer`.
        folder: The folder of the run, in which Ray's files are in ``ray``.
        num_workers: The number of workers, each of which trains on its part of each batch.
        use_gpu: Whether each worker has a GPU.
        max_failures: How often dead workers are replaced.

    Returns:
        The path of the checkpoint of the task.
    """
    common: dict[str, Any] = {"num_workers": num_workers, "use_gpu": use_gpu, "max_failures": max_failures}
    common |= {"storage_path": folder, "name": "ray", **trainer}
    if strategy is None:
        return training.fit(task, data, **common).checkpoint
    return training.finetune(task, data, strategy=strategy, **common).checkpoint


def predict(
    checkpoint: str,
    source: str,
    target: Path,
    *,
    id_field: str | None,
    names: tuple[str, str],
    output: str | None,
    batch_size: int,
    reading: ReadOptions,
    num_workers: int = 2,
    use_gpu: bool = False,
    ordered: bool = True,
) -> int:
    """Write the predictions of a table.

    Args:
        checkpoint: The checkpoint of a task.
        source: A table, or a folder of tables.
        target: The file to write.
        id_field: The column of ids; ``None`` for the numbers of the rows.
        names: The names of the column of ids and of that of predictions.
        output: What is predicted.
        batch_size: Number of rows per batch.
        reading: How to read a table of text.
        num_workers: The number of workers, each of which loads the checkpoint once.
        use_gpu: Whether each worker has a GPU.
        ordered: Whether rows are written in the order of the input; needed without a column of ids.

    Returns:
        The number of rows.
    """
    return prediction.predict(
        checkpoint,
        source,
        target,
        id_field=id_field,
        ordered=ordered,
        output=output,
        batch_size=batch_size,
        names=names,
        num_workers=num_workers,
        use_gpu=use_gpu,
        **reading,
    )
