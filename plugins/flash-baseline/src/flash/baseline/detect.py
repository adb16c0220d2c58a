"""Detect what data is: the task that it is for, and the data module that reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flash import DataModule, Task
from flash.core.classification import ClassificationTask
from flash.core.regression import RegressionTask
from flash.core.structured_prediction import StructuredTask
from flash.data.messages import list_some
from flash.data.recognition import RawData, Recognition
from flash.data.tables import Table
from flash.errors import ConfigurationError, DataError
from flash.plugins import get_host

__all__ = ["Detected", "detect", "find_target", "is_known_file", "without_columns"]

# The usual names of the column to predict.
_TARGET_NAMES = ("target", "label", "class", "y")


@dataclass(frozen=True)
class Detected:
    """Task that data is for.

    Args:
        name: The name of the task.
        task: Its class.
        data: The class of its data.
        recognition: How the data module reads the data.
    """

    name: str
    task: type[Task]
    data: type[DataModule]
    recognition: Recognition

    @property
    def input_field(self) -> str | None:
        """The column that the samples are in, such as that of texts; ``None`` if a sample is a row or a file."""
        field: str | None = self.recognition.arguments.get("input_field")
        return field

    def make_data(self, others: Mapping[str, RawData], **options: Any) -> DataModule:
        """Make the data module.

        Args:
            others: Data of other stages, by their names, such as ``"test"``.
            options: Further arguments of the constructor.

        Raises:
            ConfigurationError: If the data of another stage is not of the same form.
        """
        arguments = dict(self.recognition.arguments)
        for stage, raw in others.items():
            of_train = [name for name in arguments if name.startswith("train_")]
            if len(of_train) > 1:
                # Such as folders of images and of masks: what is where is recognized as it is of the train data.
                other = self.data.recognize(raw)
                if other is None or other.constructor != self.recognition.constructor:
                    raise ConfigurationError(
                        f"Expected {stage} data of the form of the train data, since {self.recognition.why}, but got "
                        f"{raw.source!r}."
                    )
                given = {name: value for name, value in other.arguments.items() if name.startswith("train_")}
                arguments |= {f"{stage}_{name.removeprefix('train_')}": value for name, value in given.items()}
                continue
            for name in of_train:
                form = "a table" if isinstance(arguments[name], Table) else f"a {name.rpartition('_')[2]}"
                value = {"a table": raw.table, "a file": raw.file}.get(form, raw.folder)
                if value is None:
                    raise ConfigurationError(
                        f"Expected {stage} data of the form of the train data, {form}, but got {raw.source!r}."
                    )
                arguments[f"{stage}_{name.removeprefix('train_')}"] = value
        constructor = getattr(self.data, self.recognition.constructor)
        module: DataModule = constructor(**arguments, **options)
        return module


def is_known_file(raw: RawData, asked: str | None = None) -> bool:
    """Return whether a data module of a task whose models can be compared knows a file that is not read as a table.

    Args:
        raw: What ``RawData.of_file`` returned.
        asked: The name of the task, if the user says it.
    """
    tasks = {name: each for name, each in get_host().tasks().items() if asked in (None, name)}
    return any(
        each.load("data").recognize(raw) is not None for each in tasks.values() if _has_comparison(each.load("task"))
    )


def _has_comparison(task: type[Task]) -> bool:
    return issubclass(task, ClassificationTask | RegressionTask | StructuredTask)


def find_target(raw: RawData, target: str | Sequence[str] | None) -> str | Sequence[str] | None:
    """Return the columns of targets: those that the user names, or one with a usual name.

    Raises:
        ConfigurationError: If a table has several such columns, or none.
    """
    if raw.table is None:
        if target is not None:
            raise ConfigurationError(
                f"Expected no target for a folder, whose subfolders are the classes, but got {target!r}. Leave it out."
            )
        return None
    if target is not None:
        for name in [target] if isinstance(target, str) else target:
            raw.table[name]  # A missing column is an error with the closest name.
        return target
    found = [name for name in raw.table if name.lower() in _TARGET_NAMES]
    if len(found) == 1:
        return found[0]
    raise ConfigurationError(
        f"Expected the name of the column to predict, as in --target {next(iter(raw.table), 'COLUMN')}, since the "
        f"table has {len(found) or 'no'} column{'s' * (len(found) != 1)} named {' or '.join(_TARGET_NAMES)}. It has "
        f"{list_some(raw.table, most=30)}."
    )


def without_columns(raw: RawData, dropped: Sequence[str]) -> RawData:
    """Return a table without some columns.

    Raises:
        ConfigurationError: If it is no table.
        MissingColumnError: If it has no such column.
    """
    if not dropped:
        return raw
    if raw.table is None:
        raise ConfigurationError(f"Expected a table to drop columns of, but got {raw.source!r}. Leave drop out.")
    for name in dropped:
        raw.table[name]
    kept = {name: raw.table[name] for name in raw.table if name not in dropped}
    return replace(raw, table=replace(raw.table, columns=kept))


def detect(raw: RawData, target: str | Sequence[str] | None, asked: str | None = None) -> Detected:
    """Return the task whose data module is most sure that it is its data.

    Args:
        raw: The data.
        target: The columns of targets.
        asked: The name of the task, if the user says it.

    Raises:
        ConfigurationError: If several are as sure, or models of the task cannot be compared.
        DataError: If no data module knows the data.
    """
    found: list[Detected] = []
    for name, contribution in get_host().tasks().items():
        if asked not in (None, name):
            continue
        task, data = contribution.load("task"), contribution.load("data")
        if not _has_comparison(task):
            if asked is not None:
                raise ConfigurationError(
                    f"Expected a task whose models can be compared for a baseline, but got {asked!r}. Train it with "
                    f"flash fit {asked}."
                )
            continue
        recognition = data.recognize(raw, target)
        if recognition is not None:
            found.append(Detected(name, task, data, recognition))
    if asked is not None and asked not in get_host().tasks():
        get_host().tasks()[asked]
    if not found:
        raise DataError(_unknown(raw, asked))
    found.sort(key=lambda each: -each.recognition.certainty)
    first, *others = found
    equal = [each for each in others if each.recognition.certainty == first.recognition.certainty]
    if equal:
        names = [each.name for each in (first, *equal)]
        reasons = "; ".join(f"{each.name}, because {each.recognition.why}" for each in (first, *equal))
        raise ConfigurationError(
            f"Expected data for one task, but it may be for {len(names)}: {reasons}. Choose one, as in --task "
            f"{names[0]}."
        )
    return first


def _unknown(raw: RawData, asked: str | None) -> str:
    what = f"the task {asked}" if asked else "an installed task"
    source = raw.source if isinstance(raw.source, str | os.PathLike) else "the data"
    domains = ", ".join(sorted(get_host().tasks())) or "none"
    if raw.folder is not None:
        return (
            f"Expected data for {what}, but {source} is a folder without subfolders of files for each class, of two "
            "classes at least, of images and of masks, or of images and annotations (COCO, Pascal VOC), that a task "
            f"reads. Pass such a folder, or a table with a column of texts or paths. The tasks are: {domains}."
        )
    if raw.table is not None and len(raw.table) < 2:
        return (
            f"Expected a table with columns besides the target to predict it by, but its only column is "
            f"{list_some(raw.table)}. Add columns, or check the separator of the file."
        )
    return (
        f"Expected data for {what}, but no data module knows this table. Install a plugin, such as flash-tabular, or "
        f"make a data module and pass it. The tasks are: {domains}."
    )
