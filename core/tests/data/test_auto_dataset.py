"""Datasets of a preprocess: hooks run on samples, or on whole columns at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from flash import Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.stage import Stage
from flash.errors import DataError


def test_a_hook_may_leave_out_the_dataset() -> None:
    class Short(Preprocess):
        def load_data(self, data: Any) -> Any:
            return data[:1]

    assert len(AutoDataset([1, 2], Stage.TRAIN, Short())) == 1


def test_numpy_arrays_and_floats_become_tensors_of_the_default_type() -> None:
    dataset = AutoDataset([(np.ones(2), 1.0, 3)], Stage.TRAIN, Preprocess())
    array, number, whole = dataset[0]
    assert array.dtype == number.dtype == torch.float32
    assert whole == 3


def test_facts_set_in_load_data_are_readable_on_the_dataset() -> None:
    class Facts(Preprocess):
        def load_data(self, data: Any, dataset: Any) -> Any:
            dataset.num_inputs = 7
            return data

    dataset: Any = AutoDataset([1], Stage.TRAIN, Facts())
    assert dataset.num_inputs == 7
    assert dataset.facts == {"num_inputs": 7}


def test_load_data_that_returns_no_sequence_is_an_error() -> None:
    class Wrong(Preprocess):
        def load_data(self, data: Any, dataset: AutoDataset) -> Any:
            return 5

    with pytest.raises(DataError, match=r"Expected Wrong.load_data to return a sequence of samples, but got int"):
        AutoDataset([1], Stage.TRAIN, Wrong())


def test_empty_data_is_an_error_that_names_the_stage() -> None:
    with pytest.raises(DataError, match="Expected at least one sample in the val data, but it is empty"):
        AutoDataset([], Stage.VAL, Preprocess())


def test_columns_are_taken_batch_by_batch_unless_a_sample_hook_is_overridden() -> None:
    class Rows(Preprocess):
        def post_tensor_transform(self, sample: Any) -> Any:
            return sample

    data = Columns((torch.zeros(4, 2), torch.zeros(4)))
    assert AutoDataset(data, Stage.TRAIN, Preprocess()).columns is data
    assert AutoDataset(data, Stage.TRAIN, Rows()).columns is None
