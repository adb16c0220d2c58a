"""Signal handling: stop signals are recorded, and acted on after the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["StopRequest", "catch_stop_signals"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


class StopRequest:
    """Signal handler that records the number of the last signal; 0 for none."""

    signum: int = 0

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Record a signal."""
        self.signum = signum


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Record SIGTERM, and SIGUSR1 and SIGUSR2 unless the program handles them itself.

    Python allows signal handlers only in the main thread; in other threads no signal is recorded.
    """
    request = StopRequest()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for signum in _SIGNALS:
            if signum == signal.SIGTERM or signal.getsignal(signum) == signal.SIG_DFL:
                before[signum] = signal.signal(signum, request)
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
