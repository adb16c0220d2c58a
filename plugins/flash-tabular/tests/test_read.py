"""Reading tables: what becomes a data frame, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.errors import DataError
from flash.tabular.read import read_csv, read_table


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


@pytest.mark.parametrize("data", [np.zeros((2, 2)), pd.Series({"a": 1}), 7, (row for row in [])])
def test_what_is_no_table_is_refused_with_its_type(data: Any) -> None:
    with pytest.raises(DataError, match=rf"Expected a table: a pandas DataFrame.*but got {type(data).__name__}"):
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


@pytest.mark.parametrize("name", ["t.tsv", "t.TSV", "t.tsv.gz"])
def test_tab_separated_files_are_known_by_their_ending(name: str) -> None:
    pd.DataFrame({"a": [1], "b": ["x,y"]}).to_csv(name, index=False, sep="\t")
    assert read_table(Path(name)).to_dict("list") == {"a": [1], "b": ["x,y"]}


def test_a_byte_order_mark_does_not_get_into_the_first_name() -> None:
    assert read_csv(write("t.csv", "\ufeffa,b\n1,2\n")).columns.tolist() == ["a", "b"]


def test_columns_that_are_text_keep_leading_zeros() -> None:
    path = write("t.csv", "code,n\n007,1\n010,2\n")
    assert read_csv(path)["code"].tolist() == [7, 10]
    assert read_csv(path, ["code", "unknown"])["code"].tolist() == ["007", "010"]


def test_a_code_is_one_text_in_all_parts_of_a_large_file() -> None:
    rows = ["007"] * 300_000 + ["A1"] + ["007"] * 300_000
    path = write("t.csv", "code,n\n" + "\n".join(f"{code},1" for code in rows))
    assert set(read_csv(path)["code"].unique()) == {"007", "A1"}


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet", "."])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(DataError, match="Expected a table at .*, but there is no such file"):
        read_table(name)


def test_an_empty_file_is_named() -> None:
    with pytest.raises(DataError, match=r"Expected a table in t.csv, but the file is empty"):
        read_table(write("t.csv", ""))


def test_a_file_with_names_and_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"Expected t.csv to have rows and columns, but it has shape \(0, 2\)"):
        read_table(write("t.csv", "a,b\n"))


@pytest.mark.parametrize("text", ["a;b\n1;2\n", "a\tb\n1\t2\n", "a|b\n1|2\n"])
def test_another_separator_is_recognised_and_the_way_out_named(text: str) -> None:
    with pytest.raises(DataError, match=r"columns separated by ','.*first line is.*pandas.read_csv\(path, sep=...\)"):
        read_table(write("t.csv", text))


@pytest.mark.parametrize("text", ["a,b\n1,2,3\n4,5,6\n", "a,b\n0,2,3\n1,5,6\n"])
def test_rows_that_are_longer_than_the_first_line_do_not_move_to_other_columns(text: str) -> None:
    with pytest.raises(DataError, match=r"Expected 2 values in each row of t.csv.*rows have more"):
        read_table(write("t.csv", text))


def test_separators_at_the_end_of_the_rows_change_nothing() -> None:
    assert read_table(write("t.csv", "a,b\n1,2,\n4,5,\n")).to_dict("list") == {"a": [1, 4], "b": [2, 5]}


def test_a_row_that_is_too_long_is_refused_with_its_line() -> None:
    with pytest.raises(DataError, match="Expected 2 fields in line 3, saw 3"):
        read_table(write("t.csv", "a,b\n1,2\n4,5,6\n"))


def test_two_columns_of_one_name_in_a_file_are_refused_and_not_renamed() -> None:
    with pytest.raises(DataError, match=r"different names in t.csv, but there are several of 'a'"):
        read_table(write("t.csv", "a,b,a\n1,2,3\n"))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_in_another_encoding_is_refused_and_the_way_out_named(encoding: str) -> None:
    with pytest.raises(DataError, match=r"Expected a table of UTF-8 text in t.csv.*encoding="):
        read_table(write("t.csv", "a,b\né,2\n", encoding))


# ---------------------------------------------------------------------- Parquet


@pytest.mark.parametrize("name", ["t.parquet", "t.PARQUET", "t.pq"])
def test_parquet_files_are_known_by_their_ending(name: str) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1, 2]}).to_parquet(name)
    assert read_table(name)["a"].tolist() == [1, 2]


def test_another_kind_of_file_is_no_parquet_file() -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"Expected a Parquet file at t.parquet, but"):
        read_table(write("t.parquet", "a,b\n1,2\n"))


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ImportError("no pyarrow")

    monkeypatch.setattr(pd, "read_parquet", refuse)
    with pytest.raises(DataError, match=r"pip install 'flash-tabular\[parquet\]'"):
        read_table(write("t.parquet", "x"))
