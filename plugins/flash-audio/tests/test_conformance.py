"""flash-audio keeps the contract that every plugin has to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from flash.audio import AudioClassificationData, AudioClassifier
from flash.testing import (
    BackboneConformance,
    DataModuleConformance,
    PluginConformance,
    StrategyConformance,
    TaskConformance,
)

SIZES = {"train": 32, "val": 12, "test": 7, "predict": 7}
RATE, SECONDS = 8000, 0.2
OPTIONS = {"augmentation": "none", "duration": SECONDS}
TINY: dict[str, Any] = {"backbone_kwargs": {"width": 4, "n_mels": 16, "out_features": 32}, "sample_rate": RATE}


def make_sounds(count: int, seed: int) -> tuple[Any, list[str]]:
    """Tones that are high or low."""
    rng = np.random.default_rng(seed)
    names = ["high" if number % 2 else "low" for number in range(count)]
    time = np.arange(round(RATE * SECONDS)) / RATE
    pitches = np.array([1500.0 if name == "high" else 400.0 for name in names])[:, None]
    tones = np.sin(2 * np.pi * pitches * time + rng.uniform(0, 6, (count, 1)))
    return (0.3 * tones + rng.normal(0, 0.1, tones.shape)).astype(np.float32), names


class TestPlugin(PluginConformance):
    plugin = "audio"


class TestAudioCNN(BackboneConformance):
    name, domain = "audio_cnn", "audio"

    @pytest.fixture
    def inputs(self) -> Any:
        return torch.randn(4, 1, 64, 30)


class Sounds:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return AudioClassificationData.from_numpy

    @pytest.fixture
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        made = {stage: make_sounds(count, seed) for seed, (stage, count) in enumerate(SIZES.items())}
        parts: dict[str, dict[str, Any]] = {
            stage: {f"{stage}_data": sounds, f"{stage}_targets": names} for stage, (sounds, names) in made.items()
        }
        parts["predict"] = {"predict_data": made["predict"][0]}
        return {**parts, "options": {**OPTIONS, "sample_rate": RATE}}

    @pytest.fixture
    def constructors(self, parts: Any, tmp_path: Path) -> Mapping[str, Any]:
        files: dict[str, dict[str, Any]] = {"options": OPTIONS}
        folders: dict[str, dict[str, Any]] = {"options": OPTIONS}
        tensors: dict[str, dict[str, Any]] = {"options": {**OPTIONS, "sample_rate": RATE}}
        for stage in SIZES:
            sounds, targets = parts[stage][f"{stage}_data"], parts[stage].get(f"{stage}_targets")
            named = {f"{stage}_targets": targets} if targets else {}
            paths = []
            for number, sound in enumerate(sounds):
                path = tmp_path / stage / (targets[number] if targets else "") / f"{number:03}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, sound, RATE, subtype="FLOAT")
                paths.append(path)
            files[stage] = {f"{stage}_files": paths, **named}
            folders[stage] = {f"{stage}_folder": tmp_path / stage}
            tensors[stage] = {f"{stage}_data": torch.from_numpy(sounds), **named}
        return {
            "from_files": (AudioClassificationData.from_files, files),
            "from_folders": (AudioClassificationData.from_folders, folders),
            "from_tensors": (AudioClassificationData.from_tensors, tensors),
        }

    @pytest.fixture
    def augmented(self) -> Mapping[str, Any]:
        return {"augmentation": "shift"}

    @pytest.fixture
    def bad_parts(self, tmp_path: Path) -> Mapping[str, Mapping[str, Any]]:
        sounds, names = make_sounds(8, 0)
        (tmp_path / "broken.wav").write_bytes(b"no recording")
        return {
            "targets are missing": {"train_data": sounds},
            "a target is missing": {"train_data": sounds, "train_targets": names[:-1]},
            "there is one class": {"train_data": sounds, "train_targets": ["high"] * 8},
            "recordings are words": {"train_data": names, "train_targets": names},
            "a file is none": {"train_data": [*sounds[1:], tmp_path / "broken.wav"], "train_targets": names},
        }


class TestData(Sounds, DataModuleConformance):
    pass


class TestClassifier(Sounds, TaskConformance):
    epochs = 6

    @pytest.fixture
    def make_task(self) -> Callable[..., Any]:
        return lambda data: AudioClassifier.from_data(data, learning_rate=0.01, **TINY)

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["no_such_sound.wav"], "it is a number": 3, "there is none": []}


class RealNetwork(StrategyConformance):
    """Strategies on the small network, whose layers it states itself."""

    def make_data(self) -> AudioClassificationData:
        parts = {stage: make_sounds(count, seed) for seed, (stage, count) in enumerate((("train", 24), ("val", 8)))}
        return AudioClassificationData.from_numpy(
            *parts["train"], *parts["val"], batch_size=8, seed=0, sample_rate=RATE, **OPTIONS
        )

    def make_task(self) -> AudioClassifier:
        return AudioClassifier(num_classes=2, learning_rate=0.01, **TINY)

    def all_layers(self) -> set[int]:
        return set(range(len(self.make_task().backbone_layers())))


class TestFreezeUnfreeze(RealNetwork):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("freeze_unfreeze", 2)

    def trains(self, epoch: int) -> set[int]:
        return self.all_layers() if epoch >= 2 else set()


class TestUnfreezeMilestones(RealNetwork):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("unfreeze_milestones", ((1, 3), 2))

    def trains(self, epoch: int) -> set[int]:
        layers = self.all_layers()
        return layers if epoch >= 3 else set(sorted(layers)[-2:]) if epoch else set()
