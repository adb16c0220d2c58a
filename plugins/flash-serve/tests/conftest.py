"""Fixtures that these tests share: small tasks of several domains, and a client of their services in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flash
from flash.serve import make_app

sys.path.insert(0, str(Path(__file__).parent))
# The browser is that of the report of a baseline.
sys.path.append(str(Path(__file__).parents[2] / "flash-baseline" / "tests"))

from small_domains import Pairs, Recordings, Rows, Service, Words, task_of


@pytest.fixture
def rows() -> flash.Task:
    """A classifier of rows."""
    return task_of(Rows(), ["long", "old"])


@pytest.fixture
def words() -> flash.Task:
    return task_of(Words())


@pytest.fixture
def pairs() -> flash.Task:
    return task_of(Pairs())


@pytest.fixture
def recordings() -> flash.Task:
    Recordings.opened.clear()
    return task_of(Recordings())


@pytest.fixture
def arrays() -> flash.Task:
    return task_of(None)


@contextmanager
def _serve(task: flash.Task, **limits: Any) -> Iterator[Service]:
    app = make_app(task, **limits)
    yield Service(app)
    app.state.service.batcher.close(10)


Serve = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Makes services of tasks, which end with the test."""
    opened = []

    def open_one(task: flash.Task, **limits: Any) -> Service:
        opened.append(_serve(task, **limits))
        return opened[-1].__enter__()

    yield open_one
    for each in opened:
        each.__exit__(None, None, None)


@pytest.fixture
def row() -> dict[str, Any]:
    return {"age": 30, "city": "Rome"}


@pytest.fixture
def noise() -> bytes:
    return np.random.default_rng(0).bytes(1000)
