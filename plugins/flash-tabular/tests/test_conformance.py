"""flash-tabular keeps the contract that every plugin has to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.tabular import (
    TabularClassificationData,
    TabularClassifier,
    TabularRegressionData,
    TabularRegressor,
)
from flash.testing import DataModuleConformance, DataSourceConformance, PluginConformance, TaskConformance

SIZES = {"train": 64, "val": 24, "test": 7, "predict": 7}


def make_table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age, city = rng.uniform(18, 80, rows), rng.choice(["Rome", "Oslo", "Lima"], rows)
    score = (age - 49) / 10 + (city == "Rome") * 2.0
    return pd.DataFrame({"age": age, "city": city, "bought": np.where(score > 0.5, "yes", "no"), "spent": score})


def make_parts(target: str) -> dict[str, dict[str, Any]]:
    tables = {stage: make_table(rows, seed) for seed, (stage, rows) in enumerate(SIZES.items())}
    parts = {stage: {f"{stage}_data_frame": table} for stage, table in tables.items()}
    parts["predict"] = {"predict_data_frame": tables["predict"].drop(columns=["bought", "spent"])}
    fields = {"numerical_fields": ["age"], "categorical_fields": ["city"], "target_fields": target}
    return {**parts, "options": {**fields, "verbose": False}}


class TestPlugin(PluginConformance):
    plugin = "tabular"


class Classification:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return TabularClassificationData.from_data_frame

    @pytest.fixture
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        return make_parts("bought")

    @pytest.fixture
    def constructors(self, constructor: Any, parts: Any, tmp_path: Path) -> Mapping[str, Any]:
        data_class = constructor.__self__
        options = {"options": parts["options"]}
        tables = {stage: parts[stage][f"{stage}_data_frame"] for stage in SIZES}
        for stage, table in tables.items():
            table.to_csv(tmp_path / f"{stage}.csv", index=False)
        dicts = {stage: {f"{stage}_dict": table.to_dict("list")} for stage, table in tables.items()}
        rows = {stage: {f"{stage}_list": table.to_dict("records")} for stage, table in tables.items()}
        files = {stage: {f"{stage}_file": tmp_path / f"{stage}.csv"} for stage in tables}
        return {
            "from_dicts": (data_class.from_dicts, {**dicts, **options}),
            "from_lists": (data_class.from_lists, {**rows, **options}),
            "from_csv": (data_class.from_csv, {**files, **options}),
        }

    @pytest.fixture
    def bad_parts(self) -> Mapping[str, Mapping[str, Any]]:
        table = make_table(30, 0)
        return {
            "a column is missing": {"train_data_frame": table.drop(columns="age")},
            "there is no row": {"train_data_frame": table.iloc[:0]},
            "it is no table": {"train_data_frame": [1, 2, 3]},
            "there is one class": {"train_data_frame": table.assign(bought="yes")},
            "targets are missing": {"train_data_frame": table.assign(bought=None)},
            "a validation class is unknown": {
                "train_data_frame": table,
                "val_data_frame": table.assign(bought="perhaps"),
            },
        }


class Regression(Classification):
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return TabularRegressionData.from_data_frame

    @pytest.fixture
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        return make_parts("spent")

    @pytest.fixture
    def bad_parts(self) -> Mapping[str, Mapping[str, Any]]:
        table = make_table(30, 0)
        return {"targets are words": {"train_data_frame": table.assign(spent="much")}}


class TestClassificationData(Classification, DataModuleConformance):
    pass


class TestSklearn(DataSourceConformance):
    source = "sklearn"

    @pytest.fixture
    def data_class(self) -> type[TabularClassificationData]:
        return TabularClassificationData

    @pytest.fixture
    def arguments(self) -> Mapping[str, Any]:
        return {"dataset": "iris", "val_split": 0.2, "test_split": 0.1, "verbose": False}

    @pytest.fixture
    def bad_arguments(self) -> Mapping[str, Mapping[str, Any]]:
        return {"there is no such table": {"dataset": "titanic"}}


class TestRegressionData(Regression, DataModuleConformance):
    pass


class Rows:
    backbone: tuple[str, dict[str, Any]] = ("mlp", {"n_blocks": 1, "d_block": 16, "d_embedding": 4})
    task_class: type[Any] = TabularClassifier

    @pytest.fixture
    def make_task(self) -> Callable[..., Any]:
        name, sizes = self.backbone
        return lambda data: self.task_class.from_data(data, backbone=name, backbone_kwargs=sizes, learning_rate=0.01)

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data_frame"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        table = make_table(5, 0)
        return {
            "a column is missing": table.drop(columns="age"),
            "there is no row": table.iloc[:0],
            "it is a word": "row",
        }


class TestClassifier(Classification, Rows, TaskConformance):
    backbone = ("tabm", {"k": 3, "n_blocks": 1, "d_block": 16, "d_embedding": 4})


class TestRegressor(Regression, Rows, TaskConformance):
    task_class = TabularRegressor
    backbone = ("ft_transformer", {"n_blocks": 1, "d_block": 16, "attention_n_heads": 2})


class TestTabNet(Classification, Rows, TaskConformance):
    backbone = ("tabnet", {"n_d": 4, "n_a": 4, "n_steps": 2})
