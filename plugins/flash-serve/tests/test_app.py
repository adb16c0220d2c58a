"""The application: its paths, its limits, and its answers."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from small_domains import Rows, Service, Sums, task_of
from starlette.middleware.base import BaseHTTPMiddleware

import flash
from flash.core.classification import ClassificationTask
from flash.core.regression import RegressionTask
from flash.errors import CheckpointError, ConfigurationError
from flash.serve import Limits, make_app
from flash.serve.limits import bytes_of
from flash.serve.models import load

Serve = Callable[..., Service]
JSON = {"content-type": "application/json"}


# ---------------------------------------------------------------------- answers


def test_a_regression_answers_numbers(serve: Serve, row: dict[str, Any]) -> None:
    task = RegressionTask(num_targets=2, model=Sums())
    task.preprocess = Rows()
    assert serve(task).post(json={"rows": [row]}).json() == {"predictions": [{"prediction": [30.0, 4.0]}]}


def test_several_classes_a_sample_are_a_list(serve: Serve) -> None:
    task = ClassificationTask(labels=["old", "long"], multi_label=True, model=Sums())
    task.preprocess = Rows()
    (answer,) = serve(task).post(json={"rows": [{"age": 1, "city": ""}]}).json()["predictions"]
    assert answer["prediction"] == ["old"]
    assert answer["probabilities"] == [
        {"label": "old", "probability": pytest.approx(torch.sigmoid(torch.tensor(1.0)).item())},
        {"label": "long", "probability": 0.5},
    ]


def test_the_most_probable_classes_are_answered_up_to_a_limit(serve: Serve) -> None:
    class Many(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.arange(200.0).expand(len(x), 200)

    task = ClassificationTask(num_classes=200, model=Many())
    (answer,) = serve(task, max_classes=3).post(json={"rows": [[1]]}).json()["predictions"]
    assert [each["label"] for each in answer["probabilities"]] == ["199", "198", "197"]
    assert answer["prediction"] == 199


def test_what_json_lacks_is_null(serve: Serve) -> None:
    class Nothing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((len(x), 2), float("nan"))

    task = ClassificationTask(labels=["\ud800", "b"], model=Nothing())
    (answer,) = serve(task).post(json={"rows": [[1]]}).json()["predictions"]
    assert answer["probabilities"] == [
        {"label": "\ud800", "probability": None},
        {"label": "b", "probability": None},
    ]


def test_the_output_of_the_task_is_that_of_the_answers(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    rows.output = "classes"
    assert serve(rows).predictions(json={"rows": [row]}) == rows.predict([row]) == [0]


def test_a_postprocess_of_ones_own_is_asked(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    class Loud(flash.Postprocess):
        def per_sample_transform(self, sample: Any) -> Any:
            return sample.upper()

    rows.postprocess = Loud()
    assert serve(rows).post(json={"rows": [row]}).json() == {"predictions": [{"prediction": "LONG"}]}


# ---------------------------------------------------------------------- paths


def test_health_says_whether_requests_are_taken(serve: Serve, rows: flash.Task) -> None:
    service = serve(rows)
    assert (service.get("/health").status_code, service.get("/health").json()) == (200, {"status": "ready"})
    service.app.state.service.batcher.close()
    assert (service.get("/health").status_code, service.get("/health").json()) == (503, {"status": "stopping"})
    assert "but it is stopping." in service.error(503, json={"rows": [{"age": 1, "city": "x"}]})


def test_metrics_count_requests_samples_and_batches(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    service = serve(rows)
    service.predictions(json={"rows": [row] * 3})
    service.error(422, json={"rows": [{}]})
    text = service.get("/metrics")
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = text.text.splitlines()
    assert {'flash_requests_total{code="200"} 1', 'flash_requests_total{code="422"} 1'} <= set(lines)
    assert {"flash_samples_total 3", 'flash_batch_samples_bucket{le="4"} 1', "flash_batch_samples_count 1"} <= set(
        lines
    )
    assert {"flash_request_seconds_count 2", "flash_queue_requests 0", "flash_held_bytes 0"} <= set(lines)
    assert all(line.startswith(("# HELP flash_", "# TYPE flash_", "flash_")) for line in lines)


def test_the_task_says_what_it_takes(serve: Serve, rows: flash.Task) -> None:
    about = serve(rows).get("/v1/task").json()
    assert (about["kind"], about["key"], about["classes"]) == ("table", "rows", ["long", "old"])
    assert about["fields"][1] == {
        "name": "city",
        "type": "category",
        "values": ["Oslo", "Rome"],
        "may_be_missing": False,
        "typical": None,
    }


def test_the_document_of_openapi_has_the_fields(serve: Serve, rows: flash.Task) -> None:
    document = serve(rows, max_rows=7).get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["Request"]["properties"]["rows"]["maxItems"] == 7
    assert schemas["Sample"]["required"] == ["age", "city"]
    assert schemas["Sample"]["properties"]["city"]["description"] == "Known values: Oslo, Rome."
    assert set(document["paths"]) == {"/v1/predict", "/v1/task", "/health", "/metrics"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/x", "/v1/predict/", "/../etc/passwd", "/%2e%2e/etc/passwd"])
def test_another_path_is_an_error_in_words(serve: Serve, rows: flash.Task, path: str) -> None:
    answer = serve(rows).get(path)
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("Expected /v1/predict, /v1/task, /health, /metrics, /openapi.json or /, ")


def test_another_method_is_an_error_in_words(serve: Serve, rows: flash.Task) -> None:
    answer = serve(rows).get("/v1/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"error": "Expected POST for '/v1/predict', but got GET."}


def test_the_page_asks_for_nothing_outside(serve: Serve, rows: flash.Task) -> None:
    answer = serve(rows).get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in answer.text


def test_an_application_is_mounted_in_another(rows: flash.Task, row: dict[str, Any]) -> None:
    app = FastAPI()
    inner = make_app(rows)
    app.mount("/models/ages", inner)

    async def talk(client: httpx.AsyncClient) -> Any:
        return await client.post("/models/ages/v1/predict", json={"rows": [row]})

    assert Service(app).run(talk).json()["predictions"][0]["prediction"] == "long"
    inner.state.service.batcher.close(10)


def test_an_application_starts_again_after_it_has_stopped(rows: flash.Task, row: dict[str, Any]) -> None:
    app = make_app(rows)
    large = {"rows": [{**row, "note": "x" * 1000}] * 200}
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/health").json() == {"status": "ready"}
            assert client.post("/v1/predict", json={"rows": [row]}).status_code == 200
            assert client.post("/v1/predict", json=large).status_code == 200
        assert not app.state.service.batcher.is_alive


# ---------------------------------------------------------------------- limits


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 1000


async def stuck() -> AsyncIterator[bytes]:
    yield b'{"rows": '
    await asyncio.Event().wait()


def test_a_body_that_is_too_large_is_refused_by_its_header(serve: Serve, rows: flash.Task) -> None:
    sentence = serve(rows, max_body=1000).error(413, content=b" " * 1001, headers=JSON)
    assert sentence == (
        "Expected a body of at most 1,000 bytes, but got 1,001. Send fewer samples, or start the service with a larger "
        "--max_body."
    )


def test_a_body_without_a_length_is_refused_while_it_is_read(
    serve: Serve, rows: flash.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash.serve.app._SECONDS_TO_DRAIN", 0.05)
    sentence = serve(rows, max_body=5000).error(413, content=endless(), headers=JSON)
    assert "Expected a body of at most 5,000 bytes, but got more." in sentence


def test_a_body_that_does_not_end_is_cut_off_and_holds_nobody_up(
    serve: Serve, rows: flash.Task, row: dict[str, Any]
) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        slow = [asyncio.create_task(client.post("/v1/predict", content=stuck(), headers=JSON)) for _ in range(20)]
        await asyncio.sleep(0)
        assert (await client.post("/v1/predict", json={"rows": [row]})).status_code == 200
        assert not any(task.done() for task in slow)
        for answer in await asyncio.gather(*slow):
            assert (answer.status_code, answer.headers["connection"]) == (408, "close")
            assert answer.json()["error"] == ("Expected the whole body within 2 s, but it is not there. Send it again.")

    service = serve(rows, timeout=2)
    service.run(talk)
    assert "flash_held_bytes 0" in service.get("/metrics").text


def test_bodies_are_refused_for_which_there_is_no_memory(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    async def large() -> AsyncIterator[bytes]:
        yield b" " * 900
        await asyncio.Event().wait()

    async def talk(client: httpx.AsyncClient) -> list[int]:
        tasks = [asyncio.create_task(client.post("/v1/predict", content=large(), headers=JSON)) for _ in range(12)]
        answers = await asyncio.gather(*tasks)
        assert (await client.post("/v1/predict", json={"rows": [row]})).status_code == 200
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"].startswith("Expected a service that is free, but it reads as many other")
        return sorted(answer.status_code for answer in answers)

    assert serve(rows, max_body=1000, timeout=0.3).run(talk) == [408] * 8 + [503] * 4


def test_a_large_body_is_decoded_beside_the_loop(serve: Serve, rows: flash.Task) -> None:
    body = json.dumps({"rows": [{"age": age, "city": "y" * 2000} for age in range(0, 6000, 60)]})
    # The classes are long and old, and 2,000 is as long as old: the first of equals.
    assert serve(rows).predictions(content=body, headers=JSON) == ["old"] * 34 + ["long"] * 66


def test_ten_thousand_rows_are_predicted_where_they_are_allowed(serve: Serve) -> None:
    rows = [{"age": age, "city": "y"} for age in range(10_000)]
    rows = [row for row in rows if row["age"] not in (666, 667)]
    found = serve(task_of(Rows()), max_rows=10_000, max_batch=256).predictions(json={"rows": rows})
    assert [age for age, _ in found] == [row["age"] for row in rows]


def test_a_busy_network_answers_504_in_time(rows: flash.Task, serve: Serve, row: dict[str, Any]) -> None:
    gate = threading.Event()

    class Slow(Rows):
        def load_sample(self, sample: Any, dataset: Any) -> Any:
            gate.wait(60)
            return super().load_sample(sample, dataset)

    service = serve(task_of(Slow()), timeout=0.1)
    assert "Expected an answer within 0.1 s" in service.error(504, json={"rows": [row]})
    gate.set()


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"max_batch": 0}, "Expected max_batch to be a whole number above 0, but got 0."),
        ({"queue": True}, "Expected queue to be a whole number above 0, but got True."),
        ({"timeout": float("nan")}, "Expected timeout to be a number of seconds above 0, but got nan."),
        ({"max_body": "10MB"}, "Expected max_body to be a whole number above 0, but got '10MB'."),
    ],
)
def test_a_limit_is_a_positive_number(limit: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Limits(**limit)


@pytest.mark.parametrize("text", ["", "10XB", "-1", "0", "ten"])
def test_a_size_is_a_number_with_a_unit(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected a size such as 500kB or 10MB, but got '{text}'."):
        bytes_of(text)


# ---------------------------------------------------------------------- tasks


def test_a_checkpoint_that_is_none_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        make_app(tmp_path / "none.ckpt")


def test_precision_and_device_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Expected precision to be one of 32, 16, bf16, 64, but got '8'."):
        load(tmp_path / "none.ckpt", precision="8")


@pytest.mark.parametrize("path", ["/", "/v1/task", "/health", "/metrics", "/openapi.json"])
def test_head_is_answered_where_get_is(serve: Serve, rows: flash.Task, path: str) -> None:
    service = serve(rows)
    answer = service.run(lambda client: client.head(path))
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_compressed_body_is_refused(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    body, headers = json.dumps({"rows": [row]}).encode(), {"Content-Type": "application/json"}
    service, sentence = serve(rows), "Expected a body that is not compressed, but got 'gzip'. Send it plain."
    gzipped = {**headers, "Content-Encoding": "gzip"}
    assert service.error(415, content=gzip.compress(body), headers=gzipped) == sentence
    assert service.post(content=body, headers={**headers, "Content-Encoding": "Identity"}).status_code == 200


def test_middleware_that_is_added_sees_predictions_too(rows: flash.Task, row: dict[str, Any], serve: Serve) -> None:
    service = serve(rows)

    async def refuse(request: Any, call_next: Any) -> Any:
        if "authorization" not in request.headers:
            return PlainTextResponse("who are you?", 401)
        return await call_next(request)

    service.app.add_middleware(BaseHTTPMiddleware, dispatch=refuse)
    assert not service.app.predict_whole("application/json", json.dumps({"rows": [row]}).encode(), print)
    assert service.post(json={"rows": [row]}).status_code == 401
    assert service.post(json={"rows": [row]}, headers={"Authorization": "x"}).json() == {
        "predictions": serve(rows).post(json={"rows": [row]}).json()["predictions"]
    }


def test_rows_are_predicted_256_at_a_time_and_others_32() -> None:
    assert [Limits().batch_of(kind) for kind in ("table", "text", "image")] == [256, 32, 32]
    assert Limits(max_batch=7).batch_of("table") == 7
