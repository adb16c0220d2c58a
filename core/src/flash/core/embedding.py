"""Vectors of any layer of a task, and search among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from flash import figures
from flash.core.prediction import gather_rows, parts_to_predict, predict_batches, preprocess_of
from flash.data.auto_dataset import AutoDataset
from flash.data.batch import count_rows
from flash.data.data_module import DataModule
from flash.data.messages import list_some
from flash.data.stage import Stage
from flash.data.streams import AutoStream, load_dataset
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError, DataError, UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Embedded", "Embedder", "Neighbor", "PoolingSpec", "TaskEmbedding", "VectorIndex"]

#: How an output that is more than a vector per sample becomes one: ``"mean"`` or ``"max"`` over the tokens of
#: ``(batch, tokens, size)``, or over the places of ``(batch, channels, height, width)``; ``"first"`` takes the first
#: token; ``"flatten"`` keeps all numbers; a callable takes the output and the inputs of the batch.
PoolingSpec: TypeAlias = Literal["mean", "max", "first", "flatten"] | Callable[[Any, Any], Tensor] | None

# Layers that are no module, unless the task has one of that name.
_SPECIAL = ("output", "features")
# Not layers of the network.
_OTHERS = ("stage_metrics", "loss_fn")
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
# Queries that are compared with all vectors at once.
_QUERIES = 1024


@dataclass(frozen=True)
class Embedded:
    """The vectors of a stage.

    Args:
        vectors: One per sample, shape ``(samples, size)``, on the CPU.
        ids: The id of each sample: its file, its entry in ``ids``, or its index.
        targets: The targets, shape ``(samples, ...)``; ``None`` in prediction, or if they are no tensor.
    """

    vectors: Tensor
    ids: list[Any]
    targets: Tensor | None = None


@dataclass(frozen=True)
class Neighbor:
    """A vector that was found.

    Args:
        id: Its id.
        row: Its index.
        similarity: Its cosine similarity to the query, from -1 to 1.
    """

    id: Any
    row: int
    similarity: float


class TaskEmbedding:
    """Methods of a task that return the output of its layers."""

    def available_layers(self) -> list[str]:
        """Return the names for :meth:`as_embedder`: ``"output"``, ``"features"`` and the modules of the network.

        ``"output"`` is the output of the network, ``"features"`` that of its backbone, pooled as its head takes it.

        Example:
            >>> import flash
            >>> flash.Task(nn.Sequential(nn.Linear(2, 3), nn.ReLU())).available_layers()
            ['output', 'model', 'model.0', 'model.1']
        """
        task: Any = self
        named = [
            name
            for name, module in task.named_modules()
            if name and name.split(".")[0] not in _OTHERS and not isinstance(module, _CONTAINERS)
        ]
        special = _SPECIAL if task.has_features else _SPECIAL[:1]
        return [*(name for name in special if name not in named), *named]

    def as_embedder(self, layer: str, pooling: PoolingSpec = None) -> Embedder:
        """Return an embedder: it predicts a vector per sample, the output of a layer.

        The task keeps its modules: training it goes on to change the vectors. To keep an embedder, save the task.

        Args:
            layer: A name from :meth:`available_layers`.
            pooling: How an output of more dimensions becomes a vector.

        Raises:
            UnknownNameError: If there is no such layer.

        Example:
            >>> import flash
            >>> task = flash.Task(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
            >>> [vector.shape for vector in task.as_embedder("model.0").predict(torch.zeros(2, 2))]
            [torch.Size([3]), torch.Size([3])]
        """
        return Embedder(self, layer, pooling)


class Embedder:
    """Vectors of a layer of a task, in eval mode and for the samples that the task takes.

    Args:
        task: A :class:`flash.Task`; it keeps its modules.
        layer: A name from :meth:`flash.Task.available_layers`.
        pooling: How an output of more dimensions becomes a vector.

    Raises:
        UnknownNameError: If there is no such layer.
        ConfigurationError: If there is no such pooling.
    """

    def __init__(self, task: Any, layer: str, pooling: PoolingSpec = None) -> None:
        known = task.available_layers()
        if layer not in known:
            close = get_close_matches(str(layer), known, n=3) or known
            raise UnknownNameError(
                f"Expected a layer of {type(task).__name__}, but got {layer!r}. Choose one of "
                f"task.available_layers(), such as {list_some(map(repr, close), 3)}."
            )
        if pooling is not None and not callable(pooling) and pooling not in _POOLINGS:
            raise ConfigurationError(
                f"Expected pooling to be one of {', '.join(map(repr, _POOLINGS))}, a callable or None, but got "
                f"{pooling!r}."
            )
        self.task = task
        self.layer = layer
        self.pooling = pooling

    def __call__(self, inputs: Any) -> Tensor:
        """Return the vectors of the inputs of a batch, shape ``(batch, size)``.

        Raises:
            ConfigurationError: If the layer is not called once, or its output needs another pooling.
        """
        output = self._output(inputs)
        rows = count_rows(inputs)
        if callable(self.pooling):
            output = self.pooling(output, inputs)
        elif not isinstance(output, Tensor):
            raise ConfigurationError(
                f"Expected the layer {self.layer!r} to return a tensor, but it returns {type(output).__name__}. Choose "
                "a layer within it, or pass pooling=lambda output, inputs: ... that returns a tensor (batch, size)."
            )
        elif self.pooling is not None and output.ndim > 2:
            output = _POOLINGS[self.pooling](output)
        if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != rows:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ConfigurationError(
                f"Expected a vector per sample, shape ({rows}, size), from the layer {self.layer!r}, but got {got}. "
                "Choose a pooling: 'mean', 'max', 'first', 'flatten', or a callable that takes the output and the "
                "inputs."
            )
        return output

    def predict(self, raw: Any, batch_size: int = 64, **reading: Unpack[ReadOptions]) -> list[Tensor]:
        """Return the vector of each raw input, shape ``(size,)``, in their order.

        Args:
            raw: As for :meth:`flash.Task.predict`.
            batch_size: Number of samples per batch.
            reading: How to read a table of text.

        Raises:
            ConfigurationError: As for a call.
        """
        preprocess = preprocess_of(self.task)
        found: list[Tensor] = []
        for part in parts_to_predict(raw, preprocess, reading):
            dataset = load_dataset(part, Stage.PREDICT, preprocess, self.task.input_spec)
            found += self._gathered(dataset, batch_size=batch_size)[0].unbind(0)
        return found

    def embed(self, data: DataModule, stage: str = "train") -> Embedded:
        """Return the vectors of a stage; train samples are transformed as in validation, without augmentation.

        Args:
            data: The data; the task is bound to it.
            stage: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.

        Raises:
            DataError: If there is no data for the stage, or it is a stream.
            ConfigurationError: As for a call, or if the data is for another kind of task.
        """
        self.task.use_data(data)
        dataset = data.indexed_dataset(stage)
        if stage == Stage.TRAIN.value:
            dataset = dataset.subset(range(len(dataset)), Stage.VAL)
        vectors, targets = self._gathered(dataset, batch_size=data.batch_size, num_workers=data.num_workers)
        return Embedded(vectors, list(dataset.ids_of(range(len(dataset)))), targets)

    def plot_neighbors(
        self, data: DataModule, stage: str = "val", among: str = "train", count: int = 4, neighbors: int = 4
    ) -> Figure:
        """Draw samples, each followed by those that are most similar to it; the similarity is in small letters.

        Args:
            data: The data; the task is bound to it.
            stage: The stage of the samples, which are drawn at random with the data module's ``seed``.
            among: The stage of their neighbors; the same one leaves the sample itself out.
            count: The maximum number of samples.
            neighbors: The number of neighbors of each.

        Raises:
            DataError: If there is no data for a stage, or it is a stream.
            ConfigurationError: As for :meth:`embed`.
        """
        figures.check_count(count)
        figures.check_count(neighbors)
        figures.check_matplotlib()
        found = self.embed(data, among)
        queries = found if stage == among else self.embed(data, stage)
        rows = torch.randperm(len(queries.vectors), generator=torch.Generator().manual_seed(data.seed))[:count].tolist()
        index = VectorIndex(found.vectors)
        asked, known = data.indexed_dataset(stage), data.indexed_dataset(among)
        panels = []
        for row, near in zip(rows, index.search(queries.vectors[rows], neighbors + 1), strict=True):
            chosen = [each for each in near if stage != among or each.row != row][:neighbors]
            contents = known.display([each.row for each in chosen])
            panels.append(figures.Panel(asked.display([row])[0], f"{stage} {row}", "right"))
            panels += [
                figures.Panel(content, f"{among} {each.row}", note=f"similarity {each.similarity:.2f}")
                for content, each in zip(contents, chosen, strict=True)
            ]
        heading = f"{stage}: nearest neighbors among {among}, layer {self.layer}"
        return figures.draw_samples(panels, heading, columns=1 + min(neighbors, len(index) - (stage == among)))

    def _gathered(self, dataset: AutoDataset | AutoStream, **options: Any) -> tuple[Tensor, Tensor | None]:
        batches = predict_batches(self.task, dataset, forward=self._for_dataset(dataset), **options)
        found = gather_rows(batches, lambda batch: {"vectors": batch.output.float(), "targets": batch.targets})
        vectors = found.get("vectors")
        if vectors is None:
            raise DataError("Expected samples with vectors of one size, but they have several, or there are none.")
        return vectors, found["targets"]

    def _for_dataset(self, dataset: AutoDataset | AutoStream) -> Callable[[Any], Tensor]:
        if self.pooling in ("mean", "max", "flatten") and getattr(dataset, "lengths", None) is not None:
            raise ConfigurationError(
                f"Expected samples of one length for pooling={self.pooling!r}, but these have several lengths, and so "
                "padding would count. Choose the layer 'features', pooling='first', or a callable that takes the "
                "output and the inputs."
            )
        return self

    def _output(self, inputs: Any) -> Any:
        if self.layer in _SPECIAL and self.layer not in dict(self.task.named_children()):
            return self.task(inputs) if self.layer == "output" else self.task.forward_features(inputs)
        with _recorded(self.task.get_submodule(self.layer)) as outputs:
            self.task(inputs)
        if len(outputs) != 1:
            raise ConfigurationError(
                f"Expected the layer {self.layer!r} to be called once per batch, but it was called {len(outputs)} "
                "times. Choose another layer: a layer within it, or one that has it."
            )
        return outputs[0]


@contextmanager
def _recorded(module: nn.Module) -> Iterator[list[Any]]:
    """Collect the outputs of a module for the duration of the context."""
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


def _mean(output: Tensor) -> Tensor:
    return output.mean(1) if output.ndim == 3 else output.flatten(2).mean(2)


def _max(output: Tensor) -> Tensor:
    return output.amax(1) if output.ndim == 3 else output.flatten(2).amax(2)


_POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": _mean,
    "max": _max,
    "first": lambda output: output[:, 0],
    "flatten": lambda output: output.flatten(1),
}


class VectorIndex:
    """Exact search for the vectors that are most similar to others, by the cosine of their angle.

    All vectors are compared, by matrix products of torch: a million of 384 numbers take 1.5 GB, and a query a tenth of
    a second on a core. For many more, hand them to an approximate index, such as faiss or hnswlib.

    Args:
        vectors: The vectors, shape ``(rows, size)``, or a sequence of vectors of one size.
        ids: The id of each; by default its index.

    Raises:
        DataError: If there are none, they are of several sizes, or one has a number that is not finite.

    Example:
        >>> index = VectorIndex([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]], ids=["east", "north", "between"])
        >>> [(each.id, round(each.similarity, 2)) for each in index.search([[0.0, 1.0]], count=2)[0]]
        [('north', 1.0), ('between', 0.71)]
    """

    def __init__(self, vectors: Tensor | Sequence[Any], ids: Sequence[Any] | None = None) -> None:
        self._vectors = nn.functional.normalize(_as_vectors(vectors), dim=1)
        self.ids = list(range(len(self._vectors)) if ids is None else ids)
        if len(self.ids) != len(self._vectors):
            raise DataError(f"Expected an id for each of {len(self._vectors)} vectors, but got {len(self.ids)}.")

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, queries: Tensor | Sequence[Any], count: int = 5) -> list[list[Neighbor]]:
        """Return the most similar vectors for each query, most similar first.

        Args:
            queries: The queries, shape ``(queries, size)``, or a sequence of vectors.
            count: The number of vectors for each; all of them, if there are fewer.

        Raises:
            DataError: If the queries are of another size, or there are none.
            ConfigurationError: If ``count`` is not a positive integer.
        """
        figures.check_count(count)
        wanted = nn.functional.normalize(_as_vectors(queries), dim=1)
        if wanted.shape[1] != self._vectors.shape[1]:
            raise DataError(
                f"Expected queries of the size of the vectors, {self._vectors.shape[1]}, but got {wanted.shape[1]}. "
                "Take both from one layer."
            )
        found = []
        for start in range(0, len(wanted), _QUERIES):
            near = (wanted[start : start + _QUERIES] @ self._vectors.T).topk(min(count, len(self)), dim=1)
            for rows, similarities in zip(near.indices.tolist(), near.values.tolist(), strict=True):
                pairs = zip(rows, similarities, strict=True)
                found.append([Neighbor(self.ids[row], row, similarity) for row, similarity in pairs])
        return found


def _as_vectors(vectors: Tensor | Sequence[Any]) -> Tensor:
    if not isinstance(vectors, Tensor):
        rows = [torch.as_tensor(each, dtype=torch.float32) for each in vectors]
        sizes = {tuple(each.shape) for each in rows}
        if len(sizes) != 1:
            raise DataError(f"Expected vectors of one size, but got {sorted(sizes) if sizes else 'none'}.")
        vectors = torch.stack(rows)
    vectors = vectors.detach().float().cpu()
    if vectors.ndim != 2 or not vectors.numel():
        raise DataError(f"Expected vectors, shape (rows, size), but got the shape {tuple(vectors.shape)}.")
    wrong = (~vectors.isfinite().all(1)).nonzero().flatten().tolist()
    if wrong:
        raise DataError(f"Expected finite numbers, but the vectors {list_some(map(str, wrong))} have others.")
    return vectors
