"""Time series, cut into windows: batches are dicts of the history and of the calendar of the steps ahead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flash import DataModule, Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.stage import Stage
from flash.errors import DataError

PERIOD = 12


@dataclass(frozen=True)
class Series:
    """Values of equally spaced steps, shape ``(steps, channels)``; ``start`` is the number of the first step."""

    values: Any
    start: int = 0


class WindowPreprocess(Preprocess):
    """Windows of ``history`` steps with the ``horizon`` steps after them; NaN among the latter does not count.

    The mean and the deviation of each channel are learned from the train series.
    """

    def __init__(self, history: int = 24, horizon: int = 4) -> None:
        self.history, self.horizon = history, horizon
        self.scale: tuple[Tensor, Tensor] | None = None

    def load_data(self, data: Sequence[Series], dataset: AutoDataset) -> Columns:
        tensors = [self._values(each, self.history + self.horizon) for each in data]
        if self.training:
            steps = torch.cat(tensors)
            steps = steps[steps.isfinite().all(1)]
            self.scale = steps.mean(0), steps.std(0).clamp(min=1e-6)
            for name, value in (("num_channels", steps.shape[1]), ("horizon", self.horizon)):
                setattr(dataset, name, value)
        windows = [
            self._window(values[first:], each.start + first)
            for each, values in zip(data, tensors, strict=True)
            for first in range(len(values) - self.history - self.horizon + 1)
        ]
        targets = [
            values[first + self.history : first + self.history + self.horizon]
            for values in tensors
            for first in range(len(values) - self.history - self.horizon + 1)
        ]
        return Columns((_stacked(windows), torch.stack(targets)))

    def predict_load_data(self, data: Any) -> Columns:
        if not isinstance(data, Sequence) or not data or not all(isinstance(each, Series) for each in data):
            raise DataError("Expected a list of Series to forecast, but got something else. Pass [Series(values)].")
        tensors = [self._values(each, self.history) for each in data]
        last = [len(values) - self.history for values in tensors]
        return Columns(
            _stacked(
                self._window(values[first:], each.start + first)
                for each, values, first in zip(data, tensors, last, strict=True)
            )
        )

    def is_deterministic(self, stage: Stage) -> bool:
        return True

    def state_dict(self) -> dict[str, Any]:
        return {} if self.scale is None else {"mean": self.scale[0], "deviation": self.scale[1]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scale = (state["mean"], state["deviation"]) if state else None

    def _values(self, series: Series, least: int) -> Tensor:
        try:
            values = torch.as_tensor(np.asarray(series.values, dtype=np.float32))
        except (TypeError, ValueError) as error:
            raise DataError(f"Expected a series of numbers, but numpy says: {error}.") from error
        if values.ndim != 2 or len(values) < least:
            raise DataError(
                f"Expected a series of shape (steps, channels) with at least {least} steps, but got "
                f"{tuple(values.shape)}. Leave it out, or ask for less history."
            )
        return values

    def _window(self, values: Tensor, start: int) -> dict[str, Tensor]:
        if self.scale is None:
            raise DataError("Expected train series before others, since their scale is learned from them.")
        ahead = torch.arange(start + self.history, start + self.history + self.horizon) * (2 * np.pi / PERIOD)
        history = (values[: self.history] - self.scale[0]) / self.scale[1]
        return {"history": history.nan_to_num(), "calendar": torch.stack([ahead.sin(), ahead.cos()], 1)}


def _stacked(windows: Any) -> dict[str, Tensor]:
    made = list(windows)
    return {name: torch.stack([each[name] for each in made]) for name in made[0]}


class SeriesData(DataModule):
    """Time series for training, validation, testing and prediction."""

    preprocess_cls = WindowPreprocess

    @classmethod
    def from_series(
        cls,
        train_series: Sequence[Series] | None = None,
        val_series: Sequence[Series] | None = None,
        test_series: Sequence[Series] | None = None,
        predict_series: Sequence[Series] | None = None,
        *,
        history: int = 24,
        horizon: int = 4,
        **kwargs: Any,
    ) -> "SeriesData":
        cls.check_arguments(kwargs, ["preprocess", "postprocess"])
        kwargs.setdefault("preprocess", WindowPreprocess(history, horizon))
        return cls.from_load_data_inputs(train_series, val_series, test_series, predict_series, **kwargs)
