"""From nothing to a plugin that is built, installed and tested: what a third party does first."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flash.cli import _new
from flash.cli._new import KINDS
from flash.testing import in_clean_process

pytestmark = pytest.mark.env

# The SHA-256 of all that writes projects, as it was when every combination was last seen to pass.
TRIED = "06d852c71e5eb8e2d4eed7620397440fa5346a778deec2a3ccd29b703162234d"
SOURCES = [Path(_new.__file__), *sorted(Path(_new.__file__).with_name("templates").glob("*.j2"))]
SCAFFOLD = hashlib.sha256(b"".join(file.read_bytes() for file in SOURCES)).hexdigest()
# Each kind alone, and all together; the others where the scaffold is new.
COMBINATIONS = [
    kinds
    for size in range(1, 5)
    for kinds in itertools.combinations(KINDS, size)
    if size in {1, 4} or SCAFFOLD != TRIED
]
GIVES = {"task": "task", "backbone": "backbone", "strategy": "strategy", "source": "data source"}
# Without what is to be installed once in any case.
MINUTE = 60
# Runs modules, each in a fork that has imported torch already; what they write goes to files.
WARM = """
import gc, json, os, runpy, sys, traceback
import flash.testing

gc.freeze()
for line in sys.stdin:
    folder, output, *sys.argv = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        for number, path in ((1, output), (2, output + ".errors")):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        code = 0
        try:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Environment:
    """An environment with flash-core, whose Python has imported torch.

    Args:
        python: The Python of the environment.
    """

    def __init__(self, python: Path) -> None:
        self.python = python
        self._warm = subprocess.Popen([python, "-c", WARM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, folder: Path, output: Path, module: str, *arguments: str) -> str:
        """Run a module as a program, and return what it wrote to stdout; one that fails, fails the test."""
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        print(json.dumps([str(folder), str(output), module, *arguments]), file=self._warm.stdin, flush=True)
        code = self._warm.stdout.readline()
        written = output.read_text()
        assert code == "0\n", f"{module} failed:\n{written}\n{Path(f'{output}.errors').read_text()}"
        return written

    def close(self) -> None:
        """End the process."""
        self._warm.communicate()


@pytest.fixture(scope="module")
def environment(make_environment: Callable[..., Path]) -> Iterator[Environment]:
    made = Environment(make_environment(flash_core="wheel"))
    yield made
    made.close()


@pytest.mark.parametrize("kinds", COMBINATIONS, ids="-".join)
def test_a_new_plugin_is_green_at_once(
    kinds: tuple[str, ...],
    environment: Environment,
    build_wheel: Callable[[Path, Path], Path],
    uv: str,
    run: Callable[..., Any],
    tmp_path: Path,
) -> None:
    python = environment.python
    flash = python.with_name("flash")
    start = time.perf_counter()
    run(flash, "plugin", "new", "acme-sonar", *(f"--{kind}" for kind in kinds), cwd=tmp_path)
    project = tmp_path / "acme-sonar"
    wheel = build_wheel(project, tmp_path)
    # In place of that of another combination.
    run(uv, "pip", "install", "--quiet", "--reinstall", "--no-deps", "--no-index", "--python", python, wheel)
    tested = environment.run(project, tmp_path / "tests.txt", "pytest", "-q", "-p", "no:cacheprovider")
    checked = environment.run(tmp_path, tmp_path / "checks.json", "flash", "plugins", "--check", "--json")
    assert time.perf_counter() - start < 2 * MINUTE  # A minute on a machine that has nothing else to do.
    assert " passed" in tested
    assert "skipped" not in tested
    (found,) = (plugin for plugin in json.loads(checked) if plugin["name"] == "acme-sonar")
    assert found["state"] == "loaded"
    assert {each["kind"] for each in found["contributions"]} == {GIVES[kind] for kind in kinds}


def test_all_combinations_were_tried_since_the_scaffold_changed() -> None:
    assert SCAFFOLD == TRIED, f"this run tries all combinations; once they pass, TRIED is {SCAFFOLD!r}"


@pytest.mark.slow
def test_what_is_written_is_typed_and_in_style(run: Callable[..., Any], tmp_path: Path) -> None:
    run(sys.executable, "-m", "flash", "plugin", "new", "acme-sonar", *(f"--{kind}" for kind in KINDS), cwd=tmp_path)
    project = tmp_path / "acme-sonar"
    root = Path(__file__).parent.parent
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--follow-imports=silent", "src"],
        cwd=project,
        env={"MYPYPATH": str(root / "core" / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    for file in project.rglob("*.py"):
        text = file.read_text()
        assert max(map(len, text.splitlines()), default=0) <= 120
        assert "\n\n\n\n" not in text
        assert not text.endswith("\n\n")


def test_the_readme_of_a_new_plugin_runs(run: Callable[..., Any], tmp_path: Path) -> None:
    run(sys.executable, "-m", "flash", "plugin", "new", "acme-sonar", cwd=tmp_path)
    project = tmp_path / "acme-sonar"
    code = project.joinpath("README.md").read_text().split("```python\n")[1].split("```")[0]
    program = f"import sys\nsys.path.insert(0, source)\n{code}\nsys.stdout.flush()\nresult = None"
    in_clean_process(tmp_path, program, source=str(project / "src"))
    assert (tmp_path / "log.txt").read_text().splitlines()[-1].startswith("['")
