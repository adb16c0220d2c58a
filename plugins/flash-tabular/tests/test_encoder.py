"""The encoder of exported folders does what the preprocess does, on every cell that a file may hold."""

from __future__ import annotations

import csv
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.data.requests import RequestRows
from flash.data.tables import read_table
from flash.errors import DataError
from flash.tabular import TabularClassificationData
from flash.tabular.encoder import batches, encode, encode_samples
from flash.tabular.preprocess import TabularPreprocess
from flash.tabular.read import value_as_text

# Cells that are easy to read in two ways.
NUMBERS = ["1", "-2", "3.5", "1e3", ".5", "7.", "007", "+4", "1e-400", "99999999999999999999", "1E5", " 6 "]
WORDS = ["red", "Red", "blue ", "1_000", "0x1A", "1e", "--", "ß", "٣", "1,5", "12,000", "a,b", 'say "no"', "1 2"]
MISSING = [None, "NA", "nan", "None", "null", "#N/A", "NaT", "<NA>"]
TRUTHS = ["True", "False", "true", "FALSE", "TRUE", "false"]
INFINITE = ["inf", "-inf", "Infinity", "1e999", "+inf", "-Infinity"]
# Pandas reads ".5" and "-2" as years before 1, which are an error in the encoder.
NO_YEARS = {"-2", ".5"}
DATES = [
    *("2024", "2024-01", "2024/1/5", "2024.01.05", "2024 01 05", "20240131T0102", " 2024-01-05", "2024-01-05 1:02"),
    *("2024-01-05T01", "2024-01-05 0102", "2024-01-05 10:00:00.123456789", "2024-01-05 10:00 +02:00", "1500-01-01"),
    *("2024-01-05 10:00+2", "2024-01-05 10:00+0230", "0001-01-01", "9999-12-31"),
    *("2024-01-31", "2024-02-29", "2024-01-31 00:00:00", "2024-01-31T12:30", "2024-01-31 12:30:15.25", "2023-12-31"),
    *("2024-01-31T23:00:00+02:00", "2024-01-31 05:00Z", "2024-01-31T00:00-0530", "1969-07-20 20:17:40", "2024-1-5"),
]
NO_DATES = ["2024-13-01", "2023-02-29", "2024-01-31 25:00", "31.01.2024", "2024-01-31 noon", "2024-00-10", "20240131"]
NO_DATES += ["202401", "2024-01-05 ", "2024-01-05Z", "2024-01-05+01:00", "1-1-1", "2024-01-05 24:00", "10000-01-01"]
NO_DATES += ["2024-01-05  10:00", "2024-01-05T10:00:60", "2024-01-05 1:2:3", "2024-01/05", "2024-01-05 10:0203"]


