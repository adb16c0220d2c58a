"""Rows that are encoded one by one: the same numbers, codes, errors and warnings as from whole columns."""

from __future__ import annotations

import datetime as dt
import math
import random
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from flash.data.requests import RequestRows
from flash.tabular import _few as few
from flash.tabular import schema
from flash.tabular.learning import learn_schema
from flash.tabular.preprocess import TabularPreprocess
from flash.tabular.read import read_table
from flash.tabular.schema import Schema

# Values of every kind that came up in tables, each of which any column may hold in a row to predict.
VALUES: list[Any] = [
    None, float("nan"), float("inf"), pd.NA, pd.NaT, 0, 1, -0.0, 1.0, 2.5, 7, 2**60, 2**53 + 1, 2**70, 1e308, -3,
    "", "a", "b", "A", " a", "1", "1.0", "1.5", "007", "nan", "None", "true", "True", "x" * 300, "é", "2024-01-31",
    "2024-01-31T00:00:00", "\ud800", True, False, np.float32(0.1), np.int8(3), np.bool_(True), Decimal("1.50"),
    b"a", dt.date(2024, 1, 31), dt.datetime(2024, 1, 31, 5), dt.timedelta(days=1), [1], np.array(2.0), (1, 2),
]  # fmt: skip


@pytest.fixture(scope="module")
def learned() -> Schema:
    """A schema with columns of every kind."""
    rng = np.random.default_rng(0)
    n = 60
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "whole": rng.integers(0, 40, n),
            "truth": rng.integers(0, 2, n),
            "gaps": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "word": rng.choice(["a", "b", "é"], n),
            "code": pd.Series(rng.choice(["1", "2.5", "007"], n), dtype=object),
            "numbers_as_categories": rng.choice([1, 2, 7], n),
            "mixed": pd.Series([1, "a", 2.5] * (n // 3), dtype=object),
            "id_with_gaps": [None if row % 7 == 0 else f"id {row}" for row in range(n)],
            "flag": rng.random(n) < 0.5,
        }
    )
    categorical = ["word", "code", "numbers_as_categories", "mixed", "flag"]
    found = learn_schema(frame, categorical, list(frame.columns[:4]), [])
    found.categorical.append(schema.CategoricalColumn("id_with_gaps", True, ["missing"], True))
    return found


def outcome(learned: Schema, frame: pd.DataFrame) -> tuple[Any, ...]:
    """Return what comes of a table: its encoding, or the error, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            numbers, codes = learned.encode(frame, "predict")
            result: Any = (numbers.dtype, numbers.tobytes(), codes.dtype, codes.tobytes())
        except Exception as error:
            result = (type(error), str(error))
    return result, sorted(str(each.message) for each in caught)


def same_as_whole_columns(learned: Schema, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    of_few = outcome(learned, frame)
    with monkeypatch.context() as patch:
        patch.setattr(few, "MAX_FEW", 0)
        assert outcome(learned, frame) == of_few


def same_from_rows(learned: Schema, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Compare the encoding of dicts, if they are for it, with that of whole columns; return whether they are."""
    columns = few.columns_of_rows(rows)
    encoded = None if columns is None else learned.encode_few(columns, len(rows))
    if encoded is None:
        return False
    with monkeypatch.context() as patch:
        patch.setattr(few, "MAX_FEW", 0)
        numbers, codes = learned.encode(read_table(rows), "predict")
    np.testing.assert_array_equal(encoded[0], numbers, strict=True)
    np.testing.assert_array_equal(encoded[1], codes, strict=True)
    return True


