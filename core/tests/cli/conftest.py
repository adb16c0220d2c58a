"""Hosts with made-up plugins, and a way to run the command in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from flash.cli import main
from flash.plugins import Backbone, BackboneCatalogue, PluginHost, Provider, TaskSpec, hookimpl
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
