from __future__ import annotations

import io
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import pytest
import pytorch_lightning as pl
from torch import nn
from tqdm import tqdm

import flash
from flash.core.console import FlashProgressBar, clean_console, describe_modules

QUIET: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}


def screen(text: str) -> list[str]:
    """The lines of a terminal after a text with carriage returns was written to it."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


class Terminal(io.StringIO):
    """What stdout and stderr write to."""

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Replace stdout, stderr, and the stream of the logger of Flash, by one terminal.

    In the test itself: pytest replaces them between a fixture and the test.
    """
    made, logger = Terminal(), logging.getLogger("flash")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(made), redirect_stderr(made):
        patch.setattr(logger, "handlers", [logging.StreamHandler(made)])
        logger.setLevel(logging.INFO)
        try:
            yield made
        finally:
            logger.setLevel(logging.NOTSET)


def test_data_prints_its_samples_and_facts(datamodule: flash.DataModule) -> None:
    expected = "DataModule(train=40, val=8, batch_size=8, num_inputs=4, num_classes=2)"
    assert repr(datamodule) == str(datamodule) == expected


def test_data_that_is_not_loaded_is_not_loaded_to_be_printed() -> None:
    data = flash.DataModule.from_load_data_inputs(predict_load_data_input=[1.0, 2.0], batch_size=4)
    assert repr(data) == "DataModule(predict='not loaded', batch_size=4)"
    assert data._pending_inputs


def test_long_lists_of_facts_are_cut(datamodule: flash.DataModule) -> None:
    datamodule.train_dataset.labels = [f"class {number}" for number in range(1000)]
    assert "labels=['class 0', 'class 1', 'class 2', 'class 3', 'class 4', 'class 5', ...]" in repr(datamodule)


def test_a_task_prints_its_hyperparameters_and_modules(task_class: type[flash.Task]) -> None:
    task = task_class(learning_rate=0.5)
    task.backbone.requires_grad_(False)
    assert repr(task).splitlines() == [
        "Classifier(",
        "  learning_rate=0.5, optimizer='SGD'",
        "  backbone  Backbone  120 parameters, frozen",
        "  head      Linear     18 parameters",
        ")",
    ]


def test_a_trainer_prints_its_length_and_devices() -> None:
    trainer = flash.Trainer(max_epochs=3, callbacks=["keep_best"], **QUIET)
    assert repr(trainer) == (
        "Trainer(max_epochs=3, accelerator='cpu', devices=1, precision='32-true', "
        "callbacks=[KeepBest, FlashProgressBar, NetworkSummary])"
    )


def test_modules_that_are_frozen_in_part_say_how_much() -> None:
    network = nn.ModuleDict({"both": nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 2)), "none": nn.ReLU()})
    network["both"][0].requires_grad_(False)
    assert describe_modules(network) == ["both  Sequential  6 parameters, 2 of them frozen"]
    assert describe_modules(nn.ReLU()) == []


def test_a_run_advertises_nothing_and_says_what_it_trains(
    datamodule: flash.DataModule, task_class: type[flash.Task], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.INFO)
    caplog.set_level(logging.INFO)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        trainer = flash.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=".", enable_progress_bar=False)
        trainer.fit(task_class(), datamodule)
    assert [record.getMessage() for record in caplog.records] == [
        "backbone  Backbone  120 parameters\nhead      Linear     18 parameters"
    ]
    ours = [str(each.message) for each in warned if "PyTorch Lightning" not in str(each.message)]
    assert not [message for message in ours if "treespec" in message or "logging interval" in message]


def test_other_messages_of_lightning_stay(
    datamodule: flash.DataModule, task_class: type[flash.Task], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.INFO)
    caplog.set_level(logging.INFO)
    flash.Trainer(max_steps=2, enable_progress_bar=False, **QUIET).fit(task_class(), datamodule)
    assert "`Trainer.fit` stopped: `max_steps=2` reached." in caplog.messages


