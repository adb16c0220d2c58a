"""The published packages of Flash: the only place where the host knows domain names, to suggest what to install."""

from __future__ import annotations

from typing import Final

__all__ = ["CORE", "DOMAINS", "dists", "is_first_party", "published_owner"]

#: The distribution that all others depend on.
CORE: Final = "flash-core"

#: The packages ``flash.<name>`` that are published, and the distribution that has each.
DOMAINS: Final[dict[str, str]] = {
    "audio": "flash-audio",
    "baseline": "flash-baseline",
    "export": "flash-export",
    "image": "flash-image",
    "labels": "flash-labels",
    "ray": "flash-ray",
    "serve": "flash-serve",
    "solver": "flash-solver",
    "tabular": "flash-tabular",
    "text": "flash-text",
    "vision": "flash-image",
}

# Packages that work with the tasks of others.
_WITHOUT_TASKS: Final = ("baseline", "export", "labels", "ray", "serve", "solver")

# Published, but with a top-level package of their own.
_OTHERS: Final = ("flash-offline",)


def dists() -> list[str]:
    """Return the distributions that have tasks and backbones, sorted.

    Example:
        >>> dists()
        ['flash-audio', 'flash-image', 'flash-tabular', 'flash-text']
    """
    return sorted({dist for name, dist in DOMAINS.items() if name not in _WITHOUT_TASKS})


def published_owner(module_name: str) -> str | None:
    """Return the published package that a module of ``flash`` belongs to, or None for any other module.

    Args:
        module_name: Its full name.

    Example:
        >>> published_owner("flash.image.data"), published_owner("flash.data"), published_owner("acme")
        ('flash-image', 'flash-core', None)
    """
    first, *rest = module_name.split(".")
    if first != "flash":
        return None
    return DOMAINS.get(rest[0], CORE) if rest else CORE


def is_first_party(dist: str) -> bool:
    """Return whether a distribution is one of the published packages of Flash.

    Args:
        dist: Its name, in any spelling.

    Example:
        >>> is_first_party("Flash_Image"), is_first_party("acme-image")
        (True, False)
    """
    from flash.plugins.info import canonical

    return canonical(dist) in {CORE, *DOMAINS.values(), *_OTHERS}
