"""TabularClassifier and TabularRegressor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tabm
import torch
from torch import Tensor, nn

from flash import Preprocess, Registry, Task
from flash.core.backbones import num_features
from flash.core.classification import ClassificationTask, ClassWeights
from flash.core.optimizers import LRSchedulerSpec
from flash.core.registry import backbone_registry
from flash.core.regression import RegressionTask
from flash.errors import ConfigurationError

from ._former import TASK_ARGUMENTS
from .preprocess import TabularPreprocess

__all__ = ["TabularClassifier", "TabularRegressor"]

_BACKBONES = backbone_registry("tabular")


class _TabularTask(Task):
    """Base class of tabular tasks: a backbone on the columns and a linear head; for ensembles one head per member."""

    former_arguments = TASK_ARGUMENTS
    backbones: ClassVar[Registry] = _BACKBONES
    data_facts = (*RegressionTask.data_facts, "num_numerical", "cardinalities", "bins")
    preprocess_cls: ClassVar[type[Preprocess]] = TabularPreprocess
    backbone: nn.Module
    head: nn.Module

    def _build(
        self,
        backbone: str | nn.Module,
        backbone_kwargs: Mapping[str, Any] | None,
        columns: tuple[int, Sequence[int], Sequence[Sequence[float]]],
        outputs: int,
    ) -> None:
        num_numerical, cardinalities, _ = columns
        if not num_numerical and not cardinalities:
            raise ConfigurationError(
                f"Expected columns to learn from, but got num_numerical=0 and no cardinalities. "
                f"Make the task with {type(self).__name__}.from_data(datamodule), which knows them."
            )
        self.backbone = self.build_backbone(backbone, *columns, kwargs=backbone_kwargs)
        members = getattr(self.backbone, "members", 1)
        features = num_features(
            self.backbone,
            lambda: {
                "numerical": torch.zeros(1, num_numerical),
                "categorical": torch.zeros(1, len(cardinalities), dtype=torch.int32),
            },
            lambda x: self._features_of(x)[0],
            ndim=(2, 3),
        )
        self.head = tabm.LinearEnsemble(features, outputs, k=members) if members > 1 else nn.Linear(features, outputs)
        rate, decay = (getattr(self.backbone, name, None) for name in ("learning_rate", "weight_decay"))
        self.use_default_rates(rate, weight_decay=decay)
        self.averages_weights = getattr(self.backbone, "averages_weights", False)

    def forward(self, x: Any) -> Tensor:
        """Return one prediction per row, shape ``(batch, outputs)``: for ensembles the mean over the members.

        Args:
            x: ``{"numerical": (batch, columns), "categorical": (batch, columns)}``.
        """
        members, _ = self._forward_members(x)
        return self._average_members(members)

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the loss: in training each ensemble member's own, otherwise that of the mean prediction."""
        x, y = batch
        members, auxiliary = self._forward_members(x)
        y_hat = self._average_members(members)
        if self.training and members.ndim == 3:
            loss = self.compute_loss(members.flatten(0, 1), y.repeat_interleave(members.shape[1], dim=0))
        else:
            loss = self.compute_loss(y_hat, y)
        if self.training and auxiliary is not None:
            loss = loss + auxiliary
        return {"loss": loss, "y_hat": y_hat, "y": y, "weight": self.loss_weight(y)}

    def _forward_members(self, x: Any) -> tuple[Tensor, Tensor | None]:
        """Return the logits, shape ``(batch, outputs)`` or ``(batch, members, outputs)``, and an auxiliary loss."""
        features, auxiliary = self._features_of(x)
        return self.head(features), auxiliary

    def _features_of(self, x: Any) -> tuple[Any, Tensor | None]:
        features = self.backbone(x)
        return features if isinstance(features, tuple) else (features, None)

    def _average_members(self, members: Tensor) -> Tensor:
        return members.mean(1) if members.ndim == 3 else members


