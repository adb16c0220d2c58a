"""A task from a checkpoint, and the plugins that it needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import flash
from flash.errors import CheckpointError, UnknownNameError
from flash.plugins import PluginHost, isolated_plugins
from flash.plugins._current import use_host
from flash.plugins._discovery import from_objects
from flash.serialization import (
    read_checkpoint,
    write_checkpoint,
)

from .zoo import OnBackbone, Zoo


class TestABackboneOfAnotherPlugin:
    @pytest.fixture(autouse=True)
    def _saved(self, trainer_options: dict[str, Any]) -> None:
        with isolated_plugins(Zoo()):
            task = OnBackbone("Wav-CNN")
            run = flash.Trainer(max_epochs=1, **trainer_options)
            run.fit(task, flash.DataModule.from_tensors(torch.randn(4, 3), torch.randn(4, 1), seed=0))
            run.save_checkpoint("task.ckpt")

    def test_is_noted_in_the_checkpoint(self) -> None:
        noted = read_checkpoint("task.ckpt")["flash"]["backbone"]
        assert noted["name"] == "Wav-CNN"
        assert noted["dist"]

    def test_that_is_installed_is_used(self) -> None:
        with isolated_plugins(Zoo()):
            assert isinstance(flash.Task.load_from_checkpoint("task.ckpt"), OnBackbone)

    def test_that_is_not_installed_is_an_error_that_names_the_plugin(self) -> None:
        dist = read_checkpoint("task.ckpt")["flash"]["backbone"]["dist"]
        wanted = f"on the backbone 'Wav-CNN'. It comes from {dist}, which is not installed: pip install {dist}"
        with isolated_plugins(), pytest.raises(CheckpointError, match=wanted) as caught:
            flash.Task.load_from_checkpoint("task.ckpt")
        assert isinstance(caught.value.__cause__, UnknownNameError)

    def test_that_is_disabled_is_an_error_that_says_so(self) -> None:
        dist = read_checkpoint("task.ckpt")["flash"]["backbone"]["dist"]
        host = PluginHost(lambda: from_objects((Zoo(),)), environ={"FLASH_PLUGINS": ""})
        with use_host(host), pytest.raises(CheckpointError, match=f"comes from {dist}, which is disabled: "):
            flash.Task.load_from_checkpoint("task.ckpt")

    def test_that_is_there_leaves_other_errors_as_they_are(self) -> None:
        stored = torch.load("task.ckpt", weights_only=True)
        stored["flash"]["task"]["init"]["backbone"] = "wav_cnm"
        write_checkpoint(stored, "task.ckpt")
        with isolated_plugins(Zoo()), pytest.raises(UnknownNameError, match="'wav_cnm'"):
            flash.Task.load_from_checkpoint("task.ckpt")
