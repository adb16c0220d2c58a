"""What is known about a plugin, and who gave what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

from flash.errors import PluginError
from flash.plugins._containment import silenced
from flash.plugins._messages import one_line, show
from flash.plugins._targets import load_target
from flash.plugins.types import Spec

__all__ = ["Contribution", "PluginInfo", "PluginState", "Provider", "canonical"]

S = TypeVar("S", bound=Spec, covariant=True)


def canonical(name: str) -> str:
    """A name in the one spelling that ``-``, ``_``, ``.`` and case do not change."""
    return re.sub(r"[-_.]+", "-", name).lower()


class PluginState(str, Enum):
    """How far a plugin got.

    Example:
        >>> PluginState.FAILED.value
        'failed'
    """

    #: Installed and not imported yet.
    AVAILABLE = "available"
    #: Imported; all it gives can be used.
    LOADED = "loaded"
    #: Kept out by FLASH_PLUGINS or FLASH_DISABLE_PLUGINS; never imported.
    DISABLED = "disabled"
    #: Could not be imported, or does not keep the contract; nothing of it is used.
    FAILED = "failed"
    #: Its own name, that of the entry point, is also another plugin's; neither is imported.
    CONFLICT = "conflict"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Provider:
    """Who gave something: a plugin and the distribution that it came with.

    Args:
        plugin: Name of the entry point.
        dist: Name of the distribution, the one that pip knows.
        version: Version of the distribution.
        builtin: Whether it is part of flash-core itself.

    Example:
        >>> print(Provider("audio", dist="acme-flash-audio", version="1.2"))
        acme-flash-audio 1.2
    """

    plugin: str
    dist: str
    version: str
    builtin: bool = False

    @property
    def aliases(self) -> frozenset[str]:
        """The names that it goes by, in their canonical spelling."""
        return frozenset({canonical(self.plugin), canonical(self.dist)})

    def is_called(self, name: str) -> bool:
        """Whether a name is that of the plugin or of its distribution, however it is spelt."""
        return canonical(name) in self.aliases

    def __str__(self) -> str:
        return f"{self.dist} {self.version}".strip()


@dataclass(frozen=True)
class Contribution(Generic[S]):
    """One thing that a plugin gives, and which plugin that is.

    Args:
        spec: What was given.
        provider: Who gave it.

    Example:
        >>> from flash.plugins import Strategy
        >>> strategy = Strategy("chain_thaw", factory="collections:OrderedDict")
        >>> contribution = Contribution(strategy, Provider("acme", "flash-acme", "1.0"))
        >>> contribution.load().__name__
        'OrderedDict'
    """

    spec: S
    provider: Provider

    @property
    def name(self) -> str:
        """Name of the thing."""
        return self.spec.name

    @property
    def label(self) -> str:
        """The thing in words, such as ``"image backbone 'resnet18'"``."""
        scope = f"{self.spec.scope} " if self.spec.scope not in {"", "*"} else ""
        return f"{scope}{self.spec.kind} {self.spec.name!r}"

    def load(self, target: str | None = None) -> Any:
        """Import one of its targets.

        Args:
            target: Which one, where there are several: tasks have ``"task"`` and ``"data"``, catalogues ``"names"``
                and ``"factory"``. By default the one that makes what the name stands for.

        Raises:
            PluginError: If the target cannot be imported; it names the plugin and its distribution.
        """
        targets = self.spec.targets
        chosen = targets[target] if target else targets.get("factory") or next(iter(targets.values()))
        return load_target(chosen, owner=f"{self.label} of {self.provider}")

    def listed(self) -> list[str]:
        """The names that a catalogue lists.

        Raises:
            PluginError: If the catalogue cannot be imported or fails to list them.
        """
        try:
            with silenced():
                names = list(self.load("names")())
        except (KeyboardInterrupt, PluginError):
            raise
        except BaseException as error:
            raise PluginError(f"{self.label} of {self.provider} cannot list its names: {one_line(error)}") from error
        for name in names:
            if not isinstance(name, str):
                raise PluginError(f"{self.label} of {self.provider} must list strings, but {show(name)} came")
        return names


@dataclass(frozen=True)
class PluginInfo:
    """What is known about an installed plugin.

    Args:
        name: Name of the entry point.
        dist: Name of the distribution that it came with.
        version: Version of that distribution.
        target: Module, or ``"module:attribute"``, that the entry point names.
        location: Folder that the distribution is installed in.
        state: How far the plugin got.
        error: Why it failed or conflicts.
        notes: What is worth knowing although it is no failure.
        seconds: How long the import and the hook calls took.
        contributions: What it gives.
        clashes: Which of its names another plugin gives as well, and how to write each. Whoever typed such a name
            has to choose; nothing else is affected.
        exception: The exception behind ``error``, with its traceback.

    Example:
        >>> from flash.plugins import get_host
        >>> get_host().infos()[0].name
        'flash-core'
    """

    name: str
    dist: str
    version: str
    target: str
    location: str
    state: PluginState
    error: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float | None = None
    contributions: tuple[Contribution[Spec], ...] = ()
    clashes: tuple[str, ...] = ()
    exception: BaseException | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.package})"

    @property
    def package(self) -> str:
        """Name and version of the distribution."""
        return f"{self.dist} {self.version}".strip()

    def is_called(self, name: str) -> bool:
        """Whether a name is that of the plugin or of its distribution, however it is spelt."""
        return Provider(self.name, self.dist, self.version).is_called(name)

    def owns(self, module_name: str) -> bool:
        """Whether a module is in the plugin's package: ``flash.<name>``, or its top-level package.

        Args:
            module_name: The module's full name.
        """
        first, *rest = self.target.partition(":")[0].split(".")
        package = ".".join([first, *rest[:1]]) if first == "flash" else first
        return bool(package) and (module_name == package or module_name.startswith(f"{package}."))

    @property
    def in_trouble(self) -> bool:
        """Whether the plugin failed or conflicts."""
        return self.state in {PluginState.FAILED, PluginState.CONFLICT}
