"""Memory of training on a large table: what comes on top of the data frame itself, in units of its size.

A table of 10 numbers and 5 text columns is made in a fresh process, which then trains 20 steps on it; the peak of its
resident memory is compared with that of a process that only makes the table. Run: ``nox -s bench -- memory``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
from _timing import quiet


def make(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({f"number{i}": random.normal(size=rows) for i in range(10)})
    for i in range(5):
        words = pd.Series([f"word {word}" for word in range(50)])
        frame[f"text{i}"] = words.iloc[random.integers(0, 50, rows)].to_numpy()
    frame["target"] = np.where(frame["number0"] > 0, "yes", "no")
    return frame


def child(rows: int, train: bool) -> None:
    import flash
    from flash.tabular import TabularClassificationData, TabularClassifier

    frame = make(rows)
    report: dict[str, Any] = {"frame": int(frame.memory_usage(deep=True).sum())}
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = flash.Trainer(max_steps=20, enable_model_summary=False, accelerator="cpu", **options)
    if train:
        data = TabularClassificationData.from_data_frame(
            target_fields="target", train_data_frame=frame, val_split=0.1, verbose=False
        )
        trainer.fit(TabularClassifier.from_data(data, backbone="mlp"), data)
    report["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(report))


def measure(rows: int, train: bool) -> dict[str, int]:
    command = [sys.executable, __file__, "--rows", str(rows), "--child", *(["--train"] if train else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout.strip().split("\n")[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet()
    if options.child:
        child(options.rows, options.train)
        return
    print("Peak memory of training, beyond that of making the table, in units of the table:")
    points = []
    for rows in (options.rows // 4, options.rows):
        alone, trained = measure(rows, False), measure(rows, True)
        extra = trained["peak"] - alone["peak"]
        print(
            f"  {rows:>10,} rows: table {alone['frame'] / 1e6:6.0f} MB, process with it {alone['peak'] / 1e6:6.0f} MB, "
            f"training adds {extra / 1e6:6.0f} MB = {extra / alone['frame']:.2f} tables"
        )
        points.append((alone["frame"], extra))
    (small, less), (large, more) = points
    print(f"  per additional table: {(more - less) / (large - small):.2f} tables")


if __name__ == "__main__":
    main()
