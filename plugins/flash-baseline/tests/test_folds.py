"""The last round of a race over folds: who learns from which rows, what is scored, and what is refused."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dots_domain import DotData, Nearest, Plugin, rows

from flash import DataModule
from flash.baseline import run
from flash.baseline.command import main
from flash.baseline.folds import Folds, compare_over_folds
from flash.baseline.leaderboard import bootstrap, metrics_for, score
from flash.baseline.problem import Problem, Source, pose
from flash.baseline.race import Outcome, Race
from flash.errors import ConfigurationError, DataError
from flash.plugins import isolated_plugins


@pytest.fixture(autouse=True)
def plugin() -> Iterator[None]:
    with isolated_plugins(Plugin()):
        yield


def ignore(line: str) -> None:
    """Say nothing."""


def folds_of(table: dict[str, list[Any]], count: int = 4, **options: Any) -> Folds:
    source = Source(table, "color", **options)
    return Folds(pose(source, ignore), source, count)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], list[str], Any]]:
    """What each fit of the nearest dot learns from and predicts: texts of dots, and the outputs."""
    found: list[tuple[set[str], list[str], Any]] = []
    fit, predict = Nearest.fit, Nearest.predict

    def fitting(self: Any, data: DataModule) -> None:
        dataset = data.indexed_dataset("train")
        self.learned = set(dataset.display(range(len(dataset))))
        fit(self, data)

    def predicting(self: Any, dataset: Any) -> Any:
        outputs = predict(self, dataset)
        found.append((self.learned, list(dataset.display(range(len(dataset)))), np.asarray(outputs)))
        return outputs

    monkeypatch.setattr(Nearest, "fit", fitting)
    monkeypatch.setattr(Nearest, "predict", predicting)
    return found


def test_each_train_and_validation_row_is_in_one_fold_with_its_target() -> None:
    table = rows()
    source = Source(table, "color")
    problem = pose(source, ignore)
    folds = Folds(problem, source, 4)
    color = dict(zip(table["dot"], table["color"], strict=True))
    held: list[str] = []
    for number, part in enumerate(folds.parts):
        fold = folds.problem_of(number)
        texts = fold.parts["val"].display(range(len(part)))
        assert [color[text] for text in texts] == [problem.label_of(each) for each in folds.targets[part]]
        held += map(str, texts)
        inner = fold.data.indexed_dataset("val")
        learned = fold.parts["train"].display(range(len(fold.parts["train"])))
        assert not {*learned, *inner.display(range(len(inner)))} & set(texts)
    test = problem.parts["test"].display(range(len(problem.parts["test"])))
    assert sorted(held) == sorted(set(table["dot"]) - set(test))


def test_no_model_learns_from_a_row_that_it_predicts_and_the_test_rows_are_seen_once(
    tmp_path: Path, fits: list[tuple[set[str], list[str], Any]]
) -> None:
    table = rows()
    found = run(table, "color", output=tmp_path / "out", recipes=["nearest"], folds=4, say=ignore)
    _, *of_folds, at_the_end = fits
    test = set(at_the_end[1])
    assert len(of_folds) == 4
    assert all(not learned & set(texts) for learned, texts, _ in of_folds)
    assert not any(test & (learned | set(texts)) for learned, texts, _ in of_folds)
    # The score is that of all rows that were held out, each of which was predicted once.
    texts = [text for _, part, _ in of_folds for text in part]
    assert sorted(texts) == sorted(set(table["dot"]) - test)
    color = dict(zip(table["dot"], table["color"], strict=True))
    targets = np.array([found.results.labels.index(color[text]) for text in texts])
    outputs = np.concatenate([each for _, _, each in of_folds])
    (scored,) = found.results.folds
    assert (scored.name, scored.folds, scored.samples) == ("nearest", 4, len(texts))
    assert scored.scores == score("classification", targets, outputs)
    assert scored.interval == bootstrap(metrics_for("classification")["accuracy"], targets, outputs)
    sizes = [len(part) for _, part, _ in of_folds]
    assert np.average(np.array(scored.each, float), weights=sizes) == pytest.approx(scored.scores["accuracy"])


def test_groups_are_in_one_fold_and_drawn_as_a_whole(tmp_path: Path) -> None:
    table = rows()
    box = dict(zip(table["dot"], table["box"], strict=True))
    folds = folds_of(table, group="box")
    for number in range(4):
        fold = folds.problem_of(number)
        parts = [*fold.parts.values(), fold.data.indexed_dataset("val")]
        learned, held, inner = ({box[text] for text in part.display(range(len(part)))} for part in parts)
        assert not held & (learned | inner)
    plain = run(table, "color", output=tmp_path / "plain", recipes=["nearest"], folds=4, say=ignore)
    grouped = run(table, "color", output=tmp_path / "box", recipes=["nearest"], folds=4, group="box", say=ignore)
    assert plain.results.folds[0].interval != grouped.results.folds[0].interval


def test_a_row_of_a_class_that_no_other_fold_has_is_not_predicted() -> None:
    table = rows()
    table["color"][:3] = ["green"] * 3
    folds = folds_of(table, 4, seed=1)
    green = folds.problem.labels.index("green")
    held = np.concatenate(folds.parts)
    known = (folds.targets == green).sum()
    assert len(held) == len(folds.targets) - (known == 1)
    assert len(set(held.tolist())) == len(held)


@pytest.mark.train
def test_the_order_is_that_over_folds_and_the_files_have_the_numbers(tmp_path: Path) -> None:
    recipes = ["nearest", "words", "scratch", "frozen"]
    found = run(rows(), "color", time_limit=60, output=tmp_path / "out", recipes=recipes, folds=3, say=ignore)
    names = [each.name for each in found.results.folds]
    values = [each.scores["accuracy"] for each in found.results.folds]
    assert len(names) == 3
    assert values == sorted(values, reverse=True)
    assert [entry.name for entry in found.leaderboard][:3] == names
    assert found.results.best == names[0]
    assert "ensemble" not in [entry.name for entry in found.leaderboard]
    assert found.results.times["folds"] > 0
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())["folds"]
    assert [each["scores"]["accuracy"] for each in numbers] == values
    with (tmp_path / "out" / "leaderboard.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["folds_accuracy"]) for row in table[:3]] == values
    assert table[-1]["folds_accuracy"] == ""
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Over 3 folds" in page
    assert all(f'value="{value}"' in page for value in values)


def test_numbers_are_compared_over_folds(tmp_path: Path) -> None:
    found = run(rows(), "height", output=tmp_path / "out", recipes=["words"], folds=3, say=ignore)
    (scored,) = found.results.folds
    assert next(iter(scored.scores)) == "rmse"
    assert scored.samples == 96


def test_a_model_that_fails_in_a_fold_is_compared_on_the_validation_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, said = Nearest.fit, list[str]()

    def failing(self: Any, data: DataModule) -> None:
        if len(data.train_dataset) < 70:
            raise ValueError("too few dots")
        fit(self, data)

    monkeypatch.setattr(Nearest, "fit", failing)
    found = run(rows(), "color", output=tmp_path / "out", recipes=["nearest", "words"], folds=3, say=said.append)
    assert [each.name for each in found.results.folds] == ["words"]
    assert {entry.name for entry in found.leaderboard if entry.scores} == {"nearest", "words", "constant"}
    assert "nearest: failed in a fold. ValueError: too few dots" in said


@pytest.mark.parametrize("is_time", [True, False])
def test_quick_models_are_fitted_first_and_a_winner_without_time_does_not_lose_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_time: bool
) -> None:
    said, fitted, ranked = list[str](), list[str](), list[str]()

    def fit(race: Race, problem: Problem, outcome: Outcome, *_: Any) -> Any:
        fitted.append(outcome.run.name)
        return np.full((len(problem.parts["val"]), len(problem.labels)), 0.5)

    def compare(race: Race, parts: Folds, deadline: float) -> None:
        ranked.extend([each.run.name for each in race.ranking() if each.run.kind != "trivial"])
        race.outcomes[ranked[0]].run.seconds = 9.0
        compare_over_folds(race, parts, deadline if is_time else 0.0)

    monkeypatch.setattr("flash.baseline.folds._fit", fit)
    monkeypatch.setattr("flash.baseline.baseline.compare_over_folds", compare)
    found = run(rows(), "color", output=tmp_path / "out", recipes=["nearest", "words"], folds=3, say=said.append)
    late = f"There was no time to fit {ranked[0]}, the best model of the race, without each of 3 folds"
    assert fitted == ([ranked[1], ranked[0]] * 3 if is_time else [])
    assert len(found.results.folds) == (2 if is_time else 0)
    assert any(late in line for line in said) is not is_time
    assert is_time or found.results.best == ranked[0]


def test_an_interrupted_comparison_leaves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Nearest.fit

    def interrupted(self: Any, data: DataModule) -> None:
        if len(data.train_dataset) < 70:
            raise KeyboardInterrupt
        fit(self, data)

    monkeypatch.setattr(Nearest, "fit", interrupted)
    found = run(rows(), "color", output=tmp_path / "out", recipes=["nearest"], folds=3, say=ignore)
    assert found.is_interrupted
    assert not found.results.folds
    assert found.results.best == "nearest"


def _run_for_ever(folder: Path) -> None:
    with isolated_plugins(Plugin()):
        run(rows(), "color", time_limit=600, output=folder, recipes=["nearest"], folds=3, say=ignore)


@pytest.mark.process
def test_a_comparison_that_was_killed_goes_on_with_the_folds_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: list[tuple[set[str], list[str], Any]]
) -> None:
    folder = tmp_path / "out"
    first, second = (folder / "runs" / "folds" / str(number) / "nearest.npy" for number in (0, 1))
    predict = Nearest.predict

    def waiting(self: Any, dataset: Any) -> Any:
        while first.exists():
            time.sleep(0.01)
        return predict(self, dataset)

    with monkeypatch.context() as patch:
        patch.setattr(Nearest, "predict", waiting)
        child = multiprocessing.get_context("fork").Process(target=_run_for_ever, args=(folder,))
        child.start()
    deadline = time.monotonic() + 120
    while child.is_alive() and not first.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not second.exists()
    found = run(rows(), "color", time_limit=600, output=folder, recipes=["nearest"], folds=3, say=ignore)
    # Of the validation part, two folds, and the test part.
    assert len(fits) == 4
    whole = run(rows(), "color", time_limit=600, output=tmp_path / "whole", recipes=["nearest"], folds=3, say=ignore)
    assert found.results.folds == whole.results.folds
    assert not (folder / "runs").exists()


def test_folds_can_be_asked_for_in_the_command(tmp_path: Path) -> None:
    table = rows()
    lines = ["dot,color", *(f"{dot},{color}" for dot, color in zip(table["dot"], table["color"], strict=True))]
    (tmp_path / "dots.csv").write_text("\n".join(lines))
    arguments = [str(tmp_path / "dots.csv"), "--target", "color", "--recipes", "nearest", "--folds", "3"]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [len(each["each"]) for each in results["folds"]] == [3]
    assert "--folds 3" in results["commands"][0]["line"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"folds": 1}, "Expected folds to be an integer above 1, but got 1"),
        ({"folds": True}, "Expected folds to be an integer above 1, but got True"),
        ({"folds": 3, "time": "height"}, "Expected folds without time, which says that later rows are predicted"),
        ({"folds": 3, "val": rows(20)}, "Expected folds without val, which says what models are compared on"),
        ({"folds": 3, "engine": "ray"}, "Expected folds without engine, since folds are fitted in this process"),
    ],
)
def test_what_excludes_folds_says_so(tmp_path: Path, options: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        run(rows(), "color", output=tmp_path / "out", say=ignore, **options)
    assert not (tmp_path / "out").exists()


def test_a_data_module_has_no_folds(tmp_path: Path) -> None:
    table = rows()
    data = DotData.from_lists(table["dot"], table["color"], val_split=0.25, seed=0)
    with pytest.raises(ConfigurationError, match="Expected folds without a data module, which is split already"):
        run(data, output=tmp_path / "out", folds=3, say=ignore)


def test_what_is_no_table_and_no_folder_has_no_folds() -> None:
    source = Source(rows(), "color")
    problem = pose(source, ignore)
    problem.raw = None
    with pytest.raises(ConfigurationError, match="Expected a table, or a folder with a subfolder per class, to make"):
        Folds(problem, source, 3)


def test_a_folder_of_validation_files_is_refused_before_a_file_is_read(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        (tmp_path / "photos" / part).mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="Expected folds without a folder of validation files, which says"):
        run(tmp_path / "photos", output=tmp_path / "out", folds=3, say=ignore)


def test_fewer_groups_than_folds_say_so(tmp_path: Path) -> None:
    table = rows()
    table["box"] = [f"box {row // 24}" for row in range(120)]
    with pytest.raises(DataError, match="Expected at least one of the groups for each of 9 folds, but got"):
        run(table, "color", output=tmp_path / "out", group="box", folds=9, say=ignore)


def test_folds_depend_on_the_seed_alone() -> None:
    one, other, third = folds_of(rows()), folds_of(rows()), folds_of(rows(), seed=1)
    assert all(np.array_equal(*pair) for pair in zip(one.parts, other.parts, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(one.parts, third.parts, strict=True))
