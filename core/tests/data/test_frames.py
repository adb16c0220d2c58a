"""Tables of other libraries: Parquet, and data frames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from flash.data.tables import read_table
from flash.errors import DataError


def columns(source: Any, **options: Any) -> dict[str, list[Any]]:
    return dict(read_table(source, **options))


class TestFrames:
    """Data frames of libraries that core does not need: what they have in common with these stand-ins."""

    def test_a_missing_library_for_parquet_says_what_to_install(self, tmp_path: Path, written: Any) -> None:
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

        frames: tuple[Any, ...] = (Arrow(), Polars(), Lazy())
        for frame in frames:
            table = read_table(frame, name="the train data")
            assert dict(table) == {"a": [1, 2], "b": [None, "x"]}
            assert table.frame is not None
            assert table.num_rows == 2

    def test_rows_are_taken_by_the_library_of_the_frame(self) -> None:
        class Arrow:
            column_names = ("a", "b")

            def __init__(self, columns: Any) -> None:
                self.columns = columns

            def to_pydict(self) -> None: ...

            def take(self, rows: Any) -> Any:
                return type(self)([[column[row] for row in rows] for column in self.columns])

        class Polars:
            columns = ("a", "b")

            def __init__(self, values: Any) -> None:
                self.values = values

            def get_columns(self) -> Any:
                return self.values

            def __getitem__(self, rows: Any) -> Any:
                return type(self)([[column[row] for row in rows] for column in self.values])

        for cls in (Arrow, Polars):
            taken = read_table(cls([[1, 2, 3], ["x", None, float("nan")]])).take([2, 0])
            assert dict(taken) == {"a": [3, 1], "b": [None, "x"]}
            assert type(taken.frame) is cls
