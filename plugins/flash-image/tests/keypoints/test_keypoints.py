"""KeypointDetector: reads points, learns them, moves them with images, and says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model_weights
from torchvision.transforms import v2

import flash
from flash.errors import ConfigurationError, DataError
from flash.image import KeypointDetectionData, KeypointDetectionPreprocess, KeypointDetector
from flash.plugins import get_host
from flash.testing import in_clean_process

Bars = Callable[..., dict[str, Any]]
ENDS = ["left_end", "right_end"]
FOUND = ["boxes", "labels", "scores", "keypoints", "keypoint_scores"]


@pytest.fixture
def data(bars: Bars) -> KeypointDetectionData:
    options: dict[str, Any] = {"keypoints": ENDS, "skeleton": [ENDS], "batch_size": 2, "seed": 0}
    return KeypointDetectionData.from_images(**bars(4), **bars(4, 1, "val"), **options)


def coco_of(file: Path, drawn: dict[str, Any], **changes: Any) -> Path:
    """Write the bars' images beside a COCO file."""
    ids = {"gray": 70, "blue": 3}
    images, annotations = [], []
    for row, image in enumerate(drawn["train_images"]):
        Image.fromarray(image).save(file.parent / f"{row}.png")
        images.append({"id": row, "file_name": f"{row}.png", "width": image.shape[1], "height": image.shape[0]})
        left, top, right, bottom = drawn["train_bboxes"][row][0]
        points = [[x, y, 2 - place] for place, (x, y) in enumerate(drawn["train_keypoints"][row][0].tolist())]
        annotation = {
            "id": row,
            "image_id": row,
            "category_id": ids[drawn["train_targets"][row][0]],
            "bbox": [left, top, right - left, bottom - top],
            "area": 123.0,
            "iscrowd": 0,
            "keypoints": [value for point in points for value in point],
            "num_keypoints": 2,
        }
        annotations.append({name: value for name, value in {**annotation, **changes}.items() if value is not None})
    categories = [{"id": number, "name": name, "keypoints": ENDS, "skeleton": [[1, 2]]} for name, number in ids.items()]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


# ---------------------------------------------------------------------- learning


@pytest.mark.train
def test_it_learns_the_ends_of_bars_of_which_flips_exchange_left_and_right(
    bars: Bars, tiny: Any, trainer: Callable[..., Any]
) -> None:
    val = bars(24, 1, "val")
    options: dict[str, Any] = {"keypoints": ENDS, "augmentation": "flip", "batch_size": 8, "seed": 0}
    dm = KeypointDetectionData.from_images(**bars(96), **val, **options)
    task = KeypointDetector.from_data(dm, image_size=96, **tiny)  # so that the network resizes points there and back
    fit = trainer(max_epochs=6, check_val_every_n_epoch=6)
    fit.fit(task, dm)
    assert fit.callback_metrics["val_map"] > 0.7
    assert {"train_loss_keypoint", "val_loss_keypoint", "val_map_50", "val_map_75"} <= set(fit.callback_metrics)
    distances = [
        np.linalg.norm(np.array(found["keypoints"][0]) - points[0], axis=1)
        for found, points in zip(task.predict(val["val_images"]), val["val_keypoints"], strict=True)
        if found["keypoints"]
    ]
    assert len(distances) >= 20, "of 24"
    # The other end is 14 pixels away at least.
    assert np.median(distances) < 1


def test_a_frozen_backbone_stays_as_it_is(data: Any, tiny: Any, trainer: Callable[..., Any]) -> None:
    task = KeypointDetector.from_data(data, **tiny)
    model: Any = task.model
    frozen = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    head = [value.clone() for value in model.roi_heads.keypoint_predictor.parameters()]
    trainer().finetune(task, data, strategy="freeze")
    assert all(value.equal(frozen[name]) for name, value in model.backbone.state_dict().items())
    after = model.roi_heads.keypoint_predictor.parameters()
    assert any(not value.equal(old) for value, old in zip(after, head, strict=True))


def test_the_validation_loss_counts_points_and_changes_nothing(data: Any, tiny: Any) -> None:
    task = KeypointDetector.from_data(data, **tiny).eval()
    inputs, targets = next(iter(data.val_dataloader()))
    batch = ({"images": [image.float() / 255 for image in inputs["images"]]}, targets)
    first = task.step(batch, 0)
    assert first["loss"] == task.step(batch, 0)["loss"] > 0
    assert "loss_keypoint" in first["logs"]
    assert not any(module.training for module in task.modules())


