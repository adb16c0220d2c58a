"""Outputs: functions that convert predictions to results, with the same names for all tasks."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from flash.core.protocols import TaskLike
from flash.core.registry import ComponentRegistry, Registry
from flash.errors import ConfigurationError
from flash.plugins import dist_of

__all__ = [
    "PLAIN_TYPES",
    "OutputSpec",
    "classification_outputs",
    "components_of",
    "find_output",
    "outputs_of",
    "plain",
    "regression_outputs",
    "resolve_output",
    "takes_ids",
    "task_outputs",
]

#: An output: a name, or a callable that takes a batch of predictions.
OutputSpec: TypeAlias = str | Callable[..., Any]

_PARAMETERS: WeakKeyDictionary[Any, frozenset[str]] = WeakKeyDictionary()

#: The types of what :func:`plain` returns as it is.
PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})

#: Outputs of every task.
task_outputs = ComponentRegistry("output", "outputs", "-/-")
#: Outputs of classifiers.
classification_outputs = ComponentRegistry("output", "outputs", "*/classification")
#: Outputs of regressors.
regression_outputs = ComponentRegistry("output", "outputs", "*/regression")


def raw(predictions: Any, task: Any) -> Any:
    """Return the network's output unchanged."""
    return predictions


def logits(predictions: Tensor, task: Any) -> list[Any]:
    """Return the network's scores, a list of one number per class for each sample."""
    values: list[Any] = predictions.float().tolist()
    return values


def probabilities(predictions: Tensor, task: Any) -> list[Any]:
    """Return a list of one probability per class for each sample; they sum to 1, except for multi-label tasks."""
    values: list[Any] = task.to_probabilities(_scores(predictions, "probabilities")).tolist()
    return values


def classes(predictions: Tensor, task: Any) -> list[Any]:
    """Return the index of the most probable class, or the list of indices of all classes above the threshold."""
    scores = _scores(predictions, "classes")
    if task.multi_label:
        chosen = task.to_probabilities(scores) > task.threshold
        return [row.nonzero().flatten().tolist() for row in chosen]
    numbers: list[Any] = scores.argmax(dim=-1).tolist()
    return numbers


def labels(predictions: Tensor, task: Any) -> list[Any]:
    """Return the name of the most probable class, or the list of names of all classes above the threshold."""
    numbers = classes(_scores(predictions, "labels"), task)
    names = task.labels
    if names is None:
        return numbers
    if task.multi_label:
        return [[names[number] for number in row] for row in numbers]
    return [names[number] for number in numbers]


def _scores(predictions: Any, output: str) -> Tensor:
    if isinstance(predictions, Tensor) and predictions.ndim == 2:
        return predictions.float()
    shown = (
        f"shape {tuple(predictions.shape)}" if isinstance(predictions, Tensor) else f"a {type(predictions).__name__}"
    )
    raise ConfigurationError(
        f"Expected predictions of shape (batch, classes) for the output {output!r}, but got {shown}. Ask for "
        "output='raw', or pass a function of the predictions as output, which returns one result per sample."
    )


def values(predictions: Tensor, task: Any) -> list[Any]:
    """Return one number per sample, in the units of the target."""
    numbers = predictions.float()
    flat = numbers.squeeze(-1) if numbers.ndim > 1 and numbers.shape[-1] == 1 else numbers
    result: list[Any] = flat.tolist()
    return result


def plain(value: Any) -> Any:
    """Return a result of ``task.predict`` as JSON can hold it: tensors and arrays as lists, keys as text.

    Args:
        value: One result.

    Example:
        >>> plain({"vector": torch.ones(2), 3: (1, None)})
        {'vector': [1.0, 1.0], '3': [1, None]}
    """
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, bool | int | float) else str(value)


def outputs_of(task: type[TaskLike]) -> Registry:
    """Return the outputs of a task class: those of its registry for its domain and name.

    Args:
        task: The class.

    Example:
        >>> from flash.core.classification import ClassificationTask
        >>> outputs_of(ClassificationTask).list()
        ['classes', 'labels', 'logits', 'probabilities', 'raw']
    """
    return components_of(task, task.outputs)


def components_of(task: type[TaskLike], registry: Registry) -> Registry:
    """Return the entries of a registry for a task class: those of its domain, its name, and its kind.

    The kind, such as classification, is that of its outputs. A class without a kind has all entries of its domain; one
    that is in no plugin, so that its domain is unknown, has all entries.

    Args:
        task: The class.
        registry: Outputs, metrics or losses.

    Example:
        >>> from flash.core.classification import ClassificationTask
        >>> from flash.core.losses import losses
        >>> components_of(ClassificationTask, losses).list()
        ['bce', 'cross_entropy']
    """
    if not isinstance(registry, ComponentRegistry):
        return registry
    scopes = registry.scopes
    if not scopes and isinstance(task.outputs, ComponentRegistry) and task.outputs is not task_outputs:
        scopes = task.outputs.scopes
    return registry.of_task(task, *scopes)


def find_output(task: TaskLike, output: OutputSpec | None) -> Callable[..., Any]:
    """Return the function of an output.

    Args:
        task: The task.
        output: A name from ``task.available_outputs()``, a callable that takes a batch of predictions, or ``None``
            for the task's default.

    Raises:
        ConfigurationError: If it is neither a name nor a callable.
        UnknownNameError: If the task has no output of that name.
    """
    chosen = task.default_output if output is None else output
    if isinstance(chosen, str):
        chosen = outputs_of(type(task)).get(chosen, prefer=_default_owner(task) if output is None else None)
    if callable(chosen):
        return chosen
    raise ConfigurationError(
        f"Expected an output's name, such as {task.default_output!r}, or a callable, but got {output!r}."
    )


def resolve_output(
    task: TaskLike, output: OutputSpec | None, inputs: Any = None, ids: Any = None
) -> Callable[[Any], Any]:
    """Return the function that converts a batch of predictions to results.

    Args:
        task: The task.
        output: As in :func:`find_output`. A function with parameters ``task``, ``inputs`` or ``ids`` receives those
            too.
        inputs: The inputs of the batch.
        ids: The ids of the samples of the batch.

    Raises:
        ConfigurationError: If it is neither a name nor a callable.
        UnknownNameError: If the task has no output of that name.
    """
    chosen = find_output(task, output)
    known = {"task": task, "inputs": inputs, "ids": ids}
    wanted = {name: known[name] for name in known.keys() & _parameters(chosen)}
    return partial(chosen, **wanted) if wanted else chosen


def takes_ids(output: Callable[..., Any]) -> bool:
    """Return whether an output, as :func:`find_output` returns it, takes the ids of the samples."""
    return "ids" in _parameters(output)


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    # Reading a signature takes longer than most outputs of one sample. That of a method is kept with its function.
    kept = getattr(function, "__func__", function)
    try:
        return _PARAMETERS[kept]
    except (KeyError, TypeError):
        found = _read_parameters(function)
    with contextlib.suppress(TypeError):  # What has no hash, or cannot be referred to weakly, is not kept.
        _PARAMETERS[kept] = found
    return found


def _read_parameters(function: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # Some builtin functions have no signature.
        return frozenset()


def _default_owner(task: TaskLike) -> str | None:
    (owner, *_) = (each for each in type(task).__mro__ if "default_output" in vars(each))
    return dist_of(owner.__module__)


def to_probabilities(predictions: Tensor, multi_label: bool) -> Tensor:
    """Convert logits to probabilities: by sigmoid for multi-label, otherwise by softmax."""
    return torch.sigmoid(predictions) if multi_label else torch.softmax(predictions, dim=-1)
