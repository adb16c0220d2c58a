"""Checkpoint files: checksums, temporary files, and what cannot be opened."""

from __future__ import annotations

import errno
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import flash
from flash.errors import CheckpointError, UnsafeCheckpointError
from flash.serialization import files as files_module
from flash.serialization import (
    is_free,
    link_or_copy,
    read_checkpoint,
    replacing,
    replacing_together,
    scratch_file,
    write_checkpoint,
    writing,
    writing_folder,
)


def test_empty_bytes_come_back(tmp_path: Path) -> None:
    # Pickle writes them as a call of bytes.
    write_checkpoint({"nothing": b"", "something": b"ab"}, tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt") == {"nothing": b"", "something": b"ab"}


class _ManyBytes:
    def __reduce__(self) -> Any:
        return bytes, (10**12,)


def test_a_file_takes_no_memory_of_its_choice(tmp_path: Path) -> None:
    torch.save({"value": _ManyBytes()}, tmp_path / "a.ckpt")
    with pytest.raises(UnsafeCheckpointError, match="a call of bytes"):
        read_checkpoint(tmp_path / "a.ckpt")


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


class Evil:
    def __reduce__(self) -> Any:
        return (os.system, ("true",))


@pytest.mark.parametrize(("value", "what"), [(Evil(), "GLOBAL posix.system"), (np.float64(1), "numpy.*scalar")])
def test_what_was_refused_is_named_without_advice_to_load_it_unsafely(tmp_path: Path, value: Any, what: str) -> None:
    torch.save({"value": value}, tmp_path / "task.ckpt")
    with pytest.raises(UnsafeCheckpointError, match=rf"so it was refused \(.*{what}.*\)\. Ask its author") as caught:
        read_checkpoint(tmp_path / "task.ckpt")
    assert "weights_only" not in str(caught.value)


def test_a_link_is_a_second_name_of_the_same_file_and_replaces_another(tmp_path: Path) -> None:
    source, target = tmp_path / "newest", tmp_path / "best"
    source.write_text("first")
    target.write_text("old")
    for _ in range(2):
        link_or_copy(source, target)
        assert target.samefile(source)
    with replacing(source, "w") as file:
        file.write("second")
    assert target.read_text() == "first"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["best", "newest"]


def test_without_links_a_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not supported")

    source, target = tmp_path / "newest", tmp_path / "best"
    source.write_bytes(b"first")
    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(source, target)
    assert target.read_bytes() == b"first"
    assert not target.samefile(source)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["best", "newest"]


def test_a_link_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    left, source = tmp_path / ".best.0123456789abcdef.tmp", tmp_path / "newest"
    left.write_text("half")
    source.write_text("whole")
    os.utime(left, (time.time() - 60,) * 2)
    link_or_copy(source, tmp_path / "best")
    assert not left.exists()


def test_a_folder_is_free_if_it_is_not_there_or_is_empty(tmp_path: Path) -> None:
    assert is_free(tmp_path)
    assert is_free(tmp_path / "new")
    (tmp_path / "file").write_text("")
    assert not is_free(tmp_path)
    assert not is_free(tmp_path / "file")


def test_a_file_in_the_place_of_the_folder_is_an_error_that_says_where_to_choose_another(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    for target in (tmp_path / "runs" / "task.ckpt", tmp_path / "runs" / "first" / "task.ckpt"):
        with pytest.raises(CheckpointError, match=f"{target.parent} is not a folder, or below a file.*with Mine"):
            write_checkpoint({}, target, folder_argument="Mine(folder=...)")
    assert (tmp_path / "runs").read_text() == "a file"


@pytest.mark.parametrize("name", ["task.ckpt", "epoch=0-step=8.ckpt"])
def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path, name: str) -> None:
    left = tmp_path / f".{name}.0123456789abcdef.tmp"
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
    young = tmp_path / ".task.ckpt.0123456789abcdef.tmp"
    young.write_text("half")
    write_checkpoint({}, tmp_path / "task.ckpt")
    assert young.exists()


@pytest.mark.parametrize("name", [".task.ckpt.0123.tmp", "task.ckpt.0123456789abcdef.tmp", ".notes.tmp"])
def test_the_temporary_files_of_other_programs_stay(tmp_path: Path, name: str) -> None:
    other = tmp_path / name
    other.write_text("of another program")
    os.utime(other, (time.time() - 60,) * 2)
    write_checkpoint({}, tmp_path / "task.ckpt")
    assert other.exists()


@pytest.mark.parametrize("name", ["n" * 250, "é" * 120])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path, name: str) -> None:
    write_checkpoint({"version": 1}, tmp_path / name)
    assert read_checkpoint(tmp_path / name) == {"version": 1}


def write_text(path: Path, content: str) -> None:
    with writing(path, "w", folder_argument="Mine(folder=...)") as file:
        file.write(content * 10_000)


WRITERS: dict[str, Any] = {
    "a checkpoint": lambda path, content: write_checkpoint({"content": content * 10_000}, path),
    "a text": write_text,
    "a prediction": lambda path, content: flash.Postprocess("unused").save_sample(content * 10_000, str(path)),
}


