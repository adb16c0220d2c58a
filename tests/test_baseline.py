"""Baselines of tables, photos and texts, in the forms that people have them, and of data with something wrong."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flash import Task, Trainer
from flash.baseline import refit, run
from flash.cli import main
from flash.data.recognition import RawData
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.image import SemanticSegmentation, SemanticSegmentationData
from flash.image.segmentation.counting import UsualMask
from flash.plugins import Recipe, get_host, hookimpl, isolated_plugins
from flash.plugins.manager import PluginHost


def ignore(line: str) -> None:
    """Say nothing."""


def people(count: int = 160, seed: int = 0) -> pd.DataFrame:
    """Return a table whose target depends on two columns, with a category and missing values."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 80, count).astype(float)
    town = random.choice(["Rome", "Oslo", "Lima"], count)
    income = (age * 100 + (town == "Oslo") * 2000 + random.normal(0, 100, count)).round(2)
    bought = np.where((age > 45) ^ (town == "Oslo"), "yes", "no")
    age[::17] = np.nan
    return pd.DataFrame({"age": age, "town": town, "income": income, "bought": bought})


def photos(folder: Path, count: int = 24) -> Path:
    """Write photos of two classes, one light and one dark."""
    random = np.random.default_rng(0)
    for row in range(count):
        name = ("dark", "light")[row % 2]
        pixels = random.integers(0, 100, (40, 40, 3), np.uint8) + 120 * (row % 2)
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{row}.png")
    return folder


def reviews(count: int = 120) -> pd.DataFrame:
    """Return texts of two classes."""
    random = np.random.default_rng(0)
    words = {"good": ["fine", "lovely", "great"], "bad": ["dull", "poor", "weak"]}
    shared = ["film", "story", "actor", "scene", "music", "end", "plot", "voice"]
    labels = [("good", "bad")[row % 2] for row in range(count)]
    texts = [
        " ".join([*random.choice(shared, 6), random.choice(words[label]), *random.choice(shared, 3)])
        for label in labels
    ]
    return pd.DataFrame({"review": texts, "label": labels})


def only(output: Path, *recipes: str, **options: Any) -> dict[str, Any]:
    """Return arguments of a baseline that is short."""
    return {"output": output, "recipes": recipes, "time_limit": 60, "say": ignore, **options}


# ---------------------------------------------------------------------- what people have


@pytest.mark.train
def test_a_table_gets_a_baseline(tmp_path: Path) -> None:
    found = run(people(), "bought", **only(tmp_path / "out", "linear", "boosting", "mlp"))
    scores = {entry.name: entry.test_scores["accuracy"] for entry in found.leaderboard}
    assert scores["boosting"] > scores["constant"] + 0.2
    assert found.results.task == "tabular/classification"
    assert found.results.best == "mlp"
    # Its target depends on two columns, and the other says nothing that they do not.
    assert {each.column for each in found.results.importance} == {"age", "town", "income"}
    # The predictions of the report are those of the checkpoint.
    task = Task.load_from_checkpoint(tmp_path / "out" / "best.ckpt")
    assert set(task.predict(people(seed=1))) <= {"yes", "no"}


def test_boosting_that_wins_has_importance_and_is_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    people(400).to_csv("people.csv", index=False)
    found = run("people.csv", "bought", **only(tmp_path / "out", "linear", "boosting"))
    results = found.results
    assert results.best == "boosting"
    assert results.outputs.shape == (results.counts["test"], 2)
    # The target depends on age and town; income follows from both.
    ranked = [each.column for each in results.importance]
    assert set(ranked) == {"age", "town", "income"}
    assert results.importance[0].mean > 0.1
    assert [each.mean for each in results.importance] == sorted(
        (each.mean for each in results.importance), reverse=True
    )
    space: dict[str, Any] = {}
    people(30, seed=1).drop(columns="bought").to_csv("new.csv", index=False)
    (lines,) = [each.line for each in results.commands if each.title == "Fit boosting again, in Python"]
    exec(lines, space)  # as a person would run it
    model = space["model"]
    assert np.allclose(model.model.predict(model.data.test_dataset), results.outputs)
    predicted = model.predict("new.csv")
    assert len(predicted) == 30
    assert (np.array(predicted) == people(30, seed=1)["bought"]).mean() > 0.8
    page = (tmp_path / "out" / "report.html").read_text()
    for heading in ("Confusion matrix", "Scores per class", "Reliability diagram", "Importance of columns"):
        assert heading in page
    assert "No network was evaluated, so there is no checkpoint." in page


