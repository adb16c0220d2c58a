"""Augmentations of recordings for training, by name; other plugins can add more by ``flash_components``.

An augmentation is a factory that takes the :class:`~flash.audio.AudioSpec` and returns an :class:`Augmentation`, or
anything else with some of its three methods.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flash.core.registry import ComponentRegistry

from .read import middle
from .spec import AudioSpec

__all__ = ["Augmentation", "augmentations"]

#: Train augmentations by name: factories that take an :class:`~flash.audio.AudioSpec` and return an
#: :class:`Augmentation`.
augmentations = ComponentRegistry("augmentation", "audio augmentations", "audio/classification")

# SpecAugment (1904.08779): two masks of frames and two of bands, of at most these shares of a spectrogram.
_MASKS, _TIME_SHARE, _BAND_SHARE = 2, 0.2, 0.2


class Augmentation:
    """The steps of an augmentation, each of which by default changes nothing: override those that you need.

    Args:
        spec: What the network expects of recordings.

    Example:
        >>> Augmentation(AudioSpec()).cut(10)
        5
    """

    def __init__(self, spec: AudioSpec) -> None:
        self.spec = spec

    def cut(self, extra: int) -> int:
        """Return where the part of a recording begins that is used, in samples of its file; by default its middle.

        Args:
            extra: The number of samples that the recording is longer than the part.
        """
        return middle(extra)

    def waveform(self, samples: Tensor) -> Tensor:
        """Return the samples of one recording, shape ``(samples,)``, changed; in the worker, before they are padded."""
        return samples

    def spectrogram(self, spectrograms: Tensor, frames: Tensor) -> Tensor:
        """Return the spectrograms of a batch, changed; on the device.

        Args:
            spectrograms: Shape ``(batch, 1, n_mels, frames)``; 0 is the mean of each.
            frames: The frames of each that are no padding, shape ``(batch,)``.
        """
        return spectrograms


class Crop(Augmentation):
    """A random part of recordings that are longer than the duration."""

    def cut(self, extra: int) -> int:
        """Return a random beginning."""
        return int(torch.randint(extra + 1, ()))


class Shift(Crop):
    """A random part; and recordings are rotated by a random number of samples."""

    def waveform(self, samples: Tensor) -> Tensor:
        """Rotate the samples: what leaves at one end comes back at the other."""
        return samples.roll(int(torch.randint(len(samples), ())))


class SpecAugment(Crop):
    """A random part; and bands and frames of spectrograms are masked by their mean (1904.08779)."""

    def spectrogram(self, spectrograms: Tensor, frames: Tensor) -> Tensor:
        """Mask two stretches of frames and two of bands in each spectrogram."""
        bands = torch.full_like(frames, spectrograms.shape[2])
        keep = torch.ones_like(spectrograms)
        for _ in range(_MASKS):
            keep = keep * _kept(frames, spectrograms.shape[3], _TIME_SHARE)[:, None, None, :]
            keep = keep * _kept(bands, spectrograms.shape[2], _BAND_SHARE)[:, None, :, None]
        return spectrograms * keep


def _kept(lengths: Tensor, size: int, share: float) -> Tensor:
    """Return 0 in a random stretch of up to a share of each length, and 1 elsewhere, shape ``(batch, size)``."""
    draws = torch.rand(2, len(lengths), 1, device=lengths.device)
    width = (draws[0] * (share * lengths[:, None] + 1)).floor()
    start = (draws[1] * (lengths[:, None] - width + 1)).floor()
    places = torch.arange(size, device=lengths.device)
    return ((places < start) | (places >= start + width)).float()


def none(spec: AudioSpec) -> Augmentation:
    return Augmentation(spec)


def crop(spec: AudioSpec) -> Augmentation:
    return Crop(spec)


def shift(spec: AudioSpec) -> Augmentation:
    return Shift(spec)


def specaugment(spec: AudioSpec) -> Augmentation:
    return SpecAugment(spec)
