from __future__ import annotations

import sys
import warnings
from typing import Any

import pytest

from flash.plugins import PluginState


def states(host: Any) -> dict[str, str]:
    return {info.name: info.state.value for info in host.infos()[1:]}


@pytest.fixture
def two(site: Any, good: str) -> Any:
    site.install("acme-flash-audio", audio=good)
    site.install("flash-birds", birds=good.replace("audio", "birds"))
    return site


def test_without_switches_all_plugins_load(two: Any) -> None:
    assert states(two.host()) == {"audio": "loaded", "birds": "loaded"}


def test_an_empty_allow_list_loads_none(two: Any) -> None:
    assert states(two.host(FLASH_PLUGINS="")) == {"audio": "disabled", "birds": "disabled"}


def test_an_allow_list_loads_what_it_names(two: Any) -> None:
    assert states(two.host(FLASH_PLUGINS="birds")) == {"audio": "disabled", "birds": "loaded"}


@pytest.mark.parametrize("name", ["audio", "AUDIO", "acme-flash-audio", "Acme_Flash.Audio", " audio ,"])
def test_a_plugin_is_disabled_by_its_name_or_that_of_its_dist_however_spelt(two: Any, name: str) -> None:
    assert states(two.host(FLASH_DISABLE_PLUGINS=name)) == {"audio": "disabled", "birds": "loaded"}


def test_disabling_wins_over_allowing(two: Any) -> None:
    host = two.host(FLASH_PLUGINS="audio,birds", FLASH_DISABLE_PLUGINS="audio")
    assert states(host) == {"audio": "disabled", "birds": "loaded"}


def test_a_disabled_plugin_is_never_imported(two: Any) -> None:
    two.host(FLASH_DISABLE_PLUGINS="audio").domains()
    assert "acme_flash_audio_audio_plugin" not in sys.modules


def test_a_disabled_plugin_says_which_switch_did_it(two: Any) -> None:
    infos = two.host(FLASH_PLUGINS="birds").infos()
    assert infos[1].notes == ("FLASH_PLUGINS does not name it",)


@pytest.mark.parametrize("variable", ["FLASH_PLUGINS", "FLASH_DISABLE_PLUGINS"])
def test_an_unknown_name_in_a_switch_gets_one_warning(two: Any, variable: str) -> None:
    host = two.host(**{variable: "audio,brids"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        host.domains()
        host.domains()
    assert [str(warning.message) for warning in caught] == [
        f"{variable} names 'brids', which is no plugin that can be switched "
        "(installed: acme-flash-audio, audio, birds, flash-birds)"
    ]


def test_what_is_built_in_cannot_be_disabled(two: Any) -> None:
    host = two.host(FLASH_DISABLE_PLUGINS="flash-core", FLASH_PLUGINS="")
    with pytest.warns(match="FLASH_DISABLE_PLUGINS names 'flash-core'"):
        assert "freeze" in host.strategies()
    assert host.infos()[0].state is PluginState.LOADED


def test_the_setting_that_disables_one_more_keeps_the_others(two: Any) -> None:
    host = two.host(FLASH_DISABLE_PLUGINS="birds")
    assert host.to_disable(host.infos()[1]) == "FLASH_DISABLE_PLUGINS=birds,audio"
