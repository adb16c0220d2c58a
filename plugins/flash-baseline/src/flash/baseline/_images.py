"""Compare images by what they show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flash.data.inputs import with_article

from ._resampling import Array

__all__ = ["picture_of", "shrink", "similar_images"]

_HEIGHT, _WIDTH = 8, 9
# Images whose hashes differ in at most this many of 64 bits, and whose thumbnails differ by this much, are alike.
_BITS = 3
_MOST_DIFFERENCE = 6.0
# Gray values: in flatter images, the bits of a hash are noise.
_LEAST_CONTRAST = 4.0
_NEIGHBORS = 8
_LEAST_SIDE = 16


def picture_of(noun: str) -> str:
    """Return what an image is called that shows a sample.

    Example:
        >>> picture_of("image"), picture_of("recording")
        ('an image', 'the picture of a recording')
    """
    return "an image" if noun in ("image", "sample") else f"the picture of {with_article(noun)}"


def similar_images(images: Sequence[Array]) -> list[tuple[int, int]]:
    """Return pairs of images that look the same: resized, or compressed again.

    Each image becomes a thumbnail of 8 x 9 gray values and a hash of 64 bits, whether each is brighter than its left
    neighbor ("dHash"). Hashes that agree but for 3 bits agree in one of four quarters, so that only neighbors in the
    order of each quarter are compared: time grows with the number of images, not with its square.

    Images with a side of fewer than 16 pixels are left out, since many of them look alike.

    Args:
        images: ``(height, width)`` or ``(height, width, channels)``, of uint8.
    """
    places = [place for place, image in enumerate(images) if min(image.shape[:2]) >= _LEAST_SIDE]
    if len(places) < 2:
        return []
    thumbnails = np.stack([_thumbnail(images[place]) for place in places])
    return [(places[one], places[other]) for one, other in _similar(thumbnails)]


def _similar(thumbnails: Array) -> list[tuple[int, int]]:
    """Return pairs of places of similar thumbnails."""
    bits = (thumbnails[:, :, 1:] > thumbnails[:, :, :-1]).reshape(len(thumbnails), -1)
    contrast = thumbnails.reshape(len(thumbnails), -1).std(1)
    pairs: set[tuple[int, int]] = set()
    for quarter in np.split(bits, 4, axis=1):
        numbers = quarter @ (1 << np.arange(quarter.shape[1]))
        order = np.argsort(numbers, kind="stable")
        for distance in range(1, min(_NEIGHBORS, len(thumbnails) - 1) + 1):
            one, other = order[:-distance], order[distance:]
            close = (numbers[one] == numbers[other]) & (contrast[one] > _LEAST_CONTRAST)
            one, other = one[close], other[close]
            same = (bits[one] != bits[other]).sum(1) <= _BITS
            same &= np.abs(thumbnails[one] - thumbnails[other]).mean((1, 2)) <= _MOST_DIFFERENCE
            pairs.update(zip(np.minimum(one, other)[same].tolist(), np.maximum(one, other)[same].tolist(), strict=True))
    return sorted(pairs)


def shrink(image: Array, most: int) -> Array:
    """Return an image whose longer side has no more than some pixels, each the mean of a rectangle.

    Args:
        image: ``(height, width)`` or ``(height, width, channels)``.
        most: The largest number of pixels of a side.
    """
    height, width = image.shape[:2]
    scale = min(1.0, most / max(height, width))
    numbers = image.astype(np.float64)
    return _means(_means(numbers, max(1, round(height * scale)), 0), max(1, round(width * scale)), 1)


def _thumbnail(image: Array) -> Array:
    gray = image.mean(2) if image.ndim == 3 else image.astype(np.float64)
    return _means(_means(gray, _HEIGHT, 0), _WIDTH, 1)


def _means(values: Array, parts: int, axis: int) -> Array:
    """Return the means of equal parts of an axis."""
    length = values.shape[axis]
    edges = np.arange(parts) * length // parts
    shape = [1] * values.ndim
    shape[axis] = parts
    return np.asarray(np.add.reduceat(values, edges, axis) / np.diff(np.append(edges, length)).reshape(shape))
