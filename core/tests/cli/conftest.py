"""Hosts with made-up plugins, and a way to run the command in this process."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import flash as package
from flash.cli import main
from flash.cli._installation import InstalledDist
from flash.plugins import (
    Backbone,
    BackboneCatalogue,
    DataSource,
    Output,
    PluginHost,
    Provider,
    TaskSpec,
    hookimpl,
)
from flash.plugins._current import use_host
from flash.plugins._discovery import Candidate


class Result(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Audio:
    """Nothing is wrong with it."""

    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        task, data = "flash.core.model:Task", "flash.data.data_module:DataModule"
        yield TaskSpec("audio/classification", task, data, summary="Which of N classes a recording is of.")

    @hookimpl
    def flash_backbones(self) -> Iterator[Backbone | BackboneCatalogue]:
        yield Backbone("wav_cnn", "audio", "collections:Counter", pretrained=True, summary="A small CNN.")
        yield BackboneCatalogue("zoo", "audio", "string:digits.__iter__", "collections:Counter", summary="Big.")
        yield BackboneCatalogue("hub", "birds", "builtins:list", "collections:Counter", open=True)


AUDIO = (("audio", Audio()),)


class Unresolvable:
    """It gives what cannot be imported or listed."""

    @hookimpl
    def flash_backbones(self) -> Iterator[Backbone | BackboneCatalogue]:
        yield Backbone("fish", "sea", "nowhere:fish")
        yield BackboneCatalogue("reef", "sea", "operator:add", "collections:Counter")


class Failing:
    """It fails when it is loaded."""

    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        raise RuntimeError("out of order")


@pytest.fixture
def flash(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``flash`` with the given arguments, plugins (name, object) and environment."""
    monkeypatch.setenv("COLUMNS", "100")

    def flash(*arguments: str, plugins: Any = AUDIO, **environ: str) -> Result:
        candidates = [Candidate(Provider(n, f"acme-{n}", "1.2"), f"acme.{n}", "/site", p) for n, p in plugins]
        with use_host(PluginHost(lambda: candidates, environ)):
            try:
                code = main(arguments)
            except SystemExit as stop:
                code = int(stop.code or 0)
        return Result(code, *capsys.readouterr())

    return flash


@pytest.fixture
def five_states() -> list[tuple[str, object]]:
    """Plugins that are loaded, disabled (with FLASH_DISABLE_PLUGINS=quiet), failed, and twice in conflict."""
    return [
        ("audio", Audio()),
        ("quiet", Audio()),
        ("broken", Failing()),
        ("twin", Audio()),
        ("Twin", Audio()),
    ]


@pytest.fixture
def broken() -> object:
    """A plugin that fails when it is loaded."""
    return Failing()


@pytest.fixture
def unresolvable() -> object:
    """A plugin whose targets cannot be imported or listed."""
    return Unresolvable()


def _dist(name: str, *files: str, **facts: Any) -> InstalledDist:
    return InstalledDist(name, facts.pop("version", "1.0"), Path("/site").resolve(), files, **facts)


@pytest.fixture
def dist() -> Callable[..., Any]:
    """Makes an installed distribution: ``dist("acme-audio", "acme_audio/plugin.py", requires=...)``."""
    return _dist


@pytest.fixture
def only_core(monkeypatch: pytest.MonkeyPatch, dist: Any) -> None:
    """An environment with nothing in it but flash-core."""
    monkeypatch.setattr(package, "__path__", [str(Path(package.__file__).parent)])
    monkeypatch.setattr("flash.cli._doctor.installed_dists", lambda: [dist("flash-core")])


GOOD = {
    "pyproject.toml": """
[project]
name = "acme-fish"
version = "1.0"
dependencies = ["flash-core>=0.1,<0.2"]
[project.entry-points."flash.plugins"]
acme-fish = "acme_fish.plugin"
""",
    "src/acme_fish/__init__.py": "",
    "src/acme_fish/plugin.py": """
from flash.plugins import Backbone, TaskSpec, hookimpl

HOME = "acme_fish"

@hookimpl
def flash_tasks():
    yield TaskSpec("fish/classification", task="acme_fish.task:Fish", data=f"{HOME}.task:FishData")

@hookimpl
def flash_backbones():
    for name, summary in (("shark", "Big."), ("eel", "Long.")):
        yield Backbone(name, domain="fish", factory=f"{HOME}.nets:{name}", summary=summary)
""",
    "src/acme_fish/task.py": """
import torch
from flash import DataModule, Task

class Fish(Task): ...
class FishData(DataModule): ...
""",
    "src/acme_fish/nets.py": """
try:
    import timm_of_the_future
except ImportError:
    timm_of_the_future = None

def shark(): ...

if True:
    eel = shark
""",
    "tests/test_it.py": "import not_there_at_all",
}


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes a project: the good one, with pieces of its files replaced or files added."""

    def project(file: str = "", old: str = "", new: str = "") -> Path:
        files = dict(GOOD)
        if file:
            assert old in files.get(file, "")
            files[file] = files[file].replace(old, new) if old else new
        for name, text in files.items():
            (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "project" / name).write_text(text)
        return tmp_path / "project"

    return project


class Mistaken:
    """Everything in it is wrong in a way that shows only in use."""

    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        yield TaskSpec("fish/classification", "argparse:Action", "json.decoder:JSONDecoder")

    @hookimpl
    def flash_backbones(self) -> Iterator[Any]:
        yield Backbone("net", "imagse", "json:lodas")
        yield Backbone("deep", "fish", "json.nothing:build")
        yield BackboneCatalogue("zoo", "fish", names="sys:exit", factory="json:loads")

    @hookimpl
    def flash_data_sources(self) -> Iterator[DataSource]:
        yield DataSource("zip", "fish/clasification", "json:loads")
        yield DataSource("far", "birds/classification", "json:loads")

    @hookimpl
    def flash_components(self) -> Iterator[Any]:
        yield Output("top3", "json:loads", "fihs/*")


@pytest.fixture
def mistaken() -> Callable[[], object]:
    """Makes plugins in which everything is wrong in a way that shows only in use."""
    return Mistaken


# ---------------------------------------------------------------------- a domain of words


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the domain."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("acme_words")


@pytest.fixture
def words(domain: Any) -> tuple[tuple[str, Any], ...]:
    """The plugins of a command line with one domain."""
    return (("words", domain.Words()),)


@pytest.fixture
def word_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table of forty words in the working folder: those with more vowels than consonants are of one class."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"{'ae' * (1 + row % 4)}{'t' * (row % 3)}", "many") for row in range(20)]
    rows += [(f"{'t' * (3 + row % 5)}{'a' * (row % 2)}", "few") for row in range(20)]
    text = "\n".join(["word,kind,id", *(f"{word},{kind},w{row}" for row, (word, kind) in enumerate(rows))])
    (tmp_path / "words.csv").write_text(text + "\n")
    return "words.csv"


@pytest.fixture
def fit(flash: Any, words: Any, word_file: str) -> Callable[..., Result]:
    """Runs ``flash fit words/language`` on the table, without a progress bar."""
    data_options = ["--data.train_file", word_file, "--data.input_field", "word", "--data.target_fields", "kind"]
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]

    def fit(*arguments: str, data: Sequence[str] = data_options) -> Result:
        return flash("fit", "words/language", *data, *quiet, *arguments, plugins=words)

    return fit
