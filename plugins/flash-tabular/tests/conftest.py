"""Fixtures that the tests of tables share: small tables and tiny networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

import flash
from flash.tabular import (
    TabularClassificationData,
    TabularClassifier,
    TabularData,
    TabularRegressionData,
    TabularRegressor,
)

TINY: dict[str, dict[str, Any]] = {
    "ft_transformer": {"n_blocks": 1, "d_block": 16, "attention_n_heads": 2},
    "mlp": {"n_blocks": 1, "d_block": 16, "d_embedding": 4},
    "resnet": {"n_blocks": 1, "d_block": 16, "d_embedding": 4},
    "tabm": {"k": 3, "n_blocks": 1, "d_block": 16, "d_embedding": 4},
    "tabnet": {"n_d": 4, "n_a": 4, "n_steps": 2},
}


@pytest.fixture(params=sorted(TINY))
def backbone(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments of a task that give it each backbone in turn, in a tiny size."""
    return {"backbone": request.param, "backbone_kwargs": TINY[request.param]}


@pytest.fixture
def tiny() -> Callable[[str], dict[str, Any]]:
    """The arguments of a task that give it a certain backbone, in a tiny size."""
    return lambda name: {"backbone": name, "backbone_kwargs": TINY[name]}


def _table(rows: int = 40, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    area = random.normal(50, 10, rows)
    rooms = random.integers(1, 5, rows).astype(float)
    city = random.choice(["Oslo", "Rome", "Lima"], rows)
    price = 1000 * area + 5000 * rooms + np.where(city == "Rome", 20_000, 0)
    frame = pd.DataFrame({"area": area, "rooms": rooms, "city": city})
    frame["balcony"] = random.random(rows) < 0.5
    frame["sold"] = np.where(price > np.median(price), "yes", "no")
    frame["size"] = pd.cut(frame["area"], 3, labels=["large", "medium", "small"]).astype(str)
    frame["warm"] = (frame["city"] != "Oslo").astype(int)
    frame["cheap"] = (frame["sold"] == "no").astype(int)
    frame["price"] = price
    frame["rent"] = price / 200
    frame.loc[::7, "rooms"] = np.nan
    frame.loc[::11, "city"] = None
    return frame


@pytest.fixture
def table() -> Callable[..., pd.DataFrame]:
    """Makes tables of flats: two numbers, a category and a bool, with missing values and targets of all kinds."""
    return _table


@dataclass(frozen=True)
class Kind:
    """A kind of target, with the classes that serve it."""

    data: type[TabularData]
    task: type[flash.Task]
    target: str | list[str]
    output: str

    def load(self, frame: pd.DataFrame, **options: Any) -> TabularData:
        """The flats with this target."""
        columns = ["area", "rooms", "city", "balcony"]
        targets = [self.target] if isinstance(self.target, str) else self.target
        return self.data.from_data_frame(
            target_fields=self.target,
            train_data_frame=frame[columns + targets],
            **{"batch_size": 20, "verbose": False, "seed": 0, **options},
        )


KINDS = {
    "binary": Kind(TabularClassificationData, TabularClassifier, "sold", "probabilities"),
    "multi-class": Kind(TabularClassificationData, TabularClassifier, "size", "probabilities"),
    "multi-label": Kind(TabularClassificationData, TabularClassifier, ["warm", "cheap"], "probabilities"),
    "number": Kind(TabularRegressionData, TabularRegressor, "price", "values"),
    "numbers": Kind(TabularRegressionData, TabularRegressor, ["price", "rent"], "values"),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of target in turn."""
    return KINDS[request.param]


@pytest.fixture
def kinds() -> dict[str, Kind]:
    """All kinds of targets."""
    return KINDS
