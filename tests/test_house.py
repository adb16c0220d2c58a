"""The rooms and floors of core: imports point down only, in no circle, and plugins use public names alone."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core" / "src"
PLUGINS = sorted(ROOT.glob("plugins/*/src"))
# From the ground up; a room may import from its own floor and from those below.
FLOORS = [
    {"flash.errors"},
    {"flash.former"},
    {"flash.plugins", "flash.serialization", "flash.download", "flash.figures"},
    {"flash.data"},
    {"flash.core"},
    {"flash.testing", "flash.cli", "flash.types", "flash.__main__"},
]
# The short names of all floors, which are looked up when they are used.
FACADE = "flash"
# Rooms of one floor that do not know each other.
APART = [
    ("flash.download", {"flash.plugins", "flash.serialization"}),
    ("flash.plugins", {"flash.serialization"}),
    ("flash.figures", {"flash.plugins", "flash.serialization", "flash.download"}),
]


def modules(folder: Path) -> dict[str, Path]:
    """The modules of a source folder, by name."""
    found = {}
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(name: str, source: str, known: set[str], is_package: bool = False) -> Iterator[str]:
    """The modules that a module imports: at once, inside a function, or for type checkers alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if is_package else name.split(".")[:-1]
            prefix = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*prefix, *([node.module] if node.module else [])])
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        else:
            continue
        yield from (target for target in targets if target in known and target != name)


@functools.cache
def graph_of(folder: Path) -> dict[str, set[str]]:
    """The imports of each module of a source folder."""
    files = modules(folder)
    return {
        name: set(imports_of(name, file.read_text(), set(files), file.stem == "__init__"))
        for name, file in files.items()
    }


def is_in(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def floor_of(name: str) -> int:
    """The floor of the room that a module is in."""
    (floor,) = (floor for floor, rooms in enumerate(FLOORS) for room in rooms if is_in(name, room))
    return floor


def arrows_up(graph: dict[str, set[str]]) -> list[str]:
    """The imports of a higher floor."""
    return [
        f"{name} -> {target}"
        for name, targets in graph.items()
        for target in targets
        if FACADE not in (name, target) and floor_of(target) > floor_of(name)
    ]


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


def test_imports_of_core_point_down() -> None:
    assert not arrows_up(graph_of(CORE))


def test_rooms_of_one_floor_that_need_not_know_each_other_do_not() -> None:
    graph = graph_of(CORE)
    found = [
        f"{name} -> {target}"
        for room, others in APART
        for name, targets in graph.items()
        if is_in(name, room)
        for target in targets
        if any(is_in(target, other) for other in others)
    ]
    assert not found


@pytest.mark.parametrize("folder", [CORE, *PLUGINS], ids=lambda folder: folder.parent.name)
def test_imports_go_in_no_circle(folder: Path) -> None:
    """Neither at run time nor for type checkers, and none is hidden in a function."""
    assert not list(circles(graph_of(folder)))


@pytest.mark.parametrize(
    "source",
    [
        "from flash.core.model import Task",
        "import flash.core.model",
        "from flash.core import model",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flash.core.model import Task",
        "def late():\n    from flash.core.model import Task",
    ],
)
def test_an_import_that_closes_a_circle_is_seen_wherever_it_is(source: str) -> None:
    graph = dict(graph_of(CORE))
    graph["flash.core.outputs"] = set(imports_of("flash.core.outputs", source, set(graph)))
    assert any({"flash.core.model", "flash.core.outputs"} <= set(circle) for circle in circles(graph))


def test_an_import_of_a_higher_floor_is_seen() -> None:
    source = "def late():\n    from ..core import optimizers"
    found = set(imports_of("flash.data.loader", source, {"flash.core.optimizers"}))
    assert arrows_up({"flash.data.loader": found}) == ["flash.data.loader -> flash.core.optimizers"]


PRIVATE_IMPORT = re.compile(
    r"^\s*(?:from flash(?:\.(?:core|data|download|plugins|serialization|testing|cli)[a-z_.]*)?\._\w+ import"
    r"|from flash(?:\.[a-z_]+)* import (?:\w+, )*_\w+"
    r"|import flash(?:\.[a-z]+)*\._)",
    re.MULTILINE,
)


OUTSIDE = sorted((ROOT / "tests" / "outside").glob("acme_*"))


@functools.cache
def private_names(folder: Path) -> frozenset[str]:
    """The private functions, classes, variables and attributes that the source of a folder defines."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
                found.add(node.attr)
    return frozenset(name for name in found if name.startswith("_") and not name.endswith("__"))


def is_own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in {"self", "cls"}


def private_uses(source: str, private: frozenset[str]) -> list[str]:
    """The private modules of core that a module imports, and its private attributes that it uses."""
    imports = [match[0].strip() for match in PRIVATE_IMPORT.finditer(source)]
    attributes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return imports + [ast.unparse(node) for node in attributes if node.attr in private]


@pytest.mark.parametrize("folder", [*PLUGINS, *OUTSIDE], ids=lambda folder: str(folder)[-30:])
def test_a_plugin_uses_no_private_name_of_core(folder: Path) -> None:
    # What torch and Lightning call so is theirs, and a plugin may have a private name that core has too.
    private = private_names(CORE) - private_names(folder) - set(dir(pl.LightningModule())) - set(dir(torch))
    uses = {str(file.relative_to(ROOT)): private_uses(file.read_text(), private) for file in folder.rglob("*.py")}
    assert not {file: found for file, found in uses.items() if found}


@pytest.mark.parametrize(
    "source",
    [
        "from flash.core._plugin import flash_commands",
        "from flash.download._remote import Remote",
        "from flash.data.loader import make_loader, _MemoryDataset",
        "import flash.core._plugin",
        "task._structure.append(change)",
        "loader._already_a_batch",
        "self.metrics._losses = []",
    ],
)
def test_a_private_name_is_seen(source: str) -> None:
    assert private_uses(source, private_names(CORE))


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
