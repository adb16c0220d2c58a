"""Tasks whose samples have more than one result: they are raced by statistics of samples."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flash import DataModule, Preprocess, Task
from flash.baseline import run
from flash.baseline.folds import Folds
from flash.baseline.problem import Source, pose
from flash.core.prediction import predict_batches
from flash.core.structured_prediction import CountedTask
from flash.errors import ConfigurationError
from flash.plugins import Recipe, TaskSpec, hookimpl, isolated_plugins

LABELS = ["low", "high"]


class Rows(Preprocess):
    """Rows of eight numbers, each of which is low or high."""

    def load_data(self, data: Any, dataset: Any) -> Any:
        dataset.num_classes, dataset.labels, dataset.multi_label = 2, LABELS, False
        return data

    def display_sample(self, sample: Any) -> Any:
        return "a row"


class RowData(DataModule):
    """Rows with a class per number."""


class Marker(CountedTask, Task):
    """Marks each number by itself."""

    def __init__(self, num_classes: int = 2, labels: Any = None) -> None:
        super().__init__(loss_fn=nn.functional.cross_entropy, learning_rate=0.1)
        self.num_classes, self.labels = num_classes, labels
        torch.manual_seed(0)
        self.layer = nn.Linear(1, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x[..., None]).movedim(-1, 1)

    @classmethod
    def true_statistics(cls, dataset: Any, num_classes: int | None = None) -> Any:
        return np.stack([np.bincount(target, minlength=2) for _, target in dataset])

    def predicted_statistics(self, dataset: Any, batch_size: int, num_workers: int = 0) -> Any:
        batches = predict_batches(self, dataset, batch_size=batch_size, num_workers=num_workers)
        found = {row: counts for batch in batches for row, counts in self._counts(batch)}
        return torch.stack([found[row] for row in range(len(dataset))]).numpy()

    def _counts(self, batch: Any) -> Iterator[tuple[int, Tensor]]:
        for row, scores, target in zip(batch.rows, batch.output, batch.targets, strict=True):
            marked = scores.argmax(0)
            either = (marked, marked[marked == target])
            yield row, torch.cat([torch.bincount(each, minlength=self.num_classes) for each in either])

    def pictures(self, dataset: Any, rows: Sequence[int]) -> list[Any]:
        return [np.full((8, 16, 3), 100, np.uint8) for _ in rows]


class AlwaysLow:
    """Takes each number for low."""

    kind = "trivial"

    def fit(self, data: DataModule) -> None:
        """Learn nothing."""

    def predict(self, dataset: Any) -> Any:
        return np.stack([[8, 0, low, 0] for low, _ in Marker.true_statistics(dataset, 2)])


def always_low(data: DataModule) -> AlwaysLow:
    return AlwaysLow()


class Plugin:
    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        yield TaskSpec("rows/marking", task=f"{__name__}:Marker", data=f"{__name__}:RowData", summary="Marks of rows.")

    @hookimpl
    def flash_recipes(self) -> Iterator[Recipe]:
        yield Recipe("low", target=f"{__name__}:always_low", scope="rows/marking", summary="All numbers are low.")


@pytest.fixture(autouse=True)
def plugin() -> Iterator[None]:
    with isolated_plugins(Plugin()):
        yield


def ignore(line: str) -> None:
    """Say nothing."""


def data(count: int = 60) -> RowData:
    torch.manual_seed(0)
    numbers = torch.rand(count, 8)
    # Numbers in the middle are noise, so that a model that learned makes mistakes.
    marks = (numbers + 0.1 * torch.randn(count, 8) > 0.6).long()
    options: dict[str, Any] = {"preprocess": Rows(), "val_split": 0.2, "test_split": 0.3, "seed": 0, "batch_size": 8}
    return RowData.from_load_data_inputs(list(zip(numbers, marks, strict=True)), **options)


@pytest.mark.train
def test_a_structured_task_is_raced_by_its_own_metric_and_shows_its_worst_samples(tmp_path: Path) -> None:
    found = run(data(), output=tmp_path / "out", time_limit=30, say=ignore).results
    assert (found.kind, found.metric, found.best) == ("structured", "f1", "default")
    scores = {entry.name: entry.scores for entry in found.entries}
    assert scores["low"]["f1_macro"] < 0.5 < 0.7 < scores["default"]["f1_macro"]
    assert [entry.kind for entry in found.entries if entry.name == "low"] == ["trivial"]
    # Over all places of all samples, as the definition has it.
    predicted, right = np.split(found.outputs, 2, axis=1)
    f1 = 2 * right.sum(0) / (found.targets.sum(0) + predicted.sum(0))
    (best,) = [entry for entry in found.entries if entry.name == "default"]
    assert best.test_scores["f1_macro"] == pytest.approx(f1.mean())
    assert found.mistakes[0].loss >= found.mistakes[-1].loss > 0
    assert {sample.truth for sample in found.mistakes} <= {"low", "high", "low, high"}
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())
    per_class = {row["label"]: row["f1"] for row in numbers["evaluation"]["per_class"]}
    assert per_class == pytest.approx(dict(zip(LABELS, f1, strict=True)))
    assert found.classes["train"] == dict.fromkeys(LABELS, 34)
    with (tmp_path / "out" / "leaderboard.csv").open() as file:
        assert next(csv.DictReader(file))["name"] == "default"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The samples with the lowest F1: truth left, prediction right" in page
    assert "Labels to check" not in page


def test_samples_of_more_than_one_result_have_no_folds(tmp_path: Path) -> None:
    source = Source(data())
    with pytest.raises(ConfigurationError, match="Expected samples with one result each to make folds of, but"):
        Folds(pose(source, ignore), source, 3)


def test_the_classes_of_statistics_may_be_others_than_those_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marker, "statistics_labels", classmethod(lambda _, labels: [f"{each} ones" for each in labels]))
    problem = pose(Source(data()), ignore)
    assert problem.labels == ["low ones", "high ones"]
    assert problem.named("train", 1) == [["low ones", "high ones"]]


def test_results_of_one_class_alone_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marker, "statistics_labels", classmethod(lambda _, labels: list(labels)[:1]))
    monkeypatch.setattr(
        Marker,
        "true_statistics",
        classmethod(lambda _, dataset, count=None: np.stack([[(target == 0).sum()] for _, target in dataset])),
    )
    assert "one class" not in {each.kind for each in pose(Source(data()), ignore).findings}


class KnowsItsWords(AlwaysLow):
    """Says what it predicts."""

    def describe_predictions(self, dataset: Any, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        return [f"{labels[0]} at all places" for _ in rows]


def test_a_model_without_a_network_may_put_its_predictions_into_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.always_low", lambda _: KnowsItsWords())
    found = run(data(), output=tmp_path / "out", time_limit=30, recipes=["low"], say=ignore).results
    assert {sample.prediction for sample in found.mistakes} == {"low at all places"}
