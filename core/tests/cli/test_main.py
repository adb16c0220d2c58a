from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import flash as package


def test_without_a_command_it_prints_help(flash: Any) -> None:
    result = flash()
    assert result.code == 0
    assert "usage: flash" in result.out


@pytest.mark.parametrize("command", ["tasks", "backbones", "strategies", "plugins", "doctor"])
def test_help_lists_the_command(flash: Any, command: str) -> None:
    assert f"    {command}" in flash("--help").out


def test_the_version_is_that_of_flash_core(flash: Any) -> None:
    assert flash("--version").out == f"flash-core {package.__version__}\n"


def test_an_unknown_command_is_an_error(flash: Any) -> None:
    result = flash("train")
    assert result.code == 2
    assert "invalid choice: 'train'" in result.err


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
