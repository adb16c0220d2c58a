"""Move points with images, turned upright or augmented, and exchange left and right in mirrored images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from flash.errors import ConfigurationError, DataError

from ..detection.augmentations import Augmentation
from ..detection.boxes import upright_boxes
from .names import Keypoints, mirrored_order

__all__ = ["upright_points", "with_points"]

# A point moves as the middle of a tiny box, since transforms of all versions of torchvision move boxes. That of a point
# outside the new image is clipped to its edge: it loses its area.
_HALF = 0.05
# So many places in each direction show whether the image was mirrored.
_PLACES = 16
# The orientations in EXIF of images that are stored turned to a side and mirrored.
_MIRRORED_SIDEWAYS = (5, 7)


def upright_points(
    points: Tensor,
    annotated_size: tuple[int, int] | None,
    size: tuple[int, int],
    orientation: int,
    keypoints: Keypoints,
    name: str,
) -> Tensor:
    """Return points in the coordinates of the upright image; those outside it count as not annotated.

    If they were drawn on the image as it is stored, they are turned with it. If it is stored mirrored as well, what was
    on the left in it is on the right of the upright image: the points of each pair change places. The orientations 2
    and 4, mirrored without a turn, leave no trace in the size of an image: its points are those of the upright one.

    Args:
        points: x, y and visibility, shape ``(objects, points, 3)``.
        annotated_size: Width and height in the annotation; if ``None``, the points are those of the upright image.
        size: Width and height of the upright image.
        orientation: The orientation in EXIF, 1 (upright) to 8.
        keypoints: The names of the points, or their number.
        name: The name of the image in messages.

    Raises:
        DataError: If the annotated image had another size, or was mirrored, and the points have no names.

    Example:
        >>> points = torch.tensor([[[10.0, 20.0, 2.0], [30.0, 20.0, 1.0]]])
        >>> upright_points(points, (100, 50), (50, 100), 5, ["left", "right"], "photo.jpg")
        tensor([[[20., 30.,  1.],
                 [20., 10.,  2.]]])
    """
    places, seen = points[..., :2].reshape(-1, 2), points[..., 2].reshape(-1)
    if annotated_size is not None and annotated_size != size:
        places = upright_boxes(torch.cat([places, places], dim=1), annotated_size, size, orientation, name)[:, :2]
        if orientation in _MIRRORED_SIDEWAYS:
            order = _order(keypoints, f"{name} is stored as a mirror image, on which its points were drawn")
            places = places.reshape(*points.shape[:-1], 2)[:, order].reshape(-1, 2)
            seen = points[..., 2][:, order].reshape(-1)
    inside = ((places >= 0) & (places <= torch.tensor(size))).all(1) & (seen > 0)
    upright = torch.cat([places, seen[:, None]], dim=1) * inside[:, None]
    return upright.reshape(points.shape)


def with_points(augmentation: Augmentation, keypoints: Keypoints) -> Augmentation:
    """Return an augmentation that moves the points of a target with its image.

    Where the image was mirrored, the left and the right point of each pair change places. Points that are no longer in
    the image count as not annotated.

    Args:
        augmentation: Takes an image and a target, as torchvision's v2 transforms do.
        keypoints: The names of the points, or their number.

    Raises:
        DataError: If the image was mirrored, and the points have no names.

    Example:
        >>> from torchvision.transforms import v2
        >>> boxes = tv_tensors.BoundingBoxes(torch.tensor([[0.0, 0, 6, 6]]), format="XYXY", canvas_size=(8, 10))
        >>> target = {"boxes": boxes, "keypoints": torch.tensor([[[1.0, 2.0, 2.0], [5.0, 2.0, 0.0]]])}
        >>> flip = with_points(v2.RandomHorizontalFlip(p=1), ["left", "right"])
        >>> flip(tv_tensors.Image(torch.zeros(3, 8, 10, dtype=torch.uint8)), target)[1]["keypoints"]
        tensor([[[0., 0., 0.],
                 [9., 2., 2.]]])
    """

    def move(image: Any, target: Any) -> Any:
        points = target["keypoints"]
        size = (int(image.shape[-2]), int(image.shape[-1]))
        grid = _grid(size)
        middles = torch.cat([grid, points[..., :2].reshape(-1, 2)])
        around: Any = tv_tensors.BoundingBoxes(
            torch.cat([middles - _HALF, middles + _HALF], dim=1), format="XYXY", canvas_size=size
        )
        parts = {name: part for name, part in target.items() if name != "keypoints"}
        changed = augmentation(image, {**parts, "places": around})
        if not isinstance(changed, tuple) or len(changed) != 2 or not isinstance(changed[1], dict):
            return changed  # which is an error of the augmentation, for all targets
        new_image, new_target = changed
        moved = new_target.pop("places").as_subclass(Tensor)
        if len(moved) != len(middles) or len(new_target["boxes"]) != len(points):
            raise DataError(
                "Expected the augmentation to keep all objects, since those without an area in the new image are left "
                "out later, but it left out some. Leave out SanitizeBoundingBoxes."
            )
        places, inside = (moved[:, :2] + moved[:, 2:]) / 2, (moved[:, 2:] > moved[:, :2]).all(1)
        seen = points[..., 2] * inside[len(grid) :].reshape(points.shape[:-1])
        new = torch.cat([places[len(grid) :].reshape(*points.shape[:-1], 2), seen[..., None]], dim=-1)
        new = new * (seen > 0)[..., None]
        kept = inside[: len(grid)]
        if _is_mirrored(grid[kept], places[: len(grid)][kept]):
            new = new[:, _order(keypoints, "the augmentation mirrored an image")]
        return new_image, {**new_target, "keypoints": new}

    return move


def _order(keypoints: Keypoints, reason: str) -> list[int]:
    if isinstance(keypoints, int):
        raise DataError(
            f"Expected the names of the points, since {reason}: the left and the right point of a pair change places. "
            "Pass keypoints=['left_eye', 'right_eye', ...] to the data module, or use no image that is mirrored, nor "
            "an augmentation that flips."
        )
    try:
        return mirrored_order(keypoints)
    except ConfigurationError as error:
        raise DataError(str(error)) from error


def _grid(size: tuple[int, int]) -> Tensor:
    """Return places all over an image, as x and y, shape ``(places, 2)``."""
    height, width = size
    shares = (torch.arange(_PLACES) + 0.5) / _PLACES
    return torch.cartesian_prod(shares * width, shares * height)


def _is_mirrored(before: Tensor, after: Tensor) -> bool:
    """Return whether the linear map that fits best between places changes their orientation."""
    if len(before) < 3:
        return False
    before, after = before.double() - before.double().mean(0), after.double() - after.double().mean(0)
    # The determinant of the least-squares map has the sign of that of the products of both.
    return bool(torch.linalg.det(before.T @ after) < 0)
