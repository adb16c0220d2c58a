"""The encoder of points that can be served: it makes the inputs of requests too."""

from __future__ import annotations

from typing import Any

import numpy as np

from flash.errors import DataError


def batches(source: str, settings: dict[str, Any], reader: Any, batch_size: int) -> Any:
    """Points come in requests alone."""
    raise DataError(f"Expected rows of a request, but got {source}.")


def encode_samples(samples: list[dict[str, Any]], settings: dict[str, Any], reader: Any) -> dict[str, Any]:
    """Points are rows with x and y."""
    rows = np.array([[row["x"], row["y"] or 0.0] for row in samples], dtype=np.float32)
    if rows.max() > 100:
        raise DataError(f"Expected a point near the origin, but got {rows.max()}. Move it.")
    return {"input": rows / settings["unit"]}
