"""Names that several parties may claim, and the sentences for a name that is unknown or disputed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol, TypeVar

from flash.errors import PluginConflictError, UnknownNameError
from flash.plugins.first_party import is_first_party
from flash.plugins.info import Provider, canonical

__all__ = ["Claim", "NameIndex", "natural", "one_per_provider", "qualified_names", "resolve", "unknown_name"]


class Claim(Protocol):
    """Something that has a name and, unless it was made in this process, a provider."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> Provider | None: ...


C = TypeVar("C", bound=Claim)


class NameIndex(Mapping[str, C]):
    """A mapping in which a name that two plugins claim belongs to neither.

    A disputed name is listed, and found, as ``"<dist>/<name>"``. What was registered in this process comes
    before what is built in, and both come before plugins; within one plugin the first claim counts.
    """

    def __init__(self, claims: Iterable[C], what: str, explain: Callable[[str], str | None] | None = None) -> None:
        self.what = what
        self._explain = explain
        grouped: dict[str, list[C]] = {}
        for claim in claims:
            grouped.setdefault(claim.name, []).append(claim)
        self._by_name = {name: one_per_provider(several) for name, several in grouped.items()}

    def __getitem__(self, name: str) -> C:
        candidates = self.candidates(name)
        if not candidates:
            raise unknown_name(name, self.what, list(self), self._explain)
        return resolve(name, self.what, candidates)

    def __iter__(self) -> Iterator[str]:
        for name, candidates in self._by_name.items():
            if _winner(candidates) is not None:
                yield name
            else:
                yield from qualified_names(candidates)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _winner(self.candidates(name)) is not None

    def candidates(self, name: str) -> list[C]:
        """Return all that claim a name, qualified or not."""
        return self._by_name.get(name) or self._qualified(name)

    def _qualified(self, name: str) -> list[C]:
        owner, _, plain = name.partition("/")
        claims = self._by_name.get(plain, ())
        return [claim for claim in claims if claim.provider and claim.provider.is_called(owner)]


def one_per_provider(claims: Iterable[C]) -> list[C]:
    """Drop all but the first claim of each provider."""
    kept: list[C] = []
    for claim in claims:
        if all(other.provider != claim.provider for other in kept):
            kept.append(claim)
    return kept


def resolve(name: str, what: str, candidates: Sequence[C], prefer: str | None = None) -> C:
    """Return the candidate that has a name.

    Args:
        name: The name.
        what: What the candidates are, in the plural; the error message uses it.
        candidates: Those that claim the name, at least one.
        prefer: The distribution that wins over other plugins.

    Raises:
        PluginConflictError: If several plugins claim the name, and none of them is preferred.
    """
    winner = _winner(candidates, prefer)
    if winner is None:
        raise PluginConflictError(_dispute(name, what, candidates))
    return winner


def _winner(candidates: Sequence[C], prefer: str | None = None) -> C | None:
    if len(candidates) == 1:
        return candidates[0]
    local = next((each for each in candidates if each.provider is None), None)
    builtin = next((each for each in candidates if each.provider and each.provider.builtin), None)
    preferred = [each for each in candidates if prefer and each.provider and each.provider.is_called(prefer)]
    return local or builtin or (preferred[0] if len(preferred) == 1 else None)


def qualified_names(candidates: Sequence[C]) -> list[str]:
    """Return ``"dist/name"`` of each candidate that a plugin contributes, those of Flash's own packages first.

    Two plugins of the same distribution are told apart by the names of their entry points.
    """
    providers = _in_order(candidates)
    one_dist = len({canonical(provider.dist) for provider in providers}) < len(providers)
    return [f"{p.plugin if one_dist else p.dist}/{candidates[0].name}" for p in providers]


def _in_order(candidates: Sequence[C]) -> list[Provider]:
    providers = [each.provider for each in candidates if each.provider]
    return sorted(providers, key=lambda provider: not is_first_party(provider.dist))


def _dispute(name: str, what: str, candidates: Sequence[C]) -> str:
    owners = " and by ".join(map(str, _in_order(candidates)))
    choices = " or ".join(map(repr, qualified_names(candidates)))
    return f"{name!r} among the {what} is claimed by {owners}, so neither gets it. Write {choices}."


def unknown_name(
    name: str, what: str, known: Sequence[str], explain: Callable[[str], str | None] | None = None
) -> UnknownNameError:
    """The error for a name that is not there: what is close, what there is, and which plugin may have it."""
    lowered = {one.lower(): one for one in known}
    close = [repr(lowered[match]) for match in get_close_matches(name.lower(), lowered, n=3)]
    message = f"{name!r} is not among the {what}."
    if close:
        message += f" Did you mean {' or '.join(close)}?"
    shown = ", ".join(sorted(known, key=natural)[:10])
    rest = f", ... ({len(known)} in all)" if len(known) > 10 else ""
    message += f" There are: {shown}{rest}." if known else " There are none yet."
    explanation = explain(name) if explain else None
    return UnknownNameError(f"{message} {explanation}" if explanation else message)


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts ``resnet9`` before ``resnet18``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]
