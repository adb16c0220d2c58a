"""Reading tables: what becomes a data frame, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from flash.errors import DataError
from flash.tabular.read import _as_numbers, get_column, read_numbers, read_table


def write(name: str, text: str, encoding: str = "utf-8") -> Path:
    path = Path(name)
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        {"a": [1, 2], "b": ["x", "y"]},
        {"a": np.array([1, 2]), "b": ("x", "y")},
        [{"a": 1, "b": "x"}, {"b": "y", "a": 2}],
        [pd.Series({"a": 1, "b": "x"}), pd.Series({"a": 2, "b": "y"})],
    ],
    ids=["frame", "columns", "arrays", "dicts", "series"],
)
def test_frames_columns_and_rows_give_the_same_table(data: Any) -> None:
    frame = read_table(data)
    assert frame.columns.tolist() == ["a", "b"]
    assert frame["a"].astype(int).tolist() == [1, 2]
    assert frame["b"].tolist() == ["x", "y"]


@pytest.mark.parametrize("rows", [[(1, "x"), (2, "y")], [[1, "x"], [2, "y"]]], ids=["tuples", "lists"])
def test_columns_of_rows_without_names_are_called_by_their_position(rows: Any) -> None:
    assert read_table(rows).columns.tolist() == ["0", "1"]


def test_a_key_that_a_row_lacks_is_a_missing_value() -> None:
    assert read_table([{"a": 1, "b": "x"}, {"a": 2}])["b"].isna().tolist() == [False, True]


def test_column_names_become_strings_and_the_given_frame_is_not_touched() -> None:
    frame = pd.DataFrame([[1, 2]], columns=pd.Index([7, "a b"], dtype=object))
    assert read_table(frame).columns.tolist() == ["7", "a b"]
    assert frame.columns.tolist() == [7, "a b"]


@pytest.mark.parametrize("data", [pd.DataFrame(), pd.DataFrame({"a": []}), [], {}, pd.DataFrame(index=[1, 2])])
def test_a_table_without_rows_or_columns_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match=r"Expected the table to have rows and columns, but it has shape \(\d, \d\)"):
        read_table(data)


@pytest.mark.parametrize("data", [np.zeros((2, 2)), pd.Series({"a": 1}), 7, iter([])])
def test_what_is_no_table_is_refused_with_its_type(data: Any) -> None:
    with pytest.raises(DataError, match=rf"Expected a table: a path, a URL.*but got {type(data).__name__}"):
        read_table(data)


@pytest.mark.parametrize("rows", [[1, 2], ["a", "b"], [None]])
def test_a_list_of_single_values_is_refused(rows: Any) -> None:
    with pytest.raises(DataError, match="Expected a list of rows, each a dict, tuple or list, but got one of type"):
        read_table(rows)


def test_rows_with_and_without_names_do_not_mix() -> None:
    with pytest.raises(DataError, match=r"Expected rows of one kind.*Pass dicts only"):
        read_table([{"a": 1}, (1,)])


def test_a_dict_of_single_values_says_how_to_pass_one_row() -> None:
    with pytest.raises(DataError, match=r"For a single row, pass \[row\]"):
        read_table({"a": 1, "b": "x"})


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="Give every column the same number of values"):
        read_table({"a": [1, 2], "b": [1]})


@pytest.mark.parametrize("columns", [["a", "a"], [1, "1"]])
def test_columns_of_one_name_are_refused(columns: list[Any]) -> None:
    frame = pd.DataFrame([[1, 2]], columns=pd.Index(columns, dtype=object))
    with pytest.raises(DataError, match=rf"several of '{columns[0]}'. Rename or drop them"):
        read_table(frame)


# ---------------------------------------------------------------------- CSV


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.txt", "t.csv.gz", "t.csv.zip"])
def test_comma_separated_files_are_read_also_compressed(name: str) -> None:
    pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]}).to_csv(name, index=False)
    assert read_table(name).to_dict("list") == {"a": [1, 2], "b": ["x", "ü"]}


def test_columns_that_are_text_keep_leading_zeros() -> None:
    path = write("t.csv", "code,n\n007,1\n010,2\n")
    assert read_table(path)["code"].tolist() == [7, 10]
    assert read_table(path, ["code", "unknown"])["code"].tolist() == ["007", "010"]


def test_a_code_is_one_text_in_all_parts_of_a_large_file() -> None:
    rows = ["007"] * 300_000 + ["A1"] + ["007"] * 300_000
    path = write("t.csv", "code,n\n" + "\n".join(f"{code},1" for code in rows))
    assert set(read_table(path)["code"].unique()) == {"007", "A1"}


def test_classes_stay_as_they_are_written_unless_all_are_whole_numbers() -> None:
    path = write("t.csv", "a,b,c\n1.10,1,NA\n1.1,0,None\n")
    frame = read_table(path, class_fields=["a", "b", "c"])
    assert frame.to_dict("list") == {"a": ["1.10", "1.1"], "b": [1, 0], "c": ["NA", "None"]}


def test_cells_become_numbers_truth_values_or_text() -> None:
    frame = read_table(write("t.csv", "n,t,x,d\n1.5,True,NA,2020-01-02\nNA,false,x,NA\n,TRUE,,\n"))
    assert frame["n"].tolist()[0] == 1.5
    assert frame["n"].isna().tolist() == [False, True, True]
    assert frame["t"].tolist() == [True, False, True]
    assert frame["x"].tolist()[:2] == ["NA", "x"]
    assert frame["d"].isna().tolist() == [False, True, True]


def test_truth_values_may_be_missing() -> None:
    assert read_table(write("t.csv", "a,b\ntrue,1\n,2\n"))["a"].tolist() == [True, None]


def test_what_was_a_number_in_the_train_rows_is_one_wherever_it_can_be() -> None:
    path = write("t.csv", "n\nNA\nNaN\n")
    assert read_table(path)["n"].tolist() == ["NA", "NaN"]
    assert read_table(path, number_fields=["n"])["n"].isna().all()


def test_a_decimal_comma_is_asked_about() -> None:
    path = write("t.csv", "x;y\n0,5;a\n2;b\n")
    with pytest.raises(DataError, match="a decimal point in column 'x' of t.csv, but got '0,5'.*pass decimal=','"):
        read_table(path)
    assert read_table(path, decimal=",")["x"].tolist() == [0.5, 2.0]
    assert read_table(path, decimal=".")["x"].tolist() == ["0,5", "2"]


def test_columns_without_types_get_them_from_polars_and_arrow() -> None:
    arrow = pytest.importorskip("pyarrow")
    assert read_table(arrow.table({"a": [1, 2]}))["a"].tolist() == [1, 2]


def test_several_files_are_one_table() -> None:
    files = [write("a.csv", "n,x\n1,u\n"), write("b.csv", "n;x\n2;v\n")]
    assert read_table(files).to_dict("list") == {"n": [1, 2], "x": ["u", "v"]}


@pytest.mark.parametrize("name", ["t.parquet", "t.PARQUET", "t.pq"])
def test_parquet_files_are_known_by_their_ending(name: str) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1, 2]}).to_parquet(name)
    assert read_table(name)["a"].tolist() == [1, 2]


def test_a_folder_of_parquet_files_is_one_table() -> None:
    pytest.importorskip("pyarrow")
    Path("parts").mkdir()
    for number in (1, 2):
        pd.DataFrame({"a": [number]}).to_parquet(f"parts/{number}.parquet")
    assert read_table("parts")["a"].tolist() == [1, 2]


def test_another_kind_of_file_is_no_parquet_file() -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"Expected a Parquet file at t.parquet, but"):
        read_table(write("t.parquet", "a,b\n1,2\n"))


HALF = "\ud800"


@pytest.mark.parametrize(
    "data",
    [
        {"a": [1, 2], "b": ["x", HALF]},
        [{"a": 1, "b": "x"}, {"a": 2, "b": HALF}],
        [pd.Series({"a": 1, "b": "x"}, dtype=object), pd.Series({"a": 2, "b": HALF}, dtype=object)],
        [{"a": 1}, {"b": HALF}],
        pd.DataFrame({"a": [1, 2], "b": pd.Series(["x", HALF], dtype=object)}),
        io.StringIO(f"a,b\n1,x\n2,{HALF}\n"),
        io.StringIO(r'[{"a": 1, "b": "x"}, {"a": 2, "b": "\ud800"}]'),
    ],
    ids=["columns", "dicts", "series", "lacking", "frame", "csv", "json"],
)
def test_half_a_character_in_a_cell_is_an_error_with_its_column_and_row(data: Any) -> None:
    with pytest.raises(
        DataError, match=r"in column 'b' of the .*, but '\\ud800' \(number 1, counted from 0\) has half"
    ):
        get_column(read_table(data), "b", "train")


def test_half_a_character_in_a_row_without_names_is_an_error() -> None:
    with pytest.raises(DataError, match=r"in column '?1'? of the .* \(number 1, counted from 0\)"):
        get_column(read_table([(1, "x"), (2, HALF)]), "1", "train")


@pytest.mark.parametrize(
    "data",
    [
        {"a": [1], HALF: [2]},
        [{"a": 1, HALF: 2}],
        pd.DataFrame([[1, 2]], columns=pd.Index(["a", HALF], dtype=object)),
        io.StringIO(f"a,{HALF}\n1,2\n"),
    ],
    ids=["columns", "dicts", "frame", "csv"],
)
def test_half_a_character_in_the_name_of_a_column_is_an_error(data: Any) -> None:
    with pytest.raises(DataError, match=r"in the names of the columns of the .*, but '\\ud800'"):
        read_table(data)


@pytest.mark.parametrize(
    "data",
    [
        [{"a": torch.tensor(1.5)}, {"a": np.array(2)}, {"a": np.float32(3)}],
        {"a": [torch.tensor(1.5), np.array(2), 3]},
    ],
    ids=["rows", "columns"],
)
def test_tensors_and_arrays_of_one_number_are_numbers(data: Any) -> None:
    assert read_numbers(get_column(read_table(data), "a", "train"), "", "train").tolist() == [1.5, 2, 3]


def test_an_integer_that_no_float_can_hold_is_infinite_and_so_missing() -> None:
    column = get_column(read_table({"a": [1, 10**400, -(10**400)]}), "a", "train")
    assert np.isnan(read_numbers(column, "", "train")).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "values",
    [
        ["1", "2", "3"],
        ["1", "2.5", None],
        ["1e3", "-7", "9007199254740993"],
        ["a", "1", "b", None],
        ["18446744073709551615", "1"],
        ["", "1", " 2 "],
        ["yes", "no"],
        [None, None],
    ],
)
def test_values_that_repeat_are_read_as_those_of_few_rows(values: list[str | None]) -> None:

    cells = pd.Series(values * 1000, dtype=object)
    pd.testing.assert_series_equal(_as_numbers(cells), pd.to_numeric(cells, errors="coerce"))
