"""Audio: classification of recordings, on soundfile and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_names
from flash.plugins import lazy_exports

from ._former import NAMES

if TYPE_CHECKING:
    from .classifier import AudioClassifier as AudioClassifier
    from .data import AudioClassificationData as AudioClassificationData
    from .decode import BadAudioError as BadAudioError
    from .preprocess import AudioPreprocess as AudioPreprocess
    from .read import open_audio as open_audio
    from .spec import AudioSpec as AudioSpec
    from .spec import MelSpec as MelSpec
    from .spectrogram import LogMel as LogMel

__version__ = "0.1.0"

_EXPORTS = {
    "AudioClassificationData": ".data",
    "AudioClassifier": ".classifier",
    "AudioPreprocess": ".preprocess",
    "AudioSpec": ".spec",
    "BadAudioError": ".decode",
    "LogMel": ".spectrogram",
    "MelSpec": ".spec",
    "open_audio": ".read",
}

__all__ = [
    "AudioClassificationData",
    "AudioClassifier",
    "AudioPreprocess",
    "AudioSpec",
    "BadAudioError",
    "LogMel",
    "MelSpec",
    "open_audio",
]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS, former_names(__name__, NAMES))
