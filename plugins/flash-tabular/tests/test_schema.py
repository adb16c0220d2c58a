"""What is learned of a table's columns, and how they become numbers and codes."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.data.requests import RequestField, RequestRows
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.tabular import TabularClassificationData
from flash.tabular.learning import learn_schema
from flash.tabular.preprocess import TabularPreprocess
from flash.tabular.read import read_table
from flash.tabular.schema import Schema
from flash.tabular.summaries import mean_and_std

DATES: Any = ["2024-01-01", "2024-03-01", None]
THREE = ["a", "b", "c"]


def learn(values: Any, **fields: Any) -> Schema:
    """Learn the column ``a``."""
    options = {"categorical": None, "numerical": None, "excluded": [], **fields}
    return learn_schema(pd.DataFrame({"a": values}), **options)


def encode(schema: Schema, values: Any) -> tuple[list[list[float]], list[list[int]]]:
    """Encode the column ``a``."""
    numbers, codes = schema.encode(read_table(pd.DataFrame({"a": values})), "predict")
    return np.round(numbers.astype(float), 4).tolist(), codes.tolist()


def numbers_of(values: Any, **fields: Any) -> list[float]:
    (column,) = zip(*encode(learn(values, **fields), values)[0], strict=True)
    return list(column)


def codes_of(values: Any, **fields: Any) -> list[int]:
    (column,) = zip(*encode(learn(values, **fields), values)[1], strict=True)
    return list(column)


# ---------------------------------------------------------------------- kinds of columns


@pytest.mark.parametrize(
    "values",
    [
        [1, 3],
        [1.5, 2.5],
        np.array([1, 3], dtype=np.uint8),
        np.array([1, 3], dtype=np.float16),
        pd.array([1, 3], dtype="Int64"),
        pd.array([1, 3], dtype="Float64"),
        pd.arrays.SparseArray([0.0, 3.0]),
        pd.Series([1, 3], dtype=object),
        pd.Series([2**70, 2**71], dtype=object),
        pd.Series([1, 2.5], dtype=object),
        [decimal.Decimal("1.5"), decimal.Decimal(2)],
    ],
    ids=lambda values: f"{getattr(values, 'dtype', 'list')} of {type(np.asarray(values)[0]).__name__}",
)
def test_numbers_of_any_type_are_standardized(values: Any) -> None:
    assert numbers_of(values) == [-1.0, 1.0]


@pytest.mark.parametrize("dtype", ["int64[pyarrow]", "double[pyarrow]", "Int64", "Float64", "float64", "object"])
def test_a_missing_number_counts_as_the_mean_and_raises_its_flag(dtype: Any) -> None:
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    values = pd.Series([1, 3, None], dtype=dtype)
    assert numbers_of(values) == [-1.0, 1.0, 0.0]
    assert codes_of(values) == [0, 0, 1]


@pytest.mark.parametrize("dtype", ["object", "string", "string[pyarrow]", "large_string[pyarrow]", "category", "str"])
def test_text_of_any_type_is_a_category_whose_missing_values_have_code_0(dtype: Any) -> None:
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    if dtype == "str" and int(pd.__version__.split(".")[0]) < 3:
        pytest.skip("pandas 2 makes the text 'None' of None")
    assert codes_of(pd.Series(["b", "a", None], dtype=dtype)) == [2, 1, 0]


@pytest.mark.parametrize("dtype", ["object", "boolean", "bool[pyarrow]", "category"])
def test_bools_of_any_type_are_categories(dtype: Any) -> None:
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    assert codes_of(pd.Series([True, False, None], dtype=dtype)) == [2, 1, 0]
    assert codes_of([True, False]) == [2, 1]


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(DATES),
        pd.to_datetime(DATES).as_unit("s"),
        pd.to_datetime(DATES).tz_localize("UTC"),
        pd.Series(DATES, dtype=object),
        pd.Series(DATES, dtype="string"),
        ["2024-01-01T00:00:00Z", "2024-03-01 00:00", None],
        ["2024-01-01T00:00:00.000", "2024-03-01T02:00:00+02:00", None],
        [datetime.date(2024, 1, 1), datetime.date(2024, 3, 1), None],
        pd.Series([datetime.datetime(2024, 1, 1), datetime.datetime(2024, 3, 1), None], dtype=object),
        [pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-03-01 01:00", tz="Europe/Rome"), None],
    ],
    ids=["ns", "s", "UTC", "text", "string", "ISO", "offset", "date", "datetime", "zones"],
)
def test_dates_of_any_type_become_the_same_numbers(values: Any) -> None:
    schema = learn(values)
    assert [column.part for column in schema.numerical] == ["days", "month", "weekday"]
    assert encode(schema, values) == ([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], [[0], [0], [1]])


@pytest.mark.parametrize("dtype", ["timestamp[ns][pyarrow]", "timestamp[us, tz=UTC][pyarrow]", "date32[pyarrow]"])
def test_dates_of_arrow_are_dates(dtype: Any) -> None:
    pytest.importorskip("pyarrow")
    dates = pd.Series(pd.to_datetime(DATES))
    if "tz" in dtype:
        dates = dates.dt.tz_localize("UTC")
    schema = learn(dates.astype(dtype))
    assert [column.part for column in schema.numerical] == ["days", "month", "weekday"]
    assert encode(schema, pd.to_datetime(DATES)) == encode(schema, dates.astype(dtype))


def test_the_time_of_day_counts_where_it_differs() -> None:
    schema = learn(pd.to_datetime(["2024-01-01 06:00", "2024-01-01 18:00"]))
    assert [column.part for column in schema.numerical] == ["days", "hour"]


@pytest.mark.parametrize("dtype", [None, "duration[ns][pyarrow]", "timedelta64[s]"])
def test_durations_are_numbers(dtype: Any) -> None:
    if dtype is not None and "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    values = pd.Series(pd.to_timedelta(["1D", "3D", None]))
    values = values if dtype is None else values.astype(dtype)
    assert numbers_of(values) == [-1.0, 1.0, 0.0]
    assert codes_of(values) == [0, 0, 1]
    assert learn(values).summary() == "numerical_fields: a (with missing)"


def test_values_of_several_types_are_categories_each_its_own() -> None:
    assert codes_of(pd.Series([1, "a", None, True, 2.5], dtype=object)) == [1, 4, 0, 3, 2]


@pytest.mark.parametrize(
    "values",
    [
        pd.period_range("2024-01", periods=3, freq="M"),
        pd.cut(pd.Series([1, 5, 9]), 3),
        [b"a", b"b", b"c"],
        [datetime.time(1), datetime.time(2), datetime.time(3)],
        list(enum.Enum("E", "A B C")),  # type: ignore[call-overload]  # classes made by a call are not known,
    ],
    ids=["periods", "intervals", "bytes", "times", "enums"],
)
def test_other_values_that_can_be_compared_are_categories(values: Any) -> None:
    assert codes_of(values) == [1, 2, 3]


def test_text_that_is_no_iso_date_is_a_category() -> None:
    assert not learn(["1/2/2024", "2/2/2024"]).numerical


def test_a_text_that_only_looks_like_a_date_is_named() -> None:
    with pytest.raises(DataError, match=r"Expected dates such as 2024-12-31 in column 'a'.*'2024-13-45'"):
        learn(["2024-01-01", "2024-13-45"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["ä", "日本", "🙂"], [1, 2, 3]), (["", " ", "x"], [1, 2, 3]), (["nan", "None", "x"], [2, 1, 3])],
    ids=["unicode", "empty", "words for nothing"],
)
def test_any_text_is_a_category_of_its_own(values: list[str], expected: list[int]) -> None:
    assert codes_of(values) == expected


def test_the_text_nan_is_no_missing_value() -> None:
    assert codes_of(pd.Series(["nan", "b", None], dtype=object)) == [2, 1, 0]


# ---------------------------------------------------------------------- columns that are left out


@pytest.mark.parametrize("values", [[1, 1], [0.0, -0.0], ["x", "x"], [True, True], pd.to_datetime(["2024-01-01"] * 2)])
def test_a_constant_column_is_left_out(values: Any) -> None:
    schema = learn_schema(pd.DataFrame({"a": values, "b": [1, 2]}), None, None, [])
    assert schema.left_out == {"a": "constant"}
    assert schema.fields == ["b"]


@pytest.mark.parametrize(("values", "codes"), [([1, None, 1], [0, 1, 0]), (["x", None, "x"], [1, 0, 1])])
def test_a_constant_column_with_missing_values_says_whether_it_is_missing(values: Any, codes: list[int]) -> None:
    assert codes_of(values) == codes
    assert learn(values).summary().startswith("categorical_fields: a (")


def test_text_that_names_the_rows_is_left_out_and_in_a_small_table_is_not() -> None:
    frame = pd.DataFrame({"a": [f"name {i}" for i in range(50)], "b": np.linspace(0, 1, 50)})
    schema = learn_schema(frame, None, None, [])
    assert schema.left_out == {"a": "text with 50 different values in 50 rows"}
    assert learn_schema(frame.head(49), None, None, []).left_out == {}


def test_of_text_that_names_the_rows_it_is_learned_whether_it_is_missing() -> None:
    frame = pd.DataFrame({"a": [None, *(f"name {i}" for i in range(49))]})
    schema = learn_schema(frame, None, None, [])
    assert list(schema.left_out) == ["a"]
    assert schema.summary().splitlines()[0] == "categorical_fields: a (only whether it is missing)"
    assert encode(schema, ["any name", None, ""])[1] == [[0], [1], [0]]
    assert encode(schema, [1.5, np.nan])[1] == [[0], [1]]


def test_text_that_names_the_rows_is_used_where_it_is_named() -> None:
    frame = pd.DataFrame({"a": [f"name {i}" for i in range(50)]})
    assert learn_schema(frame, ["a"], None, []).cardinalities == [51]


def test_text_that_should_be_numbers_is_left_out_with_a_hint() -> None:
    frame = pd.DataFrame({"a": [*(f"{i}.5" for i in range(99)), " "], "b": np.linspace(0, 1, 100)})
    reason = learn_schema(frame, None, None, []).left_out["a"]
    assert reason.endswith("that are numbers, but for 1 such as ' ': convert it with pandas.to_numeric")


@pytest.mark.parametrize("values", [[[1], [2], [1]], [{"x": 1}, None, {"x": 2}], [np.zeros(2), np.ones(2)]])
def test_a_column_of_lists_or_dicts_is_left_out_with_their_type(values: list[Any]) -> None:
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object), "b": range(len(values))})
    assert learn_schema(frame, None, None, []).left_out == {"a": f"made of values of type {type(values[0]).__name__}"}


def test_a_column_of_lists_cannot_be_a_category() -> None:
    with pytest.raises(DataError, match=r"Expected categories in column 'a' of the train table.*type list"):
        learn([[1], [2]], categorical=["a"])


@pytest.mark.parametrize("values", [[None, None], [np.nan, np.nan], pd.array([pd.NA] * 2, dtype="Int64")])
def test_a_column_without_any_value_is_left_out_as_a_constant_is_and_an_error_if_it_is_named(values: Any) -> None:
    schema = learn_schema(pd.DataFrame({"a": values, "b": [1, 2]}), None, None, [])
    assert (schema.left_out, schema.fields) == ({"a": "without a value"}, ["b"])
    with pytest.raises(DataError, match=r"at least one column to learn from, but none is left: 'a' is without a value"):
        learn(values)
    with pytest.raises(DataError, match=r"Expected values in column 'a' of the train table, but all 2 are missing"):
        learn(values, categorical=["a"])


def test_a_table_in_which_nothing_is_left_says_why() -> None:
    with pytest.raises(DataError, match=r"none is left: 'a' is constant. Name categorical_fields or numerical_fields"):
        learn([1, 1])


# ---------------------------------------------------------------------- named fields


def test_named_fields_are_taken_as_named_and_no_others() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["1", "2"], "c": [3, 4], "y": [0, 1]})
    schema = learn_schema(frame, ["a"], ["b"], ["y"])
    assert [column.name for column in schema.categorical] == ["a"]
    assert [column.name for column in schema.numerical] == ["b"]


@pytest.mark.parametrize(
    "values", [["1", "3"], pd.Series(["1", "3"], dtype="category"), [1, 3], [False, True]], ids=str
)
def test_what_can_be_read_as_a_number_can_be_named_a_number(values: Any) -> None:
    assert numbers_of(values, numerical=["a"]) == [-1.0, 1.0]


def test_text_in_a_column_named_a_number_is_an_error_that_shows_it() -> None:
    with pytest.raises(DataError, match=r"numbers in column 'a' of the train table, but got 'x' in 2 of 3 rows"):
        learn([1, "x", "y"], numerical=["a"])


def test_a_column_in_two_roles_is_an_error_that_names_it() -> None:
    frame = pd.DataFrame({"a": [1, 2], "y": [0, 1]})
    with pytest.raises(ConfigurationError, match=r"Expected each column in one role, but 'y' is named in several"):
        learn_schema(frame, None, ["a", "y"], ["y"])


def test_named_columns_that_are_missing_are_all_in_the_error() -> None:
    with pytest.raises(MissingColumnError, match=r"train table to have the columns 'c', 'b', but it has only 'a'"):
        learn([1, 2], numerical=["b"], categorical=["c"])


def test_no_named_column_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="Expected at least one column to learn from"):
        learn([1, 2], categorical=[])


# ---------------------------------------------------------------------- one category, however it is stored


@pytest.mark.parametrize(
    "values",
    [[1, 2], [1.0, 2.0], [1.0, 2.0, None], ["1", "2"], pd.array([1, 2], dtype="Int64"), pd.Series([1, "2"])],
    ids=str,
)
def test_a_whole_number_is_one_category_whether_stored_as_int_float_or_text(values: Any) -> None:
    schema = learn([1, 2, 3], categorical=["a"])
    assert encode(schema, values)[1][:2] == [[1], [2]]


@pytest.mark.parametrize("dtype", ["bool", "boolean", "object", "category", "str"])
def test_a_bool_is_one_category_whether_stored_as_bool_or_text(dtype: Any) -> None:
    assert encode(learn([True, False]), pd.Series([False, True]).astype(dtype))[1] == [[1], [2]]


TRUTHS = {
    "bool": [True, False],
    "int": [1, 0],
    "float": [1.0, 0.0],
    "float32": np.array([1, 0], np.float32),
    "text": ["true", "false"],
    "capitals": ["TRUE", "FALSE"],
    "numpy objects": np.array([np.True_, np.False_], dtype=object),
    "nullable ints": pd.array([1, 0], dtype="Int64"),
    "nullable bools": pd.array([True, False], dtype="boolean"),
    "category": pd.Categorical([True, False]),
}


@pytest.mark.parametrize("values", TRUTHS.values(), ids=TRUTHS)
@pytest.mark.parametrize("train", TRUTHS.values(), ids=TRUTHS)
def test_true_and_1_are_one_category_however_they_are_stored(train: Any, values: Any) -> None:
    assert encode(learn(train, categorical=["a"]), values)[1] == [[2], [1]]


@pytest.mark.parametrize("values", [*TRUTHS.values(), ["1.0", "0.0"], [True, "false"]])
def test_true_and_1_are_one_number_where_the_train_rows_hold_zeros_and_ones(values: Any) -> None:
    assert encode(learn([0, 1]), values)[0] == [[1], [-1]]
    assert encode(learn([0, 1, None]), values) == ([[1], [-1]], [[0], [0]])


def test_true_is_no_number_where_the_train_rows_hold_others() -> None:
    with pytest.raises(DataError, match="numbers in column 'a' of the predict table, but got 'true' in 1 of 1"):
        encode(learn([0, 1, 2]), ["true"])


def test_a_truth_value_that_the_train_rows_lack_is_unknown() -> None:
    assert encode(learn([True, None], categorical=["a"]), [1, 0])[1] == [[1], [0]]


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.1, 2], np.float32),
        np.array([0.1, 2], np.float16),
        [np.float32(0.1), np.float32(2)],
        ["0.1", "2.0"],
        [decimal.Decimal("0.1"), decimal.Decimal("2.00")],
    ],
)
def test_a_number_is_one_category_whatever_its_precision(values: Any) -> None:
    assert encode(learn([0.1, 2.0], categorical=["a"]), values)[1] == [[1], [2]]
    assert encode(learn(values, categorical=["a"]), [0.1, 2])[1][0] == [1]


@pytest.mark.parametrize(
    "values",
    [
        [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)],
        [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 2)],
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
        ["2024-01-01", "2024-01-02"],
        ["2024-01-01 00:00:00", "2024-01-02T00:00"],
    ],
)
def test_a_day_is_one_category_whether_stored_as_date_time_or_text(values: Any) -> None:
    days = [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)]
    assert encode(learn(days, categorical=["a"]), values)[1] == [[1], [2]]


def test_text_stays_as_it_is_written() -> None:
    assert encode(learn(["1.0", "1"], categorical=["a"]), ["1", "1.0", "01"])[1] == [[1], [2], [0]]


def test_categories_of_a_pandas_category_are_those_of_the_rows_in_no_special_order() -> None:
    values = pd.Series(["b", "a"], dtype=pd.CategoricalDtype(["z", "b", "a"], ordered=True))
    assert learn(values).categorical[0].categories == ["a", "b"]


def test_unseen_and_missing_categories_have_code_0() -> None:
    assert encode(learn(THREE), ["z", None, "a"])[1] == [[0], [0], [1]]


def test_codes_of_a_row_do_not_depend_on_the_other_rows() -> None:
    values = pd.Series([1, True, "1", 1.0, "True", None], dtype=object)
    schema = learn(values)
    together = encode(schema, values)[1]
    assert together == [encode(schema, values[i : i + 1])[1][0] for i in range(len(values))]


def test_a_column_of_many_values_of_which_none_is_known_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"None of the 12 values in column 'a' of the predict table, such as 7"):
        encode(learn(THREE), [7] * 12)


def test_a_few_unknown_values_are_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    encode(learn(THREE), ["z"] * 9)
    encode(learn(THREE), [*"zzzzzzzzzzz", "a"])
    encode(learn(THREE), [None] * 20)
    assert not recwarn.list


def test_negative_zero_is_the_category_zero() -> None:
    assert codes_of([0.0, -0.0, 1.5], categorical=["a"]) == [1, 1, 2]


# ---------------------------------------------------------------------- numbers that are hard to bear


def test_infinite_numbers_count_as_missing() -> None:
    assert numbers_of([1, 3, np.inf, -np.inf]) == [-1.0, 1.0, 0.0, 0.0]
    assert codes_of([1, 3, np.inf, -np.inf]) == [0, 0, 1, 1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-30, 1e30, 1e200, 1e308])
def test_very_small_and_very_large_numbers_are_standardized_without_overflow(scale: float) -> None:
    schema = learn([-scale, scale])
    assert encode(schema, [-scale, scale])[0] == [[-1.0], [1.0]]
    assert schema.bins == [[-1.0, 1.0]]


@pytest.mark.filterwarnings("error")
def test_a_number_far_from_the_train_rows_stays_finite() -> None:
    assert encode(learn([1, 3]), [1e300, -1e300])[0] == [[1e6], [-1e6]]


def test_numbers_that_hardly_differ_have_bins_that_do() -> None:
    for values in ([1e15, 1e15 + 1, 1e15], [1.0, 1.0 + 1e-15, 1.0], [2**62, 2**62 + 4096, 1]):
        (edges,) = learn(values).bins
        assert len(edges) >= 2
        assert edges == sorted(set(edges))


def test_mean_and_standard_deviation_are_numpys() -> None:
    values = np.random.default_rng(0).normal(3, 2, 1000)
    mean, std = mean_and_std(values)
    assert math.isclose(mean, values.mean())
    assert math.isclose(std, values.std())


def test_bins_are_few_and_keep_a_frequent_value_apart() -> None:
    values = np.concatenate([np.zeros(900), np.linspace(1, 100, 1000)])
    (edges,) = learn(values).bins
    assert len(edges) == 43 + 1  # The root of 1,900 rows.
    assert edges[0] == pytest.approx((0 - values.mean()) / values.std())
    assert edges[1] > edges[0]


@pytest.mark.parametrize(("rows", "bins"), [(20, 8), (100, 10), (10_000, 100), (20_000, 128)])
def test_the_number_of_bins_grows_with_the_root_of_the_rows(rows: int, bins: int) -> None:
    (edges,) = learn(np.random.default_rng(0).normal(size=rows)).bins
    assert len(edges) == bins + 1


def test_missing_values_are_no_rows_of_the_bins() -> None:
    (edges,) = learn([*np.arange(400.0), *[None] * 9600]).bins
    assert len(edges) == 20 + 1


# ---------------------------------------------------------------------- other tables than the train table


def test_order_of_columns_other_columns_and_the_index_do_not_matter() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "c": THREE})
    schema = learn_schema(frame, None, None, [])
    other = frame[["c", "n"]].assign(extra="x").set_axis([7, 7, "x"])
    for one, two in zip(schema.encode(frame, "val"), schema.encode(other, "val"), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_table_with_fewer_columns_is_an_error_that_names_them() -> None:
    schema = learn_schema(pd.DataFrame({"n": [1, 2], "c": ["a", "b"]}), None, None, [])
    with pytest.raises(
        MissingColumnError,
        match=r"predict table to have the column 'c', but it has only 'n'. Add what is missing, with None",
    ):
        schema.encode(pd.DataFrame({"n": [1]}), "predict")


@pytest.mark.parametrize(
    ("train", "other", "message"),
    [
        ([1, 2], ["x", "2"], r"Expected numbers in column 'a' of the predict table, but got 'x' in 1 of 2 rows"),
        ([1, 2], pd.to_datetime(["2024-01-01"]), r"Expected numbers in column 'a'.*Timestamp\('2024-01-01"),
        ([1, 2], pd.to_timedelta(["1D"]), r"Expected numbers in column 'a'.*Timedelta"),
        ([1, 2], [[1]], r"Expected numbers in column 'a' of the predict table, but got \[1\]"),
        (pd.to_datetime(DATES), [2024, 2025], r"Expected dates such as 2024-12-31 in column 'a'.*but got 2024"),
        (pd.to_datetime(DATES), [2024.5], r"Expected dates.*2024.5. Convert it with pandas.to_datetime"),
        (pd.to_datetime(DATES), ["01/02/2024"], r"Expected dates.*'01/02/2024'. Convert it with pandas.to_datetime"),
        (pd.to_timedelta(["1D", "2D"]), [86400], r"Expected durations in column 'a'.*86400.*pandas.to_timedelta"),
        (THREE, [["a"], ["b"]], r"Expected categories in column 'a' of the predict table, but got \['a'\]"),
    ],
    ids=["text", "dates", "durations", "lists", "years", "floats", "other dates", "seconds", "lists for text"],
)
def test_values_of_a_wrong_type_are_an_error_that_shows_one(train: Any, other: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode(learn(train), other)


def test_numbers_as_text_and_bools_are_numbers_where_numbers_are_expected() -> None:
    schema = learn([1, 3])
    assert encode(schema, ["1", "3"])[0] == [[-1.0], [1.0]]
    assert encode(schema, [True, True])[0] == [[-1.0], [-1.0]]


@pytest.mark.parametrize("values", [[None], [np.nan], [pd.NaT], pd.array([pd.NA], dtype="Int64")], ids=str)
@pytest.mark.parametrize("train", [[1, 3, None], pd.to_datetime(DATES), pd.to_timedelta(["1D", "2D", None])])
def test_a_table_of_which_all_is_missing_is_the_mean_and_raises_the_flag(train: Any, values: Any) -> None:
    numbers, codes = encode(learn(train), values)
    assert set(numbers[0]) == {0.0}
    assert codes == [[1]]


@pytest.mark.parametrize("value", ["2024-03-01", "2024-03", "20240301", datetime.date(2024, 3, 1)])
def test_a_date_may_be_written_in_another_iso_form_than_in_the_train_rows(value: Any) -> None:
    assert encode(learn(pd.to_datetime(DATES)), [value]) == ([[1.0, 1.0, 1.0]], [[0]])


def test_a_number_that_was_never_missing_may_be_missing_later() -> None:
    assert encode(learn([1, 3]), [None]) == ([[0.0]], [[]])


# ---------------------------------------------------------------------- serializable values and the summary


def test_a_schema_is_the_same_after_a_way_through_serializable_values() -> None:
    frame = pd.DataFrame({"n": [1.5, None, 2], "c": THREE, "d": DATES, "k": [1, 1, 1]})
    schema = learn_schema(frame, None, None, [])
    again = Schema.from_serializable(schema.to_serializable())
    assert again == schema
    for one, two in zip(schema.encode(frame, "val"), again.encode(frame, "val"), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_summary_says_what_each_column_is_taken_for() -> None:
    frame = pd.DataFrame(
        {
            "n": [1.5, None, 2],
            "m": [1, 2, 3],
            "c": THREE,
            "b": [True, False, True],
            "d": DATES,
            "k": [1, 1, 1],
            "f": [None, 5, 5],
        }
    )
    assert learn_schema(frame, None, None, []).summary().splitlines() == [
        "numerical_fields: n (with missing), m",
        "dates: d (with missing)",
        "categorical_fields: c (3), b (2), f (only whether it is missing)",
        "left out: k (constant)",
    ]


def test_of_text_that_is_left_out_it_still_counts_whether_it_is_missing() -> None:
    frame = pd.DataFrame({"cabin": [None if i % 3 else f"C{i}" for i in range(60)], "b": range(60)})
    schema = learn_schema(frame, None, None, [])
    assert "cabin" in schema.left_out
    _, codes = schema.encode(frame.head(4), "predict")
    assert codes[:, 0].tolist() == [0, 1, 1, 0]


def test_categories_beyond_the_most_frequent_thousand_count_as_unseen() -> None:
    often = [f"often {i:04}" for i in range(1000)] * 2
    frame = pd.DataFrame({"a": [*often, "seldom"]})
    schema = learn_schema(frame, ["a"], None, [])
    assert schema.cardinalities == [1001]
    _, codes = schema.encode(pd.DataFrame({"a": ["often 0000", "seldom"]}), "predict")
    assert codes[:, 0].tolist() == [1, 0]


def test_encoded_rows_are_decoded_to_what_was_written() -> None:
    frame = pd.DataFrame(
        {
            "age": [22, 38, 26, None, 35],
            "fare": [7.25, 71.28, 7.93, 53.1, 1000.0],
            "city": ["Rome", None, "Oslo", "Rome", "Oslo"],
            "seen": pd.to_datetime(["2020-01-31", "2021-02-28", "2022-12-24", "2023-06-01", "1969-07-20"]),
            "at": pd.to_datetime(
                [f"{day} 10:30" for day in ("2020-01-31", "2021-02-28", "2022-12-24", "2023-06-01", "1969-07-20")]
            ),
            "took": pd.to_timedelta([1, 60, 3600, 86400, 5], "s"),
            "member": [True, False, True, True, False],
            "views": [1_000_000, 2_000_000, 3, 4, 5],
        }
    )
    schema = learn_schema(frame, None, None, [])
    columns = schema.decode(*schema.encode(frame, "train"))
    assert columns.keys() == set(frame.columns)
    assert columns["age"] == [22, 38, 26, None, 35]
    assert all(isinstance(age, int | None) for age in columns["age"])
    assert columns["fare"] == frame["fare"].tolist()
    assert columns["city"] == ["Rome", None, "Oslo", "Rome", "Oslo"]
    assert columns["seen"] == ["2020-01-31", "2021-02-28", "2022-12-24", "2023-06-01", "1969-07-20"]
    assert columns["at"][0] == "2020-01-31 10:30"
    assert pd.to_timedelta(columns["took"]).tolist() == frame["took"].tolist()
    assert columns["member"] == ["True", "False", "True", "True", "False"]
    # To the digits that 32 bits hold: ten of a million.
    assert columns["views"] == pytest.approx(frame["views"].tolist(), abs=10)
    # A missing number of a column without any in training is its mean, as for the network; a new category is unknown.
    other = frame.assign(fare=None, city="Paris")
    columns = schema.decode(*schema.encode(other, "test"))
    assert columns["fare"] == pytest.approx([frame["fare"].mean()] * 5, abs=0.01)
    assert columns["city"] == [None] * 5


def test_hours_of_one_day_and_columns_of_flags_are_decoded_too() -> None:
    frame = pd.DataFrame(
        {
            "hour": pd.to_datetime([f"2020-01-31 {hour:02}:00" for hour in range(10, 14)] * 20),
            "name": [f"person {row}" if row % 2 else None for row in range(80)],
        }
    )
    schema = learn_schema(frame, None, None, [])
    columns = schema.decode(*schema.encode(frame, "train"))
    assert columns["hour"][:2] == ["2020-01-31 10:00", "2020-01-31 11:00"]
    assert columns["name"][:2] == [None, "(not missing)"]


def test_the_fields_of_a_request_are_the_columns_with_what_was_learned() -> None:
    frame = pd.DataFrame(
        {
            "rooms": [1, 2, 3, 4, 9],
            "city": ["b", "a", "b", None, "a"],
            "seen": pd.to_datetime(pd.Series(["2024-01-01", "2024-01-03", None, "2024-01-05", "2024-01-06"])),
            "at": pd.to_datetime([f"2024-01-01 {hour}:00" for hour in (10, 12, 10, 12, 14)]),
        }
    )
    fields = {field.name: field for field in learn_schema(frame, None, None, []).request_fields}
    assert fields == {
        "rooms": RequestField("rooms", "number", typical=3),
        "seen": RequestField("seen", "date", may_be_missing=True, typical="2024-01-03"),
        "at": RequestField("at", "date", typical="2024-01-01 11:36"),
        "city": RequestField("city", "category", ("a", "b")),
    }


def test_a_column_that_is_used_for_whether_it_is_missing_may_be_left_out_of_a_request() -> None:
    frame = pd.DataFrame({"id": [None, *(f"text number {row}" for row in range(59))], "n": range(60)})
    fields = {field.name: field for field in learn_schema(frame, None, None, []).request_fields}
    assert fields["id"] == RequestField("id", "text", may_be_missing=True)


def test_durations_are_seconds_in_a_request() -> None:
    durations = pd.to_timedelta(pd.Series([None, *range(60)], dtype=float), unit="s")
    fields = learn_schema(pd.DataFrame({"took": durations}), None, None, []).request_fields
    assert fields == [RequestField("took", "duration", may_be_missing=True, typical=pytest.approx(30, abs=2))]


def test_a_request_with_seconds_is_encoded_as_durations_are() -> None:
    frame = pd.DataFrame({"took": pd.to_timedelta(range(60), unit="s"), "y": ["a", "b"] * 30})
    preprocess = TabularPreprocess(target_fields="y")
    TabularClassificationData.from_data_frame(
        target_fields="y", train_data_frame=frame, preprocess=preprocess, verbose=False
    )
    seconds = [0.0, 1.5, 59, None]
    found = preprocess.predict_load_data(RequestRows(["took"], [(each,) for each in seconds])).tree
    durations = pd.DataFrame({"took": pd.to_timedelta(pd.Series(seconds), unit="s")})
    assert found["numerical"].tolist() == preprocess.predict_load_data(durations).tree["numerical"].tolist()
    assert len(set(found["numerical"].flatten().tolist())) > 3


@pytest.mark.parametrize("name", ["numerical", "categorical"])
def test_columns_that_are_no_list_are_an_error(name: str) -> None:
    state: dict[str, Any] = {"numerical": [], "categorical": [], "left_out": {}, name: {}}
    with pytest.raises(TypeError, match=f"Expected a list of {name} columns, but got a dict"):
        Schema.from_serializable(state)
