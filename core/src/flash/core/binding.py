"""Bind a task to data: check that they are compatible, and share one preprocess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flash.core.protocols import TaskLike
from flash.data.data_module import DataModule
from flash.data.messages import show_some
from flash.errors import ConfigurationError
from flash.plugins import get_host
from flash.serialization.objects import public_path

__all__ = ["bind", "check_pair"]


def bind(task: TaskLike, datamodule: DataModule) -> None:
    """Bind a task to data, before a run.

    Args:
        task: The task. Without a preprocess or labels it uses those of the data.
        datamodule: The data. If it is not loaded yet, it uses the preprocess of the task.

    Raises:
        ConfigurationError: If the data is for another kind of task, or has other classes or targets.
        DataError: If the task was trained with a preprocess of another state.
    """
    check_pair(type(task), datamodule)
    _check_classes(task, datamodule)
    _check_targets(task, datamodule)
    own, theirs = task.preprocess, datamodule.preprocess
    if own is None or (theirs is not None and theirs.state_dict() and not own.state_dict()):
        task.preprocess = theirs
    else:
        datamodule.use_preprocess(own)
    if task.postprocess is None:
        task.postprocess = datamodule.postprocess
    datamodule.connect(task.input_spec)


def check_pair(task_class: type, datamodule: Any) -> None:
    """Reject data for tasks of another kind, according to the specs of installed plugins.

    A task or a data module without a spec is compatible with everything.

    Args:
        task_class: The class of the task.
        datamodule: The data.

    Raises:
        ConfigurationError: If it is not a data module, or one for other tasks; the message names the matching classes.

    Example:
        >>> import flash
        >>> check_pair(flash.Task, "train.csv")
        Traceback (most recent call last):
        ...
        flash.errors.ConfigurationError: Expected a flash.DataModule, which has a from_* constructor for most sources, \
but got a str.
    """
    if not isinstance(datamodule, DataModule):
        raise ConfigurationError(
            "Expected a flash.DataModule, which has a from_* constructor for most sources, but got a "
            f"{type(datamodule).__name__}."
        )
    specs = [contribution.spec for contribution in get_host().contributions("task")]
    tasks, data = _paths(task_class), _paths(type(datamodule))
    data_for_task = [spec.data for spec in specs if spec.task in tasks]
    tasks_for_data = [spec.task for spec in specs if spec.data in data]
    if data_for_task and tasks_for_data and not set(data_for_task) & data:
        raise ConfigurationError(
            f"Expected data that fits the task: {_names(data_for_task)} for {task_class.__name__}, but got "
            f"{type(datamodule).__name__}, which is for {_names(tasks_for_data)}."
        )


def _paths(cls: type) -> set[str]:
    return {path for base in cls.__mro__ for path in (f"{base.__module__}:{base.__qualname__}", public_path(base))}


def _names(targets: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(target.rpartition(":")[2] for target in targets))


def _check_classes(task: TaskLike, datamodule: DataModule) -> None:
    """Compare the classes of a classifier with those of its train data, and set missing labels."""
    count, labels = datamodule.num_classes, datamodule.labels
    expected: int | None = getattr(task, "num_classes", None)
    if count is None or expected is None or not hasattr(task, "multi_label"):
        return
    several = bool(getattr(task, "multi_label", False))
    if (count, datamodule.multi_label) != (expected, several):
        kind = "several classes per sample" if datamodule.multi_label else "one class per sample"
        raise ConfigurationError(
            f"Expected data that fits the task, which has num_classes={expected} and multi_label={several}, but it has "
            f"{count} classes ({show_some(labels or (), most=5)}) and {kind}. Make the task with "
            f"{type(task).__name__}.from_data(datamodule)."
        )
    own: Sequence[Any] | None = getattr(task, "labels", None)
    if own is None and labels is not None:
        setattr(task, "labels", list(labels))  # noqa: B010  # only tasks with classes have labels
        task.record_arguments(labels=list(labels))
    # Labels that have nothing in common are other names for the same classes, such as words for indices.
    elif own is not None and labels is not None and list(own) != list(labels) and {*own} & {*labels}:
        raise ConfigurationError(
            f"Expected data with the classes of the task in the same order, {show_some(own, most=5)}, but it has "
            f"{show_some(labels, most=5)}. "
            "Make the data with the task's preprocess, preprocess=task.preprocess, or the task with "
            f"{type(task).__name__}.from_data(datamodule)."
        )


def _check_targets(task: TaskLike, datamodule: DataModule) -> None:
    """Compare the number of targets of a regressor with that of its train data."""
    expected, found = getattr(task, "num_targets", None), datamodule.facts.get("num_targets")
    if expected is not None and found is not None and expected != found:
        raise ConfigurationError(
            f"Expected data that fits the task, which has num_targets={expected}, but it has {found} targets per "
            f"sample. Make the task with {type(task).__name__}.from_data(datamodule)."
        )
