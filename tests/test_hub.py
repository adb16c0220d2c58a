"""Each task of each package comes back from a folder for the Hub, bit by bit, whatever was done to it before."""

from __future__ import annotations

import copy
import importlib.util
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from detectors import tiny_pose, tiny_segmenter

import flash
from flash.audio import AudioClassificationData, AudioClassifier
from flash.baseline.ensemble import make_ensemble
from flash.errors import CheckpointError
from flash.image import (
    ImageClassificationData,
    ImageClassifier,
    ImageRegressionData,
    ImageRegressor,
    InstanceSegmentation,
    InstanceSegmentationData,
    KeypointDetectionData,
    KeypointDetector,
    ObjectDetector,
    SemanticSegmentation,
    SemanticSegmentationData,
)
from flash.plugins import get_host
from flash.serialization import equal, read_checkpoint, to_serializable, write_checkpoint
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.testing import silent_trainer
from flash.text import (
    QuestionAnsweringData,
    QuestionAnsweringTask,
    TextClassifier,
    TextRegressionData,
    TextRegressor,
    TokenClassificationData,
    TokenClassifier,
)

pytestmark = pytest.mark.train

Case = tuple[flash.Task, flash.DataModule, Any, str]
# The smallest networks of each tabular backbone.
TABULAR = {
    "mlp": {"n_blocks": 1, "d_block": 8, "d_embedding": 4},
    "tabm": {"k": 2, "n_blocks": 1, "d_block": 8, "d_embedding": 4},
    "resnet": {"n_blocks": 1, "d_block": 8, "d_embedding": 4},
    "ft_transformer": {"n_blocks": 1, "d_block": 8, "attention_n_heads": 1},
    "tabnet": {"n_d": 4, "n_a": 4, "n_steps": 2},
}


def _load_maker() -> Any:
    file = Path(__file__).parent / "released" / "make.py"
    specification = importlib.util.spec_from_file_location("make_checkpoints", file)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


make = _load_maker()


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """A task of each class, trained where it has a loss, with data, raw inputs and an output."""
    folder = tmp_path_factory.mktemp("networks")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = {}
    released = (make.tabular(), make.image(), make.text(folder))
    for task, data, raw, output in itertools.chain(*released, _numbers(folder), _parts(folder), _recordings()):
        name = type(task).__name__
        if name != "TextEmbedder":  # It has no loss unless one is chosen.
            silent_trainer().fit(task, data)
        made[name] = task, data, raw, "boxes" if output == "detections" else output
    yield made
    ObjectDetector.backbones.remove("tiny")
    InstanceSegmentation.backbones.remove("tiny")
    KeypointDetector.backbones.remove("tiny")


def _numbers(folder: Path) -> Iterator[Case]:
    """The tasks of numbers, which the released files lack."""
    tiny: dict[str, Any] = {"backbone": "test_efficientnet", "pretrained": False, "data_config": make.CONFIG}
    pictures = (make.images().repeat(3, 1, 1, 1)[:8].permute(0, 2, 3, 1) * 255).byte().numpy()
    images = ImageRegressionData.from_numpy(pictures, np.linspace(0, 7, 8), batch_size=4, seed=0)
    yield ImageRegressor.from_data(images, **tiny), images, make.images(), "raw"
    texts = TextRegressionData.from_lists(make.TEXTS * 4, [1.0, 2.5, 3.0, 0.5] * 4, batch_size=4, seed=0)
    yield TextRegressor.from_data(texts, backbone=str(folder / "bert")), texts, make.TEXTS, "raw"