@pytest.mark.train
def test_numbers_of_a_table_get_a_baseline(tmp_path: Path) -> None:
    frame = people().drop(columns="bought")
    found = run(frame, "income", **only(tmp_path / "out", "linear", "boosting"))
    assert (found.results.task, found.results.metric) == ("tabular/regression", "rmse")
    scores = {entry.name: entry.scores["rmse"] for entry in found.leaderboard}
    assert scores["linear"] < scores["constant"] / 2


def test_photos_in_folders_get_a_baseline(tmp_path: Path) -> None:
    found = run(photos(tmp_path / "photos"), **only(tmp_path / "out", "pixels"))
    assert found.results.task == "image/classification"
    assert found.results.why == f"{tmp_path / 'photos'} has 2 folders with images"
    assert found.leaderboard[0].name == "pixels"
    assert found.leaderboard[0].scores["accuracy"] == 1


def test_photos_in_folders_are_compared_over_folds(tmp_path: Path) -> None:
    found = run(photos(tmp_path / "photos"), folds=3, **only(tmp_path / "out", "pixels"))
    (scored,) = found.results.folds
    assert scored.name == "pixels"
    assert scored.samples == sum(found.results.counts[part] for part in ("train", "val"))
    assert len(scored.each) == 3


def test_a_table_of_photos_is_one_of_photos(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    rows = [f"photos/{file.parent.name}/{file.name},{file.parent.name}" for file in sorted(folder.rglob("*.png"))]
    (tmp_path / "photos.csv").write_text("\n".join(["file,light", *rows]) + "\n")
    found = run(tmp_path / "photos.csv", "light", **only(tmp_path / "out", "pixels"))
    assert found.results.task == "image/classification"
    assert found.results.counts == {"train": 15, "val": 4, "test": 5}


def test_texts_get_a_baseline(tmp_path: Path) -> None:
    found = run(reviews(), **only(tmp_path / "out", "words"))
    assert found.results.task == "text/classification"
    assert found.leaderboard[0].test_scores["accuracy"] > 0.9


@pytest.mark.train
def test_a_network_that_cannot_be_loaded_is_in_the_leaderboard(tmp_path: Path) -> None:
    found = run(reviews(), **only(tmp_path / "out", "words", "default"))
    failed = {entry.name: entry for entry in found.leaderboard}["default"]
    assert failed.status == "failed"
    assert "cannot be downloaded" in failed.reason
    page = (tmp_path / "out" / "report.html").read_text()
    assert "cannot be downloaded" in page


@pytest.mark.train
def test_photos_are_finetuned_from_a_fitted_head(tmp_path: Path) -> None:
    found = run(photos(tmp_path / "photos"), **only(tmp_path / "out", "efficientnet_lite0", time_limit=40))
    by_name = {entry.name: entry for entry in found.leaderboard}
    assert by_name["efficientnet_lite0 (head)"].scores["accuracy"] == 1
    assert (tmp_path / "out" / "best.ckpt").exists()


# ---------------------------------------------------------------------- something is wrong with it


def test_a_column_that_gives_the_target_away_is_found(tmp_path: Path) -> None:
    frame = people()
    frame["receipt"] = np.where(frame["bought"] == "yes", "printed", "none")
    found = run(frame, "bought", **only(tmp_path / "out", "linear"))
    leaks = [finding for finding in found.results.findings if "receipt" in finding.columns]
    assert leaks
    assert leaks[0].level == "warning"
    assert found.results.findings[0].level == "warning"  # The worst first.
    kept = run(frame, "bought", **only(tmp_path / "kept", "linear", drop=["receipt"]))
    assert not [finding for finding in kept.results.findings if "receipt" in finding.columns]


def test_rows_that_are_there_twice_are_found(tmp_path: Path) -> None:
    frame = people(100)
    found = run(pd.concat([frame, frame.head(40)]), "bought", **only(tmp_path / "out", "linear"))
    assert [finding for finding in found.results.findings if finding.kind == "duplicates"]


def test_files_that_cannot_be_opened_are_left_out_and_said(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 40)
    (folder / "dark" / "note.png").write_text("no image")
    whole = (folder / "light" / "1.png").read_bytes()
    (folder / "light" / "half.png").write_bytes(whole[: len(whole) // 2])
    said: list[str] = []
    found = run(folder, **{**only(tmp_path / "out", "pixels"), "say": said.append})
    (finding,) = [each for each in found.results.findings if each.kind == "unreadable files"]
    assert sorted(Path(str(each)).name for each in finding.rows) == ["half.png", "note.png"]
    assert "Expected files that can be opened, but 2 cannot, such as" in finding.sentence
    assert f"warning: {finding.sentence}" in said
    assert sum(found.results.counts.values()) == 40


def test_columns_without_a_value_do_not_stop_a_baseline(tmp_path: Path) -> None:
    found = run(people(80).assign(empty=None), "bought", **only(tmp_path / "out", "linear", "boosting"))
    assert {entry.status for entry in found.leaderboard} == {"done"}


def test_a_table_of_targets_alone_and_a_test_part_without_targets_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="Expected a table with columns besides the target .* its only column is bought"
    ):
        run(people()[["bought"]], "bought", **only(tmp_path / "out"))
    with pytest.raises(
        MissingColumnError, match="Expected test data with the target 'bought', by which .* Leave it out"
    ):
        run(people(), "bought", test=people().drop(columns="bought"), **only(tmp_path / "out"))


def test_photos_that_are_in_two_parts_are_found(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos" / "train")
    for name in ("dark", "light"):
        (tmp_path / "photos" / "test" / name).mkdir(parents=True)
        first = sorted((folder / name).iterdir())[0]
        (tmp_path / "photos" / "test" / name / "copy.png").write_bytes(first.read_bytes())
    found = run(tmp_path / "photos", **only(tmp_path / "out", "pixels"))
    assert any("test" in finding.sentence for finding in found.results.findings if "duplicate" in finding.kind)


def test_groups_decide_the_split(tmp_path: Path) -> None:
    frame = people(160)
    frame["person"] = [f"p{row // 5}" for row in range(160)]
    found = run(frame, "bought", **only(tmp_path / "out", "linear", group="person"))
    assert all(count % 5 == 0 for count in found.results.counts.values())


def test_the_latest_rows_are_tested(tmp_path: Path) -> None:
    frame = people(100)
    frame["day"] = pd.date_range("2024-01-01", periods=100).strftime("%Y-%m-%d")
    shuffled = frame.sample(frac=1, random_state=0)
    found = run(shuffled, "bought", **only(tmp_path / "out", "linear", time="day"))
    assert found.results.counts == {"train": 64, "val": 16, "test": 20}


@pytest.mark.parametrize("form", ["table", "numbers", "texts", "several"])
def test_rows_without_a_target_are_left_out_and_said(form: str, tmp_path: Path) -> None:
    frame = {"texts": reviews(120)}.get(form, people(120))
    target: Any = {"table": "bought", "numbers": "income", "texts": "label", "several": ["a", "b"]}[form]
    if form == "several":
        frame = frame.drop(columns=["bought"]).assign(
            a=[row % 2 for row in range(120)], b=[row % 3 % 2 for row in range(120)]
        )
    frame["row"] = [f"text {row} that is there" for row in range(120)] if form == "texts" else np.arange(120)
    frame = frame.astype(object)
    frame.loc[[3, 50], "a" if form == "several" else target] = None
    if form != "numbers":
        frame.loc[[70], "b" if form == "several" else target] = " "
    else:
        frame.loc[[70], target] = float("nan")
    file = tmp_path / "data.csv"
    frame.drop(columns="row" if form == "texts" else []).to_csv(file, index=False)
    said: list[str] = []
    recipes = ["words"] if form == "texts" else ["linear"]
    found = run(file, target, recipes=recipes, time_limit=60, output=tmp_path / "out", say=said.append)
    results = found.results
    assert sum(results.counts.values()) == 117
    findings = [each for each in results.findings if each.kind == "missing targets"]
    rows = {row for each in findings for row in each.rows}
    assert rows == {"row 3", "row 50", "row 70"}
    assert all("A baseline leaves these rows out." in each.sentence for each in findings)
    assert all(f"warning: {each.sentence}" in said for each in findings)
    stored = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {each["kind"] for each in stored["findings"]} >= {"missing targets"}
    assert "missing targets" in (tmp_path / "out" / "report.html").read_text()
    # The samples that are shown have the numbers of the rows of the file.
    for sample in [*results.mistakes, *results.suspicious]:
        row = int(sample.id.removeprefix("row "))
        assert row not in (3, 50, 70)
        if isinstance(sample.shown, str):
            assert sample.shown == frame["review"][row]
        else:
            assert sample.shown["row"] == row
    assert results.mistakes


def test_rows_without_a_text_are_left_out_and_said_in_each_part(tmp_path: Path) -> None:
    frame, other = reviews(120), reviews(30)
    frame.loc[[3, 50], "review"] = None
    frame.loc[[70], "label"] = None
    other.loc[[4], "review"] = float("nan")
    file = tmp_path / "data.csv"
    frame.to_csv(file, index=False)
    said: list[str] = []
    options: dict[str, Any] = {"test": other, "recipes": ["words"], "time_limit": 60, "output": tmp_path / "out"}
    results = run(file, "label", say=said.append, **options).results
    assert (results.counts["train"] + results.counts["val"], results.counts["test"]) == (117, 29)
    rows = {(each.kind, *each.rows) for each in results.findings if each.kind.startswith("missing")}
    assert rows == {
        ("missing inputs", "row 3", "row 50"),
        ("missing inputs", "row 4 of the test data"),
        ("missing targets", "row 70"),
    }
    assert "warning: Expected a value of 'review' in every train row, but 2 of 120 have none." in " ".join(said)
    # No command can name a data frame; lines of Python can.
    titles = {each.title: each.line for each in results.commands}
    assert "Repeat it" not in titles
    assert "test=test" in titles["Fit words again, in Python"]
    for sample in results.mistakes:
        assert sample.shown == other["review"][int(sample.id.split()[1])]


def test_photos_without_a_path_are_left_out(tmp_path: Path) -> None:
    files = sorted(photos(tmp_path / "photos").rglob("*.png"))
    table: dict[str, list[Any]] = {"file": list(map(str, files)), "label": [each.parent.name for each in files]}
    table["file"][5] = None
    found = run(table, "label", recipes=["pixels"], time_limit=60, output=tmp_path / "out", say=ignore)
    assert sum(found.results.counts.values()) == len(files) - 1
    assert "row 5" in [row for each in found.results.findings if each.kind == "missing inputs" for row in each.rows]


def test_no_text_at_all_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected a value of 'review' in some test row, but all 30 have none. Fill"):
        run(reviews(), "label", test=reviews(30).assign(review=None), **only(tmp_path / "out", "words"))


def test_no_target_at_all_and_a_test_part_without_targets_say_so(tmp_path: Path) -> None:
    frame = people(60).assign(bought=None)
    with pytest.raises(DataError, match="Expected a value of 'bought' in some train row, but all 60 have none. Fill"):
        run(frame, "bought", **only(tmp_path / "out", "linear"))
    with pytest.raises(
        DataError, match="Expected a value of 'bought' in some test row, but all 60 have none. .* leave"
    ):
        run(people(), "bought", test=frame, **only(tmp_path / "out", "linear"))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["a,b,y", "1,2,p", "1,2", "3,4,q"], "Expected 3 values in each row"),
        (["a,b,y", *[f"{row},1,p" for row in range(40)]], "Expected at least two classes of 'y', but all"),
        (["a,b,y"], "Expected"),
    ],
)
def test_a_table_that_nothing_can_be_learned_from_says_so(tmp_path: Path, lines: list[str], sentence: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=sentence):
        run(file, "y", **only(tmp_path / "out", "linear"))


