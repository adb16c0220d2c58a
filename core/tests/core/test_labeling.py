"""Samples to label next, and labels to look at again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flash import DataModule, Task
from flash.core.classification import ClassificationTask
from flash.core.labeling import RankedRow, RankedRows, label_margins, rank_to_label, suspicious_labels
from flash.errors import CheckpointError, ConfigurationError, DataError, UnknownNameError


class Plain(ClassificationTask):
    """The scores of the classes are the first numbers of a sample, and all of them its features."""

    def __init__(self, num_classes: int = 2, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.backbone = nn.Identity()

    def forward_features(self, x: Any) -> Any:
        return self.backbone(x)

    def forward_head(self, features: Any) -> Any:
        return features[:, : self.num_classes]


def to_predict(rows: Any) -> DataModule:
    return DataModule.from_tensors(predict_data=torch.tensor(rows))


# Four that are uncertain, of which three are alike, and two that are certain.
UNCERTAIN = [[0.3, 0.0, 9.0], [8.0, 0.0, 1.0], [0.1, 0.0, 9.0], [0.2, 0.0, 9.0], [0.0, 0.4, -9.0], [0.0, 9.0, 1.0]]


def test_without_a_layer_the_least_certain_come_first() -> None:
    found = rank_to_label(Plain(), to_predict(UNCERTAIN), 4, layer=None)
    assert [each.row for each in found] == [2, 3, 0, 4]
    assert [each.score for each in found] == pytest.approx([1 - each.probability for each in found])
    assert {each.label for each in found} == {None}


def test_alike_samples_are_not_chosen_together() -> None:
    found = rank_to_label(Plain(), to_predict(UNCERTAIN), 2)
    assert [each.row for each in found] == [2, 4]


def test_of_many_samples_the_chosen_ones_cover_all_uncertain_kinds() -> None:
    generator = torch.Generator().manual_seed(0)
    kinds = torch.eye(8).repeat_interleave(50, 0) * 5
    rows = torch.cat([torch.zeros(400, 2), kinds + 0.01 * torch.randn(400, 8, generator=generator)], 1)
    found = rank_to_label(Plain(), DataModule.from_tensors(predict_data=rows), 40)
    assert {each.row // 50 for each in found[:8]} == set(range(8))
    assert len({each.row for each in found}) == 40


def test_a_task_without_features_ranks_by_certainty() -> None:
    task = ClassificationTask(model=nn.Identity(), num_classes=3)
    found = rank_to_label(task, to_predict([[9.0, 0.0, 0.0], [1.0, 0.9, 0.8]]), 9)
    assert [(each.row, each.prediction) for each in found] == [(1, "0"), (0, "0")]


def test_several_labels_are_as_uncertain_as_the_least_certain_one() -> None:
    found = rank_to_label(Plain(multi_label=True), to_predict([[5.0, 0.1, 0.0], [1.0, 1.0, 0.0]]), 2, layer=None)
    assert [each.row for each in found] == [0, 1]


def test_what_cannot_be_ranked_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected a classifier, whose predictions have probabilities, but"):
        rank_to_label(Task(nn.Identity()), to_predict(UNCERTAIN), 2)
    with pytest.raises(ConfigurationError, match="Expected count to be a whole number of at least 1, but got 0"):
        rank_to_label(Plain(), to_predict(UNCERTAIN), 0)
    with pytest.raises(UnknownNameError, match="Expected a layer of Plain, but got 'bckbone'"):
        rank_to_label(Plain(), to_predict(UNCERTAIN), 2, layer="bckbone")


# ---------------------------------------------------------------------- labels


def clouds(rows: int = 120, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Return points around a center for each class."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(rows) % classes
    centers = 3 * torch.randn(classes, 6, generator=generator)
    return centers[targets] + torch.randn(rows, 6, generator=generator), targets


def test_wrong_labels_are_found() -> None:
    points, targets = clouds()
    wrong = [3, 40, 77, 101]
    noisy = targets.clone()
    noisy[wrong] = (noisy[wrong] + 1) % 3
    data = DataModule.from_tensors(points, noisy, seed=0)
    found = suspicious_labels(Plain(3), data)
    assert set(wrong) <= {each.row for each in found[:6]}
    assert len(found) < 10
    right = {each.row: each.prediction for each in found}
    assert [right[row] for row in wrong] == [str(int(targets[row])) for row in wrong]
    assert [each.label for each in found] == [str(int(noisy[each.row])) for each in found]
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert found == suspicious_labels(Plain(3), DataModule.from_tensors(points, noisy, seed=0))


def test_labels_that_are_right_are_left_alone() -> None:
    points, targets = clouds()
    assert len(suspicious_labels(Plain(3), DataModule.from_tensors(10 * points, targets))) <= 1


def test_a_sample_is_judged_by_models_that_did_not_learn_from_it() -> None:
    # Vectors of so many numbers can tell each sample apart: a model that learned from all finds no label wrong.
    generator = torch.Generator().manual_seed(0)
    points, targets = torch.randn(40, 200, generator=generator), torch.arange(40) % 2
    points[:, 0] += 20 * targets
    targets[7] = 1 - targets[7]
    found = suspicious_labels(Plain(), DataModule.from_tensors(points, targets), layer="backbone")
    assert 7 in [each.row for each in found]


def test_a_class_that_a_model_is_less_sure_of_needs_less_to_be_likely() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.55, 0.45], [0.6, 0.4], [0.7, 0.3]])
    margins, likely = label_margins(probabilities, torch.tensor([0, 0, 0, 1, 1]))
    # The mean of the second class is 0.35: it is likely for the third sample, and the first class is not (0.75).
    assert likely[2] == 1
    assert margins.tolist() == [0, 0, 0, 0, 0]  # But it is not more probable than the label.
    alone = label_margins(torch.tensor([[0.1, 0.9], [0.2, 0.8]]), torch.tensor([0, 0]))[0]
    assert alone.tolist() == [0, 0]  # A class without samples has no threshold.


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (
            torch.tensor([0, 0, 0, 1, 0, 0]),
            "Expected at least two samples of each class, .* but got the classes 1 with",
        ),
        (torch.tensor([0, 1, 0, 1]), "one for each of 5 folds, but got 4 samples in all"),
    ],
)
def test_too_few_samples_are_an_error(targets: Tensor, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        suspicious_labels(Plain(), DataModule.from_tensors(torch.randn(len(targets), 3), targets))


def test_labels_that_cannot_be_judged_are_an_error() -> None:
    points, targets = clouds(12)
    with pytest.raises(ConfigurationError, match="Expected train data with one class per sample"):
        suspicious_labels(Task(nn.Identity()), DataModule.from_tensors(points, points), layer="model")
    with pytest.raises(ConfigurationError, match="Expected folds to be an integer above 1, but got 1"):
        suspicious_labels(Plain(3), DataModule.from_tensors(points, targets), folds=1)
    with pytest.raises(
        ConfigurationError, match="this ClassificationTask was made with an object, model=module. Pass layer"
    ):
        suspicious_labels(
            ClassificationTask(model=nn.Linear(6, 3), num_classes=3), DataModule.from_tensors(points, targets)
        )


class Networks(ClassificationTask):
    """A network without features, made from its arguments."""

    def __init__(self, num_classes: int, width: int = 16) -> None:
        network = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, num_classes))
        super().__init__(model=network, num_classes=num_classes, learning_rate=0.05)


@pytest.mark.train
def test_labels_of_tasks_without_features_are_judged_by_networks_that_did_not_learn_from_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # No linear model knows the classes, and a network that had learned these labels would know the wrong ones.
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(200, 2, generator=generator) * 2 - 1
    points = points.sign() * (0.3 + 0.7 * points.abs())
    targets = (points.prod(1) > 0).long()
    wrong = [3, 40, 77, 101]
    noisy = targets.clone()
    noisy[wrong] = 1 - noisy[wrong]
    noisy[9] = -100  # It is ignored.
    task = Networks(2)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    state = torch.get_rng_state()
    data = DataModule.from_tensors(points, noisy, seed=0, batch_size=32)
    found = suspicious_labels(task, data, folds=3)
    assert {each.row for each in found[:4]} == set(wrong)
    assert [each.prediction for each in found[:4]] == [str(int(targets[each.row])) for each in found[:4]]
    assert len(found) < 12
    assert 9 not in [each.row for each in found]
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert "epoch" not in capsys.readouterr().out
    assert found == suspicious_labels(task, data, folds=3)


# ---------------------------------------------------------------------- files

ROWS = RankedRows(
    [
        RankedRow(Path("a,b.png"), 4, None, "dog", 0.75, 0.25),
        RankedRow("c.png", 1, "cat", "dog", 0.5, 0.125),
    ],
    "predict",
)


def test_rows_are_written_as_a_table(tmp_path: Path) -> None:
    ROWS.save(path := tmp_path / "rows.csv")
    with path.open() as file:
        assert list(csv.DictReader(file)) == [
            {"id": "a,b.png", "row": "4", "label": "", "prediction": "dog", "probability": "0.75", "score": "0.25"},
            {"id": "c.png", "row": "1", "label": "cat", "prediction": "dog", "probability": "0.5", "score": "0.125"},
        ]
    ROWS.save(path := tmp_path / "rows.jsonl")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a,b.png", "c.png"]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="rows.txt"):
        ROWS.save(tmp_path / "rows.txt")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"rows.csv could not be written: .*file is not a folder"):
        ROWS.save(tmp_path / "file" / "rows.csv")
