"""Streaming datasets of the library datasets: each row once, shared out, resumed, in memory that does not grow."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import IterableDataset

import flash
from flash.data.shards import write_shards
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.image import ImageClassificationData, ImageClassifier, ImageRegressionData
from flash.testing import in_clean_process
from flash.text import TextClassificationData, TextRegressionData
from flash.text.samples import TokenizerConfig

datasets: Any = importlib.import_module("datasets")  # which has no types

CONFIG = {"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3}
NUMBERS = TokenizerConfig(lambda texts: [[int(text.split()[1]) + 1] for text in texts], max_length=4)
ROWS = 83


class Tiny(torch.nn.Sequential):
    """A network for images of 8 pixels."""

    num_features = 4

    def __init__(self) -> None:
        pool = torch.nn.AdaptiveAvgPool2d(1)
        super().__init__(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), pool, torch.nn.Flatten())


@pytest.fixture
def texts(tmp_path: Path) -> Any:
    """A stream of JSON Lines in three files, sorted by class."""
    rows = [{"text": f"row {row}", "kind": "ab"[row > 50], "score": row / 2, "more": [row]} for row in range(ROWS)]
    for part in range(3):
        lines = [json.dumps(row) for row in rows[part * 30 : part * 30 + 30]]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(lines))
    files = [str(tmp_path / f"{part}.jsonl") for part in range(3)]
    return datasets.load_dataset("json", data_files=files, split="train", streaming=True)


def encoded(row: int) -> bytes:
    """An image that shows its row."""
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), row, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> Any:
    """A stream of Parquet in two files, with images and named classes."""
    for part in range(2):
        rows = range(part * 50, min(ROWS, part * 50 + 50))
        write_shards(
            ({"image": encoded(row), "label": row % 3, "size": row / 2} for row in rows), tmp_path / f"p{part}"
        )
    files = [str(tmp_path / f"p{part}" / "00000.parquet") for part in range(2)]
    stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    stream = stream.cast_column("image", datasets.Image())
    return stream.cast_column("label", datasets.ClassLabel(names=["a", "b", "c"]))


def text_data(stream: Any, **options: Any) -> TextClassificationData:
    data = TextClassificationData.from_datasets("text", "kind", train_dataset=stream, **{"batch_size": 8, **options})
    data.connect(NUMBERS)
    return data


def image_data(stream: Any, **options: Any) -> ImageClassificationData:
    options = {"batch_size": 8, "data_config": CONFIG, "persistent_workers": False, **options}
    return ImageClassificationData.from_datasets(stream, **options)


def rows_of(batch: Any) -> list[int]:
    """The rows that are in a batch of texts or of images."""
    inputs = batch[0]
    if isinstance(inputs, dict):
        return [int(ids[0]) - 1 for ids in inputs["input_ids"]]
    return [int(image[0, 0, 0]) for image in inputs]


class Place:
    """As much of a trainer as a data module asks for: a process of several."""

    def __init__(self, rank: int, processes: int) -> None:
        self.global_rank, self.world_size = rank, processes
        self.fit_loop = self.epoch_progress = self.current = self
        self.processed = 0


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.process)])
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("kind", ["texts", "images"])
def test_each_row_comes_once_and_an_epoch_is_resumed_in_its_middle(
    kind: str, processes: int, workers: int, request: pytest.FixtureRequest
) -> None:
    make = text_data if kind == "texts" else image_data
    stream = request.getfixturevalue(kind)

    def loader(rank: int) -> Any:
        data: Any = make(stream, num_workers=workers)
        data.trainer = Place(rank, processes)
        return data.train_dataloader()

    found = []
    for rank in range(processes):
        one = loader(rank)
        batches: list[list[int]] = []
        state: dict[str, Any] = {}
        for number, batch in enumerate(one, 1):
            batches.append(rows_of(batch))
            state = one.state_dict() if number == 3 else state
        resumed = loader(rank)
        resumed.load_state_dict(state)
        assert [rows_of(batch) for batch in resumed] == batches[3:]
        assert [rows_of(batch) for batch in resumed] == batches
        found.append(batches)
    alone = [list(range(start, min(start + 8, ROWS))) for start in range(0, ROWS, 8)]
    together = [batch for pair in zip(*found, strict=True) for batch in pair]
    # In training, each process has as many batches: the first one serves again where they do not fill up.
    assert together == alone + alone[: -len(alone) % processes]


def test_classes_and_numbers_are_learned_in_one_pass(texts: Any, images: Any) -> None:
    data = text_data(texts)
    assert (data.labels, data.num_classes, data.facts["class_counts"]) == (["a", "b"], 2, [51, 32])
    _, targets = next(iter(data.train_dataloader()))
    assert targets.tolist() == [0] * 8
    numbers = TextRegressionData.from_datasets("text", "score", train_dataset=texts)
    whole = TextRegressionData.from_datasets("text", "score", train_dataset=texts, in_memory=True)
    assert numbers.facts["target_mean"] == pytest.approx(whole.facts["target_mean"])
    assert numbers.facts["target_std"] == pytest.approx(whole.facts["target_std"])
    sizes = ImageRegressionData.from_datasets(images, target_fields="size", data_config=CONFIG)
    assert sizes.facts["target_mean"] == [pytest.approx((ROWS - 1) / 4)]


def test_named_classes_need_no_pass(images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    iterate = datasets.IterableDataset.iter

    def noted(self: Any, **options: Any) -> Iterator[Any]:
        for batch in iterate(self, **options):
            read.append(len(batch["label"]))
            yield batch

    monkeypatch.setattr(datasets.IterableDataset, "iter", noted)
    data = image_data(images)
    assert (data.labels, data.num_classes) == (["a", "b", "c"], 3)
    assert "class_counts" not in data.facts
    assert sum(read) < ROWS + 64  # the first rows, to see their columns
    assert next(iter(data.train_dataloader()))[1].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_stream_that_shuffles_has_another_order_in_each_epoch_also_after_a_checkpoint(texts: Any) -> None:
    stream = texts.shuffle(seed=3, buffer_size=40)
    data = text_data(stream)
    loader: Any = data.train_dataloader()
    epochs: list[list[list[int]]] = []
    state: dict[str, Any] = {}
    for _ in range(3):
        batches = []
        for number, batch in enumerate(loader, 1):
            batches.append(rows_of(batch))
            state = loader.state_dict() if number == 2 and len(epochs) == 1 else state
        epochs.append(batches)
    assert epochs[0] != epochs[1] != epochs[2]
    assert all(sorted(sum(batches, [])) == list(range(ROWS)) for batches in epochs)  # noqa: RUF017  # few
    resumed: Any = text_data(stream).train_dataloader()
    resumed.load_state_dict(state)
    assert [rows_of(batch) for batch in resumed] == epochs[1][2:]


@pytest.mark.train
def test_an_interrupted_training_equals_the_whole_one(images: Any, tmp_path: Path) -> None:
    stream = images.shuffle(seed=0, buffer_size=30)

    def run(callback: Any = None, ckpt_path: Path | None = None) -> list[torch.Tensor]:
        torch.manual_seed(0)
        data = image_data(stream)
        task = ImageClassifier.from_data(data, backbone=Tiny(), optimizer="SGD", learning_rate=0.1)
        trainer = flash.Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_progress_bar=False, callbacks=callback
        )
        trainer.fit(task, data, ckpt_path=None if ckpt_path is None else str(ckpt_path))
        return [weight.detach().clone() for weight in task.parameters()]

    whole = run([ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)])
    for step in (4, 15):
        resumed = run([ModelCheckpoint(tmp_path / "again")], tmp_path / f"step={step}.ckpt")
        assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_streams_are_predicted_with_their_names(images: Any) -> None:
    data = ImageClassificationData.from_datasets(images, predict_dataset=images, data_config=CONFIG, batch_size=20)
    batches = list(data.predict_dataloader())
    assert [int(image[0, 0, 0]) for batch in batches for image in batch] == list(range(ROWS))
    broken = images.map(lambda row: {"image": {"bytes": b"x", "path": None}, "label": row["label"]}, features=None)
    data = image_data(broken, target_fields="label")
    with pytest.raises(DataError, match=r"image 0 of the train data"):
        next(iter(data.train_dataloader()))


def test_a_stream_that_is_read_into_memory_is_split_and_shuffled(texts: Any, images: Any) -> None:
    data = text_data(texts, in_memory=True, val_split=0.2, seed=0)
    assert len(data.train_dataset) + len(data.val_dataset) == ROWS
    pictures = image_data(images, in_memory=True, val_split=0.2, seed=0)
    assert len(pictures.train_dataset) + len(pictures.val_dataset) == ROWS
    assert pictures.labels == ["a", "b", "c"]


class Pairs(IterableDataset[Any]):
    """A stream of torch, of an image and its class."""

    def __iter__(self) -> Iterator[Any]:
        yield from ((encoded(row), "xy"[row % 2]) for row in range(20))


def test_streams_of_torch_are_read_too(texts: Any) -> None:
    data = image_data(Pairs())
    assert data.labels == ["x", "y"]
    assert [row for batch in data.train_dataloader() for row in rows_of(batch)] == list(range(20))
    pairs = TextClassificationData.from_datasets(["text", "kind"], "kind", train_dataset=texts)
    assert next(iter(pairs.train_dataset)).text == ("row 0", "a")


# ---------------------------------------------------------------------- errors


def test_what_a_stream_cannot_do_is_said(texts: Any, images: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Expected texts with a length to split some off, but got a stream"):
        text_data(texts, val_split=0.2)
    with pytest.raises(ConfigurationError, match=r"Expected on_bad_sample='error' for train data that comes in"):
        image_data(images, on_bad_sample="skip")
    with pytest.raises(DataError, match=r"Expected the whole stream as the train data, whose rows are shared out"):
        text_data(importlib.import_module("datasets.distributed").split_dataset_by_node(texts, rank=0, world_size=2))
    with pytest.raises(MissingColumnError, match=r"Expected a column 'words' in the train data, but it has 'text'"):
        TextClassificationData.from_datasets("words", "kind", train_dataset=texts)
    with pytest.raises(DataError, match=r"Expected at least one"):
        text_data(texts.take(0))


def test_missing_targets_and_unknown_classes_are_errors(texts: Any) -> None:
    some = texts.map(lambda row: {**row, "kind": None if row["text"] == "row 7" else row["kind"]})
    with pytest.raises(DataError, match=r"Expected a target for every sample of the train data, but 1 of 64 have none"):
        text_data(some)
    data = TextClassificationData.from_datasets("text", "kind", texts.take(60), val_dataset=texts.map(_renamed))
    data.connect(NUMBERS)
    with pytest.raises(DataError, match=r"among those of the train data \('a', 'b'\), but got 'z'"):
        next(iter(data.val_dataloader()))


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "kind": "z"}


def test_too_many_different_targets_are_no_classes(texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from flash.data import labels

    monkeypatch.setattr(labels, "_MOST_CLASSES", 50)
    with pytest.raises(DataError, match=r"Expected classes as targets of the train data, but got more than 50"):
        TextClassificationData.from_datasets("text", "text", train_dataset=texts)


PROGRAM = """
import resource
from pathlib import Path
import datasets
from flash.text import TextClassificationData
from flash.text.samples import TokenizerConfig

