from __future__ import annotations

from typing import Any

import pytest

from flash.errors import PluginConflictError, PluginWarning
from flash.plugins import PluginHost, PluginState

OTHER = """
@hookimpl
def flash_backbones():
    yield Backbone("wav_cnn", domain="audio", factory="collections:deque")
    yield Backbone("other", domain="audio", factory="collections:deque")
"""


@pytest.fixture
def namesakes(site: Any, good: str) -> PluginHost:
    """Two plugins of one name."""
    site.install("acme-audio", "1.0", audio=good)
    site.install("best-audio", "2.0", audio=good)
    return site.host()


@pytest.fixture
def rivals(site: Any, good: str) -> PluginHost:
    """Two plugins that give one backbone."""
    site.install("acme-audio", "1.0", acme=good)
    site.install("best-audio", "2.0", best=OTHER)
    return site.host()


def test_of_two_plugins_with_one_name_neither_is_loaded(namesakes: PluginHost) -> None:
    with pytest.warns(PluginWarning):
        infos = namesakes.infos()
    assert [info.state for info in infos[1:]] == [PluginState.CONFLICT] * 2
    assert namesakes.domains() == ()


def test_namesakes_name_each_other_and_how_to_keep_one_out(namesakes: PluginHost) -> None:
    with pytest.warns(PluginWarning) as caught:
        infos = namesakes.infos()
    assert infos[1].error == ("the plugin name 'audio' is also used by best-audio 2.0, so neither is loaded")
    assert [str(warning.message).rpartition(". ")[2] for warning in caught] == [
        "Disable it with FLASH_DISABLE_PLUGINS=acme-audio",
        "Disable it with FLASH_DISABLE_PLUGINS=best-audio",
    ]


def test_names_that_differ_in_spelling_only_are_one(site: Any, good: str) -> None:
    site.install("acme-audio", my_audio=good)
    site.install("best-audio", My_Audio=good)
    with pytest.warns(PluginWarning):
        assert site.host().domains() == ()


def test_a_namesake_that_is_disabled_leaves_the_name_to_the_other(site: Any, good: str) -> None:
    site.install("acme-audio", "1.0", audio=good)
    site.install("best-audio", "2.0", audio=good)
    host = site.host(FLASH_DISABLE_PLUGINS="best-audio")
    assert str(host.backbones("audio")["wav_cnn"].provider) == "acme-audio 1.0"


def test_a_plugin_cannot_take_the_name_of_the_built_in_one(site: Any, good: str) -> None:
    site.install("acme-audio", flash_core=good)
    with pytest.warns(match="the plugin name 'flash_core' is also used by flash-core"):
        infos = site.host().infos()
    assert [info.state for info in infos] == [PluginState.LOADED, PluginState.CONFLICT]


def test_a_name_that_two_plugins_give_belongs_to_neither(rivals: PluginHost) -> None:
    with pytest.raises(
        PluginConflictError,
        match=r"'wav_cnn' among the audio backbones is claimed by acme-audio 1\.0 and by best-audio 2\.0, so",
    ):
        rivals.backbones("audio")["wav_cnn"]


def test_the_error_gives_both_qualified_names_and_advises_to_remove_neither(rivals: PluginHost) -> None:
    with pytest.raises(
        PluginConflictError,
        match=r"so neither gets it\. Write 'acme-audio/wav_cnn' or 'best-audio/wav_cnn'\.$",
    ):
        rivals.backbones("audio")["wav_cnn"]


def test_of_a_first_party_plugin_the_qualified_name_comes_first(site: Any, good: str) -> None:
    site.install("acme-audio", acme=good)
    site.install("flash-tabular", tabular=good)
    with pytest.raises(PluginConflictError, match="Write 'flash-tabular/wav_cnn' or 'acme-audio/wav_cnn'"):
        site.host().backbones("audio")["wav_cnn"]


def test_a_disputed_name_works_with_its_dist_in_front(rivals: PluginHost) -> None:
    backbones = rivals.backbones("audio")
    assert backbones["acme-audio/wav_cnn"].load().__name__ == "Counter"
    assert backbones["Best_Audio/wav_cnn"].load().__name__ == "deque"


def test_a_disputed_name_is_listed_with_its_dists(rivals: PluginHost) -> None:
    assert list(rivals.backbones("audio")) == ["acme-audio/wav_cnn", "best-audio/wav_cnn", "other"]
    assert len(rivals.backbones("audio")) == 3
    assert "wav_cnn" not in rivals.backbones("audio")


def test_an_undisputed_name_works_with_its_dist_in_front_too(rivals: PluginHost) -> None:
    assert "best-audio/other" in rivals.backbones("audio")


def test_plugins_in_dispute_are_loaded_and_keep_what_is_undisputed(rivals: PluginHost) -> None:
    infos = rivals.infos()
    assert [info.state for info in infos[1:]] == [PluginState.LOADED] * 2
    assert infos[1].clashes == (
        "the audio backbone 'wav_cnn' is also registered by best-audio 2.0: write 'acme-audio/wav_cnn' for this one",
    )
    assert rivals.backbones("audio")["other"].name == "other"


def test_one_name_in_two_domains_is_no_conflict(site: Any, good: str) -> None:
    site.install("acme-audio", acme=good)
    site.install("best-audio", best=good.replace('"audio"', '"birds"'))
    assert [info.state for info in site.host().infos()[1:]] == [PluginState.LOADED] * 2


def test_a_plugin_cannot_take_a_built_in_name(site: Any) -> None:
    source = "@hookimpl\ndef flash_finetuning_strategies(): yield Strategy('freeze', 'collections:deque')"
    site.install("acme-thaw", "3.0", thaw=source)
    host = site.host()
    assert host.strategies()["freeze"].provider.builtin
    assert host.strategies()["acme-thaw/freeze"].load().__name__ == "deque"
    assert [info.state for info in host.infos()] == [PluginState.LOADED, PluginState.LOADED]
    assert host.infos()[0].clashes == ()
    assert "also registered by flash-core" in host.infos()[1].clashes[0]


def test_two_plugins_of_one_dist_are_told_apart_by_their_own_names(site: Any, good: str) -> None:
    site.install("acme-audio", one=good, two=good)
    assert list(site.host().backbones("audio")) == ["one/wav_cnn", "two/wav_cnn"]


def test_a_task_in_dispute_is_found_with_its_dist_in_front(site: Any) -> None:
    source = "@hookimpl\ndef flash_tasks():\n    yield TaskSpec('audio/tagging', task='a:b', data='a:c')"
    site.install("acme-audio", acme=source)
    site.install("best-audio", best=source)
    tasks = site.host().tasks()
    with pytest.raises(PluginConflictError, match="Write 'acme-audio/audio/tagging'"):
        tasks["audio/tagging"]
    assert tasks["best-audio/audio/tagging"].provider.dist == "best-audio"


def test_strict_mode_leaves_a_name_of_two_plugins_to_whoever_types_it(site: Any, good: str) -> None:
    site.install("acme-audio", acme=good)
    site.install("best-audio", best=good)
    assert site.host(FLASH_PLUGINS_STRICT="1").domains() == ("audio",)


def test_strict_mode_raises_a_conflict_of_plugins(site: Any, good: str) -> None:
    site.install("acme-audio", acme=good)
    site.install("best-audio", Acme=good)
    with pytest.raises(PluginConflictError, match=r"plugin 'acme' .* is in conflict"):
        site.host(FLASH_PLUGINS_STRICT="1").domains()
