"""Changes of a network's structure, such as adapters or heads, that checkpoints record and loading applies again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from flash.core.protocols import TaskLike
from flash.errors import CheckpointError, ConfigurationError, UnsafeCheckpointError
from flash.serialization import NotSerializableError, equal, from_serializable, resolve_function, to_serializable
from flash.serialization.objects import current_path, provider_of

__all__ = ["apply_change", "changes_structure", "describe_change", "is_change", "repeat_changes", "same_change"]

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__flash_changes_structure__"


def changes_structure(function: F) -> F:
    """Mark a function that changes the structure of a task, so that a checkpoint may refer to it.

    Loading a checkpoint never calls a function without this mark.

    Args:
        function: Takes the task, then serializable arguments by name. It is defined at module level.

    Example:
        >>> @changes_structure
        ... def add_adapter(task, width):
        ...     task.adapter = torch.nn.Linear(width, width)
        >>> add_adapter.__name__
        'add_adapter'
    """
    setattr(function, _MARK, True)
    return function


def describe_change(target: str | Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a change, as serializable values.

    Args:
        target: The function, or ``"module:function"``.
        arguments: Its arguments.

    Raises:
        ConfigurationError: If the function cannot be imported, or is not marked, or an argument cannot be serialized.
    """
    path = target if isinstance(target, str) else f"{_module_of(target)}:{getattr(target, '__qualname__', target)}"
    dist, version = provider_of(path.partition(":")[0])
    described = {"target": path, "dist": dist, "version": version}
    try:
        found = resolve_function(described)
    except CheckpointError as error:
        raise ConfigurationError(
            "Expected 'module:function', of Flash, of an installed plugin, or of a module that is imported already, "
            f"but got {path!r}, which cannot be found so. Move the function to the top of a module."
        ) from error
    if not getattr(found, _MARK, False):
        raise ConfigurationError(
            f"Expected a function that changes structure, but {path!r} is not marked as one. Decorate it with "
            "@flash.core.structure.changes_structure: loading a checkpoint calls no other."
        )
    try:
        return {**described, "arguments": to_serializable(dict(arguments), where="arguments")}
    except NotSerializableError as error:
        raise ConfigurationError(
            f"Expected arguments of {path!r} that a checkpoint can hold (numbers, texts, tensors, and lists and dicts "
            f"of these), but {error}. Pass what it is made from."
        ) from error


def _module_of(target: Any) -> str:
    return str(getattr(target, "__module__", type(target).__module__))


def apply_change(task: TaskLike, change: Mapping[str, Any]) -> None:
    """Apply a change to a task by calling its function."""
    found = resolve_function(change)
    if not getattr(found, _MARK, False):
        raise UnsafeCheckpointError(
            f"The checkpoint was refused: it names {change['target']!r}, which is no function that changes structure."
        )
    try:
        arguments = from_serializable(change["arguments"])
    except ValueError as error:
        raise UnsafeCheckpointError(f"The checkpoint was refused: {error}.") from error
    found(task, **arguments)


def repeat_changes(task: TaskLike, stored: Sequence[Mapping[str, Any]]) -> None:
    """Apply the changes of a checkpoint, except those that were applied already.

    Args:
        task: The task, before its weights are loaded.
        stored: The changes, in order.

    Raises:
        CheckpointError: If the task has other changes than the checkpoint, or the plugin of one is missing.
    """
    own = task.structure_changes
    if len(own) > len(stored) or not all(map(same_change, own, stored)):
        raise CheckpointError(
            f"Expected a task whose structure was changed as in the checkpoint, {_format_changes(stored)}, but this "
            f"one was changed by {_format_changes(own)}. Make a new task, and use the "
            "strategy that the run was started with."
        )
    for change in stored[len(own) :]:
        apply_change(task, change)
        task._structure.append(dict(change))


def same_change(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two changes are the same function with the same arguments."""
    targets = {current_path(each, each["target"]) for each in (one, other)}
    return bool(len(targets) == 1 and equal(one["arguments"], other["arguments"]))


def is_change(value: Any) -> bool:
    """Return whether a value has the structure of a result of :func:`describe_change`."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("target"), str)
        and isinstance(value.get("arguments"), dict)
        and all(isinstance(name, str) for name in value["arguments"])
        and all(isinstance(value.get(name), str | None) for name in ("dist", "version"))
    )


def _format_changes(changes: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{change['target']}({change['arguments']})" for change in changes) or "nothing"
