"""Decide which installed plugins may load, before any of them is imported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from flash.plugins._discovery import Candidate
from flash.plugins._settings import Switches
from flash.plugins.first_party import is_first_party, published_owner
from flash.plugins.info import Contribution, PluginInfo, PluginState, canonical
from flash.plugins.renames import Renamed
from flash.plugins.types import Spec

__all__ = ["describe_clash", "mark_clashes", "refuse_foreign_renames", "screen", "why_foreign"]


def screen(candidates: Iterable[Candidate], switches: Switches) -> Iterator[tuple[Candidate, PluginInfo]]:
    """Yield each plugin with its state: available, disabled, or in conflict with another of the same name."""
    candidates = tuple(candidates)
    blocked = {each: switches.why_blocked(each) for each in candidates if not each.provider.builtin}
    namesakes: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        if not blocked.get(candidate):
            namesakes[canonical(candidate.provider.plugin)].append(candidate)
    for candidate in candidates:
        reason = blocked.get(candidate)
        if reason:
            yield candidate, replace(candidate.info, state=PluginState.DISABLED, notes=(reason,))
        else:
            others = [each for each in namesakes[canonical(candidate.provider.plugin)] if each != candidate]
            yield candidate, _namesake(candidate, others) if others else candidate.info


def _namesake(candidate: Candidate, others: Sequence[Candidate]) -> PluginInfo:
    # Installing a plugin must not disable one of Flash's own.
    if _is_ours(candidate):
        return candidate.info
    owners = " and by ".join(str(other.provider) for other in others)
    outcome = "it is not loaded" if any(map(_is_ours, others)) else "neither is loaded"
    error = f"the plugin name {candidate.provider.plugin!r} is also used by {owners}, so {outcome}"
    return replace(candidate.info, state=PluginState.CONFLICT, error=error)


def _is_ours(candidate: Candidate) -> bool:
    return candidate.provider.builtin or is_first_party(candidate.provider.dist)


def mark_clashes(infos: Iterable[PluginInfo]) -> Iterator[PluginInfo]:
    """Add to each plugin the names that another plugin registers too, and their qualified names."""
    infos = tuple(infos)
    named: dict[tuple[str, str, str], list[Contribution[Spec]]] = defaultdict(list)
    for contribution in (each for info in infos for each in info.contributions):
        if contribution.spec.unique_name:
            named[contribution.spec.kind, contribution.spec.scope, contribution.name].append(contribution)
    for info in infos:
        clashes = []
        for contribution in info.contributions:
            alike = named[contribution.spec.kind, contribution.spec.scope, contribution.name]
            others = [str(other.provider) for other in alike if other.provider != contribution.provider]
            if others and not contribution.provider.builtin:
                clashes.append(describe_clash(contribution, others))
        yield replace(info, clashes=tuple(clashes)) if clashes else info


def describe_clash(contribution: Contribution[Spec], others: Iterable[str]) -> str:
    """Return a sentence that says that others register a name too, with its qualified name."""
    dist = canonical(contribution.provider.dist)
    return (
        f"the {contribution.label} is also registered by {' and by '.join(others)}: "
        f"write '{dist}/{contribution.name}' for this one"
    )


def refuse_foreign_renames(infos: Iterable[PluginInfo]) -> Iterator[PluginInfo]:
    """Mark a plugin as failed if it renames a class of another one, which would redirect the other's checkpoints."""
    infos = tuple(infos)
    for info in infos:
        reasons = (why_foreign(each.spec, info, infos) for each in info.contributions)
        reason = next(filter(None, reasons), None)
        yield replace(info, state=PluginState.FAILED, error=reason, contributions=()) if reason else info


def why_foreign(spec: Spec, info: PluginInfo, infos: Iterable[PluginInfo]) -> str | None:
    """Return a sentence about a rename from or to a class of another distribution, or None if it is not one.

    Args:
        spec: A description of the plugin.
        info: The plugin.
        infos: All plugins.
    """
    if not isinstance(spec, Renamed) or spec.of != "class":
        return None
    for path in (spec.old, spec.new):
        module = path.partition(":")[0]
        owners = [other.dist for other in infos if other.owns(module)]
        published = published_owner(module)
        owners += [published] if published else []
        if owners and canonical(info.dist) not in map(canonical, owners):
            return f"flash_renames names {path}, which belongs to {owners[0]}; a plugin renames its own classes only"
    return None
