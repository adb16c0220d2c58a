"""Delimited text: separators, quotes, encodings, and rows that do not fit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from flash.data.tables import read_table
from flash.errors import ConfigurationError, DataError


def columns(source: Any, **options: Any) -> dict[str, list[Any]]:
    return dict(read_table(source, **options))


def of_text(text: str | bytes, **options: Any) -> dict[str, list[Any]]:
    return columns(io.StringIO(text) if isinstance(text, str) else io.BytesIO(text), **options)


class TestDelimited:
    @pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
    def test_the_separator_is_found(self, mark: str) -> None:
        text = 'na,me;y\n"a; b, c | d",1\n'.replace("na,me", "name").replace('";y', mark)
        text = f'name{mark}y\n"a; b, c | d\t",1\n'.replace('",1', f'"{mark}1')
        assert of_text(text) == {"name": ["a; b, c | d\t"], "y": ["1"]}

    def test_rows_decide_where_the_first_line_does_not(self) -> None:
        assert of_text("name;a|b\nx;1\n") == {"name": ["x"], "a|b": ["1"]}
        with pytest.raises(DataError, match=r"'a,b\|c' can be read with ',' or '\|'. Say which: sep=','"):
            of_text("a,b|c\n1,2|3\n")

    def test_the_separator_can_be_named_by_two_names(self) -> None:
        for options in ({"sep": "|"}, {"delimiter": "|"}, {"sep": "|", "delimiter": "|"}):
            assert of_text("a,b|c\n1,2|3\n", **options) == {"a,b": ["1,2"], "c": ["3"]}
        with pytest.raises(ConfigurationError, match="Expected sep or delimiter, its other name, but got ',' and ';'"):
            of_text("a\n1\n", sep=",", delimiter=";")
        with pytest.raises(ConfigurationError, match="Expected sep to be a single character, but got '::'"):
            of_text("a\n1\n", sep="::")

    def test_tabs_separate_tsv_files_whatever_is_in_them(self, tmp_path: Path, written: Any) -> None:
        assert columns(written(tmp_path / "t.tsv", "a,b\n1,2\n")) == {"a,b": ["1,2"]}

    def test_cells_stay_as_they_are_written_and_an_empty_one_is_missing(self) -> None:
        text = 'a,b\n001,1.10\nNone,NA\n" x ",\n"say ""hi""","two\nlines"\n\n'
        assert of_text(text) == {
            "a": ["001", "None", " x ", 'say "hi"'],
            "b": ["1.10", "NA", None, "two\nlines"],
        }

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_lines_may_end_in_any_way(self, end: str) -> None:
        assert of_text(f"a,b{end}1,2{end}".encode()) == {"a": ["1"], "b": ["2"]}

    @pytest.mark.parametrize(
        ("text", "line", "values"), [("a,b\n1,2\n3,4,5\n", 3, 3), ('a,b\n"1\n",2\n\n3\n', 5, 1), ("a,b\n1,2,\n", 2, 3)]
    )
    def test_a_row_that_does_not_fit_is_named_by_its_line(self, text: str, line: int, values: int) -> None:
        with pytest.raises(
            DataError, match=f"Expected 2 values in each row .* but line {line} has {values}. Put cells"
        ):
            of_text(text)

    @pytest.mark.parametrize("text", ['a,b\n1,2\n3,"4\n5,6\n', 'a,b\n1,2\n"3"x,4\n'])
    def test_quotes_that_do_not_close_are_named_by_their_line(self, text: str) -> None:
        with pytest.raises(DataError, match='Expected quotes " that are closed.* the row that starts in line 3'):
            of_text(text)

    def test_quotes_can_be_others_or_none(self) -> None:
        assert of_text("a,b\n'1,5',2\n", quotechar="'") == {"a": ["1,5"], "b": ["2"]}
        assert of_text('a,b\n"x,2\n', quotechar=None) == {"a": ['"x'], "b": ["2"]}
        with pytest.raises(DataError, match="line 2 has 3. Add what is missing, or remove what is too much"):
            of_text("a,b\n1,2,3\n", quotechar=None)

    def test_columns_need_different_names(self) -> None:
        with pytest.raises(DataError, match="Expected columns with different names .* several of 'a'. Rename or drop"):
            of_text("a,b,a\n1,2,3\n")
        with pytest.raises(DataError, match=r"but column 1 of 2 has none\. Name it; .*to_csv\(path, index=False\)"):
            of_text(",a\n0,1\n")

    @pytest.mark.parametrize("text", ["", " \n\n"])
    def test_an_empty_file_says_so(self, tmp_path: Path, text: str, written: Any) -> None:
        with pytest.raises(DataError, match=r"Expected a table in .*t\.csv, but the file is empty\."):
            read_table(written(tmp_path / "t.csv", text))
        with pytest.raises(DataError, match=r"Expected a table in .*t\.json, but the file is empty\."):
            read_table(written(tmp_path / "t.json", text))

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    def test_a_byte_order_mark_tells_the_encoding(self, encoding: str) -> None:
        assert of_text("é,b\n1,2\n".encode(encoding)) == {"é": ["1"], "b": ["2"]}

    def test_another_encoding_is_named(self) -> None:
        text = "a,b\né,1\n".encode("latin-1")
        with pytest.raises(
            DataError, match="Expected a table of UTF-8 text in the open file, but: .*encoding='cp1252'"
        ):
            of_text(text)
        assert of_text(text, encoding="latin-1") == {"a": ["é"], "b": ["1"]}
        with pytest.raises(
            ConfigurationError, match="Expected encoding to name one that Python knows.* got 'latin-99'"
        ):
            of_text(text, encoding="latin-99")

    def test_long_documents_are_read(self) -> None:
        assert len(of_text(f"a,b\n{'x' * 200_000},1\n")["a"][0]) == 200_000
