"""Time series as an outside plugin of a new domain: batches of dicts, several outputs, windows; and the kit."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from flash.errors import DataError
from flash.testing import DataModuleConformance, PluginConformance, TaskConformance

SIZES = {"train": 6, "val": 3, "test": 2, "predict": 5}
HISTORY, HORIZON, STEPS = 24, 4, 34


@pytest.fixture
def series_class() -> Any:
    return importlib.import_module("acme_horizon.data").Series


@pytest.fixture
def data_class() -> Any:
    return importlib.import_module("acme_horizon.data").SeriesData


@pytest.fixture
def task_class() -> Any:
    return importlib.import_module("acme_horizon.task").Forecaster


@pytest.fixture
def make_series(series_class: Any) -> Callable[..., list[Any]]:
    """Makes series of two channels that repeat after twelve steps; a few values are missing."""

    def make(count: int, seed: int, steps: int = STEPS) -> list[Any]:
        rng = np.random.default_rng(seed)
        made = []
        for number in range(count):
            time = np.arange(steps) + 5 * number
            wave = 3 * np.sin(2 * np.pi * time / 12)
            values = np.stack([10 + wave, -wave], 1) + rng.normal(0, 0.2, (steps, 2))
            values[-1, 0] = np.nan
            made.append(series_class(values, start=5 * number))
        return made

    return make


class TestPlugin(PluginConformance):
    plugin = "acme-horizon"


class Windows:
    @pytest.fixture
    def constructor(self, data_class: Any) -> Callable[..., Any]:
        made: Callable[..., Any] = data_class.from_series
        return made

    @pytest.fixture
    def parts(self, make_series: Any) -> Mapping[str, Mapping[str, Any]]:
        return {
            stage: {f"{stage}_series": make_series(count, place)} for place, (stage, count) in enumerate(SIZES.items())
        }


class TestData(Windows, DataModuleConformance):
    @pytest.fixture
    def constructor(self, data_class: Any) -> Callable[..., Any]:
        window = importlib.import_module("acme_horizon.data").Window(HISTORY, HORIZON)

        def connected(**arguments: Any) -> Any:
            data = data_class.from_series(**arguments)
            data.connect(window)
            return data

        return connected

    @pytest.fixture
    def bad_parts(self, make_series: Any, series_class: Any) -> Mapping[str, Mapping[str, Any]]:
        return {
            "a series is too short": {"train_series": [*make_series(3, 0), series_class(np.zeros((9, 2)))]},
            "a series has one dimension": {"train_series": [series_class(np.zeros(40))]},
            "a series is of words": {"train_series": [series_class([["a", "b"]] * 40)]},
            "it is no list of series": {"predict_series": 3, "train_series": make_series(3, 0)},
        }


class TestTask(Windows, TaskConformance):
    epochs = 8

    @pytest.fixture
    def make_task(self, task_class: Any) -> Callable[..., Any]:
        made: Callable[..., Any] = task_class.from_data
        return made

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_series"]

    @pytest.fixture
    def bad_inputs(self, series_class: Any) -> Mapping[str, Any]:
        return {
            "there is none": [],
            "it is a number": 3,
            "it is too short": [series_class(np.zeros((5, 2)))],
        }


def test_numbers_of_an_epoch_count_the_values_that_are_known(
    make_series: Any, data_class: Any, task_class: Any, trainer: Any
) -> None:
    logged = []
    for batch_size in (3, 1000):
        data = data_class.from_series(make_series(4, 0), make_series(2, 1), batch_size=batch_size, seed=0)
        torch.manual_seed(0)
        task = task_class.from_data(data)
        logged.append(trainer().validate(task, datamodule=data, verbose=False)[0])
    assert logged[0].keys() == {"val_loss", "val_mean_absolute_error"}
    assert logged[0]["val_mean_absolute_error"] == pytest.approx(logged[1]["val_mean_absolute_error"], rel=1e-4)
    assert logged[0]["val_loss"] == pytest.approx(logged[1]["val_loss"], rel=1e-4)


def test_forecasts_are_named_with_an_output_of_the_plugin(make_series: Any, data_class: Any, task_class: Any) -> None:
    data = data_class.from_series(make_series(4, 0), seed=0)
    task = task_class.from_data(data)
    assert task.available_outputs() == ["intervals", "raw"]
    (first, *_), raw = task.predict(make_series(2, 1), output="intervals"), task.predict(make_series(2, 1))
    assert len(first) == HORIZON
    assert first[0].keys() == {"low", "mean", "high"}
    assert first[2]["mean"] == pytest.approx(float(raw[0]["mean"][2, 0]), abs=1e-5)
    assert raw[0]["quantiles"].shape == (HORIZON, 2, 3)


def test_a_split_takes_whole_series(make_series: Any, data_class: Any, task_class: Any) -> None:
    data = data_class.from_series(make_series(5, 0), val_split=0.4, seed=0)
    assert (len(data.train_dataset), len(data.val_dataset)) == (3, 2)
    task_class.from_data(data)
    per_series = STEPS - HISTORY - HORIZON + 1
    assert (len(data.train_dataset), len(data.val_dataset)) == (3 * per_series, 2 * per_series)


def test_series_without_a_learned_scale_are_refused(make_series: Any, data_class: Any) -> None:
    data = data_class.from_series(test_series=make_series(2, 0))
    with pytest.raises(DataError, match="Expected train series before others, since their scale is learned from them"):
        _ = data.test_dataset


def test_windows_are_as_long_as_the_network_of_the_task_takes_them(
    make_series: Any, data_class: Any, task_class: Any
) -> None:
    series = make_series(4, 0)
    data = data_class.from_series(series, seed=0)
    with pytest.raises(DataError, match="Expected a task, whose network says how long windows of series are"):
        _ = next(iter(data.train_dataloader()))
    long, short = (task_class.from_data(data, history=history, horizon=2) for history in (20, 6))
    for task, history in ((long, 20), (short, 6)):
        task.use_data(data)
        x, y = data.train_dataset[0]
        assert (x["history"].shape, x["calendar"].shape, y.shape) == ((history, 2), (2, 2), (2, 2))
        assert len(data.train_dataset) == 4 * (STEPS - history - 2 + 1)
    assert long.preprocess is short.preprocess
    assert len(short.predict([type(series[0])(np.zeros((6, 2)))])) == 1
    with pytest.raises(DataError, match="Expected series of at least 20 steps, but one has 6. Leave it out"):
        long.predict([type(series[0])(np.zeros((6, 2)))])
