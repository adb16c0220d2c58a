"""Split train data into train and validation data, before statistics are computed from it."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from flash.data.columns import Columns
from flash.data.labels import indicated_classes
from flash.data.messages import show
from flash.data.tables import Table, is_missing, is_table, read_table
from flash.errors import ConfigurationError, DataError

__all__ = [
    "GroupSpec",
    "Split",
    "classes_of",
    "count_inputs",
    "draw_stratified",
    "groups_of",
    "split_folds",
    "split_inputs",
    "split_rows",
    "take_rows",
    "times_of",
]

#: A value per train row: the values, a function of the source of a sample, or the name of a column of the table.
GroupSpec: TypeAlias = str | Iterable[Any] | Callable[[Any], Any]
Rows = npt.NDArray[np.int64]
# Random orders of the groups of which the split that fits best is used; fewer where there are many groups.
_ORDERS = 50
_MAX_DRAWS = 100_000


class Split(tuple[Any, Any]):
    """Train and held-out inputs, a pair that knows which rows of the whole inputs they are.

    Args:
        train: The inputs to train on.
        held_out: The others.
        rows: The rows of each, counted from 0.

    Example:
        >>> train, val = split = Split(["a", "c"], ["b"], ([0, 2], [1]))
        >>> val, split.rows
        (['b'], ([0, 2], [1]))
    """

    rows: tuple[Sequence[int] | Rows, Sequence[int] | Rows]

    def __new__(cls, train: Any, held_out: Any, rows: tuple[Sequence[int] | Rows, Sequence[int] | Rows]) -> Split:
        """Make the pair, which has the rows beside it."""
        split = super().__new__(cls, (train, held_out))
        split.rows = rows
        return split


def split_inputs(
    data: Any,
    fraction: float,
    seed: int,
    classes: Any = None,
    groups: Sequence[Any] | None = None,
    times: Sequence[float] | None = None,
) -> Split:
    """Split the inputs of ``load_data`` into those for training and those for validation, at random or by time.

    Data has rows if it is a tensor, an array, a data frame, a :class:`~flash.data.columns.Columns`, a
    :class:`~flash.data.tables.Table`, a list or another sequence of samples, a dataset with a length, or an object with
    a length and ``take(rows)``. A tuple or dict of such data of one length is split row by row: inputs, targets and
    other values per row stay together.

    Args:
        data: The inputs.
        fraction: The fraction of rows for validation, between 0 and 1.
        seed: Seed of the split.
        classes: One class per row, or a list of classes, by which the split is stratified; by default the result of
            :func:`classes_of`, unless no class has two rows. An empty list is no classes.
        groups: One group per row: rows of one group are not divided.
        times: One time per row: the latest rows are for validation, and neither classes nor the seed decide.

    Returns:
        The train and the validation inputs, of the type of ``data``, neither of which is empty, with their rows.

    Raises:
        ConfigurationError: If ``fraction`` is not between 0 and 1, or the data has no rows.
        DataError: If there are fewer than two rows or groups, parts of different lengths, or no class with two rows.

    Example:
        >>> train, val = split_inputs((torch.arange(10), torch.arange(10) % 2), 0.2, seed=0)
        >>> len(train[0]), val[1]
        (8, tensor([0, 1]))
    """
    if classes is None:
        classes = classes_of(data)
        # Targets that are all different are not taken for classes, unless the caller knows that they are.
        classes = classes if classes is not None and _repeats(classes) else None
    classes = None if classes is None or not len(classes) else classes
    train, val = split_rows(count_inputs(data), fraction, seed, classes, groups, times)
    return Split(take_rows(data, train), take_rows(data, val), (train, val))


def count_inputs(data: Any) -> int:
    """Return the number of rows of inputs.

    Raises:
        ConfigurationError: If the data has no rows, such as a path.
        DataError: If its parts have different lengths.

    Example:
        >>> count_inputs({"left": [1, 2], "right": [3, 4]})
        2
    """
    if isinstance(data, Table):
        return data.num_rows
    parts = _parts(data)
    if parts is not None:
        lengths = [count_inputs(part) for part in parts]
        if len(set(lengths)) > 1:
            raise DataError(
                f"Expected parts with one number of rows to split validation data off, but got {lengths}. Pass one "
                "target, weight and group per input; or override split in the preprocess."
            )
        return lengths[0]
    if isinstance(data, str | bytes) or not hasattr(data, "__len__"):
        what = f"the text {data[:40]!r}" if isinstance(data, str) else type(data).__name__
        raise ConfigurationError(
            f"Expected train data with a length and rows to split validation data off, but got {what}. Pass val data "
            "instead of val_split, or override split in the preprocess."
        )
    return len(data)


def take_rows(data: Any, rows: Sequence[int] | Rows) -> Any:
    """Return the given rows of inputs, of the same type.

    Raises:
        ConfigurationError: If the rows of the data cannot be indexed.

    Example:
        >>> take_rows((["a", "b"], torch.tensor([1, 2])), [1])
        (['b'], tensor([2]))
    """
    index = np.asarray(rows, dtype=np.int64)
    parts = _parts(data)
    if parts is not None:
        taken = [take_rows(part, rows) for part in parts]
        if isinstance(data, Mapping):
            return dict(zip(data, taken, strict=True))
        filled = iter(taken)
        return tuple(None if part is None else next(filled) for part in data)
    if isinstance(data, Tensor):
        return data[torch.from_numpy(index)]
    if isinstance(data, np.ndarray):
        return data[index]
    if isinstance(data, Columns):
        return Columns(data.take(torch.from_numpy(index)))
    if hasattr(data, "iloc"):  # pandas
        return data.iloc[index]
    if hasattr(data, "get_columns"):  # polars
        return data[index]
    if hasattr(data, "select") and hasattr(data, "column_names"):  # Hugging Face
        return data.select(index)
    if isinstance(data, Dataset):
        return Subset(data, index.tolist())
    if hasattr(data, "take"):
        return data.take(index.tolist())
    if hasattr(data, "__getitem__") and not isinstance(data, Mapping):
        return [data[row] for row in index.tolist()]
    raise ConfigurationError(
        f"Expected train data whose rows can be taken by their number, to split validation data off, but got "
        f"{type(data).__name__}. Pass val data instead of val_split, or override split in the preprocess."
    )


def classes_of(data: Any) -> Any:
    """Return one class per row if the data has targets that are classes, without loading samples; else ``None``.

    They are the last part of a tuple, the attribute ``targets``, the last tensor of a ``TensorDataset``, or the second
    value of samples in a list.

    Example:
        >>> classes_of((["a", "b"], [1, 0]))
        [1, 0]
    """
    if isinstance(data, Columns):
        data = data.tree
    if isinstance(data, tuple) and _parts(data) is not None:
        targets = next((part for part in reversed(data[1:]) if part is not None), None)
    elif isinstance(data, list) and data and all(isinstance(sample, tuple) and len(sample) == 2 for sample in data):
        targets = [target for _, target in data]
    else:
        targets = getattr(data, "targets", None)
        tensors = getattr(data, "tensors", None)
        targets = tensors[-1] if targets is None and tensors else targets
    return _as_classes(targets)


def _as_classes(targets: Any) -> Any:
    if isinstance(targets, Tensor | np.ndarray | list | tuple) and len(targets) and _is_row(targets[0]):
        indicated = indicated_classes(targets)
        if indicated is not None:
            return indicated
    if isinstance(targets, Tensor):
        return targets if targets.ndim == 1 and not targets.is_floating_point() else None
    if hasattr(targets, "shape"):  # an array or a series
        targets = targets.tolist() if len(targets.shape) == 1 and getattr(targets.dtype, "kind", "O") != "f" else None
    if isinstance(targets, Sequence) and targets and not isinstance(targets, str):
        kinds = {type(target) for target in targets if not is_missing(target)}
        if kinds <= {int, str, bool} or kinds <= {list, tuple, set, frozenset}:
            return targets
    return None


def _is_row(target: Any) -> bool:
    return isinstance(target, list | tuple) or getattr(target, "ndim", 0) == 1


def _parts(data: Any) -> list[Any] | None:
    """Return the columns of a tuple or dict, or ``None`` if its elements are samples."""
    if isinstance(data, Table):
        return None
    if isinstance(data, Mapping):
        return list(data.values())
    if type(data) is tuple and any(_is_column(part) for part in data):
        return [part for part in data if part is not None]
    return None


def _is_column(part: Any) -> bool:
    return hasattr(part, "__len__") and not isinstance(part, str | bytes) and getattr(part, "ndim", 1) > 0


def groups_of(data: Any, groups: GroupSpec) -> list[Any]:
    """Return one group per row of train inputs.

    Args:
        data: The inputs.
        groups: One group per row; a function of the source of a sample, such as its path; or the name of a column, if
            the data is a table.

    Raises:
        ConfigurationError: If the data has no sources or no columns, as the groups need them.
        MissingColumnError: If the table has no such column.
        DataError: If a row has no group, or there is not one group per row.

    Example:
        >>> groups_of(Table({"age": [50, 51, 30], "patient": ["a", "a", "b"]}), "patient")
        ['a', 'a', 'b']
    """
    return _value_per_row(data, groups, "group", "or give each a group of its own")


def times_of(data: Any, times: GroupSpec) -> list[float]:
    """Return one time per row of train inputs, as a number: seconds since 1970 for dates.

    Args:
        data: The inputs.
        times: As the groups of :func:`groups_of`: numbers, or dates such as ``"2024-05-31"``.

    Raises:
        ConfigurationError: As :func:`groups_of`.
        MissingColumnError: If the table has no such column.
        DataError: If a row has no time, or one that is neither a number nor a date in the format of ISO 8601.

    Example:
        >>> times_of(Table({"day": ["1970-01-02", "1970-01-01"]}), "day")
        [86400.0, 0.0]
    """
    values = _value_per_row(data, times, "time", "or leave times out")
    numbers = list(map(_as_time, values))
    wrong = [value for value, number in zip(values, numbers, strict=True) if number is None]
    if wrong:
        raise DataError(
            "Expected a number or a date such as 2024-05-31 or 2024-05-31T18:30 as the time of every train row, but "
            f"got {show(wrong[0])}. Convert the times first, for example with pandas.to_datetime."
        )
    return [number for number in numbers if number is not None]


def _as_time(value: Any) -> float | None:
    """Return a number, or a date as seconds since 1970; ``None`` if it is neither."""
    if isinstance(value, np.datetime64):
        return float(value.astype("datetime64[us]").astype(np.int64)) / 1e6
    if isinstance(value, datetime.date):
        value = value.isoformat()
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isnan(number):
        return number
    try:
        parsed = datetime.datetime.fromisoformat(str(value).strip().removesuffix("Z"))
    except ValueError:
        return None
    zone = parsed.tzinfo or datetime.timezone.utc
    return parsed.replace(tzinfo=zone).timestamp()


def _value_per_row(data: Any, given: GroupSpec, what: str, otherwise: str) -> list[Any]:
    """Return the values of a column, of a function of sources, or those that were passed, one per row."""
    if isinstance(given, str):
        carried = getattr(data, f"{what}s", None)
        if carried is None and not is_table(data):
            raise ConfigurationError(
                f"Expected one {what} per train row, since the train data is no table with a column {given!r}. Pass "
                f"{what}s=[...], with a value for each row."
            )
        found: Any = read_table(data, name="the train data")[given] if carried is None else carried
    elif callable(given):
        sources = getattr(data, "sources", None)
        if sources is None:
            raise ConfigurationError(
                f"Expected one {what} per train row, since the train data ({type(data).__name__}) has no sources, such "
                f"as paths, that a function could tell the {what}s of. Pass {what}s=[...], with a value for each row."
            )
        found = [given(source) for source in sources]
    else:
        found = given
    values = found.tolist() if hasattr(found, "tolist") else list(found)
    rows = count_inputs(data)
    if len(values) != rows:
        raise DataError(f"Expected one {what} per train row, but got {len(values)} {what}s and {rows} rows.")
    missing = sum(map(is_missing, values))
    if missing:
        raise DataError(
            f"Expected a {what} for every train row, but {missing} of {rows} have none. Drop these rows, {otherwise}."
        )
    return values


def split_rows(
    length: int,
    val_split: float,
    seed: int,
    classes: Any = None,
    groups: Sequence[Any] | None = None,
    times: Sequence[float] | None = None,
) -> tuple[Rows, Rows]:
    """Split ``range(length)`` into train and validation rows, both sorted and neither empty, at random or by time.

    With ``classes``, the split is stratified, and each class keeps at least one train row; a class with one row stays
    in train. With ``groups``, all rows of a group are on one side: of several random orders of the groups, the split
    with the class counts nearest to ``val_split`` is returned. With ``times``, the validation rows are the latest ones;
    rows of one time are on one side.

    Args:
        length: The number of rows.
        val_split: The fraction of rows for validation, between 0 and 1.
        seed: Seed of the split.
        classes: One class per row, or a list of classes per row; each class then keeps a train row.
        groups: One group per row.
        times: One time per row.

    Raises:
        ConfigurationError: If ``val_split`` is not between 0 and 1, or there are both groups and times.
        DataError: If there are fewer than two rows or groups, or no row can be taken such that its classes keep one.

    Example:
        >>> train, val = split_rows(10, 0.2, seed=0, classes=[0] * 5 + [1] * 5)
        >>> len(train), len(val)
        (8, 2)
        >>> split_rows(6, 0.3, seed=0, groups=["a", "a", "b", "b", "c", "c"])[1].tolist()
        [4, 5]
    """
    if isinstance(val_split, bool) or not isinstance(val_split, float) or not 0 < val_split < 1:
        raise ConfigurationError(
            f"Expected val_split to be a fraction between 0 and 1, such as 0.1, but got {val_split!r}."
        )
    if length < 2:
        raise DataError(
            f"Expected at least 2 rows to split off validation data, but got {length}. Leave val_split out."
        )
    if groups is not None and times is not None:
        raise ConfigurationError(
            "Expected groups or times to split by, but got both. Leave one of them out; or split the rows before, and "
            "pass validation data."
        )
    wanted = wanted_rows(length, val_split)
    random = np.random.default_rng(seed)
    if times is not None:
        chosen = _latest(times, wanted)
    elif groups is not None:
        chosen = _grouped(groups, classes, wanted, random)
    elif classes is not None:
        chosen = _stratified(classes, wanted, random)
    else:
        chosen = random.permutation(length)[:wanted]
    if not len(chosen):
        whole = "row" if groups is None else "group"
        raise DataError(
            f"Expected classes with rows for both training and validation, but each {whole} has all rows of a class. "
            "Add rows of these classes, or pass validation data instead of val_split."
        )
    is_val = np.zeros(length, dtype=bool)
    is_val[chosen] = True
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)


def _stratified(given: Any, wanted: int, random: np.random.Generator) -> Rows:
    if isinstance(given, Sequence) and any(isinstance(each, list | tuple | set | frozenset) for each in given):
        return _stratified_multi_label(given, wanted, random)
    codes = _class_codes(given.tolist() if hasattr(given, "tolist") else given)
    counts = np.bincount(codes)
    quota = quotas_of(counts, wanted)
    order = random.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    starts = np.cumsum(counts) - counts
    return np.concatenate([order[start : start + n] for start, n in zip(starts, quota, strict=True)])


def split_folds(
    length: int, folds: int, seed: int, classes: Any = None, groups: Sequence[Any] | None = None
) -> list[Rows]:
    """Split ``range(length)`` into folds of about equal size, each sorted; every row is in one of them.

    Each fold is split off what the ones before it left, by :func:`split_rows`: stratified, or by whole groups.

    Args:
        length: The number of rows.
        folds: The number of folds.
        seed: Seed of the split.
        classes: One class per row, or a list of classes per row, by which the folds are stratified.
        groups: One group per row: rows of one group are in one fold.

    Raises:
        ConfigurationError: If ``folds`` is not an integer above 1.
        DataError: If there are fewer rows or groups than folds.

    Example:
        >>> [rows.tolist() for rows in split_folds(6, 3, seed=0, classes=["a", "b"] * 3)]
        [[2, 3], [0, 1], [4, 5]]
    """
    if type(folds) is not int or folds < 2:
        raise ConfigurationError(f"Expected folds to be an integer above 1, but got {folds!r}.")
    count, what = (length, "rows") if groups is None else (len(set(map(str, groups))), "groups")
    if count < folds:
        raise DataError(f"Expected at least one of the {what} for each of {folds} folds, but got {count} {what}.")
    rest = np.arange(length)
    found = []
    for left in range(folds, 1, -1):
        given = [None if each is None else take_rows(each, rest) for each in (classes, groups)]
        keep, taken = split_rows(len(rest), 1 / left, seed + folds - left, *given)
        found.append(rest[taken])
        rest = rest[keep]
    return [*found, rest]


def draw_stratified(parts: Iterable[Rows], counts: Rows, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw rows for a stratified split of a table that is read part by part.

    Args:
        parts: The class of each row, as a number from 0.
        counts: The number of rows of each class.
        fraction: The fraction of rows to draw.
        seed: Seed of what is drawn.

    Returns:
        For each row whether it was drawn, shape ``(rows,)``.

    Raises:
        DataError: If there are fewer than two rows, or no class has two.

    Example:
        >>> draw_stratified([np.array([0, 0, 1]), np.array([0, 0, 1])], np.array([4, 2]), 0.5, seed=0).sum()
        np.int64(3)
    """
    rows = int(counts.sum())
    quotas = quotas_of(counts, wanted_rows(rows, fraction)) if rows > 1 else counts * 0
    if not quotas.sum():
        raise DataError(
            f"Expected at least two rows of a class to split validation data off, but got {rows} rows, each of a class "
            "of its own. Leave val_split out, or pass validation data."
        )
    return draw_rows(parts, counts, quotas, seed)


