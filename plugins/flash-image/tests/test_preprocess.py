"""ImagePreprocess: what the task tells it, what it stores, and what it refuses to guess."""

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

from flash.data.auto_dataset import AutoDataset
from flash.data.files import FileInputs
from flash.data.process import Preprocess, StageHooks
from flash.data.stage import Stage
from flash.errors import CheckpointError, ConfigurationError, DataError
from flash.image import ImageClassificationData, ImageClassifier, ImagePreprocess
from flash.image.config import ImageInputSpec
from flash.image.detection.preprocess import ObjectDetectionPreprocess
from flash.image.encoder import check_upload

Picture = Callable[..., Image.Image]
CONFIG: dict[str, Any] = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop_pct": 1.0}
NORMALIZED = v2.Compose(
    [v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.1] * 3, [0.2] * 3)]
)


def predicted(preprocess: ImagePreprocess, raw: Any, config: Any = None) -> list[torch.Tensor]:
    """What the network would see of raw inputs."""
    spec = None if config is None else ImageInputSpec.of(config)
    hooks = StageHooks(preprocess, Stage.PREDICT, spec)
    dataset = AutoDataset(raw, Stage.PREDICT, preprocess, spec)
    return [hooks.transform_on_device(hooks.collate([dataset[row]]))[0] for row in range(len(dataset))]


# ---------------------------------------------------------------------- what the task tells


def test_nothing_is_normalized_by_a_guess(picture: Picture) -> None:
    dm = ImageClassificationData.from_images([picture("red"), picture("blue")], ["a", "b"])
    with pytest.raises(
        ConfigurationError, match=r"no task is connected yet.*task\.use_data\(datamodule\).*data_config"
    ):
        next(iter(dm.train_dataloader()))


def test_networks_that_share_a_preprocess_each_see_images_as_they_expect_them(picture: Picture) -> None:
    preprocess, larger = ImagePreprocess(), {**CONFIG, "input_size": (3, 24, 24), "mean": (0.0,) * 3}
    for _ in range(2):
        assert predicted(preprocess, picture("red"), CONFIG)[0].shape == (3, 16, 16)
        assert predicted(preprocess, picture("red"), larger)[0].shape == (3, 24, 24)
        assert predicted(preprocess, picture("red"), larger)[0].min() >= 0


def test_what_the_user_says_wins_over_the_task(picture: Picture) -> None:
    preprocess = ImagePreprocess(image_size=8, data_config={"mean": (0.0,) * 3, "std": (1.0,) * 3})
    seen = predicted(preprocess, picture("red"), CONFIG)[0]
    assert seen.shape == (3, 8, 8)
    assert 0 <= seen.min() <= seen.max() <= 1


def test_a_whole_configuration_needs_no_task(picture: Picture) -> None:
    assert predicted(ImagePreprocess(data_config=CONFIG), picture("red"))[0].shape == (3, 16, 16)


def test_a_transform_of_the_users_own_is_all_that_happens(picture: Picture) -> None:
    image = picture("green")
    seen = predicted(ImagePreprocess(transform=NORMALIZED), image)[0]
    torch.testing.assert_close(seen, NORMALIZED(image))


def test_a_train_transform_serves_training_alone(picture: Picture) -> None:
    preprocess = ImagePreprocess(train_transform=NORMALIZED, data_config=CONFIG)
    images = [picture("red"), picture("blue")]
    shapes = {}
    for stage in (Stage.TRAIN, Stage.VAL):
        dataset = AutoDataset(FileInputs(images, ["a", "b"]), stage, preprocess)
        batch = dataset.hooks.transform_on_device(dataset.hooks.collate([dataset[0], dataset[1]]))
        shapes[stage] = tuple(batch[0].shape)
        assert batch[1].tolist() == [0, 1]
    assert shapes == {Stage.TRAIN: (2, 3, 8, 8), Stage.VAL: (2, 3, 16, 16)}


def test_augmentation_and_a_transform_for_training_exclude_each_other() -> None:
    for option in ("transform", "train_transform"):
        with pytest.raises(ConfigurationError, match="Expected augmentation or a transform for training, but got both"):
            ImagePreprocess("flip", **{option: NORMALIZED})