def test_an_image_without_objects_and_an_object_without_points_train(
    bars: Bars, tiny: Any, trainer: Callable[..., Any]
) -> None:
    parts = bars(4)
    parts["train_targets"][1], parts["train_keypoints"][1], parts["train_bboxes"][1] = [], [], []
    parts["train_keypoints"][2] = np.full((1, 2, 2), np.nan)
    val = {name.replace("train", "val"): part for name, part in parts.items()}
    dm = KeypointDetectionData.from_images(**parts, **val, batch_size=2)
    assert dm.train_dataset[1][1]["keypoints"].shape == (0, 2, 3)
    assert dm.train_dataset[2][1]["keypoints"].tolist() == [[[0, 0, 0], [0, 0, 0]]]
    fit = trainer()
    fit.fit(KeypointDetector.from_data(dm, **tiny), dm)
    assert torch.isfinite(fit.callback_metrics["train_loss"])


# ---------------------------------------------------------------------- prediction and checkpoints


@pytest.mark.process
def test_a_checkpoint_loads_in_a_new_process(
    data: Any, bars: Bars, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "image_size": 64,
        "score_threshold": 0.0,
        "backbone_kwargs": {"box_detections_per_img": 3, "box_score_thresh": 0.0},
    }
    task = KeypointDetector.from_data(data, pretrained=False, **options)
    run = trainer(max_steps=1, limit_val_batches=0)
    run.fit(task, data)
    run.save_checkpoint("keypoints.ckpt")
    Image.fromarray(bars(1)["train_images"][0]).save(tmp_path / "photo.png")
    program = (
        "import flash\n"
        "task = flash.Task.load_from_checkpoint('keypoints.ckpt')\n"
        "result = [task.keypoints, task.preprocess.skeleton, task.predict(path)]\n"
    )
    points, skeleton, found = in_clean_process(Path.cwd(), program, path=str(tmp_path / "photo.png"))
    assert points == ENDS
    assert skeleton == [[0, 1]]
    assert found == task.predict(tmp_path / "photo.png")
    assert found[0]["keypoints"]


def test_a_prediction_is_plain_with_two_points_an_object(data: Any, tiny: Any) -> None:
    task = KeypointDetector.from_data(data, score_threshold=0.0, **tiny)
    images = [np.zeros((50, 80, 3), np.uint8), np.full((64, 64, 3), 99, np.uint8)]
    for found in task.predict(images):
        assert list(found) == FOUND
        assert np.array(found["keypoints"]).shape == (len(found["scores"]), 2, 2)
        assert np.array(found["keypoint_scores"]).shape == (len(found["scores"]), 2)
        json.dumps(found)
    raw = task.predict(images, output="raw")[1]
    order = raw["scores"].argsort(descending=True, stable=True)
    task.score_threshold = float(raw["scores"][order[1]])
    few = task.predict(images)[1]
    assert few["keypoints"] == raw["keypoints"][order][: len(few["scores"]), :, :2].tolist()
    assert few["keypoint_scores"] == raw["keypoints_scores"][order][: len(few["scores"])].tolist()


def test_a_task_comes_back_from_a_folder(data: Any, bars: Bars, tmp_path: Path) -> None:
    kept: dict[str, Any] = {"box_detections_per_img": 3, "box_score_thresh": 0.0}
    options: dict[str, Any] = {"image_size": 64, "score_threshold": 0.0, "backbone_kwargs": kept}
    task = KeypointDetector.from_data(data, pretrained=False, **options)
    task.save_pretrained(tmp_path / "saved")
    loaded = flash.Task.from_pretrained(tmp_path / "saved")
    assert isinstance(loaded, KeypointDetector)
    assert loaded.keypoints == ENDS
    images = bars(1)["train_images"]
    assert loaded.predict(images) == task.predict(images)
    assert len(task.predict(images)[0]["keypoints"]) == 3


