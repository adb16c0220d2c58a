"""Pairs of texts: from every constructor, through every stage and checkpoint, as two segments."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, XLNetConfig

import flash
from flash.data.requests import RequestField, RequestFields
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.text import (
    SummarizationData,
    TextClassificationData,
    TextClassifier,
    TextEmbedder,
    TextRegressionData,
    TextRegressor,
)
from flash.text.backbones import takes_segments
from flash.text.hub import load_model, load_tokenizer, make_model
from flash.text.preprocess import TextPreprocess

MakeTrainer = Callable[..., flash.Trainer]
FIELDS = ["premise", "hypothesis"]
PREMISES = ["the film was great", "a weak plot", "lovely music", "the end was boring"]
HYPOTHESES = ["a great film", "great", "boring music scene", "the end"]
LABELS = ["yes", "no", "no", "yes"]
FILLER = "the a film story actor scene music plot end was seems feels".split()  # noqa: SIM905  # as in conftest


def frame() -> pd.DataFrame:
    return pd.DataFrame({"premise": PREMISES, "hypothesis": HYPOTHESES, "label": LABELS})


def pairs() -> list[tuple[str, str]]:
    return list(zip(PREMISES, HYPOTHESES, strict=True))


def make_comparisons(count: int, seed: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of texts with one opinion each, and whether it is the same: neither text alone says anything of that."""
    rng = random.Random(seed)
    rows, labels = [], []
    for _ in range(count):
        opinions = rng.choices(["great", "awful"], k=2)
        texts = []
        for opinion in opinions:
            words = rng.choices(FILLER, k=rng.randint(1, 5))
            words.insert(rng.randint(0, len(words)), opinion)
            texts.append(" ".join(words))
        rows.append((texts[0], texts[1]))
        labels.append("same" if opinions[0] == opinions[1] else "other")
    return rows, labels


def from_frame(folder: Path) -> TextClassificationData:
    return TextClassificationData.from_data_frame(FIELDS, "label", frame())


def from_csv(folder: Path) -> TextClassificationData:
    frame().to_csv(folder / "t.csv", index=False)
    return TextClassificationData.from_csv(FIELDS, "label", folder / "t.csv")


def from_json(folder: Path) -> TextClassificationData:
    (folder / "t.json").write_text(json.dumps(frame().to_dict("records")))
    return TextClassificationData.from_json(FIELDS, "label", folder / "t.json")


def from_parquet(folder: Path) -> TextClassificationData:
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    frame().to_parquet(folder / "t.parquet")
    return TextClassificationData.from_parquet(FIELDS, "label", folder / "t.parquet")


def from_lists(folder: Path) -> TextClassificationData:
    return TextClassificationData.from_lists(pairs(), LABELS)


def from_array(folder: Path) -> TextClassificationData:
    return TextClassificationData.from_lists(np.array(pairs()), LABELS)


def from_rows(folder: Path) -> TextClassificationData:
    return TextClassificationData.from_datasets(FIELDS, "label", train_dataset=frame().to_dict("records"))


def from_hugging_face(folder: Path) -> TextClassificationData:
    datasets = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
    dataset = datasets.Dataset.from_list(frame().to_dict("records"))
    return TextClassificationData.from_datasets(FIELDS, "label", train_dataset=dataset)


WAYS = [from_frame, from_csv, from_json, from_parquet, from_lists, from_array, from_rows, from_hugging_face]


@pytest.mark.parametrize("make", WAYS)
def test_every_constructor_gives_what_transformers_gives(make: Callable[..., Any], tmp_path: Path, bert: str) -> None:
    data = make(tmp_path)
    TextClassifier.from_data(data, backbone=bert)
    tokenizer = load_tokenizer(bert)
    theirs = tokenizer(PREMISES, HYPOTHESES, return_token_type_ids=True)
    dataset = data.train_dataset
    samples = [dataset[row] for row in range(len(dataset))]
    assert [ids.tolist() for (ids, _), _ in samples] == theirs["input_ids"]
    assert [segments.tolist() for (_, segments), _ in samples] == theirs["token_type_ids"]
    assert [int(target) for _, target in samples] == [1, 0, 0, 1]
    inputs, _ = next(iter(data.train_dataloader()))
    assert sorted(inputs) == ["attention_mask", "input_ids", "token_type_ids"]


