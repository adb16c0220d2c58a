"""Recordings from files and from memory, as mono samples of one rate."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flash.data.files import local_path
from flash.errors import DataError

from .decode import BadAudioError, Cut, check_file, decode, mono, rate_of, resample
from .spec import check_rate

__all__ = ["AUDIO_EXTENSIONS", "AudioSource", "BadAudioError", "check_audio", "middle", "open_audio", "open_windows"]

#: The extensions of recordings; matched without regard to case.
AUDIO_EXTENSIONS = frozenset(
    {".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}
)

#: The types of a recording: a path, a URL, the bytes of a file, an array ``(samples[, channels])``, a tensor
#: ``([channels,] samples)``, a dict of the library ``datasets`` (``array`` and ``sampling_rate``, or ``bytes`` and
#: ``path``), or its decoder.
AudioSource: TypeAlias = str | Path | bytes | np.ndarray | Tensor | Mapping[str, Any]
_Array: TypeAlias = npt.NDArray[Any]


def middle(extra: int) -> int:
    """Return where the middle of a recording begins.

    Args:
        extra: The number of samples that the recording is longer than the part.
    """
    return extra // 2


def open_audio(
    source: AudioSource,
    sample_rate: int = 16000,
    seconds: float | None = None,
    *,
    cut: Cut = middle,
    source_rate: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Open a recording as mono samples of a rate; channels are averaged.

    Files are WAV, FLAC, OGG, MP3 and whatever else libsndfile reads, of 8 to 64 bits; whole numbers become floats from
    -1 to 1, and floats stay as they are.

    Args:
        source: A path, a URL (downloaded once per process), the bytes of a file, an array ``(samples[, channels])``, a
            tensor ``([channels,] samples)``, or a dict or a decoder of the library ``datasets``. Arrays of integers
            use the range of their type, as files do.
        sample_rate: The sample rate of the result, in Hz.
        seconds: The length of the part to open; ``None`` for all of it. Shorter recordings are opened whole. Of a file,
            only the part is decoded.
        cut: Chooses where the part begins, given the number of samples that the recording is longer.
        source_rate: The sample rate of an array or a tensor, in Hz; files and dicts state their own.
        name: The name of the recording in messages; by default its path.

    Returns:
        Float32 samples, shape ``(samples,)``.

    Raises:
        BadAudioError: If it cannot be decoded, is empty, or has samples that are not finite.
        DownloadError: If a URL cannot be fetched.
        DataError: If there is no such file, the rate of an array is unknown, or it is of another type.

    Example:
        >>> open_audio(np.zeros((800, 2), np.float32), 16000, source_rate=8000).shape
        torch.Size([1600])
    """
    if isinstance(source, str | Path):
        return torch.from_numpy(decode(local_path(source), sample_rate, seconds, cut, name or str(source))[0])
    name = name or "a recording in memory"
    if isinstance(source, bytes):
        return torch.from_numpy(decode(io.BytesIO(source), sample_rate, seconds, cut, name)[0])
    if isinstance(source, Mapping) and "array" in source:
        inner, rate = source["array"], source.get("sampling_rate", source_rate)
        return open_audio(np.asarray(inner), sample_rate, seconds, cut=cut, source_rate=rate, name=name)
    if isinstance(source, Mapping):
        inner = source.get("bytes") or source.get("path")
        if inner is not None:
            return open_audio(inner, sample_rate, seconds, cut=cut, name=name)
    if hasattr(source, "get_all_samples"):
        made = source.get_all_samples()
        return open_audio(made.data, sample_rate, seconds, cut=cut, source_rate=int(made.sample_rate), name=name)
    if isinstance(source, np.ndarray | Tensor):
        return _of_array(source, sample_rate, seconds, cut, source_rate, name)
    raise DataError(
        f"Expected a recording: a path, bytes, an array, a tensor, or a dict of array and sampling_rate, but got "
        f"{type(source).__name__} for {name}."
    )


