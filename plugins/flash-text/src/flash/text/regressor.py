"""TextRegressor: regression of one number or several numbers per text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from flash.core.optimizers import LRSchedulerSpec
from flash.core.regression import RegressionTask

from ._former import ARGUMENTS
from ._task import TextVectorTask, check_dropout
from .tokens import TokenizerSpec

__all__ = ["TextRegressor"]


class TextRegressor(TextVectorTask, RegressionTask):
    """Regressor of texts, or of pairs of texts: one number per text or pair, or several.

    The loss is computed on targets that are standardized with the train data; predictions and metrics are in the units
    of the targets. Make it with ``from_data``, which passes their statistics.

    Args:
        num_targets: The number of targets per text.
        target_mean: The mean of each target in the train data.
        target_std: The standard deviation of each target in the train data.
        backbone: As for :class:`~flash.text.TextClassifier`.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        pooling: As for :class:`~flash.text.TextClassifier`.
        max_length: As for :class:`~flash.text.TextClassifier`.
        dropout: The dropout probability of the pooled vector.
        tokenizer: As for :class:`~flash.text.TextClassifier`.
        config: The backbone's configuration as a dict; set when a checkpoint of this task is loaded.
        backbone_lr_factor: As for :class:`~flash.text.TextClassifier`.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.regression.RegressionTask` and :class:`~flash.core.model.Task`, such
            as ``loss_fn``, ``learning_rate``, ``optimizer`` and ``metrics``.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.

    Example:
        >>> class Letters(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.embed = nn.Embedding(256, 8)
        ...     def forward(self, input_ids, attention_mask):
        ...         return self.embed(input_ids)
        >>> tokenizer = lambda texts: [list(text.encode()) for text in texts]
        >>> task = TextRegressor(target_mean=[3.0], target_std=[1.5], backbone=Letters(), tokenizer=tokenizer)
        >>> [type(number).__name__ for number in task.predict(["a fine film", "a bore"])]
        ['float', 'float']
    """

    former_arguments = ARGUMENTS

    def __init__(
        self,
        num_targets: int = 1,
        target_mean: Sequence[float] | None = None,
        target_std: Sequence[float] | None = None,
        backbone: str | Path | nn.Module = "prajjwal1/bert-tiny",
        pretrained: bool = True,
        pooling: Literal["auto", "mean", "cls"] = "auto",
        max_length: int | None = None,
        dropout: float = 0.1,
        tokenizer: TokenizerSpec | None = None,
        config: Mapping[str, Any] | None = None,
        backbone_lr_factor: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        **kwargs: Any,
    ) -> None:
        check_dropout(dropout)
        super().__init__(
            num_targets=num_targets,
            target_mean=target_mean,
            target_std=target_std,
            lr_scheduler=lr_scheduler,
            **kwargs,
        )
        features = self._build(backbone, pretrained, pooling, max_length, tokenizer, config)
        has_weights = self._has_weights(pretrained, config)
        self._build_head(features, num_targets, dropout, backbone_lr_factor, has_weights)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return predictions in the units of the targets, shape ``(batch, num_targets)``."""
        return self.to_target_units(self.head(features))
