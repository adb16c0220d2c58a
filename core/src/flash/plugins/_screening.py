"""Which of the installed plugins may load, decided before any of them is imported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from flash.plugins._discovery import Candidate
from flash.plugins._switches import Switches
from flash.plugins.info import Contribution, PluginInfo, PluginState, canonical
from flash.plugins.types import Spec

__all__ = ["mark_clashes", "screen"]


def screen(candidates: Iterable[Candidate], switches: Switches) -> Iterator[tuple[Candidate, PluginInfo]]:
    """Each plugin as available, disabled, or in conflict with another of the same name."""
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
    if candidate.provider.builtin:
        return candidate.info
    owners = " and by ".join(str(other.provider) for other in others)
    error = f"the plugin name {candidate.provider.plugin!r} is also used by {owners}, so neither is loaded"
    return replace(candidate.info, state=PluginState.CONFLICT, error=error)


def mark_clashes(infos: Iterable[PluginInfo]) -> Iterator[PluginInfo]:
    """The same plugins, those in conflict that give something under a name that another one also gives."""
    infos = tuple(infos)
    rivals: dict[tuple[str, str, str], list[Contribution[Spec]]] = defaultdict(list)
    for contribution in (given for info in infos for given in info.contributions):
        rivals[contribution.spec.kind, contribution.spec.scope, contribution.name].append(contribution)
    for info in infos:
        errors = []
        for contribution in info.contributions:
            claims = rivals[contribution.spec.kind, contribution.spec.scope, contribution.name]
            others = [str(claim.provider) for claim in claims if claim.provider != contribution.provider]
            if others and not contribution.provider.builtin:
                errors.append(f"the {contribution.label} is also given by {' and by '.join(others)}")
        yield replace(info, state=PluginState.CONFLICT, error="; ".join(errors)) if errors else info
