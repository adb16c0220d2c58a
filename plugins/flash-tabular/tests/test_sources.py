"""The data source of tables that come with scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn import datasets

from flash.errors import ConfigurationError, UnknownNameError
from flash.tabular import TabularClassificationData, TabularData, TabularRegressionData


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "iris", "wine"])
def test_tables_of_classes_come_by_name(name: str) -> None:
    dm = TabularClassificationData.from_source("sklearn", dataset=name, verbose=False)
    bunch = getattr(datasets, f"load_{name}")()
    assert dm.labels == sorted(map(str, bunch.target_names))
    assert len(dm.train_dataset) == len(bunch.target)


def test_a_table_of_numbers_comes_by_name() -> None:
    dm = TabularRegressionData.from_source("sklearn", dataset="diabetes", verbose=False)
    assert dm.facts["target_mean"] == pytest.approx([datasets.load_diabetes().target.mean()])


@pytest.mark.parametrize("as_frame", [False, True])
def test_what_a_loading_function_returns_is_a_table(as_frame: bool) -> None:
    bunch = datasets.load_iris(as_frame=as_frame)
    dm = TabularClassificationData.from_source("sklearn", dataset=bunch, verbose=False)
    assert dm.labels == ["setosa", "versicolor", "virginica"]
    assert dm.facts["num_numerical"] == 4


def test_test_rows_are_split_off_the_same_way_for_the_same_seed() -> None:
    def rows(seed: int) -> torch.Tensor:
        dm = TabularClassificationData.from_source(
            "sklearn", dataset="iris", test_split=0.2, val_split=0.1, seed=seed, verbose=False
        )
        assert (len(dm.train_dataset), len(dm.val_dataset), len(dm.test_dataset)) == (108, 12, 30)
        return torch.cat([y for _, y in dm.test_dataloader()])

    def ids(seed: int) -> list[int]:
        dm = TabularClassificationData.from_source("sklearn", dataset="iris", test_split=0.2, seed=seed, verbose=False)
        found: list[int] = dm.test_dataset.ids_of(range(30))
        return found

    assert ids(0) != ids(1)
    # As every data module: stratified.
    assert torch.bincount(rows(0)).tolist() == [10, 10, 10]
    assert torch.equal(rows(0), rows(0))


def test_an_unknown_table_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected dataset to be one of breast_cancer.*but got 'titanic'"):
        TabularClassificationData.from_source("sklearn", dataset="titanic")


@pytest.mark.parametrize("data", [TabularClassificationData, TabularRegressionData])
def test_both_data_modules_list_the_source(data: type[TabularData]) -> None:
    assert "sklearn" in data.available_sources()


def test_an_unknown_source_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="sklaern"):
        TabularClassificationData.from_source("sklaern")
