"""What a frozen backbone gives is computed once, and nothing else changes."""

from __future__ import annotations

import copy
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import nn

import flash
from flash.core import _feature_store
from flash.core.finetuning import Freeze
from flash.core.frozen_features import FrozenFeatures
from flash.data.columns import Columns
from flash.data.data_module import DataModule
from flash.data.stage import Stage
from flash.errors import FinetuningError


# Without a bias before batch norm: it has no gradient, of which Adam would make steps all the same.
class CountingBackbone(nn.Module):
    """Counts the rows that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 32, bias=False), nn.BatchNorm1d(32), nn.Tanh(), nn.Dropout(0.5))
        self.rows = 0

    def forward(self, x: Any) -> Any:
        self.rows += len(x)
        return self.layers(x)


def accuracy(y_hat: Any, y: Any) -> Any:
    return (y_hat.argmax(1) == y).float().mean()


class Probe(flash.Task):
    """A head on the features of a backbone."""

    def __init__(self) -> None:
        super().__init__(
            loss_fn=nn.functional.cross_entropy,
            learning_rate=0.1,
            metrics={"accuracy": accuracy},
        )
        self.backbone = CountingBackbone()
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 2))

    def forward_features(self, x: Any) -> Any:
        return self.backbone(x)

    def forward_head(self, features: Any) -> Any:
        return self.head(features)


class Rows(flash.Preprocess):
    """Rows in memory; ``shaky`` train rows come out differently each time."""

    def __init__(self, shaky: bool = False) -> None:
        self.shaky = shaky

    def load_data(self, data: Any) -> Any:
        return Columns(data)

    def train_per_batch_transform(self, batch: Any) -> Any:
        x, y = batch
        return (x + torch.randn_like(x), y) if self.shaky else batch

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        x, y = batch
        return x / 2, y

    def is_deterministic(self, stage: Stage) -> bool:
        return not (self.shaky and stage is Stage.TRAIN)


def make_data(shaky: bool = False, **options: Any) -> DataModule:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, generator=generator)
    y = (x[:, 0] > 0).long()
    return DataModule.from_load_data_inputs(
        train_load_data_input=(x[:34], y[:34]),
        val_load_data_input=(x[34:], y[34:]),
        preprocess=Rows(shaky),
        **{"batch_size": 8, "seed": 0, **options},
    )


class Scores(Callback):
    """The logged numbers of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._note(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._note(trainer)

    def _note(self, trainer: Any) -> None:
        if trainer.callback_metrics:
            self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.fixture
def options(trainer_options: dict[str, Any]) -> dict[str, Any]:
    return {**trainer_options, "num_sanity_val_steps": 0}


def finetune(task: Any, data: Any, options: dict[str, Any], strategy: Any = "freeze", **kwargs: Any) -> Scores:
    scores = Scores()
    ckpt_path = kwargs.pop("ckpt_path", None)
    features = kwargs.pop("frozen_features", True)
    trainer = flash.Trainer(
        **{"max_epochs": 4, **options, **kwargs, "callbacks": [scores, *kwargs.get("callbacks", [])]}
    )
    torch.manual_seed(1)
    trainer.finetune(task, data, strategy=strategy, frozen_features=features, ckpt_path=ckpt_path)
    return scores


@pytest.mark.train
def test_a_frozen_backbone_sees_each_train_and_validation_sample_once(options: dict[str, Any]) -> None:
    task = Probe()
    finetune(task, make_data(), options)
    assert task.backbone.rows == 50


@pytest.mark.train
def test_scores_and_weights_are_the_same_with_features_and_without(options: dict[str, Any]) -> None:
    task, again = Probe(), Probe()
    again.load_state_dict(task.state_dict())
    kept, anew = finetune(task, make_data(), options), finetune(again, make_data(), options, frozen_features=False)
    assert again.backbone.rows == 4 * 50
    assert len(kept.epochs) == len(anew.epochs) == 4
    for one, other in zip(kept.epochs, anew.epochs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    for name, weight in again.state_dict().items():
        assert torch.allclose(weight, task.state_dict()[name], atol=1e-5), name


@pytest.mark.train
def test_the_head_still_learns_from_features(options: dict[str, Any]) -> None:
    scores = finetune(Probe(), make_data(), options, max_epochs=30)
    assert scores.epochs[-1]["val_accuracy"] > 0.8


@pytest.mark.train
def test_it_stops_when_the_backbone_thaws(options: dict[str, Any]) -> None:
    task, again = Probe(), Probe()
    again.load_state_dict(task.state_dict())
    strategy = ("freeze_unfreeze", 2)
    finetune(task, make_data(), options, strategy)
    finetune(again, make_data(), options, strategy, frozen_features=False)
    assert task.backbone.rows == 50 + 2 * 50
    for name, weight in again.state_dict().items():
        assert torch.allclose(weight, task.state_dict()[name], atol=1e-4), name


@pytest.mark.train
@pytest.mark.parametrize("strategy", ["no_freeze", Freeze(train_bn=True)])
def test_it_is_off_where_parts_of_the_backbone_train(options: dict[str, Any], strategy: Any) -> None:
    task = Probe()
    finetune(task, make_data(), options, strategy)
    assert task.backbone.rows == 4 * 50


@pytest.mark.train
def test_random_train_samples_are_seen_anew_and_validation_samples_once(options: dict[str, Any]) -> None:
    task = Probe()
    finetune(task, make_data(shaky=True), options)
    assert task.backbone.rows == 4 * 34 + 16


@pytest.mark.train
def test_a_task_that_overrides_step_gets_the_inputs_themselves(options: dict[str, Any]) -> None:
    class Nosy(Probe):
        def step(self, batch: Any, batch_idx: int) -> Any:
            assert isinstance(batch[0], torch.Tensor)
            return super().step(batch, batch_idx)

    task = Nosy()
    finetune(task, make_data(), options)
    assert task.backbone.rows == 4 * 50


@pytest.mark.train
def test_a_subclass_that_says_again_what_its_features_are_gets_them(options: dict[str, Any]) -> None:
    class Aware(Probe):
        def step(self, batch: Any, batch_idx: int) -> Any:
            return super().step(batch, batch_idx)

        def forward_features(self, x: Any) -> Any:
            return super().forward_features(x)

    task = Aware()
    finetune(task, make_data(), options)
    assert task.backbone.rows == 50


@pytest.mark.train
def test_features_that_depend_on_what_trains_are_computed_anew(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Scaled(Probe):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward_features(self, x: Any) -> Any:
            return self.backbone(x * self.scale)

    caplog.set_level("INFO")
    task = Scaled()
    finetune(task, make_data(), options)
    assert not torch.equal(task.scale, torch.ones(4))
    assert "forward_features uses modules that train; modules_to_freeze has to return all that it uses" in caplog.text


@pytest.mark.train
def test_a_second_run_without_freezing_sees_the_samples_again(options: dict[str, Any]) -> None:
    task, data = Probe(), make_data()
    finetune(task, data, options)
    finetune(task, data, options, "no_freeze", max_epochs=1)
    assert task.backbone.rows == 50 + 50


@pytest.mark.train
def test_a_run_that_is_resumed_where_the_backbone_thaws_equals_the_uninterrupted_one(
    options: dict[str, Any], tmp_path: Path
) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    strategy, whole = ("freeze_unfreeze", 2), Probe()
    start = copy.deepcopy(whole.state_dict())
    finetune(whole, make_data(), {**options, "enable_checkpointing": True}, strategy, callbacks=[saver])
    resumed = Probe()
    resumed.load_state_dict(start)
    finetune(resumed, make_data(), options, strategy, ckpt_path=str(tmp_path / "epoch=1.ckpt"))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


@pytest.mark.train
def test_a_run_that_is_resumed_equals_the_uninterrupted_one(options: dict[str, Any], tmp_path: Path) -> None:
    whole, part = Probe(), Probe()
    part.load_state_dict(copy.deepcopy(whole.state_dict()))
    finetune(whole, make_data(), options)
    saver = ModelCheckpoint(tmp_path, filename="half", every_n_epochs=2)
    finetune(part, make_data(), {**options, "enable_checkpointing": True}, max_epochs=2, callbacks=[saver])
    resumed = Probe()
    finetune(resumed, make_data(), options, ckpt_path=str(tmp_path / "half.ckpt"))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


@pytest.mark.train
def test_beyond_the_memory_budget_features_are_in_a_file_that_goes_with_the_run(
    options: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    task, again = Probe(), Probe()
    again.load_state_dict(task.state_dict())
    finetune(task, make_data(), options, frozen_features=FrozenFeatures(memory_budget=300, folder=tmp_path))
    finetune(again, make_data(), options)
    assert task.backbone.rows == 50
    for one, other in zip(task.head.parameters(), again.head.parameters(), strict=True):
        assert torch.equal(one, other)
    assert "0.0 MB in memory and 0.0 MB on disk" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.train
def test_a_full_disk_means_that_features_are_computed_anew(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(size: int, folder: Any) -> Any:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(_feature_store, "_reserved_file", full)
    caplog.set_level("INFO")
    task = Probe()
    finetune(task, make_data(), options, frozen_features=FrozenFeatures(memory_budget=0))
    assert task.backbone.rows == 4 * 50 + 8
    assert "features of the frozen backbone are computed in each epoch" in caplog.text
    assert os.strerror(28) in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_file_is_reserved_before_it_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        name = "/dev/full"

        def __enter__(self) -> Any:
            return Path("/dev/full").open("wb", buffering=0)

        def __exit__(self, *_: Any) -> None:
            return None

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **_: Full())
    monkeypatch.setattr(Path, "unlink", lambda *_: None)
    with pytest.raises(OSError, match="No space left"):
        _feature_store.FeatureStore(memory_budget=0).allocate(torch.zeros(2, 8), 100)


@pytest.mark.train
def test_what_was_saved_is_in_the_log(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    finetune(Probe(), make_data(), options)
    assert "Frozen features: the backbone saw 34 train and 16 val samples once" in caplog.text
    assert "Frozen features: computed once for 4 epochs, which saved about" in caplog.text


def test_messages_reach_the_screen_where_nobody_has_set_up_logging(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("flash")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "hasHandlers", lambda: bool(logger.handlers))
    level = logger.level
    try:
        flash.Trainer(**options)
        flash.Trainer(**options)
        assert len(logger.handlers) == 1
        assert logger.isEnabledFor(logging.INFO)
    finally:
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"strategy": "no_freeze"}, "parts of the backbone train"),
        ({"limit_train_batches": 2}, "only some of the train batches are used"),
        ({"data": make_data(shaky=True)}, "the transforms of the train samples are random, or not known not to be"),
    ],
)
def test_required_features_that_cannot_be_kept_are_an_error(
    options: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    data = change.pop("data", None) or make_data()
    with pytest.raises(FinetuningError, match=f"Expected features of a frozen backbone.*{reason}"):
        finetune(Probe(), data, options, frozen_features=FrozenFeatures(required=True), **change)


@pytest.mark.train
def test_plain_torch_datasets_are_not_trusted_to_be_deterministic(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    x = torch.randn(16, 4)
    data = DataModule(torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long()), batch_size=8)
    task = Probe()
    finetune(task, data, options)
    assert task.backbone.rows == 4 * 16
    assert "the transforms of a TensorDataset are unknown" in caplog.text


@pytest.mark.process
def test_batch_sizes_workers_and_mixed_precision_work_with_features(options: dict[str, Any]) -> None:
    task = Probe()
    finetune(task, make_data(num_workers=1), {**options, "precision": "bf16-mixed"}, max_epochs=2)
    assert task.backbone.rows == 50


class Tally(Callback):
    """Writes down what one process's backbone saw, and its weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        seen = {"rows": pl_module.backbone.rows, "weight": pl_module.head[1].weight.detach().clone()}
        torch.save(seen, self.folder / f"{trainer.global_rank}.pt")


@pytest.mark.process
def test_two_processes_share_the_work_and_end_with_equal_weights(options: dict[str, Any], tmp_path: Path) -> None:
    results = {}
    for features in (True, False):
        folder = tmp_path / str(features)
        folder.mkdir()
        torch.manual_seed(0)
        trainer = flash.Trainer(max_epochs=2, devices=2, strategy="ddp_fork", callbacks=[Tally(folder)], **options)
        trainer.finetune(Probe(), make_data(), strategy="freeze", frozen_features=features)
        results[features] = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert [seen["rows"] for seen in results[True]] == [17 + 8, 17 + 8]
    assert torch.equal(results[True][0]["weight"], results[True][1]["weight"])
    assert torch.allclose(results[True][0]["weight"], results[False][0]["weight"], atol=1e-5)
