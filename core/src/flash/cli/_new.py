"""``flash plugin new``: create the project of a working plugin, as a starting point."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import flash
from flash.errors import ConfigurationError
from flash.plugins import HOOK_API
from flash.plugins.first_party import DOMAINS

__all__ = ["KINDS", "Project", "add_to", "run", "write_project"]

#: The kinds of contributions that a project can contain.
KINDS: Final = ("task", "backbone", "strategy", "source")

_SPECS = {"task": "TaskSpec", "backbone": "Backbone", "strategy": "Strategy", "source": "DataSource"}
_DIST = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_DOMAIN = re.compile(r"[a-z][a-z0-9]*")
_WORDS = {"task": "a task", "backbone": "a backbone", "strategy": "a finetuning strategy", "source": "a data source"}
_ALL = frozenset(KINDS)
# Templates, the files that they are rendered to, and the kinds that need them.
_FILES: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    ("pyproject.toml", "pyproject.toml", _ALL),
    ("README.md", "README.md", _ALL),
    ("CHANGELOG.md", "CHANGELOG.md", _ALL),
    ("gitignore", ".gitignore", _ALL),
    ("ci.yml", ".github/workflows/test.yml", _ALL),
    ("init.py", "src/{package}/__init__.py", _ALL),
    ("py.typed", "src/{package}/py.typed", _ALL),
    ("plugin.py", "src/{package}/plugin.py", _ALL),
    ("tones.py", "src/{package}/tones.py", frozenset({"task", "source"})),
    ("backbones.py", "src/{package}/backbones.py", frozenset({"task", "backbone"})),
    ("data.py", "src/{package}/data.py", frozenset({"task"})),
    ("task.py", "src/{package}/task.py", frozenset({"task"})),
    ("finetuning.py", "src/{package}/finetuning.py", frozenset({"strategy"})),
    ("sources.py", "src/{package}/sources.py", frozenset({"source"})),
    ("conftest.py", "tests/conftest.py", _ALL),
    ("test_plugin.py", "tests/test_plugin.py", _ALL),
    ("test_task.py", "tests/test_task.py", frozenset({"task"})),
    ("test_backbones.py", "tests/test_backbones.py", frozenset({"backbone"})),
    ("test_finetuning.py", "tests/test_finetuning.py", frozenset({"strategy"})),
    ("test_sources.py", "tests/test_sources.py", frozenset({"source"})),
)


@dataclass(frozen=True)
class Project:
    """Name and contents of a new project.

    Args:
        dist: Name of the distribution, such as ``"acme-sonar"``; its top-level package is ``acme_sonar``.
        kinds: The kinds of :data:`KINDS` that it contains.
        domain: The domain of its task and backbone; by default the last word of the name.

    Raises:
        ConfigurationError: If a name cannot be used, or belongs to Flash or to Python.

    Example:
        >>> Project("acme-sonar", {"task"}).names["package"]
        'acme_sonar'
    """

    dist: str
    kinds: Iterable[str]
    domain: str | None = None

    def __post_init__(self) -> None:
        if not _DIST.fullmatch(self.dist):
            raise ConfigurationError(
                f"Expected a name of lower-case letters, digits and single hyphens, such as 'acme-sonar', but got "
                f"{self.dist!r}."
            )
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown or not set(self.kinds):
            raise ConfigurationError(f"Expected some of {', '.join(KINDS)}, but got {unknown or 'none'}.")
        package, domain = self.names["package"], self.names["domain"]
        if (
            package in {"flash", *sys.stdlib_module_names}
            or keyword.iskeyword(package)
            or self.dist.startswith("flash-")
        ):
            raise ConfigurationError(
                f"Expected a name of your own, such as 'acme-{domain}', but {self.dist!r} belongs to "
                f"{'Flash' if self.dist.startswith('flash') else 'Python'}."
            )
        if not _DOMAIN.fullmatch(domain) or keyword.iskeyword(domain):
            raise ConfigurationError(
                f"Expected a domain of lower-case letters and digits, such as 'sonar', but got {domain!r}. "
                "Name one with --domain."
            )
        if domain in DOMAINS and {"task", "backbone"} & set(self.kinds):
            raise ConfigurationError(
                f"Expected a domain of your own, but {domain!r} is that of {DOMAINS[domain]}; what is written "
                "works on signals. Name another with --domain."
            )

    @property
    def names(self) -> dict[str, Any]:
        """Variables of the templates."""
        package = self.dist.replace("-", "_")
        domain = self.dist.rpartition("-")[2] if self.domain is None else self.domain
        kinds = set(self.kinds)
        major, minor, *_ = flash.__version__.split(".")
        has_task = "task" in kinds
        return {
            "dist": self.dist,
            "package": package,
            "domain": domain,
            "Domain": domain.capitalize(),
            "summary": f"A plugin for Flash: {_listed(kinds)} for signals.",
            "core": f"{major}.{minor}",
            "next_core": f"{major}.{int(minor) + 1}" if major == "0" else f"{int(major) + 1}",
            "hook_api": HOOK_API,
            "spec_names": ", ".join(sorted(_SPECS[kind] for kind in kinds)),
            "strategy_name": f"{package}_layer_by_layer",
            "source_name": "tones" if has_task else f"{package}_tones",
            "source_scope": f"{domain}/classification" if has_task else "*",
            **{kind: kind in kinds for kind in KINDS},
        }


def _listed(kinds: set[str]) -> str:
    chosen = [_WORDS[kind] for kind in KINDS if kind in kinds]
    return chosen[0] if len(chosen) == 1 else f"{', '.join(chosen[:-1])} and {chosen[-1]}"


def write_project(project: Project, folder: Path) -> list[Path]:
    """Write the files of a project.

    Args:
        project: Name and contents of the project.
        folder: The folder to write to; it is created if missing, and must be empty.

    Returns:
        The files, relative to the folder.

    Raises:
        ConfigurationError: If the folder is not empty, or it cannot be written.
    """
    import jinja2

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(
            f"Expected an empty place to write to, but {folder} is there. Choose another --folder."
        )
    templates = jinja2.Environment(  # noqa: S701  # the templates are Python and Markdown, not HTML
        loader=jinja2.PackageLoader("flash.cli"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names, kinds = project.names, set(project.kinds)
    written = []
    try:
        for template, path, needed_by in _FILES:
            if kinds & needed_by:
                file = Path(path.format(package=names["package"]))
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(templates.get_template(f"{template}.j2").render(names), encoding="utf-8")
                written.append(file)
    except OSError as error:
        raise ConfigurationError(f"Expected to write to {folder}, but: {error}. Choose another --folder.") from error
    return written


def add_to(commands: Any) -> None:
    """Add the subcommand to ``flash plugin``."""
    new = commands.add_parser(
        "new", help="write a project that works", description="Write the project of a plugin that works, with tests."
    )
    new.add_argument("name", metavar="NAME", help="name of the distribution, such as acme-sonar")
    for kind in KINDS:
        more = " with its data (the default)" if kind == "task" else ""
        new.add_argument(f"--{kind}", action="store_true", help=_WORDS[kind] + more)
    new.add_argument("--domain", help="the domain of the task and backbone; by default the last word of the name")
    new.add_argument("--folder", type=Path, help="where to; by default a folder of that name here")
    new.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the project, and print the next steps."""
    kinds = [kind for kind in KINDS if getattr(arguments, kind)] or ["task"]
    project = Project(arguments.name, frozenset(kinds), arguments.domain)
    folder = arguments.folder or Path(project.dist)
    for file in write_project(project, folder):
        print(f"  {folder / file}")
    print(f'\nTry it:\n  cd {folder}\n  pip install -e ".[test]"\n  pytest\n  flash plugins --check')
    return 0
