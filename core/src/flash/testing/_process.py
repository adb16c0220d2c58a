"""Programs that run in a new process, for what has to work there too."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from flash.testing import _network

__all__ = ["in_new_process"]

_PROGRAM = """
import pickle, runpy, sys

def main():
    # By its path: to import it would import the whole kit, and torch with it.
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


def in_new_process(folder: Path, code: str, **given: Any) -> Any:
    """Run code in a new process without a network, and return what it calls ``result``.

    Args:
        folder: Where the code and its result are stored.
        code: Python source; it sees what is given by name.
        given: Objects, which are pickled.
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
    result, attempts = pickle.loads(outcome.read_bytes())
    assert not attempts, f"Expected that nothing asks the network, but it was asked for {', '.join(attempts)}."
    return result
