"""Photos and texts for the benchmark of quality, with the features of a frozen backbone.

Photos are trained on as they are. The features of texts take minutes, so they are computed once: the backbone of a run
looks them up, and everything after it is that of a default run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _datasets import MissingDataError
from pytorch_lightning import seed_everything
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import flash
from flash.image import ImageClassificationData, ImageClassifier, ImageEmbedder
from flash.text import TextClassificationData, TextClassifier, TextEmbedder

__all__ = ["FROZEN", "SILENT", "run_frozen"]

IMAGES, TEXTS = "tf_efficientnet_lite0.offline", "all-MiniLM-L6-v2.offline"
#: The data sets by name: photos or texts, and the number of rows for training.
FROZEN = {"ants-bees": ("photos", None), "imdb-500": ("texts", 500), "imdb-5000": ("texts", 5000)}
_TEST_TEXTS = 1000
#: Arguments of a trainer that writes nothing.
SILENT: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Lookup(nn.Module):
    """A backbone for texts of one token: the number of a row of the features."""

    def __init__(self, features: Any) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.from_numpy(features))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the features, shape ``(batch, 1, features)``."""
        rows: Tensor = self.table(input_ids)
        return rows


def _numbers(texts: list[str]) -> list[list[int]]:
    return [[int(text)] for text in texts]


def _read_photos(folder: Path, cache: Path) -> tuple[list[Path], Any, Any]:
    """Return files, classes and features."""
    files = sorted((folder / "image" / "hymenoptera_data").glob("*/*/*.jpg"))
    if not files:
        raise MissingDataError(f"there are no photos in {folder}; pass --data")
    classes = np.array([file.parent.name for file in files])
    return files, classes, _cached(cache / "photos.npy", lambda: ImageEmbedder(backbone=IMAGES, normalize=False), files)


def _read_texts(folder: Path, cache: Path) -> tuple[list[str], Any, Any]:
    """Return row numbers as texts, classes and features: train rows first."""
    paths = [folder / "text" / f"imdb_{part}_5k.csv" for part in ("train", "test")]
    if not paths[0].exists():
        raise MissingDataError(f"there is no {paths[0]}; pass --data")
    train, test = (pd.read_csv(path) for path in paths)
    frame = pd.concat([train, test.sample(_TEST_TEXTS, random_state=0)], ignore_index=True)
    features = _cached(
        cache / "texts.npy", lambda: TextEmbedder(backbone=TEXTS, normalize=False), list(frame["review"])
    )
    return [str(row) for row in range(len(frame))], frame["sentiment"].to_numpy(), features


def _cached(path: Path, make: Any, inputs: list[Any]) -> Any:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(make().predict(inputs)).astype(np.float32))
    return np.load(path)


def _splits(name: str, classes: Any, seeds: int, validation: bool) -> Iterator[tuple[Any, Any]]:
    """Yield the rows for training and for testing, as :meth:`_datasets.Table.splits` does for tables."""
    kind, rows = FROZEN[name]
    everything = np.arange(len(classes))
    for seed in range(seeds):
        if kind == "texts":  # The official test part.
            train, test = everything[:-_TEST_TEXTS], everything[-_TEST_TEXTS:]
        else:
            train, test = train_test_split(everything, test_size=0.25, random_state=seed, stratify=classes)
        if rows is not None and rows < len(train):
            train, _ = train_test_split(train, train_size=rows, random_state=1000 + seed, stratify=classes[train])
        if validation:
            train, test = train_test_split(train, test_size=0.2, random_state=2000 + seed, stratify=classes[train])
        yield train, test


def run_frozen(name: str, options: Any) -> Iterator[dict[str, Any]]:
    """Yield a record per seed and contender."""
    kind, _ = FROZEN[name]
    inputs, classes, features = (_read_photos if kind == "photos" else _read_texts)(options.data, options.cache)
    for seed, (train, test) in enumerate(_splits(name, classes, options.seeds, options.validation)):
        for contender in ("logistic", "flash"):
            start = time.perf_counter()
            if contender == "logistic":
                peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
                peer.fit(features[train], classes[train])
                probabilities, labels = peer.predict_proba(features[test]), list(peer.classes_)
            else:
                task = train_frozen(kind, [inputs[row] for row in train], classes[train], features, seed)
                chosen = [inputs[row] for row in test]
                probabilities, labels = np.array(task.predict(chosen, output="probabilities")), list(task.labels)
            found = {
                "accuracy": accuracy_score(classes[test], np.array(labels)[probabilities.argmax(1)]),
                "-log loss": -log_loss(classes[test], probabilities[:, np.argsort(labels)], labels=sorted(labels)),
            }
            seconds = time.perf_counter() - start
            yield {"data": name, "rows": len(train), "seed": seed, "by": contender, "s": seconds, **found}


def train_frozen(kind: str, inputs: list[Any], classes: Any, features: Any, seed: int) -> Any:
    """Train the head of a classifier with Flash's defaults."""
    seed_everything(seed, verbose=False)
    data: Any
    task: Any
    if kind == "photos":
        data = ImageClassificationData.from_files(
            train_files=inputs, train_targets=list(classes), val_split=0.2, seed=seed
        )
        task = ImageClassifier.from_data(data, backbone=IMAGES)
    else:
        data = TextClassificationData.from_lists(
            train_data=inputs, train_targets=list(classes), val_split=0.2, seed=seed
        )
        task = TextClassifier.from_data(data, backbone=Lookup(features), tokenizer=_numbers)
    trainer = flash.Trainer(accelerator="cpu", **SILENT)
    trainer.finetune(task, data, strategy="freeze")
    return task
