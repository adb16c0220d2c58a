from __future__ import annotations

import logging
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


def test_the_users_own_interrupt_is_not_swallowed(site: Any) -> None:
    site.install("flash-broken", broken="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.host().domains()


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.exit(3)",
        "raise BaseException('enough')",
        "raise GeneratorExit",
        "@hookimpl\ndef flash_tasks():\n    raise SystemExit(3)",
        "@hookimpl\ndef flash_tasks():\n    yield TaskSpec('a/b', 'a:b', 'a:b')\n    raise SystemExit(3)",
        "class E(Exception):\n    def __str__(self): raise SystemExit(3)\nraise E",
        "class R:\n    def __repr__(self): raise SystemExit(3)\n@hookimpl\ndef flash_tasks():\n    yield R()",
    ],
    ids=["exit", "base exception", "generator exit", "hook", "generator", "str", "repr"],
)
def test_whatever_a_plugin_raises_stays_with_it(failure: Failure, source: str) -> None:
    assert failure(source)


def test_a_hook_that_never_ends_fails(failure: Failure) -> None:
    source = "import itertools\n@hookimpl\ndef flash_callbacks():\n"
    source += "    yield from (CallbackSpec(f'c{i}', 'a:b') for i in itertools.count())"
    assert "flash_callbacks returns more than 10,000 descriptions" in failure(source)


def test_what_a_plugin_says_is_shown_on_one_line_without_control_characters(failure: Failure) -> None:
    error = failure(r"raise ValueError('\x1b[31mred\x1b[0m\n\x07 and \u202eback ' + 'x' * 10**6)")
    assert error.startswith("ValueError: red and back xxx")
    assert error.isprintable()
    assert len(error) < 400


def test_a_summary_is_shown_without_control_characters(site: Any) -> None:
    source = (
        r"@hookimpl" + "\n" + r"def flash_callbacks(): yield CallbackSpec('c', 'a:b', '\x1b]0;title\x07Red\n one.')"
    )
    site.install("flash-a", a=source)
    assert site.host().callbacks()["c"].spec.summary == "Red one."


def test_what_a_plugin_prints_is_noted_and_not_shown(site: Any, good: str, capsys: pytest.CaptureFixture[str]) -> None:
    hook = "@hookimpl\ndef flash_callbacks():\n    sys.stdout.buffer.write(b'raw')\n    return []\n"
    site.install("flash-acme", audio="import sys\nprint('Welcome')\nprint('beta', file=sys.stderr)\n" + good + hook)
    info = site.host().infos()[1]
    assert info.state == "loaded"
    assert info.notes == ("it prints when it is loaded, which is kept from the output: 'Welcome raw beta'",)
    assert capsys.readouterr() == ("", "")


def test_a_log_handler_that_a_plugin_makes_writes_to_the_programs_stream(
    site: Any, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("flash-acme", audio="import logging, sys\nhandler = logging.StreamHandler(sys.stderr)\n" + good)
    site.host().domains()
    handler = sys.modules["flash_acme_audio_plugin"].handler
    handler.emit(logging.makeLogRecord({"msg": "later"}))
    assert capsys.readouterr().err == "later\n"


def test_a_wrong_module_in_the_entry_point_names_the_ones_there_are(site: Any, good: str) -> None:
    (site.folder / "acme_a").mkdir()
    (site.folder / "acme_a" / "__init__.py").write_text("")
    (site.folder / "acme_a" / "plugin.py").write_text("")
    site.install("acme-a", a=good)
    entry_points = site.folder / "acme_a-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[flash.plugins]\nacme-a = acme_a.plugins")
    with pytest.warns(match="acme-a"):
        error = site.host().infos()[1].error
    assert error == "the entry point acme-a = acme_a.plugins: there is no such module; the package has acme_a.plugin"
    entry_points.write_text("[flash.plugins]\nacme-a = acme_of_nowhere.plugin")
    with pytest.warns(match="acme-a"):
        error = site.host().infos()[1].error
    assert error == "the entry point acme-a = acme_of_nowhere.plugin: there is no package 'acme_of_nowhere'"


def test_a_wrong_attribute_in_the_entry_point_names_the_entry_point(site: Any, good: str) -> None:
    site.install("acme-a", a=good)
    entry_points = site.folder / "acme_a-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[flash.plugins]\nacme-a = acme_a_a_plugin:plugn")
    with pytest.warns(match="acme-a"):
        error = site.host().infos()[1].error
    assert error.startswith("the entry point acme-a = acme_a_a_plugin:plugn: AttributeError: module 'acme_a_a_plugin'")


def test_a_missing_dependency_that_is_not_declared_is_the_authors_to_declare(failure: Failure) -> None:
    assert failure("import not_there_at_all.sub") == (
        "ModuleNotFoundError: No module named 'not_there_at_all': it imports 'not_there_at_all', which is not "
        "installed, and flash-bad does not declare it; its author adds it to 'dependencies' in pyproject.toml"
    )


def test_a_missing_dependency_that_is_declared_can_be_installed(failure: Failure, monkeypatch: Any) -> None:
    class Declares:
        requires = ("Not.There >= 1 ; python_version > '3'",)

    monkeypatch.setattr(_loading, "distribution", lambda _: Declares)
    assert failure("import not_there").endswith("which is not installed: pip install 'Not.There >= 1'")


def test_a_hook_that_raises_fails_the_plugin(failure: Failure) -> None:
    error = failure("@hookimpl\ndef flash_tasks():\n    yield 1 / 0")
    assert error == "flash_tasks raised ZeroDivisionError: division by zero"


def test_a_misspelt_hook_fails_with_the_closest_match(failure: Failure) -> None:
    error = failure("@hookimpl\ndef flash_backbone():\n    return []")
    assert error == "there is no hook flash_backbone; did you mean flash_backbones?"


def test_an_unknown_hook_that_resembles_none_fails_with_all_hooks(failure: Failure) -> None:
    error = failure("@hookimpl\ndef configure():\n    return []")
    assert "there is no hook configure; there are flash_tasks, flash_backbones" in error


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
        "flash_data_sources, flash_callbacks, flash_components, flash_commands, flash_renames"
    )


def test_a_hook_without_its_mark_fails(failure: Failure, good: str) -> None:
    error = failure(good + "def flash_tasks():\n    return []")
    assert error == "flash_tasks is not marked with @hookimpl from flash.plugins"


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
