"""Tables with texts: read as they are written, and refused with a sentence where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.errors import DataError, MissingColumnError
from flash.text.read import column, read_csv, read_file, read_json, read_parquet, texts_of


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def make(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


class TestCsv:
    def test_texts_stay_as_they_are_written(self, write: Any) -> None:
        frame = read_csv(write('review,n\nNA,1\nnull,2\n007,3\n,4\n"a, ""b""\nc",5\n'), ["review"])
        assert frame["review"].tolist() == ["NA", "null", "007", "", 'a, "b"\nc']

    def test_a_target_that_is_nothing_is_missing_and_none_is_a_class(self, write: Any) -> None:
        frame = read_csv(write("review,label\na,None\nb,\nc,NA\n"), ["review"], ["label"])
        assert frame["label"].isna().tolist() == [False, True, False]

    def test_numbers_as_targets_are_numbers(self, write: Any) -> None:
        assert read_csv(write("review,label\na,1\nb,0\n"), ["review"], ["label"])["label"].tolist() == [1, 0]

    def test_a_mark_at_the_start_of_the_file_is_no_part_of_a_name(self, write: Any) -> None:
        assert list(read_csv(write(b"\xef\xbb\xbfreview,label\na,1\n")).columns) == ["review", "label"]

    def test_tabs_separate_a_tsv_file(self, write: Any) -> None:
        assert read_file(write("review\tlabel\na, b\t1\n", "table.tsv"))["review"].tolist() == ["a, b"]

    @pytest.mark.parametrize("mark", [";", "\t", "|"])
    def test_another_separator_is_named(self, write: Any, mark: str) -> None:
        with pytest.raises(DataError, match="Expected columns separated by ',' .* but its first line is .*sep="):
            read_csv(write(f"review{mark}label\na{mark}1\n"))

    def test_an_empty_file_says_so(self, write: Any) -> None:
        with pytest.raises(DataError, match="but the file is empty."):
            read_csv(write(""))

    def test_a_file_of_names_alone_says_so(self, write: Any) -> None:
        with pytest.raises(DataError, match=r"to have rows and columns, but it has shape \(0, 2\)"):
            read_csv(write("review,label\n"))

    def test_a_file_that_is_not_there_says_so(self) -> None:
        with pytest.raises(DataError, match="Expected a table at nowhere.csv, but there is no such file."):
            read_csv("nowhere.csv")

    def test_other_encodings_say_how_to_read_them(self, write: Any) -> None:
        with pytest.raises(DataError, match=r"Expected a table of UTF-8 text in .* encoding="):
            read_csv(write("review,label\ncafé,1\n".encode("latin-1")))

    @pytest.mark.parametrize("rows", ["a, b,1\n", "a,1\nb, c, d,1\n"])
    def test_texts_with_commas_and_no_quotes_say_so(self, write: Any, rows: str) -> None:
        with pytest.raises(DataError, match="Put texts that contain ',' in double quotes."):
            read_csv(write("review,label\n" + rows), ["review"])


class TestJson:
    ROWS = [{"review": "a", "label": ["x"]}, {"review": "b", "label": []}]  # noqa: RUF012  # never changed

    @pytest.mark.parametrize(
        "content",
        [
            json.dumps(ROWS),
            "\n".join(map(json.dumps, ROWS)) + "\n\n",
            json.dumps({"review": ["a", "b"], "label": [["x"], []]}),
            json.dumps(ROWS, indent=2),
        ],
    )
    def test_each_usual_form_is_read(self, write: Any, content: str) -> None:
        frame = read_json(write(content, "table.json"))
        assert frame["review"].tolist() == ["a", "b"]
        assert frame["label"].tolist() == [["x"], []]

    def test_rows_inside_an_object_are_found_by_their_field(self, write: Any) -> None:
        path = write(json.dumps({"version": 1, "data": self.ROWS}), "table.json")
        assert len(read_json(path, field="data")) == 2
        with pytest.raises(DataError, match="name what holds them: field='data'"):
            read_json(path)
        with pytest.raises(DataError, match="Expected an object with 'rows' in .* but it has 'version', 'data'."):
            read_json(path, field="rows")

    def test_dates_and_numbers_in_texts_stay_texts(self, write: Any) -> None:
        frame = read_json(write('[{"review": "2020-01-01"}, {"review": "12"}]', "table.json"))
        assert frame["review"].tolist() == ["2020-01-01", "12"]

    @pytest.mark.parametrize("content", ["{", "[1, 2]", "[]", "", '"text"', '{"a": [1], "b": [1, 2]}', "{}"])
    def test_anything_else_is_an_error(self, write: Any, content: str) -> None:
        with pytest.raises(DataError, match="Expected"):
            read_json(write(content, "table.json"))

    def test_other_encodings_are_an_error(self, write: Any) -> None:
        with pytest.raises(DataError, match="Expected JSON, which is UTF-8 text"):
            read_json(write('[{"review": "café"}]'.encode("latin-1"), "table.json"))


class TestParquet:
    def test_a_file_is_read(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
        pd.DataFrame({"review": ["a"], "label": [["x"]]}).to_parquet(tmp_path / "table.parquet")
        assert read_file(tmp_path / "table.parquet")["review"].tolist() == ["a"]

    def test_another_kind_of_file_is_an_error(self, write: Any) -> None:
        pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
        with pytest.raises(DataError, match="Expected a Parquet file at"):
            read_parquet(write("review,label\n", "table.parquet"))


class TestColumns:
    def test_a_missing_column_says_which_there_are(self) -> None:
        with pytest.raises(
            MissingColumnError, match="Expected a column 'text' in the train data, but it has 'review'."
        ):
            column(pd.DataFrame({"review": ["a"]}), "text", "the train data")

    def test_numbers_become_their_digits(self) -> None:
        assert texts_of([7, 1.5, True, np.int64(3), ""], "the train data") == ["7", "1.5", "True", "3", ""]

    @pytest.mark.parametrize("nothing", [None, float("nan"), np.nan, pd.NA, pd.NaT, np.float64("nan")])
    def test_missing_texts_are_counted_and_the_first_is_named(self, nothing: Any) -> None:
        with pytest.raises(DataError, match="2 of 4 have none, the first of them row 1 .* Drop these rows, or fill"):
            texts_of(["a", nothing, "b", nothing], "the val data")

    def test_what_is_no_text_says_so(self) -> None:
        with pytest.raises(DataError, match=r"row 1 \(counted from 0\) is a list. Make it a text first."):
            texts_of(["a", ["b"]], "the train data")
