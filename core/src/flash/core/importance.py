"""Importance of each part of the inputs to a task, such as a column of a table, by permutation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from flash.core.prediction import predict_batches
from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule
from flash.data.loader import check_count
from flash.errors import ConfigurationError, DataError

__all__ = ["Importance", "part_importance", "permutation_importance"]


@dataclass(frozen=True)
class Importance:
    """Importance of each part of the inputs: how much worse a task gets without its information.

    Args:
        names: The parts of the inputs, such as columns, the most important first.
        means: By how much the score gets worse when the values of the part are those of other rows: the mean over all
            repetitions. Near 0, or below, the task does not use the part.
        deviations: The standard deviation over the repetitions.
        score: The name of the score, such as ``"accuracy"``.
        higher_is_better: Whether a higher score is better: then importance is a drop of the score, otherwise a rise.
        baseline: The score with unchanged inputs.
        rows: The number of rows.
        repeats: The number of repetitions.
    """

    names: list[str]
    means: list[float]
    deviations: list[float]
    score: str
    higher_is_better: bool
    baseline: float
    rows: int
    repeats: int

    @property
    def meaning(self) -> str:
        """Meaning of the means in words, such as ``"drop of accuracy"``."""
        return f"{'drop' if self.higher_is_better else 'rise'} of {self.score}"


def part_importance(
    task: Any, data: DataModule, stage: str = "val", *, repeats: int = 5, max_rows: int = 2000, seed: int = 0
) -> Importance:
    """Compute the importance of each part of the inputs by permutation.

    The values of a part are exchanged between rows at random, and the task is evaluated again: how much worse it gets
    is the importance of the part to this task. Parts that hold the same information share it, so that each may seem
    unimportant. The score is the first metric of the task of which it is known whether higher is better, else its loss.
    The parts are those of the hook :meth:`flash.Preprocess.parts`: columns of tables, the texts of pairs.

    Args:
        task: A trained :class:`flash.Task`; it is bound to the data.
        data: The data.
        stage: ``"val"``, ``"test"`` or ``"train"``.
        repeats: The number of permutations of each part.
        max_rows: The maximum number of rows to evaluate, which are drawn at random.
        seed: Seed of the rows and permutations.

    Raises:
        DataError: If there is no data for the stage, or it has no targets, or a single row.
        ConfigurationError: If the inputs have no parts, or the task no score.

    Source:
        Breiman, *Random Forests*, Machine Learning 45 (2001); Fisher, Rudin and Dominici, *All Models are Wrong, but
        Many are Useful*, https://arxiv.org/abs/1801.01489.

    Example:
        >>> import flash
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> dm = flash.DataModule.from_tensors(val_data=x, val_targets=x[:, :1])
        >>> class First(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x[:, :1]
        >>> found = part_importance(flash.Task(First(), torch.nn.functional.mse_loss), dm)
        >>> found.names, found.means[1], found.meaning
        (['column 0', 'column 1'], 0.0, 'rise of loss')
    """
    task.use_data(data)
    if stage == "predict":
        raise DataError("Expected data with targets to compute importance of, but predict data has none. Choose 'val'.")
    return permutation_importance(
        data.indexed_dataset(stage),
        lambda dataset: _evaluate(task, data, dataset),
        repeats=repeats,
        max_rows=max_rows,
        seed=seed,
        what=type(data).__name__,
    )


def permutation_importance(
    dataset: AutoDataset,
    evaluate: Callable[[AutoDataset], tuple[str, bool, float]],
    *,
    repeats: int = 5,
    max_rows: int = 2000,
    seed: int = 0,
    what: str = "data",
) -> Importance:
    """Compute the importance of each part of the inputs to any model, such as one of scikit-learn, by permutation.

    Args:
        dataset: Samples with targets.
        evaluate: Returns the name of a score of the model on samples, whether higher is better, and its value.
        repeats: The number of permutations of each part.
        max_rows: The maximum number of rows to evaluate, which are drawn at random.
        seed: Seed of the rows and permutations.
        what: The data, for error messages.

    Raises:
        DataError: If there is a single row.
        ConfigurationError: If the inputs have no parts.

    Example:
        >>> import flash
        >>> x = torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]])
        >>> dataset = flash.DataModule.from_tensors(val_data=x, val_targets=x[:, :1]).val_dataset
        >>> def error(samples):
        ...     return "mae", False, float(sum(abs(row[0] - y) for row, y in (samples[i] for i in range(3))) / 3)
        >>> permutation_importance(dataset, error).names
        ['column 0', 'column 1']
    """
    check_count("repeats", repeats)
    check_count("max_rows", max_rows)
    stage = dataset.hooks.stage
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(dataset), generator=generator)[:max_rows].sort().values.tolist()
    if len(rows) < 2:
        raise DataError(
            f"Expected at least two {stage.value} rows, between which values are exchanged, but got {len(rows)}. "
            "Choose a stage with more."
        )
    chosen = dataset.subset(rows, stage)
    names = chosen.parts()
    if not names:
        raise ConfigurationError(
            f"Expected inputs of several parts, such as the columns of a table or the two texts of a pair, but those "
            f"of this {what} are one whole. See its results with task.plot_predictions(data); for a task that predicts "
            "classes or numbers, define the parts with the hooks parts and exchange of the preprocess, or pieces of "
            "single samples, such as words, with its hook pieces."
        )
    score, higher_is_better, baseline = evaluate(chosen)
    found = {}
    for name in names:
        values = []
        for _ in range(repeats):
            order = torch.randperm(len(rows), generator=generator)
            _, _, value = evaluate(chosen.exchange(name, order))
            values.append(baseline - value if higher_is_better else value - baseline)
        found[name] = torch.tensor(values, dtype=torch.float64)
    ranked = sorted(names, key=lambda name: -float(found[name].mean()))
    return Importance(
        names=ranked,
        means=[float(found[name].mean()) for name in ranked],
        deviations=[float(found[name].std(correction=0)) for name in ranked],
        score=score,
        higher_is_better=higher_is_better,
        baseline=baseline,
        rows=len(rows),
        repeats=repeats,
    )


def _evaluate(task: Any, data: DataModule, dataset: AutoDataset) -> tuple[str, bool, float]:
    """Return the name of the score, whether higher is better, and its value."""
    metrics = copy.deepcopy(task.stage_metrics["val_metrics"])
    metrics.reset()
    sizes: Any = {"batch_size": data.batch_size, "num_workers": data.num_workers}
    for batch in predict_batches(task, dataset, **sizes, by_length=dataset.lengths is not None):
        with torch.inference_mode():
            losses = task.sample_losses(batch.output, batch.targets)
            loss = None if losses is None else losses.mean()
            metrics.update(loss, *task.for_metrics(batch.output, batch.targets), rows=len(batch.rows))
    values = metrics.compute(task.output_names)
    scores = [name for name in values if name not in ("loss", *metrics.elements)]
    for name in [*scores, "loss"]:
        higher = metrics.higher_is_better(name)
        if name in values and higher is not None:
            return name, higher, float(values[name])
    raise ConfigurationError(
        f"Expected a task with a metric of torchmetrics or a loss per sample, which importance is measured by, but "
        f"this {type(task).__name__} has neither. Pass metrics=... or loss_fn=... to it."
    )
