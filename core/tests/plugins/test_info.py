"""What is known of plugins and of what they contribute."""

from __future__ import annotations

from typing import Any

import pytest

from flash.errors import PluginError
from flash.plugins import Backbone, BackboneCatalogue, PluginInfo, PluginState, Provider, Strategy, TaskSpec
from flash.plugins.info import Contribution, canonical

ACME = Provider("audio", "acme-audio", "1.2")


def info(**facts: Any) -> PluginInfo:
    known = {
        "name": "audio",
        "dist": "acme-audio",
        "version": "1.2",
        "target": "acme_audio.plugin",
        "location": "/site",
    }
    return PluginInfo(**{**known, "state": PluginState.LOADED, **facts})


@pytest.mark.parametrize("name", ["Acme_Audio", "acme.audio", "acme-_-audio"])
def test_a_name_has_one_spelling(name: str) -> None:
    assert canonical(name) == "acme-audio"


def test_a_plugin_is_called_by_its_name_and_that_of_its_distribution() -> None:
    for known in (ACME, info()):
        assert known.is_called("AUDIO")
        assert known.is_called("acme_audio")
        assert not known.is_called("acme")


def test_a_plugin_without_a_version_is_shown_by_its_distribution() -> None:
    assert str(Provider("audio", "acme-audio", "")) == "acme-audio"
    assert str(info(version="")) == "'audio' (acme-audio)"


@pytest.mark.parametrize(
    ("target", "module", "owned"),
    [
        ("acme_audio.plugin", "acme_audio", True),
        ("acme_audio.plugin:Plugin", "acme_audio.nets.cnn", True),
        ("acme_audio.plugin", "acme_audio_more", False),
        ("flash.audio._plugin", "flash.audio.data", True),
        ("flash.audio._plugin", "flash.data", False),
        ("", "acme_audio", False),
    ],
)
def test_a_plugin_owns_the_modules_of_its_package(target: str, module: str, owned: bool) -> None:
    assert info(target=target).owns(module) is owned


def test_a_plugin_is_in_trouble_if_it_failed_or_conflicts() -> None:
    states = [state for state in PluginState if info(state=state).in_trouble]
    assert states == [PluginState.FAILED, PluginState.CONFLICT]


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        (Backbone("cnn", "audio", "collections:Counter"), "audio backbone 'cnn'"),
        (Strategy("thaw", "collections:Counter"), "strategy 'thaw'"),
    ],
)
def test_a_contribution_is_named_by_its_scope_and_kind(spec: Any, label: str) -> None:
    assert Contribution(spec, ACME).label == label


def test_each_target_of_a_contribution_can_be_imported() -> None:
    task = Contribution(TaskSpec("audio/tags", "collections:Counter", "collections:OrderedDict"), ACME)
    assert task.load().__name__ == "Counter"
    assert task.load("data").__name__ == "OrderedDict"


def test_a_target_that_is_missing_names_the_contribution_and_its_plugin() -> None:
    with pytest.raises(PluginError, match="audio backbone 'cnn' of acme-audio 1.2"):
        Contribution(Backbone("cnn", "audio", "collections:Cnn"), ACME).load()


def test_a_catalogue_lists_strings() -> None:
    listing = Contribution(BackboneCatalogue("zoo", "audio", "string:digits.__iter__", "collections:Counter"), ACME)
    assert listing.listed() == list("0123456789")
    numbers = Contribution(BackboneCatalogue("zoo", "audio", "sys:getrecursionlimit.__class__", "a:b"), ACME)
    with pytest.raises(PluginError, match="catalogue 'zoo' of acme-audio 1.2 cannot list its names: TypeError"):
        numbers.listed()
    wrong = Contribution(BackboneCatalogue("zoo", "audio", "gc:get_count", "a:b"), ACME)
    with pytest.raises(PluginError, match=r"must list strings, but got \d+"):
        wrong.listed()