def table_of(columns: dict[str, list[Any]], path: Path) -> Path:
    """A file of columns, whose missing cells are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def learned() -> TabularPreprocess:
    """The state that a table with columns of every kind leaves."""
    rows = 60
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=rows).round(3),
            "gaps": [None if row % 5 == 0 else row for row in range(rows)],
            "truth": rng.integers(0, 2, rows),
            "word": rng.choice(["red", "Red", "blue", "1.50", "NA"], rows),
            "code": rng.choice([1, 2, 7], rows),
            "mixed": rng.choice(["7", "x", "3.50", "1"], rows),
            "flag": rng.choice(["True", "False"], rows),
            "day": pd.date_range("2023-01-01", periods=rows, freq="31h").astype(str),
            "seldom": [f"2024-02-{row % 28 + 1:02d}" if row % 7 else None for row in range(rows)],
            "note": [None if row % 3 == 0 else f"text {row}" for row in range(rows)],
            "same": [4 if row % 2 else None for row in range(rows)],
            "y": rng.choice(["no", "yes"], rows),
        }
    )
    data = TabularClassificationData.from_data_frame(target_fields="y", train_data_frame=frame, verbose=False)
    preprocess = data.preprocess
    assert isinstance(preprocess, TabularPreprocess)
    assert preprocess.schema is not None
    assert {each.part for each in preprocess.schema.numerical} == {"", "days", "month", "weekday", "hour"}
    assert "note" in preprocess.schema.left_out
    return preprocess


@pytest.fixture
def compare(learned: TabularPreprocess, tmp_path: Path) -> Callable[..., bool]:
    """Compares the two ways on a file, and returns whether it was encoded; the other columns are as in training."""
    usual = {"number": "1.5", "gaps": "3", "truth": "1", "word": "red", "code": "2", "mixed": "x", "flag": "True"}
    usual |= {"day": "2023-05-05", "seldom": "2024-02-02", "note": "n", "same": "4"}

    def run(**columns: list[Any]) -> bool:
        rows = len(next(iter(columns.values())))
        path = table_of({**{name: [cell] * rows for name, cell in usual.items()}, **columns}, tmp_path / "table.csv")
        settings = dict(learned.portable().settings)
        cells: Any = read_table(path).columns
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of categories that are all unknown
            try:
                expected = learned.predict_load_data(path).tree
            except DataError as error:
                start = str(error).split(" in column ")[0].split(" to have ")[0]
                with pytest.raises(DataError) as raised:
                    encode(cells, settings)
                assert str(raised.value).startswith(start)
                return False
        got = encode(cells, settings)
        assert got["categorical"].tolist() == expected["categorical"].tolist()
        np.testing.assert_array_equal(got["numerical"], expected["numerical"].numpy())
        return True

    return run


@pytest.mark.parametrize("column", ["number", "gaps", "truth", "word", "code", "mixed", "flag", "same", "note"])
@pytest.mark.parametrize("kind", ["numbers", "words", "missing", "truths", "infinite", "dates"])
def test_a_column_of_one_kind_is_encoded_as_in_flash(compare: Callable[..., bool], column: str, kind: str) -> None:
    of_kind: dict[str, list[Any]] = {
        "numbers": [*NUMBERS],
        "words": WORDS,
        "missing": MISSING,
        "truths": TRUTHS,
        "infinite": INFINITE,
        "dates": DATES,
    }
    cells = of_kind[kind]
    compare(**{column: cells})
    compare(**{column: [*cells, None]})
    for cell in cells:
        compare(**{column: [cell, cell]})


@pytest.mark.parametrize("column", ["day", "seldom"])
@pytest.mark.parametrize("cell", [*DATES, *NO_DATES, *MISSING, *NUMBERS, *TRUTHS])
def test_a_date_is_encoded_as_in_flash(compare: Callable[..., bool], column: str, cell: str | None) -> None:
    if cell in NO_YEARS:
        return
    compare(**{column: [cell, "2024-01-31"]})
    compare(**{column: [cell, cell]})


def test_dates_and_numbers_are_read_at_all(compare: Callable[..., bool]) -> None:
    assert compare(day=DATES[:10], number=NUMBERS[:10], word=WORDS[:10])
    assert not compare(day=["tomorrow"])
    assert not compare(number=["1", "red"])


@pytest.mark.parametrize("seed", range(60))
def test_mixed_columns_are_encoded_as_in_flash(compare: Callable[..., bool], seed: int) -> None:
    draw = random.Random(seed)
    kinds: list[Any] = [NUMBERS, WORDS, MISSING, TRUTHS, INFINITE, DATES, NO_DATES]
    columns: dict[str, list[Any]] = {}
    for name in ("number", "gaps", "truth", "word", "code", "mixed", "flag", "day", "seldom", "note", "same"):
        if draw.random() < 0.4:
            chosen = draw.sample(kinds, draw.choice([1, 1, 2, 3]))
            columns[name] = [draw.choice(draw.choice(chosen)) for _ in range(6)]
    compare(**columns or {"number": ["1"] * 6})


def test_another_decimal_mark_is_read_as_in_training(tmp_path: Path) -> None:
    train = table_of({"price": ["1,5", "2,5", "0,25"] * 4, "y": ["a", "b", "a"] * 4}, tmp_path / "train.csv")
    data = TabularClassificationData.from_csv(target_fields="y", train_file=train, decimal=",", verbose=False)
    preprocess: Any = data.preprocess
    new = table_of({"price": ["3,75", None], "other": ["1", "2"]}, tmp_path / "new.csv")
    got = encode(read_table(new).columns, preprocess.portable().settings)
    assert got["numerical"].tolist() == preprocess.predict_load_data(new).tree["numerical"].tolist()


def test_a_missing_column_is_an_error(learned: TabularPreprocess) -> None:
    with pytest.raises(DataError, match="Expected the predict table to have the columns 'number', 'gaps'"):
        encode({"truth": ["1"]}, learned.portable().settings)


def test_a_table_without_rows_is_an_error(learned: TabularPreprocess) -> None:
    with pytest.raises(DataError, match="Expected at least one row in the table, but it has none."):
        encode({"truth": []}, learned.portable().settings)


def test_durations_are_in_no_text_file() -> None:
    column = {"name": "took", "part": "seconds", "mean": 1.0, "std": 1.0, "is_truth": False}
    settings = {"numerical": [column], "categorical": [], "target_fields": [], "decimal": None, "limit": 1e6}
    with pytest.raises(DataError, match="Expected durations in column 'took', but got '1 day'. A text file has none."):
        encode({"took": ["1 day"]}, settings)
    assert encode({"took": [None]}, settings)["numerical"].tolist() == [[0.0]]


def test_durations_of_a_request_are_seconds() -> None:
    column = {"name": "took", "part": "seconds", "mean": 1.0, "std": 2.0, "is_truth": False}
    settings = {"numerical": [column], "categorical": [], "target_fields": [], "decimal": None, "limit": 1e6}
    rows: list[dict[str, Any]] = [{"took": 5}, {"took": 2.5}, {"took": None}]
    assert encode_samples(rows, settings, None)["numerical"].tolist() == [[2.0], [0.75], [0.0]]


def test_batches_are_the_rows_in_order(learned: TabularPreprocess) -> None:
    settings = learned.portable().settings
    names = [*dict.fromkeys(column["name"] for column in [*settings["numerical"], *settings["categorical"]])]
    table: dict[str, list[str | None]] = {
        name: ["2024-01-01" if name in ("day", "seldom") else str(row) for row in range(5)] for name in names
    }

    class Reader:
        def read_table(self, path: str) -> dict[str, list[str | None]]:
            return table

    found = list(batches("t.csv", settings, Reader(), 2))
    assert [ids for ids, _ in found] == [[0, 1], [2, 3], [4]]
    joined = np.concatenate([inputs["numerical"] for _, inputs in found])
    assert joined.tolist() == encode(table, settings)["numerical"].tolist()


def test_a_preprocess_without_train_rows_says_why_it_is_not_portable() -> None:
    assert TabularPreprocess().portable().reason == "the preprocess has seen no train rows"


# ---------------------------------------------------------------------- values of JSON Lines

VALUES: dict[str, list[Any]] = {
    "whole": [1, -2, 0, 7],
    "floats": [1.0, 2.5, -1e3, 7],
    "huge": [10**30, 1, 2, 10**400],
    "truths": [True, False, True, True],
    "texts": ["red", "Red", "1.50", "NA"],
    "texts of numbers": ["1", "2.50", " 7 ", "1e3"],
    "texts of truths": ["True", "false", "TRUE", "true"],
    "texts of dates": ["2024-01-31", "2024-01-31T23:00:00+02:00", "2024-02-29 12:30", "2023-12-31"],
    "words for missing": ["NA", "null", "None", "NaN"],
    "numbers and truths": [1, True, 2, False],
    "numbers and texts": [7, "x", 1, "3.50"],
    "texts and truths": ["True", True, "red", False],
    "infinite": [float("inf"), 1.0, float("-inf"), 2.0],
    "lists": [[1], [2], [1], [3]],
    "lists and texts": ["x", [1], "y", {"a": 1}],
    "lists and numbers": [[1], "x", 1, 2],
}


class Typed(dict[str, Any]):
    is_text = False


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize(
    "column", ["number", "gaps", "truth", "word", "code", "mixed", "flag", "same", "note", "day", "seldom"]
)
def test_values_of_json_lines_are_encoded_as_in_flash(
    learned: TabularPreprocess, tmp_path: Path, column: str, kind: str, missing: bool
) -> None:
    usual = {"number": 1.5, "gaps": 3, "truth": 1, "word": "red", "code": 2, "mixed": "x", "flag": True}
    usual |= {"day": "2023-05-05", "seldom": "2024-02-02", "note": "n", "same": 4}
    cells = [*VALUES[kind], *([None] if missing else [])]
    path = tmp_path / "table.jsonl"
    path.write_text("".join(json.dumps({**usual, column: cell}) + "\n" for cell in cells))
    table = Typed(read_table(path).columns)
    settings = dict(learned.portable().settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of categories that are all unknown
        try:
            expected = learned.predict_load_data(path).tree
        except (DataError, TypeError) as error:
            start = str(error).split(" in column ")[0] if isinstance(error, DataError) else "Expected"
            with pytest.raises(DataError) as raised:
                encode(table, settings)
            assert str(raised.value).startswith(start)
            return
    got = encode(table, settings)
    assert got["categorical"].tolist() == expected["categorical"].tolist()
    np.testing.assert_array_equal(got["numerical"], expected["numerical"].numpy())


REQUESTED: dict[str, list[Any]] = {
    "number": [1, 2.5, None, "3", -0.0, 2**60, 1e300],
    "gaps": [None, 3, 3.0],
    "truth": [True, 1, 0.0, None],
    "word": ["red", None, 3, 1.5, True, "true", "NA"],
    "code": [1, 1.0, "1", None, "1.0", 7],
    "mixed": ["7", 7, 3.5, "3.50", None, True],
    "flag": [True, "true", 1, "TRUE", None],
    "day": ["2024-01-31", None, "2024-01-31T12:30"],
    "same": [4, None, 4.0],
}


@pytest.mark.parametrize("column", REQUESTED)
def test_a_row_of_a_request_is_encoded_as_its_text_is(learned: TabularPreprocess, column: str) -> None:
    usual: dict[str, Any] = {"number": 1.5, "gaps": 3, "truth": 1, "word": "red", "code": 2, "mixed": "x"}
    usual |= {"flag": True, "day": "2023-05-05", "seldom": "2024-02-02", "note": "n", "same": 4}
    settings = dict(learned.portable().settings)
    cells = REQUESTED[column]
    for values in (cells, *([value, value] for value in cells)):
        samples = [{**usual, column: value} for value in values]
        texts = {name: [None if row[name] is None else value_as_text(row[name]) for row in samples] for name in usual}
        expected = encode(texts, {**settings, "decimal": "."})
        as_columns = RequestRows(list(usual), [tuple(row.values()) for row in samples])
        for given in (samples, as_columns):
            got = encode_samples(given, settings, None)
            np.testing.assert_array_equal(got["numerical"], expected["numerical"])
            np.testing.assert_array_equal(got["categorical"], expected["categorical"])
