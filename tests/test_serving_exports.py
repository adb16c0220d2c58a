"""The service of an exported folder answers what the service of the task does, and executes nothing of the folder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from detectors import spread, tiny_detector, tiny_pose, tiny_segmenter
from fastapi.testclient import TestClient
from PIL import Image
from torch import nn
from transformers import AutoModel, BertConfig, T5Config, T5ForConditionalGeneration

from flash import Task
from flash.cli import main
from flash.errors import CheckpointError, ConfigurationError
from flash.image import ImageClassifier, ImageEmbedder, InstanceSegmentation, KeypointDetector, ObjectDetector
from flash.serve import make_app
from flash.serve.models import load
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressionData, TabularRegressor
from flash.text import (
    QuestionAnsweringTask,
    SummarizationTask,
    TextClassificationData,
    TextClassifier,
    TextEmbedder,
    TextRegressor,
    TokenClassifier,
)

FORMATS = ("onnx", "pt2")
CONFIG = {"input_size": (3, 16, 16), "mean": (0.4,) * 3, "std": (0.3,) * 3}

pytestmark = pytest.mark.filterwarnings("ignore:Expected this .* to be trained", "ignore:Expected 16-bit images")

Serve = Callable[[Any], TestClient]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes clients of services, which end with the test."""
    made: list[Any] = []

    def client(source: Any) -> TestClient:
        made.append(make_app(source))
        return TestClient(made[-1])

    yield client
    for app in made:
        app.state.service.batcher.close(10)


@pytest.fixture
def compare(serve: Serve, tmp_path: Path) -> Callable[..., Any]:
    """Exports a task, sends its service and that of the folder the same requests, and compares all that they say."""

    def run(task: Task, format: str, *requests: dict[str, Any]) -> list[Any]:
        of_task, of_folder = serve(task), serve(task.export(tmp_path / f"{format}", format))
        for path in ("/v1/task", "/openapi.json"):
            assert of_folder.get(path).json() == of_task.get(path).json()
        answers = []
        for request in requests:
            expected, found = of_task.post("/v1/predict", **request), of_folder.post("/v1/predict", **request)
            assert found.status_code == expected.status_code, (request, expected.text, found.text)
            same(found.json(), expected.json())
            answers.append(found.json())
        return answers

    return run


def same(found: Any, expected: Any) -> None:
    """Compare values of JSON, numbers with a tolerance."""
    if isinstance(expected, dict):
        if {"label", "probability"} == set(expected):  # of classes with nearly the same probability, either comes first
            expected = {**expected, "label": found["label"]}
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert found == (pytest.approx(expected, rel=1e-4, abs=1e-5) if isinstance(expected, float) else expected)


# ---------------------------------------------------------------------- tables


def people(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, rows).astype(float),
            "children": random.integers(0, 4, rows),
            "member": random.choice([True, False], rows),
            "city": random.choice(["Rome", "Oslo", "1,5", "True"], rows),
            "code": random.choice(["01", "1", "2"], rows),
            "answer": pd.Series(random.choice([True, False], rows), dtype=object),
            "seen": pd.date_range("2024-01-01", periods=rows, freq="19h").astype(str),
            "note": [f"note {row}" if row % 3 else None for row in range(rows)],
            "took": pd.to_timedelta(random.integers(0, 7200, rows), unit="s"),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::5, "answer"] = None
    frame.loc[::6, "took"] = None
    frame["price"] = frame["age"].fillna(50) * 100
    frame["bought"] = np.where(frame["children"] > 1, "yes", "no")
    return frame


