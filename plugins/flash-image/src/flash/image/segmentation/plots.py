"""Figures of images with their true and predicted masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from flash import figures
from flash.core.prediction import predict_batches
from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule
from flash.data.stage import Stage
from flash.errors import DataError

from .counting import mask_confusion
from .masks import IGNORED, MaskTargets, voc_color
from .metrics import class_ious
from .outputs import best_classes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_confusion", "draw_ious", "draw_masks", "draw_predictions", "overlay", "pixel_confusion"]

_Pixels = npt.NDArray[np.uint8]
_ALPHA = 0.55
_GAP = 6
_MOST_PIXELS = 512
_MOST_CLASSES = 16


def overlay(image: _Pixels, mask: _Pixels, palette: Sequence[tuple[int, int, int]]) -> _Pixels:
    """Return an image in gray with the colors of a mask over it; pixels that never count become lighter.

    Args:
        image: uint8, shape ``(height, width, 3)``.
        mask: Class indices, uint8, of any size.
        palette: The color of each class.

    Example:
        >>> overlay(np.zeros((1, 2, 3), np.uint8), np.array([[0, 1]], np.uint8), [(0, 0, 0), (200, 100, 0)]).tolist()
        [[[0, 0, 0], [110, 55, 0]]]
    """
    height, width = image.shape[:2]
    sized: Any = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    colors = np.full((256, 3), 255, np.float32)
    colors[: len(palette)] = palette
    # Colors of the image would change those of the classes.
    gray = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float32)[..., None]
    mixed: _Pixels = np.round((1 - _ALPHA) * gray + _ALPHA * colors[sized]).astype(np.uint8)
    return mixed


def draw_masks(data: DataModule, stage: str, count: int) -> Figure:
    """Draw images of a stage, as the network takes them, with their masks over them.

    Args:
        data: Images with masks.
        stage: ``"train"``, ``"val"``, ``"test"``; or ``"predict"``, which has no masks.
        count: The maximum number of images; they are drawn at random with the data module's ``seed``.

    Raises:
        DataError: If there is no data for the stage.
        ConfigurationError: If ``count`` is not a positive integer.
    """
    if stage == Stage.PREDICT.value:
        return DataModule.show_batch(data, stage, count)
    figures.check_count(count)
    figures.check_matplotlib()
    dataset = data.indexed_dataset(stage)
    if dataset.hooks.input_spec is None:
        dataset = dataset.with_input_spec(dataset.hooks.preprocess.preview_spec())
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(data.seed))[:count].tolist()
    names, palette = _classes_of(data)
    panels, shown = [], set()
    for inputs, mask in (dataset[row] for row in order):
        rows, columns = inputs["inside"].tolist() if "inside" in inputs else inputs["image"].shape[-2:]
        pixels, classes = _as_image(inputs["image"][:, :rows, :columns], mask.shape), mask.numpy()
        panels.append(figures.Panel(overlay(pixels, classes, palette), _largest(classes, names)))
        shown |= {*np.unique(classes).tolist()}
    figure = figures.draw_samples(panels, stage)
    _add_legend(figure, shown, names, palette)
    return figure


def draw_predictions(task: Any, data: DataModule, stage: str, count: int, max_images: int | None) -> Figure:
    """Draw true masks (left) and predicted ones (right) over their images, lowest IoU first.

    Args:
        task: The task to predict with; it is bound to the data.
        data: Images with masks.
        stage: ``"val"``, ``"test"``, ``"train"``; or ``"predict"``, whose images are beside their predictions.
        count: The maximum number of images to draw.
        max_images: The maximum number of images to predict, from which they are chosen; ``None`` for all.

    Raises:
        DataError: If there is no data for the stage.
        ConfigurationError: If ``count`` is not a positive integer.
    """
    figures.check_count(count)
    figures.check_matplotlib()
    task.use_data(data)
    dataset = data.indexed_dataset(stage)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(data.seed))[:max_images].tolist()
    chosen = dataset.subset(order, Stage(stage))
    names, palette = _classes_of(data, task)
    found: list[tuple[float, int, _Pixels, _Pixels | None, _Pixels]] = []
    for batch in predict_batches(task, chosen, batch_size=data.batch_size, num_workers=data.num_workers):
        pictures = dataset.hooks.display_inputs(batch.inputs, len(batch.rows))
        for place, row in enumerate(batch.rows):
            picture: Any = pictures[place]
            truth = None if batch.targets is None else batch.targets[place].reshape(batch.targets[place].shape[-2:])
            size = tuple(batch.inputs["size"][place].tolist()) if truth is None else tuple(truth.shape)
            predicted = best_classes(batch.output[place].float(), (size[0], size[1]))
            iou = float("nan") if truth is None else _image_iou(predicted, truth, task.num_classes)
            picture = _sized(picture, size)
            true = None if truth is None else torch.where(truth < 0, IGNORED, truth).to(torch.uint8).cpu().numpy()
            found.append((iou, order[row], picture, true, predicted.cpu().numpy()))
    worst = sorted(found, key=lambda each: (each[0], each[1]))[:count]
    panels, shown = [], set()
    for iou, row, picture, true, guess in worst:
        left = picture if true is None else overlay(picture, true, palette)
        gap = np.full((len(picture), _GAP, 3), 255, np.uint8)
        both = np.concatenate([left, gap, overlay(picture, guess, palette)], 1)
        title = "" if true is None else f"IoU {iou:.0%}"
        name = str(dataset.id_of(row)).replace("\\", "/").rpartition("/")[2]
        panels.append(figures.Panel(both, title, "", f"row {name}" if name.isdigit() else name))
        shown |= {*np.unique(guess).tolist(), *(() if true is None else np.unique(true).tolist())}
    left_is = "image" if stage == Stage.PREDICT.value else "truth"
    order_is = "" if stage == Stage.PREDICT.value else ", lowest IoU first"
    figure = figures.draw_samples(panels, f"{stage}: {left_is} left, prediction right{order_is}")
    _add_legend(figure, shown, names, palette)
    return figure


def pictures(task: Any, dataset: AutoDataset, rows: Sequence[int]) -> list[_Pixels]:
    """Return true masks (left) and predicted ones (right) over images, uint8, shape ``(height, width, 3)`` each.

    Args:
        task: The task, which is bound to the data.
        dataset: Images with masks.
        rows: Their indices.
    """
    preprocess: Any = dataset.hooks.preprocess
    palette = preprocess.targets.palette
    own = dataset.with_input_spec(task.input_spec)
    chosen = own.subset(list(rows), own.hooks.stage)
    found: dict[int, _Pixels] = {}
    for batch in predict_batches(task, chosen, batch_size=8):
        shown: Any = own.hooks.display_inputs(batch.inputs, len(batch.rows))
        for place, row in enumerate(batch.rows):
            truth = batch.targets[place].reshape(batch.targets[place].shape[-2:])
            predicted = best_classes(batch.output[place].float(), (truth.shape[0], truth.shape[1])).cpu().numpy()
            true = torch.where(truth < 0, IGNORED, truth).to(torch.uint8).cpu().numpy()
            picture = _sized(shown[place], truth.shape)
            gap = np.full((len(picture), _GAP, 3), 255, np.uint8)
            both = [overlay(picture, true, palette), gap, overlay(picture, predicted, palette)]
            found[int(row)] = np.concatenate(both, 1)
    return [found[place] for place in range(len(rows))]


def pixel_confusion(task: Any, data: DataModule, stage: str) -> Tensor:
    """Return how many pixels of each class were predicted as each, in the size of the masks.

    Args:
        task: The task; it is bound to the data.
        data: Images with masks.
        stage: ``"val"``, ``"test"`` or ``"train"``.

    Returns:
        True classes by predicted classes, shape ``(classes, classes)``, of the pixels that count.

    Raises:
        DataError: If there is no data for the stage, or it has no masks.
    """
    task.use_data(data)
    dataset: AutoDataset = data.indexed_dataset(stage)
    if stage == Stage.PREDICT.value:
        raise DataError("Expected data with masks, but the predict data has none. Choose another stage.")
    count = task.num_classes
    total = torch.zeros(count, count, dtype=torch.long)
    for batch in predict_batches(task, dataset, batch_size=data.batch_size, num_workers=data.num_workers):
        for scores, mask in zip(batch.output, batch.targets, strict=True):
            truth = mask.reshape(mask.shape[-2:])
            predicted = best_classes(scores.float(), (truth.shape[0], truth.shape[1])).long()
            total += mask_confusion(truth, predicted, count)
    return total


def draw_confusion(task: Any, data: DataModule, stage: str) -> Figure:
    """Draw the confusion matrix of pixels; arguments and errors are those of :func:`pixel_confusion`."""
    figures.check_matplotlib()
    matrix = pixel_confusion(task, data, stage)
    names, _ = _classes_of(data, task)
    return figures.draw_confusion(matrix.numpy(), names, f"{stage}: {int(matrix.sum()):,} pixels")


def draw_ious(task: Any, data: DataModule, stage: str) -> Figure:
    """Draw the IoU of each class as a bar; arguments and errors are those of :func:`pixel_confusion`."""
    figures.check_matplotlib()
    ious = class_ious(pixel_confusion(task, data, stage))
    names, _ = _classes_of(data, task)
    places = [place for place in range(len(names)) if not torch.isnan(ious[place])]
    values = [float(ious[place]) for place in places]
    heading = f"{stage}: mean IoU {sum(values) / max(1, len(values)):.1%}"
    return figures.draw_importance([names[place] for place in places], values, [0.0] * len(values), "IoU", heading)


def _classes_of(data: DataModule, task: Any = None) -> tuple[list[str], list[tuple[int, int, int]]]:
    targets = getattr(data.preprocess, "targets", None) or getattr(getattr(task, "preprocess", None), "targets", None)
    if isinstance(targets, MaskTargets):
        return [str(label) for label in targets.labels], targets.palette
    count = 0 if task is None else task.num_classes
    labels = getattr(task, "labels", None) or range(count)
    return [str(label) for label in labels], [voc_color(place) for place in range(count)]


def _image_iou(predicted: Tensor, truth: Tensor, count: int) -> float:
    """Return the mean IoU over the classes that an image or its prediction has pixels of."""
    return float(class_ious(mask_confusion(truth, predicted, count)).nanmean())


def _as_image(pixels: Tensor, shape: Sequence[int]) -> _Pixels:
    image = pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return _sized(image, shape)


def _sized(image: _Pixels, shape: Sequence[int]) -> _Pixels:
    """Return an image with the aspect ratio of its mask, at most 512 pixels wide and high."""
    height, width = shape[-2:]
    factor = min(1.0, _MOST_PIXELS / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    picture = Image.fromarray(image)
    return np.asarray(picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR))


def _largest(mask: _Pixels, names: Sequence[str], most: int = 3) -> str:
    counts = np.bincount(mask[mask != IGNORED], minlength=len(names))
    order = [place for place in np.argsort(-counts, kind="stable")[:most] if counts[place]]
    return ", ".join(names[place] for place in order)


def _add_legend(figure: Figure, shown: set[int], names: Sequence[str], palette: Sequence[Sequence[int]]) -> None:
    from matplotlib.patches import Patch

    places = sorted(place for place in shown if place < len(names))[:_MOST_CLASSES]
    handles = [
        Patch(facecolor=f"#{bytes(palette[place]).hex()}", edgecolor="0.6", label=names[place]) for place in places
    ]
    if IGNORED in shown:
        handles.append(Patch(facecolor="white", edgecolor="0.6", label="not counted"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
