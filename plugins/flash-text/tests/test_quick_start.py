"""What the old documentation shows: inference from a checkpoint's address, finetuning, and the five steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import flash
from flash import Trainer
from flash.text import TextClassificationData, TextClassifier

SENTENCES = [
    "Turgid dialogue, feeble characterization - Harvey Keitel a judge?.",
    "The worst movie in the history of cinema.",
    "This guy has done a great job with this movie!",
]


@pytest.fixture
def files(tmp_path: Path, reviews: Callable[..., tuple[list[str], list[str]]]) -> Path:
    """A folder like that of the documentation: ``train.csv``, ``val.csv`` and ``test.csv``."""
    for seed, name in enumerate(("train", "val", "test")):
        texts, targets = reviews(64 if name == "train" else 24, seed=seed)
        pd.DataFrame({"review": texts, "sentiment": targets}).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of this machine that gives out the files of the test's folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_inference_from_an_address(
    bert: str, files: Path, address: str, trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    data = TextClassificationData.from_csv("review", "sentiment", train_file=files / "train.csv", batch_size=8)
    teacher = trainer()
    teacher.fit(TextClassifier.from_data(data, backbone=bert), data)
    teacher.save_checkpoint(tmp_path / "text_classification_model.pt")

    model = TextClassifier.load_from_checkpoint(f"{address}/text_classification_model.pt")
    datamodule = TextClassificationData.from_lists(predict_data=SENTENCES, batch_size=4)
    predictions = trainer().predict(model, datamodule=datamodule)

    assert [len(batch) for batch in predictions] == [3]
    assert all(prediction in ["positive", "negative"] for batch in predictions for prediction in batch)


@pytest.mark.train
@pytest.mark.parametrize(
    "strategy", ["no_freeze", "freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 2))]
)
def test_the_five_steps(bert: str, files: Path, strategy: Any, trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    # Load the data.
    datamodule = TextClassificationData.from_csv(
        "review",
        "sentiment",
        train_file=files / "train.csv",
        val_file=files / "val.csv",
        test_file=files / "test.csv",
        batch_size=4,
    )
    # Choose a model.
    model = TextClassifier(backbone=bert, labels=datamodule.labels)
    # Finetune it, judge it, and keep it.
    fitter = trainer(max_epochs=3)
    fitter.finetune(model, datamodule=datamodule, strategy=strategy)
    assert {"train_accuracy", "val_accuracy", "val_loss"} <= set(fitter.callback_metrics)
    assert "test_accuracy" in fitter.test(model, datamodule=datamodule, verbose=False)[0]
    fitter.save_checkpoint(tmp_path / "text_classification_model.pt")
    # Predict.
    assert set(model.predict(SENTENCES)) <= {"positive", "negative"}
    predictions = trainer().predict(model, TextClassificationData.from_lists(predict_data=SENTENCES))
    assert predictions == [model.predict(SENTENCES)]


def test_the_number_of_classes_is_enough_to_make_a_task(
    bert: str, files: Path, trainer: Callable[..., Trainer]
) -> None:
    data = TextClassificationData.from_csv("review", "sentiment", train_file=files / "train.csv")
    model = TextClassifier(num_classes=data.num_classes, backbone=bert)
    trainer().finetune(model, data, strategy="freeze")
    assert set(model.predict(SENTENCES, output="classes")) <= {0, 1}


def test_a_task_becomes_torchscript(bert: str) -> None:
    task = TextClassifier(num_classes=2, backbone=bert).eval()
    ids = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
    inputs = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    script: Any = task.to_torchscript(method="trace", example_inputs=(inputs,))
    shorter = {name: tensor[:1, :3] for name, tensor in inputs.items()}
    with torch.no_grad():
        torch.testing.assert_close(script(inputs), task(inputs))
        torch.testing.assert_close(script(shorter), task(shorter))


def test_the_names_are_where_the_documentation_imports_them_from() -> None:
    assert issubclass(TextClassifier, flash.Task)
    assert issubclass(TextClassificationData, flash.DataModule)