#: What a row may hold: values of other types and spellings than the train rows.
VALUES: dict[str, list[Any]] = {
    "age": [30, 30.5, None, True, 1e300, -5, 1e-7],
    "children": [1, 1.0, False, 7],
    "member": [True, False, 1, 0.0],
    "city": ["Rome", "rome", "1,5", 1.5, True, "True", "true", None, "NA", "", "nan"],
    "code": ["01", 1, 1.0, "1.0", 2, 10**18, "3", None],
    "answer": [True, "True", "true", "TRUE", 1, 0.0, "1", "yes", "0,5", None],
    "seen": [
        *("2024-02-03", "2024-02-03 12:30", "2024-02-03T23:00:00+02:00", "2024-02-29T00:00:00Z", "1999-12-31"),
        *("2024-02-03T12:30:15.123456", None),
    ],
    "note": ["x", "", 3, 4.5, True, None],
    "took": [90.5, 3600, True, -1, 1e9, None],
}


def rows() -> list[dict[str, Any]]:
    usual = {name: values[0] for name, values in VALUES.items()}
    return [{**usual, name: value} for name, values in VALUES.items() for value in values]


def classifier(backbone: str = "mlp") -> Task:
    data = TabularClassificationData.from_data_frame(
        target_fields="bought", train_data_frame=people().drop(columns="price"), verbose=False
    )
    return TabularClassifier.from_data(data, backbone=backbone)


@pytest.mark.parametrize("format", FORMATS)
def test_rows_are_answered_as_by_the_task(compare: Callable[..., Any], format: str) -> None:
    requests = [{"json": {"rows": [each]}} for each in rows()]
    wrong = [{"json": {"rows": [{**rows()[0], "age": "31"}]}}, {"json": {"rows": [{}]}}]
    together, *alone = compare(classifier(), format, {"json": {"rows": rows()}}, *requests, *wrong)
    same(together["predictions"], [each["predictions"][0] for each in alone[: len(rows())]])
    assert len({str(each["predictions"]) for each in alone[: len(rows())]}) > 20


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_numbers_of_rows_are_answered_as_by_the_task(compare: Callable[..., Any], format: str) -> None:
    data = TabularRegressionData.from_data_frame(
        target_fields="price", train_data_frame=people().drop(columns="bought"), verbose=False
    )
    compare(TabularRegressor.from_data(data, backbone="tabm"), format, {"json": {"rows": rows()}})


# ---------------------------------------------------------------------- photos


def photo(mode: str = "RGB", format: str = "PNG", size: tuple[int, int] = (30, 20), **options: Any) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(noise).convert("RGB")
    image = Image.fromarray(noise[..., 0].astype(np.uint16) * 200) if mode == "I;16" else image.convert(mode)
    image.save(file := io.BytesIO(), format, **options)
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return photo(format="JPEG", exif=exif)


def photos() -> list[bytes]:
    odd = [photo("I;16"), photo("CMYK", "JPEG"), photo("L"), photo("P"), photo("RGBA"), photo("1"), turned()]
    return [photo(), photo(size=(1, 1)), photo(size=(300, 2)), *odd]


@pytest.mark.parametrize("format", FORMATS)
def test_photos_are_answered_as_by_the_task(compare: Callable[..., Any], format: str) -> None:
    task = ImageClassifier(labels=["ants", "bees"], backbone="test_resnet", pretrained=False, data_config=CONFIG)
    broken = [b"", b"no image", photo()[:100], photo(format="JPEG")[:300], photo(format="PPM", size=(8000, 7000))[:999]]
    requests = [{"files": [("images", ("x", each))]} for each in (*photos(), *broken)]
    answers = compare(task, format, {"files": [("images", ("x", each)) for each in photos()]}, *requests)
    assert "at most 50,000,000 pixels, but the upload has 8,000 x 7,000" in answers[-1]["error"]
    assert len({str(each) for each in answers[1 : 1 + len(photos())]}) > len(photos()) // 2


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_numbers_and_vectors_of_photos_are_answered_as_by_the_task(compare: Callable[..., Any], format: str) -> None:
    options: dict[str, Any] = {"backbone": "test_resnet", "pretrained": False, "data_config": CONFIG}
    request = {"files": [("images", ("x", each)) for each in photos()]}
    compare(ImageEmbedder(**options), format, request)


