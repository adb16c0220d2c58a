"""``task.predict`` of one sample, beside the forward pass of its network: what the way from raw input to tensors costs.

A row of a table with 12 and with 100 columns, as a data frame and as a dict; a photo of 500 x 400 pixels; a sentence.
The bar is for rows of a table: 2 ms more than the forward pass. Run: ``nox -s bench -- one_row``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _timing import compare, quiet
from PIL import Image

import flash
from flash.core.prediction import predict_batches, preprocess_of
from flash.data.stage import Stage
from flash.data.streams import load_dataset
from flash.image import ImageClassifier
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.text import TextClassifier

BAR = 2e-3
REPEATS = 20


def frame(columns: int, rows: int = 500) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = {f"number{i}": random.normal(size=rows) for i in range(columns * 2 // 3)}
    words = {f"word{i}": random.choice(list("abcde"), rows) for i in range(columns - len(numbers))}
    made = pd.DataFrame(numbers | words)
    made["target"] = np.where(made["number0"] > 0, "yes", "no")
    return made


def tabular(columns: int) -> tuple[flash.Task, pd.DataFrame]:
    made = frame(columns)
    data = TabularClassificationData.from_data_frame(target_fields="target", train_data_frame=made, verbose=False)
    return TabularClassifier.from_data(data), made.drop(columns="target").head(1)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(REPEATS):
        run()
    return (time.perf_counter() - start) / REPEATS


def report(what: str, task: flash.Task, raw: Any, rounds: int, bar: float | None = None) -> None:
    dataset = load_dataset(raw, Stage.PREDICT, preprocess_of(task), task.input_spec)
    (batch,) = predict_batches(task, dataset, batch_size=1)
    task.eval()

    def forward() -> None:
        with torch.inference_mode():
            task(batch.inputs)

    ways = {"forward": lambda: seconds(forward), "predict": lambda: seconds(lambda: task.predict(raw))}
    found = compare(ways, rounds)
    more = found["predict"] - found["forward"]
    held = "" if bar is None else f"   bar {bar * 1e3:.0f} ms: {'kept' if more <= bar else 'NOT kept'}"
    forward_ms, predict_ms = found["forward"] * 1e3, found["predict"] * 1e3
    print(f"  {what:34s} forward {forward_ms:6.2f} ms   predict {predict_ms:6.2f} ms   more {more * 1e3:5.2f} ms{held}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    quiet()
    for columns in (12, 100):
        task, row = tabular(columns)
        report(f"table, {columns} columns, data frame", task, row, rounds, BAR)
        report(f"table, {columns} columns, dict", task, row.to_dict("records"), rounds, BAR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        pixels = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        classifier = ImageClassifier(num_classes=3, backbone="resnet18", pretrained=False)
        report("image, resnet18, JPEG", classifier, [path], rounds)
    text = TextClassifier(num_classes=3, backbone="all-MiniLM-L6-v2.offline")
    report("text, MiniLM, 12 words", text, ["Where is my parcel? I have waited a whole week for it."], rounds)


if __name__ == "__main__":
    main()