def test_hooks_of_a_subclass_see_pictures(picture: Picture) -> None:
    class Gray(ImagePreprocess):
        def pre_tensor_transform(self, sample: Any) -> Any:
            return sample.convert("L").convert("RGB")

    seen = predicted(Gray(data_config=CONFIG), picture("red"))[0]
    assert torch.equal(seen[0], seen[2])


# ---------------------------------------------------------------------- raw inputs for prediction


def test_all_kinds_of_raw_inputs_give_the_same(picture: Picture, tmp_path: Path) -> None:
    preprocess = ImagePreprocess(data_config=CONFIG)
    images = [picture("red", seed=seed) for seed in range(3)]
    (tmp_path / "folder").mkdir()
    for number, image in enumerate(images):
        image.save(f"folder/{number}.png")
    files = [f"folder/{number}.png" for number in range(3)]
    array = np.stack([np.asarray(image) for image in images])
    expected = predicted(preprocess, images)
    assert len(expected) == 3
    for raw in (
        "folder",
        Path("folder"),
        files,
        [Path(file) for file in files],
        tuple(files),
        iter(files),
        [Path(file).read_bytes() for file in files],
        array,
        list(array),
        torch.from_numpy(array).permute(0, 3, 1, 2),
        FileInputs(images),
    ):
        assert all(torch.equal(*pair) for pair in zip(predicted(preprocess, raw), expected, strict=True))
    for one in (files[0], Path(files[0]), images[0], array[0], torch.from_numpy(array[0]).permute(2, 0, 1)):
        (found,) = predicted(preprocess, one)
        assert torch.equal(found, expected[0])


def test_three_dimensions_are_one_picture_in_color_or_several_in_gray() -> None:
    preprocess = ImagePreprocess(data_config=CONFIG)
    assert len(predicted(preprocess, np.zeros((20, 30, 3), np.uint8))) == 1
    assert len(predicted(preprocess, np.zeros((5, 20, 30), np.uint8))) == 5
    assert len(predicted(preprocess, np.zeros((20, 30), np.uint8))) == 1
    assert len(predicted(preprocess, torch.zeros(3, 20, 30))) == 1
    assert len(predicted(preprocess, torch.zeros(5, 20, 30))) == 5


def test_what_holds_no_images_is_refused() -> None:
    preprocess = ImagePreprocess(data_config=CONFIG)
    with pytest.raises(DataError, match="Expected images: a path, a folder, a list of paths"):
        predicted(preprocess, 3)
    with pytest.raises(
        DataError, match="the image file nowhere in the predict data, but it does not exist. Check the path."
    ):
        predicted(preprocess, "nowhere")
    with pytest.raises(DataError, match="at least one sample in the predict data"):
        predicted(preprocess, [])


# ---------------------------------------------------------------------- what core asks


@pytest.mark.parametrize(
    ("options", "train", "val"),
    [
        ({}, True, True),
        ({"augmentation": "none", "image_size": 8}, True, True),
        ({"augmentation": "flip"}, False, True),
        ({"augmentation": NORMALIZED}, False, True),
        ({"train_transform": NORMALIZED}, False, True),
        ({"transform": NORMALIZED}, False, False),
        ({"transform": NORMALIZED, "deterministic": True}, True, True),
        ({"deterministic": False}, False, False),
    ],
)
def test_only_what_draws_no_random_numbers_is_deterministic(options: dict[str, Any], train: bool, val: bool) -> None:
    preprocess = ImagePreprocess(**options)
    assert preprocess.is_deterministic(Stage.TRAIN) is train
    assert preprocess.is_deterministic(Stage.VAL) is val
    assert preprocess.is_deterministic(Stage.PREDICT) is val


def test_hooks_of_a_subclass_may_be_random() -> None:
    class Own(ImagePreprocess):
        def train_pre_tensor_transform(self, sample: Any) -> Any:
            return sample

    assert not Own().is_deterministic(Stage.TRAIN)
    assert Own().is_deterministic(Stage.VAL)
    assert Own(deterministic=True).is_deterministic(Stage.TRAIN)


