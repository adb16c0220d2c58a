"""Names that several plugins may register, and the errors for unknown and ambiguous names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol, TypeVar

from flash.errors import PluginConflictError, UnknownNameError
from flash.plugins.first_party import is_first_party
from flash.plugins.info import Provider, canonical

__all__ = ["NameIndex", "Named", "natural", "one_per_provider", "qualified_names", "resolve", "unknown_name"]


class Named(Protocol):
    """An object with a name and, unless it was registered in this process, a provider."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> Provider | None: ...


C = TypeVar("C", bound=Named)


class NameIndex(Mapping[str, C]):
    """A mapping in which a name that two plugins register is ambiguous.

    An ambiguous name is listed, and found, as ``"<dist>/<name>"``. Entries of this process take precedence
    over built-in ones, and both over those of plugins; within one plugin the first entry counts.
    """

    def __init__(self, entries: Iterable[C], what: str, explain: Callable[[str], str | None] | None = None) -> None:
        self.what = what
        self._explain = explain
        grouped: dict[str, list[C]] = {}
        for entry in entries:
            grouped.setdefault(entry.name, []).append(entry)
        self._by_name = {name: one_per_provider(several) for name, several in grouped.items()}

    def __getitem__(self, name: str) -> C:
        candidates = self.candidates(name)
        if not candidates:
            raise unknown_name(name, self.what, list(self), self._explain)
        return resolve(name, self.what, candidates)

    def __iter__(self) -> Iterator[str]:
        for name, candidates in self._by_name.items():
            if _resolve_or_none(candidates) is not None:
                yield name
            else:
                yield from qualified_names(candidates)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _resolve_or_none(self.candidates(name)) is not None

    def candidates(self, name: str) -> list[C]:
        """Return all entries with a name, qualified or not."""
        return self._by_name.get(name) or self._qualified(name)

    def _qualified(self, name: str) -> list[C]:
        owner, _, plain = name.partition("/")
        entries = self._by_name.get(plain, ())
        return [entry for entry in entries if entry.provider and entry.provider.is_called(owner)]


def one_per_provider(entries: Iterable[C]) -> list[C]:
    """Return the first entry of each provider."""
    kept: list[C] = []
    for entry in entries:
        if all(other.provider != entry.provider for other in kept):
            kept.append(entry)
    return kept


def resolve(name: str, what: str, candidates: Sequence[C], prefer: str | None = None) -> C:
    """Return the candidate that a name refers to.

    Args:
        name: The name.
        what: Name of the kind of the candidates, in the plural, for the error message.
        candidates: The entries with this name, at least one.
        prefer: The distribution to prefer over other plugins.

    Raises:
        PluginConflictError: If several plugins register the name, and none of them is preferred.
    """
    resolved = _resolve_or_none(candidates, prefer)
    if resolved is None:
        raise PluginConflictError(_dispute(name, what, candidates))
    return resolved


def _resolve_or_none(candidates: Sequence[C], prefer: str | None = None) -> C | None:
    if len(candidates) == 1:
        return candidates[0]
    local = next((each for each in candidates if each.provider is None), None)
    builtin = next((each for each in candidates if each.provider and each.provider.builtin), None)
    preferred = [each for each in candidates if prefer and each.provider and each.provider.is_called(prefer)]
    return local or builtin or (preferred[0] if len(preferred) == 1 else None)


def qualified_names(candidates: Sequence[C]) -> list[str]:
    """Return ``"dist/name"`` of each candidate from a plugin, those of Flash's own packages first.

    Two plugins of the same distribution are distinguished by the names of their entry points.
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
    """Return the error for a missing name: close names, available names, and the plugin that may have it."""
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
    """Return a sort key that puts ``resnet9`` before ``resnet18``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]
