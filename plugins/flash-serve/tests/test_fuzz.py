"""Requests that schemathesis makes from the document of the service: each is answered as the document says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from small_domains import Pairs, Recordings, Rows, Words, task_of

import flash
from flash.serve import make_app

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
TASKS = {
    "rows": lambda: task_of(Rows(), ["long", "old"]),
    "words": lambda: task_of(Words()),
    "pairs": lambda: task_of(Pairs()),
    "files": lambda: task_of(Recordings()),
    "numbers": lambda: task_of(None),
}


def fuzz(task: flash.Task, examples: int, mode: Any = GenerationMode.POSITIVE) -> dict[str, set[int]]:
    """Send requests to each path, and return the codes of its answers."""
    app = make_app(task, max_rows=20)
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    seen: dict[str, set[int]] = {}
    for result in document.get_all_operations():
        operation = result.ok()
        if mode == GenerationMode.NEGATIVE and not operation.body:
            # Without a body there is nothing that could be wrong.
            continue

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            answer = case.call()
            seen.setdefault(case.operation.label, set()).add(answer.status_code)
            case.validate_response(answer, checks=CHECKS)

        send()
    app.state.service.batcher.close(10)
    return seen


@pytest.mark.parametrize("name", TASKS)
def test_made_requests_are_answered_as_the_document_says(name: str) -> None:
    # Which shape numbers have is known to the network alone.
    assert fuzz(TASKS[name](), 20)["POST /v1/predict"] & {200, 422 if name == "numbers" else 200}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_many_made_requests_are_answered_as_the_document_says(name: str) -> None:
    right = fuzz(TASKS[name](), 300)["POST /v1/predict"]
    assert right <= {200, 422} if name == "numbers" else 200 in right
    wrong = fuzz(TASKS[name](), 300, GenerationMode.NEGATIVE)["POST /v1/predict"]
    assert {400, 422} <= wrong <= {400, 413, 422}


def test_the_document_is_one_of_openapi() -> None:
    document = make_app(TASKS["rows"]()).openapi()
    assert document["openapi"] == "3.1.0"
    assert json.loads(json.dumps(document)) == document
