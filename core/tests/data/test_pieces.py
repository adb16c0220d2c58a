"""The pieces of texts and images, what is left without some, and the check of what a hook returns."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash import Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.pieces import Box, Pieces, Span, patches_of, without_patches, without_words, words_of
from flash.data.stage import Stage
from flash.errors import ConfigurationError

TEXT = "  Not a bad, long\nfilm. "


def words(text: str, most: int | None = None) -> list[str]:
    return [text[word.start : word.stop] for word in words_of(text, most)]


def test_words_are_what_spaces_divide_and_characters_where_there_are_no_spaces() -> None:
    assert words(TEXT) == ["Not", "a", "bad,", "long", "film."]
    assert words("これは film です") == ["こ", "れ", "は", "film", "で", "す"]
    assert words("") == words(" \n ") == []
    assert words_of("sun", field="sky") == [Span(0, 3, "sky")]


def test_of_longer_texts_neighboring_words_are_one_piece() -> None:
    assert words(TEXT, most=3) == ["Not a", "bad, long", "film."]
    assert words(TEXT, most=1) == ["Not a bad, long\nfilm."]
    assert words(TEXT, most=5) == words(TEXT)


def test_left_out_words_take_the_space_after_them_along() -> None:
    found = words_of(TEXT)
    assert without_words(TEXT, found, [0, 2]) == "  a long\nfilm. ".rstrip()
    assert without_words(TEXT, found, [4]) == "  Not a bad, long"
    assert without_words(TEXT, found, range(5)) == ""
    assert without_words(TEXT, found, []) == TEXT


@given(st.text(), st.sets(st.integers(0, 9)), st.integers(1, 12))
def test_what_is_left_is_the_other_pieces_in_order(text: str, left_out: set[int], most: int) -> None:
    found = words_of(text, most)
    assert len(found) <= most
    chosen = [place for place in left_out if place < len(found)]
    left = "".join(text[word.start : word.stop] for place, word in enumerate(found) if place not in chosen)
    assert "".join(without_words(text, found, chosen).split()) == "".join(left.split())


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 70))
def test_patches_cover_each_pixel_once(height: int, width: int, most: int) -> None:
    counts = np.zeros((height, width), int)
    patches = patches_of(height, width, most)
    for patch in patches:
        counts[patch.top : patch.bottom, patch.left : patch.right] += 1
    assert (counts == 1).all()
    assert 1 <= len(patches) <= most


def test_patches_get_the_mean_color_of_the_image_which_stays_as_it_was() -> None:
    image = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    before, patches = image.copy(), patches_of(2, 4, 2)
    changed = without_patches(image, patches, [1])
    # The means of 0, 3, ..., 21 and the two channels above: 10.5, 11.5, 12.5, rounded to even.
    assert changed[:, 2:].reshape(-1, 3).tolist() == [[10, 12, 12]] * 4
    assert (changed[:, :2] == image[:, :2]).all()
    assert (image == before).all()


class Divided(Preprocess):
    """Returns what a test wants."""

    result: Any = None

    def pieces(self, samples: Any, row: int, most: int) -> Any:
        return self.result


def divide(result: Any) -> Any:
    preprocess = Divided()
    preprocess.result = result
    return AutoDataset(["sun"], Stage.PREDICT, preprocess).pieces(0, most=9)


IMAGE = np.zeros((4, 6, 3), np.uint8)


def test_a_sample_is_one_whole_unless_the_hook_divides_it() -> None:
    assert AutoDataset(["sun"], Stage.PREDICT, Preprocess()).pieces(0, most=9) is None
    assert divide(None) is None
    for shown, place in (("sun", Span(0, 3)), ({"a": 12}, Span(0, 2, "a")), (IMAGE, Box(0, 0, 6, 4))):
        pieces = Pieces(shown, [place], list)
        assert divide(pieces) is pieces


@pytest.mark.parametrize(
    ("shown", "place"),
    [
        ("sun", Span(0, 4)),
        ("sun", Span(1, 1)),
        ("sun", Span(-1, 1)),
        ("sun", Span(0, 1, "sky")),
        ("sun", Box(0, 0, 1, 1)),
        ("sun", (0, 1)),
        ({"a": "sun"}, Span(0, 3)),
        ({"a": "sun"}, Span(0, 3, "b")),
        (IMAGE, Span(0, 1)),
        (IMAGE, Box(0, 0, 7, 4)),
        (IMAGE, Box(3, 0, 3, 4)),
    ],
)
def test_a_piece_outside_of_what_is_shown_is_an_error(shown: Any, place: Any) -> None:
    message = (
        rf"Expected Divided.pieces to return places inside of what is shown, .* but got {re.escape(str(place))} for "
    )
    with pytest.raises(ConfigurationError, match=message):
        divide(Pieces(shown, [place], list))


def test_another_result_of_the_hook_is_an_error() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Divided.pieces to return flash.data.pieces.Pieces, .* but got a list"
    ):
        divide([Span(0, 1)])
    with pytest.raises(ConfigurationError, match=r"Expected Divided.pieces to return text, dicts .* but got a int"):
        divide(Pieces(7, [], list))  # type: ignore[arg-type]  # on purpose


def test_a_stage_has_its_own_pieces_with_its_own_stage() -> None:
    class ByStage(Preprocess):
        def predict_pieces(self, samples: Any, row: int, most: int) -> Pieces:
            return Pieces(samples[row], [Span(0, most)], lambda each: [self.predicting for _ in each])

    dataset = AutoDataset(["evening", "sun"], Stage.PREDICT, ByStage()).subset([1, 0], Stage.PREDICT)
    pieces = dataset.pieces(0, most=2)
    assert pieces is not None
    assert (pieces.shown, pieces.places) == ("sun", [Span(0, 2)])
    without = dataset.without_pieces(pieces, [[], [0], [0]])
    assert [without[place] for place in range(len(without))] == [True, True, True]
    assert AutoDataset(["evening"], Stage.VAL, ByStage()).pieces(0, most=2) is None
