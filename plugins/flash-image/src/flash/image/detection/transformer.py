"""Detectors of transformers, such as RT-DETR, DETR and YOLOS: ``flash-image[transformers]``.

They predict a fixed number of boxes, each matched with at most one object, so that there is no suppression of
overlapping boxes. The loss is that of transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import box_convert

from flash.core.layers import block_layers
from flash.errors import ConfigurationError

__all__ = ["TransformerDetector", "check_kind", "resized_sides"]

# The kinds of networks, as `model_type` in their configurations, with one more score for "no object" ...
_SOFTMAX = ("detr", "table-transformer", "yolos")
# ... and those with independent scores.
_SIGMOID = ("conditional_detr", "d_fine", "dab-detr", "deformable_detr", "rt_detr", "rt_detr_v2")
# Those that resize all images to one shape, whose sides are multiples of this number of pixels.
_SQUARE, _MULTIPLE = ("d_fine", "rt_detr", "rt_detr_v2"), 32
_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
# The parts of the loss of the last layer; those of earlier layers have a number behind their name.
_PARTS = ("loss_bbox", "loss_ce", "loss_giou", "loss_vfl")


class TransformerDetector(nn.Module):
    """A detector of transformers with the interface of torchvision's detectors.

    Args:
        network: A model of transformers for object detection.
        images: ``mean`` and ``std`` per channel, and ``size``: ``[height, width]`` for all images, or
            ``{"shortest_edge": ..., "longest_edge": ...}``; by default those that the kind of network is trained with.

    Raises:
        ConfigurationError: If it is a network of another kind.
    """

    def __init__(self, network: Any, images: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.network = network
        self.kind = str(network.config.model_type)
        check_kind(self.kind)
        images = {**_images_of(self.kind), **(images or {})}
        self.mean, self.std = list(images["mean"]), list(images["std"])
        size = images["size"]
        self.fixed_size: tuple[int, int] | None = None
        self.edges: tuple[int, int] | None = None
        if isinstance(size, Mapping):
            self.edges = (int(size["shortest_edge"]), int(size["longest_edge"]))
        else:
            self.resize_to((int(size[0]), int(size[1])))
        #: The score that detections have to exceed.
        self.score_thresh = 0.0
        # As for torchvision's detectors, a strategy decides what is frozen; transformers freezes layers on its own.
        self.backbone.requires_grad_(True)
        self._takes_mask = "pixel_mask" in inspect.signature(network.forward).parameters

    @property
    def images(self) -> dict[str, Any]:
        """The size that images are resized to, and their mean and standard deviation per channel."""
        assert self.fixed_size or self.edges
        edges = dict(zip(("shortest_edge", "longest_edge"), self.edges or (), strict=False))
        return {"size": list(self.fixed_size) if self.fixed_size else edges, "mean": self.mean, "std": self.std}

    def resize_to(self, image_size: int | tuple[int, int]) -> None:
        """Set the length of the longer side of images, or the height and width of all images.

        Raises:
            ConfigurationError: If the network needs other sides.
        """
        square = self.kind in _SQUARE
        if isinstance(image_size, int) and not square:
            self.fixed_size, self.edges = None, (image_size, image_size)
            return
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if square and (height % _MULTIPLE or width % _MULTIPLE):
            raise ConfigurationError(
                f"Expected multiples of {_MULTIPLE} pixels as image_size of a {type(self.network).__name__}, but got "
                f"{image_size!r}. Write image_size=({_rounded(height)}, {_rounded(width)})."
            )
        self.fixed_size, self.edges = (height, width), None

    # ------------------------------------------------------------------ parts

    @property
    def backbone(self) -> nn.Module:
        """The pretrained part: the network of maps, or the transformer of a model without one."""
        inner: Any = getattr(self.network, "model", self.network)
        found: nn.Module = inner.backbone if hasattr(inner, "backbone") else inner.vit
        return found

    def layers(self) -> list[nn.Module]:
        """Return the stem and the blocks of the backbone, in the order of the forward pass."""
        return block_layers([self.backbone])

    # ------------------------------------------------------------------ forward

    def forward(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]] | None = None) -> Any:
        """Return losses in training mode, and boxes, labels (from 1) and scores per image in eval mode.

        Args:
            images: Values from 0 to 1, shape ``(3, height, width)`` each.
            targets: ``boxes`` in pixels, shape ``(boxes, 4)``, and ``labels`` (from 1) of each image; for losses.

        Returns:
            In training mode a dict whose ``loss`` is the whole loss, and others are parts of it.
        """
        pixels, mask, sides = self._batch(images)
        if not self.training:
            outputs = self.network(pixels, **self._mask(mask))
            return [
                self._detections(logits, boxes, image.shape[-2:], side, pixels)
                for logits, boxes, image, side in zip(outputs.logits, outputs.pred_boxes, images, sides, strict=True)
            ]
        assert targets is not None
        labels = [
            self._target(target, image.shape[-2:], side, pixels)
            for target, image, side in zip(targets, images, sides, strict=True)
        ]
        outputs = self.network(pixels, **self._mask(mask), labels=labels)
        parts = {name: value.detach() for name, value in outputs.loss_dict.items() if name in _PARTS}
        return {"loss": outputs.loss, **parts}

    def detect(self, image: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, labels and scores of one image, best first, in a form that torch.export can trace.

        Args:
            image: Values from 0 to 1, shape ``(3, height, width)``.
            threshold: The score that detections have to exceed, a tensor of one value.
        """
        assert self.fixed_size is not None
        outputs = self.network(self._resized(image, list(self.fixed_size))[None])
        scores, labels, boxes = self._best(outputs.logits[0], outputs.pred_boxes[0])
        boxes = _corners(boxes, image.shape[-2:])
        chosen = (scores > threshold).nonzero()[:, 0]
        return boxes[chosen], labels[chosen], scores[chosen]

    def _batch(self, images: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
        """Resize images, and pad them to one size; return them with the mask of their pixels, and their sizes."""
        resized = [self._resized(image, self._sides(image.shape[-2:])) for image in images]
        sides = [(image.shape[-2], image.shape[-1]) for image in resized]
        height, width = (max(each) for each in zip(*sides, strict=True))
        pixels = resized[0].new_zeros(len(resized), 3, height, width)
        mask = torch.zeros(len(resized), height, width, dtype=torch.long, device=pixels.device)
        for row, (image, (own_height, own_width)) in enumerate(zip(resized, sides, strict=True)):
            pixels[row, :, :own_height, :own_width] = image
            mask[row, :own_height, :own_width] = 1
        return pixels, mask, sides

    def _mask(self, mask: Tensor) -> dict[str, Tensor]:
        return {"pixel_mask": mask} if self._takes_mask else {}

    def _sides(self, size: Sequence[int]) -> list[int]:
        if self.fixed_size is not None:
            return list(self.fixed_size)
        assert self.edges is not None
        return resized_sides(size, *self.edges)

    def _resized(self, image: Tensor, sides: list[int]) -> Tensor:
        resized = functional.interpolate(image[None], size=sides, mode="bilinear", align_corners=False, antialias=True)
        mean, std = (torch.tensor(each, dtype=image.dtype, device=image.device) for each in (self.mean, self.std))
        return (resized[0] - mean[:, None, None]) / std[:, None, None]

    def _canvas(self, size: Sequence[int], side: tuple[int, int], pixels: Tensor) -> tuple[float, float]:
        """Return the height and width, in pixels of the image, of what the boxes of the network are fractions of."""
        if self._takes_mask:
            return float(size[0]), float(size[1])
        # Without a mask, the padding belongs to the image.
        return size[0] * pixels.shape[-2] / side[0], size[1] * pixels.shape[-1] / side[1]

    def _target(
        self, target: Mapping[str, Tensor], size: Sequence[int], side: tuple[int, int], pixels: Tensor
    ) -> dict[str, Tensor]:
        height, width = self._canvas(size, side, pixels)
        scale = target["boxes"].new_tensor([width, height, width, height])
        boxes = box_convert(target["boxes"] / scale, "xyxy", "cxcywh")
        return {"class_labels": target["labels"] - 1, "boxes": boxes.to(pixels.dtype)}

    def _detections(
        self, logits: Tensor, boxes: Tensor, size: Sequence[int], side: tuple[int, int], pixels: Tensor
    ) -> dict[str, Tensor]:
        scores, labels, boxes = self._best(logits, boxes)
        corners = _corners(boxes, self._canvas(size, side, pixels))
        limit = corners.new_tensor([size[1], size[0], size[1], size[0]])
        corners = torch.minimum(corners, limit)
        chosen = scores > self.score_thresh
        return {"boxes": corners[chosen], "labels": labels[chosen], "scores": scores[chosen]}

    def _best(self, logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores, labels from 1 and boxes of one image, best first: as many as there are queries."""
        if self.kind in _SOFTMAX:
            scores, labels = functional.softmax(logits.float(), -1)[:, :-1].max(-1)
            scores, places = scores.topk(scores.shape[0])
            return scores, labels[places] + 1, boxes[places].float()
        queries, classes = logits.shape
        scores, places = logits.float().sigmoid().flatten().topk(queries)
        return scores, places % classes + 1, boxes[places // classes].float()


def check_kind(kind: str) -> None:
    """Raise an error unless networks of a kind can be trained and predicted with here.

    Args:
        kind: The ``model_type`` in a configuration of transformers.

    Raises:
        ConfigurationError: If the kind is none of the known ones.
    """
    if kind not in (*_SOFTMAX, *_SIGMOID):
        raise ConfigurationError(
            f"Expected a detector of transformers of the kind {', '.join(sorted((*_SOFTMAX, *_SIGMOID)))}, but got one "
            f"of the kind {kind!r}. Choose another checkpoint, or pass a module with the interface of torchvision's "
            "detectors."
        )


def resized_sides(size: Sequence[int], shortest: int, longest: int) -> list[int]:
    """Return the height and width of a resized image.

    The shorter side gets the length ``shortest``, unless the longer one then exceeded ``longest``.

    Args:
        size: Height and width of the image.
        shortest: The length of the shorter side.
        longest: The maximum length of the longer side.

    Example:
        >>> resized_sides((480, 640), 800, 1333), resized_sides((100, 500), 800, 1333)
        ([800, 1066], [266, 1333])
    """
    scale = min(shortest / min(size), longest / max(size))
    return [max(1, int(side * scale + 1e-6)) for side in size]


def _corners(boxes: Tensor, canvas: Sequence[Any]) -> Tensor:
    """Convert boxes of center and size, as fractions, to corners in pixels that are not negative."""
    height, width = (torch.scalar_tensor(side, dtype=boxes.dtype, device=boxes.device) for side in canvas)
    corners: Tensor = box_convert(boxes, "cxcywh", "xyxy")
    return corners.clamp(0, 1) * torch.stack([width, height, width, height])


def _images_of(kind: str) -> dict[str, Any]:
    """Return the images that a kind of network is trained with, where a checkpoint does not say so."""
    if kind in _SQUARE:
        return {"size": [640, 640], "mean": [0.0] * 3, "std": [1.0] * 3}
    return {"size": {"shortest_edge": 800, "longest_edge": 1333}, **_IMAGENET}


def _rounded(side: int) -> int:
    return max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)
