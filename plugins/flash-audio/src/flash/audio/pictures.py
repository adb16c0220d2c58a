"""Pictures of spectrograms for a person to look at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

__all__ = ["picture_of"]

# The least height, in pixels, and the share of the values that may be darker than black or brighter than white.
_HEIGHT, _OUTSIDE = 128, 0.005


def picture_of(spectrogram: Tensor) -> npt.NDArray[np.uint8]:
    """Return a spectrogram as a picture: time from left to right, low frequencies at the bottom, loud is bright.

    Args:
        spectrogram: Shape ``(n_mels, frames)``.

    Returns:
        Shape ``(height, width, 3)``.

    Example:
        >>> import torch
        >>> picture_of(torch.randn(64, 100)).shape
        (128, 200, 3)
    """
    from matplotlib import colormaps

    values = spectrogram.flip(0).numpy()
    low, high = np.quantile(values, [_OUTSIDE, 1 - _OUTSIDE])
    scaled = (values - low) / max(float(high - low), 1e-6)
    pixels: npt.NDArray[np.uint8] = (colormaps["magma"](scaled.clip(0, 1))[..., :3] * 255).astype(np.uint8)
    times = -(-_HEIGHT // pixels.shape[0])
    return np.ascontiguousarray(pixels.repeat(times, 0).repeat(times, 1))