def value(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

config = TokenizerConfig(lambda texts: [[1, 2] for text in texts], max_length=4)
def run(path):
    stream = datasets.load_dataset("parquet", data_files=str(path / "*.parquet"), split="train", streaming=True)
    data = TextClassificationData.from_datasets("text", "label", train_dataset=stream, batch_size=256)
    data.connect(config)
    return sum(len(targets) for _, targets in data.train_dataloader())

run(warm)
limit = value("VmData") + ceiling
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
result = run(path)
"""


@pytest.mark.slow
@pytest.mark.process
def test_memory_does_not_grow_with_a_stream(tmp_path: Path) -> None:
    """150 MB of private memory, which the system enforces, for texts of 500 MB."""
    words = " ".join(str(number) for number in range(500))

    def rows(count: int) -> Iterator[dict[str, Any]]:
        return ({"text": f"{row} {words}", "label": row % 5} for row in range(count))

    write_shards(rows(3_000), tmp_path / "warm")
    write_shards(rows(260_000), tmp_path / "many")
    found = in_clean_process(tmp_path, PROGRAM, warm=tmp_path / "warm", path=tmp_path / "many", ceiling=150_000_000)
    assert found == 260_000


@pytest.mark.process
def test_the_epoch_is_set_once_for_all_workers(texts: Any) -> None:
    # Workers share the epoch of a stream of the library, and each of them once added to it.
    data: Any = text_data(texts, num_workers=2)
    data.trainer = Place(0, 1)
    loader = data.train_dataloader()
    alone: Any = text_data(texts)
    alone.trainer = Place(0, 1)
    other = alone.train_dataloader()
    for _ in range(6):
        assert [rows_of(batch) for batch in loader] == [rows_of(batch) for batch in other]


def test_samples_that_are_not_trained_on_stay_in_their_order(texts: Any) -> None:
    data: Any = text_data(texts, val_dataset=texts)
    data.trainer = Place(0, 1)
    loader = data.val_dataloader()
    for _ in range(4):
        assert [row for batch in loader for row in rows_of(batch)] == list(range(ROWS))
