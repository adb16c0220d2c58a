"""Candidates for the baseline of recordings, besides the default network."""

from __future__ import annotations

from flash import DataModule, Task

from .classifier import AudioClassifier

__all__ = ["audio_cnn_wide"]


def audio_cnn_wide(data: DataModule) -> Task:
    """Return a task on the small network with twice the channels, which needs no model hub."""
    return AudioClassifier.from_data(data, backbone="flash-audio/audio_cnn", backbone_kwargs={"width": 32})
