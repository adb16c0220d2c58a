"""Class labels, learned from train targets, and their encoding as indices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from flash.data._missing import is_missing
from flash.data.messages import show, show_some
from flash.data.tables import check_encodable
from flash.errors import DataError
from flash.serialization import made_from

__all__ = ["ClassLabels", "as_label", "check_labels", "class_indices", "indicated_classes", "is_missing_target"]

# More distinct fractional values than this are measurements and not classes.
_MAX_NUMERIC_CLASSES = 20
# More different targets of a stream than this are no classes, and are not kept.
_MOST_CLASSES = 100_000
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
# How zeros and ones, and fractions beside them, are written in rows of them.
_FRACTION = re.compile(r"0?\.\d+|[01](\.0*)?")
_ZEROS = ("0", "0.0", "false", "False", "FALSE")
_ONES = ("1", "1.0", "true", "True", "TRUE")
_BITS: dict[Any, int] = {0: 0, 1: 1, **dict.fromkeys(_ZEROS, 0), **dict.fromkeys(_ONES, 1)}


@dataclass(frozen=True)
class ClassLabels:
    """The classes of train targets in order; a target is encoded as the index of its class.

    A target is one class (a string, an integer or a bool), or with ``multi_label`` any number of them: a list,
    tuple or set of classes, or a row of zeros and ones. Lists and arrays are read alike: if all targets have the same
    number of zeros and ones, at least two, they are rows of zeros and ones.

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
        >>> ClassLabels.learn([[1, 1, 0], [0, 1, 1]]).labels
        [0, 1, 2]
    """

    #: What the targets are.
    kind: ClassVar[Literal["classes", "numbers"]] = "classes"

    labels: list[Any]
    multi_label: bool = False
    by_number: bool = False
    indicators: bool = False

    @classmethod
    def learn(cls, targets: Any, names: Sequence[Any] | None = None, advice: str = "") -> ClassLabels:
        """Learn the classes of train targets.

        Args:
            targets: One target per sample: a sequence, a numpy array or a tensor.
            names: The names of the classes, if the targets are class indices, or rows of zeros and ones.
            advice: A sentence for the errors about targets that are measurements.

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
        if any(several) and _are_indicators(values, names):
            made = cls(list(names) if names is not None else list(range(len(values[0]))), True, indicators=True)
            made._check_indicators(values, "train", advice)
            return made
        if any(several):
            _check_lists(values, "train", advice)
        found = {label for value in values for label in (value if isinstance(value, list) else [value])}
        _check_classes(found, any(several), advice)
        if names is not None and all(isinstance(label, int) for label in found):
            made = cls(list(names), any(several), by_number=True)
            made.encode(targets, "train")
            return made
        labels = list(names) if names is not None else sorted(found, key=_order)
        return cls(labels, any(several))

    @classmethod
    def learn_parts(
        cls, parts: Iterable[Sequence[Any]], names: Sequence[Any] | None = None, advice: str = ""
    ) -> tuple[ClassLabels, dict[str, Any]]:
        """Learn the classes of train targets that come part by part, and return them with their facts.

        In memory are the different targets alone.

        Args:
            parts: Targets of some samples each.
            names: As for :meth:`learn`.
            advice: As for :meth:`learn`.

        Raises:
            DataError: As for :meth:`learn`; or if there are too many different targets.

        Example:
            >>> ClassLabels.learn_parts([["bees", "ants"], ["bees"]])[1]["class_counts"]
            [1, 2]
        """
        counts: dict[Any, int] = {}
        for part in parts:
            for value in _plain_targets(part, "train"):
                key = tuple(value) if isinstance(value, list) else value
                counts[key] = counts.get(key, 0) + 1
            if len(counts) > _MOST_CLASSES:
                raise DataError(
                    f"Expected classes as targets of the train data, but got more than {_MOST_CLASSES:,} different "
                    f"ones, such as {show(next(iter(counts)))}. {advice}".rstrip()
                )
        values = [list(key) if isinstance(key, tuple) else key for key in counts]
        learned = cls.learn(values, names, advice)
        return learned, learned.facts(learned.encode(values, "train"), torch.tensor(list(counts.values())))

    @classmethod
    def strata(cls, targets: Any, names: Sequence[Any] | None = None, advice: str = "") -> list[Any]:
        """Return the index of the class of each train target, or a list of them, by which a split is stratified.

        The arguments and errors are those of :meth:`learn`.
        """
        learned = cls.learn(targets, names, advice)
        encoded = learned.encode(targets, "train")
        return [row.nonzero().flatten().tolist() for row in encoded] if learned.multi_label else encoded.tolist()

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def encode(self, targets: Any, stage: str, advice: str = "") -> Tensor:
        """Encode targets as class indices, shape ``(samples,)``; multi-label as 0 and 1, ``(samples, classes)``.

        Args:
            targets: One target per sample.
            stage: The stage, for messages.
            advice: A sentence for the errors about targets that are measurements.

        Raises:
            DataError: If a target is missing or does not occur in the train data.
        """
        values = _plain_targets(targets, stage)
        if self.indicators:
            self._check_indicators(values, stage, advice)
            rows = [[_BITS[value] for value in row] for row in values]
            return torch.tensor(rows, dtype=torch.get_default_dtype())
        indices = class_indices(range(len(self.labels)) if self.by_number else self.labels)
        self._check_known(values, indices, stage, advice)
        if not self.multi_label:
            return torch.tensor([indices[value] for value in values], dtype=torch.long)
        encoded = torch.zeros(len(values), len(self.labels))
        for row, value in enumerate(values):
            encoded[row, [indices[label] for label in value]] = 1
        return encoded

    def facts(self, encoded: Tensor, times: Tensor | None = None) -> dict[str, Any]:
        """Return the facts about the classes that a task needs, from the encoded train targets.

        Args:
            encoded: The targets.
            times: How often each of them occurs; by default once.
        """
        if times is None:
            counts = encoded.sum(0).int() if self.multi_label else torch.bincount(encoded, minlength=len(self.labels))
        elif self.multi_label:
            counts = (encoded.double() * times[:, None]).sum(0).long()
        else:
            counts = torch.bincount(encoded, times.double(), len(self.labels)).long()
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
        return made_from(cls, plain)

    def _check_known(self, values: Sequence[Any], indices: Mapping[Any, int], stage: str, advice: str) -> None:
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
        if self.multi_label:
            _check_lists(values, stage, advice)
        if unknown:
            raise DataError(
                f"Expected targets in the {stage} data that are among those of the train data "
                f"({show_some(indices)}), but got {show(unknown[0])} in {len(unknown)} samples. "
                "Drop these samples, or add such samples to the train data."
            )

    def _check_indicators(self, values: Sequence[Any], stage: str, advice: str = "") -> None:
        for value in values:
            row = value if isinstance(value, list) else [value]
            _check_whole(row, stage, advice)
            if row is not value or len(row) != len(self.labels) or any(each not in _BITS for each in row):
                raise DataError(
                    f"Expected a row of {len(self.labels)} zeros and ones, one per class, for every sample of the "
                    f"{stage} data, but got {show(value)}. {advice}".rstrip()
                )


