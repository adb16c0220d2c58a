"""Checkpoint files: checksums, temporary files, and what cannot be opened."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from flash.errors import CheckpointError
from flash.serialization import files as files_module
from flash.serialization import read_checkpoint, replacing, write_checkpoint


def test_a_flipped_bit_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "task.ckpt"
    write_checkpoint({"weights": torch.arange(1000.0)}, file)
    content = bytearray(file.read_bytes())
    place = content.find(torch.tensor([500.0]).numpy().tobytes())
    content[place] ^= 1
    file.write_bytes(bytes(content))
    assert torch.load(file, weights_only=True)["weights"][500] != 500
    with pytest.raises(CheckpointError, match=r"task\.ckpt is truncated or damaged"):
        read_checkpoint(file)


@pytest.mark.parametrize("name", ["x" * 5000, "null\0byte"])
def test_a_name_that_no_file_can_have_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"Expected a checkpoint at (?s:.)*, but (it cannot|there is no)"):
        read_checkpoint(tmp_path / name)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such file"):
        read_checkpoint(tmp_path)


def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path) -> None:
    left = tmp_path / ".task.ckpt.0123.tmp"
    left.write_text("half")
    os.utime(left, (time.time() - 60,) * 2)
    write_checkpoint({}, tmp_path / "task.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["task.ckpt"]


def test_the_file_of_a_writer_that_is_alive_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "_SECONDS_TO_LOCK", -1)
    target = tmp_path / "task.ckpt"
    with replacing(target, "w") as slow:
        slow.write("slow")
        with replacing(target, "w") as quick:
            quick.write("quick")
        assert target.read_text() == "quick"
    assert target.read_text() == "slow"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_another_process_opened_just_now_stays(tmp_path: Path) -> None:
    young = tmp_path / ".task.ckpt.0123.tmp"
    young.write_text("half")
    write_checkpoint({}, tmp_path / "task.ckpt")
    assert young.exists()


def test_a_name_with_wildcards_removes_no_other_file(tmp_path: Path) -> None:
    other = tmp_path / ".task1.ckpt.0123.tmp"
    other.write_text("of another checkpoint")
    os.utime(other, (time.time() - 60,) * 2)
    write_checkpoint({}, tmp_path / "task?.ckpt")
    assert other.exists()
