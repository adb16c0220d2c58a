"""Datasets of FiftyOne as sources: samples and labels have the attributes of its classes, which need a database."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples_of_images import BoxesOfImages, MasksOfImages

from flash import DataModule
from flash.errors import ConfigurationError, DataError
from flash.image import ImageClassificationData, ObjectDetectionData
from flash.image.instances import InstanceSegmentationData
from flash.image.keypoints import KeypointDetectionData
from flash.image.segmentation import SemanticSegmentationData
from flash.testing import DataSourceConformance

SIZE = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


class Sample(dict[str, Any]):
    """A sample: a path, and labels by the names of their fields."""

    def __init__(self, filepath: Path, **labels: Any) -> None:
        super().__init__(labels)
        self.filepath = str(filepath)

    @property
    def field_names(self) -> tuple[str, ...]:
        return ("id", "filepath", "tags", "metadata", *self)


class Classification(SimpleNamespace):
    pass


class Classifications(SimpleNamespace):
    pass


class Detections(SimpleNamespace):
    pass


class Segmentation(SimpleNamespace):
    pass


class Keypoints(SimpleNamespace):
    pass


def detection(label: str, *box: float, **mask: Any) -> Any:
    return SimpleNamespace(label=label, bounding_box=list(box), **mask)


def points(label: str, *places: tuple[float, float]) -> Any:
    return SimpleNamespace(label=label, points=list(places))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Six images of 40 x 20 pixels, the last one of which is stored on its side."""
    found = [tmp_path / f"{row}.jpg" for row in range(6)]
    for row, path in enumerate(found):
        exif = Image.Exif()
        exif[0x0112] = 6 if row == 5 else 1
        size = (20, 40) if row == 5 else (40, 20)
        Image.new("RGB", size, (40 * row, 0, 0)).save(path, exif=exif)
    return found


def labeled(photos: Sequence[Path]) -> list[Sample]:
    return [Sample(path, ground_truth=Classification(label="ab"[row % 2])) for row, path in enumerate(photos)]


class Source(DataSourceConformance):
    source = "fiftyone"

    @pytest.fixture
    def bad_arguments(self, tmp_path: Path) -> Mapping[str, Mapping[str, Any]]:
        return {
            "there is no such field": {"label_field": "mood"},
            "there is no such file": {"train_dataset": [Sample(tmp_path / "gone.jpg", ground_truth=None)]},
            "these are no samples": {"train_dataset": [3]},
        }


