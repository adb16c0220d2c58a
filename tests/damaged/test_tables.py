"""Damaged tables, at each door that takes a table: the rows that are there, or an error."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flash.data.tables import read_table
from flash.tabular import TabularClassificationData
from flash.text import TextClassificationData

from .corpus import OTHERS, Damaged, damaged_bytes, damaged_json, other_formats, outcome

pytestmark = [pytest.mark.unit, pytest.mark.slow]

#: How many damaged files there are of each format; docs/promises.md has the sums.
BYTES, VALUES = 48, 24
FRAME = pd.DataFrame({"text": [f"a {word} film" for word in ("good", "bad", "dull", "great")] * 6, "n": range(24)})
FRAME["y"] = ["yes", "no"] * 12


def _parquet() -> bytes:
    file = io.BytesIO()
    FRAME.to_parquet(file)
    return file.getvalue()


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("t.csv", content)
    return file.getvalue()


CSV = FRAME.to_csv(index=False).encode()
FORMATS: dict[str, tuple[str, bytes]] = {
    ".csv": ("csv", CSV),
    ".tsv": ("csv", FRAME.to_csv(index=False, sep="\t").encode()),
    ".json": ("json", FRAME.to_json(orient="records").encode()),
    ".jsonl": ("json", FRAME.to_json(orient="records", lines=True).encode()),
    ".parquet": ("parquet", _parquet()),
    ".csv.gz": ("csv", gzip.compress(CSV, mtime=0)),
    ".csv.bz2": ("csv", bz2.compress(CSV)),
    ".csv.xz": ("csv", lzma.compress(CSV)),
    ".csv.zip": ("csv", _zip(CSV)),
}
COUNT = len(FORMATS) * (BYTES + OTHERS) + VALUES + 1


def tabular(kind: str, file: Path) -> Any:
    make: Any = getattr(TabularClassificationData, f"from_{kind}")
    data = make(categorical_fields="text", numerical_fields="n", target_fields="y", train_file=file, verbose=False)
    return len(data.train_dataset)


def text(kind: str, file: Path) -> Any:
    make: Any = getattr(TextClassificationData, f"from_{kind}")
    return len(make("text", "y", train_file=file).train_dataset)


DOORS: dict[str, Callable[[str, Path], Any]] = {
    "tabular": tabular,
    "text": text,
    "read_table": lambda _, file: read_table(file).num_rows,
}


def damaged(suffix: str, content: bytes, marker: Path) -> Iterator[Damaged]:
    yield from damaged_bytes(content, 12, BYTES)
    if suffix == ".json":
        rows: Any = {"rows": json.loads(content)}
        yield from damaged_json(json.dumps(rows["rows"][:4] + rows["rows"][4:]).encode(), 13, VALUES)
    yield from other_formats(marker)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_table_is_read_or_an_error_and_never_another_exception(suffix: str, tmp_path: Path) -> None:
    kind, content = FORMATS[suffix]
    marker, file = tmp_path / "code ran", tmp_path / f"table{suffix}"
    is_text = suffix in (".csv", ".tsv", ".json", ".jsonl")
    wrong = []
    damages = list(damaged(suffix, content, marker))
    assert len(damages) == BYTES + OTHERS + (VALUES + 1 if suffix == ".json" else 0)
    for number, damage in enumerate(damages):
        file.write_bytes(damage.content)
        for name, door in DOORS.items():
            result = outcome(
                lambda door=door: door(kind, file),  # type: ignore[misc]  # called at once
                # Plain text has no checksums: what is a table, is one. Of the others the rows have to be there.
                lambda rows, number=number: rows > 0 if number >= BYTES or is_text else rows == len(FRAME),  # type: ignore[misc]
            )
            wrong += [f"{name}: {damage.name}: {result.wrong}"] if result.wrong else []
        assert not marker.exists(), damage.name
    assert not wrong, "\n".join(wrong)
