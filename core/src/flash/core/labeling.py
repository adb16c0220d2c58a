"""Rank samples to label next, and labels to look at again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from flash import figures
from flash.core.console import training_quietly
from flash.core.embedding import Embedder
from flash.core.evaluation import evaluate_dataset, evaluate_rows, targets_of
from flash.core.trainer import Trainer
from flash.data.data_module import DataModule
from flash.data.messages import list_some
from flash.data.row_files import row_format
from flash.data.splits import split_folds
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError
from flash.serialization import from_serializable
from flash.serialization.files import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RankedRow", "RankedRows", "label_margins", "rank_to_label", "suspicious_labels"]

# Of how many times as many uncertain samples the different ones are chosen.
_POOL = 10
# A new network stops early by one of so many parts of its samples.
_VAL_FOLDS = 5
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


def suspicious_labels(task: Any, data: DataModule, layer: str | None = None, folds: int = 5) -> RankedRows:
    """Return the train samples whose labels may be wrong, the most suspicious first.

    Each sample is predicted by a model that did not learn from it. Of a task with a backbone that has features, these
    are linear models of the features. Of another one, such as that of tables, they are new networks, made with the
    arguments of the task and trained with the defaults of :class:`flash.Trainer`, one for each fold. What is
    suspicious says :func:`label_margins`.

    Args:
        task: A classifier. Its layer must not have learned these labels: a new task with a pretrained backbone, or one
            that was finetuned with the strategy ``"freeze"``. Of tasks without features, the weights do not matter.
        data: The data with the labels: one class per train sample.
        layer: The layer of the vectors, a name from :meth:`flash.Task.available_layers`; by default ``"features"``,
            or the new networks of a task without features.
        folds: The number of folds.

    Raises:
        ConfigurationError: If samples have several labels, or no classes, ``folds`` is not an integer above 1, or the
            task cannot be made again for a fold, since an object such as a network was passed to it.
        DataError: If there is no train data, or it is a stream.
        UnknownNameError: If there is no such layer.
    """
    if type(folds) is not int or folds < 2:
        raise ConfigurationError(f"Expected folds to be an integer above 1, but got {folds!r}.")
    if layer is None and task.has_features:
        layer = "features"
    vectors: Tensor | None
    targets: Tensor | None
    if layer is None:
        task.use_data(data)
        dataset = data.indexed_dataset("train")
        vectors, ids, targets = None, list(dataset.ids_of(range(len(dataset)))), targets_of(dataset)
    else:
        found = Embedder(task, layer).embed(data, "train")
        vectors, ids, targets = found.vectors, found.ids, found.targets
    if targets is None or targets.ndim != 1 or targets.is_floating_point() or data.num_classes is None:
        raise ConfigurationError(
            "Expected train data with one class per sample, to look for wrong labels, but got targets of another kind."
        )
    known = (targets >= 0).nonzero().flatten()  # Negative class indices are ignored, as in cross entropy.
    parts = _folds(targets[known], data.num_classes, folds, data.seed)
    if vectors is None:
        probabilities = _by_networks(task, data, known, targets[known], parts)
    else:
        probabilities = _by_linear_models(vectors[known], targets[known], data.num_classes, parts)
    margins, predictions = label_margins(probabilities, targets[known])
    names = [str(each) for each in (data.labels or range(data.num_classes))]
    rows = []
    for place in margins.argsort(descending=True, stable=True).tolist():
        if margins[place] <= 0:
            break
        row, predicted = int(known[place]), int(predictions[place])
        label, probability = names[int(targets[row])], float(probabilities[place, predicted])
        rows.append(RankedRow(ids[row], row, label, names[predicted], probability, float(margins[place])))
    return RankedRows(rows, "train")


def label_margins(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much more probable another class is than the label of each sample, by confident learning.

    A class is likely for a sample if its probability is at least the mean probability of the class over the samples
    that are labeled with it, which adapts to classes that a model is less sure of. A label is suspicious if classes are
    likely for the sample, and the most probable of these is not the label. The source is Northcutt, Jiang and Chuang,
    "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of Artificial Intelligence Research 70
    (2021), section 3.1.

    Args:
        probabilities: Shape ``(samples, classes)``, predicted by models that did not learn from the sample.
        targets: The labels as indices, shape ``(samples,)``.

    Returns:
        The margins, 0 where the label is not suspicious, and the most probable of the likely classes, both
        ``(samples,)``.

    Example:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.75, 0.25], [0.25, 0.75], [0.2, 0.8], [0.1, 0.9]])
        >>> label_margins(probabilities, torch.tensor([0, 0, 0, 1, 1]))[0]
        tensor([0., 0., 0., 0., 0.])
        >>> probabilities[2] = torch.tensor([0.0, 1.0])
        >>> label_margins(probabilities, torch.tensor([0, 0, 0, 1, 1]))
        (tensor([0., 0., 1., 0., 0.]), tensor([0, 0, 1, 0, 1]))
    """
    given = probabilities.gather(1, targets[:, None]).flatten()
    classes = probabilities.shape[1]
    counts = torch.bincount(targets, minlength=classes)
    # A class without samples has no threshold, and no sample is said to be of it.
    thresholds = (torch.bincount(targets, given, classes) / counts).where(counts > 0, torch.inf).to(given)
    highest, predictions = probabilities.where(probabilities >= thresholds, -torch.inf).max(1)
    suspicious = highest.isfinite() & (predictions != targets)
    return (highest - given).clamp_min(0).where(suspicious, 0), predictions


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