class TestImages(Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return ImageClassificationData

    @pytest.fixture
    def arguments(self, photos: list[Path]) -> Mapping[str, Any]:
        return {"train_dataset": labeled(photos), "predict_dataset": labeled(photos), "data_config": SIZE}


class TestBoxes(BoxesOfImages, Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return ObjectDetectionData

    @pytest.fixture
    def arguments(self, photos: list[Path]) -> Mapping[str, Any]:
        found = Detections(detections=[detection("a", 0.25, 0.5, 0.5, 0.25)])
        samples = [Sample(path, ground_truth=found) for path in photos]
        return {"train_dataset": samples, "augmentation": "none"}


class TestMasks(MasksOfImages, Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return SemanticSegmentationData

    @pytest.fixture
    def arguments(self, photos: list[Path], tmp_path: Path) -> Mapping[str, Any]:
        Image.fromarray(np.arange(800, dtype=np.uint8).reshape(20, 40) % 2).save(tmp_path / "mask.png")
        mask = Segmentation(mask=None, mask_path=str(tmp_path / "mask.png"))
        samples = [Sample(path, ground_truth=mask) for path in photos[:5]]
        return {"train_dataset": samples, "data_config": SIZE}


class TestInstances(BoxesOfImages, Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return InstanceSegmentationData

    @pytest.fixture
    def arguments(self, photos: list[Path], tmp_path: Path) -> Mapping[str, Any]:
        Image.fromarray(np.full((5, 20), 255, np.uint8)).save(tmp_path / "part.png")
        found = Detections(detections=[detection("a", 0.25, 0.5, 0.5, 0.25, mask_path=str(tmp_path / "part.png"))])
        return {"train_dataset": [Sample(path, ground_truth=found) for path in photos], "augmentation": "none"}


class TestKeypoints(BoxesOfImages, Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return KeypointDetectionData

    @pytest.fixture
    def arguments(self, photos: list[Path]) -> Mapping[str, Any]:
        found = Keypoints(keypoints=[points("a", (0.25, 0.5), (0.5, 0.25))])
        return {"train_dataset": [Sample(path, ground_truth=found) for path in photos], "augmentation": "none"}


def test_samples_without_a_label_are_left_out_and_said(photos: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    samples = [*labeled(photos[:5]), Sample(photos[5], ground_truth=None)]
    data = ImageClassificationData.from_source("fiftyone", train_dataset=samples, predict_dataset=samples)
    assert data.labels == ["a", "b"]
    assert data.train_dataset is not None
    assert len(data.train_dataset) == 5
    assert "Left out 1 train samples, which have no label in the field 'ground_truth'." in caplog.text
    assert data.predict_dataset is not None
    assert len(data.predict_dataset) == 6


def test_images_may_have_several_classes_or_none(photos: list[Path]) -> None:
    classes: list[list[str]] = [["a", "b"], [], ["b"]]
    samples = [
        Sample(path, tags_of=Classifications(classifications=[Classification(label=each) for each in names]))
        for path, names in zip(photos, classes, strict=False)
    ]
    data = ImageClassificationData.from_source("fiftyone", train_dataset=samples, label_field="tags_of")
    assert data.multi_label
    assert data.train_dataset is not None
    assert [data.train_dataset.raw(row)[1].tolist() for row in range(3)] == [[1, 1], [0, 0], [0, 1]]


def test_boxes_are_fractions_of_the_upright_image(photos: list[Path]) -> None:
    found = Detections(detections=[detection("cat", 0.25, 0.5, 0.5, 0.25), detection("dog", 0, 0, 1, 1)])
    samples = [Sample(photos[0], ground_truth=found), Sample(photos[5], ground_truth=found)]
    samples.append(Sample(photos[1], ground_truth=Detections(detections=[])))
    data = ObjectDetectionData.from_source("fiftyone", train_dataset=samples)
    assert data.train_dataset is not None
    boxes = [data.train_dataset[row][1]["boxes"].tolist() for row in range(3)]
    assert boxes == [[[10, 10, 30, 15], [0, 0, 40, 20]]] * 2 + [[]]
    assert data.labels == ["cat", "dog"]


def test_masks_are_arrays_or_files(photos: list[Path], tmp_path: Path) -> None:
    mask = np.arange(800, dtype=np.uint8).reshape(20, 40) % 2
    Image.fromarray(mask).save(tmp_path / "mask.png")
    stored = Segmentation(mask=None, mask_path=str(tmp_path / "mask.png"))
    for label in (stored, Segmentation(mask=mask, mask_path=None)):
        samples = [Sample(path, ground_truth=label) for path in photos[:2]]
        data = SemanticSegmentationData.from_source("fiftyone", train_dataset=samples, data_config=SIZE)
        assert data.num_classes == 2


def masks_of(data: Any, row: int) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = np.asarray(data.train_dataset[row][1]["masks"])
    return found


def test_masks_of_objects_are_the_part_of_the_upright_image_in_their_box(photos: list[Path], tmp_path: Path) -> None:
    part = np.random.default_rng(0).random((5, 20)) > 0.5
    Image.fromarray(part.astype(np.uint8) * 255).save(tmp_path / "part.png")
    stored = detection("cat", 0.25, 0.5, 0.5, 0.25, mask=None, mask_path=str(tmp_path / "part.png"))
    # Larger than its box, and one that goes beyond the image.
    large = detection("cat", 0.25, 0.5, 0.5, 0.25, mask=part.repeat(3, 0).repeat(3, 1).astype(np.uint8))
    beyond = detection("dog", 0.75, -0.1, 0.5, 0.25, mask=part)
    found = Detections(detections=[stored, large, beyond])
    samples = [Sample(photos[0], ground_truth=found), Sample(photos[5], ground_truth=found)]
    samples.append(Sample(photos[1], ground_truth=Detections(detections=[])))
    data = InstanceSegmentationData.from_source("fiftyone", train_dataset=samples, augmentation="none")
    assert data.labels == ["cat", "dog"]
    expected = np.zeros((3, 20, 40), np.bool_)
    expected[:2, 10:15, 10:30] = part
    expected[2, 0:3, 30:40] = part[2:, :10]
    for row in (0, 1):
        assert np.array_equal(masks_of(data, row), expected)
    assert masks_of(data, 2).shape[0] == 0


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (
            {"mask": None},
            "Expected Detections with a mask each in the field 'ground_truth' of .*, but one of 'a' has none",
        ),
        (
            {"mask_path": "gone.png"},
            "Expected the mask of an object in the sample of .*, but there is no file gone.png",
        ),
        ({"mask_path": __file__}, "Expected an image as the mask of an object, but .* is none"),
        ({"mask": np.ones(3)}, r"Expected masks of objects of shape \(height, width\), but one .* has \(3,\)"),
    ],
)
def test_a_mask_of_an_object_that_cannot_be_read_says_so(
    photos: list[Path], mask: dict[str, Any], sentence: str
) -> None:
    found = Detections(detections=[detection("a", 0, 0, 1, 1, **mask)])
    with pytest.raises(DataError, match=sentence):
        InstanceSegmentationData.from_source("fiftyone", train_dataset=[Sample(photos[0], ground_truth=found)])


class Dataset(list[Sample]):
    """A dataset with the skeletons of its fields."""

    skeletons = {"pose": SimpleNamespace(labels=["nose", "tail"], edges=[[0, 1]])}  # noqa: RUF012  # as there
    default_skeleton = SimpleNamespace(labels=["head", "foot"], edges=None)


@pytest.mark.parametrize(
    ("field", "options", "names"),
    [("pose", {}, ["nose", "tail"]), ("other", {}, ["head", "foot"]), ("pose", {"keypoints": ["a", "b"]}, ["a", "b"])],
)
def test_points_are_fractions_of_the_upright_image_with_the_names_of_the_skeleton(
    photos: list[Path], field: str, options: dict[str, Any], names: list[str]
) -> None:
    found = Keypoints(keypoints=[points("cat", (0.25, 0.5), (float("nan"), float("nan")))])
    labels = [found, found, Keypoints(keypoints=[])]
    samples = Dataset(
        Sample(path, **{field: label}) for path, label in zip((photos[0], photos[5], photos[1]), labels, strict=True)
    )
    data = KeypointDetectionData.from_source("fiftyone", train_dataset=samples, label_field=field, **options)
    assert data.train_dataset is not None
    read = [data.train_dataset[row][1]["keypoints"].tolist() for row in range(3)]
    assert read == [[[[10, 10, 2], [0, 0, 0]]]] * 2 + [[]]
    assert data.labels == ["cat"]
    assert data.preprocess.keypoints == names
    assert [tuple(pair) for pair in data.preprocess.skeleton] == ([(0, 1)] if names[0] == "nose" else [])


@pytest.mark.parametrize(
    ("data", "label", "sentence"),
    [
        (
            ImageClassificationData,
            detection("a", 0, 0, 1, 1),
            "Expected Classification or Classifications in the field",
        ),
        (
            ObjectDetectionData,
            Classification(label="a"),
            "Expected Detections in the field 'ground_truth' of the sample",
        ),
        (InstanceSegmentationData, Keypoints(keypoints=[]), "Expected Detections in the field 'ground_truth' of the"),
        (KeypointDetectionData, Detections(detections=[]), "Expected Keypoints in the field 'ground_truth' of the"),
        (SemanticSegmentationData, Segmentation(mask=None, mask_path=None), "Expected Segmentation with a mask in the"),
    ],
)
def test_labels_of_another_kind_say_so(photos: list[Path], data: Any, label: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        data.from_source("fiftyone", train_dataset=[Sample(photos[0], ground_truth=label)])


def test_what_is_no_dataset_says_so(photos: list[Path]) -> None:
    read = ImageClassificationData.from_source
    with pytest.raises(
        DataError, match="Expected a field 'label' in the sample of .*, but it has ground_truth. Name the"
    ):
        read("fiftyone", train_dataset=labeled(photos), label_field="label")
    with pytest.raises(
        DataError, match="Expected labels in the field 'ground_truth' of the train samples, but none of 1"
    ):
        read("fiftyone", train_dataset=[Sample(photos[0], ground_truth=None)])
    with pytest.raises(
        DataError, match="Expected a dataset of FiftyOne, a view, a list of samples or a name as the val"
    ):
        read("fiftyone", train_dataset=labeled(photos), val_dataset=3)
    with pytest.raises(
        DataError, match="Expected samples of FiftyOne in the train data, each with a filepath, but one"
    ):
        read("fiftyone", train_dataset=["a.jpg"])
    with pytest.raises(DataError, match="Expected the files of the train samples, but 1 of 1 do not exist, such as"):
        read("fiftyone", train_dataset=[Sample(Path("gone.jpg"), ground_truth=Classification(label="a"))])


def test_a_dataset_is_loaded_by_its_name(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(ConfigurationError, match="Expected fiftyone, which loads the dataset 'pets', to be installed"):
        ImageClassificationData.from_source("fiftyone", train_dataset="pets")
    known = {"pets": labeled(photos)}
    module = SimpleNamespace(
        dataset_exists=known.__contains__, list_datasets=lambda: list(known), load_dataset=known.__getitem__
    )
    monkeypatch.setitem(sys.modules, "fiftyone", module)
    data = ImageClassificationData.from_source("fiftyone", train_dataset="pets")
    assert data.labels == ["a", "b"]

    def fail(name: str) -> bool:
        raise RuntimeError("no database")

    monkeypatch.setattr(module, "dataset_exists", fail)
    with pytest.raises(
        DataError, match="Expected FiftyOne to load the dataset 'pets', but it cannot: no database. Pass"
    ):
        ImageClassificationData.from_source("fiftyone", train_dataset="pets")
    monkeypatch.setattr(module, "dataset_exists", known.__contains__)
    with pytest.raises(DataError, match="Expected the name of a dataset of FiftyOne, but got 'cars'. There are: pets"):
        ImageClassificationData.from_source("fiftyone", train_dataset="cars")
