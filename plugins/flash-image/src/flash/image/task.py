"""ImageTask: what tasks share whose backbone turns each image into one vector of features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Preprocess, Registry, Task
from flash.core.optimizers import split_parameters
from flash.core.registry import backbone_registry
from flash.errors import ConfigurationError
from flash.plugins import default_owner, dist_of

from .backbones import ImageBackbone, build_backbone, count_features
from .preprocess import ImagePreprocess

__all__ = ["ImageTask"]

_BACKBONES = backbone_registry("image")
# What weights that know a lot already take in a step, as a part of what a fresh head takes; as thawing strategies do.
_PRETRAINED_LR_FACTOR = 0.1


class ImageTask(Task):
    """A backbone that gives features of images, and a head on them.

    Tells the preprocess what the backbone expects of images. A subclass calls :meth:`_build` in its ``__init__``.
    """

    backbones: ClassVar[Registry] = _BACKBONES
    preprocess_cls: ClassVar[type[Preprocess]] = ImagePreprocess
    backbone: nn.Module
    head: nn.Module
    #: What the backbone expects of images, with timm's keys; ``None`` if nobody said it.
    data_config: dict[str, Any] | None
    #: The backbone's learning rate, as a multiple of ``learning_rate``.
    backbone_lr_factor: float

    def _build(
        self,
        backbone: str | nn.Module,
        pretrained: bool | str | Path,
        backbone_kwargs: Mapping[str, Any] | None,
        data_config: Mapping[str, Any] | None,
        backbone_lr_factor: float | None,
    ) -> int:
        """Make the backbone, and return how many features it gives."""
        owner = default_owner(self, "backbone", backbone)
        self.backbone = build_backbone(self.backbones, backbone, pretrained, backbone_kwargs, prefer=owner)
        own = getattr(self.backbone, "data_config", None)
        self.data_config = None if own is None and data_config is None else {**(own or {}), **(data_config or {})}
        features = count_features(self.backbone, self.data_config)
        if backbone_lr_factor is None:
            knows = isinstance(pretrained, str | Path) or (pretrained and not isinstance(backbone, nn.Module))
            backbone_lr_factor = _PRETRAINED_LR_FACTOR if knows else 1.0
        self.backbone_lr_factor = backbone_lr_factor
        # A checkpoint makes the backbone again without its weights: what these decided is stored as well.
        resolved: dict[str, Any] = {"data_config": self.data_config, "backbone_lr_factor": backbone_lr_factor}
        tag = self.backbone.tag if isinstance(self.backbone, ImageBackbone) else ""
        if isinstance(backbone, str) and tag:
            name = self.backbones.qualified(backbone.partition(".")[0], prefer=dist_of(__name__))
            resolved["backbone"] = f"{name}.{tag}"
        self.record_arguments(**resolved)
        return features

    def forward_features(self, x: Any) -> Tensor:
        """Return the backbone's features of images.

        Args:
            x: Normalised images, shape ``(batch, channels, height, width)``.
        """
        features: Tensor = self.backbone(x)
        return features

    def forward_head(self, features: Any) -> Any:
        """Return the head's output for features, shape ``(batch, features)``."""
        return self.head(features)

    def configure_preprocess(self, preprocess: Preprocess) -> None:
        """Tell the preprocess the size and normalisation that the backbone was trained with.

        Raises:
            ConfigurationError: If nobody says what the backbone expects, or the images will have a size that it does
                not take.
        """
        if not isinstance(preprocess, ImagePreprocess):
            return
        if self.data_config is not None:
            preprocess.configure(self.data_config)
        if preprocess.transform is None:
            self._check_images(preprocess)

    def _check_images(self, preprocess: ImagePreprocess) -> None:
        if preprocess.data_config is None:
            raise ConfigurationError(
                f"Expected to know which images the backbone was made for, but a {type(self.backbone).__name__} has no "
                "data_config. Pass one to the task: data_config={'input_size': (channels, height, width), 'mean': ..., "
                "'std': ...}; or make the network's input yourself, with transform=... of the data."
            )
        if isinstance(self.backbone, ImageBackbone) and self.backbone.fixed_size:
            config = preprocess.transforms.config
            size, wanted = (config.height, config.width), tuple(self.backbone.data_config["input_size"][1:])
            if size != wanted:
                raise ConfigurationError(
                    f"Expected images of {wanted} pixels, which the backbone was made for, but the data makes them of "
                    f"{size}. Leave out image_size, or make the backbone for it with backbone_kwargs="
                    f"{{'img_size': {size}}}."
                )

    def backbone_layers(self) -> list[nn.Module]:
        """Return the stem and the blocks of the network, in the order of the forward pass; see ``ImageBackbone``."""
        return self.backbone.layers() if isinstance(self.backbone, ImageBackbone) else super().backbone_layers()

    def trained_parameters(self) -> list[Any]:
        """The head first, then the backbone, unless it is frozen, at ``backbone_lr_factor`` of the learning rate."""
        trained = super().trained_parameters()
        if self.backbone_lr_factor == 1.0:
            return trained
        return split_parameters(trained, self.backbone, {}, {"lr_factor": self.backbone_lr_factor})
