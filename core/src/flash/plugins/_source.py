"""Inspect the source of modules without importing them: their definitions and imports."""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

__all__ = ["Find", "Import", "Source", "find_installed", "is_installed", "modules_beside", "target_problem"]


@dataclass(frozen=True)
class Import:
    """An absolute import of a module.

    Args:
        module: Its full name.
        line: The line of the statement.
        optional: Whether the module can be imported without it: the import is in a function, in a ``try``, or for type
            checkers.
    """

    module: str
    line: int
    optional: bool


@dataclass(frozen=True)
class Source:
    """The source of a module.

    Args:
        name: The full name of the module.
        file: Its path, for messages.
        text: The source; None for a compiled module.
    """

    name: str
    file: str
    text: str | None

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; raises a SyntaxError if the source is not valid Python."""
        return ast.parse(self.text or "", self.file)

    def names(self) -> set[str] | None:
        """Return the names defined at the top level; None if they cannot be determined."""
        if self.text is None:
            return None
        found: set[str] = set()
        for node in _top_level(self.tree.body):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
            else:
                found.update(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
        return None if found & {"*", "__getattr__"} else found

    def imports(self) -> Iterator[Import]:
        """Yield its absolute imports."""
        if self.text is None:
            return
        needed = {id(node) for node in self.tree.body}
        for node in ast.walk(self.tree):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules = [node.module]
            for module in modules:
                yield Import(module, node.lineno, id(node) not in needed)  # type: ignore[attr-defined]  # a statement


#: Finds the source of a module by its full name.
Find = Callable[[str], Source | None]


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            blocks = [getattr(node, field, []) for field in ("body", "orelse", "finalbody")]
            blocks += [handler.body for handler in getattr(node, "handlers", [])]
            for block in blocks:
                yield from _top_level(block)
        else:
            yield node


def find_installed(module: str) -> Source | None:
    """Find the source of an installed module without importing its parent packages."""
    found = _spec(module)
    if found is None:
        return None
    origin = found.origin or ""
    text = Path(origin).read_text(encoding="utf-8", errors="replace") if origin.endswith(".py") else None
    return Source(module, origin, text)


def is_installed(module: str) -> bool:
    """Return whether a top-level module is installed."""
    return module in sys.builtin_module_names or _spec(module) is not None


def _spec(module: str) -> importlib.machinery.ModuleSpec | None:
    first, *rest = module.split(".")
    try:
        found = getattr(sys.modules.get(first), "__spec__", None) or importlib.util.find_spec(first)
        path = getattr(sys.modules.get(first), "__path__", None) or getattr(found, "submodule_search_locations", None)
        name = first
        for part in rest:
            if found is None or path is None:
                return None
            name = f"{name}.{part}"
            found = importlib.machinery.PathFinder.find_spec(name, [*path])
            path = getattr(found, "submodule_search_locations", None)
    except (ImportError, ValueError, AttributeError):
        return None
    return found


def modules_beside(module: str) -> list[str]:
    """Return the full names of the modules in the same package as a module."""
    package = module.rpartition(".")[0]
    found = _spec(package) if package else None
    return [f"{package}.{each.name}" for each in pkgutil.iter_modules(getattr(found, "submodule_search_locations", []))]


def target_problem(
    target: str, find: Find, beside: Callable[[str], list[str]], bases: Mapping[str, str] | None = None
) -> str | None:
    """Return a sentence about the error in a ``"module:attribute"`` string, or None if there is none.

    Args:
        target: The string.
        find: Finds sources.
        beside: Returns the modules in the same package as a missing one.
        bases: The class that the target has to inherit from, by its display name; empty for any target.
    """
    module, _, attribute = target.partition(":")
    source = find(module)
    if source is None:
        near = beside(module)
        close = get_close_matches(module, near, n=1) or near[:5]
        has = f"; the package has {', '.join(close)}" if close else ""
        return f"{target} cannot be imported: there is no module {module!r}{has}"
    try:
        names = source.names()
    except SyntaxError as error:
        return f"{target} cannot be imported: {source.file}, line {error.lineno}: {error.msg}"
    first = attribute.partition(".")[0]
    if names is not None and first not in names:
        close = get_close_matches(first, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{target} cannot be imported: there is no {first!r} in {source.file}{hint}"
    for word, wanted in (bases or {}).items():
        if first == attribute and _inherits_nothing(source, attribute):
            return f"{target} is not a {word}: it has to inherit from {wanted}, or from a class that does"
    return None


def _inherits_nothing(source: Source, name: str) -> bool:
    for node in source.tree.body if source.text is not None else []:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return not node.bases
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return True
    return False
