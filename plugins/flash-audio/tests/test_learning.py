"""The classifier learns what it should, and only from data that says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl

import flash
from flash.audio import AudioClassifier

pytestmark = pytest.mark.train


def accuracy_of(data: flash.DataModule, trainer: Callable[..., flash.Trainer], **options: Any) -> float:
    """The validation accuracy after some epochs."""
    pl.seed_everything(0, verbose=False)
    task = AudioClassifier.from_data(data, learning_rate=3e-3, **options)
    run = trainer(max_epochs=12)
    run.fit(task, data)
    return float(run.callback_metrics["val_accuracy"])


def test_tones_of_four_pitches_in_noise_are_told_apart(tones: Any, trainer: Any) -> None:
    """The noise has the power of two tones; phase and loudness are random, the loudest a hundred times the softest."""
    assert accuracy_of(tones(train=160, val=60), trainer) >= 0.95


def test_shuffled_classes_are_not_learned(tones: Any, trainer: Any) -> None:
    assert accuracy_of(tones(train=160, val=60, shuffled=True), trainer) <= 0.5
