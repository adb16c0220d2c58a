"""InstanceSegmentation: reads masks, learns them, moves them with images, and says what is wrong."""

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
from flash.errors import DataError
from flash.image import InstanceSegmentation, InstanceSegmentationData
from flash.image.instances.images import boxes_of, decode_masks, encode_masks
from flash.image.instances.metrics import MaskMeanAveragePrecision
from flash.plugins import get_host
from flash.testing import in_clean_process

Shapes = Callable[..., Any]


@pytest.fixture
def data(shapes: Shapes) -> InstanceSegmentationData:
    return InstanceSegmentationData.from_images(*shapes(4), *shapes(4, 1), batch_size=2, seed=0)


def coco_of(file: Path, names: list[str], labels: Any, masks: Any, form: str) -> Path:
    """Write a COCO file of run lengths, or of the polygons of boxes."""
    ids = {"disk": 70, "triangle": 3}
    annotations = []
    for row, (of_image, drawn) in enumerate(zip(labels, masks, strict=True)):
        for label, mask in zip(of_image, drawn, strict=True):
            left, top, right, bottom = boxes_of([mask])[0].tolist()
            shape: Any = encode_masks(torch.from_numpy(mask[None]))[0]
            if form == "polygons":
                shape = [[left, top, right, top, right, bottom, left, bottom]]
            record = {"id": row, "image_id": row, "category_id": ids[label], "segmentation": shape, "iscrowd": 0}
            annotations.append(
                record | ({} if form == "no boxes" else {"bbox": [left, top, right - left, bottom - top]})
            )
    images = [{"id": row, "file_name": name, "width": 64, "height": 64} for row, name in enumerate(names)]
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


# ---------------------------------------------------------------------- learning


@pytest.mark.train
def test_it_learns_the_pixels_of_disks_and_triangles(shapes: Shapes, tiny: Any, trainer: Callable[..., Any]) -> None:
    val = images, labels, masks = shapes(24, 1)
    dm = InstanceSegmentationData.from_images(*shapes(96), *val, batch_size=8, seed=0)
    task = InstanceSegmentation.from_data(dm, **tiny)
    fit = trainer(max_epochs=10, check_val_every_n_epoch=5)
    fit.fit(task, dm)
    assert fit.callback_metrics["val_map_50"] > 0.5
    assert {"train_loss_mask", "val_loss_mask", "val_map_75"} <= set(fit.callback_metrics)
    overlaps = []
    for found, label, (mask,) in zip(task.predict(images), labels, masks, strict=True):
        drawn = decode_masks(found["masks"])
        best = [place for place, each in enumerate(found["labels"]) if each == label[0]][:1]
        overlaps += [(drawn[place] & mask).sum() / (drawn[place] | mask).sum() for place in best]
    assert len(overlaps) >= 16, "of 24"
    # The masks of other objects, shifted ones or boxes overlap less.
    assert np.mean(overlaps) > 0.7


def test_a_frozen_backbone_stays_as_it_is(data: Any, tiny: Any, trainer: Callable[..., Any]) -> None:
    task = InstanceSegmentation.from_data(data, **tiny)
    model: Any = task.model
    frozen = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    mask_head = [value.clone() for value in model.roi_heads.mask_predictor.parameters()]
    trainer().finetune(task, data, strategy="freeze")
    assert all(value.equal(frozen[name]) for name, value in model.backbone.state_dict().items())
    after = model.roi_heads.mask_predictor.parameters()
    assert any(not value.equal(old) for value, old in zip(after, mask_head, strict=True))


def test_the_validation_loss_counts_masks_and_changes_nothing(data: Any, tiny: Any) -> None:
    task = InstanceSegmentation.from_data(data, **tiny).eval()
    inputs, targets = next(iter(data.val_dataloader()))
    batch = ({"images": [image.float() / 255 for image in inputs["images"]]}, targets)
    first = task.step(batch, 0)
    assert first["loss"] == task.step(batch, 0)["loss"] > 0
    assert "loss_mask" in first["logs"]
    assert not any(module.training for module in task.modules())