def test_boxes_are_answered_as_by_the_task(compare: Callable[..., Any]) -> None:
    task = ObjectDetector(labels=["ants", "bees", "wasps"], backbone=tiny_detector(min_size=64, max_size=128))
    files = [("images", ("x", each)) for each in (photo(), photo(size=(90, 60)), photo("L", size=(40, 70)))]
    broken = {"files": [("images", ("x", b"no image"))]}
    # Those of the other format differ by rounding, which decides which boxes there are.
    answers = compare(task, "pt2", {"files": files}, {"files": files[:1]}, broken)
    assert [set(each["prediction"]) for each in answers[0]["predictions"]] == [{"boxes", "labels", "scores"}] * 3
    assert any(each["prediction"]["labels"] for each in answers[0]["predictions"])


@pytest.mark.parametrize("kind", ["masks", pytest.param("points", marks=pytest.mark.slow)])
def test_masks_and_points_are_answered_as_by_the_task(compare: Callable[..., Any], kind: str) -> None:
    options: dict[str, Any] = {"labels": ["ants", "bees", "wasps"], "score_threshold": 0.4}
    if kind == "masks":
        task: Task = InstanceSegmentation(backbone=spread(tiny_segmenter(4)), **options)
        more = {"masks"}
    else:
        task = KeypointDetector(backbone=spread(tiny_pose(4, 2)), keypoints=["left", "right"], **options)
        more = {"keypoints", "keypoint_scores"}
    files = [("images", ("x", each)) for each in (photo(), photo(size=(90, 60)), photo("L", size=(40, 70)))]
    answers = compare(task, "pt2", {"files": files}, {"files": [("images", ("x", b"no image"))]})
    found = [each["prediction"] for each in answers[0]["predictions"]]
    assert [set(each) for each in found] == [{"boxes", "labels", "scores", *more}] * 3
    assert all(len(each[name]) == len(each["scores"]) for each in found for name in more)
    assert any(each["labels"] for each in found)
    if kind == "masks":
        assert {tuple(mask["size"]) for each in found for mask in each["masks"]} <= {(20, 30), (60, 90), (70, 40)}


# ---------------------------------------------------------------------- texts

TEXTS = ["good film", "", " ", "bad " * 200, "x\ny", "a\x00b", "ünïcode 漢字", "/etc/passwd", "good, bad", "NA"]


def encoder() -> nn.Module:
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model: nn.Module = AutoModel.from_config(
        BertConfig(vocab_size=40, intermediate_size=16, max_position_embeddings=64, pad_token_id=0, **sizes)
    )
    return model.eval()


@pytest.mark.parametrize("format", FORMATS)
def test_texts_are_answered_as_by_the_task(compare: Callable[..., Any], tokenizer: Any, format: str) -> None:
    task = TextClassifier(labels=["good", "bad", "so-so"], backbone=encoder(), tokenizer=tokenizer)
    alone = [{"json": {"texts": [text]}} for text in TEXTS]
    compare(task, format, {"json": {"texts": TEXTS}}, *alone, {"json": {"texts": [3]}})


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_pairs_of_texts_are_answered_as_by_the_task(compare: Callable[..., Any], tokenizer: Any, format: str) -> None:
    frame = pd.DataFrame({"question": ["good", "bad"] * 4, "reply": ["film", "x"] * 4, "target": ["a", "b"] * 4})
    data = TextClassificationData.from_data_frame(("question", "reply"), target_fields="target", train_data_frame=frame)
    task = TextClassifier.from_data(data, backbone=encoder(), tokenizer=tokenizer)
    pairs = [{"question": text, "reply": TEXTS[-1 - row]} for row, text in enumerate(TEXTS)]
    compare(task, format, {"json": {"texts": pairs}})


