"""The names of timm's models, from a list in the package: listing them imports neither torch nor timm.

If timm is already imported, as for building a model, its own names are added, so that models of a timm that is newer
than the list are found. ``python -m flash.image.timm_index`` prints an updated list.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = ["index_version", "names"]

INDEX = Path(__file__).with_name("_timm_names.txt")


def names() -> list[str]:
    """Return the names of the models, in alphabetical order.

    Example:
        >>> "resnet18" in names()
        True
    """
    shipped = {line for line in INDEX.read_text(encoding="utf-8").splitlines() if not line.startswith("#")}
    timm: Any = sys.modules.get("timm")
    installed: list[str] = timm.list_models() if hasattr(timm, "list_models") else []
    return sorted(shipped.union(installed))


def index_version() -> str:
    """Return the version of timm that the list in the package was made from.

    Example:
        >>> index_version().startswith("1.")
        True
    """
    return INDEX.read_text(encoding="utf-8").partition("\n")[0].rpartition(" ")[2]


def fresh_index() -> str:
    """Return the list for the installed timm."""
    import timm

    return "\n".join([f"# The models of timm {timm.__version__}", *sorted(timm.list_models())]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(fresh_index())
