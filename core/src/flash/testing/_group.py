"""Groups of processes that work together, each with the environment that torch's launcher gives it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

__all__ = ["Outcome", "run_group"]

# The seconds after the first process has died, in which the others notice it by themselves.
_NOTICE = 60


@dataclass(frozen=True)
class Outcome:
    """The end of a process.

    Args:
        code: Its exit code, negative for a signal.
        result: What its work returned.
        error: The traceback of its error; ``None`` without one.
    """

    code: int
    result: Any = None
    error: str | None = None


def run_group(work: Callable[[int], Any], processes: int) -> list[Outcome]:
    """Run the same work in several processes, which are forks of this one.

    A ``Trainer(devices=processes, strategy="ddp")`` in them trains together with those of the others, as under
    ``torchrun``. A single process has the environment of this one.

    Args:
        work: Called with the number of the process; its result is pickled.
        processes: The number of processes.

    Returns:
        The outcome of each.

    Raises:
        AssertionError: If a process has ended by a signal, and another does not end within a minute.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(rank)) for rank in range(processes)]
        context = multiprocessing.get_context("fork")
        group = [
            context.Process(target=_run, args=(work, rank, processes, port, file)) for rank, file in enumerate(files)
        ]
        for process in group:
            process.start()
        try:
            _wait_for(group)
        finally:
            for process in group:
                if process.is_alive():
                    process.kill()
                process.join()
        return [_outcome(process, file) for process, file in zip(group, files, strict=True)]


def _wait_for(group: list[Any]) -> None:
    """Wait until all have ended; those that are left behind by one that was killed have a minute."""
    deadline: float | None = None
    while alive := [process for process in group if process.is_alive()]:
        if deadline is None and any(process.exitcode for process in group):
            deadline = time.monotonic() + _NOTICE
        left = None if deadline is None else deadline - time.monotonic()
        assert left is None or left > 0, (
            f"Expected each process to end when one of {len(group)} has died, but {len(alive)} did not within "
            f"{_NOTICE} seconds."
        )
        wait([process.sentinel for process in alive], left)


def _run(work: Callable[[int], Any], rank: int, processes: int, port: int, file: Path) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "MASTER_PORT": port}
        numbers |= {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "GROUP_WORLD_SIZE": 1}
        os.environ.update({name: str(number) for name, number in numbers.items()})
        os.environ.update({"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "flash"})
    error = result = None
    try:
        result = work(rank)
    except BaseException:
        error = traceback.format_exc()
    file.write_bytes(pickle.dumps((result, error)))
    if error is not None:
        # A process group whose other members are gone may hang as Python ends.
        os._exit(1)


def _outcome(process: Any, file: Path) -> Outcome:
    if not file.exists():
        return Outcome(process.exitcode)
    return Outcome(process.exitcode, *pickle.loads(file.read_bytes()))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
