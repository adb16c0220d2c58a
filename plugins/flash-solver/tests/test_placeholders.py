"""Checkpoints of Flashy hold NumPy's values and configurations: they are read, and nothing else is made of them."""

from __future__ import annotations

import codecs
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flash.errors import UnsafeCheckpointError
from flash.solver import BaseSolver
from flash.solver.checkpoint import read_checkpoint


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced: tuple[Any, ...] = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


class Built(Call):
    """Pickled as a call of a function, with a state that is set afterwards."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], state: Any) -> None:
        super().__init__(function, *arguments)
        self.reduced = (*self.reduced, state)


EMPTY = np.empty(0).__reduce__()
MAKE: Any = EMPTY[0]
NUMBER: Any = np.float64(0).__reduce__()[0]
ARGUMENTS = (np.ndarray, (0,), b"b")
FLOAT = np.dtype("f8")


def read(folder: Path, value: Any) -> Any:
    torch.save({"value": value}, folder / "checkpoint.th")
    return read_checkpoint(folder / "checkpoint.th")["value"]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.array([1 + 2j], dtype=np.complex64),
        np.array([1.5], dtype=np.float16),
        np.array(3.0),
        np.zeros((0, 3)),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_that_flashy_wrote_come_back(tmp_path: Path, array: Any) -> None:
    found = read(tmp_path, array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)
    assert found.flags.writeable


def test_numbers_of_numpy_come_back_as_pythons_also_as_keys(tmp_path: Path) -> None:
    found = read(tmp_path, {np.int64(3): [np.float32(0.5), np.bool_(True)], "by name": defaultdict(list, {"a": [1]})})
    assert found == {3: [0.5, True], "by name": {"a": [1]}}
    assert [type(each) for each in (*found, *found[3])] == [int, str, float, bool]


def test_types_of_python_come_back(tmp_path: Path) -> None:
    assert read(tmp_path, [int, dict]) == [int, dict]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Call(np.ndarray, (1,), "O", codecs.encode("AAAAAAAA", "latin1")), "GLOBAL numpy.ndarray"),
        (Call(bytes, 10**12), "a call of bytes"),
        (Call(np.dtype, "O"), "type 'O', which is not one of numbers"),
        (Call(np.dtype, "V8"), "type 'V8', which is not one of numbers"),
        (Call(np.dtype, [("a", "f8")]), "which is not one of numbers"),
        (Built(np.dtype, ("f8",), (3, "<", None, ("a",), {"a": (FLOAT, 0)}, 8, 1, 0)), "with a layout of its own"),
        (np.array([object()]), "type 'O8', which is not one of numbers"),
        (np.array(["text"]), "type 'U4', which is not one of numbers"),
        (np.datetime64("2020-01-01"), "type 'M8', which is not one of numbers"),
        (Call(NUMBER, FLOAT, b"abc"), r"of 3 bytes with the shape \(\)"),
        (Call(NUMBER, FLOAT, 5), "that is not one of numbers"),
        (Call(MAKE, dict, (0,), b"b"), "a NumPy array of another class"),
        (Built(MAKE, ARGUMENTS, (1, (10**12,), FLOAT, False, b"12345678")), "of 8 bytes with the shape"),
        (Built(MAKE, ARGUMENTS, (1, (-1, -1), FLOAT, False, b"12345678")), "of 8 bytes with the shape"),
        (Built(MAKE, ARGUMENTS, (1, [1], FLOAT, False, b"12345678")), "of 8 bytes with the shape"),
        (Built(MAKE, ARGUMENTS, (1, (0, 10**30), FLOAT, False, b"")), "of 0 bytes with the shape"),
        (Built(MAKE, ARGUMENTS, (1, (1,), "f8", False, b"12345678")), "that is not one of numbers"),
        (Built(MAKE, ARGUMENTS, 5), "without its content"),
    ],
)
def test_what_would_make_an_array_of_the_files_choice_is_refused(tmp_path: Path, value: Any, what: str) -> None:
    with pytest.raises(UnsafeCheckpointError, match=rf"so it was refused \(.*{what}"):
        read(tmp_path, value)


def test_a_file_that_makes_an_array_of_pointers_does_not_end_the_process(tmp_path: Path) -> None:
    content = (
        b"\x80\x02}(X\x07\x00\x00\x00history](}X\x05\x00\x00\x00train}X\x04\x00\x00\x00losscnumpy\nndarray\n(K\x01\x85"
        b"X\x01\x00\x00\x00Oc_codecs\nencode\nX\x08\x00\x00\x00AAAAAAAAX\x06\x00\x00\x00latin1\x86RtRsseu."
    )
    with zipfile.ZipFile(tmp_path / "checkpoint.th", "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    with pytest.raises(UnsafeCheckpointError, match=r"numpy\.ndarray"):
        BaseSolver(tmp_path).restore()
