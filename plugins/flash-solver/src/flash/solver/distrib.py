"""Distributed training: initialization, collectives, and averaging of metrics, gradients and models.

With a single process all functions are no-ops.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from flash.errors import ConfigurationError
from flash.solver.errors import DistributedError
from flash.solver.loggers.utils import numeric_metrics
from flash.solver.processes import (
    is_connected,
    is_distributed,
    is_rank_zero,
    launch,
    launch_rank,
    rank,
    rank_zero_only,
    world_size,
)
from flash.solver.sampling import loader
from flash.solver.xp import get_xp, is_xp

__all__ = [
    "all_reduce",
    "average_metrics",
    "average_tensors",
    "barrier",
    "broadcast_model",
    "broadcast_object",
    "broadcast_tensors",
    "eager_sync_gradients",
    "eager_sync_model",
    "gather_objects",
    "init",
    "is_distributed",
    "is_rank_zero",
    "launch_rank",
    "loader",
    "raise_on_all_ranks",
    "rank",
    "rank_zero_only",
    "set_environment",
    "sync_gradients",
    "sync_model",
    "world_size",
    "wrap",
]

log = logging.getLogger(__name__)


def init(backend: str | None = None) -> None:
    """Initialize the process group of the processes that torchrun, Dora or Slurm launched.

    Args:
        backend: ``"nccl"``, ``"gloo"``, ...; by default NCCL if CUDA is available, else gloo.

    Raises:
        ConfigurationError: If the backend is NCCL, but CUDA is not available.
    """
    launched = launch()
    if is_connected() or launched.world_size == 1:
        return
    cuda = torch.cuda.is_available()
    if backend is not None and "nccl" in backend and not cuda:
        raise ConfigurationError(
            "Expected a CUDA device for the backend 'nccl', but there is none. Use init() or init('gloo')."
        )
    if cuda:
        torch.cuda.set_device(launched.local_rank % torch.cuda.device_count())
    set_environment()
    chosen = backend or ("nccl" if cuda else "gloo")
    dist.init_process_group(chosen, rank=launched.rank, world_size=launched.world_size)
    log.info("Distributed init: %d/%d (local %d), %s", launched.rank, launched.world_size, launched.local_rank, chosen)


def set_environment() -> None:
    """Set the missing variables of torch's ``env://`` rendezvous; Dora and Slurm do not set ``MASTER_PORT``."""
    launched = launch()
    if "MASTER_ADDR" not in os.environ:
        if "SLURM_JOB_NODELIST" in os.environ:
            import subprocess

            command = ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]
            found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # a fixed command
            os.environ["MASTER_ADDR"] = found.stdout.split()[0]
        else:
            os.environ["MASTER_ADDR"] = "127.0.0.1"
    if "MASTER_PORT" not in os.environ:
        seed = f"{get_xp().folder if is_xp() else Path.cwd()} {os.environ.get('SLURM_JOB_ID', '')}"
        number = int(hashlib.sha256(seed.encode()).hexdigest(), 16)
        os.environ["MASTER_PORT"] = str(20000 + number % 10000)
    os.environ.setdefault("RANK", str(launched.rank))
    os.environ.setdefault("LOCAL_RANK", str(launched.local_rank))
    os.environ.setdefault("WORLD_SIZE", str(launched.world_size))


# ---------------------------------------------------------------------- objects


def barrier() -> None:
    """Block until all processes reach this call."""
    if is_distributed():
        dist.barrier()


def broadcast_object(obj: Any = None, src: int = 0, device: Any = None) -> Any:
    """Broadcast a picklable object from one process to all.

    Args:
        obj: The object; used on rank ``src`` only.
        src: The source rank.
        device: The device of the transfer; by default the backend's.
    """
    if not is_distributed():
        return obj
    box = [obj if rank() == src else None]
    dist.broadcast_object_list(box, src=src, device=None if device is None else torch.device(device))
    return box[0]


def gather_objects(obj: Any) -> list[Any]:
    """Return the objects of all processes in rank order, on every rank."""
    if not is_distributed():
        return [obj]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, obj)
    return found


