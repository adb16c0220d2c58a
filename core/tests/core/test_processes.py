"""Several processes predict, evaluate and compute features as one does; one that dies ends the run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import flash
from flash.core.classification import ClassificationTask
from flash.core.frozen_features import FrozenFeatures
from flash.core.regression import RegressionTask
from flash.data.stage import Stage
from flash.testing import silent_trainer

pytestmark = pytest.mark.process

ROWS = 40
# Process groups are forks, so that one takes a third of a second. A run that hangs would take for ever.
SECONDS = 60


class Sized:
    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


KINDS = {"rows": list, "a stream": lambda rows: lambda: iter(rows), "a stream with a length": Sized}


class Served(flash.Preprocess):
    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def load_data(self, data: Any) -> Any:
        return self.kind(data)

    def collate(self, samples: Any) -> Any:
        parts = [torch.stack(part) for part in zip(*samples, strict=True)]
        return parts[0] if self.predicting else tuple(parts)


def rows(count: int) -> list[Any]:
    x = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0))
    return list(zip(x, torch.arange(ROWS) % 3, strict=True))[:count]


class Network(ClassificationTask):
    def __init__(self, metrics: Any = None, **kwargs: Any) -> None:
        torch.manual_seed(1)
        super().__init__(num_classes=3, metrics=metrics, learning_rate=0.1, optimizer="SGD", **kwargs)
        self.backbone = nn.Linear(3, 4)
        self.head = nn.Linear(4, 3)

    def forward_features(self, x: Any) -> Any:
        return self.backbone(x)

    def forward_head(self, features: Any) -> Any:
        return self.head(features)

    def step(self, batch: Any, batch_idx: int) -> Any:
        result = super().step(batch, batch_idx)
        return {**result, "logs": {"largest": result["y_hat"].detach().max()}}


def several(processes: int, **options: Any) -> flash.Trainer:
    return silent_trainer(devices=processes, strategy="ddp_fork" if processes > 1 else "auto", **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("processes", [2, 3])
def test_predictions_are_complete_in_order_and_once_each(kind: str, processes: int) -> None:
    task = Network()
    for count in (1, 2, 3, 5, 7, ROWS):
        samples = [(row,) for row, _ in rows(count)]
        data = flash.DataModule.from_load_data_inputs(
            predict_load_data_input=samples, preprocess=Served(KINDS[kind]), batch_size=4
        )
        batches = several(processes).predict(task, datamodule=data, output="logits") or []
        found = [sample for batch in batches for sample in batch]
        with torch.no_grad():
            expected = task(torch.stack([row for row, _ in rows(count)]))
        assert torch.allclose(torch.as_tensor(found), expected, atol=1e-6), count


def test_a_stream_without_samples_has_no_predictions() -> None:
    data = flash.DataModule.from_load_data_inputs(
        predict_load_data_input=[], preprocess=Served(KINDS["a stream"]), batch_size=4
    )
    assert several(2).predict(Network(), datamodule=data) == []


def test_several_loaders_keep_their_own_lists() -> None:
    loaders: list[Any] = [
        DataLoader([row for row, _ in rows(count)], batch_size=2)  # type: ignore[arg-type]  # a list has indices
        for count in (5, 3)
    ]
    task = Network()
    found = several(2).predict(task, loaders, output="logits")
    one = several(1).predict(task, loaders, output="logits")
    assert found is not None
    assert one is not None
    for ours, theirs in zip(found, one, strict=True):
        flat = [[sample for batch in batches for sample in batch] for batches in (ours, theirs)]
        assert torch.allclose(torch.as_tensor(flat[0]), torch.as_tensor(flat[1]), atol=1e-6)


def test_a_foreign_stream_that_has_no_order_is_refused() -> None:
    class Foreign(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter([row for row, _ in rows(4)])

    with pytest.raises(Exception, match="Expected data whose samples have a place.* Predict it with a DataModule"):
        several(2).predict(Network(), DataLoader(Foreign(), batch_size=2))


METRICS = ["accuracy", "f1", "auroc", "kappa"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("processes", [2, 3])
def test_evaluations_equal_those_of_one_process(kind: str, processes: int) -> None:
    for count in (1, 3, 7, 13):
        # Three classes need rows of each for some metrics; one row has none of them.
        metrics = METRICS if count >= 3 else ["accuracy"]

        def scores(number: int) -> dict[str, float]:
            given: dict[str, Any] = {"val_load_data_input": rows(count), "test_load_data_input": rows(count)}  # noqa: B023
            data = flash.DataModule.from_load_data_inputs(
                train_load_data_input=rows(ROWS), **given, preprocess=Served(KINDS[kind]), batch_size=4
            )
            task = Network(metrics, class_weights=[1.0, 2.0, 5.0])  # noqa: B023
            (tested,) = several(number).test(task, data, verbose=False)
            (validated,) = several(number).validate(task, data, verbose=False)
            return {**tested, **validated}

        expected = scores(1)
        assert len(expected) == 2 * (len(metrics) + 2)
        found = scores(processes)
        del expected["val_largest"], expected["test_largest"]  # A mean of maxima depends on the batches.
        assert {name: found[name] for name in expected} == {
            name: pytest.approx(value, abs=1e-5, nan_ok=True) for name, value in expected.items()
        }, count


@pytest.mark.parametrize("count", [2, 3, 7])
def test_scores_of_a_regression_equal_those_of_one_process(count: int) -> None:
    numbers = [(row, target * 2.5) for row, target in rows(count)]

    def scores(processes: int) -> dict[str, float]:
        data = flash.DataModule.from_load_data_inputs(
            test_load_data_input=numbers, preprocess=Served(list), batch_size=2
        )
        torch.manual_seed(1)
        task = RegressionTask(1, [2.0], [1.5], model=nn.Linear(3, 1))
        (tested,) = several(processes).test(task, data, verbose=False)
        return dict(tested)

    expected = scores(1)
    assert set(expected) == {"test_loss", "test_rmse", "test_mae", "test_r2"}
    assert scores(2) == {name: pytest.approx(value, abs=1e-5) for name, value in expected.items()}


class CheckFeatures(Callback):
    """Raises an error if the cached features of a process are not those of the network."""

    def on_train_start(self, trainer: Any, task: Any) -> None:
        columns = trainer.datamodule._features[Stage.TRAIN]
        features, targets = columns.take(range(len(columns)))
        x, y = (torch.stack(part) for part in zip(*rows(13), strict=True))
        assert torch.allclose(features, task.forward_features(x), atol=1e-6)
        assert torch.equal(targets, y)


class Fixed(Served):
    def is_deterministic(self, stage: Any) -> bool:
        return True


def test_each_process_has_the_features_of_all_rows() -> None:
    data = flash.DataModule.from_load_data_inputs(
        train_load_data_input=rows(13), val_load_data_input=rows(5), preprocess=Fixed(list), batch_size=4, seed=0
    )
    trainer = several(2, callbacks=[CheckFeatures()])
    trainer.finetune(Network(), data, strategy="freeze", frozen_features=FrozenFeatures(required=True))


class Dying(Network):
    """Ends process 1 in its second batch."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Any) -> Any:
        if self.trainer.global_rank == 1:
            if self.how == "raises":
                raise ValueError("process 1 cannot go on")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


