from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from flash.plugins import _loading

Failure = Callable[[str], str]


def test_a_plugin_that_cannot_be_imported_fails_alone(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good)
    site.install("flash-broken", "2.0", broken="import module_that_is_missing")
    host = site.host()
    with pytest.warns(match="No module named 'module_that_is_missing'"):
        assert list(host.backbones("audio")) == ["wav_cnn"]


def test_the_warning_names_dist_version_and_the_switch(site: Any) -> None:
    site.install("flash-broken", "2.0", broken="1 / 0")
    with pytest.warns(match=r"plugin 'broken' \(flash-broken 2.0\) failed.*FLASH_DISABLE_PLUGINS=broken;"):
        site.host().domains()


def test_the_exception_is_kept_with_its_traceback(site: Any) -> None:
    site.install("flash-broken", broken="1 / 0")
    with pytest.warns(match="ZeroDivisionError"):
        exception = site.host().infos()[1].exception
    assert isinstance(exception, ZeroDivisionError)
    assert exception.__traceback__ is not None


def test_a_hook_that_raises_fails_the_plugin(failure: Failure) -> None:
    error = failure("@hookimpl\ndef flash_tasks():\n    yield 1 / 0")
    assert error == "flash_tasks raised ZeroDivisionError: division by zero"


def test_a_hook_that_is_marked_optional_may_be_unknown(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good + "@hookimpl(optionalhook=True)\ndef flash_of_the_future(): ...\n")
    assert list(site.host().backbones("audio")) == ["wav_cnn"]


def test_a_hook_with_an_argument_fails(failure: Failure) -> None:
    error = failure("@hookimpl\ndef flash_tasks(config):\n    return []")
    assert error == "flash_tasks takes config, but hooks take no arguments: def flash_tasks()"


def test_a_hook_with_a_default_is_called_without(site: Any) -> None:
    site.install("flash-a", a="@hookimpl\ndef flash_tasks(config=None):\n    return []")
    assert site.host().infos()[1].state == "loaded"


def test_a_plugin_without_hooks_fails(failure: Failure) -> None:
    assert failure("") == (
        "it implements no hook; there are flash_tasks, flash_backbones, flash_finetuning_strategies, "
        "flash_data_sources, flash_callbacks, flash_components, flash_commands, flash_engines, "
        "flash_recipes, flash_exporters, flash_renames"
    )


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ("[1]", r"but got 1 (int)"),
        ("'wav_cnn'", "but got 'wav_cnn' (str)"),
        ("{'wav_cnn': 1}", "but got {'wav_cnn': 1} (dict)"),
        ("5", "but got 5 (int)"),
        ("[Strategy('thaw', factory='acme:Thaw')]", "(Strategy)"),
    ],
)
def test_a_result_of_the_wrong_type_fails_and_is_named(failure: Failure, result: str, shown: str) -> None:
    error = failure(f"@hookimpl\ndef flash_backbones():\n    return {result}")
    assert error.startswith("flash_backbones must return Backbone or BackboneCatalogue objects, but ")
    assert shown in error


def test_a_lone_result_counts_as_one(site: Any) -> None:
    site.install("flash-a", a="@hookimpl\ndef flash_callbacks():\n    return CallbackSpec('carbon', factory='a:b')")
    assert "carbon" in site.host().callbacks()


def test_an_invalid_name_fails_and_is_named(failure: Failure) -> None:
    error = failure("@hookimpl\ndef flash_finetuning_strategies():\n    yield Strategy('Thaw It', factory='a:b')")
    assert "Strategy.name must be" in error
    assert "but got 'Thaw It'" in error


def test_one_name_twice_in_a_plugin_fails(failure: Failure) -> None:
    error = failure("@hookimpl\ndef flash_backbones():\n    return [Backbone('x', 'audio', 'a:b')] * 2")
    assert error == "flash_backbones returns the audio backbone 'x' twice"


def test_a_newer_hook_api_fails_with_what_to_upgrade(failure: Failure, good: str) -> None:
    error = failure(good + "HOOK_API = 2")
    assert error == ("it is written for hook API 2, but this flash-core has 1: pip install --upgrade flash-core")


def test_a_hook_api_that_is_no_number_fails(failure: Failure, good: str) -> None:
    assert failure(good + "HOOK_API = 'two'") == "HOOK_API must be an integer, but got 'two'"


def test_the_present_hook_api_is_accepted(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good + "HOOK_API = 1")
    assert site.host().domains() == ("audio",)


def test_attributes_of_a_lazy_module_are_left_alone(site: Any, good: str) -> None:
    site.install(
        "flash-acme",
        audio=good + "def __getattr__(name): raise SystemExit(name)\ndef __dir__(): return [*globals(), 'Heavy']\n",
    )
    assert site.host().domains() == ("audio",)


def test_a_class_instance_can_be_a_plugin(site: Any) -> None:
    site.install("flash-a", a="class P:\n    @hookimpl\n    def flash_tasks(self): return []\nplugin = P()")
    (site.folder / "flash_a-1.0.dist-info" / "entry_points.txt").write_text(
        "[flash.plugins]\na = flash_a_a_plugin:plugin"
    )
    assert site.host().infos()[1].state == "loaded"


def test_the_time_that_loading_took_is_recorded(site: Any, good: str) -> None:
    site.install("flash-acme", audio=good)
    seconds = site.host().infos()[1].seconds
    assert 0 < seconds < 10


def test_a_slow_plugin_gets_a_note_and_is_loaded(site: Any, good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_loading, "_SLOW_SECONDS", 0.0)
    site.install("flash-acme", audio=good)
    info = site.host().infos()[1]
    assert info.state == "loaded"
    assert info.notes[0].startswith("slow: loading it took 0.0 s")


def test_a_plugin_that_imports_torch_gets_a_note_and_is_loaded(
    site: Any, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)  # So that it is put back, or taken away, afterwards.
    del sys.modules["torch"]
    site.install("flash-acme", audio=good + "import sys\nsys.modules['torch'] = sys\n")
    info = site.host().infos()[1]
    assert info.state == "loaded"
    assert info.notes == ("slow: it imports torch; name what needs torch by 'module:attribute' strings only",)
