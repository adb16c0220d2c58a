"""The metrics that core has by name."""

from __future__ import annotations

import pytest
import torch

from flash.core.metrics import named_metrics


@pytest.mark.parametrize("name", ["accuracy", "f1", "precision", "recall", "auroc", "average_precision", "kappa"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_each_metric_of_classifiers_works(name: str, multi_label: bool) -> None:
    if multi_label and name == "kappa":
        pytest.skip("agreement is of one class per sample")
    known = {"num_classes": 3, "task": "multilabel" if multi_label else "multiclass"}
    metric = named_metrics(name, known)[name]
    targets = torch.tensor([[0, 1, 1], [1, 0, 0]]) if multi_label else torch.tensor([0, 2])
    assert metric(torch.rand(2, 3).softmax(1), targets).ndim == 0


def test_the_confusion_matrix_has_a_row_for_each_true_class() -> None:
    metric = named_metrics("confusion_matrix", {"num_classes": 3, "task": "multiclass"})["confusion_matrix"]
    assert metric(torch.eye(3)[[0, 1, 1]], torch.tensor([0, 2, 1])).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "mape", "r2"])
def test_each_metric_of_regressors_works(name: str) -> None:
    assert named_metrics(name)[name](torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 5.0])).ndim == 0
