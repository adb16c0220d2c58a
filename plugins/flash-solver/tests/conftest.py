"""What the tests of the solver share: processes that are started, killed and compared."""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

# What torch imports at the first optimizer; here once, and not in each process that a test starts.
import torch._dynamo

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _alone(settled: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test is the only process, and leaves the logs as they were."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def _child(pipe: Any, function: Callable[..., Any], args: tuple[Any, ...], env: dict[str, str]) -> None:
    os.environ.update(env)
    torch.set_num_threads(1)
    try:
        pipe.send((True, function(*args)))
    except Exception:
        pipe.send((False, traceback.format_exc()))


def _start(function: Callable[..., Any], args: tuple[Any, ...], env: dict[str, str]) -> tuple[Any, Any]:
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_child, args=(theirs, function, args, env))
    process.start()
    theirs.close()
    return process, ours


def _finish(process: Any, pipe: Any) -> tuple[int, Any]:
    try:
        result = pipe.recv() if pipe.poll(60) else (False, "no answer within 60 seconds")
    except EOFError:
        result = (True, None)
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()
    if not result[0]:
        raise AssertionError(result[1])
    return process.exitcode, result[1]


@pytest.fixture
def in_process() -> Callable[..., tuple[int, Any]]:
    """Call a function in a process of its own; gives its exit code, or minus the signal, and the result."""

    def run(function: Callable[..., Any], *args: Any) -> tuple[int, Any]:
        return _finish(*_start(function, args, {}))

    return run


@pytest.fixture
def in_processes() -> Callable[..., list[Any]]:
    """Call a function with its rank in several processes that gloo connects; gives all results."""

    def run(count: int, function: Callable[..., Any], *args: Any, codes: list[int] | None = None) -> list[Any]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        started = [
            _start(_connected, (function, rank, *args), {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(count)
        ]
        finished = [_finish(*each) for each in started]
        if codes is not None:
            codes.extend(code for code, _ in finished)
        return [result for _, result in finished]

    return run


def _connected(function: Callable[..., Any], rank: int, *args: Any) -> Any:
    from flash.solver import distrib

    distrib.init("gloo")
    return function(rank, *args)
