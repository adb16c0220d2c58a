"""``pool``: workers for functions, several of which run at a time, such as the trainings of a baseline."""

from __future__ import annotations

import importlib
import queue
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from flash.errors import FlashError

from .cluster import check_fits, check_workers, packed, started, unpacked

__all__ = ["WorkerDiedError", "pool"]

# How often a function whose worker died is tried again.
_RETRIES = 1


class WorkerDiedError(FlashError, RuntimeError):
    """A worker died, and so did the one that replaced it."""


class Worker:
    """A worker: calls the initializer once, and then functions.

    Args:
        sent: A reference to the initializer with its arguments, packed. It is in a list, since Ray would forget an
            argument of its own once the worker has started, and could not start it again.
    """

    def __init__(self, sent: list[Any]) -> None:
        initializer, arguments = unpacked(importlib.import_module("ray").get(sent[0]))
        initializer(*arguments)

    def call(self, content: bytes) -> bytes:
        """Return the packed result of a packed function with its arguments."""
        function, arguments, keywords = unpacked(content)
        return packed(function(*arguments, **keywords), "a result")


class RayPool(Executor):
    """An executor whose workers are actors of Ray: each function is called in one that is idle.

    Args:
        ray: The module, connected to a cluster.
        workers: The actors.
        sent: The reference that they start from, which has to be kept for those that start again.
    """

    def __init__(self, ray: Any, workers: list[Any], sent: Any) -> None:
        self._ray = ray
        self._sent = sent
        self._workers = workers
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for worker in workers:
            self._idle.put(worker)
        # A thread waits for each worker.
        self._threads = ThreadPoolExecutor(len(workers), thread_name_prefix="flash-ray")

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        """Call a function in a worker.

        Raises:
            ConfigurationError: If the function or an argument cannot be sent.
        """
        content = packed((function, arguments, keywords), "a function and its arguments")
        return self._threads.submit(self._call, content)

    def _call(self, content: bytes) -> Any:
        worker = self._idle.get()
        try:
            return unpacked(self._ray.get(worker.call.remote(content)))
        except self._ray.exceptions.RayActorError as error:
            raise WorkerDiedError(
                f"Expected a worker that lives, but it died {_RETRIES + 1} times in the same work: it was killed, or "
                "there is not enough memory. Use fewer workers, or a machine with more memory."
            ) from error
        finally:
            self._idle.put(worker)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: with ``wait=False``, also those that are running something."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for worker in self._workers:
            self._ray.kill(worker)


def pool(num_workers: int, initializer: Callable[..., Any], initargs: tuple[Any, ...]) -> Executor:
    """Start workers, each with a CPU, and with a GPU if the cluster has one for each.

    A worker that dies is replaced, and what it was running is tried again once.

    Args:
        num_workers: The number of workers.
        initializer: Called in each worker, before anything else.
        initargs: Its arguments.

    Returns:
        An executor; its ``submit`` calls a function in a worker that is idle.

    Raises:
        ConfigurationError: If the number is wrong, the cluster is too small, or an argument cannot be sent.
    """
    check_workers(num_workers)
    content = packed((initializer, initargs), "an initializer and its arguments")
    ray = started()
    available = ray.cluster_resources()
    check_fits({"CPU": float(num_workers)}, available)
    options = {"num_cpus": 1, "num_gpus": 1 if available.get("GPU", 0) >= num_workers else 0}
    # An actor that is killed by RayPool is not started again.
    actor = ray.remote(max_restarts=-1, max_task_retries=_RETRIES, **options)(Worker)
    sent = ray.put(content)
    return RayPool(ray, [actor.remote([sent]) for _ in range(num_workers)], sent)
