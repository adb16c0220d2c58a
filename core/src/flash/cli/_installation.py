"""Installed distributions and their files under ``flash/``, for the doctor."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from flash.plugins._messages import clean
from flash.plugins.info import canonical

__all__ = ["InstalledDist", "installed_dists"]


@dataclass(frozen=True)
class InstalledDist:
    """An installed distribution, and its files in the ``flash`` package.

    Args:
        name: Its name, as pip knows it.
        version: Its version.
        folder: The folder that its files are relative to.
        files: Its files under ``flash/``, relative and with forward slashes.
        requires: Its requirements, unparsed.
        source: The folder of its source, if it is installed in editable mode.
        origin: The URL that it was installed from, if not from an index.
    """

    name: str
    version: str
    folder: Path
    files: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    source: Path | None = None
    origin: str = ""

    def holds(self, portion: Path) -> bool:
        """Return whether it owns a ``flash`` folder."""
        if self.source and portion.is_relative_to(self.source):
            return True
        return bool(self.files) and portion.parent == self.folder


def installed_dists(path: Sequence[str] | None = None) -> list[InstalledDist]:
    """Return the distributions on a path, ``sys.path`` by default; the first one of each name."""
    found: dict[str, InstalledDist] = {}
    for dist in map(_read, distributions(path=sys.path if path is None else list(path))):
        if dist:
            found.setdefault(canonical(dist.name), dist)
    return list(found.values())


def _read(dist: Distribution) -> InstalledDist | None:
    try:
        metadata = dist.metadata  # Each use parses the file anew.
        if "Name" not in metadata or "Version" not in metadata:
            return None
        source, origin = _direct_url(dist)
        return InstalledDist(
            name=metadata["Name"],
            version=metadata["Version"],
            folder=Path(str(dist.locate_file(""))).resolve(),
            files=_files(dist),
            requires=tuple(dist.requires or ()),
            source=source,
            origin=origin,
        )
    except Exception:  # Unreadable metadata of other distributions is not a problem of Flash.
        return None


def _files(dist: Distribution) -> tuple[str, ...]:
    # Distribution.files parses every line of RECORD, which takes seconds if torch is installed.
    record = dist.read_text("RECORD") or ""
    files = (line.partition(",")[0].strip('"').replace("\\", "/") for line in record.splitlines())
    return tuple(file for file in files if file.startswith("flash/") and "__pycache__" not in file)


def _direct_url(dist: Distribution) -> tuple[Path | None, str]:
    direct = json.loads(dist.read_text("direct_url.json") or "{}")
    url = clean(direct.get("url", ""))
    if not direct.get("dir_info", {}).get("editable"):
        return None, url
    return Path(url2pathname(urlsplit(direct["url"]).path)).resolve(), url
