"""What is read of a file is the same in each domain: encodings, separators, quotes, packed files, URLs, formats."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from flash.data.tables import read_table
from flash.errors import ConfigurationError, DataError, DownloadError, UnknownArgumentError
from flash.image import ImageClassificationData, ImageClassifier, ObjectDetectionData
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.text import TextClassificationData

ROWS = [{"image": f"{'abcd'[row % 4]}.png", "text": f"été {row}", "n": row / 2, "y": "pq"[row % 2]} for row in range(8)]
CONFIG: dict[str, Any] = {"input_size": (3, 8, 8), "mean": (0.0,) * 3, "std": (1.0,) * 3}


def csv_of(rows: list[dict[str, Any]] = ROWS, sep: str = ",") -> str:
    return "\n".join([sep.join(rows[0]), *(sep.join(map(str, row.values())) for row in rows)]) + "\n"


def tables(kind: str, file: Any, **options: Any) -> list[str]:
    make: Any = getattr(TabularClassificationData, f"from_{kind}")
    data = make(categorical_fields="text", target_fields="y", train_file=file, verbose=False, **options)
    categories: list[str] = data.preprocess.schema.categorical[0].categories
    return sorted(categories)


def texts(kind: str, file: Any, **options: Any) -> list[str]:
    data = getattr(TextClassificationData, f"from_{kind}")("text", "y", train_file=file, **options)
    assert data.labels == ["p", "q"]
    return sorted({data.train_dataset[row][0] for row in range(len(data.train_dataset))})


def images(kind: str, file: Any, **options: Any) -> list[int]:
    data = getattr(ImageClassificationData, f"from_{kind}")(
        "image", "y", train_file=file, data_config=CONFIG, **options
    )
    (batch, _), *_ = data.train_dataloader()
    return grays(batch)


def grays(batch: Any) -> list[int]:
    return sorted({round(float(image.float().mean())) for image in batch})


READERS: dict[str, Callable[..., list[Any]]] = {"tables": tables, "texts": texts, "images": images}
# What is in the column that each domain reads: the gray of each image is the number of its letter.
WANTED: dict[str, list[Any]] = {
    "tables": sorted(row["text"] for row in ROWS),
    "texts": sorted(row["text"] for row in ROWS),
    "images": [ord(letter) for letter in "abcd"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for letter in "abcd":
        Image.fromarray(np.full((16, 16, 3), ord(letter), np.uint8)).save(tmp_path / f"{letter}.png")
    return tmp_path


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """The address of a server of the folder."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


each_domain = pytest.mark.parametrize("domain", READERS)


@each_domain
@pytest.mark.parametrize(("encoding", "named"), [("utf-8-sig", False), ("utf-16", False), ("cp1252", True)])
def test_encodings_are_found_by_their_mark_or_named(domain: str, encoding: str, named: bool, folder: Path) -> None:
    (folder / "t.csv").write_bytes(csv_of().encode(encoding))
    options = {"encoding": encoding} if named else {}
    assert READERS[domain]("csv", folder / "t.csv", **options) == WANTED[domain]


@each_domain
@pytest.mark.parametrize(("sep", "named"), [(";", False), ("\t", False), ("|", False), ("%", True)])
def test_separators_are_found_or_named(domain: str, sep: str, named: bool, folder: Path) -> None:
    (folder / "t.csv").write_text(csv_of(sep=sep), encoding="utf-8")
    assert READERS[domain]("csv", folder / "t.csv", **({"sep": sep} if named else {})) == WANTED[domain]


@each_domain
def test_packed_files_and_lists_of_files_are_read(domain: str, folder: Path) -> None:
    (folder / "t.csv").write_text(csv_of(ROWS[:5]), encoding="utf-8")
    (folder / "u.csv.gz").write_bytes(gzip.compress(csv_of(ROWS[5:]).encode()))
    assert READERS[domain]("csv", [folder / "t.csv", folder / "u.csv.gz"]) == WANTED[domain]


@each_domain
@pytest.mark.parametrize("mode", ["r", "rb"])
def test_open_files_are_read(domain: str, mode: str, folder: Path) -> None:
    (folder / "t.csv").write_text(csv_of(), encoding="utf-8")
    options = {"root": folder} if domain == "images" else {}
    with (folder / "t.csv").open(mode, encoding=None if "b" in mode else "utf-8") as file:
        assert READERS[domain]("csv", file, **options) == WANTED[domain]


@each_domain
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_urls_of_tables_are_read(domain: str, name: str, folder: Path, address: str) -> None:
    content = csv_of().encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    options = {"root": folder} if domain == "images" else {}
    assert READERS[domain]("csv", f"{address}/{name}", **options) == WANTED[domain]


@each_domain
def test_folders_of_parquet_files_are_read_partitions_included(domain: str, folder: Path) -> None:
    pd.DataFrame(ROWS).to_parquet(folder / "parts", partition_cols=["y"])
    options = {"root": folder} if domain == "images" else {}
    assert READERS[domain]("parquet", folder / "parts", **options) == WANTED[domain]


