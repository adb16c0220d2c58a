"""The command line of every task of every plugin: a run, its repetition, its scores, its predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from detectors import tiny_pose, tiny_segmenter
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

import flash
from flash.cli import main
from flash.core.outputs import plain
from flash.image import InstanceSegmentation, KeypointDetector
from flash.plugins import get_host

WORDS = ["<pad>", "</s>", "<unk>", "red", "green", "tea", "a", "cup", "of"]
QUIET = ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]


def write(name: str, *rows: str) -> str:
    Path(name).write_text("\n".join(rows) + "\n")
    return name


def photo(name: str, level: int) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((48, 48, 3), level, np.uint8)).save(path)
    return name


def checkpoint(name: str) -> str:
    """A tiny checkpoint of transformers with a vocabulary of a few words."""
    backend = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=16
    )
    sizes: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    network: Any = BertModel(BertConfig(vocab_size=len(WORDS), intermediate_size=16, **sizes))
    if name == "t5":
        small: dict[str, Any] = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
        small["decoder_start_token_id"] = 0
        network = T5ForConditionalGeneration(T5Config(vocab_size=len(WORDS), **small))
    network.save_pretrained(name)
    tokenizer.save_pretrained(name)
    return name


def table(target: Callable[[int], object]) -> list[str]:
    file = write(
        "rows.csv", "size,colour,y", *(f"{row},{'red' if row % 3 else 'blue'},{target(row)}" for row in range(24))
    )
    return ["--data.train_file", file, "--data.target_fields", "y", "--task.backbone", "mlp"]


def photos(target: Callable[[int], object]) -> list[str]:
    rows = [f"{photo(f'photos/{row}.png', 10 * row)},{target(row)}" for row in range(12)]
    network = ["--task.backbone", "resnet10t", "--task.pretrained", "false"]
    fields = ["--data.input_field", "file", "--data.target_fields", "y", "--data.image_size", "32"]
    return ["--data.train_file", write("photos.csv", "file,y", *rows), *fields, *network]


def boxes(_: Any, **parts: Any) -> list[str]:
    images, annotations = [], []
    for row in range(4):
        photo(f"scenes/{row}.png", 60 * row)
        images.append({"id": row, "file_name": f"{row}.png", "width": 48, "height": 48})
        annotations.append(
            {"id": row, "image_id": row, "category_id": 1, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0, **parts}
        )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cup"}]}
    Path("scenes.json").write_text(json.dumps(content))
    network = ["--task.backbone", "ssdlite320_mobilenet_v3_large", "--task.pretrained", "false"]
    return ["--data.train_folder", "scenes", "--data.train_ann_file", "scenes.json", *network]


def objects() -> list[str]:
    InstanceSegmentation.backbones.register("tiny", tiny_segmenter, override=True)
    *data, _, _, _, _ = boxes(None, segmentation=[[4, 4, 24, 4, 24, 24]])
    return [*data, "--task.backbone", "tiny", "--task.pretrained", "false", "--task.image_size", "64"]


def poses() -> list[str]:
    KeypointDetector.backbones.register("tiny", tiny_pose, override=True)
    *data, _, _, _, _ = boxes(None, keypoints=[6, 6, 2, 20, 20, 1], num_keypoints=2)
    return [*data, "--task.backbone", "tiny", "--task.pretrained", "false", "--task.image_size", "64"]


def scenes(_: Any) -> list[str]:
    for row in range(8):
        photo(f"views/{row}.png", 20 * row)
        mask = Image.new("L", (48, 48))
        mask.paste(1, (4, 4, 24, 24 + row))
        Path("masks").mkdir(exist_ok=True)
        mask.save(f"masks/{row}.png")
    network = ["--task.backbone", "test_resnet", "--task.pretrained", "false", "--data.image_size", "32"]
    return ["--data.train_folder", "views", "--data.train_target_folder", "masks", *network]


def texts(target: Callable[[int], object], network: str = "bert") -> list[str]:
    rows = [f"{'a cup of red tea' if row % 2 else 'green tea'},{target(row)}" for row in range(16)]
    fields = ["--data.input_field", "text", "--data.target_fields", "y"]
    return ["--data.train_file", write("texts.csv", "text,y", *rows), *fields, "--task.backbone", checkpoint(network)]


def entities() -> list[str]:
    sentences = ["red B-COLOR\ntea O\n" if row % 2 else "a O\ncup O\nof O\ngreen B-COLOR\n" for row in range(16)]
    return ["--data.train_file", write("tagged.conll", *sentences), "--task.backbone", checkpoint("bert")]


def questions() -> list[str]:
    rows = [{"question": "red", "answers": [{"text": "tea", "answer_start": 4}]} for _ in range(4)]
    articles = [{"paragraphs": [{"context": f"red tea {'cup ' * row}", "qas": rows}]} for row in range(4)]
    file = write("squad.json", json.dumps({"data": articles}))
    return ["--source", "squad", "--data.train_file", file, "--task.backbone", checkpoint("bert")]


def sounds() -> list[str]:
    rows = []
    for row in range(16):
        path = Path(f"sounds/{row}.wav")
        path.parent.mkdir(exist_ok=True)
        time = np.arange(1600) / 8000
        soundfile.write(path, 0.1 * np.sin(2 * np.pi * (200 + 900 * (row % 2)) * time), 8000)
        rows.append(f"{path},{label(row)}")
    fields = ["--data.input_field", "file", "--data.target_fields", "y", "--data.duration", "0.2"]
    return ["--data.train_file", write("sounds.csv", "file,y", *rows), *fields, "--task.sample_rate", "8000"]


def label(row: int) -> str:
    return "yes" if row % 2 else "no"


# The options of each task that is trained, the inputs to predict, and their number.
TASKS: dict[str, tuple[Callable[[], list[str]], str, int]] = {
    "tabular/classification": (lambda: table(label), "rows.csv", 24),
    "tabular/regression": (lambda: table(lambda row: row * 1.5), "rows.csv", 24),
    "image/classification": (lambda: photos(label), "photos", 12),
    "image/regression": (lambda: photos(lambda row: row / 7), "photos", 12),
    "image/detection": (lambda: boxes(None), "scenes", 4),
    "image/instance_segmentation": (objects, "scenes", 4),
    "image/keypoints": (poses, "scenes", 4),
    "image/semantic_segmentation": (lambda: scenes(None), "views", 8),
    "audio/classification": (sounds, "sounds", 16),
    "text/classification": (lambda: texts(label), "texts.csv", 16),
    "text/regression": (lambda: texts(lambda row: row / 7), "texts.csv", 16),
    "text/question_answering": (questions, "squad.json", 16),
    "text/token_classification": (entities, "tagged.conll", 16),
    "text/summarization": (lambda: texts(lambda row: "red tea" if row % 2 else "tea", "t5"), "texts.csv", 16),
    "text/translation": (lambda: texts(lambda row: "red tea" if row % 2 else "tea", "t5"), "texts.csv", 16),
}
# They compute vectors of a pretrained network, and are not trained without a loss.
NOT_TRAINED = {"image/embedding", "text/embedding"}


def test_each_task_of_the_plugins_is_tried() -> None:
    assert {*TASKS, *NOT_TRAINED} == set(get_host().tasks())


@pytest.mark.train
@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_trained_repeated_and_predicts_each_input(name: str) -> None:
    options, inputs, count = TASKS[name]
    split = ["--data.val_split", "0.25", "--data.batch_size", "4"]
    assert main(["fit", name, *options(), *split, *QUIET, "-o", "run"]) == 0
    scores = json.loads(Path("run/scores.json").read_text())
    assert any(score.startswith("val_") for score in scores)
    assert Path("run/curves.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["fit", "--config", "run/config.yaml", "-o", "again"]) == 0
    assert json.loads(Path("again/scores.json").read_text()) == scores
    assert main(["predict", "run/task.ckpt", inputs, "-o", "out.jsonl"]) == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    expected = flash.Task.load_from_checkpoint("run/task.ckpt").predict(inputs)
    assert len(rows) == len(expected) == count
    assert [row["prediction"] for row in rows] == json.loads(json.dumps(expected, default=plain))
    if inputs in ("photos", "scenes", "sounds"):
        assert [Path(row["id"]).name for row in rows] == sorted(path.name for path in Path(inputs).iterdir())


@pytest.mark.parametrize("name", sorted([*TASKS, *NOT_TRAINED]))
def test_the_help_of_a_task_describes_its_options_and_asks_for_nothing_that_data_say(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", name, "--help"])
    assert not stop.value.code
    text = capsys.readouterr().out
    assert "--task.backbone BACKBONE" in text
    assert "(default: " in text
    facts = "num_classes num_targets target_mean target_std cardinalities bins class_counts num_numerical multi_label"
    assert [fact for fact in (*facts.split(), "keypoints") if f"--task.{fact} " in text] == []
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.train
def test_predictions_of_a_table_are_a_submission() -> None:
    assert main(["fit", "tabular/classification", *table(label), *QUIET, "-o", "run"]) == 0
    assert main(["predict", "run/task.ckpt", "rows.csv", "-o", "out.csv", "--columns", "size,y"]) == 0
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["size", "y"]
    assert [row["size"] for row in rows] == [str(row) for row in range(24)]
    assert {row["y"] for row in rows} <= {"yes", "no"}
    assert main(["predict", "run/task.ckpt", "rows.csv", "-o", "out.parquet", "--columns", "size,y"]) == 0
    assert pd.read_parquet("out.parquet").astype(str).to_dict("records") == rows


def test_a_source_that_a_plugin_registered_is_chosen_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--source", "sklearn", "--data.dataset", "iris", "--data.val_split", "0.2", "--task.backbone", "mlp"]
    assert main(["fit", "tabular/classification", *given, *QUIET, "--seed", "1", "-o", "run"]) == 0
    assert main(["fit", "--config", "run/config.yaml", "-o", "again"]) == 0
    assert Path("run/scores.json").read_text() == Path("again/scores.json").read_text()
    assert "source: sklearn" in Path("run/config.yaml").read_text()
    capsys.readouterr()
    assert main(["fit", "tabular/classification", "--source", "sklaern", "--data.dataset", "iris"]) == 2
    assert "Expected a source among csv, json, parquet, sklearn, but got 'sklaern'." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fit", "tabular/classification", "--help"])
    assert "--source sklearn" in capsys.readouterr().out
