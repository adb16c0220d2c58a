"""Write a small checkpoint of each task, and what it predicts: ``python tests/released/make.py FOLDER``.

The files of a release are made once, with that release, and stay: later versions have to load them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

import flash
from flash.image import (
    ImageClassificationData,
    ImageClassifier,
    ImageEmbedder,
    ObjectDetectionData,
    ObjectDetector,
)
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressionData, TabularRegressor
from flash.text import (
    SummarizationData,
    SummarizationTask,
    TextClassificationData,
    TextClassifier,
    TextEmbedder,
    TranslationData,
    TranslationTask,
)

ROWS: list[dict[str, Any]] = [
    {"age": 20 + i, "city": ("Rome", "Oslo", "Lima")[i % 3], "bought": "yes" if i > 20 else "no", "spent": i * 1.5}
    for i in range(40)
]
NEW_ROWS: list[dict[str, Any]] = [{"age": age, "city": city} for age in (21, 40, 58) for city in ("Oslo", "Paris")]
TEXTS = ["a great film", "an awful film", "a film number two", "great great awful"]
WORDS = ["[PAD]", "</s>", "<unk>", "a", "an", "film", "number", "great", "awful", "two"]
CONFIG = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "crop_pct": 1.0}


def tiny_detector(num_classes: int, **kwargs: Any) -> FasterRCNN:
    """Make a Faster R-CNN on two layers; the tests register it as ``"tiny"``."""
    body: Any = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
    body.out_channels = 8
    anchors = AnchorGenerator(((16, 32),), ((1.0,),))
    heads = {"box_head": TwoMLPHead(8 * 7 * 7, 8), "box_predictor": FastRCNNPredictor(8, num_classes)}
    sizes = {"min_size": 64, "max_size": 64, "rpn_post_nms_top_n_test": 10, "box_score_thresh": 0.0}
    return FasterRCNN(body, None, rpn_anchor_generator=anchors, **heads, **sizes)


def images() -> torch.Tensor:
    """Return three images whose pixels follow from their places, shape ``(3, 3, 64, 64)``."""
    return torch.sin(torch.arange(3 * 3 * 64 * 64).reshape(3, 3, 64, 64) * 0.01) / 2 + 0.5


def tabular() -> Iterator[tuple[flash.Task, flash.DataModule, Any, str]]:
    """Yield the tasks of flash-tabular, with data, raw inputs and the output to compare."""
    options: dict[str, Any] = {"train_list": ROWS, "batch_size": 20, "seed": 0, "verbose": False}
    fields: dict[str, Any] = {"numerical_fields": ["age"], "categorical_fields": ["city"]}
    data: flash.DataModule = TabularClassificationData.from_lists(target_fields="bought", **fields, **options)
    small = {"n_blocks": 1, "d_block": 8, "d_embedding": 4}
    yield TabularClassifier.from_data(data, backbone="mlp", backbone_kwargs=small), data, NEW_ROWS, "probabilities"
    data = TabularRegressionData.from_lists(target_fields="spent", **fields, **options)
    yield TabularRegressor.from_data(data, backbone="tabm", backbone_kwargs={"k": 2, **small}), data, NEW_ROWS, "raw"


def image() -> Iterator[tuple[flash.Task, flash.DataModule, Any, str]]:
    """Yield the tasks of flash-image."""
    pictures, classes = images().repeat(3, 1, 1, 1)[:8], ["ants", "bees"] * 4
    data: flash.DataModule = ImageClassificationData.from_tensors(pictures, classes, batch_size=4, seed=0)
    tiny: dict[str, Any] = {"backbone": "test_efficientnet", "pretrained": False, "data_config": CONFIG}
    yield ImageClassifier.from_data(data, **tiny), data, images(), "probabilities"
    yield ImageEmbedder.from_data(data, **tiny), data, images(), "raw"
    arrays = list((pictures.permute(0, 2, 3, 1) * 255).byte().numpy())
    data = ObjectDetectionData.from_images(arrays, [["dot"]] * 8, [[[5, 5, 40, 40]]] * 8, batch_size=4, seed=0)
    ObjectDetector.backbones.register("tiny", tiny_detector)
    new = list((images().permute(0, 2, 3, 1) * 255).byte().numpy())
    yield (
        ObjectDetector.from_data(data, backbone="tiny", pretrained=False, score_threshold=0.0),
        data,
        new,
        "detections",
    )


def text(folder: Path) -> Iterator[tuple[flash.Task, flash.DataModule, Any, str]]:
    """Yield the tasks of flash-text, on networks of a few words."""
    backend = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", eos_token="</s>", unk_token="<unk>", model_max_length=32
    )
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
    }
    bert = BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **sizes))
    layers: dict[str, Any] = {
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 16,
        "num_layers": 1,
        "num_heads": 2,
        "decoder_start_token_id": 0,
    }
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=len(WORDS), **layers))
    for name, network in (("bert", bert), ("t5", t5)):
        network.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    labels = ["good", "bad", "good", "bad"]
    data: flash.DataModule = TextClassificationData.from_lists(TEXTS * 4, labels * 4, batch_size=4, seed=0)
    yield TextClassifier.from_data(data, backbone=str(folder / "bert")), data, TEXTS, "probabilities"
    yield TextEmbedder(backbone=str(folder / "bert")), data, TEXTS, "raw"
    options: dict[str, Any] = {"backbone": str(folder / "t5"), "metrics": [], "max_new_tokens": 4}
    data = SummarizationData.from_lists(TEXTS * 4, TEXTS * 4, batch_size=4, seed=0)
    yield SummarizationTask.from_data(data, **options), data, TEXTS, "texts"
    data = TranslationData.from_lists(TEXTS * 4, TEXTS * 4, batch_size=4, seed=0)
    yield TranslationTask.from_data(data, **options), data, TEXTS, "texts"


def as_numbers(results: list[Any]) -> list[Any]:
    """Return predictions as JSON has them."""
    return [
        {key: np.asarray(value).tolist() for key, value in each.items()}
        if isinstance(each, dict)
        else each
        if isinstance(each, str)
        else np.asarray(each).tolist()
        for each in results
    ]


def main(target: Path) -> None:
    """Train each task for one epoch, and store it with its predictions."""
    target.mkdir(parents=True, exist_ok=True)
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    silent["enable_model_summary"] = False
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        for task, data, raw, output in (*tabular(), *image(), *text(Path(folder))):
            name = type(task).__name__
            writes = isinstance(task, (SummarizationTask, TranslationTask))
            trainer = flash.Trainer(
                max_epochs=60 if writes else 1, accelerator="cpu", enable_model_summary=False, **silent
            )
            task.optimizer, task.learning_rate = ("Adam", 0.02) if writes else ("SGD", 0.01)
            if isinstance(task, (ImageEmbedder, TextEmbedder)):
                trainer.strategy.connect(task)
                task.use_data(data)
            else:
                trainer.fit(task, data)
            trainer.save_checkpoint(target / f"{name}.ckpt")
            output = output if output in task.available_outputs() else "raw"
            found = {"output": output, "results": as_numbers(task.predict(raw, output=output))}
            (target / f"{name}.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
