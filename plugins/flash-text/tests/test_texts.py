"""Compressed texts: what goes in comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.errors import DataError
from flash.text.texts import PackedPairs, PackedTexts, packed, texts_of

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


# ---------------------------------------------------------------------- pairs


@pytest.mark.parametrize(
    "rows",
    [
        [("Who?", "Ada."), ("Where?", "7")],
        [["Who?", "Ada."], ["Where?", 7]],
        np.array([["Who?", "Ada."], ["Where?", "7"]]),
        (pair for pair in (("Who?", "Ada."), ("Where?", "7"))),
    ],
    ids=["tuples", "lists", "array", "generator"],
)
def test_rows_of_two_texts_are_pairs_in_any_container(rows: Any) -> None:
    pairs = packed(rows, "the train data")
    assert isinstance(pairs, PackedPairs)
    assert list(pairs) == [("Who?", "Ada."), ("Where?", "7")]


def test_pairs_come_back_in_order_across_blocks() -> None:
    rows = [(f"question {number}", f"answer {number}") for number in range(2500)]
    pairs = packed(rows, "the train data")
    assert list(pairs) == rows
    assert pairs[2400] == rows[2400]
    assert pairs[-1] == rows[-1]
    assert list(pairs[10:12]) == rows[10:12]
    assert list(pairs.take([2400, 3])) == [rows[2400], rows[3]]
    assert len(pairs) == 2500
    assert pairs.nbytes < sum(len(first) + len(second) for first, second in rows)


def test_single_texts_are_no_pairs() -> None:
    assert isinstance(packed(["a b", "c"], "the train data"), PackedTexts)
    assert isinstance(packed([], "the train data"), PackedTexts)


@pytest.mark.parametrize("rows", [[("a", "b"), "c"], ["c", ("a", "b")], [("a", "b", "c")], [("a", "b"), ("c",)]])
def test_rows_that_are_not_all_pairs_are_named(rows: Any) -> None:
    with pytest.raises(
        DataError, match=r"or a pair of two texts in each, but row \d \(counted from 0\) is .* Make all"
    ):
        packed(rows, "the train data")


@pytest.mark.parametrize(("pair", "which"), [((None, "a"), "first"), (("a", None), "second")])
def test_a_missing_text_of_a_pair_is_named(pair: Any, which: str) -> None:
    with pytest.raises(DataError, match=rf"in each row of the {which} texts of the train data, but 1 of 2 have none"):
        packed([("a", "b"), pair], "the train data")


def test_some_texts_are_picked_in_their_order_few_or_many() -> None:
    texts = [f"text {row}" for row in range(3000)]
    packed_texts = PackedTexts(texts)
    for rows in ([2999, 0, 1500], list(range(2999, -1, -1))):
        assert packed_texts.pick(rows) == [texts[row] for row in rows]
