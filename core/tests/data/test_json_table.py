"""Tables in JSON."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from flash.data._json_table import parse_json
from flash.data.tables import read_table
from flash.errors import DataError


def columns(source: Any, **options: Any) -> dict[str, list[Any]]:
    return dict(read_table(source, **options))


def of_text(text: str | bytes, **options: Any) -> dict[str, list[Any]]:
    return columns(io.StringIO(text) if isinstance(text, str) else io.BytesIO(text), **options)


class TestJson:
    WANTED = {"t": ["a\u2028b", "c"], "y": [["x"], None]}  # noqa: RUF012  # never changed
    LINES = '{"t": "a\u2028b", "y": ["x"]}\n\n{"t": "c"}\n'

    def test_every_form_gives_the_same_table(self, tmp_path: Path, written: Any) -> None:
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

    def test_one_line_is_one_row(self, tmp_path: Path, written: Any) -> None:
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


@pytest.mark.parametrize("lines", [None, True])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "[" * 100_000])
def test_endless_brackets_are_an_error(text: str, lines: bool | None) -> None:
    with pytest.raises(DataError, match=r"Expected JSON in t.json, a list of objects or an object in each line, but"):
        parse_json(text, "t.json", lines=lines)