def _parts(folder: Path) -> Iterator[Case]:
    """The tasks of pixels, words and answers."""
    pictures = (make.images().repeat(3, 1, 1, 1)[:8].permute(0, 2, 3, 1) * 255).byte().numpy()
    masks = SemanticSegmentationData.from_numpy(pictures, (pictures[..., 0] > 99).astype(np.uint8), batch_size=4)
    task: flash.Task = SemanticSegmentation.from_data(
        masks, backbone="test_resnet", pretrained=False, data_config=make.CONFIG
    )
    yield task, masks, pictures[:3], "labels"
    objects = [(pictures[row, None, ..., 0] > 99).astype(np.uint8) for row in range(8)]
    instances = InstanceSegmentationData.from_images(list(pictures), [["bright"]] * 8, objects, batch_size=4, seed=0)
    InstanceSegmentation.backbones.register("tiny", tiny_segmenter)
    options: dict[str, Any] = {"backbone": "tiny", "pretrained": False, "score_threshold": 0.0}
    yield InstanceSegmentation.from_data(instances, **options), instances, list(pictures[:3]), "instances"
    ends: Any = [[[[2, 2], [9, 9]]]] * 8
    points = KeypointDetectionData.from_images(list(pictures), [["bright"]] * 8, ends, batch_size=4, seed=0)
    KeypointDetector.backbones.register("tiny", tiny_pose)
    yield KeypointDetector.from_data(points, **options), points, list(pictures[:3]), "keypoints"
    sentences = [text.split() for text in make.TEXTS]
    tags = [["B-A", *["O"] * (len(words) - 1)] for words in sentences]
    words = TokenClassificationData.from_lists(sentences * 4, tags * 4, batch_size=4, seed=0)
    yield TokenClassifier.from_data(words, backbone=str(folder / "bert")), words, sentences, "tags"
    questions = [(text.split()[-1], text) for text in make.TEXTS]
    answers = QuestionAnsweringData.from_lists(questions * 4, [last for last, _ in questions] * 4, batch_size=4)
    task = QuestionAnsweringTask.from_data(answers, backbone=str(folder / "bert"))
    yield task, answers, questions, task.default_output


def _recordings() -> Iterator[Case]:
    """The task of recordings."""
    sounds = [np.sin(np.arange(4000) / (2 + row % 2)).astype(np.float32) for row in range(8)]
    data = AudioClassificationData.from_numpy(sounds, ["high", "low"] * 4, sample_rate=8000, duration=0.5, batch_size=4)
    yield AudioClassifier.from_data(data), data, sounds[:2], "labels"


TASKS = sorted(contribution.spec.task.rpartition(":")[2] for contribution in get_host().tasks().values())


def predictions(task: flash.Task, raw: Any, output: str) -> Any:
    return to_serializable(task.predict(raw, output=output))


def check_round_trip(task: flash.Task, raw: Any, output: str, folder: Path) -> flash.Task:
    """Save a task in both containers; what a user sees of it, and each bit that it predicts, come back."""
    before = predictions(task, raw, output)
    task.save_pretrained(folder / "net")
    checkpoint: dict[str, Any] = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(checkpoint)
    write_checkpoint(checkpoint, folder / "net.ckpt")
    found, twin = type(task).from_pretrained(folder / "net"), flash.Task.load_from_checkpoint(folder / "net.ckpt")
    assert type(found) is type(flash.Task.from_pretrained(folder / "net")) is type(task)
    assert equal(predictions(found, raw, output), before)
    for name in task.available_outputs():
        assert equal(predictions(found, raw, name), predictions(task, raw, name)), name
    assert repr(found) == repr(twin)
    assert equal(dict(found.recorded_arguments), dict(twin.recorded_arguments))
    for attribute in ("labels", "output_names", "history", "structure_changes"):
        assert equal(getattr(found, attribute, None), getattr(task, attribute, None)), attribute
    assert type(found.preprocess) is type(task.preprocess)
    assert repr(found.stage_metrics) == repr(twin.stage_metrics)
    weights = task.state_dict()
    assert found.state_dict().keys() == weights.keys()
    for name, weight in found.state_dict().items():
        assert torch.equal(weight, weights[name].to(weight.dtype)), name
    return found


@pytest.mark.parametrize("name", TASKS)
def test_each_task_comes_back(name: str, cases: dict[str, Case], tmp_path: Path) -> None:
    task, _, raw, output = cases[name]
    check_round_trip(task, raw, output, tmp_path)


@pytest.mark.parametrize(
    "name", [name for name in TASKS if name.startswith(("Tab", "Text", "Tr", "Su")) and name != "TextEmbedder"]
)
def test_scores_come_back(name: str, cases: dict[str, Case], tmp_path: Path) -> None:
    task, data, _, _ = cases[name]
    task.save_pretrained(tmp_path / "net")
    check_scores(task, flash.Task.from_pretrained(tmp_path / "net"), dataloaders=data.train_dataloader())


