"""Random weights with which a network finds something, which those that it begins with do not."""

from __future__ import annotations

import torch
from torch import nn


def spread(model: nn.Module) -> nn.Module:
    """Give a network weights with which scores, and masks and heat maps, differ."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1.4 * parameter[0].numel() ** -0.5)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return model.eval()