def raise_on_all_ranks(error: BaseException | None, what: str) -> None:
    """Raise an error in all processes if one of them failed; otherwise the others would wait forever.

    Args:
        error: The error of this process, if any.
        what: The operation, for the message.

    Raises:
        DistributedError: In processes without an error, if another one has an error.
    """
    texts = gather_objects(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    for number, text in enumerate(texts):
        if text is not None:
            raise DistributedError(f"Expected all processes to {what}, but process {number} failed: {text}")


# ---------------------------------------------------------------------- tensors


def all_reduce(tensor: Tensor, op: Any = dist.ReduceOp.SUM) -> Any:
    """Reduce a tensor over all processes in place, by default to the sum."""
    return dist.all_reduce(tensor, op) if is_distributed() else None


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if _backend_is_nccl() else torch.device("cpu")


def _backend_is_nccl() -> bool:
    return is_connected() and "nccl" in dist.get_backend()


def average_metrics(metrics: Mapping[str, Any], count: float = 1.0) -> dict[str, Any]:
    """Return metrics averaged over all processes.

    Args:
        metrics: Metrics by name, the same names in every process; non-numeric values are returned unchanged.
        count: The weight of this process, such as its number of samples.

    Raises:
        DistributedError: If the names differ between processes.

    Example:
        >>> average_metrics({"loss": 0.5})
        {'loss': 0.5}
    """
    if not is_distributed():
        return dict(metrics)
    numbers = {key: value for key, value in numeric_metrics(metrics).items() if not isinstance(value, dict)}
    names = sorted(numbers)
    if any(other != names for other in gather_objects(names)):
        raise DistributedError(
            f"Expected the same metrics in all processes, but process {rank()} has {names}, and another one differs."
        )
    sums = torch.tensor([count, *(numbers[name] * count for name in names)], dtype=torch.float64).to(_device())
    dist.all_reduce(sums)
    means = (sums[1:] / sums[0]).tolist()
    return {**metrics, **dict(zip(names, means, strict=True))}


def _floating_point(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]


def _check_counts(tensors: list[Tensor]) -> None:
    count = torch.tensor([len(tensors), -len(tensors)], device=_device())
    dist.all_reduce(count, dist.ReduceOp.MAX)
    most, fewest = int(count[0]), -int(count[1])
    if most != fewest:
        raise DistributedError(
            f"Expected the same number of tensors in all processes, but got {len(tensors)} on rank {rank()}, and "
            f"from {fewest} to {most} on all ranks. Is a gradient missing, or did a process skip a step?"
        )


def average_tensors(tensors: Iterable[Tensor]) -> None:
    """Average tensors over all processes in place; integer tensors are unchanged.

    Args:
        tensors: The tensors; their number and shapes must be the same in every process.

    Raises:
        DistributedError: If the number of tensors differs between processes.
    """
    if not is_distributed():
        return
    chosen = [tensor.detach() for tensor in _floating_point(tensors)]
    _check_counts(chosen)
    for group in _group_by_dtype_and_device(chosen):
        # One collective for all is faster than one per tensor.
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(torch.view_as_real(flat) if flat.is_complex() else flat)
        flat /= world_size()
        _unflatten_into(flat, group)


def _group_by_dtype_and_device(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    yield from groups.values()


def _unflatten_into(flat: Tensor, group: list[Tensor]) -> None:
    with torch.no_grad():
        for tensor, part in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(part.view(tensor.shape))


def broadcast_tensors(tensors: Iterable[Tensor], src: int = 0) -> None:
    """Broadcast tensors from one process to all, in place.

    Args:
        tensors: The tensors; their number and shapes must be the same in every process.
        src: The source rank.
    """
    if not is_distributed():
        return
    chosen = [tensor.detach() for tensor in tensors]
    _check_counts(chosen)
    for group in _group_by_dtype_and_device(chosen):
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.broadcast(torch.view_as_real(flat) if flat.is_complex() else flat, src=src)
        _unflatten_into(flat, group)


def broadcast_model(model: nn.Module, src: int = 0) -> None:
    """Broadcast the parameters and buffers of a model from one process to all."""
    broadcast_tensors([*model.parameters(), *model.buffers()], src=src)


# ---------------------------------------------------------------------- models


def wrap(model: nn.Module) -> nn.Module:
    """Wrap a model in torch's ``DistributedDataParallel``, on a GPU or the CPU."""
    if not is_distributed():
        return model
    devices = {parameter.device for parameter in model.parameters()}
    on_cuda = len(devices) == 1 and next(iter(devices)).type == "cuda"
    return DistributedDataParallel(model, device_ids=[torch.cuda.current_device()] if on_cuda else None)


def sync_gradients(params: Iterable[Tensor]) -> None:
    """Average the gradients of parameters over all processes, after ``backward`` and before the optimizer's step."""
    if is_distributed():
        average_tensors([parameter.grad for parameter in params if parameter.grad is not None])


@contextmanager
def eager_sync_gradients(params: Iterable[Tensor]) -> Iterator[None]:
    """Context manager: average gradients over all processes, overlapping communication with ``backward``.

    Gradients accumulated by an earlier ``backward`` outside of the context are averaged too.

    Args:
        params: The parameters that the loss depends on.

    Raises:
        DistributedError: If a parameter receives a gradient twice inside.
    """
    if not is_distributed():
        yield
        return
    chosen = [parameter for parameter in params if parameter.requires_grad]
    pending: dict[int, tuple[Tensor, Any]] = {}

    def start(parameter: Tensor) -> None:
        if id(parameter) in pending:
            raise DistributedError(
                "Expected one backward inside eager_sync, but a parameter got a gradient twice. Call backward of the "
                "other losses outside, or call sync_model after all of them."
            )
        gradient = parameter.grad
        assert gradient is not None
        sent = torch.view_as_real(gradient) if gradient.is_complex() else gradient
        pending[id(parameter)] = (gradient, dist.all_reduce(sent, async_op=True))

    hooks = [parameter.register_post_accumulate_grad_hook(start) for parameter in chosen]  # type: ignore[no-untyped-call]  # torch's own
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for gradient, handle in pending.values():
            handle.wait()
            gradient /= world_size()
    _check_counts([gradient for gradient, _ in pending.values()])


def _sync_buffers(model: nn.Module, average: bool) -> None:
    if average:
        average_tensors(model.buffers())
    else:
        broadcast_tensors(model.buffers())


def sync_model(model: nn.Module, sync_buffers: bool = True, average_buffers: bool = True) -> None:
    """Average the gradients of a model over all processes, and its buffers.

    Args:
        model: The model.
        sync_buffers: Whether buffers, such as the statistics of batch norm, are synchronized too.
        average_buffers: Whether they are averaged; otherwise those of rank 0 are broadcast.
    """
    sync_gradients(model.parameters())
    if sync_buffers:
        _sync_buffers(model, average_buffers)


@contextmanager
def eager_sync_model(model: nn.Module, sync_buffers: bool = True, average_buffers: bool = True) -> Iterator[None]:
    """Context manager: :func:`sync_model` overlapped with ``backward``; the arguments are the same."""
    with eager_sync_gradients(model.parameters()):
        yield
    if sync_buffers and is_distributed():
        _sync_buffers(model, average_buffers)
