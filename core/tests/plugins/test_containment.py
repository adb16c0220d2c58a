"""Whatever a plugin does while it is loaded stays with it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

Failure = Callable[[str], str]


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
