"""The encoder of the domain of points, as a third party writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flash.errors import DataError


def batches(source: str, settings: dict[str, Any], reader: Any, batch_size: int) -> Iterator[tuple[list[str], Any]]:
    """Points are the columns x and y of a table."""
    table = reader.read_table(source)
    if not {"x", "y"} <= set(table):
        raise DataError(f"Expected the columns x and y, but got {list(table)}.")
    cells = zip(table["x"], table["y"], strict=True)
    rows = np.array([[float(cell or 0) for cell in row] for row in cells], dtype=np.float32)
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size] / settings["unit"]
        yield [f"point {start + place}" for place in range(len(chosen))], {"input": chosen}
