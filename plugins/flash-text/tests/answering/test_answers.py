"""QuestionAnsweringData: questions, contexts and answers from each source, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flash.data.recognition import RawData
from flash.errors import ConfigurationError, DataError
from flash.text import QuestionAnsweringData
from flash.text.answering.answers import Answer, is_squad, read_squad

Quiz = Callable[..., Any]
CONTEXT = "Ada lived in London. Bo lived in Rome, near London."
PAIRS = [("Where did Ada live?", CONTEXT), ("Where did Cy live?", CONTEXT)]
ANSWERS = [{"text": ["London"], "answer_start": [13]}, {"text": [], "answer_start": []}]
EXPECTED = [[Answer(13, "London")], []]


def squad(folder: Path) -> Path:
    questions = [
        {"id": str(row), "question": question, "answers": answers, "is_impossible": not answers}
        for row, ((question, _), answers) in enumerate(
            zip(PAIRS, [[{"text": "London", "answer_start": 13}], []], strict=True)
        )
    ]
    content = {"version": "v2.0", "data": [{"title": "x", "paragraphs": [{"context": CONTEXT, "qas": questions}]}]}
    (folder / "squad.json").write_text(json.dumps(content))
    return folder / "squad.json"


def of_json(folder: Path) -> QuestionAnsweringData:
    rows = [{"q": q, "c": c, "a": answers} for (q, c), answers in zip(PAIRS, ANSWERS, strict=True)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return QuestionAnsweringData.from_json(["q", "c"], "a", train_file=folder / "rows.jsonl")


def of_rows(_: Path) -> QuestionAnsweringData:
    rows = [{"q": q, "c": c, "a": answers} for (q, c), answers in zip(PAIRS, ANSWERS, strict=True)]
    return QuestionAnsweringData.from_datasets(["q", "c"], "a", train_dataset=rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: QuestionAnsweringData.from_squad(squad(folder)),
        lambda _: QuestionAnsweringData.from_lists(PAIRS, ANSWERS),
        lambda _: QuestionAnsweringData.from_lists(PAIRS, [[{"text": "London", "answer_start": 13}], ""]),
        lambda _: QuestionAnsweringData.from_lists(PAIRS, [{"text": "London", "answer_start": 13}, []]),
        of_json,
        of_rows,
    ],
)
def test_every_constructor_gives_the_same_questions(make: Callable[..., Any], tmp_path: Path) -> None:
    data = make(tmp_path)
    dataset = data.train_dataset
    assert [dataset[row] for row in range(2)] == list(zip(PAIRS, EXPECTED, strict=True))
    assert data.facts == {"unanswerable": True}
    assert dataset.display_targets([1, 0]) == ["(no answer)", "London"]
    assert list(dataset.display([0])[0].values()) == list(PAIRS[0])
    assert (dataset.parts(), dataset.pieces(0, 9)) == ([], None)


def test_an_answer_that_is_a_text_is_in_the_context_once() -> None:
    data: Any = QuestionAnsweringData.from_lists([("Where?", CONTEXT)], ["Rome"])
    assert data.train_dataset[0][1] == [Answer(33, "Rome")]
    assert data.facts == {"unanswerable": False}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("London", "Expected the answer 'London' in the context of row 0 .* once, but it is there 2 times"),
        ("Paris", "Expected the answer 'Paris' in the context of row 0 .* of the train data once, but it is not"),
        ({"text": ["London"], "answer_start": [12]}, "Expected the answer 'London' at the place 12 of .* ' Londo'"),
        ({"text": ["London"], "answer_start": []}, "Expected answers such as"),
        ({"text": "London", "answer_start": -1}, "Expected the answer 'London' at the place -1"),
        ([7], "Expected answers such as .* but got 7"),
        (None, "Expected answers such as .* but got nothing"),
        (7, "Expected answers such as .* but got 7"),
        ([], "Expected an answer to some question of the train data, but all have none"),
    ],
)
def test_answers_that_are_not_in_the_context_are_refused(answer: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        QuestionAnsweringData.from_lists([("Where?", CONTEXT)], [answer])


def test_a_question_has_a_context() -> None:
    with pytest.raises(DataError, match="Expected a question with its context in each row of the train data, but got"):
        QuestionAnsweringData.from_lists(["Where?"], ["Rome"])
    with pytest.raises(DataError, match="Expected a context in row 0 .* but it is empty"):
        QuestionAnsweringData.from_lists([("Where?", " ")], [""])
    table = {"q": ["a"], "c": ["b"], "x": [1], "y": [2]}
    with pytest.raises(ConfigurationError, match="Expected target_fields to name one column, that of the answers"):
        QuestionAnsweringData.from_data_frame(["q", "c"], ["x", "y"], train_data_frame=table)


def test_a_file_that_is_none_of_squad_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to be a file of SQuAD, but there is no such file"):
        QuestionAnsweringData.from_squad(tmp_path / "no.json")
    for content in ("[]", "no", '{"data": [{"paragraphs": [{"context": "a"}]}]}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(DataError, match="an object with 'data' of 'paragraphs' .* For one question per row use"):
            read_squad(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"data": []}')
    with pytest.raises(DataError, match="Expected at least one question in .*, but it has none"):
        read_squad(tmp_path / "bad.json")


def test_a_split_keeps_the_questions_about_a_context_together() -> None:
    contexts = [f"Ada lived in place {number}." for number in range(6)]
    pairs = [(f"Where {turn}?", context) for context in contexts for turn in range(4)]
    data = QuestionAnsweringData.from_lists(pairs, ["Ada"] * 24, val_split=0.3, seed=0)
    sides = [{dataset[row][0][1] for row in range(len(dataset))} for dataset in (data.train_dataset, data.val_dataset)]
    assert not sides[0] & sides[1]
    assert all(sides)


def test_a_file_of_squad_is_recognized_and_other_files_are_not(tmp_path: Path) -> None:
    questions = [{"question": "Where?", "answers": [{"text": "London", "answer_start": 13}]}]
    articles = {"data": [{"paragraphs": [{"context": "Ada lived in London.", "qas": questions}]}]}
    file = tmp_path / "train.json"
    file.write_text(json.dumps(articles))
    raw: Any = RawData.of_file(file)
    found = QuestionAnsweringData.recognize(raw)
    assert found is not None
    assert (found.constructor, found.arguments) == ("from_squad", {"train_file": str(file)})
    in_folder = QuestionAnsweringData.recognize(RawData.of(tmp_path))
    assert in_folder == found
    file.write_text('[{"question": "Where?"}]')
    assert QuestionAnsweringData.recognize(raw) is None
    assert not is_squad(tmp_path / "missing.json")
    assert not is_squad(tmp_path / "train.csv")