# ---------------------------------------------------------------------- prediction and checkpoints


@pytest.mark.process
def test_a_checkpoint_loads_in_a_new_process(
    data: Any, shapes: Shapes, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "image_size": 64,
        "score_threshold": 0.0,
        "backbone_kwargs": {"box_detections_per_img": 5},
    }
    task = InstanceSegmentation.from_data(data, backbone="maskrcnn_resnet50_fpn", pretrained=False, **options)
    run = trainer(max_steps=1, limit_val_batches=0)
    run.fit(task, data)
    run.save_checkpoint("segmenter.ckpt")
    Image.fromarray(shapes(1)[0][0]).save(tmp_path / "photo.png")
    program = (
        "import flash\n"
        "task = flash.Task.load_from_checkpoint('segmenter.ckpt')\n"
        "result = [task.labels, task.predict(path)]\n"
    )
    labels, found = in_clean_process(Path.cwd(), program, path=str(tmp_path / "photo.png"))
    assert labels == ["disk", "triangle"]
    assert found == task.predict(tmp_path / "photo.png")


def test_a_prediction_is_plain_with_a_mask_in_the_size_of_the_image(data: Any, tiny: Any) -> None:
    task = InstanceSegmentation.from_data(data, score_threshold=0.0, **tiny)
    images = [np.zeros((50, 80, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)]
    for found, image in zip(task.predict(images), images, strict=True):
        assert list(found) == ["boxes", "labels", "scores", "masks"]
        assert len(found["masks"]) == len(found["scores"]) > 0
        assert decode_masks(found["masks"]).shape == (len(found["scores"]), *image.shape[:2])
        json.dumps(found)
    best = task.predict(images)[0]["scores"][0]
    task.score_threshold = best
    few = task.predict(images)[0]
    assert len(few["masks"]) == len(few["scores"]) < 20
    raw = task.predict(images, output="raw")[0]
    order = raw["scores"].argsort(descending=True, stable=True)
    assert np.array_equal(decode_masks(few["masks"]), raw["masks"][order][: len(few["masks"])].numpy())


def test_figures_show_masks(data: Any, tiny: Any) -> None:
    task = InstanceSegmentation.from_data(data, score_threshold=0.0, **tiny)
    for figure in (data.show_batch(), task.plot_predictions(data)):
        overlays = [axis.images[1].get_array() for axis in figure.axes]
        assert all((each[..., 3] > 0).any() for each in overlays)


def test_backbones_say_what_they_are_and_count_classes_of_masks() -> None:
    listed = {each.name: each for each in get_host().contributions("backbone", "instances")}
    assert set(listed) == {"maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"}
    for name, each in listed.items():
        score = get_model_weights(name).DEFAULT.meta["_metrics"]["COCO-val2017"]["mask_map"]
        assert f"COCO mask mAP {score}" in each.spec.summary


def test_weights_for_other_classes_are_loaded_but_for_their_layers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    known = InstanceSegmentation(num_classes=4, backbone="maskrcnn_resnet50_fpn", pretrained=False)
    torch.save(known.model.state_dict(), tmp_path / "mine.pth")
    task = InstanceSegmentation(num_classes=2, backbone="maskrcnn_resnet50_fpn", pretrained=tmp_path / "mine.pth")
    own, theirs = task.model.state_dict(), known.model.state_dict()
    fresh = {name for name, value in theirs.items() if own[name].shape != value.shape}
    assert {name.split(".")[1] for name in fresh} == {"box_predictor", "mask_predictor"}
    assert all(own[name].equal(value) for name, value in theirs.items() if name not in fresh)


# ---------------------------------------------------------------------- data


@pytest.mark.parametrize("form", ["run lengths", "no boxes", "polygons"])
def test_coco_files_are_read(shapes: Shapes, tmp_path: Path, form: str) -> None:
    images, labels, masks = shapes(4)
    names = [f"{row}.png" for row in range(4)]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    file = coco_of(tmp_path / "instances.json", names, labels, masks, form)
    dm = InstanceSegmentationData.from_coco(tmp_path, file)
    memory = InstanceSegmentationData.from_images(images, labels, masks, labels=["triangle", "disk"])
    assert dm.labels == ["triangle", "disk"], "in the order of their ids"
    for row in range(4):
        (pixels, target), (_, expected) = dm.train_dataset[row], memory.train_dataset[row]
        assert pixels.permute(1, 2, 0).equal(torch.from_numpy(images[row]))
        assert target["labels"].equal(expected["labels"])
        assert target["boxes"].equal(expected["boxes"])
        if form != "polygons":
            assert target["masks"].equal(expected["masks"])
        assert boxes_of(target["masks"].bool().numpy()).equal(expected["boxes"])


def test_masks_are_arrays_numbers_files_or_images(shapes: Shapes, tmp_path: Path) -> None:
    images, _, _ = shapes(1)
    numbers = np.zeros((64, 64), np.uint8)
    numbers[5:20, 8:30], numbers[30:50, 40:60] = 4, 9
    Image.fromarray(numbers).save(tmp_path / "numbers.png")
    two = [["disk", "triangle"]]
    given = [np.stack([numbers == 4, numbers == 9]), [numbers == 4, numbers == 9], numbers, torch.from_numpy(numbers)]
    for masks in (*given, tmp_path / "numbers.png", Image.fromarray(numbers)):
        dm = InstanceSegmentationData.from_images(images, two, [masks])
        target = dm.train_dataset[0][1]
        assert target["boxes"].tolist() == [[8, 5, 30, 20], [40, 30, 60, 50]]
        assert target["masks"].numpy().astype(bool).tolist() == [(numbers == 4).tolist(), (numbers == 9).tolist()]
    Image.fromarray(images[0]).save(tmp_path / "photo.png")
    files = InstanceSegmentationData.from_files([tmp_path / "photo.png"], two, [tmp_path / "numbers.png"])
    assert files.train_dataset[0][1]["masks"].equal(target["masks"])


def test_masks_move_with_their_image(shapes: Shapes) -> None:
    images, labels, masks = shapes(2)
    augmentation = v2.Compose([v2.RandomHorizontalFlip(p=1.0), v2.Resize((32, 32))])
    dm = InstanceSegmentationData.from_images(images, labels, masks, augmentation=augmentation)
    for row in range(2):
        pixels, target = dm.train_dataset[row]
        assert pixels.shape == (3, 32, 32)
        bright = pixels.amax(0) > 145
        assert (bright == target["masks"][0].bool()).float().mean() > 0.95
        assert (boxes_of([target["masks"][0].bool().numpy()])[0] - target["boxes"][0]).abs().max() <= 1


def test_masks_of_a_photo_that_is_stored_sideways_are_turned(tmp_path: Path) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[5:15, 30:55] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.rot90(upright)
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    for mask in (upright[..., 0] > 0, stored[..., 0] > 0):
        dm = InstanceSegmentationData.from_files([tmp_path / "photo.png"], [["cat"]], [mask[None]])
        pixels, target = dm.train_dataset[0]
        assert pixels.shape == (3, 40, 60)
        assert target["masks"][0].bool().equal(pixels[0] > 0)
        assert target["boxes"].tolist() == [[30, 5, 55, 15]]


def test_an_image_without_objects_trains(shapes: Shapes, tiny: Any, trainer: Callable[..., Any]) -> None:
    images, labels, masks = shapes(4)
    labels[1], masks[1] = [], []
    dm = InstanceSegmentationData.from_images(images, labels, masks, images, labels, masks, batch_size=2)
    fit = trainer()
    fit.fit(InstanceSegmentation.from_data(dm, **tiny), dm)
    assert torch.isfinite(fit.callback_metrics["train_loss"])


@pytest.mark.parametrize(
    ("labels", "masks", "sentence"),
    [
        (["a", "b"], np.ones((1, 64, 64), bool), "has 2 labels and 1 masks"),
        (["a"], np.ones((1, 32, 64), bool), "its size, 64 x 64 pixels, but they have 64 x 32"),
        (["a"], np.full((1, 64, 64), 0.5), "zeros and ones of shape .*, but got float64 of shape"),
        (["a"], np.full((1, 64, 64), 7), "zeros and ones of shape .*, but got int64 of shape"),
        (["a"], "gone.png", "masks of image 0 of the train data in gone.png, but it cannot be read"),
        (["a"], [np.ones((4, 4)), np.ones((5, 4))], "Expected masks of one size for image 0"),
        ("a", np.ones((1, 64, 64), bool), "list of classes, one per object, for image 0 of the train data"),
    ],
)
def test_masks_that_do_not_fit_are_errors(shapes: Shapes, labels: Any, masks: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        InstanceSegmentationData.from_images(shapes(1)[0], [labels], [masks])


def test_boxes_without_masks_are_an_error(shapes: Shapes, tmp_path: Path) -> None:
    images, labels, masks = shapes(1)
    with pytest.raises(DataError, match="as many lists of targets and of masks as images .*, but got 1, 1, none"):
        InstanceSegmentationData.from_images(images, labels)
    with pytest.raises(DataError, match="train_folder together with train_ann_file, but train_ann_file is missing"):
        InstanceSegmentationData.from_coco(tmp_path)
    Image.fromarray(images[0]).save(tmp_path / "0.png")
    file = coco_of(tmp_path / "boxes.json", ["0.png"], labels, masks, "polygons")
    content = json.loads(file.read_text())
    del content["annotations"][0]["segmentation"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="to have 'segmentation', but this has none"):
        InstanceSegmentationData.from_coco(tmp_path, file)


# ---------------------------------------------------------------------- scores


def test_the_score_is_that_of_masks_and_not_of_boxes() -> None:
    disk = torch.zeros(1, 40, 40, dtype=torch.bool)
    disk[0, 10:30, 10:30] = True
    cross = torch.zeros_like(disk)
    cross[0, 10:30, 19:21] = cross[0, 19:21, 10:30] = True  # with the same box
    box = torch.tensor([[10.0, 10, 30, 30]])
    target = {"boxes": box, "labels": torch.tensor([1]), "masks": disk.to(torch.uint8)}
    values = []
    for masks in (disk, cross):
        metric = MaskMeanAveragePrecision()
        metric.update([{"boxes": box, "labels": torch.tensor([1]), "scores": torch.ones(1), "masks": masks}], [target])
        values.append(float(metric.compute()["map"]))
    assert values == pytest.approx([1.0, 0.0])
    nothing = {"labels": torch.zeros(0).long(), "masks": torch.zeros(0, 4, 4)}
    metric = MaskMeanAveragePrecision()
    metric.update([{**nothing, "scores": torch.zeros(0)}], [nothing])
    assert metric.compute()["map"].isnan()


def test_a_task_comes_back_from_a_folder(data: Any, shapes: Shapes, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "image_size": 64,
        "score_threshold": 0.0,
        "backbone_kwargs": {"box_detections_per_img": 3},
    }
    task = InstanceSegmentation.from_data(data, backbone="maskrcnn_resnet50_fpn", pretrained=False, **options)
    task.save_pretrained(tmp_path / "saved")
    loaded = flash.Task.from_pretrained(tmp_path / "saved")
    assert loaded.predict(shapes(1)[0]) == task.predict(shapes(1)[0])


def test_what_is_found_in_an_image_without_objects_is_a_mistake() -> None:
    mask, label, nothing = torch.ones(1, 4, 4), torch.tensor([1]), torch.zeros(0, 4, 4)
    there = {"masks": mask, "labels": label}
    metric = MaskMeanAveragePrecision()
    metric.update(
        [{**there, "scores": torch.tensor([0.9])}, {**there, "scores": torch.tensor([0.8])}],
        [{"masks": nothing, "labels": torch.zeros(0, dtype=torch.long)}, there],
    )
    assert float(metric.compute()["map"]) == pytest.approx(0.5)
