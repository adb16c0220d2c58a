"""Datasets of torch and Hugging Face: classes without decoding, and what is known not to be random."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset
from torchvision.datasets import FakeData, ImageFolder

from flash.data.datasets import dataset_inputs as of_dataset
from flash.data.datasets import is_deterministic as is_alike
from flash.errors import DataError, MissingColumnError
from flash.image import ImageClassificationData, ImagePreprocess

dataset_inputs = partial(of_dataset, noun="image", keys=ImagePreprocess.dataset_fields)
is_deterministic = partial(is_alike, libraries=ImagePreprocess.dataset_libraries)


class Pairs(Dataset[Any]):
    """Pictures and classes, which counts how often it is asked for one."""

    def __init__(self, targets: list[Any]) -> None:
        self.given = targets
        self.asked = 0

    def __len__(self) -> int:
        return len(self.given)

    def __getitem__(self, index: int) -> Any:
        self.asked += 1
        return Image.new("RGB", (4, 4), (index, 0, 0)), self.given[index]


class WithTargets(Pairs):
    """As torchvision's datasets are."""

    classes = ("ant", "bee")

    def __init__(self, targets: list[Any], listed: Any = None) -> None:
        super().__init__(targets)
        self.targets = targets if listed is None else listed


class ClassLabel:
    """As ``datasets.ClassLabel``."""

    names = ("ant", "bee", "wasp")


class ListOf:
    """As ``datasets.Sequence``."""

    feature = ClassLabel()


class HuggingFace:
    """As ``datasets.Dataset``: rows are dicts, columns are had by name, and images are decoded with their rows."""

    def __init__(self, label: Any = ClassLabel, key: str = "label", format_type: str | None = None) -> None:
        self.features = {"image": object(), key: label()}
        self.column_names = ["image", key]
        self.format = {"type": format_type}
        self.rows = [
            {"image": Image.new("RGB", (4, 4), (row, 0, 0)), key: value} for row, value in enumerate((2, 0, 1))
        ]
        self.decoded = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            assert key != "image"
            return iter([row[key] for row in self.rows])
        self.decoded += 1
        return self.rows[key]


def test_listed_targets_are_taken_without_decoding_all_images() -> None:
    dataset = WithTargets([0, 1, 1, 0])
    inputs = dataset_inputs(dataset, None, None, "train")
    assert list(inputs.targets) == [0, 1, 1, 0]
    assert inputs.names == ("ant", "bee")
    assert dataset.asked == 1
    assert inputs.sources[2].getpixel((0, 0)) == (2, 0, 0)


def test_data_of_a_dataset_is_made_without_decoding_its_images() -> None:
    dataset = WithTargets([0, 1, 1, 0])
    ImageClassificationData.from_datasets(dataset)
    assert dataset.asked == 1


def test_images_of_a_dataset_that_never_raises_index_error_come_to_an_end() -> None:
    class Endless(WithTargets):
        def __getitem__(self, index: int) -> Any:
            return Image.new("RGB", (4, 4)), 0

    assert len(list(dataset_inputs(Endless([0, 1]), None, None, "train").sources)) == 2


def test_targets_of_a_subset_are_those_of_its_rows() -> None:
    inputs = dataset_inputs(Subset(WithTargets([0, 1, 1, 0]), [1, 3]), None, None, "train")
    assert (list(inputs.targets), inputs.names) == ([1, 0], ("ant", "bee"))
    assert inputs.sources[1].getpixel((0, 0)) == (3, 0, 0)


@pytest.mark.parametrize("listed", [torch.tensor([0, 1]), np.array([0, 1]), (0, 1)])
def test_targets_may_be_listed_in_any_type(listed: Any) -> None:
    dataset = WithTargets([0, 1], listed)
    assert [int(target) for target in dataset_inputs(dataset, None, None, "train").targets] == [0, 1]
    assert dataset.asked == 1


@pytest.mark.parametrize("listed", [[5, 5], [0], {"a": 1}])
def test_a_list_that_says_something_else_than_the_samples_is_not_believed(listed: Any) -> None:
    assert dataset_inputs(WithTargets([0, 1], listed), None, None, "train").targets == [0, 1]


def test_targets_that_nobody_lists_are_read_from_the_samples() -> None:
    assert dataset_inputs(Pairs(["a", "b"]), None, None, "val").targets == ["a", "b"]


def test_torchvision_datasets_have_names(class_folders: Any) -> None:
    dataset = ImageFolder(str(class_folders("train")))
    inputs = dataset_inputs(dataset, None, None, "train")
    assert (inputs.names, inputs.targets) == (["blue", "red"], [0] * 4 + [1] * 4)


def test_hugging_face_names_and_columns_are_used() -> None:
    dataset = HuggingFace()
    inputs = dataset_inputs(dataset, None, None, "train")
    assert (inputs.targets, inputs.names) == ([2, 0, 1], ("ant", "bee", "wasp"))
    assert dataset.decoded == 1
    assert inputs.sources[1].getpixel((0, 0)) == (1, 0, 0)
    assert dataset_inputs(HuggingFace(ListOf), None, None, "train").names == ("ant", "bee", "wasp")


def test_keys_can_be_named() -> None:
    dataset = HuggingFace(key="species")
    assert dataset_inputs(dataset, "image", "species", "train").targets == [2, 0, 1]
    with pytest.raises(
        MissingColumnError, match=r"one of the keys label, .* but they have image, species. Pass target_f"
    ):
        dataset_inputs(dataset, None, None, "train")
    with pytest.raises(MissingColumnError, match="Expected a key 'photo' in the samples, but they have image, species"):
        dataset_inputs(dataset, "photo", "species", "train")


def test_plain_dicts_in_a_list_are_a_dataset() -> None:
    rows = [{"img": np.zeros((2, 2), np.uint8), "label": "x"}, {"img": np.zeros((2, 2), np.uint8), "label": "y"}]
    assert dataset_inputs(rows, None, None, "train").targets == ["x", "y"]


def test_prediction_takes_images_alone_and_pairs() -> None:
    image = Image.new("RGB", (2, 2))
    assert dataset_inputs([image], None, None, "predict").sources[0] is image
    assert dataset_inputs([(image, 1)], None, None, "predict").sources[0] is image
    assert dataset_inputs(HuggingFace(), None, None, "predict").sources[0].size == (4, 4)


def test_what_is_no_dataset_is_refused() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(())

    with pytest.raises(DataError, match=r"with a length and \[index\] as train data, but got Stream"):
        dataset_inputs(Stream(), None, None, "train")
    with pytest.raises(DataError, match="at least one sample in the val dataset, but it is empty"):
        dataset_inputs([], None, None, "val")
    with pytest.raises(
        DataError, match=r"Expected \(image, target\) or a dict as each sample of the train dataset, but got"
    ):
        dataset_inputs([Image.new("RGB", (2, 2))], None, None, "train")


def test_only_what_is_known_to_be_the_same_each_time_is_called_deterministic() -> None:
    assert is_deterministic([1])
    assert is_deterministic(HuggingFace())
    assert is_deterministic(FakeData(size=2))
    assert is_deterministic(Subset(FakeData(size=2), [0]))
    assert not is_deterministic(HuggingFace(format_type="custom"))
    assert not is_deterministic(FakeData(size=2, transform=lambda image: image))
    assert not is_deterministic(Pairs([0]))
