"""Trainers without output, in processes that repeat what they do."""

from __future__ import annotations

import logging

import torch

from flash.testing import settle, silent_trainer


def test_a_settled_process_repeats_its_random_numbers_with_one_thread() -> None:
    torch.set_num_threads(2)
    logging.getLogger("pytorch_lightning").setLevel(logging.INFO)
    settle()
    first = torch.rand(3)
    settle()
    assert torch.equal(first, torch.rand(3))
    assert torch.get_num_threads() == 1
    assert not logging.getLogger("pytorch_lightning").isEnabledFor(logging.WARNING)


def test_a_silent_trainer_runs_one_epoch_on_the_cpu_and_keeps_nothing() -> None:
    trainer = silent_trainer()
    assert trainer.max_epochs == 1
    assert trainer.loggers == []
    assert trainer.checkpoint_callback is None
    assert trainer.progress_bar_callback is None
    assert str(trainer.strategy.root_device) == "cpu"


def test_options_come_before_those_of_a_silent_trainer() -> None:
    trainer = silent_trainer(max_epochs=3, enable_checkpointing=True)
    assert trainer.max_epochs == 3
    assert trainer.checkpoint_callback is not None
