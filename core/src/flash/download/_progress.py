"""Progress bar for long operations outside training."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol


class Bar(Protocol):
    """Protocol of a progress bar."""

    def __enter__(self) -> Bar: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...

    def update(self, n: int, /) -> object:
        """Advance by ``n`` units."""


def progress_bar(
    what: str, total: int | None, *, done: int = 0, shown: bool = True, unit: str = "B", delay: float = 0.0
) -> Bar:
    """Show a progress bar of bytes, or another unit, with rate and remaining time, also in notebooks.

    With a ``delay``, work that takes fewer seconds shows none.

    Example:
        >>> with progress_bar("data.zip", total=2048, shown=False) as bar:
        ...     _ = bar.update(1024)
    """
    # Imported late: it detects whether this is a notebook, which takes longer than all of our own imports.
    from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]

    bar: Bar = tqdm(
        desc=what,
        total=total,
        initial=done,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        unit_divisor=1024,
        disable=not shown,
        delay=delay,
    )
    return bar
