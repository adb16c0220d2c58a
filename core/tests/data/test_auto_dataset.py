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


def test_samples_are_shown_to_a_person_by_the_rows_of_a_subset_and_without_their_targets() -> None:
    dataset = AutoDataset([("sun", 1), ("moon", 0), ("star", 1)], Stage.TRAIN, Preprocess())
    assert dataset.display([2, 0]) == ["star", "sun"]
    assert dataset.subset([1, 2], Stage.VAL).display([0, 1]) == ["moon", "star"]
    # In prediction there is no target: a pair is a sample of two parts.
    assert AutoDataset([("sun", 1)], Stage.PREDICT, Preprocess()).display([0]) == ["sun, 1"]


def test_columns_are_shown_row_by_row() -> None:
    columns = Columns(({"age": torch.tensor([20, 30]), "pixels": torch.ones(2, 5, 5)}, torch.tensor([0, 1])))
    dataset = AutoDataset(columns, Stage.TRAIN, Preprocess())
    assert dataset.display([1]) == [{"age": 30, "pixels": "5 × 5 numbers, mean 1, standard deviation 0"}]  # noqa: RUF001


def test_display_sees_the_samples_that_were_prepared_for_a_network_and_the_stage() -> None:
    class Windows(Preprocess):
        def prepare_samples(self, samples: Any, dataset: Any) -> Any:
            return [samples[first : first + self.input_spec] for first in range(len(samples) - self.input_spec + 1)]

        def display(self, samples: Any, rows: Any) -> Any:
            return [f"{self._stage} {samples[row]}" for row in rows]

    dataset = AutoDataset([1, 2, 3], Stage.TEST, Windows(), 2)
    assert dataset.display([1]) == [f"{Stage.TEST} [2, 3]"]


def test_a_stage_may_have_its_own_display() -> None:
    class Own(Preprocess):
        def predict_display(self, samples: Any, rows: Any) -> Any:
            return ["new" for _ in rows]

    assert AutoDataset(["a"], Stage.PREDICT, Own()).display([0]) == ["new"]
    assert AutoDataset(["a"], Stage.VAL, Own()).display([0]) == ["a"]


def test_ids_do_not_load_samples() -> None:
    class Files:
        ids = ("a.wav", "b.wav")

        def __len__(self) -> int:
            return 2

        def __getitem__(self, row: int) -> Any:
            raise AssertionError("a sample is loaded")

    class Unnamed(Files):
        ids = None  # type: ignore[assignment]

    class Names(str):
        name = "c.wav"

    assert AutoDataset(Files(), Stage.TRAIN, Preprocess()).ids_of([1, 0]) == ["b.wav", "a.wav"]
    assert AutoDataset(Unnamed(), Stage.TRAIN, Preprocess()).ids_of([1, 0]) == [1, 0]
    assert AutoDataset([Names()], Stage.TRAIN, Preprocess()).ids_of([0]) == ["c.wav"]