def test_the_summary_is_left_out_on_request_and_replaced_by_the_users(
    datamodule: flash.DataModule, task_class: type[flash.Task], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    silent = flash.Trainer(max_epochs=1, enable_model_summary=False, enable_progress_bar=False, **QUIET)
    silent.fit(task_class(), datamodule)
    assert not [message for message in caplog.messages if "parameters" in message]
    own = pl.callbacks.ModelSummary(max_depth=2)
    assert own in flash.Trainer(callbacks=own, **QUIET).callbacks
    assert len([c for c in flash.Trainer(callbacks=own, **QUIET).callbacks if isinstance(c, type(own))]) == 1


@pytest.mark.train
def test_bar_and_messages_count_epochs_alike(datamodule: flash.DataModule, task_class: type[flash.Task]) -> None:
    with terminal() as shown:
        trainer = flash.Trainer(max_epochs=2, callbacks=["keep_best"], **QUIET)
        trainer.fit(task_class(learning_rate=0.01), datamodule)
    lines = [line for line in screen(shown.getvalue()) if re.match(r"Epoch \d/2  |Kept", line)]
    assert [line.split("  ")[0].split(":")[0] for line in lines] == [
        "Epoch 1/2",
        "Epoch 2/2",
        "Kept the weights of epoch 2/2",
    ]


class Talk(pl.Callback):
    """Says something in the middle of an epoch, in each way that a program has."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2:
            logging.getLogger("flash.elsewhere").warning("said by a logger")
            warnings.warn("said by a warning", stacklevel=1)
            sys.stderr.write("said in two ")
            sys.stderr.write("parts\n")


def test_messages_appear_above_the_bar(datamodule: flash.DataModule, task_class: type[flash.Task]) -> None:
    with warnings.catch_warnings(), terminal() as shown:
        warnings.filterwarnings("always", message="said")
        # Pytest records warnings in place of showing them.
        warnings.showwarning = lambda message, *_: sys.stderr.write(f"{message}\n")  # type: ignore[assignment]
        callbacks = [FlashProgressBar(seconds=0), Talk()]
        trainer = flash.Trainer(max_epochs=1, callbacks=callbacks, enable_model_summary=False, **QUIET)
        trainer.fit(task_class(), datamodule)
        assert sys.stderr is shown
        (handler,) = logging.getLogger("flash").handlers
        assert handler.stream is shown  # type: ignore[attr-defined]
    assert "Epoch 1/1:  60%" in shown.getvalue()
    lines = [line for line in screen(shown.getvalue()) if line]
    assert [line for line in lines if "said" in line] == ["said by a logger", "said by a warning", "said in two parts"]
    assert lines[-1].startswith("Epoch 1/1  train_loss")


def test_a_stream_above_the_bar_behaves_as_a_stream() -> None:
    class Bar(FlashProgressBar):
        is_enabled = True

    with terminal() as shown, tqdm(total=3, file=sys.stdout) as bar, clean_console(Bar()):
        bar.update()
        sys.stderr.write("half")
        sys.stderr.flush()
        assert "half" not in shown.getvalue()
        assert sys.stderr.isatty()
        sys.stderr.write(" a line\n")
        with pytest.raises(OSError, match="fileno"):
            sys.stderr.fileno()
    assert "half a line" in screen(shown.getvalue())


@pytest.mark.train
def test_progress_leaves_a_line_for_each_epoch_with_its_numbers(
    task_class: Any, datamodule: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = flash.Trainer(max_epochs=2, callbacks=FlashProgressBar(), **QUIET)
    trainer.fit(task_class(), datamodule)
    lines = [line for line in capsys.readouterr().out.split("\n") if "train_loss" in line and "val_loss" in line]
    assert any("Epoch 1/2  train_loss" in line for line in lines)
    assert any("Epoch 2/2  train_loss" in line for line in lines)


def test_the_progress_bar_is_drawn_by_time_and_at_the_last_step() -> None:
    bar = FlashProgressBar(seconds=1000)
    bar._is_due(0, 5)
    assert [bar._is_due(index, 5) for index in range(1, 5)] == [False, False, False, True]
