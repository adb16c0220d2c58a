from __future__ import annotations

import json
import wave
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flash.errors import ConfigurationError
from flash.solver import BaseSolver, LocalFSLogger, TensorboardLogger
from flash.solver.loggers.utils import flat_params, image_array, numeric_metrics

AUDIO = torch.stack([torch.linspace(-1, 1, 80), torch.zeros(80)])
IMAGE = torch.zeros(3, 4, 5)
IMAGE[0] = 1.0


def log_everything(solver: BaseSolver) -> None:
    solver.log_hyperparams({"optim": {"lr": 0.1}, "name": None})
    solver.log_audio("gen", "voice", AUDIO, 8000)
    solver.log_image("gen", "picture", IMAGE)
    solver.log_text("gen", "poem", "roses")
    solver.run_stage("train", lambda: {"loss": torch.tensor(0.5), "note": "x", "none": None, "each": {"a": 1.0}})
    solver.commit()


def test_media_and_hyperparameters_are_files_in_the_folder(tmp_path: Path) -> None:
    from PIL import Image

    log_everything(BaseSolver(tmp_path))
    outputs = tmp_path / "outputs"
    with wave.open(str(outputs / "gen_1" / "voice.wav")) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (2, 8000, 80)
        frames = np.frombuffer(sound.readframes(80), "<i2").reshape(-1, 2)
    assert frames[0, 0] == -32767
    assert frames[-1, 0] == 32767
    picture = np.asarray(Image.open(outputs / "gen_1" / "picture.png"))
    assert picture.shape == (4, 5, 3)
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert (outputs / "gen_1" / "poem.txt").read_text() == "roses"
    assert json.loads((outputs / "hyperparams.json").read_text()) == {"optim.lr": 0.1, "name": None}


def test_folders_instead_of_underscores_are_possible_and_nothing_is_written_without_media(tmp_path: Path) -> None:
    logger = LocalFSLogger(tmp_path / "a", use_subdirs=True)
    logger.log_text("gen", "poem", "roses", 2)
    assert (tmp_path / "a" / "gen" / "2" / "poem.txt").exists()
    LocalFSLogger(tmp_path / "b", with_media_logging=False).log_text("gen", "poem", "roses", 2)
    assert not (tmp_path / "b").exists()


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is outside of it"):
        LocalFSLogger(tmp_path / "a").log_text("gen", "../../poem", "roses", 1)


def test_the_outputs_folder_is_made_when_there_is_something_to_write(tmp_path: Path) -> None:
    solver = BaseSolver(tmp_path / "run")
    solver.run_stage("train", dict)
    assert not (tmp_path / "run" / "outputs").exists()


def test_hyperparameters_of_any_kind_become_one_flat_dict() -> None:
    assert flat_params(Namespace(a=1, b={"c": [1, 2]})) == {"a": 1, "b.c": "[1, 2]"}
    assert flat_params({"lr": np.float32(0.5), "t": torch.tensor(2)}) == {"lr": 0.5, "t": 2}


def test_only_numbers_go_where_only_numbers_can() -> None:
    metrics = {"a": torch.tensor(1.0), "b": "x", "c": None, "d": {"e": np.float64(2), "f": "y"}, "g": torch.ones(3)}
    assert numeric_metrics(metrics) == {"a": 1.0, "d": {"e": 2.0}}


def test_pictures_may_be_grey_or_bytes() -> None:
    assert image_array(torch.rand(4, 5)).shape == (4, 5, 1)
    assert image_array(np.full((4, 2, 2), 300)).max() == 255


def tensorboard_events(folder: Path) -> dict[str, Any]:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard reads its files"
    )
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {
        "scalars": {
            tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
        },
        "tags": events.Tags(),
    }


def test_tensorboard_gets_metrics_and_media_under_stage_and_key(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="an optional package")
    solver = BaseSolver(tmp_path)
    solver.init_tensorboard()
    log_everything(solver)
    found = tensorboard_events(tmp_path / "tensorboard")
    assert found["scalars"]["train/loss"] == [(1, 0.5)]
    assert "train/duration" in found["scalars"]
    assert "train/note" not in found["scalars"]
    assert found["tags"]["audio"] == ["gen/voice"]
    assert found["tags"]["images"] == ["gen/picture"]
    assert any(tag.startswith("gen/poem") for tag in found["tags"]["tensors"])


def test_epochs_that_are_done_again_replace_those_of_before_in_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="an optional package")
    for value in (1.0, 2.0):
        solver = BaseSolver(tmp_path)
        solver.init_tensorboard()
        if value == 2.0:
            assert solver.restore()
        for _ in range(2):
            solver.run_stage("train", lambda: {"loss": value})  # noqa: B023  # it runs at once
            solver.commit(save_checkpoint=solver.epoch == 1)
        solver.result_logger._experiment_loggers["tensorboard"].writer.close()  # type: ignore[attr-defined]
    found = tensorboard_events(tmp_path / "tensorboard")
    assert found["scalars"]["train/loss"] == [(1, 1.0), (2, 2.0), (3, 2.0)]


def test_without_tensorboard_there_is_a_warning_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.warns(UserWarning, match="pip install tensorboard"):
        logger = TensorboardLogger(tmp_path)
    logger.log_metrics("train", {"loss": 1.0}, 1)
    assert logger.writer is None


@pytest.mark.process
def test_wandb_works_offline_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="an optional package")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    solver = BaseSolver(tmp_path)
    solver.init_wandb(project="test", with_media_logging=True)
    logger: Any = solver.result_logger._experiment_loggers["wandb"]
    assert logger._run is None
    log_everything(solver)
    solver.run_stage("train", lambda: {"loss": 0.25})
    assert logger.writer.summary["train/loss"] == 0.5  # of the step before, which is complete now
    assert logger.writer.config["optim.lr"] == 0.1
    assert "gen/picture" in dict(logger.writer.summary)
    logger.writer.finish()
    assert (tmp_path / "wandb_flag").exists()


def test_without_wandb_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ConfigurationError, match=r"flash-solver\[wandb\]"):
        BaseSolver(tmp_path).init_wandb()
