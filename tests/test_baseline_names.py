"""A baseline names a sample as the person finds it in the data that they passed: the row of the table, or the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flash.baseline")
from flash.baseline import run
from flash.baseline.problem import Source, pose
from flash.baseline.samples import names_of

COUNT = 240


def table(seed: int = 0) -> pd.DataFrame:
    """A table with the number of each row in a column, and some wrong labels."""
    random = np.random.default_rng(seed)
    size = random.normal(0, 1, COUNT).round(3)
    wrong = random.random(COUNT) < 0.1
    return pd.DataFrame(
        {
            "number": range(COUNT),
            "size": size,
            "patient": [f"patient {each}" for each in random.integers(0, 40, COUNT)],
            "day": pd.to_datetime("2024-01-01") + pd.to_timedelta(random.permutation(COUNT), "D"),
            "kind": np.where((size > 0) ^ wrong, "large", "small"),
        }
    )


def silent(line: str) -> None:
    """Say nothing."""


@pytest.mark.train
@pytest.mark.parametrize("by", [{}, {"group": "patient"}, {"time": "day"}], ids=["random", "group", "time"])
def test_report_and_numbers_have_the_rows_of_the_table(by: dict[str, Any], tmp_path: Path) -> None:
    table().to_csv(tmp_path / "table.csv", index=False)
    found = run(
        *(tmp_path / "table.csv", "kind"), output=tmp_path / "report", time_limit=6, recipes=["mlp"], say=silent, **by
    )
    samples = [*found.results.mistakes, *found.results.suspicious]
    assert found.results.mistakes
    frame = table()
    for sample in samples:
        row = int(sample.id.removeprefix("row "))
        assert sample.id == f"row {row}"
        assert isinstance(sample.shown, dict)
        assert sample.shown["size"] == pytest.approx(frame["size"][row])
        assert sample.shown.get("number", row) == row
        assert sample.truth == frame["kind"][row]
    numbers = json.loads((tmp_path / "report" / "results.json").read_text())
    assert [each["id"] for each in numbers["mistakes"]] == [each.id for each in found.results.mistakes]
    page = (tmp_path / "report" / "report.html").read_text()
    assert found.results.mistakes[0].id in page
    assert "Rows are counted from 0, and the header is not counted." in page


def test_rows_of_a_table_of_its_own_say_so() -> None:
    problem = pose(Source(table(), "kind", test=table(1).iloc[:50]), silent)
    for part, end in (("train", ""), ("val", ""), ("test", " of the test data")):
        rows = [shown["number"] for shown in problem.parts[part].display(range(20))]
        names = names_of(problem.parts[part], part, range(20))
        assert names == [f"row {int(row)}{end}" for row in rows]


def test_checks_have_the_same_rows_as_the_report() -> None:
    frame = table()[["size", "kind"]].assign(weight=np.random.default_rng(7).normal(0, 1, COUNT))
    frame.loc[200] = frame.loc[7]
    test = table(1)[["size", "kind"]].assign(weight=np.random.default_rng(8).normal(0, 1, COUNT)).iloc[:50]
    test.iloc[3] = frame.loc[9]
    problem = pose(Source(frame, "kind", test=test), silent)
    rows = {finding.kind: list(finding.rows) for finding in problem.findings}
    assert rows["duplicates"] == ["row 200"]
    assert rows["duplicates between parts"] == ["row 3 of the test data"]


def test_texts_are_checked_by_the_rows_of_their_table() -> None:
    texts = [f"this is the long and different text number {row} of them" for row in range(120)]
    texts[90] = texts[30]
    frame = pd.DataFrame({"text": texts, "kind": ["good", "bad"] * 60})
    problem = pose(Source(frame, "kind"), silent)
    assert problem.name == "text/classification"
    (finding,) = [each for each in problem.findings if each.kind.startswith("duplicates")]
    place = {text: row for row, text in enumerate(texts)}
    place[texts[30]] = -1
    (name,) = finding.rows
    assert name in ("row 30", "row 90")
    other = {"row 30": "row 90", "row 90": "row 30"}[name]
    assert f"such as {name}, which is like {other}" in finding.sentence
