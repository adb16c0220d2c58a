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


@dataclass(frozen=True)
class Window:
    """What a network takes, ``history`` steps, and forecasts, the ``horizon`` steps after them."""

    history: int
    horizon: int


class Uncut(list[tuple[Tensor, int]]):
    """Values of series, each with the number of its first step, that wait for a network."""

    def __getitem__(self, index: Any) -> Any:
        raise DataError(
            "Expected a task, whose network says how long windows of series are, but this data has met none yet. Make "
            "the task first, with from_data(datamodule)."
        )


class WindowPreprocess(Preprocess):
    """Windows as long as the network takes them; NaN among the steps ahead does not count.

    The mean and the deviation of each channel are learned from the train series.
    """

    scale: tuple[Tensor, Tensor] | None = None

    def load_data(self, data: Any, dataset: AutoDataset) -> Uncut:
        if not isinstance(data, Sequence) or not data or not all(isinstance(each, Series) for each in data):
            raise DataError("Expected a list of Series, but got something else. Pass [Series(values)].")
        series = Uncut((_values(each), each.start) for each in data)
        if self.training:
            steps = torch.cat([values for values, _ in series])
            steps = steps[steps.isfinite().all(1)]
            self.scale = steps.mean(0), steps.std(0).clamp(min=1e-6)
            vars(dataset)["num_channels"] = steps.shape[1]
        if self.scale is None:
            raise DataError("Expected train series before others, since their scale is learned from them.")
        return series

    def prepare_samples(self, samples: Uncut, dataset: AutoDataset) -> Columns:
        history, ahead = self.input_spec.history, 0 if self.predicting else self.input_spec.horizon
        windows, targets = [], []
        for values, start in samples:
            if len(values) < history + ahead:
                raise DataError(
                    f"Expected series of at least {history + ahead} steps, but one has {len(values)}. Leave it out, or "
                    "make a task with a shorter history."
                )
            last = len(values) - history - ahead
            for first in [last] if self.predicting else range(last + 1):
                windows.append(self._window(values[first : first + history], start + first + history))
                targets.append(values[first + history : first + history + ahead])
        stacked = {name: torch.stack([each[name] for each in windows]) for name in windows[0]}
        return Columns(stacked if self.predicting else (stacked, torch.stack(targets)))

    def is_deterministic(self, stage: Stage) -> bool:
        return True

    def state_dict(self) -> dict[str, Any]:
        return {} if self.scale is None else {"mean": self.scale[0], "deviation": self.scale[1]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scale = (state["mean"], state["deviation"]) if state else None

    def _window(self, values: Tensor, end: int) -> dict[str, Tensor]:
        assert self.scale is not None
        mean, deviation = self.scale
        ahead = torch.arange(end, end + self.input_spec.horizon) * (2 * np.pi / PERIOD)
        history = ((values - mean) / deviation).nan_to_num()
        return {"history": history, "calendar": torch.stack([ahead.sin(), ahead.cos()], 1)}


def _values(series: Series) -> Tensor:
    try:
        values = torch.as_tensor(np.asarray(series.values, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected a series of numbers, but numpy says: {error}.") from error
    if values.ndim != 2:
        raise DataError(f"Expected a series of shape (steps, channels), but got {tuple(values.shape)}.")
    return values


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
        **kwargs: Any,
    ) -> "SeriesData":
        cls.check_arguments(kwargs, ["preprocess", "postprocess"])
        return cls.from_load_data_inputs(train_series, val_series, test_series, predict_series, **kwargs)
