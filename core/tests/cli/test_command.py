"""The parsers of the built-in commands."""

from __future__ import annotations

from typing import Any


def test_an_unknown_option_points_to_the_help(flash: Any) -> None:
    result = flash("--verbose")
    assert (result.code, result.err) == (2, "flash: Expected a command, but got '--verbose'. See flash --help.\n")
