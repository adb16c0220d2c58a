"""The encoder of exported folders makes the tokens that the preprocess makes, and generates what transformers does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from flash.core.export import portable_of
from flash.data.auto_dataset import AutoDataset
from flash.data.delimited import parse_delimited
from flash.data.stage import Stage
from flash.errors import DataError
from flash.text import (
    QuestionAnsweringTask,
    SummarizationTask,
    TextClassificationData,
    TextClassifier,
    TokenClassifier,
)
from flash.text.encoder import batches, encode_samples, generate, results, run
from flash.text.preprocess import TextPreprocess

NASTY = [
    *("good film", "", " ", "a bad film " * 60, "ünïcode 漢字 😀 e\u0301", "x", "UPPER\tand\ttabs", "<s> [CLS] </s>"),
    *("zero\u200bwidth", "\u202eright to left", "a\u0000b", "'quotes' \"double\"", "1,234.5", "-" * 300),
]


class Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_table(self, path: str) -> dict[str, list[str | None]]:
        return parse_delimited(Path(path).read_text(encoding="utf-8"), path)


class Vectors(nn.Module):
    """An encoder whose vectors do not matter here."""

    out_features = 4

    def __init__(self, count: int, segments: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(count, 4)
        if segments:
            self.forward = self.with_segments  # type: ignore[method-assign]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.embed(input_ids)

    def with_segments(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: Any = None
    ) -> torch.Tensor:
        return self.embed(input_ids)


@pytest.fixture
def reader(tmp_path: Path) -> Callable[[Any], Reader]:
    """Writes the files of a task into a folder, and returns what encoders read with."""

    def write(task: Any) -> Reader:
        for name, text in portable_of(task).files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return Reader(tmp_path)

    return write


def compare(task: Any, texts: list[Any], found: list[tuple[list[int], dict[str, Any]]]) -> None:
    """Compare batches with those of the preprocess."""
    preprocess = task.preprocess or task.preprocess_cls()
    dataset = AutoDataset(texts, Stage.PREDICT, preprocess, task.input_spec)
    assert [row for ids, _ in found for row in ids] == list(range(len(texts)))
    for ids, inputs in found:
        expected = dataset.hooks.collate([dataset[row] for row in ids])
        assert list(inputs) == list(expected)
        for name, array in inputs.items():
            assert array.tolist() == expected[name].tolist()
            assert array.dtype == np.int64


@pytest.mark.parametrize("name", ["word pieces", "bytes"])
@pytest.mark.parametrize("max_length", [None, 8])
def test_tokens_are_those_of_the_preprocess(
    tokenizers: Any, name: str, max_length: Any, reader: Any, tmp_path: Path
) -> None:
    tokenizer = tokenizers[name]
    task = TextClassifier(2, backbone=Vectors(len(tokenizer)), tokenizer=tokenizer, max_length=max_length)
    file = tmp_path / "texts.txt"
    # Of the characters that end a line, those of paragraphs may be in a text.
    lines = [*(text for text in NASTY if not {"\n", "\r"} & set(text)), "good\u2028film\x0bplot"]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    settings, folder = portable_of(task).settings, reader(task)
    compare(task, lines, list(batches(str(file), settings, folder, 4)))
    # Those of a request too.
    compare(task, lines, [(list(range(len(lines))), encode_samples(lines, settings, folder))])


def test_cells_of_json_lines_are_texts_or_numbers(
    tokenizers: Any, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tokenizers["word pieces"]
    rows = {"text": ["good film", "bad film"] * 2, "y": ["a", "b"] * 2}
    data = TextClassificationData.from_data_frame("text", "y", train_data_frame=rows)
    task = TextClassifier.from_data(data, backbone=Vectors(len(tokenizer)), tokenizer=tokenizer)
    settings, folder = portable_of(task).settings, reader(task)
    monkeypatch.setattr(Reader, "read_table", lambda _, path: {"text": [3, "good", 1.5]})
    compare(task, ["3", "good", "1.5"], list(batches("new.jsonl", settings, folder, 3)))
    monkeypatch.setattr(Reader, "read_table", lambda _, path: {"text": ["good", True]})
    with pytest.raises(DataError, match="Expected a text in each row of new.jsonl, but one is a bool. Convert it"):
        next(batches("new.jsonl", settings, folder, 3))


def test_texts_of_a_table_are_its_column(tokenizers: Any, reader: Any, tmp_path: Path) -> None:
    tokenizer = tokenizers["word pieces"]
    rows = {"text": ["good film", "bad film", "good", "bad"], "y": ["a", "b", "a", "b"]}
    data = TextClassificationData.from_data_frame("text", "y", train_data_frame=rows)
    task = TextClassifier.from_data(data, backbone=Vectors(len(tokenizer)), tokenizer=tokenizer)
    file = tmp_path / "new.csv"
    file.write_text('id,text\n1,"good, bad"\n2,film\n')
    settings = portable_of(task).settings
    compare(task, ["good, bad", "film"], list(batches(str(file), settings, reader(task), 2)))
    file.write_text("id,review\n1,good\n")
    with pytest.raises(DataError, match="Expected the column 'text' in .*new.csv, but it has only 'id', 'review'."):
        next(batches(str(file), settings, reader(task), 2))
    file.write_text("id,text\n1,good\n2,\n")
    with pytest.raises(DataError, match=r"but 1 of 2 have none, the first of them row 1 \(counted from 0\)"):
        next(batches(str(file), settings, reader(task), 2))


@pytest.mark.parametrize("segments", [True, False])
def test_pairs_have_segments_where_the_network_takes_them(
    tokenizers: Any, reader: Any, tmp_path: Path, segments: bool
) -> None:
    tokenizer = tokenizers["word pieces"]
    rows = {"first": ["good film", "bad film"] * 2, "second": ["good", "bad and bad " * 30] * 2, "y": ["a", "b"] * 2}
    data = TextClassificationData.from_data_frame(["first", "second"], "y", train_data_frame=rows)
    backbone = Vectors(len(tokenizer), segments)
    task = TextClassifier.from_data(data, backbone=backbone, tokenizer=tokenizer, max_length=12)
    portable = portable_of(task)
    assert ("token_type_ids" in dict(portable.inputs)) is segments  # type: ignore[arg-type]  # by name
    file = tmp_path / "new.csv"
    file.write_text("first,second\ngood film,bad film good film\nbad " + "bad " * 40 + ",x\n")
    pairs = [("good film", "bad film good film"), ("bad " + "bad " * 40, "x")]
    compare(task, pairs, list(batches(str(file), portable.settings, reader(task), 2)))


def test_what_is_not_portable_says_why(tokenizers: Any) -> None:
    task = TextClassifier(2, backbone=Vectors(256), tokenizer=lambda texts: [[1] for _ in texts])
    assert portable_of(task).reason == "the tokenizer is a function, which no file can hold"
    assert portable_of(task).inputs is not None
    assert TextPreprocess().portable().reason == "no task is connected, whose backbone has the tokenizer"
    tokenizer = tokenizers["word pieces"]
    pairs = TextClassificationData.from_lists([("good", "film"), ("bad", "film")], ["a", "b"])
    of_pairs = TextClassifier.from_data(pairs, backbone=Vectors(len(tokenizer)), tokenizer=tokenizer)
    assert "were in no table" in portable_of(of_pairs).reason


# ---------------------------------------------------------------------- generation


def _model(kind: str, tokenizer: Any) -> Any:
    torch.manual_seed(0)
    ids: dict[str, Any] = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    if kind == "t5":
        sizes: dict[str, Any] = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
        sizes["decoder_start_token_id"] = 0
        model: Any = T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **sizes, **ids))
    else:
        sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
        more: dict[str, Any] = {
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "max_position_embeddings": 64,
        }
        start: dict[str, Any] = {
            "decoder_start_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
        }
        forced: dict[str, Any] = {"forced_eos_token_id": tokenizer.eos_token_id}
        config = BartConfig(vocab_size=len(tokenizer), **sizes, **more, **start, **forced, **ids)
        model = BartForConditionalGeneration(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_beams": 3},
        {"num_beams": 4, "length_penalty": 2.0, "no_repeat_ngram_size": 2},
        {"num_beams": 2, "length_penalty": -1.0, "min_new_tokens": 5},
        {"num_beams": 3, "early_stopping": True, "repetition_penalty": 1.5},
        {"num_beams": 2, "early_stopping": "never"},
        {"no_repeat_ngram_size": 1, "min_length": 4},
        {"repetition_penalty": 2.0, "forced_bos_token_id": 9},
        {"num_beams": 2, "bad_words_ids": [[each] for each in range(40)]},
    ],
)
def test_generation_is_that_of_transformers(tokenizers: Any, kind: str, settings: dict[str, Any]) -> None:
    tokenizer = tokenizers["bytes"]
    model = _model(kind, tokenizer)
    named = {name: settings[name] for name in settings if name in ("num_beams", "length_penalty", "min_new_tokens")}
    rest = {name: value for name, value in settings.items() if name not in named}
    task = SummarizationTask(model, tokenizer=tokenizer, max_new_tokens=9, generation_kwargs=rest, **named)
    portable = portable_of(task)
    assert portable.encoder == "flash.text.encoder"
    texts = ["good film and bad", "", "a " * 30, "é"]
    dataset = AutoDataset(texts, Stage.PREDICT, task.preprocess_cls(), task.input_spec)
    inputs = dataset.hooks.collate([dataset[row] for row in range(len(texts))])
    parts = task.exported_parts(portable.inputs)  # type: ignore[arg-type]  # it has inputs
    with torch.no_grad():
        (hidden,) = parts["encoder"].module(inputs["input_ids"], inputs["attention_mask"])

        def next_logits(rows: Any, tokens: Any) -> Any:
            given = torch.from_numpy(tokens), hidden[rows], inputs["attention_mask"][rows]
            return parts["decoder"].module(*given)[0].numpy()

        found = generate(next_logits, len(texts), task.exported_result()["generation"])
    expected = task.predict(texts)
    assert [tokenizer.decode(row, skip_special_tokens=True).strip() for row in found] == expected
    assert len(set(expected)) > 1


def test_sampling_has_no_generation_loop(tokenizers: Any) -> None:
    tokenizer = tokenizers["bytes"]
    model = _model("t5", tokenizer)
    task = SummarizationTask(model, tokenizer=tokenizer, do_sample=True)
    assert portable_of(task).reason == "its generation loop does not know the setting do_sample"
    odd = SummarizationTask(model, tokenizer=tokenizer, generation_kwargs={"suppress_tokens": [5]})
    assert portable_of(odd).reason == "its generation loop does not know the setting suppress_tokens"
    words = SummarizationTask(model, tokenizer=tokenizer, generation_kwargs={"bad_words_ids": [[5, 6]]})
    assert portable_of(words).reason == "its generation loop does not know the setting bad_words_ids"


# ---------------------------------------------------------------------- windows


class Tokens(nn.Module):
    """A network whose output for a token depends on its id and its neighbors."""

    def __init__(self, count: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embed = nn.Embedding(count, 6)
        self.embed.weight.data = torch.randn(count, 6, generator=generator)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        vectors = self.embed(input_ids) * attention_mask[..., None]
        return vectors + vectors.roll(1, 1)


def networks_of(task: Any) -> dict[str, Any]:
    """Return the network of a task as an exported folder has it: a function of arrays."""
    (part,) = task.exported_parts(portable_of(task).inputs).values()
    part.module.eval()

    def network(inputs: dict[str, Any]) -> dict[str, Any]:
        with torch.no_grad():
            found = part.module(*(torch.from_numpy(inputs[name]) for name in part.inputs))
        return {name: each.numpy() for name, each in zip(part.outputs, found, strict=True)}

    return {"model": network}


def predicted(task: Any, source: Path, folder: Any, output: str | None = None) -> list[Any]:
    """Return what an exported folder predicts."""
    settings, result = portable_of(task).settings, {**task.exported_result(), "output": output}
    found: list[Any] = []
    for _, inputs in batches(str(source), settings, folder, 3):
        found += results(run(networks_of(task), inputs, result), result, folder)
    return found


def same_spans(found: list[Any], expected: list[Any]) -> None:
    """Compare lists of spans, scores with a tolerance."""
    assert [[(one["text"], one["start"], one.get("label")) for one in each] for each in found] == [
        [(one["text"], one["start"], one.get("label")) for one in each] for each in expected
    ]
    one, other = ([span["score"] for each in rows for span in each] for rows in (found, expected))
    np.testing.assert_allclose(one, other, atol=1e-5)


WORDS = [["Ada's", "film", "."], ["a", "\ufeff", "good-bad"] * 12, ["x"]]


@pytest.mark.parametrize("name", ["word pieces", "bytes"])
def test_entities_are_those_of_the_task(tokenizers: Any, name: str, reader: Any, tmp_path: Path) -> None:
    tokenizer = tokenizers[name]
    torch.manual_seed(0)
    task: Any = TokenClassifier(
        labels=["O", "B-A", "I-A", "B-B", "I-B"], backbone=Tokens(len(tokenizer)), tokenizer=tokenizer, max_length=12
    ).eval()
    nn.init.normal_(task.head[-1].weight)
    folder = reader(task)
    source = tmp_path / "words.conll"
    source.write_text("\n\n\n".join("\n".join(f"{word}\tO" for word in each) for each in WORDS) + "\n")
    expected = task.predict(source)
    assert all(expected[:2])
    same_spans(predicted(task, source, folder), expected)
    assert predicted(task, source, folder, "tags") == task.predict(source, "tags")
    texts = [text for text in NASTY if text]
    inputs = encode_samples(texts, portable_of(task).settings, folder)
    result = task.exported_result()
    same_spans(results(run(networks_of(task), inputs, result), result, folder), task.predict(texts))


@pytest.mark.parametrize("unanswerable", [True, False])
def test_answers_are_those_of_the_task(tokenizers: Any, reader: Any, tmp_path: Path, unanswerable: bool) -> None:
    tokenizer = tokenizers["word pieces"]
    torch.manual_seed(0)
    task = QuestionAnsweringTask(
        backbone=Tokens(len(tokenizer)), tokenizer=tokenizer, max_length=16, n_best=4, unanswerable=unanswerable
    ).eval()
    folder = reader(task)
    asked: list[Any] = [{"question": question, "answers": []} for question in ("film", "good")]
    paragraphs = [{"context": context, "qas": asked} for context in ("a bad film, a good one. " * 6, "film")]
    source = tmp_path / "squad.json"
    source.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    same_spans(predicted(task, source, folder, "n_best"), task.predict(source, "n_best"))
    same_spans([[each] for each in predicted(task, source, folder)], [[each] for each in task.predict(source)])
    assert predicted(task, source, folder, "texts") == task.predict(source, "texts")
    settings = portable_of(task).settings
    with pytest.raises(DataError, match="Expected questions that leave room for their contexts in 16 tokens"):
        encode_samples([("film " * 30, "a")], settings, folder)
    source.write_text('{"data": 3}')
    with pytest.raises(DataError, match="to be a file of SQuAD, an object with 'data' of 'paragraphs'"):
        list(batches(str(source), settings, folder, 2))