def test_scores_on_images_come_back(tmp_path: Path) -> None:
    pictures, classes = make.images().repeat(3, 1, 1, 1)[:8], ["ants", "bees"] * 4
    data = ImageClassificationData.from_tensors(
        pictures, classes, val_data=pictures, val_targets=classes, batch_size=4, seed=0
    )
    task = ImageClassifier.from_data(data, backbone="test_efficientnet", pretrained=False, data_config=make.CONFIG)
    silent_trainer().fit(task, data)
    task.save_pretrained(tmp_path / "net")
    check_scores(task, flash.Task.from_pretrained(tmp_path / "net"), datamodule=data)


def check_scores(task: flash.Task, other: flash.Task, **data: Any) -> None:
    found = []
    for each in (copy.deepcopy(task), other):
        torch.manual_seed(0)
        found += silent_trainer().validate(each, **data, verbose=False)
    assert found[0] == found[1]
    assert found[0]


@pytest.mark.parametrize("backbone", TABULAR)
def test_each_backbone_of_tables_comes_back(backbone: str, tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "age": [None, *range(39)],
            "city": ["Rome", "Oslo", None, "Zürich"] * 10,
            "born": pd.date_range("2001-03-04 05:06", periods=40),
            "is_new": [True, False] * 20,
            "y": ["no", "yes"] * 20,
        }
    )
    data = TabularClassificationData.from_data_frame(
        target_fields="y", train_data_frame=rows, batch_size=20, seed=0, verbose=False
    )
    torch.manual_seed(0)
    task = TabularClassifier.from_data(data, backbone=backbone, backbone_kwargs=TABULAR[backbone])
    silent_trainer().fit(task, data)
    check_round_trip(task, rows.drop(columns="y"), "probabilities", tmp_path)


