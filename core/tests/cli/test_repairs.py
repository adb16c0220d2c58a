"""The command that repairs a plugin, by where it came from."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from flash.cli._repairs import repair
from flash.errors import PluginError
from flash.plugins import (
    PluginInfo,
    PluginState,
)


class TestRepairs:
    """What is developed here is edited; what did not come from an index is not fetched from one."""

    def info(self, name: str = "acme-audio", **facts: Any) -> PluginInfo:
        known = {"name": "audio", "target": "acme_audio.plugin", "location": "/site", "state": PluginState.FAILED}
        return PluginInfo(**{**known, "dist": name, "version": "1.0", **facts})

    def test_of_an_editable_project_the_file_and_line_are_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dist: Any
    ) -> None:
        (tmp_path / "acme_audio").mkdir()
        (tmp_path / "acme_audio" / "__init__.py").write_text("")
        plugin = tmp_path / "acme_audio" / "plugin.py"
        plugin.write_text("# A comment.\nimport json\n1 / 0\n")
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("acme_audio", "acme_audio.plugin"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        with pytest.raises(ZeroDivisionError) as caught:
            importlib.import_module("acme_audio.plugin")
        dists = [dist("acme-audio", source=tmp_path.resolve())]
        assert repair(self.info(exception=caught.value), dists) == f"edit {plugin}, line 3"
        error = PluginError("flash_tasks is wrong")
        plugin.write_text("\n\ndef flash_tasks(): ...\n")
        assert repair(self.info(error=str(error), exception=error), dists) == f"edit {plugin}, line 3"
        assert repair(self.info(), dists, "def flash") == f"edit {plugin}, line 3"
        plugin.write_text("def f(:\n")
        with pytest.raises(SyntaxError) as syntax:
            compile(plugin.read_text(), str(plugin), "exec")
        assert repair(self.info(exception=syntax.value), dists) == f"edit {plugin}, line 1"

    def test_of_a_wrong_entry_point_the_project_file_is_named(self, tmp_path: Path, dist: Any) -> None:
        (tmp_path / "pyproject.toml").write_text("\n".join(["", 'a = "acme_gone.plugins"']))
        dists = [dist("acme-audio", source=tmp_path.resolve())]
        found = repair(self.info(target="acme_gone.plugins"), dists)
        assert found == f"edit {tmp_path.resolve() / 'pyproject.toml'}, line 2"

    def test_what_came_from_a_file_is_not_fetched_from_an_index(self, dist: Any) -> None:
        found = repair(self.info(), [dist("acme-audio", origin="file:///wheels/acme.whl")])
        assert found == "repair it in file:///wheels/acme.whl, where it was installed from, and install it again"

    def test_what_came_from_an_index_is_upgraded(self, dist: Any) -> None:
        assert repair(self.info(), [dist("acme-audio")]) == "pip install --upgrade flash-core acme-audio"

    def test_of_two_plugins_of_one_name_flashs_own_stays(
        self, flash: Any, monkeypatch: pytest.MonkeyPatch, dist: Any, mistaken: Any
    ) -> None:
        monkeypatch.setattr("flash.plugins._conflicts.is_first_party", lambda dist: dist == "acme-twin")
        plugins = [("twin", mistaken()), ("Twin", mistaken())]
        out = " ".join(flash("plugins", plugins=plugins).out.split())
        assert "twin acme-twin 1.2 loaded" in out
        assert "Twin acme-Twin 1.2 conflict the plugin name 'Twin' is also used by acme-twin 1.2, so it is not" in out
        assert "uninstall" not in out
