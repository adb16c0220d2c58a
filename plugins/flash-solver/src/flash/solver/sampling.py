"""Data loaders that shard a dataset over processes, in an order determined by seed and epoch."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, cast

from torch.utils.data import DataLoader, Dataset, Sampler

from flash.data.samplers import EvaluationShard, ShuffledRows, TrainShard
from flash.solver.processes import is_distributed, rank, world_size

__all__ = ["loader", "set_epoch"]


def loader(
    dataset: Dataset[Any],
    *args: Any,
    shuffle: bool = False,
    klass: Any = DataLoader,
    seed: int = 0,
    **kwargs: Any,
) -> Any:
    """Return a loader of this process's share of a dataset.

    Args:
        dataset: The dataset.
        args: Further arguments of ``klass``.
        shuffle: For training: shares have equal length and are reshuffled each epoch. Otherwise each sample is in
            exactly one share, in order; some processes may then have one more batch than others.
        klass: The loader's class.
        seed: The seed of the order of several processes. A single process draws it from torch's global RNG.
        kwargs: Further arguments of ``klass``.

    Example:
        >>> [batch.tolist() for batch in loader(range(5), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """
    if not is_distributed():
        return klass(dataset, *args, shuffle=shuffle, **kwargs)
    size = len(cast(Sized, dataset))
    if shuffle:
        sampler: Sampler[Any] = TrainShard(ShuffledRows(size, seed), rank(), world_size())
    else:
        sampler = EvaluationShard(range(size), rank(), world_size())
    return klass(dataset, *args, **kwargs, sampler=sampler)


def set_epoch(iterable: Any, epoch: int) -> None:
    """Call ``set_epoch`` of a loader, its sampler or its batch sampler, if one of them has it."""
    batches = getattr(iterable, "batch_sampler", None)
    for candidate in (iterable, getattr(iterable, "sampler", None), batches, getattr(batches, "sampler", None)):
        method = getattr(candidate, "set_epoch", None)
        if callable(method):
            method(epoch)
            return
