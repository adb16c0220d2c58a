"""Tasks with a class for each of many places of a sample: they are raced by counts of places."""

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
from flash.core.dense import DenseTask
from flash.core.prediction import predict_batches
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


class Marker(DenseTask, Task):
    """Marks each number by itself."""

    def __init__(self, num_classes: int = 2, labels: Any = None) -> None:
        super().__init__(loss_fn=nn.functional.cross_entropy, learning_rate=0.1)
        self.num_classes, self.labels = num_classes, labels
        torch.manual_seed(0)
        self.layer = nn.Linear(1, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x[..., None]).movedim(-1, 1)

    @classmethod
    def true_counts(cls, dataset: Any, num_classes: int) -> Tensor:
        return torch.stack([torch.bincount(target, minlength=num_classes) for _, target in dataset])

    def predicted_counts(self, dataset: Any, batch_size: int, num_workers: int = 0) -> Tensor:
        batches = predict_batches(self, dataset, batch_size=batch_size, num_workers=num_workers)
        found = {row: counts for batch in batches for row, counts in self._counts(batch)}
        return torch.stack([found[row] for row in range(len(dataset))])

    def _counts(self, batch: Any) -> Iterator[tuple[int, Tensor]]:
        for row, scores, target in zip(batch.rows, batch.output, batch.targets, strict=True):
            marked = scores.argmax(0)
            either = (marked, marked[marked == target])
            yield row, torch.stack([torch.bincount(each, minlength=self.num_classes) for each in either])

    def pictures(self, dataset: Any, rows: Sequence[int]) -> list[Any]:
        return [np.full((8, 16, 3), 100, np.uint8) for _ in rows]


class AlwaysLow:
    """Takes each number for low."""

    kind = "trivial"

    def fit(self, data: DataModule) -> None:
        """Learn nothing."""

    def predict(self, dataset: Any) -> Tensor:
        true = Marker.true_counts(dataset, 2)
        return torch.stack([torch.tensor([[8, 0], [int(low), 0]]) for low, _ in true])


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
def test_a_dense_task_is_raced_by_iou_and_shows_its_worst_samples(tmp_path: Path) -> None:
    found = run(data(), output=tmp_path / "out", time_limit=30, say=ignore).results
    assert (found.kind, found.metric, found.best) == ("dense", "iou", "default")
    scores = {entry.name: entry.scores for entry in found.entries}
    assert scores["low"]["iou"] < 0.5 < 0.6 < scores["default"]["iou"]
    assert [entry.kind for entry in found.entries if entry.name == "low"] == ["trivial"]
    # Over all places of all samples, as the definition has it.
    predicted, right = np.split(found.outputs, 2, axis=1)
    ious = right.sum(0) / (found.targets.sum(0) + predicted.sum(0) - right.sum(0))
    (best,) = [entry for entry in found.entries if entry.name == "default"]
    assert best.test_scores["iou"] == pytest.approx(ious.mean())
    assert found.mistakes[0].loss >= found.mistakes[-1].loss > 0
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())
    per_class = {row["label"]: row["iou"] for row in numbers["evaluation"]["per_class"]}
    assert per_class == pytest.approx(dict(zip(LABELS, ious, strict=True)))
    with (tmp_path / "out" / "leaderboard.csv").open() as file:
        assert next(csv.DictReader(file))["name"] == "default"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The samples with the lowest IoU" in page
    assert "Labels to check" not in page


def test_dense_samples_have_no_folds(tmp_path: Path) -> None:
    source = Source(data())
    with pytest.raises(ConfigurationError, match="Expected samples with one result each to make folds of, but"):
        Folds(pose(source, ignore), source, 3)
