"""ImageClassifier: single-label and multi-label classification of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from flash.core.classification import ClassificationTask, ClassWeights
from flash.core.optimizers import LRSchedulerSpec

from ._former import CLASSIFIER_ARGUMENTS
from .task import ImageTask

__all__ = ["ImageClassifier"]


class ImageClassifier(ImageTask, ClassificationTask):
    """Classifier of images; multi-label where targets are lists.

    Images are resized and normalized according to the backbone's data config, in training and in prediction. When the
    backbone is trained with the head, its pretrained weights have a tenth of the head's learning rate.

    Args:
        num_classes: The number of classes.
        labels: The names of the classes; by default those of the data that the task is trained on.
        multi_label: Whether an image can have several classes.
        class_weights: The weight of each class in the loss, or ``"balanced"``.
        class_counts: The number of train images per class.
        backbone: A name from ``ImageClassifier.available_backbones()``, for models of timm optionally with the tag of
            their weights (``"resnet18.a1_in1k"``); or a module as described in :mod:`flash.image.backbones`.
        pretrained: ``True``, the tag of timm's weights, a path or URL of weights, a folder or repository of
            ``task.save_pretrained``, or ``False`` for random ones.
        head: ``"linear"``, ``"mlp"``, a module, or a callable ``(in_features, num_classes) -> module``.
        backbone_kwargs: Arguments of the backbone, such as ``{"drop_path_rate": 0.1}``.
        data_config: Entries that replace those of the backbone's own data config: ``input_size``
            (channels, height, width), ``mean``, ``std``, ``interpolation``, ``crop_pct``, ``crop_mode``.
        backbone_lr_factor: The backbone's learning rate as a multiple of the head's: by default 0.1 for a pretrained
            backbone, and 1 for random weights or a module.
        learning_rate: The learning rate of the head; by default 2e-3.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.classification.ClassificationTask` and
            :class:`~flash.core.model.Task`, such as ``optimizer`` and ``metrics``.

    Raises:
        ConfigurationError: If arguments contradict each other, or there are no such weights.
        UnknownNameError: If there is no such backbone or head.
        BackboneUnavailableError: If pretrained weights are neither cached nor can be downloaded.
        CheckpointError: If the weights in a file do not fit the backbone.

    Example:
        >>> import torch
        >>> task = ImageClassifier(labels=["ants", "bees"], backbone="test_resnet", pretrained=False)
        >>> set(task.predict(torch.zeros(2, 3, 40, 40))) <= {"ants", "bees"}
        True
    """

    former_arguments = CLASSIFIER_ARGUMENTS

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        multi_label: bool = False,
        class_weights: ClassWeights | None = None,
        class_counts: Sequence[int] | None = None,
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
            num_classes=num_classes,
            labels=labels,
            multi_label=multi_label,
            class_weights=class_weights,
            class_counts=class_counts,
            **kwargs,
        )
        features = self._build(backbone, pretrained, backbone_kwargs, data_config, backbone_lr_factor)
        self._set_head(head, features, self.num_classes)