@each_domain
@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_lines_of_json_end_at_line_feeds_alone(domain: str, name: str, folder: Path) -> None:
    rows = [{**row, "text": f"a\u2028b\u0085c {row['n']}"} for row in ROWS]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / name).write_text(text, encoding="utf-8")
    wanted = WANTED[domain] if domain == "images" else sorted(str(row["text"]) for row in rows)
    assert READERS[domain]("json", folder / name) == wanted


@each_domain
def test_a_quote_that_is_never_closed_is_an_error_and_none_without_quoting(domain: str, folder: Path) -> None:
    rows = [{**row, "text": f'"{row["text"]}' if number == 3 else row["text"]} for number, row in enumerate(ROWS)]
    (folder / "t.csv").write_text(csv_of(rows), encoding="utf-8")
    with pytest.raises(DataError, match="the row that starts in line 5 of .*t.csv breaks that .* quotechar=None"):
        READERS[domain]("csv", folder / "t.csv")
    wanted = WANTED[domain] if domain == "images" else sorted(str(row["text"]) for row in rows)
    assert READERS[domain]("csv", folder / "t.csv", quotechar=None) == wanted


@each_domain
def test_quotes_inside_cells_between_tabs_stay(domain: str, folder: Path) -> None:
    rows = [{**row, "text": f'{row["n"]}" disk'} for row in ROWS]
    (folder / "t.tsv").write_text(csv_of(rows, "\t"), encoding="utf-8")
    wanted = WANTED[domain] if domain == "images" else sorted(str(row["text"]) for row in rows)
    assert READERS[domain]("csv", folder / "t.tsv") == wanted


@each_domain
@pytest.mark.parametrize(("row", "count"), [("a.png,x", 2), ("a.png,x,1,p,more", 5)])
def test_a_longer_or_shorter_row_is_an_error_with_its_line(domain: str, row: str, count: int, folder: Path) -> None:
    (folder / "t.csv").write_text(csv_of() + row + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"Expected 4 values in each row of .*, but line 10 has {count}"):
        READERS[domain]("csv", folder / "t.csv")


def test_decimal_commas_beside_semicolons_are_numbers_where_they_are_named(folder: Path) -> None:
    lines = ["n;y", *(f"{row},5;{'pq'[row % 2]}" for row in range(4))]
    (folder / "t.csv").write_text("\n".join(lines))
    make = functools.partial(TabularClassificationData.from_csv, target_fields="y", train_file=folder / "t.csv")
    with pytest.raises(DataError, match="but got '0,5'. If the comma is the decimal mark, pass decimal=','"):
        make(numerical_fields="n")
    (column,) = make(numerical_fields="n", decimal=",").preprocess.schema.numerical
    assert column.mean == pytest.approx((0.5 + 1.5 + 2.5 + 3.5) / 4)


# ---------------------------------------------------------------------- images at URLs


def test_images_are_fetched_from_their_urls_by_each_constructor(folder: Path, address: str) -> None:
    urls = [f"{address}/{letter}.png" for letter in "ab"]
    frame = pd.DataFrame({"image": urls, "y": ["p", "q"]})
    makers = [
        ImageClassificationData.from_files(urls, ["p", "q"], data_config=CONFIG),
        ImageClassificationData.from_data_frame("image", "y", frame, data_config=CONFIG),
        ImageClassificationData.from_lists(urls, ["p", "q"], data_config=CONFIG),
    ]
    for data in makers:
        (batch, _), *_ = data.train_dataloader()
        assert grays(batch) == [ord("a"), ord("b")]
    boxes = ObjectDetectionData.from_files(urls, [["p"], ["q"]], [[[1, 1, 9, 9]]] * 2)
    (inputs, _), *_ = boxes.train_dataloader()
    assert grays(inputs["images"]) == [ord("a"), ord("b")]


def test_images_to_predict_may_be_urls_and_one_that_is_not_there_is_named(folder: Path, address: str) -> None:
    task = ImageClassifier(2, backbone="test_resnet", pretrained=False, labels=["p", "q"])
    by_path = task.predict([folder / "a.png", folder / "b.png"], output="probabilities")
    assert task.predict([f"{address}/a.png", f"{address}/b.png"], output="probabilities") == by_path
    with pytest.raises(DownloadError, match=r"Cannot download http://127.0.0.1:\d+/gone.png: .* 404 Not Found"):
        task.predict([f"{address}/gone.png"])


# ---------------------------------------------------------------------- several classes in one text


def classes_of(data: Any) -> tuple[list[str], bool, list[list[float]]]:
    samples = [data.train_dataset[row] for row in range(len(data.train_dataset))]
    return data.labels, data.multi_label, [target.tolist() for _, target in samples]


