"""Vectors of the layers of a task, and search among them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import flash
from flash import DataModule, Preprocess, Task
from flash.core.classification import ClassificationTask
from flash.core.embedding import Embedder, VectorIndex
from flash.errors import ConfigurationError, DataError, UnknownNameError

POINTS = torch.tensor([[0.0, 1.0], [2.0, 0.0], [3.0, 3.0], [0.5, 2.0]])


class Net(nn.Module):
    """Layers of several shapes: maps of places, a list, one that is called twice, one that is not called."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.maps = nn.Unflatten(1, (3, 1, 1))
        self.blocks = nn.ModuleList([nn.Tanh(), nn.Flatten()])
        self.twice = nn.ReLU()
        self.never = nn.Linear(1, 1)
        self.last = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(self.twice(self.first(x)))
        for block in self.blocks:
            x = block(x)
        return self.last(self.twice(x))


class Tokens(nn.Module):
    """Return a token of ones and one of twos, in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"tokens": self.inner(torch.stack([torch.ones_like(x), 2 * torch.ones_like(x)], 1))}


class Backboned(ClassificationTask):
    def __init__(self, num_classes: int = 2) -> None:
        super().__init__(num_classes=num_classes)
        self.backbone = nn.Linear(2, 5)
        self.head = nn.Linear(5, num_classes)

    def forward_features(self, x: Any) -> Any:
        return self.backbone(x)

    def forward_head(self, features: Any) -> Any:
        return self.head(features)


def test_layers_have_the_names_of_the_modules() -> None:
    assert Task(Net()).available_layers() == [
        *("output", "model", "model.first", "model.maps", "model.blocks.0", "model.blocks.1"),
        *("model.twice", "model.never", "model.last"),
    ]
    assert Backboned().available_layers() == ["output", "features", "backbone", "head"]


def test_a_vector_is_the_output_of_the_layer() -> None:
    task = Task(net := Net())
    first = torch.stack(task.as_embedder("model.first").predict(POINTS))
    assert torch.equal(first, net.first(POINTS).detach())
    assert torch.equal(torch.stack(task.as_embedder("output").predict(POINTS)), net(POINTS).detach())
    assert not net.first._forward_hooks


def test_features_are_those_of_the_backbone() -> None:
    task = Backboned()
    found = torch.stack(task.as_embedder("features").predict(POINTS, batch_size=3))
    assert torch.allclose(found, task.backbone(POINTS).detach())


def test_dropout_is_off_and_the_mode_comes_back() -> None:
    task = Task(nn.Sequential(nn.Dropout(0.9), nn.Linear(2, 2)))
    task.train()
    vectors = [torch.stack(task.as_embedder("model.0").predict(POINTS)) for _ in range(2)]
    assert torch.equal(*vectors)
    assert torch.equal(vectors[0], POINTS)
    assert task.training


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[1.5, 1.5]]),
        ("max", [[2.0, 2.0]]),
        ("first", [[1.0, 1.0]]),
        ("flatten", [[1.0, 1.0, 2.0, 2.0]]),
        (lambda output, inputs: output[:, 1] + inputs, [[2.0, 3.0]]),
    ],
)
def test_tokens_become_a_vector(pooling: Any, expected: list[list[float]]) -> None:
    found = Task(Tokens()).as_embedder("model.inner", pooling).predict(POINTS[:1])
    assert torch.stack(found).tolist() == expected


def test_maps_become_a_vector() -> None:
    maps = torch.arange(12.0).reshape(1, 3, 2, 2)
    task = Task(nn.Sequential(nn.Identity(), nn.Flatten()))
    assert task.as_embedder("model.0", "mean").predict(maps)[0].tolist() == [1.5, 5.5, 9.5]
    assert task.as_embedder("model.0", "max").predict(maps)[0].tolist() == [3.0, 7.0, 11.0]


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("model.twice", "Expected the layer 'model.twice' to be called once per batch, but it was called 2 times"),
        ("model.never", "Expected the layer 'model.never' to be called once per batch, but it was called 0 times"),
        ("model.maps", r"Expected a vector per sample, shape \(4, size\), from the layer 'model.maps', but got \(4, 3"),
    ],
)
def test_a_layer_that_gives_no_vector_is_an_error(layer: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Task(Net()).as_embedder(layer).predict(POINTS)


def test_a_layer_that_returns_no_tensor_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected the layer 'model' to return a tensor, but it returns dict"):
        Task(Tokens()).as_embedder("model").predict(POINTS)
    with pytest.raises(ConfigurationError, match=r"Expected a vector per sample, .* but got dict"):
        Task(Tokens()).as_embedder("model", lambda output, inputs: output).predict(POINTS)


def test_an_unknown_layer_or_pooling_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match=r"Expected a layer of Task, but got 'model.frist'.*'model.first'"):
        Task(Net()).as_embedder("model.frist")
    with pytest.raises(ConfigurationError, match="Expected pooling to be one of 'mean', .* but got 'median'"):
        Task(Net()).as_embedder("model.first", "median")  # type: ignore[arg-type]  # what the error is about


class Doubling(Preprocess):
    """Train samples are augmented: doubled."""

    def train_post_tensor_transform(self, sample: Any) -> Any:
        return sample * 2


def test_train_samples_are_embedded_without_augmentation_and_with_their_ids() -> None:
    data = DataModule.from_load_data_inputs(
        train_load_data_input=[(point, 0) for point in POINTS], preprocess=Doubling(), batch_size=3
    )
    found = Embedder(Task(nn.Identity()), "model").embed(data)
    assert found.vectors.tolist() == POINTS.tolist()
    assert found.ids == [0, 1, 2, 3]


class WithLengths(list[Any]):
    @property
    def lengths(self) -> Tensor:
        return torch.tensor([len(each) for each in self])


class Padded(Preprocess):
    """Samples of several lengths."""

    def load_data(self, data: Any, dataset: Any) -> Any:
        return WithLengths(data)

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        return torch.tensor(sample)

    def collate(self, samples: Any) -> Any:
        return nn.utils.rnn.pad_sequence(samples, batch_first=True)[..., None]


def test_padding_is_not_pooled() -> None:
    task = Task(nn.Identity(), preprocess=Padded())
    with pytest.raises(ConfigurationError, match="Expected samples of one length for pooling='mean', but these have"):
        task.as_embedder("model", "mean").predict([[1.0, 2.0], [3.0]])
    assert [each.tolist() for each in task.as_embedder("model", "first").predict([[1.0, 2.0], [3.0]])] == [[1.0], [3.0]]


def test_no_samples_are_an_error() -> None:
    with pytest.raises(DataError, match="Expected at least one sample"):
        Task(nn.Identity()).as_embedder("model").predict(torch.zeros(0, 2))


# ---------------------------------------------------------------------- search


def test_neighbors_are_those_of_a_comparison_with_each() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, queries = torch.randn(60, 7, generator=generator), torch.randn(5, 7, generator=generator)
    expected = nn.functional.cosine_similarity(queries[:, None], vectors[None], dim=2)
    ids = [f"row {row}" for row in range(60)]
    for query, near in zip(expected, VectorIndex(vectors, ids).search(queries, 60), strict=True):
        assert [each.row for each in near] == query.argsort(descending=True).tolist()
        assert [each.similarity for each in near] == pytest.approx(
            query.sort(descending=True).values.tolist(), abs=1e-6
        )
        assert all(each.id == f"row {each.row}" for each in near)


def test_more_queries_than_a_block_are_answered_in_order() -> None:
    vectors = nn.functional.one_hot(torch.arange(8)).float()
    order = torch.arange(3000) % 8
    assert [near[0].row for near in VectorIndex(vectors).search(vectors[order], 1)] == order.tolist()


def test_there_are_no_more_neighbors_than_vectors() -> None:
    assert len(VectorIndex(POINTS).search(POINTS[:1], 9)[0]) == len(VectorIndex(POINTS)) == 4


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        ([], "Expected vectors of one size, but got none"),
        ([[1.0], [1.0, 2.0]], r"Expected vectors of one size, but got \[\(1,\), \(2,\)\]"),
        (torch.zeros(3), r"Expected vectors, shape \(rows, size\), but got the shape \(3,\)"),
        ([[1.0], [float("nan")]], "Expected finite numbers, but the vectors 1 have others"),
    ],
)
def test_other_vectors_are_an_error(vectors: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        VectorIndex(vectors)


def test_what_does_not_fit_the_index_is_an_error() -> None:
    with pytest.raises(DataError, match="Expected an id for each of 4 vectors, but got 1"):
        VectorIndex(POINTS, ["a"])
    with pytest.raises(DataError, match="Expected queries of the size of the vectors, 2, but got 3"):
        VectorIndex(POINTS).search(torch.zeros(1, 3))
    with pytest.raises(ConfigurationError, match="Expected count to be a whole number of at least 1, but got 0"):
        VectorIndex(POINTS).search(POINTS, 0)


@pytest.mark.train
def test_the_task_trains_on() -> None:
    task = Backboned()
    embedder = task.as_embedder("features")
    before = torch.stack(embedder.predict(POINTS))
    data = DataModule.from_tensors(POINTS, torch.tensor([0, 1, 1, 0]), seed=0)
    silent: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    flash.Trainer(max_epochs=2, accelerator="cpu", enable_checkpointing=False, **silent).fit(task, data)
    assert not torch.equal(before, torch.stack(embedder.predict(POINTS)))