def test_a_dataset_that_may_be_random_is_not_deterministic_in_its_stage(picture: Picture) -> None:
    class Random(Dataset[Any]):
        targets = (0, 1)

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return picture("red", seed=int(torch.randint(99, ()))), index

    plain = [(picture("red"), 0), (picture("blue"), 1)]
    for train, val, expected in (
        (plain, Random(), (True, False)),
        (Random(), plain, (False, True)),
        (plain, plain, (True, True)),
    ):
        preprocess = ImageClassificationData.from_datasets(train, val).preprocess
        assert preprocess is not None
        assert tuple(map(preprocess.is_deterministic, (Stage.TRAIN, Stage.VAL))) == expected
    trusted = ImageClassificationData.from_datasets(Random(), deterministic=True).preprocess
    assert trusted is not None
    assert trusted.is_deterministic(Stage.TRAIN)


def fitted(**options: Any) -> ImagePreprocess:
    preprocess = ImagePreprocess(**options)
    AutoDataset(FileInputs([b"", b""], ["ants", "bees"]), Stage.TRAIN, preprocess)
    return preprocess


def test_the_classes_decide_whether_two_agree() -> None:
    one, other = fitted(data_config=CONFIG), fitted(augmentation="flip")
    assert one.agrees_with(other)
    AutoDataset(FileInputs([b"", b""], ["ants", "wasps"]), Stage.TRAIN, third := ImagePreprocess())
    assert not one.agrees_with(third)


def test_state_is_plain_and_says_what_ran() -> None:
    assert ImagePreprocess("flip").state_dict() == {}
    state = fitted(augmentation="trivial", data_config=CONFIG).state_dict()
    assert state["augmentation"] == "trivial"
    assert state["targets"]["labels"] == ["ants", "bees"]
    other = ImagePreprocess()
    other.load_state_dict(state)
    assert other.state_dict() == {**state, "augmentation": "none"}
    assert "RandomHorizontalFlip" in str(fitted(augmentation=v2.RandomHorizontalFlip()).state_dict()["augmentation"])


def test_validation_data_alone_waits_for_a_task_that_knows_the_classes(picture: Picture) -> None:
    dm = ImageClassificationData.from_images(val_images=[picture("red")], val_targets=["a"])
    with pytest.raises(DataError, match="Expected classes that were learned from train data, but there are none yet"):
        dm.val_dataset  # noqa: B018  # loading it is the test


# ---------------------------------------------------------------------- checkpoints


def trained(tiny: dict[str, Any], trainer: Any, path: str, **options: Any) -> tuple[ImageClassifier, list[Any]]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 20, 20, 3)).astype(np.uint8)
    dm = ImageClassificationData.from_numpy(images, np.array(["a", "b"] * 4), batch_size=4, seed=0, **options)
    task = ImageClassifier.from_data(dm, **tiny)
    run = trainer()
    run.fit(task, dm)
    run.save_checkpoint(path)
    return task, list(images)


@pytest.mark.parametrize(
    "options", [{}, {"augmentation": "trivial", "image_size": 48}, {"augmentation": v2.RandomHorizontalFlip()}]
)
def test_a_loaded_task_predicts_as_before(tiny: dict[str, Any], trainer: Any, options: dict[str, Any]) -> None:
    task, images = trained(tiny, trainer, "task.ckpt", **options)
    loaded = ImageClassifier.load_from_checkpoint("task.ckpt")
    for one, other in zip(task.predict(images, "logits"), loaded.predict(images, "logits"), strict=True):
        torch.testing.assert_close(torch.as_tensor(other), torch.as_tensor(one))
    assert isinstance(loaded.preprocess, ImagePreprocess)
    assert loaded.preprocess.image_size == options.get("image_size")


def test_a_transform_that_a_checkpoint_cannot_hold_is_asked_for(tiny: dict[str, Any], trainer: Any) -> None:
    task, images = trained(tiny, trainer, "task.ckpt", transform=NORMALIZED)
    with pytest.raises(
        CheckpointError, match=r"Expected the transform .*Compose.*preprocess=ImagePreprocess\(transform="
    ):
        ImageClassifier.load_from_checkpoint("task.ckpt")
    loaded = ImageClassifier.load_from_checkpoint("task.ckpt", preprocess=ImagePreprocess(transform=NORMALIZED))
    for one, other in zip(task.predict(images, "logits"), loaded.predict(images, "logits"), strict=True):
        torch.testing.assert_close(torch.as_tensor(other), torch.as_tensor(one))


