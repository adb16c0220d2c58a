"""Text that is numbers or dates in disguise is recognized, and what is said to convert it does."""

from __future__ import annotations

import datetime
from typing import Any

import pandas as pd
import pytest

from flash.errors import DataError
from flash.tabular._disguises import disguise_of
from flash.tabular.learning import learn_schema

DISGUISES: dict[str, tuple[list[Any], str, list[Any]]] = {
    "thousands": (
        ["1,234", "-56,789.5", "7"],
        "numbers with commas between thousands, such as '1,234'",
        [1234, -56789.5, 7],
    ),
    "decimal comma": (["0,5", "-12,25"], "numbers with a decimal comma, such as '0,5'", [0.5, -12.25]),
    "points": (["1.234,5", "2.000.000"], "numbers with points between thousands and a decimal comma", [1234.5, 2e6]),
    "money": (["$1,234.50", "$-3"], "amounts of money, such as '$1,234.50'", [1234.5, -3]),
    "money after": (["12 €", "-3 €"], "amounts of money, such as '12 €'", [12, -3]),
    "money in Europe": (["1.234,50 €", "-3,25 €"], "amounts of money, such as '1.234,50 €'", [1234.5, -3.25]),
    "comma percent": (["12,5%", "-0,25 %"], "percentages, such as '12,5%'", [12.5, -0.25]),
    "spaces": (["1 234 567", "12", "-1 000,5"], "numbers with spaces between thousands", [1234567, 12, -1000.5]),
    "comma unit": (["1,5 kg", "0,25 kg"], "numbers with a unit, such as '1,5 kg'", [1.5, 0.25]),
    "percent": (["5%", "-12.5 %"], "percentages, such as '5%'", [5, -12.5]),
    "unit": (["12 kg", "3.5kg"], "numbers with a unit, such as '12 kg'", [12, 3.5]),
    "month first": (["01/31/2024", "2/1/2024"], "dates with the month first", ["2024-01-31", "2024-02-01"]),
    "day first": (["31.01.2024", "01.02.2024"], "dates with the day first", ["2024-01-31", "2024-02-01"]),
    "year first": (["2024/01/31", "2024/02/01"], "dates, such as '2024/01/31'", ["2024-01-31", "2024-02-01"]),
    "named": (["Jan 31, 2024", "Feb 1, 2024"], "dates, such as 'Jan 31, 2024'", ["2024-01-31", "2024-02-01"]),
    "hours": (["12:30", "1:05"], "times or durations, such as '12:30'", ["12:30:00", "01:05:00"]),
    "seconds": (["12:30:01", "1:05:02"], "times or durations, such as '12:30:01'", ["12:30:01", "01:05:02"]),
    "times": ([datetime.time(1, 2), datetime.time(3, 4, 5)], "times of day: convert it with", ["01:02:00", "03:04:05"]),
}


@pytest.mark.parametrize(("values", "what", "expected"), DISGUISES.values(), ids=DISGUISES)
def test_text_in_disguise_is_named_and_what_is_said_converts_it(
    values: list[Any], what: str, expected: list[Any]
) -> None:
    frame = pd.DataFrame({"a b": pd.Series(values, dtype=object)})
    said = disguise_of(frame["a b"])
    assert said.startswith(what)
    converted = eval(said.split("convert it with ")[1], {"pandas": pd, "frame": frame})
    if not isinstance(expected[0], str):
        assert converted.tolist() == expected
    elif ":" in expected[0]:
        assert converted.tolist() == pd.to_timedelta(expected).tolist()
    else:
        assert converted.tolist() == pd.to_datetime(expected).tolist()


@pytest.mark.parametrize(
    ("values", "readings"),
    [
        (["1,234", "5,678"], "a comma between thousands, or with a decimal comma.*',', ''.* or .*',', '.'"),
        (["1/2/2024", "3/4/2024"], "the day or the month first.*dayfirst=True.* or .*dayfirst=False"),
    ],
)
def test_what_can_be_read_in_two_ways_names_both(values: list[str], readings: str) -> None:
    with pytest.raises(DataError, match=readings):
        learn_schema(pd.DataFrame({"a": values}), None, ["a"], [])


@pytest.mark.parametrize(
    "values",
    [
        ["red", "blue"],
        ["A12", "B7"],
        ["12 kg", "3 m"],
        ["($5)", "($6)"],
        ["1-2", "x"],
        ["45/13/2024", "1/1/2024"],
        [],
        [None],
        [1, "2%"],
    ],
)
def test_other_text_looks_like_nothing(values: list[Any]) -> None:
    assert disguise_of(pd.Series(values, dtype=object, name="a")) == ""


def test_a_few_odd_values_do_not_hide_what_the_others_look_like() -> None:
    assert disguise_of(pd.Series([*(f"{i}%" for i in range(9)), "?"])).startswith("percentages")
    assert disguise_of(pd.Series([*(f"{i}%" for i in range(8)), "?", "?"])) == ""


def test_a_column_that_is_left_out_says_what_it_looks_like() -> None:
    frame = pd.DataFrame({"a": [f"{i}%" for i in range(60)], "b": range(60)})
    reason = learn_schema(frame, None, None, []).left_out["a"]
    assert reason.startswith(
        "text with 60 different values in 60 rows that look like percentages, such as '0%': convert"
    )
    times = [datetime.time(i // 60, i % 60) for i in range(60)]
    reason = learn_schema(frame.assign(a=times), None, None, []).left_out["a"]
    assert reason.startswith("times with 60 different values in 60 rows that look like times of day: convert it with")


def test_many_categories_that_look_like_numbers_are_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    frame = pd.DataFrame({"a": [f"{i % 21}%" for i in range(63)], "b": range(63)})
    learn_schema(frame, ["a"], ["b"], [])
    learn_schema(frame[frame.a != "0%"], None, None, [])
    assert not recwarn.list
    with pytest.warns(
        UserWarning, match="got 21 different texts in column 'a' of the train table, which look like perc"
    ):
        learn_schema(frame, None, None, [])


def test_numbers_in_disguise_are_an_error_that_says_how_to_convert_them() -> None:
    frame = pd.DataFrame({"a": ["$1.50", "$2.50"]})
    with pytest.raises(DataError, match=r"but got '\$1.50' in 2 of 2 rows. They look like amounts of money, such as"):
        learn_schema(frame, None, ["a"], [])
    schema = learn_schema(pd.DataFrame({"a": [1.5, 2.5]}), None, None, [])
    with pytest.raises(DataError, match=r"of the predict table.*They look like amounts of money"):
        schema.encode(frame, "predict")


def test_durations_as_objects_are_durations() -> None:
    durations = [datetime.timedelta(seconds=i) for i in range(60)]
    frame = pd.DataFrame({"a": pd.Series([*durations, None], dtype=object)})
    schema = learn_schema(frame, None, None, [])
    assert [(column.name, column.part) for column in schema.numerical] == [("a", "seconds")]
    typed = pd.DataFrame({"a": pd.to_timedelta([*durations, None])})
    assert schema.encode(frame, "val")[0].tolist() == schema.encode(typed, "val")[0].tolist()
