"""Images of samples as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.image import imsave

from .._images import shrink
from .._resampling import Array

__all__ = ["data_uri"]

_MOST_PIXELS = 224
_LEAST_PIXELS = 64
_QUALITY = 82


def data_uri(image: Array) -> str:
    """Return an image as the address of a JPEG inside the page, no more than 224 pixels wide or high.

    Args:
        image: ``(height, width)``, or ``(height, width, channels)`` with one, three or four channels, of uint8; numbers
            of other types are scaled from their least to their largest.
    """
    pixels = image if image.ndim == 3 else image[..., None]
    pixels = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    if pixels.dtype != np.uint8:
        numbers = np.nan_to_num(pixels.astype(np.float64))
        pixels = 255 * (numbers - numbers.min()) / max(float(np.ptp(numbers)), 1e-12)
    small = shrink(pixels, _MOST_PIXELS)
    # Digits of 8 x 8 pixels are seen as pixels, and not as a blur of the browser and of JPEG.
    factor = max(1, _LEAST_PIXELS // max(small.shape[:2]))
    small = np.repeat(np.repeat(small, factor, axis=0), factor, axis=1)
    file = io.BytesIO()
    imsave(file, np.clip(np.rint(small), 0, 255).astype(np.uint8), format="jpg", pil_kwargs={"quality": _QUALITY})
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
