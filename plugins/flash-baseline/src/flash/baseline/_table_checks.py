"""The checks of a table, one function each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from flash.data.labels import is_missing_target
from flash.data.messages import show, show_some

from ._balance import balance_findings
from ._columns import Column, is_gap
from ._resampling import Array
from ._skill import Goal, best_of, goal_of, skill
from .results import Finding, row_name

__all__ = ["CHECKS", "TableParts", "missing_values"]

_SHOWN_ROWS = 10
_SHOWN_LEAKS = 5
# Numbers that the checks of single columns go through, so that their time is bounded.
_SAMPLED_CELLS = 400_000
_MOST_SAMPLED = 20_000
_FEWEST_SAMPLED = 1000
# The share of rows with duplicates from which on they change a score.
_MANY_DUPLICATES = 0.01
# Shuffled tables that say how many equal rows there are by chance.
_CHANCES = 5
_MOSTLY_DISTINCT = 0.99
_FEWEST_IDS = 20
_NEARLY_CONSTANT = 0.999
_GIVES_AWAY = 0.98
# Of fewer rows, a good column is right on all that are held out by chance.
_FEWEST_FOR_LEAKS = 100
_EASY = 0.9
_MISSING_GIVES_AWAY = 0.8
_SAME_GROUP = 0.2
_SURE_GROUP = 0.5
_STANDARD_DEVIATIONS = 5
_SHUFFLES = 20
_DRIFT = 0.5
_STRONG_DRIFT = 0.8
_FEW_ROWS = 30
_MOSTLY_MISSING = 0.5
_MANY_CATEGORIES = 50
_RARE_SHARE = 0.2
_SAME_NUMBERS = 0.9999
_FEW_CLASSES = 20
_CAPPED = 0.01
_TIMES_THE_MEDIAN = 20

_ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|index|idx|row|nr|no)$|^unnamed: \d+$|[a-z](Id|ID|Key|Index)$", re.I
)
_CAMEL_ID = re.compile(r"[a-z](Id|ID|Key|Index|Nr|No)$")
_GROUP_NAME = re.compile(
    r"(^|[_\W])(id|group|user|patient|subject|person|customer|client|session|device|account|speaker|family|household|"
    r"site|scene|video|author|batch|case)(_?id)?$",
    re.I,
)
_TIME_NAME = re.compile(r"time|date|timestamp|(^|_)ts$", re.I)
# Seconds and milliseconds since 1970, of the years 2001 to 2065.
_UNIX_TIMES = ((1e9, 3e9), (1e12, 3e12))


@dataclass(frozen=True)
class TableParts:
    """A table in parts, with its targets.

    Args:
        columns: The columns that all parts have, one part after the other.
        slices: The rows of each part.
        targets: The names of the targets.
        classification: Whether each target is a class; ``None`` to decide by its values.
        group: The column of groups that the user named.
        time: The column of times that the user named.
    """

    columns: Sequence[Column]
    slices: Mapping[str, slice]
    targets: Sequence[str]
    classification: bool | None
    group: str | None
    time: str | None
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @cached_property
    def train_name(self) -> str:
        """The part that is learned from."""
        return "train" if "train" in self.slices else next(iter(self.slices))

    @cached_property
    def train(self) -> dict[str, Column]:
        """The columns of the train rows by name."""
        return {column.name: column.part(self.slices[self.train_name]) for column in self.columns}

    @cached_property
    def features(self) -> dict[str, Column]:
        """The columns of the train rows that are no targets."""
        return {name: column for name, column in self.train.items() if name not in self.targets}

    @property
    def rows(self) -> int:
        """The number of train rows."""
        rows = self.slices[self.train_name]
        return int(rows.stop - rows.start)

    @cached_property
    def ids(self) -> dict[str, str]:
        """Why a column identifies its rows, by name."""
        found = {name: _id_reason(column) for name, column in self.features.items()}
        return {name: reason for name, reason in found.items() if reason and name not in (self.group, self.time)}

    @cached_property
    def row_numbers(self) -> list[str]:
        """The columns that differ from row to row by being counted or drawn, not by what a row is of."""
        return [name for name in self.ids if self.train[name].is_numeric or _is_token(self.train[name])]

    @cached_property
    def times(self) -> list[str]:
        """The columns that are dates or timestamps."""
        return [name for name, column in self.features.items() if _is_time(column)]

    def is_class(self, target: str) -> bool:
        """Return whether a target is a class."""
        if self.classification is not None:
            return self.classification
        column = self.train[target]
        return not column.is_numeric or (column.is_whole and len(column.values) <= _FEW_CLASSES)

    def sample(self, target: str) -> tuple[Array, str]:
        """Return train rows with a known target, and words that say that they are a sample if they are one."""
        rows = np.flatnonzero(self.train[target].known)
        if not self.is_class(target):
            rows = rows[~np.isnan(self.train[target].numbers[rows])]
        wanted = _SAMPLED_CELLS // max(len(self.features), 1)
        wanted = int(np.clip(wanted, _FEWEST_SAMPLED, _MOST_SAMPLED))
        if len(rows) <= wanted:
            return rows, ""
        return np.sort(self.random.choice(rows, wanted, replace=False)), f" of a sample of {wanted:,} rows"


def _id_reason(column: Column) -> str:
    """Return why a column identifies its rows, or nothing."""
    known = int(column.known.sum())
    if known < _FEWEST_IDS or len(column.values) < _MOSTLY_DISTINCT * known or _is_time(column) or column.is_prose:
        return ""
    if not column.is_numeric:
        return "nearly all of its values are different texts"
    if not column.is_whole:
        return ""
    numbers = column.numbers[column.known]
    steps = np.diff(numbers)
    if (steps > 0).all() or (steps < 0).all():
        return "its whole numbers are in order"
    if np.ptp(numbers) + 1 <= 1.1 * known:
        return "its whole numbers count the rows"
    named = _ID_NAME.search(column.name) or _CAMEL_ID.search(column.name)
    return "its whole numbers are all different" if named else ""


def _is_token(column: Column) -> bool:
    """Return whether texts are codes such as ``a81f-22``, without spaces and with digits."""
    sample = column.texts[:200]
    return bool(sample) and all(" " not in text.strip() and any(map(str.isdigit, text)) for text in sample)


def _is_time(column: Column) -> bool:
    if column.dates:
        return True
    if not (column.is_numeric and column.is_whole and _TIME_NAME.search(column.name) and len(column.values) > 1):
        return False
    low, high = column.value_numbers.min(), column.value_numbers.max()
    return any(first <= low and high <= last for first, last in _UNIX_TIMES)


# --- Rows -----------------------------------------------------------------------------------------------------------


def _keys(columns: Sequence[Column]) -> Array:
    """Return a number per row that is the same for equal rows."""
    random = np.random.default_rng(0)
    keys = np.zeros(len(columns[0]) if columns else 0, dtype=np.uint64)
    for column in columns:
        # A random number per value, and not a multiple of its code: sums of multiples are equal too often.
        keys += random.integers(0, 2**64, len(column.values) + 1, dtype=np.uint64)[column.codes]
    return keys


def _repeated(keys: Array) -> Array:
    """Return the places of the rows that are equal to an earlier one."""
    first = np.unique(keys, return_index=True)[1]
    later = np.ones(len(keys), dtype=bool)
    later[first] = False
    return np.flatnonzero(later)


def _by_chance(
    columns: Sequence[Column], random: np.random.Generator, rows: slice, count: Callable[[Array], int]
) -> float:
    """Return how many rows are equal to another one if each column is shuffled by itself.

    Args:
        columns: The columns.
        random: The generator.
        rows: The rows that are shuffled.
        count: From the keys of the rows to the number of those that are equal to another one.
    """
    found = []
    for _ in range(_CHANCES):
        shuffled = [Column(column.name, column.values, random.permutation(column.codes[rows])) for column in columns]
        found.append(count(_keys(shuffled)))
    return float(np.mean(found))


def duplicates(table: TableParts) -> Iterator[Finding]:
    """Find rows that are in the table more than once."""
    columns = [column for column in table.columns if column.name not in table.row_numbers]
    if not any(column.name not in table.targets for column in columns):
        return
    keys = _keys(columns)
    but = f" (but for {show_some(table.row_numbers)}, which differs in every row)" if table.row_numbers else ""
    for part, rows in table.slices.items():
        repeated = _repeated(keys[rows])
        total = rows.stop - rows.start
        if not len(repeated):
            continue
        chance = _by_chance(columns, table.random, rows, lambda keys: len(_repeated(keys)))
        if len(repeated) > 2 * chance:
            few = len(repeated) < _MANY_DUPLICATES * total or chance > len(repeated) / 3
            yield Finding(
                "duplicates",
                "info" if few else "warning",
                f"Expected rows that differ, but there are copies of earlier ones: {len(repeated):,} of {total:,} "
                f"{part} rows{but}. A model is tested on what it has seen if copies are on both sides of a split. "
                "Remove them.",
                rows=_named(repeated, part),
            )
    for part in table.slices:
        if part != table.train_name:
            yield from _between(table, part, columns, but)


def _named(rows: Array, part: str) -> list[str]:
    """Return the names of the first rows."""
    return [row_name(row, part) for row in rows[:_SHOWN_ROWS].tolist()]


def _between(table: TableParts, part: str, columns: Sequence[Column], but: str) -> Iterator[Finding]:
    train, rows = table.slices[table.train_name], table.slices[part]
    # A part may come without the target.
    compared = [each for each in columns if each.name not in table.targets or each.known[rows].any()]

    def copies_in(keys: Array) -> Array:
        return np.flatnonzero(np.isin(keys[rows], keys[train]))

    found, total = copies_in(_keys(compared)), rows.stop - rows.start
    if not len(found):
        return
    chance = _by_chance(compared, table.random, slice(None), lambda keys: len(copies_in(keys)))
    if len(found) > 2 * chance:
        few = len(found) < _MANY_DUPLICATES * total or chance > len(found) / 3
        yield Finding(
            "duplicates between parts",
            "info" if few else "warning",
            f"Expected {part} rows that are not among the {table.train_name} rows, but there are copies: "
            f"{len(found):,} of {total:,}{but}. The score on them says nothing about new rows. Remove them from "
            f"the {table.train_name} rows.",
            rows=_named(found, part),
        )


def contradictions(table: TableParts) -> Iterator[Finding]:
    """Find rows that are equal but for the class."""
    inputs = [column for column in table.features.values() if column.name not in table.row_numbers]
    for target in table.targets:
        if not inputs or not table.is_class(target):
            continue
        column = table.train[target]
        _, same = np.unique(_keys(inputs)[column.known], return_inverse=True)
        classes = column.codes[column.known]
        low, high = np.full(same.max(initial=0) + 1, len(column.values)), np.full(same.max(initial=0) + 1, -1)
        np.minimum.at(low, same.ravel(), classes)
        np.maximum.at(high, same.ravel(), classes)
        rows = np.flatnonzero(column.known)[(low != high)[same.ravel()]]
        chance = _by_chance(inputs, table.random, slice(None), lambda keys: len(_repeated(keys))) if len(rows) else 0
        # Rows of few columns with few values are equal by chance, and say nothing about the labels.
        if len(rows) and len(_repeated(_keys(inputs))) > 2 * chance:
            many = len(rows) >= _MANY_DUPLICATES * table.rows
            yield Finding(
                "contradictions",
                "warning" if many else "info",
                f"Expected one {show(target)} for equal rows, but some are equal to one with another {show(target)}: "
                f"{len(rows):,} of {table.rows:,} {table.train_name} rows. No model can be right on all of them. Look "
                "at them, or add a column that tells them apart.",
                rows=_named(rows, table.train_name),
                columns=[target],
            )


def size(table: TableParts) -> Iterator[Finding]:
    """Find parts with few rows."""
    for part, rows in table.slices.items():
        total = rows.stop - rows.start
        if total < _FEW_ROWS:
            yield Finding(
                "few rows",
                "info",
                f"Expected at least {_FEW_ROWS} {part} rows, but there are {total}. Scores have wide intervals. Add "
                "rows before you believe them.",
            )


def missing_values(
    what: Literal["inputs", "targets"], columns: Sequence[str], part: str, missing: Array, count: int
) -> Finding:
    """Return the finding of rows without a sample, or without a target.

    Args:
        what: What they are without.
        columns: The columns of it.
        part: The part that the rows are of.
        missing: The rows.
        count: The number of all rows.
    """
    return Finding(
        f"missing {what}",
        "warning",
        f"Expected a value of {' and '.join(map(show, columns))} in every {part} row, but {len(missing):,} of "
        f"{count:,} have none. A baseline leaves these rows out. Fill them in, or remove them.",
        rows=_named(missing, part),
        columns=list(columns),
    )


def balance(table: TableParts) -> Iterator[Finding]:
    """Find targets that are missing, constant or rare."""
    for target in table.targets:
        full = next((column for column in table.columns if column.name == target), None)
        if full is None:
            continue
        for part, rows in table.slices.items():
            blank = [place for place, value in enumerate(full.values) if is_missing_target(value)]
            missing = np.flatnonzero(~full.known[rows] | np.isin(full.codes[rows], blank))
            # A part may come without the target.
            if len(missing) and (part == table.train_name or len(missing) < rows.stop - rows.start):
                yield missing_values("targets", [target], part, missing, rows.stop - rows.start)
        if table.is_class(target):
            names = [str(value) for value in full.values]
            counts = {
                part: dict(
                    zip(names, np.bincount(full.codes[rows][full.known[rows]], minlength=len(names)), strict=True)
                )
                for part, rows in table.slices.items()
            }
            yield from balance_findings(counts, table.train_name, target)
        elif len(table.train[target].values) < 2:
            yield Finding(
                "one value",
                "error",
                f"Expected {show(target)} to differ between rows, but it is the same in all "
                f"{table.train_name} rows. Choose another target with --target.",
                columns=[target],
            )
        else:
            yield from _capped(table, target)


def _capped(table: TableParts, target: str) -> Iterator[Finding]:
    """Find numbers that many rows have at one end, as if larger or smaller ones were cut off."""
    column = table.train[target]
    numbers = column.value_numbers
    if len(numbers) < _MANY_CATEGORIES or np.isnan(numbers).all():
        return
    for end, place in (("highest", int(np.nanargmax(numbers))), ("lowest", int(np.nanargmin(numbers)))):
        rows = int(column.counts[place])
        if rows >= max(_CAPPED * column.counts.sum(), _TIMES_THE_MEDIAN * np.median(column.counts)):
            yield Finding(
                "capped target",
                "info",
                f"Expected values of {show(target)} without a bound, but {rows:,} of {table.rows:,} rows have the "
                f"{end}, {show(column.values[place])}. Find out whether values beyond it were cut off: a model cannot "
                "learn them.",
                columns=[target],
            )


# --- Columns --------------------------------------------------------------------------------------------------------


def ids(table: TableParts) -> Iterator[Finding]:
    """Find columns that identify rows."""
    for reason in dict.fromkeys(table.ids.values()):
        names = [name for name, each in table.ids.items() if each == reason]
        yield Finding(
            "ids",
            "info",
            f"Expected columns that say something about new rows, but {show_some(names)} identifies rows: {reason}. "
            "Leave it out.",
            columns=names,
        )


def constants(table: TableParts) -> Iterator[Finding]:
    """Find columns with one value, or nearly."""
    empty = [name for name, column in table.features.items() if not len(column.values)]
    names = [name for name, column in table.features.items() if len(column.values) == 1 and column.known.all()]
    if empty:
        yield Finding(
            "constants",
            "info",
            f"Expected columns with values, but {show_some(empty)} has none. Leave it out.",
            columns=empty,
        )
    if names:
        yield Finding(
            "constants",
            "info",
            f"Expected columns that differ between rows, but {show_some(names)} has the same value in every row. Leave "
            "it out.",
            columns=names,
        )
    nearly = [name for name, column in table.features.items() if name not in names and _is_nearly_constant(column)]
    if nearly:
        yield Finding(
            "nearly constants",
            "info",
            f"Expected columns that differ between rows, but {show_some(nearly)} has one value in "
            f"{_NEARLY_CONSTANT:.1%} of the rows. Leave it out, unless its rare values matter.",
            columns=nearly,
        )


def _is_nearly_constant(column: Column) -> bool:
    most = max(int(column.counts.max(initial=0)), int((~column.known).sum()))
    return bool(len(column.values)) and len(column) > most >= _NEARLY_CONSTANT * len(column)


def copies(table: TableParts) -> Iterator[Finding]:
    """Find columns that say the same as another one."""
    usable = {name: column for name, column in table.features.items() if len(column.values) > 1}
    pairs: list[tuple[str, str]] = []
    seen: dict[bytes, str] = {}
    for name, column in usable.items():
        if len(column.values) < 0.9 * column.known.sum():
            # Codes count values in the order of their first row: they are equal if one value says the other.
            other = seen.setdefault(column.codes.tobytes(), name)
            if other != name:
                pairs.append((other, name))
    numeric = [name for name, column in usable.items() if column.number_share == 1]
    pairs += [pair for pair in _proportional(table, numeric) if pair not in pairs]
    if pairs:
        said = "; ".join(f"{show(one)} and {show(other)}" for one, other in pairs[:4]) + ("; ..." if pairs[4:] else "")
        yield Finding(
            "copies",
            "info",
            f"Expected columns that differ from each other, but one says the other: {said}. Leave one of each pair "
            "out.",
            columns=list(dict.fromkeys(name for pair in pairs for name in pair)),
        )


def _proportional(table: TableParts, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of columns of numbers whose correlation is nearly 1 or -1."""
    if len(names) < 2:
        return []
    rows = slice(0, max(_FEWEST_SAMPLED, _SAMPLED_CELLS // max(len(names), 1)))
    matrix = np.array([table.train[name].numbers[rows] for name in names]).reshape(len(names), -1)
    known = ~np.isnan(matrix)
    centers = np.array([row[has].mean() if has.any() else 0.0 for row, has in zip(matrix, known, strict=True)])
    # The largest number first, so that squares of huge numbers do not overflow.
    scaled = np.where(known, matrix - centers[:, None], 0)
    scaled /= np.maximum(np.abs(scaled).max(1, initial=0, keepdims=True), np.finfo(float).tiny)
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), np.finfo(float).tiny)
    similar = np.abs(scaled @ scaled.T) > _SAME_NUMBERS
    # Also missing in the same rows.
    found = [(int(one), int(other)) for one, other in np.argwhere(np.triu(similar, 1))]
    return [(names[one], names[other]) for one, other in found if (known[one] == known[other]).all()]


