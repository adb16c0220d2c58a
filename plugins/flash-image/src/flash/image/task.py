"""ImageTask: the base of tasks on a backbone that returns one feature vector per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Preprocess, Registry, Task
from flash.core.backbones import takes_argument
from flash.core.registry import backbone_registry
from flash.plugins import default_owner, dist_of

from .backbones import ImageBackbone, image_features, tagged_factory
from .config import ImageInputSpec
from .heads import make_head
from .preprocess import ImagePreprocess
from .weights import load_weights

__all__ = ["ImageTask"]

_BACKBONES = backbone_registry("image")
# The learning rate of pretrained weights as a multiple of the head's; the same as in the unfreezing strategies.
_PRETRAINED_LR_FACTOR = 0.1


class ImageTask(Task):
    """A task with a backbone that returns features of images, and a head on them.

    A subclass calls :meth:`_build` in its ``__init__``.
    """

    backbones: ClassVar[Registry] = _BACKBONES
    preprocess_cls: ClassVar[type[Preprocess]] = ImagePreprocess
    backbone: nn.Module
    head: nn.Module
    #: The images that the backbone expects, with timm's keys; ``None`` if unknown.
    data_config: dict[str, Any] | None
    #: The default learning rate of the head, with the default optimizer.
    default_learning_rate: ClassVar[float] = 2e-3

    def _build(
        self,
        backbone: str | nn.Module,
        pretrained: bool | str | Path,
        backbone_kwargs: Mapping[str, Any] | None,
        data_config: Mapping[str, Any] | None,
        backbone_lr_factor: float | None,
    ) -> int:
        """Build the backbone, and return the number of its features."""
        self._build_backbone(backbone, pretrained, backbone_kwargs, data_config, backbone_lr_factor)
        return image_features(self.backbone, self.data_config)

    def _build_backbone(
        self,
        backbone: str | nn.Module,
        pretrained: bool | str | Path,
        backbone_kwargs: Mapping[str, Any] | None,
        data_config: Mapping[str, Any] | None,
        backbone_lr_factor: float | None,
    ) -> None:
        self.backbone = self.build_backbone(backbone, kwargs=backbone_kwargs, pretrained=pretrained)
        if isinstance(pretrained, str | Path) and not self._factory_loads_weights(backbone):
            load_weights(self.backbone, pretrained, type(self.backbone).__name__)
        own = getattr(self.backbone, "data_config", None)
        self.data_config = None if own is None and data_config is None else {**(own or {}), **(data_config or {})}
        if backbone_lr_factor is None:
            has_weights = isinstance(pretrained, str | Path) or (pretrained and isinstance(backbone, str))
            backbone_lr_factor = _PRETRAINED_LR_FACTOR if has_weights else 1.0
        self.use_default_rates(self.default_learning_rate, backbone_lr_factor=backbone_lr_factor)
        # Loading a checkpoint builds the backbone without its weights: record what they determine.
        self.record_arguments(data_config=self.data_config)
        tag = self.backbone.tag if isinstance(self.backbone, ImageBackbone) else ""
        if isinstance(backbone, str) and tag:
            name = self.backbones.qualified(backbone.partition(".")[0], prefer=dist_of(__name__))
            self.record_arguments(backbone=f"{name}.{tag}")

    def _factory_loads_weights(self, backbone: str | nn.Module) -> bool:
        return isinstance(backbone, str) and takes_argument(self.backbone_factory(backbone), "pretrained")

    def _set_head(self, head: str | Callable[[int, int], Any], features: int, outputs: int) -> None:
        """Make the head of a classifier or a regressor."""
        self.head = make_head(head, features, outputs, prefer=default_owner(self, "head", head))
        if not isinstance(head, str):
            # A checkpoint holds the weights of a head, but not the code that makes it.
            self.omit_arguments("head")

    def backbone_factory(self, name: str) -> Callable[..., Any]:
        """Return the factory of a backbone; names of timm's models can end with the tag of their weights."""
        return tagged_factory(self.backbones, name, default_owner(self, "backbone", name))

    def forward_features(self, x: Any) -> Tensor:
        """Return the backbone's features of images, shape ``(batch, features)``.

        Args:
            x: Normalized images, shape ``(batch, channels, height, width)``.
        """
        features: Tensor = self.backbone(x)
        return features

    def forward_head(self, features: Any) -> Any:
        """Return the head's output for features, shape ``(batch, features)``."""
        return self.head(features)

    @property
    def input_spec(self) -> ImageInputSpec:
        """The size and normalization that the backbone was trained with, as far as they are known."""
        backbone, fixed_size = self.backbone, None
        if isinstance(backbone, ImageBackbone) and backbone.fixed_size:
            _, *fixed_size = backbone.data_config["input_size"]
        return ImageInputSpec.of(self.data_config or {}, fixed_size, type(backbone).__name__)
