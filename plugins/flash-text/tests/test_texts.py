"""Compressed texts: what goes in comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.errors import DataError
from flash.text.texts import PackedTexts, texts_of

MANY = [f"text number {number} 😀" for number in range(2500)]


def test_texts_come_back_in_order_across_blocks() -> None:
    assert list(PackedTexts(MANY)) == MANY


def test_each_can_be_had_alone() -> None:
    texts = PackedTexts(MANY)
    assert [texts[0], texts[1024], texts[-1]] == [MANY[0], MANY[1024], MANY[-1]]


def test_a_row_that_is_not_there_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        PackedTexts(["one"])[1]


def test_some_can_be_taken() -> None:
    texts = PackedTexts(MANY)
    assert list(texts.take([2000, 3])) == [MANY[2000], MANY[3]]
    assert list(texts[1:4]) == MANY[1:4]


@pytest.mark.parametrize("text", ["", "\0", "line\nbreak", "שלום עולם", "👩‍👩‍👧", "x" * 100_000])
def test_no_character_is_lost(text: str) -> None:
    assert list(PackedTexts([text, "next"])) == [text, "next"]


def test_half_a_character_becomes_a_question_mark() -> None:
    """UTF-8 has no lone surrogates, and tokenizers refuse them."""
    assert PackedTexts(["a\ud83d"])[0] == "a?"


def test_they_take_less_memory_than_their_letters() -> None:
    assert PackedTexts(MANY).nbytes < sum(len(text.encode()) for text in MANY)


def test_there_may_be_none() -> None:
    assert len(PackedTexts([])) == 0


def test_numbers_become_their_digits() -> None:
    assert texts_of([7, 1.5, True, np.int64(3), ""], "the train data") == ["7", "1.5", "True", "3", ""]


@pytest.mark.parametrize("nothing", [None, float("nan"), np.nan, pd.NA, pd.NaT, np.float64("nan")])
def test_missing_texts_are_counted_and_the_first_is_named(nothing: Any) -> None:
    with pytest.raises(DataError, match="2 of 4 have none, the first of them row 1 .* Drop these rows, or fill"):
        texts_of(["a", nothing, "b", nothing], "the val data")


def test_what_is_no_text_says_so() -> None:
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\) is a list. Convert it to a text first."):
        texts_of(["a", ["b"]], "the train data")
