"""Loaders that share a dataset among processes, in an order that follows from a seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

__all__ = ["EpochSampler", "loader", "set_epoch"]


class EpochSampler(Sampler[int]):
    """Shuffles a dataset anew each epoch, and gives each process its share, as long as that of the others.

    The order follows from the seed and the epoch alone: whoever goes on from a checkpoint sees the same samples.

    Args:
        dataset: The dataset, or anything with a length.
        rank: The number of this process.
        world_size: The number of processes.
        seed: The seed of all orders.
        shuffle: Whether there is an order other than that of the dataset.
        drop_last: Whether what does not fill all shares is left out; otherwise the first samples fill them up.

    Example:
        >>> sampler = EpochSampler(range(6), rank=0, world_size=2, seed=0)
        >>> sampler.set_epoch(1); first = list(sampler)
        >>> sampler.set_epoch(2); first == list(sampler), len(sampler)
        (False, 3)
    """

    def __init__(
        self,
        dataset: Any,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        self.dataset = dataset
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.epoch = 0
        self._chosen = False

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass. Without it, each pass has the order after that of the last one."""
        self.epoch = epoch
        self._chosen = True

    def __len__(self) -> int:
        """The length of this process's share."""
        size = len(self.dataset)
        return size // self.world_size if self.drop_last else -(-size // self.world_size)

    def __iter__(self) -> Iterator[int]:
        """Go through this process's share."""
        if not self._chosen:
            self.epoch += 1
        self._chosen = False
        size, total = len(self.dataset), len(self) * self.world_size
        if self.shuffle:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
            order = torch.randperm(size, generator=generator).tolist()
        else:
            order = list(range(size))
        while 0 < len(order) < total:
            order += order[: total - len(order)]
        return iter(order[self.rank : total : self.world_size])

    def state_dict(self) -> dict[str, Any]:
        """Return the seed and the epoch."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the orders of another run."""
        self.seed, self.epoch = state["seed"], state["epoch"]


def loader(
    dataset: Dataset[Any],
    *args: Any,
    shuffle: bool = False,
    klass: Any = DataLoader,
    seed: int = 0,
    **kwargs: Any,
) -> Any:
    """Make a loader of this process's share of a dataset.

    Args:
        dataset: The dataset.
        args: Further arguments of ``klass``.
        shuffle: For training: shares are equally long and shuffled, anew each epoch. Otherwise each sample is in
            exactly one share, in order; one process may then have a batch more than another.
        klass: The loader's class.
        seed: The seed of the orders of several processes. One process alone draws them from torch's random numbers.
        kwargs: Further arguments of ``klass``.

    Example:
        >>> [batch.tolist() for batch in loader(range(5), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """
    from flash.solver.distrib import is_distributed, rank, world_size

    if not is_distributed():
        return klass(dataset, *args, shuffle=shuffle, **kwargs)
    if shuffle:
        sampler = EpochSampler(dataset, rank(), world_size(), seed)
        return klass(dataset, *args, **kwargs, sampler=sampler)
    share = Subset(dataset, list(range(rank(), len(cast(Sized, dataset)), world_size())))
    return klass(share, *args, shuffle=False, **kwargs)


def set_epoch(iterable: Any, epoch: int) -> None:
    """Tell a loader, or its samplers, which epoch comes; nothing happens where nobody wants to know."""
    batches = getattr(iterable, "batch_sampler", None)
    for candidate in (iterable, getattr(iterable, "sampler", None), batches, getattr(batches, "sampler", None)):
        tell = getattr(candidate, "set_epoch", None)
        if callable(tell):
            tell(epoch)
            return