class _ClassIndices(dict[Any, int]):
    """The index of each class, by its value; values with the same text as a class match it."""

    def __init__(self, labels: Iterable[Any]) -> None:
        super().__init__((label, index) for index, label in enumerate(labels))
        self._by_text = {_as_text(label): index for label, index in self.items()}
        if len(self._by_text) < len(self):  # such as 1 and "1", which then are different classes
            self._by_text = {}
        for one, other in (("true", "false"), ("1", "0")), (("1", "0"), ("true", "false")):
            if self._by_text and set(self._by_text) <= set(other):
                self._by_text |= {
                    name: self._by_text[same] for name, same in zip(one, other, strict=True) if same in self._by_text
                }
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


def indicated_classes(targets: Any) -> list[list[int]] | None:
    """Return the places of the ones in rows of zeros and ones; ``None`` if targets are anything else.

    Example:
        >>> indicated_classes([[1, 1, 0], [0, 0, 1]]), indicated_classes([["red"], ["round", "red"]])
        ([[0, 1], [2]], None)
    """
    plain = targets.tolist() if isinstance(targets, Tensor | np.ndarray) else targets
    rows = [_plain(row) for row in plain]
    same_width = len({len(row) if isinstance(row, list) else 0 for row in rows}) == 1
    if not same_width or not rows or not isinstance(rows[0], list) or len(rows[0]) < 2:
        return None
    if any(isinstance(label, list) or label not in _BITS for row in rows for label in row):
        return None
    return [[place for place, label in enumerate(row) if _BITS[label]] for row in rows]


