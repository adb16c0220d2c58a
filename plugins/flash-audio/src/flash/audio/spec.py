"""AudioSpec: the sample rate, the length and the spectrogram that a network expects; the ``input_spec`` of its task."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from flash.errors import ConfigurationError

__all__ = ["AudioSpec", "MelSpec", "check_duration", "check_rate"]

# Seconds: the window and the step of spectrograms, as is usual for sounds and speech.
_WINDOW, _STEP = 0.025, 0.01
# Hertz: below are hum and wind.
_LOWEST = 20.0


@dataclass(frozen=True)
class MelSpec:
    """A log-mel spectrogram.

    Args:
        n_mels: The number of mel bands.
        n_fft: The length of the Fourier transform, in samples.
        win_length: The length of the Hann window, in samples.
        hop_length: The step from frame to frame, in samples.
        f_min: The lowest frequency, in Hz.
        f_max: The highest frequency, in Hz; ``None`` for half of the sample rate.

    Raises:
        ConfigurationError: If a length is not positive, or the window is longer than the transform.

    Example:
        >>> MelSpec.at(16000)
        MelSpec(n_mels=64, n_fft=512, win_length=400, hop_length=160, f_min=20.0, f_max=None)
    """

    n_mels: int = 64
    n_fft: int = 512
    win_length: int = 400
    hop_length: int = 160
    f_min: float = _LOWEST
    f_max: float | None = None

    def __post_init__(self) -> None:
        numbers = (self.n_mels, self.n_fft, self.win_length, self.hop_length)
        if min(numbers) < 1 or self.win_length > self.n_fft:
            raise ConfigurationError(
                "Expected positive lengths of a spectrogram, and a window of at most n_fft samples, but got "
                f"n_mels={self.n_mels}, n_fft={self.n_fft}, win_length={self.win_length}, hop_length={self.hop_length}."
            )

    @classmethod
    def at(cls, sample_rate: int, n_mels: int = 64) -> MelSpec:
        """Return the spectrogram with windows of 25 ms every 10 ms.

        Args:
            sample_rate: The sample rate, in Hz.
            n_mels: The number of mel bands.
        """
        window = max(2, round(_WINDOW * sample_rate))
        return cls(n_mels, 1 << (window - 1).bit_length(), window, max(1, round(_STEP * sample_rate)))

    def frames(self, samples: int) -> int:
        """Return the number of frames whose center is in a recording: one at its first sample, then one per step."""
        return -(-samples // self.hop_length)


@dataclass(frozen=True)
class AudioSpec:
    """Requirements of a network on recordings.

    Args:
        sample_rate: Samples per second.
        duration: The length that recordings are cut or padded to, in seconds; data modules can choose another one.
        mel: The spectrogram that the network takes; ``None`` for networks that take waveforms.
        standardize: Whether each recording is standardized, waveform or spectrogram: mean 0, standard deviation 1.

    Raises:
        ConfigurationError: If the sample rate or the duration is not positive.

    Example:
        >>> AudioSpec(8000, duration=2.0).samples
        16000
    """

    sample_rate: int = 16000
    duration: float = 5.0
    mel: MelSpec | None = field(default_factory=MelSpec)
    standardize: bool = True

    def __post_init__(self) -> None:
        check_rate(self.sample_rate, "sample_rate")
        check_duration(self.duration)

    @property
    def samples(self) -> int:
        """The number of samples of each recording."""
        return max(1, round(self.duration * self.sample_rate))

    def at(self, sample_rate: int) -> AudioSpec:
        """Return the same for another sample rate: a spectrogram with as many mel bands, of as many milliseconds."""
        mel = None if self.mel is None else MelSpec.at(sample_rate, self.mel.n_mels)
        return replace(self, sample_rate=sample_rate, mel=mel)


def check_rate(rate: Any, name: str) -> None:
    """Reject a sample rate that is none.

    Raises:
        ConfigurationError: If it is no whole number above 0.
    """
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise ConfigurationError(
            f"Expected {name} to be a number of samples per second, such as 16000, but got {rate!r}."
        )


def check_duration(duration: Any) -> None:
    """Reject a duration that is none.

    Raises:
        ConfigurationError: If it is no finite number above 0.
    """
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration < math.inf:
        raise ConfigurationError(f"Expected duration to be a number of seconds above 0, but got {duration!r}.")
