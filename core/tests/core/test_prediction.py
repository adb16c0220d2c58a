"""The loop that predicts: batches with their rows and targets, in eval mode; and the parts of what is predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.prediction import evaluating, parts_to_predict, predict_batches
from flash.data import table_parts
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.process import Preprocess
from flash.data.stage import Stage
from flash.data.tables import Table


class Rows(Preprocess):
    """Takes the path of any table, whose rows are samples."""

    def is_table_to_predict(self, data: Any) -> bool:
        return isinstance(data, str | Path)


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.process)])
def test_batches_have_their_rows_and_targets(num_workers: int) -> None:
    x, y = torch.randn(5, 3), torch.arange(5)
    dataset = AutoDataset(Columns((x, y)), Stage.VAL, Preprocess())
    task = flash.Task(nn.Linear(3, 1))
    batches = list(predict_batches(task, dataset, batch_size=2, num_workers=num_workers))
    assert [batch.rows for batch in batches] == [[0, 1], [2, 3], [4]]
    torch.testing.assert_close(torch.cat([batch.inputs for batch in batches]), x)
    torch.testing.assert_close(torch.cat([batch.targets for batch in batches]), y)
    torch.testing.assert_close(torch.cat([batch.output for batch in batches]), task(x), check_device=False)


def test_each_module_has_its_mode_again_after_evaluating() -> None:
    network = nn.Sequential(nn.Dropout(), nn.Dropout())
    network[0].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == [True, False, True]


def test_a_large_table_is_predicted_in_parts_and_a_small_one_as_it_was_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n2\n3\n")
    assert list(parts_to_predict(path, Rows(), {})) == [path]
    (read,) = parts_to_predict(path, Rows(), {}, as_table=True)
    assert isinstance(read, Table)
    assert read.folder == tmp_path
    monkeypatch.setattr(table_parts, "SMALL", 1)
    monkeypatch.setattr(table_parts, "PART_ROWS", 2)
    assert [part["a"] for part in parts_to_predict(path, Rows(), {})] == [["1", "2"], ["3"]]
    # Where rows are not samples, such as steps of a series, the whole is one input.
    assert list(parts_to_predict(path, Preprocess(), {})) == [path]
