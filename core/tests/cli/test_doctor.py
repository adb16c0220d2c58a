from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import flash as package

CORE = Path(package.__file__).parent


@pytest.mark.usefixtures("only_core")
class TestCommand:
    def test_an_installation_in_order_gets_a_clean_bill(self, flash: Any) -> None:
        result = flash("doctor")
        assert result.code == 0
        assert result.out.startswith(f"flash-core {package.__version__}, 1 plugin, Python 3.")
        assert result.out.endswith("\nNo trouble found.\n")

    def test_trouble_is_numbered_and_comes_with_its_repair(self, flash: Any, broken: Any) -> None:
        result = flash("doctor", plugins=[("broken", broken)])
        assert result.code == 1
        assert result.out.endswith(
            "\n\n1. The plugin 'broken' (acme-broken 1.2) failed: "
            "flash_tasks raised RuntimeError: out of order.\n"
            "   repair: pip install --upgrade flash-core acme-broken\n"
            "   or leave it out: export FLASH_DISABLE_PLUGINS=broken\n"
        )
        assert result.err == ""

    def test_json_is_a_list_of_findings(self, flash: Any, five_states: Any) -> None:
        result = flash("doctor", "--json", plugins=five_states[3:])
        assert result.code == 1
        first, second = json.loads(result.out)
        assert [first["repair"], second["repair"]] == [
            "export FLASH_DISABLE_PLUGINS=acme-twin",
            "export FLASH_DISABLE_PLUGINS=acme-Twin",
        ]
        assert first["wanted"] is False

    @pytest.mark.parametrize(
        ("raised", "repair"),
        [
            ("raise ModuleNotFoundError('torchtext')", "pip install --upgrade acme-spoilt"),
            ("HOOK_API = 99", "pip install --upgrade flash-core"),
            ("1 / 0", "pip install --upgrade flash-core acme-spoilt"),
        ],
    )
    def test_the_repair_fits_why_a_plugin_failed(
        self, flash: Any, raised: str, repair: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "acme").mkdir()
        (tmp_path / "acme" / "spoilt.py").write_text(raised)
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("acme", "acme.spoilt"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        result = flash("doctor", plugins=[("spoilt", None)])
        assert result.code == 1
        assert f"\n   repair: {repair}\n" in result.out

    @pytest.mark.parametrize(
        ("environ", "undo"),
        [
            ({"FLASH_DISABLE_PLUGINS": "audio"}, "unset FLASH_DISABLE_PLUGINS"),
            ({"FLASH_DISABLE_PLUGINS": "Acme_Audio"}, "unset FLASH_DISABLE_PLUGINS"),
            ({"FLASH_DISABLE_PLUGINS": "other,audio"}, "export FLASH_DISABLE_PLUGINS=other"),
            ({"FLASH_PLUGINS": ""}, "export FLASH_PLUGINS=audio"),
            ({"FLASH_PLUGINS": "other"}, "export FLASH_PLUGINS=other,audio"),
        ],
    )
    def test_what_a_variable_keeps_out_is_said_and_is_no_trouble(
        self, flash: Any, environ: dict[str, str], undo: str
    ) -> None:
        result = flash("doctor", **environ)
        assert result.code == 0
        assert "1. The plugin 'audio' (acme-audio 1.2) is disabled: FLASH_" in result.out
        assert f"\n   undo: {undo}\n" in result.out
        assert result.out.endswith("No other trouble found.\n")

    def test_a_name_of_two_plugins_is_found_and_neither_is_to_be_removed(self, flash: Any, five_states: Any) -> None:
        result = flash("doctor", plugins=[*five_states[:1], ("second", five_states[0][1])])
        assert result.code == 1
        out = " ".join(result.out.split())
        assert "The audio backbone 'wav_cnn' and 10 more is registered by acme-audio 1.2 and by acme-second 1.2." in out
        assert "repair: write 'acme-audio/wav_cnn' or 'acme-second/wav_cnn'" in out
        assert "uninstall" not in out

    def test_a_flash_folder_where_one_works_is_found(
        self, flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "flash").mkdir()
        result = flash("doctor")
        assert result.code == 1
        assert f"{tmp_path / 'flash'} in the current folder hides the installed flash." in result.out
        assert f"repair: mv {tmp_path / 'flash'} {tmp_path / 'my_flash'}" in result.out
