"""``flash plugin``."""

from __future__ import annotations

from pathlib import Path

import pytest

from flash.cli import main


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_command_alone_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin"]) == 0
    assert "write a project that works" in capsys.readouterr().out
