"""Describe how to rebuild an object (its class, distribution and arguments), and rebuild it.

A class is stored by its public path, and a task also by the name of its spec, so that the file that defines it may
move. Later renames are declared by the plugin with ``flash_renames``.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from flash.errors import CheckpointError, FlashError, UnsafeCheckpointError
from flash.plugins import dist_of, get_host
from flash.serialization.arguments import MODULE, Configurable
from flash.serialization.values import from_serializable

__all__ = [
    "current_path",
    "describe",
    "instantiate",
    "provider_of",
    "public_path",
    "resolve_class",
    "resolve_function",
]

T = TypeVar("T")


def describe(made: Configurable) -> dict[str, Any]:
    """Return a description of an object, as serializable values, from which :func:`instantiate` rebuilds it.

    Example:
        >>> class Scale(Configurable):
        ...     def __init__(self, factor): ...
        >>> describe(Scale(2.0))["init"]
        {'factor': 2.0}
    """
    cls = type(made)
    dist, version = provider_of(cls.__module__)
    return {
        "class": public_path(cls),
        "spec": _spec_of(cls, dist),
        "dist": dist,
        "version": version,
        "init": dict(made.recorded_arguments),
        "left_out": dict(made.omitted_arguments),
    }


def instantiate(description: Mapping[str, Any], cls: type[T], overrides: Mapping[str, Any], *, source: str) -> T:
    """Rebuild an object from the description that :func:`describe` returned.

    Args:
        description: The description.
        cls: The class of the object.
        overrides: Arguments that replace the recorded ones.
        source: The call that the user made, for error messages.

    Raises:
        CheckpointError: If an argument that has weights, such as a network, is neither recorded nor overridden.
        UnsafeCheckpointError: If an argument refers to anything but torch's own functions and classes.
    """
    omitted = description.get("left_out") or {}
    missing = [name for name, kind in omitted.items() if kind == MODULE and name not in overrides]
    if missing:
        names = ", ".join(f"{name}=..." for name in missing)
        raise CheckpointError(
            f"Expected {' and '.join(missing)} to be passed, since a checkpoint cannot hold the code of a network. "
            f"Call {source}(path, {names})."
        )
    try:
        recorded = {name: from_serializable(value) for name, value in description["init"].items()}
    except ValueError as error:
        raise UnsafeCheckpointError(f"The checkpoint was refused: {error}.") from error
    return cls(**{**recorded, **overrides})


def resolve_class(description: Mapping[str, Any], base: type[T]) -> type[T]:
    """Return the class of a described object: by the name of its spec, or by its path in an imported or plugin module.

    A name that no longer exists is looked up in the renames of the plugin that provided it.

    Only modules of installed plugins and of Flash are imported, regardless of the description.

    Args:
        description: The description.
        base: The class that it has to inherit from.

    Raises:
        CheckpointError: If it is not found; the message names the package to install.
    """
    for found in _candidates(description):
        if isinstance(found, type) and issubclass(found, base):
            return found
    raise _not_known(description, str(description.get("class")))


def resolve_function(description: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function of a description, by its path in Flash, in an installed plugin, or in an imported module.

    As for classes, no other module is imported. The caller decides whether the function may be called.

    Args:
        description: ``"target"``, such as ``"acme_adapters:add_adapters"``, and the ``"dist"`` and ``"version"`` that
            provide it.

    Raises:
        CheckpointError: If it is not found; the message names the package to install.
    """
    path = str(description.get("target"))
    for each in (path, current_path(description, path)):
        found = _at_path(each)
        if callable(found):
            return cast("Callable[..., Any]", found)
    raise _not_known(description, path)


def _not_known(description: Mapping[str, Any], path: str) -> CheckpointError:
    module_name, _, qualname = path.partition(":")
    dist = description.get("dist")
    if dist is not None and not _is_installed(dist):
        hint = f"It comes from {dist} {description.get('version')}, which is not installed: pip install {dist}"
    elif dist is not None:
        hint = (
            f"It comes from {dist} {description.get('version')}, which is installed here as another version that has "
            f"no {module_name}:{qualname}. Install the version that wrote the checkpoint, or a later one that says "
            "what it is called now, with the hook flash_renames"
        )
    else:
        hint = f"Import the module {module_name!r} that defines it first, or define it again under the same name"
    return CheckpointError(f"The checkpoint holds a {qualname}, which is not known here. {hint}.")


def current_path(description: Mapping[str, Any], path: str) -> str:
    """Return the current path of a class or function; ``path`` itself if it was not renamed.

    Args:
        description: Has the distribution in ``"dist"``; no other distribution can rename it.
        path: Its ``"module:attribute"`` when the description was written.
    """
    return get_host().renamed(path, of="class", dist=str(description.get("dist"))) or path


def public_path(cls: type) -> str:
    """Return ``"module:qualname"`` with the shortest module path that exports a class, so that its file may move.

    Example:
        >>> import flash
        >>> public_path(flash.Task)
        'flash:Task'
    """
    parts = cls.__module__.split(".")
    if "." not in cls.__qualname__:
        for length in range(1, len(parts)):
            module = sys.modules.get(".".join(parts[:length]))
            exported = getattr(module, "__all__", ())
            if cls.__name__ in exported and getattr(module, cls.__name__, None) is cls:
                return f"{module.__name__}:{cls.__name__}"  # type: ignore[union-attr]  # a module that exports
    return f"{cls.__module__}:{cls.__qualname__}"


def provider_of(module_name: str) -> tuple[str | None, str | None]:
    """Return the distribution that provides a module of Flash or of a plugin, and its version; else two ``None``."""
    dist = dist_of(module_name)
    versions = (info.version for info in get_host().infos() if dist is not None and info.is_called(dist))
    return dist, next(versions, None)


def _spec_of(cls: type, dist: str | None) -> str | None:
    """Return the name of the task's spec in its plugin."""
    for contribution in get_host().contributions("task"):
        target = str(getattr(contribution.spec, "task", ""))
        if contribution.provider.dist == dist and target.rpartition(":")[2] == cls.__name__:
            with contextlib.suppress(FlashError):
                if contribution.load("task") is cls:
                    return str(contribution.spec.name)
    return None


def _candidates(description: Mapping[str, Any]) -> Iterator[Any]:
    dist, path = str(description.get("dist")), str(description.get("class"))
    spec = description.get("spec")
    yield from _of_spec(dist, spec)
    yield _at_path(path)
    yield from _of_spec(dist, get_host().renamed(str(spec), of="task", dist=dist))
    yield _at_path(current_path(description, path))


def _of_spec(dist: str, name: str | None) -> Iterator[Any]:
    for contribution in get_host().contributions("task") if name else ():
        if contribution.spec.name == name and contribution.provider.is_called(dist):
            with contextlib.suppress(FlashError):
                yield contribution.load("task")


def _at_path(path: str) -> Any:
    module_name, _, qualname = path.partition(":")
    found: Any = sys.modules.get(module_name)
    if found is None and provider_of(module_name)[0] is not None:
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(module_name)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _is_installed(dist: str) -> bool:
    return any(info.is_called(dist) for info in get_host().infos())
