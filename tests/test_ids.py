"""The id of a sample is its row of the data that the user passed, or its file, whatever split it off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

import flash
from flash.core.classification import ClassificationTask
from flash.core.evaluation import evaluate_rows
from flash.data.auto_dataset import AutoDataset
from flash.data.splits import Split
from flash.image import ImageClassificationData
from flash.tabular import TabularClassificationData
from flash.text import TextClassificationData

COUNT = 60
FRAME = pd.DataFrame(
    {
        "number": range(COUNT),
        "text": [f"the words of {row}" for row in range(COUNT)],
        "patient": [f"patient {row % 12}" for row in range(COUNT)],
        "day": [f"2024-01-{1 + (row * 7) % 30:02}" for row in range(COUNT)],
        "kind": ["a", "b"] * (COUNT // 2),
    }
)
IMAGES = np.stack([np.full((4, 4, 3), row, np.uint8) for row in range(COUNT)])
SPLITS: dict[str, dict[str, Any]] = {
    "at random": {"val_split": 0.2},
    "twice": {"val_split": 0.2, "test_split": 0.25},
    "by groups": {"val_split": 0.2, "test_split": 0.25, "groups": "patient"},
    "by times": {"val_split": 0.2, "test_split": 0.25, "times": "day"},
}


def rows_of_table(dataset: AutoDataset) -> list[Any]:
    return [shown["number"] for shown in dataset.display(range(len(dataset)))]


def rows_of_text(dataset: AutoDataset) -> list[int]:
    return [int(str(shown).split()[-1]) for shown in dataset.display(range(len(dataset)))]


def table(**options: Any) -> Any:
    frame = FRAME.drop(columns="text")
    return TabularClassificationData.from_data_frame(
        target_fields="kind", numerical_fields="number", train_data_frame=frame, verbose=False, seed=1, **options
    )


def csv_of(folder: Path) -> Path:
    FRAME.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def text(**options: Any) -> Any:
    return TextClassificationData.from_data_frame("text", "kind", train_data_frame=FRAME, seed=1, **options)


@pytest.mark.parametrize(("make", "rows_of"), [(table, rows_of_table), (text, rows_of_text)], ids=["table", "text"])
@pytest.mark.parametrize("split", SPLITS)
def test_samples_that_were_split_off_have_the_row_of_the_table(
    make: Callable[..., Any], rows_of: Callable[[Any], list[int]], split: str
) -> None:
    data = make(**SPLITS[split])
    seen: list[int] = []
    for stage in ("train", "val", "test"):
        dataset = getattr(data, f"{stage}_dataset")
        if dataset is None:
            continue
        ids = dataset.ids_of(range(len(dataset)))
        assert ids == [dataset.id_of(row) for row in range(len(dataset))] == rows_of(dataset)
        assert all(type(each) is int for each in ids)
        part = dataset.subset([2, 0], dataset.hooks.stage)
        assert part.ids_of([0, 1]) == [part.id_of(0), part.id_of(1)] == [ids[2], ids[0]]
        assert part.subset([1], part.hooks.stage).id_of(0) == ids[0]
        seen += ids
    assert sorted(seen) == list(range(COUNT))


def test_a_file_of_the_table_has_the_same_rows_without_the_header(tmp_path: Path) -> None:
    made = TabularClassificationData.from_csv(
        numerical_fields="number", target_fields="kind", train_file=csv_of(tmp_path), val_split=0.2, verbose=False
    )
    dataset = made.val_dataset
    assert dataset.ids_of(range(len(dataset))) == rows_of_table(dataset)
    of_text = TextClassificationData.from_csv("text", "kind", train_file=csv_of(tmp_path), val_split=0.2)
    dataset = of_text.val_dataset
    assert dataset.ids_of(range(len(dataset))) == rows_of_text(dataset)


def test_data_of_a_stage_of_its_own_has_its_own_rows() -> None:
    data = table(test_data_frame=FRAME.iloc[10:20], val_split=0.2)
    assert data.test_dataset.ids_of(range(10)) == list(range(10))
    assert data.val_dataset.ids_of([0]) == rows_of_table(data.val_dataset)[:1]
    plain = table()
    assert plain.train_dataset.ids_of([5]) == [5]


def test_images_in_memory_are_named_by_their_row_and_files_by_their_path(tmp_path: Path) -> None:
    data = ImageClassificationData.from_numpy(IMAGES, FRAME["kind"].tolist(), val_split=0.2, test_split=0.2, seed=1)
    for dataset in (data.train_dataset, data.val_dataset, data.test_dataset):
        rows = [int(shown[0, 0, 0]) for shown in dataset.display(range(len(dataset)))]
        assert dataset.ids_of(range(len(dataset))) == [f"image {row} of the train data" for row in rows]
    from PIL import Image

    files = []
    for row, image in enumerate(IMAGES):
        files.append(tmp_path / f"{row}.png")
        Image.fromarray(image).save(files[-1])
    of_files = ImageClassificationData.from_files(files, FRAME["kind"].tolist(), val_split=0.2, seed=1)
    rows = [int(shown[0, 0, 0]) for shown in of_files.val_dataset.display(range(len(of_files.val_dataset)))]
    assert of_files.val_dataset.ids_of(range(12)) == [str(files[row]) for row in rows]


def test_rows_that_were_left_out_are_counted() -> None:
    images: list[Any] = [*IMAGES]
    images[3] = images[20] = b"broken"
    data = ImageClassificationData.from_lists(
        images, FRAME["kind"].tolist(), on_bad_sample="skip", val_split=0.2, seed=1
    )
    seen = []
    for dataset in (data.train_dataset, data.val_dataset):
        rows = [int(shown[0, 0, 0]) for shown in dataset.display(range(len(dataset)))]
        assert dataset.ids_of(range(len(dataset))) == [f"image {row} of the train data" for row in rows]
        seen += rows
    assert sorted(seen) == [row for row in range(COUNT) if row not in (3, 20)]
    whole = ImageClassificationData.from_lists(images, FRAME["kind"].tolist(), on_bad_sample="skip")
    assert whole.train_dataset.id_of(3) == "image 4 of the train data"


def test_tensors_and_datasets_of_torch_have_rows_too() -> None:
    x, y = torch.arange(COUNT).float().unsqueeze(1), torch.arange(COUNT) % 2
    made = [
        flash.DataModule.from_tensors(x, y, val_split=0.3, test_split=0.2, seed=0),
        flash.DataModule(train_dataset=TensorDataset(x, y), val_split=0.3, test_split=0.2, seed=0),
        flash.DataModule.from_load_data_inputs(
            list(zip(x, y, strict=True)), val_split=0.3, test_split=0.2, seed=0, preprocess=flash.Preprocess()
        ),
    ]

    class Sign(ClassificationTask):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, -x], 1)

    for data in made:
        for stage in ("val", "test"):
            dataset = data.indexed_dataset(stage)
            rows = [int(dataset[row][0]) for row in range(len(dataset))]
            found = evaluate_rows(Sign(2), data, stage)
            assert found.ids == rows
            assert rows != list(range(len(rows)))


class Halves(flash.Preprocess):
    """A split of a third party, which says nothing about rows, and windows of a network."""

    def split(self, data: Any, fraction: float, seed: int) -> tuple[Any, Any]:  # as before
        return data[: len(data) // 2], data[len(data) // 2 :]

    def prepare_samples(self, samples: Any, dataset: Any) -> Any:
        return [each for each in samples for _ in range(2)]


class KnownHalves(Halves):
    def split(self, data: Any, fraction: float, seed: int) -> tuple[Any, Any]:  # as before
        half = len(data) // 2
        return Split(data[:half], data[half:], (range(half), range(half, len(data))))


def test_a_split_that_does_not_know_its_rows_has_those_of_its_part() -> None:
    unknown, known = (
        flash.DataModule.from_load_data_inputs(list("abcdef"), val_split=0.5, preprocess=each)
        for each in (Halves(), KnownHalves())
    )
    assert unknown.val_dataset.ids_of(range(3)) == [0, 1, 2]
    assert known.val_dataset.ids_of(range(3)) == [3, 4, 5]
    both = flash.DataModule.from_load_data_inputs(list("abcdefgh"), val_split=0.5, test_split=0.5, preprocess=Halves())
    assert both.val_dataset.ids_of(range(2)) == [0, 1]
    # Windows are no rows.
    known.connect("a network")
    assert known.val_dataset.ids_of(range(6)) == [0, 1, 2, 3, 4, 5]
