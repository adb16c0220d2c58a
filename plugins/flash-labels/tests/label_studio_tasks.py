"""Tasks as Label Studio exports them, for tests."""

from __future__ import annotations

from typing import Any


def annotated(data: dict[str, Any], *results: dict[str, Any], number: int = 1, **fields: Any) -> dict[str, Any]:
    """A task with an annotation."""
    annotation = {"id": 7, "result": list(results), "was_cancelled": False, "ground_truth": False, **fields}
    return {"id": number, "data": data, "annotations": [annotation], "predictions": []}


def chosen(*choices: str, control: str = "label") -> dict[str, Any]:
    """A result of the tag Choices."""
    return {"from_name": control, "to_name": "x", "type": "choices", "value": {"choices": list(choices)}}


def region(kind: str, label: str | list[str], control: str = "label", **value: Any) -> dict[str, Any]:
    """A region of an image of 40 x 20 pixels, or a span of a text."""
    labels = [label] if isinstance(label, str) else label
    of_image = {} if kind == "labels" else {"original_width": 40, "original_height": 20, "image_rotation": 0}
    return {"from_name": control, "to_name": "x", "type": kind, **of_image, "value": {**value, kind: labels}}


def local(name: str) -> str:
    """The reference to a file of the local storage."""
    return f"/data/local-files/?d={name}"
