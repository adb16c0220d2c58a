"""Figures of transformed images with their targets and predictions."""

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
from flash.core.regression import RegressionTask
from flash.data.auto_dataset import AutoDataset
from flash.data.batch import split_batch
from flash.data.labels import ClassLabels
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError

from .preprocess import ImagePreprocess

__all__ = ["ImageFigure", "image_grid", "plot_predictions", "show_batch"]

_GREEN, _RED, _GRAY = "#1a7f37", "#c62828", "#57606a"
_MAX_TITLE_LENGTH, _MAX_NOTE_LENGTH = 30, 42


class ImageFigure(Figure):
    """A matplotlib figure that notebooks display, without the global state of pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def image_grid(
    images: Sequence[Tensor],
    titles: Sequence[str],
    colors: Sequence[str] | None = None,
    heading: str = "",
    notes: Sequence[str] | None = None,
) -> ImageFigure:
    """Draw images in a grid, with a title above each.

    Args:
        images: Floats from 0 to 1, each ``(channels, height, width)`` with 1 or 3 channels.
        titles: One title per image.
        colors: One title color per image; black by default.
        heading: The title of the figure.
        notes: One note per image, in small letters below it.

    Returns:
        The figure; ``figure.axes`` has one entry per image, in order.

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
        figure.suptitle(heading, fontsize=9, color=_GRAY)
    for place, (image, title) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, place + 1)
        pixels = image.float().cpu().permute(1, 2, 0).numpy()
        axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
        axes.set_title(_shortened(title, _MAX_TITLE_LENGTH), fontsize=9, color=colors[place] if colors else "black")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        if notes:
            axes.set_xlabel(_shortened(notes[place], _MAX_NOTE_LENGTH), fontsize=6.5, color=_GRAY, labelpad=2)
    return figure


