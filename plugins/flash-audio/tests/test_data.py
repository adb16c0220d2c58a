"""Recordings with classes from tables and datasets, and names of version 0.x."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flash
from flash.audio import AudioClassificationData, AudioClassifier
from flash.errors import DataError, FlashError, FormerNameError, MissingColumnError, UnknownArgumentError

RATE = 16000


@pytest.fixture
def table(folders: Path) -> Path:
    """A folder with ``train.csv``, ``train.jsonl`` and ``train.parquet`` of the train files and their classes."""
    import pandas as pd

    files = sorted((folders / "train").rglob("*.wav"))
    frame = pd.DataFrame(
        {"file": [str(file.relative_to(folders)) for file in files], "note": [f.parent.name for f in files]}
    )
    frame.to_csv(folders / "train.csv", index=False)
    frame.to_parquet(folders / "train.parquet")
    (folders / "train.jsonl").write_text("\n".join(map(json.dumps, frame.to_dict("records"))))
    return folders


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "data_frame"])
def test_a_table_names_files_beside_it(table: Path, kind: str) -> None:
    import pandas as pd

    ending = {"json": "jsonl", "data_frame": "csv"}.get(kind, kind)
    file: Any = table / f"train.{ending}"
    options: dict[str, Any] = {}
    if kind == "data_frame":
        file, options = pd.read_csv(file), {"recordings_root": table}
    make = getattr(AudioClassificationData, f"from_{kind}")
    data = make("file", "note", file, duration=0.4, **options)
    assert data.labels == ["a", "g"]
    assert len(data.train_dataset) == 12
    sample, _ = data.train_dataset[0]
    assert int(sample["length"]) == 6400


def test_folders_are_classes_and_a_stray_file_is_left_out(folders: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folders / "train" / "a" / "notes.txt").write_text("no recording")
    data = AudioClassificationData.from_folders(folders / "train", folders / "val", predict_folder=folders / "new")
    assert (data.labels, len(data.train_dataset), len(data.val_dataset)) == (["a", "g"], 12, 8)
    assert "Skipped 1 of 13 files" in caplog.text


def test_several_classes_of_a_recording_are_lists(tone: Any) -> None:
    sounds = [tone("a", seed) for seed in range(6)]
    data = AudioClassificationData.from_lists(
        sounds, [["bird", "rain"], ["rain"], ["bird"]] * 2, sample_rate=RATE, duration=0.4
    )
    task = AudioClassifier.from_data(data)
    assert (task.labels, task.multi_label) == (["bird", "rain"], True)


def test_a_validation_split_is_made_of_the_train_recordings(folders: Path) -> None:
    data = AudioClassificationData.from_folders(folders / "train", val_split=0.25, seed=0)
    assert (len(data.train_dataset), len(data.val_dataset)) == (9, 3)


def test_data_of_folders_is_recognized(folders: Path) -> None:
    from flash.data.recognition import RawData

    found = AudioClassificationData.recognize(RawData.of(folders))
    assert found is not None
    assert found.constructor == "from_folders"


def test_an_option_that_nobody_takes_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UnknownArgumentError, match="duration"):
        AudioClassificationData.from_files([], [], durations=3)


def test_a_column_that_is_not_there_lists_those_that_are(table: Path) -> None:
    with pytest.raises(MissingColumnError, match="path"):
        AudioClassificationData.from_csv("path", "note", table / "train.csv")


def test_a_file_of_a_table_that_is_not_there_is_named_before_training(table: Path) -> None:
    (table / "train" / "a" / "0.wav").unlink()
    with pytest.raises(DataError, match=r"Expected 12 recording files .* 1 of them do not exist.*recordings_root"):
        _ = AudioClassificationData.from_csv("file", "note", table / "train.csv").train_dataset


# ---------------------------------------------------------------------- version 0.x


def test_names_of_the_ancestor_lead_here_or_to_a_sentence() -> None:
    from flash.audio.classification.data import AudioClassificationData as Former  # type: ignore[import-not-found,import-untyped,unused-ignore]

    assert Former is AudioClassificationData
    with pytest.raises(FormerNameError, match=r"flash.audio.SpeechRecognition .*Speech is not recognized here"):
        from flash.audio import SpeechRecognition  # type: ignore[attr-defined]  # noqa: F401
    with pytest.raises(FormerNameError, match=r"Speech is not recognized here"):
        from flash.audio.speech_recognition import (  # type: ignore[attr-defined]  # noqa: F401
            SpeechRecognitionData,
        )


def test_arguments_of_the_ancestor_say_what_to_write(folders: Path) -> None:
    with pytest.raises(FlashError, match=r"spectrogram_size.* Write duration=5\.0"):
        AudioClassificationData.from_folders(folders / "train", spectrogram_size=(64, 64))


def test_the_package_names_all_that_it_exports() -> None:
    import flash.audio

    assert all(hasattr(flash.audio, name) for name in flash.audio.__all__)
    with pytest.raises(AttributeError, match="Classifier"):
        _ = flash.audio.Classifier  # type: ignore[attr-defined]  # that is the point


# ---------------------------------------------------------------------- the whole


@pytest.mark.process
def test_the_python_block_of_the_readme_runs(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = flash.Trainer.__init__
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    monkeypatch.setattr(
        flash.Trainer, "__init__", lambda self, **kwargs: make(self, **{**silent, **kwargs, "max_epochs": 1})
    )
    monkeypatch.chdir(folders)
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = [part.partition("```")[0] for part in text.split("```python\n")[1:]]
    world: dict[str, Any] = {}
    exec(block, world)
    assert set(world["task"].predict("new")) <= {"a", "g"}
    assert Path("predictions.png").exists()


def test_a_batch_is_shown_as_spectrograms(tones: Any) -> None:
    data = tones(train=8, val=4)
    figure = data.show_batch("train")
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(shown) == 8
    assert all(np.asarray(each).shape[2] == 3 for each in shown)


def test_recipes_are_tasks_for_the_data(tones: Any) -> None:
    from flash.audio.recipes import audio_cnn_wide

    task = audio_cnn_wide(tones(train=8, val=4))
    assert isinstance(task, AudioClassifier)
    assert task.backbone.blocks[0].conv.out_channels == 32


def test_datasets_of_pairs_and_of_dicts_are_recordings(tone: Any) -> None:
    rows = [
        {"audio": {"array": tone("a", seed), "sampling_rate": RATE, "path": None}, "label": "ag"[seed % 2]}
        for seed in range(4)
    ]
    pairs = [(row["audio"], row["label"]) for row in rows]
    for dataset in (rows, pairs):
        data = AudioClassificationData.from_datasets(dataset, duration=0.4)
        assert data.labels == ["a", "g"]
        assert int(data.train_dataset[3][0]["length"]) == 6400
