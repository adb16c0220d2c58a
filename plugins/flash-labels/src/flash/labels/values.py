"""Values of the results of annotations: choices, boxes, shapes of pixels, and spans of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flash.data.messages import show
from flash.errors import DataError

from .rle import decode_mask
from .tasks import Region

__all__ = ["boxes_of", "choices_of", "is_choice", "is_rectangle", "is_shape", "is_span", "shapes_of", "spans_of"]


# ---------------------------------------------------------------------- kinds


def is_choice(region: Region) -> bool:
    """Return whether a result is a choice for the whole task."""
    return "choices" in region.value and not {"x", "points", "rle", "start"} & set(region.value)


def is_rectangle(region: Region) -> bool:
    """Return whether a result is a rectangle with labels."""
    value = region.value
    return {"x", "y", "width", "height"} <= set(value) and "text" not in value and _has_labels(region)


def is_shape(region: Region) -> bool:
    """Return whether a result is an area of an image with labels: of a brush, a polygon or another shape."""
    return bool({"rle", "points", "x"} & set(region.value)) and _has_labels(region)


def is_span(region: Region) -> bool:
    """Return whether a result is a part of a text with labels."""
    return {"start", "end"} <= set(region.value) and _has_labels(region)


def _has_labels(region: Region) -> bool:
    return "choices" not in region.value and region.labels is not None


def _labels(region: Region, name: str) -> list[str]:
    found = region.labels
    if not found:
        raise DataError(f"Expected each region to have a label, but one of {name} has none. Label it, or delete it.")
    return found


# ---------------------------------------------------------------------- values


def choices_of(regions: Sequence[Region], name: str) -> list[str]:
    """Return the choices of an annotation, each once.

    Args:
        regions: The results.
        name: The name of the task in messages.

    Raises:
        DataError: If they are no texts.
    """
    found: dict[str, None] = {}
    for region in regions:
        chosen = region.value["choices"]
        if not isinstance(chosen, list) or not all(isinstance(each, str) and each for each in chosen):
            # A tree of choices has a list for each.
            raise DataError(f"Expected choices that are texts, but {name} has {show(chosen)}. Use the tag Choices.")
        found |= dict.fromkeys(chosen)
    return list(found)


def _numbers(region: Region, keys: Sequence[str], name: str) -> list[float]:
    found = [region.value.get(key, 0) for key in keys]
    if not all(_is_number(each) for each in found):
        raise DataError(f"Expected {', '.join(keys)} to be percentages, but {name} has {show(found)}. Export it again.")
    return [float(each) for each in found]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_upright(region: Region, size: tuple[int, int], name: str) -> None:
    """Check that the region was drawn on the image as it is: percentages are of its sides."""
    if region.rotation % 360:
        raise DataError(
            f"Expected regions of an upright image, but that of {name} was rotated by {region.rotation:g} degrees in "
            "the editor. Rotate it back there, and export it again."
        )
    if region.size is None:
        return
    # Label Studio may have shown a smaller copy.
    if abs(region.size[0] * size[1] - region.size[1] * size[0]) > 0.02 * region.size[0] * size[1]:
        raise DataError(
            f"Expected the image of {name} to be of the form {region.size[0]} x {region.size[1]}, as it was annotated, "
            f"but it is {size[0]} x {size[1]}: regions would be in wrong places. Use the images that were annotated."
        )


def boxes_of(regions: Sequence[Region], size: tuple[int, int], name: str) -> tuple[list[list[float]], list[str]]:
    """Return the boxes of an annotation and their labels; a rotated rectangle becomes the box around it.

    Args:
        regions: The results, with percentages of the sides.
        size: Width and height of the upright image, in pixels.
        name: The name of the task in messages.

    Returns:
        Left, top, right and bottom edge in pixels, and the label, of each.

    Raises:
        DataError: If a value is malformed, or the image was rotated in the editor.

    Example:
        >>> value = {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["cat"]}
        >>> boxes_of([Region("label", value)], (200, 100), "task 1")
        ([[20.0, 20.0, 80.0, 60.0]], ['cat'])
    """
    boxes, labels = [], []
    for region in regions:
        corners = np.array(_rectangle(region, size, name))
        box = [*corners.min(0).tolist(), *corners.max(0).tolist()]
        for label in _labels(region, name):
            boxes.append(box)
            labels.append(label)
    return boxes, labels


def _rectangle(region: Region, size: tuple[int, int], name: str) -> list[tuple[float, float]]:
    """Return the corners of a rectangle, which is rotated clockwise around the first one, in pixels."""
    _check_upright(region, size, name)
    x, y, w, h, rotation = _numbers(region, ("x", "y", "width", "height", "rotation"), name)
    left, top, width, height = x / 100 * size[0], y / 100 * size[1], w / 100 * size[0], h / 100 * size[1]
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    return [
        (left + across * cos - down * sin, top + across * sin + down * cos)
        for across, down in ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    ]


def shapes_of(regions: Sequence[Region], size: tuple[int, int], name: str) -> tuple[list[Any], list[str]]:
    """Return the shapes of an annotation, as COCO writes them, and their labels.

    Args:
        regions: The results.
        size: Width and height of the image, in pixels.
        name: The name of the task in messages.

    Returns:
        For each shape its polygons, ``[[x, y, x, y, ...]]`` in pixels, or a dict of the run lengths of its columns;
        and its label.

    Raises:
        DataError: If a value is malformed or a shape of another kind, or the image was rotated in the editor.

    Example:
        >>> value = {"points": [[0, 0], [50, 0], [50, 100]], "polygonlabels": ["road"]}
        >>> shapes_of([Region("label", value)], (200, 100), "task 1")
        ([[[0.0, 0.0, 100.0, 0.0, 100.0, 100.0]]], ['road'])
    """
    shapes: list[Any] = []
    labels = []
    for region in regions:
        shape = _shape(region, size, name)
        for label in _labels(region, name):
            shapes.append(shape)
            labels.append(label)
    return shapes, labels


def _shape(region: Region, size: tuple[int, int], name: str) -> Any:
    value = region.value
    if "rle" in value:
        _check_upright(region, size, name)
        drawn = region.size or size
        if drawn != size:
            raise DataError(
                f"Expected the image of {name} to be {drawn[0]} x {drawn[1]} pixels, as it was when it was "
                f"drawn on, but it is {size[0]} x {size[1]}. Use the images that were annotated."
            )
        return _column_runs(decode_mask(value["rle"], size, name))
    if "points" in value:
        _check_upright(region, size, name)
        points = value["points"]
        if not isinstance(points, list) or not all(_is_point(each) for each in points):
            raise DataError(
                f"Expected the corners of a polygon to be pairs of percentages, but {name} has {show(points)}. Export "
                "it again as JSON."
            )
        return [[side / 100 * size[place] for point in points for place, side in enumerate(point)]]
    if {"width", "height"} <= set(value):
        return [[side for corner in _rectangle(region, size, name) for side in corner]]
    raise DataError(
        f"Expected brush strokes, polygons or rectangles, but {name} has {show(sorted(value))}. Draw one of these."
    )


def _is_point(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(_is_number(each) for each in value)


def _column_runs(mask: Any) -> dict[str, Any]:
    """Return a mask as the run lengths of its columns, zeros first."""
    flat = mask.T.ravel()
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), len(flat)]
    counts = np.diff(edges).tolist()
    return {"counts": [0, *counts] if flat[:1].any() else counts, "size": list(mask.shape)}


def spans_of(regions: Sequence[Region], text: str, name: str) -> list[dict[str, Any]]:
    """Return the spans of an annotation as places of characters.

    Label Studio counts as a browser does, where a character beyond the first 65,536, such as a smiley, is two. The text
    of a span, where it is written, tells.

    Args:
        regions: The results.
        text: The text.
        name: The name of the task in messages.

    Returns:
        Dicts of ``start``, ``end`` (the place behind the last character) and ``label``, by their start.

    Raises:
        DataError: If a value is malformed, or a span has another text.

    Example:
        >>> value = {"start": 3, "end": 6, "text": "Ada", "labels": ["PER"]}
        >>> spans_of([Region("label", value)], "\U0001f600 Ada slept.", "task 1")
        [{'start': 2, 'end': 5, 'label': 'PER'}]
    """
    found = []
    for region in regions:
        places = region.value["start"], region.value["end"]
        if not all(type(each) is int for each in places):
            raise DataError(
                f"Expected the start and the end of a span to be places of characters, but {name} has {show(places)}. "
                "Spans of paragraphs and of HTML are not read."
            )
        start, end = _characters(text, *places, region.value.get("text"), name)
        found += [{"start": start, "end": end, "label": label} for label in _labels(region, name)]
    return sorted(found, key=lambda span: span["start"])


def _characters(text: str, start: int, end: int, written: Any, name: str) -> tuple[int, int]:
    if not isinstance(written, str) or _same(text[start:end], written):
        return start, end
    units = _units(text)
    if 0 <= start <= end < len(units):
        start, end = units[start], units[end]
        if _same(text[start:end], written):
            return start, end
    raise DataError(
        f"Expected the text of a span to be at its place, but {name} has {show(written)} where its text has "
        f"{show(text[start:end])}. Export the tasks again, together with their data."
    )


def _same(one: str, other: str) -> bool:
    # Label Studio writes the end of a line as two characters.
    return "".join(one.split()) == "".join(other.replace("\\n", "\n").split())


def _units(text: str) -> list[int]:
    """Return the character of each 16-bit unit of a text, and the place behind the last."""
    places = [place for place, character in enumerate(text) for _ in range(1 + (ord(character) > 0xFFFF))]
    return [*places, len(text)]
