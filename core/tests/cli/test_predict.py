"""``flash predict``: one row per input, in order, with ids, in each format."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

WORDS = ["aea", "t", "eaeae", "ttttt", "a"]


@pytest.fixture
def checkpoint(domain: Any, word_file: str, trainer_options: dict[str, Any]) -> str:
    """A classifier of words that was trained for an epoch."""
    import flash

    dm = domain.WordData.from_csv("word", "kind", word_file)
    task = domain.WordClassifier.from_data(dm)
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, dm)
    trainer.save_checkpoint("task.ckpt")
    Path("new.csv").write_text("\n".join(["word,id", *(f"{word},n{row}" for row, word in enumerate(WORDS))]) + "\n")
    return "task.ckpt"


@pytest.fixture
def predict(flash: Any, words: Any, checkpoint: str) -> Callable[..., Any]:
    """Runs ``flash predict`` on new words."""
    return lambda *arguments: flash("predict", checkpoint, "new.csv", *arguments, plugins=words)


def expected(checkpoint: str, output: str | None = None) -> list[Any]:
    from flash import Task

    return Task.load_from_checkpoint(checkpoint).predict("new.csv", output=output)


@pytest.mark.train
@pytest.mark.parametrize("batch_size", ["1", "2", "64"])
def test_rows_are_complete_and_in_order_whatever_the_batches(predict: Any, checkpoint: str, batch_size: str) -> None:
    result = predict("-o", "out.csv", "--batch_size", batch_size)
    assert (result.code, result.out) == (0, "5 predictions are in out.csv.\n")
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list("01234")
    assert [row["prediction"] for row in rows] == expected(checkpoint)


@pytest.mark.train
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "Id,kind"], "Expected a column 'Id' in new.csv, but it has 'word', 'id'. The ids are its"),
        (["--columns", "PassengerId,kind"], "Expected a column 'PassengerId' in new.csv, but it has 'word', 'id'."),
        (["--id_field", "ids"], "Did you mean 'id'? The ids are its values: name another column, or none"),
        (["--columns", "PassengerId,kind", "--sep", ","], "(flash predict --columns id,NAME)"),
    ],
)
def test_ids_that_are_not_in_the_input_are_no_numbers_of_rows(predict: Any, arguments: list[str], message: str) -> None:
    result = predict("-o", "out.csv", *arguments)
    assert result.code == 2
    assert message in result.err
    assert not Path("out.csv").exists()


@pytest.mark.train
def test_ids_may_have_another_name_in_the_output(predict: Any, checkpoint: str) -> None:
    labels = expected(checkpoint)
    assert predict("-o", "out.csv", "--id_field", "id", "--columns", "PassengerId,kind").code == 0
    lines = Path("out.csv").read_text().splitlines()
    assert lines == ["PassengerId,kind", *(f"n{row},{label}" for row, label in enumerate(labels))]
    assert predict("-o", "out.csv", "--id_field", "word").code == 0
    lines = Path("out.csv").read_text().splitlines()
    assert lines == ["word,prediction", *(f"{word},{label}" for word, label in zip(WORDS, labels, strict=True))]
    # The numbers of the rows have the name id, whatever that of the predictions.
    Path("new.csv").write_text("word\naea\nt\n")
    assert predict("-o", "out.csv", "--columns", "id,kind").code == 0
    assert [line.split(",")[0] for line in Path("out.csv").read_text().splitlines()] == ["id", "0", "1"]


@pytest.mark.train
def test_a_submission_has_the_two_columns_that_are_asked_for(predict: Any, checkpoint: str) -> None:
    assert predict("-o", "out.csv", "--columns", "id,kind").code == 0
    lines = Path("out.csv").read_text().splitlines()
    assert lines == ["id,kind", *(f"n{row},{label}" for row, label in enumerate(expected(checkpoint)))]


@pytest.mark.train
def test_probabilities_have_a_column_for_each_class(predict: Any, checkpoint: str) -> None:
    assert predict("-o", "out.csv", "--output", "probabilities").code == 0
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "prediction_few", "prediction_many"]
    found = [[float(row["prediction_few"]), float(row["prediction_many"])] for row in rows]
    assert found == [pytest.approx(each) for each in expected(checkpoint, "probabilities")]


@pytest.mark.train
def test_json_lines_and_parquet_hold_the_same(predict: Any, checkpoint: str) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    for name in ("out.jsonl", "out.parquet"):
        assert predict("-o", name).code == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert rows == [{"id": row, "prediction": label} for row, label in enumerate(expected(checkpoint))]
    assert pq.read_table("out.parquet").to_pylist() == rows


@pytest.mark.train
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "out.xlsx"], "Expected -o to end in .csv, .jsonl, .parquet, but got out.xlsx."),
        (
            ["-o", "out.csv", "--columns", "id"],
            "Expected --columns with two different names, such as PassengerId,Survived, but",
        ),
        (["-o", "out.csv", "--output", "boxes"], "boxes"),
        (["-o", "out"], "but got out. For a folder with a file of each input, end it in /: -o out/."),
        (
            ["-o", "out/", "--columns", "id,kind"],
            "Expected no --columns with a folder, whose files are named by ids, but",
        ),
    ],
)
def test_wrong_arguments_say_so_and_write_nothing(predict: Any, arguments: list[str], sentence: str) -> None:
    result = predict(*arguments)
    assert result.code == 2
    assert sentence in result.err
    assert not list(Path().glob("*out*"))


@pytest.mark.train
def test_a_failure_in_the_middle_leaves_the_old_file(predict: Any) -> None:
    Path("out.csv").write_text("old\n")
    Path("new.csv").write_text("word,id\nae,n0\n,n1\n")
    result = predict("-o", "out.csv")
    assert result.code == 2
    assert "Expected a word in every row" in result.err
    assert Path("out.csv").read_text() == "old\n"
    assert not list(Path().glob(".out*"))


@pytest.mark.train
@pytest.mark.parametrize("source", ["net", "me/net", "me/net@main"])
def test_a_folder_or_a_repository_of_the_hub_is_taken_as_a_checkpoint(
    flash: Any, words: Any, checkpoint: str, source: str, hub: Any
) -> None:
    from flash import Task

    Task.load_from_checkpoint(checkpoint).save_pretrained("net")
    hub.commit("me/net", {file.name: file.read_bytes() for file in Path("net").iterdir()})
    for place in (checkpoint, source):
        result = flash("predict", place, "new.csv", "-o", f"{place}.csv", plugins=words)
        assert (result.code, result.out) == (0, f"5 predictions are in {place}.csv.\n")
    assert Path(f"{source}.csv").read_text() == Path(f"{checkpoint}.csv").read_text()


@pytest.mark.train
def test_a_repository_that_is_not_there_is_said(flash: Any, words: Any, checkpoint: str, hub: Any) -> None:
    result = flash("predict", "me/gone", "new.csv", "-o", "out.csv", plugins=words)
    assert result.code == 2
    assert "there is no such file or folder here" in result.err
    assert not Path("out.csv").exists()


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], list[range]]:
    """Lets parts have two rows, does something at a row, and keeps the rows that are written."""
    from flash.core import prediction_files

    monkeypatch.setattr(prediction_files, "_ROWS_OF_PART", 2)
    monkeypatch.setattr(prediction_files, "_ROWS_OF_BLOCK", 1)
    write, written = prediction_files.PredictionFile.write, list[range]()

    def stops(row: int, how: Callable[[], None]) -> list[range]:
        def write_or_stop(file: Any, rows: range, *columns: Any) -> None:
            if row in rows:
                how()
            written.append(rows)
            write(file, rows, *columns)

        monkeypatch.setattr(prediction_files.PredictionFile, "write", write_or_stop)
        return written

    return stops


def interrupt() -> None:
    raise KeyboardInterrupt


def rows_of_file() -> list[dict[str, str]]:
    with Path("out.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.process
def test_a_killed_command_goes_on_where_it_was(predict: Any, checkpoint: str, stops: Any) -> None:
    stops(4, lambda: os.kill(os.getpid(), signal.SIGKILL))
    arguments = ("-o", "out.csv", "--batch_size", "1")
    process = multiprocessing.get_context("fork").Process(target=predict, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not Path("out.csv").exists()
    written = stops(-1, interrupt)
    result = predict(*arguments)
    assert result.out == (
        "4 rows were predicted before an interruption: the others follow.\n5 predictions are in out.csv.\n"
    )
    assert written == [range(4, 5)]
    assert [row["id"] for row in rows_of_file()] == list("01234")
    assert [row["prediction"] for row in rows_of_file()] == expected(checkpoint)
    assert not Path("out.csv.parts").exists()


@pytest.mark.train
def test_what_ctrl_c_interrupts_is_kept(predict: Any, checkpoint: str, stops: Any) -> None:
    stops(3, interrupt)
    arguments = ("-o", "out.csv", "--batch_size", "1", "--columns", "id,kind")
    assert predict(*arguments).code == 130
    stops(-1, interrupt)
    assert "3 rows were predicted before an interruption" in predict(*arguments).out
    assert rows_of_file() == [{"id": f"n{row}", "kind": label} for row, label in enumerate(expected(checkpoint))]


@pytest.mark.train
@pytest.mark.parametrize("change", ["input", "output", "task"])
def test_parts_of_another_run_are_not_used(
    change: str, predict: Any, checkpoint: str, stops: Any, flash: Any, words: Any
) -> None:
    import torch

    from flash import Task

    stops(3, interrupt)
    arguments = ["-o", "out.csv", "--batch_size", "1"]
    assert predict(*arguments).code == 130
    stops(-1, interrupt)
    if change == "input":
        Path("new.csv").write_text("word,id\nt,n0\nttt,n1\naea,n2\n")
    elif change == "output":
        arguments += ["--output", "classes"]
    else:
        content = torch.load(checkpoint, weights_only=True)
        content["state_dict"] = {name: -weights for name, weights in content["state_dict"].items()}
        torch.save(content, checkpoint)
    result = predict(*arguments)
    assert "left are of another task or input: they are removed" in result.out
    right = Task.load_from_checkpoint(checkpoint).predict("new.csv", "classes" if change == "output" else None)
    assert [row["prediction"] for row in rows_of_file()] == list(map(str, right))


@pytest.mark.train
def test_a_folder_has_a_file_for_each_input(predict: Any, checkpoint: str) -> None:
    result = predict("-o", "out/", "--id_field", "id", "--output", "probabilities")
    assert (result.code, result.out) == (0, "5 predictions are in out.\n")
    found = {file.name: torch.load(file) for file in Path("out").iterdir()}
    assert found == {f"n{row}.pt": each for row, each in enumerate(expected(checkpoint, "probabilities"))}
    again = predict("-o", "out")
    assert again.code == 2
    assert "Expected -o to be a file, or a folder that does not exist yet or is empty, but out is there." in again.err


@pytest.mark.train
def test_a_folder_that_was_interrupted_is_completed(
    predict: Any, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flash

    save, saved = flash.Postprocess.save_sample, list[Any]()

    def save_or_stop(postprocess: Any, sample: Any, path: str) -> None:
        if len(saved) == 3:
            interrupt()
        saved.append(sample)
        save(postprocess, sample, path)

    monkeypatch.setattr(flash.Postprocess, "save_sample", save_or_stop)
    assert predict("-o", "out/", "--batch_size", "1").code == 130
    assert not Path("out").exists()
    saved[:] = ["another process"]
    assert "3 rows were predicted before an interruption" in predict("-o", "out/", "--batch_size", "1").out
    assert len(saved) == 3
    assert [torch.load(f"out/{row}.pt") for row in range(5)] == expected(checkpoint)
    assert not Path("out.parts").exists()
