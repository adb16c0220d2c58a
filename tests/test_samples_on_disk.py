"""Images and texts in Parquet that stay on disk: the same samples as in memory, shuffled, shared and resumed."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint

import flash
from flash.data import shards, stored_samples
from flash.data.loader import make_loader
from flash.data.shards import write_shards
from flash.data.stage import Stage
from flash.data.stored_samples import StoredSamples, store_samples
from flash.errors import CheckpointError, DataError
from flash.image import ImageClassificationData, ImageClassifier, ImageRegressionData
from flash.testing import in_clean_process
from flash.text import TextClassificationData, TextRegressionData

CONFIG = {"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3}
COLORS = ("blue", "green", "red")


class Tiny(torch.nn.Sequential):
    """A network for images of 8 pixels."""

    num_features = 4

    def __init__(self) -> None:
        pool = torch.nn.AdaptiveAvgPool2d(1)
        super().__init__(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), pool, torch.nn.Flatten())


def images(count: int) -> Iterator[dict[str, Any]]:
    """Small images, sorted by class."""
    random = np.random.default_rng(0)
    for row in range(count):
        color = row * 3 // count
        pixels = random.integers(0, 100, (8, 8, 3), dtype=np.uint8)
        pixels[..., 2 - color] += 120
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        yield {"image": file.getvalue(), "color": COLORS[color], "size": row / 10, "row": row}


def texts(count: int) -> Iterator[dict[str, Any]]:
    for row in range(count):
        yield {"text": f"text {row}", "reply": f"reply {row}", "label": row % 2, "score": float(row), "row": row}


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of 10 rows, several files, and windows of some groups."""
    monkeypatch.setattr(shards, "_GROUP_ROWS", 10)
    monkeypatch.setattr(shards, "_SHARD_BYTES", 10_000)


@pytest.fixture
def image_shards(tmp_path: Path, small_groups: None) -> Path:
    write_shards(images(115), tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture
def text_shards(tmp_path: Path, small_groups: None) -> Path:
    write_shards(texts(95), tmp_path / "texts")
    return tmp_path / "texts"


def image_data(path: Path, in_memory: bool = False, **options: Any) -> ImageClassificationData:
    options = {"seed": 0, "batch_size": 8, "data_config": CONFIG, **options}
    return ImageClassificationData.from_parquet("image", "color", train_file=path, in_memory=in_memory, **options)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(torch.equal(one[name], other[name]) for name in one)
    return torch.equal(one, other)


def test_images_on_disk_are_those_in_memory(image_shards: Path) -> None:
    assert len(list(image_shards.iterdir())) > 1
    stored, whole = (image_data(image_shards, in_memory, val_split=0.2) for in_memory in (False, True))
    assert isinstance(stored.train_dataset.samples._sources, StoredSamples)
    assert not isinstance(whole.train_dataset.samples._sources, StoredSamples)
    assert stored.facts == whole.facts
    assert stored.labels == list(COLORS)
    for one, other in ((stored.train_dataset, whole.train_dataset), (stored.val_dataset, whole.val_dataset)):
        assert len(one) == len(other)
        assert one.ids_of(range(len(one))) == other.ids_of(range(len(other)))
        assert all(torch.equal(one[row][0], other[row][0]) for row in range(len(one)))
        assert [int(one[row][1]) for row in range(len(one))] == [int(other[row][1]) for row in range(len(other))]


def test_texts_on_disk_are_tokenized_with_their_batch_as_those_in_memory(text_shards: Path) -> None:
    from flash.text.samples import TokenizerConfig

    config = TokenizerConfig(lambda texts: [[ord(letter) for letter in text] for text in texts], max_length=20)
    stored, whole = (
        TextClassificationData.from_parquet(
            "text", "label", train_file=text_shards, predict_file=text_shards, in_memory=in_memory, batch_size=8, seed=0
        )
        for in_memory in (False, True)
    )
    for data in (stored, whole):
        data.connect(config)
    assert stored.facts == whole.facts
    rows = list(range(7, 20))
    inputs, targets = stored.train_dataset.batch(rows)
    wanted, wanted_targets = whole.train_dataset.batch(rows)
    assert same(inputs, wanted)
    assert torch.equal(targets, wanted_targets)
    assert same(stored.predict_dataset.batch(rows), whole.predict_dataset.batch(rows))
    assert stored.train_dataset.display([3]) == whole.train_dataset.display([3]) == ["text 3"]


def test_pairs_of_texts_stay_on_disk(text_shards: Path) -> None:
    data = TextRegressionData.from_parquet(["text", "reply"], "score", train_file=text_shards, in_memory=False, seed=0)
    assert data.train_dataset.raw(4).text == ("text 4", "reply 4")
    assert data.train_dataset.display([4]) == [{"text": "text 4", "reply": "reply 4"}]
    assert data.facts["target_mean"] == [47.0]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.process)])
