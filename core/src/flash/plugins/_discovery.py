"""Discover installed plugins by their metadata, without importing anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from flash.plugins._messages import clean, one_line
from flash.plugins.info import PluginInfo, PluginState, Provider, canonical

__all__ = ["GROUP", "Candidate", "from_objects", "installed"]

GROUP = "flash.plugins"


@dataclass(frozen=True)
class Candidate:
    """A plugin that could be loaded."""

    provider: Provider
    target: str
    location: str
    plugin: object = field(default=None, compare=False)
    #: The reason why it cannot be loaded, if its metadata cannot be read.
    error: str = ""

    @property
    def info(self) -> PluginInfo:
        """The information about it before it is loaded."""
        provider = self.provider
        return PluginInfo(
            name=provider.plugin,
            dist=provider.dist,
            version=provider.version,
            target=self.target,
            location=self.location,
            state=PluginState.FAILED if self.error else PluginState.AVAILABLE,
            error=self.error or None,
        )

    def load(self) -> object:
        """Import the plugin."""
        if self.plugin is not None:
            return self.plugin
        return EntryPoint(self.provider.plugin, self.target, GROUP).load()


def installed(path: Sequence[str] | None = None) -> list[Candidate]:
    """Return the plugins of all distributions on ``path`` (``sys.path`` by default), sorted by name.

    A distribution that is on the path twice counts once: the copy that Python would import.
    """
    where = sys.path if path is None else list(path)
    candidates: dict[Candidate, None] = {}
    copies: dict[str, Distribution] = {}
    for dist in distributions(path=where):
        try:
            # The text first: parsing the entry points of every distribution is slow.
            if GROUP not in (dist.read_text("entry_points.txt") or ""):
                continue
            found = [entry for entry in dist.entry_points if entry.group == GROUP]
            if not found:
                continue
            name, _ = _name_and_version(dist)
            first = copies.setdefault(canonical(name), next(iter(distributions(name=dist.name, path=where)), dist))
            if _folder(first) == _folder(dist) and first.version == dist.version:
                candidates.update(dict.fromkeys(_candidates(dist, found)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # Metadata that cannot be read must not hide the plugins of all the others.
            candidates.update(dict.fromkeys(_damaged(dist, error)))
    return sorted(candidates, key=lambda each: (canonical(each.provider.plugin), str(each.provider), each.target))


def _name_and_version(dist: Distribution) -> tuple[str, str]:
    metadata: Any = dist.metadata
    for field_ in ("Name", "Version"):
        if not metadata or not metadata[field_]:
            raise ValueError(f"METADATA has no {field_}")
    return clean(metadata["Name"], 100), clean(metadata["Version"], 50)


def _candidates(dist: Distribution, entry_points: Iterable[EntryPoint]) -> Iterator[Candidate]:
    name, version = _name_and_version(dist)
    for entry in entry_points:
        yield Candidate(Provider(clean(entry.name, 100), name, version), clean(entry.value), _folder(dist))


def _damaged(dist: Distribution, error: BaseException) -> Iterator[Candidate]:
    """Yield a candidate for a distribution whose metadata cannot be read, if its entry points mention a plugin."""
    folder = getattr(dist, "_path", None)
    try:
        text = (Path(str(folder)) / "entry_points.txt").read_bytes().decode("utf-8", "replace")
    except OSError:
        return
    if f"[{GROUP}]" not in text:
        return
    name, _, version = Path(str(folder)).stem.partition("-")
    name = clean(name.replace("_", "-"), 100)
    lines = text.partition(f"[{GROUP}]")[2].partition("\n[")[0].splitlines()
    entries = [line.partition("=")[0].strip() for line in lines if "=" in line]
    provider = Provider(clean(entries[0] if entries else name, 100), name, clean(version, 50))
    reason = f"its metadata in {folder} cannot be read: {one_line(error)}"
    yield Candidate(provider, "", _folder(dist), error=reason)


def _folder(dist: Distribution) -> str:
    return str(dist.locate_file(""))


def from_objects(plugins: Iterable[object]) -> list[Candidate]:
    """Return candidates for modules or objects that are not installed."""
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
