"""Large tables are predicted part by part: the same results and ids, in memory that does not grow with the rows."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import flash
from flash.cli import main as run_command
from flash.data import table_parts as module
from flash.data import tables
from flash.data.tables import read_table
from flash.image import ImageClassificationData, ImageClassifier
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.tabular.preprocess import TabularPreprocess


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 50 rows, of files of any size."""
    monkeypatch.setattr(module, "PART_ROWS", 50)
    monkeypatch.setattr(tables, "SMALL_BYTES", 1)


def rows(count: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"key": [f"k{row}" for row in range(count)], "size": random.normal(size=count).round(3)})
    frame["color"] = random.choice(["red", "green", "1.0"], count)
    frame["day"] = pd.date_range("2024-01-01", periods=count, freq="h").strftime("%Y-%m-%d %H:%M")
    frame.loc[::7, "size"] = None
    frame.loc[::11, "color"] = None
    return frame


@pytest.fixture(scope="module")
def task() -> TabularClassifier:
    train = rows(60).drop(columns="key").assign(y=["a", "b"] * 30)
    data = TabularClassificationData.from_data_frame("color", ["size", "day"], "y", train, verbose=False)
    made = TabularClassifier.from_data(data, backbone="mlp")
    made._has_trained = True
    return made


def write(frame: pd.DataFrame, path: Path, group: int = 30) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=group)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_rows_of_a_large_table_are_predicted_as_those_of_a_whole_one(
    suffix: str, task: TabularClassifier, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(rows(333), tmp_path / f"rows{suffix}")
    expected = task.predict(read_table(path), output="probabilities")
    loaded: list[int] = []
    read = TabularPreprocess._read

    def noted(self: Any, data: Any) -> pd.DataFrame:
        frame = read(self, data)
        loaded.append(len(frame))
        return frame

    monkeypatch.setattr(TabularPreprocess, "_read", noted)
    ids, results = zip(*task.predict_each(path, output="probabilities"), strict=True)
    assert loaded == [50] * 6 + [33]
    assert list(ids) == list(range(333))
    np.testing.assert_allclose(results, expected, atol=1e-6)
    blocks = list(task.predict_blocks(path, batch_size=20, id_field="key"))
    assert [each for block, _ in blocks for each in block] == [f"k{row}" for row in range(333)]
    loaded.clear()
    np.testing.assert_allclose(task.predict(path, output="probabilities"), expected, atol=1e-6)
    assert loaded == [50] * 6 + [33]


def test_an_output_gets_the_rows_of_the_whole_table(task: TabularClassifier, tmp_path: Path, small_parts: None) -> None:
    path = write(rows(120), tmp_path / "rows.csv")

    def numbered(predictions: Any, ids: Any) -> list[int]:
        return list(ids)

    assert task.predict(path, output=numbered, batch_size=32) == list(range(120))
    blocks = list(task.predict_blocks(path, output=numbered, batch_size=32, id_field="key", start=60))
    assert [result for _, results in blocks for result in results] == list(range(60, 120))


def test_a_column_that_json_lines_have_later_only_is_missing_before(
    task: TabularClassifier, tmp_path: Path, small_parts: None
) -> None:
    frame = rows(120)
    lines = [{**row, "color": None} if number < 100 else row for number, row in enumerate(frame.to_dict("records"))]
    (tmp_path / "in_all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    for row in lines[:100]:
        del row["color"]
    (tmp_path / "later.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    expected, found = (task.predict(tmp_path / name, "probabilities") for name in ("in_all.jsonl", "later.jsonl"))
    assert found == expected


def test_a_folder_of_parquet_files_is_predicted_in_the_order_of_the_whole(
    task: TabularClassifier, tmp_path: Path, small_parts: None
) -> None:
    frame = rows(200).assign(part=[f"p{row % 3}" for row in range(200)])
    pq.write_to_dataset(pa.Table.from_pandas(frame), tmp_path / "in", partition_cols=["part"])
    path = tmp_path / "in"
    parts = list(module.table_parts(path))
    whole = pq.read_table(path)
    assert [key for part in parts for key in part["key"]] == whole["key"].to_pylist()
    assert [key for part in parts for key in part["part"]] == whole["part"].to_pylist()
    ids = [key for keys, _ in task.predict_blocks(path, id_field="key") for key in keys]
    assert ids == whole["key"].to_pylist()


def test_an_error_in_a_later_part_tells_its_rows(task: TabularClassifier, tmp_path: Path, small_parts: None) -> None:
    frame = rows(120).astype({"size": object})
    frame.loc[110, "size"] = "large"
    path = write(frame, tmp_path / "rows.csv")
    for predict in (task.predict, lambda path: list(task.predict_each(path))):
        with pytest.raises(flash.errors.DataError, match="Expected numbers in column 'size' .* but got 'large'"):
            predict(path)


def test_images_of_a_large_table_have_their_files(tmp_path: Path, small_parts: None) -> None:
    names = [f"{row}.png" for row in range(4)]
    for row, name in enumerate(names):
        Image.new("RGB", (8, 8), (row * 60,) * 3).save(tmp_path / name)
    table = pd.DataFrame({"image": [names[row % 4] for row in range(120)], "y": ["a", "b"] * 60})
    path = write(table, tmp_path / "images.csv")
    config: dict[str, Any] = {"input_size": (3, 8, 8), "mean": (0.0,) * 3, "std": (1.0,) * 3}
    data = ImageClassificationData.from_csv("image", "y", train_file=path, data_config=config)
    task = ImageClassifier.from_data(data, backbone="resnet18", pretrained=False)
    task._has_trained = True
    found = list(task.predict_each(path))
    assert [result for _, result in found] == task.predict(replace(read_table(path), folder=tmp_path))
    assert [Path(str(name)).name for name, _ in found] == list(table["image"])


@pytest.mark.process
@pytest.mark.parametrize(
    ("suffix", "counts"),
    # Arrow and pandas take what they reuse for several hundred thousand rows.
    [(".csv", (100_000, 400_000)), (".jsonl", (100_000, 300_000)), (".parquet", (400_000, 800_000))],
)
def test_the_command_needs_no_more_memory_for_more_rows(
    suffix: str, counts: tuple[int, int], task: TabularClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "PART_ROWS", 5_000)
    trainer = flash.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "task.ckpt", weights_only=True)
    peaks = []
    for count in counts:
        frame = rows(1000)
        path = write(pd.concat([frame] * (count // 1000)), tmp_path / f"rows{suffix}", group=5000)
        arguments = ["predict", "task.ckpt", str(path), "-o", f"out{suffix}", "--batch_size", "1024"]
        peaks.append(_peak_memory(partial(run_command, arguments)))
        assert _count(tmp_path / f"out{suffix}") == count
    # In bytes: the text of 200,000 rows has 8 MB, and their objects ten times as much.
    assert peaks[1] - peaks[0] < 20_000_000


@pytest.mark.process
def test_predict_has_in_memory_what_it_returns(
    task: TabularClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 5_000)
    peaks = []
    for count in (100_000, 300_000):
        path = write(pd.concat([rows(1000)] * (count // 1000)), tmp_path / "rows.csv")
        peaks.append(_peak_memory(partial(task.predict, path, "labels", 1024)))
    # A pointer for each result, of which there are two different ones, and what remains of a list that grows.
    assert peaks[1] - peaks[0] < 20_000_000


def _peak_memory(run: Callable[[], Any]) -> int:
    """Run a function in a fork, and return by how many bytes its memory grew at most."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:  # pragma: no cover  # in the child
        try:
            Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts
            before = _status("VmRSS")
            run()
            os.write(writer, str(_status("VmHWM") - before).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(process, 0)
    with os.fdopen(reader) as file:
        return int(file.read())


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _count(path: Path) -> int:
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    with path.open() as file:
        return sum(1 for _ in file) - (path.suffix == ".csv")
