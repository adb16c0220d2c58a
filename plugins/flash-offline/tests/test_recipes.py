"""The candidates for baselines."""

from __future__ import annotations

import numpy as np

from flash.image import ImageClassificationData, ImageClassifier
from flash.plugins import get_host
from flash.text import TextRegressionData, TextRegressor


def test_photos_get_a_task_of_their_kind() -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8)
    data = ImageClassificationData.from_numpy(images, ["ants", "bees"] * 2)
    task = get_host().recipes("image/classification")["efficientnet_lite0"].load()(data)
    assert type(task) is ImageClassifier
    assert task.labels == ["ants", "bees"]
    assert task.hparams["backbone"].endswith("tf_efficientnet_lite0.offline")


def test_texts_get_a_task_of_their_kind() -> None:
    data = TextRegressionData.from_lists(["a fine film", "a bore"], [1.0, 0.5])
    task = get_host().recipes("text/regression")["minilm"].load()(data)
    assert type(task) is TextRegressor
    assert task.hparams["backbone"].endswith("all-MiniLM-L6-v2.offline")
