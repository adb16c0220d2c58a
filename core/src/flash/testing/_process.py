"""Run programs in another process: in a new interpreter, or in a fork of one that has imported torch."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from flash.testing import _network

__all__ = ["clean_context", "in_clean_process", "in_new_interpreter"]

_PROGRAM = """
import pickle, runpy, sys

def main():
    # By its path: importing it would import the whole kit, and torch with it.
    block = runpy.run_path(sys.argv[3])["blocked_network"]
    with open(sys.argv[1], "rb") as file:
        code, given = pickle.load(file)
    names = {**given, "__name__": "program"}
    with block() as attempts:
        exec(code, names)
    with open(sys.argv[2], "wb") as file:
        pickle.dump((names["result"], attempts), file)

if __name__ == "__main__":
    main()
"""


def in_new_interpreter(folder: Path, code: str, /, **given: Any) -> Any:
    """Run code in a new interpreter without a network, and return the value of its variable ``result``.

    Args:
        folder: The folder for the code and its result.
        code: Python source.
        given: Variables of the code, which are pickled.
    """
    program, task, outcome = (folder / name for name in ("program.py", "given.pickle", "result.pickle"))
    program.write_text(_PROGRAM)
    task.write_bytes(pickle.dumps((code, given)))
    done = subprocess.run(
        [sys.executable, str(program), str(task), str(outcome), _network.__file__],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"Expected the same in a new process, but it failed there:\n{done.stderr[-3000:]}"
    return _result(outcome)


def in_clean_process(folder: Path, code: str, /, **given: Any) -> Any:
    """Run code in a fresh process without a network, and return the value of its variable ``result``.

    The process is a fork of a server that has imported this kit, torch with it, and no plugin. If the system cannot
    fork, it is a new interpreter.

    Args:
        folder: The working directory of the code; its output is in ``log.txt`` there.
        code: Python source.
        given: Variables of the code, which are pickled.

    Returns:
        The value that the code assigned to ``result``, pickled there and unpickled here.

    Raises:
        AssertionError: If the code fails, or uses the network.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     in_clean_process(Path(folder), "result = number + 1", number=1)
        2
    """
    outcome, log = folder / "result.pickle", folder / "log.txt"
    process = clean_context().Process(target=_run, args=(code, given, dict(os.environ), folder, outcome, log))
    process.start()
    process.join()
    assert process.exitcode == 0, f"Expected the same in a new process, but it failed there:\n{log.read_text()[-3000:]}"
    return _result(outcome)


def clean_context() -> Any:
    """Return a multiprocessing context whose processes share no state with this one, and start quickly."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flash.testing"])
    return context


def _run(code: str, given: dict[str, Any], environment: dict[str, str], folder: Path, outcome: Path, log: Path) -> None:
    """Run code in a process that :func:`in_clean_process` started."""
    # What the server has imported stays: no collection of garbage need look at it.
    gc.freeze()
    # The server has the environment and the outputs of the process that started it.
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for output in (1, 2):
        os.dup2(descriptor, output)
    names = {**given, "__name__": "program"}
    try:
        with _network.blocked_network() as attempts:
            exec(code, names)  # noqa: S102  # the kit's own programs
        outcome.write_bytes(pickle.dumps((names["result"], attempts)))
    except BaseException:
        os.write(descriptor, traceback.format_exc().encode())
        raise


def _result(outcome: Path) -> Any:
    result, attempts = pickle.loads(outcome.read_bytes())
    assert not attempts, f"Expected that nothing asks the network, but it was asked for {', '.join(attempts)}."
    return result
