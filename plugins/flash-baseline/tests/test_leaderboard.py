"""Metrics, their intervals, comparisons, and the files of the leaderboard."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from flash.baseline import _resampling
from flash.baseline.leaderboard import bootstrap, compare, metrics_for, score, write_leaderboard
from flash.baseline.results import Results
from flash.core.structured_prediction import CountedTask
from flash.errors import CheckpointError, ConfigurationError, DataError

KINDS = ["classification", "multi-label", "regression"]


def classified(rows: int = 200, classes: int = 4, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, rows)
    outputs = random.random((rows, classes)) + 0.5 * np.eye(classes)[targets]
    return targets, outputs / outputs.sum(1, keepdims=True)


def labeled(rows: int = 200, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, (rows, 3))
    return targets, np.round(0.3 * targets + 0.7 * random.random((rows, 3)), 2)  # with ties


def measured(rows: int = 200, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    targets = random.normal(1000, 3, rows)
    return targets, targets + random.normal(0.5, 1, rows)


MADE: dict[str, Callable[[], tuple[Any, Any]]] = {
    "classification": classified,
    "multi-label": labeled,
    "regression": measured,
}


def counted(rows: int = 60, classes: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """Return what a structured task counts of samples of 50 places; no place is of the last class."""
    random = np.random.default_rng(seed)
    true = random.integers(0, classes - 1, (rows, 50))
    predicted = np.where(random.random((rows, 50)) < 0.7, true, random.integers(0, classes - 1, (rows, 50)))
    every = range(classes)
    targets = np.stack([(true == each).sum(1) for each in every], 1)
    found = [(predicted == each).sum(1) for each in every]
    return targets, np.stack([*found, *(((predicted == each) & (true == each)).sum(1) for each in every)], 1)


class TestValues:
    def test_metrics_of_counts_are_those_of_scikit_learn_for_all_places_together(self) -> None:
        random = np.random.default_rng(0)
        true = random.integers(0, 2, (60, 50))
        predicted = np.where(random.random((60, 50)) < 0.7, true, random.integers(0, 2, (60, 50)))
        flat = true.ravel(), predicted.ravel()
        assert score(CountedTask, *counted()) == pytest.approx(
            {
                "f1": sk.f1_score(*flat, average="micro"),
                "f1_macro": sk.f1_score(*flat, average="macro"),
                "precision": sk.precision_score(*flat, average="micro"),
                "recall": sk.recall_score(*flat, average="micro"),
            }
        )

    def test_samples_of_structured_tasks_are_drawn_as_a_whole(self) -> None:
        targets, outputs = counted()
        f1 = metrics_for(CountedTask)["f1_macro"]
        low, high = bootstrap(f1, targets, outputs) or (0.0, 0.0)
        assert 0 < low < f1(targets, outputs) < high < 1
        assert compare(f1, targets, ("right", np.tile(targets, 2)), ("guess", outputs)).exceeds_noise

    @pytest.mark.parametrize("classes", [2, 4])
    def test_classification_is_that_of_scikit_learn(self, classes: int) -> None:
        targets, outputs = classified(classes=classes)
        predicted = outputs.argmax(1)
        scores = outputs[:, 1] if classes == 2 else outputs
        assert score("classification", targets, outputs) == pytest.approx(
            {
                "accuracy": sk.accuracy_score(targets, predicted),
                "balanced_accuracy": sk.balanced_accuracy_score(targets, predicted),
                "f1_macro": sk.f1_score(targets, predicted, average="macro"),
                "log_loss": sk.log_loss(targets, outputs),
                "auroc": sk.roc_auc_score(targets, scores, multi_class="ovr", average="macro"),
            }
        )

    def test_multi_label_is_that_of_scikit_learn(self) -> None:
        targets, outputs = labeled()
        predicted = outputs > 0.5
        assert score("multi-label", targets, outputs) == pytest.approx(
            {
                "f1_macro": sk.f1_score(targets, predicted, average="macro"),
                "average_precision": sk.average_precision_score(targets, outputs, average="macro"),
                "auroc": sk.roc_auc_score(targets, outputs, average="macro"),
                "accuracy": 1 - sk.hamming_loss(targets, predicted),
                "exact_match": sk.accuracy_score(targets, predicted),
            }
        )

    @pytest.mark.parametrize("targets", [1, 2])
    def test_regression_is_that_of_scikit_learn(self, targets: int) -> None:
        columns = [measured(seed=seed) for seed in range(targets)]
        true, predicted = (np.stack([each[place] for each in columns], axis=1) for place in (0, 1))
        rmse = np.mean([sk.mean_squared_error(true[:, each], predicted[:, each]) ** 0.5 for each in range(targets)])
        expected = {"rmse": rmse, "mae": sk.mean_absolute_error(true, predicted), "r2": sk.r2_score(true, predicted)}
        assert score("regression", true, predicted) == pytest.approx(expected)

    def test_one_column_of_outputs_is_that_of_flat_targets(self) -> None:
        targets, outputs = measured()
        assert score("regression", targets, outputs[:, None]) == score("regression", targets, outputs)

    def test_a_class_that_does_not_occur_changes_nothing(self) -> None:
        targets, outputs = classified(classes=3)
        wider = np.concatenate([outputs, np.zeros((len(outputs), 1))], axis=1)
        assert score("classification", targets, wider) == pytest.approx(score("classification", targets, outputs))

    def test_what_is_not_defined_is_left_out(self) -> None:
        assert "auroc" not in score("classification", np.zeros(5, int), np.full((5, 2), 0.5))
        assert "r2" not in score("regression", np.ones(5), np.ones(5))

    def test_a_certain_wrong_prediction_has_a_finite_loss(self) -> None:
        assert score("classification", np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))["log_loss"] == (
            pytest.approx(sk.log_loss([0, 1], [[0.0, 1.0], [0.0, 1.0]]))
        )

    def test_directions(self) -> None:
        lower = [name for kind in KINDS for name, metric in metrics_for(kind).items() if not metric.higher_is_better]  # type: ignore[arg-type]
        assert sorted(lower) == ["log_loss", "mae", "rmse"]


class TestErrors:
    def test_another_kind(self) -> None:
        with pytest.raises(ConfigurationError, match="Expected kind to be one of classification, .* but got 'rank'"):
            metrics_for("rank")  # type: ignore[arg-type]

    def test_outputs_of_other_samples(self) -> None:
        with pytest.raises(DataError, match="Expected one output per target, .* but got 2 targets and 3 outputs"):
            score("regression", np.ones(2), np.ones(3))

    def test_no_samples(self) -> None:
        with pytest.raises(DataError, match="at least one, but got 0 targets"):
            score("regression", np.ones(0), np.ones(0))

    def test_outputs_that_are_not_finite(self) -> None:
        with pytest.raises(DataError, match="Expected finite outputs, but 2 of 3 samples have NaN"):
            score("regression", np.ones(3), np.array([1, np.nan, np.inf]))


class TestBootstrap:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_resample_has_the_value_of_its_samples(self, kind: Any) -> None:
        targets, outputs = MADE[kind]()
        random = np.random.default_rng(1)
        drawn = random.integers(0, len(targets), (3, len(targets)))
        counts = np.stack([np.bincount(rows, minlength=len(targets)) for rows in drawn]).astype(float)
        for metric in metrics_for(kind).values():
            values = metric.prepare(targets, outputs)(counts)
            assert values == pytest.approx([metric(targets[rows], outputs[rows]) for rows in drawn]), metric.name

    @pytest.mark.parametrize("kind", KINDS)
    def test_intervals_hold_the_value(self, kind: Any) -> None:
        targets, outputs = MADE[kind]()
        for metric in metrics_for(kind).values():
            interval = bootstrap(metric, targets, outputs)
            assert interval is not None
            assert interval[0] < metric(targets, outputs) < interval[1], metric.name

    def test_an_interval_is_as_wide_as_theory_says(self) -> None:
        random = np.random.default_rng(0)
        targets = np.zeros(1000, int)
        outputs = np.eye(2)[(random.random(1000) < 0.2).astype(int)]
        accuracy = metrics_for("classification")["accuracy"]
        low, high = bootstrap(accuracy, targets, outputs, resamples=4000) or (0, 0)
        # 1.96 standard errors of a share on each side.
        share = accuracy(targets, outputs)
        assert (high - low) / 2 == pytest.approx(1.96 * (share * (1 - share) / 1000) ** 0.5, rel=0.08)

    def test_a_seed_decides(self) -> None:
        accuracy = metrics_for("classification")["accuracy"]
        one, same, other = (bootstrap(accuracy, *classified(), seed=seed) for seed in (0, 0, 1))
        assert one == same != other

    def test_a_model_without_errors_is_not_certain(self) -> None:
        targets = np.arange(30) % 2
        interval = bootstrap(metrics_for("classification")["accuracy"], targets, np.eye(2)[targets])
        assert interval == pytest.approx((0.9, 1.0))

    def test_samples_of_a_group_are_drawn_together(self) -> None:
        targets = np.repeat([0, 1], 100)
        groups = np.repeat(np.arange(20), 10)
        outputs = np.eye(2)[np.where(np.isin(groups, [0, 5, 12]), 1 - targets, targets)]
        accuracy = metrics_for("classification")["accuracy"]
        alone = bootstrap(accuracy, targets, outputs) or (0, 0)
        together = bootstrap(accuracy, targets, outputs, groups=[f"g{each}" for each in groups]) or (0, 0)
        # With ten equal samples a group, the interval is that of a tenth of the samples.
        assert (together[1] - together[0]) / (alone[1] - alone[0]) == pytest.approx(10**0.5, rel=0.2)

    def test_a_metric_that_is_not_defined_has_no_interval(self) -> None:
        auroc = metrics_for("classification")["auroc"]
        assert bootstrap(auroc, np.zeros(20, int), np.full((20, 2), 0.5)) is None

    def test_merged_ranks_keep_the_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        targets, outputs = classified(2000, classes=2)
        exact = bootstrap(metrics_for("classification")["auroc"], targets, outputs, resamples=300)
        monkeypatch.setattr(_resampling, "_MOST_RANKS", 100)
        auroc = metrics_for("classification")["auroc"]
        assert auroc.prepare(targets, outputs)(np.ones((1, 2000)))[0] == pytest.approx(auroc(targets, outputs))
        assert bootstrap(auroc, targets, outputs, resamples=300) == pytest.approx(exact, abs=5e-4)


class TestCompare:
    def test_a_better_model_exceeds_noise_in_one_direction(self) -> None:
        targets, good = classified(seed=0)
        bad = np.full_like(good, 1 / 4)
        for name in ("accuracy", "log_loss"):
            found = compare(metrics_for("classification")[name], targets, ("good", good), ("bad", bad))
            assert found.exceeds_noise
            assert found.difference > 0
            back = compare(metrics_for("classification")[name], targets, ("bad", bad), ("good", good))
            assert back.exceeds_noise
            assert back.difference == -found.difference

    def test_equal_models_do_not(self) -> None:
        targets, outputs = classified()
        found = compare(metrics_for("classification")["accuracy"], targets, ("a", outputs), ("b", outputs))
        assert found.difference == 0
        assert found.interval == (0, 0)
        assert not found.exceeds_noise

    def test_pairs_see_what_two_intervals_do_not(self) -> None:
        targets, outputs = measured()
        shifted = outputs + 0.2 * np.sign(outputs - targets)  # a little worse on every sample
        rmse = metrics_for("regression")["rmse"]
        one, other = bootstrap(rmse, targets, outputs) or (0, 0), bootstrap(rmse, targets, shifted) or (0, 0)
        assert one[1] > other[0]
        assert compare(rmse, targets, ("a", outputs), ("b", shifted)).exceeds_noise

    def test_noise_is_found_as_often_as_it_should_be(self) -> None:
        accuracy = metrics_for("classification")["accuracy"]
        found = 0
        for seed in range(100):
            random = np.random.default_rng(seed)
            one, other = (np.eye(2)[(random.random(200) < 0.3).astype(int)] for _ in range(2))
            found += compare(
                accuracy, np.zeros(200, int), ("a", one), ("b", other), resamples=200, seed=seed
            ).exceeds_noise
        assert found <= 12  # 5 of 100 are expected, and more than 12 have a probability of 0.1 %.

    def test_few_samples_say_nothing(self) -> None:
        targets = np.arange(9) % 2
        found = compare(
            metrics_for("classification")["accuracy"], targets, ("a", np.eye(2)[targets]), ("b", np.eye(2)[1 - targets])
        )
        assert found.difference == 1
        assert found.interval is None
        assert not found.exceeds_noise


class TestFiles:
    def test_the_table_has_one_row_an_entry(self, tmp_path: Path, make_results: Callable[..., Results]) -> None:
        results = make_results()
        write_leaderboard(tmp_path / "new", results)
        rows = list(csv.DictReader((tmp_path / "new" / "leaderboard.csv").open(encoding="utf-8")))
        assert [row["name"] for row in rows] == ["tabm", "most frequent", "broken"]
        assert float(rows[0]["val_accuracy"]) == results.entries[0].scores["accuracy"]
        assert float(rows[0]["test_accuracy_low"]) == (results.entries[0].test_interval or (0, 0))[0]
        assert rows[2]["val_accuracy"] == ""
        assert rows[2]["reason"] == "Expected memory, but there is none."

    def test_numbers_are_json_without_nan(self, tmp_path: Path, make_results: Callable[..., Results]) -> None:
        results = make_results("regression")
        facts = {"mean": np.float64("nan"), "rows": np.int64(3), "half": "\ud800", "kinds": ("a", 1)}
        write_leaderboard(tmp_path, make_results("regression", facts=facts))
        numbers = json.loads((tmp_path / "results.json").read_text())
        assert numbers["facts"] == {"mean": None, "rows": 3, "half": "\ud800", "kinds": ["a", 1]}
        assert numbers["entries"][0]["interval"] == list(results.entries[0].interval or ())
        assert numbers["comparisons"][0]["exceeds_noise"] is True

    def test_nothing_is_written_as_nothing(self, tmp_path: Path, nothing: Results) -> None:
        write_leaderboard(tmp_path, nothing)
        assert (tmp_path / "leaderboard.csv").read_text().startswith("rank,name,kind,status,seconds")
        assert json.loads((tmp_path / "results.json").read_text())["evaluation"] == {}

    def test_a_folder_that_is_a_file(self, tmp_path: Path, nothing: Results) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CheckpointError, match="could not be written: .* choose another folder with -o FOLDER"):
            write_leaderboard(tmp_path / "file", nothing)
