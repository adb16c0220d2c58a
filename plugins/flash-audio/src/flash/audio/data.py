"""Data modules of recordings with classes, from folders, files, tables and memory."""

from __future__ import annotations

from flash.data.files import FileData

from ._former import DATA_ARGUMENTS
from .preprocess import AudioPreprocess

__all__ = ["AudioClassificationData"]


class AudioClassificationData(FileData):
    """Data module of recordings with one class or several classes each.

    Recordings are decoded lazily, in the workers. Their sample rate and their spectrogram are those of the task's
    backbone. All constructors take, besides their data, the arguments of :class:`~flash.audio.AudioPreprocess`
    (``augmentation``, ``duration``, ``sample_rate``, ...) or the ``preprocess`` of a trained task;
    ``on_bad_sample="skip"``, which decodes all recordings first and skips those that cannot be; and the arguments of
    :class:`flash.DataModule` (``batch_size``, 32 by default, ``num_workers``, ``val_split``, ``seed``, ...).

    Arrays are ``(recordings, samples[, channels])``, tensors ``(recordings[, channels], samples)``; recordings of
    different lengths are a list of them, in ``from_lists``. ``sample_rate`` says their rate.

    Paths in tables are relative to ``recordings_root``, or to the folder of the table.

    Example:
        >>> import numpy as np
        >>> noise = np.random.default_rng(0).normal(0, 0.1, (4, 4000)).astype(np.float32)
        >>> dm = AudioClassificationData.from_numpy(noise, ["rain", "wind"] * 2, sample_rate=8000, duration=0.5)
        >>> dm.labels, len(dm.train_dataset)
        (['rain', 'wind'], 4)
    """

    preprocess_cls = AudioPreprocess
    former_arguments = DATA_ARGUMENTS
    default_batch_size = 32
