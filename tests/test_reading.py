"""How many files the lines of the README lead a reader through; ``python tests/reading.py`` lists them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("reading.py")
# As many as there are today, in a first run and in a second one, when the plugins are loaded; the aim is 15. Lower a
# number where the code is closer to it, and raise none.
MOST = {"tabular": (58, 47), "image": (68, 60), "text": (67, 59)}


@pytest.fixture(scope="module")
def reading() -> Any:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("reading", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.process
@pytest.mark.parametrize("domain", MOST)
def test_the_lines_of_the_readme_lead_through_no_more_files_than_before(
    domain: str, tmp_path: Path, reading: Any
) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), domain, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    counts = tuple(reading.count(found[run]) for run in reading.RUNS)
    assert all(count <= most for count, most in zip(counts, MOST[domain], strict=True)), "\n".join(
        reading.report(domain, run, found[run]) for run in reading.RUNS
    )


def test_a_reader_counts_functions_of_the_packages_alone(tmp_path: Path, reading: Any) -> None:
    program = "class Body:\n    places = [1]\n\ndef called(): return sorted(Body.places)\n\ndef not_called(): pass\n"
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_module.py").write_text(program)
    modules = {}
    for name in ("inside", "outside"):
        spec = importlib.util.spec_from_file_location(f"{name}_module", tmp_path / name / f"{name}_module.py")
        assert spec is not None
        assert spec.loader is not None
        modules[name] = importlib.util.module_from_spec(spec)
        reader = reading.Reader([tmp_path / "inside"])
        with reader.reading("import"):
            spec.loader.exec_module(modules[name])
        assert reader.files == {"import": {}}
    reader = reading.Reader([tmp_path / "inside"])
    with reader.reading("call"):
        for module in modules.values():
            module.called()
            module.called()
    assert reader.files == {"call": {"inside_module.py": 2}}
    assert reading.count(reader.files) == 1
