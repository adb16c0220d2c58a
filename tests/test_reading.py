"""How many files the lines of the README lead a reader through; ``python tests/reading.py`` lists them."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("reading.py")
PAGE = SCRIPT.parents[1] / "docs" / "architecture.md"
# As many as there are today, in a first run and in a second one, when the plugins are loaded. Lower a number where the
# code needs fewer, and raise none. (Tables were raised by two, from 63 and 52, when statistics began to be learned part
# by part: decision 33.)
MOST = {"tabular": (65, 54), "image": (70, 59), "text": (72, 62)}
CLOSED = ("flash/plugins/", "flash/serialization/", "flash/download/")
# The files of the page: those of images, and what stands for them in other domains.
STATIONS = {
    "image": {},
    "text": {"flash/data/files.py": "flash/data/samples.py", "flash/image/task.py": "flash/text/_task.py"},
    "tabular": {
        "flash/data/files.py": "flash/tabular/data.py",
        "flash/data/labels.py": "flash/tabular/schema.py",
        "flash/image/task.py": "flash/tabular/tasks.py",
    },
}


def stations(domain: str) -> list[tuple[str, str]]:
    """The files of the page for a domain, in its order, each with the line that comes to it."""
    found, line = [], ""
    for heading, file in re.findall(r"^\|([^|]*)\| `(flash/[a-z_/]+\.py)`", PAGE.read_text(), re.MULTILINE):
        line = heading.strip().strip("*") or line
        found.append((line, STATIONS[domain].get(file, file.replace("/image/", f"/{domain}/"))))
    return found


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
def test_the_page_leads_through_the_lines_of_the_readme_and_no_more_files_are_touched_than_before(
    domain: str, tmp_path: Path, reading: Any
) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), domain, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    check_path(domain, found["second"])
    counts = tuple(reading.count(found[run]) for run in reading.RUNS)
    assert all(count <= most for count, most in zip(counts, MOST[domain], strict=True)), "\n".join(
        reading.report(domain, run, found[run]) for run in reading.RUNS
    )


def check_path(domain: str, files: dict[str, dict[str, int]]) -> None:
    calls: dict[str, int] = {}
    for found in files.values():
        for file, number in found.items():
            if not file.startswith(CLOSED):
                calls[file] = calls.get(file, 0) + number
    path = stations(domain)
    assert len(path) <= 15
    assert not [(line, file) for line, file in path if file not in files[line]], (
        "not called in the line it is listed for"
    )
    lines = [line for line, _ in path]
    assert lines == sorted(lines, key=list(files).index)
    assert sum(calls[file] for _, file in path) > 0.6 * sum(calls.values())


def test_the_page_names_files_that_there_are() -> None:
    sources = [*SCRIPT.parents[1].glob("core/src"), *SCRIPT.parents[1].glob("plugins/*/src")]
    for name in re.findall(r"`((?:flash|core|data)/[a-z_/]+\.py)`", PAGE.read_text()):
        file = name if name.startswith("flash/") else f"flash/{name}"
        assert any((source / file).is_file() for source in sources), name


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