@pytest.mark.parametrize("strategy", ["freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 1)), "lora"])
def test_a_task_that_was_finetuned_comes_back_by_strategy(
    strategy: Any, cases: dict[str, Case], tmp_path: Path
) -> None:
    _, data, raw, output = cases["TextClassifier"]
    backbone = cases["TextClassifier"][0].hparams["backbone"]
    torch.manual_seed(0)
    task = TextClassifier.from_data(data, backbone=backbone)
    silent_trainer(max_epochs=3).finetune(task, data, strategy=strategy)
    check_round_trip(task, raw, output, tmp_path)
    names = read_checkpoint(tmp_path / "net")["state_dict"]
    # Those of adapters alone, as in a checkpoint.
    assert any("lora" in name for name in names) == (strategy == "lora")
    assert any("backbone" in name and "lora" not in name for name in names) == (strategy != "lora")
    expected = "Lora" if strategy == "lora" else "Freeze" if strategy == "freeze" else ""
    assert f"| strategy | {expected}" in (tmp_path / "net" / "README.md").read_text()


@pytest.mark.parametrize("whole", ["merged", "asked for"])
def test_adapters_come_back_without_the_network_where_all_weights_are_stored(
    whole: str, cases: dict[str, Case], tmp_path: Path
) -> None:
    old, data, raw, output = cases["TextClassifier"]
    backbone = shutil.copytree(str(old.hparams["backbone"]), tmp_path / "bert")
    task: Any = TextClassifier.from_data(data, backbone=backbone)
    silent_trainer().finetune(task, data, strategy=("lora", {"whole_checkpoints": whole == "asked for"}))
    if whole == "merged":
        task.merge_adapters()
    shutil.rmtree(backbone)
    found = check_round_trip(task, raw, output, tmp_path)
    assert found.state_dict().keys() == read_checkpoint(tmp_path / "net")["state_dict"].keys()


def test_a_task_loads_without_the_pretrained_network_that_it_was_made_from(
    cases: dict[str, Case], tmp_path: Path
) -> None:
    for name in ("TextClassifier", "TranslationTask"):
        old, data, raw, output = cases[name]
        backbone = shutil.copytree(str(old.hparams["backbone"]), tmp_path / name)
        task: flash.Task = type(old).from_data(
            data, backbone=backbone, **({"metrics": []} if name == "TranslationTask" else {})
        )
        silent_trainer().fit(task, data)
        before = predictions(task, raw, output)
        task.save_pretrained(tmp_path / "net")
        shutil.rmtree(backbone)
        assert equal(predictions(flash.Task.from_pretrained(tmp_path / "net"), raw, output), before)


@pytest.mark.parametrize("name", ["TabularClassifier", "ImageClassifier", "TextClassifier", "TranslationTask"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_come_back(
    name: str, dtype: torch.dtype, cases: dict[str, Case], tmp_path: Path
) -> None:
    task, _, raw, output = cases[name]
    half = copy.deepcopy(task).to(dtype)
    half.save_pretrained(tmp_path / "net")
    stored = read_checkpoint(tmp_path / "net")["state_dict"]
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {dtype}
    # A task is made in single precision, as from a checkpoint, with the values that were stored.
    found = flash.Task.from_pretrained(tmp_path / "net")
    assert equal(predictions(found, raw, output), predictions(half.float(), raw, output))


def test_tied_and_transposed_weights_come_back(cases: dict[str, Case], tmp_path: Path) -> None:
    task, _, raw, output = cases["SummarizationTask"]
    tied = [name for name, weight in task.state_dict().items() if "shared" in name or "embed_tokens" in name]
    assert len({task.state_dict()[name].data_ptr() for name in tied}) < len(tied)
    check_round_trip(task, raw, output, tmp_path)
    image, _, pictures, wanted = cases["ImageClassifier"]
    columns = copy.deepcopy(image).to(memory_format=torch.channels_last)
    assert any(not weight.is_contiguous() for weight in columns.state_dict().values())
    columns.save_pretrained(tmp_path / "channels")
    # The layout of weights is that of the network that is made, as from a checkpoint.
    found = flash.Task.from_pretrained(tmp_path / "channels")
    assert equal(predictions(found, pictures, wanted), predictions(image, pictures, wanted))


def test_an_ensemble_comes_back(cases: dict[str, Case], tmp_path: Path) -> None:
    for name in ("TabularClassifier", "TabularRegressor"):
        task, data, raw, output = cases[name]
        other: flash.Task = type(task).from_data(data, backbone="mlp", backbone_kwargs=TABULAR["mlp"])
        ensemble = make_ensemble({"a": task, "b": other}, {"a": 0.75, "b": 0.25}, data)
        ensemble.preprocess = task.preprocess
        check_round_trip(ensemble, raw, output, tmp_path / name)


def test_pretrained_weights_are_taken_from_a_folder_and_from_the_hub(
    cases: dict[str, Case], hub: Any, tmp_path: Path
) -> None:
    task, _, _, _ = cases["ImageClassifier"]
    task.save_pretrained(tmp_path / "net")
    task.push_to_hub("me/net", token=hub.token)
    for source in (tmp_path / "net", str(tmp_path / "net"), "me/net"):
        other = ImageClassifier(num_classes=5, backbone="test_efficientnet", pretrained=source)
        for name, weight in task.backbone.state_dict().items():
            assert torch.equal(weight, other.backbone.state_dict()[name]), name
    (tmp_path / "net" / "flash.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"flash\.json in .* is of another program"):
        ImageClassifier(num_classes=5, backbone="test_efficientnet", pretrained=tmp_path / "net")


@pytest.mark.parametrize("name", ["flash.json", "model.safetensors"])
def test_each_bit_of_a_folder_counts(name: str, cases: dict[str, Case], tmp_path: Path) -> None:
    task = cases["TabularClassifier"][0]
    task.save_pretrained(tmp_path)
    sound, expected = (tmp_path / name).read_bytes(), read_checkpoint(tmp_path)
    rng = np.random.default_rng(0)
    for place in rng.choice(len(sound), 100, replace=False):
        content = bytearray(sound)
        content[place] ^= 1 << int(rng.integers(8))
        (tmp_path / name).write_bytes(bytes(content))
        try:
            found = read_checkpoint(tmp_path)
        except CheckpointError:
            continue
        # Another white space, or a digit behind the precision of a number: text that means the same.
        assert name == "flash.json"
        assert equal(found, expected)