def _as_text(value: Any) -> str:
    """Return the text of a class, with booleans in lower case."""
    text = str(value)
    return text.lower() if text.lower() in ("true", "false") else text


def _plain_targets(targets: Any, stage: str) -> list[Any]:
    targets = _exact(targets) if isinstance(targets, Tensor | np.ndarray) else list(targets)
    values = [_plain(value) for value in targets]
    for value, given in zip(values, targets, strict=True):
        if isinstance(given, Mapping):
            raise DataError(
                f"Expected a class, a list of classes or a row of zeros and ones for every sample of the {stage} data, "
                f"but got a dict: {show(given)}. Pass one of its values."
            )
        if isinstance(value, list) and any(isinstance(label, list) for label in value):
            raise DataError(
                f"Expected a class, a list of classes or a row of zeros and ones for every sample of the {stage} data, "
                f"but got lists in a list: {show(value)}. Flatten it."
            )
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
    return any(each is None for each in value) if isinstance(value, list) else value is None


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray) and value.ndim:
        value = _exact(value)
    if isinstance(value, set | frozenset):
        return sorted((_plain(label) for label in value), key=_order)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Tensor | np.ndarray):
        return [_plain(label) for label in value]
    return as_label(value)


def is_missing_target(value: Any) -> bool:
    """Return whether a target is missing, as every data module decides it: no value, or a blank text, also in a list.

    Example:
        >>> [is_missing_target(value) for value in (None, float("nan"), " ", ["a", None], "NA", 0, [])]
        [True, True, True, True, False, False, False]
    """
    if isinstance(value, str):
        return not value.strip()
    return _is_missing_target(_plain(value))


def as_label(value: Any) -> Any:
    """Return a class as a bool, an integer, a float or a string; ``None`` if it is missing, or a blank text.

    Integral floats become integers, as pandas converts integers to floats if any is missing. Floats of 32 bits become
    the number that they are written as, bytes become text.

    Raises:
        DataError: If it is bytes that are not UTF-8.

    Example:
        >>> as_label(2.0), as_label(np.float32(0.1)), as_label(b"red"), as_label(" ")
        (2, 0.1, 'red', None)
    """
    if isinstance(value, str):
        return str(value) if value.strip() else None
    if is_missing(value):
        return None
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.floating | np.ndarray) and value.dtype.kind == "f":
        value = float(str(value))
    elif isinstance(value, np.generic | np.ndarray):
        value = value.item()
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"Expected classes that are text, but got the bytes {show(value)}. Decode them.") from error
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float | str) else str(value)


def _exact(values: Tensor | np.ndarray[Any, Any]) -> list[Any]:
    """Return the rows of an array as Python values; floats of fewer bits as the numbers that they are written as."""
    array = values.numpy(force=True) if isinstance(values, Tensor) else values
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        array = array.astype(str).astype(float)
    return array.tolist()  # type: ignore[no-any-return]  # of an array with at least one dimension


def _are_indicators(values: Sequence[list[Any]], names: Sequence[Any] | None) -> bool:
    """Return whether multi-label targets are rows of zeros and ones, whatever holds them, and not lists of classes."""
    widths = {len(value) for value in values}
    if len(widths) > 1 or widths == {0}:
        return False
    (width,) = widths
    if names is not None and width == len(names):
        return True
    if not all(label in _BITS for value in values for label in value):
        _check_written_fractions(values)
        return False
    if width == 1 and names is None:
        raise DataError(
            "Expected one class per sample, or several, but every target of the train data is a list of one number, "
            f"such as {show(values[0])}, which is either a row of zeros and ones for one class, or a list of one "
            "class. Pass the numbers without the inner lists: in an array, targets[:, 0]."
        )
    # Two different classes of a longer list of names may be 0 and 1; the same class twice is no list of classes.
    return names is None or any(len({_BITS[label] for label in value}) < width for value in values)


