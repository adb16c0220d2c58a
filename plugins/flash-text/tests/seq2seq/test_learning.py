"""Encoder-decoders learn: loss, shift, mask, cache and beam search are right together, or they would not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flash
from flash.text import SummarizationData, SummarizationTask, TranslationData, TranslationTask
from flash.text.hub import load_config, load_tokenizer, make_model


def right(written: list[str], targets: list[str]) -> float:
    return sum(map(str.__eq__, written, targets)) / len(targets)


@pytest.mark.train
def test_words_are_learned_to_be_written_backwards(
    kind: str,
    backbone: str,
    texts: Callable[..., list[str]],
    backwards: Callable[[list[str]], list[str]],
    trainer: Callable[..., flash.Trainer],
) -> None:
    sources, unseen = texts(4000, longest=4), texts(200, longest=4, seed=1)
    unseen = [text for text in unseen if text not in {*sources}] or unseen
    dm = TranslationData.from_lists(sources, backwards(sources), unseen, backwards(unseen), batch_size=100, seed=0)
    epochs = 10 if kind == "t5" else 8
    schedule = ("OneCycleLR", {"max_lr": 1e-2, "total_steps": 40 * epochs}, {"interval": "step"})
    task = TranslationTask.from_data(
        dm, backbone=backbone, learning_rate=1e-2, lr_scheduler=schedule, metrics=[], max_new_tokens=8
    )
    trainer(max_epochs=epochs).fit(task, dm)
    targets = backwards(unseen)
    assert right(task.predict(unseen), targets) > 0.9
    assert right(task.predict(unseen, num_beams=3), targets) > 0.9
    assert right([task.predict([text])[0] for text in unseen[:20]], targets[:20]) > 0.8


def test_a_t5_with_its_real_vocabulary_reads_and_writes_real_texts(
    shared: Path, trainer: Callable[..., flash.Trainer]
) -> None:
    vocabulary = shared / "weights" / "t5-small-tokenizer"
    news = shared / "data" / "summarization" / "xsum_1000.csv"
    if not vocabulary.is_dir() or not news.is_file():
        pytest.skip(f"no T5 vocabulary or no news in {shared}")
    config: Any = load_config(vocabulary)
    config.update({"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2})
    make_model(config, "seq2seq").save_pretrained("tiny")
    load_tokenizer(vocabulary).save_pretrained("tiny")
    dm = SummarizationData.from_csv("document", "summary", train_file=news, val_split=0.02, batch_size=8, seed=0)
    task = SummarizationTask.from_data(dm, backbone="tiny", max_source_length=64, max_new_tokens=8)
    assert task.prefix == "summarize: "
    run = trainer(limit_train_batches=2, num_sanity_val_steps=0)
    run.finetune(task, dm, strategy="freeze")
    assert {"val_rouge1", "val_rouge2", "val_rougeL"} <= set(run.callback_metrics)
    x, targets = next(iter(dm.val_dataloader()))
    read = task.tokenizer.decode(x["input_ids"][0], skip_special_tokens=True)
    assert read.startswith("summarize: ")
    labels = targets["labels"][0]
    assert task.tokenizer.decode(labels[labels >= 0], skip_special_tokens=True) == targets["texts"][0]


def test_translations_name_their_pair_of_languages_with_the_real_vocabulary(shared: Path) -> None:
    vocabulary = shared / "weights" / "t5-small-tokenizer"
    if not vocabulary.is_dir():
        pytest.skip(f"no T5 vocabulary in {shared}")
    config: Any = load_config(vocabulary)
    config.update({"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2})
    task = TranslationTask(make_model(config, "seq2seq"), tokenizer=load_tokenizer(vocabulary), target_language="ro")
    assert task.prefix == "translate English to Romanian: "
