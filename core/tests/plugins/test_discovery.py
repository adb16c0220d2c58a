from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from flash.plugins._discovery import given, installed


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


def test_unreadable_metadata_hides_only_its_own_plugins(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good)
    broken = site.folder / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_bytes(b"[flash.plugins]\nx = \xff\xfe\n")
    nameless = site.folder / "nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[flash.plugins]\nx = y\n")
    assert [each.provider.plugin for each in installed([str(site.folder)])] == ["audio"]


def test_objects_at_hand_are_named_after_their_module_or_class() -> None:
    class Thing:
        pass

    names = [each.provider.plugin for each in given([ModuleType("acme.plugin"), Thing(), Thing(), Thing])]
    assert names == ["acme.plugin", "Thing", "Thing-2", "Thing-3"]
