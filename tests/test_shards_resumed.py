"""Shards whose writing was interrupted: the next run goes on, and writes what an uninterrupted one would."""

from __future__ import annotations

import datetime
import os
import random
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from flash.data import shards
from flash.data.shards import write_shard_folders, write_shards
from flash.errors import CheckpointError, DataError
from flash.serialization import resuming_folder


def rows(count: int, changed: int | None = None) -> Iterator[dict[str, Any]]:
    """Rows of values of many kinds, one of which may be another one."""
    for row in range(count):
        yield {
            "image": bytes([row, row == changed]) * 50,
            "text": f"text {row}",
            "tags": ["a", "b"][: row % 3],
            "vector": np.full(2, row, dtype=np.float32),
            "score": float("nan") if row % 5 == 0 else row / 3,
            "file": {"bytes": b"abc", "path": None},
            "day": datetime.date(2026, 1, 1 + row % 28),
            "price": Decimal("1.50"),
        }


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of about 20 rows, in groups of 5."""
    monkeypatch.setattr(shards, "_GROUP_ROWS", 5)
    monkeypatch.setattr(shards, "_SHARD_BYTES", 3_000)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def interrupt(folder: Path, after: int = 47, count: int = 100) -> list[str]:
    """Write some of the rows, and return the names of the files that are complete."""

    def some() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(rows(count)):
            if number == after:
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        write_shards(some(), folder)
    assert not folder.exists()
    return sorted(each.name for each in (folder.parent / f"{folder.name}.parts/content").iterdir())


def kill_at(moment: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process die in the moment of so many."""
    left = count
    sync, replace, table = os.fsync, Path.replace, shards._table

    def die_in(event: str) -> None:
        nonlocal left
        left -= event == moment
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_replace(path: Path, target: Any) -> None:
        die_in("before replace")
        replace(path, target)
        die_in("after replace")

    def dying(event: str, call: Any) -> Any:
        def called(*given: Any) -> Any:
            die_in(event)
            return call(*given)

        return called

    monkeypatch.setattr(os, "fsync", dying("sync", sync))
    monkeypatch.setattr(Path, "replace", dying_replace)
    monkeypatch.setattr(shards, "_table", dying("group", table))


@pytest.mark.process
def test_a_run_that_is_killed_anywhere_again_and_again_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(folder: Path) -> None:
        write_shard_folders({"train": rows(100), "val": rows(43)}, folder)

    write(tmp_path / "whole")
    chance = random.Random(0)
    lives = 0
    # A kill after the folder is complete has nothing left to do.
    while not (tmp_path / "killed").exists():
        lives += 1
        moment, count = chance.choice(["sync", "before replace", "after replace", "group"]), chance.randint(1, 9)
        process = os.fork()
        if process == 0:  # pragma: no cover  # in the child
            code = 9
            try:
                kill_at(moment, count, monkeypatch)
                write(tmp_path / "killed")
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(process, 0)[1] in (0, signal.SIGKILL)
        assert lives < 200
    assert lives > 4
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(contents(tmp_path / "whole")) > 6


def test_complete_files_stay_and_a_truncated_one_is_written_again(tmp_path: Path) -> None:
    write_shards(rows(100), tmp_path / "whole")
    complete = interrupt(tmp_path / "shards")
    assert len(complete) == 2
    content = tmp_path / "shards.parts/content"
    written = {file.name: file.stat().st_mtime_ns for file in content.iterdir()}
    (content / complete[1]).write_bytes((content / complete[1]).read_bytes()[:-9])
    (content / "foreign.parquet").write_bytes(b"")
    assert write_shards(rows(100), tmp_path / "shards") == 100
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")
    assert (tmp_path / "shards" / complete[0]).stat().st_mtime_ns == written[complete[0]]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["shards", "whole"]
    assert pq.read_table(tmp_path / "shards").num_rows == 100


@pytest.mark.parametrize("count", [10, 60])
def test_rows_that_end_elsewhere_are_written_as_by_a_new_run_or_refused(count: int, tmp_path: Path) -> None:
    """Rows that follow the complete files may be others: a file is what its own rows make it."""
    complete = interrupt(tmp_path / "shards")
    last = sum(pq.read_metadata(tmp_path / "shards.parts/content" / name).num_rows for name in complete)
    if count < last:
        with pytest.raises(DataError, match="Expected the rows of the run that was interrupted"):
            write_shards(rows(count), tmp_path / "shards")
        return
    write_shards(rows(count), tmp_path / "whole")
    write_shards(rows(count), tmp_path / "shards")
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_a_complete_folder_is_not_continued_by_more_rows(tmp_path: Path) -> None:
    def train_only() -> Iterator[Any]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        write_shard_folders({"train": rows(50), "val": train_only()}, tmp_path / "shards")
    with pytest.raises(DataError, match=r"but some of the rows \d+ to 49 \(counted from 0\) are others"):
        write_shard_folders({"train": rows(51), "val": rows(5)}, tmp_path / "shards")
    assert write_shard_folders({"train": rows(50), "val": rows(5)}, tmp_path / "shards") == {"train": 50, "val": 5}


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("changed", [0, 19])
def test_other_rows_are_an_error_and_what_is_there_stays(changed: int, tmp_path: Path) -> None:
    complete = interrupt(tmp_path / "shards")
    with pytest.raises(DataError, match=r"remove .*shards\.parts to begin again"):
        write_shards(rows(100, changed), tmp_path / "shards")
    with pytest.raises(DataError, match="Expected the rows of the run that was interrupted, to go on after its shards"):
        write_shards(({**row, "score": 0.0} for row in rows(100)), tmp_path / "shards")
    assert sorted(each.name for each in (tmp_path / "shards.parts/content").iterdir()) == complete
    assert write_shards(rows(100), tmp_path / "shards") == 100


def test_folders_of_another_run_are_an_error(tmp_path: Path) -> None:
    """They would be in the new folder, though nobody passed them."""
    interrupt(tmp_path / "shards")
    with pytest.raises(
        DataError, match=r"but it wrote shards outside of folders too. Pass the same ones, or remove .*shards\.parts"
    ):
        write_shard_folders({"train": rows(100)}, tmp_path / "shards")

    def broken() -> Iterator[Any]:
        yield from rows(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard_folders({"train": rows(50), "val": broken()}, tmp_path / "stages")
    for others in ({"val": rows(5)}, {"": rows(50)}, {"train": rows(50)}):
        with pytest.raises(DataError, match="Expected the folders of shards of the run that was interrupted"):
            write_shard_folders(others, tmp_path / "stages")
    assert write_shard_folders({"train": rows(50), "val": rows(5)}, tmp_path / "stages") == {"train": 50, "val": 5}


def test_one_program_writes_a_folder(tmp_path: Path) -> None:
    with (
        resuming_folder(tmp_path / "shards", folder_argument="-o"),
        pytest.raises(CheckpointError, match=r"Expected to be the only program that writes .*shards"),
    ):
        write_shards(rows(5), tmp_path / "shards")