def wanted_rows(length: int, fraction: float) -> int:
    """Return how many rows a split takes: a share of them, but at least one, and not all.

    Example:
        >>> wanted_rows(10, 0.25), wanted_rows(3, 0.01)
        (2, 1)
    """
    return min(max(round(length * fraction), 1), length - 1)


def quotas_of(counts: Rows, wanted: int) -> Rows:
    """Return how many rows of each class a stratified split takes; each class keeps one.

    Args:
        counts: The number of rows of each class.
        wanted: The number of rows to take of all.

    Example:
        >>> quotas_of(np.array([8, 2, 1]), 3)
        array([2, 1, 0])
    """
    exact = counts * (wanted / counts.sum())
    quota: Rows = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    # The rows that remain after rounding down are assigned by the largest remainders.
    for index in np.argsort(-(exact - np.floor(exact)), kind="stable"):
        if quota.sum() >= wanted:
            break
        if quota[index] < counts[index] - 1:
            quota[index] += 1
    return quota


def draw_rows(
    parts: Iterable[Rows], counts: Sequence[int] | Rows, quotas: Sequence[int] | Rows, seed: int
) -> npt.NDArray[np.bool_]:
    """Draw so many rows of each class at random, in one pass.

    Args:
        parts: The class of each row, part by part.
        counts: The number of rows of each class.
        quotas: The number of rows to draw of each.
        seed: Seed of what is drawn.

    Returns:
        For each row whether it was drawn, shape ``(rows,)``; each set of so many rows is as likely as any other.

    Example:
        >>> draw_rows([np.array([0, 1]), np.array([0, 0])], counts=[3, 1], quotas=[2, 0], seed=0).sum()
        np.int64(2)
    """
    random = np.random.default_rng(seed)
    left, wanted = np.array(counts, dtype=np.int64), np.array(quotas, dtype=np.int64)
    drawn = []
    for classes in parts:
        flags = np.zeros(len(classes), dtype=bool)
        for each, count in zip(*np.unique(classes, return_counts=True), strict=True):
            # Of a part as many are drawn as of a draw from all rows that are left.
            number = random.hypergeometric(wanted[each], left[each] - wanted[each], count)
            flags[random.permutation(np.flatnonzero(classes == each))[:number]] = True
            left[each] -= count
            wanted[each] -= number
        drawn.append(flags)
    return np.concatenate(drawn)


