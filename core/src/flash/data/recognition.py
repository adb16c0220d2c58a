"""Recognize raw data: which data module it is for, with which constructor, and why."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import isfinite, isnan
from pathlib import Path
from typing import Any, Literal

from typing_extensions import Self

from flash.data.folders import table_folder
from flash.data.messages import list_some
from flash.data.tables import Table, is_missing, is_table, is_table_file, read_table
from flash.errors import DataError

__all__ = [
    "RawData",
    "Recognition",
    "TargetKind",
    "certainty_of_kind",
    "column_of_targets",
    "is_free_text",
    "part_files",
    "part_folders",
    "recognize_files",
    "target_kind",
    "words_per_row",
]

#: Whether targets are classes or numbers.
TargetKind = Literal["classes", "numbers"]

# The values of a column that are looked at.
_MOST_VALUES = 1000
# With fewer different whole numbers than this, they are taken for classes.
_MOST_CLASSES = 20
# Names of the folders of each part.
_PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class RawData:
    """Data as a person has it: a table, a folder, or a file of another form.

    Args:
        source: A path, a data frame, or another table in memory.
        table: Its rows, if it is a table.
        folder: Its path, if it is a folder.
        decimal: The decimal mark of numbers in its text, if it is no point.
        file: Its path, if it is a file on a local disk.

    Example:
        >>> RawData.of({"age": [20, 30], "bought": ["no", "yes"]}).table.num_rows
        2
    """

    source: Any
    table: Table | None = None
    folder: Path | None = None
    decimal: str | None = None
    file: Path | None = None

    @classmethod
    def of_file(cls, source: Any) -> Self | None:
        """Return a file that is not read as a table, as a data module may know it better; ``None`` if it is no file.

        Args:
            source: A path, or other data.

        Example:
            >>> RawData.of_file("missing.conll") is None
            True
        """
        path = Path(source).expanduser() if isinstance(source, str | os.PathLike) else None
        return cls(source, file=path) if path is not None and path.is_file() else None

    @classmethod
    def of(
        cls, source: Any, *, sep: str | None = None, encoding: str | None = None, decimal: str | None = None
    ) -> Self:
        """Read a table, or find a folder.

        Args:
            source: A path, a data frame, or another table in memory.
            sep: The separator of a table of text; by default it is detected.
            encoding: The encoding of a table of text; by default UTF-8.
            decimal: The decimal mark of numbers in text; by default a point.

        Raises:
            DataError: If there is neither.
        """
        text: dict[str, Any] = {"sep": sep, "encoding": encoding}
        if isinstance(source, str | os.PathLike) and Path(source).expanduser().is_dir():
            folder = Path(source).expanduser()
            tables = sorted(each for each in folder.iterdir() if each.suffix == ".parquet")
            return (
                cls(source, read_table(folder, format="parquet"), decimal=decimal)
                if tables
                else cls(source, folder=folder)
            )
        if isinstance(source, str | os.PathLike):
            path = Path(source).expanduser()
            if not path.is_file() and "://" not in str(source):
                raise DataError(f"Expected a table or a folder at {source}, but there is none. Check the path.")
            return cls(source, replace(read_table(source, **text), folder=table_folder(source)), decimal=decimal)
        if is_table(source) or is_table_file(source):
            return cls(source, read_table(source, name="the data", **text), decimal=decimal)
        raise DataError(
            f"Expected the path of a table or of a folder, or a data frame, but got {type(source).__name__}. For other "
            "data make a data module, and pass it."
        )

    def cells(self, name: str) -> list[Any]:
        """Return a column of the table; numbers in text have a point as their decimal mark.

        Args:
            name: The name of the column.

        Raises:
            DataError: If this is no table, or has no such column.

        Example:
            >>> table = Table({"price": ["1,5", "2"], "kind": ["a,b", "c"]}, is_text=True)
            >>> RawData("table.csv", table, decimal=",").cells("price")
            ['1.5', '2']
        """
        if self.table is None:
            raise DataError(f"Expected a table with a column {name!r}, but got {self.source!r}.")
        if self.decimal in (None, ".") or not self.table.is_text:
            return self.table[name]
        mark = str(self.decimal)
        number = re.compile(rf"\s*[-+]?[0-9]*{re.escape(mark)}[0-9]+([eE][-+]?[0-9]+)?\s*")
        return [cell.replace(mark, ".") if number.fullmatch(cell or "") else cell for cell in self.table[name]]

    def with_points(self) -> Table | None:
        """Return the table with such columns; ``None`` if this is no table."""
        if self.table is None or self.decimal in (None, "."):
            return self.table
        return replace(self.table, columns={name: self.cells(name) for name in self.table})


@dataclass(frozen=True)
class Recognition:
    """A way in which a data module reads raw data.

    Args:
        constructor: The name of a ``from_*`` constructor.
        arguments: Its arguments.
        why: Why the data is for this data module, as the end of a sentence that begins with "because".
        certainty: How sure that is, between 0 and 1; of several data modules, the one that is most sure is chosen.
    """

    constructor: str
    arguments: Mapping[str, Any]
    why: str
    certainty: float


def column_of_targets(raw: RawData, target_fields: str | Sequence[str] | None) -> tuple[list[Any], bool] | None:
    """Return the targets of a table, and whether they are several columns; ``None`` if the data has no such columns.

    Example:
        >>> column_of_targets(RawData.of({"age": [20, 30], "bought": ["no", "yes"]}), "bought")
        (['no', 'yes'], False)
    """
    names = [target_fields] if isinstance(target_fields, str) else list(target_fields or ())
    if raw.table is None or not names or any(name not in raw.table for name in names):
        return None
    if len(names) == 1:
        return list(raw.cells(names[0])), False
    return [value for name in names for value in raw.cells(name)], True


def certainty_of_kind(
    raw: RawData, target_fields: str | Sequence[str] | None, wanted: TargetKind
) -> tuple[float, str] | None:
    """Return how sure it is that the targets of a table are of a kind, and why; ``None`` if there are no targets.

    Args:
        raw: The data.
        target_fields: The columns of targets.
        wanted: The kind that a data module takes.

    Example:
        >>> certainty_of_kind(RawData.of({"age": [20, 30], "bought": ["no", "yes"]}), "bought", "classes")
        (1.0, 'the target bought has 2 different values that are not numbers')
    """
    targets = column_of_targets(raw, target_fields)
    if targets is None:
        return None
    values, several = targets
    kind, why = target_kind(values)
    name = target_fields if isinstance(target_fields, str) else " and ".join(target_fields or ())
    if several and kind == "classes" and not {str(value) for value in values} <= {"0", "1", "0.0", "1.0"}:
        kind = "numbers"
    # Another task can be asked for, and reads the same data.
    return (1.0 if kind == wanted else 0.1), f"the target {name} {why}"


def target_kind(values: Sequence[Any]) -> tuple[TargetKind, str]:
    """Return whether targets are classes or numbers, and why, as the end of a sentence about them.

    Numbers with fractions, and more than 20 different whole numbers, are numbers; everything else is classes.

    Args:
        values: The targets; text of numbers counts as numbers.

    Example:
        >>> target_kind(["yes", "no", "yes"])
        ('classes', 'has 2 different values that are not numbers')
        >>> target_kind(["1.5", "2.25", "4"])
        ('numbers', 'has numbers with fractions')
        >>> target_kind([1.5, 2.25, 4.0, float("inf")])
        ('numbers', 'has numbers with fractions')
    """
    present = [value for value in _distinct(values) if not is_missing(value)]
    numbers = [_as_number(value) for value in present]
    if any(number is None for number in numbers):
        count = len(set(map(str, present)))
        return "classes", "has one value" if count == 1 else f"has {count:,} different values that are not numbers"
    # Infinite ones are for the data module to refuse.
    distinct = {number for number in numbers if number is not None and isfinite(number)}
    if any(number != int(number) for number in distinct) and len(distinct) > 2:
        return "numbers", "has numbers with fractions"
    if len(distinct) <= _MOST_CLASSES:
        return "classes", f"has only {len(distinct)} different value{'s' * (len(distinct) != 1)}"
    return "numbers", f"has {len(distinct):,} different whole numbers"


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Return each value of each type once; all of them if some cannot be compared by their hash."""
    try:
        # True and 1 are equal.
        return [value for _, value in dict.fromkeys(zip(map(type, values), values, strict=True))]
    except TypeError:
        return list(values)


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    # Words such as "inf" and "nan" are classes.
    if isinstance(value, str) and value.strip().lstrip("+-")[:1].isalpha():
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if isnan(number) else number