def _folds(targets: Tensor, classes: int, folds: int, seed: int) -> list[Tensor]:
    """Return the places of the samples of each fold."""
    few = [each for each in range(classes) if 0 < int((targets == each).sum()) < 2]
    if few or len(targets) < folds:
        shown = f"the classes {list_some(map(str, few))} with one" if few else f"{len(targets)} samples in all"
        raise DataError(
            f"Expected at least two samples of each class, and one for each of {folds} folds, but got {shown}. Add "
            "samples, or leave these classes out."
        )
    return [torch.from_numpy(rows) for rows in split_folds(len(targets), folds, seed, classes=targets.tolist())]


def _by_linear_models(vectors: Tensor, targets: Tensor, classes: int, parts: Sequence[Tensor]) -> Tensor:
    """Return probabilities of linear models that did not learn from the sample, shape ``(samples, classes)``."""
    probabilities = torch.empty(len(vectors), classes)
    for chosen in parts:
        others = torch.ones(len(vectors), dtype=torch.bool)
        others[chosen] = False
        predict = _fit_linear(vectors[others], targets[others], classes)
        probabilities[chosen] = predict(vectors[chosen])
    return probabilities


def _by_networks(task: Any, data: DataModule, known: Tensor, targets: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """Return probabilities of new networks that did not learn from the sample, shape ``(samples, classes)``.

    Args:
        task: The task that they are made like.
        data: The data.
        known: The rows of the samples.
        targets: Their labels.
        parts: The places of the samples of each fold.
    """
    if task.omitted_arguments:
        name = next(iter(task.omitted_arguments))
        raise ConfigurationError(
            f"Expected a task that can be made again for each fold, but this {type(task).__name__} was made with an "
            f"object, {name}={task.omitted_arguments[name]}. Pass layer=..., one of task.available_layers() that has "
            "not learned the labels."
        )
    dataset = data.indexed_dataset("train")
    found: dict[int, Tensor] = {}
    for number, chosen in enumerate(tqdm(parts, desc="Folds", leave=False)):
        others = torch.ones(len(known), dtype=torch.bool)
        others[chosen] = False
        rest = others.nonzero().flatten()
        # By these the training stops early.
        held = torch.from_numpy(split_folds(len(rest), _VAL_FOLDS, data.seed, classes=targets[rest].tolist())[0])
        learned = torch.ones(len(rest), dtype=torch.bool)
        learned[held] = False
        train, val, out = (
            dataset.subset(known[places].tolist(), stage)
            for places, stage in ((rest[learned], Stage.TRAIN), (rest[held], Stage.VAL), (chosen, Stage.VAL))
        )
        options: dict[str, Any] = {"batch_size": data.batch_size, "num_workers": data.num_workers, "seed": data.seed}
        part = DataModule(train, val, preprocess=data.preprocess, postprocess=data.postprocess, **options)
        with torch.random.fork_rng(devices=[]), training_quietly() as silence:
            torch.manual_seed(data.seed + number)
            new = type(task)(**from_serializable(dict(task.recorded_arguments)))
            trainer = Trainer(
                logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
            )
            silence()
            trainer.fit(new, part)
        evaluated = evaluate_dataset(new, part, out.with_input_spec(new.input_spec))
        assert evaluated.probabilities is not None
        found |= dict(zip(chosen.tolist(), evaluated.probabilities, strict=True))
    return torch.stack([found[place] for place in range(len(known))])


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
