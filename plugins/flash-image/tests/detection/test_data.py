"""ObjectDetectionData: every constructor, what it tells the task, and what it refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from flash.errors import ConfigurationError, DataError
from flash.image import BadImageError, ObjectDetectionData, ObjectDetectionPreprocess

Draw = Callable[..., Any]


def samples(dm: ObjectDetectionData, stage: str = "train") -> list[tuple[Any, Any]]:
    dataset = getattr(dm, f"{stage}_dataset")
    return [dataset[row] for row in range(len(dataset))]


def test_all_constructors_give_the_same_samples(draw: Draw, tmp_path: Path) -> None:
    drawn = draw(4)
    paths = drawn.save(tmp_path / "images")
    ann_file = drawn.coco(tmp_path / "boxes.json", [path.name for path in paths])
    pairs = [
        (image, {"boxes": boxes, "labels": [["blue", "red"].index(label) for label in labels]})
        for image, labels, boxes in zip(*drawn.parts(), strict=True)
    ]
    dicts = [{"image": image, **target} for image, target in pairs]
    boxes: Any = np.array(drawn.boxes)
    modules = [
        ObjectDetectionData.from_images(*drawn.parts()),
        ObjectDetectionData.from_images([Image.fromarray(image) for image in drawn.images], *drawn.parts()[1:]),
        ObjectDetectionData.from_files(paths, drawn.labels, drawn.boxes),
        ObjectDetectionData.from_files([str(path) for path in paths], drawn.labels, boxes),
        ObjectDetectionData.from_coco(tmp_path / "images", ann_file),
        ObjectDetectionData.from_datasets(pairs, labels=["blue", "red"]),
        ObjectDetectionData.from_datasets(dicts, labels=["blue", "red"]),
    ]
    for dm in modules:
        assert (dm.num_classes, dm.labels) == (2, ["blue", "red"])
        for row, (image, target) in enumerate(samples(dm)):
            assert image.dtype is torch.uint8
            assert np.array_equal(image.permute(1, 2, 0).numpy(), drawn.images[row])
            assert target["boxes"].tolist() == drawn.boxes[row]
            assert target["labels"].tolist() == [1 + (drawn.labels[row] == ["red"])], "0 is the background"


def test_the_other_format_of_boxes(draw: Draw) -> None:
    drawn = draw(2)
    boxes = [[[left, top, right - left, bottom - top] for left, top, right, bottom in each] for each in drawn.boxes]
    dm = ObjectDetectionData.from_images(drawn.images, drawn.labels, boxes, bbox_format="xywh")
    assert [target["boxes"].tolist() for _, target in samples(dm)] == drawn.boxes


def test_val_test_and_predict_data_have_twins_of_each_argument(draw: Draw, tmp_path: Path) -> None:
    drawn = draw(2)
    paths = drawn.save(tmp_path / "images")
    ann_file = drawn.coco(tmp_path / "boxes.json", [path.name for path in paths])
    folder = tmp_path / "images"
    dm = ObjectDetectionData.from_coco(folder, ann_file, folder, ann_file, folder, ann_file, folder)
    assert [len(getattr(dm, f"{stage}_dataset")) for stage in ("train", "val", "test", "predict")] == [2] * 4
    dm = ObjectDetectionData.from_files(*3 * (paths, drawn.labels, drawn.boxes), paths)
    assert [len(getattr(dm, f"{stage}_dataset")) for stage in ("train", "val", "test", "predict")] == [2] * 4


def test_batches_hold_images_of_different_sizes(draw: Draw) -> None:
    drawn = draw(4, sizes=((64, 64), (90, 40)))
    dm = ObjectDetectionData.from_images(*drawn.parts(), batch_size=4)
    (inputs, targets), *rest = dm.train_dataloader()
    assert not rest
    assert {tuple(image.shape) for image in inputs["images"]} == {(3, 64, 64), (3, 40, 90)}
    assert len(targets) == 4


def test_val_split_leaves_each_image_on_one_side(draw: Draw) -> None:
    dm = ObjectDetectionData.from_images(*draw(10).parts(), val_split=0.3, seed=0)
    assert (len(dm.train_dataset), len(dm.val_dataset)) == (7, 3)


@pytest.mark.process
def test_workers_give_the_same_batches(draw: Draw) -> None:
    drawn = draw(5, sizes=((64, 64), (90, 40)))
    both = [
        list(
            ObjectDetectionData.from_images(*drawn.parts(), batch_size=2, seed=0, num_workers=count).train_dataloader()
        )
        for count in (0, 1)
    ]
    for (ours, our_targets), (theirs, their_targets) in zip(*both, strict=True):
        for one, other in zip(ours["images"], theirs["images"], strict=True):
            assert one.equal(other)
        for one, other in zip(our_targets, their_targets, strict=True):
            assert one["boxes"].equal(other["boxes"])


# ---------------------------------------------------------------------- decided behavior


def test_boxes_are_checked_and_counted(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    drawn = draw(3)
    drawn.boxes[0] += [[50, 50, 90, 60], [80, 80, 90, 90]]
    drawn.labels[0] += ["red", "red"]
    drawn.boxes[2], drawn.labels[2] = [], []
    with caplog.at_level(logging.INFO, "flash.image"):
        dm = ObjectDetectionData.from_images(*drawn.parts())
    assert [len(target["boxes"]) for _, target in samples(dm)] == [2, 1, 0]
    assert samples(dm)[0][1]["boxes"][1].tolist() == [50, 50, 64, 60]
    assert samples(dm)[2][1]["boxes"].shape == (0, 4)
    assert caplog.messages == [
        "The train data has 3 images with 3 boxes; 1 images without boxes, which are kept; 1 boxes clipped to "
        "their image; 1 boxes dropped, which have no area inside their image."
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_clean_boxes_are_counted_without_a_warning(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "flash.image"):
        ObjectDetectionData.from_images(*draw(3).parts())
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.INFO, "The train data has 3 images with 3 boxes.")
    ]


def test_crowds_are_left_out_of_training_and_not_counted_in_validation(draw: Draw, tmp_path: Path) -> None:
    import json

    drawn = draw(2)
    names = [path.name for path in drawn.save(tmp_path / "images")]
    file = drawn.coco(tmp_path / "boxes.json", names)
    content = json.loads(file.read_text())
    content["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    dm = ObjectDetectionData.from_coco(tmp_path / "images", file, tmp_path / "images", file)
    assert [len(target["boxes"]) for _, target in samples(dm)] == [0, 1]
    assert [target["iscrowd"].tolist() for _, target in samples(dm, "val")] == [[1], [0]]


def test_boxes_follow_the_camera_that_was_held_on_its_side(tmp_path: Path) -> None:
    import json

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[5:15, 8:30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    image = {"id": 1, "file_name": "photo.png"}
    boxes = {(60, 40): [8, 5, 22, 10], (40, 60): [25, 8, 10, 22]}
    for (width, height), bbox in boxes.items():
        annotation = {"image_id": 1, "category_id": 1, "bbox": bbox}
        noted = {**image, "width": width, "height": height}
        content = {"images": [noted], "annotations": [annotation], "categories": [{"id": 1, "name": "white"}]}
        (tmp_path / "boxes.json").write_text(json.dumps(content))
        dm = ObjectDetectionData.from_coco(tmp_path, tmp_path / "boxes.json")
        picture, target = samples(dm)[0]
        left, top, right, bottom = target["boxes"][0].int().tolist()
        assert picture.shape == (3, 60, 40)
        assert picture[:, top:bottom, left:right].min() == 255, "all of the box is white"
        assert (picture == 255).sum() == 3 * 22 * 10, "and nothing else is"


def test_an_augmentation_flips_boxes_with_their_image(draw: Draw) -> None:
    drawn = draw(1)
    dm = ObjectDetectionData.from_images(*drawn.parts(), *drawn.parts(), augmentation="flip")
    left, top, right, bottom = drawn.boxes[0][0]
    torch.manual_seed(0)
    seen = {tuple(samples(dm)[0][1]["boxes"][0].int().tolist()) for _ in range(20)}
    assert seen == {(left, top, right, bottom), (64 - right, top, 64 - left, bottom)}
    for image, target in (samples(dm)[0] for _ in range(10)):
        x, y = target["boxes"][0, :2].int().tolist()
        assert image[:, y, x].max() == 230, "the box starts where the square does"
    assert samples(dm, "val")[0][1]["boxes"].tolist() == drawn.boxes[0], "validation is left alone"


def test_a_transform_of_torchvision_crops_boxes_with_their_image(draw: Draw) -> None:
    drawn = draw(2)
    crop = v2.CenterCrop(20)
    dm = ObjectDetectionData.from_images(*drawn.parts(), augmentation=crop)
    for row, (image, target) in enumerate(samples(dm)):
        assert image.shape == (3, 20, 20)
        left, top, right, bottom = (min(max(edge - 22, 0), 20) for edge in drawn.boxes[row][0])
        inside = [[left, top, right, bottom]] if right > left and bottom > top else []
        assert target["boxes"].tolist() == inside
        assert len(target["labels"]) == len(inside)
        assert type(image) is torch.Tensor


@pytest.mark.parametrize(
    ("augmentation", "sentence"),
    [
        (lambda image, target: image, "to take an image and its target and to return both"),
        (lambda image, target: (image.float(), target), "Leave out ToDtype and Normalize"),
    ],
)
def test_an_augmentation_that_returns_something_else_is_an_error(draw: Draw, augmentation: Any, sentence: str) -> None:
    dm = ObjectDetectionData.from_images(*draw(2).parts(), augmentation=augmentation)
    with pytest.raises(DataError, match=sentence):
        samples(dm)


def test_an_unknown_augmentation_is_an_error(draw: Draw) -> None:
    with pytest.raises(KeyError, match="'flop' is not among the augmentations of detection. Did you mean 'flip'"):
        ObjectDetectionData.from_images(*draw(2).parts(), augmentation="flop")
    with pytest.raises(ConfigurationError, match="one of 'flip', 'none', or a torchvision v2 transform, but got 3"):
        ObjectDetectionData.from_images(*draw(2).parts(), augmentation=3)  # type: ignore[arg-type]  # the mistake


# ---------------------------------------------------------------------- errors


def test_a_class_that_training_never_saw_is_an_error_that_names_the_image(draw: Draw) -> None:
    drawn, other = draw(2), draw(2)
    other.labels[1] = ["green"]
    with pytest.raises(DataError, match="to be among 'blue', 'red', but image 1 of the val data has 'green'"):
        _ = ObjectDetectionData.from_images(*drawn.parts(), *other.parts()).val_dataset


def test_named_classes_fix_the_order_and_allow_those_without_boxes(draw: Draw) -> None:
    dm = ObjectDetectionData.from_images(*draw(2).parts(), labels=["red", "green", "blue"])
    assert (dm.num_classes, dm.labels) == (3, ["red", "green", "blue"])
    assert [target["labels"].tolist() for _, target in samples(dm)] == [[3], [1]]


def test_train_data_without_any_box_is_an_error(draw: Draw) -> None:
    drawn = draw(2)
    with pytest.raises(DataError, match="at least one box in the train data, but no image has any"):
        ObjectDetectionData.from_images(drawn.images, [[], []], [[], []])


def test_boxes_between_0_and_1_are_an_error(draw: Draw) -> None:
    drawn = draw(1)
    with pytest.raises(DataError, match="boxes in pixels, but all their edges are between 0 and 1. Multiply them"):
        ObjectDetectionData.from_images(drawn.images, drawn.labels, [[[0.1, 0.1, 0.5, 1.0]]])


@pytest.mark.parametrize(("targets", "boxes", "counts"), [(None, [[]], "2, none, 1"), ([["red"]], [[]], "2, 1, 1")])
def test_lists_of_different_lengths_are_an_error(draw: Draw, targets: Any, boxes: Any, counts: str) -> None:
    with pytest.raises(DataError, match=f"as images in the train data, but got {counts}"):
        ObjectDetectionData.from_images(draw(2).images, targets, boxes)


def test_a_folder_without_its_annotation_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="val_folder together with val_ann_file, but val_ann_file is missing"):
        ObjectDetectionData.from_coco(val_folder=tmp_path)


def test_missing_files_are_an_error_before_training(draw: Draw, tmp_path: Path) -> None:
    drawn = draw(2)
    paths = drawn.save(tmp_path)
    paths[1].unlink()
    with pytest.raises(DataError, match="do not exist, such as .*001.png"):
        ObjectDetectionData.from_files(paths, drawn.labels, drawn.boxes)


def test_validation_alone_needs_the_names_of_the_classes(draw: Draw) -> None:
    drawn = draw(2)
    dm = ObjectDetectionData.from_images(None, None, None, *drawn.parts())
    with pytest.raises(DataError, match="learned from train data, but there is none. Add train data, pass labels"):
        _ = dm.val_dataset
    dm = ObjectDetectionData.from_images(None, None, None, *drawn.parts(), labels=["blue", "red"])
    assert len(dm.val_dataset) == 2


def test_a_bad_image_is_an_error_that_names_it_or_is_left_out(draw: Draw, tmp_path: Path) -> None:
    drawn = draw(3)
    paths = drawn.save(tmp_path)
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    with pytest.raises(BadImageError, match="001.png"):
        samples(ObjectDetectionData.from_files(paths, drawn.labels, drawn.boxes))
    dm = ObjectDetectionData.from_files(paths, drawn.labels, drawn.boxes, on_bad_sample="skip")
    assert [target["boxes"].tolist() for _, target in samples(dm)] == [drawn.boxes[0], drawn.boxes[2]]
    assert [Path(name).name for name, _ in dm.train_dataset.bad_samples] == ["001.png"]


def test_a_preprocess_and_what_makes_one_contradict_each_other(draw: Draw) -> None:
    with pytest.raises(ConfigurationError, match="but got both: preprocess and labels"):
        ObjectDetectionData.from_images(*draw(2).parts(), preprocess=ObjectDetectionPreprocess(), labels=["red"])


# ---------------------------------------------------------------------- datasets


class Named(list[Any]):
    """A dataset that tells its classes."""

    classes = ("blue", "red")


def test_a_dataset_may_tell_its_classes_or_use_their_names(draw: Draw) -> None:
    drawn = draw(2)
    dataset = Named(
        (image, {"boxes": boxes, "labels": labels}) for image, labels, boxes in zip(*drawn.parts(), strict=True)
    )
    dm = ObjectDetectionData.from_datasets(dataset, dataset)
    assert dm.labels == ["blue", "red"]
    assert [target["labels"].tolist() for _, target in samples(dm, "val")] == [[1], [2]]


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (("image",), r"\(image, {'boxes': ..., 'labels': ...}\), or a dict .* but sample 0 is a tuple of str"),
        (("image", [1, 2]), "but sample 0 is a tuple of str, list"),
        ({"image": 1, "boxes": []}, "but sample 0 is a dict with image, boxes"),
        (7, "but sample 0 is a int"),
        ((np.zeros((9, 9)), {"boxes": [[1, 2, 3, 4]], "labels": [2]}), "indices from 0 to 1, but sample 0 has 2"),
        ((np.zeros((9, 9)), {"boxes": [[1, 2, 3, 4]], "labels": ["x"]}), "indices from 0 to 1, but sample 0 has 'x'"),
        ((np.zeros((9, 9)), {"boxes": [[1, 2, 3, 4]], "labels": []}), "sample 0 has 1 boxes and 0 labels"),
    ],
)
def test_a_sample_of_another_form_is_an_error(sample: Any, sentence: str) -> None:
    dm = ObjectDetectionData.from_datasets([sample], labels=["blue", "red"])
    with pytest.raises(DataError, match=sentence):
        samples(dm)


def test_datasets_need_names_a_length_and_no_look_ahead(draw: Draw) -> None:
    drawn = draw(1)
    dataset = [(drawn.images[0], {"boxes": drawn.boxes[0], "labels": [0]})]
    with pytest.raises(DataError, match="names of the dataset's classes, but it has no attribute classes. Pass labels"):
        ObjectDetectionData.from_datasets(dataset)
    with pytest.raises(DataError, match="a dataset with a length and indices, but got generator"):
        ObjectDetectionData.from_datasets((sample for sample in dataset), labels=["red"])
    with pytest.raises(ConfigurationError, match="on_bad_sample='error' with datasets"):
        ObjectDetectionData.from_datasets(dataset, labels=["red"], on_bad_sample="skip")
