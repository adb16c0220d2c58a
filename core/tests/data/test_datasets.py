"""Datasets of torch and of rows of dicts as sources of any domain; those of images are tested in flash-image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import IterableDataset, Subset

from flash.data.datasets import DatasetSamples, dataset_inputs, is_deterministic
from flash.data.files import FileData, FilePreprocess
from flash.errors import ConfigurationError, DataError, MissingColumnError


class Lengths(FilePreprocess):
    noun = "word"
    dataset_fields = ("word",)

    def open_sample(self, source: Any) -> Any:
        return float(len(Path(source).name))


class LengthData(FileData):
    preprocess_cls = Lengths


class Pairs:
    """A dataset that is neither a list nor known to be the same each time."""

    classes = ("long", "short")

    def __init__(self) -> None:
        self.targets = [1, 0, 1, 0]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return f"word{index}", self.targets[index]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sun", "evening", *(f"word{number}" for number in range(4))):
        Path(name).touch()


def test_rows_of_dicts_are_found_by_the_keys_of_the_domain() -> None:
    rows = [{"word": "sun", "label": "short"}, {"word": "evening", "label": "long"}]
    data = LengthData.from_datasets(rows, predict_dataset=["sun"], batch_size=2)
    assert data.labels == ["long", "short"]
    assert data.train_dataset[1][0] == 7
    assert data.predict_dataset[0] == 3


def test_keys_can_be_named_and_one_that_is_not_there_is_an_error() -> None:
    rows = [{"text": "sun", "kind": "short"}, {"text": "evening", "kind": "long"}]
    assert LengthData.from_datasets(rows, input_field="text", target_field="kind").labels == ["long", "short"]
    with pytest.raises(MissingColumnError, match=r"one of the keys word in the samples, .* Pass input_field=\.\.\."):
        LengthData.from_datasets(rows)
    with pytest.raises(ConfigurationError, match="target_fields or target_field"):
        LengthData.from_datasets(rows, target_field="kind", target_fields="kind")


def test_names_of_classes_and_targets_are_those_of_the_dataset() -> None:
    found = dataset_inputs(Subset(Pairs(), [1, 2]), None, None, "train")  # type: ignore[arg-type]  # by its form
    assert (found.targets, found.names) == ([0, 1], ("long", "short"))
    assert list(found.sources) == ["word1", "word2"]
    assert LengthData.from_datasets(Pairs()).labels == ["long", "short"]  # type: ignore[arg-type]  # as above


def test_a_dataset_that_is_not_known_to_be_the_same_each_time_is_not_called_deterministic() -> None:
    data = LengthData.from_datasets(Pairs())  # type: ignore[arg-type]  # by its form
    _ = data.train_dataset
    assert data.preprocess is not None
    assert data.preprocess.nondeterministic_stages  # type: ignore[attr-defined]  # of files
    assert is_deterministic([1])
    assert not is_deterministic(Pairs())


def test_samples_of_another_form_are_an_error_with_the_noun_of_the_domain() -> None:
    with pytest.raises(DataError, match=r"Expected \(word, target\) or a dict as each sample of the train dataset"):
        LengthData.from_datasets(["sun"])
    with pytest.raises(DataError, match=r"with a length and \[index\] as train data, but got generator"):
        LengthData.from_datasets(word for word in ["sun"])


def test_sources_end_where_the_dataset_does() -> None:
    assert list(DatasetSamples([("a", 1), ("b", 2)], 0)) == ["a", "b"]


class Words(IterableDataset[Any]):
    """A stream of rows, with the names of its classes."""

    def __init__(self, rows: list[Any], classes: list[str] | None = None) -> None:
        self.rows = rows
        self.classes = classes

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


class LazyLengths(Lengths):
    reads_lazily = True


class LazyData(FileData):
    preprocess_cls = LazyLengths


ROWS = [{"word": "sun", "label": "short"}, {"word": "evening", "label": "long"}, {"word": "word1", "label": "short"}]


def batches(data: FileData) -> list[Any]:
    """Return the lengths of the words and the targets of each train batch."""
    return [(x.tolist(), y.tolist()) for x, y in data.train_dataloader()]


def test_a_stream_is_read_in_its_order_in_each_epoch() -> None:
    data = LazyData.from_datasets(Words(ROWS), batch_size=2)
    assert data.labels == ["long", "short"]
    assert batches(data) == batches(data) == [([3.0, 7.0], [1, 0]), ([5.0], [1])]


def test_pairs_of_a_stream_have_the_names_of_its_classes() -> None:
    data = LazyData.from_datasets(Words([("sun", 1), ("evening", 0)], ["long", "short"]), batch_size=2)
    assert data.labels == ["long", "short"]
    assert batches(data) == [([3.0, 7.0], [1, 0])]


def test_several_targets_of_a_stream_are_named() -> None:
    rows = [{"word": "sun", "warm": 1, "far": 1}, {"word": "word1", "warm": 0, "far": 1}]
    data = LazyData.from_datasets(Words(rows), target_fields=["warm", "far"], batch_size=2)
    assert data.labels == ["warm", "far"]
    assert batches(data) == [([3.0, 5.0], [[1.0, 1.0], [0.0, 1.0]])]


def test_a_stream_to_predict_has_no_targets() -> None:
    for rows in ([{"word": "sun"}, {"word": "evening"}], [("sun", 0), ("evening", 1)], ["sun", "evening"]):
        data = LazyData.from_datasets(predict_dataset=Words(rows), batch_size=2)
        (batch,) = data.predict_dataloader()
        assert batch.tolist() == [3.0, 7.0]


def test_a_stream_in_memory_is_data_as_any_other() -> None:
    data = LengthData.from_datasets(Words(ROWS), in_memory=True, batch_size=2)
    assert len(data.train_dataset) == 3
    assert data.labels == ["long", "short"]


def test_a_stream_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(DataError, match="Expected at least one sample in the train dataset, but it is empty"):
        LazyData.from_datasets(Words([]))
    with pytest.raises(MissingColumnError, match="Expected one of the keys word in the samples, but they have text"):
        LazyData.from_datasets(Words([{"text": "sun", "label": 0}]))
    with pytest.raises(DataError, match=r"Expected \(word, target\) or a dict as each sample of the train dataset"):
        LazyData.from_datasets(Words(["sun"]))
    with pytest.raises(ConfigurationError, match="Expected on_bad_sample='error' for train data that comes in a stre"):
        LazyData.from_datasets(Words(ROWS), on_bad_sample="skip")


def test_a_dataset_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"Expected a dataset with a length and \[index\] as train data, but got list_it"
    ):
        dataset_inputs(iter(ROWS), None, None, "train")
    with pytest.raises(DataError, match="Expected at least one sample in the val dataset, but it is empty"):
        dataset_inputs([], None, None, "val")
    with pytest.raises(DataError, match=r"Expected \(sample, target\) or a dict as each sample of the train dataset"):
        dataset_inputs(["sun"], None, None, "train")
    with pytest.raises(MissingColumnError, match="Expected a key 'text' in the samples, but they have word, label"):
        dataset_inputs(ROWS, "text", None, "train")


def test_several_targets_of_rows_are_named() -> None:
    rows = [{"word": "sun", "warm": 1, "far": 1}, {"word": "word1", "warm": 0, "far": 1}]
    found = dataset_inputs(rows, "word", ["warm", "far"], "train")
    assert ([row.tolist() for row in found.targets], found.names) == ([[1, 1], [0, 1]], ["warm", "far"])
    assert [*DatasetSamples(rows, None)] == rows