@pytest.mark.parametrize("format", [pytest.param("pt2", marks=pytest.mark.slow), "onnx"])
def test_entities_are_answered_as_by_the_task(compare: Callable[..., Any], tokenizer: Any, format: str) -> None:
    task = TokenClassifier(labels=["O", "B-A", "I-A"], backbone=encoder(), tokenizer=tokenizer, max_length=16)
    alone = [{"json": {"texts": [text]}} for text in TEXTS]
    found = compare(task, format, {"json": {"texts": TEXTS}}, *alone)
    entities = [each["prediction"] for each in found[0]["predictions"]]
    assert entities[0][0].keys() == {"text", "label", "start", "end", "score"}


@pytest.mark.parametrize("format", [pytest.param("pt2", marks=pytest.mark.slow), "onnx"])
def test_answers_are_answered_as_by_the_task(compare: Callable[..., Any], tokenizer: Any, format: str) -> None:
    pairs = [{"question": "good", "context": text} for text in TEXTS if text.strip()]
    task = QuestionAnsweringTask(backbone=encoder(), tokenizer=tokenizer, max_length=16)
    too_long = {"question": "x " * 99, "context": "good"}
    compare(task, format, {"json": {"texts": pairs}}, {"json": {"texts": [too_long]}})


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_numbers_and_vectors_of_texts_are_answered_as_by_the_task(
    compare: Callable[..., Any], tokenizer: Any, format: str, tmp_path: Path, serve: Serve
) -> None:
    options: dict[str, Any] = {"backbone": encoder(), "tokenizer": tokenizer}
    request: dict[str, Any] = {"json": {"texts": TEXTS}}
    compare(TextRegressor(1, target_mean=[100.0], target_std=[20.0], **options), format, request)
    task = TextEmbedder(**options)
    folder = task.export(tmp_path / "vectors", format)
    same(serve(folder).post("/v1/predict", **request).json(), serve(task).post("/v1/predict", **request).json())


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_texts_are_generated_as_by_the_task(compare: Callable[..., Any], tokenizer: Any, format: str) -> None:
    sizes: dict[str, Any] = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    ids: dict[str, Any] = {"vocab_size": 40, "pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0}
    model = T5ForConditionalGeneration(T5Config(**sizes, **ids))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.4)
    task = SummarizationTask(model.eval(), tokenizer=tokenizer, max_new_tokens=8, num_beams=3, prefix="a good ")
    (answer,) = compare(task, format, {"json": {"texts": TEXTS}})
    assert len({each["prediction"] for each in answer["predictions"]}) > 1


# ---------------------------------------------------------------------- what is in the folder


def test_no_program_of_the_folder_is_executed(tmp_path: Path, serve: Serve) -> None:
    folder = classifier().export(tmp_path / "out", "onnx")
    for program in folder.glob("*.py"):
        program.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'executed')!r}).touch()\n")
    assert serve(folder).post("/v1/predict", json={"rows": rows()[:1]}).status_code == 200
    assert not (tmp_path / "executed").exists()
    for program in folder.glob("*.py"):
        program.unlink()
    assert load(folder).title == "TabularClassifier"


def test_an_exported_folder_has_its_device_and_its_precision(tmp_path: Path) -> None:
    folder = classifier().export(tmp_path / "out", "onnx")
    with pytest.raises(ConfigurationError, match="to be served as it was written, on the CPU, but got the device 'cud"):
        load(folder, device="cuda")
    with pytest.raises(ConfigurationError, match="and the precision 'bf16'. Serve the checkpoint instead"):
        load(folder, precision="bf16")


def test_the_command_says_that_a_folder_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = classifier().export(tmp_path / "out", "onnx")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1])
    assert main(["serve", str(folder), "--port", "0"]) != 0
    error = capsys.readouterr().err
    assert error.endswith("out model.onnx was changed. Copy it again, or export again.\n")
    assert "Traceback" not in error


def test_a_folder_of_something_else_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Expected a checkpoint at .*, but it is a folder."):
        load(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps({"exported": True}))
    with pytest.raises(CheckpointError, match=r"Expected a folder as task.export wrote it, but .* cannot be read"):
        load(tmp_path)
