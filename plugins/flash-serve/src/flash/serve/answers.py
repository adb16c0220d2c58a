"""Answers as JSON: what a model predicts, and the probabilities of classes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from flash.core.outputs import plain

__all__ = ["answers", "to_json"]


def answers(
    found: Sequence[tuple[Any, Sequence[float] | None]], classes: Sequence[str] | None, most: int
) -> list[dict[str, Any]]:
    """Return the answer to each sample.

    It has the ``prediction``, and if there are any the ``probabilities`` of classes, the most probable first.

    Args:
        found: The prediction of each sample, and the probabilities of its classes.
        classes: The names of the classes.
        most: The number of classes whose probabilities are in an answer.

    Example:
        >>> answers([("bees", [0.2, 0.8])], ["ants", "bees"], most=1)
        [{'prediction': 'bees', 'probabilities': [{'label': 'bees', 'probability': 0.8}]}]
    """
    if classes is None or not found or found[0][1] is None:
        return [{"prediction": plain(prediction)} for prediction, _ in found]
    probable = _most_probable([probabilities for _, probabilities in found], classes, most)
    return [
        {"prediction": plain(prediction), "probabilities": each}
        for (prediction, _), each in zip(found, probable, strict=True)
    ]


def _most_probable(probabilities: Sequence[Any], names: Sequence[str], most: int) -> list[list[dict[str, Any]]]:
    values = np.array(probabilities, dtype=np.float64)
    # What is no number comes last.
    order = np.argsort(np.where(np.isnan(values), 1.0, -values), axis=1, kind="stable")[:, :most]
    count, ordered = order.shape[1], np.take_along_axis(values, order, 1).ravel().tolist()
    # Those of all samples in one go, since they are few in each.
    pairs = zip(order.ravel().tolist(), ordered, strict=True)
    shown = [{"label": names[place], "probability": value} for place, value in pairs]
    return [shown[start : start + count] for start in range(0, len(shown), count)]


def to_json(content: Any) -> bytes:
    """Return the bytes of a value as JSON; numbers that JSON lacks are ``null``.

    Example:
        >>> to_json({"prediction": float("nan"), "label": "très bien"}).decode()
        '{"prediction":null,"label":"très bien"}'
    """
    try:
        return orjson.dumps(content)
    except TypeError:  # half of a character, such as in the name of a class, or a whole number of more than 64 bits
        pass
    try:
        text = _dumps(content)
    except ValueError:  # not a number, or infinite
        text = _dumps(_finite(content))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(json.loads(text)).encode()


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else value
