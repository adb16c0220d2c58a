"""Metrics of torchmetrics by name, with the settings that the names are known for."""

from __future__ import annotations

from typing import Any

import torchmetrics


def _classification(metric: Any, task: str, num_classes: int, threshold: float, **settings: Any) -> Any:
    if task == "multilabel":
        return metric(task=task, num_labels=num_classes, threshold=threshold, **settings)
    return metric(task=task, num_classes=num_classes, **settings)


def accuracy(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "micro") -> Any:
    """Make the share of samples, or of labels, that are right."""
    return _classification(torchmetrics.Accuracy, task, num_classes, threshold, average=average)


def f1(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "macro") -> Any:
    """Make the harmonic mean of precision and recall, averaged over classes."""
    return _classification(torchmetrics.F1Score, task, num_classes, threshold, average=average)


def precision(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "macro") -> Any:
    """Make the share of predictions of a class that are right, averaged over classes."""
    return _classification(torchmetrics.Precision, task, num_classes, threshold, average=average)


def recall(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "macro") -> Any:
    """Make the share of samples of a class that are found, averaged over classes."""
    return _classification(torchmetrics.Recall, task, num_classes, threshold, average=average)


def auroc(num_classes: int, task: Any = "multiclass", average: Any = "macro") -> Any:
    """Make the area under the receiver operating characteristic."""
    return torchmetrics.AUROC(task=task, num_classes=num_classes, num_labels=num_classes, average=average)


def average_precision(num_classes: int, task: Any = "multiclass", average: Any = "macro") -> Any:
    """Make the area under the curve of precision and recall."""
    return torchmetrics.AveragePrecision(task=task, num_classes=num_classes, num_labels=num_classes, average=average)


def kappa(num_classes: int, weights: Any = None) -> Any:
    """Make Cohen's kappa, the agreement beyond chance."""
    return torchmetrics.CohenKappa(task="multiclass", num_classes=num_classes, weights=weights)


def mse(num_outputs: int = 1) -> Any:
    """Make the mean squared error."""
    return torchmetrics.MeanSquaredError(num_outputs=num_outputs)


def rmse(num_outputs: int = 1) -> Any:
    """Make the root of the mean squared error."""
    return torchmetrics.MeanSquaredError(squared=False, num_outputs=num_outputs)


def mae(num_outputs: int = 1) -> Any:
    """Make the mean absolute error."""
    return torchmetrics.MeanAbsoluteError(num_outputs=num_outputs)


def mape() -> Any:
    """Make the mean absolute percentage error, as a fraction."""
    return torchmetrics.MeanAbsolutePercentageError()


def r2(multioutput: str = "uniform_average") -> Any:
    """Make the coefficient of determination."""
    return torchmetrics.R2Score(multioutput=multioutput)
