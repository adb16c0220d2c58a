"""Tables of every form: one reader, whose promises hold for all of them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flash.data.tables import Table, is_missing, is_table, is_table_file, read_table, whole_numbers
from flash.errors import ConfigurationError, DataError, DownloadError, MissingColumnError

ROWS = {"file": ["a.jpg", "b.jpg"], "kind": ["001", None]}
CSV = "file,kind\na.jpg,001\nb.jpg,\n"


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def columns(source: Any, **options: Any) -> dict[str, list[Any]]:
    return dict(read_table(source, **options))


def of_text(text: str | bytes, **options: Any) -> dict[str, list[Any]]:
    return columns(io.StringIO(text) if isinstance(text, str) else io.BytesIO(text), **options)


class TestSources:
    def test_every_way_to_name_a_file_gives_the_same_table(self, tmp_path: Path) -> None:
        file = written(tmp_path / "t.csv", CSV)
        with file.open() as text, file.open("rb") as binary:
            for source in (file, str(file), file.as_uri(), text, binary, io.StringIO(CSV), [file]):
                assert columns(source) == ROWS

    @pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
    @pytest.mark.parametrize("name", ["t.csv.gz", "t.csv", "t"])
    def test_compression_is_found_in_the_content(self, tmp_path: Path, pack: Any, name: str) -> None:
        assert columns(written(tmp_path / name, pack(CSV.encode()))) == ROWS

    def test_a_zip_file_has_one_table(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
            archive.writestr("t.csv", CSV)
        assert columns(tmp_path / "t.csv.zip") == ROWS
        with zipfile.ZipFile(tmp_path / "t.csv.zip", "a") as archive:
            archive.writestr("u.csv", CSV)
        with pytest.raises(DataError, match=r"a zip file with one table in .*, but it has 2 files\."):
            read_table(tmp_path / "t.csv.zip")
        with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
            archive.writestr("xl/workbook.xml", "")
            archive.writestr("[Content_Types].xml", "")
        with pytest.raises(DataError, match="it is an Excel workbook: save it as CSV"):
            read_table(tmp_path / "t.xlsx")

    def test_a_damaged_file_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="Expected a whole compressed file at .* but it is damaged"):
            read_table(written(tmp_path / "t.csv.gz", gzip.compress(CSV.encode())[:-9]))

    def test_rows_of_several_files_follow_each_other(self, tmp_path: Path) -> None:
        one = written(tmp_path / "one.csv", CSV)
        two = written(tmp_path / "two.csv", "kind;file\n7;c.jpg\n")
        table = read_table([one, two])
        assert dict(table) == {"file": ["a.jpg", "b.jpg", "c.jpg"], "kind": ["001", None, "7"]}
        with pytest.raises(DataError, match="the same columns in .* but only one of them has 'file', 'x'"):
            read_table([one, written(tmp_path / "two.csv", "x,kind\n1,2\n")])

    def test_a_file_that_is_not_there_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"Expected a table at gone\.csv, but there is no such file"):
            read_table("gone.csv")
        with pytest.raises(DownloadError):
            read_table((tmp_path / "gone.csv").as_uri())

    def test_a_folder_without_parquet_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="a folder of Parquet files, at .*, but the folder holds none"):
            read_table(tmp_path)

    def test_tables_in_memory_keep_their_values(self) -> None:
        assert columns({"a": (1, float("nan")), 2: ["x", "y"]}) == {"a": [1, None], "2": ["x", "y"]}
        assert columns([{"a": 1}, {"a": 2, "b": [3]}]) == {"a": [1, 2], "b": [None, [3]]}
        table = Table({"a": [1]})
        assert read_table(table) is table

    @pytest.mark.parametrize("source", [7, None, ["a", {}], [], {"a": 1, "b": 2}, object()])
    def test_what_is_no_table_says_so(self, source: Any) -> None:
        with pytest.raises(DataError, match=r"Expected a (table: a path, a URL|dict of columns, but 'a' is a single)"):
            read_table(source)

    def test_columns_of_different_lengths_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"Expected columns of one length, but got lengths \[1, 2\]"):
            read_table({"a": [1, 2], "b": [1]})

    @pytest.mark.parametrize("source", [{}, {"a": []}])
    def test_a_table_without_rows_says_so(self, source: Any) -> None:
        with pytest.raises(
            DataError, match=r"Expected the train data to have rows and columns, but it has shape \(0, "
        ):
            read_table(source, name="the train data")

    def test_names_tell_the_format(self) -> None:
        assert [is_table_file(name) for name in ("a.CSV", "b.tsv.gz", "http://h/c.jsonl?x=1", "d.png", "text", 7)] == [
            *(True, True, True),
            *(False, False, False),
        ]
        assert [is_table(data) for data in ({"a": [1]}, [{"a": 1}], ["a"], "a.csv", 7)] == [True, True] + [False] * 3


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

    def test_tabs_separate_tsv_files_whatever_is_in_them(self, tmp_path: Path) -> None:
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
    def test_an_empty_file_says_so(self, tmp_path: Path, text: str) -> None:
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


class TestJson:
    WANTED = {"t": ["a\u2028b", "c"], "y": [["x"], None]}  # noqa: RUF012  # never changed
    LINES = '{"t": "a\u2028b", "y": ["x"]}\n\n{"t": "c"}\n'

    def test_every_form_gives_the_same_table(self, tmp_path: Path) -> None:
        rows = [{"t": "a\u2028b", "y": ["x"]}, {"t": "c", "y": None}]
        for name, text in (
            ("t.json", json.dumps(rows, indent=2)),
            ("t.json", json.dumps({"t": ["a\u2028b", "c"], "y": [["x"], float("nan")]})),
            ("t.json", self.LINES),
            ("t.jsonl", self.LINES),
            ("t.ndjson.gz", self.LINES),
        ):
            content = text.encode()
            path = written(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
            table = read_table(path)
            assert dict(table) == self.WANTED
            assert not table.is_text

    def test_one_line_is_one_row(self, tmp_path: Path) -> None:
        assert columns(written(tmp_path / "t.jsonl", '{"t": ["a"]}\n')) == {"t": [["a"]]}
        assert columns(written(tmp_path / "t.json", '{"t": "a"}\n')) == {"t": ["a"]}

    def test_rows_inside_an_object_are_found_by_their_field(self) -> None:
        text = '{"version": 1, "data": [{"a": 1}]}'
        assert of_text(text, field="data") == {"a": [1]}
        with pytest.raises(DataError, match="name what holds them: field='data'"):
            of_text(text)
        with pytest.raises(DataError, match="Expected an object with 'rows' in .* but it has 'version', 'data'"):
            of_text(text, field="rows")
        with pytest.raises(DataError, match="Expected an object with 'rows' in .* but it is a list"):
            of_text("[]", field="rows")

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("{not json", "Expecting property name"),
            ('{"a": 1}\n{bad}\n', "line 2 is none"),
            ('{"a": 1}\n[2]\n', r"line 2 is no object, but '\[2\]'"),
            ('[{"a": 1, "a": 2}]', "an object has the key 'a' twice"),
            ("[1, 2]", "another kind of JSON"),
            ('{"a": [1], "b": [1, 2]}', r"columns of one length in .* lengths \[1, 2\]"),
        ],
    )
    def test_anything_else_says_what_is_wrong(self, text: str, why: str) -> None:
        with pytest.raises(DataError, match=why):
            of_text(text, format="json")


class TestFrames:
    """Data frames of libraries that core does not need: what they have in common with these stand-ins."""

    def test_a_missing_library_for_parquet_says_what_to_install(self, tmp_path: Path) -> None:
        path = written(tmp_path / "t.parquet", b"PAR1")
        with pytest.raises(DataError, match=r"pip install pyarrow|Expected a Parquet file at"):
            read_table(path)
        with pytest.raises(DataError, match=r"pip install pyarrow|Expected a Parquet file at"):
            read_table(path.read_bytes and io.BytesIO(b"PAR1"))

    def test_columns_are_taken_from_frames_by_what_they_can(self) -> None:
        class Arrow:
            column_names = ("a", "b")
            columns = ((1, 2), (None, "x"))

            def to_pydict(self) -> None: ...

        class Polars:
            columns = ("a", "b")

            def get_columns(self) -> Any:
                return [[1, 2], [None, "x"]]

        class Lazy:
            def collect_schema(self) -> None: ...

            def collect(self) -> Polars:
                return Polars()

        for frame in (Arrow(), Polars(), Lazy()):
            table = read_table(frame, name="the train data")
            assert dict(table) == {"a": [1, 2], "b": [None, "x"]}
            assert table.frame is not None
            assert table.num_rows == 2


def test_a_missing_column_is_answered_with_the_closest() -> None:
    table = Table(ROWS, "the train data")
    with pytest.raises(
        MissingColumnError,
        match=r"Expected a column 'kinds' in the train data, but it has 'file', 'kind'. Did you mean",
    ):
        table["kinds"]
    assert "kinds" not in table
    assert table.get("kinds") is None
    assert (len(table), list(table)) == (2, ["file", "kind"])


def test_rows_can_be_taken() -> None:
    table = Table(ROWS, "t.csv", is_text=True).take([1])
    assert dict(table) == {"file": ["b.jpg"], "kind": [None]}
    assert (table.name, table.is_text, table.frame) == ("t.csv", True, None)


def test_text_becomes_numbers_only_where_nothing_is_lost() -> None:
    assert whole_numbers(["3", "10", "-1", None]) == [3, 10, -1, None]
    for kept in (["007", "10"], ["3", "x"], ["1.0", "2"], ["--1"], ["9" * 20], ["²"]):
        assert whole_numbers(kept) == kept


def test_formats_have_names() -> None:
    with pytest.raises(
        ConfigurationError, match="Expected format to be one of csv, tsv, json, jsonl, parquet, but got"
    ):
        read_table("t.csv", format="xml")  # type: ignore[arg-type]  # as users do


def test_what_is_missing_is_known_by_its_kind() -> None:
    import numpy as np

    assert all(map(is_missing, (None, float("nan"), np.float32("nan"), np.datetime64("NaT"))))
    assert not any(map(is_missing, ("", "nan", 0, False, [], np.array([np.nan, 1]), np.int64(1), b"")))
