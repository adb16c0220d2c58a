"""What the metrics of a stage have taken in goes on in another object, as if nothing had been in between."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassConfusionMatrix,
    MulticlassRecall,
    MulticlassROC,
)

import flash
from flash.core.classification import ClassificationTask
from flash.core.metrics import StageMetrics, named_metrics
from flash.data.data_module import TensorPreprocess
from flash.errors import ConfigurationError
from flash.serialization import from_serializable, to_serializable
from flash.testing._group import run_group

METRICS: dict[str, Any] = {
    "auroc": MulticlassAUROC(2, thresholds=None),  # Its state is a list.
    "entropy": nn.functional.cross_entropy,
}


def take_in(metrics: StageMetrics, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    predictions, targets = torch.randn(4, 2, generator=generator), torch.tensor([0, 1, 1, 0])
    loss = nn.functional.cross_entropy(predictions, targets)
    metrics.update(loss, predictions, targets, rows=4, weight=torch.tensor(step + 1.0))
    metrics.log("largest", predictions.max(), 4)


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_metrics_go_on_behind_what_another_object_took_in(steps: int, flushed: bool) -> None:
    whole, first, second = (StageMetrics(METRICS) for _ in range(3))
    for step in range(5):
        take_in(whole, step)
        take_in(first, step) if step < steps else None
    if flushed:
        first.flush()
    second.restore(from_serializable(to_serializable(first.accumulated())), torch.device("cpu"))
    for step in range(steps, 5):
        take_in(second, step)
    expected = whole.compute()
    assert set(expected) == {"loss", "auroc", "entropy", "largest"}
    assert {name: pytest.approx(float(value)) for name, value in expected.items()} == second.compute()


def test_what_was_taken_in_before_is_replaced() -> None:
    empty, used = StageMetrics(MeanSquaredError()), StageMetrics(MeanSquaredError())
    used.update(torch.tensor(1.0), torch.zeros(2), torch.ones(2), rows=2)
    used.restore(empty.accumulated(), torch.device("cpu"))
    assert used.compute() == {}


def test_metrics_of_the_stages_are_separate_and_the_given_one_is_not_touched(
    trainer_options: dict[str, Any], linear: Any, regression_data: Any
) -> None:
    metric = MeanAbsoluteError()
    flash.Trainer(max_epochs=1, **trainer_options).fit(linear(metrics=metric), regression_data())
    assert not metric.update_called


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (MeanSquaredError(), ["mean_squared_error"]),
        (MulticlassAccuracy(num_classes=3), ["accuracy"]),
        ([nn.functional.l1_loss, nn.functional.mse_loss], ["l1_loss", "mse_loss"]),
        ({"train": nn.functional.l1_loss}, ["train"]),
        (None, []),
    ],
)
def test_metrics_are_named_after_their_class_or_function(metrics: Any, names: list[str]) -> None:
    assert list(named_metrics(metrics)) == names
    StageMetrics(metrics)


def test_a_metric_class_that_was_not_called_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"A metric class must be called: Accuracy\(task='binary'\)"):
        named_metrics(MeanSquaredError)


def test_two_metrics_of_one_name_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="two are called 'mean_squared_error'"):
        named_metrics([MeanSquaredError(), MeanSquaredError()])


def test_metrics_see_batches_of_different_shapes_one_by_one() -> None:
    seen: list[tuple[int, ...]] = []

    def shape(predictions: Any, targets: Any) -> float:
        seen.append(tuple(predictions.shape))
        return 0.0

    metrics = StageMetrics({"shape": shape})
    for length in (2, 3):
        metrics.update(torch.tensor(0.0), torch.zeros(1, length), torch.zeros(1, length))
    metrics.compute()
    assert seen == [(1, 2), (1, 3)]


def test_numbers_of_a_metric_that_has_several_bear_its_name_once() -> None:
    class Several(MeanSquaredError):
        def compute(self) -> Any:
            value = super().compute()
            return {"map": value, "map_50": value, "recall": value, "by_class": torch.zeros(3)}

    metrics = StageMetrics({"map": Several()})
    metrics.update(None, torch.zeros(2), torch.ones(2))
    assert set(metrics.compute()) == {"map", "map_50", "map_recall", *(f"map_by_class_{index}" for index in range(3))}


def test_a_metric_may_keep_lists_of_things_that_are_no_tensors() -> None:
    class Shapes(Metric):
        seen: list[Any]

        def __init__(self) -> None:
            super().__init__()
            self.add_state("seen", default=[], dist_reduce_fx=None)

        def update(self, preds: Any, target: Any) -> None:
            self.seen += [((2, 3), b"22")] * len(preds)

        def compute(self) -> torch.Tensor:
            return torch.tensor(float(len(self.seen)))

    metrics = StageMetrics({"shapes": Shapes()})
    metrics.update(None, torch.zeros(3), torch.zeros(3))
    assert metrics.compute()["shapes"] == 3


# ---------------------------------------------------------------------- values that are not numbers

LABELS = ["ants", "bees", "wasps"]
PREDICTED = torch.tensor([0, 0, 1, 1, 1, 2, 2])
TRUE = torch.tensor([0, 1, 1, 1, 2, 2, 2])


def accumulated(metrics: Any) -> StageMetrics:
    stage = StageMetrics(metrics)
    for rows in (slice(0, 4), slice(4, 7)):
        scores = nn.functional.one_hot(PREDICTED[rows], 3).float()
        stage.update(torch.tensor(0.5), scores, TRUE[rows], rows=len(TRUE[rows]))
    return stage


def test_the_values_of_classes_are_named_by_label() -> None:
    stage = accumulated({"recall": MulticlassRecall(3, average=None)})
    values = stage.compute(LABELS)
    # Recalls counted by hand: 1 of 1 ants, 2 of 3 bees, 2 of 3 wasps.
    assert {name: round(float(value), 3) for name, value in values.items()} == {
        "loss": 0.5,
        "recall_ants": 1.0,
        "recall_bees": 0.667,
        "recall_wasps": 0.667,
    }
    assert stage.elements == {"recall_ants", "recall_bees", "recall_wasps"}
    assert set(stage.compute(["a", "b"])) == set(stage.compute()) == {"loss", "recall_0", "recall_1", "recall_2"}
    assert stage.higher_is_better("recall_bees") is True


def test_a_matrix_is_kept_and_is_no_number() -> None:
    stage = accumulated({"confusion": MulticlassConfusionMatrix(3)})
    assert set(stage.compute(LABELS)) == {"loss"}
    assert stage.values["confusion"].tolist() == [[1, 0, 0], [1, 2, 0], [0, 1, 2]]


def test_curves_are_kept_as_their_metric_returns_them() -> None:
    stage = accumulated({"roc": MulticlassROC(3, thresholds=5)})
    assert set(stage.compute(LABELS)) == {"loss"}
    assert [part.shape for part in stage.values["roc"]] == [(3, 5), (3, 5), (5,)]


def test_a_function_that_returns_a_number_per_sample_is_averaged_over_all_samples() -> None:
    stage = accumulated({"sums": lambda scores, targets: targets.float()})
    assert float(stage.compute()["sums"]) == pytest.approx(9 / 7)


def test_a_function_that_returns_a_vector_of_another_length_says_so() -> None:
    stage = accumulated({"counts": lambda scores, targets: scores.sum(0)})
    with pytest.raises(ConfigurationError, match=r"'counts' to return a number, or one per sample, .* \(3,\) for 7"):
        stage.compute()


@pytest.mark.parametrize("stage", ["val", "test"])
def test_matrices_are_shown_with_labels_and_kept_by_the_task(
    stage: str, trainer_options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    task = ClassificationTask(
        labels=LABELS,
        model=nn.Identity(),
        metrics={"confusion": MulticlassConfusionMatrix(3), "recall": MulticlassRecall(3, average=None)},
    )
    scores = nn.functional.one_hot(PREDICTED, 3).float()
    dm = flash.DataModule.from_tensors(
        **{f"{stage}_data": scores, f"{stage}_targets": TRUE}, batch_size=2, preprocess=TensorPreprocess()
    )
    trainer = flash.Trainer(**trainer_options)
    evaluate = trainer.validate if stage == "val" else trainer.test
    (logged,) = evaluate(task, datamodule=dm)
    assert logged[f"{stage}_recall_bees"] == pytest.approx(2 / 3)
    assert task.metric_values[f"{stage}_confusion"].tolist() == [[1, 0, 0], [1, 2, 0], [0, 1, 2]]
    shown = capsys.readouterr().out
    assert (
        f"{stage}_confusion:\n       ants  bees  wasps\nants      1     0      0\nbees      1     2      0\nwasps     "
        "0     1      2\n"
    ) in shown
    evaluate(task, datamodule=dm, verbose=False)
    assert "confusion" not in capsys.readouterr().out


def test_scores_of_classes_are_logged_and_not_in_the_progress_bar(trainer_options: dict[str, Any]) -> None:
    task = ClassificationTask(
        labels=["a", "b"],
        model=nn.Linear(2, 2),
        metrics={"recall": MulticlassRecall(2, average=None), "accuracy": MulticlassAccuracy(2)},
    )
    x, y = torch.randn(8, 2), torch.tensor([0, 1] * 4)
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, flash.DataModule.from_tensors(x, y, x, y, batch_size=4))
    assert {"val_recall_a", "val_recall_b", "val_accuracy"} <= set(trainer.callback_metrics)
    in_bar = {name for name in trainer.progress_bar_metrics if name.startswith("val_")}
    assert in_bar == {"val_loss", "val_accuracy"}


class Spread(Metric):
    """The largest difference between samples, which it keeps one by one, and their number."""

    seen: list[Tensor]
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("seen", [], dist_reduce_fx=None)
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        self.seen.extend(predictions)
        self.count += len(predictions)

    def compute(self) -> dict[str, Tensor]:
        seen = torch.stack(self.seen)
        return {"spread": seen.max() - seen.min(), "kept": torch.tensor(len(seen)), "count": self.count}


@pytest.mark.process
@pytest.mark.parametrize("rows", [(3, 2), (1, 4), (5, 0)])
def test_metrics_that_keep_single_rows_are_those_of_all_processes_with_unlike_numbers(rows: tuple[int, int]) -> None:
    predictions, targets = torch.tensor([0.9, 0.1, 0.6, 0.3, 0.5]), torch.tensor([1, 0, 0, 1, 1])

    def updated(mine: slice) -> StageMetrics:
        stage = StageMetrics({"spread": Spread()})
        if len(predictions[mine]):
            stage.update(None, predictions[mine], targets[mine])
        return stage

    def work(rank: int) -> Any:
        torch.distributed.init_process_group("gloo")
        stage = updated(slice(0, rows[0]) if rank == 0 else slice(rows[0], None))
        first = stage.compute()
        own = len(stage.objects["metric_spread"].seen)
        stage.update(None, predictions[:1], targets[:1])
        second = stage.compute()
        torch.distributed.destroy_process_group()
        return first, own, second

    outcomes = run_group(work, 2)
    assert [outcome.error for outcome in outcomes] == [None, None]
    expected = updated(slice(None)).compute()
    for rank, outcome in enumerate(outcomes):
        first, own, second = outcome.result
        assert first == expected
        assert own == rows[rank]
        assert second == {**expected, "spread_kept": torch.tensor(7.0), "spread_count": torch.tensor(7)}
