"""Suggest the repair of a plugin: a command for a published one, a file and line for one in development."""

from __future__ import annotations

import importlib.util
import re
import shlex
import traceback
from collections.abc import Iterable
from pathlib import Path

from flash.cli._installation import InstalledDist
from flash.plugins import PluginInfo
from flash.plugins._loading import HookApiError
from flash.plugins.first_party import CORE
from flash.plugins.info import canonical

__all__ = ["repair"]


def repair(info: PluginInfo, dists: Iterable[InstalledDist], mark: str = "") -> str:
    """Return the repair of a plugin: a command, or the file and line to edit.

    Args:
        info: The plugin.
        dists: The installed distributions.
        mark: A substring of the plugin's source, to locate the line.
    """
    found = next((dist for dist in dists if canonical(dist.name) == canonical(info.dist)), None)
    if info.dist == CORE or isinstance(info.exception, HookApiError):
        return f"pip install --upgrade {CORE}"
    if found and found.source:
        return _edit(info, found.source, mark)
    if found and found.origin:
        # An index may have another package of this name.
        return f"repair it in {found.origin}, where it was installed from, and install it again"
    if isinstance(info.exception, ImportError):
        # This reinstalls missing requirements.
        return f"pip install --upgrade {shlex.quote(info.dist)}"
    return f"pip install --upgrade {CORE} {shlex.quote(info.dist)}"


def _edit(info: PluginInfo, source: Path, mark: str) -> str:
    file, line = _place(info, source, mark)
    return f"edit {file}" + (f", line {line}" if line else "")


def _place(info: PluginInfo, source: Path, mark: str) -> tuple[Path, int | None]:
    error = info.exception
    if isinstance(error, SyntaxError) and error.filename:
        return Path(error.filename), error.lineno
    frames: list[traceback.FrameSummary] = []
    while error is not None:
        frames += traceback.extract_tb(error.__traceback__)
        error = error.__cause__
    own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(source)]
    if own:
        return Path(own[-1].filename), own[-1].lineno
    module = _file(info.target.partition(":")[0])
    if module is None:
        return source / "pyproject.toml", _line(source / "pyproject.toml", info.target)
    named = re.search(r"flash_\w+", info.error or "")
    return module, _line(module, mark or (named[0] if named else ""))


def _file(module_name: str) -> Path | None:
    try:
        found = importlib.util.find_spec(module_name)
    except Exception:  # Importing the parent may fail in any way.
        return None
    return Path(found.origin) if found and found.origin else None


def _line(file: Path, mark: str) -> int | None:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((number for number, line in enumerate(lines, 1) if mark and mark in line), None)
