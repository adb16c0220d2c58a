"""Names that several parties may claim, and the sentences for a name that is unknown or disputed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol, TypeVar

from flash.errors import PluginConflictError, UnknownNameError
from flash.plugins.info import Provider, canonical

__all__ = ["Claim", "Claims", "natural", "unknown_name"]


class Claim(Protocol):
    """Something that has a name and, unless it was made in this process, a provider."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> Provider | None: ...


C = TypeVar("C", bound=Claim)


class Claims(Mapping[str, C]):
    """A mapping in which a name that two plugins claim belongs to neither.

    A disputed name is listed, and found, as ``"<dist>/<name>"``. What was registered in this process comes
    before what is built in, and both come before plugins; within one plugin the first claim counts.
    """

    def __init__(self, claims: Iterable[C], what: str, explain: Callable[[str], str | None] | None = None) -> None:
        self.what = what
        self._explain = explain
        self._by_name: dict[str, list[C]] = {}
        for claim in claims:
            rivals = self._by_name.setdefault(claim.name, [])
            if all(rival.provider != claim.provider for rival in rivals):
                rivals.append(claim)

    def __getitem__(self, name: str) -> C:
        rivals = self.claimants(name)
        if not rivals:
            raise unknown_name(name, self.what, list(self), self._explain)
        winner = _winner(rivals)
        if winner is None:
            raise PluginConflictError(_dispute(name, self.what, rivals))
        return winner

    def __iter__(self) -> Iterator[str]:
        for name, rivals in self._by_name.items():
            if _winner(rivals) is not None:
                yield name
            else:
                yield from _qualified_names(rivals)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _winner(self.claimants(name)) is not None

    def claimants(self, name: str) -> list[C]:
        """All who claim a name, qualified or not."""
        return self._by_name.get(name) or self._qualified(name)

    def _qualified(self, name: str) -> list[C]:
        owner, _, plain = name.partition("/")
        claims = self._by_name.get(plain, ())
        return [claim for claim in claims if claim.provider and claim.provider.is_called(owner)]


def _winner(rivals: Sequence[C]) -> C | None:
    if len(rivals) == 1:
        return rivals[0]
    local = next((rival for rival in rivals if rival.provider is None), None)
    return local or next((rival for rival in rivals if rival.provider and rival.provider.builtin), None)


def _qualified_names(rivals: Sequence[C]) -> list[str]:
    providers = [rival.provider for rival in rivals if rival.provider]
    one_dist = len({canonical(provider.dist) for provider in providers}) < len(providers)
    return [f"{p.plugin if one_dist else p.dist}/{rivals[0].name}" for p in providers]


def _dispute(name: str, what: str, rivals: Sequence[C]) -> str:
    providers = [rival.provider for rival in rivals if rival.provider]
    owners = " and by ".join(map(str, providers))
    return (
        f"{name!r} among the {what} is claimed by {owners}, so neither gets it. "
        f"Write {' or '.join(map(repr, _qualified_names(rivals)))}, or keep one plugin out: "
        f"FLASH_DISABLE_PLUGINS={providers[-1].plugin}"
    )


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
