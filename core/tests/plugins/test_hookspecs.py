from __future__ import annotations

import inspect

import pytest

from flash.plugins import hookspecs

HOOKS = [name for name in vars(hookspecs) if name.startswith("flash_")]


def test_every_hook_says_what_its_results_must_be() -> None:
    assert list(hookspecs.RESULTS) == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_an_example_that_runs(hook: str) -> None:
    documentation = inspect.getdoc(getattr(hookspecs, hook)) or ""
    assert f"def {hook}(self):" in documentation
    assert "isolated_plugins" in documentation


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_takes_nothing_and_gives_nothing_by_itself(hook: str) -> None:
    assert getattr(hookspecs, hook)() == ()