def test_the_network_sees_both_texts_as_two_segments(bert: str) -> None:
    task = TextClassifier.from_data(from_frame(Path()), backbone=bert).eval()
    tokenizer = load_tokenizer(bert)
    batch = tokenizer(PREMISES, HYPOTHESES, padding=True, return_tensors="pt", return_token_type_ids=True)
    with torch.no_grad():
        vectors = task.backbone(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        expected = task.head((vectors * mask).sum(1) / mask.sum(1))
    torch.testing.assert_close(torch.tensor(task.predict(pairs(), output="logits")), expected, rtol=1e-4, atol=1e-5)
    turned = [(second, first) for first, second in pairs()]
    assert not torch.allclose(torch.tensor(task.predict(turned, output="logits")), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["roberta", "t5", "bart"])
def test_networks_without_segments_get_none(kind: str, checkpoints: dict[str, Path]) -> None:
    data = from_frame(Path())
    task = TextClassifier.from_data(data, backbone=checkpoints[kind])
    inputs, _ = next(iter(data.train_dataloader()))
    assert sorted(inputs) == ["attention_mask", "input_ids"]
    theirs = load_tokenizer(checkpoints[kind])(PREMISES, HYPOTHESES)["input_ids"]
    dataset: Any = data.train_dataset
    assert [dataset[row][0].tolist() for row in range(4)] == theirs
    assert len(task.predict(pairs())) == 4


class WithSegments(nn.Module):
    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> None: ...


class WithoutSegments(nn.Module):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> None: ...


def test_segments_are_for_networks_that_tell_two_apart(bert: str, checkpoints: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(bert)
    assert takes_segments(WithSegments(), tokenizer)
    assert not takes_segments(WithoutSegments(), tokenizer)
    assert takes_segments(load_model(checkpoints["convbert"], "encoder"), tokenizer)
    assert not takes_segments(load_model(checkpoints["roberta"], "encoder"), tokenizer)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # as those of GPT-2 say
    sizes: dict[str, Any] = {"vocab_size": 9, "n_embd": 8, "n_layer": 1, "n_head": 2, "bos_token_id": 1}
    assert not takes_segments(make_model(GPT2Config(**sizes, eos_token_id=1), "encoder"), tokenizer)
    relative = make_model(XLNetConfig(vocab_size=9, d_model=8, n_layer=1, n_head=2, d_inner=8), "encoder")
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    assert takes_segments(relative, tokenizer)


@pytest.mark.train
def test_what_only_both_texts_say_is_learned_and_kept(bert: str, trainer: MakeTrainer, tmp_path: Path) -> None:
    folder = shutil.copytree(bert, tmp_path / "gone")
    torch.manual_seed(0)
    data = TextClassificationData.from_lists(
        *make_comparisons(256, 0), *make_comparisons(100, 1), batch_size=16, seed=0
    )
    task = TextClassifier.from_data(data, backbone=folder, learning_rate=3e-3, dropout=0.0)
    run = trainer(max_epochs=30)
    run.fit(task, data)
    assert float(run.callback_metrics["val_accuracy"]) > 0.9
    run.save_checkpoint(tmp_path / "pairs.ckpt")
    shutil.rmtree(folder)
    again = TextClassifier.load_from_checkpoint(tmp_path / "pairs.ckpt")
    rows, labels = make_comparisons(100, 2)
    predicted = again.predict(rows)
    assert predicted == task.predict(rows)
    assert sum(one == other for one, other in zip(predicted, labels, strict=True)) > 90
    # Both together is what it needs: the second text of another pair is as good as chance.
    other = again.predict([(first, rows[(row + 1) % 100][1]) for row, (first, _) in enumerate(rows)])
    assert sum(one == label for one, label in zip(other, labels, strict=True)) < 70


def test_a_table_is_predicted_by_both_columns(bert: str, tmp_path: Path, trainer: MakeTrainer) -> None:
    task = TextClassifier.from_data(from_csv(tmp_path), backbone=bert)
    expected = task.predict(pairs(), output="logits")
    table = frame().drop(columns="label")
    table.to_csv(tmp_path / "new.csv", index=False)
    for source in (tmp_path / "new.csv", str(tmp_path / "new.csv"), table, table[["hypothesis", "premise"]]):
        assert task.predict(source, output="logits") == expected
    run = trainer()
    data = TextClassificationData.from_data_frame(FIELDS, predict_data_frame=table, preprocess=task.preprocess)
    batches: Any = run.predict(task, datamodule=data, output="logits")
    assert [row for batch in batches for row in batch] == expected
    run.strategy.connect(task)
    run.save_checkpoint(tmp_path / "task.ckpt")
    again = TextClassifier.load_from_checkpoint(tmp_path / "task.ckpt")
    assert again.predict(tmp_path / "new.csv", output="logits") == expected
    with pytest.raises(MissingColumnError, match="'hypothesis'"):
        again.predict(table[["premise"]])


def test_pairs_are_split_and_bucketed_like_texts(bert: str) -> None:
    rows, labels = make_comparisons(40, 0)
    data = TextClassificationData.from_lists(rows, labels, val_split=0.25, batch_size=5, seed=0)
    TextClassifier.from_data(data, backbone=bert)
    train, val = data.train_dataset, data.val_dataset
    assert (len(train), len(val)) == (30, 10)
    seen = [ids.shape[0] for inputs, _ in data.train_dataloader() for ids in inputs["input_ids"]]
    assert len(seen) == 30


def test_numbers_of_pairs_are_predicted_too(bert: str) -> None:
    rows: dict[Any, Any] = {**frame().to_dict("list"), "score": [1.5, 2, 3, 4]}
    data = TextRegressionData.from_data_frame(FIELDS, "score", rows)
    task = TextRegressor.from_data(data, backbone=bert)
    assert [type(number) for number in task.predict(pairs())] == [float] * 4


# ---------------------------------------------------------------------- what is refused


def test_single_texts_and_pairs_are_not_mixed(bert: str) -> None:
    of_pairs = TextClassifier.from_data(from_frame(Path()), backbone=bert)
    with pytest.raises(DataError, match="Expected pairs of texts in the predict data, .* but got single texts. Pass"):
        of_pairs.predict(PREMISES)
    of_texts = TextClassifier.from_data(TextClassificationData.from_lists(PREMISES, LABELS), backbone=bert)
    with pytest.raises(DataError, match="Expected single texts in the predict data, .* but got pairs of texts. Pass"):
        of_texts.predict(pairs())
    with pytest.raises(DataError, match="Expected pairs of texts in the val data, .* but got single texts. Pass"):
        _ = TextClassificationData.from_lists(pairs(), LABELS, PREMISES, LABELS).val_dataset
    with pytest.raises(DataError, match="Expected pairs of texts in the train data, which the preprocess has learned"):
        TextClassificationData.from_lists(PREMISES, LABELS, preprocess=of_pairs.preprocess)


def test_a_tokenizer_that_is_a_function_takes_no_pairs(letters: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigurationError, match="Expected a tokenizer of transformers for pairs of texts, but got a call"
    ):
        TextClassifier.from_data(from_frame(Path()), **letters).predict(pairs())


def test_three_columns_are_no_pair() -> None:
    with pytest.raises(ConfigurationError, match="or a list of at most 2, but got .* Join the columns into one first"):
        TextClassificationData.from_data_frame([*FIELDS, "label"], "label", frame())
    with pytest.raises(MissingColumnError, match="'answer'"):
        TextClassificationData.from_data_frame(["premise", "answer"], "label", frame())
    with pytest.raises(MissingColumnError, match="'answer'"):
        TextClassificationData.from_datasets(["premise", "answer"], "label", train_dataset=frame().to_dict("records"))


def test_a_text_is_generated_from_one_text() -> None:
    with pytest.raises(
        DataError, match=r"Expected one source text in each row of the train data, .* Join the two texts"
    ):
        _ = SummarizationData.from_lists(pairs(), HYPOTHESES).train_dataset
    with pytest.raises(ConfigurationError, match="one column, that of the texts, but got"):
        SummarizationData.from_data_frame(FIELDS, "label", frame())


def test_the_embedder_says_what_to_do_with_pairs(bert: str) -> None:
    task = TextEmbedder(bert)
    with pytest.raises(
        ConfigurationError, match="Expected single texts in the predict data, of which the task computes"
    ):
        task.predict(pairs())


def test_a_person_is_shown_the_texts_of_a_pair_by_their_columns_and_they_are_its_parts(bert: str) -> None:
    frame = {"question": ["who", "where", "when"] * 4, "answer": ["ada", "here", "now"] * 4, "ok": ["yes", "no"] * 6}
    data = TextClassificationData.from_data_frame(["question", "answer"], "ok", train_data_frame=frame, seed=0)
    before = data.train_dataset.display([1, 0])
    assert before == [{"question": "where", "answer": "here"}, {"question": "who", "answer": "ada"}]
    TextClassifier.from_data(data, backbone=bert)
    dataset = data.train_dataset
    assert dataset.display([1, 0]) == before
    assert dataset.parts() == ["question", "answer"]
    order = torch.arange(12).roll(1)
    for part, expected in (("answer", ("where", "ada")), ("question", ("who", "here"))):
        other = dataset.exchange(part, order)
        assert other.display([1]) == [dict(zip(("question", "answer"), expected, strict=True))]
        alone = TextClassificationData.from_lists([expected] * 2, ["yes", "no"])
        TextClassifier.from_data(alone, backbone=bert)
        np.testing.assert_array_equal(other[1][0], alone.train_dataset[0][0])


def test_pairs_from_lists_have_numbers_and_single_texts_no_parts() -> None:
    pairs = TextClassificationData.from_lists([("a", "b"), ("c", "d")], ["x", "y"])
    assert pairs.train_dataset.display([1]) == [{"text 1": "c", "text 2": "d"}]
    assert pairs.train_dataset.exchange("text 2", torch.tensor([1, 0])).display([0]) == [{"text 1": "a", "text 2": "d"}]
    texts = TextClassificationData.from_lists(["a", "b"], ["x", "y"])
    assert (texts.train_dataset.display([1]), texts.train_dataset.parts()) == (["b"], [])


def test_a_sample_of_a_request_is_a_text_or_a_pair_by_the_names_of_its_columns() -> None:
    assert TextPreprocess().request_fields() == RequestFields("text", [])
    rows = {"question": ["Who?"] * 2, "answer": ["Ada.", "Bo."], "y": ["a", "b"]}
    named: Any = TextClassificationData.from_data_frame(["question", "answer"], "y", rows).preprocess
    fields = [RequestField("question", "text"), RequestField("answer", "text")]
    assert named.request_fields() == RequestFields("text", fields)
    unnamed: Any = TextClassificationData.from_lists([("Who?", "Ada."), ("Who?", "Bo.")], ["a", "b"]).preprocess
    assert [field.name for field in unnamed.request_fields().fields] == ["text 1", "text 2"]
