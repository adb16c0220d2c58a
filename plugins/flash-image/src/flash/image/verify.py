"""Which images can be decoded: where bad ones are to be left out, all are tried once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from flash.data import files
from flash.errors import DataError

from .inputs import ImageInputs, name_of
from .read import open_image

__all__ = ["check_files_exist", "load_into_memory", "without_bad_samples"]

_log = logging.getLogger("flash.image")

# Decoding at an eighth of the size reads the whole file, and so finds all damage.
_SMALLEST = (1, 1)


def without_bad_samples(inputs: ImageInputs, stage: str) -> tuple[ImageInputs, list[tuple[str, str]]]:
    """Try to decode every image, and leave out those that cannot be.

    Args:
        inputs: The images.
        stage: Names them in messages.

    Returns:
        What is left, and for each image that was left out its name and the reason.

    Raises:
        DataError: If none is left.
    """
    from tqdm.auto import tqdm

    total = len(inputs.sources)
    tried = tqdm(_tried(inputs.sources, stage), desc=f"Checking {stage} images", total=total, leave=False)
    results = list(tried)
    bad = [(name, reason) for name, reason in results if reason is not None]
    if bad and len(bad) == total:
        raise DataError(
            f"Expected images that can be decoded, but none of the {total} of the {stage} data can. The first: "
            f"{bad[0][1]}"
        )
    if not bad:
        return inputs, []
    names = ", ".join(name for name, _ in bad[:5]) + (", ..." if len(bad) > 5 else "")
    _log.warning("Left out %d of %d %s images that cannot be decoded: %s.", len(bad), total, stage, names)
    return inputs.take([row for row, (_, reason) in enumerate(results) if reason is None]), bad


def _tried(sources: Sequence[Any], stage: str) -> Iterable[tuple[str, str | None]]:
    """For each image its name, and why it is bad or ``None``."""
    attempt = partial(_attempt, sources, stage)
    if not isinstance(sources, list | tuple | np.ndarray | Tensor):
        # Somebody's dataset may not bear several threads.
        yield from map(attempt, range(len(sources)))
        return
    # Pillow decodes without the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(32, os.cpu_count() or 1)) as pool:
        yield from pool.map(attempt, range(len(sources)))


def _attempt(sources: Sequence[Any], stage: str, row: int) -> tuple[str, str | None]:
    name = name_of(None, row, stage)
    try:
        source = sources[row]
        name = name_of(source, row, stage)
        open_image(source, _SMALLEST, name)
    # Of whatever type: a dataset that decodes by itself raises what it likes.
    except Exception as error:
        return name, str(error) or type(error).__name__
    return name, None


def load_into_memory(sources: Sequence[Any]) -> None:
    """Decode PIL images that still hang on an open file, which several workers must not read at once.

    A bad one stays as it is, and is named when it is used.
    """
    for row, source in enumerate(sources if isinstance(sources, list | tuple) else ()):
        if isinstance(source, Image.Image) and getattr(source, "fp", None) is not None:
            _attempt(sources, "", row)


def check_files_exist(sources: Sequence[Any], stage: str) -> None:
    """Look for all files before training, rather than miss one in the middle of it.

    Raises:
        DataError: If some are missing; it counts them and names the first.
    """
    advice = 'Check the paths and images_root, or pass on_bad_sample="skip" to leave them out.'
    files.check_files_exist(sources, stage, "image", advice)
