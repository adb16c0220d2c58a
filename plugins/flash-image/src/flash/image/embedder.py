"""ImageEmbedder: a vector for each picture, for search by similarity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Registry
from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError
from flash.plugins import default_owner

from .losses import contrastive_losses, make_loss
from .neighbours import NearestNeighbourAccuracy
from .task import ImageTask

__all__ = ["ImageEmbedder"]

_OUTPUTS = ComponentRegistry("output", "outputs", "image/embedding")


def vectors(predictions: Tensor, task: Any) -> list[Tensor]:  # noqa: ARG001  # every output takes the task
    return list(predictions.float().cpu().unbind(0))


class ImageEmbedder(ImageTask):
    """A vector for each picture: similar pictures have similar vectors.

    It embeds from the start, with the backbone's pooled features. ``trainer.finetune`` brings pictures of the same
    class together and takes those of different ones apart, with a loss of pytorch-metric-learning (``pip install
    'flash-image[contrastive]'``). What it logs, ``val_neighbour_accuracy``, is how often a picture's nearest neighbour
    among the others has its class.

    Args:
        embedding_dim: How many numbers a vector has: a linear layer is put on the features, which has to be trained.
            ``None`` takes the features as they are.
        normalize: Whether vectors have length 1, so that their dot product is their cosine similarity.
        backbone: As in :class:`~flash.image.ImageClassifier`.
        pretrained: As in :class:`~flash.image.ImageClassifier`.
        backbone_kwargs: Arguments of the backbone.
        data_config: What the backbone expects of images, where it is not what it says itself.
        backbone_lr_factor: As in :class:`~flash.image.ImageClassifier`.
        loss_fn: ``"supcon"``, ``"multi_similarity"``, ``"triplet"``, or a callable that takes vectors
            ``(batch, embedding_dim)`` and class numbers ``(batch,)``, such as any loss of pytorch-metric-learning.
        metrics: As in :class:`~flash.core.model.Task`; they compare vectors with class numbers.
        learning_rate: The linear layer's; by default 1e-3.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.model.Task`, such as ``optimizer``.

    Raises:
        ConfigurationError: If arguments contradict each other, or there are no such weights.
        UnknownNameError: If there is no such backbone or loss.
        BackboneUnavailableError: If pretrained weights are neither on this machine nor can be fetched.
        CheckpointError: If the weights of a path do not fit.

    Example:
        >>> import torch
        >>> task = ImageEmbedder(backbone="test_resnet", pretrained=False)
        >>> [vector.shape for vector in task.predict(torch.zeros(2, 3, 40, 40))]
        [torch.Size([96]), torch.Size([96])]
    """

    outputs: ClassVar[Registry] = _OUTPUTS
    loss_registry: ClassVar[Registry] = contrastive_losses
    default_output: str = "vectors"
    default_learning_rate: ClassVar[float] = 1e-3

    def __init__(
        self,
        embedding_dim: int | None = None,
        normalize: bool = True,
        backbone: str | nn.Module = "resnet18",
        pretrained: bool | str | Path = True,
        backbone_kwargs: Mapping[str, Any] | None = None,
        data_config: Mapping[str, Any] | None = None,
        backbone_lr_factor: float | None = None,
        loss_fn: str | Callable[[Tensor, Tensor], Tensor] = "supcon",
        metrics: Any = None,
        learning_rate: float | None = None,
        lr_scheduler: Any = "cosine",
        **kwargs: Any,
    ) -> None:
        if isinstance(loss_fn, str):
            contrastive_losses.describe(loss_fn, prefer=default_owner(self, "loss_fn", loss_fn))
        if metrics is None:
            metrics = {"neighbour_accuracy": NearestNeighbourAccuracy()}
        super().__init__(
            loss_fn=None if isinstance(loss_fn, str) else loss_fn,
            metrics=metrics,
            learning_rate=learning_rate,
            lr_scheduler=lr_scheduler,
            **kwargs,
        )
        # The library of a loss is needed for training alone.
        self._loss_name = loss_fn if isinstance(loss_fn, str) else None
        features = self._build(backbone, pretrained, backbone_kwargs, data_config, backbone_lr_factor)
        self.embedding_dim = features if embedding_dim is None else embedding_dim
        self.head = nn.Identity() if embedding_dim is None else nn.Linear(features, embedding_dim)
        self.normalize = normalize

    def forward_head(self, features: Any) -> Tensor:
        """Return the vectors of features, shape ``(batch, embedding_dim)``."""
        vectors: Tensor = self.head(features)
        return nn.functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:
        """Compare the vectors of a batch with each other.

        Raises:
            ConfigurationError: If pictures have several classes, or the loss's library is not installed.
        """
        if y.ndim != 1 or y.is_floating_point():
            raise ConfigurationError(
                f"Expected one class a picture to finetune an ImageEmbedder, but got targets of shape {tuple(y.shape)} "
                f"and {y.dtype}. Give each picture one class, or pass a loss_fn and override compute_loss."
            )
        if self.loss_fn is None and self._loss_name is not None:
            self.loss_fn = make_loss(self._loss_name, default_owner(self, "loss_fn", self._loss_name))
        return super().compute_loss(y_hat, y)
