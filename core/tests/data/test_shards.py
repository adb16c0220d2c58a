"""Rows of shards; the shards need pyarrow, and are tested in test_samples_on_disk.py of all packages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flash.data.files import FileData, FilePreprocess
from flash.data.shards import sample_rows, write_shards
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError, DataError


def test_what_is_missing_is_said_before_a_row_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    rows = iter([{"text": "a"}])
    with pytest.raises(ConfigurationError, match=r"Expected pyarrow, which writes Parquet files"):
        write_shards(rows, tmp_path / "shards")
    assert list(rows) == [{"text": "a"}]
    assert not list(tmp_path.iterdir())


class Notes(FilePreprocess):
    """Files of text that may lie in shards."""

    extensions = (".txt",)
    noun = "note"
    reads_lazily = True

    def open_sample(self, source: Any) -> Tensor:
        return torch.tensor(float(len(source)))


class NoteData(FileData):
    preprocess_cls = Notes


class Stars(Notes):
    targets_cls = NumberTargets


class StarData(FileData):
    preprocess_cls = Stars


@pytest.fixture
def notes(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{row}.txt" for row in range(3)]
    for row, path in enumerate(found):
        path.write_text(f"note {row}")
    return found


CONTENTS = [b"note 0", b"note 1", b"note 2"]


def test_rows_have_the_bytes_of_files_and_the_names_of_classes(notes: list[Path]) -> None:
    data = NoteData.from_files(notes, ["b", "a", "b"])
    rows = list(sample_rows(data, "train"))
    assert [row["note"] for row in rows] == CONTENTS
    assert [row["target"] for row in rows] == ["b", "a", "b"]
    named = list(sample_rows(data, "train", input_field="text", target_fields="kind"))
    assert named == [{"text": row["note"], "kind": row["target"]} for row in rows]


def test_rows_of_several_classes_have_their_names_or_a_column_of_each(notes: list[Path]) -> None:
    data = NoteData.from_files(notes, [["a"], ["a", "b"], []])
    assert [row["target"] for row in sample_rows(data, "train")] == [["a"], ["a", "b"], []]
    columns = [(row["a"], row["b"]) for row in sample_rows(data, "train", target_fields=["a", "b"])]
    assert columns == [(1, 0), (1, 1), (0, 0)]


def test_rows_of_numbers_have_them_in_their_columns(notes: list[Path]) -> None:
    (first, *_) = sample_rows(StarData.from_files(notes, [1.5, 2, 3]), "train")
    assert first == {"note": CONTENTS[0], "target": 1.5}
    several = StarData.from_files(notes, [[1.5, 2], [3, 4], [5, 6]])
    assert next(sample_rows(several, "train", target_fields=["taste", "price"])) == {
        "note": CONTENTS[0],
        "taste": 1.5,
        "price": 2,
    }


def test_bytes_are_stored_as_they_are_and_other_sources_are_refused() -> None:
    preprocess = Notes()
    assert preprocess.stored_source({"bytes": b"abc", "path": None}, "note 0") == b"abc"
    assert preprocess.stored_source(b"abc", "note 0") == b"abc"
    with pytest.raises(DataError, match="Expected bytes or text to store in a shard, but note 3 is a list"):
        preprocess.stored_source([1, 2], "note 3")


def test_samples_that_are_always_in_memory_have_no_rows(notes: list[Path]) -> None:
    class Kept(Notes):
        reads_lazily = False

    class KeptData(FileData):
        preprocess_cls = Kept

    with pytest.raises(
        ConfigurationError, match="Expected data whose samples can be read from shards, which are images"
    ):
        next(sample_rows(KeptData.from_files(notes, ["a", "b", "a"]), "train"))
