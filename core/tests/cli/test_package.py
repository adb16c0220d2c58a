"""Plugins that are not installed: the folder of a project, or a wheel."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def wheel(tmp_path: Path, project: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a wheel of the good project, with other entry points or more files."""

    def wheel(entry: str = "acme-fish = acme_fish.plugin", **more: str) -> Path:
        file = tmp_path / "acme_fish-1.0-py3-none-any.whl"
        info = "acme_fish-1.0.dist-info"
        with zipfile.ZipFile(file, "w") as archive:
            source = project() / "src"
            for path in sorted(source.rglob("*.py")):
                archive.write(path, path.relative_to(source).as_posix())
            metadata = "Metadata-Version: 2.1\nName: acme-fish\nVersion: 1.0\nRequires-Dist: flash-core<0.2,>=0.1\n"
            archive.writestr(f"{info}/METADATA", metadata + 'Requires-Dist: pytest; extra == "test"\n')
            archive.writestr(f"{info}/entry_points.txt", f"[flash.plugins]\n{entry}\n")
            for name, text in more.items():
                archive.writestr(name, text)
        return file

    return wheel


def test_a_wheel_is_checked_alike(flash: Any, wheel: Any) -> None:
    assert flash("plugin", "check", str(wheel())).code == 0
    out = flash("plugin", "check", str(wheel("acme-fish = acme_fish.plugins"))).out
    assert "the entry point acme-fish = acme_fish.plugins: there is no such module; the package has" in out
    out = flash("plugin", "check", str(wheel(**{"flash/__init__.py": ""}))).out
    assert "it ships flash/__init__.py into the folder of Flash" in out


@pytest.mark.parametrize("name", ["nowhere", "empty", "broken.whl", "no_project"])
def test_what_is_no_plugin_is_refused_in_words(flash: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no_project").mkdir()
    (tmp_path / "no_project" / "pyproject.toml").write_text("[tool]")
    (tmp_path / "broken.whl").write_text("no zip")
    result = flash("plugin", "check", str(tmp_path / name))
    assert result.code == 2
    assert result.err.startswith("flash: Expected ")
    assert name in result.err
