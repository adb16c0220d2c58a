"""``flash shard``: the samples of any source as folders of shards, which appear when they are complete."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flash.cli import main as flash
from flash.data import shards
from flash.image import ImageClassificationData, ImageRegressionData
from flash.text import TextClassificationData

CONFIG = {"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures in folders of classes, and a table that names them; the current folder is that of the test."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    table = []
    for row in range(20):
        file = tmp_path / "photos" / ("ants" if row % 2 else "bees") / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(file)
        table.append(
            {"file": str(file), "weight": row / 4, "tags": "a b" if row % 3 else "b", "x": -row, "y": float(row)}
        )
    pd.DataFrame(table).to_csv(tmp_path / "photos.csv", index=False)
    return tmp_path / "photos"


def run(line: str) -> int:
    return flash(shlex.split(line))


def test_a_folder_of_photos_becomes_shards_with_the_same_samples(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(f"shard image/classification --data.train_folder {photos} --data.val_split 0.2 --data.seed 0 -o out") == 0
    )
    printed = capsys.readouterr().out
    assert "16 train rows are written." in printed
    assert "4 val rows are written." in printed
    assert (
        "--data.train_file out/train --data.val_file out/val --data.input_field image --data.target_fields" in printed
    )
    whole = ImageClassificationData.from_folders(train_folder=photos, val_split=0.2, seed=0, data_config=CONFIG)
    stored = ImageClassificationData.from_parquet(
        "image", "target", train_file="out/train", val_file="out/val", in_memory=False, data_config=CONFIG
    )
    assert stored.labels == whole.labels == ["ants", "bees"]
    for one, other in ((stored.train_dataset, whole.train_dataset), (stored.val_dataset, whole.val_dataset)):
        assert len(one) == len(other)
        for row in range(len(one)):
            assert one[row][0].equal(other[row][0])
            assert int(one[row][1]) == int(other[row][1])


def test_numbers_several_numbers_and_several_classes_come_back(photos: Path) -> None:
    source = "--data.train_file photos.csv --data.input_field file"
    options: dict[str, Any] = {"in_memory": False, "data_config": CONFIG}
    assert run(f"shard image/regression {source} --data.target_fields weight -o weights") == 0
    data = ImageRegressionData.from_parquet("file", "weight", train_file="weights/train", **options)
    assert [float(data.train_dataset.raw(row).target) for row in range(20)] == [row / 4 for row in range(20)]
    assert run(f"shard image/regression {source} --data.target_fields '[x, y]' -o points") == 0
    data = ImageRegressionData.from_parquet("file", ["x", "y"], train_file="points/train", **options)
    assert data.train_dataset.raw(7).target.tolist() == [-7.0, 7.0]
    assert run(f"shard image/classification {source} --data.target_fields tags --data.delimiter ' ' -o tags") == 0
    tagged = ImageClassificationData.from_parquet("file", "tags", train_file="tags/train", **options)
    assert (tagged.labels, tagged.multi_label) == (["a", "b"], True)
    assert [tagged.train_dataset.raw(row).target.tolist() for row in (0, 1)] == [[0.0, 1.0], [1.0, 1.0]]


def test_texts_and_pairs_keep_their_columns_and_labels_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {"one": [f"text {row}" for row in range(9)], "other": "reply", "kind": ["001", "1.10", "no"] * 3}
    )
    frame.to_csv("texts.csv", index=False)
    source = "--data.train_file texts.csv --data.target_fields kind"
    assert run(f"shard text/classification {source} --data.input_field one -o single") == 0
    assert run(f"shard text/classification {source} --data.input_field '[one, other]' -o pairs") == 0
    data = TextClassificationData.from_parquet("one", "kind", train_file="single/train", in_memory=False)
    assert data.labels == ["001", "1.10", "no"]
    assert data.train_dataset.raw(3).text == "text 3"
    assert pq.read_schema("pairs/train/00000.parquet").names == ["one", "other", "kind"]


@pytest.mark.process
def test_a_killed_run_leaves_no_folder_and_the_next_one_goes_on(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Photos of complete files are not read again; what is written is what an uninterrupted run writes."""
    line = f"shard image/classification --data.train_folder {photos} --data.val_folder {photos} -o"
    monkeypatch.setattr(shards, "_GROUP_ROWS", 2)
    monkeypatch.setattr(shards, "_SHARD_BYTES", 500)
    assert run(f"{line} whole") == 0
    sizes = []
    stored = ImageClassificationData.preprocess_cls.stored_source

    def noted(self: Any, source: Any, name: str) -> Any:
        with Path("read").open("a") as file:
            file.write("x")
        return stored(self, source, name)

    def killed_after(count: int) -> int:
        process = os.fork()
        if process == 0:  # pragma: no cover  # in the child
            monkeypatch.setattr(ImageClassificationData.preprocess_cls, "stored_source", noted)
            groups = shards._groups

            def killing(*arguments: Any) -> Any:
                for number, group in enumerate(groups(*arguments)):
                    if number == count:
                        os.kill(os.getpid(), signal.SIGKILL)
                    yield group

            monkeypatch.setattr(shards, "_groups", killing)
            try:
                os._exit(run(f"{line} out/photos"))
            finally:
                os._exit(9)
        status = os.waitpid(process, 0)[1]
        sizes.append(len(Path("read").read_text()))
        return status

    lives = 0
    while killed_after(4) == signal.SIGKILL:
        lives += 1
        assert [each.name for each in Path("out").iterdir()] == ["photos.parts"]
    assert lives > 3
    assert [each.name for each in Path("out").iterdir()] == ["photos"]
    assert "The run goes on after what an interrupted one has written to out/photos.parts" in capfd.readouterr().out
    files = {stage: sorted((Path("whole") / stage).iterdir()) for stage in ("train", "val")}
    for stage, found in files.items():
        assert len(found) > 1
        assert [file.name for file in found] == sorted(each.name for each in Path("out/photos", stage).iterdir())
        for file in found:
            assert file.read_bytes() == Path("out/photos", stage, file.name).read_bytes()
    # Each life reads what is left of a file again, and no more.
    assert sizes[-1] <= 40 + lives * 8


