"""The names of points, and which of them are the left and the right one of a pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flash.errors import ConfigurationError

__all__ = ["Keypoints", "mirrored_order", "read_keypoints", "read_skeleton"]

#: The names of the points of an object, in order; or their number, if they have none.
Keypoints = Sequence[str] | int

_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^A-Za-z]+")


def read_keypoints(keypoints: Any) -> list[str] | int:
    """Return the names of points, or their number.

    Raises:
        ConfigurationError: If they are neither different names nor a positive number.

    Example:
        >>> read_keypoints(("head", "tail")), read_keypoints(2)
        (['head', 'tail'], 2)
    """
    if isinstance(keypoints, int) and not isinstance(keypoints, bool) and keypoints > 0:
        return keypoints
    names = list(keypoints) if isinstance(keypoints, Sequence) and not isinstance(keypoints, str) else []
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ConfigurationError(
            f"Expected keypoints to be different names of the points of an object, in their order, or the number of "
            f"points, but got {keypoints!r}. Write keypoints=['left_ear', 'right_ear']."
        )
    return names


def read_skeleton(skeleton: Any, keypoints: Keypoints) -> list[list[int]]:
    """Return the pairs of points between which figures draw lines.

    Args:
        skeleton: Pairs of names, or of numbers of points, which start from 0.
        keypoints: The names of the points, or their number.

    Raises:
        ConfigurationError: If a pair is not of two points.

    Example:
        >>> read_skeleton([("head", "tail")], ["head", "tail"])
        [[0, 1]]
    """
    names: list[Any] = list(range(keypoints)) if isinstance(keypoints, int) else list(keypoints)
    pairs = []
    for pair in skeleton:
        ends = [names.index(end) if end in names else end for end in pair] if isinstance(pair, Sequence) else []
        if len(ends) != 2 or not all(isinstance(end, int) and 0 <= end < len(names) for end in ends):
            raise ConfigurationError(
                f"Expected skeleton to be pairs of points, by name or by number from 0 to {len(names) - 1}, but got "
                f"{pair!r}. Write skeleton=[(0, 1)]."
            )
        pairs.append(ends)
    return pairs


def mirrored_order(names: Sequence[str]) -> list[int]:
    """Return the place of each point's counterpart: that with left and right exchanged in its name, or itself.

    Args:
        names: The names of the points; ``left`` and ``right``, or ``l`` and ``r``, are words of their own in them, as
            in ``left_eye``, ``eyeLeft`` or ``L.Knee``.

    Raises:
        ConfigurationError: If the counterpart of a point is missing.

    Example:
        >>> mirrored_order(["nose", "left_eye", "right_eye"])
        [0, 2, 1]
    """
    order = []
    for place, name in enumerate(names):
        other = "".join(_other_side(word) for word in _WORDS.findall(name))
        if other not in names:
            raise ConfigurationError(
                f"Expected a point {other!r}, which takes the place of {name!r} in a mirrored image, but the points "
                f"are {', '.join(names)}. Name both sides alike, or choose an augmentation that does not flip."
            )
        order.append(place if other == name else list(names).index(other))
    return order


def _other_side(word: str) -> str:
    other = _SIDES.get(word.lower(), word.lower())
    if other == word.lower():
        return word
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