def _class_codes(classes: Sequence[Any]) -> Rows:
    """Return the place of the class of each row among all of them, in the order of their texts."""
    # As text: a missing class, or a mix of numbers and strings, cannot be sorted. True and 1 are two texts.
    texts = {key: str(key[1]) for key in dict.fromkeys(zip(map(type, classes), classes, strict=True))}
    places = {text: place for place, text in enumerate(sorted(set(texts.values())))}
    codes = {key: places[text] for key, text in texts.items()}
    keys = zip(map(type, classes), classes, strict=True)
    return np.fromiter(map(codes.__getitem__, keys), np.int64, len(classes))


def _stratified_multi_label(given: Sequence[Any], wanted: int, random: np.random.Generator) -> Rows:
    """Draw validation rows at random such that each of their classes keeps a train row."""
    rows = _class_sets(given)
    left = Counter(label for labels in rows for label in labels)
    chosen: list[int] = []
    for row in random.permutation(len(rows)).tolist():
        if all(left[label] > 1 for label in rows[row]):
            left.subtract(rows[row])
            chosen.append(row)
            if len(chosen) == wanted:
                break
    return np.array(chosen, dtype=np.int64)


def _grouped(groups: Sequence[Any], classes: Any, wanted: int, random: np.random.Generator) -> Rows:
    """Draw whole groups at random such that each of their classes keeps a train row."""
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(str(group), []).append(row)
    members = list(rows_of.values())
    if len(members) < 2:
        raise DataError(
            f"Expected at least 2 groups to split off validation data, but all {len(groups)} rows have the group "
            f"{show(groups[0])}. Leave groups or val_split out."
        )
    # Without classes, all rows count as one class.
    sets = [{""}] * len(groups) if classes is None else _class_sets(classes)
    counts = [Counter(label for row in rows for label in sets[row]) for rows in members]
    total: Counter[str] = sum(counts, Counter())
    share = wanted / len(groups)
    best, best_distance = [], float("inf")
    for _ in range(max(1, min(_ORDERS, _MAX_DRAWS // len(members)))):
        chosen, taken = _draw_groups(random.permutation(len(members)).tolist(), members, counts, total, wanted)
        distance = sum(abs(taken[label] - count * share) for label, count in total.items())
        if chosen and distance < best_distance:
            best, best_distance = chosen, distance
    return np.array([row for group in best for row in members[group]], dtype=np.int64)


def _draw_groups(
    order: Sequence[int], members: list[list[int]], counts: list[Counter[str]], total: Counter[str], wanted: int
) -> tuple[list[int], Counter[str]]:
    """Return groups with up to ``wanted`` rows, or the first that can be taken, and their class counts."""
    chosen: list[int] = []
    taken: Counter[str] = Counter()
    rows = 0
    for group in order:
        fits = not chosen or rows + len(members[group]) <= wanted
        if fits and all(taken[label] + count < total[label] for label, count in counts[group].items()):
            chosen.append(group)
            taken.update(counts[group])
            rows += len(members[group])
    return chosen, taken


def _latest(times: Sequence[float], wanted: int) -> Rows:
    """Return the rows after a time, such that their number is as near as possible to the wanted one."""
    values, counts = np.unique(np.asarray(times, dtype=np.float64), return_counts=True)
    if len(values) < 2:
        raise DataError(
            f"Expected at least 2 times to split off the latest rows, but all {len(times)} rows have the same one. "
            "Leave times out."
        )
    # The number of rows from each time on; from the first one on are all rows.
    later = np.cumsum(counts[::-1])[::-1][1:]
    start = values[1 + int(np.abs(later - wanted).argmin())]
    return np.flatnonzero(np.asarray(times, dtype=np.float64) >= start)


def _class_sets(classes: Any) -> list[set[str]]:
    """Return the classes of each row."""
    several = (list, tuple, set, frozenset)
    plain = classes.tolist() if hasattr(classes, "tolist") else classes
    return [{str(label) for label in (each if isinstance(each, several) else (each,))} for each in plain]


def _repeats(classes: Any) -> bool:
    """Return whether a class has at least two rows."""
    sets = _class_sets(classes)
    return len(set().union(*sets)) < sum(map(len, sets))
