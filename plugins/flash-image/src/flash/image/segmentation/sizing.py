"""Images of any size as inputs of a network of one size: squashed, padded, or cut into tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn

from flash.errors import ConfigurationError

from .. import encoder
from ..config import ImageConfig
from .masks import IGNORED

__all__ = [
    "Resize",
    "check_resize",
    "fit",
    "fit_settings",
    "part_inside",
    "predict_tiles",
    "random_tile",
    "stack",
    "unpadded",
]

#: ``"squash"`` resizes without regard to the aspect ratio, ``"pad"`` keeps it, and ``"tiles"`` does not resize.
Resize = Literal["squash", "pad", "tiles"]

_TILES_AT_ONCE = 8


def check_resize(resize: Any, overlap: Any) -> None:
    """Raise an error for arguments that are none.

    Args:
        resize: The way to resize.
        overlap: The fraction of a tile that the next one covers too.

    Raises:
        ConfigurationError: If one has another value.
    """
    if resize not in ("squash", "pad", "tiles"):
        raise ConfigurationError(f"Expected resize to be 'squash', 'pad' or 'tiles', but got {resize!r}.")
    if isinstance(overlap, bool) or not isinstance(overlap, int | float) or not 0 <= overlap <= 0.9:
        raise ConfigurationError(f"Expected tile_overlap to be from 0 to 0.9, but got {overlap!r}.")


def fit(image: Image.Image, config: ImageConfig, way: Resize, overlap: float) -> dict[str, Tensor]:
    """Return the input of a network for one image, and the size of the image.

    Args:
        image: The image.
        config: The size of the network's images, which is that of tiles.
        way: How to resize.
        overlap: The fraction of a tile that the next one covers too.

    Returns:
        ``image``: uint8, shape ``(channels, height, width)``; ``size``: the height and width of the image. Unless it
        fills its input, ``inside``: how many rows and columns of it do. For tiles ``tile``: their height and width, and
        the steps from one to the next.

    Example:
        >>> config = ImageConfig.of({"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.2,) * 3})
        >>> found = fit(Image.new("RGB", (20, 10)), config, "pad", 0.25)
        >>> found["image"].shape, found["size"], found["inside"]
        (torch.Size([3, 8, 8]), tensor([10, 20]), tensor([4, 8]))
    """
    found = encoder.fit(image, fit_settings(config, way, overlap))
    return {name: torch.from_numpy(array) for name, array in found.items()}


def fit_settings(config: ImageConfig, way: Resize, overlap: float) -> dict[str, Any]:
    """Return what :func:`flash.image.encoder.fit` needs to know, as JSON can hold it; for arguments see :func:`fit`."""
    return {
        "channels": config.channels,
        "height": config.height,
        "width": config.width,
        "mean": list(config.mean),
        "resampling": config.resampling.name,
        "resize": way,
        "tile_overlap": overlap,
    }


def random_tile(image: Image.Image, mask: Tensor, config: ImageConfig) -> tuple[dict[str, Tensor], Tensor]:
    """Return a random part of an image and its mask, of the network's size, to train on.

    What a smaller image lacks does not count.

    Args:
        image: The image.
        mask: The class indices of its pixels, uint8, shape ``(height, width)``.
        config: The size.

    Returns:
        The input, as :func:`fit` returns it, and the mask.
    """
    size, places = (config.height, config.width), []
    for side, all_of in zip(size, (image.height, image.width), strict=True):
        places.append(int(torch.randint(max(1, all_of - side + 1), ())))
    top, left = places
    part = image.crop((left, top, min(left + size[1], image.width), min(top + size[0], image.height)))
    pixels = torch.from_numpy(encoder.padded(encoder.channels_first(part, config.channels), size, config.mean))
    chosen = torch.full(size, IGNORED, dtype=torch.uint8)
    chosen[: part.height, : part.width] = mask[top : top + part.height, left : left + part.width]
    return {"image": pixels, "size": torch.tensor(size)}, chosen


def stack(samples: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the inputs of a batch; images of several sizes are padded at the bottom and at the right, with zeros.

    No network sees this padding: tiles are those of each image alone.

    Args:
        samples: What :func:`fit` returned for each.
    """
    images = [each["image"] for each in samples]
    sides = [max(image.shape[axis] for image in images) for axis in (-2, -1)]
    padded = [
        nn.functional.pad(image, (0, sides[1] - image.shape[-1], 0, sides[0] - image.shape[-2])) for image in images
    ]
    others = {name: torch.stack([each[name] for each in samples]) for name in samples[0] if name != "image"}
    return {"image": torch.stack(padded), **others}


def part_inside(inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the fraction of the rows and columns of each input that its image fills, shape ``(batch, 2)``.

    Args:
        inputs: What :func:`stack` returned.
    """
    inside = inputs["inside"]
    return inside / inside.new_tensor(inputs["image"].shape[-2:])


def unpadded(scores: Tensor, part: Tensor) -> Tensor:
    """Return scores of the images alone, without those of the padding, at as many places.

    Args:
        scores: Shape ``(batch, classes, rows, columns)``.
        part: The fraction of the rows and columns of each input that its image fills, shape ``(batch, 2)``.

    Example:
        >>> scores = torch.tensor([[[[1.0, 1.0], [9.0, 9.0]]]])
        >>> unpadded(scores, torch.tensor([[0.5, 1.0]])).tolist()
        [[[[1.0, 1.0], [3.0, 3.0]]]]
    """
    # Places in half precision would be wrong by several pixels.
    scores = scores.float()
    rows, columns = part.to(scores).unbind(1)
    zero = torch.zeros_like(rows)
    theta = torch.stack([columns, zero, columns - 1, zero, rows, rows - 1], 1).view(-1, 2, 3)
    grid = nn.functional.affine_grid(theta, list(scores.shape), align_corners=False)
    return nn.functional.grid_sample(scores, grid, mode="bilinear", padding_mode="border", align_corners=False)


def predict_tiles(inputs: Mapping[str, Tensor], network: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Return the scores of images that are larger than the network's, the mean over the tiles that cover a place.

    A few tiles are computed at a time, and scores are kept at the resolution of the network's: beside the images,
    memory is that of a score per class for each of its places.

    Args:
        inputs: What :func:`stack` returned.
        network: Returns the scores of tiles, shape ``(tiles, classes, rows, columns)``.

    Returns:
        For each image shape ``(classes, rows, columns)``, without padding; they do not depend on the batch.
    """
    images, found = inputs["image"], []
    height, width, down, across = inputs["tile"][0].tolist()
    for image, (rows, columns) in zip(images, inputs["inside"].tolist(), strict=True):
        sides = encoder.grid_sides((rows, columns), (height, width))
        places = encoder.tile_places(sides, (height, width), (down, across))
        scores = _mean_of(image[:, : sides[0], : sides[1]], places, (height, width), network)
        part = torch.tensor([[rows / sides[0], columns / sides[1]]], device=scores.device)
        found.append(unpadded(scores[None], part)[0])
    return found


def _mean_of(
    image: Tensor, places: Sequence[tuple[int, int]], tile: tuple[int, int], network: Callable[[Tensor], Tensor]
) -> Tensor:
    total, count = image.new_zeros(()), image.new_zeros(())
    factors: Any = None
    for chosen in _parts(places):
        tiles = torch.stack([image[:, top : top + tile[0], left : left + tile[1]] for top, left in chosen])
        scores = network(tiles)
        if factors is None:
            factors = encoder.score_factors(scores.shape[-2:], tile, places)
            shape = [side // factor for side, factor in zip(image.shape[-2:], factors, strict=True)]
            total = scores.new_zeros(scores.shape[1], *shape)
            count = scores.new_zeros(shape)
        if factors == (1, 1) and scores.shape[-2:] != tile:
            scores = nn.functional.interpolate(scores, tile, mode="bilinear", align_corners=False)
        for (top, left), each in zip(chosen, scores, strict=True):
            rows = slice(top // factors[0], top // factors[0] + each.shape[-2])
            columns = slice(left // factors[1], left // factors[1] + each.shape[-1])
            total[:, rows, columns] += each
            count[rows, columns] += 1
    return total / count


def _parts(places: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(places), _TILES_AT_ONCE):
        yield places[start : start + _TILES_AT_ONCE]
