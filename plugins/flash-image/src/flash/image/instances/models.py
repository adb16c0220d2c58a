"""Torchvision's Mask R-CNN for any number of classes, with published weights, weights of a file, or random ones."""

from __future__ import annotations

from functools import partial

from ..detection.models import torchvision_detector

__all__ = ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"]

maskrcnn_resnet50_fpn = partial(torchvision_detector, "maskrcnn_resnet50_fpn")
maskrcnn_resnet50_fpn_v2 = partial(torchvision_detector, "maskrcnn_resnet50_fpn_v2")