def test_figures_show_points_and_the_lines_between_them(data: Any, tiny: Any) -> None:
    task = KeypointDetector.from_data(data, score_threshold=0.0, **tiny)
    (ends, line) = data.show_batch(count=1).axes[0].get_lines()[::-1]
    order = torch.randperm(4, generator=torch.Generator().manual_seed(data.seed))[0]
    places = data.train_dataset[int(order)][1]["keypoints"][0, :, :2] - 0.5
    assert ends.get_xydata().tolist() == line.get_xydata().tolist() == places.tolist()
    for axis in task.plot_predictions(data).axes:
        dashed = [each for each in axis.get_lines() if each.get_linestyle() == "--"]
        solid = [each for each in axis.get_lines() if each.get_linestyle() == "-"]
        assert len(dashed) == 1
        assert len(solid) >= 1


def test_the_backbone_says_what_it_is() -> None:
    (listed,) = get_host().contributions("backbone", "keypoints")
    score = get_model_weights(listed.name).DEFAULT.meta["_metrics"]["COCO-val2017"]["kp_map"]
    assert f"COCO keypoint mAP {score}" in listed.spec.summary


def test_published_weights_come_with_the_points_of_persons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(1)
    published: Any = get_model_weights("keypointrcnn_resnet50_fpn")
    file = tmp_path / "hub" / "checkpoints" / Path(published.DEFAULT.url).name
    file.parent.mkdir(parents=True)
    known = KeypointDetector(1, keypoints=17, pretrained=False).model.state_dict()
    for name in known:
        if name.endswith("running_var"):
            known[name] = torch.full_like(known[name], 2.0)
    torch.save(known, file)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda url, **_: torch.load(file, weights_only=True))
    task = KeypointDetector()
    assert task.labels == ["person"]
    assert task.keypoints == published.DEFAULT.meta["keypoint_names"]
    # They were trained with a batch normalization without epsilon.
    variances = [value for name, value in task.model.state_dict().items() if name.endswith("running_var")]
    assert all((value == 2.0 - 1e-5).all() for value in variances)
    other = KeypointDetector(labels=["cat"], keypoints=ENDS)
    own = other.model.state_dict()
    fresh = {name for name, value in known.items() if own[name].shape != value.shape}
    assert {name.split(".")[1] for name in fresh} == {"keypoint_predictor"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_classes": 2}, "Expected keypoints, the names of the points .* KeypointDetector.from_data"),
        ({"num_classes": 2, "keypoints": ["a", "a"]}, "Expected keypoints to be different names .* but got"),
        ({"num_classes": 2, "keypoints": 0}, "or the number of points, but got 0"),
        ({"num_classes": 2, "keypoints": 3, "sigmas": [0.1]}, "one of sigmas for each of 3 points, but got 1"),
        ({"num_classes": 2, "keypoints": 1, "sigmas": [0.0]}, "sigmas to be a positive number for each point"),
    ],
)
def test_arguments_that_contradict_each_other_are_errors(tiny: Any, options: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        KeypointDetector(**options, **tiny)


# ---------------------------------------------------------------------- data


@pytest.mark.parametrize("has_boxes", [True, False])
def test_coco_files_are_read(bars: Bars, tmp_path: Path, has_boxes: bool) -> None:
    drawn = bars(4)
    file = coco_of(tmp_path / "keypoints.json", drawn, **({} if has_boxes else {"bbox": None}))
    dm = KeypointDetectionData.from_coco(tmp_path, file)
    assert dm.labels == ["blue", "gray"], "in the order of their ids"
    preprocess: Any = dm.preprocess
    assert (preprocess.keypoints, preprocess.skeleton) == (ENDS, [[0, 1]])
    for row in range(4):
        pixels, target = dm.train_dataset[row]
        assert pixels.permute(1, 2, 0).equal(torch.from_numpy(drawn["train_images"][row]))
        (places,) = drawn["train_keypoints"][row]
        assert target["keypoints"].tolist() == [[[*places[0], 2], [*places[1], 1]]]
        assert target["area"].tolist() == [123]
        (box,) = target["boxes"].tolist()
        if has_boxes:
            assert box == drawn["train_bboxes"][row][0]
        else:
            span = float(places[1, 0] - places[0, 0])
            edges = [places[0, 0] - 0.1 * span, places[0, 1] - 0.1 * span, places[1, 0] + 0.1 * span]
            assert box == pytest.approx([*edges, places[1, 1] + 0.1 * span])


def test_an_annotation_whose_points_nobody_looked_for_counts_as_an_object_without_points(
    bars: Bars, tmp_path: Path
) -> None:
    file = coco_of(tmp_path / "keypoints.json", bars(2), keypoints=[], iscrowd=1)
    val = KeypointDetectionData.from_coco(
        val_folder=tmp_path, val_ann_file=file, keypoints=ENDS, labels=["blue", "gray"]
    )
    target = val.val_dataset[0][1]
    assert target["keypoints"].tolist() == [[[0, 0, 0], [0, 0, 0]]]
    assert target["iscrowd"].tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keypoints": [1, 2, 2]}, "x, y and visibility of 2 keypoints for each object of .*0.png"),
        ({"keypoints": [1, 2, 2, 1, 2, 7]}, r"visibility of points to be 0 .*, but .* has 7.0"),
        ({"keypoints": None}, "to have 'keypoints', but this has none"),
        ({"keypoints": [0] * 6, "bbox": None}, "Expected a point, or a box, for each object, but object 0 of"),
    ],
)
def test_malformed_points_of_a_coco_file_are_errors(bars: Bars, tmp_path: Path, changes: Any, sentence: str) -> None:
    file = coco_of(tmp_path / "keypoints.json", bars(1), **changes)
    with pytest.raises(DataError, match=sentence):
        KeypointDetectionData.from_coco(tmp_path, file)


