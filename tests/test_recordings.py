"""Recordings leave Flash as files for other runtimes, and are predicted by a service."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

import flash
import flash.baseline
from flash.audio import AudioClassifier, AudioPreprocess
from flash.serve import make_app

pytestmark = pytest.mark.filterwarnings("ignore:Expected this AudioClassifier to be trained")

RATE = 8000


def recording(seed: int, seconds: float = 0.2) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(seed).normal(0, 0.1, round(RATE * seconds))
    soundfile.write(file, noise, RATE, format="WAV")
    return file.getvalue()


@pytest.fixture
def task() -> flash.Task:
    preprocess = AudioPreprocess(duration=0.2, sample_rate=RATE)
    small = {"width": 4, "n_mels": 16, "out_features": 8}
    return AudioClassifier(labels=["rain", "wind"], backbone_kwargs=small, sample_rate=RATE, preprocess=preprocess)


@pytest.fixture
def hums(tmp_path: Path) -> Path:
    """A folder with a class of low tones and one of high ones, a copy and a damaged file among them."""
    folder = tmp_path / "hums"
    for row in range(60):
        name, pitch, seconds = (("bee", 300.0, 0.4), ("bird", 2000.0, 0.2))[row % 2]
        time = np.arange(round(RATE * seconds)) / RATE
        sound = np.sin(2 * np.pi * pitch * time + row) + np.random.default_rng(row).normal(0, 0.3, len(time))
        (folder / name).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name / f"{row}.wav", 0.3 * sound, RATE)
    (folder / "bee" / "copy.wav").write_bytes((folder / "bee" / "0.wav").read_bytes())
    (folder / "bird" / "damaged.wav").write_bytes(b"no recording")
    return folder


@pytest.mark.train
def test_a_folder_of_recordings_gets_a_baseline(hums: Path, tmp_path: Path) -> None:
    found = flash.baseline.run(hums, output=tmp_path / "out", time_limit=15, recipes=["pixels", "default"])
    assert found.results.task == "audio/classification"
    assert found.results.why == f"{hums} has 2 folders with recordings"
    assert found.leaderboard[0].scores["accuracy"] == 1
    findings = {each.kind: each for each in found.results.findings}
    assert findings["unreadable files"].rows == [str(hums / "bird" / "damaged.wav")]
    assert any("copy.wav" in row for kind in findings if kind.startswith("duplicates") for row in findings[kind].rows)
    summaries = {entry.name: entry.summary for entry in found.leaderboard}
    assert summaries["pixels"] == "Logistic regression of 16 x 16 pixels of the picture of a recording."
    assert "Baseline of" in (tmp_path / "out" / "report.html").read_text()
    loaded: Any = flash.Task.load_from_checkpoint(tmp_path / "out" / "best.ckpt")
    assert loaded.predict([hums / "bee" / "2.wav", hums / "bird" / "1.wav"]) == ["bee", "bird"]


def predictor_of(folder: Path) -> Any:
    """The predictor of the program in an exported folder."""
    specification = importlib.util.spec_from_file_location(f"exported_{abs(hash(folder))}", folder / "predict.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.Predictor()


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder with recordings of several rates and lengths, and a table of some of them."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    for seed, (rate, seconds) in enumerate([(RATE, 0.2), (RATE, 1.0), (11025, 0.5), (RATE, 0.05)]):
        noise = np.random.default_rng(seed).normal(0, 0.1, (round(rate * seconds), 1 + seed % 2))
        soundfile.write(folder / f"{seed}.wav", noise, rate)
    (folder / "notes.txt").write_text("no recording")
    (folder / "some.csv").write_text("file,note\n2.wav,a\n0.wav,b\n")
    return folder


@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_an_exported_classifier_agrees_with_the_task_and_reads_files(
    task: Any, format: str, sounds: Path, tmp_path: Path
) -> None:
    """What is written is loaded again and compared, by the export itself; another result is an error."""
    task.preprocess.input_field = "file"
    folder = Path(task.export(tmp_path / "out", format=format))
    described = json.loads((folder / "export.json").read_text())
    assert described["result"]["labels"] == ["rain", "wind"]
    assert all(each["largest_difference"] < 1e-4 for each in described["agreement"]["checked"]["model"])
    assert described["preprocess"]["requires"][-2:] == ["soundfile", "soxr"]
    predictor = predictor_of(folder)
    paths = [sounds / f"{each}.wav" for each in range(4)]
    expected = task.predict(paths, "probabilities")
    np.testing.assert_allclose(predictor.predict(str(sounds), "probabilities", batch_size=3), expected, atol=1e-5)
    some = predictor.predict(str(sounds / "some.csv"), "probabilities")
    np.testing.assert_allclose(some, [expected[2], expected[0]], atol=1e-5)
    encoded = predictor.encode([path.read_bytes() for path in paths])
    np.testing.assert_allclose(predictor.results(predictor.run(encoded), "probabilities"), expected, atol=1e-5)


def test_what_an_exported_folder_cannot_read_is_said(task: Any, sounds: Path, tmp_path: Path) -> None:
    task.preprocess.input_field = "path"
    predictor = predictor_of(Path(task.export(tmp_path / "out")))
    with pytest.raises(ValueError, match="Expected a column 'path' of paths in .* but it has 'file', 'note'"):
        predictor.predict(str(sounds / "some.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Expected recordings in .* but it holds none"):
        predictor.predict(str(tmp_path / "empty"))
    (sounds / "0.wav").write_bytes(b"no recording")
    with pytest.raises(ValueError, match="of no format that can be read"):
        predictor.predict(str(sounds / "0.wav"))


def test_an_exported_model_of_transformers_reads_files(sounds: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    convolutions = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    more = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "feat_extract_norm": "layer"}
    config = transformers.Wav2Vec2Config(**sizes, **convolutions, **more)
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "tiny")
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path / "tiny")
    preprocess = AudioPreprocess(duration=0.2)
    task = AudioClassifier(labels=["rain", "wind"], backbone=str(tmp_path / "tiny"), preprocess=preprocess)
    folder = Path(task.export(tmp_path / "out"))
    expected = task.predict([sounds / f"{each}.wav" for each in range(4)], "probabilities")
    np.testing.assert_allclose(predictor_of(folder).predict(str(sounds), "probabilities"), expected, atol=1e-5)


def test_a_service_takes_uploaded_recordings_and_refuses_other_files(task: Any, tmp_path: Path) -> None:
    app = make_app(task)

    async def post(**content: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.post("/v1/predict", timeout=60, **content)

    try:
        files = [("recordings", (f"{seed}.wav", recording(seed))) for seed in range(2)]
        answer = asyncio.run(post(files=files))
        assert answer.status_code == 200, answer.text
        found = [each["prediction"] for each in answer.json()["predictions"]]
        assert found == task.predict([recording(seed) for seed in range(2)])
        refused = asyncio.run(post(files=[("recordings", ("0.wav", b"no recording"))]))
        assert refused.status_code == 422
        assert "of no format that can be read" in refused.text
    finally:
        app.state.service.batcher.close(10)
