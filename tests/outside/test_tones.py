"""Recordings as an outside plugin of a new domain: some twenty lines of data, and all promises of the kit."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flash.errors import ConfigurationError, DataError
from flash.testing import (
    BackboneConformance,
    DataModuleConformance,
    PluginConformance,
    PluginSite,
    TaskConformance,
)

RATE, LENGTH = 8000, 400
PITCHES = {"high": 1200, "low": 300, "noise": 0}
SIZES = {"train": 36, "val": 12, "test": 7, "predict": 7}


def write_recording(path: Path, name: str, seed: int) -> Path:
    """Write a tone of a pitch with some noise, or noise alone."""
    rng = np.random.default_rng(seed)
    time = np.arange(LENGTH) / RATE
    tone = np.sin(2 * np.pi * PITCHES[name] * time + rng.uniform(0, 6)) * (PITCHES[name] > 0)
    signal = 0.5 * tone + rng.normal(0, 0.05 if PITCHES[name] else 0.4, LENGTH)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((signal.clip(-1, 1) * 32767).astype(np.int16).tobytes())
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Path], list[str]]]:
    """The files of each stage, in a folder per class, and their classes; a table beside them."""
    root = tmp_path_factory.mktemp("recordings")
    made = {}
    for place, (stage, size) in enumerate(SIZES.items()):
        names = [list(PITCHES)[number % len(PITCHES)] for number in range(size)]
        paths = [root / stage / name / f"{number:02}.wav" for number, name in enumerate(names)]
        for number, (path, name) in enumerate(zip(paths, names, strict=True)):
            write_recording(path, name, 100 * place + number)
        rows = [(path.relative_to(root / stage).as_posix(), name) for path, name in zip(paths, names, strict=True)]
        with (root / stage / "table.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("file", "tone"), *rows])
        made[stage] = paths, names
    return made


@pytest.fixture
def data_class() -> Any:
    return importlib.import_module("acme_tones.data").AudioToneData


@pytest.fixture
def task_class() -> Any:
    return importlib.import_module("acme_tones.task").ToneClassifier


class TestPlugin(PluginConformance):
    plugin = "acme-tones"


class TestPitchCNN(BackboneConformance):
    name, domain = "pitch_cnn", "tones"

    @pytest.fixture
    def inputs(self) -> Any:
        import torch

        return torch.randn(4, 1, LENGTH)


class Recordings:
    @pytest.fixture
    def constructor(self, data_class: Any) -> Callable[..., Any]:
        made: Callable[..., Any] = data_class.from_files
        return made

    @pytest.fixture
    def parts(self, recordings: Any) -> Mapping[str, Mapping[str, Any]]:
        parts = {
            stage: {f"{stage}_files": paths, f"{stage}_targets": names} for stage, (paths, names) in recordings.items()
        }
        return {**parts, "predict": {"predict_files": recordings["predict"][0]}}

    @pytest.fixture
    def constructors(self, recordings: Any, data_class: Any) -> Mapping[str, Any]:
        folders = {stage: paths[0].parent.parent for stage, (paths, _) in recordings.items()}
        columns = {"input_field": "file", "target_fields": "tone"}
        tables = {stage: {f"{stage}_file": folder / "table.csv"} for stage, folder in folders.items()}
        return {
            "from_folders": (
                data_class.from_folders,
                {stage: {f"{stage}_folder": folder} for stage, folder in folders.items()},
            ),
            "from_csv": (data_class.from_csv, {**tables, "options": columns}),
        }

    @pytest.fixture
    def augmented(self) -> Mapping[str, Any]:
        return {"gain": 0.5}


class TestData(Recordings, DataModuleConformance):
    @pytest.fixture
    def bad_parts(self, recordings: Any, tmp_path: Path) -> Mapping[str, Mapping[str, Any]]:
        paths, names = recordings["train"]
        (tmp_path / "broken.wav").write_bytes(b"no wave")
        return {
            "targets are missing": {"train_files": paths},
            "a target is missing": {"train_files": paths, "train_targets": names[:-1]},
            "there is one class": {"train_files": paths, "train_targets": ["high"] * len(paths)},
            "a file is missing": {"train_files": [*paths[1:], tmp_path / "nowhere.wav"], "train_targets": names},
            "a file is none": {"train_files": [*paths[1:], tmp_path / "broken.wav"], "train_targets": names},
        }


class TestTask(Recordings, TaskConformance):
    epochs = 6

    @pytest.fixture
    def make_task(self, task_class: Any) -> Callable[..., Any]:
        made: Callable[..., Any] = task_class.from_data
        return made

    @pytest.fixture
    def raw_inputs(self, recordings: Any) -> Any:
        return recordings["predict"][0]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["nowhere.wav"], "it is a number": 3, "there is none": []}


def test_a_table_a_folder_and_a_list_predict_the_same(
    recordings: Any, data_class: Any, task_class: Any, trainer: Any
) -> None:
    paths, _ = recordings["train"]
    root = paths[0].parent.parent
    data = data_class.from_csv("file", "tone", root / "table.csv", val_split=0.2, batch_size=8, seed=0)
    task = task_class.from_data(data)
    trainer().finetune(task, data, strategy="freeze")
    by_list = task.predict(paths, output="logits")
    in_order = sorted(range(len(paths)), key=lambda number: paths[number])
    np.testing.assert_allclose(task.predict(root / "table.csv", output="logits"), by_list, atol=1e-4)
    in_folder = task.predict(root, output="logits")
    np.testing.assert_allclose(in_folder, [by_list[number] for number in in_order], atol=1e-4)


def test_a_backbone_is_a_name_with_arguments_or_a_module(task_class: Any) -> None:
    from torch import nn

    assert task_class(3, backbone_kwargs={"width": 8}).head.in_features == 8
    own = nn.Sequential(nn.Conv1d(1, 5, 9), nn.AdaptiveMaxPool1d(1), nn.Flatten())
    assert task_class(3, backbone=own).head.in_features == 5
    with pytest.raises(ConfigurationError, match=r"backbone_kwargs that 'pitch_cnn' takes.*Did you mean 'width'\?"):
        task_class(3, backbone_kwargs={"widht": 8})


def test_a_recording_of_another_kind_is_refused_in_words(data_class: Any, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(400))
    data = data_class.from_files([tmp_path / "stereo.wav"] * 2, ["high", "low"])
    with pytest.raises(DataError, match=r"Expected a mono recording of 16 bits, but .*stereo\.wav is another one"):
        _ = data.train_dataset[0]


def test_the_data_of_a_new_domain_are_some_thirty_lines() -> None:
    source = Path(__file__).with_name("acme_tones").joinpath("data.py").read_text()
    lines = {node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)}
    assert len(lines) <= 30


@pytest.mark.process
def test_the_command_line_lists_it(site: PluginSite) -> None:
    tasks = json.loads(site.run_flash("tasks", "--json").out)
    assert "tones/classification" in str(tasks)
    backbones = site.run_flash("backbones", "tones")
    assert backbones.code == 0
    assert "pitch_cnn" in backbones.out