def test_categories_with_different_points_are_an_error(bars: Bars, tmp_path: Path) -> None:
    file = coco_of(tmp_path / "keypoints.json", bars(1))
    content = json.loads(file.read_text())
    content["categories"][0]["keypoints"] = ["tip"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="categories in .* to have the same keypoints, .* Train a task for each"):
        KeypointDetectionData.from_coco(tmp_path, file)


@pytest.mark.parametrize(
    "changes",
    [{"keypoints": 3}, {"keypoints": ["a", "a"]}, {"skeleton": [["left_end", 2]]}, {"skeleton": [[1, 3]]}],
)
def test_malformed_categories_are_errors(bars: Bars, tmp_path: Path, changes: Any) -> None:
    file = coco_of(tmp_path / "keypoints.json", bars(1))
    content = json.loads(file.read_text())
    for category in content["categories"]:
        category |= changes
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="names of keypoints, and a skeleton of pairs .* but they are malformed: "):
        KeypointDetectionData.from_coco(tmp_path, file)


def test_a_photo_that_is_stored_sideways_is_turned_with_its_points(tmp_path: Path) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[10:14, 40:44] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "photo.png", exif=exif)
    # In the stored image, which is 40 wide and 60 high, the square begins at x = 10 and y = 60 - 44.
    stored = {"keypoints": [12, 18, 2], "bbox": [5, 11, 14, 14], "num_keypoints": 1}
    content = {
        "images": [{"id": 1, "file_name": "photo.png", "width": 40, "height": 60}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **stored}],
        "categories": [{"id": 1, "name": "cat", "keypoints": ["tip"]}],
    }
    Path(tmp_path, "k.json").write_text(json.dumps(content))
    pixels, target = KeypointDetectionData.from_coco(tmp_path, tmp_path / "k.json").train_dataset[0]
    assert pixels[0, 10:14, 40:44].min() == 255
    assert target["keypoints"].tolist() == [[[42, 12, 2]]]
    assert target["boxes"].tolist() == [[35, 5, 49, 19]]


def test_a_photo_that_is_stored_mirrored_and_sideways_has_left_and_right_exchanged(tmp_path: Path) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 5
    Image.fromarray(upright.transpose(1, 0, 2).copy()).save(tmp_path / "photo.png", exif=exif)
    stored = {"keypoints": [12, 18, 2, 14, 30, 1], "bbox": [5, 11, 14, 24], "num_keypoints": 2}
    content = {
        "images": [{"id": 1, "file_name": "photo.png", "width": 40, "height": 60}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **stored}],
        "categories": [{"id": 1, "name": "bar", "keypoints": ENDS}],
    }
    Path(tmp_path, "k.json").write_text(json.dumps(content))
    _, target = KeypointDetectionData.from_coco(tmp_path, tmp_path / "k.json").train_dataset[0]
    # At (x, y) of the stored image is (y, x) of the upright one.
    assert target["keypoints"].tolist() == [[[30, 14, 1], [18, 12, 2]]]


