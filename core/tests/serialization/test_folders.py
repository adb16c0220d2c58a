"""Folders for the Hub: each tensor comes back, damage is an error in words, and the old folder survives."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from flash.errors import CheckpointError, ConfigurationError
from flash.serialization import folders, write_folder
from flash.serialization.folders import is_checkpoint_folder, read_folder


def checkpoint(value: float = 1.0) -> dict[str, Any]:
    weights = {"layer.weight": torch.full((3, 4), value), "layer.bias": torch.arange(3.0)}
    return {"state_dict": weights, "flash": {"value": value, "sizes": (1, 2), "mean": torch.tensor([0.5, value])}}


def read(folder: Path) -> dict[str, Any]:
    return read_folder(folder, str(folder))


def value_of(folder: Path) -> float:
    """The value that a checkpoint was made with, which weights and description have to agree on."""
    found = read(folder)
    value: float = found["flash"]["value"]
    assert torch.equal(found["state_dict"]["layer.weight"], torch.full((3, 4), value))
    assert torch.equal(found["flash"]["mean"], torch.tensor([0.5, value]))
    return value


def test_the_weights_have_their_own_names_and_nothing_is_lost(tmp_path: Path) -> None:
    write_folder(checkpoint(), tmp_path / "a" / "net", card="# A net")
    folder = tmp_path / "a" / "net"
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "flash.json", "model.safetensors"]
    assert load_file(folder / "model.safetensors").keys() == {"layer.weight", "layer.bias", "flash.json/0"}
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert (folder / "README.md").read_text() == "# A net"
    found = read(folder)
    assert found["state_dict"].keys() == {"layer.weight", "layer.bias"}
    assert found["flash"]["sizes"] == (1, 2)
    assert value_of(folder) == 1.0


def test_tensors_of_any_layout_come_back(tmp_path: Path) -> None:
    base = torch.randn(4, 6)
    half = base.half()
    weights = {
        "whole": base,
        "tied": base,
        "a row": base[1],
        "overlapping": base[:3],
        "transposed": base.t(),
        "as another shape": base.view(2, 12),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "expanded": torch.ones(1).expand(5),
        "half": half,
        "bfloat16": base.to(torch.bfloat16),
        "double": base.double(),
        "complex": torch.complex(base, base),
        "conjugate": torch.complex(base, base).conj(),
        "negative": torch.complex(base, base).conj().imag,
        "a number": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "truth": base > 0,
        "bytes": torch.arange(7, dtype=torch.uint8),
        "parameter": torch.nn.Parameter(base.clone()),
    }
    write_folder({"state_dict": weights}, tmp_path)
    found = read(tmp_path)["state_dict"]
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_tied_tensors_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    base = torch.randn(100, 100)
    write_folder({"state_dict": {"a": base, "b": base}, "flash": {"c": base}}, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 1.1 * base.numel() * 4
    found = read(tmp_path)
    assert found["state_dict"]["a"] is found["state_dict"]["b"] is found["flash"]["c"]


def test_what_is_read_does_not_change_with_the_file(tmp_path: Path) -> None:
    write_folder(checkpoint(2.0), tmp_path)
    found = read(tmp_path)
    size = (tmp_path / "model.safetensors").stat().st_size
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.write(bytes(size))
    assert torch.equal(found["state_dict"]["layer.weight"], torch.full((3, 4), 2.0))


@pytest.mark.parametrize(
    "place",
    ["meta", torch.device("meta"), {"cpu": "meta"}, lambda storage, _: torch.empty(0, device="meta")],
    ids=["name", "device", "mapping", "function"],
)
def test_tensors_are_put_where_torch_would_put_them(tmp_path: Path, place: Any) -> None:
    write_folder(checkpoint(), tmp_path)
    found = read_folder(tmp_path, "", place)["state_dict"]
    assert {tensor.device.type for tensor in found.values()} == {"meta"}


@pytest.mark.parametrize(
    "place", [None, "cpu", {"cuda:0": "meta"}, lambda storage, _: None, lambda storage, _: storage]
)
def test_tensors_stay_on_the_cpu_where_torch_would_leave_them(tmp_path: Path, place: Any) -> None:
    write_folder(checkpoint(), tmp_path)
    found = read_folder(tmp_path, "", place)["state_dict"]
    assert {tensor.device.type for tensor in found.values()} == {"cpu"}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (torch.zeros(2, dtype=torch.complex128), "of torch.complex128 on cpu"),
        (torch.zeros(2, 2).to_sparse(), "of torch.float32 on cpu"),
        (torch.zeros(2, device="meta"), "of torch.float32 on meta"),
        ("text", "a str"),
    ],
)
def test_a_weight_that_cannot_be_stored_is_an_error_before_anything_is_written(
    tmp_path: Path, value: Any, what: str
) -> None:
    write_folder(checkpoint(1.0), tmp_path)
    with pytest.raises(CheckpointError, match=rf"'weight' is {what}, .*Save a checkpoint instead"):
        write_folder({"state_dict": {"weight": value}}, tmp_path)
    assert value_of(tmp_path) == 1.0


def test_the_folder_of_another_program_is_not_overwritten(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(ConfigurationError, match="config.json of another program, .*Choose another folder"):
        write_folder(checkpoint(), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert not is_checkpoint_folder(tmp_path)


def test_other_files_stay_and_a_card_is_only_written_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "notes.txt").write_text("notes")
    write_folder(checkpoint(), tmp_path)
    assert [(tmp_path / name).read_text() for name in ("README.md", "notes.txt")] == ["mine", "notes"]


@pytest.mark.parametrize("door", [lambda folder: write_folder(checkpoint(), folder), read])
def test_without_safetensors_the_error_says_what_to_install(
    tmp_path: Path, door: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(checkpoint(), tmp_path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ConfigurationError, match=r'not installed: pip install "flash-core\[hub\]"'):
        door(tmp_path)


# ---------------------------------------------------------------------- damage


def cut(name: str) -> Callable[[Path], Any]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 7)


def remove(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def flip(name: str, before: bytes) -> Callable[[Path], Any]:
    """Flip the lowest bit of the byte after a text."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[content.index(before) + len(before)] ^= 1
        (folder / name).write_bytes(bytes(content))

    return damage


