"""Figures of images with their true and predicted boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torchvision.ops import box_iou

from flash.data.data_module import DataModule
from flash.errors import DataError
from flash.figures import COLORS, check_count, new_figure, style

from .preprocess import DetectionInputSpec, ObjectDetectionPreprocess

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from flash import Task

__all__ = ["draw_batch", "draw_predictions", "mistakes", "pictures"]

_GREEN, _ORANGE = "#2fbf71", "#ff8c1a"
_COLUMNS = 3
_INCHES = 3.2
# The height of a caption, as a fraction of the image's height.
_CAPTION = 0.06
# The width and height of an image in a picture, in pixels, and what is between two.
_FEWEST_PIXELS, _MOST_PIXELS, _GAP = 240, 512, 8
_DPI = 100
Boxes = Sequence[Sequence[float]] | Tensor


def draw_batch(data: DataModule, stage: str, count: int) -> Figure:
    """Draw images of a stage with their boxes.

    Args:
        data: Images with boxes.
        stage: ``"train"``, ``"val"`` or ``"test"``.
        count: The maximum number of images; they are drawn at random with the data module's ``seed``.

    Raises:
        DataError: If there are none with boxes in the stage.
        ConfigurationError: If ``count`` is not a positive integer.
    """
    check_count(count)
    samples = _some_samples(data, stage, count)
    figure, axes = _grid(len(samples), stage)
    with style():
        for axis, (image, target) in zip(axes, samples, strict=True):
            _draw_image(axis, image)
            _draw_parts(axis, data, target, _GREEN)
            _draw_boxes(axis, target["boxes"], _named(target["labels"], _names_of(data)), _GREEN)
    return figure


def draw_predictions(task: Task, data: DataModule, stage: str, count: int, max_images: int | None) -> Figure:
    """Draw predicted boxes (solid) and true boxes (dashed), the images with most mistakes first.

    Args:
        task: The detector to predict with.
        data: Images with boxes.
        stage: ``"val"``, ``"train"`` or ``"test"``.
        count: The maximum number of images to draw.
        max_images: The maximum number of images to predict, from which they are chosen; ``None`` for all.

    Raises:
        DataError: If there are none with boxes in the stage.
        ConfigurationError: If ``count`` is not a positive integer.
    """
    check_count(count)
    task.use_data(data)
    samples, names = _some_samples(data, stage, max_images), _names_of(data)
    found = task.predict([image for image, _ in samples], output=task.default_output)
    scored = [
        (mistakes(each, target["boxes"], _named(target["labels"], names)), image, target, each)
        for (image, target), each in zip(samples, found, strict=True)
    ]
    worst = sorted(scored, key=lambda each: -sum(each[0]))[:count]
    figure, axes = _grid(len(worst), f"{stage}: predictions, most mistakes first")
    with style():
        for axis, ((missed, false), image, target, each) in zip(axes, worst, strict=True):
            _draw_image(axis, image)
            _draw_boxes(axis, target["boxes"], _named(target["labels"], names), _GREEN, dashed=True)
            _draw_parts(axis, data, target, _GREEN, dashed=True)
            _draw_parts(axis, data, each, _ORANGE)
            captions = [f"{label} {score:.2f}" for label, score in zip(each["labels"], each["scores"], strict=True)]
            _draw_boxes(axis, each["boxes"], captions, _ORANGE, below=True)
            axis.set_title(f"{missed} missed, {false} false", color=COLORS["wrong" if missed + false else "right"])
        handles = [
            Rectangle((0, 0), 1, 1, fill=False, edgecolor=_GREEN, linestyle="--", label="true"),
            Rectangle((0, 0), 1, 1, fill=False, edgecolor=_ORANGE, label="predicted"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def pictures(task: Any, preprocess: Any, samples: Sequence[tuple[Tensor, Mapping[str, Tensor]]]) -> list[Any]:
    """Return true objects (left) and predicted ones (right) over images, uint8, shape ``(height, width, 3)`` each.

    Args:
        task: The detector, which is bound to the data.
        preprocess: That of the data, which draws further parts of objects.
        samples: Images, uint8 of shape ``(3, height, width)``, with their objects.
    """
    found = task.predict([image for image, _ in samples], output=task.default_output)
    return [_pair(task, preprocess, *sample, each) for sample, each in zip(samples, found, strict=True)]


def _pair(task: Any, preprocess: Any, image: Tensor, target: Mapping[str, Tensor], found: Mapping[str, Any]) -> Any:
    """Return the picture of an image with its true objects beside that with the predicted ones."""
    height, width = image.shape[1:]
    longest = max(height, width)
    scale = min(max(longest, _FEWEST_PIXELS), _MOST_PIXELS) / longest
    rows, columns = (max(1, round(side * scale)) for side in (height, width))
    figure = Figure(figsize=((2 * columns + _GAP) / _DPI, rows / _DPI), dpi=_DPI)
    canvas: Any = FigureCanvasAgg(figure)
    share = columns / (2 * columns + _GAP)
    captions = [f"{label} {score:.2f}" for label, score in zip(found["labels"], found["scores"], strict=True)]
    sides = (
        (0.0, target, _named(target["labels"], task.labels), _GREEN),
        (1 - share, found, captions, _ORANGE),
    )
    with style():
        for left, objects, texts, color in sides:
            axis = figure.add_axes((left, 0.0, share, 1.0))
            axis.imshow(image.permute(1, 2, 0).cpu().numpy(), aspect="auto")
            axis.set_axis_off()
            axis.set_autoscale_on(False)
            if isinstance(preprocess, ObjectDetectionPreprocess):
                preprocess.draw_parts(axis, objects, color)
            _draw_boxes(axis, objects["boxes"], texts, color)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _some_samples(data: DataModule, stage: str, count: int | None) -> list[tuple[Tensor, Mapping[str, Tensor]]]:
    """Return images, shape ``(3, height, width)``, 0 to 255, with their targets, drawn at random."""
    samples = getattr(data, f"{stage}_dataset") if stage in ("train", "val", "test") else None
    if samples is None:
        raise DataError(f"Expected {stage} data with boxes to draw, but there is none. Choose another stage.")
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(data.seed))
    return [samples[row] for row in order[:count].tolist()]


def _names_of(data: DataModule) -> list[Any] | None:
    """Return the names of the classes: the data's own, or those of the connected task."""
    own = data.preprocess.labels if isinstance(data.preprocess, ObjectDetectionPreprocess) else None
    spec = data.input_spec
    of_task = list(spec.labels) if isinstance(spec, DetectionInputSpec) and spec.labels else None
    return of_task if own is None else own


