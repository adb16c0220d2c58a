"""Batches of samples from several requests: one thread predicts, and takes what waits when it is free."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flash.errors import DataError

from .decoding import Samples
from .errors import RequestError
from .metrics import Metrics

__all__ = ["Batcher"]

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Job:
    """The samples of a request, of which some may be predicted already, and the errors of those that are wrong."""

    samples: Samples
    future: asyncio.Future[list[Any]]
    loop: asyncio.AbstractEventLoop
    timer: asyncio.TimerHandle | None = None
    taken: int = 0
    answers: list[Any] = field(default_factory=list)
    errors: dict[int, Exception] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return len(self.samples) - self.taken

    def end(self) -> None:
        """Wait no longer."""
        if self.timer is not None:
            self.timer.cancel()


class Batcher:
    """Predicts samples of several requests together, in a thread of its own.

    A request that comes while the thread is free is predicted at once, with all that the event loop has read in the
    same turn; those that come while it is busy wait, and are predicted together. Samples of a large request share the
    batches with those of others.

    Args:
        predict: A function from a list of samples to a list of answers.
        max_batch: The number of samples of a batch.
        queue: The number of requests that wait.
        metrics: What counts batches.

    Example:
        >>> batcher = Batcher(lambda words: [len(word) for word in words], 32, 8, Metrics())
        >>> asyncio.run(batcher.submit(Samples(["sun", "evening"], ["texts[0]", "texts[1]"]), timeout=9))
        [3, 7]
        >>> batcher.close()
    """

    def __init__(
        self, predict: Callable[[Sequence[Any]], Sequence[Any]], max_batch: int, queue: int, metrics: Metrics
    ) -> None:
        self._predict = predict
        self._max_batch = max_batch
        self._queue = queue
        self._metrics = metrics
        self._jobs: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        # The loop that says at the end of its turn that there is work, and whether one has said so.
        self._releasing: asyncio.AbstractEventLoop | None = None
        self._is_released = False

    @property
    def waiting(self) -> int:
        """The number of requests that wait."""
        return len(self._jobs)

    @property
    def is_alive(self) -> bool:
        """True if requests are taken."""
        return not self._is_closing and (self._thread is None or self._thread.is_alive())

    async def submit(self, samples: Samples, timeout: float) -> list[Any]:
        """Wait for the answers to the samples of a request.

        Args:
            samples: The samples.
            timeout: The seconds to wait.

        Raises:
            RequestError: If a sample is wrong, too many requests wait, or the answers take too long.
        """
        job = self._begin(samples, timeout)
        try:
            return await job.future
        finally:
            job.end()

    def begin(self, samples: Samples, timeout: float) -> asyncio.Future[list[Any]]:
        """Return the answers to come to the samples of a request, as :meth:`submit` waits for them.

        Args:
            samples: The samples.
            timeout: The seconds to wait.

        Raises:
            RequestError: If too many requests wait.
        """
        return self._begin(samples, timeout).future

    def _begin(self, samples: Samples, timeout: float) -> _Job:
        loop = asyncio.get_running_loop()
        job = _Job(samples, loop.create_future(), loop)
        with self._ready:
            is_full = len(self._jobs) >= self._queue
            if not (is_full or self._is_closing):
                self._jobs.append(job)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="flash-serve", daemon=True)
                    self._thread.start()
        if is_full or self._is_closing:
            samples.close()
            state = "it is stopping" if self._is_closing else f"{self._queue:,} requests wait already"
            raise RequestError(
                503,
                f"Expected a service that is free, but {state}. Send the request again later.",
                headers={"Retry-After": "1"},
            )
        if self._releasing is not loop:
            self._releasing = loop
            loop.call_soon(self._release)
        job.timer = loop.call_later(timeout, _expire, job, timeout)
        return job

    def open(self) -> None:
        """Take requests again after :meth:`close`."""
        with self._ready:
            self._is_closing = False

    def close(self, timeout: float | None = None) -> None:
        """Predict what waits, and end the thread.

        Args:
            timeout: The seconds to wait for that.
        """
        with self._ready:
            self._is_closing = True
            self._ready.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _release(self) -> None:
        self._releasing = None
        with self._ready:
            self._is_released = True
            self._ready.notify()

    # ------------------------------------------------------------------ in the thread

    def _work(self) -> None:
        while True:
            with self._ready:
                while not ((self._jobs and self._is_released) or self._is_closing):
                    self._ready.wait()
                if not self._jobs:
                    self._thread = None
                    return
                pieces = self._take()
                # What is left waits no longer.
                self._is_released = bool(self._jobs)
            if pieces:
                self._run(pieces)

    def _take(self) -> list[tuple[_Job, int]]:
        """Take samples of the requests that wait, in turn."""
        room, pieces = self._max_batch, []
        while self._jobs and room:
            job = self._jobs.popleft()
            if job.future.done():  # its time is over
                job.samples.close()
                continue
            count = min(room, job.left)
            pieces.append((job, count))
            job.taken += count
            room -= count
            if job.left:
                self._jobs.append(job)
        return pieces

    def _run(self, pieces: Sequence[tuple[_Job, int]]) -> None:
        samples: list[Any] = []
        for job, count in pieces:
            samples += job.samples.values[job.taken - count : job.taken]
        self._metrics.batches.observe(len(samples))
        errors: dict[int, Exception] = {}
        answers = self._answers(samples, errors)
        start = 0
        for job, count in pieces:
            if errors:
                before = len(job.answers) - start
                job.errors |= {before + row: errors[row] for row in range(start, start + count) if row in errors}
            job.answers += answers[start : start + count]
            start += count
        complete = [job for job, _ in pieces if len(job.answers) == len(job.samples)]
        for job in complete:
            job.samples.close()
        for loop in {id(job.loop): job.loop for job in complete}.values():
            try:
                loop.call_soon_threadsafe(_deliver, [job for job in complete if job.loop is loop])
            except RuntimeError:  # The loop was closed, and nobody waits.
                log.debug("An event loop ended before its requests were answered.")

    def _answers(self, samples: Sequence[Any], errors: dict[int, Exception], start: int = 0) -> list[Any]:
        """Return the answer of each sample; a wrong sample is found by halving, and fails alone.

        Args:
            samples: The samples.
            errors: Where the error of a wrong sample is put, whose answer is ``None``, by its row.
            start: The row of the first of them.
        """
        try:
            answers = list(self._predict(samples))
            if len(answers) != len(samples):
                raise DataError(f"Expected {len(samples)} predictions, but the task returned {len(answers)}.")
            return answers
        except Exception as error:  # of any library that a task uses
            if len(samples) == 1:
                errors[start] = error
                return [None]
        middle = len(samples) // 2
        first = self._answers(samples[:middle], errors, start)
        return first + self._answers(samples[middle:], errors, start + middle)


def _deliver(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.end()
        if job.future.done():
            continue
        if job.errors:
            job.future.set_exception(_request_error(job))
        else:
            job.future.set_result(job.answers)


def _request_error(job: _Job) -> RequestError:
    unexpected = [error for error in job.errors.values() if not isinstance(error, DataError)]
    places = [(job.samples.places[row], _sentence(job, row, error)) for row, error in job.errors.items()]
    place, sentence = places[0]
    for error in unexpected[:1]:
        log.error("A sample could not be predicted.", exc_info=error)
    more = f" {len(places) - 1} more samples are wrong." if len(places) > 1 else ""
    return RequestError(500 if unexpected else 422, f"{place}: {sentence}{more}", places[:20])


def _sentence(job: _Job, row: int, error: Exception) -> str:
    if isinstance(error, DataError):
        sample = job.samples.values[row]
        # The path of a temporary file is nobody's business.
        return str(error).replace(str(sample), "the file") if isinstance(sample, Path) else str(error)
    return f"Expected the task to predict the sample, but it failed with {type(error).__name__}; its log says why."


def _expire(job: _Job, timeout: float) -> None:
    if not job.future.done():
        job.future.set_exception(
            RequestError(
                504,
                f"Expected an answer within {timeout:g} s, but the network is busy. Send fewer samples, or later.",
                headers={"Retry-After": "1"},
            )
        )
