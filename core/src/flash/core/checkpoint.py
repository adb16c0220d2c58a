"""Checkpoint I/O for Lightning's Trainer, and the names of plugins in the arguments of a task."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO

from flash.core.optimizers import lr_schedulers, optimizers
from flash.core.outputs import components_of
from flash.core.protocols import TaskLike
from flash.core.registry import Registry, qualified_choice
from flash.core.run_state import check_run
from flash.errors import CheckpointError, FlashError
from flash.plugins import PluginState, get_host
from flash.plugins.info import canonical
from flash.serialization import MapLocation, read_checkpoint, write_checkpoint

__all__ = [
    "FlashCheckpointIO",
    "describe_backbone",
    "explaining_missing_backbone",
    "qualified_arguments",
]


# Since version 2.6 of Lightning.
_CAN_READ_SAFELY = "weights_only" in inspect.signature(TorchCheckpointIO.load_checkpoint).parameters


class FlashCheckpointIO(TorchCheckpointIO):
    """Read and write local checkpoints of Lightning with Flash's reader and writer."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_checkpoint(checkpoint, path)

    def load_checkpoint(
        self, path: str | Path, map_location: MapLocation = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, safely unless ``weights_only=False`` is passed."""
        device: Any = map_location  # Lightning states fewer types, and passes all of them on to torch.load.
        if weights_only is False:
            return super().load_checkpoint(path, device, **({"weights_only": False} if _CAN_READ_SAFELY else {}))
        if "://" in str(path) and not str(path).startswith("http"):
            try:
                if not _CAN_READ_SAFELY:
                    raise ImportError("pytorch-lightning before 2.6 would execute code in it")
                return super().load_checkpoint(path, device, weights_only=True)
            except (ImportError, OSError, RuntimeError, ValueError) as error:
                raise CheckpointError(
                    f"Expected a checkpoint at {path}, but it cannot be read: {error}. Download it first, and pass its "
                    "path."
                ) from error
        checkpoint = read_checkpoint(path, map_location)
        # Lightning also hands weights alone from process to process.
        if "pytorch-lightning_version" in checkpoint:
            check_run(checkpoint, path)
        return checkpoint


def qualified_arguments(task: TaskLike) -> dict[str, Any]:
    """Return the recorded arguments of a task, with names of plugins as ``"dist/name"``.

    Installing another plugin, which may register the same names, then does not change the meaning of the file.

    Args:
        task: The task. Its backbone, optimizer, scheduler, loss and metrics may be names, or names with arguments.
    """
    arguments = dict(task.recorded_arguments)
    cls = type(task)
    registries = {
        "backbone": task.backbones,
        "optimizer": optimizers,
        "lr_scheduler": lr_schedulers,
        "loss_fn": components_of(cls, task.loss_registry),
        "metrics": components_of(cls, task.metric_registry),
    }
    for parameter, registry in registries.items():
        if parameter in arguments:
            arguments[parameter] = qualified_choice(registry, task, parameter, arguments[parameter])
    return arguments


def describe_backbone(backbones: Registry, name: object) -> dict[str, Any] | None:
    """Return the plugin of a task's backbone as serializable values; ``None`` if it has no name or no plugin.

    Args:
        backbones: The backbone registry of the task.
        name: The task's argument ``backbone``.
    """
    try:
        provider = backbones.describe(name).provider if isinstance(name, str) else None
    except FlashError:
        return None
    return None if provider is None else {"name": name, "dist": provider.dist, "version": provider.version}


@contextlib.contextmanager
def explaining_missing_backbone(description: Mapping[str, Any] | None) -> Iterator[None]:
    """If rebuilding the task fails, raise an error that names the missing plugin of its backbone.

    Args:
        description: The result of :func:`describe_backbone`.

    Raises:
        CheckpointError: In place of the error that the missing plugin caused.
    """
    try:
        yield
    except FlashError as error:
        reason = description and _why_absent(description["dist"])
        if description is None or reason is None:
            raise
        package = f"{description['dist']} {description['version']}".strip()
        raise CheckpointError(
            f"The checkpoint holds a task on the backbone {description['name']!r}. It comes from {package}, which is "
            f"{reason}"
        ) from error


def _why_absent(dist: str) -> str | None:
    infos = [info for info in get_host().infos() if canonical(info.dist) == canonical(dist)]
    if not infos:
        return f"not installed: pip install {dist}."
    absent = [info for info in infos if info.state is not PluginState.LOADED]
    return f"{absent[0].state}: {absent[0].error or ' '.join(absent[0].notes)}" if absent else None
