"""Decode recordings as mono samples of one rate, with soundfile and soxr.

An exported folder has a copy of this file, which makes the inputs of its network, and therefore needs nothing else.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from flash.errors import DataError

__all__ = [
    "BadAudioError",
    "Cut",
    "batches",
    "check_file",
    "decode",
    "encode_samples",
    "mono",
    "rate_of",
    "resample",
]

_Floats: TypeAlias = npt.NDArray[np.float32]

#: Chooses where a part of a recording begins: called with the number of samples that it is longer than the part.
Cut: TypeAlias = Callable[[int], int]

# Samples that are decoded at a time where a whole file is checked.
_BLOCK = 1 << 18
# Sizes in the headers of files that were written to a pipe, whose length was not known.
_UNKNOWN_SIZES = {0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF + 36, 0xFFFFFFFF - 8}


class BadAudioError(DataError):
    """A recording that cannot be decoded: truncated, empty, or no recording."""


def decode(file: str | Path | io.BytesIO, rate: int, seconds: float | None, cut: Cut, name: str) -> tuple[_Floats, int]:
    """Decode a file, or a part of it, as mono samples.

    Only the part is decoded.

    Args:
        file: The path, or the bytes in memory.
        rate: The sample rate of the result, in Hz.
        seconds: The length of the part; ``None`` for the whole file.
        cut: Chooses where the part begins.
        name: The name of the recording in messages.

    Returns:
        The samples, and the sample rate of the file.

    Raises:
        BadAudioError: If it cannot be decoded, has no samples, or some that are not finite.
        DataError: If there is no such file.
    """
    samples, own = _decoded(file, seconds, cut, name)
    return resample(mono(samples, name), own, rate), own


def _decoded(file: str | Path | io.BytesIO, seconds: float | None, cut: Cut, name: str) -> tuple[_Floats, int]:
    if isinstance(file, str | Path):
        _check_path(Path(file), name)
    try:
        _check_complete(file, name)
        with soundfile.SoundFile(file) as opened:
            total, own = len(opened), int(opened.samplerate)
            count = total if seconds is None else min(total, math.ceil(seconds * own))
            if total > count:
                opened.seek(cut(total - count))
            samples = opened.read(count, dtype="float32", always_2d=True)
    except DataError:
        raise
    except (PermissionError, IsADirectoryError) as error:
        raise DataError(f"Expected a recording at {name}, but it cannot be read: {error.strerror}.") from error
    # libsndfile's errors, and those of its binding for damaged headers, are of several types.
    except Exception as error:
        raise BadAudioError(_sentence(name, problem_of(file, error))) from error
    if 0 < len(samples) < count:
        raise BadAudioError(_sentence(name, f"is truncated: it has {len(samples)} of {count} samples"))
    return samples, own


def rate_of(file: str | Path | io.BytesIO) -> int:
    """Return the sample rate of a file that can be decoded, in Hz.

    Args:
        file: The path, or the bytes in memory.
    """
    with soundfile.SoundFile(file) as opened:
        return int(opened.samplerate)


def check_file(file: str | Path | io.BytesIO, name: str) -> None:
    """Decode a whole file block by block, which detects all damage.

    Args:
        file: The path, or the bytes in memory.
        name: The name of the recording in messages.

    Raises:
        BadAudioError: As in :func:`decode`.
        DataError: If there is no such file.
    """
    decode(file, 16000, 0.1, lambda extra: extra // 2, name)
    try:
        with soundfile.SoundFile(file if not isinstance(file, io.BytesIO) else io.BytesIO(file.getvalue())) as opened:
            total = len(opened)
            found = 0
            for block in opened.blocks(_BLOCK, dtype="float32", always_2d=True):
                found += len(block)
                _check_finite(block, name)
    except soundfile.SoundFileError as error:
        raise BadAudioError(_sentence(name, problem_of(file, error))) from error
    if found < total:
        raise BadAudioError(_sentence(name, f"is truncated: it has {found} of {total} samples"))


def mono(samples: npt.NDArray[Any], name: str) -> _Floats:
    """Return the mean of the channels.

    Args:
        samples: Floats, shape ``(samples, channels)``.
        name: The name of the recording in messages.

    Raises:
        BadAudioError: If there are no samples, or some that are not finite.

    Example:
        >>> mono(np.array([[0.0, 1.0], [0.5, 0.5]], np.float32), "stereo").tolist()
        [0.5, 0.5]
    """
    if not samples.size:
        raise BadAudioError(_sentence(name, "is empty: it has no samples"))
    # Channel by channel, which takes a third of the time of numpy's mean over the short dimension.
    single = samples[:, 0].astype(np.float32)
    with np.errstate(invalid="ignore"):
        for channel in range(1, samples.shape[1]):
            single += samples[:, channel]
    if samples.shape[1] > 1:
        single /= samples.shape[1]
    _check_finite(single, name)
    return single


def resample(samples: _Floats, own: int, rate: int) -> _Floats:
    """Resample to another rate.

    Args:
        samples: Shape ``(samples,)``.
        own: Their sample rate, in Hz.
        rate: The wanted one.

    Example:
        >>> resample(np.zeros(441, np.float32), 44100, 16000).shape
        (160,)
    """
    if own == rate:
        return samples
    made: _Floats = soxr.resample(samples, own, rate)
    # A recording of a few samples may become none.
    return made if len(made) else samples[:1]


# ---------------------------------------------------------------------- the inputs of an exported network


def batches(
    source: str, settings: Mapping[str, Any], reader: Any, batch_size: int
) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield the inputs of batches of recordings, of each its middle.

    Args:
        source: The path of a recording, of a folder of recordings, or of a table with a column of paths.
        settings: What :meth:`flash.audio.AudioPreprocess.portable` returns.
        reader: Its ``read_table(path)`` returns the columns of a delimited file.
        batch_size: Recordings per batch.

    Yields:
        The paths; and ``waveform``, float32, shape ``(recordings, samples)``, and ``length``, the number of samples
        that are no padding, shape ``(recordings,)``.

    Raises:
        DataError: If there is no recording, or one cannot be decoded.
    """
    paths = _paths(source, settings, reader)
    for start in range(0, len(paths), batch_size):
        chosen = paths[start : start + batch_size]
        yield [str(path) for path in chosen], _encoded([(path, str(path)) for path in chosen], settings)


