"""A baseline of a domain that only a plugin knows, with the public hooks alone."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from dots_domain import (
    DotClassifier,
    DotData,
    DotNumberData,
    DotRegressor,
    Dots,
    Nearest,
    Plugin,
    rows,
    scratch,
)
from sklearn.linear_model import LogisticRegression

from flash import DataModule, Task
from flash.baseline import run
from flash.baseline._durations import seconds_of
from flash.baseline.command import main
from flash.baseline.detect import detect, find_target, without_columns
from flash.baseline.ensemble import make_ensemble, select
from flash.baseline.folder import Folder
from flash.baseline.leaderboard import metrics_for, score
from flash.baseline.models import Constant, Features, models_for, pixels
from flash.baseline.problem import Source, pose
from flash.baseline.race import Outcome, Race
from flash.baseline.recipes import make_runs
from flash.baseline.refitting import refit, refit_lines
from flash.baseline.runs import HeadRun, ModelRun, OutOfTime, Run, TaskRun, has_pretrained_features
from flash.baseline.samples import outputs_in, targets_of
from flash.core.evaluation import evaluate_rows
from flash.data.auto_dataset import AutoDataset
from flash.data.recognition import RawData
from flash.data.samples import SampleData, SamplePreprocess
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.plugins import TaskSpec, hookimpl, isolated_plugins

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def plugin() -> Iterator[None]:
    with isolated_plugins(Plugin()):
        yield


def ignore(line: str) -> None:
    """Say nothing."""


def dots(count: int = 120, **options: Any) -> DataModule:
    table = rows(count)
    return DotData.from_lists(table["dot"], table["color"], val_split=0.25, seed=0, **options)


def problem(count: int = 120) -> Any:
    return pose(Source(rows(count), "color"), ignore)


# ---------------------------------------------------------------------- the whole


@pytest.mark.train
def test_a_domain_that_a_plugin_brings_gets_a_baseline(tmp_path: Path) -> None:
    said: list[str] = []
    found = run(rows(), "color", time_limit=60, output=tmp_path / "out", say=said.append)
    by_name = {entry.name: entry for entry in found.leaderboard}
    assert set(by_name) == {
        *("constant", "words", "default (head)", "default", "scratch", "frozen (head)", "nearest", "broken", "wrong")
    }
    assert said[0].startswith("Task: dots/classification, because it has dots, and the target color has 2 different")
    assert "Samples: 77 train, 19 val, 24 test." in said
    # The best is first, and each has scores of the test samples beside the others.
    scores = [entry.scores["accuracy"] for entry in found.leaderboard if entry.scores]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > by_name["constant"].scores["accuracy"]
    assert all(entry.test_scores for entry in found.leaderboard if entry.scores)
    assert (by_name["broken"].status, by_name["broken"].reason) == ("failed", "RuntimeError: no such weights")
    assert by_name["wrong"].reason.startswith("Expected the recipe 'wrong' to return a task, a task with a finetuning")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        *("best.ckpt", "leaderboard.csv", "report.html", "results.json")
    ]


@pytest.mark.train
def test_the_checkpoint_is_the_task_of_the_report(tmp_path: Path) -> None:
    found = run(rows(), "color", time_limit=30, output=tmp_path / "out", recipes=["scratch"], say=ignore)
    assert found.results.best == "scratch"
    loaded = Task.load_from_checkpoint(tmp_path / "out" / "best.ckpt")
    table = rows(seed=1)
    assert loaded.predict(table["dot"]) == found.task.predict(table["dot"])
    test = found.results
    assert score("classification", test.targets, test.outputs)["accuracy"] == pytest.approx(
        found.leaderboard[0].test_scores["accuracy"]
    )


def test_the_files_have_the_numbers_of_the_results(tmp_path: Path) -> None:
    found = run(rows(), "color", time_limit=30, output=tmp_path / "out", recipes=["words"], say=ignore)
    with (tmp_path / "out" / "leaderboard.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["name"] for row in table] == [entry.name for entry in found.leaderboard]
    stored = json.loads((tmp_path / "out" / "results.json").read_text())
    assert stored["task"] == "dots/classification"
    assert (stored["best"], stored["checkpoint"]) == (table[0]["name"], None)
    assert found.results.checkpoint is None  # No network ran.
    assert found.task is None


def test_a_model_that_is_no_network_wins_with_all_that_a_network_has(tmp_path: Path) -> None:
    said: list[str] = []
    found = run(
        *(rows(), "color"),
        time_limit=30,
        output=tmp_path / "out",
        recipes=["nearest", "frozen"],
        seed=3,
        say=said.append,
    )
    results, nearest = found.results, found.leaderboard[0]
    # Of the test dots, the class of the nearest train dot, computed here.
    data, parts = dots(), pose(Source(rows(), "color", seed=3), ignore).parts
    assert data.labels == ["blue", "red"]
    points = {part: np.stack([dataset[row][0] for row in range(len(dataset))]) for part, dataset in parts.items()}
    distances = np.linalg.norm(points["test"][:, None] - points["train"][None], axis=2)
    expected = targets_of(parts["train"])[distances.argmin(1)]
    truth = targets_of(parts["test"])
    assert (results.best, nearest.kind) == ("nearest", "classical")
    assert results.outputs.argmax(1).tolist() == expected.tolist()
    assert nearest.test_scores["accuracy"] == pytest.approx((expected == truth).mean())
    wrong = np.flatnonzero(expected != truth)
    assert len(results.mistakes) == len(wrong) > 0
    assert {each.truth for each in results.mistakes} <= {"blue", "red"}
    assert all(each.truth != each.prediction and each.probability == 1 for each in results.mistakes)
    stored = json.loads((tmp_path / "out" / "results.json").read_text())
    assert np.trace(stored["evaluation"]["confusion"]["counts"]) == len(truth) - len(wrong)
    # The best network is kept all the same, and three places say how far it is from the best.
    head = next(entry for entry in found.leaderboard if entry.kind == "network")
    assert (results.checkpoint, stored["checkpoint"]["name"]) == (head.name, "frozen (head)")
    assert stored["checkpoint"]["score"] == head.test_scores["accuracy"]
    distance = nearest.test_scores["accuracy"] - head.test_scores["accuracy"]
    assert stored["checkpoint"]["behind"] == pytest.approx(distance)
    (sentence,) = [line for line in said if line.startswith("best.ckpt holds the network “frozen (head)”")]
    assert sentence in stored["verdict"]
    assert "the classical model “nearest”" in sentence
    loaded = Task.load_from_checkpoint(tmp_path / "out" / "best.ckpt")
    table = rows(seed=1)
    assert found.task is not None
    assert loaded.predict(table["dot"]) == found.task.predict(table["dot"])
    lines = {each.title: each.line for each in results.commands}
    assert lines["Predict"] == f"flash predict {tmp_path / 'out' / 'best.ckpt'} INPUT -o predictions.csv"
    assert 'model = refit("nearest", data, "color", seed=3)' in lines["Fit nearest again, in Python"]


def test_a_winner_is_fitted_again_by_the_lines_of_the_page(tmp_path: Path) -> None:
    found = run(rows(), "color", time_limit=30, output=tmp_path / "out", recipes=["nearest"], say=ignore)
    (line,) = [each.line for each in found.results.commands if each.title.startswith("Fit nearest")]
    new = rows(40, seed=1)["dot"]
    space: dict[str, Any] = {"data": rows(), "new": new}
    exec(line, space)  # as a person would run it
    model = space["model"]
    assert np.array_equal(model.model.predict(model.data.test_dataset), found.results.outputs)
    assert model.predict(new) == [model.labels[each] for each in model.outputs(new).argmax(1)]
    assert set(model.predict(new)) == {"blue", "red"}


def test_numbers_are_fitted_again_and_so_are_labels() -> None:
    table = rows()
    numbers = refit("words", table, "height")
    assert all(isinstance(each, float) for each in numbers.predict(table["dot"][:3]))
    assert numbers.labels == []
    both = [f"{color},dot" if row % 2 else color for row, color in enumerate(table["color"])]
    with pytest.raises(ConfigurationError, match="Expected the recipe of a model that is fitted at once, such as boo"):
        refit("scratch", table, "color")
    assert refit("words", {**table, "color": both}, "color").predict(table["dot"][:2])


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (Source("a b.csv", "y"), 'refit("boosting", "a b.csv", "y")'),
        (Source(Path("x.csv"), ["a", "b"], drop=("c",), seed=3, time="t"), '"x.csv", ["a", "b"], time="t", drop=["c"]'),
        (Source("photos", val=Path("v"), task="image/classification"), 'val="v", task="image/classification")'),
        (Source({"a": [1]}, "y", test={"a": [2]}), 'refit("boosting", data, "y", test=test)'),
    ],
)
def test_lines_that_fit_again_have_the_arguments_of_the_run(source: Source, line: str) -> None:
    lines = refit_lines("boosting", source)
    assert line in lines
    compile(lines, "page", "exec")


@pytest.mark.train
def test_numbers_get_a_baseline(tmp_path: Path) -> None:
    found = run(rows(), "height", time_limit=30, output=tmp_path / "out", say=ignore)
    assert (found.results.task, found.results.kind, found.results.metric) == ("dots/regression", "regression", "rmse")
    assert found.leaderboard[0].scores["rmse"] < 0.5 * next(
        entry.scores["rmse"] for entry in found.leaderboard if entry.name == "constant"
    )
    assert found.results.mistakes[0].loss == max(sample.loss for sample in found.results.mistakes)


def test_a_data_module_is_taken_as_it_is(tmp_path: Path) -> None:
    found = run(dots(), time_limit=30, output=tmp_path / "out", recipes=["nearest"], say=ignore)
    assert found.results.part == "val"
    assert found.results.counts == {"train": 90, "val": 30}
    with pytest.raises(ConfigurationError, match="Expected target, group, time, drop, sep, encoding and decimal"):
        run(dots(), "color", output=tmp_path / "other", say=ignore)


def test_groups_are_on_one_side(tmp_path: Path) -> None:
    posed = pose(Source(rows(), "color", group="box"), ignore)
    table = rows()
    box = dict(zip(table["dot"], table["box"], strict=True))
    sides = [{box[text] for text in part.display(range(len(part)))} for part in posed.parts.values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_the_report_of_an_interrupted_race_has_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Any, data: DataModule) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Nearest, "fit", interrupted)
    found = run(rows(), "color", time_limit=60, output=tmp_path / "out", recipes=["nearest", "words"], say=ignore)
    assert found.is_interrupted
    assert {entry.name for entry in found.leaderboard if entry.scores} == {"constant", "words"}
    assert (tmp_path / "out" / "report.html").exists()


# ---------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"time_limit": 0}, "Expected a time above 0 such as 90s, 10m or 2h, or a number of seconds, but got 0"),
        (
            {"time_limit": "soon"},
            "Expected a time above 0 such as 90s, 10m or 2h, or a number of seconds, but got 'soo",
        ),
        ({"metric": "rmse"}, "Expected a metric among accuracy, balanced_accuracy, .*, but got 'rmse'"),
        ({"recipes": ["nothing"]}, "Expected recipes among constant, words, default, .*, but got nothing"),
        ({"task": "dots/counting"}, "dots/counting"),
    ],
)
def test_wrong_options_say_so(tmp_path: Path, options: Any, sentence: str) -> None:
    with pytest.raises((ConfigurationError, KeyError), match=sentence):
        run(rows(), "color", output=tmp_path / "out", say=ignore, **options)


def test_the_target_is_found_by_its_name_or_asked_for() -> None:
    assert find_target(RawData.of({"a": [1], "label": [2]}), None) == "label"
    with pytest.raises(ConfigurationError, match="Expected the name of the column to predict, as in --target dot,"):
        find_target(RawData.of(rows()), None)
    with pytest.raises(ConfigurationError, match="has 2 columns named target or label"):
        find_target(RawData.of({"y": [1], "label": [2]}), None)
    with pytest.raises(MissingColumnError, match="Did you mean 'color'"):
        find_target(RawData.of(rows()), "colour")


def test_folders_have_no_target(tmp_path: Path) -> None:
    assert find_target(RawData.of(tmp_path), None) is None
    with pytest.raises(ConfigurationError, match="Expected no target for a folder, whose subfolders are the classes"):
        find_target(RawData.of(tmp_path), "y")
    with pytest.raises(ConfigurationError, match="Expected a table to drop columns of"):
        without_columns(RawData.of(tmp_path), ["y"])


def test_columns_are_dropped() -> None:
    assert list(without_columns(RawData.of(rows()), ["box", "height"]).table or ()) == ["dot", "color"]
    with pytest.raises(MissingColumnError, match="Expected a column 'bax'"):
        without_columns(RawData.of(rows()), ["bax"])


def test_what_no_data_module_knows_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected data for an installed task, but no data module knows this table"):
        detect(RawData.of({"a": [1, 2], "y": [0, 1]}), "y")
    with pytest.raises(DataError, match="is a folder without subfolders of files for each class"):
        detect(RawData.of(tmp_path), None)


def test_data_for_two_tasks_is_asked_about() -> None:
    class Twin:
        @hookimpl
        def flash_tasks(self) -> Iterator[TaskSpec]:
            yield TaskSpec("spots/classification", task="dots_domain:DotClassifier", data="dots_domain:DotData")

    with isolated_plugins(Plugin(), Twin()):
        with pytest.raises(ConfigurationError, match="Expected data for one task, but it may be for 2: dots/classif"):
            detect(RawData.of(rows()), "color")
        assert detect(RawData.of(rows()), "color", "spots/classification").name == "spots/classification"


def test_val_data_of_another_form_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Expected val data of the form of the train data, a table, but got"):
        run(rows(), "color", val=tmp_path, output=tmp_path / "out", say=ignore)


# ---------------------------------------------------------------------- runs


@pytest.mark.train
def test_a_training_in_slices_is_that_without(tmp_path: Path) -> None:
    weights = []
    for slices in ([30.0], [1e-6, 1e-6, 0.05, 30.0]):
        torch.manual_seed(0)
        data = dots()
        task = scratch(data)
        training = TaskRun("scratch", "", task, None, tmp_path / str(len(slices)))
        for seconds in slices:
            training.train(data, seconds)
            assert training.is_finished or seconds < 30
        weights.append(training.predict(data, data.val_dataset))
    assert training.epochs
    assert np.array_equal(weights[0], weights[1])


def test_the_head_is_the_optimum_of_scikit_learn() -> None:
    data = dots()
    task = DotClassifier.from_data(data)
    assert has_pretrained_features(task)
    head = HeadRun("head", "A head.", task)
    head.train(data, 60)
    points = [torch.stack([x for x, _ in part]) for part in (data.train_dataset, data.val_dataset)]
    features = [task.backbone(each).detach().numpy() for each in points]
    mean, std = features[0].mean(0), features[0].std(0)
    model = LogisticRegression(max_iter=500).fit((features[0] - mean) / std, targets_of(data.train_dataset))
    expected = model.predict_proba((features[1] - mean) / std)
    assert np.allclose(head.predict(data, data.val_dataset), expected, atol=1e-4)
    assert head.is_finished


def test_the_head_of_numbers_is_in_their_units() -> None:
    table = rows()
    data = DotNumberData.from_lists(table["dot"], table["height"], val_split=0.25, seed=0)
    head = HeadRun("head", "A head.", DotRegressor.from_data(data))
    head.train(data, 60)
    error = head.predict(data, data.val_dataset)[:, 0] - targets_of(data.val_dataset)
    assert np.abs(error).mean() < 0.5


def test_a_head_without_time_is_fitted_on_some_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dots(600)
    monkeypatch.setattr("flash.baseline.runs._CHUNK", 50)
    monkeypatch.setattr("flash.baseline.runs._FIRST_CHUNK", 50)
    head = HeadRun("head", "A head.", DotClassifier.from_data(data))
    clock = iter(np.arange(0, 1000, 1.0).tolist())
    monkeypatch.setattr("flash.baseline.runs.time.monotonic", lambda: next(clock))
    # A chunk takes a second, and the evaluation of 150 samples three.
    head.train(data, 5.0)
    assert head.summary == "A head, fitted on 100 of 450 train samples."
    with pytest.raises(OutOfTime, match="its backbone takes .* s per sample"):
        HeadRun("head", "A head.", DotClassifier.from_data(data)).train(data, 0.5)


def test_a_training_starts_from_the_fitted_head(tmp_path: Path) -> None:
    posed = problem()
    head, rest = make_runs(posed, tmp_path, 60, 0, ["default"])["default"]()
    assert isinstance(head, HeadRun)
    assert isinstance(rest, TaskRun)
    head.train(posed.data, 60)
    fitted = {name: value.clone() for name, value in head.head.state_dict().items()}
    rest.train(posed.data, 1e-6)
    assert rest.task is not head.task
    # The one step that there was time for has hardly moved it.
    moved = max(float((rest.task.head.state_dict()[name] - value).abs().max()) for name, value in fitted.items())
    assert 0 < moved < 0.1
    assert all(torch.equal(head.head.state_dict()[name], value) for name, value in fitted.items())


def test_the_frequencies_are_the_constant() -> None:
    data = dots()
    constant = Constant(2).fit(data).predict(data.val_dataset)
    share = float((targets_of(data.train_dataset) == 0).mean())
    assert np.allclose(constant, [[share, 1 - share]] * 30)
    table = rows()
    several = DotNumberData.from_lists(table["dot"], [[1.0, each] for each in range(119)] + [[3.0, 7.0]], seed=0)
    mean = targets_of(several.train_dataset).mean(0)
    assert np.allclose(Constant(None).fit(several).predict(several.train_dataset)[0], mean)


def test_several_labels_have_a_model_each() -> None:
    table = rows()
    labels = [
        ["high"] * (each > 50) + ["red"] * (color == "red")
        for each, color in zip(table["height"], table["color"], strict=True)
    ]
    data = DotData.from_lists(table["dot"], labels, val_split=0.25, seed=0)
    _, model = models_for("a text", 2)["words"]
    found = model.fit(data).predict(data.val_dataset)
    assert found.shape == (30, 2)
    assert ((found >= 0) & (found <= 1)).all()
    assert not np.allclose(found.sum(1), 1)


def test_pixels_are_means_of_parts_of_an_image() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16] = 255
    small = pixels([image]).reshape(16, 16, 3)
    assert np.allclose(small[:8], 1)
    assert np.allclose(small[8:], 0)
    assert pixels([np.full((3, 5, 3), 51, np.uint8)]) == pytest.approx(np.full((1, 768), 0.2))


def test_rows_are_numbers_and_categories() -> None:
    class Rows(SamplePreprocess):
        def display(self, samples: Any, rows: Any) -> Any:
            return [samples[row][0] for row in rows]

    class RowData(SampleData):
        preprocess_cls: ClassVar[type[SamplePreprocess]] = Rows

    random = np.random.default_rng(0)
    ages = random.integers(1, 80, 200).tolist()
    towns = random.choice(["Rome", "Oslo"], 200).tolist()
    shown = [{"age": None if age < 5 else age, "town": town} for age, town in zip(ages, towns, strict=True)]
    labels = [str((age > 40) ^ (town == "Oslo")) for age, town in zip(ages, towns, strict=True)]
    data = RowData.from_lists(shown, labels, val_split=0.25, seed=0)
    accuracy = metrics_for("classification")["accuracy"]
    found = {
        name: accuracy(targets_of(data.val_dataset), model.fit(data).predict(data.val_dataset))
        for name, (_, model) in models_for(shown[-1], 2).items()
    }
    assert found["boosting"] > 0.9
    assert found["linear"] < 0.8  # It cannot know that the two depend on each other.


def test_models_share_what_a_person_looks_at_and_other_rows_are_asked_for_again() -> None:
    asked: list[int] = []

    class Rows(SamplePreprocess):
        def display(self, samples: Any, rows: Any) -> Any:
            asked.append(len(rows))
            return [samples[row][0] for row in rows]

    class RowData(SampleData):
        preprocess_cls: ClassVar[type[SamplePreprocess]] = Rows

    shown = [{"age": row, "town": "Rome"} for row in range(100)]
    data = RowData.from_lists(shown, ["a", "b"] * 50, val_split=0.25, seed=0)
    for _, model in models_for(shown[0], 2).values():
        model.fit(data)
        model.predict(data.val_dataset)
    assert asked == [75, 25]
    table = Features(lambda displays: [each["age"] for each in displays])
    train = data.train_dataset
    ages = [each["age"] for each in train.display(range(75))]
    for chosen in ([3, 1], [3, 1], [2], range(75)):
        assert table.of(train, chosen) == [ages[row] for row in chosen]
    assert table.of(data.val_dataset, [0]) != table.of(train, [0])


# ---------------------------------------------------------------------- the race


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Learning(TaskRun):
    """A training that gets better with the time that it has had, up to a limit."""

    def __init__(self, name: str, rate: float, clock: Clock, needs: float = 1e9) -> None:
        Run.__init__(self, name, "")
        self.rate, self.clock, self.needs = rate, clock, needs
        self.epochs, self.starts_from, self.trained = 0, None, 0.0

    def train(self, data: DataModule, seconds: float) -> None:
        taken = min(seconds, self.needs - self.trained)
        self.clock.now += taken
        self.trained += taken
        self.is_finished = self.trained >= self.needs

    def predict(self, data: DataModule, dataset: Any) -> Array:
        right = np.eye(2)[targets_of(data.val_dataset)][: len(dataset)]
        quality = min(0.5 + self.rate * max(self.trained, 1e-3), 0.999)
        return quality * right + (1 - quality) * (1 - right)


def race_of(runs: list[Run], tmp_path: Path, limit: float, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Race:
    monkeypatch.setattr("flash.baseline.race.time.monotonic", clock)
    metric = metrics_for("classification")["log_loss"]
    makers: Any = {each.name: lambda each=each: [each] for each in runs}
    race = Race(makers, problem(), metric, 0.0, limit, Folder(tmp_path / "out", {}), ignore)
    race.run()
    return race


def test_the_worse_half_leaves_the_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    runs: list[Any] = [
        Learning(name, rate, clock) for name, rate in (("d", 1e-4), ("a", 4e-4), ("c", 2e-4), ("b", 3e-4))
    ]
    race = race_of(runs, tmp_path, 90.0, clock, monkeypatch)
    trained = {each.name: round(each.trained) for each in runs}
    # Three rounds of 30 seconds: four share the first, two the second, and one has the last alone.
    assert trained == {"a": 8 + 15 + 30, "b": 8 + 15, "c": 8, "d": 8} or trained["a"] > trained["b"] > trained["c"]
    assert [each.run.name for each in race.ranking()] == ["a", "b", "c", "d"]
    assert [each.status for each in race.ranking()] == ["done", "stopped", "stopped", "stopped"]
    assert clock.now == pytest.approx(90, abs=1)


def test_time_that_is_left_is_for_those_that_can_still_improve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    runs: list[Any] = [Learning("quick", 0.01, clock, needs=2.0), Learning("slow", 1e-4, clock)]
    race_of(runs, tmp_path, 60.0, clock, monkeypatch)
    assert runs[0].is_finished
    assert runs[1].trained == pytest.approx(58, abs=1)


def test_without_time_there_is_the_trivial_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    runs: list[Any] = [
        ModelRun("constant", "", Constant(2), "trivial"),
        ModelRun("nearest", "", Nearest()),
        Learning("slow", 1e-4, clock),
    ]
    race = race_of(runs, tmp_path, 0.0, clock, monkeypatch)
    assert [each.run.name for each in race.ranking()] == ["constant"]
    assert race.outcomes["nearest"].status == race.outcomes["slow"].status == "out of time"


@pytest.mark.parametrize("per_sample", [0.0, 10.0])
def test_a_quick_model_that_learns_is_fitted_although_reading_took_all_of_the_time(
    per_sample: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, posed = Clock(), problem()
    show = AutoDataset.display

    def slowly(dataset: Any, rows: Any) -> Any:
        clock.now += per_sample * len(rows)
        return show(dataset, rows)

    monkeypatch.setattr("flash.baseline.race.time.monotonic", clock)
    monkeypatch.setattr(AutoDataset, "display", slowly)
    clock.now = 100.0
    runs: list[Any] = [
        ModelRun("constant", "", Constant(2), "trivial"),
        ModelRun("nearest", "", Nearest()),
        ModelRun("another", "", Nearest()),
        Learning("slow", 1e-4, clock),
    ]
    makers: Any = {each.name: lambda each=each: [each] for each in runs}
    metric = metrics_for("classification")["log_loss"]
    race = Race(makers, posed, metric, 0.0, 10.0, Folder(tmp_path / "out", {}), ignore)
    race.run()
    trained = {name for name, each in race.outcomes.items() if each.outputs is not None}
    assert trained == ({"constant", "nearest"} if per_sample == 0 else {"constant"})
    assert race.outcomes["another"].status == race.outcomes["slow"].status == "out of time"
    assert race.outcomes["slow"].reason == "no time was left for it"


@pytest.mark.parametrize("failing", ["fit", "predict", "predict of the test part"])
def test_a_model_that_ends_the_program_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    method, predict = failing.partition(" ")[0], Nearest.predict

    def ends(self: Any, data: Any) -> Any:
        if failing.endswith("part") and len(data) != 24:
            return predict(self, data)
        raise SystemExit(3)

    monkeypatch.setattr(Nearest, method, ends)
    found = run(rows(), "color", output=tmp_path / "out", recipes=["nearest", "words"], say=ignore)
    by_name = {entry.name: entry for entry in found.leaderboard}
    assert (by_name["nearest"].status, by_name["nearest"].reason) == ("failed", "SystemExit: 3")
    assert by_name["words"].test_scores
    assert not found.is_interrupted


# ---------------------------------------------------------------------- ensembles


def test_an_ensemble_is_chosen_greedily() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=50)
    outputs = {name: truth + random.normal(size=50) * scale for name, scale in (("a", 1.0), ("b", 1.1), ("c", 30.0))}
    rmse = metrics_for("regression")["rmse"]
    weights = select(rmse, truth, outputs)
    assert set(weights) == {"a", "b"}
    assert sum(weights.values()) == pytest.approx(1)
    mean = sum(weight * outputs[name] for name, weight in weights.items())
    assert rmse(truth, np.asarray(mean)) < min(rmse(truth, outputs["a"]), rmse(truth, outputs["b"]))


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_an_ensemble_is_one_task_and_one_checkpoint(tmp_path: Path, kind: str) -> None:
    table = rows()
    if kind == "numbers":
        data: DataModule = DotNumberData.from_lists(table["dot"], table["height"], val_split=0.25, seed=0)
        tasks: dict[str, Task] = {name: DotRegressor.from_data(data) for name in "ab"}
    else:
        several = [[color] if row % 3 else ["blue", "red"] for row, color in enumerate(table["color"])]
        data = DotData.from_lists(table["dot"], several if kind == "labels" else table["color"], val_split=0.25, seed=0)
        tasks = {name: DotClassifier.from_data(data) for name in "ab"}
    ensemble = make_ensemble(tasks, {"a": 0.75, "b": 0.25}, data)
    parts = [outputs_in(evaluate_rows(each, data)) for each in tasks.values()]
    found = outputs_in(evaluate_rows(ensemble, data))
    assert np.allclose(found, 0.75 * parts[0] + 0.25 * parts[1], atol=1e-5)
    from flash.baseline.baseline import _save

    _save(ensemble, tmp_path / "best.ckpt")
    loaded = Task.load_from_checkpoint(tmp_path / "best.ckpt")
    output = "values" if kind == "numbers" else "probabilities"
    assert loaded.predict(table["dot"], output=output) == ensemble.predict(table["dot"], output=output)


# ---------------------------------------------------------------------- folders and the command


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="Expected an empty or a new folder for the report, but .* is there a"):
        Folder(tmp_path, {})
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_a_killed_run_goes_on_with_the_same_arguments_alone(tmp_path: Path) -> None:
    first = Folder(tmp_path / "out", {"target": "y", "seed": 0})
    first.keep(12.0, {"default": 3.0})
    first.close()
    again = Folder(tmp_path / "out", {"target": "y", "seed": 0})
    assert (again.elapsed, again.seconds) == (12.0, {"default": 3.0})
    with pytest.raises(ConfigurationError, match="the only run in .*, but another one is running there. Wait for it"):
        Folder(tmp_path / "out", {"target": "y", "seed": 0})
    again.close()
    with pytest.raises(ConfigurationError, match="the run in .* that did not end, but seed differs"):
        Folder(tmp_path / "out", {"target": "y", "seed": 1})
    (tmp_path / "out" / "runs" / "state.json").write_text("{")
    with pytest.raises(ConfigurationError, match="Expected the state of a run in .*, but it is damaged"):
        Folder(tmp_path / "out", {"target": "y", "seed": 0})


def test_a_run_whose_arguments_are_wrong_leaves_no_folder_and_the_next_may_have_others(tmp_path: Path) -> None:
    for there in (False, True):
        output = tmp_path / str(there)
        if there:
            output.mkdir()
        with pytest.raises(ConfigurationError, match="Expected the name of the column to predict"):
            run(rows(), output=output, say=ignore)
        assert output.exists() == there
        with pytest.raises(ConfigurationError, match="Expected recipes among"):
            run(rows(), "color", output=output, recipes=["nothing"], say=ignore)
        assert run(rows(), "color", output=output, recipes=["nearest"], say=ignore).leaderboard
    # That of a run that was killed is kept for the next try.
    arguments = Source(rows(), "color").described() | {"metric": None, "recipes": ["nothing"], "folds": None}
    Folder(tmp_path / "killed", arguments).close()
    with pytest.raises(ConfigurationError, match="Expected recipes among"):
        run(rows(), "color", output=tmp_path / "killed", recipes=["nothing"], say=ignore)
    assert (tmp_path / "killed" / "runs" / "state.json").exists()


def _run_for_ever(folder: Path) -> None:
    with isolated_plugins(Plugin()):
        run(rows(400), "color", time_limit=600, output=folder, recipes=["scratch"], say=ignore)


@pytest.mark.process
def test_a_run_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_run_for_ever, args=(folder,))
    # It would end by itself within seconds, were its training not slow.
    monkeypatch.setattr(Dots, "load_sample", _slowly(Dots.load_sample))
    child.start()
    deadline = time.monotonic() + 120
    checkpoint = folder / "runs" / "scratch" / "last.ckpt"
    state = folder / "runs" / "state.json"
    while child.is_alive() and not (checkpoint.exists() or (state.exists() and '"constant"' in state.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    monkeypatch.undo()
    elapsed = json.loads(state.read_text())["elapsed"]
    assert elapsed > 0
    found = run(rows(400), "color", time_limit=600, output=folder, recipes=["scratch"], say=ignore)
    assert found.results.best == "scratch"
    assert found.results.times["reading and checks"] > elapsed
    assert not (folder / "runs").exists()


def _slowly(method: Any) -> Any:
    def slow(self: Any, sample: Any, dataset: Any) -> Any:
        time.sleep(0.002)
        return method(self, sample, dataset)

    return slow


@pytest.mark.parametrize(
    ("value", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("10 m", 600), (90, 90), (0.5, 0.5)]
)
def test_times_have_units(value: Any, seconds: float) -> None:
    assert seconds_of(value) == seconds


@pytest.mark.parametrize("value", ["", "soon", "-1s", "0m", "1d", 0, -1, True, None, float("nan"), float("inf"), [1]])
def test_what_is_no_time_says_so(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected a time above 0 such as 90s, 10m or 2h, or a number of sec"):
        seconds_of(value)


def test_the_time_limit_of_python_is_that_of_the_command(tmp_path: Path) -> None:
    found = run(rows(), "color", time_limit="0.5m", output=tmp_path / "out", recipes=["nearest"], say=ignore)
    assert found.results.time_limit == 30


@pytest.mark.train
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows()
    lines = ["dot,color", *(f"{dot},{color}" for dot, color in zip(table["dot"], table["color"], strict=True))]
    (tmp_path / "dots.csv").write_text("\n".join(lines))
    arguments = [str(tmp_path / "dots.csv"), "--target", "color", "--time_limit", "30s"]
    arguments += ["--metric", "f1_macro", "--recipes", "scratch", "--seed", "3"]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0
    assert f"The report is {tmp_path / 'out' / 'report.html'}." in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    lines = [each["line"] for each in results["commands"]]
    given = shlex.split(lines[0])
    assert given[:3] == ["flash", "baseline", str(tmp_path / "dots.csv")]
    assert sorted(given[2:]) == sorted([*arguments, "-o", "again"])
    assert lines[1] == f"flash predict {tmp_path / 'out' / 'best.ckpt'} INPUT -o predictions.csv"


def test_an_outcome_begins_out_of_time() -> None:
    assert Outcome(ModelRun("constant", "", Constant(2), "trivial")).status == "out of time"
