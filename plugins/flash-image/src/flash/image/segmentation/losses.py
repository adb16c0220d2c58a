"""The loss of masks: cross entropy of pixels, and soft Dice of classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["dice_losses", "mask_losses"]


def mask_losses(
    logits: Tensor, masks: Tensor, weight: Tensor | None = None, dice_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the loss of each image, and its weight in the mean over images.

    The loss of an image is the cross entropy of its pixels, averaged by the weights of their classes, plus
    :func:`dice_losses`. Its weight is the sum of these weights, so that the weighted mean over images is the cross
    entropy over all pixels, however images are batched. Pixels with a negative class do not count.

    Args:
        logits: Shape ``(batch, classes, height, width)``.
        masks: Class indices, shape ``(batch, height, width)``.
        weight: The weight of each class, shape ``(classes,)``.
        dice_weight: The factor of the Dice loss; 0 leaves it out.

    Returns:
        Losses and weights, shape ``(batch,)`` each.

    Example:
        >>> masks = torch.tensor([[[0, 1]], [[1, -100]]])
        >>> sure = 100.0 * nn.functional.one_hot(masks.clamp(min=0), 2).permute(0, 3, 1, 2)
        >>> losses, weights = mask_losses(sure, masks)
        >>> losses.tolist(), weights.tolist()
        ([0.0, 0.0], [2.0, 1.0])
    """
    counted = masks >= 0
    known = masks.clamp(min=0)
    scores = nn.functional.log_softmax(logits.float(), 1)
    entropy = -scores.gather(1, known[:, None])[:, 0]
    weights = counted.to(entropy.dtype) if weight is None else weight.to(entropy.dtype)[known] * counted
    total = weights.sum((1, 2))
    losses = (entropy * weights).sum((1, 2)) / total.clamp(min=torch.finfo(total.dtype).tiny)
    if dice_weight:
        losses = losses + dice_weight * dice_losses(scores.exp(), known, counted)
    return losses, total


def dice_losses(probabilities: Tensor, masks: Tensor, counted: Tensor) -> Tensor:
    """Return the soft Dice loss of each image (1606.04797): one minus the mean Dice coefficient of its classes.

    The coefficient of a class is twice the probability where it is, over the sum of its probabilities and of its
    pixels. As in segmentation-models-pytorch, the classes are those that the image has pixels of.

    Args:
        probabilities: Shape ``(batch, classes, height, width)``.
        masks: Class indices, shape ``(batch, height, width)``.
        counted: Whether a pixel counts, like ``masks``.

    Returns:
        Shape ``(batch,)``; 0 for an image without a pixel that counts.
    """
    inside = probabilities * counted[:, None]
    flat = masks.flatten(1)
    hits = torch.zeros(inside.shape[:2], dtype=inside.dtype, device=inside.device)
    # The probability of the true class of each pixel, summed by class.
    hits = hits.scatter_add(1, flat, inside.gather(1, masks[:, None]).flatten(1))
    there = torch.zeros_like(hits).scatter_add(1, flat, counted.flatten(1).to(inside.dtype))
    total = inside.sum((2, 3)) + there
    has_pixels = there > 0
    coefficients = torch.where(has_pixels, 2 * hits / total.clamp(min=1e-6), torch.zeros_like(hits))
    classes = has_pixels.sum(1)
    return torch.where(classes > 0, 1 - coefficients.sum(1) / classes.clamp(min=1), torch.zeros_like(hits[:, 0]))
