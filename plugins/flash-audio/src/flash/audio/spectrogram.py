"""LogMel: log-mel spectrograms of waveforms, in torch, without the padding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .spec import MelSpec

__all__ = ["LogMel", "mel_filters", "standardized"]

# Added to the energy before the logarithm: that of a 16-bit recording's last bit.
_FLOOR = 1e-10


def mel_filters(mel: MelSpec, sample_rate: int) -> Tensor:
    """Return triangular filters that are equally spaced on the mel scale (2595 log10(1 + f / 700)), each of height 1.

    Args:
        mel: The number of bands, their frequencies and the length of the transform.
        sample_rate: The sample rate, in Hz.

    Returns:
        Shape ``(n_fft // 2 + 1, n_mels)``.

    Example:
        >>> mel_filters(MelSpec(n_mels=4), 16000).shape
        torch.Size([257, 4])
    """
    highest = sample_rate / 2 if mel.f_max is None else mel.f_max
    bins = torch.linspace(0, sample_rate / 2, mel.n_fft // 2 + 1, dtype=torch.float64)
    low, high = (2595 * math.log10(1 + frequency / 700) for frequency in (mel.f_min, highest))
    places = torch.linspace(low, high, mel.n_mels + 2, dtype=torch.float64)
    corners = 700 * (10 ** (places / 2595) - 1)
    steps = corners.diff()
    slopes = corners[None, :] - bins[:, None]
    rising, falling = -slopes[:, :-2] / steps[:-1], slopes[:, 2:] / steps[1:]
    return torch.minimum(rising, falling).clamp(min=0).float()


def standardized(values: Tensor, mask: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Standardize each recording to mean 0 and standard deviation 1, without its padding, which becomes 0.

    Args:
        values: Waveforms or spectrograms.
        mask: 1 for what is of the recording and 0 for padding; broadcast to the values.
        dims: The dimensions of one recording.
    """
    mask = mask.expand_as(values)
    count = mask.sum(dims, keepdim=True).clamp(min=1)
    centered = (values - (values * mask).sum(dims, keepdim=True) / count) * mask
    deviation = ((centered**2).sum(dims, keepdim=True) / count).sqrt()
    # Silence has no deviation but that of rounding.
    return centered / deviation.clamp(min=1e-3)


class LogMel(nn.Module):
    """Log-mel spectrograms of waveforms; it has no weights, and draws no random numbers.

    Frames are centered, the first one at the first sample. Beyond its ends a recording is silent, so that padding
    changes no frame.

    Args:
        mel: The spectrogram.
        sample_rate: The sample rate of the waveforms, in Hz.
        standardize: Whether each spectrogram is standardized, without the padding: its loudness does not matter then.

    Example:
        >>> log_mel = LogMel(MelSpec.at(16000), 16000)
        >>> spectrograms, frames = log_mel(torch.randn(2, 16000), torch.tensor([16000, 8000]))
        >>> spectrograms.shape, frames
        (torch.Size([2, 1, 64, 100]), tensor([100,  50]))
    """

    window: Tensor
    filters: Tensor

    def __init__(self, mel: MelSpec, sample_rate: int, standardize: bool = True) -> None:
        super().__init__()
        self.mel = mel
        self.standardize = standardize
        window = torch.hann_window(mel.win_length, periodic=True)
        # In the middle of the transform, as in torch.stft.
        left = (mel.n_fft - mel.win_length) // 2
        window = nn.functional.pad(window, (left, mel.n_fft - mel.win_length - left))
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", mel_filters(mel, sample_rate), persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return spectrograms and the numbers of their frames that are no padding.

        Args:
            waveforms: Shape ``(batch, samples)``.
            lengths: The samples of each recording, without padding, shape ``(batch,)``; by default all.

        Returns:
            Shapes ``(batch, 1, n_mels, frames)`` and ``(batch,)``; padding is 0 if standardized.
        """
        if lengths is None:
            lengths = torch.full((waveforms.shape[0],), waveforms.shape[1], device=waveforms.device)
        hop, half = self.mel.hop_length, self.mel.n_fft // 2
        samples = waveforms.shape[1]
        count = self.mel.frames(samples)
        right = (count - 1) * hop + self.mel.n_fft - half - samples
        padded = nn.functional.pad(waveforms.to(self.window.dtype), (half, max(right, 0)))
        frames = padded.unfold(1, self.mel.n_fft, hop)[:, :count]
        spectrum = torch.fft.rfft(frames * self.window)
        energy = spectrum.real**2 + spectrum.imag**2
        # The logarithm of the sum with the floor; the exporter to ONNX takes a number as small as that for zero.
        log_mel = (energy @ self.filters / _FLOOR).log1p() + math.log(_FLOOR)
        log_mel = log_mel.transpose(1, 2).unsqueeze(1)
        valid = ((lengths + hop - 1) // hop).clamp(min=1, max=count)
        if self.standardize:
            places = torch.arange(count, device=waveforms.device)
            mask = (places < valid.unsqueeze(1)).to(log_mel.dtype)
            log_mel = standardized(log_mel, mask[:, None, None, :], (1, 2, 3))
        return log_mel, valid
