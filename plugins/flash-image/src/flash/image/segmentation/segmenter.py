"""SemanticSegmentation: the class of each pixel of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from flash import Preprocess, Registry
from flash.core.classification import ClassificationTask, ClassWeights
from flash.core.export import to_json_labels
from flash.core.losses import LossSpec
from flash.core.metrics import MetricSpec, weight_of_loss
from flash.core.optimizers import LRSchedulerSpec
from flash.core.structured_prediction import Array, CountedTask, StatisticsMetric, counts_metric, mean_over_classes
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError
from flash.plugins import default_owner

from .._former import SEGMENTER_ARGUMENTS
from ..heads import make_head
from ..task import ImageTask
from .counting import predicted_counts, true_counts
from .feature_maps import feature_maps, map_channels
from .heads import segmentation_heads
from .losses import mask_losses
from .outputs import segmentation_outputs
from .preprocess import SemanticSegmentationPreprocess
from .sizing import part_inside, predict_tiles, unpadded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flash import DataModule
    from flash.data.auto_dataset import AutoDataset

__all__ = ["SemanticSegmentation"]

# The outputs of an exported folder.
_EXPORTED = ("labels", "classes", "areas", "probabilities", "logits")


class SemanticSegmentation(CountedTask, ImageTask, ClassificationTask):
    """Segmenter of images: one class per pixel.

    Images are resized to the size of the network, or cut into tiles of it, as the argument ``resize`` of the data says,
    and scores are resized back to the size of the image, so that losses and metrics of validation and test data, and
    predictions, are those of the mask as it was. The loss is cross entropy plus soft
    Dice (:func:`flash.image.segmentation.losses.mask_losses`); the metric is mean intersection over union, ``val_iou``.

    A prediction is a mask: an array of shape ``(height, width)`` with the index of the class of each pixel.

    Args:
        num_classes: The number of classes.
        labels: The names of the classes; by default those of the data that the task is trained on.
        class_weights: The weight of the pixels of each class in cross entropy, or ``"balanced"``.
        class_counts: The number of train pixels per class.
        backbone: A name from ``SemanticSegmentation.available_backbones()``, any network of timm that returns feature
            maps, optionally with the tag of its weights; or a module that takes images and returns a list of maps
            ``(batch, channels, rows, columns)``, highest resolution first.
        pretrained: ``True``, the tag of timm's weights, a path or URL of weights, a folder or repository of
            ``task.save_pretrained``, or ``False`` for random ones.
        head: ``"fpn"``, ``"deeplab"``, ``"linear"``, a module, or a callable ``(channels, num_classes) -> module`` as
            described in :mod:`flash.image.segmentation.heads`.
        dice_weight: The factor of the Dice loss beside cross entropy.
        loss_fn: Another loss, of scores ``(batch, classes, height, width)`` and class indices ``(batch, height,
            width)``, -100 where a pixel does not count.
        metrics: As in :class:`~flash.core.model.Task`; they take class indices of all pixels that count, shape
            ``(pixels,)`` each. By default ``"iou"``.
        backbone_kwargs: Arguments of the backbone.
        data_config: Entries that replace those of the backbone's own data config.
        backbone_lr_factor: The backbone's learning rate as a multiple of the head's: by default 0.1 for a pretrained
            backbone, and 1 for random weights or a module.
        learning_rate: The learning rate of the head; by default 1e-3.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.model.Task`, such as ``optimizer``.

    Raises:
        ConfigurationError: If arguments contradict each other, or the backbone has no feature maps.
        UnknownNameError: If there is no such backbone or head.
        BackboneUnavailableError: If pretrained weights are neither cached nor can be downloaded.
        CheckpointError: If the weights in a file do not fit the backbone.

    Example:
        >>> task = SemanticSegmentation(labels=["sky", "road"], backbone="test_resnet", pretrained=False)
        >>> [mask.shape for mask in task.predict(torch.zeros(2, 3, 40, 50))]
        [(40, 50), (40, 50)]
    """

    former_arguments = SEGMENTER_ARGUMENTS
    outputs: ClassVar[Registry] = segmentation_outputs
    preprocess_cls: ClassVar[type[Preprocess]] = SemanticSegmentationPreprocess
    default_output: str = "labels"
    default_learning_rate: ClassVar[float] = 1e-3

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        class_weights: ClassWeights | None = None,
        class_counts: Sequence[int] | None = None,
        backbone: str | nn.Module = "resnet18",
        pretrained: bool | str | Path = True,
        head: str | nn.Module | Callable[[list[int], int], nn.Module] = "fpn",
        dice_weight: float = 1.0,
        loss_fn: LossSpec | None = None,
        metrics: MetricSpec | None = None,
        backbone_kwargs: Mapping[str, Any] | None = None,
        data_config: Mapping[str, Any] | None = None,
        backbone_lr_factor: float | None = None,
        learning_rate: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        **kwargs: Any,
    ) -> None:
        if isinstance(dice_weight, bool) or not isinstance(dice_weight, int | float) or not dice_weight >= 0:
            raise ConfigurationError(f"Expected dice_weight to be a number of at least 0, but got {dice_weight!r}.")
        if kwargs.get("multi_label"):
            raise ConfigurationError("Expected one class per pixel, but got multi_label=True. Leave it out.")
        super().__init__(
            learning_rate=learning_rate,
            lr_scheduler=lr_scheduler,
            num_classes=num_classes,
            labels=labels,
            class_weights=class_weights,
            class_counts=class_counts,
            loss_fn=loss_fn,
            metrics="flash-image/iou" if metrics is None else metrics,
            **kwargs,
        )
        self.dice_weight = dice_weight
        self._build_backbone(backbone, pretrained, backbone_kwargs, data_config, backbone_lr_factor)
        self.backbone = feature_maps(self.backbone)
        channels = map_channels(self.backbone, self.data_config)
        owner = default_owner(self, "head", head)
        self.head = make_head(head, channels, self.num_classes, owner, segmentation_heads)
        if not isinstance(head, str):
            # A checkpoint holds the weights of a head, but not the code that makes it.
            self.omit_arguments("head")

    # ------------------------------------------------------------------ the network

    def forward(self, x: Any) -> Any:
        """Return the scores of images, shape ``(batch, classes, rows, columns)``, or of tiles a list of those of each.

        Args:
            x: ``{"image": ...}``, normalized images of shape ``(batch, channels, height, width)``, and the other inputs
                of :func:`flash.image.segmentation.sizing.fit`; or these alone, or their cached features.
        """
        if not isinstance(x, Mapping) or "tile" not in x:
            return super().forward(x)
        return predict_tiles(x, super().forward)

    def forward_features(self, x: Any) -> Any:
        """Return the maps of the backbone, highest resolution first.

        Args:
            x: ``{"image": ...}``, normalized images of shape ``(batch, channels, height, width)``; or these alone.

        Returns:
            The maps; for images with padding ``{"maps": maps, "part": ...}``, as for
            :func:`flash.image.segmentation.sizing.unpadded`.
        """
        if not isinstance(x, Mapping):
            return self.backbone(x)
        maps = self.backbone(x["image"])
        if "inside" not in x:
            return maps
        return {"maps": maps, "part": part_inside(x)}

    def forward_head(self, features: Any) -> Tensor:
        """Return scores, shape ``(batch, classes, rows, columns)``, at the resolution of the head."""
        is_padded = isinstance(features, Mapping) and "part" in features
        scores: Tensor = self.head(features["maps"] if is_padded else features)
        return unpadded(scores, features["part"]) if is_padded else scores

    # ------------------------------------------------------------------ training

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the loss, and the classes of all pixels that count, in the size of the masks.

        Args:
            batch: ``(inputs, masks)``; masks of one size are a tensor ``(batch, height, width)``, others a list of
                tensors ``(1, height, width)``.
            batch_idx: The index of the batch.
        """
        inputs, masks = batch
        scores = self(inputs)
        losses, weights, predicted, true = [], [], [], []
        for part, mask in _by_size(scores, masks):
            sized = nn.functional.interpolate(part.float(), mask.shape[-2:], mode="bilinear", align_corners=False)
            loss, weight = self._loss_and_weight(sized, mask)
            losses.append(loss)
            weights.append(weight)
            counted = mask >= 0
            predicted.append(sized.detach().max(1).indices[counted])
            true.append(mask[counted])
        total, weight = torch.stack(losses), torch.stack(weights)
        loss = (total * weight).sum() / weight.sum().clamp(min=torch.finfo(total.dtype).tiny)
        return {"loss": loss, "y_hat": torch.cat(predicted), "y": torch.cat(true), "weight": weight.sum()}

    def _loss_and_weight(self, scores: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of masks of one size, and its weight in a mean."""
        if self.loss_fn is not None:
            weight = weight_of_loss(self.loss_fn, masks)
            loss: Tensor = self.loss_fn(scores, masks)
            return loss, loss.new_tensor(float(len(masks))) if weight is None else weight.to(loss)
        losses, weights = mask_losses(scores, masks, self.class_weights, self.dice_weight)
        total = weights.sum()
        return (losses * weights).sum() / total.clamp(min=torch.finfo(total.dtype).tiny), total

    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:
        """Compute the loss of scores of any resolution, shape ``(batch, classes, rows, columns)``, and masks."""
        pairs = [
            self._loss_and_weight(
                nn.functional.interpolate(part.float(), mask.shape[-2:], mode="bilinear", align_corners=False), mask
            )
            for part, mask in _by_size(y_hat, y)
        ]
        losses, weights = (torch.stack(each) for each in zip(*pairs, strict=True))
        return (losses * weights).sum() / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)

    def sample_losses(self, y_hat: Any, y: Any) -> Tensor | None:
        """Return the loss of each image, shape ``(batch,)``."""
        losses = [
            self.compute_loss(scores[None], mask if mask.ndim == 3 else mask[None])
            for scores, mask in zip(y_hat, y, strict=True)
        ]
        return torch.stack(losses).detach()

    def loss_weight(self, y: Any) -> Tensor | None:
        """Return the weight of the loss of a batch: the sum of the class weights of the pixels that count."""
        masks = torch.cat([each.flatten() for each in y]) if isinstance(y, list) else y.flatten()
        if self.loss_fn is not None:
            return weight_of_loss(self.loss_fn, masks)
        known = masks[masks >= 0]
        return torch.tensor(float(len(known))) if self.class_weights is None else self.class_weights[known].sum()

    # ------------------------------------------------------------------ prediction and export

    def to_probabilities(self, predictions: Tensor) -> Tensor:
        """Convert scores to probabilities of the same shape."""
        return torch.softmax(predictions, dim=1)

    def predict(self, raw: Any, output: Any = None, batch_size: int = 8, **reading: Unpack[ReadOptions]) -> list[Any]:
        """Predict the masks of images; see :meth:`flash.Task.predict`.

        Args:
            raw: A path, a folder, or a list of paths, PIL images, arrays or tensors.
            output: ``"labels"`` (a mask per image, in its size), ``"classes"``, ``"areas"``, ``"probabilities"``,
                ``"logits"``, ``"raw"``, a callable, or ``None`` for ``"labels"``.
            batch_size: Images per batch.
            reading: As for :meth:`flash.Task.predict`.
        """
        return super().predict(raw, output, batch_size, **reading)

    def exported_outputs(self, predictions: Any) -> dict[str, Tensor]:
        """Return the scores, shape ``(batch, classes, rows, columns)``, at the resolution of the head.

        The mask is that of scores in the size of the image: probabilities would be interpolated to others.
        """
        return {"logits": predictions.float()}

    def exported_result(self) -> dict[str, Any]:
        """Return what turns scores into masks."""
        labels = range(self.num_classes) if self.labels is None else self.labels
        known = isinstance(self.output, str) and self.output in _EXPORTED
        return {"kind": "masks", "labels": to_json_labels(labels), "output": self.output if known else "labels"}

    # ------------------------------------------------------------------ comparison

    @classmethod
    def statistics_metrics(cls) -> Sequence[StatisticsMetric]:
        """Return mean IoU and mean F1 (Dice) of the classes that occur, and the share of pixels that are right."""
        return (
            counts_metric("iou", lambda hits, true, guessed: mean_over_classes(hits, true + guessed - hits)),
            counts_metric("accuracy", lambda hits, true, _: hits.sum(1) / true.sum(1).clip(min=1e-12)),
            counts_metric("f1_macro", lambda hits, true, guessed: mean_over_classes(2 * hits, true + guessed)),
        )

    @classmethod
    def true_statistics(cls, dataset: AutoDataset, num_classes: int | None = None) -> Array:
        """Return the number of pixels of each class in each mask, shape ``(images, classes)``."""
        return true_counts(dataset, num_classes or 0)

    def predicted_statistics(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
        """Return how many pixels are predicted as each class, then how many rightly, ``(images, 2 * classes)``."""
        return predicted_counts(self, dataset, batch_size, num_workers)

    @classmethod
    def class_scores(cls, truth: Array, predicted: Array, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return precision, recall, F1 and IoU of each class over all pixels."""
        rows = super().class_scores(truth, predicted, labels)
        return [row | {"iou": None if row["f1"] is None else row["f1"] / (2 - row["f1"])} for row in rows]

    def pictures(self, dataset: AutoDataset, rows: Sequence[int]) -> list[Any]:
        """Return true masks (left) and predicted ones (right) over images, uint8, ``(height, width, 3)`` each."""
        from .plots import pictures

        return pictures(self, dataset, rows)

    # ------------------------------------------------------------------ figures

    def plot_predictions(  # one more argument
        self, data: DataModule, stage: str = "val", count: int = 9, max_images: int | None = 64
    ) -> Figure:
        """Draw true and predicted masks over their images, side by side, lowest IoU first.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"``, ``"train"``; or ``"predict"``, which has no masks.
            count: The number of images to draw.
            max_images: The maximum number of images to predict, from which they are chosen; ``None`` for all.

        Raises:
            DataError: If there is no data for the stage.
        """
        from .plots import draw_predictions

        return draw_predictions(self, data, stage, count, max_images)

    def plot_confusion(self, data: DataModule, stage: str = "val") -> Figure:
        """Draw the confusion matrix of pixels.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"`` or ``"train"``.
        """
        from .plots import draw_confusion

        return draw_confusion(self, data, stage)

    def plot_scores(self, data: DataModule, stage: str = "val") -> Figure:
        """Draw the IoU of each class.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"`` or ``"train"``.
        """
        from .plots import draw_ious

        return draw_ious(self, data, stage)


def _by_size(scores: Tensor, masks: Any) -> list[tuple[Tensor, Tensor]]:
    """Return scores with masks of one size: of a batch at once, of masks of several sizes one by one."""
    if isinstance(masks, Tensor):
        return [(scores, masks)]
    return [(each[None], mask) for each, mask in zip(scores, masks, strict=True)]