@pytest.mark.parametrize("how", ["raises", "is killed"])
@pytest.mark.parametrize("verb", ["fit", "test", "predict"])
def test_a_process_that_ends_in_the_middle_ends_the_run(how: str, verb: str) -> None:
    x, y = (torch.stack(part) for part in zip(*rows(ROWS), strict=True))
    data = flash.DataModule.from_tensors(x, y, test_data=x, test_targets=y, predict_data=x, batch_size=4, seed=0)
    start = time.monotonic()
    said = "process 1 cannot go on|terminated with signal SIGKILL|Connection (closed|reset) by peer"
    with pytest.raises(Exception, match=said):
        getattr(several(2), verb)(Dying(how), datamodule=data)
    assert time.monotonic() - start < SECONDS


class Augmented(Served):
    """Adds noise to each train row, of which each process draws its own."""

    def train_post_tensor_transform(self, sample: Any) -> Any:
        return sample[0] + 0.1 * torch.randn(3), sample[1]


EPOCHS, BATCHES = 8, 5
KILLED: dict[str, dict[str, Any]] = {
    "a schedule that counts steps": {"task": {"lr_scheduler": "cosine_with_warmup"}},
    "a schedule that monitors a value, and the best weights of averages": {
        "task": {"lr_scheduler": ("ReduceLROnPlateau", {"patience": 0, "threshold": 0.5}), "metrics": METRICS},
        "fit": {"callbacks": ["average_weights", "keep_best"]},
    },
    "accumulated gradients": {"fit": {"accumulate_grad_batches": 2, "every": 1}, "steps": 3, "epochs": 11},
    "a strategy and frozen features": {"fit": {"strategy": ("freeze_unfreeze", 3)}, "preprocess": Fixed},
    "a stream": {"kind": "a stream with a length"},
    "workers": {"data": {"num_workers": 1}},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", KILLED)
def test_a_training_of_which_processes_are_killed_equals_the_whole_one(
    case: str, killed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers have the connections of their process, which are open until they have noticed that it is gone.
    monkeypatch.setattr("torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL", 0.1)
    options = KILLED[case]
    steps, epochs = options.get("steps", BATCHES), options.get("epochs", EPOCHS)

    def train(life: Any) -> dict[str, Any]:
        data = flash.DataModule.from_load_data_inputs(
            train_load_data_input=rows(ROWS),
            val_load_data_input=rows(13),
            preprocess=options.get("preprocess", Augmented)(KINDS[options.get("kind", "rows")]),
            batch_size=ROWS // BATCHES // 2,
            seed=0,
            **options.get("data", {}),
        )
        task = Network(**options.get("task", {}))
        result = life.fit(task, data, max_epochs=epochs, **options.get("fit", {}))
        return {**result, "history": task.history, "predictions": task(torch.stack([row for row, _ in rows(ROWS)]))}

    run = killed(train, epochs * steps, steps, processes=2)
    assert len(run.moments) >= 20
    assert run.in_an_epoch >= 10
    assert len(set(run.moments)) > 5
