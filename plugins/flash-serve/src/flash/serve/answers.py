"""Answers as JSON: what a model predicts, and the probabilities of classes."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Sequence
from typing import Any

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
    return [
        {"prediction": plain(prediction)}
        if probabilities is None or classes is None
        else {"prediction": plain(prediction), "probabilities": _most_probable(probabilities, classes, most)}
        for prediction, probabilities in found
    ]


def _most_probable(probabilities: Sequence[float], names: Sequence[str], most: int) -> list[dict[str, Any]]:
    pairs = enumerate(probabilities)
    best = heapq.nlargest(most, pairs, key=lambda pair: -1.0 if math.isnan(pair[1]) else pair[1])
    return [{"label": names[place], "probability": value} for place, value in best]


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
