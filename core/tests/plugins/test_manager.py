from __future__ import annotations

import sys
import threading
import time
import warnings
from typing import Any

import pytest

from flash.errors import PluginError, PluginWarning, UnknownNameError
from flash.plugins import PluginHost, PluginState, get_host

EVERYTHING = """
@hookimpl
def flash_tasks():
    yield TaskSpec("audio/classification", task="acme.task:Task", data="acme.data:Data")

@hookimpl
def flash_backbones():
    yield Backbone("wav_cnn", domain="audio", factory="collections:Counter")
    yield BackboneCatalogue("zoo", domain="birds", names="collections:deque", factory="collections:Counter")

@hookimpl
def flash_finetuning_strategies():
    yield Strategy("chain_thaw", factory="acme:ChainThaw")

@hookimpl
def flash_data_sources():
    yield DataSource("lmdb", data="*", factory="acme:lmdb")
    yield DataSource("flac", data="audio/classification", factory="acme:flac")

@hookimpl
def flash_callbacks():
    yield CallbackSpec("carbon", factory="acme:Carbon")
"""


@pytest.fixture
def host(site: Any) -> PluginHost:
    site.install("flash-acme", "1.2", acme=EVERYTHING)
    return site.host()


def test_each_kind_has_its_look_up(host: PluginHost) -> None:
    assert list(host.tasks()) == ["audio/classification"]
    assert list(host.backbones("audio")) == ["wav_cnn"]
    assert list(host.catalogues("birds")) == ["zoo"]
    assert list(host.strategies())[-1] == "chain_thaw"
    assert list(host.callbacks()) == ["keep_best", "average_weights", "carbon"]


def test_data_sources_are_those_of_the_task_and_those_of_all(host: PluginHost) -> None:
    assert list(host.data_sources("audio/classification")) == ["flac", "lmdb"]
    assert list(host.data_sources("image/classification")) == ["lmdb"]


def test_domains_come_from_tasks_backbones_and_catalogues(host: PluginHost) -> None:
    assert host.domains() == ("audio", "birds")


def test_a_contribution_knows_its_provider(host: PluginHost) -> None:
    contribution = host.tasks()["audio/classification"]
    assert str(contribution.provider) == "flash-acme 1.2"
    assert contribution.provider.plugin == "acme"
    assert contribution.label == "task 'audio/classification'"
    assert host.backbones("audio")["wav_cnn"].label == "audio backbone 'wav_cnn'"


def test_what_flash_core_gives_comes_through_the_same_hooks(host: PluginHost) -> None:
    builtin = host.infos()[0]
    assert builtin.name == builtin.dist == "flash-core"
    assert [each.name for each in builtin.contributions if each.spec.kind == "strategy"] == [
        "no_freeze",
        "freeze",
        "freeze_unfreeze",
        "unfreeze_milestones",
    ]


def test_a_host_loads_nothing_until_something_is_looked_up(host: PluginHost) -> None:
    infos = host.infos(load=False)
    assert [info.state for info in infos] == [PluginState.AVAILABLE] * 2
    assert "flash_acme_acme_plugin" not in sys.modules
    host.domains()
    assert "flash_acme_acme_plugin" in sys.modules
    assert [info.state for info in host.infos(load=False)] == [PluginState.LOADED] * 2


def test_plugins_load_once_however_many_threads_ask() -> None:
    calls = []

    def discover() -> list[Any]:
        calls.append(1)
        time.sleep(0.05)
        return []

    host = PluginHost(discover, environ={})
    threads = [threading.Thread(target=host.strategies) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


def test_a_broken_plugin_is_reported_once(site: Any) -> None:
    site.install("flash-broken", broken="1 / 0")
    host = site.host()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        host.tasks()
        host.tasks()
    assert len(caught) == 1


def test_warnings_that_are_errors_leave_the_host_usable(site: Any, good: str) -> None:
    site.install("flash-broken", broken="1 / 0")
    site.install("flash-acme", audio=good)
    host = site.host()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PluginWarning):
            host.tasks()
    assert host.domains() == ("audio",)


def test_strict_mode_raises_what_is_wrong(site: Any) -> None:
    site.install("flash-broken", broken="1 / 0")
    host = site.host(FLASH_PLUGINS_STRICT="1")
    for _ in range(2):
        with pytest.raises(PluginError, match=r"plugin 'broken' .* failed") as caught:
            host.tasks()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_strict_mode_still_says_what_is_installed(site: Any) -> None:
    site.install("flash-broken", broken="1 / 0")
    assert site.host(FLASH_PLUGINS_STRICT="1").infos()[1].state is PluginState.FAILED


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_strict_mode_can_be_switched_off(site: Any, value: str) -> None:
    site.install("flash-broken", broken="1 / 0")
    with pytest.warns(PluginWarning):
        site.host(FLASH_PLUGINS_STRICT=value).tasks()


def test_a_plugin_that_looks_things_up_while_it_loads_fails(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("flash-eager", eager="import flash.plugins as p\np.get_host().tasks()")
    host = site.host()
    monkeypatch.setattr("flash.plugins._current._host", host)
    with pytest.warns(match="looked up contributions while it was being loaded"):
        assert get_host().tasks() == {}


def test_a_look_up_that_misses_says_what_is_close(host: PluginHost) -> None:
    with pytest.raises(UnknownNameError, match=r"'wav_cn' is not among the audio backbones\. Did you mean 'wav_cnn'"):
        host.backbones("audio")["wav_cn"]


def test_a_missing_first_party_domain_is_explained_by_what_to_install(host: PluginHost) -> None:
    assert host.explain_missing("backbone", "resnet18", domain="image") == (
        "flash.image is provided by a plugin that is not installed: pip install flash-image."
    )
    assert host.explain_missing("task", "text/classification") == (
        "flash.text is provided by a plugin that is not installed: pip install flash-text."
    )


def test_a_missing_name_is_explained_by_plugins_that_are_not_loaded(site: Any, good: str) -> None:
    site.install("flash-acme", acme=good)
    site.install("flash-broken", "2.0", broken="1 / 0")
    host = site.host(FLASH_DISABLE_PLUGINS="acme")
    with pytest.warns(PluginWarning):
        explanation = host.explain_missing("backbone", "wav_cnn", domain="birds")
    assert explanation == (
        "Plugins that are not loaded and may have this backbone: "
        "'acme' (flash-acme 1.0), disabled: FLASH_DISABLE_PLUGINS names it; "
        "'broken' (flash-broken 2.0), failed: ZeroDivisionError: division by zero."
    )


def test_a_missing_name_without_any_reason_is_not_explained(host: PluginHost) -> None:
    assert host.explain_missing("strategy", "thaw_it_all") is None


def test_the_host_of_the_process_is_always_the_same() -> None:
    assert get_host() is get_host()
