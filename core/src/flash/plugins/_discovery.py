"""Which plugins are installed, from metadata alone: nothing is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions
from types import ModuleType

from flash.plugins.info import PluginInfo, PluginState, Provider, canonical

__all__ = ["GROUP", "Candidate", "given", "installed"]

GROUP = "flash.plugins"


@dataclass(frozen=True)
class Candidate:
    """A plugin that could be loaded."""

    provider: Provider
    target: str
    location: str
    plugin: object = field(default=None, compare=False)

    @property
    def info(self) -> PluginInfo:
        """What is known about it before it is loaded."""
        provider = self.provider
        return PluginInfo(
            name=provider.plugin,
            dist=provider.dist,
            version=provider.version,
            target=self.target,
            location=self.location,
            state=PluginState.AVAILABLE,
        )

    def load(self) -> object:
        """Import it."""
        if self.plugin is not None:
            return self.plugin
        return EntryPoint(self.provider.plugin, self.target, GROUP).load()


def installed(path: Sequence[str] | None = None) -> list[Candidate]:
    """The plugins of all distributions on ``path`` (``sys.path`` by default), sorted by name.

    A distribution that is on the path twice counts once: the copy that Python would import from.
    """
    where = sys.path if path is None else list(path)
    candidates: dict[Candidate, None] = {}
    copies: dict[str, Distribution] = {}
    for dist in distributions(path=where):
        entry_points = _entry_points(dist)
        if not entry_points:
            continue
        found = next(iter(distributions(name=dist.name, path=where)), dist)
        first = copies.setdefault(canonical(dist.name), found)
        if _folder(first) == _folder(dist) and first.version == dist.version:
            candidates.update(dict.fromkeys(_candidates(dist, entry_points)))
    return sorted(candidates, key=lambda each: (canonical(each.provider.plugin), str(each.provider), each.target))


def _entry_points(dist: Distribution) -> list[EntryPoint]:
    # One distribution with unreadable metadata must not hide the plugins of all the others.
    try:
        if GROUP not in (dist.read_text("entry_points.txt") or ""):
            return []
        if "Name" not in dist.metadata or "Version" not in dist.metadata:
            return []
        return [entry for entry in dist.entry_points if entry.group == GROUP]
    except Exception:
        return []


def _candidates(dist: Distribution, entry_points: Iterable[EntryPoint]) -> Iterator[Candidate]:
    for entry in entry_points:
        yield Candidate(Provider(entry.name, dist.name, dist.version), entry.value, _folder(dist))


def _folder(dist: Distribution) -> str:
    return str(dist.locate_file(""))


def given(plugins: Iterable[object]) -> list[Candidate]:
    """Candidates for modules or objects that are at hand instead of installed."""
    candidates: list[Candidate] = []
    taken: set[str] = set()
    for plugin in plugins:
        name = base = plugin.__name__ if isinstance(plugin, (ModuleType, type)) else type(plugin).__name__
        number = 2
        while canonical(name) in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(canonical(name))
        location = getattr(plugin, "__file__", None) or ""
        candidates.append(Candidate(Provider(name, name, ""), base, location, plugin))
    return candidates
