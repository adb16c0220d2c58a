"""Split batches into inputs and targets, count their samples, and mark features in place of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from flash.data.stage import Stage
from flash.errors import DataError

__all__ = ["Features", "count_rows", "split_batch"]


class Features:
    """Tensors marked as the output of a backbone, so that a task passes them to its head only.

    Args:
        values: The output of the task's ``forward_features``: tensors with one row per sample, in any nesting.

    Example:
        >>> Features(torch.zeros(2, 8)).to("cpu").values.shape
        torch.Size([2, 8])
    """

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Features:
        """Return the features on a device; called by Lightning as for tensors."""
        return Features(tree_map(lambda tensor: tensor.to(device, non_blocking=non_blocking), self.values))


def split_batch(batch: Any, stage: Stage, *, foreign: bool = False) -> tuple[Any, Any]:
    """Return the inputs and the targets of a batch.

    In training, validation and testing a batch is ``(inputs, targets)``; in prediction it is inputs alone. This depends
    on the stage only, never on the length or the type of the batch.

    Args:
        batch: A batch, as a loader yields it.
        stage: The stage of the batch.
        foreign: Whether the loader is not one of a :class:`~flash.data.data_module.DataModule` with its own data, so
            that a prediction batch may have targets.

    Returns:
        ``(inputs, targets)``; targets are ``None`` in prediction.

    Raises:
        DataError: If a batch with targets is not a pair, or a foreign prediction batch is ambiguous.

    Example:
        >>> split_batch(([1, 2], [0, 1]), Stage.TRAIN)
        ([1, 2], [0, 1])
        >>> split_batch(([1, 2], [0, 1]), Stage.PREDICT)
        (([1, 2], [0, 1]), None)
    """
    several = isinstance(batch, tuple | list)
    if stage is not Stage.PREDICT:
        if several and len(batch) == 2:
            return batch[0], batch[1]
        raise DataError(
            f"Expected a {stage.value} batch to be (inputs, targets), but got {_described(batch)}. Return pairs from "
            "the dataset, several inputs as ((first, second), target); or override step(batch, batch_idx), which "
            "gets the batch as it is, or split_batch(batch, stage)."
        )
    if foreign and several and len(batch) == 1:
        return batch[0], None
    if foreign and several:
        raise DataError(
            f"Expected a prediction batch to be inputs alone, but this loader yields {_described(batch)}, which may be "
            "several inputs, or inputs with targets. Predict data without targets; or say which it is by overriding "
            "split_batch: return batch, None for several inputs, or batch[0], None for inputs with targets."
        )
    return batch, None


def _described(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"a dict of {', '.join(map(repr, batch)) or 'nothing'}"
    if isinstance(batch, tuple | list):
        return f"a {type(batch).__name__} of {len(batch)}"
    shape = f" of shape {tuple(batch.shape)}" if isinstance(batch, Tensor) else ""
    return f"a {type(batch).__name__}{shape}"


def count_rows(batch: Any) -> int:
    """Return the number of samples in a batch: the first dimension of its first tensor, or the length of a list.

    A list of targets may have an element per sample, such as the boxes of an image, or one per column: it has one per
    sample if the inputs have as many rows as it has elements.

    Args:
        batch: ``(inputs, targets)`` or any other result of ``collate``: tensors and arrays with one row per sample,
            dicts and tuples of them, or lists with one element per sample.

    Returns:
        The number of samples; 1 if it cannot be determined.

    Example:
        >>> import torch
        >>> count_rows(({"ids": torch.zeros(3, 7)}, torch.zeros(3)))
        3
        >>> count_rows([torch.zeros(3, 20, 30), torch.zeros(3, 9, 9)])
        2
        >>> count_rows((torch.zeros(2, 3, 20, 30), [{"boxes": torch.zeros(1, 4)}, {"boxes": torch.zeros(1, 4)}]))
        2
    """
    if isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, targets = batch
        if isinstance(targets, list) and _rows(inputs) == len(targets):
            return len(targets)
    return _rows(batch) or 1


def _rows(value: Any) -> int | None:
    if isinstance(value, Tensor | np.ndarray):
        return value.shape[0] if value.ndim else None
    if isinstance(value, Mapping):
        found = (_rows(item) for item in value.values())
        return next((rows for rows in found if rows is not None), None)
    if isinstance(value, tuple) or (isinstance(value, list) and _is_columns(value)):
        # Targets first: inputs may be lists of arbitrary tensors.
        found = (_rows(item) for item in reversed(value))
        return next((rows for rows in found if rows is not None), None)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return len(value)
    return None


def _is_columns(value: list[Any]) -> bool:
    """Return whether a list holds columns, as ``default_collate`` returns them for tuples, and not samples."""
    sizes = [_rows(item) for item in value]
    return len(value) > 1 and sizes[0] is not None and sizes.count(sizes[0]) == len(sizes) and not _are_samples(value)


def _are_samples(value: list[Any]) -> bool:
    """Return whether a list holds images, shape ``(channels, height, width)``, possibly of different sizes."""
    return all(isinstance(item, Tensor) and item.ndim == 3 for item in value)
