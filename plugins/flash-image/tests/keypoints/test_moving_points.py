"""Points move with images, and left and right change places in mirrored ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from flash.errors import ConfigurationError, DataError
from flash.image.detection.augmentations import augment
from flash.image.keypoints.moving import upright_points, with_points
from flash.image.keypoints.names import mirrored_order, read_skeleton

NAMES = ["nose", "left_eye", "right_eye"]
# In an image of 40 x 20 pixels; the right eye is hidden, or the second object's is not annotated.
POINTS = torch.tensor([[[10.0, 5, 2], [14, 3, 2], [6, 3, 1]], [[30, 15, 2], [33, 13, 2], [0, 0, 0]]])


def moved(augmentation: Any, names: Any = NAMES) -> tuple[Tensor, Tensor]:
    """Return the image and the points after an augmentation."""
    image = torch.arange(800, dtype=torch.int64).remainder(256).reshape(1, 20, 40).expand(3, -1, -1).to(torch.uint8)
    target = {
        "boxes": torch.tensor([[4.0, 1, 16, 9], [27, 10, 36, 18]]),
        "labels": torch.tensor([1, 1]),
        "keypoints": POINTS.clone(),
    }
    pixels, target = augment(image, target, with_points(augmentation, names))
    return pixels, target["keypoints"]


def test_a_flip_moves_points_and_exchanges_left_and_right_with_their_visibilities() -> None:
    _, points = moved(v2.RandomHorizontalFlip(p=1))
    nose, left, right = POINTS.unbind(1)
    for before, after in ((nose, points[:, 0]), (right, points[:, 1]), (left, points[:, 2])):
        assert after[:, 2].equal(before[:, 2])
        seen = before[:, 2] > 0
        assert torch.allclose(after[seen, :2], torch.stack([40 - before[seen, 0], before[seen, 1]], 1), atol=1e-4)
    assert points[1, 1].tolist() == [0, 0, 0]


def test_a_vertical_flip_mirrors_as_well_and_both_together_do_not() -> None:
    _, points = moved(v2.RandomVerticalFlip(p=1))
    assert torch.allclose(points[0, 1], torch.tensor([6.0, 17, 1]), atol=1e-4)
    _, points = moved(v2.Compose([v2.RandomVerticalFlip(p=1), v2.RandomHorizontalFlip(p=1)]))
    assert torch.allclose(points[0, 1], torch.tensor([26.0, 17, 2]), atol=1e-4)


def test_resizing_scales_points_and_exchanges_nothing() -> None:
    _, points = moved(v2.Resize((60, 20)))
    expected = POINTS * torch.tensor([0.5, 3.0, 1.0])
    assert torch.allclose(points, expected, atol=1e-4)


def test_points_outside_a_crop_are_not_annotated_any_more_also_when_it_is_resized() -> None:
    crop = v2.Compose([_Crop(), v2.Resize((40, 48))])
    _, points = moved(crop)
    # The part from x = 8 to 20 and y = 0 to 10, four times as large.
    assert torch.allclose(points[0, 0], torch.tensor([8.0, 20, 2]), atol=1e-3)
    assert torch.allclose(points[0, 1], torch.tensor([24.0, 12, 2]), atol=1e-3)
    assert points[0, 2].tolist() == [0, 0, 0]
    assert points[1].tolist() == [[0, 0, 0]] * 3


class _Crop(torch.nn.Module):
    def forward(self, image: Any, target: Any) -> Any:
        part = {"top": 0, "left": 8, "height": 10, "width": 12}
        kinds = {"boxes", "places"}
        moved = {name: functional.crop(value, **part) if name in kinds else value for name, value in target.items()}
        return functional.crop(image, **part), moved


def test_a_rotation_turns_points_and_exchanges_nothing() -> None:
    class Turn(torch.nn.Module):
        def forward(self, image: Any, target: Any) -> Any:
            turned = {
                name: functional.rotate(value, 90, expand=True) if name in ("boxes", "places") else value
                for name, value in target.items()
            }
            return functional.rotate(image, 90, expand=True), turned

    pixels, points = moved(Turn())
    assert pixels.shape == (3, 40, 20)
    assert torch.allclose(points[0, 1], torch.tensor([3.0, 26, 2]), atol=1e-3)


def test_names_without_sides_are_not_exchanged_and_points_without_names_are_an_error() -> None:
    _, points = moved(v2.RandomHorizontalFlip(p=1), ["nose", "tip", "tail"])
    assert torch.allclose(points[0, 1], torch.tensor([26.0, 3, 2]), atol=1e-4)
    with pytest.raises(DataError, match="names of the points, since the augmentation mirrored an image"):
        moved(v2.RandomHorizontalFlip(p=1), 3)
    moved(v2.RandomHorizontalFlip(p=0), 3)
    with pytest.raises(DataError, match="a point 'right_eye', which takes the place of 'left_eye'"):
        moved(v2.RandomHorizontalFlip(p=1), ["nose", "left_eye", "tail"])


def test_an_augmentation_that_leaves_objects_out_is_an_error() -> None:
    class Drop(torch.nn.Module):
        def forward(self, image: Any, target: Any) -> Any:
            return image, {**target, "boxes": target["boxes"][:1]}

    with pytest.raises(DataError, match="keep all objects, .* but it left out some. Leave out SanitizeBoundingBoxes"):
        moved(Drop())


# How the stored image is turned and mirrored into the upright one, by the orientation in EXIF.
UPRIGHT = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_points_that_were_drawn_on_the_stored_image_are_turned_and_exchanged_if_it_is_mirrored(
    orientation: int,
) -> None:
    # The pixels of the stored image hold the number of the point in them.
    stored = np.zeros((20, 40), np.uint8)
    for number, (x, y, _) in enumerate(POINTS[0].tolist(), 1):
        stored[int(y), int(x)] = number
    upright = np.asarray(Image.fromarray(stored).transpose(UPRIGHT[orientation]))
    middles = POINTS[:1] + torch.tensor([0.5, 0.5, 0.0])
    found = upright_points(middles, (40, 20), (20, 40), orientation, NAMES, "photo")
    nose, left, right = (upright[int(y), int(x)] for x, y, _ in found[0].tolist())
    assert (nose, left, right) == ((1, 3, 2) if orientation in (5, 7) else (1, 2, 3))
    # The right eye is hidden in the stored image: in a mirror image that is the left one.
    assert found[0, :, 2].tolist() == ([2, 1, 2] if orientation in (5, 7) else [2, 2, 1])


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_points_of_an_image_that_is_not_turned_to_a_side_stay(orientation: int) -> None:
    found = upright_points(POINTS, (40, 20), (40, 20), orientation, 3, "photo")
    assert found.tolist() == POINTS.tolist()


def test_a_mirrored_image_needs_the_names_of_its_points() -> None:
    with pytest.raises(DataError, match=r"names of the points, since photo\.jpg is stored as a mirror image, on which"):
        upright_points(POINTS, (40, 20), (20, 40), 7, 3, "photo.jpg")
    with pytest.raises(DataError, match="a point 'right_eye', which takes the place of 'left_eye'"):
        upright_points(POINTS, (40, 20), (20, 40), 5, ["nose", "left_eye", "tail"], "photo.jpg")
    assert upright_points(POINTS, (40, 20), (20, 40), 6, 3, "photo.jpg")[0, 0].tolist() == [15, 10, 2]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["left_eye", "right_eye", "nose"], [1, 0, 2]),
        (["eyeLeft", "eyeRight", "Nose"], [1, 0, 2]),
        (["L.Knee", "tail", "R.Knee"], [2, 1, 0]),
        (["LEFT EAR", "RIGHT EAR"], [1, 0]),
        (["bright", "cleft", "collar"], [0, 1, 2]),
    ],
)
def test_the_counterpart_of_a_point_is_found_by_its_name(names: list[str], order: list[int]) -> None:
    assert mirrored_order(names) == order


def test_a_point_without_its_counterpart_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Name both sides alike, or choose an augmentation"):
        mirrored_order(["left_eye", "nose"])


def test_lines_are_between_two_points() -> None:
    assert read_skeleton([("nose", "left_eye"), (1, 2)], NAMES) == [[0, 1], [1, 2]]
    with pytest.raises(ConfigurationError, match="pairs of points"):
        read_skeleton([("nose", "ear")], NAMES)
