"""Tasks of all domains as services: their answers, what strangers send, and the command in processes of its own."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import flash
from flash.errors import ConfigurationError
from flash.image import ImageClassifier, ImageEmbedder, ObjectDetector
from flash.serve import make_app, run
from flash.serve.models import export, load
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressionData, TabularRegressor
from flash.text import TextClassificationData, TextClassifier

FRAME = pd.DataFrame(
    {
        "age": [20, 30, 40, 50] * 5,
        "city": ["Rome", "Oslo", "Rome", "Lima"] * 5,
        "day": ["2024-01-31", "2024-02-01", None, "2024-03-05"] * 5,
        "code": pd.Series([True, False, None, True] * 5, dtype=object),
        "bought": ["no", "no", "yes", "yes"] * 5,
        "price": [1.5, 2.5, 3.0, 4.25] * 5,
    }
)
ROWS = {
    "rows": [
        {"age": 31, "city": "Rome", "day": "2024-02-11", "code": True},
        {"age": 45.5, "city": "Unheard", "day": None, "code": None},
    ]
}
# A path, an address, a file that is there: none of them is ever opened.
PATHS = ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x.csv", "rows.csv", "photo.png", ".", "~", ""]
CONFIG = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}


class Letters(nn.Module):
    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, 4)

    def forward(self, input_ids: Any, attention_mask: Any) -> torch.Tensor:
        embedded: torch.Tensor = self.embed(input_ids)
        return embedded


def table() -> flash.Task:
    data = TabularClassificationData.from_data_frame(
        target_fields="bought", train_data_frame=FRAME.drop(columns="price"), verbose=False
    )
    return TabularClassifier.from_data(data, backbone="mlp")


def text() -> flash.Task:
    data = TextClassificationData.from_lists(["good film", "bad film"] * 2, ["yes", "no"] * 2)
    tokenize: Any = lambda texts: [list(text.encode()) for text in texts]  # noqa: E731
    return TextClassifier.from_data(data, backbone=Letters(), tokenizer=tokenize)


def image() -> flash.Task:
    return ImageClassifier(labels=["ants", "bees"], backbone="test_resnet", pretrained=False, data_config=CONFIG)


def photo(format: str = "PNG", size: tuple[int, int] = (20, 10)) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, format)
    return file.getvalue()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


Post = Callable[..., httpx.Response]


@pytest.fixture
def serve() -> Iterator[Callable[..., Post]]:
    """Makes services of tasks, as functions that send them a request, and none of which opens another connection."""
    services = []

    def serve_one(task: Any, **limits: Any) -> Post:
        app = make_app(task, **limits)
        services.append(app.state.service)

        def post(**content: Any) -> httpx.Response:
            async def talk() -> httpx.Response:
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
                    return await client.post("/v1/predict", timeout=60, **content)

            return asyncio.run(talk())

        return post

    yield serve_one
    for each in services:
        each.batcher.close(10)


@pytest.fixture(autouse=True)
def _files(settled: None) -> None:
    """Files that a request could name."""
    Path("rows.csv").write_text("age,city,day,code\n1,Rome,2024-01-01,1\n")
    Path("photo.png").write_bytes(photo())


def predictions(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [each["prediction"] for each in answer.json()["predictions"]]


# ---------------------------------------------------------------------- answers


@pytest.mark.filterwarnings("ignore:Expected this .* to be trained")
class TestAnswers:
    def test_rows(self, serve: Callable[..., Post]) -> None:
        task = table()
        answer = serve(task)(json=ROWS)
        assert predictions(answer) == task.predict(ROWS["rows"])
        (first, _), expected = answer.json()["predictions"], task.predict(ROWS["rows"], "probabilities")
        assert {each["label"]: each["probability"] for each in first["probabilities"]} == pytest.approx(
            dict(zip(["no", "yes"], expected[0], strict=True))
        )

    def test_rows_of_a_regression(self, serve: Callable[..., Post]) -> None:
        data = TabularRegressionData.from_data_frame(
            target_fields="price", train_data_frame=FRAME.drop(columns="bought"), verbose=False
        )
        task = TabularRegressor.from_data(data, backbone="mlp")
        assert predictions(serve(task)(json=ROWS)) == pytest.approx(task.predict(ROWS["rows"]))

    def test_texts(self, serve: Callable[..., Post]) -> None:
        task, texts = text(), ["fine", "/etc/passwd"]
        assert predictions(serve(task)(json={"texts": texts})) == task.predict(texts)

    def test_photos(self, serve: Callable[..., Post]) -> None:
        task = image()
        post = serve(task)
        expected = task.predict([photo(), photo("JPEG")])
        assert predictions(post(json={"images": [encoded(photo()), encoded(photo("JPEG"))]})) == expected
        files = [("images", ("/etc/passwd", photo())), ("x", ("../b.jpg", photo("JPEG")))]
        assert predictions(post(files=files)) == expected

    def test_vectors_of_photos(self, serve: Callable[..., Post]) -> None:
        task = ImageEmbedder(backbone="test_resnet", pretrained=False, data_config=CONFIG)
        expected = [each.tolist() if hasattr(each, "tolist") else each for each in task.predict([photo()])]
        (vector,) = predictions(serve(task)(files=[("a", ("a.png", photo()))]))
        assert vector == pytest.approx(expected[0])

    def test_objects_of_photos(self, serve: Callable[..., Post]) -> None:
        task = ObjectDetector(labels=["ants", "bees"], pretrained=False, min_size=64, max_size=96)
        (found,) = predictions(serve(task)(files=[("a", ("a.png", photo(size=(64, 48))))]))
        (expected,) = task.predict([photo(size=(64, 48))])
        assert found == expected
        assert set(found) == {"boxes", "labels", "scores"}


def test_what_a_sample_is_was_learned() -> None:
    preprocess = table().preprocess
    assert preprocess is not None
    fields = {field.name: field for field in preprocess.request_fields().fields}
    assert [(name, field.type, field.may_be_missing) for name, field in fields.items()] == [
        ("age", "number", False),
        ("day", "date", True),
        ("city", "category", False),
        ("code", "category", False),
    ]
    assert fields["city"].values == ("Lima", "Oslo", "Rome")
    assert (fields["age"].typical, fields["day"].typical) == (40, "2024-02-11")


def test_durations_are_sent_in_seconds(serve: Callable[..., Post]) -> None:
    frame = FRAME.assign(took=pd.to_timedelta(range(20), unit="min"))
    data = TabularRegressionData.from_data_frame(
        target_fields="price", train_data_frame=frame[["took", "price"]], verbose=False
    )
    task = TabularRegressor.from_data(data, backbone="mlp")
    seconds = [0, 90, 1140.5]
    found = predictions(serve(task)(json={"rows": [{"took": each} for each in seconds]}))
    assert found == pytest.approx(task.predict(pd.DataFrame({"took": pd.to_timedelta(seconds, unit="s")})))
    assert len(set(found)) == 3


# ---------------------------------------------------------------------- strangers


@pytest.mark.filterwarnings("ignore:Expected this .* to be trained")
class TestStrangers:
    @pytest.mark.parametrize("value", PATHS)
    def test_no_cell_of_a_row_is_opened(self, serve: Callable[..., Post], value: str) -> None:
        post = serve(task := table())
        row = {"age": 1, "city": value, "day": None, "code": value}
        assert predictions(post(json={"rows": [row]})) == task.predict([row])
        for body in (value, [value], {"rows": value}, {"rows": [value]}, {"rows": {"age": value}}, {"path": value}):
            assert post(json=body).status_code == 422
        for name in ("age", "day"):
            assert post(json={"rows": [{**row, name: value}]}).status_code == 422

    @pytest.mark.parametrize("value", PATHS)
    def test_no_text_is_opened(self, serve: Callable[..., Post], value: str) -> None:
        post = serve(task := text())
        assert predictions(post(json={"texts": [value]})) == task.predict([value])
        for body in (value, [value], {"texts": value}, {"texts": [[value]]}, {"texts": [{"text": value}]}):
            assert post(json=body).status_code == 422

    @pytest.mark.parametrize(
        "make", [image, lambda: ObjectDetector(labels=["a", "b"], pretrained=False, min_size=64, max_size=96)]
    )
    @pytest.mark.parametrize("value", PATHS)
    def test_no_photo_is_opened(self, serve: Callable[..., Post], make: Any, value: str) -> None:
        post = serve(make())
        for sample in (value, {"path": value}, {"bytes": None, "path": value}, [value], encoded(value.encode())):
            assert post(json={"images": [sample]}).status_code == 422
        assert post(json={"images": value}).status_code == 422
        assert post(files=[("images", ("a.png", value.encode()))]).status_code == 422

    def test_a_bomb_is_refused_before_it_is_decoded(
        self, serve: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def chunk(kind: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        def bomb(side: int) -> bytes:
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
            return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 10_000)) + chunk(b"IEND", b"")

        monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
        post = serve(image())
        for side, got in ((8000, "8,000 x 8,000"), (100_000, "more")):
            answer = post(files=[("images", ("a.png", bomb(side)))])
            assert answer.status_code == 422
            assert answer.json()["error"] == (
                f"images[0]: Expected an image of at most 50,000,000 pixels, but the upload has {got}. Make it smaller."
            )

    @pytest.mark.parametrize(
        "content",
        [b"", b"GIF89a", b"%!PS-Adobe-3.0", b"<svg xmlns='x'/>", photo()[:50], photo()[:-30], photo("JPEG")[:400]],
    )
    def test_a_damaged_photo_is_refused_and_leaves_others_alone(
        self, serve: Callable[..., Post], content: bytes
    ) -> None:
        post = serve(task := image())
        answer = post(files=[("images", ("a.png", photo())), ("images", ("b.png", content))])
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["place"] == "images[1]"
        assert answer.json()["errors"][0]["error"].startswith("Expected a")
        assert predictions(post(files=[("images", ("a.png", photo()))])) == task.predict([photo()])

    def test_rows_of_others_change_no_answer(self, serve: Callable[..., Post]) -> None:
        task = table()
        alone = predictions(serve(task)(json={"rows": ROWS["rows"][:1]}))
        others = [
            {"age": 2.5, "city": 7, "day": "2024-02-11T10:00+02:00", "code": "x"},
            {"age": True, "city": 2**60, "day": None, "code": 1.5},
        ]
        rows = [ROWS["rows"][0], *others * 50]
        found = serve(task, max_batch=200)(json={"rows": rows}).json()["predictions"]
        assert [each["prediction"] for each in found][:1] == alone
        singly = [task.predict([row], "probabilities")[0] for row in rows[:3]]
        together = [{each["label"]: each["probability"] for each in row["probabilities"]} for row in found[:3]]
        assert [[row["no"], row["yes"]] for row in together] == [pytest.approx(row, abs=1e-6) for row in singly]


# ---------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("task") / "task.ckpt"
    trainer = flash.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(table())
    trainer.save_checkpoint(path, weights_only=True)
    return path


POST = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def post(port: int, content: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/predict", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return answer.read()


class Command:
    """``flash serve`` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flash", "serve", *arguments, "--port", "0"],
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def await_lines(self, pattern: str, count: int = 1) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.found(pattern)) >= count, 100), "".join(self.lines)
        return self.found(pattern)

    def found(self, pattern: str) -> list[str]:
        return re.findall(pattern, "".join(self.lines))

    @property
    def port(self) -> int:
        return int(self.await_lines(r"running on http://127.0.0.1:(\d+)")[0])

    def end(self, sign: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.process.wait(60)


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(Command(*arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait(60)


@pytest.mark.process
def test_the_command_serves_a_checkpoint_and_answers_what_has_arrived_before_it_ends(
    checkpoint: Path, command: Callable[..., Command]
) -> None:
    service = command(str(checkpoint))
    task = flash.Task.load_from_checkpoint(checkpoint)
    expected = task.predict(ROWS["rows"])
    answer = post(service.port, ROWS)
    assert [each["prediction"] for each in answer["predictions"]] == expected
    assert json.loads(get(service.port, "/health")) == {"status": "ready"}
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as late:
        body = json.dumps(ROWS).encode()
        late.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
        get(service.port, "/metrics")  # what was sent before has been read
        service.process.send_signal(signal.SIGTERM)
        service.await_lines("Shutting down|Waiting for")
        late.sendall(body[10:])
        found = late.recv(65536)
    assert found.startswith(b"HTTP/1.1 200 ")
    assert service.end() in (0, -signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.process
def test_a_worker_that_is_killed_is_replaced(checkpoint: Path, command: Callable[..., Command]) -> None:
    service = command(str(checkpoint), "--workers", "2", "--timeout", "10")
    first = service.await_lines(r"Started server process \[(\d+)\]", 2)
    service.await_lines("Application startup complete", 2)
    assert post(service.port, ROWS)["predictions"]
    os.kill(int(first[0]), signal.SIGKILL)
    service.await_lines(r"Started server process \[(\d+)\]", 3)
    service.await_lines("Application startup complete", 3)
    for _ in range(20):
        assert post(service.port, ROWS)["predictions"]
    # Those of the process that was killed are counted too, whichever of the others is asked.
    for _ in range(5):
        assert b'flash_requests_total{code="200"} 21' in get(service.port, "/metrics")
    assert service.end(signal.SIGINT) in (0, -signal.SIGINT)


@pytest.mark.process
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_checkpoint_is_served_in_another_format_and_no_file_stays(
    checkpoint: Path,
    command: Callable[..., Command],
    workers: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    service = command(str(checkpoint), "--format", "onnx", "--workers", workers)
    service.await_lines("Application startup complete", int(workers))
    expected = flash.Task.load_from_checkpoint(checkpoint).predict(ROWS["rows"], "probabilities")
    for _ in range(5):
        answers = post(service.port, ROWS)["predictions"]
        found = [sorted(each["probability"] for each in answer["probabilities"]) for answer in answers]
        for ours, theirs in zip(found, expected, strict=True):
            assert ours == pytest.approx(sorted(theirs), abs=1e-5)
    assert len(list(tmp_path.glob("flash-serve-*/exported/model.onnx"))) == (workers != "1")
    assert service.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert not list(tmp_path.glob("flash-serve-*"))


def test_a_task_in_memory_is_exported_too(tmp_path: Path, serve: Callable[..., Post]) -> None:
    task = table()
    answer = serve(load(export(task, tmp_path / "exported", "onnx")))(json=ROWS).json()
    assert [each["prediction"] for each in answer["predictions"]] == task.predict(ROWS["rows"])


def test_a_format_that_cannot_be_is_said(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(flash.errors.UnknownNameError, match=r"'tflite'.*onnx"):
        run(checkpoint, port=0, format="tflite")
    sentence = "Expected a service of 'onnx' to be on the CPU in 32 bits, but got the device 'cuda' and the precision"
    with pytest.raises(ConfigurationError, match=f"{sentence} '32'. Leave the format out, or them."):
        run(checkpoint, port=0, format="onnx", device="cuda")
    with pytest.raises(ConfigurationError, match="'bf16'. Leave the format out, or them."):
        run(checkpoint, port=0, format="onnx", precision="bf16")
    (tmp_path / "export.json").write_text("{}")
    sentence = "Expected a checkpoint to export as 'onnx', but .* is an exported folder. Leave the format out: it is"
    with pytest.raises(ConfigurationError, match=sentence):
        run(tmp_path, port=0, format="onnx")


def test_a_device_that_is_not_there_is_said_at_once(checkpoint: Path) -> None:
    with pytest.raises(ConfigurationError, match="Expected a device that is there, such as cpu, but got 'nowhere'"):
        load(checkpoint, device="nowhere")


def test_a_checkpoint_is_served_in_another_precision(checkpoint: Path, serve: Callable[..., Post]) -> None:
    model = load(checkpoint, precision="bf16")
    found = [each["probabilities"] for each in serve(model)(json=ROWS).json()["predictions"]]
    task = flash.Task.load_from_checkpoint(checkpoint).to(dtype=torch.bfloat16)
    expected = task.predict(ROWS["rows"], "probabilities")
    assert [sorted(each["probability"] for each in row) for row in found] == [sorted(row) for row in expected]
    assert expected != flash.Task.load_from_checkpoint(checkpoint).predict(ROWS["rows"], "probabilities")
