"""The application: paths, limits and errors around the batches of a task."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

import flash
from flash.data.messages import show
from flash.data.requests import RequestRows

from .answers import answers, to_json
from .batching import Batcher
from .decoding import Decoder, Samples
from .errors import RequestError
from .limits import Limits
from .metrics import Metrics
from .models import Model, TaskModel, load
from .openapi import describe, openapi
from .page import POLICY, page

__all__ = ["PREDICT", "make_app"]

log = logging.getLogger(__name__)

# A larger body is decoded beside the event loop.
_LARGE = 100_000
# A body that is refused is read on for a while, so that its sender gets to reading the answer.
_SECONDS_TO_DRAIN = 1.0
#: The path of predictions.
PREDICT = "/v1/predict"
_JSON = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
#: What writes an answer, given its status, its body and its headers.
Write: TypeAlias = Callable[[int, bytes, list[tuple[bytes, bytes]]], None]


def make_app(task: flash.Task | str | os.PathLike[str] | Model, **limits: Any) -> FastAPI:
    """Make the application of a service, for ASGI servers such as uvicorn; it can be mounted in another.

    Args:
        task: A trained task, its checkpoint, a folder of :meth:`flash.Task.export`, or anything else that predicts as
            a :class:`~flash.serve.models.Model` does.
        limits: The arguments of :class:`~flash.serve.limits.Limits`.

    Raises:
        ConfigurationError: If a limit is wrong.
        DataError: If the task has not learned what a sample is.

    Example:
        >>> from torch import nn
        >>> app = make_app(flash.Task(nn.Linear(2, 1)), max_rows=10)
        >>> app.openapi()["paths"]["/v1/predict"]["post"]["operationId"]
        'predict'
    """
    bounds = Limits(**limits)
    if isinstance(task, flash.Task):
        return _Service(TaskModel(task.eval()), bounds).app
    return _Service(load(task) if isinstance(task, str | os.PathLike) else task, bounds).app


class _Application(FastAPI):
    """FastAPI whose predictions do not pass its middleware and routes, which took as long as all else of a request."""

    def __init__(self, service: _Service, **options: Any) -> None:
        super().__init__(**options)
        self._answer, self._begin = service.answer, service.begin

    def predict_whole(self, content_type: str, body: bytes, write: Write) -> bool:
        """Begin to answer a request for predictions that is there as a whole, without the steps of ASGI.

        Args:
            content_type: The header.
            body: The body.
            write: Gets the status, the body and the headers of the answer; maybe at once.

        Returns:
            Whether that is begun; otherwise the request has to be read as any other.
        """
        return not self.user_middleware and self._begin(content_type, body, write)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_short = scope["type"] == "http" and scope["method"] == "POST" and not self.user_middleware
        if not is_short or scope["path"] != scope.get("root_path", "") + PREDICT:
            await super().__call__(scope, receive, send)
            return
        status, body, headers = await self._answer(scope, receive)
        await send({"type": "http.response.start", "status": status, "headers": _head(body, headers)})
        await send({"type": "http.response.body", "body": body})


class _Service:
    """The state of an application: its model, its batches, and what it counts."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self.limits = limits
        self.metrics = Metrics()
        self.decoder = Decoder(model.fields, limits)
        names = [each.name for each in model.fields.fields] if model.fields.kind == "table" else None

        def predict(samples: Sequence[Any]) -> list[Any]:
            given = samples if names is None else RequestRows(names, samples)
            return answers(model.predict(given), model.classes, limits.max_classes)

        self.batcher = Batcher(
            predict,
            limits.batch_of(model.fields.kind),
            limits.queue,
            self.metrics,
        )
        #: The bytes of the bodies in memory.
        self.held = 0
        self._executor = _executor()
        about = describe(model, limits)
        document = openapi(about, model.fields, limits)
        self._about, self._page = to_json(about), page().encode()
        self.metrics.gauges |= {
            "flash_queue_requests": lambda: float(self.batcher.waiting),
            "flash_held_bytes": lambda: float(self.held),
        }

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            # It may start again after it has stopped, as with each client of the tests of an application.
            self.batcher.open()
            yield
            await asyncio.get_running_loop().run_in_executor(None, self.batcher.close, limits.timeout)
            self._executor.shutdown(wait=False)
            self._executor = _executor()

        # Its pages of documentation would load scripts from elsewhere.
        without: Any = {"docs_url": None, "redoc_url": None, "redirect_slashes": False}
        app = _Application(self, title=about["title"], openapi_url="/openapi.json", lifespan=lifespan, **without)
        app.openapi = lambda: document  # type: ignore[method-assign]  # as its documentation says
        app.add_exception_handler(HTTPException, _of_path)
        get: Any = {"methods": ["GET", "HEAD"], "include_in_schema": False}
        app.add_route(PREDICT, self.predict, ["POST"])
        app.add_api_route("/v1/task", self.about, **get)
        app.add_api_route("/health", self.health, **get)
        app.add_api_route("/metrics", self.numbers, **get)
        app.add_api_route("/", self.page, **get)
        app.state.service = self
        self.app = app

    # ------------------------------------------------------------------ paths

    async def predict(self, request: Request) -> Response:
        """Answer a request for predictions that came through middleware."""
        status, body, headers = await self.answer(request.scope, request.receive)
        return _answer(body, status, headers)

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes, dict[str, str]]:
        """Return the status, the body and the headers of the answer to a request for predictions."""
        start = time.perf_counter()
        try:
            samples = await self._samples(scope, receive)
            return self._answered(start, await self.batcher.submit(samples, self.limits.timeout))
        except RequestError as error:
            return self._refused(start, error)

    def begin(self, content_type: str, body: bytes, write: Write) -> bool:
        """Begin to answer a request that is there as a whole, and return whether that is begun."""
        if len(body) >= min(_LARGE, self.limits.max_body + 1):
            return False
        start = time.perf_counter()
        try:
            with _Hold(self) as hold:
                hold.add(len(body))
                samples = self.decoder.decode(content_type, body)
            answers_to_come = self.batcher.begin(samples, self.limits.timeout)
        except Exception as error:  # there is no server around it that would say so
            _write(write, *self._refused(start, _as_request_error(error)))
            return True

        def end(found: asyncio.Future[list[Any]]) -> None:
            if found.cancelled():
                return
            try:
                answer = self._answered(start, found.result())
            except Exception as error:
                answer = self._refused(start, _as_request_error(error))
            _write(write, *answer)

        answers_to_come.add_done_callback(end)
        return True

    def _answered(self, start: float, found: Sequence[Any]) -> tuple[int, bytes, dict[str, str]]:
        body = to_json({"predictions": found})
        self.metrics.answered(200, time.perf_counter() - start, len(found))
        return 200, body, {}

    def _refused(self, start: float, error: RequestError) -> tuple[int, bytes, dict[str, str]]:
        self.metrics.answered(error.status, time.perf_counter() - start)
        return error.status, to_json(error.body), error.headers

    async def about(self) -> Response:
        """Return what the task takes and gives."""
        return _answer(self._about)

    async def health(self) -> Response:
        """Say whether requests are taken."""
        is_ready = self.batcher.is_alive
        return _answer(to_json({"status": "ready" if is_ready else "stopping"}), 200 if is_ready else 503)

    async def numbers(self) -> Response:
        """Return what the service has done, for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def page(self) -> Response:
        """Return the page."""
        return Response(self._page, media_type="text/html; charset=utf-8", headers=POLICY)

    # ------------------------------------------------------------------ bodies

    async def _samples(self, scope: Scope, receive: Receive) -> Samples:
        # Of a header that is there twice, the first counts.
        headers = dict(reversed(scope["headers"]))
        encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        if encoding.strip().lower() != "identity":
            raise RequestError(415, f"Expected a body that is not compressed, but got {show(encoding)}. Send it plain.")
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        with _Hold(self) as hold:
            body = await self._body(headers.get(b"content-length", b""), receive, hold)
            if len(body) < _LARGE:
                return self.decoder.decode(content_type, body)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, self.decoder.decode, content_type, body)

    async def _body(self, declared: bytes, receive: Receive, hold: _Hold) -> bytes:
        most = self.limits.max_body
        chunks: list[bytes] = []
        size = 0
        try:
            with _Within(self.limits.timeout):
                if declared.isdigit() and int(declared) > most:
                    await _drain(receive)
                    raise _too_large(most, f"{int(declared):,}")
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestError(400, "Expected the whole body, but the connection ended.")
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > most:
                        chunks.clear()
                        await _drain(receive)
                        raise _too_large(most, "more")
                    hold.add(len(chunk))
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError as error:
            raise RequestError(
                408,
                f"Expected the whole body within {self.limits.timeout:g} s, but it is not there. Send it again.",
                headers={"Connection": "close"},
            ) from error


def _executor() -> ThreadPoolExecutor:
    # One body at a time, since a small one may become large in memory.
    return ThreadPoolExecutor(1, "flash-serve-decode")


class _Hold:
    """Counts the bytes of a body in memory, until the end of the context, and refuses more than there is room for."""

    __slots__ = ("_mine", "_service")

    def __init__(self, service: _Service) -> None:
        self._service = service
        self._mine = 0

    def __enter__(self) -> _Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self._service.held -= self._mine

    def add(self, count: int) -> None:
        """Count some bytes more."""
        service = self._service
        if service.held + count > service.limits.max_bytes:
            raise RequestError(
                503,
                "Expected a service that is free, but it reads as many other requests as it has memory for. Send "
                "the request again later.",
                headers={"Retry-After": "1", "Connection": "close"},
            )
        self._mine += count
        service.held += count


def _too_large(most: int, got: str) -> RequestError:
    return RequestError(
        413,
        f"Expected a body of at most {most:,} bytes, but got {got}. Send fewer samples, or start the service with a "
        "larger --max_body.",
        headers={"Connection": "close"},
    )


async def _drain(receive: Callable[[], Awaitable[Any]]) -> None:
    with contextlib.suppress(TimeoutError), _Within(_SECONDS_TO_DRAIN):
        while (await receive()).get("more_body", False):
            # A sender that is fast enough would never let the timer run.
            await asyncio.sleep(0)


class _Within:
    """Raises a TimeoutError after some seconds; without a task of its own, as ``asyncio.wait_for`` has."""

    __slots__ = ("_is_over", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task: Any = asyncio.current_task(loop)
        self._timer = loop.call_later(self._seconds, self._expire)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._is_over and kind is not None and issubclass(kind, asyncio.CancelledError):
            if hasattr(self._task, "uncancel"):  # since Python 3.11
                self._task.uncancel()
            raise TimeoutError from None

    def _expire(self) -> None:
        self._is_over = True
        self._task.cancel()


def _as_request_error(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    log.error("A request could not be answered.", exc_info=error)
    kind = type(error).__name__
    return RequestError(500, f"Expected the service to answer, but it failed with {kind}; its log says why.")


def _head(body: bytes, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer of JSON."""
    length = (b"content-length", b"%d" % len(body))
    return [*_JSON, length, *((name.lower().encode(), value.encode()) for name, value in headers.items())]


def _write(write: Write, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    write(status, body, _head(body, headers))


def _answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        body, status, {"X-Content-Type-Options": "nosniff", **(headers or {})}, media_type="application/json"
    )


async def _of_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = show(request.url.path)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        sentence = f"Expected {allowed} for {path}, but got {request.method}."
    elif error.status_code == 404:
        sentence = f"Expected /v1/predict, /v1/task, /health, /metrics, /openapi.json or /, but got {path}."
    else:
        sentence = str(error.detail)
    return _answer(to_json({"error": sentence}), error.status_code, dict(error.headers or {}))
