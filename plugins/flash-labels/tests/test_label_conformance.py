"""The checks of the kit for data sources, with an export of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from label_studio_tasks import annotated, chosen, local, region
from samples_of_images import BoxesOfImages, MasksOfImages
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from flash import DataModule
from flash.audio import AudioClassificationData
from flash.image import ImageClassificationData, ObjectDetectionData
from flash.image.segmentation import SemanticSegmentationData
from flash.testing import DataSourceConformance
from flash.text import TextClassificationData, TokenClassificationData
from flash.text.samples import TokenizerConfig
from flash.text.token_classification.samples import TagTokenizerConfig

Export = Callable[..., Path]
SIZE = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
BOX: dict[str, Any] = {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0}


class Source(DataSourceConformance):
    source = "label_studio"

    @pytest.fixture
    def bad_arguments(self, export: Export) -> Mapping[str, Mapping[str, Any]]:
        return {
            "there is no such file": {"train_file": "missing.json"},
            "there is no annotation": {
                "train_file": export([{"data": {"text": "a"}}], "bare.json"),
                "data_field": "text",
            },
            "there is no such tag": {"from_name": "mood"},
        }


class TestImages(Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return ImageClassificationData

    @pytest.fixture
    def arguments(self, export: Export, photos: Path) -> Mapping[str, Any]:
        tasks = [annotated({"image": local(f"{n}.png")}, chosen("ab"[n % 2]), number=n) for n in range(6)]
        files = {"train_file": export(tasks), "predict_file": export(tasks, "all.json")}
        return {**files, "data_folder": photos, "data_config": SIZE}


class TestBoxes(BoxesOfImages, Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return ObjectDetectionData

    @pytest.fixture
    def arguments(self, export: Export, photos: Path) -> Mapping[str, Any]:
        tasks = [
            annotated({"image": local(f"{n}.png")}, region("rectanglelabels", "ab"[n % 2], **BOX), number=n)
            for n in range(6)
        ]
        return {"train_file": export(tasks), "data_folder": photos, "augmentation": "none"}


class TestMasks(MasksOfImages, Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return SemanticSegmentationData

    @pytest.fixture
    def arguments(self, export: Export, photos: Path) -> Mapping[str, Any]:
        points = [[0, 50], [50, 50], [50, 100]]
        tasks = [
            annotated({"image": local(f"{n}.png")}, region("polygonlabels", "road", points=points), number=n)
            for n in range(6)
        ]
        return {"train_file": export(tasks), "data_folder": photos, "data_config": SIZE}


class TestRecordings(Source):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return AudioClassificationData

    @pytest.fixture
    def arguments(self, export: Export, tmp_path: Path) -> Mapping[str, Any]:
        for number in range(6):
            noise = np.random.default_rng(number).normal(0, 0.1, 800)
            soundfile.write(tmp_path / f"{number}.wav", noise, 8000)
        tasks = [annotated({"audio": local(f"{n}.wav")}, chosen("ab"[n % 2]), number=n) for n in range(6)]
        return {"train_file": export(tasks), "augmentation": "none", "duration": 0.1, "sample_rate": 8000}


class Words(Source):
    """Texts, which are tokens once a task is connected."""

    config: type[TokenizerConfig] = TokenizerConfig

    def samples(self, data: DataModule, stage: str) -> list[Any]:
        backend = Tokenizer(models.WordLevel({"Ada": 0, "slept": 1, "[UNK]": 2}, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        data.connect(self.config(PreTrainedTokenizerFast(tokenizer_object=backend), max_length=16))
        return super().samples(data, stage)


class TestTexts(Words):
    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return TextClassificationData

    @pytest.fixture
    def arguments(self, export: Export) -> Mapping[str, Any]:
        tasks = [annotated({"text": f"text {n}"}, chosen("ab"[n % 2]), number=n) for n in range(6)]
        return {"train_file": export(tasks)}


class TestEntities(Words):
    config = TagTokenizerConfig

    def samples_of(self, batch: Any) -> list[Any]:
        x, targets = batch
        counts = x["word_counts"].tolist()
        words = [x["input_ids"].flatten()[each].tolist() for each in x["places"].split(counts)]
        return list(zip(words, map(list, targets["tags"].split(counts)), strict=True))

    @pytest.fixture
    def data_class(self) -> type[DataModule]:
        return TokenClassificationData

    @pytest.fixture
    def arguments(self, export: Export) -> Mapping[str, Any]:
        tasks = [
            annotated({"text": f"Ada slept {n} hours"}, region("labels", "PER", start=0, end=3), number=n)
            for n in range(6)
        ]
        return {"train_file": export(tasks)}
