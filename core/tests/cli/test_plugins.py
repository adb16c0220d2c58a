from __future__ import annotations

import json
from typing import Any

import pytest


def test_all_five_states_are_shown(flash: Any, five_states: Any) -> None:
    out = flash("plugins", plugins=five_states, FLASH_DISABLE_PLUGINS="quiet").out
    assert out.startswith("PLUGIN      PACKAGE           STATE     PROVIDES\nflash-core  flash-core ")
    rows = {line.split()[0]: line for line in out.splitlines() if not line.startswith(" ")}
    assert "loaded    1 task, 1 backbone, 2 catalogues" in rows["audio"]
    assert "disabled  FLASH_DISABLE_PLUGINS names it" in rows["quiet"]
    assert "failed    flash_tasks raised RuntimeError: out of order" in rows["broken"]
    assert "conflict  the plugin name 'twin' is also used by acme-Twin 1.2" in rows["twin"]
    out = flash("plugins", "--no-load", plugins=five_states).out
    assert "available  in /site" in out


def test_a_plugin_in_trouble_comes_with_the_switch_that_keeps_it_out(flash: Any, broken: Any) -> None:
    out = flash("plugins", plugins=[("broken", broken)]).out
    assert "repair: pip install --upgrade flash-core acme-broken" in out
    assert "or disable it with FLASH_DISABLE_PLUGINS=broken" in out


def test_a_plugin_that_is_kept_out_comes_with_the_command_that_lets_it_in(flash: Any) -> None:
    out = flash("plugins", FLASH_DISABLE_PLUGINS="audio").out
    assert "undo: unset FLASH_DISABLE_PLUGINS" in out


def test_each_plugin_comes_with_its_place(flash: Any) -> None:
    assert "in /site" in flash("plugins").out


def test_the_list_is_all_that_is_said(flash: Any, five_states: Any) -> None:
    result = flash("plugins", plugins=five_states)
    assert result.code == 0
    assert result.err == ""


def test_strict_mode_does_not_keep_the_list_from_being_shown(flash: Any, broken: Any) -> None:
    result = flash("plugins", plugins=[("broken", broken)], FLASH_PLUGINS_STRICT="1")
    assert result.code == 0
    assert "failed" in result.out


def test_json_has_every_field(flash: Any, five_states: Any) -> None:
    infos = json.loads(flash("plugins", "--json", plugins=five_states).out)
    assert [info["state"] for info in infos] == [
        "loaded",
        "loaded",
        "loaded",
        "failed",
        "conflict",
        "conflict",
    ]
    assert infos[3]["error"] == "flash_tasks raised RuntimeError: out of order"
    assert infos[1]["target"] == "acme.audio"
    assert infos[1]["location"] == "/site"
    assert infos[3]["repairs"] == ["pip install --upgrade flash-core acme-broken"]
    assert infos[1]["seconds"] > 0
    assert infos[1]["clashes"][1] == (
        "the audio backbone 'wav_cnn' is also registered by acme-quiet 1.2: write 'acme-audio/wav_cnn' for this one"
    )
    assert infos[1]["contributions"][1] == {
        "kind": "backbone",
        "name": "wav_cnn",
        "scope": "audio",
        "targets": {"factory": "collections:Counter"},
    }


def test_debug_adds_target_time_and_traceback(flash: Any, broken: Any) -> None:
    out = flash("plugins", "--debug", plugins=[("broken", broken)]).out
    assert "target acme.broken" in out
    assert "loaded in 0.0" in out
    assert "Traceback (most recent call last):" in out
    assert 'raise RuntimeError("out of order")' in out


def test_debug_adds_the_traceback_to_json_too(flash: Any, broken: Any) -> None:
    infos = json.loads(flash("plugins", "--debug", "--json", plugins=[("broken", broken)]).out)
    assert "Traceback" in infos[1]["traceback"]


def test_a_check_fails_if_a_plugin_fails(flash: Any, broken: Any) -> None:
    assert flash("plugins", "--check", plugins=[("broken", broken)]).code == 1


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_the_installed_packages_are_read_once_and_only_for_a_repair(
    as_json: tuple[str, ...], flash: Any, five_states: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def installed_dists() -> list[Any]:
        read.append(1)
        return []

    monkeypatch.setattr("flash.cli._plugins.installed_dists", installed_dists)
    flash("plugins", *as_json)
    assert not read
    flash("plugins", *as_json, plugins=five_states)
    assert len(read) == 1


def test_a_check_fails_if_plugins_conflict(flash: Any, five_states: Any) -> None:
    assert flash("plugins", "--check", plugins=five_states[3:]).code == 1


def test_a_check_passes_if_plugins_are_only_disabled(flash: Any, broken: Any) -> None:
    assert flash("plugins", "--check", plugins=[("broken", broken)], FLASH_PLUGINS="").code == 0


def test_a_check_imports_every_target(flash: Any, unresolvable: Any) -> None:
    plugins = [("fish", unresolvable)]
    result = flash("plugins", "--check", plugins=plugins)
    assert result.code == 1
    assert "cannot import nowhere:fish (sea backbone 'fish' of acme-fish 1.2)" in " ".join(result.out.split())
    assert flash("plugins", plugins=plugins).code == 0


def test_a_check_lets_catalogues_list_their_names(flash: Any, unresolvable: Any) -> None:
    result = flash("plugins", "--check", "--json", plugins=[("fish", unresolvable)])
    problems = json.loads(result.out)[1]["problems"]
    assert "cannot list its names: TypeError" in problems[1]
