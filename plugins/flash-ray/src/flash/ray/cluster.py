"""The Ray cluster: found or started, and large enough; what is sent to its workers, and the errors that come back."""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import sys
from typing import Any

from flash.errors import ConfigurationError, FlashError

__all__ = ["Failures", "check_fits", "check_workers", "packed", "packed_error", "started", "unpacked"]

log = logging.getLogger(__name__)

_FEWER = "Use fewer workers with num_workers, or start"


def started() -> Any:
    """Return the module ``ray``, connected to the cluster of ``RAY_ADDRESS``, or else to one that starts here.

    Ray's own defaults are kept, among them the tokens with which the processes of a cluster know each other.

    Raises:
        ConfigurationError: If Ray is not installed, there is no cluster, or the path of Python has spaces.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise ConfigurationError(
            f"Expected Ray, which flash.ray runs on, but it cannot be imported: {error}. Install it: "
            'pip install "ray[data,default,train]".'
        ) from error
    if not ray.is_initialized():
        _check_path(sys.executable)
        try:
            ray.init()
        # A process of the cluster that does not answer in time is an error of one of several types.
        except (ConnectionError, OSError, RuntimeError, TimeoutError, ValueError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ConfigurationError(
                f"Expected a Ray cluster, but none could be reached or started: {reason:.300}. If the machine is busy, "
                "start it first with ray start --head, and set RAY_ADDRESS=auto."
            ) from error
    return ray


def _check_path(executable: str) -> None:
    # Ray starts workers by a shell, whose first word would be a part of the path; it tries this again without an end.
    if " " in executable:
        raise ConfigurationError(
            f"Expected a Python whose path has no spaces, since Ray starts workers by a shell, but got {executable}. "
            "Make the environment in another folder."
        )


def check_workers(num_workers: int) -> None:
    """Check the number of workers.

    Raises:
        ConfigurationError: If it is not a positive integer.
    """
    if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 1:
        raise ConfigurationError(f"Expected num_workers to be a positive integer, but got {num_workers!r}.")


def check_fits(needed: dict[str, float], available: dict[str, float]) -> None:
    """Check that a cluster has what workers need, which they would otherwise wait for without an end.

    A cluster with an address, ``RAY_ADDRESS``, may grow: there it is a warning.

    Args:
        needed: The resources of all workers, such as ``{"CPU": 2}``.
        available: Those of the cluster, as ``ray.cluster_resources()`` returns them.

    Raises:
        ConfigurationError: If something is missing.
    """
    for name, amount in needed.items():
        if amount > available.get(name, 0):
            advice = "Leave use_gpu out, or start" if name == "GPU" and not available.get(name) else _FEWER
            message = (
                f"Expected a Ray cluster with {amount:g} {name}, but it has {available.get(name, 0):g}. {advice} a "
                "larger cluster: ray.init(num_cpus=...)."
            )
            if "RAY_ADDRESS" not in os.environ:
                raise ConfigurationError(message)
            log.warning("%s The workers wait until it has grown.", message)


def packed(value: Any, what: str) -> bytes:
    """Return a value as bytes for the workers: classes and functions of a program or a notebook included.

    Args:
        value: The value.
        what: What it is, for the message.

    Raises:
        ConfigurationError: If it cannot be pickled.
    """
    from ray import cloudpickle

    try:
        content: bytes = cloudpickle.dumps(value)  # type: ignore[no-untyped-call]  # Ray's own
    # Objects raise errors of any type when they are pickled.
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ConfigurationError(
            f"Expected {what} that can be sent to other machines, but it cannot be pickled: {reason:.300}. Open files, "
            "connections and locks where they are used first."
        ) from error
    return content


def unpacked(content: bytes) -> Any:
    """Return the value that :func:`packed` made bytes of.

    Raises:
        ConfigurationError: If a module that it is from is not there.
    """
    try:
        return pickle.loads(content)  # noqa: S301  # of the program that started the workers
    except ImportError as error:
        raise ConfigurationError(
            f"Expected the modules of the program on each machine, but: {error}. Install them there, or pass "
            "ray.init(runtime_env={'working_dir': '.'})."
        ) from error


class Failures:
    """An actor that remembers the first error which another attempt would meet again, such as a wrong argument.

    It also knows whether any attempt had something to train.
    """

    def __init__(self) -> None:
        self._first: bytes | None = None
        self._begun = False

    def begin(self) -> None:
        """Remember that a worker trains."""
        self._begun = True

    def has_begun(self) -> bool:
        """Return whether a worker trained."""
        return self._begun

    def record(self, error: bytes) -> None:
        """Remember an error, if it is the first."""
        self._first = self._first or error

    def first(self) -> bytes | None:
        """Return the first error; ``None`` without one."""
        return self._first


def packed_error(error: BaseException) -> bytes:
    """Return an error as bytes; one that cannot be sent as its sentence."""
    try:
        content = packed(error, "an error")
        unpacked(content)
    # An exception whose constructor has other arguments than its message fails when it is unpickled.
    except Exception:
        content = packed(FlashError(f"{type(error).__name__}: {error}"), "an error")
    return content
