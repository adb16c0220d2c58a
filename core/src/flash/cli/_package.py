"""Read a plugin that is not installed: the folder of a project, or a wheel."""

from __future__ import annotations

import importlib
import sys
import zipfile
from configparser import ConfigParser
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from flash.errors import ConfigurationError
from flash.plugins._messages import clean, one_line
from flash.plugins._source import Source

__all__ = ["Package", "read_package"]

_GROUP = "flash.plugins"


@dataclass(frozen=True)
class Package:
    """A distribution before it is installed.

    Args:
        name: Its name.
        version: Its version, empty if it is computed when the wheel is built.
        entry_points: The plugins: the module or ``"module:attribute"`` of each, by name.
        requires: Its requirements, unparsed.
        modules: The source of each of its modules, by full name.
        flash_files: Its files under ``flash/``.
    """

    name: str
    version: str
    entry_points: dict[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    modules: dict[str, Source] = field(default_factory=dict)
    flash_files: tuple[str, ...] = ()

    def beside(self, module: str) -> list[str]:
        """Return the full names of the modules in the same package as a module."""
        package = module.rpartition(".")[0]
        return sorted(name for name in self.modules if name.rpartition(".")[0] == package)


def read_package(path: Path) -> Package:
    """Read a project or a wheel, without importing or executing it.

    Args:
        path: The folder of a project with a ``pyproject.toml``, or a wheel.

    Raises:
        ConfigurationError: If it is neither, or cannot be read.
    """
    try:
        if path.is_dir() and (path / "pyproject.toml").is_file():
            return _read_project(path)
        if path.is_file() and path.suffix == ".whl":
            return _read_wheel(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"Expected a plugin that can be read in {path}, but: {one_line(error)}.") from error
    raise ConfigurationError(
        f"Expected the folder of a project with a pyproject.toml, or a wheel, but {path} is neither. Write the project "
        "with 'flash plugin new NAME', or build the wheel with 'python -m build'."
    )


def _read_project(folder: Path) -> Package:
    project = _toml(folder / "pyproject.toml")["project"]
    root = folder / "src" if (folder / "src").is_dir() else folder
    files = {
        file.relative_to(root).as_posix(): file.read_bytes()
        for file in sorted(root.rglob("*.py"))
        if not {"tests", "test", "docs", "build", "dist"} & {*file.relative_to(root).parts[:-1]}
        and not any(part.startswith(".") for part in file.relative_to(root).parts)
    }
    packaged = {file: data for file, data in files.items() if "/" in file or root != folder}
    places = {file: str(root / file) for file in packaged}
    return Package(
        clean(project["name"], 100),
        clean(project.get("version", ""), 50),
        {str(name): str(target) for name, target in project.get("entry-points", {}).get(_GROUP, {}).items()},
        tuple(map(str, project.get("dependencies", ()))),
        _modules(packaged, places),
        tuple(file for file in packaged if file.startswith("flash/")),
    )


def _toml(file: Path) -> dict[str, Any]:
    # By its name: the one that this Python lacks is unknown to the type checker.
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    parsed: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return parsed


def _read_wheel(file: Path) -> Package:
    with zipfile.ZipFile(file) as wheel:
        names = wheel.namelist()
        (info,) = {name.partition("/")[0] for name in names if name.partition("/")[0].endswith(".dist-info")}
        metadata = HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode())
        parser = ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        if f"{info}/entry_points.txt" in names:
            parser.read_string(wheel.read(f"{info}/entry_points.txt").decode())
        sources = {name: wheel.read(name) for name in names if name.endswith(".py")}
    return Package(
        clean(metadata["Name"], 100),
        clean(metadata["Version"], 50),
        dict(parser[_GROUP]) if parser.has_section(_GROUP) else {},
        tuple(metadata.get_all("Requires-Dist") or ()),
        _modules(sources, {name: f"{file.name}/{name}" for name in sources}),
        tuple(name for name in names if name.startswith("flash/") and not name.endswith("/")),
    )


def _modules(files: dict[str, bytes], places: dict[str, str]) -> dict[str, Source]:
    found = {}
    for file, data in files.items():
        name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found[name] = Source(name, places[file], data.decode("utf-8", "replace"))
    return found