def _draw_parts(axis: Axes, data: DataModule, objects: Mapping[str, Any], color: str, dashed: bool = False) -> None:
    if isinstance(data.preprocess, ObjectDetectionPreprocess):
        data.preprocess.draw_parts(axis, objects, color, dashed)


def mistakes(found: Mapping[str, Sequence[Any]], boxes: Tensor, names: Sequence[Any]) -> tuple[int, int]:
    """Return the numbers of missed boxes (false negatives) and of false boxes (false positives).

    A predicted box matches a true box of its class if their IoU is at least 0.5; each true box is matched once.

    Args:
        found: Predicted ``boxes`` and ``labels``, by descending score.
        boxes: The true boxes, shape ``(boxes, 4)``.
        names: The classes of the true boxes.

    Example:
        >>> true = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
        >>> mistakes({"boxes": [[0, 0, 10, 9], [0, 0, 10, 10]], "labels": ["cat", "cat"]}, true, ["cat", "cat"])
        (1, 1)
    """
    overlap = box_iou(torch.as_tensor(found["boxes"], dtype=boxes.dtype).reshape(-1, 4), boxes)
    unmatched = set(range(len(boxes)))
    for row, label in enumerate(found["labels"]):
        fitting = [column for column in unmatched if names[column] == label and overlap[row, column] >= 0.5]
        if fitting:
            unmatched.remove(max(fitting, key=lambda column: float(overlap[row, column])))
    hits = len(boxes) - len(unmatched)
    return len(unmatched), len(found["labels"]) - hits


def _grid(count: int, heading: str) -> tuple[Figure, list[Axes]]:
    columns = max(1, min(_COLUMNS, count))
    rows = max(1, math.ceil(count / columns))
    figure = new_figure(_INCHES * columns, _INCHES * rows, heading)
    with style():
        return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(count)]


def _draw_image(axis: Axes, image: Tensor) -> None:
    axis.imshow(image.permute(1, 2, 0).cpu().numpy())
    axis.set_axis_off()


def _draw_boxes(
    axis: Axes, boxes: Boxes, captions: Sequence[Any], color: str, dashed: bool = False, below: bool = False
) -> None:
    rows = boxes.tolist() if isinstance(boxes, Tensor) else boxes
    for (left, top, right, bottom), caption in zip(rows, captions, strict=True):
        style = "--" if dashed else "-"
        size = (right - left, bottom - top)
        # Matplotlib draws pixel 0 from -0.5 to 0.5.
        corner = (left - 0.5, top - 0.5)
        axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor=color, linewidth=1.6, linestyle=style))
        # Above or below the box; inside it if the image ends there.
        low, high = sorted(axis.get_ylim())
        room = _CAPTION * (high - low)
        outside = high - bottom > room if below else top - low > room
        axis.text(
            corner[0],
            bottom - 0.5 if below else corner[1],
            str(caption),
            verticalalignment="top" if below == outside else "bottom",
            fontsize=7,
            color="black",
            bbox={"facecolor": color, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
            clip_on=True,
        )


def _named(classes: Tensor, names: Sequence[Any] | None) -> list[Any]:
    numbers = (classes - 1).tolist()
    return numbers if names is None else [names[number] for number in numbers]
