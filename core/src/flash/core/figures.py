"""TaskFigures: the figures of a task on data, the same for every domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flash import figures
from flash.core.evaluation import Evaluated, evaluate_rows
from flash.core.importance import part_importance
from flash.core.occlusion import PieceImportance, piece_importance
from flash.core.prediction import predict_batches
from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule
from flash.data.display import summarize
from flash.data.showing import show_target
from flash.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TaskFigures"]


class TaskFigures:
    """Methods of a task that draw what it predicts and how it was trained, as matplotlib figures.

    The numbers behind them are those of :func:`flash.core.evaluation.evaluate_rows`,
    :func:`flash.core.importance.part_importance`, :func:`flash.core.occlusion.piece_importance` and
    :attr:`flash.Task.history`; what a sample looks like is said by
    :meth:`flash.Preprocess.display`. Figures need matplotlib: ``pip install "flash-core[figures]"``.
    """

    #: The metrics of the last run, one dict per epoch: ``{"epoch": 0, "train_loss": 0.7, "val_accuracy": 0.5, ...}``.
    #: Checkpoints hold it. A run that is resumed continues it, another run starts it anew.
    history: list[dict[str, float]]

    def plot_predictions(self, data: DataModule, stage: str = "val", count: int = 9) -> Figure:
        """Draw predictions beside the truth, those with the highest loss first.

        A classifier's are green or red. Without targets, the least certain predictions come first. A task whose outputs
        have no loss per sample is shown on the first samples.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"``, ``"train"``; or ``"predict"``, which has no targets.
            count: The maximum number of samples.

        Raises:
            DataError: If there is no data for the stage, or it is a stream.
            ConfigurationError: If the data is for another kind of task, or ``count`` is not a positive integer.
        """
        figures.check_count(count)
        figures.check_matplotlib()
        found = evaluate_rows(self, data, stage)
        rows, dataset = found.worst(count), data.indexed_dataset(stage)
        titles = [_title_of(found, row) for row in rows]
        if found.probabilities is None and found.kind != "numbers":
            shown = _presented(self, dataset, rows)
            titles = [(title, "") for title in shown]
        panels = [
            figures.Panel(content, title, mark, _note_of(found, row))
            for row, content, (title, mark) in zip(rows, dataset.display(rows), titles, strict=True)
        ]
        order = f", {found.order}" if found.order else ""
        return figures.draw_samples(panels, f"{found.stage}: predictions{order}")

    def plot_confusion(self, data: DataModule, stage: str = "val") -> Figure:
        """Draw the confusion matrix of a classifier; with several labels per sample, one for each label.

        Of many classes, those that are confused most are drawn.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"`` or ``"train"``.

        Raises:
            DataError: If there is no data for the stage.
            ConfigurationError: If the task is no classifier.
        """
        figures.check_matplotlib()
        found = self._evaluated_classes(data, stage, "plot_confusion")
        heading = f"{found.stage}: {len(found):,} rows"
        return figures.draw_confusion(found.confusion().numpy(), found.names or [], heading)

    def plot_scores(self, data: DataModule, stage: str = "val") -> Figure:
        """Draw precision, recall and F1 of each class, lowest F1 first, with the number of its rows.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"`` or ``"train"``.

        Raises:
            DataError: If there is no data for the stage.
            ConfigurationError: If the task is no classifier.
        """
        figures.check_matplotlib()
        found = self._evaluated_classes(data, stage, "plot_scores")
        return figures.draw_scores(found.class_scores(), f"{found.stage}: scores of each class")

    def plot_numbers(self, data: DataModule, stage: str = "val") -> Figure:
        """Draw the predicted numbers of a regressor against the true ones.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"`` or ``"train"``.

        Raises:
            DataError: If there is no data for the stage.
            ConfigurationError: If the task predicts no numbers.
        """
        figures.check_matplotlib()
        found = evaluate_rows(self, data, stage)
        if found.kind != "numbers" or found.targets is None or found.outputs is None:
            classes = found.kind in ("classes", "labels")
            advice = "Call task.plot_confusion(data)." if classes else "Call task.plot_predictions(data)."
            raise _wrong_kind(self, found, "numbers, with true numbers beside them", "plot_numbers", advice)
        heading = f"{found.stage}: {len(found):,} rows"
        return figures.draw_numbers(found.targets.numpy(), found.outputs.numpy(), heading=heading)

    def plot_curves(self) -> Figure:
        """Draw the metrics of the last run per epoch, train beside validation: :attr:`history`.

        Raises:
            DataError: If the task was not trained for an epoch yet.
        """
        figures.check_matplotlib()
        return figures.draw_curves(self.history)

    def plot_importance(
        self,
        data: DataModule,
        stage: str = "val",
        repeats: int = 5,
        *,
        rows: Sequence[int] | None = None,
        count: int = 4,
        target: str | int | None = None,
        pieces: int = 64,
    ) -> Figure:
        """Draw what the task depends on: the columns of a table, the words of texts, or the patches of images.

        Columns, and the two texts of pairs, are exchanged between rows (:func:`flash.core.importance.part_importance`).
        Of single texts and images, and of all samples that ``rows`` names, words are left out, and patches get the mean
        color of their image (:func:`flash.core.occlusion.piece_importance`): words are shaded, and each image is beside
        its heat map.

        Args:
            data: The data; the task is bound to it.
            stage: ``"val"``, ``"test"``, ``"train"``; or ``"predict"``, if words or patches are drawn.
            repeats: The number of permutations of each column; the bars have their standard deviation.
            rows: The indices of the samples to draw, such as ``evaluate_rows(task, data).worst(4)``.
            count: The number of samples, drawn at random with the data module's ``seed``, if ``rows`` is not passed.
            target: The class, the label or the number to explain, by its name or index; by default what is predicted.
            pieces: The greatest number of words or patches of a sample: of longer texts, several words are one piece.

        Raises:
            DataError: If there is no data for the stage, it has no targets to compute a score of columns from, or
                there are no such rows.
            ConfigurationError: If the inputs have neither parts nor pieces, or the task predicts neither classes nor
                numbers.
        """
        figures.check_count(count)
        figures.check_matplotlib()
        task: Any = self
        task.use_data(data)
        dataset = data.indexed_dataset(stage)
        if rows is None and (dataset.parts() or dataset.pieces(0, 1) is None):
            found = part_importance(self, data, stage, repeats=repeats)
            heading = (
                f"{stage}: {found.score} {found.baseline:.4g} on {found.rows:,} rows, {found.repeats} permutations"
            )
            return figures.draw_importance(found.names, found.means, found.deviations, found.meaning, heading)
        if rows is None:
            order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(data.seed))
            rows = order[:count].sort().values.tolist()
        samples = piece_importance(self, data, stage, rows=rows, target=target, most=pieces, progress=True)
        panels = [figures.Panel(each.shown, _explained(each, data), note=_name_of(each.id)) for each in samples]
        places, values = [each.places for each in samples], [each.values for each in samples]
        return figures.draw_pieces(panels, places, values, f"{samples[0].meaning} without the piece", stage)

    def _evaluated_classes(self, data: DataModule, stage: str, method: str) -> Evaluated:
        found = evaluate_rows(self, data, stage)
        if found.kind not in ("classes", "labels"):
            numbers = found.kind == "numbers"
            advice = "Call task.plot_numbers(data)." if numbers else "Call task.plot_predictions(data)."
            raise _wrong_kind(self, found, "classes", method, advice)
        if found.targets is None:
            raise DataError(f"Expected data with targets for {method}, but the {found.stage} data has none.")
        return found


def _wrong_kind(task: object, found: Evaluated, wanted: str, method: str, advice: str) -> ConfigurationError:
    got = {"classes": "one class per sample", "labels": "several labels per sample", "numbers": "numbers"}
    kind = "outputs of another kind" if found.kind is None else got[found.kind]
    if found.targets is None and found.kind == "numbers":
        kind = "numbers, without true ones in this stage"
    return ConfigurationError(
        f"Expected a task that predicts {wanted}, for {method}, but this {type(task).__name__} predicts {kind}. "
        f"{advice}"
    )


def _title_of(found: Evaluated, row: int) -> tuple[str, Any]:
    """Return the prediction, with the truth if it is another, and whether it is right."""
    predicted = found.predicted
    if predicted is None:
        return "", ""
    truth = None if found.targets is None else found.targets[row]
    if found.kind == "numbers":
        title = show_target(predicted[row])
        return (title if truth is None else f"{title},\ntruth {show_target(truth)}"), ""
    assert found.probabilities is not None
    title = show_target(predicted[row], found.names)
    if found.kind == "classes":
        title += f" {found.probabilities[row].max():.0%}"
    if truth is None:
        return title, ""
    if bool((truth.long() == predicted[row]).all()):
        return title, "right"
    return f"{title},\nbut {show_target(truth.long(), found.names)}", "wrong"


def _note_of(found: Evaluated, row: int) -> str:
    name = _name_of(found.ids[row])
    if found.losses is not None:
        return f"loss {found.losses[row]:.2f}\n{name}"
    return name if found.uncertainties is None else f"uncertain {found.uncertainties[row]:.0%}\n{name}"


def _name_of(id: Any) -> str:
    """Return a file without its folders, or a row."""
    name = str(id).replace("\\", "/").rpartition("/")[2]
    return f"row {name}" if name.isdigit() else name


def _explained(sample: PieceImportance, data: DataModule) -> str:
    """Return what is explained of a sample, and its target."""
    value = figures.write_number(sample.value) if sample.is_number else f"{sample.value:.0%}"
    title = f"{sample.name} {value}".strip()
    if sample.truth is None:
        return title
    truth = sample.truth if sample.is_number else sample.truth.long()
    return f"{title}, truth {show_target(truth, data.labels)}"


def _presented(task: Any, dataset: AutoDataset, rows: Sequence[int]) -> list[str]:
    """Return the results of some rows, as the task presents them, each with its target if it can be shown."""
    chosen, texts = dataset.subset(rows, dataset.hooks.stage), dataset.display_targets(rows)
    titles: list[str] = []
    for batch in predict_batches(task, chosen, batch_size=max(1, len(rows))):
        with torch.inference_mode():
            results = task.present(batch.output, None, batch.inputs, [dataset.id_of(row) for row in rows])
        for place, result in enumerate(results):
            titles.append(str(summarize(result)) or "(nothing)")
            if texts is not None:
                titles[-1] += f",\ntruth {texts[batch.rows[place]]}"
            elif isinstance(batch.targets, Tensor) and len(batch.targets) == len(results):
                titles[-1] += f",\ntruth {show_target(batch.targets[place])}"
    return titles
