"""flash-text keeps the contract that every plugin has to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flash.testing import DataModuleConformance, PluginConformance, TaskConformance
from flash.text import TextClassificationData, TextClassifier
from flash.text.hub import load_tokenizer
from flash.text.rows import Tokenization

Reviews = Callable[..., tuple[list[str], list[str]]]

SIZES = {"train": 48, "val": 16, "test": 7, "predict": 7}


class TestPlugin(PluginConformance):
    plugin = "text"


class Texts:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return TextClassificationData.from_lists

    @pytest.fixture
    def parts(self, reviews: Reviews) -> Mapping[str, Mapping[str, Any]]:
        made = {stage: reviews(count, seed) for seed, (stage, count) in enumerate(SIZES.items())}
        parts: dict[str, dict[str, Any]] = {
            stage: {f"{stage}_data": texts, f"{stage}_targets": targets} for stage, (texts, targets) in made.items()
        }
        parts["predict"] = {"predict_data": made["predict"][0]}
        return parts

    @pytest.fixture
    def bad_parts(self, reviews: Reviews) -> Mapping[str, Mapping[str, Any]]:
        texts, targets = reviews(8)
        return {
            "a target is missing": {"train_data": texts, "train_targets": targets[:-1]},
            "there is one class": {"train_data": texts, "train_targets": ["good"] * 8},
            "a text is missing": {"train_data": [*texts[:-1], None], "train_targets": targets},
            "there is no text": {"train_data": [], "train_targets": []},
            "it is one text": {"train_data": "a film", "train_targets": ["good"]},
        }


class TestData(Texts, DataModuleConformance):
    @pytest.fixture
    def constructor(self, checkpoints: dict[str, Path]) -> Callable[..., Any]:
        tokenizer = load_tokenizer(checkpoints["bert"])

        def make(**arguments: Any) -> TextClassificationData:
            data = TextClassificationData.from_lists(**arguments)
            data.connect(Tokenization(tokenizer, max_length=64))
            return data

        return make

    def samples_of(self, batch: Any) -> list[Any]:
        x, targets = batch if isinstance(batch, tuple | list) else (batch, None)
        masks = x["attention_mask"].bool()
        ids = [row[mask].tolist() for row, mask in zip(x["input_ids"], masks, strict=True)]
        return ids if targets is None else list(zip(ids, targets.tolist(), strict=True))


class TestClassifier(Texts, TaskConformance):
    @pytest.fixture
    def make_task(self, checkpoints: dict[str, Path]) -> Callable[..., Any]:
        return lambda data: TextClassifier.from_data(
            data, backbone=checkpoints["bert"], learning_rate=0.01, dropout=0.0
        )

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"a text is missing": ["a film", None], "there is none": [], "it is one text": "a film"}
