"""Images of any size as inputs of a network of one size: squashed, padded, or cut into tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2.functional import pil_to_tensor

from flash.errors import ConfigurationError

from ..config import ImageConfig
from .augmentations import resize
from .masks import IGNORED

__all__ = ["Resize", "check_resize", "fit", "part_inside", "predict_tiles", "random_tile", "stack", "unpadded"]

#: ``"squash"`` resizes without regard to the aspect ratio, ``"pad"`` keeps it, and ``"tiles"`` does not resize.
Resize = Literal["squash", "pad", "tiles"]

# Sides of images that are cut into tiles are multiples of this, as are the places of tiles: the scores of most networks
# are then at the same places in all tiles.
_GRID = 32
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
    size = torch.tensor([image.height, image.width])
    if way == "squash":
        return {"image": resize(image, config), "size": size}
    if way == "pad":
        factor = min(config.height / image.height, config.width / image.width)
        rows, columns = (max(1, round(side * factor)) for side in (image.height, image.width))
        pixels = _pixels(image.resize((columns, rows), config.resampling), config)
        canvas = (config.height, config.width)
        return {"image": _padded(pixels, canvas, config), "size": size, "inside": torch.tensor([rows, columns])}
    tile = (config.height, config.width)
    sides = [max(each, math.ceil(side / _GRID) * _GRID) for each, side in zip(tile, size.tolist(), strict=True)]
    steps = [max(1, round(each * (1 - overlap) / _GRID)) * _GRID for each in tile]
    return {
        "image": _padded(_pixels(image, config), sides, config),
        "size": size,
        "inside": size.clone(),
        "tile": torch.tensor([*tile, *(min(step, each) for step, each in zip(steps, tile, strict=True))]),
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
    pixels = _padded(_pixels(part, config), size, config)
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
        sides = [max(tile, math.ceil(side / _GRID) * _GRID) for tile, side in ((height, rows), (width, columns))]
        places = [(top, left) for top in _places(sides[0], height, down) for left in _places(sides[1], width, across)]
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
            factors = _factors(scores, tile, places)
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


def _factors(scores: Tensor, tile: Sequence[int], places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return how many pixels a score stands for, down and across; 1 unless the scores of all tiles are on one grid."""
    factors = []
    for axis in (0, 1):
        factor, left = divmod(tile[axis], scores.shape[axis - 2])
        is_grid = factor > 0 and not left and all(place[axis] % factor == 0 for place in places)
        factors.append(factor if is_grid and _GRID % factor == 0 and tile[axis] % factor == 0 else 0)
    return (factors[0], factors[1]) if all(factors) else (1, 1)


def _parts(places: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(places), _TILES_AT_ONCE):
        yield places[start : start + _TILES_AT_ONCE]


def _places(side: int, tile: int, step: int) -> list[int]:
    """Return where tiles begin that cover a side; the last one ends where it does."""
    return [*range(0, side - tile, step), side - tile]


def _pixels(image: Image.Image, config: ImageConfig) -> Tensor:
    pixels: Tensor = pil_to_tensor(image.convert("L") if config.channels == 1 else image)
    return pixels


def _padded(pixels: Tensor, sides: Sequence[int], config: ImageConfig) -> Tensor:
    """Return an image with padding of the network's mean color at the bottom and at the right."""
    if pixels.shape[-2:] == torch.Size(sides):
        return pixels
    mean = (torch.tensor(config.mean) * 255).round().to(torch.uint8)
    canvas = mean.view(-1, 1, 1).repeat(1, sides[0], sides[1])
    canvas[:, : pixels.shape[-2], : pixels.shape[-1]] = pixels
    return canvas
