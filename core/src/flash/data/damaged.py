"""Find and drop samples that cannot be opened, by trying to open each of them once."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from flash.data.folders import FileList
from flash.data.inputs import SampleInputs, source_name
from flash.data.messages import list_some
from flash.download import progress_bar
from flash.errors import DataError

__all__ = ["without_damaged"]

_log = logging.getLogger("flash.data")

T = TypeVar("T", bound=SampleInputs)


def without_damaged(
    inputs: T, attempt: Callable[[Any, str], None], noun: str, stage: str
) -> tuple[T, list[tuple[str, str]], list[int]]:
    """Try to open every sample, and drop those that cannot be opened.

    Args:
        inputs: The samples.
        attempt: Opens a source, called with it and its name for messages; any exception means that it cannot be
            opened. Sources in lists, arrays and tensors are tried in several threads.
        noun: Noun for a sample in messages.
        stage: The stage.

    Returns:
        The remaining inputs, the name and the reason of each dropped sample, and the rows of the remaining ones.

    Raises:
        DataError: If no sample remains.

    Example:
        >>> numbers = SampleInputs(["1", "x"])
        >>> kept, damaged, rows = without_damaged(numbers, lambda source, name: float(source), "number", "val")
        >>> kept.sources, damaged, rows
        (['1'], [('x', "could not convert string to float: 'x'")], [0])
    """
    total = len(inputs.sources)
    results: list[tuple[str, str | None]] = []
    with progress_bar(f"Checking {stage} {noun}s", total, shown=True, unit=f"{noun}s") as progress:
        for result in _tried(inputs.sources, attempt, noun, stage):
            results.append(result)
            progress.update(1)
    damaged = [(name, reason) for name, reason in results if reason is not None]
    if damaged and len(damaged) == total:
        raise DataError(
            f"Expected {noun}s that can be opened, but none of the {total} of the {stage} data can. The first: "
            f"{damaged[0][1]}"
        )
    if not damaged:
        return inputs, [], list(range(total))
    names = list_some(name for name, _ in damaged)
    _log.warning("Left out %d of %d %s %ss that cannot be opened: %s.", len(damaged), total, stage, noun, names)
    rows = [row for row, (_, reason) in enumerate(results) if reason is None]
    return inputs.take(rows), damaged, rows


def _tried(
    sources: Sequence[Any], attempt: Callable[[Any, str], None], noun: str, stage: str
) -> Iterable[tuple[str, str | None]]:
    """Yield the name of each sample, and the reason why it is damaged or ``None``."""
    one = partial(_try, sources, attempt, noun, stage)
    if not isinstance(sources, list | tuple | np.ndarray | Tensor | FileList):
        # A dataset of the user may not be thread-safe.
        yield from map(one, range(len(sources)))
        return
    # Decoders of most libraries release the GIL.
    with ThreadPoolExecutor(max_workers=min(32, os.cpu_count() or 1)) as pool:
        yield from pool.map(one, range(len(sources)))


def _try(
    sources: Sequence[Any], attempt: Callable[[Any, str], None], noun: str, stage: str, row: int
) -> tuple[str, str | None]:
    name = source_name(None, row, noun, stage)
    try:
        source = sources[row]
        name = source_name(source, row, noun, stage)
        attempt(source, name)
    # A dataset that opens samples itself may raise any exception.
    except Exception as error:
        return name, str(error) or type(error).__name__
    return name, None
