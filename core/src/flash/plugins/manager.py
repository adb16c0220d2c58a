"""The plugin host: discovers plugins, decides which may load, loads them once, and looks up their contributions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import flash
from flash.errors import PluginConflictError, PluginError
from flash.plugins import _loading
from flash.plugins._conflicts import mark_clashes, refuse_foreign_renames, screen
from flash.plugins._discovery import Candidate, installed
from flash.plugins._messages import sentence, warn_user
from flash.plugins._name_index import NameIndex
from flash.plugins._settings import Switches
from flash.plugins.components import Component, Exporter, Recipe, overlap
from flash.plugins.first_party import CORE, DOMAINS
from flash.plugins.info import Contribution, PluginInfo, PluginState, Provider, S, canonical
from flash.plugins.renames import Renamed, follow
from flash.plugins.types import (
    Backbone,
    BackboneCatalogue,
    CallbackSpec,
    Command,
    DataSource,
    Engine,
    Spec,
    Strategy,
    TaskSpec,
)

__all__ = ["PluginHost"]

_Many = tuple[Contribution[S], ...]


@dataclass(frozen=True)
class _Loaded:
    infos: tuple[PluginInfo, ...]
    contributions: _Many[Spec]
    #: The failed plugin for which every look-up raises in strict mode.
    refused: PluginInfo | None


class PluginHost:
    """All plugins of a process and their contributions.

    Creating a host is cheap. Plugins are found by their metadata, and imported, each in isolation, when a
    contribution is first looked up.

    Args:
        discover: Returns the available plugins; by default the installed ones.
        environ: The variables that settings are read from; by default the environment.

    Example:
        >>> host = PluginHost(discover=list)
        >>> sorted(host.strategies())
        ['freeze', 'freeze_unfreeze', 'no_freeze', 'unfreeze_milestones']
        >>> host.strategies()["freeze"].provider.dist
        'flash-core'
    """

    def __init__(
        self,
        discover: Callable[[], Iterable[Candidate]] = installed,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._discover = discover
        self._environ = environ
        self._lock = threading.RLock()
        self._loading = False
        self._loaded: _Loaded | None = None

    def tasks(self) -> Mapping[str, Contribution[TaskSpec]]:
        """Return the tasks by name."""
        return self._index("task", "tasks", self.contributions("task"))

    def strategies(self) -> Mapping[str, Contribution[Strategy]]:
        """Return the finetuning strategies by name."""
        return self._index("strategy", "finetuning strategies", self.contributions("strategy"))

    def callbacks(self) -> Mapping[str, Contribution[CallbackSpec]]:
        """Return the trainer callbacks by name."""
        return self._index("callback", "callbacks", self.contributions("callback"))

    def data_sources(self, task: str) -> Mapping[str, Contribution[DataSource]]:
        """Return the data sources for the data module of a task by name."""
        found = [each for scope in (task, "*") for each in self.contributions("data source", scope)]
        return self._index("data source", f"data sources of {task}", found, task.partition("/")[0])

    def backbones(self, domain: str) -> Mapping[str, Contribution[Backbone]]:
        """Return the backbones of a domain by name, without those in catalogues."""
        return self._index("backbone", f"{domain} backbones", self.contributions("backbone", domain), domain)

    def catalogues(self, domain: str) -> Mapping[str, Contribution[BackboneCatalogue]]:
        """Return the backbone catalogues of a domain by name."""
        what = f"{domain} backbone catalogues"
        return self._index("catalogue", what, self.contributions("catalogue", domain), domain)

    def commands(self) -> Mapping[str, Contribution[Command]]:
        """Return the subcommands of the command line by name."""
        return self._index("command", "commands", self.contributions("command"))

    def engines(self) -> Mapping[str, Contribution[Engine]]:
        """Return where commands can train and predict, by name."""
        found = self.contributions("engine")
        # The package of an engine that is not installed is that of its name.
        return NameIndex(found, "engines", lambda name: self.explain_missing("engine", name, domain=name))

    def recipes(self, task: str) -> Mapping[str, Contribution[Recipe]]:
        """Return the recipes for the baseline of a task by name."""
        found: _Many[Any] = self.in_scope("recipe", task)
        return self._index("recipe", f"recipes of {task}", found, task.partition("/")[0])

    def exporters(self, task: str) -> Mapping[str, Contribution[Exporter]]:
        """Return the formats in which a task is exported by name."""
        found: _Many[Any] = self.in_scope("exporter", task)
        return self._index("exporter", "formats of export", found, "export")

    def components(self, kind: str, *scopes: str) -> Mapping[str, Contribution[Component]]:
        """Return the components of one kind by name.

        Args:
            kind: ``"output"``, ``"optimizer"``, ``"lr scheduler"``, ``"metric"``, ``"loss"``, ``"head"`` or
                ``"augmentation"``.
            scopes: Keep the components of these tasks, such as ``"image/classification"`` or ``"*/classification"``.
        """
        return self._index(kind, f"{kind}s", self.in_scope(kind, *scopes))

    def in_scope(self, kind: str, *scopes: str) -> _Many[Component]:
        """Return the components of one kind in any of the scopes, including names that several plugins register.

        Args:
            kind: As in :meth:`components`.
            scopes: As in :meth:`components`.
        """
        found: _Many[Any] = tuple(each for each in self._usable() if each.spec.kind == kind)
        return tuple(each for each in found if any(overlap(each.spec.scope, scope) for scope in scopes or ("*",)))

    def task_name(self, task: type) -> str | None:
        """Return the name under which a plugin registers a task's class or its nearest registered base class.

        Args:
            task: The class.
        """
        names: dict[str, str] = {each.spec.task: each.name for each in self.contributions("task")}
        for each in task.__mro__:
            name = names.get(f"{each.__module__}:{each.__qualname__}")
            if name:
                return name
        return None

    def renamed(self, old: str, *, of: str, dist: str) -> str | None:
        """Return the current name of a renamed contribution, or None if its distribution did not rename it.

        Args:
            old: The former name.
            of: The kind of the contribution, as in :class:`flash.plugins.Renamed`.
            dist: The distribution that provided it under that name. No other one can rename it.
        """
        renames = (
            each for each in self.contributions("rename", of) if canonical(each.provider.dist) == canonical(dist)
        )
        return follow((each.spec for each in renames), old)

    @overload
    def contributions(self, kind: Literal["task"], scope: str | None = None) -> _Many[TaskSpec]: ...
    @overload
    def contributions(self, kind: Literal["backbone"], scope: str | None = None) -> _Many[Backbone]: ...
    @overload
    def contributions(self, kind: Literal["catalogue"], scope: str | None = None) -> _Many[BackboneCatalogue]: ...
    @overload
    def contributions(self, kind: Literal["strategy"], scope: str | None = None) -> _Many[Strategy]: ...
    @overload
    def contributions(self, kind: Literal["data source"], scope: str | None = None) -> _Many[DataSource]: ...
    @overload
    def contributions(self, kind: Literal["callback"], scope: str | None = None) -> _Many[CallbackSpec]: ...
    @overload
    def contributions(self, kind: Literal["command"], scope: str | None = None) -> _Many[Command]: ...
    @overload
    def contributions(self, kind: Literal["engine"], scope: str | None = None) -> _Many[Engine]: ...
    @overload
    def contributions(self, kind: Literal["rename"], scope: str | None = None) -> _Many[Renamed]: ...
    def contributions(self, kind: str, scope: str | None = None) -> _Many[Any]:
        """Return all contributions of one kind, including names that several plugins register.

        Args:
            kind: The kind, such as ``"backbone"``.
            scope: Keep those of this domain; for data sources of this task, for renames of this kind.
        """
        return tuple(each for each in self._usable() if each.spec.kind == kind and scope in {None, each.spec.scope})

    def domains(self) -> tuple[str, ...]:
        """Return the domains for which a plugin has a task or a backbone, sorted."""
        domains = {task.spec.domain for task in self.contributions("task")}
        domains.update(backbone.spec.domain for backbone in self.contributions("backbone"))
        domains.update(catalogue.spec.domain for catalogue in self.contributions("catalogue"))
        return tuple(sorted(domains))

    def infos(self, *, load: bool = True) -> tuple[PluginInfo, ...]:
        """Return the information about each plugin, the built-in one first; it does not raise in strict mode.

        Args:
            load: Load the plugins first. Without it nothing is imported.
        """
        if load or self._loaded:
            return self._load().infos
        return tuple(info for _, info in screen(self._candidates(), self._switches()))

    def to_disable(self, info: PluginInfo) -> str:
        """Return the setting that disables a plugin in addition to those that are disabled already."""
        return self._switches().to_disable(info)

    def to_enable(self, info: PluginInfo) -> str:
        """Return the command that enables a plugin that a setting disables."""
        return self._switches().to_enable(info)

    def explain_missing(self, kind: str, name: str, *, domain: str | None = None) -> str | None:
        """Return a sentence that says why a contribution may be missing, or None if no reason is known.

        Args:
            kind: ``"task"``, ``"backbone"``, ``"strategy"``, ``"callback"``, ``"engine"`` or ``"data source"``.
            name: Its name.
            domain: The domain it would belong to; for a task it is read from the name.
        """
        domain = domain or (name.partition("/")[0] if kind == "task" else None)
        infos = self.infos()
        dist = DOMAINS.get(domain or "")
        if dist and canonical(dist) not in {canonical(info.dist) for info in infos}:
            return f"flash.{domain} is provided by a plugin that is not installed: pip install {dist}."
        absent = [info for info in infos if info.state is not PluginState.LOADED]
        if not absent:
            return None
        reasons = "; ".join(f"{info}, {info.state}: {info.error or ' '.join(info.notes)}" for info in absent)
        return f"Plugins that are not loaded and may have this {kind}: {reasons}."

    def _index(
        self, kind: str, what: str, found: Iterable[Contribution[S]], domain: str | None = None
    ) -> NameIndex[Contribution[S]]:
        return NameIndex(found, what, lambda name: self.explain_missing(kind, name, domain=domain))

    def _switches(self) -> Switches:
        return Switches.read(os.environ if self._environ is None else self._environ)

    def _candidates(self) -> list[Candidate]:
        location = str(Path(flash.__file__).parent.parent)
        builtin = Candidate(Provider(CORE, CORE, flash.__version__, builtin=True), "flash.core._plugin", location)
        return [builtin, *self._discover()]

    def _usable(self) -> _Many[Spec]:
        loaded = self._load()
        if loaded.refused:
            raise _error(loaded.refused, self._switches()) from loaded.refused.exception
        return loaded.contributions

    def _load(self) -> _Loaded:
        if self._loaded is None:
            with self._lock:
                if self._loading:
                    raise PluginError("a plugin looked up contributions while it was being loaded itself")
                if self._loaded is None:
                    self._loading = True
                    try:
                        self._loaded, problems = self._load_all()
                    finally:
                        self._loading = False
                    for problem in problems:
                        warn_user(problem)
        return self._loaded

    def _load_all(self) -> tuple[_Loaded, list[str]]:
        switches = self._switches()
        candidates = self._candidates()
        screened = screen(candidates, switches)
        loaded = (
            _loading.load(candidate) if info.state is PluginState.AVAILABLE else info for candidate, info in screened
        )
        infos = tuple(mark_clashes(refuse_foreign_renames(loaded)))
        problems = switches.unknown(candidates[1:], builtin=[CORE])
        refused = next((info for info in infos if info.in_trouble and (switches.strict or info is infos[0])), None)
        if not refused:
            left_out = [info for info in infos if info.in_trouble]
            problems += [str(_error(info, switches)) for info in left_out]
        contributions = tuple(contribution for info in infos for contribution in info.contributions)
        return _Loaded(infos, contributions, refused), problems


def _error(info: PluginInfo, switches: Switches) -> PluginError:
    wrong = sentence(info.error or "")
    remedy = f"Disable it with {switches.to_disable(info)}"
    if info.state is PluginState.CONFLICT:
        return PluginConflictError(f"plugin {info} is in conflict: {wrong} {remedy}")
    return PluginError(
        f"plugin {info} failed and is left out: {wrong} {remedy}; 'flash plugins --debug' has the traceback"
    )