def encode_samples(
    samples: Sequence[bytes],
    settings: Mapping[str, Any],
    reader: Any,  # noqa: ARG001  # of others
) -> dict[str, Any]:
    """Return what :func:`batches` does for the files of a request.

    Args:
        samples: The bytes of each file.
        settings: As for :func:`batches`.
        reader: Not used.
    """
    # As the samples of a list are called in Flash.
    named = [(io.BytesIO(each), f"recording {place} of the predict data") for place, each in enumerate(samples)]
    return _encoded(named, settings)


def _encoded(files: Sequence[tuple[Path | io.BytesIO, str]], settings: Mapping[str, Any]) -> dict[str, Any]:
    waveforms = np.zeros((len(files), settings["samples"]), dtype=np.float32)
    lengths = np.zeros(len(files), dtype=np.int64)
    for row, (file, name) in enumerate(files):
        opened, _ = decode(file, settings["sample_rate"], settings["duration"], lambda extra: extra // 2, name)
        opened = opened[: settings["samples"]]
        waveforms[row, : len(opened)], lengths[row] = opened, len(opened)
    return {"waveform": waveforms, "length": lengths}


def _paths(source: str, settings: Mapping[str, Any], reader: Any) -> list[Path]:
    path, extensions = Path(source).expanduser(), settings["extensions"]
    if path.is_dir():
        files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
        shown = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
        found = sorted(file for file in shown if file.suffix.lower() in extensions)
        if not found:
            raise DataError(f"Expected recordings in {path}, but it holds none.")
        return found
    if path.suffix.lower() in settings["tables"]:
        column, table = settings["input_field"], reader.read_table(source)
        if column not in table:
            raise DataError(
                f"Expected a column {column!r} of paths in {path}, but it has {', '.join(map(repr, table))}."
            )
        return [path.parent / (cell or "") for cell in table[column]]
    return [path]


# ---------------------------------------------------------------------- what is wrong


def problem_of(file: str | Path | io.BytesIO, error: Exception) -> str:
    """Return why a file cannot be decoded, the end of a sentence."""
    start = _start(file, 16)
    if not start:
        return "is empty (0 bytes)"
    text = str(error)
    if "Format not recognised" in text or "unknown format" in text.lower():
        return f"is of no format that can be read (it starts with {start!r})"
    return f"cannot be decoded ({text.rpartition(': ')[2].rstrip('.') or type(error).__name__})"


def _check_path(path: Path, name: str) -> None:
    # libsndfile says "System error" for all of these.
    if os.path.isdir(path):
        raise DataError(f"Expected a recording at {name}, but it is a folder. Pass its files.")
    if not os.path.isfile(path):
        raise DataError(f"Expected a recording at {name}, but there is no such file. Check the path.")


def _check_complete(file: str | Path | io.BytesIO, name: str) -> None:
    """Reject a WAV file that is shorter than its header says, of which libsndfile would read what there is."""
    start = _start(file, 12)
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        return
    said = int.from_bytes(start[4:8], "little")
    size = len(file.getvalue()) if isinstance(file, io.BytesIO) else Path(file).stat().st_size
    # Many programs count the padding of the last chunk wrongly.
    if said not in _UNKNOWN_SIZES and said + 8 > size + 1:
        raise BadAudioError(_sentence(name, f"is truncated: its header says {said + 8} bytes, but it has {size}"))


def _start(file: str | Path | io.BytesIO, count: int) -> bytes:
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:count]
    with Path(file).open("rb") as opened:
        return opened.read(count)


def _check_finite(samples: npt.NDArray[Any], name: str) -> None:
    # A sum is faster than a check of each.
    with np.errstate(invalid="ignore"):
        total = samples.sum(dtype=np.float64)
    if not np.isfinite(total):
        raise BadAudioError(_sentence(name, "has samples that are not finite (NaN or infinity)"))


def _sentence(name: str, problem: str) -> str:
    return (
        f"Expected a recording, but {name} {problem}. Replace or remove it; data modules take "
        'on_bad_sample="skip" to leave such files out.'
    )
