"""Texts with half of a character: refused wherever a label or a cell of a table is read."""

from __future__ import annotations

import pytest

from flash.data.unicode import check_encodable
from flash.errors import DataError


@pytest.mark.parametrize("text", ["\ud800", "a\udcff", "\udc00\ud800", "é\udfffz" * 100])
def test_half_a_character_is_an_error_that_shows_it_and_its_row(text: str) -> None:
    with pytest.raises(DataError, match=r"in column 'a', but '.*\\ud.*\(number 2, counted from 0\) has half") as raised:
        check_encodable(["good", None, text, "\ud800"], "column 'a'")
    str(raised.value).encode()
    assert len(str(raised.value)) < 400


def test_what_is_written_whole_passes() -> None:
    check_encodable(["", "é", "\U0001f600", "\0", "\uffff", 7, None, b"\xff", ["\ud800"]], "column 'a'")
    check_encodable([], "column 'a'")
