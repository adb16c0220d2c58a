"""Domains as third parties write them, with a network that says which sample it got; and clients of their services."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import torch
import uvicorn
from torch import nn

import flash
from flash.core.classification import ClassificationTask
from flash.data.requests import RequestField, RequestFields
from flash.serve.protocol import GuardedProtocol

ROWS = RequestFields(
    "table",
    [
        RequestField("age", "number", typical=40),
        RequestField("city", "category", ("Oslo", "Rome")),
        RequestField("day", "date", may_be_missing=True),
        RequestField("note", "text", may_be_missing=True),
        RequestField("wait", "duration", may_be_missing=True),
    ],
)


class Rows(flash.Preprocess):
    """A domain of rows, as a third party writes it: the network gets the age and the length of the city."""

    def request_fields(self) -> RequestFields:
        return ROWS

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        if sample["age"] == 666:
            raise flash.errors.DataError(f"Expected an age, but got {sample['age']}. Correct it.")
        if sample["age"] == 667:
            raise ZeroDivisionError("a mistake of the plugin")
        return torch.tensor([float(sample["age"] or 0), float(len(str(sample["city"])))])


class Words(flash.Preprocess):
    """A domain of texts: the network gets their length."""

    def request_fields(self) -> RequestFields:
        return RequestFields("text")

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        assert type(sample) is str
        return torch.tensor([float(len(sample)), 1.0])


class Pairs(flash.Preprocess):
    """A domain of pairs of texts: the network gets their lengths."""

    def request_fields(self) -> RequestFields:
        return RequestFields("text", [RequestField("question", "text"), RequestField("answer", "text")])

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        return torch.tensor([float(len(text)) for text in sample])


class Recordings(flash.Preprocess):
    """A domain of files: the network gets their size and that of their names."""

    opened: ClassVar[list[Path]] = []

    def request_fields(self) -> RequestFields:
        return RequestFields("file", extensions=(".wav", ".flac"), check=self.check)

    @staticmethod
    def check(content: bytes) -> None:
        if content.startswith(b"bomb"):
            raise flash.errors.DataError("Expected a recording, but got a bomb. Send another.")

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        self.opened.append(sample)
        content = sample.read_bytes()
        if content == b"damaged":
            raise flash.errors.DataError(f"Expected a recording, but {sample} is damaged. Repair it.")
        return torch.tensor([float(len(content)), float(len(sample.suffix))])


class Sums(nn.Module):
    """A network without randomness, whose output says which sample it was."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0], x[:, 1]], dim=1)


def task_of(preprocess: flash.Preprocess | None, labels: list[str] | None = None) -> flash.Task:
    task: flash.Task = flash.Task(Sums()) if labels is None else ClassificationTask(labels=labels, model=Sums())
    task.preprocess = preprocess
    return task


class Service:
    """An application, and the answers of its clients."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def run(self, talk: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        """Let clients talk to the application."""

        async def main() -> Any:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as client:
                return await talk(client)

        return asyncio.run(main())

    def get(self, path: str) -> httpx.Response:
        return self.run(lambda client: client.get(path))

    def post(self, **content: Any) -> httpx.Response:
        """Send one request, as in httpx."""
        return self.run(lambda client: client.post("/v1/predict", **content))

    def predictions(self, **content: Any) -> list[Any]:
        """Send one request that is answered, and return the predictions alone."""
        answer = self.post(**content)
        assert answer.status_code == 200, answer.text
        return [each["prediction"] for each in answer.json()["predictions"]]

    def error(self, status: int, **content: Any) -> str:
        """Send one request that is refused, and return the sentence."""
        answer = self.post(**content)
        assert answer.status_code == status, (answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/json"
        return str(answer.json()["error"])


@contextmanager
def on_loopback(app: Any) -> Iterator[int]:
    """Serve an application with uvicorn in a thread, and yield its port."""
    # As the service does.
    options: Any = {"ws": "none", "access_log": False, "server_header": False, "proxy_headers": False}
    config = uvicorn.Config(app, port=0, http=GuardedProtocol, log_level="warning", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < end
        thread.join(0.01)
        assert thread.is_alive()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
