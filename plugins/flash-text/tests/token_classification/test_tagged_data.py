"""TokenClassificationData: words with tags and texts with spans, from each source, and what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flash.data.recognition import RawData
from flash.errors import ConfigurationError, DataError, UnknownArgumentError
from flash.text import TokenClassificationData, TokenClassifier
from flash.text.token_classification.conll import is_conll, read_conll
from flash.text.token_classification.sentences import Sentence

Language = Callable[..., tuple[list[list[str]], list[list[str]]]]
WORDS = [["Ada", "Lovelace", "lived", "in", "London", "."], ["Yes", "."]]
TAGS = [["B-PER", "I-PER", "O", "O", "B-LOC", "O"], ["O", "O"]]
TEXTS = ["Ada Lovelace lived in London.", "Yes."]
SPANS = [[{"start": 0, "end": 12, "label": "PER"}, {"start": 22, "end": 28, "label": "LOC"}], []]
ENCODED = [[3, 4, 0, 0, 1, 0], [0, 0]]


def found(data: TokenClassificationData) -> tuple[list[list[str]], list[list[int]]]:
    dataset: Any = data.train_dataset
    rows = [dataset[row] for row in range(len(dataset))]
    return [sentence.words for sentence, _ in rows], [tags.tolist() for _, tags in rows]


def of_datasets(names: bool) -> Callable[[Path], TokenClassificationData]:
    def make(_: Path) -> TokenClassificationData:
        datasets = pytest.importorskip("datasets")
        labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
        value = datasets.ClassLabel(names=labels) if names else datasets.Value("string")
        # The type of lists is named Sequence in older versions.
        listed = getattr(datasets, "List", datasets.Sequence)
        features = datasets.Features({"tokens": listed(datasets.Value("string")), "tags": listed(value)})
        tags = [[labels.index(tag) for tag in row] for row in TAGS] if names else TAGS
        dataset = datasets.Dataset.from_dict({"tokens": WORDS, "tags": tags}, features=features)
        return TokenClassificationData.from_datasets("tokens", "tags", train_dataset=dataset)

    return make


def of_conll(folder: Path) -> TokenClassificationData:
    lines = ["-DOCSTART- -X- O", ""]
    for words, tags in zip(WORDS, TAGS, strict=True):
        lines += [*(f"{word} X {tag}" for word, tag in zip(words, tags, strict=True)), "", ""]
    (folder / "train.conll").write_bytes("\r\n".join(lines).encode())
    return TokenClassificationData.from_conll(folder / "train.conll")


def of_json(folder: Path) -> TokenClassificationData:
    rows = [{"text": text, "entities": spans} for text, spans in zip(TEXTS, SPANS, strict=True)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return TokenClassificationData.from_json("text", "entities", train_file=folder / "train.jsonl")


def of_json_words(folder: Path) -> TokenClassificationData:
    (folder / "train.json").write_text(json.dumps({"words": WORDS, "tags": TAGS}))
    return TokenClassificationData.from_json("words", "tags", train_file=folder / "train.json")


def of_csv(folder: Path) -> TokenClassificationData:
    rows = [f"{' '.join(words)},{' '.join(tags)}" for words, tags in zip(WORDS, TAGS, strict=True)]
    (folder / "train.csv").write_text("\n".join(["sentence,tags", *rows]))
    return TokenClassificationData.from_csv("sentence", "tags", train_file=folder / "train.csv")


def of_tuples(_: Path) -> TokenClassificationData:
    return TokenClassificationData.from_lists(TEXTS, [[(0, 12, "PER"), (22, 28, "LOC")], []])


def of_columns(_: Path) -> TokenClassificationData:
    spans = [{"start": [0, 22], "end": [12, 28], "label": ["PER", "LOC"]}, {"start": [], "end": [], "label": []}]
    rows = {"text": TEXTS, "entities": spans}
    return TokenClassificationData.from_data_frame("text", "entities", train_data_frame=rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda _: TokenClassificationData.from_lists(WORDS, TAGS),
        of_conll,
        of_datasets(names=True),
        of_datasets(names=False),
        of_json,
        of_json_words,
        of_csv,
        of_tuples,
        of_columns,
    ],
)
def test_every_constructor_gives_the_same_words_and_tags(make: Callable[..., Any], tmp_path: Path) -> None:
    data = make(tmp_path)
    assert found(data) == (WORDS, ENCODED)
    assert data.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert data.num_classes == 5


class TestWords:
    def test_raw_text_has_words_between_spaces_and_punctuation_apart(self) -> None:
        text = "U.S. don't  pay 3,5€\tto हिन्दी-Москва 東京!"
        sentence = Sentence.of_text(text)
        assert sentence.words == [
            *["U", ".", "S", ".", "don", "'", "t", "pay", "3", ",", "5", "€", "to"],
            *["हिन्दी", "-", "Москва", "東", "京", "!"],
        ]
        assert Sentence.of_text("").words == Sentence.of_text(" \n").words == []

    def test_words_are_joined_by_spaces(self) -> None:
        sentence = Sentence.of_words(["a b", "c\ud800"])
        assert (sentence.text, sentence.words) == ("a b c?", ["a b", "c?"])

    def test_spans_are_widened_to_whole_words_with_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            data = TokenClassificationData.from_lists(
                ["Londoners came", "to Rome "], [[(0, 6, "LOC")], [(2, 8, "LOC")]]
            )
        assert found(data)[1] == [[1, 0], [0, 1]]
        assert "1 entities of the train data began or ended within a word" in caplog.text


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "tags", "message"),
        [
            ([["a", "b"]], [["O"]], "Expected one tag per word, but row 0 .* has 2 words and 1 tags: 'a b' and 'O'"),
            (["a b c"], ["O O"], "Expected one tag per word, but row 0 .* of the train data has 3 words and 2 tags"),
            ([["a", None]], [["O", "O"]], "Expected words that are texts in row 0 .*, but one of them is None"),
            ([["a", ""]], [["O", "O"]], "Expected words that are texts in row 0 .*, but one of them is ''"),
            ([None], [["O"]], "Expected a text or a list of words in row 0 .*, but there is none"),
            ([7], [["O"]], "Expected a text or a list of words in row 0 .*, but got 7"),
            ([["a"]], [None], "Expected the tags of the words of row 0 .*, but there are none"),
            ([["a"]], [7], "Expected a list of tags for the words of row 0 .*, but got 7"),
            (
                ["Ada"],
                [[(0, 4, "PER")]],
                r"inside of the text of row 0 .* 3 characters, but got \{'start': 0, 'end': 4",
            ),
            (["Ada"], [[(2, 2, "PER")]], "inside of the text of row 0 .* but got"),
            (["Ada"], [[(-1, 2, "PER")]], "inside of the text of row 0 .* but got"),
            (["a b"], [[(1, 2, "PER")]], "Expected words in each entity of row 0 .* has none. Leave it out"),
            (["a b c"], [[(0, 3, "X"), (2, 5, "Y")]], "do not overlap, nor share a word, in row 0 .* overlaps another"),
            (["abc"], [[(0, 1, "X"), (2, 3, "Y")]], "do not overlap, nor share a word, in row 0 .* overlaps another"),
            (["Ada"], [[{"start": 0, "end": 3}]], "Expected each entity as {'start': 0, 'end': 3, 'label': 'PER'}"),
            (["Ada"], [[(0, "3", "PER")]], "Expected each entity as .* but got"),
            (["Ada"], [[(0, 3)]], "Expected each entity as .* but got"),
        ],
    )
    def test_bad_rows_are_refused_in_words(self, words: list[Any], tags: list[Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            TokenClassificationData.from_lists(words, tags)

    def test_a_column_of_tags_is_one_column(self) -> None:
        rows = {"a": WORDS, "b": TAGS, "c": TAGS}
        with pytest.raises(ConfigurationError, match="Expected target_fields to name one column, that of the tags"):
            TokenClassificationData.from_data_frame("a", ["b", "c"], train_data_frame=rows)

    def test_an_option_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(UnknownArgumentError, match="schema"):
            TokenClassificationData.from_lists(WORDS, TAGS, schema="bio")

    def test_validation_without_train_data_needs_a_task(self) -> None:
        with pytest.raises(DataError, match="Expected tags that were learned from train data"):
            _ = TokenClassificationData.from_lists(val_data=WORDS, val_targets=TAGS).val_dataset
        with pytest.raises(DataError, match="Expected the tags of the words of the train data, but got none"):
            TokenClassificationData.from_load_data_inputs(
                TokenClassificationData.with_sources(_inputs(), _stage()),
                preprocess=TokenClassificationData.preprocess_cls(),
            )

    def test_a_task_of_other_tags_is_refused(self, bert: str) -> None:
        task = TokenClassifier(labels=["O", "B-ORG", "I-ORG"], backbone=bert)
        with pytest.raises(ConfigurationError, match=r"Expected data with the tags of the task, \['O', 'B-ORG'"):
            task.use_data(TokenClassificationData.from_lists(WORDS, TAGS))


def _inputs() -> Any:
    from flash.data.inputs import SampleInputs

    return SampleInputs(WORDS)


def _stage() -> Any:
    from flash.data.stage import Stage

    return Stage.TRAIN


class TestFilesOfCoNLL:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a O\nb X O\n", "Expected 2 columns in line 2 of .*, as in its first line, but got 3: 'b X O'"),
            ("a\nb\n", "Expected a word and its tag in each line of .* but line 1 has 1: 'a'"),
            ("\n-DOCSTART- O\n\n", "Expected at least one sentence in .*, but it has none"),
        ],
    )
    def test_lines_that_do_not_fit_are_named(self, content: str, message: str, tmp_path: Path) -> None:
        (tmp_path / "bad.conll").write_text(content)
        with pytest.raises(DataError, match=message):
            TokenClassificationData.from_conll(tmp_path / "bad.conll")

    def test_a_file_that_is_not_there_or_of_another_encoding_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="there is no such file"):
            read_conll(tmp_path / "no.conll")
        (tmp_path / "latin.conll").write_bytes("Zoë B-PER\n".encode("latin-1"))
        with pytest.raises(DataError, match="cannot be read: .* Name its encoding: encoding='latin-1'"):
            read_conll(tmp_path / "latin.conll")
        assert read_conll(tmp_path / "latin.conll", encoding="latin-1") == ([["Zoë"]], [["B-PER"]])

    def test_columns_and_their_separator_can_be_named(self, tmp_path: Path) -> None:
        (tmp_path / "odd.tsv").write_text("B-LOC\tNew York\tx\nO\tis\ty\n")
        assert read_conll(tmp_path / "odd.tsv", word_column=1, tag_column=0) == (
            [["New York", "is"]],
            [["B-LOC", "O"]],
        )
        (tmp_path / "bars").write_text("a|O\n")
        assert read_conll(tmp_path / "bars", sep="|") == ([["a"]], [["O"]])
        with pytest.raises(DataError, match="in the columns 5 and -1"):
            read_conll(tmp_path / "bars", sep="|", word_column=5)

    def test_documents_and_empty_lines_end_sentences(self, tmp_path: Path) -> None:
        (tmp_path / "a.conll").write_text("\ufeff-DOCSTART- O\n\n\na O\n \nb O\n\n\n\nc O", encoding="utf-8")
        assert read_conll(tmp_path / "a.conll") == ([["a"], ["b"], ["c"]], [["O"], ["O"], ["O"]])


def test_a_person_is_shown_texts_and_entities() -> None:
    dataset: Any = TokenClassificationData.from_lists(WORDS, TAGS).train_dataset
    assert dataset.display([1, 0]) == ["Yes .", "Ada Lovelace lived in London ."]
    assert dataset.display_targets([1, 0]) == ["", "Ada Lovelace (PER), London (LOC)"]
    assert (dataset.parts(), dataset.pieces(0, 9)) == ([], None)


def test_tables_of_words_with_tags_are_not_recognized(language: Language) -> None:
    words, tags = language(4)
    assert TokenClassificationData.recognize(RawData.of({"words": words, "tags": tags})) is None


def test_a_file_of_words_with_tags_is_recognized_and_other_files_are_not(language: Language, write_conll: Any) -> None:
    file = write_conll(*language(500))
    raw: Any = RawData.of_file(file)
    found = TokenClassificationData.recognize(raw)
    assert found is not None
    assert (found.constructor, found.arguments) == ("from_conll", {"train_file": str(file)})
    assert found.why == f"{file} has a word and its tag in each line"
    for text in ("text,label\nfine film,good\n", "a O\nb O\n", "fine film\n", "", "Ada B-PER\nslept O O\n", "B-PER\n"):
        file.write_text(text)
        assert TokenClassificationData.recognize(raw) is None, text
    assert not is_conll(file.parent / "missing")