def full(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return path


def refusing(name: str, code: int) -> Any:
    def refuse(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
        def error(*args: Any, **kwargs: Any) -> Any:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os if name == "fsync" else Path, name, error)
        return path

    return refuse


def below_a_file(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
    return path / "below"


def too_long(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
    return path.with_name("n" * 300)


def a_folder(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
    folder = path.with_name("folder")
    folder.mkdir()
    return folder


FAILURES = {
    "the disk is full": full,
    "the disk is full when it is synced": refusing("fsync", errno.ENOSPC),
    "the folder is read-only": refusing("open", errno.EROFS),
    "there is no permission": refusing("open", errno.EACCES),
    "there is no permission to replace": refusing("replace", errno.EPERM),
    "a file is in the folder's place": below_a_file,
    "a folder is in the file's place": a_folder,
    "the name is too long": too_long,
}


@pytest.mark.usefixtures("_limits")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_prevents_writing_is_one_error_that_leaves_the_old_file(
    writer: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, old = WRITERS[writer], tmp_path / "old"
    write(old, "old")
    before = old.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        target = FAILURES[failure](patch, old)
        kept = {file.name for file in os.scandir(tmp_path)}
        with pytest.raises(CheckpointError, match=r"could not be written: .*untouched\. Free some space, or choose an"):
            write(target, "new")
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert old.read_bytes() == before
    assert {file.name for file in os.scandir(tmp_path)} == kept


@pytest.mark.parametrize("content", ["text", "é" * 3])
def test_a_text_is_written_in_its_encoding_and_its_folder_is_made(tmp_path: Path, content: str) -> None:
    with writing(tmp_path / "a" / "b.txt", "w", folder_argument="folder=", encoding="utf-8") as file:
        file.write(content)
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == content


def test_an_error_of_flash_in_between_stays_what_it_is(tmp_path: Path) -> None:
    with (
        pytest.raises(UnsafeCheckpointError, match="^no$"),
        writing(tmp_path / "a", folder_argument="folder="),
    ):
        raise UnsafeCheckpointError("no")
    assert list(tmp_path.iterdir()) == []


def test_several_files_are_replaced_once_all_of_them_are_complete(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_together([one, other], "w") as files:  # noqa: PT012
        files[0].write("new")
        raise ZeroDivisionError
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("one", "old")]
    with replacing_together([one, other], "w") as files:
        for file in files:
            file.write("new")
        assert one.read_text() == "old"
    assert sorted((file.name, file.read_text()) for file in tmp_path.iterdir()) == [("one", "new"), ("other", "new")]


class TestFolders:
    @staticmethod
    def names(folder: Path) -> list[str]:
        return sorted(each.name for each in folder.iterdir())

    def write(self, target: Path) -> None:
        with writing_folder(target, folder_argument="Mine(folder=...)") as folder:
            (folder / "inside").mkdir()
            (folder / "inside" / "file").write_text("content")

    @pytest.mark.parametrize("exists", [False, True])
    def test_a_folder_appears_when_it_is_complete(self, tmp_path: Path, exists: bool) -> None:
        target = tmp_path / "new" / "folder"
        if exists:
            target.mkdir(parents=True)
        with writing_folder(target, folder_argument="Mine(folder=...)") as folder:
            (folder / "file").write_text("content")
            assert folder.parent == target.parent
            assert target.exists() == exists
        assert self.names(target.parent) == ["folder"]
        assert (target / "file").read_text() == "content"

    def test_an_error_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError), writing_folder(tmp_path / "out", folder_argument="") as folder:  # noqa: PT012
            (folder / "file").write_text("content")
            raise ZeroDivisionError
        assert self.names(tmp_path) == []

    def test_a_folder_that_is_not_empty_stays(self, tmp_path: Path) -> None:
        self.write(tmp_path / "out")
        writing = writing_folder(tmp_path / "out", what="export", folder_argument="Mine(folder=...)")
        expected = "The export .*out could not be written: .* another folder with Mine"
        with pytest.raises(CheckpointError, match=expected), writing:
            pass
        assert self.names(tmp_path) == ["out"]
        assert (tmp_path / "out" / "inside" / "file").is_file()

    def test_what_a_killed_process_left_is_removed_by_the_next_write(self, tmp_path: Path) -> None:
        left = tmp_path / ".other.0123456789abcdef.tmp"
        (left / "inside").mkdir(parents=True)
        (left / "inside" / "half").write_text("half")
        os.utime(left, (time.time() - 60,) * 2)
        young = tmp_path / ".young.0123456789abcdef.tmp"
        young.mkdir()
        self.write(tmp_path / "out")
        assert self.names(tmp_path) == [young.name, "out"]
        os.utime(young, (time.time() - 60,) * 2)
        write_checkpoint({}, tmp_path / "task.ckpt")
        assert self.names(tmp_path) == ["out", "task.ckpt"]

    def test_the_folder_of_a_writer_that_is_alive_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files_module, "_SECONDS_TO_LOCK", -1)
        with writing_folder(tmp_path / "slow", folder_argument="") as folder:
            self.write(tmp_path / "quick")
            (folder / "file").write_text("content")
        assert self.names(tmp_path) == ["quick", "slow"]

    def test_a_link_in_their_place_is_not_followed(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        self.write(other)
        (tmp_path / ".out.0123456789abcdef.tmp").symlink_to(other)
        os.utime(other, (time.time() - 60,) * 2)
        self.write(tmp_path / "out")
        assert (other / "inside" / "file").is_file()


def test_a_scratch_file_is_new_and_stays_while_it_is_open(tmp_path: Path) -> None:
    first, second = scratch_file(tmp_path, "columns"), scratch_file(tmp_path, "columns")
    assert first.name != second.name
    for file in (first, second):
        os.utime(file.name, (0, 0))
    third = scratch_file(tmp_path, "columns")
    assert sum(1 for _ in tmp_path.iterdir()) == 3
    # As if the process that opened it had been killed.
    first.close()
    fourth = scratch_file(tmp_path, "columns")
    assert not Path(first.name).exists()
    assert Path(second.name).exists()
    for file in (second, third, fourth):
        file.close()
