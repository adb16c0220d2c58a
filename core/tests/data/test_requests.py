"""What a sample is in a request: what a preprocess may say."""

from __future__ import annotations

from typing import Any

import pytest

import flash
from flash.data.files import FilePreprocess
from flash.data.requests import RequestField, RequestFields
from flash.errors import ConfigurationError


def test_a_preprocess_takes_numbers_unless_it_says_otherwise() -> None:
    assert flash.Preprocess().request_fields() == RequestFields("numbers")


def test_a_preprocess_of_files_takes_files_with_its_extensions() -> None:
    class Recordings(FilePreprocess):
        extensions = (".wav",)

    assert Recordings().request_fields() == RequestFields("file", extensions=(".wav",))


def test_an_unknown_kind_is_refused() -> None:
    kind: Any = "path"
    sentence = (
        "Expected the kind of samples of a request to be one of table, text, image, file, numbers, but got 'path'."
    )
    with pytest.raises(ConfigurationError, match=sentence):
        RequestFields(kind)


def test_an_unknown_type_is_refused() -> None:
    kind: Any = "url"
    sentence = "Expected the type of a field of a request to be one of number, category, date, text, but 'x' has 'url'."
    with pytest.raises(ConfigurationError, match=sentence):
        RequestField("x", kind)


def test_a_table_has_fields() -> None:
    with pytest.raises(ConfigurationError, match="Expected the fields of the rows of a table, but got none. Name them"):
        RequestFields("table")
