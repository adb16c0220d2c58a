from __future__ import annotations

import pytest

from flash.cli._output import columns, counted, table
from flash.plugins.hookspecs import RESULTS


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_columns_are_aligned() -> None:
    assert table(["A", "B"], [["long name", "x"], ["s", "y"]]).splitlines() == [
        "A          B",
        "long name  x",
        "s          y",
    ]


def test_the_last_column_is_wrapped_under_itself() -> None:
    lines = table(["NAME", "SUMMARY"], [["x", "word " * 30]]).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].startswith("      word")


def test_a_line_break_in_the_last_column_is_kept() -> None:
    assert table(["A", "B"], [["x", "one\ntwo"]]).splitlines()[1:] == ["x  one", "   two"]


def test_a_narrow_terminal_still_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert max(map(len, table(["A", "B"], [["x", "word " * 30]]).splitlines())) <= 60


def test_names_are_read_downwards() -> None:
    names = [f"name{number:02}" for number in range(30)]
    lines = columns(names).splitlines()
    assert lines[0].split()[0] == "name00"
    assert lines[1].split()[0] == "name01"
    assert max(map(len, lines)) <= 100
    assert sorted(" ".join(lines).split()) == names


@pytest.mark.parametrize("kind", sorted({spec.kind for specs in RESULTS.values() for spec in specs}))
def test_every_kind_of_contribution_has_a_plural(kind: str) -> None:
    assert counted(2, kind).startswith(f"2 {kind[:-1]}")
