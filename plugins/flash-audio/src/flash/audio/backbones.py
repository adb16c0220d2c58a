"""Backbones: networks that turn recordings into features.

A backbone is a module that is called with spectrograms ``(batch, 1, n_mels, frames)``, or, if its ``input_spec`` has no
``mel``, with waveforms ``(batch, samples)``; and if its ``forward`` has a parameter ``lengths``, with the number of
frames or samples of each recording that are no padding, shape ``(batch,)``. It returns features ``(batch, n)``. It may
have the attributes ``out_features`` (its n, which is measured otherwise) and ``input_spec``, an
:class:`~flash.audio.AudioSpec`. A factory that a plugin registers for the domain ``"audio"`` is called as
``factory(pretrained=..., **backbone_kwargs)``, without ``pretrained`` if it takes none.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from flash.core.backbones import num_features
from flash.errors import ConfigurationError

from .spec import AudioSpec, MelSpec

__all__ = ["AudioCNN", "MaskedNorm", "audio_cnn", "audio_features", "encode"]

# Of long recordings a batch has many times as many windows as recordings.
_WINDOWS_AT_A_TIME = 64


class MaskedNorm(nn.BatchNorm1d):
    """Batch normalization over maps of which some frames are padding: their statistics do not count, and they become 0.

    Args:
        channels: The number of channels.

    Example:
        >>> norm = MaskedNorm(3)
        >>> norm(torch.randn(2, 3, 4, 10), torch.ones(2, 10, dtype=torch.bool)).shape
        torch.Size([2, 3, 4, 10])
    """

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]  # it takes the mask too
        """Normalize maps.

        Args:
            maps: Shape ``(batch, channels, bands, frames)``.
            mask: False for padding, shape ``(batch, frames)``.
        """
        if self.training:
            rows = maps.permute(0, 3, 2, 1)
            normal = super().forward(rows[mask].flatten(0, 1)).view(-1, *rows.shape[2:])
            made = torch.zeros(rows.shape, dtype=normal.dtype, device=rows.device)
            made[mask] = normal
            return made.permute(0, 3, 2, 1)
        made = super().forward(maps.flatten(2)).view(maps.shape)
        return made * mask[:, None, None, :]


class _Block(nn.Module):
    """A convolution that halves bands and frames."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm = MaskedNorm(outputs)

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
        """Return maps of half the size; ``mask`` is that of the result."""
        return torch.relu(self.norm(self.conv(maps), mask))


class AudioCNN(nn.Module):
    """A small network for spectrograms: four convolutions that halve them, then the mean and the maximum in time.

    Padding never counts: a recording has the same features whatever it is padded to.

    Args:
        width: The channels of the first convolution; the last one has eight times as many.
        n_mels: The mel bands of spectrograms.
        out_features: The number of features.

    Example:
        >>> AudioCNN()(torch.randn(2, 1, 64, 100)).shape
        torch.Size([2, 256])
    """

    def __init__(self, width: int = 16, n_mels: int = 64, out_features: int = 256) -> None:
        super().__init__()
        widths = [1, width, 2 * width, 4 * width, 8 * width]
        self.blocks = nn.ModuleList(_Block(*pair) for pair in pairwise(widths))
        bands = n_mels
        for _ in self.blocks:
            bands = -(-bands // 2)
        # The bands stay apart: where in the spectrogram something is matters, unlike in an image.
        self.project = nn.Linear(widths[-1] * bands, out_features)
        self.out_features = out_features
        self.input_spec = AudioSpec(mel=MelSpec.at(16000, n_mels))

    def forward(self, spectrograms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return features, shape ``(batch, out_features)``.

        Args:
            spectrograms: Shape ``(batch, 1, n_mels, frames)``.
            lengths: The frames of each recording that are no padding, shape ``(batch,)``; by default all.
        """
        maps = spectrograms
        if lengths is None:
            lengths = torch.full((maps.shape[0],), maps.shape[3], device=maps.device)
        maps = maps * _mask(lengths, maps)[:, None, None, :]
        for block in self.blocks:
            lengths = (lengths + 1) // 2
            frames = (maps.shape[3] + 1) // 2
            mask = torch.arange(frames, device=maps.device) < lengths.unsqueeze(1)
            maps = block(maps, mask)
        mask = _mask(lengths, maps)
        steps = torch.relu(self.project(maps.flatten(1, 2).transpose(1, 2))) * mask.unsqueeze(2)
        mean = steps.sum(1) / lengths.clamp(min=1).unsqueeze(1)
        return mean + steps.amax(1)

    def layers(self) -> list[nn.Module]:
        """Return the convolutions and the projection, in the order of the forward pass."""
        return [*self.blocks, self.project]


def _mask(lengths: Tensor, maps: Tensor) -> Tensor:
    return torch.arange(maps.shape[3], device=maps.device) < lengths.unsqueeze(1)


def audio_cnn(width: int = 16, n_mels: int = 64, out_features: int = 256) -> AudioCNN:
    """Make a small network with random weights; see :class:`AudioCNN`."""
    return AudioCNN(width, n_mels, out_features)


# ---------------------------------------------------------------------- any backbone


def encode(backbone: nn.Module, x: Mapping[str, Tensor]) -> Any:
    """Return the features of a batch, as the device hooks of :class:`~flash.audio.AudioPreprocess` return it.

    Args:
        backbone: A module as described in :mod:`flash.audio.backbones`.
        x: ``spectrogram`` or ``waveform``, and ``length``; with ``window_counts``, the number of windows of each
            recording, those of all windows, whose features are averaged for each recording.
    """
    if "window_counts" in x:
        return _averaged(backbone, x)
    values = x["spectrogram"] if "spectrogram" in x else x["waveform"]
    if "lengths" in inspect.signature(backbone.forward).parameters:
        return backbone(values, lengths=x["length"])
    return backbone(values)


def _averaged(backbone: nn.Module, x: Mapping[str, Tensor]) -> Tensor:
    """Return the mean features of the windows of each recording; no more windows are in the network at a time."""
    counts, windows = x["window_counts"], {name: each for name, each in x.items() if name != "window_counts"}
    starts = range(0, len(x["length"]), _WINDOWS_AT_A_TIME)
    parts = [{name: each[start : start + _WINDOWS_AT_A_TIME] for name, each in windows.items()} for start in starts]
    features = torch.cat([encode(backbone, part) for part in parts])
    rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    sums = features.new_zeros(len(counts), features.shape[1]).index_add(0, rows, features)
    return sums / counts.unsqueeze(1).to(features.dtype)


def audio_features(backbone: nn.Module, spec: AudioSpec) -> int:
    """Return the number of features: the backbone's ``out_features``, or else measured on a second of silence.

    Args:
        backbone: The module.
        spec: What it expects of recordings.

    Raises:
        ConfigurationError: If it does not return one vector per recording.

    Example:
        >>> audio_features(nn.Sequential(nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), AudioSpec())
        5
    """
    samples = spec.samples

    def example() -> dict[str, Tensor]:
        if spec.mel is None:
            return {"waveform": torch.zeros(1, samples), "length": torch.tensor([samples])}
        frames = spec.mel.frames(samples)
        return {"spectrogram": torch.zeros(1, 1, spec.mel.n_mels, frames), "length": torch.tensor([frames])}

    hint = (
        "Give it an attribute input_spec, a flash.audio.AudioSpec, for recordings of another kind; or an attribute "
        "out_features."
    )
    found = num_features(backbone, example, lambda x: encode(backbone, x), hint=hint)
    if found < 1:
        raise ConfigurationError(f"Expected features of a {type(backbone).__name__}, but it has none.")
    return found
