"""DatasetSample: one sample of a dataset, an image with its mask, read lazily and once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flash.data.datasets import find_key, first_sample, is_deterministic
from flash.data.files import FileInputs
from flash.data.stage import Stage
from flash.errors import DataError

__all__ = ["DatasetSample", "dataset_inputs"]

_MASK_KEYS = ("mask", "annotation", "segmentation_mask", "label", "target", "masks", "labels")


@dataclass(frozen=True)
class DatasetSample:
    """A sample of a dataset that is not read yet.

    Args:
        dataset: A dataset of ``(image, mask)``, of dicts, or in prediction of images.
        row: The index of the sample.
        keys: The keys of the image and of the mask in a dict; ``None`` for tuples and images.

    Example:
        >>> DatasetSample([("image", "mask")], 0).read()
        ('image', 'mask')
    """

    dataset: Any = field(repr=False)
    row: int
    keys: tuple[str, str | None] | None = None

    def read(self) -> tuple[Any, Any]:
        """Return the image and the mask, which is ``None`` if there is none."""
        sample = self.dataset[self.row]
        if self.keys is not None:
            image, mask = self.keys
            return sample[image], None if mask is None else sample[mask]
        if isinstance(sample, tuple | list):
            return sample[0], sample[1] if len(sample) > 1 else None
        return sample, None


def dataset_inputs(
    dataset: Any,
    input_field: str | None,
    target_field: str | None,
    stage: Stage,
    *,
    keys: Sequence[str],
    libraries: Collection[str],
) -> FileInputs:
    """Return the images of a dataset with their masks, both read lazily.

    Args:
        dataset: A dataset with a length, of ``(image, mask)`` or dicts; for prediction also of images alone.
        input_field: The key of images in dicts.
        target_field: The key of masks in dicts.
        stage: The stage.
        keys: The usual keys of images in dicts.
        libraries: As for :func:`flash.data.datasets.is_deterministic`.

    Raises:
        DataError: If the dataset has no length, or its samples have another form.
        MissingColumnError: If dicts lack a key.
    """
    first, found = first_sample(dataset, stage.value), None
    is_predicted = stage is Stage.PREDICT
    if isinstance(first, Mapping):
        image = find_key(first, input_field, keys, "input_field")
        found = image, None if is_predicted else find_key(first, target_field, _MASK_KEYS, "target_fields")
    elif not is_predicted and not (isinstance(first, tuple | list) and len(first) == 2):
        raise DataError(
            f"Expected (image, mask), or a dict of both, as each sample of the {stage.value} dataset, but got a "
            f"{type(first).__name__}."
        )
    samples = [DatasetSample(dataset, row, found) for row in range(len(dataset))]
    return FileInputs(samples, None if is_predicted else samples, deterministic=is_deterministic(dataset, libraries))
