"""Rank samples to label next, and labels to look at again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flash import figures
from flash.core.embedding import Embedder
from flash.core.evaluation import evaluate_rows
from flash.data.data_module import DataModule
from flash.data.messages import list_some
from flash.data.row_files import row_format
from flash.data.splits import split_folds
from flash.errors import ConfigurationError, DataError
from flash.serialization.files import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RankedRow", "RankedRows", "rank_to_label", "suspicious_labels"]

# Of how many times as many uncertain samples the different ones are chosen.
_POOL = 10
# The weight of the squares of the weights of the linear model, and the steps of its optimizer.
_WEIGHT_DECAY, _STEPS = 1e-3, 100


@dataclass(frozen=True)
class RankedRow:
    """A sample that a person should look at.

    Args:
        id: Its file, its entry in ``ids``, or its index.
        row: Its index.
        label: The label that it has; ``None`` without one.
        prediction: The class that is predicted.
        probability: The probability of the prediction.
        score: By what it was ranked, highest first.
    """

    id: Any
    row: int
    label: str | None
    prediction: str
    probability: float
    score: float


class RankedRows(tuple[RankedRow, ...]):
    """Samples that a person should look at, the first one first.

    Example:
        >>> rows = RankedRows([RankedRow("a.png", 0, "cat", "dog", 0.9, 0.8)], stage="train")
        >>> rows[0].id, rows.stage
        ('a.png', 'train')
    """

    stage: str

    def __new__(cls, rows: Sequence[RankedRow], stage: str) -> RankedRows:
        """Return the samples of a stage."""
        made = super().__new__(cls, rows)
        made.stage = stage
        return made

    def save(self, path: str | Path) -> None:
        """Write a row per sample, with the fields of :class:`RankedRow` as columns; an existing file is replaced.

        Args:
            path: The file; its name ends with ``.csv``, ``.jsonl`` or ``.parquet``.

        Raises:
            ConfigurationError: If the name ends with something else.
            CheckpointError: If the file cannot be written.
        """
        path = Path(path)
        rows = row_format(path, "path")
        names = [each.name for each in fields(RankedRow)]
        columns = [[_cell(getattr(row, name)) for row in self] for name in names]
        with writing(path, folder_argument="path") as file, rows.writer(file, names) as write:
            write(rows.block(names, columns))

    def plot(self, data: DataModule, count: int = 9) -> Figure:
        """Draw the first samples: the label in black, the prediction with its probability below.

        Args:
            data: The data that they are of.
            count: The maximum number of samples.
        """
        figures.check_count(count)
        figures.check_matplotlib()
        shown = self[:count]
        contents = data.indexed_dataset(self.stage).display([each.row for each in shown])
        panels = [
            figures.Panel(
                content,
                each.prediction if each.label is None else each.label,
                note=f"{each.prediction} {each.probability:.0%}\n{Path(str(each.id)).name}",
            )
            for content, each in zip(contents, shown, strict=True)
        ]
        heading = "to label" if shown and shown[0].label is None else "labels to look at"
        return figures.draw_samples(panels, f"{self.stage}: {heading}")


def rank_to_label(
    task: Any, data: DataModule, count: int, stage: str = "predict", layer: str | None = "features"
) -> RankedRows:
    """Return the samples whose labels a task would learn most from: uncertain, and different from each other.

    Of the ten times as many least certain samples, each next one has the greatest product of its uncertainty (one
    minus the probability of the prediction) and its distance to the nearest one that was chosen (one minus the cosine
    similarity of their vectors). Without a layer, the least certain come first. The greedy choice by distance is that
    of core sets (Sener and Savarese, *Active Learning for Convolutional Neural Networks*, 2018).

    Args:
        task: A trained classifier; it is bound to the data.
        data: Samples without labels, such as those of ``predict_folder``.
        count: The number of samples to choose.
        stage: The stage of the samples.
        layer: The layer of the vectors, a name from :meth:`flash.Task.available_layers`; ``None`` ranks by uncertainty
            alone, and so does ``"features"`` of a task that has none.

    Raises:
        ConfigurationError: If the task is no classifier, or ``count`` is not a positive integer.
        DataError: If there is no data for the stage.
        UnknownNameError: If there is no such layer.

    Example:
        >>> from flash.core.classification import ClassificationTask
        >>> task = ClassificationTask(model=nn.Identity(), num_classes=2)
        >>> dm = DataModule.from_tensors(predict_data=torch.tensor([[9.0, 0.0], [0.1, 0.0], [0.0, 5.0]]))
        >>> [each.row for each in rank_to_label(task, dm, count=2)]
        [1, 2]
    """
    figures.check_count(count)
    found = evaluate_rows(task, data, stage)
    uncertainties = found.uncertainties
    if found.probabilities is None or uncertainties is None:
        raise ConfigurationError(
            f"Expected a classifier, whose predictions have probabilities, but got {type(task).__name__}."
        )
    order = torch.argsort(uncertainties, descending=True, stable=True)
    scores = uncertainties.clone()
    if layer is not None and (layer != "features" or task.has_features):
        pool = order[: _POOL * count]
        vectors = Embedder(task, layer).embed(data, stage).vectors[pool]
        places, values = _different(vectors, uncertainties[pool], count)
        order = pool[places]
        scores[order] = values
    rows = [
        RankedRow(found.ids[row], row, None, *_predicted(found.probabilities[row], found.names), float(scores[row]))
        for row in order[:count].tolist()
    ]
    return RankedRows(rows, stage)


def suspicious_labels(task: Any, data: DataModule, layer: str = "features", folds: int = 5) -> RankedRows:
    """Return the train samples whose labels may be wrong, the most suspicious first.

    A linear model learns the labels from the vectors of a layer, in folds: each sample is predicted by a model that
    did not learn from it. A label is suspicious if another class has a probability above the mean of that of its own
    samples, and the label's is not (Northcutt, Jiang and Chuang, *Confident Learning*, 2021). They are ranked by how
    much more probable the other class is.

    Args:
        task: A classifier whose layer has not learned these labels, such as a new one with a pretrained backbone, or
            one that was finetuned with the strategy ``"freeze"``.
        data: The data with the labels: one class per train sample.
        layer: The layer of the vectors, a name from :meth:`flash.Task.available_layers`.
        folds: The number of folds.

    Raises:
        ConfigurationError: If samples have several labels, or no classes, or ``folds`` is not an integer above 1.
        DataError: If there is no train data, or it is a stream.
        UnknownNameError: If there is no such layer, such as the features of a network without a backbone.
    """
    if type(folds) is not int or folds < 2:
        raise ConfigurationError(f"Expected folds to be an integer above 1, but got {folds!r}.")
    found = Embedder(task, layer).embed(data, "train")
    targets = found.targets
    if targets is None or targets.ndim != 1 or targets.is_floating_point() or data.num_classes is None:
        raise ConfigurationError(
            "Expected train data with one class per sample, to look for wrong labels, but got targets of another kind."
        )
    known = (targets >= 0).nonzero().flatten()  # Negative class indices are ignored, as in cross entropy.
    probabilities = _out_of_fold(found.vectors[known], targets[known], data.num_classes, folds, data.seed)
    given = probabilities.gather(1, targets[known][:, None]).flatten()
    thresholds = torch.stack(
        [given[targets[known] == each].mean() for each in range(data.num_classes)]  # NaN of a class without samples
    ).nan_to_num(math.inf)
    confident = probabilities.where(probabilities >= thresholds, -torch.inf)
    others = confident.scatter(1, targets[known][:, None], -torch.inf).amax(1)
    own = confident.gather(1, targets[known][:, None]).flatten()
    suspicious = (others.isfinite() & own.isinf()).nonzero().flatten()
    margins = others - given
    names = [str(each) for each in (data.labels or range(data.num_classes))]
    order = suspicious[margins[suspicious].argsort(descending=True, stable=True)]
    rows = []
    for place in order.tolist():
        row = int(known[place])
        label = names[int(targets[row])]
        prediction, probability = _predicted(confident[place], names)
        rows.append(RankedRow(found.ids[row], row, label, prediction, probability, float(margins[place])))
    return RankedRows(rows, "train")


def _cell(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _predicted(probabilities: Tensor, names: list[str] | None) -> tuple[str, float]:
    place = int(probabilities.argmax())
    return str(place) if names is None else names[place], float(probabilities[place])


def _different(vectors: Tensor, weights: Tensor, count: int) -> tuple[list[int], Tensor]:
    """Choose vectors one after the other, each with the greatest product of weight and distance to those before.

    Returns:
        The places of the chosen ones, and the product of each.
    """
    vectors = nn.functional.normalize(vectors, dim=1)
    distances = torch.ones(len(vectors))
    places: list[int] = []
    values = []
    for _ in range(min(count, len(vectors))):
        products = weights * distances
        products[places] = -torch.inf
        place = int(products.argmax())
        places.append(place)
        values.append(products[place])
        distances = torch.minimum(distances, (1 - vectors @ vectors[place]).clamp_min(0))
    return places, torch.stack(values)


def _out_of_fold(vectors: Tensor, targets: Tensor, classes: int, folds: int, seed: int) -> Tensor:
    """Return probabilities of linear models that did not learn from the sample, shape ``(samples, classes)``."""
    few = [each for each in range(classes) if 0 < int((targets == each).sum()) < 2]
    if few or len(targets) < folds:
        shown = f"the classes {list_some(map(str, few))} with one" if few else f"{len(targets)} samples in all"
        raise DataError(
            f"Expected at least two samples of each class, and one for each of {folds} folds, but got {shown}. Add "
            "samples, or leave these classes out."
        )
    probabilities = torch.empty(len(vectors), classes)
    for rows in split_folds(len(vectors), folds, seed, classes=targets.tolist()):
        chosen = torch.from_numpy(rows)
        others = torch.ones(len(vectors), dtype=torch.bool)
        others[chosen] = False
        predict = _fit_linear(vectors[others], targets[others], classes)
        probabilities[chosen] = predict(vectors[chosen])
    return probabilities


def _fit_linear(vectors: Tensor, targets: Tensor, classes: int) -> Callable[[Tensor], Tensor]:
    """Fit a logistic regression, and return its probabilities as a function of vectors."""
    mean, std = vectors.mean(0), vectors.std(0).clamp_min(1e-6)
    linear = nn.Linear(vectors.shape[1], classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    standardized = (vectors - mean) / std
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(linear(standardized), targets)
        loss = loss + _WEIGHT_DECAY * linear.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # of torch
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # of torch
    return lambda others: linear((others - mean) / std).softmax(1).detach()
