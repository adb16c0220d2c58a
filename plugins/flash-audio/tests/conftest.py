"""Fixtures that the tests of recordings share: tones in noise, in memory and in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from flash.audio import AudioClassificationData

RATE = 16000
PITCHES = {"a": 440.0, "c": 523.0, "e": 659.0, "g": 784.0}


def _tone(name: str, seed: int, seconds: float = 0.4, rate: int = RATE, pitches: Any = None) -> np.ndarray:
    """A tone of a pitch with random phase and loudness, in noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    loudness = 10 ** rng.uniform(-2, 0)
    tone = np.sin(2 * np.pi * (pitches or PITCHES)[name] * time + rng.uniform(0, 2 * np.pi))
    return (0.5 * loudness * (tone + rng.normal(0, 1, len(time)))).astype(np.float32)


@pytest.fixture
def tone() -> Callable[..., np.ndarray]:
    """Makes a tone: ``tone("a", seed, seconds=0.4, rate=16000)``."""
    return _tone


@pytest.fixture
def tones() -> Callable[..., AudioClassificationData]:
    """Makes data of tones in memory: ``tones(train=40, val=20, shuffled=False, rate=16000, **options)``."""

    def make(
        train: int = 40, val: int = 20, shuffled: bool = False, seconds: float = 0.4, **options: Any
    ) -> AudioClassificationData:
        targets = [list(PITCHES)[seed % 4] for seed in range(train + val)]
        sounds = [_tone(target, seed, seconds) for seed, target in enumerate(targets)]
        if shuffled:
            targets[:train] = list(np.random.default_rng(0).permutation(targets[:train]))
        return AudioClassificationData.from_lists(
            train_data=sounds[:train],
            train_targets=targets[:train],
            val_data=sounds[train:],
            val_targets=targets[train:],
            **{"batch_size": 20, "seed": 0, "sample_rate": RATE, "duration": seconds, **options},
        )

    return make


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder with ``train``, ``val`` and ``test`` of classes ``a`` and ``g``, and ``new``, of files of 0.4 s."""
    for stage, count in (("train", 6), ("val", 4), ("test", 4)):
        for name in ("a", "g"):
            folder = tmp_path / stage / name
            folder.mkdir(parents=True)
            for number in range(count):
                soundfile.write(folder / f"{number}.wav", _tone(name, 100 * len(stage) + number), RATE)
    (tmp_path / "new").mkdir()
    for number in range(3):
        soundfile.write(tmp_path / "new" / f"{number}.wav", _tone("a", number), RATE)
    return tmp_path
