"""Load a task from a checkpoint: its class, arguments, weights and preprocess."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor
from typing_extensions import Unpack

from flash import __version__
from flash.core.checkpoint import explaining_missing_backbone
from flash.core.protocols import TaskLike
from flash.core.structure import is_change, repeat_changes
from flash.data.process import Postprocess, Preprocess
from flash.download import HubOptions
from flash.errors import CheckpointError, FlashError
from flash.serialization import MapLocation, from_serializable, instantiate, read_checkpoint, resolve_class

__all__ = ["FORMAT", "RUN_STATES", "checked_metadata", "load_task"]

#: Version of the metadata that :meth:`flash.Task.on_save_checkpoint` stores.
FORMAT = 2
#: What of the metadata is the state of a run, which only a run that is resumed needs.
RUN_STATES = ("random_state", "train_metrics", "monitored", "gradients", "world_size", "processes")

T = TypeVar("T", bound=TaskLike)


def load_task(
    asked: type[T],
    base: type[TaskLike],
    source: str | Path,
    map_location: MapLocation,
    strict: bool,
    replaced: dict[str, Any],
    door: str = "load_from_checkpoint",
    **hub: Unpack[HubOptions],
) -> T:
    """Rebuild the task of a checkpoint, with its weights and its preprocess.

    Args:
        asked: The class that was called.
        base: :class:`flash.Task`.
        source: What :func:`~flash.serialization.read_checkpoint` takes.
        map_location: The device for the weights.
        strict: Whether weights that are missing or unexpected are an error.
        replaced: Arguments that replace the recorded ones.
        door: The method that the user called.
        hub: How a repository of the Hub is downloaded.
    """
    checkpoint = read_checkpoint(source, map_location, **hub)
    stored = checked_metadata(checkpoint, source)
    task_class = _choose_class(asked, base, stored["task"], door)
    given: dict[str, Any] = {name: replaced.pop(name) for name in ("preprocess", "postprocess") if name in replaced}
    # The weights are in the file: pretrained weights are not downloaded.
    offline = {"pretrained": False} if "pretrained" in inspect.signature(task_class.__init__).parameters else {}
    for name in ("preprocess", "postprocess"):
        stored["task"]["left_out"].pop(name, None)
    # Files of 0.1.0 have the unqualified name, and the distribution separately.
    backbone, arguments = stored.get("backbone"), stored["task"]["init"]
    if backbone is not None and arguments.get("backbone") == backbone["name"]:
        qualified = f"{backbone['dist']}/"
        arguments["backbone"] = qualified + backbone["name"].removeprefix(qualified)
    call = f"{asked.__name__}.{door}"
    with explaining_missing_backbone(stored.get("backbone")), _damaged_metadata(source):
        task: T = instantiate(stored["task"], task_class, {**offline, **replaced}, source=call)
        repeat_changes(task, stored.get("structure") or [])
        task.load_state_dict(checkpoint["state_dict"], strict=strict)
    devices = {tensor.device for tensor in checkpoint["state_dict"].values()}
    if len(devices) == 1:
        task.to(devices.pop())
    task.history = [dict(epoch) for epoch in stored.get("history", [])]
    with _damaged_metadata(source):
        _restore_processes(task, stored, given, door)
    return task


def checked_metadata(checkpoint: Mapping[str, Any], source: object) -> dict[str, Any]:
    """Return the validated metadata of Flash in a checkpoint.

    Args:
        checkpoint: What the file holds.
        source: Its path or URL.

    Raises:
        CheckpointError: If it is of another program, of a later version, or damaged.
    """
    stored = checkpoint.get("flash")
    if not isinstance(stored, dict) or "task" not in stored:
        raise CheckpointError(
            f"Expected a checkpoint of a Flash task, but {source} is one of another program. Load its "
            "weights yourself: task.load_state_dict(torch.load(path, weights_only=True)['state_dict'])."
        )
    if isinstance(stored.get("format"), int) and stored["format"] > FORMAT:
        raise CheckpointError(
            f"Expected a checkpoint of flash-core {__version__} or older, but {source} was written by "
            f"flash-core {stored.get('version')}: pip install --upgrade flash-core."
        )
    weights = checkpoint.get("state_dict")
    checks: list[tuple[str, Callable[[], bool]]] = [
        ("format", lambda: isinstance(stored.get("format"), int)),
        ("task", lambda: _is_description(stored["task"])),
        ("backbone", lambda: stored.get("backbone") is None or _is_description_of_backbone(stored["backbone"])),
        ("preprocess", lambda: stored.get("preprocess") is None or _is_description(stored["preprocess"])),
        ("postprocess", lambda: stored.get("postprocess") is None or _is_description(stored["postprocess"])),
        # What a run is resumed from has it: the random numbers of the resumed run would be others.
        ("random_state", lambda: isinstance(stored.get("random_state", None if "loops" in checkpoint else {}), dict)),
        ("world_size", lambda: type(count := stored.get("world_size", 1)) is int and count > 0),
        ("processes", lambda: _are_states(stored.get("processes", []), stored.get("world_size", 1))),
        ("structure", lambda: _is_list_of_changes(stored.get("structure"))),
        ("history", lambda: _is_history(stored.get("history", []))),
        ("state_dict", lambda: isinstance(weights, dict) and all(map(_is_weight, weights.items()))),
    ]
    for name, check in checks:
        if not check():
            raise CheckpointError(_damage(source, f"{name!r} is not what Flash writes"))
    return stored


def _is_description(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("class"), str)
        and all(isinstance(value.get(name), dict) and all(map(_is_name, value[name])) for name in ("init", "left_out"))
        and all(isinstance(value.get(name), str | None) for name in ("dist", "version", "spec"))
    )


def _is_description_of_backbone(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("name", "dist", "version"))


def _is_list_of_changes(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(is_change, value)))


def _are_states(value: Any, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == (count if count > 1 else 0)
        and all(isinstance(each, dict) and isinstance(each.get("random_state"), dict) for each in value)
    )


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(epoch, dict)
        and isinstance(epoch.get("epoch"), int)
        and all(map(_is_name, epoch))
        and all(isinstance(number, int | float) for number in epoch.values())
        for epoch in value
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _is_weight(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _damage(source: object, reason: object) -> str:
    return (
        f"Expected a checkpoint of a Flash task, but the metadata of {source} is damaged: {reason}. Copy or download "
        "it again, or use an earlier checkpoint."
    )


@contextlib.contextmanager
def _damaged_metadata(source: object) -> Iterator[None]:
    """Raise a CheckpointError if stored arguments or states are invalid for their class."""
    try:
        yield
    except FlashError:
        raise
    except (ArithmeticError, AssertionError, LookupError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(_damage(source, f"{type(error).__name__}: {error}")) from error


def _choose_class(asked: type[T], base: type[TaskLike], description: dict[str, Any], door: str) -> type[T]:
    """Return the stored class, or the requested one if it is a subclass of that or has its name."""
    name = description["class"].partition(":")[2]
    has_the_name = asked is not base and asked.__qualname__ == name
    try:
        found = resolve_class(description, base)
    except CheckpointError:
        if has_the_name:
            return asked
        raise
    if issubclass(found, asked):
        return found
    if has_the_name or issubclass(asked, found):
        return asked
    raise CheckpointError(
        f"Expected a checkpoint of a {asked.__name__}, but this one holds a {found.__name__}. "
        f"Call {found.__name__}.{door}, or flash.Task.{door}, which finds the class."
    )


def _restore_processes(task: TaskLike, stored: dict[str, Any], given: dict[str, Any], door: str) -> None:
    task.preprocess = given.get("preprocess")
    task.postprocess = given.get("postprocess")
    description = stored.get("preprocess")
    if task.preprocess is None and description is not None:
        try:
            preprocess_class = resolve_class(description, Preprocess)
            task.preprocess = instantiate(description, preprocess_class, {}, source="Preprocess")
        except (CheckpointError, TypeError) as error:
            name = description["class"].partition(":")[2]
            task.preprocess_error = CheckpointError(
                f"Expected the preprocess {name} that the task was trained with, but it cannot be rebuilt here. "
                f"{error} Or pass it: {door}(path, preprocess={name}(...))."
            )
    if task.preprocess is not None and description is not None and description.get("state"):
        task.preprocess.load_state_dict(from_serializable(description["state"]))
    description = stored.get("postprocess")
    if task.postprocess is None and description is not None:
        task.postprocess = instantiate(description, resolve_class(description, Postprocess), {}, source="Postprocess")
