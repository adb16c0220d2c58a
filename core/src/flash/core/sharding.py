"""Shard a task over processes, each of which holds a part of every weight (FSDP)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed import broadcast
from torch.distributed.tensor import DTensor

from flash.errors import ConfigurationError

__all__ = ["ShardedStrategy", "is_sharded", "shard"]


class ShardedStrategy(ModelParallelStrategy):
    """A strategy of Lightning that shards a task over all processes, on GPUs and CPUs: ``Trainer(strategy="sharded")``.

    Each process has its own share of the weights, gradients and states of the optimizer, and its own batches (FSDP2,
    torch's ``fully_shard``). Wherever the task is evaluated, its buffers are those of the first process. A checkpoint
    is one file with all weights, from which other numbers of processes go on at the end of an epoch, and which
    ``Task.load_from_checkpoint`` opens.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False, **kwargs)

    def setup_environment(self) -> None:
        """Make one group of all processes."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def on_validation_start(self) -> None:
        """Evaluate with the buffers of the first process."""
        self._share_buffers()

    def on_test_start(self) -> None:
        """Evaluate with the buffers of the first process."""
        self._share_buffers()

    def on_predict_start(self) -> None:
        """Predict with the buffers of the first process."""
        self._share_buffers()

    def _share_buffers(self) -> None:
        """Give all processes the buffers of the first one, such as batch-norm statistics, as a checkpoint has them."""
        module = self.lightning_module
        for buffer in () if module is None else module.buffers():
            broadcast(buffer, 0)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint, without executing code in it; each process takes its share of the weights."""
        content = super().load_checkpoint(checkpoint_path, weights_only is not False)
        return {"state_dict": {}, **content}


def is_sharded(module: nn.Module) -> bool:
    """Return whether each process has only its own share of the weights of a module.

    Example:
        >>> is_sharded(nn.Linear(2, 1))
        False
    """
    return any(isinstance(each, DTensor) for each in module.parameters())


def shard(task: nn.Module, layers: Sequence[nn.Module], mesh: Any) -> None:
    """Shard the weights of a task: layer by layer, and then what is left of each part, such as its head.

    While a layer computes, each process has all of its weights; otherwise, only its own share.

    Args:
        task: The task, whose parts are called as modules: ``self.head(features)``.
        layers: The layers of its backbone. Those that share weights with others stay in the group of their part.
        mesh: The processes, a ``torch.distributed.device_mesh.DeviceMesh`` of one dimension.

    Raises:
        ConfigurationError: If a weight is no part of a module, or is in two parts of the task.
    """
    from torch.distributed.fsdp import fully_shard

    parts = dict(task.named_children())
    owners = Counter(id(each) for part in parts.values() for each in set(part.parameters()))
    shared = [name for name, each in task.named_parameters() if owners[id(each)] != 1]
    if shared:
        raise ConfigurationError(
            f"Expected a task whose weights are each in one of its modules, to be sharded over processes, but "
            f"{shared[0]} is not. Train it with strategy='ddp'."
        )
    uses = Counter(id(each) for _, each in task.named_parameters(remove_duplicate=False))
    for layer in _called(layers, task):
        if all(uses[id(each)] == 1 for each in layer.parameters()):
            fully_shard(layer, mesh=mesh)
    for part in _called(parts.values(), task):
        # Also after an evaluation, so that a parameter is one object from the optimizer to the checkpoint.
        fully_shard(part, mesh=mesh, reshard_after_forward=True)


def _called(modules: Iterable[nn.Module], task: nn.Module) -> Iterator[nn.Module]:
    """Yield modules of a task that have weights and a ``forward``, in place of lists, dicts and groups of them."""
    own = set(task.modules())
    for module in modules:
        if isinstance(module, nn.ModuleList | nn.ModuleDict) or module not in own:
            yield from _called(module.children(), task)
        elif any(True for _ in module.parameters()):
            yield module
