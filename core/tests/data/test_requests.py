"""Descriptions of a sample in a request, as a preprocess returns them."""

from __future__ import annotations

import json
from typing import Any

import pytest

import flash
from flash.data.files import FilePreprocess
from flash.data.requests import RequestField, RequestFields, RequestRows
from flash.errors import ConfigurationError


def test_a_preprocess_takes_numbers_unless_it_says_otherwise() -> None:
    assert flash.Preprocess().request_fields() == RequestFields("numbers")


def test_a_preprocess_of_files_takes_files_with_its_extensions() -> None:
    class Recordings(FilePreprocess):
        extensions = (".wav",)

    assert Recordings().request_fields() == RequestFields("file", extensions=(".wav",))


def test_an_unknown_kind_is_refused() -> None:
    kind: Any = "path"
    sentence = "of samples of a request to be one of table, text, image, audio, file, numbers, but got 'path'."
    with pytest.raises(ConfigurationError, match=sentence):
        RequestFields(kind)


def test_an_unknown_type_is_refused() -> None:
    kind: Any = "url"
    sentence = (
        "Expected the type of a field of a request to be one of number, category, date, duration, text, but 'x' has"
    )
    with pytest.raises(ConfigurationError, match=sentence):
        RequestField("x", kind)


def test_a_table_has_fields() -> None:
    with pytest.raises(ConfigurationError, match="Expected the fields of the rows of a table, but got none. Name them"):
        RequestFields("table")


def test_a_description_is_read_back_from_json() -> None:
    fields = (RequestField("age", "number", typical=40), RequestField("city", "category", ("Oslo",), True))
    described = RequestFields("table", fields, extensions=(".csv",))
    content = json.loads(json.dumps(described.to_json()))
    assert RequestFields.from_json(content) == described

    def check(content: bytes) -> None:
        assert content

    assert RequestFields.from_json(content, check).check is check


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], {}, {"kind": "text"}, {"kind": "path", "fields": [], "extensions": []}),
        *({"kind": "table", "fields": [], "extensions": []}, {"kind": "text", "fields": [3], "extensions": []}),
        {"kind": "text", "fields": [], "extensions": [3]},
        {"kind": "text", "fields": [{"name": "x", "type": "url", "values": []}], "extensions": []},
        {"kind": "text", "fields": [{"name": 3, "type": "text", "values": []}], "extensions": []},
        {"kind": "text", "fields": [{"name": "x", "type": "text", "values": [3]}], "extensions": []},
        {"kind": "text", "fields": [{"name": "x", "type": "text", "values": [], "more": 1}], "extensions": []},
    ],
)
def test_another_description_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="Expected what RequestFields.to_json writes, but got something else: "):
        RequestFields.from_json(content)


def test_rows_of_a_request_are_dicts_and_columns() -> None:
    rows = RequestRows(["age", "city"], [(30, "Oslo"), (40, None), (50, "Rome")])
    assert list(rows) == [{"age": 30, "city": "Oslo"}, {"age": 40, "city": None}, {"age": 50, "city": "Rome"}]
    assert list(rows[1:]) == list(rows)[1:]
    assert rows[-1]["age"] == 50
    assert rows.columns == {"age": [30, 40, 50], "city": ["Oslo", None, "Rome"]}
    assert rows[:0].columns == {"age": [], "city": []}
