"""Tables of every form: one reader, whose promises hold for all of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flash.data.tables import Table, check_encodable, is_table, is_table_file, read_table, whole_numbers
from flash.errors import ConfigurationError, DataError, DownloadError, MissingColumnError

ROWS: dict[str, list[Any]] = {"file": ["a.jpg", "b.jpg"], "kind": ["001", None]}


CSV = "file,kind\na.jpg,001\nb.jpg,\n"


def columns(source: Any, **options: Any) -> dict[str, list[Any]]:
    return dict(read_table(source, **options))


class TestSources:
    def test_every_way_to_name_a_file_gives_the_same_table(self, tmp_path: Path, written: Any) -> None:
        file = written(tmp_path / "t.csv", CSV)
        with file.open() as text, file.open("rb") as binary:
            for source in (file, str(file), file.as_uri(), text, binary, io.StringIO(CSV), [file]):
                assert columns(source) == ROWS

    @pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
    @pytest.mark.parametrize("name", ["t.csv.gz", "t.csv", "t"])
    def test_compression_is_found_in_the_content(self, tmp_path: Path, pack: Any, name: str, written: Any) -> None:
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

    def test_a_damaged_file_says_so(self, tmp_path: Path, written: Any) -> None:
        with pytest.raises(DataError, match="Expected a whole compressed file at .* but it is damaged"):
            read_table(written(tmp_path / "t.csv.gz", gzip.compress(CSV.encode())[:-9]))

    def test_rows_of_several_files_follow_each_other(self, tmp_path: Path, written: Any) -> None:
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


def test_a_single_row_of_a_data_frame_is_refused_with_what_to_pass() -> None:
    class Series:
        iloc = None

    with pytest.raises(DataError, match=r"but got Series\. For a row of a data frame, pass frame\.iloc\[\[0\]\]\."):
        read_table(Series())  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\ud800.csv"])
def test_a_path_that_no_file_can_have_is_an_error(name: str) -> None:
    with pytest.raises(DataError, match="but there is no such file. Check the path"):
        read_table(name)


@pytest.mark.parametrize("encoding", ["utf-16", "idna", "ascii"])
def test_a_wrong_encoding_is_an_error(encoding: str) -> None:
    with pytest.raises(DataError, match="text in the open file, but: .* Name its encoding"):
        read_table(io.BytesIO(b"a,b\n1,\xe4"), encoding=encoding)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"a,b\n1,2\n" * 99)[:-20] + b"#" * 20, b"\x1f\x8b\x08\0\0\0\0\0\0\3xxxxxx"],
    ids=["end", "whole"],
)
def test_damage_in_a_compressed_file_is_an_error(content: bytes) -> None:
    with pytest.raises(DataError, match="a whole compressed file at the open file, but it is damaged"):
        read_table(io.BytesIO(content))


def test_a_truncated_bzip2_file_is_an_error() -> None:
    content = bz2.compress(b"a,b\n" + b"1,2\n" * 100)
    with pytest.raises(DataError, match="Expected a whole compressed file at the open file, but it is damaged .*again"):
        read_table(io.BytesIO(content[:-20]))


def test_a_zip_file_whose_parts_are_not_where_it_says_is_an_error() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("t.csv", "a,b\n1,2\n" * 20)
    content = file.getvalue()
    with pytest.raises(DataError, match="Expected a whole compressed file at the open file, but it is damaged"):
        read_table(io.BytesIO(content[:40] + content[60:]))


def test_a_pointer_of_git_lfs_is_no_table() -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 867179\n"
    with pytest.raises(DataError, match="it is a pointer of Git LFS to the table. Fetch the file itself: git lfs pull"):
        read_table(io.StringIO(pointer))


def test_an_encrypted_zip_file_is_an_error() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")
    data = bytearray(file.getvalue())
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(mark) + place] |= 1
    with pytest.raises(DataError, match="it is damaged .*encrypted"):
        read_table(io.BytesIO(bytes(data)))


@pytest.mark.parametrize("text", ["\ud800", "a\udcff", "\udc00\ud800", "é\udfffz" * 100])
def test_half_a_character_is_an_error_that_shows_it_and_its_row(text: str) -> None:
    with pytest.raises(DataError, match=r"in column 'a', but '.*\\ud.*\(number 2, counted from 0\) has half") as raised:
        check_encodable(["good", None, text, "\ud800"], "column 'a'")
    str(raised.value).encode()
    assert len(str(raised.value)) < 400


def test_what_is_written_whole_passes() -> None:
    check_encodable(["", "é", "\U0001f600", "\0", "\uffff", 7, None, b"\xff", ["\ud800"]], "column 'a'")
    check_encodable([], "column 'a'")


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_a_compressed_table_of_zeros_is_refused_before_it_is_unpacked_whole(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash.data.tables._MOST_UNPACKED", 1 << 16)
    text = b"a,b\n" + b"0,0\n" * (1 << 22)  # more than the dictionary of xz
    packers: dict[str, Any] = {"gz": gzip, "bz2": bz2, "xz": lzma}
    path = tmp_path / f"zeros.csv.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros.csv", text)
    else:
        path.write_bytes(packers[suffix].compress(text))
    tracemalloc.start()
    with pytest.raises(DataError, match="a compressed table of at most 100 times its size, but .* If you trust"):
        read_table(path)
    assert tracemalloc.get_traced_memory()[1] < len(text)
    tracemalloc.stop()
    path.write_bytes(gzip.compress(b"a,b\n" + b"\n".join(b"%d,%d" % (row, row * 7) for row in range(5000))))
    assert read_table(path).num_rows == 5000
