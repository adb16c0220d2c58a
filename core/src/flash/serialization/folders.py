"""Checkpoints as folders for the Hub: tensors in ``model.safetensors``, all other values in ``flash.json``.

A folder holds the values that a file of :func:`~flash.serialization.write_checkpoint` would, and is read as safely:
both formats have no code in them, both files have a checksum, and no name in them is used as a path. It needs
safetensors: ``pip install "flash-core[hub]"``.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from flash.download import digest
from flash.errors import CheckpointError, ConfigurationError
from flash.serialization.files import MapLocation, explaining_write_errors, link_or_copy, replacing_together
from flash.serialization.json_values import decode, dumps, encode, loads
from flash.serialization.values import NotSerializableError

__all__ = ["CARD", "DESCRIPTION", "WEIGHTS", "is_checkpoint_folder", "read_folder", "write_folder"]

#: The names of the files of a folder: the weights, all other values, and a text for people.
WEIGHTS, DESCRIPTION, CARD = "model.safetensors", "flash.json", "README.md"

# Version of the layout of a folder.
_LAYOUT = 1
_STATE_DICT = "state_dict"
# The weights of before, while those of a new save are not yet described.
_PREVIOUS = f".{WEIGHTS}.previous"
_MOST_BYTES = 1 << 29
_POINTER = b"version https://git-lfs"


def is_checkpoint_folder(folder: Path) -> bool:
    """Return whether a folder is one that :func:`write_folder` wrote."""
    return (folder / DESCRIPTION).is_file()


def write_folder(
    checkpoint: Mapping[str, Any],
    folder: str | Path,
    *,
    card: str | None = None,
    folder_argument: str = "save_pretrained(folder)",
) -> None:
    """Write a checkpoint as a folder: what is in it is always the old checkpoint, or the complete new one.

    Tensors that share memory are stored once, and others of any layout as contiguous ones.

    Args:
        checkpoint: Serializable values; under ``"state_dict"`` the weights by name.
        folder: The folder, which is created. Other files in it stay.
        card: The text of ``README.md``; ``None`` leaves the one that is there.
        folder_argument: Where the user chose the folder, for error messages.

    Raises:
        ConfigurationError: If the folder is that of another program's model, or safetensors is not installed.
        CheckpointError: If the folder cannot be written, such as when the disk is full, or a value cannot be stored;
            the old files are untouched.
    """
    safetensors = _library()
    target = Path(folder)
    tensors, parts = _parts(checkpoint)
    paths = [*([target / CARD] if card is not None else []), target / WEIGHTS, target / DESCRIPTION]
    with explaining_write_errors(target / DESCRIPTION, folder_argument=folder_argument):
        _refuse_others(target)
        target.mkdir(parents=True, exist_ok=True)
        with _settled(target), replacing_together(paths) as files:
            if card is not None:
                files[0].write(card.encode())
            weights = Path(files[-2].name)
            try:
                safetensors.torch.save_file(tensors, weights, metadata={"format": "pt"})
            # A KeyError is what earlier versions raise for types that they do not know.
            except (safetensors.SafetensorError, KeyError) as error:
                raise OSError(f"{type(error).__name__}: {error}") from error
            described = {"weights_sha256": digest(weights), **parts}
            files[-1].write(dumps({"flash_folder": _LAYOUT, "sha256": _checksum(described), **described}, indent=1))
            if (target / WEIGHTS).exists():
                link_or_copy(target / WEIGHTS, target / _PREVIOUS)


def read_folder(folder: Path, name: str, map_location: MapLocation = "cpu") -> dict[str, Any]:
    """Read the checkpoint in a folder that :func:`write_folder` wrote.

    Args:
        folder: The folder.
        name: What the user calls it, for error messages.
        map_location: Device of the tensors, as in ``torch.load``.

    Raises:
        CheckpointError: If a file is missing or damaged, or was written by a later version.
        ConfigurationError: If safetensors is not installed.
    """
    safetensors = _library()
    try:
        stored, weights = _read_pair(folder, name)
        tensors = {key: _placed(tensor, map_location) for key, tensor in safetensors.torch.load(weights).items()}
        tensors |= {other: tensors[own] for other, own in stored["shared"].items()}
        values = set(stored["values"])
        content = decode(stored["content"], tensors)
        return {**content, _STATE_DICT: {key: value for key, value in tensors.items() if key not in values}}
    except CheckpointError:
        raise
    # The checksums say that nothing was changed by accident; whoever changes a file on purpose can compute them.
    except Exception as error:
        raise CheckpointError(_damaged(name, f"{type(error).__name__}: {error}")) from error


def _library() -> ModuleType:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise ConfigurationError(
            "Expected safetensors, which folders for the Hub are written and read with, but it is not installed: "
            'pip install "flash-core[hub]".'
        ) from error
    return safetensors


def _refuse_others(folder: Path) -> None:
    """Raise an error if the weights in a folder are those of another program, which would be lost."""
    if (folder / WEIGHTS).exists() and (folder / "config.json").exists() and not is_checkpoint_folder(folder):
        raise ConfigurationError(
            f"Expected a new folder, or one that save_pretrained of a task wrote, but {folder} has the weights and the "
            "config.json of another program, which would no longer fit together. Choose another folder."
        )


def _parts(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a checkpoint, none of which share memory, and all that is not a tensor as JSON."""
    named: dict[str, Any] = dict(checkpoint[_STATE_DICT])
    values: list[str] = []

    def name_of(tensor: Tensor) -> str:
        # No weight has such a name: names of modules and parameters have no dots in them.
        name = f"{DESCRIPTION}/{len(values)}"
        values.append(name)
        named[name] = tensor
        return name

    try:
        content = encode({key: value for key, value in checkpoint.items() if key != _STATE_DICT}, name_of)
        for name, value in named.items():
            _check_tensor(name, value)
    except NotSerializableError as error:
        raise CheckpointError(
            f"Expected weights and values that a folder for the Hub can hold, but {error}. Save a checkpoint instead: "
            "trainer.save_checkpoint(path)."
        ) from error
    owners: dict[Any, str] = {}
    shared = {}
    for name, tensor in named.items():
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and owners.setdefault(place, name) != name:
            shared[name] = owners[place]
    taken: set[int] = set()
    own = {name: _alone(tensor, taken) for name, tensor in named.items() if name not in shared}
    return own, {"shared": shared, "values": values, "content": content}


