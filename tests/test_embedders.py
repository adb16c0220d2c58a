"""Embedders of tasks of all domains, and the figure of neighbors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from flash.core.embedding import VectorIndex
from flash.core.labeling import rank_to_label, suspicious_labels
from flash.errors import ConfigurationError
from flash.image import ImageClassificationData, ImageClassifier
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.text import TextClassificationData, TextClassifier

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}
COLORS = np.array([[200, 20, 20], [20, 20, 200]])


def pictures(count: int) -> Any:
    """Return red and blue pictures in turn."""
    noise = np.random.default_rng(count).integers(0, 40, (count, 32, 32, 3))
    return (COLORS[np.arange(count) % 2][:, None, None] + noise).astype(np.uint8)


def images() -> Any:
    return ImageClassificationData.from_numpy(
        pictures(12), [row % 2 for row in range(12)], val_data=pictures(4), val_targets=[0, 1, 0, 1], batch_size=5
    )


class Means(nn.Module):
    """Features: the mean of each color."""

    num_features = 3

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def photo_task() -> ImageClassifier:
    return ImageClassifier(num_classes=2, backbone=Means(), data_config=CONFIG)


def test_similar_pictures_are_neighbors() -> None:
    embedder = photo_task().as_embedder("features")
    found, queries = embedder.embed(images(), "train"), embedder.embed(images(), "val")
    for row, near in enumerate(VectorIndex(found.vectors, found.ids).search(queries.vectors, 6)):
        assert {each.row % 2 for each in near} == {row % 2}


def test_the_figure_has_each_sample_and_its_neighbors() -> None:
    embedder = photo_task().as_embedder("features")
    figure = embedder.plot_neighbors(images(), count=2, neighbors=3)
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split()[0] for title in titles] == ["val", "train", "train", "train"] * 2
    rows = [int(title.split()[1]) for title in titles]
    assert [row % 2 for row in rows] == [rows[0] % 2] * 4 + [rows[4] % 2] * 4
    left = [round(axes.get_position().x0, 2) for axes in figure.axes]
    assert left[:4] == left[4:]
    assert "similarity 1.00" in figure.axes[1].get_xlabel()


def test_a_sample_is_not_its_own_neighbor() -> None:
    figure = photo_task().as_embedder("features").plot_neighbors(images(), "val", "val", count=4, neighbors=9)
    rows = [int(axes.get_title().split()[1]) for axes in figure.axes]
    assert [sorted(rows[start : start + 4]) for start in range(0, 16, 4)] == [[0, 1, 2, 3]] * 4


def test_a_layer_of_a_network_for_rows() -> None:
    frame = pd.DataFrame({"a": range(20), "b": ["x", "y"] * 10, "target": ["no", "yes"] * 10})
    data = TabularClassificationData.from_data_frame(target_fields="target", train_data_frame=frame, verbose=False)
    task = TabularClassifier.from_data(data, backbone="mlp")
    embedder = task.as_embedder("backbone")
    vectors = torch.stack(embedder.predict(frame[["a", "b"]]))
    assert torch.allclose(vectors, embedder.embed(data).vectors)
    assert torch.allclose(
        task.head(vectors).softmax(1), torch.tensor(task.predict(frame[["a", "b"]], "probabilities")), atol=1e-5
    )


class Letters(nn.Module):
    """A vector for each letter."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, 8)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.embed(input_ids)


def letters(texts: list[str]) -> list[list[int]]:
    return [list(text.encode()) for text in texts]


def test_padding_of_texts_does_not_count() -> None:
    data = TextClassificationData.from_lists(["a", "bcd", "a", "bcd"], ["x", "y"] * 2, batch_size=4)
    task = TextClassifier.from_data(data, backbone=Letters(), tokenizer=letters)
    embedder = task.as_embedder("features")
    alone, (beside, _) = embedder.predict(["a"]), embedder.predict(["a", "a much longer text"])
    assert torch.allclose(alone[0], beside)
    with pytest.raises(ConfigurationError, match="Expected samples of one length for pooling='mean'"):
        task.as_embedder("backbone", "mean").predict(["a", "bcd"])


def test_pictures_with_wrong_labels_are_found_and_drawn() -> None:
    labels = ["red" if row % 2 == 0 else "blue" for row in range(40)]
    labels[6] = "blue"
    data = ImageClassificationData.from_numpy(pictures(40), labels, predict_data=pictures(6))
    task = ImageClassifier.from_data(data, backbone=Means(), data_config=CONFIG)
    found = suspicious_labels(task, data)
    assert [(each.row, each.label, each.prediction) for each in found] == [(6, "blue", "red")]
    (axes,) = found.plot(data).axes
    assert axes.get_title() == "blue"
    assert axes.get_xlabel().startswith("red ")
    chosen = rank_to_label(task, data, count=2)
    assert {each.row % 2 for each in chosen} == {0, 1}
    assert len(chosen.plot(data, count=1).axes) == 1