def test_a_table_of_a_spreadsheet_has_its_separator_encoding_and_decimal_mark(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    numbers = np.random.default_rng(0).normal(size=80).round(2)
    rows = [f"{number};{number * 3:.2f};x,y".replace(".", ",") for number in numbers]
    file.write_bytes("\n".join(["größe;preis;art", *rows]).encode("cp1252"))
    arguments = [str(file), "--target", "preis", "--time_limit", "30s", "--recipes", "linear"]
    options = ["--sep", ";", "--encoding", "cp1252", "--decimal", ","]
    assert main(["baseline", *arguments, *options, "-o", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["task"] == "tabular/regression"
    repeat, again, *_ = [each["line"] for each in results["commands"]]
    assert "--sep ';' --encoding cp1252 --decimal ," in repeat
    assert 'sep=";", encoding="cp1252", decimal=","' in again
    # Columns are numbers for the checks, too, and text stays as it is.
    assert any(each["kind"] == "leak" and each["columns"] == ["größe"] for each in results["findings"])
    model = refit("linear", file, "preis", sep=";", encoding="cp1252", decimal=",")
    assert model.predict({"größe": [1.0], "art": ["x,y"]}) == pytest.approx([3.0], abs=0.05)


def test_ten_rows_get_a_baseline(tmp_path: Path) -> None:
    rows = {"a": list(range(10)), "y": ["p", "q"] * 5}
    found = run(rows, **only(tmp_path / "out", "linear", "boosting"))
    assert {entry.status for entry in found.leaderboard} == {"done"}
    assert any("at least 30 train rows" in finding.sentence for finding in found.results.findings)


def test_a_folder_of_something_else_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a")
    with pytest.raises(DataError, match="is a folder without subfolders of files for each class"):
        run(tmp_path / "notes", **only(tmp_path / "out"))


def test_a_task_that_is_no_classification_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Expected a task whose models can be compared for a baseline, but"):
        run(reviews(), "label", task="text/embedding", **only(tmp_path / "out"))


def test_another_task_can_be_asked_for(tmp_path: Path) -> None:
    frame = pd.DataFrame({"size": range(60), "stars": [row % 5 for row in range(60)]})
    assert run(frame, "stars", **only(tmp_path / "a", "linear")).results.task == "tabular/classification"
    asked = run(frame, "stars", task="tabular/regression", **only(tmp_path / "b", "linear"))
    assert asked.results.task == "tabular/regression"


# ---------------------------------------------------------------------- recipes of others, and the command


def boosted(data: Any) -> Any:
    raise MemoryError("too large")


def test_every_registered_recipe_makes_a_run(tmp_path: Path) -> None:
    from flash.tabular import TabularClassificationData, TabularRegressionData

    host: PluginHost = get_host()
    table = people()
    data = {
        "tabular/classification": TabularClassificationData.from_data_frame(
            target_fields="bought", train_data_frame=table, val_split=0.2, verbose=False
        ),
        "tabular/regression": TabularRegressionData.from_data_frame(
            target_fields="income", train_data_frame=table, val_split=0.2, verbose=False
        ),
    }
    for name, module in data.items():
        for recipe in host.recipes(name).values():
            task = recipe.load()(module)
            assert isinstance(task, host.tasks()[name].load("task"))


@pytest.mark.process
def test_the_command_is_quiet_about_torch_until_it_runs() -> None:
    code = (
        "import sys; from flash.cli import main\n"
        "try:\n    main(['baseline', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--time_limit TIME" in result.stdout


@pytest.mark.train
def test_a_report_from_the_command_line_leads_to_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    people().to_csv("people.csv", index=False)
    people(20, seed=1).drop(columns="bought").to_csv("new.csv", index=False)
    arguments = ["baseline", "people.csv", "--target", "bought", "--time_limit", "60s", "--recipes", "mlp"]
    assert main(arguments) == 0
    results = json.loads(Path("baseline/results.json").read_text())
    command = next(each["line"] for each in results["commands"] if each["title"] == "Predict")
    assert main(command.replace("INPUT", "new.csv").split()[1:]) == 0
    with Path("predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    capsys.readouterr()
    assert main(arguments) == 2
    assert "Expected an empty or a new folder for the report, but baseline is there already" in capsys.readouterr().err


def test_a_recipe_of_another_plugin_takes_part(tmp_path: Path) -> None:
    class Plugin:
        @hookimpl
        def flash_recipes(self) -> Any:
            yield Recipe("acme", target="json:loads", scope="tabular/*", summary="No recipe.")

    from flash.tabular import _plugin as tabular

    with isolated_plugins(Plugin(), tabular):
        found = run(people(), "bought", **only(tmp_path / "out", "acme"))
    assert {entry.name: entry.status for entry in found.leaderboard} == {"constant": "done", "acme": "failed"}


def scenes(folder: Path, count: int = 20, seed: int = 0) -> Path:
    """Write photos with a bright square on the left or the right, and their masks; the first column never counts."""
    random = np.random.default_rng(seed)
    for row in range(count):
        pixels = random.integers(0, 100, (40, 48, 3), np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        top, left = int(random.integers(0, 20)), int(random.integers(2, 8)) + 24 * (row % 2)
        pixels[top : top + 16, left : left + 14] += 150
        mask[top : top + 16, left : left + 14] = 1
        mask[:, 0] = 255
        for name, array in (("images", pixels), ("masks", mask)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / name / f"{row:02}.png")
    return folder


def tiny_segmenter(data: Any) -> Task:
    config = {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    return SemanticSegmentation.from_data(
        data, backbone="test_resnet", pretrained=False, data_config=config, learning_rate=0.01
    )


@pytest.mark.train
def test_a_folder_of_images_with_masks_is_raced_and_its_report_shows_overlays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash.image.segmentation.recipes.scratch", tiny_segmenter)
    said: list[str] = []
    options: Any = {"time_limit": 25, "recipes": ["scratch"], "say": said.append}
    found = run(scenes(tmp_path / "data"), output=tmp_path / "out", **options)
    results = found.results
    assert (results.task, results.kind, results.metric) == ("image/semantic_segmentation", "structured", "iou")
    assert any("has folders of images and of masks" in line for line in said)
    entries = {entry.name: entry for entry in found.leaderboard}
    assert {name: entry.kind for name, entry in entries.items()} == {"constant": "trivial", "scratch": "network"}
    assert {entry.status for entry in entries.values()} == {"done"}
    assert results.counts == {"train": 13, "val": 3, "test": 4}
    assert results.classes["train"] == {"0": 13, "1": 13}
    # Its own metric counts the same pixels as the comparison.
    assert found.task is not None
    data = SemanticSegmentationData.from_folders(
        str(tmp_path / "data/images"), str(tmp_path / "data/masks"), val_split=0.2, test_split=0.2, seed=0
    )
    (tested,) = Trainer(logger=False, enable_progress_bar=False).test(found.task, data, verbose=False)
    assert entries["scratch"].test_scores["iou"] == pytest.approx(tested["test_iou"], abs=1e-6)
    rows = json.loads((tmp_path / "out/results.json").read_text())["evaluation"]["per_class"]
    assert np.mean([row["iou"] for row in rows]) == pytest.approx(found.leaderboard[0].test_scores["iou"])
    assert all(row["f1"] == pytest.approx(2 * row["iou"] / (1 + row["iou"])) for row in rows)
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("data:image/jpeg") == len(results.mistakes) > 0
    assert "truth left, prediction right" in page
    if results.best == "scratch":
        assert all(sample.shown.shape[1] > 2 * 48 for sample in results.mistakes)
    assert "Labels to check" not in page
    mask = Task.load_from_checkpoint(tmp_path / "out/best.ckpt").predict(tmp_path / "data/images/00.png")[0]
    assert mask.shape == (40, 48)


def test_the_most_frequent_class_of_each_pixel_is_the_trivial_model_of_masks() -> None:
    masks = np.zeros((6, 64, 64), np.uint8)
    masks[:4, :, 32:] = 1  # Most have the second class on the right.
    masks[:, 0] = 255
    pixels = np.zeros((6, 64, 64, 3), np.uint8)
    data = SemanticSegmentationData.from_numpy(pixels, masks, pixels[:2], masks[3:5])
    found = UsualMask().fit(data).predict(data.val_dataset)
    half = 63 * 32
    # The first is as predicted; the second has the first class everywhere.
    assert found.tolist() == [[half, half, half, half], [half, half, half, 0]]
    assert SemanticSegmentation.true_statistics(data.val_dataset, 2).tolist() == [[half, half], [2 * half, 0]]


@pytest.mark.parametrize("where", ["one folder", "parts"])
def test_coco_files_and_parts_of_masks_are_recognized(tmp_path: Path, where: str) -> None:
    parts = [tmp_path] if where == "one folder" else [tmp_path / "train", tmp_path / "val"]
    for part in parts:
        scenes(part, 4)
        (part / "masks").rename(part / "ignored")
        content = {
            "images": [{"id": row, "file_name": f"{row:02}.png"} for row in range(4)],
            "categories": [{"id": 1, "name": "square"}],
            "annotations": [{"image_id": 0, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}],
        }
        (part / "objects.json").write_text(json.dumps(content))
    found = SemanticSegmentationData.recognize(RawData.of(tmp_path))
    assert found is not None
    assert found.constructor == "from_coco"
    data = SemanticSegmentationData.from_coco(**found.arguments)
    assert data.labels == ["background", "square"]
    assert (data.val_dataset is None) == (where == "one folder")


def test_a_data_module_of_masks_is_taken_as_it_is(tmp_path: Path) -> None:
    images, masks = np.zeros((8, 9, 9, 3), np.uint8), np.arange(8 * 81).reshape(8, 9, 9) % 2
    data = SemanticSegmentationData.from_numpy(images, masks, val_split=0.25, seed=0)
    found = run(data, output=tmp_path / "out", recipes=["constant"], time_limit=10, say=ignore)
    assert [(entry.name, entry.status, set(entry.scores)) for entry in found.leaderboard] == [
        ("constant", "done", {"iou", "accuracy", "f1_macro"})
    ]
    assert found.results.mistakes[0].truth == "0, 1"


def test_masks_of_another_form_than_those_of_train_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    with pytest.raises(ConfigurationError, match="Expected val data of the form of the train data, since .* masks"):
        run(scenes(tmp_path / "data"), val=tmp_path / "val", output=tmp_path / "out", say=ignore)


def test_masks_are_not_compared_over_folds(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Expected samples with one result each to make folds of, but"):
        run(scenes(tmp_path / "data"), folds=3, **only(tmp_path / "out"))