def open_windows(
    source: AudioSource,
    sample_rate: int,
    seconds: float,
    most: int,
    *,
    source_rate: int | None = None,
    name: str | None = None,
) -> list[Tensor]:
    """Open several parts of a recording, evenly from its beginning to its end; only these parts are decoded.

    Args:
        source: As in :func:`open_audio`, like the others.
        sample_rate: The sample rate of the result, in Hz.
        seconds: The length of each part.
        most: The maximum number of parts. A recording has no more than are needed to hear all of it, and one part, its
            middle, if ``most`` is 1.
        source_rate: The sample rate of an array or a tensor, in Hz.
        name: The name of the recording in messages.

    Returns:
        The samples of each part, shape ``(samples,)``.

    Raises:
        DataError: As in :func:`open_audio`.

    Example:
        >>> parts = open_windows(np.arange(10) / 10, 1, 4.0, most=8, source_rate=1)
        >>> [part.tolist()[0] for part in parts]
        [0.0, 0.30000001192092896, 0.6000000238418579]
    """
    if hasattr(source, "get_all_samples"):
        # Decoded once for all parts.
        made = source.get_all_samples()
        source, source_rate = made.data, int(made.sample_rate)
    longer: list[int] = []

    def part(cut: Cut) -> Tensor:
        return open_audio(source, sample_rate, seconds, cut=cut, source_rate=source_rate, name=name)

    def first(extra: int) -> int:
        longer.append(extra)
        return extra // 2 if most == 1 else 0

    opened = [part(first)]
    if not longer or most == 1:
        return opened
    count = min(most, 1 + math.ceil(longer[0] / (seconds * _own_rate(source, source_rate))))
    return opened + [part(lambda extra, place=place: extra * place // (count - 1)) for place in range(1, count)]  # type: ignore[misc]


def _own_rate(source: AudioSource, source_rate: int | None) -> int:
    """Return the sample rate of a recording that was opened before."""
    if isinstance(source, Mapping) and "array" in source:
        source_rate = source.get("sampling_rate", source_rate)
    elif isinstance(source, Mapping):
        return _own_rate(source.get("bytes") or source["path"], source_rate)
    elif isinstance(source, str | Path):
        return rate_of(local_path(source))
    elif isinstance(source, bytes):
        return rate_of(io.BytesIO(source))
    assert source_rate is not None
    return source_rate


def check_audio(source: AudioSource, source_rate: int | None, name: str) -> None:
    """Open a whole recording, which detects all damage.

    Args:
        source: As in :func:`open_audio`.
        source_rate: The sample rate of an array or a tensor, in Hz.
        name: The name of the recording in messages.

    Raises:
        BadAudioError: As in :func:`open_audio`.
        DataError: As there.
    """
    if isinstance(source, Mapping) and "array" not in source:
        source = source.get("bytes") or source.get("path") or source
    if isinstance(source, str | Path):
        check_file(local_path(source), name)
    elif isinstance(source, bytes):
        check_file(io.BytesIO(source), name)
    else:
        open_audio(source, source_rate=source_rate, name=name)


def _of_array(
    source: _Array | Tensor, sample_rate: int, seconds: float | None, cut: Cut, source_rate: int | None, name: str
) -> Tensor:
    if source_rate is None:
        raise DataError(
            f"Expected the sample rate of {name}, since an array does not say it. Pass a dict, "
            "{'array': samples, 'sampling_rate': samples_per_second}; or sample_rate=... to the data module."
        )
    check_rate(source_rate, "sample_rate")
    samples = _channels_last(source, name)
    if seconds is not None:
        count = max(1, round(seconds * source_rate))
        if len(samples) > count:
            start = cut(len(samples) - count)
            samples = samples[start : start + count]
    return torch.from_numpy(resample(mono(_floats(samples, name), name), source_rate, sample_rate))


def _channels_last(source: _Array | Tensor, name: str) -> _Array:
    """Return an array of shape ``(samples, channels)``."""
    is_tensor = isinstance(source, Tensor)
    array: _Array = _to_array(source) if isinstance(source, Tensor) else source
    if array.ndim == 1:
        return array[:, None]
    if array.ndim != 2:
        raise DataError(
            f"Expected {name} as an array (samples[, channels]) or a tensor ([channels,] samples), but its shape is "
            f"{array.shape}."
        )
    array = array.T if is_tensor else array
    if array.shape[1] == 0:
        raise BadAudioError(f"Expected a recording, but {name} has no channels.")
    if array.shape[1] > max(32, array.shape[0]):
        order = "([channels,] samples)" if is_tensor else "(samples[, channels])"
        raise DataError(
            f"Expected {name} of shape {order}, but it has {array.shape[0]} samples of {array.shape[1]} channels. "
            "Transpose it."
        )
    return array


def _to_array(tensor: Tensor) -> _Array:
    tensor = tensor.detach().cpu()
    made: _Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return made


def _floats(array: _Array, name: str) -> _Array:
    kind = array.dtype.kind
    if kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if array.dtype in (np.int16, np.int32, np.int8):
        return array.astype(np.float32) / -float(np.iinfo(array.dtype).min)
    raise DataError(
        f"Expected {name} to hold floats from -1 to 1, or int16, int32 or uint8 as files do, but got {array.dtype}. "
        "Convert all recordings alike, such as by (array / largest).astype('float32')."
    )
