"""Tables and JSON on standard output."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence

from flash.plugins import Provider

__all__ = ["columns", "counted", "print_json", "provider_json", "table", "wrap"]

# The plurals that do not end with one more s.
_PLURALS = {"strategy": "strategies", "loss": "losses"}


def _width() -> int:
    return max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format rows as aligned columns; the last one is wrapped to the width of the terminal.

    Example:
        >>> print(table(["NAME", "SUMMARY"], [["freeze", "Train the head."], ["no_freeze", "Train all."]]))
        NAME       SUMMARY
        freeze     Train the head.
        no_freeze  Train all.
    """
    lines = [list(headers), *map(list, rows)]
    widths = [max(map(len, column)) for column in list(zip(*lines, strict=True))[:-1]]
    indent = " " * sum(width + 2 for width in widths)
    room = max(30, _width() - len(indent))
    shown = []
    for line in lines:
        start = "".join(cell.ljust(width + 2) for cell, width in zip(line, widths, strict=False))
        last = [part for row in line[-1].splitlines() for part in wrap(row, room)]
        shown += [start + (last or [""])[0], *(indent + part for part in last[1:])]
    return "\n".join(line.rstrip() for line in shown)


def wrap(text: str, width: int | None = None) -> list[str]:
    """Return a text as lines of a width, by default that of the terminal; words are not divided.

    Example:
        >>> wrap("Every network there is.", width=14)
        ['Every network', 'there is.']
    """
    return textwrap.wrap(text, width or _width(), break_long_words=False, break_on_hyphens=False)


def columns(names: Sequence[str]) -> str:
    """Format names in as many columns as fit, in column-major order.

    Example:
        >>> print(columns(["a", "b", "c"]))
          a  b  c
    """
    cell = max(map(len, names), default=0) + 2
    height = -(-len(names) // max(1, (_width() - 2) // cell))
    rows = ("".join(name.ljust(cell) for name in names[row::height]) for row in range(height))
    return "\n".join(f"  {row}".rstrip() for row in rows)


def counted(number: int, what: str) -> str:
    """Return a number with its noun, in the singular or plural.

    Example:
        >>> counted(4, "strategy")
        '4 strategies'
    """
    return f"{number} {what if number == 1 else _PLURALS.get(what, what + 's')}"


def provider_json(provider: Provider | None) -> dict[str, str] | None:
    """Convert a provider to JSON values."""
    if provider is None:
        return None
    return {"plugin": provider.plugin, "dist": provider.dist, "version": provider.version}


def print_json(value: object) -> None:
    """Print a value as indented JSON; other types are converted to strings."""
    print(json.dumps(value, indent=2, default=str))