def missing(table: TableParts) -> Iterator[Finding]:
    """Find columns with many missing values, and texts that stand for missing ones."""
    names = [
        name
        for name, column in table.features.items()
        if len(column.values) and (~column.known).mean() > _MOSTLY_MISSING
    ]
    if names:
        yield Finding(
            "missing values",
            "info",
            f"Expected columns with a value in most rows, but more than half of {show_some(names)} is missing. Leave "
            "it out if what is missing says nothing.",
            columns=names,
        )
    gaps = {
        name: [value for value in column.values if is_gap(value)]
        for name, column in table.features.items()
        if not column.is_numeric
    }
    found = [name for name, values in gaps.items() if values]
    if found:
        marks = list(dict.fromkeys(value for name in found for value in gaps[name]))
        yield Finding(
            "missing values",
            "info",
            f"Expected empty cells where a value is missing, but {show_some(found)} has the text {show_some(marks)}, "
            "which is a category of its own. Empty these cells if they mean that it is missing.",
            columns=found,
        )


def mixed(table: TableParts) -> Iterator[Finding]:
    """Find columns of numbers with a few texts."""
    for name, column in table.features.items():
        if column.is_numeric and column.number_share < 1:
            wrong = np.flatnonzero(np.isnan(column.value_numbers))
            rows = np.flatnonzero(np.isin(column.codes, wrong))
            yield Finding(
                "mixed types",
                "warning",
                f"Expected numbers in {show(name)}, but {len(rows):,} of {table.rows:,} rows have text, such as "
                f"{show(column.values[wrong[0]])}. Empty these cells, or correct them: with text the whole column is "
                "read as categories.",
                rows=_named(rows, table.train_name),
                columns=[name],
            )


