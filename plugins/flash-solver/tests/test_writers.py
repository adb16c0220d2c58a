"""Whatever prevents a file of a run from being written is one error, and leaves the old file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flash.errors import CheckpointError
from flash.solver import BaseSolver
from flash.solver.loggers.localfs import LocalFSLogger
from flash.solver.loggers.utils import write_png, write_wav
from flash.solver.logging import setup_logging


def commit(folder: Path) -> None:
    solver = BaseSolver(folder)
    solver.run_stage("train", lambda: {"loss": 1.0})
    solver.commit()


# Each writes a file of this name into a folder.
WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "checkpoint": ("checkpoint.th", commit),
    "hyperparameters": ("hyperparams.json", lambda folder: LocalFSLogger(folder).log_hyperparams({"lr": 1})),
    "text": ("valid_1/note.txt", lambda folder: LocalFSLogger(folder).log_text("valid", "note", "fine", 1)),
    "picture": ("dot.png", lambda folder: write_png(folder / "dot.png", np.zeros((1, 2, 2)))),
    "sound": ("beep.wav", lambda folder: write_wav(folder / "beep.wav", np.zeros(8), 8000)),
}


def raising(code: int) -> Callable[..., Any]:
    def error(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return error


REFUSALS = {
    "full disk": (os, "fsync", errno.ENOSPC),
    "read-only folder": (Path, "open", errno.EROFS),
    "no permission": (Path, "replace", errno.EACCES),
}
SENTENCE = r"could not be written: .*untouched\. Free some space, or choose another folder with BaseSolver\(folder="


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_the_system_refuses_is_one_error_that_leaves_the_old_file(
    writer: str, refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, write = WRITERS[writer]
    write(tmp_path)
    before = (tmp_path / name).read_bytes()
    owner, function, code = REFUSALS[refusal]
    with monkeypatch.context() as patch:
        patch.setattr(owner, function, raising(code))
        with pytest.raises(CheckpointError, match=SENTENCE):
            write(tmp_path)
    assert (tmp_path / name).read_bytes() == before
    assert [file.name for file in tmp_path.rglob("*.tmp")] == []


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_in_the_folders_place_is_one_error(writer: str, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(CheckpointError, match="is not a folder, or below a file|" + SENTENCE):
        WRITERS[writer][1](tmp_path / "runs")
    assert (tmp_path / "runs").read_text() == "a file"


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_in_the_files_place_is_one_error(writer: str, tmp_path: Path) -> None:
    name, write = WRITERS[writer]
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(CheckpointError, match=SENTENCE):
        write(tmp_path)


def test_a_log_file_that_cannot_be_opened_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(CheckpointError, match=SENTENCE):
        setup_logging(folder=tmp_path / "runs")
    (tmp_path / "solver.log.0").mkdir()
    with pytest.raises(CheckpointError, match=SENTENCE):
        setup_logging(folder=tmp_path)
