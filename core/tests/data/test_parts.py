"""The parts of inputs and their exchange, in memory and sample by sample."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash import Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.parts import default_parts
from flash.data.stage import Stage

ORDER = torch.tensor([2, 0, 1])
TABLE = torch.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("samples", "parts"),
    [
        (Columns((TABLE, torch.zeros(3))), ["column 0", "column 1"]),
        (Columns(({"a": TABLE, "7": TABLE}, torch.zeros(3))), ["a", "7"]),
        ([({"a": 1, "b": 2}, 0)], ["a", "b"]),
        # One whole: one key, one column, images, texts.
        (Columns(({"a": TABLE}, torch.zeros(3))), []),
        (Columns((TABLE[:, :1], torch.zeros(3))), []),
        (Columns((torch.zeros(3, 2, 2), torch.zeros(3))), []),
        ([("text", 0)], []),
    ],
)
def test_parts_are_keys_and_columns(samples: Any, parts: list[str]) -> None:
    assert default_parts(samples, predicting=False) == parts


def test_a_column_is_exchanged_and_all_else_stays() -> None:
    dataset = AutoDataset(Columns((TABLE, torch.tensor([7, 8, 9]))), Stage.VAL, Preprocess())
    other = dataset.exchange("column 1", ORDER)
    assert [(*map(float, x), int(y)) for x, y in (other[row] for row in range(3))] == [(0, 5, 7), (2, 1, 8), (4, 3, 9)]
    assert torch.equal(dataset[0][0], TABLE[0])


def test_keys_are_exchanged_in_memory_in_lists_and_in_subsets() -> None:
    tree: Any = {"a": torch.tensor([1, 2, 3]), 7: torch.tensor([4, 5, 6])}
    found = AutoDataset(Columns(tree), Stage.PREDICT, Preprocess()).exchange("7", ORDER)
    assert [sample[7].item() for sample in (found[0], found[1], found[2])] == [6, 4, 5]
    rows = [({"a": row, "b": 10 * row}, row) for row in range(5)]
    chosen = AutoDataset(rows, Stage.VAL, Preprocess()).subset([4, 2, 0], Stage.VAL).exchange("b", ORDER)
    assert [chosen[row] for row in range(3)] == [
        ({"a": 4, "b": 0}, 4),
        ({"a": 2, "b": 40}, 2),
        ({"a": 0, "b": 20}, 0),
    ]


def test_a_preprocess_may_define_its_parts() -> None:
    class Words(Preprocess):
        def parts(self, samples: Any) -> list[str]:
            return ["first letter"]

        def exchange(self, samples: Any, part: str, order: Any) -> Any:
            return [samples[int(other)][0] + samples[row][1:] for row, other in enumerate(order)]

    dataset = AutoDataset(["abc", "xyz"], Stage.PREDICT, Words())
    assert dataset.parts() == ["first letter"]
    other = dataset.exchange("first letter", torch.tensor([1, 0]))
    assert [other[0], other[1]] == ["xbc", "ayz"]
