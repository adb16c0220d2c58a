"""One decision, one answer: images, texts and tables read the same rows alike, learn alike and refuse alike."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import flash
from flash.cli import main
from flash.errors import ConfigurationError, DataError
from flash.image import ImageClassificationData, ImageClassifier
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.text import TextClassificationData, TextClassifier

Make = Callable[..., flash.DataModule]
FROM_CSV: dict[str, Make] = {
    "image": lambda **arguments: ImageClassificationData.from_csv("x", "y", image_size=16, **arguments),
    "text": lambda **arguments: TextClassificationData.from_csv("x", "y", **arguments),
    "tabular": lambda **arguments: TabularClassificationData.from_csv(
        categorical_fields="x", target_fields="y", verbose=False, **arguments
    ),
}
DOMAINS = [*FROM_CSV]
GOOD = "x,y\na.png,p\nb.png,q\nc.png,p\nd.png,q\n"


@pytest.fixture(autouse=True)
def _pictures(settled: None) -> None:
    """Four pictures in the folder of the test, whose names are texts and categories as well."""
    for name in "abcd":
        Image.new("RGB", (9, 9)).save(f"{name}.png")


def read(domain: str, content: str | bytes, name: str = "rows.csv", **arguments: Any) -> flash.DataModule:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return FROM_CSV[domain](train_file=name, **arguments)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("content", "name", "labels"),
    [
        (GOOD, "rows.csv", ["p", "q"]),
        (GOOD.replace(",", ";"), "rows.csv", ["p", "q"]),
        (GOOD.replace(",", "\t"), "rows.tsv", ["p", "q"]),
        (gzip.compress(GOOD.encode()), "rows.csv.gz", ["p", "q"]),
        (GOOD.encode("utf-16"), "rows.csv", ["p", "q"]),
        (GOOD.replace(",p", ",None"), "rows.csv", ["None", "q"]),
        (GOOD.replace(",p", ",NA"), "rows.csv", ["NA", "q"]),
        (GOOD.replace(",p", ",001").replace(",q", ",1.10"), "rows.csv", ["001", "1.10"]),
        (GOOD.replace(",p", ",True").replace(",q", ",False"), "rows.csv", ["False", "True"]),
    ],
    ids=["commas", "semicolons", "tabs", "compressed", "utf-16", "None", "NA", "numbers", "booleans"],
)
def test_a_table_has_the_same_classes_in_every_domain(
    domain: str, content: str | bytes, name: str, labels: list[str]
) -> None:
    assert [str(label) for label in read(domain, content, name).labels or ()] == labels


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (GOOD.replace("b.png,q", "b.png,q,9"), r"Expected 2 values in each row of rows\.csv, .* but line 3 has 3"),
        (GOOD.replace("x,y", "x,x"), r"Expected columns with different names in rows\.csv, .* several of 'x'"),
        (GOOD.replace("x,y", "x,z"), r"'y'"),
        ("", r"Expected a table in rows\.csv, but the file is empty"),
        ("x,y\n", r"Expected rows\.csv to have rows and columns, but it has shape \(0, 2\)"),
        (GOOD.replace(",q", ","), r"Expected a target"),
        (GOOD.replace(",q", ",p"), r"Expected at least two classes"),
    ],
    ids=["a row too long", "a name twice", "no such column", "empty", "no rows", "no target", "one class"],
)
def test_a_table_is_refused_for_the_same_reason_in_every_domain(domain: str, content: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(domain, content)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_file_that_is_not_there_is_told_alike(domain: str) -> None:
    with pytest.raises(DataError, match=r"gone\.csv"):
        FROM_CSV[domain](train_file="gone.csv")


@pytest.mark.parametrize("domain", DOMAINS)
def test_nothing_is_learned_from_rows_that_validate(domain: str) -> None:
    rows = "".join(f"{'abcd'[i % 4]}.png,{'p' if i % 5 < 3 else 'q'}\n" for i in range(20))
    data = read(domain, f"x,y\n{rows}", val_split=0.25, seed=0)
    train: Any = data.train_dataset
    assert len(train) == 15
    assert data.facts["class_counts"] == [9, 6]


@pytest.mark.parametrize("domain", DOMAINS)
def test_labels_of_a_later_stage_are_found_however_they_are_written(domain: str, tmp_path: Path) -> None:
    Path("val.csv").write_text(GOOD.replace(",q", ",nobody"))
    with pytest.raises(DataError, match=r"but got 'nobody' in 2"):
        read(domain, GOOD, val_file="val.csv")


class Letters(nn.Module):
    """A text backbone of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, 8)

    def forward(self, input_ids: Any, attention_mask: Any) -> torch.Tensor:
        embedded: torch.Tensor = self.embed(input_ids)
        return embedded


CONFIG = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}
Pair = tuple[flash.Task, flash.DataModule]


def pair(domain: str, classes: int) -> Pair:
    """A task of so many classes, with data of two."""
    y = ["a", "b"] * 8
    if domain == "image":
        tiny: dict[str, Any] = {"backbone": "test_resnet", "pretrained": False, "data_config": CONFIG}
        pictures = np.zeros((16, 9, 9, 3), np.uint8)
        data: flash.DataModule = ImageClassificationData.from_numpy(pictures, np.array(y), seed=0)
        return ImageClassifier(num_classes=classes, **tiny), data
    if domain == "text":
        split: dict[str, Any] = {
            "backbone": Letters(),
            "tokenizer": lambda texts: [list(text.encode()) for text in texts],
        }
        return TextClassifier(num_classes=classes, **split), TextClassificationData.from_lists(["x y"] * 16, y, seed=0)
    frame = pd.DataFrame({"n": range(16), "y": y})
    options: dict[str, Any] = {"target_fields": "y", "numerical_fields": "n", "seed": 0, "verbose": False}
    table = {"num_numerical": 1, "cardinalities": [], "bins": [[-1.0, 0.0, 1.0]], "backbone": "mlp"}
    return (
        TabularClassifier(num_classes=classes, **table),  # type: ignore[arg-type]  # a dict of several types
        TabularClassificationData.from_data_frame(train_data_frame=frame, **options),
    )


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_task_of_other_classes_is_refused_before_it_trains(domain: str) -> None:
    task, data = pair(domain, 5)
    with pytest.raises(ConfigurationError, match=r"which has num_classes=5 .* but it has 2 classes \('a', 'b'\)"):
        task.use_data(data)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_task_takes_the_labels_of_data_that_fits(domain: str) -> None:
    task, data = pair(domain, 2)
    task.use_data(data)
    assert task.labels == ["a", "b"]


@pytest.mark.parametrize("listing", ["plugins", "tasks", "backbones", "backbones image", "strategies", "components"])
def test_listings_with_all_plugins_fit_into_100_columns(
    listing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(listing.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    long = [line.strip() for line in lines if len(line) > 100]
    assert [line for line in long if line not in sys.path] == []  # A path is not divided: it stays to be copied.
