"""The progress bar of a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flash.download import download_data


def test_the_progress_bar_names_the_file_and_can_be_turned_off(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.download(tmp_path / "silent")
    assert capsys.readouterr().err == ""
    download_data(site.url(), tmp_path / "shown")
    assert "data.bin: 100%" in capsys.readouterr().err
