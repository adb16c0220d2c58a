"""Predictions as JSON: what ``task.predict`` returns, and the probabilities of classes."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

import flash
from flash.core.outputs import find_output, resolve_output, takes_ids
from flash.data.requests import RequestKind
from flash.errors import DataError

__all__ = ["predictor", "to_json"]

_PLAIN = frozenset({str, int, bool, type(None), float})


def predictor(task: flash.Task, kind: RequestKind, max_classes: int) -> Callable[[Sequence[Any]], list[dict[str, Any]]]:
    """Return a function from samples to their answers, one dict each, by one call of ``task.predict``.

    An answer has the ``prediction``, which is what ``task.predict`` returns, and if the task has probabilities of
    classes these as ``probabilities``, the most probable first.

    Args:
        task: The task, in eval mode.
        kind: What a sample is.
        max_classes: The number of classes whose probabilities are in an answer.
    """
    names = class_names(task)
    chosen = find_output(task, task.output)
    # A postprocess of the user's own expects the results of the output that was chosen.
    is_default = task.postprocess is None or type(task.postprocess) is flash.Postprocess
    if names is None or takes_ids(chosen) or not is_default:
        return lambda samples: [{"prediction": plain(each)} for each in _predict(task, kind, samples, None)]

    def both(predictions: Any, inputs: Any) -> list[Any]:
        outputs = [resolve_output(task, each, inputs)(predictions) for each in (task.output, "probabilities")]
        return list(zip(*outputs, strict=True))

    def predict(samples: Sequence[Any]) -> list[dict[str, Any]]:
        found = _predict(task, kind, samples, both)
        return [
            {"prediction": plain(prediction), "probabilities": _most_probable(probabilities, names, max_classes)}
            for prediction, probabilities in found
        ]

    return predict


def _predict(task: flash.Task, kind: RequestKind, samples: Sequence[Any], output: Any) -> list[Any]:
    if kind != "numbers":
        return task.predict(samples, output, batch_size=len(samples))
    try:
        return task.predict(np.stack(samples), output, batch_size=len(samples))
    except DataError:
        raise
    # No preprocess says what shape they have, so that it is the network that refuses them.
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise DataError(
            f"Expected numbers that the network takes, but those of shape {samples[0].shape} are refused: {error}. "
            "Send as many as a sample has."
        ) from error


def class_names(task: flash.Task) -> list[str] | None:
    """Return the names of the classes, if the task has probabilities of them.

    Example:
        >>> from torch import nn
        >>> class_names(flash.Task(nn.Linear(2, 1))) is None
        True
    """
    if "probabilities" not in task.available_outputs():
        return None
    names = task.output_names
    count = getattr(task, "num_classes", None)
    return names or ([str(number) for number in range(count)] if isinstance(count, int) else None)


def _most_probable(probabilities: Sequence[float], names: Sequence[str], most: int) -> list[dict[str, Any]]:
    pairs = enumerate(probabilities)
    best = heapq.nlargest(most, pairs, key=lambda pair: -1.0 if math.isnan(pair[1]) else pair[1])
    return [{"label": names[place], "probability": value} for place, value in best]


def plain(value: Any) -> Any:
    """Return a prediction as JSON can hold it.

    Example:
        >>> import torch
        >>> plain({"vector": torch.ones(2), 3: (1, None)})
        {'vector': [1.0, 1.0], '3': [1, None]}
    """
    if type(value) in _PLAIN:
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


def to_json(content: Any) -> bytes:
    """Return the bytes of a value as JSON; numbers that JSON lacks are ``null``.

    Example:
        >>> to_json({"prediction": float("nan"), "label": "très bien"}).decode()
        '{"prediction":null,"label":"très bien"}'
    """
    try:
        text = _dumps(content)
    except ValueError:  # not a number, or infinite
        text = _dumps(_finite(content))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a character, such as in the name of a class
        return json.dumps(json.loads(text)).encode()


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else value
