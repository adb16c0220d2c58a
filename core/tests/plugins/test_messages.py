"""Texts of plugins, as they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flash.errors import PluginWarning
from flash.plugins._messages import warn_user

Failure = Callable[[str], str]


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


def test_a_warning_points_to_the_line_of_the_program() -> None:
    with pytest.warns(PluginWarning, match="the plugin is broken") as caught:
        warn_user("the plugin is broken")
    assert caught[0].filename == __file__
