"""flash-text keeps the contract that every plugin has to keep."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flash.core.finetuning import backbone_layers
from flash.testing import DataModuleConformance, PluginConformance, StrategyConformance, TaskConformance
from flash.text import TextClassificationData, TextClassifier, TextRegressionData, TextRegressor
from flash.text.data import TextData
from flash.text.hub import load_tokenizer
from flash.text.samples import TokenizerConfig

Reviews = Callable[..., tuple[list[str], list[str]]]

FIELDS = {"input_field": "review", "target_fields": "kind"}
SIZES = {"train": 48, "val": 16, "test": 7, "predict": 7}


class TestPlugin(PluginConformance):
    plugin = "text"


class Texts:
    data_class: type[TextData] = TextClassificationData

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
    def constructors(self, parts: Any, tmp_path: Path) -> Mapping[str, Any]:
        frames: dict[str, dict[str, Any]] = {"options": FIELDS}
        files: dict[str, dict[str, Any]] = {"options": FIELDS}
        for stage in SIZES:
            columns = {"review": parts[stage][f"{stage}_data"], "kind": parts[stage].get(f"{stage}_targets")}
            table = {name: column for name, column in columns.items() if column}
            frames[stage] = {f"{stage}_data_frame": table}
            files[stage] = {f"{stage}_file": tmp_path / f"{stage}.csv"}
            with (tmp_path / f"{stage}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([list(table), *zip(*table.values(), strict=True)])
        return {
            "from_data_frame": (self.with_tokenizer(self.data_class.from_data_frame), frames),
            "from_csv": (self.with_tokenizer(self.data_class.from_csv), files),
        }

    def with_tokenizer(self, constructor: Callable[..., Any]) -> Callable[..., Any]:
        """Return a constructor whose data can be looked at without a task."""
        return constructor

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
    @pytest.fixture(autouse=True)
    def _tokenizer(self, checkpoints: dict[str, Path]) -> None:
        self.tokenizer = load_tokenizer(checkpoints["bert"])

    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return self.with_tokenizer(TextClassificationData.from_lists)

    def with_tokenizer(self, constructor: Callable[..., Any]) -> Callable[..., Any]:
        def make(**arguments: Any) -> TextClassificationData:
            data: TextClassificationData = constructor(**arguments)
            data.connect(TokenizerConfig(self.tokenizer, max_length=64))
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


class Numbers(Texts):
    """Texts with the number of their words."""

    data_class = TextRegressionData

    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return TextRegressionData.from_lists

    @pytest.fixture
    def parts(self, reviews: Reviews) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {}
        for seed, (stage, count) in enumerate(SIZES.items()):
            texts, _ = reviews(count, seed)
            numbers = [float(len(text.split())) for text in texts]
            parts[stage] = {f"{stage}_data": texts, f"{stage}_targets": numbers}
        del parts["predict"]["predict_targets"]
        return parts

    @pytest.fixture
    def bad_parts(self, reviews: Reviews) -> Mapping[str, Mapping[str, Any]]:
        texts, targets = reviews(8)
        return {
            "targets are words": {"train_data": texts, "train_targets": targets},
            "a target is missing": {"train_data": texts, "train_targets": [*range(7), None]},
            "targets never change": {"train_data": texts, "train_targets": [7] * 8},
        }


class TestRegressor(Numbers, TaskConformance):
    @pytest.fixture
    def make_task(self, checkpoints: dict[str, Path]) -> Callable[..., Any]:
        return lambda data: TextRegressor.from_data(data, backbone=checkpoints["bert"], learning_rate=0.01, dropout=0.0)

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"a text is missing": ["a film", None], "there is none": [], "it is one text": "a film"}


class Pairs(Texts):
    """Pairs of texts, with the class of the second one."""

    @pytest.fixture
    def parts(self, reviews: Reviews) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {}
        for seed, (stage, count) in enumerate(SIZES.items()):
            first, _ = reviews(count, seed + 10)
            second, targets = reviews(count, seed)
            parts[stage] = {f"{stage}_data": list(zip(first, second, strict=True)), f"{stage}_targets": targets}
        del parts["predict"]["predict_targets"]
        return parts


class TestClassifierOfPairs(Pairs, TaskConformance):
    epochs = 6

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
        return {"a text is missing": [("a film", None)], "there is none": [], "they are single texts": ["a film"]}


class RealNetwork(StrategyConformance):
    """Strategies on a BERT, whose layers are its embeddings and its blocks."""

    @pytest.fixture(autouse=True)
    def _made(self, checkpoints: dict[str, Path], reviews: Reviews) -> None:
        self.checkpoint, self.reviews = str(checkpoints["bert"]), reviews

    def make_data(self) -> TextClassificationData:
        return TextClassificationData.from_lists(*self.reviews(24, 0), *self.reviews(8, 1), batch_size=8, seed=0)

    def make_task(self) -> TextClassifier:
        return TextClassifier(num_classes=2, backbone=self.checkpoint, learning_rate=0.01, dropout=0.0)

    def all_layers(self) -> set[int]:
        return set(range(len(backbone_layers(self.make_task()))))


class TestFreezeUnfreeze(RealNetwork):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("freeze_unfreeze", 2)

    def trains(self, epoch: int) -> set[int]:
        return self.all_layers() if epoch >= 2 else set()


class TestUnfreezeMilestones(RealNetwork):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("unfreeze_milestones", ((1, 3), 2))

    def trains(self, epoch: int) -> set[int]:
        layers = self.all_layers()
        return layers if epoch >= 3 else set(sorted(layers)[-2:]) if epoch else set()
