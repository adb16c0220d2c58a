"""A presentation of forecasts."""

from typing import Any


def intervals(predictions: Any, task: Any) -> list[list[dict[str, float]]]:
    """Return for each series a list with one dict per step ahead, of its first channel."""
    columns = {
        "low": predictions["quantiles"][:, :, 0, 0],
        "mean": predictions["mean"][:, :, 0],
        "high": predictions["quantiles"][:, :, 0, -1],
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [[dict(zip(columns, step, strict=True)) for step in zip(*row, strict=True)] for row in rows]
