"""Programs as users of flash-text write them: type checkers know what comes out."""

from typing import Any

from typing_extensions import assert_type

import flash
from flash.text import (
    SummarizationData,
    SummarizationTask,
    TextClassificationData,
    TextClassifier,
    TextEmbedder,
)


def classify() -> None:
    data = TextClassificationData.from_csv("text", "label", train_file="train.csv", val_split=0.1)
    assert_type(data, TextClassificationData)
    task = TextClassifier.from_data(data, backbone="prajjwal1/bert-tiny")
    assert_type(task, TextClassifier)
    flash.Trainer(max_epochs=1).finetune(task, data, strategy=("lora", {"r": 4}))
    task.merge_adapters()
    assert_type(task.predict(["a fine film"]), list[Any])
    assert_type(TextClassifier.load_from_checkpoint("task.ckpt"), TextClassifier)


def embed() -> None:
    assert_type(TextEmbedder(backbone="sentence-transformers/all-MiniLM-L6-v2").predict(["one", "two"]), list[Any])


def summarize() -> None:
    data = SummarizationData.from_csv("text", "summary", train_file="news.csv")
    assert_type(data, SummarizationData)
    assert_type(SummarizationTask.from_data(data, num_beams=4), SummarizationTask)
