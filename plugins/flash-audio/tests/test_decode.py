"""The inputs of an exported network, from files, folders, tables and requests; they are those of the task."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from flash.audio import AudioClassificationData, AudioPreprocess
from flash.audio.decode import batches, encode_samples
from flash.errors import DataError

RATE = 16000
TABLES = SimpleNamespace(read_table=lambda path: {"file": ["b.wav", "a.wav"], "note": ["x", "y"]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a short and a long recording, one of another rate in a folder of its own, and other files."""
    made = tmp_path / "sounds"
    (made / "more").mkdir(parents=True)
    for name, rate, seconds, channels in (("a", RATE, 0.3, 1), ("b", RATE, 1.5, 2), ("more/c", 11025, 0.5, 1)):
        noise = np.random.default_rng(len(name)).normal(0, 0.1, (round(rate * seconds), channels))
        soundfile.write(made / f"{name}.wav", noise, rate)
    (made / "notes.txt").write_text("no recording")
    (made / ".hidden.wav").write_bytes(b"not looked at")
    (made / "some.csv").write_text("file,note\nb.wav,x\na.wav,y\n")
    return made


@pytest.fixture
def settings() -> dict[str, Any]:
    preprocess = AudioPreprocess(duration=1.0)
    preprocess.input_field = "file"
    portable = preprocess.portable()
    assert portable.encoder == "flash.audio.decode"
    return dict(portable.settings)


def test_a_folder_is_read_in_batches_and_as_the_task_reads_it(folder: Path, settings: dict[str, Any]) -> None:
    found = list(batches(str(folder), settings, None, 2))
    names = ["a.wav", "b.wav", "more/c.wav"]
    assert [paths for paths, _ in found] == [[str(folder / each) for each in part] for part in (names[:2], names[2:])]
    waveforms = np.concatenate([encoded["waveform"] for _, encoded in found])
    lengths = np.concatenate([encoded["length"] for _, encoded in found])
    assert (waveforms.shape, str(waveforms.dtype)) == ((3, RATE), "float32")
    assert lengths.tolist() == [4800, RATE, 7999]  # as soxr rounds
    data = AudioClassificationData.from_files(
        predict_files=[folder / each for each in names], batch_size=3, preprocess=AudioPreprocess(duration=1.0)
    )
    for row in range(3):
        sample = data.predict_dataset[row]
        assert int(sample["length"]) == lengths[row]
        np.testing.assert_allclose(waveforms[row], sample["waveform"].numpy(), atol=1e-6)


def test_a_table_names_files_beside_it_and_a_file_is_itself(folder: Path, settings: dict[str, Any]) -> None:
    ((paths, encoded),) = batches(str(folder / "some.csv"), settings, TABLES, 8)
    assert paths == [str(folder / "b.wav"), str(folder / "a.wav")]
    ((_, alone),) = batches(str(folder / "a.wav"), settings, TABLES, 8)
    assert np.array_equal(alone["waveform"][0], encoded["waveform"][1])


def test_files_of_a_request_are_read_alike(folder: Path, settings: dict[str, Any]) -> None:
    ((_, expected),) = batches(str(folder / "b.wav"), settings, None, 8)
    encoded = encode_samples([(folder / "b.wav").read_bytes()], settings, None)
    assert np.array_equal(encoded["waveform"], expected["waveform"])
    with pytest.raises(DataError, match="recording 0 of the predict data .* of no format that can be read"):
        encode_samples([b"no recording"], settings, None)
    assert AudioPreprocess().request_fields().kind == "audio"


def test_what_cannot_be_read_is_said(folder: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="Expected recordings in .*empty, but it holds none"):
        list(batches(str(tmp_path / "empty"), settings, None, 8))
    with pytest.raises(DataError, match="Expected a column 'path' of paths in .*some.csv, but it has 'file', 'note'"):
        list(batches(str(folder / "some.csv"), {**settings, "input_field": "path"}, TABLES, 8))


def test_windows_and_hooks_of_a_subclass_are_not_in_an_exported_folder() -> None:
    class Louder(AudioPreprocess):
        def post_tensor_transform(self, sample: Any) -> Any:
            return sample

    assert "windows are several" in AudioPreprocess(windows=3).portable().reason
    assert "made by hooks of Louder" in Louder().portable().reason
