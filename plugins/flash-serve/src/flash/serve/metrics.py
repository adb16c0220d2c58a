"""What a service has done, in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Histogram", "Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Numbers that were observed, in buckets.

    Args:
        bounds: The upper bound of each bucket, ascending.

    Example:
        >>> sizes = Histogram([1, 2])
        >>> for size in (1, 2, 2, 9):
        ...     sizes.observe(size)
        >>> list(sizes.lines("size"))[:3]
        ['size_bucket{le="1"} 1', 'size_bucket{le="2"} 3', 'size_bucket{le="+Inf"} 4']
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = list(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Add a number."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """Yield its lines in the text format."""
        total = 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {total}"


class Metrics:
    """The numbers of a process of a service.

    Each is written by one thread alone.

    Example:
        >>> metrics = Metrics()
        >>> metrics.answered(200, 0.002, samples=3)
        >>> 'flash_requests_total{code="200"} 1' in metrics.text({})
        True
    """

    def __init__(self) -> None:
        self.batches = Histogram(_SIZES)
        self._latency = Histogram(_SECONDS)
        self._requests: Counter[int] = Counter()
        self._samples = 0

    def answered(self, status: int, seconds: float, samples: int = 0) -> None:
        """Count a request.

        Args:
            status: The status code of its answer.
            seconds: The time from its first byte to its answer.
            samples: The samples that were predicted.
        """
        self._requests[status] += 1
        self._latency.observe(seconds)
        self._samples += samples

    def text(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> str:
        """Return all numbers in the text format.

        Args:
            gauges: Numbers of this moment: by their name what they are, and a function that returns them.
        """
        requests = [f'flash_requests_total{{code="{code}"}} {count}' for code, count in sorted(self._requests.items())]
        sections = [
            ("flash_requests_total", "counter", "Requests for predictions by status code.", requests),
            ("flash_samples_total", "counter", "Samples predicted.", [f"flash_samples_total {self._samples}"]),
            (
                "flash_request_seconds",
                "histogram",
                "Seconds from the first byte of a request to its answer.",
                [*self._latency.lines("flash_request_seconds")],
            ),
            (
                "flash_batch_samples",
                "histogram",
                "Samples that were predicted together.",
                [*self.batches.lines("flash_batch_samples")],
            ),
            *((name, "gauge", what, [f"{name} {value():g}"]) for name, (what, value) in gauges.items()),
        ]
        lines = [
            line
            for name, kind, what, values in sections
            for line in (f"# HELP {name} {what}", f"# TYPE {name} {kind}", *values)
        ]
        return "\n".join(lines) + "\n"
