"""Each module of core has a file of tests of its own, and each file of tests has its module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core"

KIT = "a part of the checks of the kit: testing/test_planted_defects.py plants a defect for each"
FIGURES = "needs matplotlib, which core's own session lacks: tests/test_figures.py"
# Modules without a file of tests of their own, each with the reason.
WITHOUT_TESTS = {
    "figures/_bars.py": FIGURES,
    "figures/_curves.py": FIGURES,
    "figures/_matrix.py": FIGURES,
    "figures/_numbers.py": FIGURES,
    "figures/_pieces.py": FIGURES,
    "figures/_samples.py": FIGURES,
    "figures/_style.py": FIGURES,
    "testing/_augmentation.py": KIT,
    "testing/_backbone.py": KIT,
    "testing/_constructors.py": KIT,
    "testing/_data.py": KIT,
    "testing/_features.py": KIT,
    "testing/_plugin.py": KIT,
    "testing/_predict_arguments.py": KIT,
    "testing/_source.py": KIT,
    "testing/_requests.py": KIT,
    "testing/_strategy.py": KIT,
    "testing/_task.py": KIT,
    "testing/_toy.py": KIT,
    "testing/_with_data.py": KIT,
    "testing/_with_task.py": KIT,
}
# Files of tests that are of no module, each with the reason.
WITHOUT_MODULE = {
    "plugins/test_identity.py": "what a program means with other plugins installed crosses registries and checkpoints",
    "plugins/test_plugins_as_wheels.py": "real wheels, seen by the whole host and the command",
    "core/test_processes.py": "what several processes do together crosses data, prediction, metrics and features",
    "core/test_rows_of_processes.py": "which rows are used crosses loaders, streams, processes and resuming",
    "test_tutorial.py": "the tutorial of the old documentation, as it is written",
    "testing/test_planted_defects.py": KIT,
}


def has_logic(source: str) -> bool:
    """Whether a module has a function or a method; those of protocols do nothing."""
    parts = [
        part
        for part in ast.parse(source).body
        if not (isinstance(part, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in part.bases))
    ]
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for part in parts for node in ast.walk(part))


def differences(modules: dict[str, str], tests: set[str]) -> tuple[set[str], set[str]]:
    """The modules with logic, by path with their source, that have no tests; and the tests that have no module."""
    expected = {}
    for name, source in modules.items():
        path = Path(name)
        expected[path.with_name(f"test_{path.stem.strip('_')}.py").as_posix()] = has_logic(source), name
    untested = {name for test, (logic, name) in expected.items() if logic and test not in tests}
    return untested, tests - expected.keys()


def test_tests_of_core_mirror_its_modules() -> None:
    source, tests = CORE / "src" / "flash", CORE / "tests"
    modules = {path.relative_to(source).as_posix(): path.read_text() for path in source.rglob("*.py")}
    untested, astray = differences(modules, {path.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")})
    assert untested == WITHOUT_TESTS.keys()
    assert astray == WITHOUT_MODULE.keys()


@pytest.mark.parametrize(
    ("modules", "tests", "untested", "astray"),
    [
        ({"a.py": "def f(): pass", "b/_c.py": "x = 1"}, {"test_a.py"}, set(), set()),
        ({"b/_c.py": "class C:\n    def f(self): pass"}, {"test_c.py"}, {"b/_c.py"}, {"test_c.py"}),
        ({"b/_c.py": "class C(Protocol[T]):\n    def f(self): ..."}, set(), set(), set()),
        ({"b/__init__.py": "def __getattr__(name): pass"}, {"b/test_init.py"}, set(), set()),
        ({"b/_c.py": "x = 1"}, {"b/test_c.py"}, set(), set()),
    ],
)
def test_a_missing_file_and_one_astray_are_seen(
    modules: dict[str, str], tests: set[str], untested: set[str], astray: set[str]
) -> None:
    assert differences(modules, tests) == (untested, astray)
