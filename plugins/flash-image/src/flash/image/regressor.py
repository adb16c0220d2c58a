"""ImageRegressor: regression of one number or several numbers per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flash.core.optimizers import LRSchedulerSpec
from flash.core.regression import RegressionTask

from .task import ImageTask

__all__ = ["ImageRegressor"]


class ImageRegressor(ImageTask, RegressionTask):
    """Regressor of images: one number per image, or several.

    The loss is computed on targets that are standardized with the train data; predictions and metrics are in the units
    of the targets. Make it with ``from_data``, which passes their statistics.

    Args:
        num_targets: The number of targets per image.
        target_mean: The mean of each target in the train data.
        target_std: The standard deviation of each target in the train data.
        backbone: As in :class:`~flash.image.ImageClassifier`.
        pretrained: As in :class:`~flash.image.ImageClassifier`.
        head: ``"linear"``, ``"mlp"``, a module, or a callable ``(in_features, num_targets) -> module``; it returns
            standardized numbers.
        backbone_kwargs: Arguments of the backbone.
        data_config: As in :class:`~flash.image.ImageClassifier`.
        backbone_lr_factor: As in :class:`~flash.image.ImageClassifier`.
        learning_rate: The learning rate of the head; by default 2e-3.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.regression.RegressionTask` and :class:`~flash.core.model.Task`, such
            as ``loss_fn``, ``optimizer`` and ``metrics``.

    Raises:
        ConfigurationError: If arguments contradict each other, or there are no such weights.
        UnknownNameError: If there is no such backbone or head.
        BackboneUnavailableError: If pretrained weights are neither cached nor can be downloaded.
        CheckpointError: If the weights in a file do not fit the backbone.

    Example:
        >>> import torch
        >>> task = ImageRegressor(target_mean=[20.0], target_std=[5.0], backbone="test_resnet", pretrained=False)
        >>> [type(number).__name__ for number in task.predict(torch.zeros(2, 3, 40, 40))]
        ['float', 'float']
    """

    def __init__(
        self,
        num_targets: int = 1,
        target_mean: Sequence[float] | None = None,
        target_std: Sequence[float] | None = None,
        backbone: str | nn.Module = "resnet18",
        pretrained: bool | str | Path = True,
        head: str | nn.Module | Callable[[int, int], nn.Module] = "linear",
        backbone_kwargs: Mapping[str, Any] | None = None,
        data_config: Mapping[str, Any] | None = None,
        backbone_lr_factor: float | None = None,
        learning_rate: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            lr_scheduler=lr_scheduler,
            num_targets=num_targets,
            target_mean=target_mean,
            target_std=target_std,
            **kwargs,
        )
        features = self._build(backbone, pretrained, backbone_kwargs, data_config, backbone_lr_factor)
        self._set_head(head, features, num_targets)

    def forward_head(self, features: Any) -> Tensor:
        """Return predictions in the units of the targets, shape ``(batch, num_targets)``."""
        return self.to_target_units(super().forward_head(features))