def categories(table: TableParts) -> Iterator[Finding]:
    """Find columns of text with values that hardly repeat, and dates that are not read as dates."""
    names = [
        name
        for name, column in table.features.items()
        if not column.is_numeric and not column.dates and name not in table.ids and not column.is_prose
        if len(column.values) > max(_MANY_CATEGORIES, _RARE_SHARE * column.known.sum())
    ]
    if names:
        yield Finding(
            "rare categories",
            "info",
            f"Expected categories that repeat, but most values of {show_some(names)} are in few rows each. Shorten "
            "them to what repeats, such as a prefix, or leave it out.",
            columns=names,
        )
    prose = [name for name, column in table.features.items() if column.is_prose and len(column.values) > _FEW_CLASSES]
    if prose:
        yield Finding(
            "texts",
            "info",
            f"Expected numbers and categories, but {show_some(prose)} holds sentences. Use a task of texts for it, "
            "with --task text/classification.",
            columns=prose,
        )
    other = [name for name, column in table.features.items() if column.dates == "other"]
    if other:
        example = table.features[other[0]].values[0]
        yield Finding(
            "dates",
            "info",
            f"Expected dates such as 2024-05-31, but {show_some(other)} has dates such as {show(example)}, which are "
            "read as text. Convert them, for example with pandas.to_datetime.",
            columns=other,
        )