def show_batch(datamodule: DataModule, stage: Stage, count: int = 9) -> ImageFigure:
    """Draw images of a stage after all transforms, with their targets.

    Args:
        datamodule: A data module with an :class:`~flash.image.preprocess.ImagePreprocess`.
        stage: The stage.
        count: The maximum number of images; they are drawn at random with the data module's ``seed``.

    Raises:
        DataError: If there is no data for the stage.
        ConfigurationError: If ``count`` is not a positive integer.
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
    title = partial(_truth, names=_labels_of(preprocess)) if preprocess.targets_cls is ClassLabels else _numbers
    titles = [""] * len(rows) if targets is None else [title(target) for target in targets]
    size = f"{images.shape[-1]} × {images.shape[-2]}"  # noqa: RUF001  # a multiplication sign
    heading = f"{stage.value}: {size} pixels"
    return image_grid(list(images), titles, heading=heading + (", before a task" if before_a_task else ""))


def plot_predictions(task: Task, datamodule: DataModule, stage: Stage, count: int = 9) -> ImageFigure:
    """Draw predictions beside the targets by descending loss; without targets, a classifier's by ascending certainty.

    Args:
        task: A trained classifier or regressor; the loss of a regressor is the squared error of standardized numbers.
        datamodule: The data to predict.
        stage: The stage.
        count: The maximum number of images.

    Raises:
        DataError: If there is no data for the stage.
        ConfigurationError: If the task is no classifier or regressor of images, or ``count`` is not a positive integer.
    """
    _check_count(count)
    task.use_data(datamodule)
    preprocess, dataset = _preprocess_of(datamodule), _dataset_of(datamodule, stage)
    rows, images, scores, targets, losses = _worst(task, datamodule, dataset, count)
    truths: Any = [None] * len(rows) if targets is None else targets
    titles, colors = zip(*map(partial(_caption, task), scores, truths), strict=True)
    word, order = ("loss {:.2f}   ", ", highest loss first")
    if targets is None:
        word, order = ("", "") if isinstance(task, RegressionTask) else ("uncertain {:.0%}   ", ", least certain first")
    notes = [f"{word.format(loss)}{_name_of(dataset, row)}" for loss, row in zip(losses, rows, strict=True)]
    heading = f"{stage.value}: predictions{order}"
    drawn = list(_visible(images, preprocess, dataset.hooks.input_spec))
    return image_grid(drawn, titles, colors, heading, notes)


def _caption(task: Task, scores: Tensor, truth: Tensor | None) -> tuple[str, str]:
    """Return the title (prediction, plus the true label if wrong, or the true number) and its color."""
    if isinstance(task, RegressionTask):
        return _numbers(scores) + ("" if truth is None else f", truth {_numbers(truth)}"), "black"
    names = getattr(task, "labels", None) or list(range(scores.shape[0]))
    several = bool(getattr(task, "multi_label", False))
    probabilities = to_probabilities(scores[None], several)[0]
    predicted = probabilities >= float(getattr(task, "threshold", 0.5)) if several else probabilities.argmax()
    title = _truth(predicted, names) + ("" if several else f" {probabilities.max():.0%}")
    if truth is None:
        return title, "black"
    if bool((truth == predicted).all()):
        return title, _GREEN
    return f"{title}, but {_truth(truth, names)}", _RED


def _worst(
    task: Task, datamodule: DataModule, dataset: AutoDataset, count: int
) -> tuple[list[int], Tensor, Tensor, Tensor | None, list[float]]:
    """Return rows, images, scores, targets and losses of the predictions with the highest loss."""
    sizes: dict[str, Any] = {"batch_size": datamodule.batch_size, "num_workers": datamodule.num_workers}
    worst: list[tuple[float, int, Tensor, Tensor, Tensor | None]] = []
    for batch in predict_batches(task, dataset, **sizes):
        scores, targets = batch.output.float().cpu(), batch.targets
        losses = _sample_losses(task, scores, None if targets is None else targets.cpu())
        for place, value in enumerate(losses.tolist()):
            target = None if targets is None else targets[place].cpu()
            worst.append((value, batch.rows[place], batch.inputs[place].cpu(), scores[place], target))
        worst = sorted(worst, key=lambda each: (-each[0], each[1]))[:count]
    values, rows, kept, kept_scores, kept_targets = zip(*worst, strict=True)
    truth = None if kept_targets[0] is None else torch.stack(kept_targets)
    return list(rows), torch.stack(kept), torch.stack(kept_scores), truth, list(values)


def _sample_losses(task: Task, scores: Tensor, targets: Tensor | None) -> Tensor:
    """Return the loss per sample, shape ``(batch,)``; without targets, the uncertainty of the prediction instead."""
    if isinstance(task, RegressionTask):
        if targets is None:
            return torch.zeros(len(scores))
        errors = (scores - targets.reshape(scores.shape)) / task.target_std.cpu()
        return errors.square().mean(1)
    if scores.ndim != 2 or not hasattr(task, "multi_label"):
        raise ConfigurationError(
            f"Expected a classifier, with one score per class, or a regressor, but got {type(task).__name__} with "
            f"outputs of shape {tuple(scores.shape)}."
        )
    several = bool(task.multi_label)
    if targets is None:
        probabilities = to_probabilities(scores, several)
        return 1 - (torch.maximum(probabilities, 1 - probabilities).amin(1) if several else probabilities.amax(1))
    if several:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, targets.to(scores.dtype), reduction="none")
        return loss.mean(1)
    return torch.nn.functional.cross_entropy(scores, targets, reduction="none")


# ---------------------------------------------------------------------- images and titles


def _visible(images: Tensor, preprocess: ImagePreprocess, input_spec: Any) -> Tensor:
    """Return normalized images as floats from 0 to 1."""
    known = preprocess.transform is None and preprocess.train_transform is None
    if known:
        return preprocess.transforms_for(input_spec).denormalize(images.float().cpu())
    # The constants of a user's own transform are unknown: scale each image to the whole range.
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return ((images - low) / (high - low).clamp(min=1e-6)).float().cpu()


def _truth(target: Tensor, names: Sequence[Any]) -> str:
    if target.ndim == 0:
        return str(names[int(target)])
    present = [str(name) for name, there in zip(names, target.tolist(), strict=True) if there]
    return ", ".join(present) or "none"


def _numbers(target: Tensor) -> str:
    return ", ".join(f"{number:.4g}" for number in target.reshape(-1).tolist())


def _labels_of(preprocess: ImagePreprocess) -> Sequence[Any]:
    return preprocess.targets.labels if isinstance(preprocess.targets, ClassLabels) else ()


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
