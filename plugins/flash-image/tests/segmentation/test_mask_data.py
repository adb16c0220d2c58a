"""Data of images with masks: what belongs together, what is learned, and what is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import v2

from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError, MissingColumnError, UnknownArgumentError, UnknownNameError
from flash.image import SemanticSegmentationData
from flash.image.segmentation.preprocess import SemanticSegmentationPreprocess

Draw = Callable[..., Any]
CONFIG = {"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def folders(draw: Draw, root: Path, count: int = 4) -> dict[str, Path]:
    draw(count).save(root)
    return {"train_folder": root / "images", "train_target_folder": root / "masks"}


def test_a_mask_has_the_name_of_its_image_also_in_folders_inside(draw: Draw, tmp_path: Path) -> None:
    drawn = draw(2)
    for row, name in enumerate(("a/1", "b/1")):
        for folder, array, suffix in (("images", drawn.images[row], "bmp"), ("masks", drawn.masks[row], "png")):
            file = tmp_path / folder / f"{name}.{suffix}"
            file.parent.mkdir(parents=True)
            Image.fromarray(array).save(file)
    data = SemanticSegmentationData.from_folders(tmp_path / "images", tmp_path / "masks", data_config=CONFIG)
    for row, sample in enumerate(data.train_dataset.subset([0, 1], _val())):
        assert np.array_equal(sample[1].numpy(), drawn.masks[row])


def _val() -> Any:
    from flash.data.stage import Stage

    return Stage.VAL


def test_images_and_masks_that_do_not_belong_together_are_errors(draw: Draw, tmp_path: Path) -> None:
    given = folders(draw, tmp_path)
    with pytest.raises(DataError, match=r"Expected train_folder together with train_target_folder, but train_target"):
        SemanticSegmentationData.from_folders(given["train_folder"])
    with pytest.raises(DataError, match=r"but train_folder is missing"):
        SemanticSegmentationData.from_folders(train_target_folder=given["train_target_folder"])
    mask = tmp_path / "masks" / "002.png"
    mask.rename(tmp_path / "masks" / "009.png")
    with pytest.raises(DataError, match=r"Expected a mask in .*, but 1 of 4 have none, such as .*002.png"):
        SemanticSegmentationData.from_folders(**given)
    Image.open(tmp_path / "masks" / "009.png").save(mask)
    with pytest.raises(DataError, match=r"an image in .*, but 1 of 5 masks have none, such as .*009.png"):
        SemanticSegmentationData.from_folders(**given)
    (tmp_path / "masks" / "009.png").unlink()
    Image.open(mask).save(mask.with_suffix(".tif"))
    with pytest.raises(DataError, match=r"one mask for each image, but got .*002.png and .*002.tif"):
        SemanticSegmentationData.from_folders(**given)
    mask.with_suffix(".tif").unlink()
    Image.open(tmp_path / "images" / "001.png").save(tmp_path / "images" / "001.bmp")
    with pytest.raises(DataError, match=r"images of different names in .*, but 001 is there twice"):
        SemanticSegmentationData.from_folders(**given)
    with pytest.raises(DataError, match=r"Expected 2 mask files in the train data, but 1 of them do not exist"):
        SemanticSegmentationData.from_files(
            [tmp_path / "images" / "000.png"] * 2, [tmp_path / "masks" / "000.png", tmp_path / "masks" / "no.png"]
        )


def test_damaged_images_and_masks_are_left_out_if_asked_for(draw: Draw, tmp_path: Path) -> None:
    given = folders(draw, tmp_path, 5)
    (tmp_path / "images" / "001.png").write_bytes(b"no image")
    (tmp_path / "masks" / "003.png").write_bytes(b"no mask")
    data = SemanticSegmentationData.from_folders(**given, on_bad_sample="skip", data_config=CONFIG)
    assert [Path(data.train_dataset.id_of(row)).name for row in range(3)] == ["000.png", "002.png", "004.png"]
    assert [Path(name).parent.name for name, _ in data.train_dataset.bad_samples] == ["images", "masks"]
    with pytest.raises(DataError, match=r"Expected a mask, but .*003.png is of no format"):
        SemanticSegmentationData.from_folders(**given)


def test_classes_are_those_of_the_train_data_or_named(draw: Draw) -> None:
    images, masks = draw(4).parts()
    learned = SemanticSegmentationData.from_images(images, masks)
    assert (learned.num_classes, learned.labels) == (3, [0, 1, 2])
    assert learned.facts["class_counts"] == np.bincount(np.concatenate([each.ravel() for each in masks])).tolist()
    named = SemanticSegmentationData.from_images(images, masks, num_classes=5)
    assert named.labels == [0, 1, 2, 3, 4]
    colors = np.array([(10, 20, 30), (0, 0, 0), (200, 0, 0)], np.uint8)
    painted = [colors[mask] for mask in masks]
    labels_map = {"square": (200, 0, 0), "ground": (10, 20, 30), "circle": (0, 0, 0)}
    mapped = SemanticSegmentationData.from_images(images, painted, labels_map=labels_map, data_config=CONFIG)
    assert mapped.labels == ["square", "ground", "circle"]
    assert mapped.facts["class_counts"] == [learned.facts["class_counts"][index] for index in (2, 0, 1)]
    _, mask = mapped.train_dataset.subset([1], _val())[0]
    assert np.array_equal(np.array([2, 0, 1])[mask.numpy()], masks[1])


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"labels": ["a", "b"], "labels_map": {"a": 0, "b": 1}}, ConfigurationError, "labels or labels_map"),
        ({"labels": ["a", "b", "c"], "num_classes": 4}, ConfigurationError, "3 names for num_classes=4"),
        ({"num_classes": "3"}, ConfigurationError, "num_classes to be a whole number, but got '3'"),
        ({"labels": ["a", "b"]}, DataError, r"those of the classes, 0, 1, but mask 0 of the train data has 2"),
        ({"augmentation": "flop"}, UnknownNameError, "flop"),
        ({"image_sise": 3}, UnknownArgumentError, "image_size"),
        ({"transform_kwargs": {}}, UnknownArgumentError, "Write its entries as arguments"),
    ],
)
def test_options_that_do_not_fit_are_errors_before_training(
    options: dict[str, Any], error: type[Exception], said: str, draw: Draw
) -> None:
    with pytest.raises(error, match=said):
        SemanticSegmentationData.from_images(*draw(2).parts(), **options)


def test_a_mask_of_another_size_is_an_error_that_names_its_image(draw: Draw) -> None:
    images, masks = draw(2).parts()
    data = SemanticSegmentationData.from_images(images, [mask[:, 1:] for mask in masks], data_config=CONFIG)
    with pytest.raises(DataError, match=r"48 x 48 pixels, but that of image 1 of the train data is 47 x 48"):
        data.train_dataset[1]


@pytest.mark.parametrize("augmentation", ["flip", "crop", "jitter", v2.RandomRotation(90)])
def test_an_augmentation_moves_an_image_with_its_mask(augmentation: Any) -> None:
    random = np.random.default_rng(0)
    masks = [np.kron(random.integers(0, 2, (4, 4)), np.ones((16, 16))).astype(np.uint8) for _ in range(12)]
    images = [255 * np.repeat(mask[..., None], 3, 2) for mask in masks]
    data = SemanticSegmentationData.from_images(images, masks, augmentation=augmentation, data_config=CONFIG)
    moved = False
    for row, mask in enumerate(masks):
        inputs, found = data.train_dataset[row]
        # The edges of a resized image are gray.
        alike = ((inputs["image"].float().mean(0) > 127) == (found == 1)).float().mean()
        assert alike > 0.9, float(alike)
        moved = moved or not np.array_equal(found.numpy(), mask)
    assert moved


@pytest.mark.parametrize(
    ("augmentation", "said"),
    [
        (lambda image, mask: image, "to return an image and its mask, but got a Image"),
        (lambda image, mask: (image.resize((5, 5)), mask), "a mask of the size of its image, 5 x 5, but got 48 x 48"),
        (lambda image, mask: (torch.zeros(3, 48, 48), mask), "or a uint8 tensor"),
        (lambda image, mask: (image, mask.float()), "an image and its uint8 mask"),
        (3, "Expected augmentation to be one of 'crop', 'flip', 'jitter', 'none'"),
    ],
)
def test_an_augmentation_of_the_image_alone_is_an_error(augmentation: Any, said: str, draw: Draw) -> None:
    data = SemanticSegmentationData.from_images(*draw(2).parts(), augmentation=augmentation, data_config=CONFIG)
    with pytest.raises(ConfigurationError, match=said):
        data.train_dataset[0]


class Pairs(Dataset[Any]):
    """Counts how often samples are read."""

    def __init__(self, images: Any, masks: Any) -> None:
        self.pairs, self.reads = list(zip(images, masks, strict=True)), 0

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> Any:
        self.reads += 1
        return self.pairs[row]


def test_a_sample_of_a_dataset_is_read_once(draw: Draw) -> None:
    dataset = Pairs(*draw(3).parts())
    data = SemanticSegmentationData.from_datasets(dataset, labels=["a", "b", "c"], data_config=CONFIG)
    assert dataset.reads == 1, "one sample shows what samples are"
    data.train_dataset[1]
    assert dataset.reads == 2
    assert not data.preprocess.is_deterministic(data.train_dataset.hooks.stage)


def test_datasets_of_dicts_have_an_image_and_a_mask(draw: Draw) -> None:
    images, masks = draw(2).parts()
    rows = [{"img": image, "annotation": mask} for image, mask in zip(images, masks, strict=True)]
    data = SemanticSegmentationData.from_datasets(rows, rows, data_config=CONFIG)
    assert np.array_equal(data.val_dataset[1][1].numpy(), masks[1])
    with pytest.raises(MissingColumnError, match=r"'seg' in the samples, but they have img, annotation"):
        SemanticSegmentationData.from_datasets(rows, target_fields="seg")
    with pytest.raises(DataError, match=r"Expected \(image, mask\), or a dict of both, .* but got a ndarray"):
        SemanticSegmentationData.from_datasets(images)
    with pytest.raises(DataError, match="it is empty"):
        SemanticSegmentationData.from_datasets([])
    with pytest.raises(DataError, match="which is a stream"):
        SemanticSegmentationData.from_datasets(iter(rows))


def test_rows_are_split_with_their_masks(draw: Draw) -> None:
    drawn = draw(8)
    data = SemanticSegmentationData.from_images(*drawn.parts(), val_split=0.25, seed=0, data_config=CONFIG)
    assert (len(data.train_dataset), len(data.val_dataset)) == (6, 2)
    for row in range(2):
        inputs, mask = data.val_dataset[row]
        place = next(place for place, each in enumerate(drawn.masks) if np.array_equal(each, mask.numpy()))
        small = torch.nn.functional.interpolate(inputs["image"][None].float(), (48, 48))[0].permute(1, 2, 0).numpy()
        assert np.abs(small - drawn.images[place]).mean() < 20


def test_hooks_of_a_subclass_may_be_random() -> None:
    class Own(SemanticSegmentationPreprocess):
        def train_pre_tensor_transform(self, sample: Any) -> Any:
            return sample

    assert not Own(augmentation="none").is_deterministic(Stage.TRAIN)
    assert SemanticSegmentationPreprocess(augmentation="none").is_deterministic(Stage.TRAIN)
    assert Own().is_deterministic(Stage.PREDICT)