def words_per_row(values: Iterable[Any]) -> float:
    """Return the mean number of words of the texts among the first values; 0 if a value is no text.

    Example:
        >>> words_per_row(["a fine film", "bad"])
        2.0
    """
    texts = [value for value in islice(values, _MOST_VALUES) if not is_missing(value)]
    if not texts or not all(isinstance(text, str) for text in texts):
        return 0.0
    return sum(len(text.split()) for text in texts) / len(texts)


def is_free_text(values: Iterable[Any]) -> bool:
    """Return whether the values of a column are texts of several words, most of them different.

    Example:
        >>> is_free_text(["a fine film", "it is a bore"]), is_free_text(["New York", "New York"])
        (True, False)
    """
    texts = [value for value in islice(values, _MOST_VALUES) if not is_missing(value)]
    return words_per_row(texts) >= 3 and len(set(texts)) > len(texts) / 2


def part_files(folder: Path, is_wanted: Callable[[Path], bool]) -> dict[str, Path]:
    """Return the file of each part in a folder, ``"train"``, ``"val"`` and ``"test"``; empty without train data.

    The name of a part is a word of the name of its file, as in ``eng.train`` and ``dev-v1.1.json``.

    Args:
        folder: The folder.
        is_wanted: Whether a file is of the form that is looked for.

    Raises:
        DataError: If there are two for one part.

    Example:
        >>> part_files(Path("articles"), lambda file: file.suffix == ".json")
        {}
    """
    files = [each for each in sorted(folder.iterdir()) if each.is_file()] if folder.is_dir() else []
    parts: dict[str, Path] = {}
    for part, names in _PARTS.items():
        named = [file for file in files if {*re.split(r"[\W_]+", file.name.lower())} & {*names}]
        found = [file for file in named if is_wanted(file)]
        if len(found) > 1:
            raise DataError(f"Expected one file of {part} data in {folder}, but found {list_some(map(str, found))}.")
        if found:
            parts[part] = found[0]
    return parts if "train" in parts else {}


