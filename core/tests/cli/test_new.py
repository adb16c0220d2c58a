"""``flash plugin new``: what it writes, and what it refuses."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flash.cli import main
from flash.cli._new import KINDS, Project, write_project
from flash.errors import ConfigurationError

COMBINATIONS = [kinds for size in range(1, 5) for kinds in itertools.combinations(KINDS, size)]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_writes_a_project_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin", "new", "acme-sonar"]) == 0
    assert (Path("acme-sonar") / "src" / "acme_sonar" / "task.py").exists()
    said = capsys.readouterr().out
    assert 'cd acme-sonar\n  pip install -e ".[test]"\n  pytest\n  flash plugins --check' in said


def test_without_a_choice_it_is_a_task() -> None:
    main(["plugin", "new", "acme-sonar"])
    assert "TaskSpec" in Path("acme-sonar/src/acme_sonar/plugin.py").read_text()
    assert not Path("acme-sonar/src/acme_sonar/sources.py").exists()


@pytest.mark.parametrize("kinds", COMBINATIONS, ids="-".join)
def test_what_is_written_is_python_that_uses_what_it_imports(kinds: tuple[str, ...]) -> None:
    for file in write_project(Project("acme-sonar", kinds), Path("made")):
        text = (Path("made") / file).read_text()
        assert not re.search(r"{%|(?<!\$){{", text)
        if file.suffix == ".py":
            tree = ast.parse(text)
            imported = [
                (alias.asname or alias.name).split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", "") != "__future__"
                for alias in node.names
            ]
            for name in imported:
                assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{file} imports {name} and does not use it"


def test_the_domain_can_be_chosen() -> None:
    main(["plugin", "new", "acme-tools", "--task", "--domain", "sonar", "--folder", "here"])
    assert 'TaskSpec(\n        "sonar/classification"' in Path("here/src/acme_tools/plugin.py").read_text()
    assert "class SonarClassifier" in Path("here/src/acme_tools/task.py").read_text()


def test_a_strategy_may_be_for_a_domain_of_ours() -> None:
    main(["plugin", "new", "acme-image", "--strategy"])
    assert Path("acme-image/src/acme_image/finetuning.py").exists()


@pytest.mark.parametrize("name", ["Acme", "acme_audio", "acme--audio", "../acme", "a/b", "-acme", "acme-", ""])
def test_other_spellings_of_a_name_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected a name of lower-case letters, digits and single hyphens"):
        Project(name, {"task"})


@pytest.mark.parametrize(
    ("name", "owner"), [("flash", "Flash"), ("flash-audio", "Flash"), ("json", "Python"), ("class", "Python")]
)
def test_names_of_others_are_refused(name: str, owner: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected a name of your own, .* but '{name}' belongs to {owner}"):
        Project(name, {"task"})


@pytest.mark.parametrize("domain", ["Audio", "audio/x", "..", "1d", "class"])
def test_a_domain_that_is_no_word_is_refused(domain: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected a domain of lower-case letters and digits"):
        Project("acme-sonar", {"task"}, domain)


@pytest.mark.parametrize("kind", ["task", "backbone"])
def test_a_domain_of_ours_is_refused_for_what_works_on_signals(kind: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected a domain of your own, but 'image' is that of flash-image"):
        Project("acme-image", {kind})


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected some of task, .*, but got \['metric'\]"):
        Project("acme-sonar", {"metric"})
    with pytest.raises(ConfigurationError, match="Expected some of task, .*, but got none"):
        Project("acme-sonar", set())


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("acme-sonar").mkdir()
    Path("acme-sonar/mine.txt").write_text("mine")
    assert main(["plugin", "new", "acme-sonar"]) == 2
    assert (
        "Expected an empty place to write to, but acme-sonar is there. Choose another --folder."
        in capsys.readouterr().err
    )
    assert [file.name for file in Path("acme-sonar").iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_an_error() -> None:
    Path("file").write_text("")
    with pytest.raises(ConfigurationError, match="Expected to write to file/sub, but"):
        write_project(Project("acme-sonar", {"strategy"}), Path("file/sub"))


@pytest.mark.process
def test_the_command_imports_no_torch() -> None:
    program = (
        "import sys; from flash.cli import main; main(['plugin', 'new', 'acme-sonar']); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
