"""Checks of ``forward_features`` and ``forward_head``, and of cached features."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

import flash
from flash.data.batch import Features, split_batch
from flash.data.stage import Stage
from flash.testing._compare import same
from flash.testing._conformance import Trainers, tier
from flash.testing._with_data import MakeData, batches_of
from flash.testing._with_task import TOLERANCE, MakeTask, WithTask, predict_of

__all__ = ["FeatureChecks"]


class FeatureChecks(WithTask):
    """Checks of a task that defines ``forward_features``; other tasks pass."""

    def test_forward_is_its_two_halves(self, fitted: flash.Task, make_data: MakeData) -> None:
        """Check that ``forward(x)`` equals ``forward_head(forward_features(x))``, also for cached features."""
        if not fitted.has_features:
            return
        data = make_data("train", "val")
        fitted.use_data(data)
        fitted.eval()
        for batch in batches_of(data, "val"):
            inputs, _ = split_batch(batch, Stage.VAL)
            with torch.inference_mode():
                whole, features = fitted(inputs), fitted.forward_features(inputs)
                halves, kept = fitted.forward_head(features), fitted(Features(features))
            assert same(halves, whole, TOLERANCE), (
                "Expected forward(x) to equal forward_head(forward_features(x)), but they differ. Remove "
                "forward, and compute everything in these two methods."
            )
            assert same(kept, whole, TOLERANCE), (
                "Expected forward of cached features to equal forward of the inputs, but they differ. Remove forward."
            )

    @tier("train")
    def test_kept_features_change_no_result(
        self, make_task: MakeTask, make_data: MakeData, trainer: Trainers, raw_inputs: Any
    ) -> None:
        """Check that a run with a frozen backbone has the same results with and without cached features."""
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
            assert same(with_kept, without, TOLERANCE), (
                f"Expected the same logs in epoch {epoch} with cached features of the frozen backbone as without, "
                f"{without}, but got {with_kept}. A stage with random transforms must not be declared deterministic, "
                "and layers outside the backbone belong in forward_head."
            )
        assert same(predictions[0], predictions[1], TOLERANCE), (
            "Expected the same predictions after a run with cached features as after one without, but they differ."
        )


class _Log(Callback):
    """Record the logged metrics of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})
