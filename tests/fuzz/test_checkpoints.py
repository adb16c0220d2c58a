"""Checkpoints of any values and any bytes: the values that were written, or an error, and no code."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from flash.errors import CheckpointError
from flash.serialization import equal, from_serializable, read_checkpoint, to_serializable, write_checkpoint

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary(max_size=5)
)
TENSORS = st.lists(st.integers(-100, 100), max_size=4).map(torch.tensor)
VALUES = st.recursive(
    LEAVES | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=8,
)
# Instructions of pickle, and parts of names.
OPCODES = st.sampled_from(
    [getattr(pickle, name) for name in dir(pickle) if isinstance(getattr(pickle, name), bytes) and name.isupper()]
    + [
        b"cposix\nsystem\n",
        b"cbuiltins\neval\n",
        b"\x8c\x05posix",
        b"\x8c\x06system",
        b"touch ran\n",
        b"U\x01a",
        b"K\x01",
    ]
)


@given(value=VALUES)
def test_values_come_back_as_they_were_written(value: Any, tmp_path: Path) -> None:
    write_checkpoint(to_serializable({"value": value}), tmp_path / "a.ckpt")
    found = from_serializable(read_checkpoint(tmp_path / "a.ckpt"))["value"]
    assert equal(found, value)
    assert type(found) is type(value)


@given(value=VALUES, where=st.floats(0, 1, exclude_max=True), put=st.binary(max_size=4), removed=st.integers(0, 40))
def test_a_change_of_the_file_is_an_error_or_changes_nothing(
    value: Any, where: float, put: bytes, removed: int, tmp_path: Path
) -> None:
    file = tmp_path / "a.ckpt"
    write_checkpoint({"value": value}, file)
    content = file.read_bytes()
    place = int(where * len(content))
    file.write_bytes(content[:place] + put + content[place + removed :])
    try:
        found = read_checkpoint(file)
    except CheckpointError:
        return
    assert equal(found, {"value": value})


@given(program=st.lists(OPCODES, max_size=12), packed=st.booleans())
def test_no_program_of_a_pickle_runs(program: list[bytes], packed: bool, tmp_path: Path) -> None:
    content = b"\x80\x02" + b"".join(program) + b"."
    if packed:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", content)
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", "little")
        content = file.getvalue()
    (tmp_path / "a.ckpt").write_bytes(content)
    try:
        found = read_checkpoint(tmp_path / "a.ckpt")
    except CheckpointError:
        found = {}
    assert isinstance(found, dict)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ckpt"]  # which is the working directory too
