"""Tables of any content: as the csv module, json and pandas read them, or an error."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from flash.data.tables import read_table
from flash.errors import FlashError
from flash.tabular import TabularClassificationData

SEPARATORS = [",", ";", "\t", "|"]
# Texts that UTF-8 can encode, with what separates and quotes more often than by chance.
TEXTS = st.text(
    st.sampled_from("ab1., ;|\t\"'\n\r\u2028é\x00#\\") | st.characters(exclude_categories=["Cs"]), max_size=8
)
# Without spaces around them, and not empty: that would be a missing value.
LABELS = TEXTS.map(str.strip).filter(bool)
NAMES = st.lists(
    st.text(st.sampled_from('abc, "\n;é'), min_size=1).filter(str.strip), min_size=2, max_size=4, unique=True
)
# Integers that JSON and pandas hold exactly.
VALUES = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    names = draw(NAMES)
    rows = draw(st.lists(st.lists(TEXTS, min_size=len(names), max_size=len(names)), min_size=1, max_size=5))
    return names, rows


@given(
    table=tables(), sep=st.sampled_from(SEPARATORS), end=st.sampled_from(["\n", "\r\n", "\r"]), quoting=st.booleans()
)
def test_what_the_csv_module_writes_is_read_cell_by_cell(
    table: tuple[list[str], list[list[str]]], sep: str, end: str, quoting: bool
) -> None:
    names, rows = table
    file = io.StringIO(newline="")
    # The module quotes line ends of the kind that it writes, and no others.
    how = csv.QUOTE_ALL if quoting or end != "\r\n" else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=sep, lineterminator=end, quoting=how)
    writer.writerows([names, *rows])
    if names[0].startswith("\ufeff"):
        return
    try:
        found = read_table(io.BytesIO(file.getvalue().encode()), sep=sep, format="csv")
    except FlashError as error:
        # Python before 3.11 refuses a null byte, and nothing else may be wrong here.
        assert "line contains NUL" in str(error)  # noqa: PT017
        return
    assert list(found) == names
    assert [[found[name][row] for name in names] for row in range(len(rows))] == [
        [cell or None for cell in row] for row in rows
    ]


@given(text=st.text(st.sampled_from('ab12,;\t|"\n\r .') | st.characters(exclude_categories=["Cs"]), max_size=60))
@example(text='a,b\n"1,2\n3,4\n')
@example(text='a\tb\n"1\t2\n3"\t4\n')
def test_any_text_is_a_table_of_what_is_there_or_an_error(text: str) -> None:
    try:
        found = read_table(io.StringIO(text), format="csv")
    except FlashError:
        return
    readings = []
    for sep in SEPARATORS:
        reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=sep, strict=True)
        try:
            readings.append([row for row in reader if row])
        except csv.Error:
            continue
    columns = [list(found), *([cell or "" for cell in row] for row in zip(*found.values(), strict=True))]
    assert columns in readings


@given(
    content=st.binary(max_size=80),
    encoding=st.sampled_from([None, "utf-8", "utf-16", "cp1252", "latin-1", "idna", "x"]),
)
@example(content=b"\xff\xfea\x00", encoding=None)
@example(content=b"\xef\xbb\xbfa;b\n1;2\n", encoding=None)
def test_any_bytes_are_a_table_or_an_error(content: bytes, encoding: str | None) -> None:
    try:
        found = read_table(io.BytesIO(content), encoding=encoding)
    except FlashError:
        return
    assert found.num_rows > 0


@given(
    rows=st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1), min_size=1, max_size=5),
    lines=st.booleans(),
    readable=st.booleans(),
)
def test_json_and_json_lines_keep_each_value(rows: list[dict[str, Any]], lines: bool, readable: bool) -> None:
    dumps = [json.dumps(row, ensure_ascii=not readable) for row in rows]
    text = "\n".join(dumps) if lines else f"[{','.join(dumps)}]"
    found = read_table(io.BytesIO(text.encode()), format="jsonl" if lines else "json")
    for name in {name for row in rows for name in row}:
        # Missing is None, and no other value is.
        assert found[name] == [row.get(name) for row in rows]
        assert [type(value) for value in found[name]] == [type(row.get(name)) for row in rows]


JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


@given(value=JSON, cut=st.integers(0, 60))
def test_any_json_is_a_table_or_an_error(value: Any, cut: int) -> None:
    text = json.dumps(value)
    for each in (text, text[:cut]):
        try:
            found = read_table(io.StringIO(each), format="json")
        except FlashError:
            continue
        assert found.num_rows > 0


@given(values=st.lists(st.tuples(st.integers(-(2**53), 2**53) | st.none(), TEXTS | st.none()), min_size=1, max_size=6))
def test_parquet_keeps_what_pandas_wrote(values: list[tuple[int | None, str | None]], tmp_path: Path) -> None:
    numbers = pd.array([number for number, _ in values], dtype="Int64")
    frame = pd.DataFrame({"n": numbers, "t": pd.Series([text for _, text in values], dtype=object)})
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert found["n"] == [number for number, _ in values]
    assert found["t"] == [text for _, text in values]


@given(table=tables(), labels=st.lists(LABELS, min_size=1, max_size=5))
def test_a_data_module_has_the_labels_as_they_are_written(
    table: tuple[list[str], list[list[str]]], labels: list[str], tmp_path: Path
) -> None:
    _, rows = table
    file = tmp_path / "t.csv"
    written = [labels[row % len(labels)] for row in range(2 * len(rows))]
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([["x", "y"], *([row, label] for row, label in enumerate(written))])
    try:
        data = TabularClassificationData.from_csv(
            numerical_fields="x", target_fields="y", train_file=file, verbose=False, batch_size=4
        )
    except FlashError:
        return
    assert [str(label) for label in data.labels] == sorted(set(map(str, data.labels)), key=_order(data.labels))
    assert {str(label) for label in data.labels} == set(written)


def _order(labels: list[Any]) -> Any:
    return {str(label): place for place, label in enumerate(labels)}.get
