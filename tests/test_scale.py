"""The program of the page on scale: the same on one process, two, and two machines with a process each."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent / "docs/scale.md"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the program and its tables."""
    program = PAGE.read_text().partition("# train.py\n")[2].partition("```")[0]
    (tmp_path / "train.py").write_text(program)
    rows = [f"{20 + row},{('Rome', 'Oslo')[row % 2]},{('no', 'yes')[row > 20]}" for row in range(41)]
    for name in ("train", "val"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["age,city,bought", *rows]) + "\n")
    (tmp_path / "new.csv").write_text("\n".join(["age,city", *(row.rpartition(",")[0] for row in rows)]) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def start(*command: str) -> Any:
    return subprocess.Popen(
        [*command, "train.py"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ, text=True
    )


def check(folder: Path, *started: Any) -> None:
    for process in started:
        output, _ = process.communicate()
        assert process.returncode == 0, output
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(map(str, range(41)))
    assert {row["prediction"] for row in rows} <= {"no", "yes"}
    assert not (folder / "predictions.csv.parts").exists()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def test_one_process(folder: Path) -> None:
    check(folder, start(sys.executable))


def test_two_processes_by_torchrun(folder: Path) -> None:
    check(folder, start(*TORCHRUN, "--nproc_per_node=2", f"--master_port={free_port()}"))


def test_two_machines_with_a_process_each(folder: Path) -> None:
    options = ["--nnodes=2", "--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    check(folder, *(start(*TORCHRUN, *options, f"--node_rank={rank}") for rank in range(2)))


@pytest.mark.slow
def test_the_check_of_a_gpu_runs_where_there_is_none() -> None:
    program = Path(__file__).parent.parent / "benchmarks/gpu.py"
    options = ["--device", "cpu", "--tiny", "--rounds", "1", "--no_compile"]
    result = subprocess.run([sys.executable, str(program), *options], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("fit, finetune, resume, predict, save, export: done") == 8
