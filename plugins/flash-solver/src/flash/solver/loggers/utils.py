"""Conversions for loggers: flat hyperparameters, numeric metrics, image and audio arrays and files."""

from __future__ import annotations

import dataclasses
import struct
import wave
import zlib
from argparse import Namespace
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
from torch import Tensor

from flash.errors import DataError
from flash.solver.formatter import single_value
from flash.solver.serialization import config_to_container
from flash.solver.utils import writing_in_folder

__all__ = ["add_prefix", "audio_array", "flat_params", "image_array", "numeric_metrics", "write_png", "write_wav"]


def flat_params(params: Any) -> dict[str, Any]:
    """Flatten nested hyperparameters into a dict with names joined by dots.

    Args:
        params: A dict, a namespace, a dataclass, or an OmegaConf configuration.

    Example:
        >>> flat_params({"optim": {"lr": 0.1, "betas": (0.9, 0.99)}, "seed": None})
        {'optim.lr': 0.1, 'optim.betas': '(0.9, 0.99)', 'seed': None}
    """
    flat: dict[str, Any] = {}
    _flatten("", _as_mapping(params), flat)
    return flat


def _as_mapping(params: Any) -> Any:
    container = config_to_container(params, resolve=True)
    if container is not params:
        return container
    if isinstance(params, Namespace):
        return vars(params)
    if dataclasses.is_dataclass(params) and not isinstance(params, type):
        return dataclasses.asdict(params)
    return {} if params is None else params


def _flatten(prefix: str, params: Mapping[Any, Any], flat: dict[str, Any]) -> None:
    for key, value in params.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        inner = _as_mapping(value) if value is not None else None
        if isinstance(inner, Mapping):
            _flatten(name, inner, flat)
        else:
            scalar = single_value(value)
            flat[name] = scalar if scalar is None or isinstance(scalar, bool | int | float | str) else str(scalar)


def numeric_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numeric metrics, and dicts of them, as Python floats."""
    found: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            inner = numeric_metrics(value)
            if inner:
                found[key] = inner
            continue
        scalar = single_value(value)
        if isinstance(scalar, int | float):
            found[key] = float(scalar)
    return found


def add_prefix(metrics: Mapping[str, Any], prefix: str, separator: str) -> dict[str, Any]:
    """Prefix the names of metrics with their stage."""
    return {f"{prefix}{separator}{key}": value for key, value in metrics.items()} if prefix else dict(metrics)


def _as_array(value: Any) -> Any:
    return (
        value.detach().float().cpu().numpy()
        if isinstance(value, Tensor) and value.is_floating_point()
        else (value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value))
    )


def image_array(image: Any) -> Any:
    """Convert an image to a uint8 array of shape ``(height, width, channels)``, with 1, 3 or 4 channels.

    Args:
        image: A tensor or array of shape ``(channels, height, width)`` or ``(height, width)``: uint8, or floats
            from 0 to 1.

    Raises:
        DataError: If it has another shape.
    """
    array = _as_array(image)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[0] not in (1, 3, 4):
        raise DataError(
            f"Expected an image of shape (channels, height, width) with 1, 3 or 4 channels, but got {array.shape}."
        )
    if array.dtype.kind == "f":
        array = np.nan_to_num(array).clip(0, 1) * 255 + 0.5
    return np.ascontiguousarray(array.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def audio_array(audio: Any) -> Any:
    """Convert audio to an int16 array of shape ``(samples, channels)``.

    Args:
        audio: A tensor or array of shape ``(channels, samples)`` or ``(samples,)``, with values from -1 to 1.

    Raises:
        DataError: If it has another shape.
    """
    array = _as_array(audio)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise DataError(f"Expected audio of shape (channels, samples), but got {array.shape}.")
    return (np.nan_to_num(array.T.astype(np.float64)).clip(-1, 1) * 32767).round().astype("<i2")


def write_wav(file: str | Path | IO[bytes], audio: Any, sample_rate: int) -> None:
    """Write audio to a 16-bit WAV file."""
    samples = audio_array(audio)
    whole = writing_in_folder(file) if isinstance(file, str | Path) else nullcontext(file)
    with whole as opened, wave.open(opened, "wb") as output:
        output.setnchannels(samples.shape[1])
        output.setsampwidth(2)
        output.setframerate(int(sample_rate))
        output.writeframes(samples.tobytes())


def write_png(file: Path, image: Any) -> None:
    """Write an image to a PNG file."""
    pixels = image_array(image)
    height, width, channels = pixels.shape
    # Each PNG scanline starts with its filter type, 0 for none.
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    color_type = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    with writing_in_folder(file) as opened:
        opened.write(b"\x89PNG\r\n\x1a\n" + b"".join(_png_part(*part) for part in parts))


def _png_part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
