"""Inputs of one stage: unopened samples with their targets, from lists and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from torch.utils.data import Dataset
from typing_extensions import Self

from flash.data.splits import take_rows
from flash.data.stage import Stage
from flash.data.tables import Table, is_missing, whole_numbers
from flash.errors import ConfigurationError, DataError

__all__ = [
    "SampleDataset",
    "SampleInputs",
    "Samples",
    "Targets",
    "as_sequence",
    "is_single",
    "names_of",
    "pair_inputs",
    "source_name",
    "sources_in",
    "with_article",
]

#: Samples as a list, an array, a tensor, a column of a data frame, or any other iterable.
Samples: TypeAlias = Iterable[Any]
#: A dataset of samples with their targets, of torch or of Hugging Face.
SampleDataset: TypeAlias = Dataset[Any] | Iterable[Any]
#: Targets, one per sample: a class, a number, a list of classes, or a row of zeros and ones each.
Targets: TypeAlias = Iterable[Any]


@dataclass(frozen=True)
class SampleInputs:
    """Unopened samples of one stage, with their targets.

    Args:
        sources: One per sample: a path, a URL, a text, or any other source that the domain can open.
        targets: One per source; ``None`` for prediction.
        names: The names of the classes, if targets are class indices or rows of zeros and ones.
        groups: One group per source, for splits that do not divide groups.
        times: One time per source, for splits by time.

    Raises:
        DataError: If the numbers of targets and sources differ.

    Example:
        >>> SampleInputs(["a.wav", "b.wav"], ["yes", "no"]).take([1])
        SampleInputs(sources=['b.wav'], targets=['no'], names=None, groups=None, times=None)
    """

    sources: Sequence[Any]
    targets: Any = None
    names: Sequence[Any] | None = None
    groups: Sequence[Any] | None = None
    times: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self.sources):
            raise DataError(
                f"Expected one target per sample, but got {len(self.sources)} samples and {len(self.targets)} targets."
            )

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Sequence[int]) -> Self:
        """Return the given rows."""
        columns = {name: getattr(self, name) for name in ("sources", "targets", "groups", "times")}
        return replace(self, **{name: _take(each, rows) for name, each in columns.items() if each is not None})

    def separated(self, delimiter: str | None, stage: Stage) -> Self:
        """Return the same with a list of classes for each target that is a text.

        Args:
            delimiter: The separator between the classes of a sample; ``None`` changes nothing.
            stage: The stage.

        Raises:
            ConfigurationError: If no target of the train data contains the delimiter.

        Example:
            >>> SampleInputs(["a.wav", "b.wav"], ["yes no", "no"]).separated(" ", Stage.TRAIN).targets
            [['yes', 'no'], ['no']]
        """
        if delimiter is None or self.targets is None:
            return self
        return replace(self, targets=_separated(list(self.targets), "the targets", delimiter, True, stage))

    @classmethod
    def of_table(
        cls,
        table: Table,
        input_field: str | Sequence[str],
        target_fields: str | Sequence[str] | None,
        stage: Stage,
        delimiter: str | None = None,
        sources: Sequence[Any] | None = None,
    ) -> SampleInputs:
        """Return the sources and targets of a table.

        Args:
            table: The columns.
            input_field: The column of sources, or a list of the columns of their parts.
            target_fields: The column of targets, or a list of columns of numbers, such as zeros and ones.
            stage: The stage; prediction needs no targets.
            delimiter: The separator between the classes of a sample, if they are written as one text.
            sources: The sources, if the table has the targets alone.

        Raises:
            MissingColumnError: If a column is missing.
            ConfigurationError: If no target contains the delimiter, or there is one for several columns.
            DataError: If ``target_fields`` is missing.

        Example:
            >>> table = Table({"file": ["a.wav", "b.wav"], "words": ["yes no", "no"]})
            >>> SampleInputs.of_table(table, "file", "words", Stage.TRAIN, delimiter=" ").targets
            [['yes', 'no'], ['no']]
        """
        sources = sources_in(table, input_field) if sources is None else sources
        if stage is Stage.PREDICT:
            return SampleInputs(sources)
        if target_fields is None:
            raise DataError("Expected target_fields to name the column of targets, but got none.")
        names = [target_fields] if isinstance(target_fields, str) else list(target_fields)
        columns = [whole_numbers(table[name]) if table.is_text else table[name] for name in names]
        if isinstance(target_fields, str):
            column = f"column {target_fields!r}"
            return SampleInputs(sources, _separated(columns[0], column, delimiter, table.is_text, stage))
        if delimiter is not None:
            raise ConfigurationError(
                f"Expected one column of targets with the delimiter {delimiter!r}, but target_fields names "
                f"{len(names)}. Leave one of them out."
            )
        return SampleInputs(sources, [np.asarray(row) for row in zip(*columns, strict=True)], names)


def names_of(fields: str | Sequence[str] | None) -> list[str]:
    """Return the columns that an argument names: none, one, or several.

    Example:
        >>> names_of("text"), names_of(["question", "answer"]), names_of(None)
        (['text'], ['question', 'answer'], [])
    """
    return [fields] if isinstance(fields, str) else list(fields or ())


def sources_in(table: Table, input_field: str | Sequence[str]) -> Sequence[Any]:
    """Return the sources of a table: the values of a column, or a tuple of the values of several for each row.

    Example:
        >>> sources_in(Table({"question": ["Who?"], "answer": ["Ada."]}), ["question", "answer"])
        [('Who?', 'Ada.')]
    """
    if isinstance(input_field, str) or not isinstance(input_field, Sequence):
        return table[input_field]
    return list(zip(*(table[name] for name in input_field), strict=True))


def _separated(values: Sequence[Any], what: str, delimiter: str | None, is_text: bool, stage: Stage) -> Sequence[Any]:
    """Split targets into lists of classes if there is a delimiter."""
    if delimiter is None:
        return values
    if stage is Stage.TRAIN and is_text and not any(delimiter in str(value) for value in values):
        # In other libraries it separates columns.
        raise ConfigurationError(
            f"Expected classes that are separated by delimiter={delimiter!r} in {what} of the train data, "
            f"but no sample has several. Leave delimiter out if each sample has one class; if {delimiter!r} separates "
            f"the columns, pass sep={delimiter!r}."
        )
    return [_split(value, delimiter) for value in values]


def _split(value: Any, delimiter: str) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(delimiter) if part.strip()]
    # An empty cell has no class.
    return [] if is_missing(value) else value


def _take(values: Any, rows: Sequence[int]) -> Any:
    if isinstance(values, list | tuple):
        return [values[row] for row in rows]
    if hasattr(values, "take") and not hasattr(values, "shape"):
        return values.take(rows)
    return take_rows(values, rows) if hasattr(values, "shape") else _Rows(values, rows)


class _Rows(Sequence[Any]):
    """A subset of a sequence, indexed lazily."""

    def __init__(self, whole: Any, rows: Sequence[int]) -> None:
        self._whole = whole
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._whole[self._rows[index]]


def pair_inputs(
    stage: Stage, sources: Samples | None, targets: Targets | None, noun: str = "sample"
) -> SampleInputs | None:
    """Return sources with their targets, or ``None`` if there are neither.

    Args:
        stage: The stage; prediction needs no targets.
        sources: A list, an array, or another iterable of sources.
        targets: The targets, likewise.
        noun: Noun for a source in messages.

    Raises:
        DataError: If only one of the two is passed.

    Example:
        >>> pair_inputs(Stage.TRAIN, ["a.wav"], ["yes"]).targets
        ['yes']
    """
    if stage is not Stage.PREDICT and (sources is None) != (targets is None):
        given, missing = ("targets", f"{noun}s") if sources is None else (f"{noun}s", "targets")
        raise DataError(
            f"Expected {stage.value} {noun}s together with {stage.value}_targets, but got {given} without {missing}."
        )
    if sources is None:
        return None
    for values in (sources, targets):
        if values is not None and is_single(values):
            raise DataError(
                f"Expected {with_article(noun)} or target per sample, in a list, but got {values!r} alone. Pass [...]."
            )
    return SampleInputs(as_sequence(sources), None if targets is None else as_sequence(targets))


def is_single(values: object) -> bool:
    """Return whether something is one value, such as a text or a number, instead of one per sample.

    Example:
        >>> is_single("a.wav"), is_single(["a.wav"]), is_single(np.array(3.0))
        (True, False, True)
    """
    is_collection = hasattr(values, "__iter__") or hasattr(values, "__getitem__")
    return isinstance(values, str | bytes | Path) or not is_collection or getattr(values, "shape", None) == ()


def as_sequence(values: Any) -> Any:
    """Return arrays, tensors and lists as they are, and a list of anything else, such as a column of pandas.

    Example:
        >>> as_sequence(word for word in ("yes", "no"))
        ['yes', 'no']
    """
    is_array = hasattr(values, "shape") and not hasattr(values, "iloc")
    return values if isinstance(values, list | tuple) or is_array else list(values)


def source_name(source: object, index: int, noun: str, stage: str) -> str:
    """Return the name of a source in messages: its path, or its index.

    Example:
        >>> source_name("a.wav", 3, "recording", "train"), source_name(b"", 3, "recording", "train")
        ('a.wav', 'recording 3 of the train data')
    """
    return str(source) if isinstance(source, str | Path) else f"{noun} {index} of the {stage} data"


def with_article(noun: str) -> str:
    """Return a noun with its indefinite article, for messages.

    Example:
        >>> with_article("image"), with_article("file")
        ('an image', 'a file')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
