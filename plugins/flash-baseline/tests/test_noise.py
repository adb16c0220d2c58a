"""Labels that may be wrong: flipped ones are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from flash.baseline.checks import suspicious_labels
from flash.errors import DataError


@pytest.fixture(scope="module")
def flipped() -> tuple[Any, Any, Any]:
    """Digits of which a tenth have another label, and the probabilities of a model that has not seen them."""
    digits = load_digits()
    random = np.random.default_rng(0)
    flips = random.random(len(digits.target)) < 0.1
    labels = digits.target.copy()
    labels[flips] = (labels[flips] + random.integers(1, 10, flips.sum())) % 10
    model = LogisticRegression(max_iter=500, tol=0.01)
    return cross_val_predict(model, digits.data / 16, labels, cv=3, method="predict_proba"), labels, flips


def test_flipped_labels_are_found(flipped: tuple[Any, Any, Any]) -> None:
    probabilities, labels, flips = flipped
    found = suspicious_labels(probabilities, labels)
    assert flips[found].mean() > 0.8  # precision
    assert flips[found].sum() / flips.sum() > 0.65  # recall


def test_the_most_suspicious_come_first(flipped: tuple[Any, Any, Any]) -> None:
    probabilities, labels, flips = flipped
    first = suspicious_labels(probabilities, labels, most=30)
    assert len(first) == 30
    assert flips[first].all()


def test_right_labels_are_not_suspicious() -> None:
    targets = np.arange(30) % 3
    assert not len(suspicious_labels(0.9 * np.eye(3)[targets] + 0.1 / 3, targets))


def test_a_class_that_the_model_is_less_sure_of_has_a_lower_threshold() -> None:
    # Class 1 never gets more than 0.4; sample 0 is labeled 0 and looks as those of class 1 do.
    probabilities = np.array(
        [[0.35, 0.4, 0.25], [0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.3, 0.36, 0.34], [0.3, 0.4, 0.3]]
    )
    assert suspicious_labels(probabilities, np.array([0, 0, 0, 1, 1])).tolist() == [0]


def test_several_labels_are_looked_at_one_by_one() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (200, 3))
    probabilities = np.where(truth, 0.9, 0.1) + random.uniform(-0.05, 0.05, truth.shape)
    labels = truth.copy()
    labels[5, 1] = 1 - labels[5, 1]
    assert suspicious_labels(probabilities, labels).tolist() == [5]


def test_a_class_without_samples_is_no_suggestion() -> None:
    assert not len(suspicious_labels(np.array([[0.1, 0.9], [0.2, 0.8]]), np.array([0, 0])))


def test_targets_of_other_samples() -> None:
    with pytest.raises(DataError, match="Expected one target per sample, but got 2 targets and 3 rows"):
        suspicious_labels(np.ones((3, 2)), np.array([0, 1]))