def flip_a_weight(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))


def change(**values: Any) -> Callable[[Path], Any]:
    """Change the description, with a checksum that is right again: somebody did it on purpose."""

    def damage(folder: Path) -> None:
        stored = json.loads((folder / "flash.json").read_text()) | values
        described = {key: value for key, value in stored.items() if key not in ("flash_folder", "sha256")}
        stored["sha256"] = folders._checksum(described)
        (folder / "flash.json").write_text(json.dumps(stored))

    return damage


DAMAGED = "Expected a folder that save_pretrained of a task wrote, but .* is damaged: "
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "weights are truncated": (cut("model.safetensors"), DAMAGED + "model.safetensors is truncated or changed"),
    "weights are missing": (remove("model.safetensors"), DAMAGED + "there is no model.safetensors"),
    "weights are empty": (write("model.safetensors", b""), DAMAGED + "model.safetensors is truncated"),
    "a bit of a weight is flipped": (flip_a_weight, DAMAGED + "model.safetensors is truncated or changed"),
    "weights are a pointer": (
        write("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "a pointer of Git LFS to them. Fetch them: git lfs pull",
    ),
    "JSON is truncated": (cut("flash.json"), DAMAGED + "flash.json is no JSON: .*Copy or download it again"),
    "JSON is empty": (write("flash.json", b""), DAMAGED + "flash.json is no JSON"),
    "JSON is noise": (write("flash.json", bytes(range(256))), DAMAGED + "flash.json is no JSON"),
    "JSON is too deep": (write("flash.json", b"[" * 100_000), DAMAGED + "flash.json is no JSON: .*too deeply"),
    "a bit of JSON is flipped": (flip("flash.json", b'"value": '), DAMAGED + "flash.json differs from its checksum"),
    "JSON is of another program": (
        write("flash.json", b'{"flash": 1}'),
        "flash.json in .* is of another program. Load",
    ),
    "JSON is of no version": (change(flash_folder=0), "flash.json in .* is of another program"),
    "JSON is a list": (write("flash.json", b"[]"), "flash.json in .* is of another program"),
    "a later version wrote it": (
        change(flash_folder=99),
        r"written by a later one \(layout 99, .* known here is 1\): pip install --upgrade flash-core",
    ),
    "a part is missing": (change(content=None), DAMAGED),
    "a tied tensor is of none": (change(shared={"layer.bias2": "gone"}), DAMAGED),
    "tied tensors are no dict": (change(shared=[1]), DAMAGED),
    "values are no list": (change(values=3), DAMAGED),
    "the checksum of the weights is no text": (change(weights_sha256=[]), DAMAGED + "model.safetensors is truncated"),
    "an unknown tag": (change(content={"flash": {"$evil": "os.system"}}), DAMAGED + ".*is no tag of Flash"),
    "a tensor that is not there": (change(content={"flash": {"$tensor": "/etc/passwd"}}), DAMAGED + ".*no tensor"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_an_error_that_says_what_is_wrong(tmp_path: Path, damage: str) -> None:
    write_folder(checkpoint(), tmp_path)
    do, sentence = DAMAGES[damage]
    do(tmp_path)
    with pytest.raises(CheckpointError, match=sentence):
        read(tmp_path)


def test_weights_of_another_save_are_an_error(tmp_path: Path) -> None:
    write_folder(checkpoint(1.0), tmp_path / "a")
    write_folder(checkpoint(2.0), tmp_path / "b")
    (tmp_path / "a" / "model.safetensors").replace(tmp_path / "b" / "model.safetensors")
    with pytest.raises(CheckpointError, match="belongs to another flash.json"):
        read(tmp_path / "b")


def test_a_description_of_any_size_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(checkpoint(), tmp_path)
    monkeypatch.setattr(folders, "_MOST_BYTES", 10)
    with pytest.raises(CheckpointError, match="flash.json has .* bytes, and that of a task at most 10"):
        read(tmp_path)


@pytest.mark.parametrize("damage", [remove("flash.json"), write("flash.json", b"{"), write("flash.json", b"[]")])
def test_a_damaged_folder_is_written_again(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    write_folder(checkpoint(1.0), tmp_path)
    (tmp_path / ".model.safetensors.previous").write_bytes(b"left by a writer that was killed")
    damage(tmp_path)
    write_folder(checkpoint(2.0), tmp_path)
    assert value_of(tmp_path) == 2.0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["flash.json", "model.safetensors"]


def test_lines_that_end_otherwise_are_no_damage(tmp_path: Path) -> None:
    # As Git for Windows writes them.
    write_folder(checkpoint(4.0), tmp_path)
    text = (tmp_path / "flash.json").read_bytes()
    (tmp_path / "flash.json").write_bytes(text.replace(b"\n", b"\r\n"))
    assert value_of(tmp_path) == 4.0


# ---------------------------------------------------------------------- writing


@pytest.mark.process
@pytest.mark.parametrize("step", range(8))
def test_a_writer_that_is_killed_leaves_the_old_folder_or_the_new_one(tmp_path: Path, step: int) -> None:
    write_folder(checkpoint(1.0), tmp_path, card="old")
    # What is left behind does not prevent the next one, which may be killed as well.
    for value in (2.0, 3.0):
        before = value_of(tmp_path)
        pid = os.fork()
        if not pid:
            _kill_at(step)
            write_folder(checkpoint(value), tmp_path, card="new")
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert value_of(tmp_path) in ({value} if os.WIFEXITED(status) else {before, value})
    write_folder(checkpoint(4.0), tmp_path, card="last")
    assert value_of(tmp_path) == 4.0
    assert not (tmp_path / ".model.safetensors.previous").exists()


@pytest.mark.process
def test_who_reads_while_others_save_gets_one_of_the_saves(tmp_path: Path) -> None:
    write_folder(checkpoint(0.0), tmp_path)
    pid = os.fork()
    if not pid:
        for value in range(1, 200):
            write_folder(checkpoint(float(value)), tmp_path)
        os._exit(0)
    seen = []
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        seen.append(value_of(tmp_path))
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert value_of(tmp_path) == 199.0


def _kill_at(step: int) -> None:
    """Kill this process before one of the changes of names, counted from 0."""
    calls = iter(range(100))

    def killing(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **kwargs)

        return changed

    for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "link")):
        setattr(owner, name, killing(getattr(owner, name)))


@pytest.mark.parametrize("failing", range(4))
def test_a_change_of_names_that_fails_leaves_the_old_folder(
    tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(checkpoint(1.0), tmp_path, card="card")
    before = {file.name for file in tmp_path.iterdir()}
    calls, replace = iter(range(100)), Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if next(calls) == failing:
            raise PermissionError("not permitted")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        # The first is that of the weights of before, which are copied where they cannot be linked.
        if failing == 0:
            write_folder(checkpoint(2.0), tmp_path, card="card")
        else:
            with pytest.raises(CheckpointError, match="could not be written: not permitted"):
                write_folder(checkpoint(2.0), tmp_path, card="card")
    assert value_of(tmp_path) == (2.0 if failing == 0 else 1.0)
    assert {file.name for file in tmp_path.iterdir()} == before


def test_weights_that_cannot_be_stored_leave_the_old_folder(tmp_path: Path) -> None:
    write_folder(checkpoint(1.0), tmp_path)
    before = {file.name for file in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match="could not be written: .*untouched"):
        write_folder({"state_dict": {"x" * (1 << 27): torch.zeros(1)}}, tmp_path)
    assert value_of(tmp_path) == 1.0
    assert {file.name for file in tmp_path.iterdir()} == before


# ---------------------------------------------------------------------- what prevents writing


def full(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return folder


def refusing(owner: Any, name: str, code: int) -> Callable[[pytest.MonkeyPatch, Path], Path]:
    def patched(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(owner, name, refuse)
        return folder

    return patched


FAILURES: dict[str, Callable[[pytest.MonkeyPatch, Path], Path]] = {
    "the disk is full": full,
    "the disk is full when it is synced": refusing(os, "fsync", errno.ENOSPC),
    "the folder is read-only": refusing(Path, "open", errno.EROFS),
    "a file is in the folder's place": lambda _, folder: folder / "flash.json",
    "a file is above": lambda _, folder: folder / "flash.json" / "below",
    "the name is too long": lambda _, folder: folder.with_name("n" * 300),
}


@pytest.mark.usefixtures("_limits")
@pytest.mark.parametrize("failure", FAILURES)
def test_whatever_prevents_writing_is_one_error_that_leaves_the_old_folder(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "net"
    write_folder(checkpoint(1.0), folder, card="card")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with monkeypatch.context() as patch:
        target = FAILURES[failure](patch, folder)
        with pytest.raises(
            CheckpointError, match=r"could not be written: .*untouched.* choose another folder with save"
        ):
            write_folder(checkpoint(2.0), target, card="card")
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    assert value_of(folder) == 1.0
