"""Ensembles: tasks on the same inputs, whose predictions are averaged, as one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from flash import DataModule, Task
from flash.core.checkpoint import qualified_arguments
from flash.core.classification import ClassificationTask
from flash.core.outputs import to_probabilities
from flash.core.regression import RegressionTask
from flash.serialization import describe, instantiate, resolve_class

from ._resampling import Array
from .leaderboard import Metric

__all__ = ["EnsembleClassifier", "EnsembleRegressor", "make_ensemble", "select"]

_ROUNDS = 20


def select(metric: Metric, targets: Array, outputs: Mapping[str, Array]) -> dict[str, float]:
    """Return the weights of an ensemble by greedy selection with replacement (Caruana et al., 2004).

    It starts with the best one; each round adds the one that makes the average best, and the weights of the best round
    are returned.

    Args:
        metric: The metric that decides.
        targets: The targets of the validation samples.
        outputs: The predictions of each model, by its name.

    Example:
        >>> from flash.baseline.leaderboard import metrics_for
        >>> targets = np.array([0.0, 0.0])
        >>> select(metrics_for("regression")["rmse"], targets, {"a": np.array([1.0, 1.0]), "b": np.array([-1.0, -1.0])})
        {'a': 0.5, 'b': 0.5}
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    chosen: list[str] = []
    total = np.zeros_like(next(iter(outputs.values())), dtype=np.float64)
    best, best_score = 0, -np.inf
    for _ in range(_ROUNDS):
        scores = {name: sign * metric(targets, (total + each) / (len(chosen) + 1)) for name, each in outputs.items()}
        name = max(scores, key=lambda each: scores[each])
        chosen.append(name)
        total = total + outputs[name]
        if scores[name] > best_score:
            best, best_score = len(chosen), scores[name]
    counts = Counter(chosen[:best])
    return {name: count / best for name, count in counts.items()}


class _Ensemble(Task):
    """The members, rebuilt from their descriptions."""

    members: nn.ModuleList
    weights: Sequence[float]
    data_facts: ClassVar[tuple[str, ...]] = (*Task.data_facts, "num_targets", "target_mean", "target_std")

    def _build(self, members: Sequence[Mapping[str, Any]], weights: Sequence[float]) -> None:
        self.weights = list(weights)
        self.members = nn.ModuleList(
            instantiate(each, resolve_class(each, Task), _offline(each), source=type(self).__name__) for each in members
        )

    @property
    def input_spec(self) -> Any:
        """The requirements of the members on their inputs, which are equal."""
        member: Any = self.members[0]
        return member.input_spec

    def _average(self, outputs: Iterable[Tensor]) -> Tensor:
        """Return the weighted mean of one output per member."""
        return torch.stack([weight * each for each, weight in zip(outputs, self.weights, strict=True)]).sum(0)

    def modules_to_freeze(self) -> Any:
        """Return the members."""
        return self.members


class EnsembleClassifier(_Ensemble, ClassificationTask):
    """Classifiers whose probabilities are averaged.

    Args:
        members: The descriptions of the classifiers (``flash.serialization.describe``).
        weights: The weight of each; they sum to 1.
        kwargs: The arguments of :class:`~flash.core.classification.ClassificationTask`.
    """

    def __init__(self, members: Sequence[Mapping[str, Any]], weights: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._build(members, weights)

    def forward(self, x: Any) -> Tensor:
        """Return the logits of the mean probabilities, shape ``(batch, num_classes)``."""
        mean = self._average(to_probabilities(member(x), self.multi_label) for member in self.members)
        return torch.logit(mean, eps=1e-7) if self.multi_label else mean.clamp_min(1e-12).log()


class EnsembleRegressor(_Ensemble, RegressionTask):
    """Regressors whose numbers are averaged.

    Args:
        members: The descriptions of the regressors (``flash.serialization.describe``).
        weights: The weight of each; they sum to 1.
        kwargs: The arguments of :class:`~flash.core.regression.RegressionTask`.
    """

    def __init__(self, members: Sequence[Mapping[str, Any]], weights: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._build(members, weights)

    def forward(self, x: Any) -> Tensor:
        """Return the mean numbers, in the units of the targets, shape ``(batch, num_targets)``."""
        return self._average(member(x) for member in self.members)


def make_ensemble(tasks: Mapping[str, Task], weights: Mapping[str, float], data: DataModule) -> Task:
    """Return one task of several, with their weights.

    Args:
        tasks: The tasks by name.
        weights: The weight of each.
        data: The data that they were trained on.
    """
    chosen = [tasks[name] for name in weights]
    is_regression = isinstance(chosen[0], RegressionTask)
    cls: type[Task] = EnsembleRegressor if is_regression else EnsembleClassifier
    members = [{**describe(task), "init": qualified_arguments(task)} for task in chosen]
    ensemble = cls.from_data(data, members=members, weights=list(weights.values()))
    for member, task in zip(ensemble.members, chosen, strict=True):  # type: ignore[arg-type]
        member.load_state_dict(task.state_dict())
    # As a loaded checkpoint: it is trained.
    ensemble.load_state_dict(ensemble.state_dict())
    return ensemble.eval()


def _offline(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments without which pretrained weights would be loaded, which the checkpoint has."""
    return {"pretrained": False} if "pretrained" in description["init"] else {}
