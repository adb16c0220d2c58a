"""One progress bar for everything that takes long outside training."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol


class Bar(Protocol):
    """What is asked of a progress bar."""

    def __enter__(self) -> Bar: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...

    def update(self, n: int, /) -> object:
        """Move on by ``n`` units."""


def progress_bar(what: str, total: int | None, *, done: int = 0, shown: bool = True, unit: str = "B") -> Bar:
    """Show bytes, or another unit, with rate and time left; in notebooks too.

    Example:
        >>> with progress_bar("data.zip", total=2048, shown=False) as bar:
        ...     _ = bar.update(1024)
    """
    # Late: it finds out whether this is a notebook, which takes longer than all of our own imports.
    from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]

    bar: Bar = tqdm(
        desc=what,
        total=total,
        initial=done,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        unit_divisor=1024,
        disable=not shown,
    )
    return bar
