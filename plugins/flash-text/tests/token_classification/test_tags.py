"""Tags of words: their schemes are found, read alike, and refused in words where they fit none."""

from __future__ import annotations

import random

import pytest

from flash.errors import ConfigurationError, DataError
from flash.text.token_classification.tags import Entity, TagLabels, checked_scheme, entities_of, find_scheme, to_bio

BIO = ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "I-LOC", "I-LOC", "B-PER"]
IOB1 = ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-LOC", "I-LOC", "I-PER"]
BIOES = ["B-PER", "E-PER", "S-PER", "O", "B-LOC", "I-LOC", "E-LOC", "S-PER"]
BILOU = ["B-PER", "L-PER", "U-PER", "O", "B-LOC", "I-LOC", "L-LOC", "U-PER"]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [(BIO, "bio"), (IOB1, "iob1"), (BIOES, "bioes"), (BILOU, "bioes"), (["O"], "bio"), (["I-PER"], "iob1")],
)
def test_the_scheme_of_tags_is_found_and_all_read_alike(tags: list[str], scheme: str) -> None:
    assert find_scheme([tags]) == scheme
    if len(tags) > 1:
        assert to_bio(tags, scheme) == BIO
        assert TagLabels.learn([tags, ["O"]]).labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def test_entities_are_read_from_tags_of_any_order() -> None:
    assert entities_of(BIO) == [Entity("PER", 0, 2), Entity("PER", 2, 3), Entity("LOC", 4, 7), Entity("PER", 7, 8)]
    assert entities_of(["I-LOC", "I-PER", "O", "I-PER"]) == [
        Entity("LOC", 0, 1),
        Entity("PER", 1, 2),
        Entity("PER", 3, 4),
    ]
    assert entities_of([]) == []


def test_entities_are_those_of_seqeval_for_any_tags() -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval is not here")
    draw = random.Random(0)
    for _ in range(300):
        tags = draw.choices(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B"], k=draw.randint(0, 9))
        expected = [Entity(label, start, end + 1) for label, start, end in labeling.get_entities(tags)]
        assert entities_of(tags) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["B-PER"], ["O", "I-PER"]], r"each I- after a B- or I- of the same label in row 1 .* word 1 .* has 'I-PER'"),
        ([["B-PER", "I-LOC", "B-LOC"]], r"each I- after a B- .* word 1 \(counted from 0\) has 'I-LOC'"),
        ([["B-PER", "O", "S-PER"]], "a B- at the start and an E- at the end of each entity .* word 1 .* has 'O'"),
        ([["S-PER", "B-PER"]], "a B- at the start and an E- at the end of each entity .* word 1 .* has 'B-PER'"),
        ([["S-PER", "E-PER"]], "a B- at the start and an E- at the end of each entity .* word 1 .* has 'E-PER'"),
        ([["PER", "O"]], "Expected tags such as 'B-PER', 'I-PER' and 'O' in .*, but got 'PER'"),
        ([["B-", "O"]], "Expected tags such as 'B-PER', 'I-PER' and 'O' in .*, but got 'B-'"),
        ([["O", "O"]], "Expected entities in the train data, but all of its words have the tag 'O'"),
        ([[1, 0]], "Expected tags as text, such as 'B-PER', .* but got 1. Indices need a dataset"),
    ],
)
def test_tags_that_fit_no_scheme_are_refused_in_words(rows: list[list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TagLabels.learn(rows)


def test_a_scheme_can_be_named() -> None:
    assert TagLabels.learn([["I-PER", "O", "B-PER"]], scheme="iob1").encode([["B-PER"]], "val")[0].tolist() == [1]
    with pytest.raises(DataError, match="tags of the scheme 'bio' in row 0 .* has 'S-PER'"):
        TagLabels.learn([["S-PER"]], scheme="bio")
    with pytest.raises(ConfigurationError, match="Expected scheme to be one of auto, bio, iob1, bioes, but got 'iob'"):
        checked_scheme("iob")


def test_another_stage_has_the_tags_of_the_train_data() -> None:
    tags = TagLabels.learn([["B-PER", "O"]])
    assert [row.tolist() for row in tags.encode([["O", "B-PER", "I-PER"], []], "val")] == [[0, 1, 2], []]
    with pytest.raises(DataError, match=r"with the labels of the train data, 'PER', in row 0 .* the tag 'B-LOC'"):
        tags.encode([["B-LOC"]], "val")
    with pytest.raises(DataError, match="each I- after a B- .* of the val data"):
        tags.encode([["I-PER"]], "val")


def test_indices_are_tags_by_the_names_of_the_dataset() -> None:
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    tags = TagLabels.learn([[1, 2, 0]], names)
    assert tags.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert tags.encode([[3, 1]], "val")[0].tolist() == [1, 3]
    assert TagLabels.from_serializable(tags.to_serializable()) == tags
    with pytest.raises(DataError, match="Expected indices of 5 tags in row 0 .* of the test data, but got 7"):
        tags.encode([[7]], "test")
