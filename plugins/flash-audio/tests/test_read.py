"""Recordings from files of all kinds and from memory; what cannot be read says so."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from flash.audio import AudioClassificationData, BadAudioError, open_audio
from flash.audio.read import check_audio
from flash.errors import ConfigurationError, DataError

RATE = 16000


def sine(seconds: float = 0.5, rate: int = RATE, pitch: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pitch_of(samples: torch.Tensor, rate: int = RATE) -> float:
    """The loudest frequency, in Hz."""
    return float(torch.fft.rfft(samples).abs().argmax()) * rate / len(samples)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file: ``write("a.wav", samples, rate, subtype="PCM_16")``."""

    def make(name: str, samples: Any = None, rate: int = RATE, **options: Any) -> Path:
        soundfile.write(tmp_path / name, sine() if samples is None else samples, rate, **options)
        return tmp_path / name

    return make


# ---------------------------------------------------------------------- kinds of files


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 0.01),
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_32", 1e-6),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 0),
        ("a.wav", "ULAW", 0.03),
        ("a.flac", "PCM_16", 1e-4),
        ("a.flac", "PCM_24", 1e-6),
        ("a.aiff", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.05),
    ],
)
def test_files_of_all_depths_become_floats_from_minus_one_to_one(
    write: Any, name: str, subtype: str, tolerance: float
) -> None:
    opened = open_audio(write(name, subtype=subtype))
    assert opened.dtype is torch.float32
    torch.testing.assert_close(opened, torch.from_numpy(sine()), atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.flac"])
def test_compressed_files_keep_their_pitch(write: Any, name: str) -> None:
    opened = open_audio(write(name, sine(2.0)))
    assert abs(len(opened) - 2 * RATE) < 2500
    assert pitch_of(opened) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_files_of_another_rate_are_resampled_and_keep_their_pitch_and_length(write: Any, rate: int) -> None:
    opened = open_audio(write("a.wav", sine(1.0, rate), rate, subtype="FLOAT"), RATE)
    assert len(opened) == RATE
    assert pitch_of(opened) == pytest.approx(440, abs=1.5)
    # Away from the ends, where a filter has nothing to look at.
    torch.testing.assert_close(opened[800:-800], torch.from_numpy(sine(1.0))[800:-800], atol=2e-3, rtol=0)


def test_floats_above_one_are_not_clipped(write: Any) -> None:
    opened = open_audio(write("a.wav", 3 * sine(), subtype="FLOAT"))
    assert opened.max() == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(write: Any, channels: int) -> None:
    samples = np.zeros((800, channels), np.float32)
    samples[:, 0] = 0.6
    opened = open_audio(write("a.wav", samples, subtype="FLOAT"))
    torch.testing.assert_close(opened, torch.full((800,), 0.6 / channels))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_part_of_a_file_is_that_part_of_the_whole_file(write: Any, name: str) -> None:
    path = write(name, np.concatenate([sine(1.0, pitch=300), sine(1.0, pitch=1200), sine(1.0, pitch=3000)]))
    assert pitch_of(open_audio(path, seconds=0.5)) == pytest.approx(1200, abs=4)
    assert pitch_of(open_audio(path, seconds=0.5, cut=lambda extra: 0)) == pytest.approx(300, abs=4)
    assert pitch_of(open_audio(path, seconds=0.5, cut=lambda extra: extra)) == pytest.approx(3000, abs=4)
    whole, part = open_audio(path), open_audio(path, seconds=1.0)
    start = (len(whole) - len(part)) // 2
    torch.testing.assert_close(part[2000:], whole[start + 2000 : start + len(part)], atol=2e-2, rtol=0)


def test_bytes_and_paths_are_the_same(write: Any) -> None:
    path = write("a.flac")
    assert torch.equal(open_audio(path.read_bytes()), open_audio(str(path)))
    assert torch.equal(open_audio({"bytes": path.read_bytes(), "path": None}), open_audio(path))
    assert torch.equal(open_audio({"bytes": None, "path": str(path)}), open_audio(path))


# ---------------------------------------------------------------------- arrays


def test_arrays_are_samples_by_channels_and_tensors_channels_by_samples() -> None:
    stereo = np.stack([sine(), np.zeros(8000, np.float32)], axis=1)
    half = torch.from_numpy(sine()) / 2
    torch.testing.assert_close(open_audio(stereo, source_rate=RATE), half)
    torch.testing.assert_close(open_audio(torch.from_numpy(stereo.T.copy()), source_rate=RATE), half)
    torch.testing.assert_close(open_audio(sine(), source_rate=RATE), 2 * half)


@pytest.mark.parametrize(
    ("kind", "scale", "offset"), [("int16", 32768, 0), ("int32", 2**31, 0), ("uint8", 128, 128), ("int8", 128, 0)]
)
def test_integers_use_the_range_of_their_type(kind: str, scale: float, offset: int) -> None:
    array = (sine().astype(np.float64) * scale + offset).astype(kind)
    opened = open_audio(array, source_rate=RATE)
    torch.testing.assert_close(opened, torch.from_numpy(sine()), atol=1.1 / scale if scale < 1e4 else 1e-4, rtol=0)


def test_half_precision_and_gradients_are_no_obstacle() -> None:
    tensor = torch.from_numpy(sine()).bfloat16().requires_grad_()
    torch.testing.assert_close(open_audio(tensor, source_rate=RATE), torch.from_numpy(sine()), atol=4e-3, rtol=0)


def test_an_array_without_a_rate_says_how_to_pass_it() -> None:
    with pytest.raises(DataError, match=r"Expected the sample rate of recording 3 .* Pass a dict, .* or sample_rate="):
        open_audio(sine(), name="recording 3 of the train data")


def test_a_dict_states_its_own_rate() -> None:
    opened = open_audio({"array": sine(rate=8000), "sampling_rate": 8000, "path": "a.wav"}, RATE)
    assert len(opened) == 8000
    assert pitch_of(opened) == pytest.approx(440, abs=3)


def test_a_decoder_of_the_library_datasets_is_opened() -> None:
    class Samples:
        data, sample_rate = torch.from_numpy(sine(rate=8000))[None], 8000

    class Decoder:
        def get_all_samples(self) -> Samples:
            return Samples()

    assert pitch_of(open_audio(Decoder(), RATE)) == pytest.approx(440, abs=3)  # type: ignore[arg-type]  # by its form


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros(400, np.int64), "Expected a tone to hold floats from -1 to 1, or int16.* but got int64"),
        (np.zeros((2, 400), np.float32), r"\(samples\[, channels\]\), but it has 2 samples of 400 channels. Transpose"),
        (torch.zeros(400, 2), r"\(\[channels,\] samples\), but it has 2 samples of 400 channels. Transpose it"),
        (np.zeros((2, 3, 4), np.float32), r"but its shape is \(2, 3, 4\)"),
        (np.zeros((400, 0), np.float32), "Expected a recording, but a tone has no channels"),
        (np.zeros(0, np.float32), "a tone is empty: it has no samples"),
        (np.array([0, np.nan, 0], np.float32), r"a tone has samples that are not finite \(NaN or infinity\)"),
        (np.array([0, np.inf, -np.inf], np.float32), "not finite"),
        (3, "Expected a recording: a path, bytes, an array, .* but got int for a tone"),
        ({"array": None}, "a tone"),
        ({"text": "a"}, "Expected a recording: .* but got dict"),
    ],
)
def test_what_is_no_recording_says_why(array: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        open_audio(array, source_rate=RATE, name="a tone")


# ---------------------------------------------------------------------- damaged files


def damaged(kind: str, folder: Path) -> Path:
    """A file that is no recording, or only part of one."""
    path = folder / ("a.flac" if "flac" in kind else "a.wav")
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no recording at all, but a text")
    elif kind == "header":
        soundfile.write(path, np.zeros(0, np.float32), RATE)
    elif kind == "nan":
        soundfile.write(path, np.array([0.1, np.nan, 0.2], np.float32), RATE, subtype="FLOAT")
    elif kind == "channels":
        soundfile.write(path, sine(), RATE)
        header = bytearray(path.read_bytes())
        header[22:24] = bytes(2)
        path.write_bytes(header)
    else:
        noise = np.random.default_rng(0).normal(0, 0.1, 40000).astype(np.float32)
        soundfile.write(path, noise, RATE)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return path


DAMAGES = {
    "empty": r"but .*a\.wav is empty \(0 bytes\)",
    "text": r"a\.wav is of no format that can be read \(it starts with b'no recording at '\)",
    "header": r"a\.wav is empty: it has no samples",
    "nan": r"a\.wav has samples that are not finite",
    "channels": r"a\.wav cannot be decoded \(",
    "truncated": r"a\.wav is truncated: its header says 80044 bytes, but it has 40022",
    "truncated flac": r"a\.flac (is truncated|cannot be decoded)",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_an_error_that_names_it(kind: str, tmp_path: Path) -> None:
    path = damaged(kind, tmp_path)
    for check in (lambda: open_audio(path), lambda: check_audio(path, None, str(path))):
        with pytest.raises(BadAudioError, match=DAMAGES[kind]):
            check()
    with pytest.raises(BadAudioError, match=r"Expected a recording, but recording 1 .*on_bad_sample=\"skip\""):
        check_audio(path.read_bytes(), None, "recording 1 of the train data")


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files_can_be_left_out(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bad").mkdir()
    bad = damaged(kind, tmp_path / "bad")
    good = [tmp_path / f"{number}.wav" for number in range(4)]
    for path in good:
        soundfile.write(path, sine(), RATE)
    data = AudioClassificationData.from_files([*good, bad], ["a", "b", "a", "b", "a"], on_bad_sample="skip")
    assert len(data.train_dataset) == 4
    assert "Left out 1 of 5 train recordings that cannot be opened" in caplog.text


def test_a_file_of_unknown_length_from_a_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(), RATE)
    content = bytearray(path.read_bytes())
    content[4:8] = b"\xff" * 4
    path.write_bytes(content)
    assert len(open_audio(path)) == 8000


def test_a_file_that_is_not_there_or_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected a recording at .*nowhere.wav, but there is no such file. Check"):
        open_audio(tmp_path / "nowhere.wav")
    with pytest.raises(DataError, match="but it is a folder. Pass its files"):
        open_audio(tmp_path)


def test_silence_is_a_recording(write: Any) -> None:
    assert not open_audio(write("a.wav", np.zeros(800, np.float32))).any()


def test_a_recording_of_one_sample_is_one(write: Any) -> None:
    assert len(open_audio(write("a.wav", np.full(1, 0.5, np.float32), 44100), 8000)) == 1


def test_a_file_of_the_standard_library_is_read() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(8000)
        opened.writeframes((sine(rate=8000) * 32767).astype("<i2").tobytes())
    assert pitch_of(open_audio(file.getvalue(), 8000), 8000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("rate", [0, -1, 1.5, True])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected sample_rate to be a number of samples per second"):
        open_audio(sine(), source_rate=rate)
