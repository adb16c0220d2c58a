"""Regression of images: numbers of any source and container are learned, kept and refused as they should."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from flash import Task
from flash.errors import ConfigurationError, DataError
from flash.image import ImageClassificationData, ImageClassifier, ImageRegressionData, ImageRegressor

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "crop_pct": 1.0}
STRATEGIES: list[Any] = ["no_freeze", "freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 2))]


def grays(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures, and of each its mean brightness in an odd unit: around 5,000, between 3,000 and 7,000."""
    random = np.random.default_rng(seed)
    levels = random.uniform(60, 200, (count, 1, 1, 1))
    images = np.clip(levels + random.normal(0, 20, (count, 32, 32, 3)), 0, 255).astype(np.uint8)
    return images, images.mean((1, 2, 3)) * 30 + 1000


def bright(train: int = 96, val: int = 32, **options: Any) -> ImageRegressionData:
    options = {"batch_size": 16, "seed": 0, **options}
    return ImageRegressionData.from_numpy(*grays(train, 0), *grays(val, 1), **options)


def r2(predicted: Any, truth: Any) -> Any:
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    return 1 - ((predicted - truth) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)


@pytest.mark.train
def test_the_brightness_of_a_picture_is_learned(tiny: Any, trainer: Any) -> None:
    torch.manual_seed(0)
    data = bright()
    task = ImageRegressor.from_data(data, **tiny, learning_rate=0.01)
    run = trainer(max_epochs=12)
    run.finetune(task, data, strategy="no_freeze")
    images, truth = grays(64, 2)
    predicted = task.predict(images)
    assert r2(predicted, truth) > 0.9
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    val, val_truth = grays(32, 1)
    errors = np.asarray(task.predict(val)) - val_truth
    assert logged["val_rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-3)
    assert logged["val_mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-3)
    assert logged["val_r2"] == pytest.approx(r2(np.asarray(task.predict(val)), val_truth), abs=1e-3)
    standardized = errors / data.facts["target_std"][0]
    assert logged["val_loss"] == pytest.approx((standardized**2).mean(), rel=1e-2)


@pytest.mark.train
def test_two_numbers_a_picture_are_learned(tiny: Any, trainer: Any) -> None:
    torch.manual_seed(0)

    def make(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        images, means = grays(count, seed)
        images[..., 2] = np.random.default_rng(seed + 9).integers(0, 255, (count, 1, 1))
        return images, np.stack([means, images[..., 2].mean((1, 2)) / 255], axis=1)

    data = ImageRegressionData.from_numpy(*make(128, 0), *make(32, 1), batch_size=16, seed=0)
    task = ImageRegressor.from_data(data, **tiny, learning_rate=0.01)
    trainer(max_epochs=16).fit(task, data)
    images, truth = make(64, 2)
    assert (r2(task.predict(images), truth) > 0.8).all()


@pytest.mark.train
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_every_strategy_trains(strategy: Any, tiny: Any, trainer: Any) -> None:
    torch.manual_seed(0)
    data = bright(48, 16)
    task = ImageRegressor.from_data(data, **tiny)
    before = {name: value.clone() for name, value in task.backbone.state_dict().items()}
    (first,) = trainer().validate(task, data, verbose=False)
    trainer(max_epochs=3).finetune(task, data, strategy=strategy)
    (last,) = trainer().validate(task, data, verbose=False)
    assert last["val_rmse"] < first["val_rmse"]
    after = task.backbone.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before) == (strategy == "freeze")


@pytest.mark.train
def test_cached_features_of_a_frozen_backbone_predict_the_same(tiny: Any, trainer: Any) -> None:
    losses = []
    for augmentation in ("none", lambda image: image):  # a callable is not known to be deterministic
        torch.manual_seed(0)
        data = bright(32, 16, augmentation=augmentation)
        task = ImageRegressor.from_data(data, **tiny)
        run = trainer(max_epochs=2)
        run.finetune(task, data, strategy="freeze")
        losses.append([float(run.callback_metrics[name]) for name in ("val_loss", "val_rmse")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def write(folder: Path, count: int = 4) -> list[dict[str, Any]]:
    """Pictures in a folder, and rows with their names and two numbers."""
    from PIL import Image

    rows = []
    for number in range(count):
        Image.new("L", (40, 40), 50 * number).save(folder / f"{number}.png")
        rows.append({"file": f"{number}.png", "level": 50.5 * number, "half": 2.25 * number})
    return rows


@pytest.mark.parametrize("fields", ["level", ["level", "half"]], ids=str)
def test_every_constructor_reads_the_same_numbers(fields: Any, tmp_path: Path) -> None:
    rows = write(tmp_path)
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.json").write_text(json.dumps(rows))
    names = [fields] if isinstance(fields, str) else fields
    numbers = frame[names].to_numpy() if len(names) > 1 else frame[fields].to_numpy()
    files = [tmp_path / row["file"] for row in rows]
    arrays = np.stack([np.full((40, 40), 50 * number, np.uint8) for number in range(4)])
    dataset = [
        {"image": image, "level": row["level"], "half": row["half"]} for image, row in zip(arrays, rows, strict=True)
    ]
    make = ImageRegressionData
    made = {
        "from_csv": make.from_csv("file", fields, tmp_path / "t.csv"),
        "from_json": make.from_json("file", fields, tmp_path / "t.json"),
        "from_parquet": make.from_parquet("file", fields, tmp_path / "t.parquet"),
        "from_data_frame": make.from_data_frame("file", fields, frame, images_root=tmp_path),
        "from_files": make.from_files(files, numbers),
        "from_lists": make.from_lists(files, numbers.tolist()),
        "from_numpy": make.from_numpy(arrays, numbers),
        "from_tensors": make.from_tensors(torch.tensor(arrays), torch.tensor(numbers)),
        "from_images": make.from_images(list(arrays), [str(each) for each in numbers] if len(names) == 1 else numbers),
        "from_datasets": make.from_datasets(dataset, target_fields=fields),
    }
    expected = {
        "num_targets": len(names),
        "target_mean": pytest.approx(frame[names].mean().tolist()),
        "target_std": pytest.approx(frame[names].std(ddof=0).tolist()),
    }
    for name, data in made.items():
        assert data.facts == expected, name
        task = ImageRegressor.from_data(data, backbone="test_resnet", pretrained=False, data_config=CONFIG)
        batch = next(iter(data.train_dataloader()))
        truth = sorted(np.asarray(frame[names], np.float32).reshape(-1).tolist())
        assert sorted(batch[1].reshape(-1).tolist()) == pytest.approx(truth), name
        assert np.asarray(task.predict(arrays)).shape == ((4,) if len(names) == 1 else (4, 2))


def test_a_table_is_predicted_as_it_was_trained_on(tmp_path: Path, tiny: Any) -> None:
    write(tmp_path)
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "level"], ["0.png", 1], ["1.png", 2.5]])
    task = ImageRegressor.from_data(ImageRegressionData.from_csv("file", "level", tmp_path / "t.csv"), **tiny)
    alone = task.predict([tmp_path / "0.png", tmp_path / "1.png"])
    assert task.predict(tmp_path / "t.csv") == pytest.approx(alone)


@pytest.mark.train
def test_a_checkpoint_predicts_the_same(tmp_path: Path, tiny: Any, trainer: Any) -> None:
    data = bright(16, 8)
    task = ImageRegressor.from_data(data, **tiny, head="mlp")
    run = trainer(max_epochs=1)
    run.fit(task, data)
    run.save_checkpoint(tmp_path / "r.ckpt")
    images, _ = grays(4, 3)
    again = Task.load_from_checkpoint(tmp_path / "r.ckpt")
    assert isinstance(again, ImageRegressor)
    assert again.predict(images) == task.predict(images)
    assert again.target_mean.tolist() == pytest.approx(data.facts["target_mean"])


# ---------------------------------------------------------------------- what is refused


def test_numbers_for_a_classifier_name_the_classes_for_regression() -> None:
    images, numbers = grays(30, 0)
    for targets in (numbers, [str(number) for number in numbers], np.stack([numbers, numbers], axis=1)):
        with pytest.raises(DataError, match=r"For numbers use ImageRegressionData and ImageRegressor\.$"):
            _ = ImageClassificationData.from_numpy(images, targets).facts


def test_words_for_a_regressor_name_the_classes_for_classification() -> None:
    images, numbers = grays(4, 0)
    advice = r"Expected numbers .* but got 'cat'. For classes use ImageClassificationData and ImageClassifier\.$"
    with pytest.raises(DataError, match=advice):
        _ = ImageRegressionData.from_numpy(images, ["cat", "dog", "cat", "dog"]).facts
    with pytest.raises(DataError, match=advice):
        _ = ImageRegressionData.from_numpy(images, numbers, images, ["cat", "dog", "cat", "dog"]).val_dataset


def test_folders_are_classes_and_only_predicted(folders: Path, tiny: Any, trainer: Any) -> None:
    with pytest.raises(ConfigurationError, match="names of folders are classes. .* use ImageClassificationData"):
        ImageRegressionData.from_folders(folders / "train")
    data = ImageRegressionData.from_folders(predict_folder=folders / "new")
    task = ImageRegressor(**tiny)
    assert sum(len(batch) for batch in trainer().predict(task, datamodule=data)) == 3


def test_data_and_task_of_different_kinds_are_refused_with_the_names_of_both(tiny: Any) -> None:
    data = bright(8, 4)
    with pytest.raises(
        ConfigurationError, match="ImageClassificationData for ImageClassifier, but got ImageRegression"
    ):
        ImageClassifier.from_data(data, **tiny)
    classes = ImageClassificationData.from_numpy(grays(4, 0)[0], ["a", "b", "a", "b"])
    with pytest.raises(ConfigurationError, match="ImageRegressionData for ImageRegressor, but got ImageClassification"):
        ImageRegressor.from_data(classes, **tiny)
