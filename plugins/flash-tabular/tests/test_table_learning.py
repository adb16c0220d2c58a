"""Learning part by part, which equals learning from the whole table."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.errors import DataError
from flash.tabular.learning import SchemaLearner, learn_schema
from flash.tabular.targets import TargetsLearner, learn_targets

ROWS = 400


def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "number": random.normal(size=ROWS),
            "whole": random.integers(0, 5, ROWS),
            "text": random.choice(["red", "green", "blue"], ROWS),
            "truth": random.random(ROWS) < 0.5,
            "kind": pd.Categorical(random.choice(["x", "y"], ROWS)),
            "day": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
            "written": pd.date_range("2024-01-01", periods=ROWS, freq="D").strftime("%Y-%m-%d"),
            "calendar": [dt.date(2024, 1, 1) + dt.timedelta(days=row % 60) for row in range(ROWS)],
            "length": pd.to_timedelta(random.integers(0, 1000, ROWS), unit="s"),
            "key": [f"k{row}" for row in range(ROWS)],
            "same": ["one"] * ROWS,
            "empty": [None] * ROWS,
            "several": [[1, 2]] * ROWS,
        }
    )
    table.loc[::9, "number"] = None
    table.loc[:150, "text"] = None
    table["truth"] = table["truth"].astype(object).where(np.arange(ROWS) > 200, None)
    return table


def by_parts(table: pd.DataFrame, *arguments: Any, parts: int = 7) -> Any:
    learner = SchemaLearner(list(table.columns), *arguments)
    for rows in np.array_split(np.arange(len(table)), parts):
        learner.add(table.iloc[rows].infer_objects())
    return learner.schema()


@pytest.mark.parametrize(
    ("categorical", "numerical"),
    [(None, None), (["text", "whole"], ["number", "day"]), (["written", "calendar"], None)],
)
def test_a_schema_of_parts_is_that_of_the_whole(categorical: Any, numerical: Any) -> None:
    table = frame()
    whole = learn_schema(table, categorical, numerical, [])
    parts = by_parts(table, categorical, numerical, [])
    assert parts.left_out == whole.left_out
    assert parts.categorical == whole.categorical
    assert [(each.name, each.part) for each in parts.numerical] == [(each.name, each.part) for each in whole.numerical]
    for part, other in zip(parts.numerical, whole.numerical, strict=True):
        assert (part.mean, part.std) == pytest.approx((other.mean, other.std), rel=1e-12)
        np.testing.assert_allclose(part.bins, other.bins, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("late", ["no date", "2024"])
def test_texts_that_are_dates_in_some_parts_alone_are_texts(late: str) -> None:
    table = pd.DataFrame({"day": [f"2024-01-{row % 20 + 1:02}" for row in range(ROWS)], "x": range(ROWS)})
    table.loc[390, "day"] = late
    parts, whole = by_parts(table, None, None, []), learn_schema(table, None, None, [])
    assert parts.categorical == whole.categorical
    assert [each.name for each in parts.numerical] == [each.name for each in whole.numerical] == ["x"]


def test_a_column_of_lists_in_a_late_part_alone_is_left_out_as_of_the_whole() -> None:
    table = pd.DataFrame({"x": range(ROWS), "several": pd.Series(["a"] * ROWS, dtype=object)})
    table.at[399, "several"] = [1]
    parts = by_parts(table, None, None, [])
    assert parts.left_out.keys() == learn_schema(table, None, None, []).left_out.keys() == {"several"}


def test_named_categories_that_cannot_be_are_an_error_in_any_part() -> None:
    table = pd.DataFrame({"several": pd.Series([*["a"] * 9, [1]], dtype=object)})
    with pytest.raises(DataError, match="Expected categories in column 'several' .* got values of type"):
        by_parts(table, ["several"], None, [], parts=2)


def test_a_column_that_is_missing_in_all_parts_is_an_error_if_it_is_named() -> None:
    with pytest.raises(DataError, match="Expected values in column 'empty' .* all 400 are missing"):
        by_parts(frame(), None, ["empty"], [])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["no", "yes"] * 200, "classification"),
        ([3, 1, 2, 1] * 100, "classification"),
        ([0.5, 1.5, 2.25, -1.0] * 100, "regression"),
    ],
)
def test_targets_of_parts_are_those_of_the_whole(values: list[Any], kind: str) -> None:
    table = pd.DataFrame({"y": values})
    learner = TargetsLearner(["y"], kind, several=False)
    for rows in np.array_split(np.arange(len(table)), 7):
        learner.add(table.iloc[rows])
    assert learner.targets() == learn_targets(table, ["y"], kind, several=False)


def test_facts_of_parts_are_those_of_the_whole() -> None:
    table = pd.DataFrame({"y": ["no", "yes", "yes", "no", "yes"]})
    targets = learn_targets(table, ["y"], "classification", several=False)
    facts: dict[str, Any] = {}
    for part in (table[:2], table[2:]):
        facts = targets.facts_of_more(facts, targets.encode(part, "train"))
    assert facts == targets.facts(targets.encode(table, "train"))
    assert facts["class_counts"] == [2, 3]


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([1.0] * 10, "regression", "Expected different numbers as targets in column 'y'"),
        (["a"] * 10, "classification", "Expected at least two classes"),
        (["a", None] * 5, "classification", "Expected a target in every row of the train table"),
        ([row / 7 for row in range(60)], "classification", "numbers with fractions"),
    ],
)
def test_wrong_targets_of_parts_are_the_errors_of_the_whole(values: list[Any], kind: str, message: str) -> None:
    def learn() -> None:
        learner = TargetsLearner(["y"], kind, several=False)
        for part in np.array_split(np.arange(len(values)), 2):
            learner.add(pd.DataFrame({"y": values}).iloc[part])
        learner.targets()

    with pytest.raises(DataError, match=message):
        learn()


def test_very_many_classes_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash.tabular.targets.MAX_CLASSES", 50)
    learner = TargetsLearner(["y"], "classification", several=False)
    with pytest.raises(DataError, match="Expected classes in the target column 'y' .* more than 50 different values"):
        learner.add(pd.DataFrame({"y": [f"k{row}" for row in range(60)]}))
