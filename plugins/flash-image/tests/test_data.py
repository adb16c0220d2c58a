"""ImageClassificationData: every constructor, what is refused, and training that learns from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

import flash
from flash.errors import ConfigurationError, DataError, UnknownNameError
from flash.image import ImageClassificationData, ImageClassifier, ImagePreprocess

Picture = Callable[..., Image.Image]
Folders = Callable[..., Path]
Make = Callable[..., flash.Trainer]
CONFIG: dict[str, Any] = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop_pct": 1.0}


def whole(dm: ImageClassificationData, stage: str = "val") -> tuple[torch.Tensor, torch.Tensor]:
    """All images and targets of a stage, as the network sees them, in order."""
    dataset = getattr(dm, f"{stage}_dataset")
    images, targets = dataset.hooks.transform_on_device(
        dataset.hooks.collate([dataset[i] for i in range(len(dataset))])
    )
    return images, targets


# ---------------------------------------------------------------------- constructors


def test_every_constructor_makes_the_same_batches_of_the_same_images(class_folders: Folders) -> None:
    folder = class_folders("train")
    files = sorted(folder.rglob("*.png"))
    kinds = [file.parent.name for file in files]
    images = [Image.open(file).convert("RGB") for file in files]
    array = np.stack([np.asarray(image) for image in images])
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    frame = pd.DataFrame({"file": [str(file) for file in files], "kind": kinds})
    frame.to_csv("t.csv", index=False)
    Path("t.json").write_text(json.dumps(frame.to_dict("records")))
    pairs = list(zip(images, kinds, strict=True))
    rows = [{"image": image, "label": kind} for image, kind in pairs]
    data = ImageClassificationData
    options: dict[str, Any] = {"data_config": CONFIG}
    made = {
        "folders": data.from_folders(folder, folder, **options),
        "files": data.from_files(files, kinds, files, kinds, **options),
        "series": data.from_files(frame["file"], frame["kind"], frame["file"], frame["kind"], **options),
        "images": data.from_images(images, kinds, images, np.array(kinds), **options),
        "numpy": data.from_numpy(array, kinds, array / 255, kinds, **options),
        "tensors": data.from_tensors(tensor, kinds, tensor / 255, kinds, **options),
        "csv": data.from_csv("file", "kind", "t.csv", Path("t.csv"), **options),
        "json": data.from_json("file", "kind", "t.json", "t.json", **options),
        "frame": data.from_data_frame("file", "kind", frame, frame.to_dict("list"), **options),
        "pairs": data.from_datasets(pairs, pairs, **options),
        "rows": data.from_datasets(rows, rows, **options),
        "torch": data.from_datasets(ImageFolder(str(folder)), ImageFolder(str(folder)), **options),
    }
    expected = whole(made["folders"])
    assert expected[0].shape == (8, 3, 16, 16)
    assert expected[1].tolist() == [0] * 4 + [1] * 4
    for name, dm in made.items():
        assert (dm.labels, dm.num_classes, dm.facts["class_counts"]) == (["blue", "red"], 2, [4, 4]), name
        for stage in ("train", "val"):
            assert all(torch.equal(*pair) for pair in zip(whole(dm, stage), expected, strict=True)), (name, stage)


def test_the_old_name_of_the_validation_folder_still_works(class_folders: Folders) -> None:
    train, val = class_folders("train"), class_folders("val", images=2)
    assert len(ImageClassificationData.from_folders(train_folder=train, valid_folder=val).val_dataset) == 4
    with pytest.raises(ConfigurationError, match="Expected val_folder or valid_folder, its other name, but got both"):
        ImageClassificationData.from_folders(train, val, valid_folder=val)


def test_paths_in_a_table_start_from_its_folder_or_from_a_root(class_folders: Folders) -> None:
    folder = class_folders("photos")
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.png"))
    frame = pd.DataFrame({"file": names, "kind": [name.split("/")[0] for name in names]})
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv("elsewhere.csv", index=False)
    for dm in (
        ImageClassificationData.from_csv("file", "kind", folder / "t.csv"),
        ImageClassificationData.from_csv("file", "kind", "elsewhere.csv", images_root="photos"),
        ImageClassificationData.from_csv("file", "kind", "elsewhere.csv", train_images_root=folder),
        ImageClassificationData.from_data_frame("file", "kind", frame, images_root=folder),
    ):
        assert len(dm.train_dataset) == 8
    with pytest.raises(
        DataError, match="8 of them do not exist, such as blue/000.png. Check the paths and images_root"
    ):
        ImageClassificationData.from_csv("file", "kind", "elsewhere.csv")


def test_numbers_in_a_csv_file_are_numbers_in_all_of_its_files(class_folders: Folders) -> None:
    files = sorted(map(str, class_folders("photos").rglob("*.png")))
    pd.DataFrame({"file": files, "kind": [2, 2, 2, 2, 10, 10, 10, 10]}).to_csv("train.csv", index=False)
    pd.DataFrame({"file": files[:1], "kind": [10]}).to_csv("val.csv", index=False)
    dm = ImageClassificationData.from_csv("file", "kind", "train.csv", "val.csv", data_config=CONFIG)
    assert dm.labels == [2, 10]
    assert whole(dm)[1].tolist() == [1]


def test_a_trained_preprocess_decides_whether_classes_are_text(class_folders: Folders) -> None:
    files = sorted(map(str, class_folders("photos").rglob("*.png")))[:2]
    trained = ImageClassificationData.from_files(files, ["1", "x"]).preprocess
    pd.DataFrame({"file": files, "kind": ["1", "1"]}).to_csv("test.csv", index=False)
    dm = ImageClassificationData.from_csv("file", "kind", test_file="test.csv", preprocess=trained)
    assert len(dm.test_dataset) == 2


def test_a_predict_folder_is_taken_in_the_order_of_its_paths(class_folders: Folders, tmp_path: Path) -> None:
    train = class_folders("train")
    dm = ImageClassificationData.from_folders(train, predict_folder=train, data_config=CONFIG)
    names = [Path(dm.predict_dataset.raw(row).name).relative_to(train).as_posix() for row in range(8)]
    assert names == sorted(names)
    assert next(iter(dm.predict_dataloader())).shape == (8, 3, 16, 16)


# ---------------------------------------------------------------------- targets


def test_lists_of_classes_and_columns_of_zeros_and_ones_are_multi_label(class_folders: Folders) -> None:
    files = sorted(map(str, class_folders("photos").rglob("*.png")))[:3]
    lists = [["red", "round"], [], ["round"]]
    indicators = np.array([[1, 1], [0, 0], [0, 1]])
    frame = pd.DataFrame({"file": files, "red": indicators[:, 0], "round": indicators[:, 1], "all": lists})
    frame.to_csv("t.csv", index=False)
    names = ["red", "round"]
    data = ImageClassificationData
    for dm in (
        data.from_files(files, lists, data_config=CONFIG),
        data.from_csv("file", names, "t.csv", data_config=CONFIG),
        data.from_data_frame("file", names, frame, data_config=CONFIG),
        data.from_data_frame("file", "all", frame, data_config=CONFIG),
    ):
        assert (dm.multi_label, dm.labels, dm.facts["class_counts"]) == (True, names, [1, 2])
        assert whole(dm, "train")[1].tolist() == indicators.tolist()
    assert data.from_files(files, indicators).labels == [0, 1]


def test_a_class_that_was_never_seen_in_training_is_an_error(class_folders: Folders) -> None:
    train, val = class_folders("train"), class_folders("val", colors=("blue", "green"))
    with pytest.raises(DataError, match=r"those of the train data \('blue', 'red'\), but got 'green' in 4 samples"):
        ImageClassificationData.from_folders(train, val)


def test_one_class_alone_is_an_error_that_names_the_folder(class_folders: Folders) -> None:
    folder = class_folders("train", colors=("red",))
    with pytest.raises(DataError, match="folders of at least two classes in .*train, but only 'red' holds images"):
        ImageClassificationData.from_folders(folder)
    (folder / "blue").mkdir()
    with pytest.raises(DataError, match="but only 'red' holds images"):
        ImageClassificationData.from_folders(folder)


def test_an_empty_class_is_left_out(class_folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    folder = class_folders("train")
    (folder / "green").mkdir()
    assert ImageClassificationData.from_folders(folder, folder).labels == ["blue", "red"]
    assert "Left out 1 of 3 classes" in caplog.text


def test_images_and_targets_come_together(class_folders: Folders) -> None:
    files = sorted(class_folders("photos").rglob("*.png"))
    data = ImageClassificationData
    with pytest.raises(
        DataError, match="Expected train images together with train_targets, but got images without targ"
    ):
        data.from_files(files)
    with pytest.raises(
        DataError, match="Expected val images together with val_targets, but got targets without images"
    ):
        data.from_files(files, ["a", "b"] * 4, val_targets=["a"])
    with pytest.raises(DataError, match="Expected one target per sample, but got 8 samples and 2 targets"):
        data.from_files(files, ["a", "b"])
    with pytest.raises(DataError, match=r"Expected an image or target per sample, in a list, but got 'a\.png' alone"):
        data.from_files("a.png", "b")
    with pytest.raises(DataError, match="Expected at least one folder: train_folder, val_folder"):
        data.from_folders()


# ---------------------------------------------------------------------- options


def test_an_unknown_augmentation_is_an_error_at_once(class_folders: Folders) -> None:
    with pytest.raises(UnknownNameError, match="trivial"):
        ImageClassificationData.from_folders(class_folders("train"), augmentation="trivail")


def test_a_preprocess_excludes_the_options_that_make_one(class_folders: Folders) -> None:
    folder = class_folders("train")
    with pytest.raises(ConfigurationError, match="but got both: preprocess and augmentation, image_size"):
        ImageClassificationData.from_folders(folder, augmentation="flip", image_size=8, preprocess=ImagePreprocess())
    with pytest.raises(TypeError, match="augmentatoin"):
        ImageClassificationData.from_folders(folder, augmentatoin="flip")


@pytest.mark.parametrize("several", [False, True])
def test_a_validation_split_keeps_the_shares_of_the_classes(picture: Picture, several: bool) -> None:
    images = [picture("red", seed=seed) for seed in range(20)]
    targets: list[Any] = ["rare"] * 5 + ["usual"] * 15
    if several:
        targets = [[target] for target in targets]
    options: dict[str, Any] = {"data_config": CONFIG, "val_split": 0.2, "seed": 0}
    dm = ImageClassificationData.from_images(images, targets, **options)
    assert (len(dm.train_dataset), len(dm.val_dataset)) == (16, 4)
    if not several:
        assert sorted(whole(dm)[1].tolist()) == [0, 1, 1, 1]
    again = ImageClassificationData.from_images(images, targets, **options)
    assert torch.equal(whole(dm)[0], whole(again)[0])
    assert {row.tobytes() for row in whole(dm)[0].numpy()}.isdisjoint(
        row.tobytes() for row in whole(dm, "train")[0].numpy()
    )


def test_a_split_off_part_is_validated_without_augmentation(picture: Picture) -> None:
    images = [picture("red", seed=seed) for seed in range(8)]
    dm = ImageClassificationData.from_images(
        images, ["a", "b"] * 4, augmentation="crop", data_config=CONFIG, val_split=0.5, seed=0
    )
    assert torch.equal(whole(dm)[0], whole(dm)[0])
    assert not torch.equal(whole(dm, "train")[0], whole(dm, "train")[0])


@pytest.mark.process
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("augmentation", ["none", "trivial"])
def test_workers_give_contiguous_bytes(class_folders: Folders, workers: int, augmentation: Any) -> None:
    dm = ImageClassificationData.from_folders(
        class_folders("train"), augmentation=augmentation, num_workers=workers, batch_size=8, data_config=CONFIG
    )
    images, targets = next(iter(dm.train_dataloader()))
    assert (images.dtype, tuple(images.shape), images.is_contiguous()) == (torch.uint8, (8, 3, 16, 16), True)
    assert sorted(targets.tolist()) == [0] * 4 + [1] * 4


@pytest.mark.process
def test_workers_draw_different_random_numbers_and_each_epoch_its_own(class_folders: Folders) -> None:
    folder = class_folders("train", images=1)
    (folder / "red/000.png").write_bytes((folder / "blue/000.png").read_bytes())
    dm = ImageClassificationData.from_folders(
        folder, augmentation="crop", num_workers=2, batch_size=1, data_config=CONFIG, seed=0
    )
    loader = dm.train_dataloader()
    epochs = [[images.numpy().tobytes() for images, _ in loader] for _ in range(2)]
    assert len({image for epoch in epochs for image in epoch}) == 4


# ---------------------------------------------------------------------- training and prediction


@pytest.mark.train
def test_a_classifier_learns_from_folders_and_predicts_files(class_folders: Folders, tiny: Any, trainer: Make) -> None:
    train, val = class_folders("train", images=12), class_folders("val", images=6, seed=1)
    dm = ImageClassificationData.from_folders(train, val, augmentation="flip", batch_size=8, seed=0)
    task = ImageClassifier.from_data(dm, learning_rate=3e-3, **tiny)
    run = trainer(max_epochs=8)
    run.fit(task, dm)
    assert run.validate(task, dm, verbose=False)[0]["val_accuracy"] == 1.0
    files = sorted(val.rglob("*.png"))
    assert task.predict(files) == [file.parent.name for file in files]


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_images_have_the_precision_of_the_run(class_folders: Folders, tiny: Any, trainer: Make, precision: Any) -> None:
    folder = class_folders("train")
    dm = ImageClassificationData.from_folders(folder, folder, batch_size=4, seed=0)
    task = ImageClassifier.from_data(dm, **tiny)
    run = trainer(precision=precision)
    run.fit(task, dm)
    assert np.isfinite(float(run.callback_metrics["val_loss"]))


@pytest.mark.process
@pytest.mark.parametrize("workers", [0, 2])
def test_predictions_are_the_same_one_by_one_and_batched(
    class_folders: Folders, tiny: Any, trainer: Make, workers: int
) -> None:
    folder = class_folders("train", images=5)
    files = sorted(folder.rglob("*.png"))
    dm = ImageClassificationData.from_folders(folder, predict_folder=folder, num_workers=workers, batch_size=4)
    task = ImageClassifier.from_data(dm, **tiny)
    alone = torch.stack([torch.as_tensor(task.predict(file, output="logits")[0]) for file in files])
    batched = torch.stack([torch.as_tensor(each) for each in task.predict(files, output="logits", batch_size=3)])
    torch.testing.assert_close(alone, batched, rtol=1e-4, atol=1e-5)
    batches = trainer().predict(task, datamodule=dm, output="logits")
    assert batches is not None
    loaded = torch.stack([torch.as_tensor(each) for batch in batches for each in batch])
    torch.testing.assert_close(alone, loaded, rtol=1e-4, atol=1e-5)


def test_a_task_that_learned_other_classes_refuses_the_data(class_folders: Folders, tiny: Any) -> None:
    dm = ImageClassificationData.from_folders(class_folders("train"))
    other = ImageClassificationData.from_folders(class_folders("other", colors=("green", "red")))
    task = ImageClassifier.from_data(dm, **tiny)
    with pytest.raises(ConfigurationError, match=r"Expected data with the classes of the task in the same order"):
        task.use_data(other)


def test_the_stray_file_among_the_photos_is_skipped_and_said(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    photos = shared / "data/image/hymenoptera_data"
    dm = ImageClassificationData.from_folders(photos / "train", valid_folder=photos / "val")
    assert (len(dm.train_dataset), len(dm.val_dataset), dm.labels) == (244, 153, ["ants", "bees"])
    assert "ants/imageNotFound.gif" in caplog.text
