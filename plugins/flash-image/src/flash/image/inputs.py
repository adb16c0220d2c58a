"""ImageInputs: what the data modules hand to the preprocess, and the samples that become of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flash.errors import DataError

__all__ = ["ImageInputs", "ImageSample", "ImageSamples"]


@dataclass(frozen=True)
class ImageInputs:
    """Images of one stage, undecoded, with their targets.

    Args:
        sources: What :func:`~flash.image.read.open_image` opens, one an image.
        targets: One a source; ``None`` for prediction.
        names: The names of the classes, where targets are their numbers or rows of zeros and ones.
        on_bad_sample: ``"error"`` raises for an image that cannot be decoded; ``"skip"`` leaves such out.

    Raises:
        DataError: If there are not as many targets as images.
    """

    sources: Sequence[Any]
    targets: Any = None
    names: Sequence[Any] | None = None
    on_bad_sample: str = "error"

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self.sources):
            raise DataError(
                f"Expected one target an image, but got {len(self.sources)} images and {len(self.targets)} targets."
            )

    def rows(self, rows: Sequence[int]) -> ImageInputs:
        """The given rows alone."""
        return ImageInputs(Rows(self.sources, rows), pick(self.targets, rows), self.names, self.on_bad_sample)


class Rows(Sequence[Any]):
    """Some elements of a sequence, fetched when they are asked for."""

    def __init__(self, whole: Any, rows: Sequence[int]) -> None:
        self._whole = whole
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._whole[int(self._rows[index])]


def pick(targets: Any, rows: Sequence[int]) -> Any:
    """The targets of some rows, in the type that they have: rows of an array mean something else than lists."""
    if targets is None or hasattr(targets, "shape"):
        return None if targets is None else targets[list(rows)]
    return [targets[row] for row in rows]


class ImageSample(NamedTuple):
    """An undecoded image with its encoded target, and what messages call it."""

    source: Any
    target: Any
    name: str


class ImageSamples(Sequence[ImageSample]):
    """Undecoded images with encoded targets.

    Args:
        sources: What :func:`~flash.image.read.open_image` opens.
        targets: A tensor with one row a source, or ``None``.
        stage: Names images that have no path.
    """

    def __init__(self, sources: Sequence[Any], targets: Any, stage: str) -> None:
        self._sources = sources
        self._targets = targets
        self._stage = stage

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: Any) -> ImageSample:
        source = self._sources[index]
        name = str(source) if isinstance(source, str | Path) else f"image {index} of the {self._stage} data"
        return ImageSample(source, None if self._targets is None else self._targets[index], name)
