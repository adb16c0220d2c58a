"""ImageInputs: what the data modules hand to the preprocess, and the samples that become of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from flash.data.files import FileInputs
from flash.errors import ConfigurationError

__all__ = ["ImageInputs", "ImageSample", "ImageSamples", "OnBadSample", "name_of"]

OnBadSample = Literal["error", "skip"]


@dataclass(frozen=True)
class ImageInputs(FileInputs):
    """Images of one stage, undecoded, with their targets.

    Args:
        sources: What :func:`~flash.image.read.open_image` opens, one per image.
        targets: One per source; ``None`` for prediction.
        names: The names of the classes, where targets are their numbers or rows of zeros and ones.
        on_bad_sample: ``"error"`` raises for an image that cannot be decoded; ``"skip"`` leaves such out.
        steady: Whether a source is known to give the same image each time.

    Raises:
        DataError: If there are not as many targets as images.
        ConfigurationError: If ``on_bad_sample`` is something else.
    """

    on_bad_sample: OnBadSample = "error"
    steady: bool = True

    def __post_init__(self) -> None:
        if self.on_bad_sample not in ("error", "skip"):
            raise ConfigurationError(f"Expected on_bad_sample to be 'error' or 'skip', but got {self.on_bad_sample!r}.")
        super().__post_init__()

    @classmethod
    def of(cls, inputs: FileInputs) -> ImageInputs:
        """Return inputs as those of images."""
        return inputs if isinstance(inputs, cls) else cls(inputs.sources, inputs.targets, inputs.names)


class ImageSample(NamedTuple):
    """An undecoded image with its encoded target, and what messages call it."""

    source: Any
    target: Any
    name: str


class ImageSamples:
    """Undecoded images with encoded targets.

    Args:
        sources: What :func:`~flash.image.read.open_image` opens.
        targets: A tensor with one row a source, or ``None``.
        stage: Names images that have no path.

    Attributes:
        targets: The encoded targets.
    """

    def __init__(self, sources: Sequence[Any], targets: Any, stage: str) -> None:
        self.targets = targets
        self._sources = sources
        self._stage = stage

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> ImageSample:
        source = self._sources[index]
        target = None if self.targets is None else self.targets[index]
        return ImageSample(source, target, name_of(source, index, self._stage))


def name_of(source: Any, index: int, stage: str) -> str:
    """What messages call an image."""
    return str(source) if isinstance(source, str | Path) else f"image {index} of the {stage} data"
