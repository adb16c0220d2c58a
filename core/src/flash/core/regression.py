"""RegressionTask: the base class of regressors of all domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from flash.core._metric_factories import mae, r2, rmse
from flash.core.export import as_float
from flash.core.losses import LossSpec
from flash.core.metrics import MetricSpec, named_metrics
from flash.core.model import Task
from flash.core.outputs import components_of, regression_outputs
from flash.core.registry import Registry, qualified_choice
from flash.errors import ConfigurationError
from flash.former import former_names

__all__ = ["RegressionTask"]

# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__ = former_names(__name__)


class RegressionTask(Task):
    """Regression of one number or several numbers per sample.

    The ``model`` returns standardized numbers, shape ``(batch, num_targets)``, which :meth:`forward` converts to the
    units of the targets. A subclass that overrides ``forward`` or ``forward_head`` returns
    ``self.to_target_units(standardized)``. Targets are numbers, shape ``(batch,)`` or ``(batch, num_targets)``. The
    loss is computed on standardized numbers, so that one learning rate suits targets of any unit; predictions and
    metrics (RMSE, MAE and R²) are in the units of the targets.

    Args:
        num_targets: The number of targets per sample.
        target_mean: The mean of each target in the train data.
        target_std: The standard deviation of each target in the train data.
        loss_fn: A loss of standardized predictions and targets, as in :class:`~flash.core.model.Task`.
        metrics: As in :class:`~flash.core.model.Task`; they take numbers in the units of the targets.
        kwargs: The arguments of :class:`~flash.core.model.Task`.

    Raises:
        ConfigurationError: If there is not one mean and one positive standard deviation per target.

    Example:
        >>> task = RegressionTask(1, target_mean=[20.0], target_std=[5.0], model=nn.Linear(3, 1))
        >>> [type(number).__name__ for number in task.predict(torch.randn(4, 3))]
        ['float', 'float', 'float', 'float']
    """

    outputs: ClassVar[Registry] = regression_outputs
    default_output: str = "values"
    data_facts: ClassVar[tuple[str, ...]] = (*Task.data_facts, "num_targets", "target_mean", "target_std")
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        num_targets: int = 1,
        target_mean: Sequence[float] | None = None,
        target_std: Sequence[float] | None = None,
        *,
        loss_fn: LossSpec = nn.functional.mse_loss,
        metrics: MetricSpec | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(num_targets, bool) or not isinstance(num_targets, int) or num_targets < 1:
            raise ConfigurationError(
                f"Expected num_targets to be a whole number of at least 1, but got {num_targets!r}. Make the task with "
                "from_data(datamodule), which knows it."
            )
        mean = [0.0] * num_targets if target_mean is None else list(target_mean)
        std = [1.0] * num_targets if target_std is None else list(target_std)
        if (len(mean), len(std)) != (num_targets, num_targets) or any(not each > 0 for each in std):
            raise ConfigurationError(
                f"Expected one target_mean and one target_std above 0 for each of {num_targets} targets, but got "
                f"{target_mean!r} and {target_std!r}. Make the task with from_data(datamodule), which knows them."
            )
        if metrics is None:
            metrics = {"rmse": rmse(num_targets), "mae": mae(num_targets), "r2": r2()}
        registry = components_of(type(self), self.metric_registry)
        metrics = qualified_choice(registry, self, "metrics", metrics)
        metrics = named_metrics(metrics, {"num_outputs": num_targets}, registry)
        super().__init__(loss_fn=loss_fn, metrics=metrics, **kwargs)
        self.num_targets = num_targets
        self.register_buffer("target_mean", torch.tensor(mean, dtype=torch.get_default_dtype()))
        self.register_buffer("target_std", torch.tensor(std, dtype=torch.get_default_dtype()))

    @property
    def output_names(self) -> list[str] | None:
        """The columns of several targets, by which the scores of each are logged; ``None`` if they have no names."""
        names: list[str] | None = getattr(self.preprocess, "target_names", None)
        return names if names is not None and len(names) == self.num_targets else None

    def forward(self, x: Any) -> Any:
        """Return predictions in the units of the targets, shape ``(batch, num_targets)``.

        Args:
            x: The inputs of a batch, or their cached features.
        """
        predictions = super().forward(x)
        if self.has_features:
            return predictions  # forward_head has converted them
        return self.to_target_units(predictions)

    def to_target_units(self, standardized: Tensor) -> Tensor:
        """Convert standardized numbers, shape ``(..., num_targets)``, to the units of the targets."""
        return standardized * self.target_std + self.target_mean

    def standardize(self, numbers: Tensor) -> Tensor:
        """Undo :meth:`to_target_units`."""
        return (numbers - self.target_mean) / self.target_std

    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:
        """Compute the loss of predictions and targets in their units, after standardizing both."""
        return super().compute_loss(self.standardize(y_hat), self.standardize(_like(y, y_hat)))

    def sample_losses(self, y_hat: Any, y: Any) -> Tensor | None:
        """Return the loss of each sample of a batch, shape ``(batch,)``."""
        if self.loss_fn is not nn.functional.mse_loss or type(self).compute_loss is not RegressionTask.compute_loss:
            return super().sample_losses(y_hat, y)
        errors = self.standardize(y_hat) - self.standardize(_like(y, y_hat))
        return errors.square().flatten(1).mean(1)

    def exported_outputs(self, predictions: Any) -> dict[str, Tensor]:
        """Return the numbers in the units of the targets, shape ``(batch, num_targets)``."""
        return {"values": as_float(predictions)}

    def exported_result(self) -> dict[str, Any]:
        """Return the names of the targets, and their mean and standard deviation in the train data."""
        scale = {"mean": self.target_mean.tolist(), "std": self.target_std.tolist()}
        return {"kind": "numbers", "names": self.output_names, **scale}

    def exported_scale(self) -> float:
        """Return the smallest standard deviation of a target."""
        return float(self.target_std.min())

    def for_metrics(self, y_hat: Any, y: Any) -> tuple[Any, Any]:
        """Return predictions and targets, shape ``(batch,)`` if there is one per sample, for the metrics."""
        return (y_hat, y) if y_hat is None else (y_hat.squeeze(-1), _like(y, y_hat).squeeze(-1))


def _like(y: Tensor, y_hat: Tensor) -> Tensor:
    if y.numel() != y_hat.numel():
        raise ConfigurationError(
            f"Expected as many targets as predictions, of shape {tuple(y_hat.shape)}, but got {tuple(y.shape)}. Make "
            "the task with from_data(datamodule), which knows the number of targets."
        )
    return y.reshape(y_hat.shape)