def recognize_files(raw: RawData, constructor: str, is_wanted: Callable[[Path], bool], what: str) -> Recognition | None:
    """Recognize a file of a form of its own, or a folder with one for each part; ``None`` if it is none.

    Args:
        raw: The data.
        constructor: The name of the constructor, whose arguments are ``train_file``, ``val_file`` and ``test_file``.
        is_wanted: Whether a file is of that form.
        what: What such a file has.
    """
    found = {"train": raw.file} if raw.file is not None and is_wanted(raw.file) else {}
    if raw.folder is not None:
        found = dict(part_files(raw.folder, is_wanted))
    if "train" not in found:
        return None
    arguments = {f"{part}_file": str(file) for part, file in found.items()}
    return Recognition(constructor, arguments, f"{found['train']} has {what}", 1.0)


def part_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each part, ``"train"``, ``"val"`` and ``"test"``, if there is one for training.

    Otherwise the folder itself is that for training.

    Raises:
        DataError: If there are two for one part.

    Example:
        >>> part_folders(Path("photos"))
        {'train': PosixPath('photos')}
    """
    inside = {each.name.lower(): each for each in sorted(folder.iterdir()) if each.is_dir()} if folder.is_dir() else {}
    parts: dict[str, Path] = {}
    for part, names in _PARTS.items():
        found = [inside[name] for name in names if name in inside]
        if len(found) > 1:
            raise DataError(f"Expected one folder of {part} data in {folder}, but found {list_some(map(str, found))}.")
        if found:
            parts[part] = found[0]
    return parts if "train" in parts else {"train": folder}
