"""Parts of a large table: together the whole table, one at a time in memory, with the errors of the whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from flash.data import table_parts as module
from flash.data import tables
from flash.data.table_parts import table_parts
from flash.data.tables import Table, is_large_table, read_table
from flash.errors import ConfigurationError, DataError


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three rows, of files of any size."""
    monkeypatch.setattr(module, "PART_ROWS", 3)
    monkeypatch.setattr(tables, "SMALL_BYTES", 1)


def joined(parts: list[Table]) -> dict[str, list[Any]]:
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


TEXTS = {
    "plain.csv": "a,b\n" + "".join(f"{row},x{row}\n" for row in range(8)),
    "exact.csv": "a,b\n" + "".join(f"{row},x{row}\n" for row in range(6)),
    "quoted.csv": 'a,b\n1,"one\ntwo, three"\n2,"say ""hi"""\n3,\n,4\n"5\r\n",x\n',
    "blank_lines.csv": "\n\na;b\n\n1;2\n\n\n3;4\n5;6\n7;8\n\n",
    "carriage_returns.csv": "a,b\r1,2\r3,4\r5,6\r7,8\r",
    "no_last_line_end.csv": "a,b\n1,2\n3,4\n5,6\n7,8",
    "one_column.csv": "a\n1\n2\n3\n4\n",
    "tabs.tsv": "a\tb\n1\t2,5\n3\t4\n5\t6\n7\t8\n",
    "text.txt": "a|b\n1|2\n3|4\n5|6\n7|8\n",
    "marked.csv": "\ufeffa,b\n1,2\n3,4\n5,6\n7,8\n",
    "lines.jsonl": "".join(json.dumps({"a": row, "b": [row], "c\u2028": "\u2028"}) + "\n" for row in range(7)),
    "later.jsonl": '{"a": 1}\n{"a": 2}\n{"a": 3}\n{"b": 4, "a": 5}\n{"c": 6}\n',
    "gaps.jsonl": '{"a": 1, "b": 2}\n\n{"a": 3}\n{"a": null}\n{"a": 5}\n{"b": 6}\n',
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_parts_of_a_table_are_the_whole_table(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(TEXTS[name].encode())
    assert is_large_table(path)
    parts = list(table_parts(path))
    whole = read_table(path)
    assert joined(parts) == dict(whole)
    assert {part.is_text for part in parts} == {whole.is_text}
    assert all(part.folder == tmp_path for part in parts)
    assert len(parts) > 1
    if name != "gaps.jsonl":
        assert {part.num_rows for part in parts[:-1]} == {3}


def test_a_part_tells_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text(TEXTS["plain.csv"])
    names = [part.name.removeprefix(str(path)) for part in table_parts(str(path))]
    expected = [", rows 0 to 2", ", rows 3 to 5", ", rows 6 to 7"]
    assert names == [f"{each} (counted from 0)" for each in expected]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("a;b\n1,5;2\n3;4\n5;6\n7;8\n", {"sep": ";"}),
        ("a;b\n1,5;2\n3;4\n5;6\n7;8\n", {"delimiter": ";"}),
        ("a,b\n'1,5',2\n3,4\n5,6\n7,8\n", {"quotechar": "'"}),
        ('a,b\n"1,2\n3,"4\n5,6\n7,8\n', {"quotechar": None}),
        ("a,b\né,2\n3,4\n5,6\n7,ü\n", {"encoding": "cp1252"}),
        ("a,b\né,2\n3,4\n5,6\n7,ü\n", {"encoding": "utf-16"}),
    ],
)
def test_options_are_those_of_the_whole(content: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode(options.get("encoding", "utf-8")))
    assert joined(list(table_parts(path, **options))) == dict(read_table(path, **options))


WRONG: dict[str, bytes] = {
    "long_row.csv": b"a,b\n" + b"1,2\n" * 7 + b"1,2,3\n",
    "open_quote.csv": b"a,b\n" + b"1,2\n" * 4 + b'1,"2\n' + b"3,4\n" * 3,
    "no_utf8.csv": b"a,b\n" + b"1,2\n" * 7 + b"\xff,2\n",
    "twice.csv": b"a,a\n1,2\n",
    "unnamed.csv": b"a,\n1,2\n",
    "empty.csv": b"\n\n",
    "only_names.csv": b"a,b\n",
    "json_in.txt": b'[{"a": 1}, {"a": 2}, {"a": 3}]',
    "no_json.jsonl": b'{"a": 1}\n' * 5 + b"{no}\n",
    "no_object.jsonl": b'{"a": 1}\n' * 5 + b"[1]\n",
    "half.csv.gz": gzip.compress(b"a,b\n1,2\n")[:-9],
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_the_error_of_the_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name.removesuffix(".gz")
    path.write_bytes(WRONG[name])
    with pytest.raises(DataError) as whole:
        read_table(path)
    with pytest.raises(DataError) as in_parts:
        list(table_parts(path))
    assert str(in_parts.value) == str(whole.value)


def test_options_that_contradict_each_other_are_the_error_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(TEXTS["lines.jsonl"])
    for options, message in (
        ({"sep": ",", "delimiter": ";"}, "Expected sep or delimiter, its other name, but got ',' and ';'"),
        ({"sep": ",,"}, "Expected sep to be a single character, but got ',,'"),
        ({"sep": ","}, "Expected text whose cells are separated by ','"),
        ({"encoding": "utf-9"}, "Expected encoding to name one that Python knows"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            list(table_parts(path, **options))


def test_a_file_that_changes_while_it_is_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"
    path.write_bytes(WRONG["long_row.csv"])
    parts = table_parts(path)
    next(parts)
    path.write_text(TEXTS["plain.csv"].replace("7,x7", "7,x7,more"))
    next(parts)
    path.write_text(TEXTS["plain.csv"])
    with pytest.raises(DataError, match=r"Expected .*changes.csv to stay as it is while it is read, but it changed"):
        list(parts)


def test_a_compressed_file_and_what_is_no_file_are_not_large(tmp_path: Path) -> None:
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(TEXTS["plain.csv"].encode()))
    (tmp_path / "image.png").write_bytes(b"x" * 100)
    names = ["table.csv.gz", "image.png", "no.csv", ""]
    assert not any(is_large_table(tmp_path / name) for name in names)
    assert not is_large_table({"a": [1]})


def test_a_compressed_table_that_is_not_named_so_is_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(gzip.compress(TEXTS["plain.csv"].encode()))
    (only,) = table_parts(path)
    assert dict(only) == dict(read_table(path))


def test_a_small_file_is_not_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain.csv"
    path.write_text(TEXTS["plain.csv"])
    monkeypatch.setattr(tables, "SMALL_BYTES", path.stat().st_size + 1)
    assert not is_large_table(path)


def test_a_part_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "wrong_later.csv"
    path.write_bytes(WRONG["long_row.csv"])
    parts = table_parts(path)
    assert [next(parts).num_rows, next(parts).num_rows] == [3, 3]
    with pytest.raises(DataError, match="line 9 has 3"):
        next(parts)