# --- Columns and the target -----------------------------------------------------------------------------------------


def leaks(table: TableParts) -> Iterator[Finding]:
    """Find columns that give the target away."""
    for target in table.targets:
        column = table.train.get(target)
        if column is None or len(column.values) < 2:
            continue
        rows, sampled = table.sample(target)
        goal = goal_of(column.part(rows), table.is_class(target), table.random, _groups(table, rows))
        parts = {name: each.part(rows) for name, each in table.features.items() if name != table.group}
        skills = {name: skill(each, goal) for name, each in parts.items()}
        yield from _copies_of_target(table, target)
        if len(rows) < _FEWEST_FOR_LEAKS:
            continue
        yield from _given_away(table, target, skills, sampled)
        yield from _given_away_by_gaps(table, target, parts, goal, skills)


def _groups(table: TableParts, rows: Array) -> Array | None:
    return table.train[table.group].codes[rows] + 1 if table.group in table.features else None


def _copies_of_target(table: TableParts, target: str) -> Iterator[Finding]:
    column = table.train[target]
    for name, each in table.features.items():
        if _is_copy(table, name, target):
            same = all(str(one) == str(other) for one, other in zip(each.values, column.values, strict=True))
            what = "is a copy of it" if same else "has one value for each of its values"
            yield Finding(
                "leak",
                "warning",
                f"Expected no column that says {show(target)}, but {show(name)} {what}. Leave it out, unless it is "
                "known before the target is.",
                columns=[name],
            )


