"""Class labels, learned from train targets, and their encoding as indices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flash.data._missing import is_missing
from flash.data.messages import show, show_some
from flash.data.tables import check_encodable
from flash.errors import DataError

__all__ = ["ClassLabels", "class_indices"]

# More distinct fractional values than this are measurements and not classes.
_MAX_NUMERIC_CLASSES = 20


@dataclass(frozen=True)
class ClassLabels:
    """The classes of train targets in order; a target is encoded as the index of its class.

    A target is one class (a string, an integer or a bool), or with ``multi_label`` any number of them: a list,
    tuple or set of classes, or a row of zeros and ones.

    Args:
        labels: The classes: strings, or numbers as in the data.
        multi_label: Whether a sample can have several classes.
        by_number: Whether targets are class indices already, as in a dataset with indices and class names.
        indicators: Whether multi-label targets are rows of zeros and ones.

    Example:
        >>> classes = ClassLabels.learn(["bees", "ants", "bees"])
        >>> classes.labels, classes.encode(["ants", "bees"], "val")
        (['ants', 'bees'], tensor([0, 1]))
        >>> ClassLabels.learn([["red", "round"], [], ["red"]]).encode([["round"]], "val")
        tensor([[0., 1.]])
    """

    labels: list[Any]
    multi_label: bool = False
    by_number: bool = False
    indicators: bool = False

    @classmethod
    def learn(cls, targets: Any, names: Sequence[Any] | None = None) -> ClassLabels:
        """Learn the classes of train targets.

        Args:
            targets: One target per sample: a sequence, a numpy array or a tensor.
            names: The names of the classes, if the targets are class indices, or rows of zeros and ones.

        Raises:
            DataError: If a target is missing, all samples have the same class, or the targets are measurements.
        """
        values = _plain_targets(targets, "train")
        several = [isinstance(value, list) for value in values]
        if any(several) and not all(several):
            one = values[several.index(False)]
            raise DataError(
                f"Expected either one class per sample or a list of classes in every sample of the train data, but got "
                f"both: {show(values[several.index(True)])} and {show(one)}. Write a single class as [{show(one)}]."
            )
        if any(several) and _are_indicators(targets):
            width = len(values[0])
            made = cls(list(names) if names is not None else list(range(width)), True, indicators=True)
            made._check_indicators(values, "train")
            return made
        found = {label for value in values for label in (value if isinstance(value, list) else [value])}
        _check_classes(found, any(several))
        if names is not None and all(isinstance(label, int) for label in found):
            made = cls(list(names), any(several), by_number=True)
            made.encode(targets, "train")
            return made
        labels = list(names) if names is not None else sorted(found, key=_order)
        return cls(labels, any(several))

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def encode(self, targets: Any, stage: str) -> Tensor:
        """Encode targets as class indices, shape ``(samples,)``; multi-label as 0 and 1, ``(samples, classes)``.

        Raises:
            DataError: If a target is missing or does not occur in the train data.
        """
        values = _plain_targets(targets, stage)
        if self.indicators:
            self._check_indicators(values, stage)
            return torch.tensor(values, dtype=torch.get_default_dtype())
        indices = class_indices(range(len(self.labels)) if self.by_number else self.labels)
        self._check_known(values, indices, stage)
        if not self.multi_label:
            return torch.tensor([indices[value] for value in values], dtype=torch.long)
        encoded = torch.zeros(len(values), len(self.labels))
        for row, value in enumerate(values):
            encoded[row, [indices[label] for label in value]] = 1
        return encoded

    def facts(self, encoded: Tensor) -> dict[str, Any]:
        """Return the facts about the classes that a task needs, from the encoded train targets."""
        counts = encoded.sum(0).int() if self.multi_label else torch.bincount(encoded, minlength=len(self.labels))
        return {
            "num_classes": len(self.labels),
            "labels": self.labels,
            "multi_label": self.multi_label,
            "class_counts": counts.tolist(),
        }

    def to_serializable(self) -> dict[str, Any]:
        """Return the state as serializable values, for a checkpoint."""
        return dict(vars(self))

    @classmethod
    def from_serializable(cls, plain: Mapping[str, Any]) -> ClassLabels:
        """Restore an object from the result of :meth:`to_serializable`."""
        return cls(**plain)

    def _check_known(self, values: Sequence[Any], indices: Mapping[Any, int], stage: str) -> None:
        if any(isinstance(value, list) != self.multi_label for value in values):
            wrong = next(value for value in values if isinstance(value, list) != self.multi_label)
            wanted = "a list of classes" if self.multi_label else "one class"
            raise DataError(
                f"Expected {wanted} per sample in the {stage} data, as in the train data, but got {show(wrong)}."
            )
        unknown = [
            label
            for value in values
            for label in (value if isinstance(value, list) else [value])
            if label not in indices
        ]
        if unknown:
            raise DataError(
                f"Expected targets in the {stage} data that are among those of the train data "
                f"({show_some(indices)}), but got {show(unknown[0])} in {len(unknown)} samples. "
                "Drop these samples, or add such samples to the train data."
            )

    def _check_indicators(self, values: Sequence[Any], stage: str) -> None:
        for value in values:
            if not isinstance(value, list) or len(value) != len(self.labels) or any(v not in (0, 1) for v in value):
                raise DataError(
                    f"Expected a row of {len(self.labels)} zeros and ones, one per class, for every sample of the "
                    f"{stage} data, but got {show(value)}."
                )


class _ClassIndices(dict[Any, int]):
    """The index of each class, by its value; values with the same text as a class match it."""

    def __init__(self, labels: Iterable[Any]) -> None:
        super().__init__((label, index) for index, label in enumerate(labels))
        self._by_text = {_as_text(label): index for label, index in self.items()}
        if len(self._by_text) < len(self):  # such as 1 and "1", which then are different classes
            self._by_text = {}
        for one, other in (("true", "false"), ("1", "0")), (("1", "0"), ("true", "false")):
            if set(self._by_text) == set(other):
                self._by_text |= {name: self._by_text[same] for name, same in zip(one, other, strict=True)}
                break

    def __missing__(self, value: Any) -> int:
        return self._by_text[_as_text(value)]

    def get(self, value: Any, default: Any = None) -> Any:
        """Return the index of a class, or the default."""
        return self[value] if value in self else default  # noqa: SIM401  # this is that method

    def __contains__(self, value: object) -> bool:
        return super().__contains__(value) or _as_text(value) in self._by_text


def class_indices(labels: Iterable[Any]) -> Mapping[Any, int]:
    """Return the index of each class by its value, where ``1``, ``"1"`` and ``True`` are the same class.

    Example:
        >>> indices = class_indices([0, 1])
        >>> indices["1"], indices[True], "2" in indices
        (1, 1, False)
    """
    return _ClassIndices(labels)


def _as_text(value: Any) -> str:
    """Return the text of a class, with booleans in lower case."""
    text = str(value)
    return text.lower() if text.lower() in ("true", "false") else text


def _plain_targets(targets: Any, stage: str) -> list[Any]:
    if isinstance(targets, Tensor | np.ndarray):
        targets = targets.tolist()
    values = [_plain(value) for value in targets]
    missing = sum(_is_missing_target(value) for value in values)
    if missing:
        raise DataError(
            f"Expected a target for every sample of the {stage} data, but {missing} of {len(values)} have none. "
            "Drop these samples."
        )
    texts = ("".join(filter(_is_text, value)) if isinstance(value, list) else value for value in values)
    check_encodable(texts, f"the targets of the {stage} data")
    return values


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_missing_target(value: Any) -> bool:
    return any(map(is_missing, value)) if isinstance(value, list) else is_missing(value)


def _plain(value: Any) -> Any:
    if is_missing(value):
        return None
    if isinstance(value, Tensor | np.ndarray):
        value = value.tolist()
    if isinstance(value, set | frozenset):
        return sorted((_plain(label) for label in value), key=_order)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_plain(label) for label in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _are_indicators(targets: Any) -> bool:
    """Return whether multi-label targets are rows of zeros and ones (arrays), not lists of classes."""
    if isinstance(targets, Tensor | np.ndarray):
        return True
    return isinstance(targets, Sequence) and all(isinstance(value, Tensor | np.ndarray) for value in targets)


def _check_classes(found: set[Any], multi_label: bool) -> None:
    fractions = [label for label in found if isinstance(label, float)]
    if fractions and len(found) > _MAX_NUMERIC_CLASSES:
        raise DataError(
            f"Expected classes as targets, but got {len(found)} different numbers with fractions, such as "
            f"{show(fractions[0])}."
        )
    if len(found) < (1 if multi_label else 2):
        shown = show_some(sorted(found, key=_order)) or "none"
        raise DataError(f"Expected at least two classes in the train data, but got {shown}. Check the targets.")


def _order(label: Any) -> Any:
    return (isinstance(label, str), label)
