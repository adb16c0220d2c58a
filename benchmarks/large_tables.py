"""Tables beyond memory: how time and memory grow with the rows, and what an epoch costs beside one from memory.

A table of 10 numbers and 5 text columns is written as Parquet, read for an epoch and trained on in a process of its
own: with ``in_memory=False``, and with ``in_memory=True`` as far as that is asked for. The figures are the peak of the
resident memory, and the seconds until the data is ready and for reading the batches of an epoch.
Run: ``nox -s bench -- large_tables``; the plot is ``benchmarks/large_tables.png``.

Bars: memory at 10 million rows within 1.2 of that at 1 million; an epoch within 1.2 of one from memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _timing import quiet

_GROUP = 100_000
# The most steps of an epoch: more of them take more time, and no more memory.
_STEPS = 500


def write(path: Path, rows: int) -> None:
    """Write a table; each row group is made by itself."""
    random = np.random.default_rng(0)
    words = np.array([f"word {word}" for word in range(50)])
    writer = None
    for start in range(0, rows, _GROUP):
        count = min(_GROUP, rows - start)
        columns: dict[str, Any] = {f"number{i}": random.normal(size=count) for i in range(10)}
        columns |= {f"text{i}": words[random.integers(0, 50, count)] for i in range(5)}
        columns["target"] = np.where(columns["number0"] > 0, "yes", "no")
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def child(path: Path, in_memory: bool, epochs: int) -> None:
    import flash
    from flash.tabular import TabularClassificationData, TabularClassifier

    start = time.perf_counter()
    data = TabularClassificationData.from_parquet(
        target_fields="target", train_file=path, verbose=False, in_memory=in_memory, batch_size=512, seed=0
    )
    report: dict[str, Any] = {"ready": time.perf_counter() - start}
    report["peak ready"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    for _ in data.train_dataloader():
        pass
    report["read"] = time.perf_counter() - start
    task = TabularClassifier.from_data(data, backbone="mlp")
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = flash.Trainer(
        max_epochs=epochs, limit_train_batches=_STEPS, enable_model_summary=False, accelerator="cpu", **options
    )
    start = time.perf_counter()
    trainer.fit(task, data)
    report["train"] = (time.perf_counter() - start) / epochs
    report["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(report))


def measure(path: Path, in_memory: bool, epochs: int = 1) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", str(path), *(["--in_memory"] if in_memory else [])]
    done = subprocess.run([*command, "--epochs", str(epochs)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().split("\n")[-1])
    return found


def draw(points: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, by_rows in points.items():
        rows = sorted(by_rows)
        left.plot(rows, [by_rows[each]["peak"] / 1e6 for each in rows], marker="o", label=name)
        right.plot(rows, [by_rows[each]["ready"] for each in rows], marker="o", label=f"{name}: until data is ready")
        label = f"{name}: batches of an epoch"
        right.plot(rows, [by_rows[each]["read"] for each in rows], marker="s", ls="--", label=label)
    left.set(xscale="log", xlabel="rows", ylabel="peak of resident memory (MB)", ylim=(0, None))
    right.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds")
    left.legend()
    right.legend(fontsize="x-small", loc="lower right")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--most_in_memory", type=int, default=1_000_000, help="the most rows for in_memory=True")
    parser.add_argument("--compared", type=int, default=200_000, help="rows of which an epoch is compared")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of epochs from a file and from memory")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--in_memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet()
    if options.child:
        child(options.child, options.in_memory, options.epochs)
        return
    points: dict[str, dict[int, dict[str, float]]] = {"in_memory=False": {}, "in_memory=True": {}}
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            path = Path(folder, f"{rows}.parquet")
            write(path, rows)
            for name, by_rows in points.items():
                in_memory = name == "in_memory=True"
                if not in_memory or rows <= options.most_in_memory:
                    by_rows[rows] = found = measure(path, in_memory)
                    seconds = f"ready after {found['ready']:6.1f} s, the batches of an epoch {found['read']:6.1f} s"
                    print(f"{rows:>10,} rows, {name}: {found['peak'] / 1e6:6.0f} MB, {seconds}", flush=True)
        stored = points["in_memory=False"]
        few, many = sorted(stored)[-2:]
        ratio = stored[many]["peak"] / stored[few]["peak"]
        print(f"memory at {many:,} rows / at {few:,}: {ratio:.2f} (bar: 1.2)")
        pairs = []
        path = Path(folder, "compared.parquet")
        write(path, options.compared)
        for _ in range(options.rounds):
            from_file, from_memory = measure(path, False, 2), measure(path, True, 2)
            pairs.append(from_file["train"] / from_memory["train"])
        shown = ", ".join(f"{pair:.2f}" for pair in pairs)
        print(f"an epoch from the file / from memory: {statistics.median(pairs):.2f} (bar: 1.2; rounds {shown})")
    draw(points, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
