"""AudioClassifier: single-label and multi-label classification of recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Preprocess, Registry
from flash.core.backbones import takes_argument
from flash.core.classification import ClassificationTask, ClassWeights
from flash.core.optimizers import LRSchedulerSpec
from flash.core.registry import backbone_registry
from flash.errors import ConfigurationError

from .backbones import audio_features, encode
from .preprocess import AudioPreprocess
from .spec import AudioSpec, check_rate
from .transformer import WaveformTransformer, describe

__all__ = ["AudioClassifier"]

_BACKBONES = backbone_registry("audio")
# The learning rate of pretrained weights as a multiple of the head's; the same as in the unfreezing strategies.
_PRETRAINED_LR_FACTOR = 0.1


class AudioClassifier(ClassificationTask):
    """Classifier of recordings; multi-label where targets are lists.

    Recordings are resampled, cut and made into spectrograms as the backbone expects, in training and in prediction.

    Args:
        num_classes: The number of classes.
        labels: The names of the classes; by default those of the data that the task is trained on.
        multi_label: Whether a recording can have several classes.
        class_weights: The weight of each class in the loss, or ``"balanced"``.
        class_counts: The number of train recordings per class.
        backbone: A name from ``AudioClassifier.available_backbones()``; a checkpoint of transformers for waveforms, by
            its name on the Hugging Face hub or its folder; or a module as described in :mod:`flash.audio.backbones`.
        pretrained: Whether to load weights, for backbones that have some; ``False`` for random ones.
        sample_rate: The sample rate that recordings are resampled to, in Hz; by default the backbone's own. Networks of
            waveforms take no other.
        backbone_kwargs: Arguments of the backbone, such as ``{"width": 32}``.
        dropout: The probability of dropout before the head.
        backbone_lr_factor: The backbone's learning rate as a multiple of the head's: by default 0.1 for a pretrained
            backbone, and 1 for random weights or a module.
        learning_rate: The learning rate of the head; by default 1e-3.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.classification.ClassificationTask` and
            :class:`~flash.core.model.Task`, such as ``optimizer`` and ``metrics``.

    Raises:
        ConfigurationError: If arguments contradict each other.
        UnknownNameError: If there is no such backbone.
        HubError: If a checkpoint is neither in a folder nor cached, and cannot be downloaded.

    Example:
        >>> import torch
        >>> preprocess = AudioPreprocess(duration=0.5, sample_rate=16000)
        >>> task = AudioClassifier(labels=["cat", "dog"], preprocess=preprocess)
        >>> set(task.predict(torch.randn(2, 8000))) <= {"cat", "dog"}
        True
    """

    backbones: ClassVar[Registry] = _BACKBONES
    preprocess_cls: ClassVar[type[Preprocess]] = AudioPreprocess
    backbone: nn.Module
    head: nn.Module
    #: The default learning rate of the head, with the default optimizer.
    default_learning_rate: ClassVar[float] = 1e-3

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        multi_label: bool = False,
        class_weights: ClassWeights | None = None,
        class_counts: Sequence[int] | None = None,
        backbone: str | Path | nn.Module = "audio_cnn",
        pretrained: bool = True,
        sample_rate: int | None = None,
        backbone_kwargs: Mapping[str, Any] | None = None,
        dropout: float = 0.2,
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
        if sample_rate is not None:
            check_rate(sample_rate, "sample_rate")
        self.backbone = self.build_backbone(backbone, kwargs=backbone_kwargs, pretrained=pretrained)
        if isinstance(self.backbone, WaveformTransformer) and isinstance(backbone, str | Path):
            # A checkpoint loads without the folder or the hub.
            self.record_arguments(backbone_kwargs={"config": describe(self.backbone)})
            self.hparams.pop("backbone_kwargs", None)
        own = getattr(self.backbone, "input_spec", None)
        self._audio_spec = _at(own if isinstance(own, AudioSpec) else AudioSpec(), sample_rate, self.backbone)
        if backbone_lr_factor is None:
            has_weights = pretrained and self._has_weights(backbone)
            backbone_lr_factor = _PRETRAINED_LR_FACTOR if has_weights else 1.0
        self.use_default_rates(self.default_learning_rate, backbone_lr_factor=backbone_lr_factor)
        features = audio_features(self.backbone, self._audio_spec)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, self.num_classes))

    def _has_weights(self, backbone: Any) -> bool:
        if isinstance(backbone, nn.Module):
            return False
        factory: Callable[..., Any] = self.backbone_factory(str(backbone))
        return takes_argument(factory, "pretrained")

    @property
    def input_spec(self) -> AudioSpec:
        """The sample rate, the length and the spectrogram that the backbone expects."""
        return self._audio_spec

    def forward_features(self, x: Mapping[str, Tensor]) -> Any:
        """Return the backbone's features of recordings, shape ``(batch, features)``.

        Args:
            x: ``spectrogram``, shape ``(batch, 1, n_mels, frames)``, or ``waveform``, shape ``(batch, samples)``; and
                ``length``, the frames or samples that are no padding, shape ``(batch,)``.
        """
        return encode(self.backbone, x)

    def forward_head(self, features: Any) -> Any:
        """Return the head's output for features, shape ``(batch, features)``."""
        return self.head(features)


def _at(spec: AudioSpec, sample_rate: int | None, backbone: nn.Module) -> AudioSpec:
    if sample_rate in (None, spec.sample_rate):
        return spec
    assert sample_rate is not None
    if spec.mel is None:
        raise ConfigurationError(
            f"Expected the sample rate that {type(backbone).__name__} was trained with, {spec.sample_rate}, but got "
            f"sample_rate={sample_rate}. Leave sample_rate out: recordings are resampled."
        )
    return spec.at(sample_rate)
