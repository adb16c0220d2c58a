"""The network that tells tones apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flash.core.backbones import num_features
from flash.core.classification import ClassificationTask
from flash.core.registry import backbone_registry

from .data import TonePreprocess


class PitchCNN(nn.Sequential):
    """Takes recordings, shape ``(batch, 1, length)``, and returns features, shape ``(batch, out_features)``."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(
            nn.Sequential(nn.Conv1d(1, width, 25, stride=4), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Sequential(nn.Conv1d(width, width, 9, stride=2), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten()),
        )
        self.out_features = width


class ToneClassifier(ClassificationTask):
    """A backbone of the domain, and a layer that scores the classes."""

    backbones = backbone_registry("tones")
    preprocess_cls = TonePreprocess

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        backbone: str | nn.Module = "pitch_cnn",
        backbone_kwargs: Mapping[str, Any] | None = None,
        learning_rate: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, labels, learning_rate=learning_rate, **kwargs)
        self.backbone = self.build_backbone(backbone, kwargs=backbone_kwargs)
        self.head = nn.Linear(num_features(self.backbone, lambda: torch.zeros(1, 1, 400)), self.num_classes)

    def forward_features(self, x: Any) -> Tensor:
        return self.backbone(x)

    def forward_head(self, features: Any) -> Tensor:
        return self.head(features)