def test_points_that_a_file_names_and_points_of_the_task_have_to_agree(bars: Bars, tiny: Any, tmp_path: Path) -> None:
    file = coco_of(tmp_path / "keypoints.json", bars(4))
    with pytest.raises(DataError, match="points of the train data to be head, tail, in this order, but they are left_"):
        KeypointDetectionData.from_coco(tmp_path, file, keypoints=["head", "tail"])
    dm = KeypointDetectionData.from_coco(tmp_path, file)
    for others in (3, ["right_end", "left_end"]):
        task = KeypointDetector(labels=["blue", "gray"], keypoints=others, **tiny)
        with pytest.raises(ConfigurationError, match="data whose keypoints are .*, as those of the task, but they are"):
            task.use_data(dm)
    KeypointDetector(labels=["blue", "gray"], keypoints=2, **tiny).use_data(dm)


@pytest.mark.parametrize(
    ("labels", "points", "sentence"),
    [
        (["a", "b"], np.ones((1, 2, 2)), "has 2 labels and the points of 1 objects"),
        (["a"], np.ones((2, 2)), r"of shape \(objects, points, 2\), .* but got \(2, 2\)"),
        (["a"], [[[1, 2], [3]]], "Expected x and y of as many points for each object of image 0 of the train data"),
        (["a"], np.full((1, 2, 2), np.inf), "points of image 0 of the train data to be finite"),
        ("a", np.ones((1, 2, 2)), "list of classes, one per object, for image 0 of the train data"),
        ([], [], "at least one object with points in the train data"),
    ],
)
def test_points_that_do_not_fit_are_errors(bars: Bars, labels: Any, points: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        KeypointDetectionData.from_images(bars(1)["train_images"], [labels], [points])


def test_what_is_missing_or_differs_is_an_error(bars: Bars, tmp_path: Path) -> None:
    parts = bars(2)
    images, targets, points, boxes = parts.values()
    with pytest.raises(DataError, match="as many lists of targets and of keypoints as images .*, but got 2, 2, none"):
        KeypointDetectionData.from_images(images, targets)
    with pytest.raises(DataError, match="as many lists of boxes as images in the train data, but got 1 for 2"):
        KeypointDetectionData.from_images(images, targets, points, train_bboxes=boxes[:1])
    with pytest.raises(DataError, match="Expected 2 points for each object, but image 1 of the train data has 3[.]"):
        KeypointDetectionData.from_images(images, targets, [points[0], np.ones((1, 3, 2))], train_bboxes=boxes)
    with pytest.raises(DataError, match="train_folder together with train_ann_file, but train_ann_file is missing"):
        KeypointDetectionData.from_coco(tmp_path)
    with pytest.raises(DataError, match="Expected the points of the objects, which are learned from train data"):
        len(KeypointDetectionData.from_images(val_images=images, val_targets=targets, val_keypoints=points).val_dataset)
    with pytest.raises(ConfigurationError, match="names of the points, together with skeleton"):
        KeypointDetectionPreprocess(skeleton=[(0, 1)])
    with pytest.raises(ConfigurationError, match="pairs of points, by name or by number from 0 to 1, but got .0, 2."):
        KeypointDetectionPreprocess(keypoints=2, skeleton=[(0, 2)])


def test_points_of_objects_outside_the_image_are_dropped_with_them(bars: Bars) -> None:
    image = bars(1)["train_images"]
    points = [[[[70, 70], [75, 75]], [[10, 10], [-3, 20]]]]
    dm = KeypointDetectionData.from_images(image, [["out", "in"]], points)
    target = dm.train_dataset[0][1]
    assert target["labels"].tolist() == [1]
    assert target["keypoints"].tolist() == [[[10, 10, 2], [0, 0, 0]]]


def test_an_augmentation_by_a_transform_of_torchvision_moves_points(bars: Bars) -> None:
    augmentation = v2.Compose([v2.RandomHorizontalFlip(p=1.0), v2.Resize((32, 128))])
    dm = KeypointDetectionData.from_images(**bars(2), keypoints=ENDS, augmentation=augmentation)
    for row in range(2):
        pixels, target = dm.train_dataset[row]
        assert pixels.shape == (3, 32, 128)
        (left, right) = target["keypoints"][0]
        assert left[0] < right[0], "left and right changed places"
        for x, y, seen in (left, right):
            assert pixels[0, int(y), int(x)] > 160, "red is where the point is"
            assert seen == 2