def _check_tensor(name: str, value: Any) -> None:
    is_plain = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized
    if not is_plain or value.device.type == "meta" or value.dtype == torch.complex128:
        kind = f"of {value.dtype} on {value.device}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise NotSerializableError(f"{name!r} is {kind}, which safetensors cannot store")


def _alone(tensor: Tensor, taken: set[int]) -> Tensor:
    """Return a contiguous tensor on the CPU that shares memory with no other; ``taken`` has the memory of those."""
    found = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    storage = found.untyped_storage()
    if storage.nbytes() != found.numel() * found.element_size() or storage.data_ptr() in taken:
        found = found.clone()
    taken.add(found.untyped_storage().data_ptr())
    return found


def _checksum(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(dumps(described)).hexdigest()


@contextlib.contextmanager
def _settled(folder: Path) -> Iterator[None]:
    """Context manager: go back to the weights that are described if writing fails, now or in a process before."""
    _settle(folder)
    try:
        yield
    except BaseException:
        _settle(folder)
        raise
    (folder / _PREVIOUS).unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    previous, weights = folder / _PREVIOUS, folder / WEIGHTS
    if previous.exists():
        # Without a sound description there is nothing that the previous weights belong to.
        with contextlib.suppress(CheckpointError, FileNotFoundError):
            stored = _description(folder / DESCRIPTION, str(folder))
            if not weights.exists() or digest(weights) != stored["weights_sha256"]:
                previous.replace(weights)
        previous.unlink(missing_ok=True)


def _description(path: Path, name: str) -> dict[str, Any]:
    """Return what ``flash.json`` holds, after its checksum was verified."""
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise CheckpointError(
            _damaged(name, f"{DESCRIPTION} has {size:,} bytes, and that of a task at most {_MOST_BYTES:,}")
        )
    try:
        stored = loads(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(_damaged(name, f"{DESCRIPTION} is no JSON: {error}")) from error
    layout = stored.get("flash_folder") if isinstance(stored, dict) else None
    if not isinstance(layout, int) or layout < 1:
        raise CheckpointError(
            f"Expected a folder that save_pretrained of a task wrote, but {DESCRIPTION} in {name} is of another "
            "program. Load it with the program that wrote it."
        )
    if layout > _LAYOUT:
        raise CheckpointError(
            f"Expected a folder of this version of flash-core or an older one, but {name} was written by a later one "
            f"(layout {layout}, and the latest one known here is {_LAYOUT}): pip install --upgrade flash-core."
        )
    described = {key: value for key, value in stored.items() if key not in ("flash_folder", "sha256")}
    if stored.get("sha256") != _checksum(described):
        raise CheckpointError(
            _damaged(name, f"{DESCRIPTION} differs from its checksum, so it was cut, changed, or edited by hand")
        )
    return described


def _read_pair(folder: Path, name: str) -> tuple[dict[str, Any], bytes]:
    """Return the description, and the content of the file of weights that it belongs to."""
    stored = _description(folder / DESCRIPTION, name)
    while True:
        # The previous weights are there while a save goes on, or after it was killed.
        for path in (folder / WEIGHTS, folder / _PREVIOUS):
            with contextlib.suppress(FileNotFoundError):
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() == stored["weights_sha256"]:
                    return stored, content
        before, stored = stored, _description(folder / DESCRIPTION, name)
        if stored == before:  # Otherwise a save was done in between.
            raise CheckpointError(_no_weights(folder / WEIGHTS, name))


def _no_weights(weights: Path, name: str) -> str:
    if not weights.is_file():
        return _damaged(name, f"there is no {WEIGHTS} in it")
    with weights.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            return (
                f"Expected weights in {name}, but {WEIGHTS} is a pointer of Git LFS to them. Fetch them: git lfs pull."
            )
    return _damaged(name, f"{WEIGHTS} is truncated or changed, or belongs to another {DESCRIPTION}")


def _placed(tensor: Tensor, map_location: MapLocation) -> Tensor:
    """Return a tensor of the CPU on the device that ``torch.load`` would put it on."""
    if callable(map_location):
        storage = map_location(tensor.untyped_storage(), "cpu")
        return tensor if storage is None else tensor.to(storage.device)
    place = map_location.get("cpu", "cpu") if isinstance(map_location, dict) else map_location
    return tensor if place is None else tensor.to(place)


def _damaged(name: str, reason: str) -> str:
    return (
        f"Expected a folder that save_pretrained of a task wrote, but {name} is damaged: {reason.rstrip('.')}. Copy or "
        "download it again, or use an earlier one."
    )