@pytest.mark.parametrize("processes", [1, 2])
def test_each_row_comes_once_shared_out_and_a_resumed_epoch_goes_on(
    image_shards: Path, workers: int, processes: int
) -> None:
    found = store_samples(image_shards, ["image", "row"], in_memory=False)
    assert found is not None
    dataset = flash.data.auto_dataset.AutoDataset(found[0], Stage.TRAIN, _Rows())

    def loader(rank: int) -> Any:
        shard = (rank, processes)
        options: dict[str, Any] = {"batch_size": 8, "num_workers": workers, "shard": shard, "persistent_workers": False}
        return make_loader(dataset, Stage.TRAIN, None, **options)

    rows = []
    for rank in range(processes):
        one, state, later = loader(rank), {}, []
        for number, batch in enumerate(one):
            rows += batch
            if number == 2:
                state = one.state_dict()
            elif number > 2:
                later.append(batch)
        resumed = loader(rank)
        resumed.load_state_dict(state)
        assert list(resumed) == later
        assert list(one) != [*later]  # the next epoch has another order
    assert sorted(set(rows)) == list(range(115))
    assert len(rows) == 115 + (115 % processes)  # both processes have as many
    assert rows != sorted(rows)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.process)])
@pytest.mark.parametrize("processes", [1, 2])
def test_each_worker_of_each_process_reads_the_bytes_of_its_own_row_groups(
    image_shards: Path, workers: int, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pq.ParquetFile.read_row_group

    def noted(self: Any, number: int, **options: Any) -> Any:
        with (tmp_path / "bytes").open("a") as file:  # of workers too
            file.write(f"{self.metadata.row_group(number).total_byte_size}\n")
        return read(self, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    files = [pq.ParquetFile(file).metadata for file in image_shards.iterdir()]
    sizes = [file.row_group(group).total_byte_size for file in files for group in range(file.num_row_groups)]
    readers = processes * max(1, workers)

    def bytes_of_an_epoch(groups_of_window: int) -> int:
        (tmp_path / "bytes").write_text("")
        rows: list[int] = []
        for rank in range(processes):
            found = store_samples(image_shards, ["image", "row"], in_memory=False)
            assert found is not None
            found[0]._groups_kept = groups_of_window
            dataset = flash.data.auto_dataset.AutoDataset(found[0], Stage.TRAIN, _Rows())
            options: dict[str, Any] = {"batch_size": 8, "num_workers": workers, "shard": (rank, processes)}
            for batch in make_loader(dataset, Stage.TRAIN, None, **options):
                rows += batch
        assert set(rows) == set(range(115))
        return sum(map(int, (tmp_path / "bytes").read_text().split()))

    # Two neighbors read the row group at their bound.
    assert sum(sizes) <= bytes_of_an_epoch(3) <= sum(sizes) + 2 * (readers - 1) * max(sizes)
    # Of one window, each reads all, which keeps its rows mixed.
    assert bytes_of_an_epoch(12) > 0.9 * readers * sum(sizes)


def test_processes_evaluate_the_row_groups_of_their_own(image_shards: Path) -> None:
    found = store_samples(image_shards, ["row"], in_memory=False)
    assert found is not None
    dataset = flash.data.auto_dataset.AutoDataset(found[0], Stage.VAL, flash.Preprocess())
    rows = []
    for rank in range(2):
        loader = make_loader(dataset, Stage.VAL, None, batch_size=8, shard=(rank, 2))
        rows.append([int(row) for batch in loader for row in batch])
    assert rows == [list(range(58)), list(range(58, 115))]


@pytest.mark.parametrize("stage", [Stage.VAL, Stage.PREDICT])
@pytest.mark.parametrize(("workers", "processes"), [(2, 1), (3, 2), (2, 3)])
@pytest.mark.process
def test_workers_evaluate_and_predict_the_row_groups_of_their_own(
    image_shards: Path, stage: Stage, workers: int, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pq.ParquetFile.read_row_group

    def noted(self: Any, number: int, **options: Any) -> Any:
        with (tmp_path / "reads").open("a") as file:  # of workers too
            file.write("x")
        return read(self, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    groups = sum(pq.read_metadata(file).num_row_groups for file in image_shards.iterdir())

    def reads(in_any_order: bool) -> int:
        (tmp_path / "reads").write_text("")
        rows: list[int] = []
        for rank in range(processes):
            found = store_samples(image_shards, ["image", "row"], in_memory=False)
            assert found is not None
            dataset = flash.data.auto_dataset.AutoDataset(found[0], stage, _Rows())
            options: dict[str, Any] = {"num_workers": workers, "in_any_order": in_any_order}
            loader = make_loader(dataset, stage, None, batch_size=8, shard=(rank, processes), **options)
            batches = list(loader)
            assert batches == [list(batch) for batch in loader.batch_sampler or ()]
            assert in_any_order == (batches != sorted(batches))
            rows += chain.from_iterable(batches)
        assert sorted(rows) == list(range(115))
        return len((tmp_path / "reads").read_text())

    # Two neighbors read the row group at their bound.
    assert groups <= reads(in_any_order=True) <= groups + workers * processes - 1
    assert reads(in_any_order=False) > 1.3 * groups


@pytest.mark.process
def test_a_trainer_predicts_with_workers_in_the_order_of_the_files(image_shards: Path, tmp_path: Path) -> None:
    def data(workers: int) -> ImageClassificationData:
        options: dict[str, Any] = {"val_file": image_shards, "predict_file": image_shards, "num_workers": workers}
        return image_data(image_shards, persistent_workers=False, **options)

    task = ImageClassifier.from_data(data(0), backbone=Tiny())
    trainer = flash.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    whole, shared = data(0), data(2)
    wanted = trainer.predict(task, datamodule=whole, output="probabilities")
    assert trainer.predict(task, datamodule=shared, output="probabilities") == wanted
    batches = [list(batch) for batch in trainer.predict_dataloaders.batch_sampler]
    assert batches[:2] == [list(range(8)), list(range(64, 72))]
    for name, source in (("whole", whole), ("shared", shared)):
        trainer.predict(task, datamodule=source, output="probabilities", to=tmp_path / f"{name}.parquet")
    one, other = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("whole", "shared"))
    assert other.equals(one)
    # Each worker's rows are a block, whatever the size of a batch.
    assert [pq.read_metadata(tmp_path / f"{name}.parquet").num_row_groups for name in ("whole", "shared")] == [1, 2]
    scores, again = (trainer.validate(task, datamodule=source, verbose=False)[0] for source in (whole, shared))
    assert again == pytest.approx(scores, rel=1e-6)
    # What a limit takes is what comes first.
    trainer.limit_predict_batches = 2
    first = trainer.predict(task, datamodule=shared, output="probabilities")
    assert first == wanted[:2]


@pytest.mark.process
def test_two_processes_with_two_workers_each_predict_and_validate_each_row_once(
    image_shards: Path, tmp_path: Path
) -> None:
    def data(workers: int) -> ImageClassificationData:
        options: dict[str, Any] = {"val_file": image_shards, "predict_file": image_shards, "num_workers": workers}
        return image_data(image_shards, persistent_workers=False, **options)

    task = ImageClassifier.from_data(data(0), backbone=Tiny())
    silent: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    one = flash.Trainer(accelerator="cpu", **silent)
    two = flash.Trainer(accelerator="cpu", devices=2, strategy="ddp_fork", **silent)
    wanted, found = (
        list(chain.from_iterable(trainer.predict(task, datamodule=data(workers), output="probabilities") or []))
        for trainer, workers in ((one, 0), (two, 2))
    )
    assert np.allclose(found, wanted, atol=1e-6)
    for name, trainer, workers in (("one", one, 0), ("two", two, 2)):
        trainer.predict(task, datamodule=data(workers), output="labels", to=tmp_path / f"{name}.jsonl")
    assert (tmp_path / "two.jsonl").read_text() == (tmp_path / "one.jsonl").read_text()
    scores, again = (
        trainer.validate(task, datamodule=data(workers), verbose=False)[0] for trainer, workers in ((one, 0), (two, 2))
    )
    assert again == pytest.approx(scores, rel=1e-5)


class _Rows(flash.Preprocess):
    def load_data(self, data: Any, dataset: Any) -> Any:
        return data

    def load_sample(self, sample: Any, dataset: Any) -> int:
        return int(sample[1])

    def collate(self, samples: Any) -> Any:
        return [int(sample) for sample in samples]

    def to_tensor_transform(self, sample: Any) -> Any:
        return sample


def test_sorted_rows_are_mixed_and_each_group_is_read_once(image_shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = store_samples(image_shards, ["row"], in_memory=False)
    assert found is not None
    samples = found[0]
    samples._groups_kept = 4
    read: list[int] = []
    group = pq.ParquetFile.read_row_group

    def noted(self: Any, number: int, **options: Any) -> Any:
        read.append(number)
        return group(self, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    dataset = flash.data.auto_dataset.AutoDataset(samples, Stage.TRAIN, flash.Preprocess())
    batches = [batch.long().tolist() for batch in make_loader(dataset, Stage.TRAIN, None, batch_size=8)]
    assert len(read) == 12
    assert len(samples._groups) <= 4
    assert sorted(chain.from_iterable(batches)) == list(range(115))
    # The rows of a batch are of several groups.
    assert np.mean([len({row // 10 for row in batch}) for batch in batches]) > 2.5


def test_a_split_and_another_process_read_the_same(image_shards: Path) -> None:
    found = store_samples(image_shards, ["row"], in_memory=False)
    assert found is not None
    samples = found[0]
    odd = samples.take(range(1, 115, 2))
    assert list(odd[20:23]) == [41, 43, 45]
    assert list(pickle.loads(pickle.dumps(odd))) == list(range(1, 115, 2))
    bounds = odd.windows.rows_of_block
    assert isinstance(bounds, torch.Tensor)
    assert bounds.tolist() == [*range(0, 56, 5), 57]
    assert samples[-1] == 114
    with pytest.raises(IndexError):
        samples[115]
    with pytest.raises(DataError, match=r"Expected rows of .* in the order of its files, each once"):
        samples.take([3, 1])


@pytest.mark.train
def test_an_interrupted_training_equals_the_whole_one(image_shards: Path, tmp_path: Path) -> None:
    def run(callback: Any, ckpt_path: Path | None = None) -> list[torch.Tensor]:
        torch.manual_seed(0)
        data = image_data(image_shards)
        task = ImageClassifier.from_data(data, backbone=Tiny(), optimizer="SGD", learning_rate=0.1)
        trainer = flash.Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_progress_bar=False, callbacks=[callback]
        )
        trainer.fit(task, data, ckpt_path=None if ckpt_path is None else str(ckpt_path))
        return [weight.detach().clone() for weight in task.parameters()]

    whole = run(ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1))
    for step in (7, 20):
        resumed = run(ModelCheckpoint(tmp_path / "again"), tmp_path / f"step={step}.ckpt")
        assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_numbers_and_a_val_file_and_bytes_in_dicts(tmp_path: Path, small_groups: None) -> None:
    rows = [{**row, "image": {"bytes": row["image"], "path": f"{row['row']}.png"}} for row in images(30)]
    write_shards(rows, tmp_path / "train")
    write_shards(rows[:12], tmp_path / "val")
    options: dict[str, Any] = {"in_memory": False, "data_config": CONFIG}
    data = ImageRegressionData.from_parquet(
        "image", "size", train_file=tmp_path / "train", val_file=tmp_path / "val", **options
    )
    assert data.facts["target_mean"] == [pytest.approx(1.45)]
    assert len(data.val_dataset) == 12
    assert data.val_dataset[11][1] == pytest.approx(1.1)


# ---------------------------------------------------------------------- errors


def test_row_groups_that_are_too_large_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame(list(images(60))).to_parquet(tmp_path / "rows.parquet", row_group_size=30)
    monkeypatch.setattr(stored_samples, "WINDOW_BYTES", 10_000)
    with pytest.raises(DataError, match=r"Expected row groups of at most 0 MB .* Write the rows again with .*shards"):
        image_data(tmp_path / "rows.parquet")
    monkeypatch.setattr(stored_samples, "LARGE_BYTES", 10)
    assert store_samples(tmp_path / "rows.parquet", ["image"]) is None  # read into memory


def test_large_samples_stay_on_disk_by_themselves(image_shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_samples(image_shards, ["image"]) is None
    monkeypatch.setattr(stored_samples, "LARGE_BYTES", 10_000)
    data = ImageClassificationData.from_parquet("image", "color", train_file=image_shards)
    assert isinstance(data.train_dataset.samples._sources, StoredSamples)


def test_missing_values_and_columns_are_errors(tmp_path: Path) -> None:
    frame = pd.DataFrame(list(texts(20)))
    frame.loc[3, "text"] = None
    frame.to_parquet(tmp_path / "rows.parquet")
    options: dict[str, Any] = {"train_file": tmp_path / "rows.parquet", "in_memory": False}
    with pytest.raises(DataError, match=r"Expected a value in each row of 'text' .* but 1 of 20 have none"):
        TextClassificationData.from_parquet("text", "label", **options)
    with pytest.raises(DataError, match=r"Expected 'words' in .* but it has the columns 'text', 'reply'"):
        TextClassificationData.from_parquet("words", "label", **options)
    with pytest.raises(DataError, match=r"Expected a column 'kind' in .* but it has 'text', 'reply'"):
        TextClassificationData.from_parquet("reply", "kind", **options)


def test_a_missing_value_that_no_statistics_tell_is_found_when_it_is_read(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", None], "label": [0, 1]})
    pq.write_table(table, tmp_path / "rows.parquet", write_statistics=False)
    found = store_samples(tmp_path / "rows.parquet", ["text"], in_memory=False)
    assert found is not None
    with pytest.raises(DataError, match=r"Expected a value in each row of 'text' .* row 1 \(counted from 0\) has none"):
        found[0][1]


def test_a_file_that_changes_is_an_error(image_shards: Path) -> None:
    found = store_samples(image_shards, ["row"], in_memory=False)
    assert found is not None
    first = min(image_shards.iterdir())
    pq.write_table(pq.read_table(first).slice(0, 5), first, row_group_size=5)
    with pytest.raises(
        DataError, match=r"to stay as it is while it is used, but row group 0 had 10 rows and now has 5"
    ):
        found[0][0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "Expected rows to write as shards, but there are none"),
        ([{"a": 1}, {"b": 1}], r"Expected the columns 'a' in each row, but row 1 \(counted from 0\) has 'b'"),
        (["text"], r"Expected a dict of columns in each row, but row 0 \(counted from 0\) has a str"),
        ([{"a": 1}, {"a": "x"}], r"Expected values of one type in each column, but in rows 0 to 1"),
    ],
)
def test_rows_that_are_no_shards_leave_no_folder(rows: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        write_shards(rows, tmp_path / "shards")
    assert not list(tmp_path.iterdir())


def test_shards_appear_when_they_are_complete_and_replace_none(tmp_path: Path, small_groups: None) -> None:
    def interrupted() -> Iterator[dict[str, Any]]:
        yield from texts(30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(interrupted(), tmp_path / "shards")
    assert not list(tmp_path.iterdir())
    assert write_shards(texts(30), tmp_path / "shards") == 30
    with pytest.raises(
        CheckpointError, match="Expected a folder that does not exist yet, or is empty, as the new folder"
    ):
        write_shards(texts(10), tmp_path / "shards")
    assert pq.read_table(tmp_path / "shards").num_rows == 30


PROGRAM = """
import resource
from pathlib import Path
import torch, flash
from flash.image import ImageClassificationData
from flash.data.stage import Stage

def value(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

config = {"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3}
def run(path):
    data = ImageClassificationData.from_parquet(
        "image", "label", train_file=path, in_memory=False, data_config=config, val_split=0.1, seed=0)
    return len(data.train_dataset), sum(len(targets) for _, targets in data.train_dataloader())

run(warm)
limit = value("VmData") + ceiling
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
result = run(path)
"""


@pytest.mark.slow
@pytest.mark.process
def test_a_gigabyte_of_images_is_read_shuffled_under_a_ceiling_of_memory(tmp_path: Path) -> None:
    """400 MB of private memory, which the system enforces: a window takes 128 MB."""
    random = np.random.default_rng(0)

    def rows(count: int) -> Iterator[dict[str, Any]]:
        for row in range(count):
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 255, (128, 128, 3), dtype=np.uint8)).save(file, "BMP")
            yield {"image": file.getvalue(), "label": row % 3}

    write_shards(rows(300), tmp_path / "warm")
    write_shards(rows(20_000), tmp_path / "many")
    size = sum(file.stat().st_size for file in (tmp_path / "many").iterdir())
    found = in_clean_process(tmp_path, PROGRAM, warm=tmp_path / "warm", path=tmp_path / "many", ceiling=400_000_000)
    assert size > 950_000_000
    assert tuple(found) == (18_000, 18_000)
