"""Code in another process: its result, its errors, and that it knows nothing of this process."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from flash.testing import in_clean_process

pytestmark = pytest.mark.process


def test_it_runs_elsewhere_with_what_is_given(tmp_path: Path) -> None:
    code = "import os\nresult = os.getpid(), os.getcwd(), numbers * 2"
    pid, folder, numbers = in_clean_process(tmp_path, code, numbers=[1])
    assert pid != os.getpid()
    assert (folder, numbers) == (str(tmp_path), [1, 1])


def test_it_knows_the_environment_and_nothing_else_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWER", "42")
    monkeypatch.setitem(sys.modules, "only_here", multiprocessing)
    code = "import os, sys\nresult = os.environ['ANSWER'], 'only_here' in sys.modules, 'torch' in sys.modules"
    assert in_clean_process(tmp_path, code) == ("42", False, True)


def test_what_goes_wrong_there_is_shown_here(tmp_path: Path) -> None:
    code = "print('so far')\nraise SystemError('the reason')"
    with pytest.raises(AssertionError, match=r"but it failed there:\n(?s:.*)so far(?s:.*)SystemError: the reason"):
        in_clean_process(tmp_path, code)


def test_the_network_is_refused_there(tmp_path: Path) -> None:
    code = (
        "import contextlib, socket\nwith contextlib.suppress(OSError):\n"
        "    socket.create_connection(('example.com', 80), timeout=1)\nresult = None"
    )
    with pytest.raises(AssertionError, match=r"Expected that nothing asks the network, but it was asked for example"):
        in_clean_process(tmp_path, code)


def test_where_the_system_cannot_fork_it_is_a_new_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert in_clean_process(tmp_path, "result = 1 + 1") == 2
