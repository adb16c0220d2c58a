"""Images of any size in a network of one: squashed, padded, or in tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from flash.data.batch import Features
from flash.data.stage import Stage
from flash.errors import ConfigurationError
from flash.image import SemanticSegmentation, SemanticSegmentationData
from flash.image.config import ImageConfig
from flash.image.segmentation.preprocess import SemanticSegmentationPreprocess
from flash.image.segmentation.sizing import fit, part_inside, predict_tiles, random_tile, stack, unpadded

Draw = Callable[..., Any]
CONFIG: dict[str, Any] = {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.25,) * 3}
SIZES = ((48, 48), (90, 40), (40, 120))


def blocks(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A mask of random blocks of 20 pixels."""
    mask = np.random.default_rng(seed).integers(0, 2, (-(-height // 20), -(-width // 20)))
    return np.kron(mask, np.ones((20, 20)))[:height, :width].astype(np.uint8)


def white_where(mask: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(255 * np.repeat(mask[..., None], 3, 2))


def brightness(stride: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A network that sees one place at a time: the scores of dark and of bright."""

    def network(images: torch.Tensor) -> torch.Tensor:
        bright = nn.functional.avg_pool2d(images.float().mean(1, keepdim=True), stride) - 127
        return torch.cat([-bright, bright], 1)

    return network


@pytest.mark.parametrize("size", [(100, 40), (40, 100), (64, 64), (300, 299)])
def test_a_padded_image_keeps_its_aspect_and_its_scores_lie_where_it_lay(size: tuple[int, int]) -> None:
    mask = blocks(*size)
    inputs = stack([fit(white_where(mask), ImageConfig.of(CONFIG), "pad", 0.25)])
    assert inputs["image"].shape == (1, 3, 64, 64)
    rows, columns = inputs["inside"][0].tolist()
    assert max(rows, columns) == 64
    assert rows / columns == pytest.approx(size[0] / size[1], rel=0.03)
    assert (inputs["image"][..., rows:, :] == 128).all()
    assert (inputs["image"][..., columns:] == 128).all()
    scores = unpadded(brightness(1)(inputs["image"]), part_inside(inputs))
    found = nn.functional.interpolate(scores, size, mode="bilinear").argmax(1)[0]
    assert (found.numpy() == mask).mean() > 0.95


@pytest.mark.parametrize("stride", [1, 4, 5, 32])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_tiles_together_have_the_scores_of_the_whole_image(stride: int, overlap: float) -> None:
    images = [white_where(blocks(*size, seed)) for seed, size in enumerate(((150, 210), (64, 64), (30, 100)))]
    inputs = stack([fit(image, ImageConfig.of(CONFIG), "tiles", overlap) for image in images])
    seen: list[int] = []

    def network(tiles: torch.Tensor) -> torch.Tensor:
        assert tiles.shape[1:] == (3, 64, 64)
        seen.append(len(tiles))
        return brightness(stride)(tiles)

    scores = predict_tiles(inputs, network)
    assert max(seen) <= 8
    assert sum(seen) > 12
    for place, image in enumerate(images):
        size = (image.height, image.width)
        whole = brightness(4)(torch.tensor(np.asarray(image)).permute(2, 0, 1)[None])
        found = nn.functional.interpolate(scores[place][None], size, mode="bilinear").argmax(1)
        wanted = nn.functional.interpolate(whole, size, mode="bilinear").argmax(1)
        assert (found == wanted).float().mean() > (0.9 if stride <= 5 else 0.6)


def test_places_that_several_tiles_cover_have_their_mean() -> None:
    inputs = stack([fit(Image.new("RGB", (96, 64)), ImageConfig.of(CONFIG), "tiles", 0.5)])
    values = iter([1.0, 3.0])

    def network(tiles: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full((2, 16, 16), next(values)) for _ in tiles])

    (scores,) = predict_tiles(inputs, network)
    assert scores[0, 0].tolist() == pytest.approx([1.0] * 8 + [2.0] * 8 + [3.0] * 8)


def test_a_random_tile_has_its_part_of_the_mask() -> None:
    torch.manual_seed(0)
    config, mask = ImageConfig.of(CONFIG), blocks(150, 210)
    places = set()
    for _ in range(10):
        inputs, part = random_tile(white_where(mask), torch.tensor(mask), config)
        assert torch.equal(inputs["image"][0] == 255, part == 1)
        places.add(part.numpy().tobytes())
    assert len(places) > 5
    inputs, part = random_tile(white_where(mask[:40, :50]), torch.tensor(mask[:40, :50]), config)
    assert (part[40:] == 255).all()
    assert (part[:, 50:] == 255).all()
    assert torch.equal(part[:40, :50], torch.tensor(mask[:40, :50]))
    assert (inputs["image"][:, 40:] == 128).all()


@pytest.mark.parametrize("way", ["squash", "pad", "tiles"])
def test_predictions_and_scores_are_in_the_size_of_images_whatever_the_batch(
    way: Any, draw: Draw, tiny: dict[str, Any], trainer: Any
) -> None:
    images, masks = draw(6, sizes=SIZES).parts()
    found = []
    for size in (1, 6):
        torch.manual_seed(0)
        data = SemanticSegmentationData.from_images(
            images, masks, images, masks, batch_size=size, seed=0, resize=way, num_classes=3
        )
        task = SemanticSegmentation.from_data(data, **tiny)
        (scores,) = trainer().validate(task, data, verbose=False)
        predicted = task.predict(images, "probabilities", batch_size=size)
        assert [each.shape[1:] for each in predicted] == [mask.shape for mask in masks]
        found.append((scores, predicted))
    for name, value in found[0][0].items():
        assert value == pytest.approx(found[1][0][name], rel=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert np.abs(one - other).max() < 1e-5
    predicting = SemanticSegmentationData.from_images(predict_images=images, preprocess=task.preprocess, batch_size=4)
    batches = trainer().predict(task, datamodule=predicting)
    assert [mask.shape for batch in batches for mask in batch] == [mask.shape for mask in masks]
    trainer(max_epochs=1).fit(task, data)
    assert task.plot_predictions(data).axes
    assert data.show_batch("train").axes
    assert task.preprocess.is_deterministic(Stage.TRAIN) is (way != "tiles")


def test_cached_features_of_padded_images_have_the_same_scores(draw: Draw, tiny: dict[str, Any]) -> None:
    images, masks = draw(3, sizes=SIZES).parts()
    data = SemanticSegmentationData.from_images(images, masks, batch_size=3, resize="pad")
    task = SemanticSegmentation.from_data(data, **tiny).eval()
    hooks = data.train_dataset.hooks
    inputs, _ = hooks.transform_on_device(hooks.collate([data.train_dataset[row] for row in range(3)]))
    with torch.no_grad():
        cached = task(Features(task.forward_features(inputs)))
        torch.testing.assert_close(cached, task(inputs))
        assert not torch.allclose(cached, task({"image": inputs["image"]}))


def test_other_ways_are_errors() -> None:
    with pytest.raises(ConfigurationError, match="Expected resize to be 'squash', 'pad' or 'tiles', but got 'crop'"):
        SemanticSegmentationPreprocess(resize="crop")  # type: ignore[arg-type]
    for overlap in (1, -0.1, True, "half"):
        with pytest.raises(ConfigurationError, match="Expected tile_overlap to be from 0 to 0.9"):
            SemanticSegmentationPreprocess(tile_overlap=overlap)  # type: ignore[arg-type]


@pytest.mark.train
def test_tiles_find_objects_that_a_squashed_image_has_no_pixels_for(tiny: dict[str, Any], trainer: Any) -> None:
    random = np.random.default_rng(0)
    images, masks = [], []
    for _ in range(24):
        image, mask = random.integers(100, 156, (256, 320, 3), dtype=np.uint8), np.zeros((256, 320), np.uint8)
        for _ in range(60):
            top, left = (int(random.integers(0, side - 5)) for side in mask.shape)
            mask[top : top + 5, left : left + 5] = 1
        # A pattern of the size of a pixel, which resizing makes as gray as the rest.
        image[mask == 1] = np.where(np.indices(mask.shape).sum(0) % 2, 0, 255)[mask == 1][:, None]
        images.append(image)
        masks.append(mask)
    found = {}
    for way in ("squash", "tiles"):
        torch.manual_seed(0)
        data = SemanticSegmentationData.from_images(
            *(images[:20], masks[:20], images[20:], masks[20:]), batch_size=4, seed=0, resize=way, num_classes=2
        )
        task = SemanticSegmentation.from_data(data, learning_rate=5e-3, **tiny)
        run = trainer(max_epochs=12)
        run.fit(task, data)
        found[way] = float(run.callback_metrics["val_iou"])
    assert found["tiles"] > found["squash"] + 0.1, found
