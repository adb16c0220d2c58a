"""Information about plugins and the provenance of their contributions."""

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
    """Normalize a name as PEP 503 does: lower case, with ``-`` for every run of ``-``, ``_`` and ``.``."""
    return re.sub(r"[-_.]+", "-", name).lower()


class PluginState(str, Enum):
    """The state of a plugin.

    Example:
        >>> PluginState.FAILED.value
        'failed'
    """

    #: Installed and not imported yet.
    AVAILABLE = "available"
    #: Imported; all its contributions can be used.
    LOADED = "loaded"
    #: Disabled by FLASH_PLUGINS or FLASH_DISABLE_PLUGINS; never imported.
    DISABLED = "disabled"
    #: Could not be imported, or violates the contract; none of its contributions is used.
    FAILED = "failed"
    #: Another plugin has the same entry point name; neither is imported.
    CONFLICT = "conflict"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Provider:
    """The provenance of a contribution: a plugin and its distribution.

    Args:
        plugin: Name of the entry point.
        dist: Name of the distribution, as pip knows it.
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
        """Names of the plugin and its distribution, in canonical spelling."""
        return frozenset({canonical(self.plugin), canonical(self.dist)})

    def is_called(self, name: str) -> bool:
        """Return whether a name is that of the plugin or of its distribution, in any spelling."""
        return canonical(name) in self.aliases

    def __str__(self) -> str:
        return f"{self.dist} {self.version}".strip()


@dataclass(frozen=True)
class Contribution(Generic[S]):
    """A contribution of a plugin, with its provenance.

    Args:
        spec: The description.
        provider: The plugin that it is from.

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
        """Name in the description."""
        return self.spec.name

    @property
    def label(self) -> str:
        """Display name, such as ``"image backbone 'resnet18'"``."""
        scope = f"{self.spec.scope} " if self.spec.scope not in {"", "*"} else ""
        return f"{scope}{self.spec.kind} {self.spec.name!r}"

    def load(self, target: str | None = None) -> Any:
        """Import one of its targets.

        Args:
            target: Name of the target, if there are several: tasks have ``"task"`` and ``"data"``, catalogues
                ``"names"`` and ``"factory"``. The default is ``"factory"``, or else the first one.

        Raises:
            PluginError: If the target cannot be imported; the message names the plugin and its distribution.
        """
        targets = self.spec.targets
        chosen = targets[target] if target else targets.get("factory") or next(iter(targets.values()))
        return load_target(chosen, owner=f"{self.label} of {self.provider}")

    def listed(self) -> list[str]:
        """Return the names that a catalogue lists.

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
                raise PluginError(f"{self.label} of {self.provider} must list strings, but got {show(name)}")
        return names


@dataclass(frozen=True)
class PluginInfo:
    """Information about an installed plugin.

    Args:
        name: Name of the entry point.
        dist: Name of its distribution.
        version: Version of that distribution.
        target: Module, or ``"module:attribute"``, that the entry point names.
        location: Folder that the distribution is installed in.
        state: The state of the plugin.
        error: The reason why it failed or conflicts.
        notes: Remarks that are not failures.
        seconds: Duration of the import and the hook calls, in seconds.
        contributions: Its contributions.
        clashes: Names that another plugin registers as well, with their qualified names. Users of such a name have to
            choose; nothing else is affected.
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
        """Return whether a name is that of the plugin or of its distribution, in any spelling."""
        return Provider(self.name, self.dist, self.version).is_called(name)

    def owns(self, module_name: str) -> bool:
        """Return whether a module is in the plugin's package: ``flash.<name>``, or its top-level package.

        Args:
            module_name: The module's full name.
        """
        first, *rest = self.target.partition(":")[0].split(".")
        package = ".".join([first, *rest[:1]]) if first == "flash" else first
        return bool(package) and (module_name == package or module_name.startswith(f"{package}."))

    @property
    def in_trouble(self) -> bool:
        """True if the plugin failed or conflicts."""
        return self.state in {PluginState.FAILED, PluginState.CONFLICT}
