"""Values in checkpoints come back as they were."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flash.serialization import NotSerializableError, equal, from_serializable, made_from, to_serializable


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "again"),
    [
        (np.float32(0.5), 0.5),
        (np.str_("text"), "text"),
        (Path("folder/file"), "folder/file"),
        (Color.RED, "red"),
        (torch.Size([2, 3]), (2, 3)),
        ({1: {"a", "b"}}, {1: {"a", "b"}}),
        ((1j, b"bytes", None, True), (1j, b"bytes", None, True)),
        (torch.float16, torch.float16),
        (torch.device("cpu"), torch.device("cpu")),
    ],
)
def test_a_value_comes_back(tmp_path: Path, value: Any, again: Any) -> None:
    torch.save({"value": to_serializable(value)}, tmp_path / "file")
    with torch.serialization.safe_globals([set, complex]):  # torch 2.5 does not allow them by itself.
        found = from_serializable(torch.load(tmp_path / "file", weights_only=True)["value"])
    assert found == again
    assert type(found) is type(again)


@pytest.mark.parametrize("code", ["<U999999999", "O", "V8", "i4,i4", "M8[s]", "no type", 5, None])
def test_only_arrays_of_numbers_are_made(code: Any) -> None:
    with pytest.raises(ValueError, match="is not an array that a checkpoint may hold"):
        from_serializable({"__numpy__": torch.zeros(2), "dtype": code})


def test_an_array_is_made_of_a_tensor_only() -> None:
    with pytest.raises(ValueError, match="'<f4' of a list is not an array that a checkpoint may hold"):
        from_serializable({"__numpy__": [1.0], "dtype": "<f4"})


def test_arrays_come_back_as_arrays_of_their_type() -> None:
    array = np.arange(6, dtype=">i2").reshape(2, 3)
    found = from_serializable(to_serializable([array]))[0]
    assert isinstance(found, np.ndarray)
    assert found.dtype == array.dtype
    assert equal(found, array)
    assert not equal(found, array[:1])


def test_tensors_are_copied_on_demand_alone() -> None:
    weight = torch.zeros(2, requires_grad=True)
    assert to_serializable(weight).data_ptr() == weight.data_ptr()
    assert to_serializable(weight, copy=True).data_ptr() != weight.data_ptr()
    assert not to_serializable(weight).requires_grad


def test_an_error_says_where_the_value_is() -> None:
    with pytest.raises(NotSerializableError, match=r"state\['layers'\]\[1\] is a object"):
        to_serializable({"layers": [1, object()]}, where="state")
    with pytest.raises(NotSerializableError, match="value has a frozenset as a key"):
        to_serializable({frozenset(): 1})


@dataclasses.dataclass
class _Column:
    name: str
    edges: list[float]
    part: str | None = None
    is_flag: bool = False
    others: list[Any] = dataclasses.field(default_factory=list)


def test_a_dataclass_is_made_of_values_of_the_types_that_it_states() -> None:
    stored = {"name": "age", "edges": [0, 1.5], "part": None, "is_flag": True, "others": [1, "a"]}
    assert made_from(_Column, stored) == _Column("age", [0, 1.5], None, True, [1, "a"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", 1), ("edges", ["a"]), ("edges", 1.0), ("edges", [True]), ("part", 1), ("is_flag", 1), ("others", ())],
)
def test_a_stored_value_of_another_type_is_named(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"'{name}' is "):
        made_from(_Column, {"name": "age", "edges": [], name: value})


@pytest.mark.parametrize("stored", [{"name": "age"}, {"name": "age", "edges": [], "more": 1}, [1], None])
def test_stored_fields_are_those_of_the_dataclass(stored: Any) -> None:
    with pytest.raises(TypeError):
        made_from(_Column, stored)