def table(rows: list[dict[str, Any]]) -> pd.DataFrame | None:
    """Return a data frame, if pandas can make one of the rows."""
    try:
        return read_table(rows)
    except Exception:
        return None


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_each_value_in_each_column_is_encoded_as_in_a_whole_column(
    value: Any, learned: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = dict.fromkeys(("number", "whole", "truth", "gaps"), 1.0) | dict.fromkeys(
        ("word", "code", "numbers_as_categories", "mixed", "flag", "id_with_gaps"), "a"
    )
    made = 0
    for name in plain:
        for rows in ([{**plain, name: value}], [{**plain, name: value}] * 11, [plain, {**plain, name: value}]):
            frame = table(rows)
            if frame is not None:
                made += 1
                same_as_whole_columns(learned, frame, monkeypatch)
                same_from_rows(learned, rows, monkeypatch)
    assert made or value == "\ud800"


def test_random_rows_are_encoded_as_in_whole_columns(learned: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    numbers = [None, math.nan, math.inf, 0, 1, -0.0, 1.0, 2.5, 7, -3, 1e308]
    texts = [None, math.nan, "", "a", "b", "A", " a", "1", "1.0", "1.5", "007", "nan", "true", "é", "2024-01-31"]
    compared = 0
    kinds: list[list[Any]]
    rows: list[dict[str, Any]]
    for turn in range(300):
        # In every second table any column holds any value; in the others they are plain.
        kinds = [VALUES] * 3 if turn % 2 else [numbers, texts, numbers + texts]
        columns = {
            name: numbers if name in learned.fields[:4] and turn % 4 else rng.choice(kinds) for name in learned.fields
        }
        rows = [{name: rng.choice(columns[name]) for name in columns} for _ in range(rng.choice([1, 2, 12]))]
        frame = table(rows)
        if frame is not None:
            same_as_whole_columns(learned, frame, monkeypatch)
            compared += same_from_rows(learned, rows, monkeypatch)
    assert compared > 20


def test_typed_columns_are_encoded_as_in_whole_columns(learned: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [1, 2, 7]
    kind: Any
    for kind in ("int8", "int64", "uint64", "float16", "float32", "float64", "Int64", "Float32", "object"):
        frame = pd.DataFrame({name: pd.Series(numbers).astype(kind) for name in learned.fields})
        same_as_whole_columns(learned, frame, monkeypatch)
    for kind in ("category", "string", "object"):
        frame = pd.DataFrame({name: pd.Series(["1", "a", None]).astype(kind) for name in learned.fields})
        same_as_whole_columns(learned, frame, monkeypatch)


def test_plain_rows_are_encoded_one_by_one(learned: Schema) -> None:
    plain: dict[str, Any] = dict.fromkeys(learned.fields, "a")
    plain |= dict.fromkeys(["number", "whole", "truth", "gaps"], 1.0)
    columns = few.columns_of_frame(read_table([plain]))
    assert columns == few.columns_of_rows([plain]) == {name: [value] for name, value in plain.items()}
    assert columns is not None
    assert learned.encode_few(columns, 1) is not None


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"a": 1}] * (few.MAX_FEW + 1),
        [{"a": 1}, {"b": 1}],
        [{1: 1}],
        [(1, 2)],
        {"a": (1, 2)},
        {"a": [1], "b": [1, 2]},
        {"a": []},
        {1: [1]},
        {},
        [{"a": True}],
        [{"a": np.float64(1)}],
        [{"a": "\ud800"}],
        [{"a": 2**60}],
    ],
    ids=lambda data: repr(data)[:30],
)
def test_other_rows_are_left_to_the_encoder_of_columns(data: Any) -> None:
    assert few.columns_of_rows(data) is None


def test_columns_of_lists_are_plain_as_rows_are() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]
    columns = {"a": [1, None], "b": ["x", "y"]}
    assert few.columns_of_rows(columns) == few.columns_of_rows(rows) == columns


def test_rows_of_a_request_are_predicted_as_dicts_are(learned: Schema) -> None:
    preprocess = TabularPreprocess(verbose=False)
    preprocess.schema = learned
    for number, truth in ((1.5, 1), (None, 0)):
        plain: dict[str, Any] = dict.fromkeys(learned.fields, "a")
        plain |= dict.fromkeys(["number", "whole", "truth", "gaps"], number)
        # A truth value is not plain, so that the second is encoded by columns.
        plain["truth"] = truth if number else True
        rows = RequestRows(list(plain), [tuple(plain.values())] * 3)
        found, expected = preprocess.predict_load_data(rows), preprocess.predict_load_data([plain] * 3)
        for name, tensor in expected.tree.items():
            torch.testing.assert_close(found.tree[name], tensor, rtol=0, atol=0)
