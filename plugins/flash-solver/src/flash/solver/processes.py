"""Rank and world size of this process."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from torch import distributed as dist

__all__ = [
    "Launch",
    "is_connected",
    "is_distributed",
    "is_rank_zero",
    "launch",
    "launch_rank",
    "rank",
    "rank_zero_only",
    "world_size",
]

F = TypeVar("F", bound=Callable[..., Any])


class Launch(NamedTuple):
    """Rank, world size and local rank of a process, as its launcher set them."""

    rank: int
    world_size: int
    local_rank: int


def launch() -> Launch:
    """Return rank and world size from the environment variables of torchrun, Dora or Slurm."""
    env = os.environ
    if "WORLD_SIZE" in env:
        number = int(env.get("RANK", 0))
        return Launch(number, int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", number)))
    # An interactive Slurm shell sets SLURM_PROCID too, but has no step with several tasks.
    if int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in env:
        return Launch(int(env["SLURM_PROCID"]), int(env["SLURM_STEP_NUM_TASKS"]), int(env.get("SLURM_LOCALID", 0)))
    return Launch(0, 1, 0)


def launch_rank() -> int:
    """Return the rank of this process, also before :func:`flash.solver.distrib.init`."""
    return rank() if is_connected() else launch().rank


def is_connected() -> bool:
    """Return whether the process group is initialized."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if is_connected() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if is_connected() else 1


def is_rank_zero() -> bool:
    """Return whether this process has rank 0."""
    return rank() == 0


def is_distributed() -> bool:
    """Return whether there are several processes."""
    return world_size() > 1


def rank_zero_only(function: F) -> F:
    """Decorate a function to run on rank 0 only; on other ranks it returns ``None``."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if is_rank_zero() else None

    return wrapped  # type: ignore[return-value]  # the same signature
