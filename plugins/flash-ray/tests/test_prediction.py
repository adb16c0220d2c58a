"""Each row is predicted once, with its id, in any order or in that of the source; a file is whole or not there."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from rows_on_ray import frame_of

import flash
import flash.ray
from flash.cli import main
from flash.errors import CheckpointError, ConfigurationError, DataError, MissingColumnError, UnknownArgumentError
from flash.ray import prediction
from flash.ray.actor import PAYLOAD, Predictor
from flash.ray.cluster import packed, unpacked
from flash.ray.prediction import _is_of_program
from flash.serialization import read_checkpoint
from flash.tabular import TabularClassifier


def expected(checkpoint: str, output: str | None = None) -> list[Any]:
    rows = frame_of(2000).drop(columns="answer")
    return flash.Task.load_from_checkpoint(checkpoint).predict(rows, output=output)


@pytest.mark.process
def test_each_row_is_predicted_once_with_its_id(cluster: Any, checkpoint: str, tables: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    count = flash.ray.predict(checkpoint, tables, target, id_field="row_id", output="probabilities")
    found = pd.read_parquet(target)
    assert count == len(found) == 2000
    assert list(found) == ["row_id", "prediction_no", "prediction_yes"]
    in_order = found.set_index("row_id").loc[[f"r{row}" for row in range(2000)]]
    assert in_order.to_numpy().tolist() == [
        pytest.approx(each, abs=1e-6) for each in expected(checkpoint, "probabilities")
    ]


@pytest.mark.process
def test_a_task_whose_class_is_of_the_program_is_predicted_by_workers_that_do_not_know_it(
    cluster: Any, data: flash.DataModule, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a notebook or a script defines it.
    mine: Any = type("Mine", (TabularClassifier,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Mine", mine, raising=False)
    task = mine.from_data(data, backbone="mlp")
    trainer = flash.Trainer(max_epochs=0, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(task, data)
    trainer.save_checkpoint(tmp_path / "mine.ckpt")
    target = tmp_path / "out.csv"
    assert flash.ray.predict(tmp_path / "mine.ckpt", tables, target, id_field="row_id", ordered=True) == 2000
    assert pd.read_csv(target)["prediction"].tolist() == expected(str(tmp_path / "mine.ckpt"))


def test_only_classes_and_functions_of_no_package_are_of_the_program(checkpoint: str) -> None:
    stored = read_checkpoint(checkpoint)["flash"]
    assert not _is_of_program(stored)
    assert _is_of_program({**stored, "preprocess": {"class": "mine:Mine", "dist": None}})
    assert _is_of_program({"structure": [{"target": "__main__:widen"}]})


@pytest.mark.process
def test_the_command_writes_what_it_writes_without_the_engine(
    cluster: Any, checkpoint: str, tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, options in (("one.csv", []), ("ray.csv", ["--engine", "ray", "--ray.num_workers", "2"])):
        assert main(["predict", checkpoint, str(tables), "-o", str(tmp_path / name), *options]) == 0
        assert f"2,000 predictions are in {tmp_path / name}." in capsys.readouterr().out
    assert (tmp_path / "ray.csv").read_text() == (tmp_path / "one.csv").read_text()


@pytest.mark.process
def test_text_is_read_as_flash_reads_it_and_a_folder_is_written_at_once(
    cluster: Any, checkpoint: str, tmp_path: Path
) -> None:
    rows = frame_of(30).drop(columns="answer")
    rows["row_id"] = [f"{row:03}" for row in range(30)]
    (tmp_path / "in").mkdir()
    for number in range(2):
        rows[number * 15 : (number + 1) * 15].to_csv(tmp_path / "in" / f"{number}.csv", index=False)
    count = flash.ray.predict(checkpoint, tmp_path / "in", tmp_path / "out", id_field="row_id", ordered=True)
    assert count == 30
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part-00000.parquet"]
    found = pd.read_parquet(tmp_path / "out")
    assert found["row_id"].tolist() == rows["row_id"].tolist()
    assert found["prediction"].tolist() == expected(checkpoint)[:30]


@pytest.mark.process
def test_a_row_that_cannot_be_predicted_is_the_sentence_of_flash_and_an_older_file_stays(
    cluster: Any, checkpoint: str, tmp_path: Path
) -> None:
    rows = frame_of(50).drop(columns="answer").astype({"long": object})
    rows.loc[17, "long"] = "wide"
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(DataError) as here:
        flash.Task.load_from_checkpoint(checkpoint).predict(rows)
    with pytest.raises(DataError) as there:
        flash.ray.predict(
            checkpoint, cluster.data.from_items(rows.astype(str).to_dict("records")), target, id_field="row_id"
        )
    assert "'long'" in str(here.value)
    assert "'long'" in str(there.value)
    assert str(there.value).endswith("It is among the rows with row_id from 'r0' to 'r49'.")
    assert target.read_text() == "old"
    # The workers have ended, though the error is still held.
    assert len(await_processors(cluster)) == 1


def await_processors(cluster: Any) -> list[float]:
    """The processors of the cluster, as soon as nothing has reserved any."""
    end = time.monotonic() + 60
    while cluster.available_resources().get("CPU") != 2 and time.monotonic() < end:
        cluster.wait([cluster.put(None)])
    return [cpus for cpus in [cluster.available_resources().get("CPU")] if cpus == 2]


class TestThePredictor:
    """The class that runs in each worker, in this process."""

    @pytest.fixture
    def predictor(self, checkpoint: str) -> Any:
        def make(**changes: Any) -> Any:
            options = {"id_field": "row_id", "output": None, "batch_size": 16}
            return Predictor(**{"checkpoint": checkpoint, "device": "cpu", "reading": {}, **options, **changes})

        return make

    def results(self, predictor: Any, batch: Any) -> list[Any]:
        return [unpacked(each) for message in predictor(batch) for each in message[PAYLOAD]]

    def test_it_gives_the_ids_and_the_results_with_the_classes(self, predictor: Any, checkpoint: str) -> None:
        batch = pa.Table.from_pandas(frame_of(40).drop(columns="answer"))
        ((classes, ids, results),) = self.results(predictor(), batch)
        assert (classes, ids) == (["no", "yes"], [f"r{row}" for row in range(40)])
        assert results == expected(checkpoint)[:40]
        ((_, ids, results),) = self.results(predictor(id_field=None), batch)
        assert (ids, results) == (None, expected(checkpoint)[:40])

    def test_it_reads_a_file_with_the_options_of_text(self, predictor: Any, checkpoint: str, tmp_path: Path) -> None:
        frame_of(5).drop(columns="answer").to_csv(tmp_path / "a.csv", sep="|", index=False)
        batch = pa.table({"file": [str(tmp_path / "a.csv")]})
        ((_, ids, results),) = self.results(predictor(reading={"sep": "|"}), batch)
        assert (ids, results) == ([f"r{row}" for row in range(5)], expected(checkpoint)[:5])

    def test_it_loads_the_checkpoint_once(self, predictor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        made = predictor()
        batch = pa.Table.from_pandas(frame_of(4))
        self.results(made, batch)
        monkeypatch.setattr(flash.Task, "load_from_checkpoint", lambda path: pytest.fail("loaded again"))
        assert len(self.results(made, batch)) == 1

    def test_an_error_is_its_message(self, predictor: Any) -> None:
        batch = pa.Table.from_pandas(frame_of(4))
        (error,) = self.results(predictor(id_field="key"), batch)
        assert isinstance(error, MissingColumnError)
        (error,) = self.results(predictor(checkpoint="nowhere.ckpt"), batch)
        assert isinstance(error, CheckpointError)


class TestWriting:
    """The messages of workers, written in this process."""

    def messages(self, *blocks: Any) -> list[bytes]:
        return [packed((None, *block), "a block") for block in blocks]

    def test_rows_without_ids_are_numbered(self, tmp_path: Path) -> None:
        written = prediction._write(tmp_path / "a.jsonl", self.messages((None, ["x", "y"]), (None, ["z"])))
        rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
        assert written == 3
        assert [row["id"] for row in rows] == [0, 1, 2]

    def test_a_folder_has_files_of_so_many_rows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prediction, "_FILE_ROWS", 2)
        (tmp_path / "out").mkdir()  # An empty folder is taken.
        blocks = [([1, 2], ["a", "b"]), ([3], ["c"]), ([4, 5], ["d", "e"]), ([6], ["f"])]
        assert prediction._write(tmp_path / "out", self.messages(*blocks)) == 6
        files = sorted((tmp_path / "out").iterdir())
        assert [pd.read_parquet(file)["id"].tolist() for file in files] == [[1, 2], [3, 4, 5], [6]]

    @pytest.mark.parametrize("name", ["out", "out.csv"])
    def test_an_error_leaves_nothing_behind(self, name: str, tmp_path: Path) -> None:
        messages = [*self.messages(([1], ["a"])), packed(DataError("Row 3 is broken."), "an error")]
        with pytest.raises(DataError, match="Row 3 is broken."):
            prediction._write(tmp_path / name, messages)
        with pytest.raises(DataError, match="Expected rows to predict, but the source has none."):
            prediction._write(tmp_path / name, [])
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"id_field": None}, ConfigurationError, "Expected id_field, the column that tells which row a prediction"),
        ({"num_workers": 0}, ConfigurationError, "Expected num_workers to be a positive integer, but got 0."),
        ({"colour": 1}, UnknownArgumentError, "colour"),
        ({"target": "out.xlsx"}, ConfigurationError, "Expected target to end in .csv, .jsonl, .parquet, or to be a"),
        ({"target": "full"}, ConfigurationError, "Expected target to be a new or an empty folder, but full is there"),
        ({"source": "nowhere"}, DataError, "Expected a table or a folder of tables at nowhere, but there is none."),
        ({"source": {"a": [1]}}, ConfigurationError, "but got a dict. Make a dataset of it: ray.data.from_pandas"),
        ({"source": []}, ConfigurationError, "Expected source to be the path of a table or of a folder of tables"),
        ({"source": "full"}, DataError, "Expected files of one format, .* but full has .csv, .parquet."),
        ({"source": "full/text"}, DataError, "but full/text has no table."),
    ],
)
def test_wrong_arguments_are_said_before_anything_starts(
    arguments: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prediction, "started", lambda: pytest.fail("started"))
    Path("full/text").mkdir(parents=True)
    for name in ("a.csv", "b.parquet", "text/readme.md"):
        Path("full", name).write_text("")
    given: dict[str, Any] = {"source": "full/a.csv", "target": "out.csv", "id_field": "row_id", **arguments}
    with pytest.raises(kind, match=message):
        flash.ray.predict("task.ckpt", given.pop("source"), given.pop("target"), **given)


def test_options_of_text_are_refused_for_parquet() -> None:
    with pytest.raises(ConfigurationError, match="Expected no sep for Parquet, whose cells have types, but got ';'."):
        prediction._rows_of(None, "a.parquet", ["a.parquet"], {"sep": ";"})


def test_workers_leave_a_part_of_the_processors_to_those_that_read() -> None:
    for workers, cpus in ((1, 1), (2, 2), (3, 3), (4, 3), (3, 2), (7, 8)):
        reserved = workers * prediction._cpus_of_worker(workers, False, {"CPU": float(cpus)})
        assert reserved < cpus or workers > cpus
    assert prediction._cpus_of_worker(2, True, {"CPU": 2.0}) == 0
