"""ImageEmbedder: a vector per image, for similarity search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Registry
from flash.core.export import as_float
from flash.core.metrics import MetricSpec
from flash.core.optimizers import LRSchedulerSpec
from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError
from flash.plugins import default_owner

from ._former import EMBEDDER_ARGUMENTS
from .losses import contrastive_losses, make_loss
from .metrics import NearestNeighborAccuracy
from .task import ImageTask

__all__ = ["ImageEmbedder"]

_OUTPUTS = ComponentRegistry("output", "outputs", "image/embedding")


def vectors(predictions: Tensor, task: Any) -> list[Tensor]:  # noqa: ARG001  # every output takes the task
    return list(predictions.float().cpu().unbind(0))


class ImageEmbedder(ImageTask):
    """Embedder of images: similar images have similar vectors.

    Without training it returns the backbone's pooled features. ``trainer.finetune`` minimizes a contrastive loss of
    pytorch-metric-learning (``pip install 'flash-image[contrastive]'``), which pulls images of the same class together
    and pushes those of different classes apart. It logs ``val_neighbor_accuracy``, the share of images whose nearest
    neighbor has the same class.

    Args:
        embedding_dim: The size of the vectors: adds a linear layer to the backbone, which has to be trained. ``None``
            returns the backbone's features.
        normalize: Whether vectors have length 1, so that their dot product is their cosine similarity.
        backbone: As in :class:`~flash.image.ImageClassifier`.
        pretrained: As in :class:`~flash.image.ImageClassifier`.
        backbone_kwargs: Arguments of the backbone.
        data_config: As in :class:`~flash.image.ImageClassifier`.
        backbone_lr_factor: As in :class:`~flash.image.ImageClassifier`.
        loss_fn: ``"supcon"``, ``"multi_similarity"``, ``"triplet"``, or a callable that takes vectors
            ``(batch, embedding_dim)`` and class indices ``(batch,)``, such as any loss of pytorch-metric-learning.
        metrics: As in :class:`~flash.core.model.Task`; they take vectors and class indices.
        learning_rate: The learning rate of the linear layer; by default 1e-3.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.model.Task`, such as ``optimizer``.

    Raises:
        ConfigurationError: If arguments contradict each other, or there are no such weights.
        UnknownNameError: If there is no such backbone or loss.
        BackboneUnavailableError: If pretrained weights are neither cached nor can be downloaded.
        CheckpointError: If the weights in a file do not fit the backbone.

    Example:
        >>> import torch
        >>> task = ImageEmbedder(backbone="test_resnet", pretrained=False)
        >>> [vector.shape for vector in task.predict(torch.zeros(2, 3, 40, 40))]
        [torch.Size([96]), torch.Size([96])]
    """

    former_arguments = EMBEDDER_ARGUMENTS
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
        metrics: MetricSpec | None = None,
        learning_rate: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        **kwargs: Any,
    ) -> None:
        if isinstance(loss_fn, str):
            contrastive_losses.describe(loss_fn, prefer=default_owner(self, "loss_fn", loss_fn))
        if metrics is None:
            metrics = {"neighbor_accuracy": NearestNeighborAccuracy()}
        super().__init__(
            loss_fn=None if isinstance(loss_fn, str) else loss_fn,
            metrics=metrics,
            learning_rate=learning_rate,
            lr_scheduler=lr_scheduler,
            **kwargs,
        )
        # The library of a loss is only needed for training.
        self._loss_name = loss_fn if isinstance(loss_fn, str) else None
        features = self._build(backbone, pretrained, backbone_kwargs, data_config, backbone_lr_factor)
        self.embedding_dim = features if embedding_dim is None else embedding_dim
        self.head = nn.Identity() if embedding_dim is None else nn.Linear(features, embedding_dim)
        self.normalize = normalize

    def forward_head(self, features: Any) -> Tensor:
        """Return the vectors for features, shape ``(batch, embedding_dim)``."""
        vectors: Tensor = self.head(features)
        return nn.functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:
        """Compute the contrastive loss of a batch.

        Raises:
            ConfigurationError: If images have several classes, or the loss's library is not installed.
        """
        if y.ndim != 1 or y.is_floating_point():
            raise ConfigurationError(
                f"Expected one class per image to finetune an ImageEmbedder, but got targets of shape {tuple(y.shape)} "
                f"and {y.dtype}. Pass data with one class per image, without an augmentation that mixes images; or "
                "pass a loss_fn and override compute_loss."
            )
        if self.loss_fn is None and self._loss_name is not None:
            self.loss_fn = make_loss(self._loss_name, default_owner(self, "loss_fn", self._loss_name))
        return super().compute_loss(y_hat, y)

    def exported_outputs(self, predictions: Any) -> dict[str, Tensor]:
        """Return the vectors, shape ``(batch, embedding_dim)``."""
        return {"vectors": as_float(predictions)}
