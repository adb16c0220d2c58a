"""Factories of torchmetrics metrics for the built-in names, with their conventional settings."""

from __future__ import annotations

import math
from typing import Any

import torch
import torchmetrics
from torch import Tensor


def _classification(metric: Any, task: str, num_classes: int, threshold: float, **settings: Any) -> Any:
    if task == "multilabel":
        return metric(task=task, num_labels=num_classes, threshold=threshold, **settings)
    return metric(task=task, num_classes=num_classes, **settings)


def accuracy(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "micro") -> Any:
    """Return the metric accuracy: the fraction of samples, or of labels, that are correct."""
    return _classification(torchmetrics.Accuracy, task, num_classes, threshold, average=average)


def f1(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "macro") -> Any:
    """Return the metric F1: the harmonic mean of precision and recall, averaged over classes."""
    return _classification(torchmetrics.F1Score, task, num_classes, threshold, average=average)


def precision(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "macro") -> Any:
    """Return the metric precision: the fraction of predictions of a class that are correct, averaged over classes."""
    return _classification(torchmetrics.Precision, task, num_classes, threshold, average=average)


def recall(num_classes: int, task: str = "multiclass", threshold: float = 0.5, average: str = "macro") -> Any:
    """Return the metric recall: the fraction of samples of a class that are found, averaged over classes."""
    return _classification(torchmetrics.Recall, task, num_classes, threshold, average=average)


def auroc(num_classes: int, task: Any = "multiclass", average: Any = "macro") -> Any:
    """Return the metric AUROC: the area under the receiver operating characteristic."""
    return torchmetrics.AUROC(task=task, num_classes=num_classes, num_labels=num_classes, average=average)


def average_precision(num_classes: int, task: Any = "multiclass", average: Any = "macro") -> Any:
    """Return the metric average precision: the area under the precision-recall curve."""
    return torchmetrics.AveragePrecision(task=task, num_classes=num_classes, num_labels=num_classes, average=average)


def kappa(num_classes: int, weights: Any = None) -> Any:
    """Return the metric Cohen's kappa: the agreement beyond chance."""
    return torchmetrics.CohenKappa(task="multiclass", num_classes=num_classes, weights=weights)


def confusion_matrix(num_classes: int, task: Any = "multiclass", threshold: float = 0.5, normalize: Any = None) -> Any:
    """Return the confusion matrix: the number of samples of each true class (row) by predicted class (column)."""
    return _classification(torchmetrics.ConfusionMatrix, task, num_classes, threshold, normalize=normalize)


def mse(num_outputs: int = 1) -> Any:
    """Return the metric mean squared error."""
    return torchmetrics.MeanSquaredError(num_outputs=num_outputs)


def rmse(num_outputs: int = 1) -> Any:
    """Return the metric root mean squared error."""
    return torchmetrics.MeanSquaredError(squared=False, num_outputs=num_outputs)


def mae(num_outputs: int = 1) -> Any:
    """Return the metric mean absolute error."""
    return torchmetrics.MeanAbsoluteError(num_outputs=num_outputs)


def mape() -> Any:
    """Return the metric mean absolute percentage error, as a fraction."""
    return torchmetrics.MeanAbsolutePercentageError()


def r2(multioutput: str = "uniform_average") -> Any:
    """Return the metric R², the coefficient of determination."""
    return _R2Score(multioutput=multioutput)


class _R2Score(torchmetrics.R2Score):
    """R2 score that is NaN for a single sample, where torchmetrics raises: one validation sample must not stop fit."""

    def compute(self) -> Tensor:
        """Return the score over all accumulated samples."""
        return super().compute() if int(self.total) > 1 else torch.tensor(math.nan)
