"""Candidates for the baseline of images with masks, besides the default network."""

from __future__ import annotations

from flash import DataModule, Task

from .counting import UsualMask
from .segmenter import SemanticSegmentation

__all__ = ["convnext_tiny", "frozen", "scratch", "usual_mask"]


def usual_mask(data: DataModule) -> UsualMask:  # noqa: ARG001  # as the others
    """Return the model that predicts the most frequent class of each pixel."""
    return UsualMask()


def frozen(data: DataModule) -> tuple[Task, str]:
    """Return a segmenter with one linear layer on the frozen, pretrained ResNet-18."""
    return SemanticSegmentation.from_data(data, backbone="flash-image/resnet18", head="linear"), "freeze"


def convnext_tiny(data: DataModule) -> Task:
    """Return a segmenter on ConvNeXt-Tiny (2201.03545), pretrained, which is larger and better than the default."""
    return SemanticSegmentation.from_data(data, backbone="flash-image/convnext_tiny")


def scratch(data: DataModule) -> Task:
    """Return a segmenter on ResNet-18 with random weights, which needs no model hub."""
    return SemanticSegmentation.from_data(data, backbone="flash-image/resnet18", pretrained=False)