class TabularClassifier(_TabularTask, ClassificationTask):
    """Classifier of table rows: one class per row, or several with a list of ``target_fields``.

    Make it with ``from_data``, which passes the statistics of columns and classes in the training rows.

    Args:
        num_numerical: The number of numerical columns.
        cardinalities: The number of codes per categorical column.
        bins: The bin edges per numerical column, in standardized units.
        num_classes: The number of classes.
        labels: The names of the classes.
        multi_label: Whether a row can have several classes.
        class_weights: The weight of each class in the loss, or ``"balanced"``.
        class_counts: The number of training rows per class.
        backbone: A name from ``TabularClassifier.available_backbones()``, or a module as described in
            :mod:`flash.tabular.backbones`.
        backbone_kwargs: Arguments of the backbone.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.classification.ClassificationTask` and
            :class:`~flash.core.model.Task`, such as ``learning_rate``, ``optimizer`` and ``metrics``.

    Example:
        >>> from flash.tabular import TabularClassificationData
        >>> dm = TabularClassificationData.from_source("sklearn", dataset="iris", verbose=False)
        >>> task = TabularClassifier.from_data(dm, backbone="mlp")
        >>> task.labels
        ['setosa', 'versicolor', 'virginica']
    """

    def __init__(
        self,
        num_numerical: int = 0,
        cardinalities: Sequence[int] = (),
        bins: Sequence[Sequence[float]] = (),
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        multi_label: bool = False,
        class_weights: ClassWeights | None = None,
        class_counts: Sequence[int] | None = None,
        backbone: str | nn.Module = "tabm",
        backbone_kwargs: Mapping[str, Any] | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            lr_scheduler=lr_scheduler,
            num_classes=num_classes,
            labels=labels,
            multi_label=multi_label,
            class_weights=class_weights,
            class_counts=class_counts,
            **kwargs,
        )
        self._build(backbone, backbone_kwargs, (num_numerical, cardinalities, bins), self.num_classes)

    def _average_members(self, members: Tensor) -> Tensor:
        """Return the logits of the members' mean probabilities."""
        if members.ndim != 3:
            return members
        if self.multi_label:
            return torch.logit(torch.sigmoid(members).mean(1), eps=1e-6)
        return torch.logsumexp(torch.log_softmax(members, dim=-1), dim=1) - math.log(members.shape[1])


class TabularRegressor(_TabularTask, RegressionTask):
    """Regressor of table rows: one number per row, or several with a list of ``target_fields``.

    The loss is computed on targets standardized by the training rows; predictions and metrics are in the target's
    original units. Make it with ``from_data``.

    Args:
        num_numerical: The number of numerical columns.
        cardinalities: The number of codes per categorical column.
        bins: The bin edges per numerical column, in standardized units.
        num_targets: The number of targets.
        target_mean: The mean per target.
        target_std: The standard deviation per target.
        backbone: A name from ``TabularRegressor.available_backbones()``, or a module as described in
            :mod:`flash.tabular.backbones`.
        backbone_kwargs: Arguments of the backbone.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.regression.RegressionTask` and :class:`~flash.core.model.Task`, such
            as ``loss_fn``, ``learning_rate`` and ``optimizer``.

    Example:
        >>> from flash.tabular import TabularRegressionData
        >>> dm = TabularRegressionData.from_source("sklearn", dataset="diabetes", verbose=False)
        >>> TabularRegressor.from_data(dm, backbone="mlp").available_outputs()
        ['raw', 'values']
    """

    def __init__(
        self,
        num_numerical: int = 0,
        cardinalities: Sequence[int] = (),
        bins: Sequence[Sequence[float]] = (),
        num_targets: int = 1,
        target_mean: Sequence[float] | None = None,
        target_std: Sequence[float] | None = None,
        backbone: str | nn.Module = "tabm",
        backbone_kwargs: Mapping[str, Any] | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            lr_scheduler=lr_scheduler,
            num_targets=num_targets,
            target_mean=target_mean,
            target_std=target_std,
            **kwargs,
        )
        self._build(backbone, backbone_kwargs, (num_numerical, cardinalities, bins), num_targets)

    def _forward_members(self, x: Any) -> tuple[Tensor, Tensor | None]:
        """Return the predictions of the members in the units of the targets, and an auxiliary loss."""
        members, auxiliary = super()._forward_members(x)
        return self.to_target_units(members), auxiliary