def test_an_augmentation_that_was_registered_in_a_notebook_is_not_needed_to_predict(
    tiny: dict[str, Any], trainer: Any
) -> None:
    from flash.image import augmentations

    augmentations.register("mine", lambda config: v2.RandomVerticalFlip())
    try:
        task, images = trained(tiny, trainer, "task.ckpt", augmentation="mine")
    finally:
        augmentations.remove("mine")
    loaded = ImageClassifier.load_from_checkpoint("task.ckpt")
    assert loaded.predict(images) == task.predict(images)
    assert isinstance(loaded.preprocess, ImagePreprocess)
    assert loaded.preprocess.augmentation == "mine"


def test_tables_are_predicted_if_the_task_was_trained_on_one(picture: Picture) -> None:
    for name, color in (("a", "red"), ("b", "blue")):
        picture(color).save(f"{name}.png")
    Path("t.csv").write_text("file;kind\na.png;ants\nb.png;bees\n")
    preprocess = ImageClassificationData.from_csv("file", "kind", "t.csv").preprocess
    assert isinstance(preprocess, ImagePreprocess)
    loaded = ImagePreprocess()
    loaded.load_state_dict(preprocess.state_dict())
    for table in ("t.csv", {"file": ["a.png", "b.png"]}, [{"file": "a.png"}, {"file": "b.png"}]):
        samples = AutoDataset(table, Stage.PREDICT, loaded)
        assert [Path(samples.raw(row).source).name for row in range(2)] == ["a.png", "b.png"]
    with pytest.raises(
        DataError, match="Expected a list of images, since the task was not trained on a table and knows no column"
    ):
        AutoDataset("t.csv", Stage.PREDICT, ImagePreprocess())


def test_parquet_files_name_images(picture: Picture) -> None:
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    picture("red").save("a.png")
    pandas.DataFrame({"file": ["a.png", "a.png"], "kind": ["ants", "bees"]}).to_parquet("t.parquet")
    assert ImageClassificationData.from_parquet("file", "kind", "t.parquet").labels == ["ants", "bees"]


# ---------------------------------------------------------------------- what a person looks at


def test_a_person_is_shown_the_upright_original_no_larger_than_a_page_needs(tmp_path: Path, picture: Picture) -> None:
    sideways = Image.fromarray(np.arange(200 * 100 * 3, dtype=np.uint32).reshape(100, 200, 3).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    sideways.save(tmp_path / "a.png", exif=exif)
    picture("red", size=(2000, 1000)).save(tmp_path / "b.jpg", quality=95)
    dm = ImageClassificationData.from_files(
        [tmp_path / "a.png", tmp_path / "b.jpg"], ["x", "y"], augmentation="trivial", data_config=CONFIG
    )
    small, large = dm.train_dataset.display([0, 1])
    np.testing.assert_array_equal(small, np.rot90(np.asarray(sideways), -1))
    assert large.shape == (256, 512, 3)


def test_a_person_is_shown_what_the_network_takes_in_its_own_colors(picture: Picture) -> None:
    dm = ImageClassificationData.from_images(
        [picture("red", size=(16, 16)), picture("blue", size=(16, 16))], ["a", "b"], data_config=CONFIG
    )
    dataset = dm.train_dataset
    hooks = dataset.hooks
    inputs, _ = hooks.transform_on_device(hooks.collate([dataset[0], dataset[1]]))
    for shown, original in zip(hooks.display_inputs(inputs, 2), dataset.display([0, 1]), strict=True):
        np.testing.assert_allclose(shown.astype(int), original.astype(int), atol=1)


@pytest.mark.parametrize("preprocess", [ImagePreprocess(), ObjectDetectionPreprocess()])
def test_a_sample_of_a_request_is_an_image(preprocess: Preprocess) -> None:
    fields = preprocess.request_fields()
    assert (fields.kind, fields.check) == ("image", check_upload)
    assert ".jpg" in fields.extensions
