"""TokenClassifier: it learns entities, finds them in words and in texts of any length, and is stored with its tags."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoTokenizer

import flash
from flash.core.prediction import preprocess_of
from flash.errors import ConfigurationError, DataError
from flash.text import TextClassificationData, TokenClassificationData, TokenClassifier
from flash.text.token_classification.metrics import IGNORED

MakeTrainer = Callable[..., flash.Trainer]
Language = Callable[..., tuple[list[list[str]], list[list[str]]]]


@pytest.fixture
def data(language: Language) -> TokenClassificationData:
    return TokenClassificationData.from_lists(*language(48), *language(12, seed=1), batch_size=8, seed=0)


@pytest.fixture
def task(data: TokenClassificationData, bert: str) -> TokenClassifier:
    return TokenClassifier.from_data(data, backbone=bert, dropout=0.0)


def names_of(words: list[str], tags: list[str]) -> list[tuple[str, str]]:
    """Return the names in a sentence, each with its label."""
    found: list[tuple[str, str]] = []
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("I-"):
            name, label = found.pop()
            found.append((f"{name} {word}", label))
        elif tag != "O":
            found.append((word, tag[2:]))
    return found


class TestLearning:
    @pytest.mark.train
    def test_entities_that_only_the_word_before_tells_are_learned(
        self, language: Language, bert: str, trainer: MakeTrainer, tmp_path: Path
    ) -> None:
        torch.manual_seed(2)
        short, long = language(800), language(400, seed=3, longest=44)
        words, tags = ([*one, *other] for one, other in zip(short, long, strict=True))
        data = TokenClassificationData.from_lists(words, tags, *language(150, seed=1), batch_size=16, seed=0)
        task = TokenClassifier.from_data(data, backbone=bert, pretrained=False, learning_rate=3e-3, dropout=0.0)
        run = trainer(max_epochs=12)
        run.fit(task, data)
        assert float(run.callback_metrics["val_f1"]) > 0.93
        words, tags = language(60, seed=2)
        predicted = task.predict(words, output="tags")
        right = np.mean(
            [one == other for row in zip(predicted, tags, strict=True) for one, other in zip(*row, strict=True)]
        )
        assert right > 0.97
        # Texts many times as long as a window are read whole, and nearly as well; tags that are shifted by a word would
        # be right for less than 0.7.
        (found,) = task.predict([[word for row in words[:20] for word in row]], output="tags")
        expected = [tag for row in tags[:20] for tag in row]
        assert np.mean([one == other for one, other in zip(found, expected, strict=True)]) > 0.8
        assert np.mean([one == other for one, other in zip(expected[1:], expected, strict=False)]) < 0.7
        # Spans are whole names at their places in the text.
        texts = ["The film with great, was of lovely weak: seems", *(" ".join(row) for row in words[:40])]
        wanted = [[("great", "PER"), ("lovely weak", "LOC")], *map(names_of, words[:40], tags[:40])]
        found_in = task.predict(texts)
        pairs = zip(found_in, wanted, strict=True)
        whole = [[(one["text"], one["label"]) for one in each] == names for each, names in pairs]
        assert np.mean(whole) > 0.8
        for text, each in zip(texts, found_in, strict=True):
            assert all(text[one["start"] : one["end"]] == one["text"] and 0 < one["score"] <= 1 for one in each)
        text, entities = texts[0], found_in[0]
        run.save_checkpoint(tmp_path / "task.ckpt")
        loaded: Any = flash.Task.load_from_checkpoint(tmp_path / "task.ckpt")
        assert loaded.labels == task.labels
        assert loaded.predict([text]) == [[{**one, "score": pytest.approx(one["score"])} for one in entities]]


class TestTokens:
    def test_the_places_are_the_first_tokens_of_words_of_transformers(self, checkpoints: dict[str, Path]) -> None:
        words = [["momo", "was", "very", "lalina", "."], ["great"]]
        data = TokenClassificationData.from_lists(words, [["B-PER", "O", "O", "B-PER", "O"], ["O"]], batch_size=2)
        task = TokenClassifier.from_data(data, backbone=checkpoints["bert"])
        preprocess_of(task)
        dataset: Any = data.train_dataset
        tokenizer = AutoTokenizer.from_pretrained(checkpoints["bert"])
        for row, each in enumerate(words):
            expected = tokenizer(each, is_split_into_words=True)
            sample = dataset[row]
            assert sample.windows[0].tolist() == expected["input_ids"]
            ids = expected.word_ids()
            assert sample.place.tolist() == [ids.index(word) for word in range(len(each))]

    @pytest.mark.parametrize("kind", ["roberta", "t5"])
    def test_tokens_with_the_space_before_them_belong_to_their_word(
        self, checkpoints: dict[str, Path], kind: str
    ) -> None:
        data = TokenClassificationData.from_lists([["great", "films", "x"]], [["O", "B-A", "O"]])
        task = TokenClassifier.from_data(data, backbone=checkpoints[kind])
        sample: Any = data.train_dataset[0]
        pieces = task.tokenizer.convert_ids_to_tokens(sample.windows[0])  # type: ignore[attr-defined]  # of transformers
        assert [pieces[place].lstrip("Ġ")[0] for place in sample.place] == ["g", "f", "x"]

    def test_only_the_first_token_of_a_word_counts_in_the_loss(
        self, task: TokenClassifier, data: TokenClassificationData
    ) -> None:
        x, y = next(iter(data.train_dataloader()))
        task.eval()
        result = task.step((x, y), 0)
        logits = torch.cat(task(x))
        assert len(logits) == len(y["tags"]) == int(x["word_counts"].sum())
        assert result["weight"] == len(logits)
        torch.testing.assert_close(result["loss"], nn.functional.cross_entropy(logits, y["tags"]))
        assert (result["y"] == IGNORED).sum() == len(y["word_counts"])
        assert result["y"][result["y"] != IGNORED].tolist() == y["tags"].tolist()
        assert result["y_hat"][result["y"] != IGNORED].tolist() == logits.argmax(-1).tolist()

    def test_a_word_without_tokens_is_outside_and_no_part_of_the_loss(self, bert: str, trainer: MakeTrainer) -> None:
        words = [["great", "\u200b", "film"], ["\u200b"]]
        data = TokenClassificationData.from_lists(words, [["B-PER", "I-PER", "O"], ["O"]], batch_size=2)
        task = TokenClassifier.from_data(data, backbone=bert)
        trainer().fit(task, data)
        x, y = next(iter(data.train_dataloader()))
        assert sorted(x["places"].tolist())[:2] == [-1, -1]
        assert task.step((x, y), 0)["weight"] == 2
        tags = task.predict([*words, []], output="tags")
        assert (tags[0][1], tags[1:]) == ("O", [["O"], []])

    def test_windows_of_a_long_text_overlap_and_have_each_word_once(
        self, bert: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        words = [[f"{'great' if place % 7 else 'momo'}" for place in range(200)], ["film"]]
        with caplog.at_level(logging.INFO):
            data = TokenClassificationData.from_lists(words, [["B-A"] + ["O"] * 199, ["O"]], batch_size=2)
            TokenClassifier.from_data(data, backbone=bert)
            sample: Any = data.train_dataset[0]
        assert "1 train texts have more than 64 tokens, and are read in windows" in caplog.text
        assert len(sample.windows) > 3
        assert all(len(window) <= 64 for window in sample.windows)
        tokens = [int(sample.windows[window][place]) for window, place in zip(sample.window, sample.place, strict=True)]
        assert len({*tokens}) == 2
        assert [token == tokens[0] for token in tokens] == [place % 7 == 0 for place in range(200)]
        # Behind the first window and before the last one, there are tokens on either side.
        inside = [(w, p) for w, p in zip(sample.window, sample.place, strict=True) if 0 < w < len(sample.windows) - 1]
        assert min(place for _, place in inside) > 5
        assert max(place for _, place in inside) < 59
        x, y = data.train_dataset.batch([0, 1])
        assert x["word_counts"].tolist() == y["word_counts"].tolist() == [200, 1]
        assert x["input_ids"].flatten()[x["places"]].tolist()[:200] == tokens


class TestPrediction:
    def test_one_by_one_is_the_same_as_together(self, task: TokenClassifier, language: Language) -> None:
        words, _ = language(6, seed=4)
        words.append([word for row in words for word in row] * 3)
        together = task.predict(words, output="raw")
        for row, expected in zip(words, together, strict=True):
            (alone,) = task.predict([row], output="raw")
            assert alone.shape == (len(row), 5)
            torch.testing.assert_close(alone, expected, rtol=1e-3, atol=1e-4)

    def test_outputs_have_names_and_tags_are_valid(self, task: TokenClassifier) -> None:
        assert task.available_outputs() == ["entities", "raw", "tags"]
        with torch.no_grad():
            task.head[2].weight.zero_()
            task.head[2].bias.copy_(torch.tensor([0.0, 0.0, 5.0, 0.0, 0.0]))
        assert task.predict([["great", "film"]], output="tags") == [["B-LOC", "I-LOC"]]
        ((entity,),) = task.predict(["a great film"])
        assert (entity["text"], entity["label"], entity["start"], entity["end"]) == ("a great film", "LOC", 0, 12)
        assert entity["score"] == pytest.approx(float(torch.tensor([0.0, 0.0, 5.0, 0.0, 0.0]).softmax(0)[2]))

    def test_a_file_of_conll_or_a_table_is_predicted(
        self, language: Language, write_conll: Callable[..., Path], bert: str, tmp_path: Path
    ) -> None:
        words, tags = language(5)
        file = write_conll(words, tags)
        task = TokenClassifier.from_data(TokenClassificationData.from_conll(file), backbone=bert)
        expected = task.predict(words, output="tags")
        assert task.predict(file, output="tags") == task.predict(str(file), output="tags") == expected
        rows: list[dict[str, Any]] = [{"text": " ".join(row), "entities": []} for row in words]
        rows[0]["entities"] = [{"start": 0, "end": 3, "label": "A"}]
        (tmp_path / "new.jsonl").write_text("\n".join(map(json.dumps, rows)))
        data = TokenClassificationData.from_json("text", "entities", train_file=tmp_path / "new.jsonl")
        task = TokenClassifier.from_data(data, backbone=bert)
        assert task.predict(tmp_path / "new.jsonl") == task.predict([row["text"] for row in rows])

    def test_predictions_are_written_to_a_file_as_json(
        self, task: TokenClassifier, language: Language, trainer: MakeTrainer, tmp_path: Path
    ) -> None:
        words, _ = language(9, seed=5)
        predict = TokenClassificationData.from_lists(predict_data=words, batch_size=4)
        trainer().predict(task, predict, to=tmp_path / "out.jsonl")
        rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        expected = task.predict(words)
        assert [row["id"] for row in rows] == list(range(9))
        for row, entities in zip(rows, expected, strict=True):
            assert row["prediction"] == [{**one, "score": pytest.approx(one["score"], abs=1e-4)} for one in entities]
        trainer().predict(task, predict, to=tmp_path / "out.csv")
        lines = (tmp_path / "out.csv").read_text().splitlines()
        assert lines[0] == "id,prediction"
        assert len(lines) == 10

    @pytest.mark.parametrize("raw", ["a great film", 7, [None], [[1]], [["a", ""]]])
    def test_what_is_no_text_is_refused(self, raw: Any, task: TokenClassifier) -> None:
        with pytest.raises(DataError, match="Expected "):
            task.predict(raw)


class TestTask:
    def test_frozen_layers_rest_and_thaw(
        self, task: TokenClassifier, data: TokenClassificationData, trainer: MakeTrainer
    ) -> None:
        before = {name: tensor.clone() for name, tensor in task.backbone.state_dict().items()}
        trainer().finetune(task, data, strategy="freeze")
        assert all(torch.equal(tensor, before[name]) for name, tensor in task.backbone.state_dict().items())
        trainer().finetune(task, data, strategy="no_freeze")
        assert not all(torch.equal(tensor, before[name]) for name, tensor in task.backbone.state_dict().items())

    def test_losses_of_samples_are_those_of_their_words(
        self, task: TokenClassifier, data: TokenClassificationData
    ) -> None:
        task.eval()
        x, y = next(iter(data.val_dataloader()))
        losses = task.sample_losses(task(x), y)
        assert losses is not None
        mean = (losses * y["word_counts"]).sum() / y["word_counts"].sum()
        torch.testing.assert_close(mean, task.step((x, y), 0)["loss"].detach())

    def test_a_loss_of_ones_own_takes_logits_and_tags(self, data: TokenClassificationData, bert: str) -> None:
        loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        task = TokenClassifier.from_data(data, backbone=bert, loss_fn=loss, dropout=0.0)
        x, y = next(iter(data.train_dataloader()))
        task.eval()
        torch.testing.assert_close(task.step((x, y), 0)["loss"], loss(torch.cat(task(x)), y["tags"]))

    def test_the_exported_network_has_a_probability_for_each_tag_of_each_token(
        self, task: TokenClassifier, data: TokenClassificationData
    ) -> None:
        task.use_data(data)
        task.eval()
        hooks = preprocess_of(task).stage_hooks(_predict(), task.input_spec)
        portable = task.exported_encoder(hooks.portable())
        assert portable.encoder == "flash.text.encoder"
        assert portable.inputs is not None
        (part,) = task.exported_parts(portable.inputs).values()
        x, _ = next(iter(data.val_dataloader()))
        (probabilities,) = part.module(x["input_ids"], x["attention_mask"])
        expected = torch.cat(task(x)).softmax(-1)
        torch.testing.assert_close(probabilities.flatten(0, 1)[x["places"]], expected)
        assert task.exported_result()["labels"] == task.labels

    def test_a_function_is_no_tokenizer_that_knows_places(self, letters: dict[str, Any]) -> None:
        task = TokenClassifier(labels=["O", "B-A", "I-A"], **letters)
        with pytest.raises(ConfigurationError, match="which knows the places of tokens in a text, to find the tokens"):
            task.predict(["a"])

    def test_a_vector_per_text_is_not_enough(self, letters: dict[str, Any]) -> None:
        class Pooled(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed = nn.Embedding(300, 8)

            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                return self.embed(input_ids).mean(1)

        with pytest.raises(ConfigurationError, match=r"a vector per token, .* but Pooled returned shape \(1, 8\)"):
            TokenClassifier(labels=["O", "B-A", "I-A"], **{**letters, "backbone": Pooled()})

    @pytest.mark.parametrize("labels", [None, ["B-A", "O"], ["O"], ["O", "PER"]])
    def test_labels_are_tags(self, labels: Any, bert: str) -> None:
        with pytest.raises(ConfigurationError, match=r"Expected labels such as \['O', 'B-PER', 'I-PER'\], 'O' first"):
            TokenClassifier(labels=labels, backbone=bert)
        with pytest.raises(ConfigurationError, match="Expected one label per tag, but got 3 labels for 4 classes"):
            TokenClassifier(4, ["O", "B-A", "I-A"], backbone=bert)

    def test_data_of_another_task_is_refused(self, bert: str) -> None:
        with pytest.raises(ConfigurationError, match="Expected data that fits the task: TokenClassificationData"):
            TokenClassifier.from_data(TextClassificationData.from_lists(["a", "b"], ["x", "y"]), backbone=bert)


def _predict() -> Any:
    from flash.data.stage import Stage

    return Stage.PREDICT
