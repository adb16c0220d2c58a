"""Recordings from folders, files and tables: how one is opened, and how it is augmented; the rest is of Flash."""

import wave
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flash.data.files import FileData, FilePreprocess
from flash.data.stage import Stage
from flash.errors import DataError


class TonePreprocess(FilePreprocess):
    """Mono recordings of 16 bits, cut or repeated to ``length``; ``gain`` is by how much the volume may change."""

    extensions, noun = (".wav",), "recording"

    def __init__(self, length: int = 400, gain: float = 0.0) -> None:
        self.length, self.gain = length, gain

    def open_sample(self, source: Path) -> Tensor:
        with wave.open(str(source)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise DataError(f"Expected a mono recording of 16 bits, but {source} is another one.")
            samples = np.frombuffer(file.readframes(self.length), np.int16)
        return torch.from_numpy(np.resize(samples, (1, self.length)) / 2**15).float()

    def train_post_tensor_transform(self, sample: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return sample[0] * (1 + self.gain * (2 * torch.rand(()) - 1)), sample[1]

    def is_deterministic(self, stage: Stage) -> bool:
        return stage is not Stage.TRAIN or self.gain == 0


class AudioToneData(FileData):
    """Recordings with a class each."""

    preprocess_cls = TonePreprocess
