"""Installed distributions, read from their metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flash.cli._installation import InstalledDist, installed_dists


class TestInstalledDists:
    @pytest.fixture
    def install(self, tmp_path: Path) -> Any:
        def install(name: str, **files: str) -> None:
            info = tmp_path / f"{name}-1.0.dist-info"
            info.mkdir()
            for file, text in files.items():
                (info / file.replace("direct_url", "direct_url.json")).write_text(text)

        return install

    def test_files_requirements_and_folder_are_read(self, install: Any, tmp_path: Path) -> None:
        metadata = "Metadata-Version: 2.1\nName: flash-image\nVersion: 1.0\nRequires-Dist: flash-core<1\n"
        record = "flash/image/a.py,sha256=x,1\nflash/image/__pycache__/a.pyc,,\nother/b.py,,\n"
        install("flash_image", METADATA=metadata, RECORD=record)
        assert installed_dists([str(tmp_path)]) == [
            InstalledDist("flash-image", "1.0", tmp_path.resolve(), ("flash/image/a.py",), ("flash-core<1",))
        ]

    def test_the_source_of_an_editable_dist_is_read(self, install: Any, tmp_path: Path) -> None:
        metadata = "Metadata-Version: 2.1\nName: flash-image\nVersion: 1.0\n"
        direct = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
        install("flash_image", METADATA=metadata, direct_url=json.dumps(direct))
        assert installed_dists([str(tmp_path)])[0].source == tmp_path.resolve()

    def test_what_cannot_be_read_is_passed_over(self, install: Any, tmp_path: Path) -> None:
        install("nameless", METADATA="Metadata-Version: 2.1\n", direct_url="{")
        install("good", METADATA="Metadata-Version: 2.1\nName: good\nVersion: 1.0\n")
        assert [each.name for each in installed_dists([str(tmp_path)])] == ["good"]

    def test_of_two_copies_the_first_counts(self, install: Any, tmp_path: Path) -> None:
        install("good", METADATA="Metadata-Version: 2.1\nName: good\nVersion: 1.0\n")
        assert len(installed_dists([str(tmp_path), str(tmp_path)])) == 1
