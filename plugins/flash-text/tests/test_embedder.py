"""TextEmbedder: one vector a text, of length 1, close for texts that mean alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import flash
from flash.errors import ConfigurationError
from flash.text import TextClassificationData, TextEmbedder

TEXTS = ["a great film", "", "the plot was weak and the music boring", "lovely"]


def vectors(task: TextEmbedder, texts: list[str]) -> Tensor:
    return torch.stack(task.predict(texts))


def test_each_text_has_a_vector_of_length_one(bert: str) -> None:
    found = vectors(TextEmbedder(bert), TEXTS)
    assert found.shape == (4, 32)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))


def test_vectors_may_keep_their_length(bert: str) -> None:
    kept = vectors(TextEmbedder(bert, normalize=False), TEXTS)
    torch.testing.assert_close(torch.nn.functional.normalize(kept, dim=1), vectors(TextEmbedder(bert), TEXTS))
    assert (kept.norm(dim=1) - 1).abs().min() > 1e-3


def test_the_mean_and_the_first_token_differ(bert: str) -> None:
    mean, first = (vectors(TextEmbedder(bert, pooling=how), TEXTS) for how in ("mean", "cls"))
    assert not torch.allclose(mean, first, atol=1e-3)


def test_the_mean_is_that_of_the_token_vectors(bert: str) -> None:
    task = TextEmbedder(bert, normalize=False).eval()
    ids = torch.tensor([task.tokenizer(["a great film"])["input_ids"][0]])
    with torch.no_grad():
        tokens = task.backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    torch.testing.assert_close(vectors(task, ["a great film"])[0], tokens[0].mean(0))


def test_padding_and_order_change_nothing(bert: str) -> None:
    task = TextEmbedder(bert)
    alone = torch.cat([vectors(task, [text]) for text in TEXTS])
    torch.testing.assert_close(vectors(task, TEXTS), alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.stack(task.predict(TEXTS, batch_size=2)), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["fnet", "convbert", "bert"])
def test_a_vector_does_not_depend_on_the_other_texts(
    kind: str, checkpoints: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Also of networks that have no attention mask, or that mix neighbors with padding."""
    task = TextEmbedder(checkpoints[kind])
    assert task.padded_length == (None if kind == "bert" else 64)
    assert ("so all are padded to 64 tokens. A smaller max_length is faster" in caplog.text) == (kind != "bert")
    texts = [*TEXTS, "great " * 40]
    alone = torch.cat([vectors(task, [text]) for text in texts])
    torch.testing.assert_close(vectors(task, texts), alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.stack(task.predict(texts, batch_size=2)), alone, rtol=1e-4, atol=1e-5)
    assert TextEmbedder(checkpoints[kind], max_length=20).padded_length == (None if kind == "bert" else 20)


def test_pairs_of_texts_have_no_vector_each(bert: str) -> None:
    with pytest.raises(
        ConfigurationError, match="Expected single texts in the predict data, .* compute the vectors of"
    ):
        TextEmbedder(bert).predict([("a film", "a book")])


def test_a_trainer_predicts_too(bert: str, trainer: Callable[..., flash.Trainer]) -> None:
    task = TextEmbedder(bert)
    data = TextClassificationData.from_lists(predict_data=TEXTS, batch_size=3)
    batches = trainer().predict(task, datamodule=data)
    assert [len(batch) for batch in batches] == [3, 1]
    found = torch.stack([vector for batch in batches for vector in batch])
    torch.testing.assert_close(found, vectors(task, TEXTS), rtol=1e-4, atol=1e-5)


def test_it_is_stored_with_its_tokenizer(
    checkpoints: dict[str, Path], trainer: Callable[..., flash.Trainer], tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoints["roberta"], tmp_path / "gone")
    task = TextEmbedder(folder, normalize=False)
    saver = trainer()
    saver.strategy.connect(task)
    saver.save_checkpoint(tmp_path / "task.pt")
    shutil.rmtree(folder)
    again = TextEmbedder.load_from_checkpoint(tmp_path / "task.pt")
    assert torch.equal(vectors(again, TEXTS), vectors(task, TEXTS))


def test_training_it_needs_a_loss(bert: str, trainer: Callable[..., flash.Trainer]) -> None:
    data = TextClassificationData.from_lists(TEXTS, [0, 1, 0, 1])
    with pytest.raises(ConfigurationError, match="Expected TextEmbedder to have a loss_fn"):
        trainer().fit(TextEmbedder(bert), data)


@pytest.mark.train
def test_it_can_be_trained_with_a_loss_of_ones_own(bert: str, trainer: Callable[..., flash.Trainer]) -> None:
    def apart(found: Tensor, target: Tensor) -> Any:
        same = (target[:, None] == target).float()
        return torch.nn.functional.mse_loss(found @ found.T, 2 * same - 1)

    torch.manual_seed(1)
    data = TextClassificationData.from_lists(["great", "lovely", "weak", "boring"], [0, 0, 1, 1], batch_size=4)
    task = TextEmbedder(bert, loss_fn=apart, learning_rate=3e-3)
    trainer(max_epochs=30).fit(task, data)
    one, two, three, four = vectors(task, ["great", "lovely", "weak", "boring"])
    assert min(one @ two, three @ four) > 0.8 > 0 > max(one @ three, two @ four)


def test_the_real_one_knows_what_means_alike(minilm: str) -> None:
    task = TextEmbedder(minilm)
    film, movie, tax = vectors(task, ["A wonderful film.", "This movie is great!", "How to file a tax return"])
    assert film @ movie > 0.5 > film @ tax