def test_a_delimiter_separates_classes_in_each_constructor(folder: Path) -> None:
    written = ["p|q", "q", "p", ""]
    frame = pd.DataFrame({"image": [f"{letter}.png" for letter in "abcd"], "text": ["one", "two", "three", "four"]})
    frame["y"] = written
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_json(folder / "t.json", orient="records")
    frame.to_parquet(folder / "t.parquet")
    files = [str(folder / name) for name in frame["image"]]
    options: dict[str, Any] = {"delimiter": "|", "data_config": CONFIG}
    made = [
        *(
            getattr(TextClassificationData, f"from_{kind}")("text", "y", folder / f"t.{kind}", delimiter="|")
            for kind in ("csv", "json", "parquet")
        ),
        TextClassificationData.from_data_frame("text", "y", frame, delimiter="|"),
        TextClassificationData.from_lists(list(frame["text"]), written, delimiter="|"),
        TextClassificationData.from_datasets("text", "y", frame.to_dict("records"), delimiter="|"),
        *(
            getattr(ImageClassificationData, f"from_{kind}")("image", "y", folder / f"t.{kind}", **options)
            for kind in ("csv", "json", "parquet")
        ),
        ImageClassificationData.from_data_frame("image", "y", frame, root=folder, **options),
        ImageClassificationData.from_files(files, written, **options),
        ImageClassificationData.from_lists(files, written, **options),
        ImageClassificationData.from_images([Image.open(file) for file in files], written, **options),
        ImageClassificationData.from_numpy(np.zeros((4, 8, 8, 3), np.uint8), written, **options),
        ImageClassificationData.from_datasets(list(zip(files, written, strict=True)), **options),
    ]
    rows = [[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    assert [classes_of(data) for data in made] == [(["p", "q"], True, rows)] * len(made)


def test_a_delimiter_that_no_target_has_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="separated by delimiter='|' in the targets of the train data, but no"):
        TextClassificationData.from_lists(["a", "b"], ["p", "q"], delimiter="|")


@pytest.mark.parametrize("name", ["t.json", "t.parquet"])
def test_a_separator_of_what_has_cells_of_its_own_is_an_error(name: str, folder: Path) -> None:
    frame = pd.DataFrame(ROWS)
    frame.to_json(folder / "t.json", orient="records")
    frame.to_parquet(folder / "t.parquet")
    with pytest.raises(ConfigurationError, match="separated by '|', but .* is of another format, which has cells of"):
        tables(name.partition(".")[2], folder / name, delimiter="|")


# ---------------------------------------------------------------------- tables to predict


@pytest.fixture
def written_elsewhere(folder: Path) -> Path:
    """A table to predict in another encoding and with another separator than is found."""
    rows = [{"image": f"{letter}.png", "text": "été", "n": 1} for letter in "ab"]
    (folder / "new.csv").write_bytes(csv_of(rows, "%").encode("cp1252"))
    return folder / "new.csv"


def test_rows_to_predict_are_read_as_they_are_told(written_elsewhere: Path) -> None:
    (written_elsewhere.parent / "t.csv").write_text(csv_of(), encoding="utf-8")
    data = TabularClassificationData.from_csv(
        categorical_fields="text", numerical_fields="n", target_fields="y", train_file="t.csv"
    )
    task = TabularClassifier.from_data(data, backbone="mlp", backbone_kwargs={"n_blocks": 1, "d_block": 8})
    wanted = task.predict([{"text": "été", "n": 1}] * 2, output="probabilities")
    assert task.predict(written_elsewhere, output="probabilities", sep="%", encoding="cp1252") == wanted
    with pytest.raises(UnknownArgumentError, match="TabularClassifier.predict takes, but got 'encodin'. Did you mean"):
        task.predict(written_elsewhere, encodin="cp1252")  # type: ignore[call-arg]  # what the error is about


def test_images_of_a_table_to_predict_lie_beside_it_however_it_is_read(written_elsewhere: Path) -> None:
    folder = written_elsewhere.parent
    (folder / "t.csv").write_text(csv_of(), encoding="utf-8")
    data = ImageClassificationData.from_csv("image", "y", folder / "t.csv", data_config=CONFIG)
    task = ImageClassifier.from_data(data, backbone="test_resnet", pretrained=False)
    wanted = task.predict([folder / "a.png", folder / "b.png"], output="probabilities")
    assert task.predict(written_elsewhere, output="probabilities", sep="%", encoding="cp1252") == wanted


@pytest.mark.parametrize("kind", ["pandas", "arrow"])
def test_rows_that_are_split_off_keep_the_types_of_their_frame(kind: str) -> None:
    frame = pd.DataFrame(
        {
            "count": pd.array([1, None, 3, 4] * 5, dtype="Int64"),
            "city": pd.Categorical(["Rome", "Oslo"] * 10),
            "day": pd.date_range("2024-01-01", periods=20),
        }
    )
    given = frame if kind == "pandas" else pa.Table.from_pandas(frame)
    taken = read_table(given).take([7, 0, 1])
    assert taken.num_rows == 3
    found = taken.frame if kind == "pandas" else taken.frame.to_pandas()
    whole = given if kind == "pandas" else given.to_pandas()
    pd.testing.assert_frame_equal(found.reset_index(drop=True), whole.iloc[[7, 0, 1]].reset_index(drop=True))
