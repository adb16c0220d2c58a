"""Figures: images as the network sees them, with their labels, and with what a task predicts."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from flash import DataModule, Task
from flash.core.outputs import to_probabilities
from flash.core.prediction import predict_batches
from flash.data.auto_dataset import AutoDataset
from flash.data.batch import split_batch
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError

from .preprocess import ImagePreprocess

__all__ = ["ImageFigure", "image_grid", "plot_predictions", "show_batch"]

_RIGHT, _WRONG, _QUIET = "#1a7f37", "#c62828", "#57606a"
_LONGEST_TITLE, _LONGEST_NOTE = 30, 42


class ImageFigure(Figure):
    """A matplotlib figure that notebooks show, without pyplot and what it keeps open."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def image_grid(
    images: Sequence[Tensor],
    titles: Sequence[str],
    colours: Sequence[str] | None = None,
    heading: str = "",
    notes: Sequence[str] | None = None,
) -> ImageFigure:
    """Draw images in a grid, with a title above each.

    Args:
        images: Floats from 0 to 1, each ``(channels, height, width)`` with 1 or 3 channels.
        titles: One an image.
        colours: Of the titles.
        heading: Above all.
        notes: In small letters below each image.

    Returns:
        The figure; ``figure.axes`` are the images, in their order.

    Example:
        >>> figure = image_grid([torch.rand(3, 8, 8)] * 4, ["a", "b", "c", "d"])
        >>> [axes.get_title() for axes in figure.axes]
        ['a', 'b', 'c', 'd']
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    height, width = images[0].shape[-2:]
    cell = 2.2
    tall = cell * min(max(height / width, 0.5), 2.0) + (0.45 if notes else 0.3)
    size = (cell * columns, tall * rows + (0.35 if heading else 0))
    figure = ImageFigure(figsize=size, dpi=120, layout="constrained")
    if heading:
        figure.suptitle(heading, fontsize=9, color=_QUIET)
    for place, (image, title) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, place + 1)
        pixels = image.float().cpu().permute(1, 2, 0).numpy()
        axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
        axes.set_title(_shortened(title, _LONGEST_TITLE), fontsize=9, color=colours[place] if colours else "black")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        if notes:
            axes.set_xlabel(_shortened(notes[place], _LONGEST_NOTE), fontsize=6.5, color=_QUIET, labelpad=2)
    return figure


def show_batch(datamodule: DataModule, stage: Stage, count: int = 9) -> ImageFigure:
    """Draw images of a stage as the network sees them, with their labels.

    Args:
        datamodule: Its preprocess is an :class:`~flash.image.preprocess.ImagePreprocess`.
        stage: Which of its datasets.
        count: How many images at most; the data module's seed decides which.

    Raises:
        DataError: If there is no data for the stage.
        ConfigurationError: If ``count`` is no positive number.
    """
    _check_count(count)
    preprocess, dataset = _preprocess_of(datamodule), _dataset_of(datamodule, stage)
    before_a_task = datamodule.input_spec is None
    if before_a_task:
        dataset = dataset.with_input_spec(preprocess.preview_spec())
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(datamodule.seed))
    rows = sorted(order[:count].tolist()) if stage is Stage.PREDICT else order[:count].tolist()
    hooks = dataset.hooks
    batch = hooks.transform_on_device(hooks.collate([dataset[row] for row in rows]))
    inputs, targets = split_batch(batch, stage)
    images = _visible(inputs, preprocess, hooks.input_spec)
    names = _labels_of(preprocess)
    titles = [""] * len(rows) if targets is None else [_truth(target, names) for target in targets]
    size = f"{images.shape[-1]} × {images.shape[-2]}"  # noqa: RUF001  # the sign that it is
    heading = f"{stage.value}: {size} pixels"
    return image_grid(list(images), titles, heading=heading + (", before a task" if before_a_task else ""))


def plot_predictions(task: Task, datamodule: DataModule, stage: Stage, count: int = 9) -> ImageFigure:
    """Draw predictions beside the truth, those of the highest loss first; without truth, the least certain first.

    Args:
        task: A trained classifier.
        datamodule: Its data.
        stage: Which of its datasets.
        count: How many images at most.

    Raises:
        DataError: If there is no data for the stage.
        ConfigurationError: If the task is no classifier of images, or ``count`` is no positive number.
    """
    _check_count(count)
    task.use_data(datamodule)
    preprocess, dataset = _preprocess_of(datamodule), _dataset_of(datamodule, stage)
    rows, images, scores, targets, badness = _worst(task, datamodule, dataset, count)
    names = getattr(task, "labels", None) or list(range(scores.shape[1]))
    truths: Any = [None] * len(rows) if targets is None else targets
    titles, colours = zip(*map(partial(_caption, task, names), scores, truths), strict=True)
    word = "uncertain {:.0%}" if targets is None else "loss {:.2f}"
    notes = [f"{word.format(bad)}   {_name_of(dataset, row)}" for bad, row in zip(badness, rows, strict=True)]
    order = "least certain first" if targets is None else "highest loss first"
    heading = f"{stage.value}: predictions, {order}"
    drawn = list(_visible(images, preprocess, dataset.hooks.input_spec))
    return image_grid(drawn, titles, colours, heading, notes)


def _caption(task: Task, names: Sequence[Any], scores: Tensor, truth: Tensor | None) -> tuple[str, str]:
    """What is predicted, and what it is where that is something else; with a colour that says which."""
    several = bool(getattr(task, "multi_label", False))
    probabilities = to_probabilities(scores[None], several)[0]
    predicted = probabilities >= float(getattr(task, "threshold", 0.5)) if several else probabilities.argmax()
    title = _truth(predicted, names) + ("" if several else f" {probabilities.max():.0%}")
    if truth is None:
        return title, "black"
    if bool((truth == predicted).all()):
        return title, _RIGHT
    return f"{title}, but {_truth(truth, names)}", _WRONG


def _worst(
    task: Task, datamodule: DataModule, dataset: AutoDataset, count: int
) -> tuple[list[int], Tensor, Tensor, Tensor | None, list[float]]:
    """Rows, images, scores, targets and badness of the worst predictions."""
    sizes: dict[str, Any] = {"batch_size": datamodule.batch_size, "num_workers": datamodule.num_workers}
    worst: list[tuple[float, int, Tensor, Tensor, Tensor | None]] = []
    for batch in predict_batches(task, dataset, **sizes):
        scores, targets = batch.output.float().cpu(), batch.targets
        badness = _badness(task, scores, None if targets is None else targets.cpu())
        for place, value in enumerate(badness.tolist()):
            target = None if targets is None else targets[place].cpu()
            worst.append((value, batch.rows[place], batch.inputs[place].cpu(), scores[place], target))
        worst = sorted(worst, key=lambda each: (-each[0], each[1]))[:count]
    values, rows, kept, kept_scores, kept_targets = zip(*worst, strict=True)
    truth = None if kept_targets[0] is None else torch.stack(kept_targets)
    return list(rows), torch.stack(kept), torch.stack(kept_scores), truth, list(values)


def _badness(task: Task, scores: Tensor, targets: Tensor | None) -> Tensor:
    """The loss of each sample; without truth, how far the network is from being certain."""
    if scores.ndim != 2 or not hasattr(task, "multi_label"):
        raise ConfigurationError(
            f"Expected a classifier, with one score a class, but got {type(task).__name__} with outputs of shape "
            f"{tuple(scores.shape)}."
        )
    several = bool(task.multi_label)
    if targets is None:
        probabilities = to_probabilities(scores, several)
        return 1 - (torch.maximum(probabilities, 1 - probabilities).amin(1) if several else probabilities.amax(1))
    if several:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, targets.to(scores.dtype), reduction="none")
        return loss.mean(1)
    return torch.nn.functional.cross_entropy(scores, targets, reduction="none")


# ---------------------------------------------------------------------- what is drawn


def _visible(images: Tensor, preprocess: ImagePreprocess, input_spec: Any) -> Tensor:
    """Normalised images as floats from 0 to 1."""
    known = preprocess.transform is None and preprocess.train_transform is None
    if known:
        return preprocess.transforms_for(input_spec).denormalise(images.float().cpu())
    # What a user's own transform normalised with is not known: spread each image over the whole range.
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return ((images - low) / (high - low).clamp(min=1e-6)).float().cpu()


def _truth(target: Tensor, names: Sequence[Any]) -> str:
    if target.ndim == 0:
        return str(names[int(target)])
    present = [str(name) for name, there in zip(names, target.tolist(), strict=True) if there]
    return ", ".join(present) or "none"


def _labels_of(preprocess: ImagePreprocess) -> Sequence[Any]:
    return preprocess.labels.labels if preprocess.labels is not None else ()


def _name_of(dataset: AutoDataset, row: int) -> str:
    return str(getattr(dataset.raw(row), "name", row)).replace("\\", "/").rpartition("/")[2]


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _preprocess_of(datamodule: DataModule) -> ImagePreprocess:
    if not isinstance(datamodule.preprocess, ImagePreprocess):
        raise ConfigurationError(
            f"Expected data with an ImagePreprocess, but its preprocess is a {type(datamodule.preprocess).__name__}."
        )
    return datamodule.preprocess


def _dataset_of(datamodule: DataModule, stage: Stage) -> AutoDataset:
    dataset = getattr(datamodule, f"{stage.value}_dataset")
    if not isinstance(dataset, AutoDataset):
        raise DataError(f"Expected {stage.value} data to draw, but this {type(datamodule).__name__} has none.")
    return dataset


def _check_count(count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(f"Expected count to be a whole number of at least 1, but got {count!r}.")
