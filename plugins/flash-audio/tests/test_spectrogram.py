"""Log-mel spectrograms equal their definition, whatever the padding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flash.audio import LogMel, MelSpec
from flash.audio.spectrogram import mel_filters, standardized


def by_definition(samples: np.ndarray, mel: MelSpec, rate: int) -> np.ndarray:
    """The log-mel spectrogram frame by frame, with a discrete Fourier transform as a sum, in double precision."""
    hop, size = mel.hop_length, mel.n_fft
    window = np.zeros(size)
    left = (size - mel.win_length) // 2
    steps = np.arange(mel.win_length)
    window[left : left + mel.win_length] = 0.5 - 0.5 * np.cos(2 * np.pi * steps / mel.win_length)
    padded = np.concatenate([np.zeros(size // 2), samples, np.zeros(size)])
    turns = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size)
    corners = [
        700 * (10 ** (place / 2595) - 1)
        for place in np.linspace(
            2595 * math.log10(1 + mel.f_min / 700), 2595 * math.log10(1 + (rate / 2) / 700), mel.n_mels + 2
        )
    ]
    bins = np.arange(size // 2 + 1) * rate / size
    filters = np.array(
        [np.interp(bins, corners[band : band + 3], [0.0, 1.0, 0.0], left=0, right=0) for band in range(mel.n_mels)]
    )
    frames = []
    for start in range(0, len(samples), hop):
        energy = np.abs(turns @ (padded[start : start + size] * window)) ** 2
        frames.append(np.log(filters @ energy + 1e-10))
    return np.array(frames).T


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_spectrogram_equals_its_definition(rate: int) -> None:
    mel = MelSpec.at(rate, n_mels=40)
    samples = np.random.default_rng(0).normal(0, 0.3, 3001)
    made, frames = LogMel(mel, rate, standardize=False)(torch.from_numpy(samples).float()[None])
    expected = by_definition(samples, mel, rate)
    assert made.shape == (1, 1, *expected.shape)
    assert frames.tolist() == [expected.shape[1]]
    np.testing.assert_allclose(made[0, 0], expected, atol=2e-3)


@pytest.mark.parametrize("pitch", [200.0, 1000.0, 5000.0])
def test_a_tone_is_loudest_in_the_band_of_its_pitch(pitch: float) -> None:
    mel = MelSpec.at(16000)
    time = torch.arange(8000) / 16000
    spectrogram, _ = LogMel(mel, 16000)(torch.sin(2 * torch.pi * pitch * time)[None])
    loudest = spectrogram[0, 0].mean(1).argmax()
    response = mel_filters(mel, 16000)[round(pitch / 16000 * mel.n_fft)]
    assert response[loudest] > 0


def test_padding_changes_no_frame_and_is_zero() -> None:
    log_mel = LogMel(MelSpec.at(16000), 16000)
    samples = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    alone, frames = log_mel(samples)
    padded, same_frames = log_mel(torch.nn.functional.pad(samples, (0, 7000)), torch.tensor([4000]))
    assert frames.tolist() == same_frames.tolist() == [25]
    torch.testing.assert_close(padded[..., :25], alone, atol=1e-5, rtol=1e-5)
    assert not padded[..., 25:].any()


def test_loudness_does_not_matter_and_silence_is_zeros() -> None:
    log_mel = LogMel(MelSpec.at(16000), 16000)
    samples = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_mel(samples * 0.01)[0], log_mel(samples)[0], atol=1e-2, rtol=1e-2)
    silent, _ = log_mel(torch.zeros(1, 4000))
    assert silent.abs().max() < 1e-2


def test_a_recording_of_one_sample_is_one_finite_frame() -> None:
    made, frames = LogMel(MelSpec.at(16000), 16000)(torch.ones(1, 1))
    assert made.shape == (1, 1, 64, 1)
    assert frames.tolist() == [1]
    assert made.isfinite().all()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_no_band_of_the_default_spectrogram_is_empty(rate: int) -> None:
    assert (mel_filters(MelSpec.at(rate), rate).sum(0) > 0).all()


def test_standardized_values_have_mean_0_and_deviation_1_without_the_padding() -> None:
    values = torch.tensor([[3.0, 5.0, 100.0]])
    made = standardized(values, torch.tensor([[1.0, 1.0, 0.0]]), (1,))
    torch.testing.assert_close(made, torch.tensor([[-1.0, 1.0, 0.0]]))
