"""Several processes: starting, agreeing, averaging metrics, gradients and models. One process alone does nothing."""

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
from flash.solver.loggers.utils import numbers_of
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
    "agree",
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
    """Connect the processes that torchrun, Dora or Slurm started; one process alone needs no connection.

    Args:
        backend: ``"nccl"``, ``"gloo"``, ...; by default NCCL where there is CUDA, else gloo.

    Raises:
        ConfigurationError: If NCCL is asked for where there is no CUDA.
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
    """Fill in where the processes meet, as other libraries want to know it: Dora does not say the port, nor Slurm."""
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
    """Wait until all processes are here."""
    if is_distributed():
        dist.barrier()


def broadcast_object(obj: Any = None, src: int = 0, device: Any = None) -> Any:
    """Return the object that one process has; it goes by pickle, among processes of one program.

    Args:
        obj: The object; looked at in the process ``src`` only.
        src: Whose object it is.
        device: Where it travels; by default as the backend wants.
    """
    if not is_distributed():
        return obj
    box = [obj if rank() == src else None]
    dist.broadcast_object_list(box, src=src, device=None if device is None else torch.device(device))
    return box[0]


def gather_objects(obj: Any) -> list[Any]:
    """Return the objects of all processes, in their order, in each of them."""
    if not is_distributed():
        return [obj]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, obj)
    return found


def agree(error: BaseException | None, what: str) -> None:
    """Let all processes fail together, where one of them failed; otherwise the others would wait for ever.

    Args:
        error: What went wrong in this process.
        what: What they were about, for the message.

    Raises:
        DistributedError: In the processes where nothing went wrong, if it did in another one.
    """
    texts = gather_objects(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    for number, text in enumerate(texts):
        if text is not None:
            raise DistributedError(f"Expected all processes to {what}, but process {number} failed: {text}")


# ---------------------------------------------------------------------- tensors


def all_reduce(tensor: Tensor, op: Any = dist.ReduceOp.SUM) -> Any:
    """Add a tensor up over all processes, in place."""
    return dist.all_reduce(tensor, op) if is_distributed() else None


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if _backend_is_nccl() else torch.device("cpu")


def _backend_is_nccl() -> bool:
    return is_connected() and "nccl" in dist.get_backend()


def average_metrics(metrics: Mapping[str, Any], count: float = 1.0) -> dict[str, Any]:
    """Return metrics averaged over all processes.

    Args:
        metrics: The same names in every process; values that are no numbers stay as they are here.
        count: The weight of this process, such as its number of samples.

    Raises:
        DistributedError: If the processes have metrics of different names.

    Example:
        >>> average_metrics({"loss": 0.5})
        {'loss': 0.5}
    """
    if not is_distributed():
        return dict(metrics)
    numbers = {key: value for key, value in numbers_of(metrics).items() if not isinstance(value, dict)}
    names = sorted(numbers)
    if any(other != names for other in gather_objects(names)):
        raise DistributedError(
            f"Expected the same metrics in all processes, but process {rank()} has {names} and another one has others."
        )
    sums = torch.tensor([count, *(numbers[name] * count for name in names)], dtype=torch.float64).to(_device())
    dist.all_reduce(sums)
    means = (sums[1:] / sums[0]).tolist()
    return {**metrics, **dict(zip(names, means, strict=True))}


def _floats(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]


def _check_counts(tensors: list[Tensor]) -> None:
    count = torch.tensor([len(tensors), -len(tensors)], device=_device())
    dist.all_reduce(count, dist.ReduceOp.MAX)
    most, least = int(count[0]), -int(count[1])
    if most != least:
        raise DistributedError(
            f"Expected the same number of tensors in all processes, but process {rank()} has {len(tensors)}, and they "
            f"have from {least} to {most}. Is some gradient missing, or did a process skip a step?"
        )


def average_tensors(tensors: Iterable[Tensor]) -> None:
    """Average tensors over all processes, in place; whole numbers are left alone.

    Args:
        tensors: As many, of the same shapes, in every process.

    Raises:
        DistributedError: If another process has more or fewer.
    """
    if not is_distributed():
        return
    chosen = [tensor.detach() for tensor in _floats(tensors)]
    _check_counts(chosen)
    for group in _alike(chosen):
        # One message for all is faster than one for each.
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(torch.view_as_real(flat) if flat.is_complex() else flat)
        flat /= world_size()
        _spread(flat, group)


def _alike(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    yield from groups.values()


def _spread(flat: Tensor, group: list[Tensor]) -> None:
    with torch.no_grad():
        for tensor, part in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(part.view(tensor.shape))


def broadcast_tensors(tensors: Iterable[Tensor], src: int = 0) -> None:
    """Give all processes the tensors of one, in place.

    Args:
        tensors: As many, of the same shapes, in every process.
        src: Whose tensors they are.
    """
    if not is_distributed():
        return
    chosen = [tensor.detach() for tensor in tensors]
    _check_counts(chosen)
    for group in _alike(chosen):
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.broadcast(torch.view_as_real(flat) if flat.is_complex() else flat, src=src)
        _spread(flat, group)


def broadcast_model(model: nn.Module, src: int = 0) -> None:
    """Give all processes the parameters and buffers of one."""
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
    """Average gradients while ``backward`` still computes others; at the end all of them are averaged.

    What a gradient held before, from an earlier ``backward`` outside, is averaged with it and not lost.

    Args:
        params: The parameters that the loss depends on.

    Raises:
        DistributedError: If ``backward`` gives a parameter a gradient twice inside.
    """
    if not is_distributed():
        yield
        return
    chosen = [parameter for parameter in params if parameter.requires_grad]
    waiting: dict[int, tuple[Tensor, Any]] = {}

    def start(parameter: Tensor) -> None:
        if id(parameter) in waiting:
            raise DistributedError(
                "Expected one backward inside eager_sync, but a parameter got a gradient twice. Call backward for the "
                "other losses outside, or use sync_model after them all."
            )
        gradient = parameter.grad
        assert gradient is not None
        sent = torch.view_as_real(gradient) if gradient.is_complex() else gradient
        waiting[id(parameter)] = (gradient, dist.all_reduce(sent, async_op=True))

    hooks = [parameter.register_post_accumulate_grad_hook(start) for parameter in chosen]  # type: ignore[no-untyped-call]  # torch's own
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for gradient, handle in waiting.values():
            handle.wait()
            gradient /= world_size()
    _check_counts([gradient for gradient, _ in waiting.values()])


def _sync_buffers(model: nn.Module, average: bool) -> None:
    if average:
        average_tensors(model.buffers())
    else:
        broadcast_tensors(model.buffers())


def sync_model(model: nn.Module, sync_buffers: bool = True, average_buffers: bool = True) -> None:
    """Average the gradients of a model over all processes, and its buffers.

    Args:
        model: The model.
        sync_buffers: Whether buffers, such as the statistics of batch norm, are made equal too.
        average_buffers: Whether they are averaged; otherwise all get those of the first process.
    """
    sync_gradients(model.parameters())
    if sync_buffers:
        _sync_buffers(model, average_buffers)


@contextmanager
def eager_sync_model(model: nn.Module, sync_buffers: bool = True, average_buffers: bool = True) -> Iterator[None]:
    """Do what :func:`sync_model` does while ``backward`` runs; arguments as there."""
    with eager_sync_gradients(model.parameters()):
        yield
    if sync_buffers and is_distributed():
        _sync_buffers(model, average_buffers)
