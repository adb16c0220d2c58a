"""Checkpoints are read from files, folders and repositories; a name that is none of them is an error in words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from flash.errors import CheckpointError, ConfigurationError, DownloadError
from flash.serialization import is_checkpoint_name, read_checkpoint, write_checkpoint, write_folder


def checkpoint(value: float) -> dict[str, Any]:
    return {"state_dict": {"weight": torch.full((2,), value)}, "flash": {"size": (1, 2)}}


@pytest.mark.parametrize("name", ["x" * 5000, "null\0byte"])
def test_a_name_that_no_file_can_have_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"Expected a checkpoint at (?s:.)*, but (it cannot|there is no)"):
        read_checkpoint(tmp_path / name)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="but it is a folder. Pass the path of a file in it"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["flash.json", "model.safetensors"])
def test_a_file_of_a_folder_is_named_as_such(tmp_path: Path, name: str) -> None:
    write_folder(checkpoint(1.0), tmp_path / "net")
    with pytest.raises(CheckpointError, match=f"but .*{name} is a file in one. Pass the folder: {tmp_path / 'net'}"):
        read_checkpoint(tmp_path / "net" / name)


def test_two_revisions_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected one revision of me/net, but got 'v2' in the name and"):
        read_checkpoint("me/net@v2", revision="v1")


def test_a_file_that_is_not_there_says_where_relative_paths_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=f"there is no such file. Check the path; .* start at {tmp_path}"):
        read_checkpoint("task.ckpt")


def test_the_address_of_another_service_is_to_be_downloaded_first() -> None:
    with pytest.raises(CheckpointError, match=r"but got s3://bucket/task\.ckpt\. Download it first, and pass its path"):
        read_checkpoint("s3://bucket/task.ckpt")


def test_a_file_and_a_folder_hold_the_same(tmp_path: Path) -> None:
    write_checkpoint(checkpoint(3.0), tmp_path / "a.ckpt")
    write_folder(checkpoint(3.0), tmp_path / "a")
    one, other = (read_checkpoint(tmp_path / name) for name in ("a.ckpt", "a"))
    assert one["flash"] == other["flash"] == {"size": (1, 2)}
    assert torch.equal(one["state_dict"]["weight"], other["state_dict"]["weight"])


def pushed(hub: Any, tmp_path: Path, value: float, branch: str = "main") -> str:
    write_folder(checkpoint(value), tmp_path / f"{value}")
    files = {file.name: file.read_bytes() for file in (tmp_path / f"{value}").iterdir()}
    commit: str = hub.commit("me/net", files, branch)
    return commit


def first(source: str, **hub: Any) -> float:
    return float(read_checkpoint(source, **hub)["state_dict"]["weight"][0])


def test_a_repository_is_read_by_its_name_and_by_a_revision(hub: Any, tmp_path: Path) -> None:
    old = pushed(hub, tmp_path, 1.0)
    pushed(hub, tmp_path, 2.0)
    pushed(hub, tmp_path, 3.0, branch="next/one")
    assert first("me/net") == 2.0
    assert first("me/net@next/one") == first("me/net", revision="next/one") == 3.0
    assert first(f"me/net@{old}") == 1.0


def test_what_is_here_is_not_looked_for_on_the_hub(hub: Any, tmp_path: Path) -> None:
    pushed(hub, tmp_path, 1.0)
    write_folder(checkpoint(5.0), "me/net")
    assert first("me/net") == 5.0
    assert hub.requests == []


@pytest.mark.parametrize(
    "name", ["me/net.ckpt", "me/net.pt", "me/net/last", "./net", "/me/net", "me/", "net", "me/a b"]
)
def test_a_path_is_not_looked_for_on_the_hub(hub: Any, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"but there is no such file\. Check the path"):
        read_checkpoint(name)
    assert hub.requests == []


def test_a_name_in_a_folder_that_is_here_and_a_path_object_are_paths(hub: Any, tmp_path: Path) -> None:
    pushed(hub, tmp_path, 1.0)
    with pytest.raises(CheckpointError, match="but there is no such file"):
        read_checkpoint(Path("me/net"))
    Path("me").mkdir()
    with pytest.raises(CheckpointError, match="but there is no such file"):
        read_checkpoint("me/net")
    assert hub.requests == []


def test_a_name_that_is_nowhere_says_where_it_was_looked_for(hub: Any) -> None:
    with pytest.raises(DownloadError, match=r"no such file or folder here, and http://127.* no such repository"):
        read_checkpoint("me/nothing")


def test_a_revision_of_what_is_here_is_an_error(tmp_path: Path) -> None:
    write_folder(checkpoint(1.0), tmp_path)
    for source in (str(tmp_path), "http://127.0.0.1/task.ckpt"):
        with pytest.raises(
            ConfigurationError, match=r"Expected a repository .* revision 'v1' of, .*Leave revision out"
        ):
            read_checkpoint(source, revision="v1")


def test_without_the_library_a_name_of_the_hub_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigurationError, match=r'pip install "flash-core\[hub\]". If a file or a folder is meant'):
        read_checkpoint("me/net")


def test_the_name_of_a_checkpoint_is_known(tmp_path: Path) -> None:
    write_checkpoint(checkpoint(1.0), tmp_path / "a.ckpt")
    write_folder(checkpoint(1.0), tmp_path / "a")
    (tmp_path / "empty").mkdir()
    known = (tmp_path / "a.ckpt", tmp_path / "a", "https://example.org/a.ckpt", "me/net", "me/net@v1")
    unknown = (tmp_path / "empty", tmp_path / "gone", "a1_in1k", Path("me/net"), "me/gone.ckpt")
    assert [is_checkpoint_name(each) for each in (*known, *unknown)] == [True] * 5 + [False] * 5
