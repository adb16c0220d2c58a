"""Inference of detectors as a program without branches, which torch.export can trace.

The code of torchvision branches on how many boxes pass a threshold, and on the size of the image. Here the same layers
are called with the same settings, and what branches is written in another way: candidates are padded to a fixed number
before the best of them are taken; boxes of different classes are kept apart by an offset that depends on the size of
the image; the size that an image is resized to is a number that the program computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.ssd import SSD
from torchvision.ops import nms, roi_align
from torchvision.ops.boxes import box_area

from flash.core.prediction import preprocess_of
from flash.data.stage import Stage

from .transformer import TransformerDetector

__all__ = [
    "Detected",
    "Inference",
    "TaskInference",
    "TaskReference",
    "align",
    "pool",
    "resized_size",
    "row_by_row",
    "telling_threshold",
    "threshold_of",
]

# The detections that a file is compared with the task on: at least, and at most so many of an image.
_LEAST_COMPARED, _MOST_COMPARED = 8, 50
# Detections are the same if their edges differ by so many pixels and this share, and their scores by so much.
_SAME_PIXELS, _SAME_SHARE, _SAME_SCORE = 0.1, 1e-5, 1e-3
# Scores that are tied: the share that they differ by.
_TIED = 1e-5
_SHARE_MISSING = 0.2

Size = tuple[Any, Any]
Detections = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Detected:
    """Detections of which a network finds out more, such as their masks.

    Args:
        features: The feature maps of the resized image, by their names.
        resized: Corners in the resized image, shape ``(boxes, 4)``.
        resized_size: Height and width of the resized image, without padding.
        boxes: Corners in the image, shape ``(boxes, 4)``.
        labels: The classes from 1, shape ``(boxes,)``.
        size: Height and width of the image.
    """

    features: Any
    resized: Tensor
    resized_size: Size
    boxes: Tensor
    labels: Tensor
    size: Size


class Inference(nn.Module):
    """Detect the objects in one image.

    Args:
        model: A detector, of which :meth:`knows` is true, that has made a prediction before.
    """

    #: The unit in which a difference of an output is small or large, by the name of the output, in the order of
    #: outputs. A difference of 1e-4 of it is one of rounding: boxes are in pixels, and the outcome of many layers.
    scales: ClassVar[Mapping[str, float]] = {"boxes": 1000.0, "labels": 1.0, "scores": 10.0}
    #: The networks that are known, for messages.
    networks: ClassVar[str] = (
        "a detector of torchvision (FasterRCNN, RetinaNet, FCOS, SSD), or one of transformers with a fixed size of "
        "images (image_size=(height, width))"
    )

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def knows(cls, model: nn.Module) -> bool:
        """Return whether a network is one whose inference is written here."""
        if isinstance(model, TransformerDetector):
            return model.fixed_size is not None
        return cls.has_heads(model, mask=False, keypoint=False) or isinstance(model, RetinaNet | FCOS | SSD)

    @staticmethod
    def has_heads(model: nn.Module, mask: bool, keypoint: bool) -> bool:
        """Return whether a network is one of two stages that finds masks, points, both or neither."""
        heads = model.roi_heads if isinstance(model, FasterRCNN) else None
        return isinstance(heads, RoIHeads) and (heads.has_mask(), heads.has_keypoint()) == (mask, keypoint)

    @staticmethod
    def named(found: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return what the task found in an image, in the order of outputs."""
        return found["boxes"], found["labels"], found["scores"]

    @staticmethod
    def align(expected: Mapping[str, Any], got: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the outputs of two programs in one form; see :func:`align`."""
        return align(expected, got)

    def parts(self, detected: Detected) -> tuple[Tensor, ...]:
        """Return what is found out of the detections besides boxes, labels and scores: by default nothing."""
        return ()

    def forward(self, image: Tensor, threshold: Tensor) -> tuple[Tensor, ...]:
        """Return boxes, labels and scores, best first: shapes ``(boxes, 4)``, ``(boxes,)`` and ``(boxes,)``.

        Args:
            image: Values from 0 to 1, shape ``(3, height, width)``.
            threshold: The score that detections have to exceed, a tensor of one value.

        Returns:
            They, and what :meth:`parts` returns.
        """
        model: Any = self.model
        if isinstance(model, TransformerDetector):
            return model.detect(image, threshold)
        resized, size = _resize(image, model.transform)
        features = model.backbone(resized)
        named = {"0": features} if isinstance(features, Tensor) else features
        find = _two_stages if isinstance(model, FasterRCNN) else _single_shot if isinstance(model, SSD) else _dense
        boxes, labels, scores = find(model, named, resized, size, threshold)
        height, width = (_float(side) for side in image.shape[-2:])
        ratio = torch.stack([width / _float(size[1]), height / _float(size[0])] * 2)
        detected = Detected(named, boxes, size, boxes * ratio, labels, (image.shape[-2], image.shape[-1]))
        return detected.boxes, labels, scores, *self.parts(detected)


# ---------------------------------------------------------------------- images


def _float(value: Any) -> Tensor:
    return torch.scalar_tensor(value, dtype=torch.float32)


def _resize(image: Tensor, transform: Any) -> tuple[Tensor, Size]:
    """Normalize and resize an image, and pad it; return it with its size before padding."""
    image = transform.normalize(image)[None]
    if transform.fixed_size is not None:
        width, height = transform.fixed_size
        resized = functional.interpolate(image, size=[height, width], mode="bilinear", align_corners=False)
        return _padded(resized, (height, width), transform.size_divisible)
    height, width = resized_size(image.shape[-2:], transform)
    for side in (height, width):
        torch._check(side >= 1)
        torch._check(side <= transform.max_size)
    resized = functional.interpolate(image, size=[height, width], mode="bilinear", align_corners=False)
    return _padded(resized, (height, width), transform.size_divisible)


def resized_size(size: Any, transform: Any) -> list[Any]:
    """Return the height and width that torchvision's transform resizes an image to.

    Args:
        size: The height and width of the image.
        transform: Its ``min_size`` and ``max_size`` are the limits.
    """
    sides = torch.stack([torch.scalar_tensor(side, dtype=torch.float64) for side in size])
    # Not by a reciprocal, as of a number divided by a tensor: another rounding is another size.
    limits = torch.tensor([transform.min_size[-1], transform.max_size], dtype=torch.float64)
    scale = (limits / torch.stack([sides.min(), sides.max()])).min()
    new = (sides * scale).floor().to(torch.int64)
    return [new[0].item(), new[1].item()]


def _padded(image: Tensor, size: Size, multiple: int) -> tuple[Tensor, Size]:
    lower, right = (-side % multiple for side in size)
    return functional.pad(image, (0, right, 0, lower)), size


# ---------------------------------------------------------------------- boxes


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the highest scores along the last dimension, their places, and which are there at all."""
    padding = torch.full((*scores.shape[:-1], count), -torch.inf, dtype=scores.dtype)
    best, places = torch.cat([scores, padding], dim=-1).topk(count, dim=-1)
    there = best > -torch.inf
    return best, torch.where(there, places, 0), there


def _clip(boxes: Tensor, size: Size) -> Tensor:
    height, width = (_float(side) for side in size)
    limit = torch.stack([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)


def _large(boxes: Tensor, smallest: float) -> Tensor:
    return ((boxes[:, 2:] - boxes[:, :2]) >= smallest).all(-1)


def _suppress(boxes: Tensor, scores: Tensor, groups: Tensor, size: Size, threshold: float, most: int) -> Tensor:
    """Return the places of the boxes that no better one of their group overlaps, best first."""
    offset = torch.maximum(_float(size[0]), _float(size[1])) + 1
    # torchvision tells torch.export that two boxes or more are kept: these are, behind all others.
    apart = torch.tensor([[-2.0, -2.0, -1.0, -1.0], [-4.0, -4.0, -3.0, -3.0]])
    together = torch.cat([boxes + (groups * offset)[:, None], apart])
    kept: Tensor = nms(together, torch.cat([scores, torch.full((2,), -torch.inf)]), threshold)
    return kept[kept < boxes.shape[0]][:most]


def _anchors(generator: Any, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
    grids = [feature.shape[-2:] for feature in features]
    strides = [[image.shape[-2] // grid[0], image.shape[-1] // grid[1]] for grid in grids]
    anchors: list[Tensor] = generator.grid_anchors(grids, strides)
    return anchors


def _rows(output: Tensor, channels: int) -> Tensor:
    """Return an output of shape ``(1, anchors * channels, height, width)`` as one row per anchor of each place."""
    _, _, height, width = output.shape
    return output.view(-1, channels, height, width).permute(2, 3, 0, 1).reshape(-1, channels)


def row_by_row(function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return what a function returns for one row after the other, stacked: in an exported program a loop.

    It is for results that are small while what they are computed from is large.

    Args:
        function: Takes a row of each tensor, none of them without a dimension: torch.export would take that for a size.
        tensors: They have one row at least.

    Example:
        >>> row_by_row(lambda row: (row.sum(), row * 2), torch.ones(2, 3))
        (tensor([3., 3.]), tensor([[2., 2., 2.],
                [2., 2., 2.]]))
    """
    if not torch.compiler.is_compiling():
        rows = [function(*row) for row in zip(*tensors, strict=True)]
        return tuple(torch.stack(each) for each in zip(*rows, strict=True))
    # Not part of every version of torch that trains and predicts.
    from torch._higher_order_ops.scan import scan

    _, found = scan(lambda carry, row: (carry + 0, function(*row)), torch.zeros(1), tensors)
    stacked: tuple[Tensor, ...] = tuple(found)
    return stacked


# ---------------------------------------------------------------------- families


def _two_stages(model: Any, features: Any, image: Tensor, size: Size, threshold: Tensor) -> Detections:
    heads = model.roi_heads
    proposals = _proposals(model.rpn, list(features.values()), image, size)
    pooled, order = pool(heads.box_roi_pool, features, proposals)
    proposals = proposals[order]
    logits, deltas = heads.box_predictor(heads.box_head(pooled))
    classes = logits.shape[-1]
    decoded = heads.box_coder.decode_single(deltas, proposals).reshape(-1, classes, 4)
    boxes = _clip(decoded[:, 1:].reshape(-1, 4), size)
    scores = functional.softmax(logits, -1)[:, 1:].reshape(-1)
    labels = torch.arange(1, classes).expand(logits.shape[0], -1).reshape(-1)
    chosen = ((scores > threshold) & _large(boxes, 1e-2)).nonzero()[:, 0]
    boxes, labels, scores = boxes[chosen], labels[chosen], scores[chosen]
    kept = _suppress(boxes, scores, labels, size, heads.nms_thresh, heads.detections_per_img)
    return boxes[kept], labels[kept], scores[kept]


def _proposals(rpn: Any, features: list[Tensor], image: Tensor, size: Size) -> Tensor:
    objectness, deltas = rpn.head(features)
    found, scores, levels = [], [], []
    for level, anchors in enumerate(_anchors(rpn.anchor_generator, image, features)):
        best, places, _ = _best(_rows(objectness[level], 1)[:, 0], rpn.pre_nms_top_n())
        found.append(rpn.box_coder.decode_single(_rows(deltas[level], 4)[places], anchors[places]))
        scores.append(best.sigmoid())
        levels.append(torch.full_like(places, level))
    boxes, score, level_of = _clip(torch.cat(found), size), torch.cat(scores), torch.cat(levels)
    # The score of padding is that of minus infinity, 0.
    chosen = (_large(boxes, rpn.min_size) & (score >= rpn.score_thresh) & (score > 0)).nonzero()[:, 0]
    boxes, score, level_of = boxes[chosen], score[chosen], level_of[chosen]
    kept = boxes[_suppress(boxes, score, level_of, size, rpn.nms_thresh, rpn.post_nms_top_n())]
    # There is one at least, so that no layer gets an empty batch; boxes without an area are no detections.
    return functional.pad(kept, (0, 0, 0, 1))


def pool(layer: Any, features: Any, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features of boxes, and the places of the boxes in their order.

    Args:
        layer: A ``MultiScaleRoIAlign`` of torchvision that has been called before.
        features: Feature maps by their names, of one image.
        boxes: Corners in it, shape ``(boxes, 4)``; at least one.
    """
    used = [feature for name, feature in features.items() if name in layer.featmap_names]
    mapper = layer.map_levels
    level_of = torch.floor(mapper.lvl0 + torch.log2(box_area(boxes).sqrt() / mapper.s0) + mapper.eps)
    level_of = level_of.clamp(min=mapper.k_min, max=mapper.k_max) - mapper.k_min
    pooled, order = [], []
    for level, (feature, scale) in enumerate(zip(used, layer.scales, strict=True)):
        places = (level_of == level).nonzero()[:, 0]
        rois = functional.pad(boxes[places], (1, 0))
        pooled.append(roi_align(feature, rois, layer.output_size, scale, layer.sampling_ratio))
        order.append(places)
    found = torch.cat(pooled)
    torch._check(found.shape[0] > 0)
    return found, torch.cat(order)


def _dense(model: Any, features: Any, image: Tensor, size: Size, threshold: Tensor) -> Detections:
    """RetinaNet and FCOS: the best candidates of each level."""
    levels = list(features.values())
    anchors = _anchors(model.anchor_generator, image, levels)
    found, labels, scores = [], [], []
    for feature, anchor in zip(levels, anchors, strict=True):
        outputs = {name: output[0] for name, output in model.head([feature]).items()}
        probabilities = outputs["cls_logits"].sigmoid()
        is_linear = "bbox_ctrness" in outputs
        if is_linear:
            probabilities = (probabilities * outputs["bbox_ctrness"].sigmoid()).sqrt()
        classes = probabilities.shape[-1]
        best, places, _ = _best(probabilities.flatten(), model.topk_candidates)
        rows = places // classes
        decode = model.box_coder.decode if is_linear else model.box_coder.decode_single
        found.append(decode(outputs["bbox_regression"][rows], anchor[rows]))
        labels.append(places % classes)
        scores.append(best)
    boxes, label, score = _clip(torch.cat(found), size), torch.cat(labels), torch.cat(scores)
    return _above(model, boxes, label, score, size, threshold)


def _single_shot(model: Any, features: Any, image: Tensor, size: Size, threshold: Tensor) -> Detections:
    """SSD: the best candidates of each class."""
    levels = list(features.values())
    outputs = model.head(levels)
    (anchors,) = model.anchor_generator(ImageList(image, [size]), levels)
    boxes = _clip(model.box_coder.decode_single(outputs["bbox_regression"][0], anchors), size)
    probabilities = functional.softmax(outputs["cls_logits"][0], -1)[:, 1:].T
    best, places, _ = _best(probabilities, model.topk_candidates)
    labels = torch.arange(1, len(probabilities) + 1)[:, None].expand_as(places)
    return _above(model, boxes[places.reshape(-1)], labels.reshape(-1), best.reshape(-1), size, threshold)


def _above(model: Any, boxes: Tensor, labels: Tensor, scores: Tensor, size: Size, threshold: Tensor) -> Detections:
    chosen = (scores > threshold).nonzero()[:, 0]
    boxes, labels, scores = boxes[chosen], labels[chosen], scores[chosen]
    kept = _suppress(boxes, scores, labels, size, model.nms_thresh, model.detections_per_img)
    return boxes[kept], labels[kept], scores[kept]


# ---------------------------------------------------------------------- tasks


class TaskInference(nn.Module):
    """Network of a file: an image as the preprocess makes it, to the outputs of the inference.

    Args:
        task: An :class:`~flash.image.ObjectDetector` that has made a prediction before.
    """

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.inference = task.inference(task.model)
        self._hooks = preprocess_of(task).stage_hooks(Stage.PREDICT, task.input_spec)

    def forward(self, image: Tensor, score_threshold: Tensor) -> tuple[Tensor, ...]:
        """Return boxes, labels and scores, and what else is found.

        Args:
            image: uint8, shape ``(1, 3, height, width)``.
            score_threshold: The score that detections have to exceed, shape ``(1,)``.
        """
        (pixels,) = self._hooks.transform_on_device({"images": [image[0]]})["images"]
        found: tuple[Tensor, ...] = self.inference(pixels, score_threshold)
        return found


class TaskReference(nn.Module):
    """The task itself, with the inputs and outputs of :class:`TaskInference`.

    Args:
        task: The task.
    """

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task
        self._hooks = preprocess_of(task).stage_hooks(Stage.PREDICT, task.input_spec)

    def forward(self, image: Tensor, score_threshold: Tensor) -> tuple[Tensor, ...]:
        """Return boxes, labels and scores, and what else is found; for arguments see :class:`TaskInference`."""
        part = _thresholded(self.task.model)
        before = part.score_thresh
        part.score_thresh = float(score_threshold)
        try:
            (found,) = self.task(self._hooks.transform_on_device({"images": [image[0]]}))
        finally:
            part.score_thresh = before
        named: tuple[Tensor, ...] = self.task.inference.named(found)
        return named


def threshold_of(model: Any) -> float:
    """Return the score that detections of a model have to exceed."""
    return float(_thresholded(model).score_thresh)


def _thresholded(model: Any) -> Any:
    return getattr(model, "roi_heads", model)


def telling_threshold(reference: TaskReference, images: Sequence[Tensor]) -> float:
    """Return a threshold that some detections exceed in each of some images, with the widest gap between scores.

    A network that is not trained yet has no detections at its own threshold, and two programs agree about none.

    Args:
        reference: The task.
        images: Shape ``(1, 3, height, width)`` each.
    """
    found = []
    for image in images:
        scores = reference(image, torch.zeros(1))[2]
        best = scores.sort(descending=True).values[: _MOST_COMPARED + 1]
        gaps = (best[:-1] - best[1:])[_LEAST_COMPARED - 1 :]
        if len(gaps):
            place = int(gaps.argmax()) + _LEAST_COMPARED - 1
            # Below the scores too if all are the same.
            found.append(min(float((best[place] + best[place + 1]) / 2), 0.999 * float(best[place])))
    return min(found, default=0.0)


def align(expected: Mapping[str, Any], got: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the detections of two programs in one order.

    Rounding decides which of two candidates with nearly the same score is the better one, whether two boxes overlap by
    more than the threshold, and, in two stages, from which region a box comes. Of the detections of the one program, a
    fifth may therefore be missing among those of the other, and any whose score others have too; if more are missing,
    all detections are returned as they are.

    Args:
        expected: ``boxes``, ``labels`` and ``scores`` as arrays, and others with a row per detection.
        got: The same of the other program.
    """
    pairs = _pairs(expected, got)
    missing = max(_count_missing(each, {pair[side] for pair in pairs}) for side, each in enumerate((expected, got)))
    most = max(len(expected["scores"]), len(got["scores"]))
    if missing > _SHARE_MISSING * most:
        return dict(expected), dict(got)
    # The best scores are those of the network, whichever of several boxes they belong to.
    count = min(len(expected["scores"]), len(got["scores"]), _LEAST_COMPARED)
    aligned = []
    for side, each in enumerate((expected, got)):
        rows = [pair[side] for pair in pairs]
        best = -np.sort(-each["scores"])[:count]
        chosen = {name: array[rows] for name, array in each.items()}
        aligned.append({**chosen, "scores": np.concatenate([chosen["scores"], best])})
    return aligned[0], aligned[1]


def _pairs(expected: Mapping[str, Any], got: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the rows of detections that are the same object: of one class, with the same box and score."""
    shift = np.abs(expected["boxes"][:, None] - got["boxes"][None]).max(-1, initial=0)
    same = expected["labels"][:, None] == got["labels"][None]
    same &= shift <= _SAME_PIXELS + _SAME_SHARE * np.abs(expected["boxes"]).max(-1, initial=0)[:, None]
    same &= np.abs(expected["scores"][:, None] - got["scores"][None]) <= _SAME_SCORE
    pairs: list[tuple[int, int]] = []
    free = np.ones(len(got["scores"]), dtype=bool)
    for row, near in enumerate(same):
        candidates = np.flatnonzero(near & free)
        if len(candidates):
            chosen = int(candidates[shift[row, candidates].argmin()])
            free[chosen] = False
            pairs.append((row, chosen))
    return pairs


def _count_missing(detections: Mapping[str, Any], paired: set[int]) -> int:
    """Return how many detections are in no pair, of those whose score no other one has."""
    scores = detections["scores"]
    near = np.abs(scores[:, None] - scores[None]) <= _TIED * scores[:, None]
    alone = near.sum(1) == 1
    return sum(row not in paired for row in np.flatnonzero(alone).tolist())
