"""Draw samples of a data module with their targets, as the network takes them where a person can see that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flash import figures
from flash.data.auto_dataset import AutoDataset
from flash.data.batch import split_batch
from flash.data.display import Display, summarize
from flash.data.stage import Stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_batch", "show_target"]


def draw_batch(dataset: AutoDataset, count: int, seed: int, labels: Sequence[Any] | None = None) -> Figure:
    """Draw some samples of a dataset with their targets.

    Args:
        dataset: The samples.
        count: The maximum number of samples; they are drawn at random, and those to predict are in their order.
        seed: Seed of the choice.
        labels: The names of the classes.
    """
    figures.check_count(count)
    figures.check_matplotlib()
    is_preview = dataset.hooks.input_spec is None
    if is_preview and (spec := dataset.hooks.preprocess.preview_spec()) is not None:
        dataset = dataset.with_input_spec(spec)
    stage = dataset.hooks.stage
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:count].tolist()
    rows = sorted(order) if stage is Stage.PREDICT else order
    contents, targets = _batch_of(dataset, rows)
    titles = ["" if target is None else show_target(target, labels) for target in targets]
    panels = [figures.Panel(*pair) for pair in zip(contents, titles, strict=True)]
    return figures.draw_samples(panels, _heading(stage, contents, dataset.hooks.displays_inputs, is_preview))


def _batch_of(dataset: AutoDataset, rows: Sequence[int]) -> tuple[list[Display], list[Any]]:
    """Return what a person looks at for some rows, and their targets; ``None`` for those that there are not."""
    hooks, texts = dataset.hooks, dataset.display_targets(rows)
    if texts is not None:
        return dataset.display(rows), list(texts)
    samples = [dataset[row] for row in rows]
    if not hooks.displays_inputs:
        are_pairs = hooks.stage is not Stage.PREDICT and all(type(each) is tuple and len(each) == 2 for each in samples)
        return dataset.display(rows), [each[1] if are_pairs else None for each in samples]
    batch = hooks.transform_on_device(hooks.collate(samples))
    inputs, targets = split_batch(batch, hooks.stage)
    return hooks.display_inputs(inputs, len(rows)), [None] * len(rows) if targets is None else list(targets)


def _heading(stage: Stage, contents: Sequence[Display], after_transforms: bool, is_preview: bool) -> str:
    sizes = {content.shape[1::-1] for content in contents if not isinstance(content, str | dict)}
    if not after_transforms or len(sizes) != 1:
        return stage.value
    ((width, height),) = sizes
    size = f"{stage.value}: {width} × {height} pixels"  # noqa: RUF001  # a multiplication sign
    return f"{size}, before a task" if is_preview else size


def show_target(target: Any, labels: Sequence[Any] | None = None) -> str:
    """Return a target in words: the name of its class, the names of its labels, or its numbers.

    Args:
        target: A class index, zeros and ones for each label, numbers, or anything else.
        labels: The names of the classes.

    Example:
        >>> show_target(torch.tensor(1), ["ants", "bees"]), show_target(torch.tensor([0.0, 1.0]), ["red", "round"])
        ('bees', 'round')
        >>> show_target(torch.tensor([0.0, 0.0]), ["red", "round"]), show_target(torch.tensor([1.5, 2e9]))
        ('none', '1.5, 2e+09')
    """
    if not isinstance(target, Tensor):
        return str(summarize(target))
    if labels is not None and target.ndim == 0 and not target.is_floating_point() and 0 <= int(target) < len(labels):
        return str(labels[int(target)])
    if labels is not None and target.ndim == 1 and len(target) == len(labels):
        return ", ".join(str(label) for label, there in zip(labels, target.tolist(), strict=True) if there) or "none"
    if target.ndim <= 1 and target.numel() <= 8:
        numbers = target.reshape(-1).tolist()
        return ", ".join(map(figures.write_number, numbers))
    return str(summarize(target))
