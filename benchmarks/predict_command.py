"""``flash predict`` of a table, beside ``task.predict`` of the same file: what writing each row costs.

A classifier with the backbone ``mlp`` predicts a CSV of four columns. The command reads, predicts and writes a row per
input, in this process; ``task.predict`` reads and predicts, and holds all results. Run:
``nox -s bench -- predict_command``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _timing import compare, quiet, table

import flash
from flash.cli import main as run_command
from flash.tabular import TabularClassificationData, TabularClassifier

BATCH = 4096


def make(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({f"number{i}": random.normal(size=rows).round(3) for i in range(3)})
    frame["word"] = np.array(["red", "green", "blue"])[random.integers(0, 3, rows)]
    frame["target"] = np.where(frame["number0"] > 0, "yes", "no")
    return frame


def train(folder: Path) -> Path:
    data = TabularClassificationData.from_data_frame(
        target_fields="target", train_data_frame=make(2000), verbose=False, batch_size=256
    )
    task = TabularClassifier.from_data(data, backbone="mlp")
    options = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = flash.Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, **options)
    trainer.fit(task, data)
    trainer.save_checkpoint(folder / "task.ckpt", weights_only=True)
    return folder / "task.ckpt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint, rows = train(folder), folder / "rows.csv"
        make(options.rows).drop(columns="target").to_csv(rows, index=False)

        def in_python() -> float:
            start = time.perf_counter()
            task = TabularClassifier.load_from_checkpoint(checkpoint)
            found = task.predict(str(rows), batch_size=BATCH)
            assert len(found) == options.rows
            return time.perf_counter() - start

        def command(suffix: str) -> float:
            start = time.perf_counter()
            arguments = [str(checkpoint), str(rows), "-o", str(folder / f"out.{suffix}"), "--batch_size", str(BATCH)]
            with contextlib.redirect_stdout(io.StringIO()):
                assert run_command(["predict", *arguments]) == 0
            return time.perf_counter() - start

        ways = {"task.predict": in_python}
        for suffix in ("csv", "jsonl", "parquet"):
            ways[f"flash predict -o out.{suffix}"] = partial(command, suffix)
        print(f"{options.rows:,} rows:")
        table(compare(ways, options.rounds), "s", 1)


if __name__ == "__main__":
    main()
