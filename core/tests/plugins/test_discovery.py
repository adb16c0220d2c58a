from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flash.plugins._discovery import from_objects, installed


def test_plugins_come_sorted_by_name(site: Any, good: str) -> None:
    site.install("flash-z", zebra=good, ant=good)
    site.install("flash-a", bee=good)
    assert [each.provider.plugin for each in installed([str(site.folder)])] == ["ant", "bee", "zebra"]


def test_discovery_knows_dist_version_target_and_place(site: Any, good: str) -> None:
    site.install("flash-acme", "1.2", audio=good)
    (candidate,) = installed([str(site.folder)])
    assert str(candidate.provider) == "flash-acme 1.2"
    assert candidate.target == "flash_acme_audio_plugin"
    assert Path(candidate.location) == site.folder


def test_discovery_imports_nothing(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good)
    installed([str(site.folder)])
    assert "flash_acme_audio_plugin" not in sys.modules


def test_a_distribution_twice_on_the_path_counts_once(site: Any, good: str, tmp_path: Path) -> None:
    site.install("flash-acme", "2.0", audio=good)
    other = type(site)(tmp_path / "other")
    other.install("Flash_Acme", "1.0", audio=good)
    (candidate,) = installed([str(site.folder), str(other.folder)])
    assert candidate.provider.version == "2.0"


def test_a_first_copy_without_plugins_hides_the_second(site: Any, good: str, tmp_path: Path) -> None:
    site.install("flash-acme", "2.0")
    other = type(site)(tmp_path / "other")
    other.install("flash-acme", "1.0", audio=good)
    assert installed([str(site.folder), str(other.folder)]) == []


def test_a_folder_twice_on_the_path_counts_once(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good)
    assert len(installed([str(site.folder), str(site.folder)])) == 1


@pytest.mark.parametrize(
    ("metadata", "entry_points", "reason"),
    [
        (b"Metadata-Version: 2.1\nName: evil-p\n", b"[flash.plugins]\nx = y\n", "METADATA has no Version"),
        (b"Metadata-Version: 2.1\nVersion: 1\n", b"[flash.plugins]\nx = y\n", "METADATA has no Name"),
        (b"", b"[flash.plugins]\nx = y\n", ""),
        (b"\xff\xfe", b"[flash.plugins]\nx = y\n", ""),
        (b"Name: evil-p\nVersion: 1.0\n", b"[flash.plugins]\nx = \xff\xfe\n", "UnicodeDecodeError"),
    ],
    ids=["no version", "no name", "empty", "not text", "entry points not text"],
)
def test_a_plugin_with_damaged_metadata_failed_and_names_the_folder(
    site: Any, good: str, metadata: bytes, entry_points: bytes, reason: str
) -> None:
    site.install("flash-acme", audio=good)
    broken = site.folder / "evil_p-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_bytes(metadata)
    (broken / "entry_points.txt").write_bytes(entry_points)
    with pytest.warns(match=r"plugin 'x' \(evil-p 1\.0\) failed and is left out"):
        infos = site.host().infos()
    assert [(info.name, info.state) for info in infos[1:]] == [("audio", "loaded"), ("x", "failed")]
    assert f"its metadata in {broken} cannot be read" in infos[2].error
    assert reason in infos[2].error
    assert site.host().infos(load=False)[2].state == "failed"


def test_damaged_metadata_without_a_plugin_is_not_ours_to_report(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good)
    broken = site.folder / "other-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_bytes(b"[console_scripts]\nx = \xff\xfe\n# flash.plugins")
    assert [each.provider.plugin for each in installed([str(site.folder)])] == ["audio"]


def test_names_in_metadata_are_shown_without_control_characters(site: Any, good: str) -> None:
    site.install("flash-acme", "1.2\x1b[31m", audio=good)
    (candidate,) = installed([str(site.folder)])
    assert str(candidate.provider) == "flash-acme 1.2"


def test_objects_at_hand_are_named_after_their_module_or_class() -> None:
    class Thing:
        pass

    names = [each.provider.plugin for each in from_objects([ModuleType("acme.plugin"), Thing(), Thing(), Thing])]
    assert names == ["acme.plugin", "Thing", "Thing-2", "Thing-3"]
