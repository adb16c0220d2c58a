"""The loss and the metric of masks, beside those of libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from flash.image.segmentation.losses import mask_losses
from flash.image.segmentation.metrics import MeanIoU, class_ious


def case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, 4, (3, 6, 5), generator=generator)
    masks[0, :2] = -100
    return torch.randn(3, 4, 6, 5, generator=generator), masks


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2.0, 0.5, 3.0])])
def test_cross_entropy_over_images_is_that_of_torch_over_all_pixels(weight: Any) -> None:
    scores, masks = case()
    losses, weights = mask_losses(scores, masks, weight, dice_weight=0)
    expected = nn.functional.cross_entropy(scores, masks, weight)
    torch.testing.assert_close((losses * weights).sum() / weights.sum(), expected)


def test_dice_is_that_of_its_definition() -> None:
    scores, masks = case()
    losses, _ = mask_losses(scores, masks, dice_weight=1.0)
    plain, _ = mask_losses(scores, masks, dice_weight=0)
    for image, mask, loss in zip(scores, masks, losses - plain, strict=True):
        counted = mask >= 0
        chances = image.softmax(0)
        found = []
        for number in mask[counted].unique():
            there = (mask == number)[counted].float()
            chance = chances[number][counted]
            found.append(2 * (there * chance).sum() / (there.sum() + chance.sum()))
        torch.testing.assert_close(loss, 1 - torch.stack(found).mean())


def test_an_image_without_pixels_that_count_has_no_weight_and_a_finite_gradient() -> None:
    scores, masks = case()
    masks[1] = -100
    scores.requires_grad_()
    losses, weights = mask_losses(scores, masks)
    assert float(weights[1]) == 0
    assert not losses[1].detach().any()
    (losses * weights).sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert not scores.grad[1].any()
    assert not scores.grad[0, :, :2].any(), "pixels that do not count have no gradient"


def test_iou_of_each_class_has_the_mean_of_the_metric() -> None:
    generator = torch.Generator().manual_seed(1)
    true, predicted = torch.randint(0, 3, (2, 500), generator=generator)
    metric = MeanIoU(4)
    metric.update(predicted[:200], true[:200])
    metric.update(predicted[200:], true[200:])
    matrix = torch.bincount(true * 4 + predicted, minlength=16).reshape(4, 4)
    ious = class_ious(matrix)
    assert ious[3].isnan()
    torch.testing.assert_close(metric.compute(), ious[:3].mean())
    assert metric.higher_is_better
