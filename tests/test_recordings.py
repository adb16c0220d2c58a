"""Recordings leave Flash as files for other runtimes, and are predicted by a service."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

import flash
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


@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_an_exported_classifier_agrees_with_the_task(task: Any, format: str, tmp_path: Path) -> None:
    """What is written is loaded again and compared, by the export itself; another result is an error."""
    folder = task.export(tmp_path / "out", format=format)
    described = json.loads((Path(folder) / "export.json").read_text())
    assert described["result"]["labels"] == ["rain", "wind"]
    assert all(each["largest_difference"] < 1e-4 for each in described["agreement"]["checked"]["model"])


def test_a_service_takes_uploaded_recordings_and_refuses_other_files(task: Any, tmp_path: Path) -> None:
    app = make_app(task)

    async def post(**content: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.post("/v1/predict", timeout=60, **content)

    try:
        files = [("files", (f"{seed}.wav", recording(seed))) for seed in range(2)]
        answer = asyncio.run(post(files=files))
        assert answer.status_code == 200, answer.text
        found = [each["prediction"] for each in answer.json()["predictions"]]
        assert found == task.predict([recording(seed) for seed in range(2)])
        refused = asyncio.run(post(files=[("files", ("0.wav", b"no recording"))]))
        assert refused.status_code == 422
        assert "of no format that can be read" in refused.text
    finally:
        app.state.service.batcher.close(10)
