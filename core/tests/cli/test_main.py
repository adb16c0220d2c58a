from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import flash as package
from flash.cli import main
from flash.plugins import Command, hookimpl


def test_without_a_command_it_prints_help(flash: Any) -> None:
    result = flash()
    assert result.code == 0
    assert "usage: flash" in result.out


@pytest.mark.parametrize("command", ["tasks", "backbones", "strategies", "components", "plugins", "plugin", "doctor"])
def test_help_lists_the_command(flash: Any, command: str) -> None:
    assert f"\n  {command} " in flash("--help").out


def test_the_version_is_that_of_flash_core(flash: Any) -> None:
    assert flash("--version").out == f"flash-core {package.__version__}\n"


def test_an_unknown_command_is_an_error(flash: Any) -> None:
    result = flash("train")
    assert result.code == 2
    assert result.err.startswith("flash: 'train' is not among the commands. There are: backbones, components, doctor,")


def test_a_misspelt_command_comes_with_the_closest(flash: Any) -> None:
    assert "Did you mean 'backbones'" in flash("backbone").err


def interrupted(arguments: Any) -> int:
    """Be ended by Ctrl-C, as it is or as Lightning tells it."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        if "lightning" in arguments:
            sys.exit(1)
        raise


class Verbs:
    """Adds verbs to the command line, one of them a name that is built in."""

    @hookimpl
    def flash_commands(self) -> Iterator[Command]:
        yield Command("count", "builtins:len", summary="Count the arguments.")
        yield Command("fail", "operator:add", summary="Fail.")
        yield Command("leave", "sys:exit", summary="Exit with what is given.")
        yield Command("stop", f"{__name__}:interrupted", summary="Be interrupted.")
        yield Command("doctor", "nowhere:doctor", summary="Another one.")


class TestCommandsOfPlugins:
    @pytest.fixture
    def verbs(self, flash: Any) -> Any:
        return lambda *arguments: flash(*arguments, plugins=[("verbs", Verbs())])

    def test_help_lists_them(self, verbs: Any) -> None:
        assert "\n  count         Count the arguments.\n" in verbs("--help").out

    def test_they_get_the_arguments_and_return_the_exit_code(self, verbs: Any) -> None:
        assert verbs("count", "a", "--b", "c").code == 3
        assert verbs("count").code == 0

    def test_what_they_raise_is_told_with_the_plugin_and_a_traceback(self, verbs: Any) -> None:
        result = verbs("fail")
        assert result.code == 2
        assert result.err.startswith("Traceback (most recent call last):")
        assert "flash: the command 'fail' of acme-verbs 1.2 failed: TypeError: " in result.err

    @pytest.mark.parametrize("arguments", [[], ["lightning"]])
    def test_ctrl_c_ends_them_in_a_sentence(self, verbs: Any, arguments: list[str]) -> None:
        result = verbs("stop", *arguments)
        assert result.code == 130
        assert result.err == "flash: interrupted; the files that were complete are kept.\n"

    def test_a_built_in_verb_stays_what_it_is(self, verbs: Any) -> None:
        assert verbs("doctor", "--help").out.startswith("usage: flash doctor")

    def test_a_broken_plugin_hides_none_that_is_built_in(self, flash: Any, broken: Any) -> None:
        result = flash("--help", plugins=[("broken", broken)], FLASH_PLUGINS_STRICT="1")
        assert result.code == 0
        assert "\n  doctor " in result.out
        assert "plugin 'broken' (acme-broken 1.2) failed" in result.out

    def test_a_built_in_verb_loads_no_plugin_by_itself(self, flash: Any) -> None:
        class Loaded:
            @hookimpl
            def flash_tasks(self) -> None:
                raise AssertionError

        result = flash("plugins", "--no-load", plugins=[("loaded", Loaded())])
        assert "available" in result.out
        assert result.err == ""


def test_an_error_of_flash_is_one_line(flash: Any) -> None:
    result = flash("backbones", "audio", "--describe", "wav_cn")
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("flash: 'wav_cn' is not among the audio backbones. Did you mean 'wav_cnn'")
    assert result.err.count("\n") == 1


def test_a_warning_is_one_line_on_standard_error(flash: Any) -> None:
    result = flash("strategies", FLASH_PLUGINS="audio,brids")
    assert result.err.startswith("warning: FLASH_PLUGINS names 'brids'")
    assert result.err.count("\n") == 1
    assert "freeze_unfreeze" in result.out


@pytest.mark.process
def test_a_reader_that_has_enough_is_no_error() -> None:
    script = (
        "import os, sys; r, w = os.pipe(); os.dup2(w, 1); os.close(w); os.close(r);"
        "from flash.cli import main; sys.exit(main(['strategies']))"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode == 141
    assert finished.stderr == ""


@pytest.mark.process
def test_the_package_can_be_run_as_a_module() -> None:
    finished = subprocess.run([sys.executable, "-m", "flash", "--version"], capture_output=True, text=True, check=True)
    assert finished.stdout == f"flash-core {package.__version__}\n"


def test_the_program_without_arguments_shows_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["flash"])
    assert main() == 0
    assert "usage: flash" in capsys.readouterr().out.lower()
