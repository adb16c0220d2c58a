"""Values come back from JSON with their types, and damaged JSON is an error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from flash.serialization import NotSerializableError, equal
from flash.serialization.json_values import decode, dumps, encode, loads

VALUES: dict[str, Any] = {
    "nothing": None,
    "bool": True,
    "int": 10**30,
    "float that is whole": 1.0,
    "smallest float": 5e-324,
    "minus zero": -0.0,
    "complex": complex(1.5, -math.inf),
    "infinite": -math.inf,
    "bytes": b"\x00\xff",
    "no bytes": b"",
    "text": 'Zürich \u0000 \U0001f600 "$tuple"',
    "half of a character": "\ud83d",
    "tuple": (1, (2, [3])),
    "no tuple": (),
    "list": [[], [None]],
    "set": {1, 3},
    "keys": {3: "three", 2.5: "float", None: "none", (1, 2): "tuple", True: "bool", "3": "text"},
    "keys like tags": {"$tuple": [1, 2], "other": 1},
    "one key like a tag": {"$float": "nan"},
    "dtype": torch.bfloat16,
    "device": torch.device("cuda:1"),
    "tensor": torch.arange(3),
}


def there_and_back(value: Any) -> Any:
    tensors: dict[str, torch.Tensor] = {}

    def name_of(tensor: torch.Tensor) -> str:
        tensors[str(len(tensors))] = tensor
        return str(len(tensors) - 1)

    return decode(loads(dumps(encode(value, name_of))), tensors)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_comes_back_with_its_type(value: Any) -> None:
    found = there_and_back({"value": [value]})["value"][0]
    assert equal(found, value)
    assert repr(found) == repr(value)


def test_a_number_that_is_none_comes_back() -> None:
    assert math.isnan(there_and_back(math.nan))


def test_the_text_is_standard_json_that_people_can_read() -> None:
    text = dumps(encode({"labels": ["Zürich"], "rate": math.inf}, str)).decode()
    assert json.loads(text) == {"labels": ["Zürich"], "rate": {"$float": "inf"}}
    assert "Zürich" in text


def test_the_order_of_a_set_does_not_change_the_text() -> None:
    assert dumps(encode({"b", "a", "c"}, str)) == dumps(encode({"c", "b", "a"}, str)) == b'{"$set":["a","b","c"]}'


def test_an_object_of_another_type_is_an_error() -> None:
    with pytest.raises(NotSerializableError, match="a object cannot be stored as JSON"):
        encode({"a": [object()]}, str)


@pytest.mark.parametrize(
    "value",
    [
        {"$unknown": 1},
        {"$tuple": 3},
        {"$tuple": [1], "other": 2},
        {"$dict": [[1, 2, 3]]},
        {"$dict": [[[1], 2]]},
        {"$set": [[1]]},
        {"$float": 3},
        {"$float": "1e9"},
        {"$bytes": "no base64"},
        {"$bytes": 3},
        {"$complex": [1]},
        {"$dtype": "nn"},
        {"$dtype": 3},
        {"$dtype": "__class__"},
        {"$device": "moon"},
        {"$tensor": "none"},
        {"$tensor": [1]},
        {"$tensor": None},
    ],
    ids=str,
)
def test_a_tag_with_another_content_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\$|there is no tensor"):
        decode([value], {})


@pytest.mark.parametrize(
    "text", [b"", b"{", b"{'a': 1}", b"NaN", b"[Infinity]", b"\xff", b"1" * 5000, b"[" * 100_000, b"{}{}"]
)
def test_what_is_no_json_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        loads(text)
