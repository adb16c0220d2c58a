"""That the tasks learn what there is to learn, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash.image import ImageClassificationData, ImageClassifier, ImageEmbedder

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"learning_rate": 3e-3}


def vit(tiny: dict[str, Any]) -> dict[str, Any]:
    """A tiny network without batch norm, whose running statistics need many steps."""
    return {**tiny, "backbone": "test_vit", "backbone_kwargs": {"img_size": 32}}


def val_accuracy(task: Any, data: Any, trainer: Any, epochs: int = 6) -> float:
    run = trainer(max_epochs=epochs)
    run.fit(task, data)
    return float(run.callback_metrics["val_accuracy"])


def test_a_small_network_learns_shapes_from_scratch(shapes: Any, tiny: Any, trainer: Any) -> None:
    data = shapes(train=120, val=60)
    assert val_accuracy(ImageClassifier.from_data(data, **tiny, **SETTINGS), data, trainer) > 0.9


def test_from_shuffled_labels_it_learns_nothing(shapes: Any, tiny: Any, trainer: Any) -> None:
    data = shapes(train=120, val=60, shuffled=True)
    assert val_accuracy(ImageClassifier.from_data(data, **tiny, **SETTINGS), data, trainer) < 0.7


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext"])
def test_other_kinds_of_networks_learn_too(shapes: Any, tiny: Any, trainer: Any, backbone: str) -> None:
    data = shapes(train=120, val=60)
    arguments = vit(tiny) if backbone == "test_vit" else {**tiny, "backbone": backbone}
    task = ImageClassifier.from_data(data, **arguments, **SETTINGS)
    assert val_accuracy(task, data, trainer) > 0.9


def test_several_labels_a_picture_are_learned(draw: Any, tiny: Any, trainer: Any) -> None:
    names = [[], ["circle"], ["square"], ["circle", "square"]]
    targets = [names[seed % 4] for seed in range(160)]
    pictures = [draw(" ".join(target), seed) for seed, target in enumerate(targets)]
    data = ImageClassificationData.from_images(
        pictures[:120], targets[:120], val_images=pictures[120:], val_targets=targets[120:], batch_size=20, seed=0
    )
    task = ImageClassifier.from_data(data, **tiny, **SETTINGS)
    assert task.multi_label
    assert val_accuracy(task, data, trainer, epochs=10) > 0.85
    assert all(set(labels) <= {"circle", "square"} for labels in task.predict(pictures[120:]))


def test_class_weights_decide_where_classes_cannot_be_told_apart(draw: Any, tiny: Any, trainer: Any) -> None:
    # Two of five squares are rare, and look like the others: weighed, these two count more than the three.
    kinds = ["square" if seed % 4 == 0 else "circle" for seed in range(160)]
    targets = ["rare" if seed % 20 in (0, 8) else "common" for seed in range(160)]
    pictures = [draw(kind, seed) for seed, kind in enumerate(kinds)]
    found = {}
    for weights in (None, "balanced"):
        torch.manual_seed(0)
        data = ImageClassificationData.from_images(pictures, targets, batch_size=20, seed=0)
        task = ImageClassifier.from_data(data, class_weights=weights, **vit(tiny), **SETTINGS)
        trainer(max_epochs=8).fit(task, data)
        found[weights] = task.predict(pictures[::4]).count("rare")
    assert found[None] < 20 < found["balanced"]


def test_an_embedder_brings_pictures_of_a_class_together(shapes: Any, tiny: Any, trainer: Any) -> None:
    pytest.importorskip("pytorch_metric_learning")
    data = shapes(train=120, val=60)
    task = ImageEmbedder.from_data(data, embedding_dim=8, **tiny, **SETTINGS)
    run = trainer(max_epochs=6)
    run.fit(task, data)
    assert float(run.callback_metrics["val_neighbor_accuracy"]) > 0.9
    pictures = [image for image, _ in (data.val_dataset[row] for row in range(10))]
    vectors = torch.stack(task.predict([picture.numpy().transpose(1, 2, 0) for picture in pictures]))
    similarity = vectors @ vectors.T
    same = torch.arange(10)[:, None] % 2 == torch.arange(10) % 2
    assert similarity[same].mean() > similarity[~same].mean() + 0.5
