"""Skill of a single column: how well it predicts a target, on held-out rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ._columns import Column
from ._resampling import Array

__all__ = ["Goal", "goal_of", "skill"]

# Columns of numbers with fewer different values are looked up by value.
_FEW_VALUES = 12
_LEAVES = 64
_SAMPLES_PER_LEAF = 5


@dataclass(frozen=True)
class Goal:
    """Target that a column may predict, on some rows, with the half of them that is held out.

    Args:
        values: Classes ``0, 1, ...``, or ranks between 0 and 1.
        classes: The number of classes; 0 for ranks.
        held_out: Whether each row is held out.
    """

    values: Array
    classes: int
    held_out: Array

    @property
    def usual(self) -> float:
        """Prediction without any column: the most frequent class, or the mean."""
        known = self.values[~self.held_out]
        return float(np.bincount(known).argmax() if self.classes else known.mean())


def goal_of(column: Column, classification: bool, random: np.random.Generator, groups: Array | None = None) -> Goal:
    """Return the goal to predict a column without missing values; whole groups are held out."""
    if classification:
        values, classes = column.codes, len(column.values)
    else:
        _, ranks = np.unique(column.numbers, return_inverse=True)
        values, classes = ranks.ravel() / max(int(ranks.max()), 1), 0
    units = np.arange(len(column)) if groups is None else groups
    chosen = random.random(int(units.max()) + 1) < 0.5
    return Goal(values, classes, chosen[units])


def skill(column: Column, goal: Goal) -> float:
    """Return the share of the error of predicting without any column that this column removes, 1 at most.

    The error is the number of wrong classes, or the mean squared error of ranks: 1 says that the column alone predicts
    every held-out row, and 0 that it does not help.
    """
    held_out = goal.held_out
    if held_out.all() or not held_out.any():
        return 0.0
    if column.is_numeric and len(column.values) > _FEW_VALUES:
        predicted = _by_tree(column.numbers, goal)
    else:
        predicted = _by_value(column.codes + 1, len(column.values) + 1, goal)
    truth = goal.values[held_out]
    if goal.classes:
        error, usual = float((predicted != truth).mean()), float((truth != goal.usual).mean())
    else:
        error, usual = float(((predicted - truth) ** 2).mean()), float(((truth - goal.usual) ** 2).mean())
    return 1 - error / usual if usual > 0 else 0.0


def _by_tree(numbers: Array, goal: Goal) -> Array:
    # Ranks: a tree sees the order alone, and reads numbers in single precision. NaN is a rank of its own, the last.
    ranks = np.unique(numbers, return_inverse=True)[1].ravel()
    inputs = np.stack([ranks, np.isnan(numbers)], axis=1).astype(np.float64)
    leaf = int(np.clip(len(numbers) // 50, 1, _SAMPLES_PER_LEAF))
    options = {"max_leaf_nodes": max(_LEAVES, 2 * goal.classes), "min_samples_leaf": leaf, "random_state": 0}
    tree = DecisionTreeClassifier(**options) if goal.classes else DecisionTreeRegressor(**options)
    tree.fit(inputs[~goal.held_out], goal.values[~goal.held_out])
    return np.asarray(tree.predict(inputs[goal.held_out]))


def _by_value(codes: Array, values: int, goal: Goal) -> Array:
    known, targets = codes[~goal.held_out], goal.values[~goal.held_out]
    seen = np.bincount(known, minlength=values)
    if goal.classes:
        counts = np.bincount(known * goal.classes + targets, minlength=values * goal.classes)
        best = counts.reshape(values, goal.classes).argmax(1).astype(np.float64)
    else:
        best = np.bincount(known, targets, minlength=values) / np.maximum(seen, 1)
    return np.asarray(np.where(seen > 0, best, goal.usual)[codes[goal.held_out]])


def best_of(skills: Iterable[float]) -> float:
    """Return the highest skill, 0 without any."""
    return max([0.0, *skills])
