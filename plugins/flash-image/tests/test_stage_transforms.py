"""A transform for each stage: which one makes whose images, what a checkpoint says of it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from flash.data.stage import Stage
from flash.errors import CheckpointError, ConfigurationError
from flash.image import ImageClassificationData, ImageClassifier, ImagePreprocess
from flash.image.config import ImageInputSpec

CONFIG: dict[str, Any] = {"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop_pct": 1.0}
SPEC = ImageInputSpec.of(CONFIG)
NORMALIZED = v2.Compose([v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def filled(value: float) -> Callable[[Image.Image], torch.Tensor]:
    """A transform whose result says which it was."""
    return lambda image: torch.full((3, 8, 8), float(value))


def seen(preprocess: ImagePreprocess, stage: Stage, image: Any = None, spec: Any = SPEC) -> torch.Tensor:
    """What the network sees of an image in a stage."""
    hooks = preprocess.stage_hooks(stage, spec)
    sample = hooks.transform_sample(Image.new("RGB", (8, 8)) if image is None else image)
    batch: torch.Tensor = hooks.transform_on_device(hooks.collate([sample]))
    return batch[0]


STAGES = [Stage.TRAIN, Stage.VAL, Stage.TEST, Stage.PREDICT]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"transform": 1}, [1, 1, 1, 1]),
        ({"transform": 1, "train_transform": 2}, [2, 1, 1, 1]),
        ({"train_transform": 2}, [2, -2, -2, -2]),
        ({"val_transform": 3}, [-2, 3, 3, 3]),
        ({"val_transform": 3, "test_transform": 4}, [-2, 3, 4, 3]),
        ({"transform": 1, "val_transform": 3, "predict_transform": 5}, [1, 3, 3, 5]),
        ({"test_transform": 4}, [-2, -2, 4, -2]),
    ],
)
def test_each_stage_has_its_own_transform_or_that_of_the_stage_it_resembles(
    given: dict[str, float], expected: list[float]
) -> None:
    preprocess = ImagePreprocess(**{name: filled(value) for name, value in given.items()})  # type: ignore[arg-type]
    # A black image is -2 if the network's own transform makes its input.
    assert [float(seen(preprocess, stage).mean()) for stage in STAGES] == expected
    assert [preprocess.is_deterministic(stage) for stage in STAGES] == [value == -2 for value in expected]


def test_every_constructor_takes_a_transform_for_each_stage() -> None:
    dm = ImageClassificationData.from_numpy(
        *(np.zeros((4, 9, 9, 3), np.uint8), np.array([0, 1, 1, 0])),
        *(np.zeros((2, 9, 9, 3), np.uint8), np.array([0, 1])),
        train_transform=filled(2),
        val_transform=filled(3),
        batch_size=2,
    )
    assert float(next(iter(dm.train_dataloader()))[0].mean()) == 2
    assert float(next(iter(dm.val_dataloader()))[0].mean()) == 3


def test_an_image_that_a_transform_returns_is_resized_and_normalized() -> None:
    mirror = v2.RandomHorizontalFlip(1.0)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    plain = seen(ImagePreprocess(), Stage.VAL, image)
    assert torch.equal(seen(ImagePreprocess(val_transform=lambda each: each), Stage.VAL, image), plain)
    mirrored = seen(ImagePreprocess(val_transform=mirror), Stage.VAL, image)
    torch.testing.assert_close(mirrored, plain.flip(-1), atol=1.01 / 255 / 0.25, rtol=0)
    # Bytes are normalized, and floats are the input as they are.
    assert float(seen(ImagePreprocess(transform=lambda each: torch.zeros(3, 8, 8)), Stage.VAL, image).mean()) == 0
    bytes_of = seen(ImagePreprocess(transform=v2.PILToTensor()), Stage.VAL, image)
    assert bytes_of.shape == (3, 20, 30)
    assert bytes_of.min() < 0


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "Expected val_transform to return a tensor or a PIL image, but got NoneType. Return the image from it"),
        (np.zeros((8, 8, 3)), "Expected val_transform to return .* but got ndarray. End it with ToTensor"),
    ],
)
def test_a_transform_that_returns_no_image_is_named(result: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        seen(ImagePreprocess(val_transform=lambda image: result), Stage.VAL)


def test_images_of_several_shapes_or_of_one_that_the_network_cannot_take_are_errors() -> None:
    hooks = ImagePreprocess(train_transform=v2.PILToTensor()).stage_hooks(Stage.TRAIN, SPEC)
    samples = [(hooks.transform_sample(Image.new("RGB", size)), 0) for size in ((9, 9), (9, 7))]
    with pytest.raises(ConfigurationError, match=r"of one shape, but got \(3, 9, 9\) and \(3, 7, 9\)\. End it with"):
        hooks.collate(samples)
    fixed = ImageInputSpec.of(CONFIG, fixed_size=(16, 16))
    with pytest.raises(ConfigurationError, match=r"Expected transform to return images of \(16, 16\) pixels.*\(3, 8"):
        seen(ImagePreprocess(transform=NORMALIZED), Stage.VAL, spec=fixed)


def test_what_is_no_transform_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match="Expected predict_transform to be a callable from a PIL image to a"):
        ImagePreprocess(predict_transform={"to_tensor_transform": len})  # type: ignore[arg-type]


# ---------------------------------------------------------------------- checkpoints


def trained(tiny: dict[str, Any], trainer: Any, **options: Any) -> list[Any]:
    images = np.random.default_rng(0).integers(0, 256, (8, 20, 20, 3)).astype(np.uint8)
    data = (images, np.array(["a", "b"] * 4))
    dm = ImageClassificationData.from_numpy(*data, *data, batch_size=4, seed=0, **options)
    task = ImageClassifier.from_data(dm, **tiny)
    run = trainer()
    run.fit(task, dm)
    run.save_checkpoint("task.ckpt")
    return [images, task]


def test_the_transform_that_predictions_need_is_asked_for_by_the_name_it_had(
    tiny: dict[str, Any], trainer: Any
) -> None:
    images, task = trained(tiny, trainer, val_transform=NORMALIZED, train_transform=v2.RandomHorizontalFlip())
    said = r"Expected the val_transform .*Compose.*preprocess=ImagePreprocess\(val_transform=\.\.\.\)"
    with pytest.raises(CheckpointError, match=said):
        ImageClassifier.load_from_checkpoint("task.ckpt")
    loaded = ImageClassifier.load_from_checkpoint("task.ckpt", preprocess=ImagePreprocess(val_transform=NORMALIZED))
    expected = torch.tensor(np.array(task.predict(list(images), "logits")))
    torch.testing.assert_close(torch.tensor(np.array(loaded.predict(list(images), "logits"))), expected)


def test_a_transform_of_training_is_not_needed_to_predict(tiny: dict[str, Any], trainer: Any) -> None:
    images, task = trained(tiny, trainer, train_transform=v2.RandomHorizontalFlip())
    assert ImageClassifier.load_from_checkpoint("task.ckpt").predict(list(images)) == task.predict(list(images))


def test_validation_without_the_transform_it_had_is_an_error_and_not_another_score(
    tiny: dict[str, Any], trainer: Any
) -> None:
    options = {"val_transform": v2.CenterCrop(10), "predict_transform": NORMALIZED}
    images, _ = trained(tiny, trainer, **options)
    preprocess = ImagePreprocess(predict_transform=NORMALIZED)
    loaded = ImageClassifier.load_from_checkpoint("task.ckpt", preprocess=preprocess)
    assert len(loaded.predict(list(images))) == 8
    targets = np.array(["a", "b"] * 4)
    with pytest.raises(CheckpointError, match="Expected the val_transform that the task was trained with, CenterCrop"):
        ImageClassificationData.from_numpy(val_data=images, val_targets=targets, preprocess=loaded.preprocess)


def test_a_checkpoint_of_before_stages_had_transforms_loads() -> None:
    preprocess, targets = ImagePreprocess(), {"labels": ["ants", "bees"]}
    state = {"targets": targets, "augmentation": "none", "transform": "Compose()", "train_transform": "Compose()"}
    with pytest.raises(CheckpointError, match=r"Expected the transform .*Compose\(\)"):
        preprocess.load_state_dict(state)
