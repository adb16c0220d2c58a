"""Predictions that are written to a file: complete, in order, from any number of processes, also after a kill."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import flash
from flash.core import prediction_files
from flash.core.prediction_files import PredictionFile, digest_of_weights, prediction_columns
from flash.errors import CheckpointError, ConfigurationError

ROWS = 40


@pytest.fixture
def task() -> flash.Task:
    torch.manual_seed(0)
    return flash.Task(nn.Linear(3, 1), nn.functional.mse_loss)


def numbers_of(rows: int = ROWS) -> torch.Tensor:
    return torch.arange(rows * 3.0).reshape(rows, 3)


def make_data(rows: int = ROWS, batch_size: int = 3) -> Any:
    return flash.DataModule.from_tensors(predict_data=numbers_of(rows), batch_size=batch_size)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of six rows and blocks of three."""
    monkeypatch.setattr(prediction_files, "_ROWS_OF_BLOCK", 3)
    monkeypatch.setattr(prediction_files, "_ROWS_OF_PART", 6)


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def by(processes: int, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a trainer that starts several processes."""
    return {**options, "devices": processes, "strategy": "ddp_fork"} if processes > 1 else options


def first(predictions: Any) -> list[float]:
    numbers: list[float] = predictions[:, 0].tolist()
    return numbers


def expect(path: Path, task: flash.Task, rows: int = ROWS) -> None:
    found = written(path)
    assert [each["id"] for each in found] == list(range(rows))
    with torch.inference_mode():
        assert [each["prediction"] for each in found] == pytest.approx(task(numbers_of(rows))[:, 0].tolist())
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.train
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_a_trainer_writes_a_row_for_each_sample(
    batch_size: int, task: flash.Task, trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    data = make_data(batch_size=batch_size)
    assert flash.Trainer(**trainer_options).predict(task, data, output=first, to=path) is None
    expect(path, task)


@pytest.mark.process
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(("rows", "processes"), [(ROWS, 2), (ROWS + 1, 3), (2, 3)])
def test_several_processes_write_the_same(
    rows: int, processes: int, task: flash.Task, trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    flash.Trainer(**by(processes, trainer_options)).predict(task, make_data(rows), output=first, to=path)
    expect(path, task, rows)


class Streamed(flash.Preprocess):
    def predict_load_data(self, data: Any) -> Any:
        return data


class Numbers(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(numbers_of())


@pytest.mark.process
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_stream_is_written_in_its_order(
    processes: int, task: flash.Task, trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    data = flash.DataModule.from_load_data_inputs(
        predict_load_data_input=Numbers(), preprocess=Streamed(), batch_size=3
    )
    flash.Trainer(**by(processes, trainer_options)).predict(task, data, output=first, to=path)
    expect(path, task)


@pytest.mark.process
@pytest.mark.parametrize("processes", [1, 2])
def test_loaders_of_the_user_are_written(
    processes: int, task: flash.Task, trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    loader: Any = DataLoader(list(numbers_of()), batch_size=3)  # type: ignore[arg-type]  # a list has indices
    flash.Trainer(**by(processes, trainer_options)).predict(task, loader, output=first, to=path)
    expect(path, task)


class Dies(flash.Task):
    """Ends its process at a sample."""

    def __init__(self, network: nn.Module, row: float, how: Callable[[], Any]) -> None:
        super().__init__(network, nn.functional.mse_loss)
        self.network = network
        self.row, self.how = row, how
        self.predicted: list[float] = []

    def forward(self, inputs: Any) -> Any:
        self.predicted += inputs[:, 0].tolist()
        if (inputs[:, 0] == self.row * 3).any():
            self.how()
        return self.network(inputs)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def predict_and_die(row: int, path: Path, options: dict[str, Any], processes: int) -> None:
    torch.manual_seed(0)
    dies = Dies(nn.Linear(3, 1), row, kill)
    flash.Trainer(**by(processes, options)).predict(dies, make_data(), output=first, to=path)


def run_until_killed(*arguments: Any) -> None:
    process = multiprocessing.get_context("fork").Process(target=predict_and_die, args=arguments)
    process.start()
    process.join()
    assert process.exitcode != 0


@pytest.mark.process
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("row", [0, 4, 13, 27, ROWS - 1])
def test_a_killed_run_goes_on_where_it_was(row: int, trainer_options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("the old one")
    run_until_killed(row, path, trainer_options, 1)
    assert path.read_text() == "the old one"

    torch.manual_seed(0)
    again = Dies(nn.Linear(3, 1), -1, kill)
    flash.Trainer(**trainer_options).predict(again, make_data(), output=first, to=path, resume=True)
    rest = again.predicted.copy()
    expect(path, again)
    # At most the six rows of a part, and those of a batch, are predicted twice.
    assert len(rest) <= ROWS - max(0, row - row % 3 - 6)
    assert row < 9 or len(rest) < ROWS


@pytest.mark.process
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_of_two_processes_is_resumed_by_any_number(
    processes: int, trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    run_until_killed(ROWS - 1, path, trainer_options, 2)
    torch.manual_seed(0)
    again = Dies(nn.Linear(3, 1), -1, kill)
    flash.Trainer(**by(processes, trainer_options)).predict(again, make_data(), output=first, to=path, resume=True)
    expect(path, again)


@pytest.mark.train
@pytest.mark.usefixtures("small_parts")
def test_a_complete_set_of_parts_becomes_the_file(
    trainer_options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.jsonl"
    torch.manual_seed(0)
    task = Dies(nn.Linear(3, 1), -1, kill)
    data = make_data(36)

    def full(file: Any) -> int:
        file.save_part()
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(PredictionFile, "finish", full)
        with pytest.raises(OSError, match="No space"):
            flash.Trainer(**trainer_options).predict(task, data, output=first, to=path)
    flash.Trainer(**trainer_options).predict(task, data, output=first, to=path, resume=True)
    # The last row, since there has to be one.
    assert task.predicted[36:] == [35 * 3.0]
    expect(path, task, 36)


def interrupted(path: Path, options: dict[str, Any]) -> None:
    torch.manual_seed(0)

    def stop() -> None:
        raise ValueError("in the middle")

    dies = Dies(nn.Linear(3, 1), 30, stop)
    with pytest.raises(ValueError, match="in the middle"):
        flash.Trainer(**options).predict(dies, make_data(), output=first, to=path)
    assert path.with_name("out.jsonl.parts").is_dir()


@pytest.mark.train
@pytest.mark.usefixtures("small_parts")
def test_parts_of_another_task_are_not_used(trainer_options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    interrupted(path, trainer_options)
    torch.manual_seed(1)
    other = flash.Task(nn.Linear(3, 1), nn.functional.mse_loss)
    with pytest.raises(ConfigurationError, match="to be of this task, output and number of samples, .*Call predict ag"):
        flash.Trainer(**trainer_options).predict(other, make_data(), output=first, to=path, resume=True)
    flash.Trainer(**trainer_options).predict(other, make_data(), output=first, to=path, resume=True)
    expect(path, other)


@pytest.mark.train
@pytest.mark.usefixtures("small_parts")
def test_without_resume_a_run_begins_again(trainer_options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    interrupted(path, trainer_options)
    torch.manual_seed(0)
    again = Dies(nn.Linear(3, 1), -1, kill)
    flash.Trainer(**trainer_options).predict(again, make_data(), output=first, to=path)
    assert len(again.predicted) == ROWS
    expect(path, again)


@pytest.mark.train
@pytest.mark.usefixtures("small_parts")
def test_what_ctrl_c_interrupts_is_kept(trainer_options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    torch.manual_seed(0)

    def stop() -> None:
        raise KeyboardInterrupt

    task = Dies(nn.Linear(3, 1), 20, stop)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        flash.Trainer(**trainer_options).predict(task, make_data(), output=first, to=path)
    # Lightning ignores it from then on.
    signal.signal(signal.SIGINT, handler)
    task.how, task.predicted = int, []
    flash.Trainer(**trainer_options).predict(task, make_data(), output=first, to=path, resume=True)
    assert task.predicted[0] == 18 * 3.0
    expect(path, task)


@pytest.mark.train
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"to": "out.xlsx"}, "Expected to= to end in .csv, .jsonl, .parquet, but got out.xlsx."),
        ({"to": "out.csv", "return_predictions": True}, "Expected return_predictions=True or to=, but got both"),
        ({"resume": True}, "Expected to= with the file of the interrupted run, but got resume=True alone."),
    ],
)
def test_wrong_arguments_say_so(
    arguments: dict[str, Any], sentence: str, task: flash.Task, trainer_options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        flash.Trainer(**trainer_options).predict(task, make_data(), **arguments)


@pytest.mark.train
def test_several_loaders_have_no_one_file(task: flash.Task, trainer_options: dict[str, Any], tmp_path: Path) -> None:
    loaders: Any = [make_data().predict_dataloader(), make_data().predict_dataloader()]
    with pytest.raises(ConfigurationError, match="Expected one loader or a DataModule, .* but got a list of loaders"):
        flash.Trainer(**trainer_options).predict(task, loaders, to=tmp_path / "out.csv")


@pytest.mark.train
def test_a_stream_is_not_resumed(task: flash.Task, trainer_options: dict[str, Any], tmp_path: Path) -> None:
    data = flash.DataModule.from_datasets(predict_dataset=Numbers(), batch_size=3)
    with pytest.raises(ConfigurationError, match="whose samples have places, .* but got loaders or a stream"):
        flash.Trainer(**trainer_options).predict(task, data, to=tmp_path / "out.csv", resume=True)


@pytest.mark.usefixtures("small_parts")
def test_another_program_that_writes_the_file_is_said(tmp_path: Path) -> None:
    files = [PredictionFile(tmp_path / "out.csv", run=dict) for _ in range(2)]
    for file in files:
        assert file.begin(resume=True)
    files[0].write(range(8), range(8), range(8))
    with pytest.raises(CheckpointError, match="the only program that writes .*out.csv, but another one is writing it"):
        files[1].write(range(8), range(8), range(8))
    with pytest.raises(CheckpointError, match="Wait for it, or choose another file with to="):
        PredictionFile(tmp_path / "out.csv", run=dict).begin(resume=True)
    assert files[0].finish() == 8


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_in_any_order_are_in_order_in_each_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out.{suffix}"
    file = PredictionFile(path, run=dict, classes=["a", "b"], columns=("name", "p"))
    assert file.begin(resume=False)
    rows = torch.randperm(50, generator=torch.Generator().manual_seed(0)).tolist()
    for start in range(0, 50, 4):
        some = rows[start : start + 4]
        file.write(some, [f"n{row}" for row in some], [[row / 64, 1 - row / 64] for row in some])
    assert file.finish() == 50
    if suffix == "csv":
        with path.open(newline="") as text:
            found = [{**row, **{key: float(row[key]) for key in ("p_a", "p_b")}} for row in csv.DictReader(text)]
    else:
        found = written(path)
    assert found == [{"name": f"n{row}", "p_a": row / 64, "p_b": 1 - row / 64} for row in range(50)]
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_writing_names_the_argument_that_chose_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = PredictionFile(tmp_path / "file" / "out.csv", run=dict, argument="target")
    file.write([0], ["a"], ["b"])
    with pytest.raises(CheckpointError, match="target"):
        file.finish()


def test_rows_that_overlap_are_an_error_and_the_same_rows_are_one(tmp_path: Path) -> None:
    file = PredictionFile(tmp_path / "out.csv", run=dict)
    for rows in ([4, 5], [0, 1], [4, 5]):
        file.write(rows, rows, rows)
    assert file.finish() == 4
    file = PredictionFile(tmp_path / "out.csv", run=dict)
    for rows in ([2, 3], [0, 1], [3, 4]):
        file.write(rows, rows, rows)
    with pytest.raises(CheckpointError, match="Expected each row of .*out.csv once, but some from row 3 on were pred"):
        file.finish()


def test_no_rows_are_a_file_of_names(tmp_path: Path) -> None:
    file = PredictionFile(tmp_path / "out.csv", run=dict)
    assert file.begin(resume=False)
    assert file.finish() == 0
    assert file.path.read_text() == "id,prediction\n"


def test_the_digest_tells_weights_and_names_apart() -> None:
    one = nn.Linear(2, 2)
    digests = {digest_of_weights(each) for each in (one, nn.Sequential(one), nn.Linear(2, 2))}
    assert len(digests) == 3
    assert digest_of_weights(one) in digests


@pytest.mark.parametrize(
    ("results", "classes", "names", "columns"),
    [
        (["no", "yes"], ["no", "yes"], ["id", "prediction"], [["no", "yes"]]),
        (
            [[0.5, 0.5], [0.25, 0.75]],
            ["no", "yes"],
            ["id", "prediction_no", "prediction_yes"],
            [[0.5, 0.25], [0.5, 0.75]],
        ),
        ([[0.5, 0.5], [0.25, 0.75]], None, ["id", "prediction"], [[[0.5, 0.5], [0.25, 0.75]]]),
        ([[0.5, 0.5], [0.25, 0.75]], ["one"], ["id", "prediction"], [[[0.5, 0.5], [0.25, 0.75]]]),
        ([[], ["no"]], ["no", "yes"], ["id", "prediction"], [[[], ["no"]]]),
        ([torch.tensor([1.0]), torch.tensor([2.0])], None, ["id", "prediction"], [[[1.0], [2.0]]]),
    ],
)
def test_a_number_for_each_class_has_a_column_of_its_own(
    results: list[Any], classes: list[str] | None, names: list[str], columns: list[list[Any]]
) -> None:
    assert prediction_columns([7, 8], results, classes=classes) == (names, [[7, 8], *columns])


def test_ids_that_json_cannot_hold_are_text() -> None:
    names, (ids, _) = prediction_columns([date(2024, 12, 31), 8], ["no", "yes"], ("day", "answer"))
    assert (names, ids) == (["day", "answer"], ["2024-12-31", 8])
