"""Checks of ``forward_features`` and ``forward_head``: the halves of ``forward``, and what is kept of the first."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

import flash
from flash.data.batch import split_batch
from flash.data.features import Features
from flash.data.stage import Stage
from flash.testing._battery import Trainers, tier
from flash.testing._compare import same
from flash.testing._with_data import MakeData, batches_of
from flash.testing._with_task import ROUGHLY, MakeTask, WithTask, predict_of

__all__ = ["FeatureChecks"]


class FeatureChecks(WithTask):
    """What has to hold for a task that says what its features are; one that does not passes."""

    def test_forward_is_its_two_halves(self, fitted: flash.Task, make_data: MakeData) -> None:
        """``forward(x)`` gives what ``forward_head(forward_features(x))`` gives, and the same for kept features."""
        if type(fitted).forward_features is flash.Task.forward_features:
            return
        data = make_data("train", "val")
        fitted.use_data(data)
        fitted.eval()
        for batch in batches_of(data, "val"):
            inputs, _ = split_batch(batch, Stage.VAL)
            with torch.inference_mode():
                whole, features = fitted(inputs), fitted.forward_features(inputs)
                halves, kept = fitted.forward_head(features), fitted(Features(features))
            assert same(halves, whole, ROUGHLY), (
                "Expected forward(x) to give what forward_head(forward_features(x)) gives, but they differ. Leave "
                "forward out, and compute all of it in the two."
            )
            assert same(kept, whole, ROUGHLY), (
                "Expected forward to give for kept features what it gives for the inputs, but they differ. Leave "
                "forward out."
            )

    @tier("train")
    def test_kept_features_change_no_result(
        self, make_task: MakeTask, make_data: MakeData, trainer: Trainers, raw_inputs: Any
    ) -> None:
        """A run with a frozen backbone logs and predicts the same, whether features are kept or computed each time."""
        if not self.freezable:
            return
        logs, predictions = [], []
        for kept in (True, False):
            pl.seed_everything(3, verbose=False)
            data, log = make_data("train", "val"), _Log()
            task = make_task(data)
            trainer(max_epochs=3, callbacks=[log]).finetune(task, data, strategy="freeze", frozen_features=kept)
            logs.append(log.epochs)
            predictions.append(predict_of(task, raw_inputs))
        for epoch, (with_kept, without) in enumerate(zip(*logs, strict=True)):
            assert same(with_kept, without, ROUGHLY), (
                f"Expected the same of epoch {epoch} with the features of the frozen backbone kept as without, "
                f"{without}, but got {with_kept}. What is not the same each time must not be called deterministic, and "
                "what is not of the backbone belongs into forward_head."
            )
        assert same(*predictions, ROUGHLY), (
            "Expected the same predictions after a run with features kept as after one without, but they differ."
        )


class _Log(Callback):
    """Notes what is logged in each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})
