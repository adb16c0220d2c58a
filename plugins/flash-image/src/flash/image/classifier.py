"""ImageClassifier: which class a picture belongs to, or which of several labels it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from flash.core.classification import ClassificationTask
from flash.plugins import default_owner

from .heads import make_head
from .task import ImageTask

__all__ = ["ImageClassifier"]


class ImageClassifier(ImageTask, ClassificationTask):
    """Which class a picture belongs to; where targets are lists, which classes.

    Images are resized and normalised as the backbone was trained (its data config), in training and prediction alike.
    While the backbone trains with the head, its pretrained weights learn at a tenth of the head's rate.

    Args:
        num_classes: How many classes there are.
        labels: The names of the classes. A task made without them takes those of the data that it is trained on.
        multi_label: Whether a picture can have several classes.
        class_weights: What each class counts in the loss, or ``"balanced"``.
        class_counts: How many train pictures each class has.
        backbone: A name from ``ImageClassifier.available_backbones()``, for models of timm maybe with the tag of their
            weights (``"resnet18.a1_in1k"``); or a module as described in :mod:`flash.image.backbones`.
        pretrained: ``True``, the tag of timm's weights, a path or URL of weights, or ``False`` for random ones.
        head: ``"linear"``, ``"mlp"``, a module, or a callable ``(in_features, num_classes) -> module``.
        backbone_kwargs: Arguments of the backbone, such as ``{"drop_path_rate": 0.1}``.
        data_config: What the backbone expects of images, where it is not what it says itself: ``input_size``
            (channels, height, width), ``mean``, ``std``, ``interpolation``, ``crop_pct``, ``crop_mode``.
        backbone_lr_factor: The backbone's learning rate as a multiple of the head's: by default 0.1 for a pretrained
            backbone, and 1 for a random one and a module.
        learning_rate: The head's; by default 2e-3.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.classification.ClassificationTask` and
            :class:`~flash.core.model.Task`, such as ``optimizer`` and ``metrics``.

    Raises:
        ConfigurationError: If arguments contradict each other, or there are no such weights.
        UnknownNameError: If there is no such backbone or head.
        BackboneUnavailableError: If pretrained weights are neither on this machine nor can be fetched.
        CheckpointError: If the weights of a path do not fit.

    Example:
        >>> import torch
        >>> task = ImageClassifier(labels=["ants", "bees"], backbone="test_resnet", pretrained=False)
        >>> set(task.predict(torch.zeros(2, 3, 40, 40))) <= {"ants", "bees"}
        True
    """

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        multi_label: bool = False,
        class_weights: Any = None,
        class_counts: Sequence[int] | None = None,
        backbone: str | nn.Module = "resnet18",
        pretrained: bool | str | Path = True,
        head: str | nn.Module | Callable[[int, int], nn.Module] = "linear",
        backbone_kwargs: Mapping[str, Any] | None = None,
        data_config: Mapping[str, Any] | None = None,
        backbone_lr_factor: float | None = None,
        learning_rate: float | None = None,
        lr_scheduler: Any = "cosine",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            lr_scheduler=lr_scheduler,
            num_classes=num_classes,
            labels=labels,
            multi_label=multi_label,
            class_weights=class_weights,
            class_counts=class_counts,
            **kwargs,
        )
        features = self._build(backbone, pretrained, backbone_kwargs, data_config, backbone_lr_factor)
        owner = default_owner(self, "head", head)
        self.head = make_head(head, features, self.num_classes, prefer=owner)
        if not isinstance(head, str):
            # A checkpoint holds the weights of a head, but not the code that makes it.
            self.omit_arguments("head")
