"""``flash fit`` without a task, which loads no torch."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest


def test_without_a_task_the_help_lists_them(flash: Any, words: Any) -> None:
    result = flash("fit", "--help", plugins=words)
    assert result.code == 0
    assert "tasks: words/language" in result.out
    assert "flash fit TASK --help shows the options" in result.out


def test_a_missing_task_is_an_error_that_lists_them(flash: Any, words: Any) -> None:
    for arguments, plugins, known in (
        (["fit"], words, "words/language."),
        (["fit", "--seed", "1"], (), "none, since no"),
    ):
        result = flash(*arguments, plugins=plugins)
        assert result.code == 2
        assert "Expected a task first, as in flash fit" in result.err
        assert known in result.err


def test_an_unknown_task_says_what_is_close(flash: Any, words: Any) -> None:
    result = flash("fit", "words/langage", plugins=words)
    assert result.code == 2
    assert "words/language" in result.err


def test_the_help_loads_no_torch(flash: Any, words: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of the command and what it imports are free of torch; the rest is imported in ``main``."""
    module = importlib.util.find_spec("flash.cli._fit")
    assert module is not None
    assert module.origin is not None
    top = ast.parse(Path(module.origin).read_text()).body
    names = {getattr(each, "module", None) for each in top if isinstance(each, ast.ImportFrom)}
    assert names == {
        *("__future__", "collections.abc", "flash.cli._arguments", "flash.cli._output", "flash.errors", "flash.plugins")
    }
