"""Importance of the pieces of single samples to their prediction: words of texts, patches of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flash.core.evaluation import Evaluated, evaluate_dataset
from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule
from flash.data.display import Display
from flash.data.pieces import Pieces, Place
from flash.data.stage import Stage
from flash.download import progress_bar
from flash.errors import ConfigurationError, DataError

__all__ = ["PieceImportance", "piece_importance"]

# Work that takes longer shows a progress bar.
_LONG = 3.0


@dataclass(frozen=True)
class PieceImportance:
    """Importance of each piece of a sample to its prediction.

    Args:
        row: The index of the sample.
        id: Its id, such as its file.
        shown: What a person looks at: a text, texts by name, or an image.
        places: Where each piece is in it.
        values: By how much the predicted value is higher with the piece than without, in the order of the places: below
            0, the piece speaks against it.
        name: What is predicted: the name of a class, a label or a number; empty for a single number.
        is_number: Whether it is a number; otherwise the value is a probability.
        value: The value that the task predicts for the whole sample.
        truth: The target, as in ``targets`` of :class:`flash.core.evaluation.Evaluated`; ``None`` if there is none.
    """

    row: int
    id: Any
    shown: Display
    places: Sequence[Place]
    values: list[float]
    name: str
    is_number: bool
    value: float
    truth: Tensor | None = None

    @property
    def meaning(self) -> str:
        """Meaning of the values in words, such as ``"drop of the probability"``."""
        return "drop of the number" if self.is_number else "drop of the probability"


def piece_importance(
    task: Any,
    data: DataModule,
    stage: str = "val",
    *,
    rows: Sequence[int],
    target: str | int | None = None,
    most: int = 64,
    progress: bool = False,
) -> list[PieceImportance]:
    """Compute how much the prediction for each sample depends on each of its pieces, by leaving each out.

    It is the drop of the probability of the predicted class, of the most probable of several labels, or of the
    predicted number, if the piece is not there. The pieces are those of the hook :meth:`flash.Preprocess.pieces`: words
    of texts, which are left out, and patches of images, which get the mean color of the image. Pieces that say the
    same share their importance, so that each may seem unimportant.

    Args:
        task: A trained :class:`flash.Task`; it is bound to the data.
        data: The data.
        stage: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``; train samples are transformed as for validation.
        rows: The indices of the samples.
        target: The class, the label or the number to explain, by its name or index; by default the one that is
            predicted for each sample, and of several numbers the first one.
        most: The greatest number of pieces of a sample: of longer texts, neighboring words are one piece.
        progress: Whether to show a progress bar if it takes more than three seconds.

    Returns:
        The importance for each sample, in the order of the rows.

    Raises:
        DataError: If there is no data for the stage, or no sample with an index.
        ConfigurationError: If the task predicts neither classes nor numbers, the samples are one whole, or there is no
            such target.

    Source:
        Robnik-Šikonja and Kononenko, *Explaining Classifications for Individual Instances*, IEEE TKDE 20 (2008); for
        images Zeiler and Fergus, *Visualizing and Understanding Convolutional Networks*,
        https://arxiv.org/abs/1311.2901, section 4.2.

    Example:
        >>> import flash
        >>> from flash.data.pieces import without_words, words_of
        >>> class Texts(flash.Preprocess):
        ...     def pieces(self, samples, row, most):
        ...         text, target = samples[row]
        ...         words = words_of(text, most)
        ...         return Pieces(text, words, lambda each: [(without_words(text, words, out), target) for out in each])
        >>> import torch
        >>> class CountsGood(flash.Task):
        ...     def forward(self, texts):
        ...         return torch.tensor([[float(text.count("good"))] for text in texts])
        >>> dm = flash.DataModule.from_load_data_inputs([("a good film", 1.0)], preprocess=Texts())
        >>> task = CountsGood(loss_fn=torch.nn.functional.mse_loss)
        >>> piece_importance(task, dm, "train", rows=[0])[0].values
        [0.0, 1.0, 0.0]
    """
    for name, value in (("most", most), *(("rows", row) for row in rows)):
        if isinstance(value, bool) or not isinstance(value, int) or value < (name == "most"):
            what = "a whole number of at least 1" if name == "most" else "a list of whole numbers from 0"
            raise ConfigurationError(f"Expected {name} to be {what}, but got {value!r}.")
    task.use_data(data)
    dataset = data.indexed_dataset(stage)
    if not rows or max(rows) >= len(dataset):
        raise DataError(
            f"Expected indices of {stage} samples, from 0 to {len(dataset) - 1}, but got "
            f"{max(rows) if rows else 'none'}. Choose some, such as rows=[0]."
        )
    # Random augmentation would be taken for importance.
    chosen = dataset.subset(list(rows), Stage.VAL if dataset.hooks.stage is Stage.TRAIN else dataset.hooks.stage)
    whole = evaluate_dataset(task, data, chosen, num_workers=0)
    values = _Values(task, whole, target, data)
    divided = [chosen.pieces(place, most) for place in range(len(chosen))]
    found: list[PieceImportance] = []
    total = sum(len(pieces.places) for pieces in divided if pieces is not None)
    with progress_bar("Importance", total, shown=progress, unit="pieces", delay=_LONG) as bar:
        for place, pieces in enumerate(divided):
            if pieces is None:
                raise _one_whole(data)
            output, name = values.explained[place], values.names[place]
            predicted = float(values.of(whole)[place, output])
            drops: list[float] = []
            for first in range(0, len(pieces.places), data.batch_size):
                group = range(len(pieces.places))[first : first + data.batch_size]
                drops += _drops(task, data, chosen, pieces, group, values, output, predicted)
                bar.update(len(group))
            truth = None if whole.targets is None else whole.targets[place]
            is_number = whole.kind == "numbers"
            found.append(
                PieceImportance(
                    *(rows[place], dataset.id_of(rows[place]), pieces.shown, pieces.places, drops),
                    *(name, is_number, predicted, truth),
                )
            )
    return found


def _drops(
    task: Any,
    data: DataModule,
    dataset: AutoDataset,
    pieces: Pieces,
    group: Sequence[int],
    values: _Values,
    output: int,
    value: float,
) -> list[float]:
    """Return by how much the value of the whole sample is higher than that without each piece of a group."""
    changed = dataset.without_pieces(pieces, [[piece] for piece in group])
    without = evaluate_dataset(task, data, changed, num_workers=0)
    return [value - each for each in values.of(without)[:, output].tolist()]


class _Values:
    """The predicted values of which a drop is importance, and which of them is explained for each sample.

    Args:
        task: The task.
        whole: Its predictions for the whole samples.
        target: The class, the label or the number to explain, if the user chose one.
        data: The data, which may have names of several numbers.
    """

    def __init__(self, task: Any, whole: Evaluated, target: str | int | None, data: DataModule) -> None:
        self.kind = whole.kind
        if self.kind is None or (whole.probabilities is None and whole.outputs is None):
            raise _has_no_value(task)
        known = whole.names or list(getattr(data.preprocess, "target_names", None) or [])
        found = self.of(whole)
        if target is not None:
            self.explained = [_place_of(target, known, found.shape[1])] * len(found)
        else:
            self.explained = [0] * len(found) if self.kind == "numbers" else found.argmax(1).tolist()
        several = found.shape[1] > 1
        self.names = [known[each] if known else str(each) if several else "" for each in self.explained]

    def of(self, evaluated: Evaluated) -> Tensor:
        """Return probabilities or numbers, shape ``(samples, outputs)``."""
        found = evaluated.outputs if self.kind == "numbers" else evaluated.probabilities
        assert found is not None
        return found.reshape(len(found), -1).double()


def _place_of(target: str | int, names: Sequence[str], count: int) -> int:
    if isinstance(target, str) and target in names:
        return names.index(target)
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < count:
        return target
    known = ", ".join(map(repr, names[:20])) or f"the indices 0 to {count - 1}"
    raise ConfigurationError(f"Expected target to be among {known}, but got {target!r}.")


def _has_no_value(task: Any) -> ConfigurationError:
    return ConfigurationError(
        f"Expected a task that predicts classes or numbers, of which a piece may be the reason, but this "
        f"{type(task).__name__} predicts something else. See its results with task.plot_predictions(data), or "
        "train a classifier or a regressor on the same inputs."
    )


def _one_whole(data: DataModule) -> ConfigurationError:
    return ConfigurationError(
        f"Expected samples that are divided into pieces, such as the words of a text, but those of this "
        f"{type(data).__name__} are one whole each. Leave rows out for the importance of columns to all samples; or "
        "define the pieces with the hook pieces of the preprocess."
    )
