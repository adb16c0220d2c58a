"""Numbers of pixels per class, and what a baseline has of them: counts, pictures, recipes, recognized folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

from flash.data.recognition import RawData
from flash.image import SemanticSegmentation, SemanticSegmentationData
from flash.image.segmentation import recipes
from flash.image.segmentation.counting import UsualMask, true_counts


@pytest.fixture
def data(draw: Callable[..., Any]) -> SemanticSegmentationData:
    train, val = draw(6).parts(), draw(4, seed=1, sizes=((48, 48), (60, 40))).parts()
    val[1][0][:2] = 255  # These pixels do not count.
    return SemanticSegmentationData.from_images(*train, *val, batch_size=2, image_size=64)


def counts_of(masks: Any) -> list[list[int]]:
    return [np.bincount(mask[mask != 255], minlength=3).tolist() for mask in masks]


def test_the_places_of_each_class_are_counted_in_the_own_size_of_masks(
    data: SemanticSegmentationData, draw: Callable[..., Any]
) -> None:
    expected = draw(4, seed=1, sizes=((48, 48), (60, 40))).masks
    expected[0][:2] = 255
    assert data.val_dataset is not None
    assert true_counts(data.val_dataset, 3).tolist() == counts_of(expected)


def test_predicted_places_are_those_of_the_masks_that_are_predicted(
    data: SemanticSegmentationData, tiny: dict[str, Any], draw: Callable[..., Any]
) -> None:
    task = SemanticSegmentation.from_data(data, **tiny)
    images, masks = draw(4, seed=1, sizes=((48, 48), (60, 40))).parts()
    masks[0][:2] = 255
    own: Any = data.val_dataset.with_input_spec(task.input_spec)
    predicted, hits = np.split(task.predicted_statistics(own, batch_size=3), 2, axis=1)
    marked = [np.asarray(each) for each in task.predict(images)]
    known = [np.where(mask == 255, 255, guess) for mask, guess in zip(masks, marked, strict=True)]
    assert predicted.tolist() == counts_of(known)
    right = [np.where(mask == guess, mask, 255) for mask, guess in zip(masks, marked, strict=True)]
    assert hits.tolist() == counts_of(right)
    first, second = task.pictures(own, [1, 0])
    assert first.shape[0] == 40
    assert second.shape[0] == 48
    assert {first.dtype, second.dtype} == {np.dtype(np.uint8)}
    assert first.shape[1] > 2 * 60


def test_metrics_of_counts_are_those_of_all_pixels_together() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 2, (4, 50))
    guess = np.where(random.random((4, 50)) < 0.6, true, random.integers(0, 2, (4, 50)))
    counts = [np.stack([(each == label).sum(1) for label in range(3)], 1) for each in (true, guess)]
    hits = np.stack([((true == label) & (guess == label)).sum(1) for label in range(3)], 1)
    statistics = counts[0], np.concatenate([counts[1], hits], 1)
    found = {
        each.name: each.prepare(*statistics)(np.ones((1, 4))).tolist()
        for each in SemanticSegmentation.statistics_metrics()
    }
    flat = torch.from_numpy(guess).ravel(), torch.from_numpy(true).ravel()
    # The third class does not occur.
    assert found == {
        "iou": pytest.approx([float(multiclass_jaccard_index(*flat, 2))]),
        "accuracy": pytest.approx([float((flat[0] == flat[1]).float().mean())]),
        "f1_macro": pytest.approx([float(multiclass_f1_score(*flat, 2))]),
    }
    rows = SemanticSegmentation.class_scores(*statistics, ["a", "b", "c"])
    assert [row["iou"] for row in rows][:2] == pytest.approx(multiclass_jaccard_index(*flat, 2, None).tolist())
    assert rows[2]["iou"] is None


def test_the_usual_mask_has_the_most_frequent_class_of_each_place() -> None:
    masks = np.zeros((5, 64, 64), np.uint8)
    masks[:3, :, 32:] = 1
    masks[:, 0] = 255
    images = np.zeros((5, 64, 64, 3), np.uint8)
    data = SemanticSegmentationData.from_numpy(images, masks, images[:1], masks[:1])
    model = recipes.usual_mask(data)
    assert isinstance(model, UsualMask)
    assert model.kind == "trivial"
    found = model.fit(data).predict(data.val_dataset)
    assert found.tolist() == [[63 * 32, 63 * 32] * 2]


def test_recipes_are_tasks_for_the_data(data: SemanticSegmentationData, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def from_data(data: Any, **options: Any) -> Any:
        made.append(options)
        return torch.nn.Identity()

    monkeypatch.setattr(SemanticSegmentation, "from_data", from_data)
    _, strategy = recipes.frozen(data)
    assert strategy == "freeze"
    recipes.convnext_tiny(data)
    recipes.scratch(data)
    assert [each["backbone"] for each in made] == [
        f"flash-image/{name}" for name in ("resnet18", "convnext_tiny", "resnet18")
    ]
    assert made[-1]["pretrained"] is False


def recognized(folder: Path) -> Any:
    return SemanticSegmentationData.recognize(RawData.of(folder))


def test_folders_of_images_and_of_masks_are_recognized_with_their_parts(
    tmp_path: Path, draw: Callable[..., Any]
) -> None:
    draw(2).save(tmp_path / "plain")
    found = recognized(tmp_path / "plain")
    assert found.constructor == "from_folders"
    assert found.arguments == {
        "train_folder": str(tmp_path / "plain/images"),
        "train_target_folder": str(tmp_path / "plain/masks"),
    }
    for part in ("train", "val"):
        draw(2).save(tmp_path / "parts" / part)
    assert {*recognized(tmp_path / "parts").arguments} == {
        f"{part}_{name}" for part in ("train", "val") for name in ("folder", "target_folder")
    }
    (tmp_path / "parts/val/masks").rename(tmp_path / "parts/val/others")
    assert recognized(tmp_path / "parts") is None


def test_images_with_one_file_of_coco_are_recognized(tmp_path: Path, draw: Callable[..., Any]) -> None:
    draw(2).save(tmp_path)
    for file in (tmp_path / "masks").iterdir():
        file.unlink()
    (tmp_path / "masks").rmdir()
    (tmp_path / "coco.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    found = recognized(tmp_path)
    assert found.constructor == "from_coco"
    assert found.arguments["train_ann_file"] == str(tmp_path / "coco.json")
    table = RawData.of({"file": ["a.png"], "label": ["x"]})
    assert SemanticSegmentationData.recognize(table, "label") is None