def _is_copy(table: TableParts, name: str, target: str) -> bool:
    one, other = table.features[name], table.train[target]
    repeats = len(one.values) < 0.9 * max(int(one.known.sum()), 1) or one.values == other.values
    return repeats and len(one.values) > 1 and np.array_equal(one.codes, other.codes)


def _given_away(table: TableParts, target: str, skills: Mapping[str, float], sampled: str) -> Iterator[Finding]:
    found = [name for name, value in skills.items() if value >= _GIVES_AWAY and not _is_copy(table, name, target)]
    rest = best_of(value for value in skills.values() if value < _GIVES_AWAY)
    # With several such columns, or others that are nearly as good, the target is just easy to predict.
    easy = rest > _EASY or len(found) > max(1, len(skills) // 3) or len(skills) == 1
    for name in sorted(found, key=lambda name: -skills[name])[:_SHOWN_LEAKS]:
        share = f"{min(skills[name], 1):.1%} of the {'errors' if table.is_class(target) else 'variance (of ranks)'}"
        yield Finding(
            "leak",
            "info" if easy else "warning",
            f"Expected no column that says {show(target)} by itself, but {show(name)} alone removes {share} on rows "
            f"held out{sampled}; the next best column removes {max(rest, 0):.0%}. Leave it out, unless it is known "
            "before the target is.",
            columns=[name],
        )


def _given_away_by_gaps(
    table: TableParts, target: str, parts: Mapping[str, Column], goal: Goal, skills: Mapping[str, float]
) -> Iterator[Finding]:
    for name, column in parts.items():
        if not 0.005 < column.known.mean() < 0.995 or skills[name] >= _GIVES_AWAY:
            continue
        gaps = Column(name, [False, True], np.asarray(~column.known, dtype=np.int64))
        value = skill(gaps, goal)
        if value >= _MISSING_GIVES_AWAY:
            what = "errors" if table.is_class(target) else "variance (of ranks)"
            yield Finding(
                "leak",
                "warning",
                f"Expected missing values of {show(name)} to say little about {show(target)}, but whether it is "
                f"missing alone removes {value:.0%} of the {what}. Leave it out, unless it is known before the "
                "target is.",
                columns=[name],
            )


def groups(table: TableParts) -> Iterator[Finding]:
    """Find columns whose rows of one value have the same target more often than by chance."""
    if table.group is not None:
        yield from _divided_groups(table)
        return
    for target in table.targets:
        column = table.train[target]
        if len(column.values) < 2 or (not table.is_class(target) and column.number_share < 1):
            continue
        for name, each in table.features.items():
            if name in table.ids or name in table.times or not _may_be_groups(each):
                continue
            alike = _alike(each, column, table.is_class(target), table.random)
            if alike > _SAME_GROUP:
                yield Finding(
                    "groups",
                    "warning" if alike > _SURE_GROUP else "info",
                    f"Expected rows that are independent of each other, but those with the same {show(name)} have the "
                    f"same {show(target)} much more often than by chance (an agreement of {alike:.2f}, where 0 is "
                    f"chance and 1 always). If new rows have a new {show(name)}, pass --group {name}: then no value of "
                    "it is on both sides of a split.",
                    columns=[name],
                )


def _divided_groups(table: TableParts) -> Iterator[Finding]:
    column = next((each for each in table.columns if each.name == table.group), None)
    if column is None:
        return
    train = np.unique(column.codes[table.slices[table.train_name]])
    for part, rows in table.slices.items():
        codes = column.codes[rows]
        found = np.flatnonzero(np.isin(codes, train) & (codes >= 0))
        if part != table.train_name and len(found):
            yield Finding(
                "groups",
                "warning",
                f"Expected no {show(table.group)} both in {table.train_name} and in {part}, but {len(found):,} of "
                f"{len(codes):,} {part} rows have one of {table.train_name}. The score is that of known groups. Divide "
                "the rows by group.",
                rows=_named(found, part),
                columns=[str(table.group)],
            )


def _may_be_groups(column: Column) -> bool:
    """Return whether values could name groups: many of them, and most in a few rows each."""
    known, different = int(column.known.sum()), len(column.values)
    if column.is_prose or not max(10, known / 100) <= different < 0.95 * known:
        return False
    named = _GROUP_NAME.search(column.name) or _ID_NAME.search(column.name) or _CAMEL_ID.search(column.name)
    return not column.is_numeric or (column.is_whole and named is not None)


def _alike(groups: Column, target: Column, classification: bool, random: np.random.Generator) -> float:
    """Return how much more alike the targets of neighbors in a group are than those of any rows: 0 is chance.

    Rows are sorted by group and compared with the next: the share of equal classes, or the correlation of ranks.
    """
    rows = np.flatnonzero(groups.known & target.known)
    rows = rows[np.argsort(groups.codes[rows] + random.random(len(rows)) * 0.5, kind="stable")]
    neighbors = np.flatnonzero(groups.codes[rows][1:] == groups.codes[rows][:-1])
    if len(neighbors) < _FEW_ROWS:
        return 0.0
    values = target.codes[rows] if classification else np.unique(target.numbers[rows], return_inverse=True)[1].ravel()

    def agreement(values: Array) -> float:
        one, other = values[neighbors], values[neighbors + 1]
        if classification:
            return float((one == other).mean())
        return float(((one - values.mean()) * (other - values.mean())).mean() / max(float(values.var()), 1e-12))

    observed = agreement(values)
    chance = np.array([agreement(random.permutation(values)) for _ in range(_SHUFFLES)])
    if observed < chance.mean() + _STANDARD_DEVIATIONS * chance.std():
        return 0.0
    return float((observed - chance.mean()) / max(1 - chance.mean(), 1e-12))


def times(table: TableParts) -> Iterator[Finding]:
    """Find columns of dates and timestamps."""
    names = [name for name in table.times if table.train[name].dates != "other"]
    if names and table.time is None:
        yield Finding(
            "time",
            "info",
            f"Expected rows without an order in time, but {show_some(names)} holds times. If the model will predict "
            f"later rows from earlier ones, pass --time {names[0]}: then the latest rows are those of the test.",
            columns=names,
        )


def drift(table: TableParts) -> Iterator[Finding]:
    """Find columns that tell which part a row is from."""
    for part, rows in table.slices.items():
        if part == table.train_name:
            continue
        train = np.arange(len(table.columns[0]))[table.slices[table.train_name]]
        other = np.arange(len(table.columns[0]))[rows]
        wanted = min(len(train), len(other), _SAMPLED_CELLS // max(len(table.columns), 1) // 2 + _FEW_ROWS)
        if wanted < _FEW_ROWS:
            continue
        chosen = np.concatenate([table.random.choice(each, wanted, replace=False) for each in (train, other)])
        origin = Column("part", ["train", part], np.repeat([0, 1], wanted))
        goal = goal_of(origin, True, table.random)
        skills = {
            column.name: skill(column.part(chosen), goal)
            for column in table.columns
            if column.name not in table.ids and column.name not in (*table.times, table.time, table.group)
            # A part may come without the target.
            if column.name not in table.targets or column.known[rows].any()
        }
        found = sorted((name for name in skills if skills[name] > _DRIFT), key=lambda name: -skills[name])
        if found:
            accuracy = (skills[found[0]] + 1) / 2
            yield Finding(
                "drift",
                "warning" if skills[found[0]] > _STRONG_DRIFT else "info",
                f"Expected {table.train_name} and {part} rows to be alike, but {show_some(found)} tells them apart: "
                f"{show(found[0])} alone says where a row is from in {accuracy:.0%} of the cases (of a sample of "
                f"{wanted:,} rows of each; by chance 50%). Find out why, or expect other scores on other rows.",
                columns=found,
            )


#: All checks, in the order of their findings within a level.
CHECKS: Sequence[Callable[[TableParts], Iterator[Finding]]] = (
    balance,
    leaks,
    duplicates,
    contradictions,
    groups,
    times,
    drift,
    size,
    mixed,
    ids,
    constants,
    copies,
    missing,
    categories,
)
