"""The rooms and floors of core: imports point down only, in no circle, and plugins use public names alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core" / "src"
# From the ground up; a room may import from its own floor and from those below.
FLOORS = [
    {"flash", "flash.errors"},
    {"flash.plugins", "flash.serialization", "flash.data.download"},
    {"flash.data"},
    {"flash.core"},
    {"flash.testing", "flash.cli", "flash.__main__"},
]


def modules(folder: Path) -> dict[str, Path]:
    """The modules of a source folder, by name."""
    found = {}
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(name: str, file: Path, known: set[str]) -> Iterator[tuple[str, bool]]:
    """The modules that a module imports when it is imported or type-checked, and whether for type checkers alone."""
    for node, typing_only in _statements(ast.parse(file.read_text()).body, False):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            package = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
            prefix = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*prefix, *([node.module] if node.module else [])])
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        yield from ((target, typing_only) for target in targets if target in known and target != name)


def _statements(body: list[ast.stmt], typing_only: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, typing_only
        elif isinstance(node, ast.If):
            is_typing = "TYPE_CHECKING" in ast.unparse(node.test)
            yield from _statements(node.body, typing_only or is_typing)
            yield from _statements(node.orelse, typing_only)
        elif isinstance(node, ast.Try):
            yield from _statements([*node.body, *node.orelse, *node.finalbody], typing_only)


def floor_of(name: str) -> int:
    """The floor of the room that a module is in."""
    rooms = [(len(room), floor) for floor, rooms in enumerate(FLOORS) for room in rooms if _is_in(name, room)]
    return max(rooms)[1]


def _is_in(name: str, room: str) -> bool:
    return name == room or (room != "flash" and name.startswith(f"{room}."))


# flash.data.download is a room of its own, with the files that serve it alone.
OF_THE_DOWNLOAD = {
    f"flash.data._{name}" for name in ("archive", "archive_formats", "disk", "ledger", "progress", "remote", "transfer")
}


def graph_of(folder: Path, typing: bool) -> dict[str, set[str]]:
    files = modules(folder)
    known = set(files)
    return {
        name: {target for target, typing_only in imports_of(name, file, known) if typing or not typing_only}
        for name, file in files.items()
    }


def test_imports_of_core_point_down() -> None:
    graph = graph_of(CORE, typing=False)
    floors = {name: 1 if name in OF_THE_DOWNLOAD else floor_of(name) for name in graph}
    up = [
        f"{name} -> {target}" for name, targets in graph.items() for target in targets if floors[target] > floors[name]
    ]
    assert not up


@pytest.mark.parametrize("folder", [CORE, *sorted(ROOT.glob("plugins/*/src"))], ids=lambda folder: folder.parent.name)
def test_imports_go_in_no_circle(folder: Path) -> None:
    graph = graph_of(folder, typing=False)
    assert not list(circles(graph))


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """The first circle that is found from each module, by depth-first search."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> Iterator[list[str]]:
        if name in path:
            yield [*path[path.index(name) :], name]
            return
        if name in done:
            return
        done.add(name)
        for target in sorted(graph.get(name, ())):
            # A package is imported with each of its modules; that is no circle.
            if not name.startswith(f"{target}."):
                yield from visit(target, [*path, name])

    for name in sorted(graph):
        yield from visit(name, [])


PRIVATE = re.compile(
    r"^\s*(?:from flash(?:\.(?:core|data|plugins|serialization|testing|cli)[a-z_.]*)?\._\w+ import"
    r"|from flash(?:\.[a-z_]+)* import (?:\w+, )*_\w+"
    r"|import flash(?:\.[a-z]+)*\._)",
    re.MULTILINE,
)


OUTSIDE = sorted((ROOT / "tests" / "outside").glob("acme_*"))


@pytest.mark.parametrize(
    "folder", [*sorted(ROOT.glob("plugins/*/src")), *OUTSIDE], ids=lambda folder: str(folder)[-30:]
)
def test_a_plugin_uses_no_private_name_of_core(folder: Path) -> None:
    found = {
        str(file.relative_to(ROOT)): match[0].strip()
        for file in folder.rglob("*.py")
        for match in PRIVATE.finditer(file.read_text())
    }
    assert not found


@pytest.mark.parametrize("folder", OUTSIDE, ids=lambda folder: folder.name)
def test_an_outside_plugin_reads_no_private_attribute_that_is_not_its_own(folder: Path) -> None:
    trees = [ast.walk(ast.parse(file.read_text())) for file in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in tree]
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    assert not {name for name in read - own if name.startswith("_") and not name.startswith("__")}


def test_core_names_no_domain() -> None:
    """But for the one file that lists published packages."""
    words = re.compile(r"flash[-_.](?:image|text|tabular)\b|\b(?:timm|transformers|torchvision)\b")
    found = [
        f"{name}: {line.strip()}"
        for name, file in modules(CORE).items()
        if name != "flash.plugins.first_party"
        for line in file.read_text().splitlines()
        if words.search(line) and not line.lstrip().startswith((">>>", "..."))
    ]
    assert not found
