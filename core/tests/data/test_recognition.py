"""Recognition of raw data, for which nothing is loaded or trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from flash import DataModule
from flash.data.files import FileData, FilePreprocess
from flash.data.recognition import (
    RawData,
    certainty_of_kind,
    is_free_text,
    part_files,
    part_folders,
    recognize_files,
    target_kind,
    words_per_row,
)
from flash.data.targets import NumberTargets
from flash.errors import DataError


class Notes(FilePreprocess):
    extensions = (".note",)
    noun = "note"

    def open_sample(self, source: Any) -> Any:
        return float(len(Path(source).read_text()))


class NoteData(FileData):
    preprocess_cls: ClassVar[type[FilePreprocess]] = Notes


class NumberedNotes(Notes):
    targets_cls = NumberTargets


class NumberedNoteData(FileData):
    preprocess_cls: ClassVar[type[FilePreprocess]] = NumberedNotes


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        (["yes", "no"], "classes", "has 2 different values that are not numbers"),
        ([True, False], "classes", "has 2 different values that are not numbers"),
        ([0, 1, 1, None], "classes", "has only 2 different values"),
        ([0.5, 1.5], "classes", "has only 2 different values"),
        ([0.5, 1.5, 2.5, float("inf"), float("nan")], "numbers", "has numbers with fractions"),
        (["inf", "nan", "1"], "classes", "has 3 different values that are not numbers"),
        (["1", "2", "3"], "classes", "has only 3 different values"),
        ([0.5, 1.5, 2.5], "numbers", "has numbers with fractions"),
        (range(20), "classes", "has only 20 different values"),
        (range(21), "numbers", "has 21 different whole numbers"),
        (["one", "one"], "classes", "has one value"),
        (["1", "two"], "classes", "has 2 different values that are not numbers"),
    ],
)
def test_targets_are_classes_or_numbers_by_their_values(values: Any, kind: str, why: str) -> None:
    assert target_kind(list(values)) == (kind, why)


def test_words_are_counted_in_texts_alone() -> None:
    assert words_per_row(["one two three", None, "one"]) == 2
    assert words_per_row(["one", 2]) == words_per_row([]) == 0
    assert is_free_text(["one two three", "four five six"])
    assert not is_free_text(["one two three"] * 4 + ["four five six"])


def test_a_table_is_read_from_a_path_and_from_memory(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,x\n2,y\n")
    raw = RawData.of(file)
    assert raw.table is not None
    assert (raw.table["b"], raw.table.folder) == (["x", "y"], tmp_path)
    assert RawData.of({"a": [1, 2]}).table is not None
    assert RawData.of(tmp_path).folder == tmp_path


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere.csv", "Expected a table or a folder at nowhere.csv, but there is none"),
        (3, "Expected the path of a table or of a folder, or a data frame, but got int"),
    ],
)
def test_what_is_no_data_says_so(source: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        RawData.of(source)


def make_notes(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("la la")
    return folder


def test_a_folder_per_class_is_recognized(tmp_path: Path) -> None:
    found = NoteData.recognize(RawData.of(make_notes(tmp_path, "high/1.note", "low/2.note", "other/readme.txt")))
    assert found is not None
    assert found.arguments == {"train_folder": str(tmp_path)}
    assert found.why == f"{tmp_path} has 2 folders with notes"
    assert getattr(NoteData, found.constructor)(**found.arguments).labels == ["high", "low"]


def test_folders_of_parts_are_recognized(tmp_path: Path) -> None:
    make_notes(tmp_path, "train/high/1.note", "train/low/2.note", "valid/high/3.note", "Test/low/4.note")
    found = NoteData.recognize(RawData.of(tmp_path))
    assert found is not None
    assert [Path(folder).name for folder in found.arguments.values()] == ["train", "valid", "Test"]
    (tmp_path / "validation").mkdir()
    with pytest.raises(DataError, match="Expected one folder of val data in .*, but found .*valid, .*validation"):
        part_folders(tmp_path)


def test_other_folders_are_not_recognized(tmp_path: Path) -> None:
    make_notes(tmp_path, "only/1.note", "pictures/1.png")
    assert NoteData.recognize(RawData.of(tmp_path)) is None
    assert NumberedNoteData.recognize(RawData.of(make_notes(tmp_path, "more/2.note"))) is None
    assert FileData.recognize(RawData.of(tmp_path)) is None
    assert DataModule.recognize(RawData.of(tmp_path)) is None


def test_a_column_of_files_is_recognized_beside_its_table(tmp_path: Path) -> None:
    make_notes(tmp_path, "1.note", "2.note")
    (tmp_path / "notes.csv").write_text("id,path,pitch\n1,1.note,high\n2,2.note,low\n")
    raw = RawData.of(tmp_path / "notes.csv")
    found = NoteData.recognize(raw, "pitch")
    assert found is not None
    assert found.certainty == 0.9
    assert found.why == (
        "the column path has paths of notes, and the target pitch has 2 different values that are not numbers"
    )
    assert getattr(NoteData, found.constructor)(**found.arguments).labels == ["high", "low"]
    # The data module of the other kind reads it too, but knows that it is not meant.
    other = NumberedNoteData.recognize(raw, "pitch")
    assert other is not None
    assert other.certainty < found.certainty
    assert NoteData.recognize(raw, "nothing") is None
    assert NoteData.recognize(raw) is None


def test_a_column_of_files_that_are_missing_is_not_recognized(tmp_path: Path) -> None:
    assert NoteData.recognize(RawData.of({"path": [str(tmp_path / "1.note")], "pitch": ["high"]}), "pitch") is None


def test_several_targets_are_classes_if_all_are_zeros_and_ones() -> None:
    rows = {"path": ["1.note"], "high": ["1"], "loud": ["0"], "length": ["3"]}
    assert certainty_of_kind(RawData.of(rows), ["high", "loud"], "classes") == (
        1.0,
        "the target high and loud has only 2 different values",
    )
    certainty = certainty_of_kind(RawData.of(rows), ["high", "length"], "numbers")
    assert certainty is not None
    assert certainty[0] == 1.0


def test_a_table_is_read_with_its_separator_encoding_and_decimal_mark(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes("größe|note\n1,5|a,b\n2|3,25\n|".encode("cp1252"))
    raw = RawData.of(file, sep="|", encoding="cp1252", decimal=",")
    table = raw.with_points()
    assert table is not None
    assert dict(table) == {"größe": ["1.5", "2", None], "note": ["a,b", "3.25", None]}
    assert raw.table is not None
    assert raw.table["größe"] == ["1,5", "2", None]
    assert certainty_of_kind(raw, "größe", "numbers") == (0.1, "the target größe has only 2 different values")


def test_a_table_of_values_and_a_folder_have_no_decimal_mark(tmp_path: Path) -> None:
    raw = RawData.of({"price": ["1,5", "2"]}, decimal=",")
    assert raw.cells("price") == ["1,5", "2"]
    assert raw.with_points() == raw.table
    folder = RawData.of(tmp_path, decimal=",")
    assert folder.with_points() is None
    with pytest.raises(DataError, match="Expected a table with a column 'price', but got"):
        folder.cells("price")


def test_a_file_of_its_own_form_is_recognized_alone_and_in_a_folder(tmp_path: Path) -> None:
    for name in ("eng.train", "dev-v1.1.note", "train.csv", "training"):
        (tmp_path / name).write_text("x")
    alone = RawData.of_file(tmp_path / "eng.train")
    assert alone is not None
    assert (alone.table, alone.folder, alone.file) == (None, None, tmp_path / "eng.train")
    assert RawData.of_file(tmp_path) is None
    assert RawData.of_file({"x": [1]}) is None

    def is_note(file: Path) -> bool:
        return file.suffix in (".train", ".note")

    found = recognize_files(alone, "from_notes", is_note, "notes")
    assert found is not None
    assert found.arguments == {"train_file": str(tmp_path / "eng.train")}
    assert found.why == f"{tmp_path / 'eng.train'} has notes"
    whole = recognize_files(RawData.of(tmp_path), "from_notes", is_note, "notes")
    assert whole is not None
    assert whole.arguments == {"train_file": str(tmp_path / "eng.train"), "val_file": str(tmp_path / "dev-v1.1.note")}
    assert recognize_files(RawData.of({"x": [1]}), "from_notes", is_note, "notes") is None
    assert recognize_files(alone, "from_notes", lambda _: False, "notes") is None


def test_two_files_of_one_part_are_an_error_and_none_of_training_no_parts(tmp_path: Path) -> None:
    for name in ("val.note", "dev.note"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match="Expected one file of val data in"):
        part_files(tmp_path, lambda _: True)
    assert part_files(tmp_path, lambda file: file.name == "dev.note") == {}
