"""Token classification keeps the contract that every task and data module has to keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flash.testing import DataModuleConformance, TaskConformance
from flash.text import TokenClassificationData, TokenClassifier
from flash.text.hub import load_tokenizer
from flash.text.token_classification.samples import TagTokenizerConfig

Language = Callable[..., tuple[list[list[str]], list[list[str]]]]
SIZES = {"train": 48, "val": 16, "test": 7, "predict": 7}


class Tagged:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return TokenClassificationData.from_lists

    @pytest.fixture
    def parts(self, language: Language) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {}
        for seed, (stage, count) in enumerate(SIZES.items()):
            words, tags = language(count, seed)
            parts[stage] = {f"{stage}_data": words, f"{stage}_targets": tags}
        del parts["predict"]["predict_targets"]
        return parts

    @pytest.fixture
    def bad_parts(self, language: Language) -> Mapping[str, Mapping[str, Any]]:
        words, tags = language(8)
        return {
            "a sentence has no tags": {"train_data": words, "train_targets": tags[:-1]},
            "a tag is missing": {"train_data": words, "train_targets": [tags[0][:-1], *tags[1:]]},
            "there is no entity": {"train_data": words, "train_targets": [["O"] * len(each) for each in words]},
            "there is nothing": {"train_data": [], "train_targets": []},
        }


class TestTaggedData(Tagged, DataModuleConformance):
    @pytest.fixture(autouse=True)
    def _tokenizer(self, checkpoints: dict[str, Path]) -> None:
        self.tokenizer = load_tokenizer(checkpoints["bert"])

    def with_tokenizer(self, constructor: Callable[..., Any]) -> Callable[..., Any]:
        def make(**arguments: Any) -> TokenClassificationData:
            data: TokenClassificationData = constructor(**arguments)
            data.connect(TagTokenizerConfig(self.tokenizer, max_length=64))
            return data

        return make

    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return self.with_tokenizer(TokenClassificationData.from_lists)

    @pytest.fixture
    def constructors(
        self, parts: Any, write_conll: Callable[..., Path], tmp_path: Path
    ) -> Mapping[str, tuple[Callable[..., Any], Any]]:
        files: dict[str, dict[str, Any]] = {}
        lines: dict[str, dict[str, Any]] = {"options": {"input_field": "words", "target_fields": "tags"}}
        for stage in SIZES:
            words = parts[stage][f"{stage}_data"]
            tags = parts[stage].get(f"{stage}_targets", [["O"] * len(each) for each in words])
            files[stage] = {f"{stage}_file": write_conll(words, tags, f"{stage}.conll")}
            rows = [{"words": one, "tags": other} for one, other in zip(words, tags, strict=True)]
            (tmp_path / f"{stage}.jsonl").write_text("\n".join(map(json.dumps, rows)))
            lines[stage] = {f"{stage}_file": tmp_path / f"{stage}.jsonl"}
        return {
            "from_conll": (self.with_tokenizer(TokenClassificationData.from_conll), files),
            "from_json": (self.with_tokenizer(TokenClassificationData.from_json), lines),
        }

    def samples_of(self, batch: Any) -> list[Any]:
        x, targets = batch if isinstance(batch, tuple | list) else (batch, None)
        counts = x["word_counts"].tolist()
        words = [x["input_ids"].flatten()[each].tolist() for each in x["places"].split(counts)]
        return words if targets is None else list(zip(words, map(list, targets["tags"].split(counts)), strict=True))


class TestTokenClassifier(Tagged, TaskConformance):
    epochs = 20

    @pytest.fixture
    def make_task(self, checkpoints: dict[str, Path]) -> Callable[..., Any]:
        return lambda data: TokenClassifier.from_data(
            data, backbone=checkpoints["bert"], learning_rate=0.01, dropout=0.0
        )

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"a text is missing": ["a film", None], "there is none": [], "it is one text": "a film"}
