"""ImageTask: what tasks share whose backbone turns each image into one vector of features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Preprocess, Registry, Task
from flash.core.optimizers import make_lr_scheduler, make_optimizer
from flash.core.registry import backbone_registry
from flash.errors import ConfigurationError

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
        self.backbone = build_backbone(self.backbones, backbone, pretrained, backbone_kwargs)
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
            resolved["backbone"] = f"{backbone.partition('.')[0]}.{tag}"
        self._arguments.plain.update(resolved)
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

    def configure_optimizers(self) -> Any:
        """Make the optimizer: the backbone, unless it is frozen, learns at ``backbone_lr_factor`` of the rate.

        Raises:
            ConfigurationError: If all weights are frozen.
        """
        inside = {id(parameter) for parameter in self.backbone.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        fresh = [parameter for parameter in trained if id(parameter) not in inside]
        known = [parameter for parameter in trained if id(parameter) in inside]
        if not trained:
            raise ConfigurationError(
                f"Expected weights to train, but the backbone of this {type(self).__name__} is frozen and its head has "
                "none. Choose the strategy 'no_freeze', or a head with weights."
            )
        # The head's group comes first: what thaws later gets a part of the first group's rate.
        apart = bool(fresh and known) and self.backbone_lr_factor != 1.0
        groups: Any = [{"params": fresh}, {"params": known}] if apart else trained
        optimizer = make_optimizer(self.optimizer, groups, self.learning_rate)
        for group in optimizer.param_groups[int(bool(fresh)) :]:
            group["lr"] *= self.backbone_lr_factor
        if self.lr_scheduler is None:
            return optimizer
        scheduler = make_lr_scheduler(self.lr_scheduler, optimizer, self._trainer)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