def _check_lists(values: Sequence[list[Any]], stage: str, advice: str = "") -> None:
    """Reject lists of numbers that cannot be lists of classes: those with fractions, or with one number twice."""
    for value in values:
        _check_whole(value, stage, advice)
        numbers = [label for label in value if not isinstance(label, str) or label in _BITS]
        if len(set(numbers)) < len(numbers):
            # In rows of zeros and ones with another number, the row with that number is the one to look at.
            value = next((each for each in values if any(label not in _BITS for label in each)), value)
            raise DataError(
                f"Expected a list of different classes, or a row of zeros and ones with a place for each class, for "
                f"every sample of the {stage} data, but got {show(value)}. Give all rows the same number of zeros and "
                f"ones, or name each class once. {advice}".rstrip()
            )


def _check_whole(value: Sequence[Any], stage: str, advice: str = "") -> None:
    """Reject rows of fractions, such as probabilities, which are neither classes nor zeros and ones."""
    if any(isinstance(label, float) for label in value):
        raise DataError(
            f"Expected a list of classes, or a row of zeros and ones, for every sample of the {stage} data, but got "
            f"fractions: {show(value)}. Round such soft targets, as (targets > 0.5) does in an array. {advice}".rstrip()
        )


def _check_written_fractions(values: Sequence[list[Any]]) -> None:
    """Reject rows of one length of fractions that are written as text, such as cells of a file."""
    found = [label for value in values for label in value]
    if len(values[0]) < 2 or not all(isinstance(label, str) and _FRACTION.fullmatch(label) for label in found):
        return
    raise DataError(
        f"Expected a list of classes, or a row of zeros and ones, for every sample of the train data, but got "
        f"{show(values[0])}, which is either a row of fractions or a list of classes that are called so. Round soft "
        "targets to 0 and 1; write classes so that they are no numbers, such as 'v0.1'."
    )


def check_labels(found: Iterable[Any]) -> None:
    """Reject classes that are lists written as text, and two that differ only in their type or in spaces around them.

    Raises:
        DataError: If each class is text in brackets, as data frames write lists to CSV files, or two are written alike.

    Example:
        >>> check_labels(["[1, 0]", "red"])
    """
    labels = list(found)
    texts = [label for label in labels if isinstance(label, str) and label[:1] == "[" and label[-1:] == "]"]
    if texts and len(texts) == len(labels):
        raise DataError(
            f"Expected classes as targets, but got text of lists, such as {show(min(texts))}, as data frames write "
            "lists to CSV files. Read it with ast.literal_eval, save the table as Parquet or JSON, or give each class "
            "its own column; write classes that are called so without the brackets."
        )
    seen: dict[str, Any] = {}
    for label in labels:
        other = seen.setdefault(_as_text(label).strip(), label)
        if other is not label:
            pair = ", ".join(map(show, sorted((other, label), key=_order)))
            raise DataError(
                f"Expected each class written in one way, but got both of {pair} as targets. If they are one class, "
                "convert the targets: [str(target).strip() for target in targets]; otherwise give them other names."
            )


def _check_classes(found: set[Any], multi_label: bool, advice: str) -> None:
    check_labels(found)
    if len(found) > _MAX_NUMERIC_CLASSES and _are_measurements(found):
        shown = min((label for label in found if not float(label).is_integer()), key=str)
        raise DataError(
            f"Expected classes as targets, but got {len(found)} different numbers with fractions, such as "
            f"{show(shown)}. {advice}".rstrip()
        )
    if len(found) < (1 if multi_label else 2):
        shown = show_some(sorted(found, key=_order)) or "none"
        raise DataError(f"Expected at least two classes in the train data, but got {shown}. Check the targets.")


def _are_measurements(labels: Iterable[Any]) -> bool:
    """Return whether labels are numbers, some with fractions, as floats or as the text that is in files."""
    texts = [str(label) for label in labels]
    if not all(_NUMBER.fullmatch(text) for text in texts):
        return False
    return any(not float(text).is_integer() for text in texts)


def _order(label: Any) -> Any:
    return (isinstance(label, str), label)
