"""Checkpoints: self-contained files of plain data, written whole or not at all."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from flash import __version__
from flash.core._atomic import replacing
from flash.core._plain import Rebuildable, from_plain
from flash.core.registry import Registry
from flash.data.download import fetch
from flash.errors import CheckpointError, FlashError, UnsafeCheckpointError
from flash.plugins import PluginState, get_host
from flash.plugins.info import canonical

__all__ = [
    "FlashCheckpointIO",
    "describe",
    "describe_backbone",
    "naming_backbone",
    "read_checkpoint",
    "rebuild",
    "resolve_class",
    "write_checkpoint",
]

T = TypeVar("T")


def read_checkpoint(path_or_url: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint without executing anything that it holds.

    Args:
        path_or_url: A file, or an http(s) URL.
        map_location: Where its tensors go, as in ``torch.load``.

    Raises:
        UnsafeCheckpointError: If loading would execute code.
        CheckpointError: If there is no such file, or it is truncated or no checkpoint.
    """
    if str(path_or_url).startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory() as folder:
            return _read_file(fetch(str(path_or_url), Path(folder) / "checkpoint"), str(path_or_url), map_location)
    path = Path(path_or_url)
    if not path.is_file():
        raise CheckpointError(f"Expected a checkpoint at {path}, but there is no such file.")
    return _read_file(path, str(path), map_location)


def _read_file(path: Path, name: str, map_location: Any) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error) or "weights_only" in str(error):
            reason = str(error).split("\n")[0]
            raise UnsafeCheckpointError(
                f"Expected a checkpoint of plain data, but loading {name} would execute code, so it was refused "
                f"({reason}). Ask its author for a checkpoint that holds tensors, numbers and strings only."
            ) from error
        raise CheckpointError(_not_a_checkpoint(name)) from error
    # torch says OSError where the end of the file is not where the archive says.
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(_not_a_checkpoint(name)) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(_not_a_checkpoint(name))
    return checkpoint


def _not_a_checkpoint(name: str) -> str:
    return (
        f"Expected a checkpoint, but {name} is truncated or is another kind of file. "
        "Copy or download it again, or use an earlier checkpoint."
    )


def write_checkpoint(checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Write a checkpoint so that the file at ``path`` is at any time either the old one or the new one, whole.

    Raises:
        CheckpointError: If the file cannot be written, such as when the disk is full; the old file is untouched.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with replacing(target, temporary) as file:
            torch.save(dict(checkpoint), file)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"The checkpoint {target} could not be written: {error}. An older file of that name is untouched. "
            "Free some space, or choose another folder with Trainer(default_root_dir=...)."
        ) from error


class FlashCheckpointIO(TorchCheckpointIO):
    """Lightning's way to files, with :func:`read_checkpoint` and :func:`write_checkpoint` for local ones."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> Any:
        """Read a checkpoint, safely unless ``weights_only=False`` was asked for."""
        if weights_only is False:
            return super().load_checkpoint(path, map_location, weights_only=False)
        if "://" in str(path) and not str(path).startswith("http"):
            return super().load_checkpoint(path, map_location, weights_only=True)
        return read_checkpoint(path, map_location)


# ---------------------------------------------------------------------- objects in checkpoints


def describe(made: Rebuildable) -> dict[str, Any]:
    """Describe, as plain data, how to make an object again: its class, who provides it, and its arguments."""
    cls = type(made)
    arguments = made._arguments
    dist, version = _provider(cls.__module__)
    return {
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "dist": dist,
        "version": version,
        "init": arguments.plain,
        "left_out": arguments.left_out,
    }


def rebuild(description: Mapping[str, Any], cls: type[T], overrides: Mapping[str, Any], *, source: str) -> T:
    """Make the object that :func:`describe` described.

    Args:
        description: What :func:`describe` gave.
        cls: The class to make.
        overrides: Arguments that replace the stored ones.
        source: The call that the user made, for messages.

    Raises:
        CheckpointError: If an argument that has weights, such as a network, is in neither.
    """
    missing = [name for name, kind in description["left_out"].items() if kind == "module" and name not in overrides]
    if missing:
        names = ", ".join(f"{name}=..." for name in missing)
        raise CheckpointError(
            f"Expected {' and '.join(missing)} to be passed, since a checkpoint cannot hold the code of a network. "
            f"Call {source}(path, {names})."
        )
    try:
        stored = {name: from_plain(value) for name, value in description["init"].items()}
    except ValueError as error:
        raise UnsafeCheckpointError(f"The checkpoint was refused: {error}.") from error
    return cls(**{**stored, **overrides})


def resolve_class(description: Mapping[str, Any], base: type[T]) -> type[T]:
    """Find the class of a described object: in a module that is imported already, or in an installed plugin.

    No other module is imported, whatever the description says.

    Raises:
        CheckpointError: If it is in neither; the message names the package to install.
    """
    reference, dist = description["class"], description["dist"]
    module_name, _, qualname = reference.partition(":")
    module = sys.modules.get(module_name)
    if module is None and _provider(module_name)[0] is not None:
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(module_name)
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, base):
        return found
    if dist is not None and module is None:
        hint = f"It comes from {dist} {description['version']}, which is not installed: pip install {dist}"
    else:
        hint = f"Import the module {module_name!r} that defines it first, or define it again under the same name"
    raise CheckpointError(f"The checkpoint holds a {qualname}, which is not known here. {hint}.")


def _provider(module_name: str) -> tuple[str | None, str | None]:
    """The distribution, and its version, of the plugin that a module belongs to."""
    if module_name == "flash" or module_name.startswith(("flash.core.", "flash.data.")):
        return "flash-core", __version__
    for info in get_host().infos():
        first, *rest = info.target.split(".")
        # A first-party plugin owns flash.<domain>, a third party its top-level package.
        package = ".".join([first, *rest[:1]]) if first == "flash" else first
        ours = module_name == package or module_name.startswith(package + ".")
        if ours and info.state not in (PluginState.DISABLED, PluginState.CONFLICT):
            return info.dist, info.version
    return None, None


def describe_backbone(backbones: Registry, name: object) -> dict[str, Any] | None:
    """Say, as plain data, which plugin gives the backbone of a task; ``None`` where it has no name or no plugin.

    Args:
        backbones: Where the task looks names up.
        name: The task's argument ``backbone``.
    """
    try:
        provider = backbones.describe(name).provider if isinstance(name, str) else None
    except FlashError:
        return None
    return None if provider is None else {"name": name, "dist": provider.dist, "version": provider.version}


@contextlib.contextmanager
def naming_backbone(description: Mapping[str, Any] | None) -> Iterator[None]:
    """Where a task cannot be made, say whether the plugin of its backbone is missing.

    Args:
        description: What :func:`describe_backbone` gave.

    Raises:
        CheckpointError: In place of the error that the missing plugin caused.
    """
    try:
        yield
    except FlashError as error:
        reason = description and _why_absent(description["dist"])
        if description is None or reason is None:
            raise
        giver = f"{description['dist']} {description['version']}".strip()
        raise CheckpointError(
            f"The checkpoint holds a task on the backbone {description['name']!r}. It comes from {giver}, which is "
            f"{reason}"
        ) from error


def _why_absent(dist: str) -> str | None:
    infos = [info for info in get_host().infos() if canonical(info.dist) == canonical(dist)]
    if not infos:
        return f"not installed: pip install {dist}."
    absent = [info for info in infos if info.state is not PluginState.LOADED]
    return f"{absent[0].state}: {absent[0].error or ' '.join(absent[0].notes)}" if absent else None
