"""Time until Flash and its command are there, each in new processes, compared with a Python that does nothing.

The target is 0.2 s for ``import flash``, measured inside the process; the other lines are whole processes. Noise
only ever adds time, so each figure is the least of several, taken in turn. Run: ``nox -s bench -- import_time``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "import flash": ["-c", "import flash"],
    "import flash.tabular": ["-c", "import flash.tabular"],
    "flash --help": ["-m", "flash", "--help"],
    "flash plugins": ["-m", "flash", "plugins"],
    "flash tasks": ["-m", "flash", "tasks"],
    "flash backbones tabular": ["-m", "flash", "backbones", "tabular"],
}
INSIDE = "import time; start = time.perf_counter(); import flash; print(time.perf_counter() - start)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds

    least = dict.fromkeys(PROGRAMS, float("inf"))
    inside = float("inf")
    for _ in range(rounds):
        for name, arguments in PROGRAMS.items():
            least[name] = min(least[name], seconds_of_process(arguments))
        inside = min(inside, float(output_of(["-c", INSIDE])))

    print(f"import flash, inside the process: {inside * 1000:.1f} ms (target: under 200 ms)\n")
    print(f"  {'process':30s} {'ms':>8s}   ratio to python -c pass")
    for name, seconds in least.items():
        print(f"  {name:30s} {seconds * 1000:8.1f}   {seconds / least['python -c pass']:.2f}")


def seconds_of_process(arguments: list[str]) -> float:
    start = time.perf_counter()
    output_of(arguments)
    return time.perf_counter() - start


def output_of(arguments: list[str]) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