def test_other_photos_in_the_folder_of_an_interrupted_run_are_an_error(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shards, "_GROUP_ROWS", 2)
    monkeypatch.setattr(shards, "_SHARD_BYTES", 500)
    line = f"shard image/classification --data.train_folder {photos} -o out"
    first, *_, last = sorted(photos.rglob("*.png"))
    stored = ImageClassificationData.preprocess_cls.stored_source

    def refused(self: Any, source: Any, name: str) -> Any:
        if Path(source) == last:
            raise PermissionError("denied")
        return stored(self, source, name)

    with monkeypatch.context() as patched:
        patched.setattr(ImageClassificationData.preprocess_cls, "stored_source", refused)
        assert run(line) == 2
    assert (
        "Expected a file that can be read, but image 19 of the train data cannot be: denied" in capsys.readouterr().err
    )
    first.write_bytes(last.read_bytes() + b" ")
    assert run(line) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "Expected the rows of the run that was interrupted, to go on after its shards, but some of the rows 0 to"
        in said
    )
    assert "Pass the same ones, or remove out.parts to begin again" in said
    assert not Path("out").exists()


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Expected a task first, as in flash shard image/classification"),
        ("image/classification --data.train_folder photos", "Expected a folder to write the shards to"),
        ("image/classification --data.train_folder photos -o photos", "Expected a folder that does not exist yet"),
        ("image/classification -o out", "Expected data to train on"),
        (
            "tabular/regression --data.train_file photos.csv --data.target_fields weight -o out",
            "Expected data whose samples can be read from shards, which are images or texts with classes or numbers, "
            "but TabularRegressionData has other ones. Tables need no shards",
        ),
    ],
)
def test_what_cannot_be_written_says_so_and_leaves_no_folder(
    arguments: str, message: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"shard {arguments}") == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(each.name for each in photos.parent.iterdir()) == ["photos", "photos.csv"]


def test_masks_and_pixels_are_refused(photos: Path) -> None:
    from flash.errors import ConfigurationError, DataError
    from flash.image import SemanticSegmentationData

    pixels = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    data = ImageClassificationData.from_numpy(pixels, ["a", "b"] * 2)
    with pytest.raises(
        DataError, match="Expected bytes or text to store in a shard, but image 0 of the train data is a"
    ):
        list(shards.sample_rows(data, "train"))
    masks = SemanticSegmentationData.from_numpy(pixels, np.zeros((4, 8, 8), dtype=np.uint8), num_classes=2)
    with pytest.raises(ConfigurationError, match="Expected a class, classes or numbers as the target of each image"):
        list(shards.sample_rows(masks, "train"))


def test_the_help_says_where_data_may_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("shard image/classification --help")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "--data.train_folder (folders)" in printed
    assert "usage: flash shard TASK --data... -o FOLDER" in printed
