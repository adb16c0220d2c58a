"""Baselines of entities, answers, summaries and translations, from the files that people have."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from flash import Task, Trainer
from flash.baseline import refit, run
from flash.errors import ConfigurationError
from flash.text import QuestionAnsweringTask, TokenClassificationData, TokenClassifier, TranslationTask

FILLER = ["so", "then", "again", "there", "slowly", "and"]
NAMES = ["Ada", "Bo", "Cy", "Di", "Ed"]
TOWNS = ["Rome", "Oslo", "Lima"]
SPECIAL = ["<pad>", "</s>", "<unk>"]
WORDS = [*FILLER, *NAMES, *TOWNS, "saw", "in", "who", "where", "?", "."]


def ignore(line: str) -> None:
    """Say nothing."""


def tokenizer(template: str | None = None) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token for each word."""
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate([*SPECIAL, *WORDS])}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if template is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=template, pair=f"{template} $B:1 </s>:1", special_tokens=[("</s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


def bert(folder: Path) -> str:
    """Leave a tiny BERT in a folder."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=40, intermediate_size=32, **sizes)).save_pretrained(folder)
    tokenizer("</s> $A </s>").save_pretrained(folder)
    return str(folder)


def sentences(count: int, seed: int = 0) -> list[list[tuple[str, str]]]:
    """Return words with tags: who saw whom, and where."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = [(word, "O") for word in draw.choices(FILLER, k=draw.randint(1, 3))]
        words += [(draw.choice(NAMES), "B-PER"), ("saw", "O"), (draw.choice(NAMES), "B-PER"), ("in", "O")]
        found.append([*words, (draw.choice(TOWNS), "B-LOC"), (".", "O")])
    return found


def conll(file: Path, rows: list[list[tuple[str, str]]]) -> Path:
    """Write sentences with tags."""
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join("".join(f"{word} {tag}\n" for word, tag in row) for row in rows))
    return file


def squad(file: Path, count: int = 60) -> Path:
    """Write questions for the town of a sentence."""
    articles = []
    for number, row in enumerate(sentences(count)):
        context = " ".join(word for word, _ in row)
        town = row[-2][0]
        answer = {"text": town, "answer_start": context.index(town)}
        questions = [{"id": str(number), "question": "where ?", "answers": [answer]}]
        articles.append({"paragraphs": [{"context": context, "qas": questions}]})
    file.write_text(json.dumps({"version": "1.1", "data": articles}))
    return file


def pages_have(folder: Path, *texts: str) -> None:
    """Check that the page of a report has texts."""
    page = (folder / "report.html").read_text()
    for each in texts:
        assert each in page


@pytest.mark.train
def test_a_file_of_entities_is_raced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = bert(tmp_path / "bert")
    monkeypatch.setattr(
        "flash.text.token_classification.recipes.roberta",
        lambda data: TokenClassifier.from_data(data, backbone=backbone, pretrained=False, learning_rate=0.01),
    )
    file = conll(tmp_path / "people.conll", sentences(60))
    said: list[str] = []
    options: Any = {"time_limit": 20, "recipes": ["words", "roberta"], "say": said.append}
    found = run(file, output=tmp_path / "out", **options)
    results = found.results
    assert (results.task, results.kind, results.metric) == ("text/token_classification", "structured", "f1")
    assert f"Task: text/token_classification, because {file} has a word and its tag in each line." in said
    entries = {entry.name: entry for entry in found.leaderboard}
    kinds = {name: entry.kind for name, entry in entries.items()}
    assert kinds == {"constant": "trivial", "words": "classical", "roberta": "network"}
    assert entries["constant"].scores["f1"] < 0.5 < entries["words"].scores["f1"]
    assert results.labels == ["LOC", "PER"]
    assert results.classes["train"] == dict.fromkeys(results.labels, results.counts["train"])
    # Its own metric counts the same entities as the comparison.
    assert found.task is not None
    data = TokenClassificationData.from_conll(file, val_split=0.2, test_split=0.2, seed=0)
    (tested,) = Trainer(logger=False, enable_progress_bar=False).test(found.task, data, verbose=False)
    assert entries["roberta"].test_scores["f1"] == pytest.approx(tested["test_f1"], abs=1e-6)
    task = Task.load_from_checkpoint(tmp_path / "out/best.ckpt")
    assert isinstance(task.predict(["Ada saw Bo in Rome ."])[0], list)


def test_a_folder_of_entities_has_its_parts_and_the_page_shows_what_is_wrong(tmp_path: Path) -> None:
    for name, seed, count in (("eng.train", 0, 12), ("dev.txt", 1, 12), ("test.txt", 2, 12)):
        rows = sentences(count, seed)
        # Words of other sentences are not known.
        conll(tmp_path / "data" / name, [[(word.replace("o", "x"), tag) for word, tag in row] for row in rows])
    (tmp_path / "data/test.txt").write_text("Eve B-PER\nsaw O\nEd B-PER\n\n" * 12)
    found = run(tmp_path / "data", output=tmp_path / "out", time_limit=20, recipes=["words"], say=ignore)
    assert found.results.counts == {"train": 12, "val": 12, "test": 12}
    assert found.results.best == "words"
    assert {(each.truth, each.prediction) for each in found.results.mistakes} == {("Eve (PER), Ed (PER)", "Ed (PER)")}
    pages_have(tmp_path / "out", "Eve saw Ed", "Eve (PER), Ed (PER)")
    # The counts of such a model are no predictions.
    assert not any("refit" in each.line for each in found.results.commands)
    with pytest.raises(ConfigurationError, match="Expected a task with one result per sample, whose models predict"):
        refit("words", tmp_path / "data")


@pytest.mark.train
def test_a_file_of_questions_is_raced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = bert(tmp_path / "bert")
    monkeypatch.setattr(
        "flash.text.answering.recipes.roberta",
        lambda data: QuestionAnsweringTask.from_data(data, backbone=backbone, pretrained=False, learning_rate=0.01),
    )
    file, held = squad(tmp_path / "train.json"), squad(tmp_path / "held.json", 20)
    options: Any = {"time_limit": 20, "recipes": ["words", "roberta"], "say": ignore}
    found = run(file, test=held, output=tmp_path / "out", **options)
    assert (found.results.task, found.results.metric) == ("text/question_answering", "f1")
    assert found.results.counts == {"train": 48, "val": 12, "test": 20}
    entries = {entry.name: entry for entry in found.leaderboard}
    assert {entry.status for entry in entries.values()} <= {"done", "stopped"}
    assert entries["roberta"].kind == "network"
    assert 0 <= entries["words"].scores["exact_match"] <= entries["words"].scores["f1"] <= 1
    shown = [each.shown for each in found.results.mistakes]
    pages_have(tmp_path / "out", *(each["context"] for each in shown if isinstance(each, dict)))


@pytest.mark.train
def test_texts_as_targets_are_raced_if_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    ids: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    T5ForConditionalGeneration(T5Config(vocab_size=40, **sizes, **ids)).save_pretrained(tmp_path / "t5")
    tokenizer("$A </s>").save_pretrained(tmp_path / "t5")
    monkeypatch.setattr(
        "flash.text.seq2seq.recipes.copied",
        lambda data: TranslationTask.from_data(data, backbone=str(tmp_path / "t5"), max_new_tokens=6),
    )
    texts = [" ".join(word for word, _ in row) for row in sentences(40)]
    table = pd.DataFrame({"text": texts, "target": [" ".join(reversed(text.split())) for text in texts]})
    table.to_csv(tmp_path / "train.csv", index=False)
    options: Any = {"time_limit": 10, "recipes": ["constant"], "say": ignore}
    for task, metric in (("text/summarization", "rouge1"), ("text/translation", "chrf")):
        output = tmp_path / task.rpartition("/")[2]
        found = run(tmp_path / "train.csv", task=task, output=output, **options)
        assert (found.results.task, found.results.metric) == (task, metric)
        (entry,) = found.leaderboard
        assert 0 <= entry.scores[metric] <= 1
        assert entry.kind == ("trivial" if metric == "rouge1" else "network")
        assert all(isinstance(each.prediction, str) for each in found.results.mistakes)
        # Such texts have no classes.
        pages_have(output, "There are no classes to look at one by one", "ROUGE-1" if metric == "rouge1" else "chrF")
        pages_have(output, *(str(each.shown) for each in found.results.mistakes))
