"""Files: listed, checked and opened, and a small domain of files; tests/outside has a whole one of recordings."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flash import Task, Trainer
from flash.data.files import (
    FileData,
    FileInputs,
    FilePreprocess,
    list_files,
    local_path,
    table_folder,
)
from flash.data.folders import check_files_exist
from flash.data.inputs import pair_inputs
from flash.data.stage import Stage
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError, DataError, UnknownArgumentError


class Recordings(FilePreprocess):
    """Arrays of whole numbers, cut or repeated to a length."""

    extensions = (".npy",)
    noun = "recording"

    def __init__(self, length: int = 8) -> None:
        self.length = length

    def open_sample(self, source: Any) -> Tensor:
        return torch.from_numpy(np.resize(np.load(source), self.length) / 2**15).float()


class RecordingData(FileData):
    preprocess_cls = Recordings


class Loudness(Recordings):
    targets_cls = NumberTargets


class LoudnessData(FileData):
    preprocess_cls = Loudness


class Listener(Task):
    def __init__(self, num_classes: int, labels: Any = None) -> None:
        loss = torch.nn.functional.cross_entropy
        super().__init__(model=torch.nn.Linear(8, num_classes), loss_fn=loss)


WORDS = ["yes", "no", "yes", "no"]


def record(path: str | Path, value: int) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full(8, value, np.int16))
    return Path(path)


@pytest.fixture
def recordings() -> Path:
    """Four recordings in two class folders, and tables that name them."""
    names = [f"all/{word}/{number}.npy" for number, word in enumerate(WORDS)]
    for number, name in enumerate(names):
        record(name, 1000 * number)
    inner = [name.removeprefix("all/") for name in names]
    with Path("all/t.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("file", "word", "loud"), *zip(inner, WORDS, "0123", strict=True)])
    rows = [{"file": name, "word": word} for name, word in zip(inner, WORDS, strict=True)]
    Path("all/t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Path("all")


def from_folders() -> FileData:
    return RecordingData.from_folders("all")


def from_files() -> FileData:
    return RecordingData.from_files([f"all/{word}/{number}.npy" for number, word in enumerate(WORDS)], WORDS)


def from_urls() -> FileData:
    urls = [Path(f"all/{word}/{number}.npy").absolute().as_uri() for number, word in enumerate(WORDS)]
    return RecordingData.from_files(urls, WORDS)


def from_csv() -> FileData:
    return RecordingData.from_csv("file", "word", "all/t.csv")


def from_json() -> FileData:
    return RecordingData.from_json("file", "word", "all/t.jsonl")


def from_data_frame() -> FileData:
    names = [f"{word}/{number}.npy" for number, word in enumerate(WORDS)]
    return RecordingData.from_data_frame("file", "word", {"file": names, "word": WORDS}, root="all")


WAYS = [from_folders, from_files, from_urls, from_csv, from_json, from_data_frame]


@pytest.mark.parametrize("make", WAYS)
def test_every_way_in_gives_the_same_samples(recordings: Path, make: Callable[[], FileData]) -> None:
    dm = make()
    assert dm.labels == ["no", "yes"]
    assert dm.facts["class_counts"] == [2, 2]
    samples = sorted((round(sound[0].item() * 2**15), target.item()) for sound, target in dm.train_dataset)
    assert samples == [(0, 1), (1000, 0), (2000, 1), (3000, 0)]


@pytest.mark.parametrize("make", WAYS)
def test_a_task_learns_and_predicts_what_it_was_trained_with(
    recordings: Path, make: Callable[[], FileData], trainer_options: dict[str, Any]
) -> None:
    dm = make()
    task = Listener.from_data(dm)
    Trainer(max_epochs=1, **trainer_options).fit(task, dm)
    one = recordings / "yes" / "0.npy"
    for raw in (one, str(one), [one], one.absolute().as_uri()):
        assert len(task.predict(raw)) == 1
    assert len(task.predict(recordings)) == 4
    if make in (from_csv, from_json):
        assert len(task.predict("all/t.csv")) == 4
    if make in (from_csv, from_json, from_data_frame):
        assert len(task.predict({"file": [str(one)] * 2})) == 2


def test_what_was_learned_travels_in_the_state(recordings: Path) -> None:
    learned = from_csv().preprocess
    assert learned is not None
    other = Recordings()
    other.load_state_dict(learned.state_dict())
    assert other.agrees_with(learned)
    assert isinstance(other, Recordings)
    assert other.input_field == "file"
    assert Recordings().state_dict() == {}
    dm = RecordingData.from_csv("file", "word", test_file="all/t.csv", preprocess=other)
    assert [target.item() for _, target in dm.test_dataset] == [1, 0, 1, 0]


def test_each_stage_has_its_data_and_a_part_can_be_split_off(recordings: Path) -> None:
    dm = RecordingData.from_folders("all", "all", "all", "all", batch_size=2)
    assert [len(each) for each in (dm.val_dataset, dm.test_dataset, dm.predict_dataset)] == [4, 4, 4]
    assert dm.predict_dataset[0].shape == (8,)
    split = RecordingData.from_csv("file", "word", "all/t.csv", val_split=0.5, seed=0)
    assert split.facts["class_counts"] == [1, 1]
    assert len(split.val_dataset) == 2


def test_targets_may_be_numbers(recordings: Path) -> None:
    dm = LoudnessData.from_csv("file", "loud", "all/t.csv")
    assert dm.facts == {"num_targets": 1, "target_mean": [1.5], "target_std": [pytest.approx(1.118, abs=1e-3)]}
    assert [target.item() for _, target in dm.train_dataset] == [0, 1, 2, 3]
    assert dm.num_classes is None


def test_columns_of_zeros_and_ones_are_classes(recordings: Path) -> None:
    files = [f"all/{word}/{number}.npy" for number, word in enumerate(WORDS)]
    table: dict[str, list[Any]] = {"file": files, "long": [0, 1, 0, 1], "loud": [1, 1, 0, 0]}
    dm = RecordingData.from_data_frame("file", ["long", "loud"], table)
    assert dm.labels == ["long", "loud"]
    assert dm.train_dataset[1][1].tolist() == [1, 1]


def test_arguments_of_the_preprocess_are_those_of_the_constructors(recordings: Path) -> None:
    dm = RecordingData.from_folders("all", length=5, batch_size=2)
    assert dm.train_dataset[0][0].shape == (5,)
    with pytest.raises(UnknownArgumentError, match=r"from_folders takes, but got 'lenght'\. Did you mean 'length'"):
        RecordingData.from_folders("nowhere", lenght=5)
    with pytest.raises(UnknownArgumentError, match=r"from_csv takes, but got 'seperator'"):
        RecordingData.from_csv("file", "word", "nowhere.csv", seperator=";")
    with pytest.raises(ConfigurationError, match="Expected a preprocess or options that make one, .* and length"):
        RecordingData.from_folders("all", length=5, preprocess=Recordings())


def test_a_file_that_cannot_be_opened_is_named(recordings: Path) -> None:
    Path("all/no/1.npy").write_bytes(b"no array")
    dm = from_folders()
    with pytest.raises(DataError, match=r"Expected a recording that can be opened, but all/no/1\.npy cannot be: Val"):
        _ = dm.train_dataset[0]


def test_files_that_are_missing_are_counted_before_training() -> None:
    record("a.npy", 1)
    with pytest.raises(
        DataError, match=r"Expected 2 recording files in the train data, but 1 of them do not exist.*b\."
    ):
        RecordingData.from_files(["a.npy", "b.npy"], ["x", "y"])
    check_files_exist(["http://host/a.npy", b"bytes"], "train")


def test_sources_and_targets_belong_together() -> None:
    with pytest.raises(DataError, match="train recordings together with train_targets, but got recordings without tar"):
        RecordingData.from_files(["a.npy"])
    with pytest.raises(DataError, match="val samples together with val_targets, but got targets without samples"):
        pair_inputs(Stage.VAL, None, [1])
    with pytest.raises(DataError, match="Expected one target per sample, but got 1 samples and 2 targets"):
        FileInputs(["a.npy"], [1, 2])
    with pytest.raises(DataError, match=r"Expected a sample or target per sample, in a list, but got 'a\.npy' alone"):
        pair_inputs(Stage.TRAIN, "a.npy", [1])


def test_data_without_targets_or_without_what_was_learned_is_refused(recordings: Path) -> None:
    with pytest.raises(DataError, match="Expected target_fields to name the column of targets, but got none"):
        RecordingData.from_csv("file", train_file="all/t.csv")
    with pytest.raises(DataError, match="Expected a target for every recording of the train data, but got none"):
        RecordingData.from_load_data_inputs(FileInputs(["all/no/1.npy"]))
    with pytest.raises(DataError, match="Expected classes that were learned from train data, but there are none yet"):
        _ = RecordingData.from_folders(test_folder="all").test_dataset


def test_a_row_without_a_path_is_named() -> None:
    with pytest.raises(
        DataError, match="a recording in every row of the val data, but row 1 .counted from 0. has none"
    ):
        RecordingData.from_data_frame("file", "word", val_data_frame={"file": ["a", None], "word": ["x", "y"]})


@pytest.mark.parametrize(("raw", "what"), [(7, "int"), (b"bytes", "bytes")])
def test_what_cannot_be_predicted_says_so(recordings: Path, raw: Any, what: str) -> None:
    task = Listener.from_data(from_folders())
    with pytest.raises(DataError, match=f"Expected recordings to predict: a path, .* but got {what}"):
        task.predict(raw)
    with pytest.raises(DataError, match="since the task was not trained on a table and knows no column of them"):
        task.predict({"file": ["a.npy"]})


def test_a_preprocess_must_say_how_a_sample_is_opened(recordings: Path) -> None:
    class Silent(FilePreprocess):
        pass

    dm = FileData.from_files(["all/no/1.npy", "all/yes/0.npy"], ["no", "yes"], preprocess=Silent())
    with pytest.raises(NotImplementedError, match="Silent must override open_sample, which opens one file"):
        _ = dm.train_dataset[0]


def test_no_data_at_all_says_which_arguments_there_are() -> None:
    with pytest.raises(DataError, match="at least one folder: train_folder, val_folder, test_folder or predict_folder"):
        RecordingData.from_folders()
    with pytest.raises(DataError, match="Expected at least one file: train_file, val_file, test_file or predict_file"):
        RecordingData.from_csv("file")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_files_are_sorted_and_found_at_any_depth() -> None:
    touch("f/b.wav", "f/a.WAV", "f/sub/0.wav", "f/.hidden/1.wav", "f/.2.wav")
    assert [str(file) for file in list_files("f", [".wav"])] == ["f/a.WAV", "f/b.wav", "f/sub/0.wav"]
    assert len(list_files("f")) == 3


def test_files_of_other_kinds_are_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    touch("f/a.wav", "f/b.mp3", "f/notes.txt")
    with caplog.at_level(logging.WARNING, "flash.data"):
        assert [file.name for file in list_files("f", [".wav"], "recording")] == ["a.wav"]
    assert caplog.messages == ["Skipped 2 of 3 files in f (no recording by its name): b.mp3, notes.txt."]


def test_a_url_is_downloaded_once() -> None:
    url = record("a.npy", 1).absolute().as_uri()
    path = local_path(url)
    assert path.read_bytes() == Path("a.npy").read_bytes()
    assert path == local_path(url)
    assert path != Path("a.npy").absolute()


def test_paths_in_tables_start_from_the_folder_that_all_files_share() -> None:
    assert table_folder(["a/1.csv", Path("a/2.csv")]) == Path("a")
    assert table_folder(["a/1.csv", "b/2.csv"]) is None
    assert table_folder(object()) is None


@pytest.mark.parametrize("sources", [["a", "b"], ("a", "b"), np.array(["a", "b"]), range(2)])
def test_rows_of_inputs_can_be_taken(sources: Any) -> None:
    inputs = FileInputs(sources, np.array([[1, 0], [0, 1]])).take([1])
    assert [str(source) for source in inputs.sources] == [str(sources[1])]
    assert len(inputs) == 1
    assert inputs.targets.tolist() == [[0, 1]]
    assert FileInputs(sources).take([0]).targets is None


def test_folders_name_classes_and_not_numbers(recordings: Path) -> None:
    for stage in ("train_folder", "val_folder", "valid_folder", "test_folder"):
        with pytest.raises(
            ConfigurationError, match="Expected numbers as targets, but the names of folders are classes"
        ):
            LoudnessData.from_folders(**{stage: "all"})
    data: Any = LoudnessData.from_folders(predict_folder="all").predict_dataset
    assert len(data) == 4
