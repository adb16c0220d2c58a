"""The candidates for baselines, and what a report asks of tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from flash.core.importance import part_importance
from flash.plugins import get_host
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressionData, TabularRegressor


def people() -> pd.DataFrame:
    random = np.random.default_rng(0)
    age = random.integers(18, 80, 60)
    town = random.choice(["Rome", "Oslo"], 60)
    return pd.DataFrame({"age": age, "town": town, "height": age * 2.0, "bought": np.where(age > 45, "yes", "no")})


def data_of(kind: str) -> Any:
    if kind == "regression":
        return TabularRegressionData.from_data_frame(
            target_fields="height", train_data_frame=people(), val_split=0.25, seed=0, verbose=False
        )
    return TabularClassificationData.from_data_frame(
        target_fields="bought", train_data_frame=people(), val_split=0.25, seed=0, verbose=False
    )


@pytest.mark.parametrize("name", ["mlp", "resnet", "tabm_large", "ft_transformer"])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_every_recipe_is_a_task_of_its_backbone(name: str, kind: str) -> None:
    data = data_of(kind)
    task = get_host().recipes(f"tabular/{kind}")[name].load()(data)
    assert type(task) is (TabularClassifier if kind == "classification" else TabularRegressor)
    assert task.hparams["backbone"] == f"flash-tabular/{name.removesuffix('_large')}"
    assert len(task.predict(people().head(3))) == 3


def test_the_large_ensemble_has_more_members_than_the_default() -> None:
    data = data_of("classification")
    large = get_host().recipes("tabular/classification")["tabm_large"].load()(data)
    assert large.backbone.members == 32 > TabularClassifier.from_data(data).backbone.members


def test_rows_are_shown_as_they_are_written() -> None:
    data, frame = data_of("classification"), people()
    shown = data.train_dataset.display([0, 1])
    written = frame[["age", "town", "height"]].to_dict("records")
    assert all(row in written for row in shown)


def test_the_parts_of_a_row_are_its_columns() -> None:
    data = data_of("classification")
    task = TabularClassifier.from_data(data, backbone="mlp")
    with torch.no_grad():
        task.head.weight.zero_()
    found = part_importance(task, data, repeats=2)
    assert sorted(found.names) == ["age", "height", "town"]
    # The network ignores all of them.
    assert list(found.means) == list(found.deviations) == [0, 0, 0]


def test_of_a_column_of_names_it_is_shown_whether_there_is_one() -> None:
    names = [f"name {row}" if row % 4 else None for row in range(200)]
    frame = pd.DataFrame({"age": range(200), "name": names, "bought": ["no", "yes"] * 100})
    data = TabularClassificationData.from_data_frame(target_fields="bought", train_data_frame=frame, verbose=False)
    without, with_name = (each["name"] for each in data.train_dataset.display([0, 1]))
    assert without != with_name
