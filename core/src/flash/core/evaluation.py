"""Evaluate a task row by row: outputs, targets and losses, the worst rows, confusion matrices, scores per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from flash.core.outputs import to_probabilities
from flash.core.prediction import PredictedBatch, gather_rows, predict_batches
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.data_module import DataModule
from flash.errors import ConfigurationError

__all__ = [
    "ClassScores",
    "Evaluated",
    "TargetKind",
    "evaluate_dataset",
    "evaluate_predictions",
    "evaluate_rows",
    "targets_of",
]

#: One class per row, any number of labels per row, or numbers; ``None`` for targets of another kind.
TargetKind = Literal["classes", "labels", "numbers"] | None

# A probability of 0 has a loss that is finite.
_LEAST = 1e-12


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class.

    Args:
        label: The name of the class.
        precision: The fraction of the rows predicted as the class that are of it; NaN if none was predicted.
        recall: The fraction of the rows of the class that were predicted as it; NaN if there are none.
        f1: The harmonic mean of precision and recall; 0 if no prediction of the class is right, NaN if there are
            neither rows of the class nor predictions.
        support: The number of rows of the class.
        predicted: The number of rows predicted as the class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True)
class Evaluated:
    """Predictions for each row of a stage, beside the truth; tensors are on the CPU, in the order of the rows.

    Args:
        stage: The stage, such as ``"val"``.
        kind: The kind of the targets.
        names: The names of the classes; ``None`` if there are no classes.
        ids: The id of each row: its file, its entry in ``ids``, or its index.
        outputs: The output of the network, shape ``(rows, outputs)``; ``None`` if it is not such a tensor.
        targets: The targets, shape ``(rows, ...)``; ``None`` in prediction, or if they are no tensor.
        losses: The loss of each row, shape ``(rows,)``; ``None`` if there are no targets, or no loss per row.
        probabilities: The probabilities of the classes, shape ``(rows, classes)``; ``None`` if there are no classes.
        threshold: The probability above which a label is predicted, for ``kind="labels"``.

    Example:
        >>> import flash
        >>> dm = flash.DataModule.from_tensors(val_data=torch.tensor([[1.0], [3.0]]), val_targets=torch.zeros(2, 1))
        >>> found = evaluate_rows(flash.Task(torch.nn.Identity(), torch.nn.functional.mse_loss), dm)
        >>> found.losses, found.worst(1)
        (tensor([1., 9.]), [1])
    """

    stage: str
    kind: TargetKind
    names: list[str] | None
    ids: list[Any]
    outputs: Tensor | None
    targets: Tensor | None
    losses: Tensor | None
    probabilities: Tensor | None = None
    threshold: float = 0.5

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def order(self) -> Literal["highest loss first", "least certain first", ""]:
        """The order of :meth:`worst`, in words; empty if it is that of the rows."""
        if self.losses is not None:
            return "highest loss first"
        return "least certain first" if self.probabilities is not None else ""

    @property
    def uncertainties(self) -> Tensor | None:
        """One minus the probability of the prediction, shape ``(rows,)``; of several labels, the largest."""
        if self.probabilities is None:
            return None
        if self.kind == "labels":
            return 1 - torch.maximum(self.probabilities, 1 - self.probabilities).amin(1)
        return 1 - self.probabilities.amax(1)

    @property
    def predicted(self) -> Tensor | None:
        """The predictions, like the targets: class indices ``(rows,)``, zeros and ones, or numbers."""
        if self.probabilities is None:
            return self.outputs if self.kind == "numbers" else None
        if self.kind == "labels":
            return (self.probabilities > self.threshold).long()
        return self.probabilities.argmax(1)

    def worst(self, count: int | None = None) -> list[int]:
        """Return the rows with the highest losses, highest first; without losses, the least certain predictions.

        Rows whose loss is not a number come first; without losses and certainties, rows are in their own order.

        Args:
            count: The maximum number of rows; ``None`` for all.
        """
        values = self.uncertainties if self.losses is None else self.losses
        if values is None:
            return list(range(len(self)))[:count]
        return torch.argsort(values, descending=True, stable=True)[:count].tolist()

    def confusion(self) -> Tensor:
        """Return how many rows of each class were predicted as each.

        Returns:
            Counts, shape ``(classes, classes)``: true classes by predicted classes; of several labels per row, shape
            ``(labels, 2, 2)``, for each label ``[[true negatives, false positives], [false negatives, true
            positives]]``.

        Raises:
            ConfigurationError: If there are no classes, or no targets.
        """
        predicted, targets, count = self._classes()
        if self.kind == "labels":
            pairs = 2 * targets + predicted
            return torch.stack([(pairs == place).sum(0) for place in range(4)], 1).reshape(-1, 2, 2)
        known = targets >= 0  # Negative class indices are ignored, as in cross entropy.
        pairs = targets[known] * count + predicted[known]
        return torch.bincount(pairs, minlength=count * count).reshape(count, count)

    def class_scores(self) -> list[ClassScores]:
        """Return precision, recall and F1 of each class, in the order of the classes.

        Raises:
            ConfigurationError: If there are no classes, or no targets.
        """
        matrix = self.confusion()
        if self.kind == "labels":
            right, found, there = matrix[:, 1, 1], matrix[:, :, 1].sum(1), matrix[:, 1].sum(1)
        else:
            right, found, there = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
        rows = zip(self.names or (), right.tolist(), found.tolist(), there.tolist(), strict=True)
        return [_scores_of(*row) for row in rows]

    def _classes(self) -> tuple[Tensor, Tensor, int]:
        if self.predicted is None or self.probabilities is None or self.targets is None:
            without_targets = self.probabilities is not None
            got = f"the {self.stage} data has none" if without_targets else f"the task predicts {self.kind or 'others'}"
            raise ConfigurationError(f"Expected classes as targets, to count predictions of each, but {got}.")
        return self.predicted, self.targets.long(), self.probabilities.shape[1]


def evaluate_rows(task: Any, data: DataModule, stage: str = "val") -> Evaluated:
    """Predict each row of a stage, and compare it with its target; the inputs are not held in memory.

    Args:
        task: A :class:`flash.Task`; it is bound to the data.
        data: The data.
        stage: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``; train data is transformed as in training.

    Raises:
        DataError: If there is no data for the stage, or it is a stream.
        ConfigurationError: If the data is for another kind of task.
    """
    task.use_data(data)
    return evaluate_dataset(task, data, data.indexed_dataset(stage))


def targets_of(dataset: AutoDataset) -> Tensor:
    """Return the targets of a dataset, without loading its inputs if their targets are beside them.

    Args:
        dataset: Samples with targets of one shape.

    Returns:
        Class indices ``(samples,)``, zeros and ones ``(samples, classes)``, or numbers.

    Example:
        >>> import flash
        >>> targets_of(flash.DataModule.from_tensors(torch.zeros(3, 1), torch.tensor([0, 1, 1])).train_dataset)
        tensor([0, 1, 1])
    """
    source = dataset.source
    tree = source.tree if isinstance(source, Columns) else None
    found = tree[-1] if isinstance(tree, tuple) else getattr(source, "targets", None)
    if found is None:
        found = [dataset[row][1] for row in range(len(dataset))]
    if isinstance(found, list | tuple):
        found = torch.stack([torch.as_tensor(each) for each in found])
    return torch.as_tensor(found).cpu()


def evaluate_dataset(
    task: Any, data: DataModule, dataset: AutoDataset, *, batch_size: int | None = None, num_workers: int | None = None
) -> Evaluated:
    """Predict each sample of a dataset, such as a subset of a stage, and compare it with its target.

    Args:
        task: A :class:`flash.Task`, which is bound to the data.
        data: The data module that the dataset is of, which knows the classes.
        dataset: The samples; the inputs are not held in memory.
        batch_size: The number of samples per batch; by default that of the data.
        num_workers: The number of worker processes; by default that of the data.

    Example:
        >>> import flash
        >>> dm = flash.DataModule.from_tensors(val_data=torch.tensor([[1.0], [3.0]]), val_targets=torch.zeros(2, 1))
        >>> part = dm.val_dataset.subset([1], dm.val_dataset.hooks.stage)
        >>> evaluate_dataset(flash.Task(torch.nn.Identity(), torch.nn.functional.mse_loss), dm, part).losses
        tensor([9.])
    """

    def values_of(batch: PredictedBatch) -> dict[str, Any]:
        found = {"outputs": batch.output, "targets": batch.targets}
        losses = None if batch.targets is None else task.sample_losses(batch.output, batch.targets)
        found["losses"] = losses
        return {name: value if isinstance(value, Tensor) and value.ndim <= 2 else None for name, value in found.items()}

    batches = predict_batches(
        task,
        dataset,
        batch_size=data.batch_size if batch_size is None else batch_size,
        num_workers=data.num_workers if num_workers is None else num_workers,
        by_length=dataset.lengths is not None,
    )
    gathered = gather_rows(batches, values_of)
    outputs, targets, losses = (gathered[name] for name in ("outputs", "targets", "losses"))
    outputs = None if outputs is None else outputs.float()
    kind = _kind_of(task, outputs, targets, data.num_classes)
    probabilities = None
    if kind in ("classes", "labels") and outputs is not None:
        convert = getattr(task, "to_probabilities", None)
        with torch.inference_mode():
            chosen = (
                to_probabilities(outputs, kind == "labels") if convert is None else convert(outputs.to(task.device))
            )
        probabilities = chosen.float().cpu()
    return Evaluated(
        stage=dataset.hooks.stage.value,
        kind=kind,
        names=None if probabilities is None else _names_of(task, data, probabilities.shape[1]),
        ids=dataset.ids_of(range(len(dataset))),
        outputs=outputs,
        targets=targets,
        losses=losses,
        probabilities=probabilities,
        threshold=float(getattr(task, "threshold", 0.5)),
    )


def evaluate_predictions(
    kind: Literal["classes", "labels", "numbers"],
    predictions: Any,
    targets: Any,
    *,
    names: Sequence[str] | None = None,
    ids: Sequence[Any] | None = None,
    stage: str = "val",
    threshold: float = 0.5,
) -> Evaluated:
    """Compare predictions of any model, such as one of scikit-learn, with targets row by row.

    The loss of a row is the cross entropy of its class, the mean binary cross entropy of its labels, or the mean
    squared error of its numbers, each in standard deviations of its target.

    Args:
        kind: The kind of the targets.
        predictions: Probabilities, shape ``(rows, classes)``, or numbers, shape ``(rows,)`` or ``(rows, numbers)``.
        targets: Class indices ``(rows,)``, zeros and ones ``(rows, classes)``, or numbers like the predictions.
        names: The names of the classes; by default their numbers.
        ids: The id of each row; by default its number.
        stage: The stage that the rows are of.
        threshold: The probability above which a label is predicted.

    Raises:
        ConfigurationError: If predictions and targets are not of one number of rows, or not of these shapes.

    Example:
        >>> found = evaluate_predictions("classes", [[0.75, 0.25], [0.5, 0.5]], [0, 1], names=["no", "yes"])
        >>> found.worst(), found.predicted, found.confusion().tolist()
        ([1, 0], tensor([0, 0]), [[1, 0], [1, 0]])
    """
    predicted, true = torch.as_tensor(predictions).double(), torch.as_tensor(targets)
    if kind == "numbers":
        predicted, true = predicted.reshape(len(predicted), -1), true.double().reshape(len(true), -1)
    expected = predicted.shape[:1] if kind == "classes" else predicted.shape
    if predicted.ndim != 2 or true.shape != expected:
        wanted = "(rows, classes) and (rows,)" if kind == "classes" else "(rows, ...), of both the same"
        raise ConfigurationError(
            f"Expected predictions and targets of shape {wanted}, but got {tuple(predicted.shape)} and "
            f"{tuple(true.shape)}. Pass one prediction per target."
        )
    if kind == "classes":
        true = true.long()
        known = true.clamp_min(0)
        losses = -predicted.gather(1, known[:, None]).squeeze(1).clamp_min(_LEAST).log()
    elif kind == "labels":
        shares = torch.where(true > 0, predicted, 1 - predicted)
        losses = -shares.clamp_min(_LEAST).log().mean(1)
    else:
        scales = true.std(0, correction=0)
        losses = ((predicted - true) / torch.where(scales > 0, scales, 1.0)).square().mean(1)
    is_number = kind == "numbers"
    count = predicted.shape[1]
    return Evaluated(
        stage=stage,
        kind=kind,
        names=None if is_number else [str(each) for each in (range(count) if names is None else names)],
        ids=list(range(len(predicted)) if ids is None else ids),
        outputs=predicted if is_number else None,
        targets=true,
        losses=losses,
        probabilities=None if is_number else predicted,
        threshold=threshold,
    )


def _kind_of(task: Any, outputs: Tensor | None, targets: Tensor | None, num_classes: int | None) -> TargetKind:
    """Return the kind of the targets: by the attributes of a classifier or regressor, else by shapes and types."""
    if outputs is None:
        return None
    if hasattr(task, "multi_label") and outputs.ndim == 2:
        return "labels" if task.multi_label else "classes"
    if hasattr(task, "num_targets"):
        return "numbers"
    if targets is None:
        return None
    if targets.is_floating_point():
        return "numbers" if targets.numel() == outputs.numel() else None
    width = outputs.shape[1] if outputs.ndim == 2 else 0
    fits = width == num_classes if num_classes is not None else width > max(1, int(targets.max()))
    return "classes" if targets.ndim == 1 and fits else None


def _names_of(task: Any, data: DataModule, count: int) -> list[str]:
    for labels in (getattr(task, "labels", None), data.labels):
        if labels is not None and len(labels) == count:
            return [str(label) for label in labels]
    return [str(place) for place in range(count)]


def _scores_of(label: str, right: int, found: int, there: int) -> ClassScores:
    """Return the scores of a class from its true positives, and all that were predicted and that are of it."""
    f1 = _share(2 * right, found + there)
    return ClassScores(label, _share(right, found), _share(right, there), f1, support=there, predicted=found)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
