"""mixup and cutmix: images of a batch in pairs, their classes alike, in training alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash.data.stage import Stage
from flash.errors import ConfigurationError
from flash.image import ImageClassificationData, ImageClassifier, ImageEmbedder, ImageRegressionData
from flash.image.config import ImageConfig, ImageInputSpec
from flash.image.transforms import augmentations

CONFIG: dict[str, Any] = {"input_size": (3, 32, 32), "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop_pct": 1.0}
SPEC = ImageInputSpec.of(CONFIG)
NAMES = ["mixup", "cutmix"]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_has_the_probability_of_its_share_of_the_image(name: str) -> None:
    mixing = augmentations.get(name)(ImageConfig.of(CONFIG))
    torch.manual_seed(0)
    images, targets = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)]), torch.tensor([0, 2])
    found = [mixing.mix_batch(images, targets, 3) for _ in range(20)]
    for mixed, soft in found:
        assert (soft.shape, soft.dtype) == ((2, 3), torch.float32)
        # White is the class 2: as much of an image is white as its target says.
        torch.testing.assert_close(mixed.mean((1, 2, 3)), soft[:, 2])
        torch.testing.assert_close(soft.sum(1), torch.ones(2))
        is_pasted = bool(((mixed == 0) | (mixed == 1)).all())
        assert is_pasted or name == "mixup"
    assert len({round(float(soft[0, 0]), 6) for _, soft in found}) > 10
    assert torch.equal(images[0], torch.zeros(3, 32, 32)), "the batch itself is unchanged"


@pytest.mark.parametrize("name", NAMES)
def test_only_batches_that_are_trained_on_are_mixed(name: str, shapes: Any, tiny: Any, trainer: Any) -> None:
    data = shapes(train=20, val=20, augmentation=name)
    preprocess = data.preprocess
    assert not preprocess.is_deterministic(Stage.TRAIN)
    images, targets = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])
    for stage in (Stage.TRAIN, Stage.VAL, Stage.TEST):
        _, found = preprocess.stage_hooks(stage, SPEC).transform_on_device((images, targets))
        assert found.is_floating_point() is (stage is Stage.TRAIN)
    with torch.no_grad():
        _, found = preprocess.stage_hooks(Stage.TRAIN, SPEC).transform_on_device((images, targets))
    assert torch.equal(found, targets)
    task = ImageClassifier.from_data(data, class_weights="balanced", **tiny)
    run = trainer(max_epochs=1)
    run.fit(task, data)
    assert {"train_loss", "val_loss", "val_accuracy"} <= set(run.callback_metrics)
    # No class is the right one of a mixed image.
    assert "train_accuracy" not in run.callback_metrics
    for name_of_stage in ("train", "val"):
        assert task.plot_confusion(data, name_of_stage).axes
        assert task.plot_predictions(data, name_of_stage).axes
    assert data.show_batch("train").axes


def test_targets_that_are_not_one_class_each_are_refused(draw: Any, tiny: Any, trainer: Any) -> None:
    pictures = [draw("square", seed) for seed in range(4)]
    several = ImageClassificationData.from_images(pictures, [["a"], ["a", "b"], [], ["b"]], augmentation="mixup")
    said = r"Expected one class per image for the augmentation 'mixup', .* shape \(4, 2\)"
    with pytest.raises(ConfigurationError, match=said):
        trainer().fit(ImageClassifier.from_data(several, **tiny), several)
    numbers = ImageRegressionData.from_images(pictures, [0.5, 1.5, 2.0, 3.0], augmentation="cutmix")
    with pytest.raises(ConfigurationError, match="Expected one class per image for the augmentation 'cutmix'"):
        numbers.preprocess.stage_hooks(Stage.TRAIN, SPEC).transform_on_device(
            (torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.rand(4, 1))
        )
    with pytest.raises(ConfigurationError, match="without an augmentation that mixes images"):
        ImageEmbedder(**tiny).compute_loss(torch.zeros(4, 8), torch.rand(4, 2))


@pytest.mark.train
@pytest.mark.parametrize("name", NAMES)
def test_from_mixed_images_it_learns_to_tell_whole_ones_apart(name: str, shapes: Any, tiny: Any, trainer: Any) -> None:
    data = shapes(train=120, val=60, augmentation=name)
    task = ImageClassifier.from_data(data, learning_rate=3e-3, **tiny)
    run = trainer(max_epochs=10)
    run.fit(task, data)
    assert float(run.callback_metrics["val_accuracy"]) > 0.85


@pytest.mark.train
def test_a_resumed_training_mixes_as_the_whole_one(shapes: Any, tiny: Any, trainer: Any) -> None:
    def fit(epochs: int, path: str | None = None) -> tuple[Any, Any]:
        torch.manual_seed(1)
        data = shapes(train=40, val=20, augmentation="cutmix")
        task, run = ImageClassifier.from_data(data, lr_scheduler=None, **tiny), trainer(max_epochs=epochs)
        run.fit(task, data, ckpt_path=path)
        return task, run

    whole, _ = fit(2)
    _, run = fit(1)
    run.save_checkpoint("half.ckpt")
    resumed, _ = fit(2, "half.ckpt")
    other = whole.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in resumed.state_dict().items())
