"""ClassificationTask: the base class of classifiers of all domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MultilabelAccuracy

from flash.core._metric_factories import f1
from flash.core.export import to_json_labels
from flash.core.losses import LossSpec
from flash.core.metrics import MetricSpec, named_metrics
from flash.core.model import Task
from flash.core.outputs import classification_outputs, components_of, to_probabilities
from flash.core.registry import Registry, qualified_choice
from flash.data.messages import show_some
from flash.errors import ConfigurationError
from flash.former import former_names

__all__ = ["ClassWeights", "ClassificationTask"]

#: The weight of each class in the loss: one number per class, a mapping from labels to numbers, or ``"balanced"`` for
#: weights inverse to frequencies.
ClassWeights: TypeAlias = Sequence[float] | Tensor | Mapping[Any, float] | Literal["balanced"]

# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__ = former_names(__name__)


class ClassificationTask(Task):
    """Multi-class classification, or with ``multi_label`` multi-label classification.

    The network returns one score (logit) per class, shape ``(batch, num_classes)``. Targets are class indices, shape
    ``(batch,)``, or with ``multi_label`` zeros and ones, shape ``(batch, num_classes)``. The loss is cross entropy
    (binary cross entropy with ``multi_label``); the metric is accuracy, with ``multi_label`` also F1, the mean over
    classes, since most labels of a sample are absent, and predicting none is accurate.

    Args:
        num_classes: Number of classes; by default the number of ``labels``.
        labels: The names of the classes, in the order of their indices: strings, or numbers as in the data.
        multi_label: Whether a sample can have several classes.
        class_weights: The weight of each class in the loss: one number per class, in the order of ``labels``; a
            mapping from labels to numbers; or ``"balanced"`` with ``class_counts`` for weights inverse to the class
            frequencies.
        class_counts: Number of train samples per class.
        threshold: The probability above which a class is predicted, with ``multi_label``.
        kwargs: The arguments of :class:`~flash.core.model.Task`.

    Raises:
        ConfigurationError: If the number of classes is missing or less than 2, or does not match the labels or
            weights.

    Example:
        >>> task = ClassificationTask(labels=["ants", "bees"], model=nn.Linear(3, 2))
        >>> set(task.predict(torch.randn(4, 3))) <= {"ants", "bees"}
        True
    """

    outputs: ClassVar[Registry] = classification_outputs
    default_output: str = "labels"

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        multi_label: bool = False,
        class_weights: ClassWeights | None = None,
        class_counts: Sequence[int] | None = None,
        threshold: float = 0.5,
        *,
        loss_fn: LossSpec | None = None,
        metrics: MetricSpec | None = None,
        **kwargs: Any,
    ) -> None:
        count = _count_classes(num_classes, labels, multi_label)
        weights = _weights(class_weights, class_counts, count, labels)
        if metrics is None:
            metrics = {"accuracy": _accuracy(count, multi_label, threshold)}
            if multi_label:
                metrics["f1"] = f1(count, "multilabel", threshold)
        known = {"num_classes": count, "task": "multilabel" if multi_label else "multiclass", "threshold": threshold}
        registry = components_of(type(self), self.metric_registry)
        metrics = qualified_choice(registry, self, "metrics", metrics)
        metrics = named_metrics(metrics, {**known, "labels": labels}, registry)
        super().__init__(loss_fn=loss_fn, metrics=metrics, **kwargs)
        self.num_classes = count
        self.labels = None if labels is None else list(labels)
        self.multi_label = multi_label
        self.threshold = threshold
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", weights, persistent=False)

    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:
        """Compute cross entropy, or with ``multi_label`` binary cross entropy; or the ``loss_fn`` that was passed.

        Args:
            y_hat: The scores, shape ``(batch, num_classes)``.
            y: Class indices, shape ``(batch,)``, or the probability of each class (soft targets), shape
                ``(batch, num_classes)``; with ``multi_label`` zeros and ones of that shape.
        """
        if self.loss_fn is not None:
            return super().compute_loss(y_hat, y)
        if self.multi_label:
            return nn.functional.binary_cross_entropy_with_logits(y_hat, y.to(y_hat.dtype), weight=self.class_weights)
        if self.class_weights is not None and _are_soft(y):
            # Torch divides by the number of samples here; of sure classes this is the mean that it computes of indices.
            weights: Tensor = y * self.class_weights
            return -(weights * nn.functional.log_softmax(y_hat, 1)).sum() / weights.sum()
        return nn.functional.cross_entropy(y_hat, y, weight=self.class_weights)

    def sample_losses(self, y_hat: Any, y: Any) -> Tensor | None:
        """Return the loss of each sample of a batch, shape ``(batch,)``."""
        if self.loss_fn is not None or type(self).compute_loss is not ClassificationTask.compute_loss:
            return super().sample_losses(y_hat, y)
        if self.multi_label:
            losses = nn.functional.binary_cross_entropy_with_logits(
                y_hat, y.to(y_hat.dtype), weight=self.class_weights, reduction="none"
            )
            return losses.mean(1)
        # The mean over a single sample, weighted by its class, is the loss without the weight.
        return nn.functional.cross_entropy(y_hat, y, reduction="none")

    def loss_weight(self, y: Any) -> Tensor | None:
        """Return the sum of the class weights of the targets, which cross entropy averages by."""
        if self.loss_fn is None and self.class_weights is not None and not self.multi_label:
            weights: Tensor = y @ self.class_weights if _are_soft(y) else self.class_weights[y]
            return weights.sum()
        return super().loss_weight(y)

    def to_probabilities(self, predictions: Tensor) -> Tensor:
        """Convert scores to probabilities of the same shape."""
        return to_probabilities(predictions, self.multi_label)

    def exported_outputs(self, predictions: Any) -> dict[str, Tensor]:
        """Return the probabilities, shape ``(batch, num_classes)``."""
        return {"probabilities": self.to_probabilities(predictions.float())}

    def exported_result(self) -> dict[str, Any]:
        """Return the classes in the order of their indices, and what chooses among them."""
        labels = None if self.labels is None else to_json_labels(self.labels)
        return {"kind": "classes", "labels": labels, "multi_label": self.multi_label, "threshold": self.threshold}

    def for_metrics(self, y_hat: Any, y: Any) -> tuple[Any, Any]:
        """Return scores and class indices; with ``multi_label`` probabilities and integer targets.

        Of soft targets in training, as of images that are mixed, it is nothing: of two classes at once none is right.
        """
        if self.multi_label:
            return torch.sigmoid(y_hat), y.long()
        if self.training and isinstance(y, Tensor) and _are_soft(y):
            return None, None
        return y_hat, y


def _are_soft(y: Tensor) -> bool:
    """Return whether targets are probabilities of the classes rather than class indices."""
    return y.ndim == 2 and y.is_floating_point()


def _count_classes(num_classes: int | None, labels: Sequence[Any] | None, multi_label: bool) -> int:
    count = len(labels) if num_classes is None and labels is not None else num_classes
    minimum = 1 if multi_label else 2
    if isinstance(count, bool) or not isinstance(count, int) or count < minimum:
        raise ConfigurationError(
            f"Expected num_classes of at least {minimum}, or labels, but got num_classes={num_classes!r} and "
            f"labels={labels!r}. Make the task with from_data(datamodule), which knows them."
        )
    if labels is not None and len(labels) != count:
        raise ConfigurationError(f"Expected one label per class, but got {len(labels)} labels for {count} classes.")
    return count


def _accuracy(num_classes: int, multi_label: bool, threshold: float) -> Any:
    if multi_label:
        return MultilabelAccuracy(num_labels=num_classes, threshold=threshold, average="micro")
    return MulticlassAccuracy(num_classes=num_classes, average="micro", validate_args=False)


def _weights(
    weights: Any, counts: Sequence[int] | None, num_classes: int, labels: Sequence[Any] | None
) -> Tensor | None:
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        if labels is None or set(weights) != set(labels):
            raise ConfigurationError(
                f"Expected class_weights with one number for each label ({show_some(labels or ())}), but got those of "
                f"{show_some(weights)}."
            )
        weights = [weights[label] for label in labels]
    if isinstance(weights, str):
        if weights != "balanced" or counts is None:
            raise ConfigurationError(
                f"Expected class_weights to be one number per class, or 'balanced' together with class_counts, "
                f"but got {weights!r}."
            )
        frequency = torch.tensor(counts, dtype=torch.get_default_dtype()).clamp(min=1)
        return frequency.sum() / (len(frequency) * frequency)
    try:
        tensor = torch.as_tensor(weights, dtype=torch.get_default_dtype())
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"Expected class_weights to be a list of one number per class, in the labels' order, but got {weights!r}."
        ) from error
    if tensor.shape != (num_classes,):
        raise ConfigurationError(
            f"Expected {num_classes} class weights, one per class, but got shape {tuple(tensor.shape)}."
        )
    return tensor
