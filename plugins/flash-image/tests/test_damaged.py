"""Bad samples: left out on request, counted and named; or an error before or when they are used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flash.data.damaged import without_damaged
from flash.data.files import FileInputs
from flash.errors import ConfigurationError, DataError
from flash.image import BadImageError, ImageClassificationData, ImagePreprocess

CONFIG: dict[str, Any] = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}

Folders = Callable[..., Path]


def damage(folder: Path) -> None:
    """Truncate one file, empty another, and put a text in the place of a third."""
    whole = (folder / "red/000.png").read_bytes()
    (folder / "red/000.png").write_bytes(whole[: len(whole) // 2])
    (folder / "red/001.png").write_bytes(b"")
    (folder / "blue/002.png").write_text("not a picture")


def test_bad_samples_are_left_out_counted_and_listed(class_folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    folder = class_folders("train", images=5)
    damage(folder)
    with caplog.at_level(logging.WARNING, "flash.data"):
        dm = ImageClassificationData.from_folders(folder, on_bad_sample="skip", data_config=CONFIG)
    assert len(dm.train_dataset) == 7
    assert dm.facts["class_counts"] == [4, 3]
    names = [Path(name).relative_to(folder).as_posix() for name, _ in dm.train_dataset.bad_samples]
    assert names == ["blue/002.png", "red/000.png", "red/001.png"]
    reasons = [reason for _, reason in dm.train_dataset.bad_samples]
    assert "starts with b'not a picture'" in reasons[0]
    assert "is empty (0 bytes)" in reasons[2]
    assert [message for message in caplog.messages if "Left out 3 of 10 train images" in message]
    assert sum(len(targets) for _, targets in dm.train_dataloader()) == 7


def test_a_sound_folder_has_no_bad_samples(class_folders: Folders) -> None:
    dm = ImageClassificationData.from_folders(class_folders("train"), on_bad_sample="skip")
    assert (len(dm.train_dataset), dm.train_dataset.bad_samples) == (8, [])


def test_every_stage_leaves_out_its_own(class_folders: Folders) -> None:
    train, val = class_folders("train"), class_folders("val")
    damage(val)
    dm = ImageClassificationData.from_folders(train, val, predict_folder=val, on_bad_sample="skip", data_config=CONFIG)
    assert [len(dataset) for dataset in (dm.train_dataset, dm.val_dataset, dm.predict_dataset)] == [8, 5, 5]
    assert len(dm.predict_dataset.bad_samples) == 3


def test_missing_files_are_bad_samples_too() -> None:
    images = [np.zeros((4, 4), np.uint8), "gone.jpg", b"", Image.new("L", (3, 3))]
    inputs, bad, kept = without_damaged(
        FileInputs(images, ["a", "b", "c", "d"]), ImagePreprocess().try_sample, "image", "val"
    )
    assert [name for name, _ in bad] == ["gone.jpg", "image 2 of the val data"]
    assert (len(inputs.sources), inputs.targets, kept) == (2, ["a", "d"], [0, 3])
    assert inputs.sources[1] is images[3]


def test_datasets_that_raise_by_themselves_lose_the_samples_that_raise() -> None:
    class Broken:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            if index == 1:
                raise OSError("the disk said no")
            return Image.new("RGB", (4, 4)), "ab"[index % 2] if index < 2 else "c"

        targets = ("a", "b", "c")

    broken: Any = Broken()
    dm = ImageClassificationData.from_datasets(broken, on_bad_sample="skip")
    assert dm.train_dataset.bad_samples == [("image 1 of the train data", "the disk said no")]
    assert dm.labels == ["a", "c"]


def test_data_without_a_sound_image_is_an_error(class_folders: Folders) -> None:
    folder = class_folders("train", images=1)
    for file in folder.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="but none of the 2 of the train data can. The first: Expected an image"):
        ImageClassificationData.from_folders(folder, on_bad_sample="skip")


@pytest.mark.process
@pytest.mark.parametrize("workers", [0, 2])
def test_by_default_a_bad_file_is_an_error_that_names_it(class_folders: Folders, workers: int) -> None:
    folder = class_folders("train")
    (folder / "red/001.png").write_bytes(b"")
    dm = ImageClassificationData.from_folders(folder, num_workers=workers, data_config=CONFIG)
    with pytest.raises(BadImageError, match=r"red/001\.png is empty \(0 bytes\).*on_bad_sample=\"skip\""):
        list(dm.train_dataloader())


def test_files_that_do_not_exist_are_found_before_training(class_folders: Folders) -> None:
    sound = class_folders("train") / "red/000.png"
    with pytest.raises(DataError, match=r"2 of them do not exist, such as gone\.jpg\. Check the paths and images_root"):
        ImageClassificationData.from_files([sound, "gone.jpg", "lost.jpg"], ["a", "b", "a"])


def test_another_word_than_error_or_skip_is_refused(class_folders: Folders) -> None:
    with pytest.raises(ConfigurationError, match="Expected on_bad_sample to be 'error' or 'skip', but got 'ignore'"):
        ImageClassificationData.from_folders(class_folders("train"), on_bad_sample="ignore")


@pytest.mark.process
def test_lazily_opened_images_can_be_shared_by_workers(class_folders: Folders) -> None:
    files = sorted(class_folders("train", images=8).rglob("*.png"))
    images = [Image.open(file) for file in files]
    targets = [file.parent.name for file in files]
    options: dict[str, Any] = {"data_config": CONFIG, "batch_size": 2}
    dm = ImageClassificationData.from_images(images, targets, images, targets, num_workers=2, **options)
    seen = np.concatenate([batch.numpy() for batch, _ in dm.val_dataloader()])
    other = ImageClassificationData.from_files(files, targets, files, targets, **options)
    assert np.array_equal(seen, np.concatenate([batch.numpy() for batch, _ in other.val_dataloader()]))
