"""Counts of what a service has done, of all its processes, in the text format of Prometheus."""

from __future__ import annotations

import os
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Histogram", "Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CODES = (200, 400, 408, 413, 415, 422, 500, 503, 504)
_GAUGES = {
    "flash_queue_requests": "Requests that wait for the network.",
    "flash_held_bytes": "Bytes of the bodies of requests in memory.",
}
_SUFFIX = ".metrics"


class Histogram:
    """Numbers that were observed, in buckets.

    Args:
        bounds: The upper bound of each bucket, ascending.
        cells: Where they are counted: one number per bucket, one for larger ones, and their sum.

    Example:
        >>> sizes = Histogram([1, 2], cells := [0.0] * 4)
        >>> for size in (1, 2, 2, 9):
        ...     sizes.observe(size)
        >>> list(sizes.lines("size", cells))[:3]
        ['size_bucket{le="1"} 1', 'size_bucket{le="2"} 3', 'size_bucket{le="+Inf"} 4']
    """

    def __init__(self, bounds: Sequence[float], cells: Any) -> None:
        self._bounds = list(bounds)
        self._cells = cells

    def observe(self, value: float) -> None:
        """Add a number."""
        self._cells[bisect_left(self._bounds, value)] += 1
        self._cells[len(self._bounds) + 1] += value

    def lines(self, name: str, cells: Sequence[float]) -> Iterator[str]:
        """Yield lines in the text format.

        Args:
            name: The name.
            cells: What was counted, here or in several processes together.
        """
        total = 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], cells, strict=False):
            total += int(count)
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {cells[len(self._bounds) + 1]:.6f}"
        yield f"{name}_count {total}"


class Metrics:
    """The numbers of a service.

    Each number is written by one thread alone.

    Example:
        >>> metrics = Metrics()
        >>> metrics.answered(200, 0.002, samples=3)
        >>> 'flash_requests_total{code="200"} 1' in metrics.text()
        True
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        #: Functions that return numbers of this moment, by their names.
        self.gauges: dict[str, Callable[[], float]] = dict.fromkeys(_GAUGES, lambda: 0.0)
        sizes = {
            "codes": len(_CODES),
            "samples": 1,
            "seconds": len(_SECONDS) + 2,
            "batches": len(_SIZES) + 2,
            "gauges": len(_GAUGES),
        }
        ends = dict(zip(sizes, np.cumsum(list(sizes.values())).tolist(), strict=True))
        self._parts = {name: slice(ends[name] - size, ends[name]) for name, size in sizes.items()}
        self._size = ends["gauges"]
        self._count_in(np.zeros(self._size))

    def share(self, folder: str | Path) -> None:
        """Count in a file from now on, so that each process of a service can tell the sum of all.

        What a process has counted stays when it ends.

        Args:
            folder: The folder of the service's processes.
        """
        self._folder = Path(folder)
        name = f"{os.getpid()}.{secrets.token_hex(8)}{_SUFFIX}"
        self._count_in(np.memmap(self._folder / name, np.float64, "w+", shape=(self._size,)))

    def _count_in(self, cells: Any) -> None:
        self._cells = cells
        self.batches = Histogram(_SIZES, cells[self._parts["batches"]])
        self._latency = Histogram(_SECONDS, cells[self._parts["seconds"]])

    def answered(self, status: int, seconds: float, samples: int = 0) -> None:
        """Count a request.

        Args:
            status: The status code of its answer.
            seconds: The time from its first byte to its answer.
            samples: The samples that were predicted.
        """
        self._cells[_CODES.index(status)] += 1
        self._cells[len(_CODES)] += samples
        self._latency.observe(seconds)
        if self._folder is not None:
            self._write_gauges()

    def text(self) -> str:
        """Return all numbers in the text format."""
        self._write_gauges()
        cells = self._sum()
        found = {name: cells[part].tolist() for name, part in self._parts.items()}
        counts = zip(_CODES, found["codes"], strict=True)
        requests = [f'flash_requests_total{{code="{code}"}} {count:.0f}' for code, count in counts if count]
        samples = [f"flash_samples_total {found['samples'][0]:.0f}"]
        sections = [
            ("flash_requests_total", "counter", "Requests for predictions by status code.", requests),
            ("flash_samples_total", "counter", "Samples predicted.", samples),
            (
                "flash_request_seconds",
                "histogram",
                "Seconds from the first byte of a request to its answer.",
                [*self._latency.lines("flash_request_seconds", found["seconds"])],
            ),
            (
                "flash_batch_samples",
                "histogram",
                "Samples that were predicted together.",
                [*self.batches.lines("flash_batch_samples", found["batches"])],
            ),
            *(
                (name, "gauge", what, [f"{name} {value:g}"])
                for (name, what), value in zip(_GAUGES.items(), found["gauges"], strict=True)
            ),
        ]
        lines = [
            line
            for name, kind, what, values in sections
            for line in (f"# HELP {name} {what}", f"# TYPE {name} {kind}", *values)
        ]
        return "\n".join(lines) + "\n"

    def _write_gauges(self) -> None:
        self._cells[self._parts["gauges"]] = [self.gauges[name]() for name in _GAUGES]

    def _sum(self) -> Any:
        if self._folder is None:
            return self._cells
        total = np.zeros(self._size)
        for file in self._folder.glob(f"*{_SUFFIX}"):
            cells = np.fromfile(file, np.float64)
            if len(cells) == self._size:  # otherwise it is only just made
                if not _is_running(int(file.name.partition(".")[0])):
                    cells[self._parts["gauges"]] = 0
                total += cells
        return total


def _is_running(process: int) -> bool:
    if os.name != "posix":  # where the next line would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
