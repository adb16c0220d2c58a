"""Exports of Label Studio as sources of data modules: ``from_source("label_studio", train_file="export.json")``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pytorch_lightning.utilities import rank_zero_only

from flash.data.messages import show, show_some
from flash.data.stage import Stage, Stages
from flash.errors import DataError

from .paths import file_of
from .sizes import upright_size_of
from .tasks import Disagreement, LabeledTask, Region, labeled_tasks
from .values import boxes_of, choices_of, is_choice, is_rectangle, is_shape, is_span, shapes_of, spans_of

__all__ = ["boxes", "entities", "images", "masks", "recordings", "texts"]

log = logging.getLogger(__name__)

File: TypeAlias = str | Path | None
# A task with what is annotated, and the results of its annotation.
_Row = tuple[LabeledTask, Any, tuple[Region, ...]]


@dataclass(frozen=True)
class _Reading:
    """The way an export is read: the arguments that all sources take, and what results of annotations are wanted.

    Args:
        field: The usual name of the field of the data.
        is_wanted: Whether a result is of the kind that is read.
        data_folder: The folder of the files; ``None`` for that of the export.
        urls: Whether files on the web are downloaded.
        data_field: The name of the field of the data, where it is another one.
        from_name: The name of the control tag.
        on_disagreement: Which annotation counts where several differ.
    """

    field: str
    is_wanted: Callable[[Region], bool]
    data_folder: File
    urls: bool
    data_field: str | None
    from_name: str | None
    on_disagreement: Disagreement

    def rows(self, stage: Stage, file: Any) -> list[_Row]:
        """Return the tasks of an export that have an annotation, which may be empty; for prediction all tasks.

        Args:
            stage: The stage.
            file: The export.

        Raises:
            DataError: If none is left.
        """
        found, disputed = labeled_tasks(
            *(file, self.field, self.is_wanted),
            data_field=self.data_field,
            from_name=self.from_name,
            on_disagreement=self.on_disagreement if stage is not Stage.PREDICT else "latest",
        )
        if stage is Stage.PREDICT:
            return [(task, value, ()) for task, value, _ in found]
        rows = [(task, value, regions) for task, value, regions in found if regions is not None]
        if not rows:
            raise DataError(
                f"Expected annotations in {file} for the {stage.value} data, but none of {len(found)} tasks has one "
                "that counts: predictions and cancelled annotations are no labels. Annotate tasks, and export again."
            )
        _report(file, len(found) - len(rows), disputed, self.on_disagreement)
        return rows

    def file_of(self, file: Any, row: _Row) -> Path | str:
        """Return the file that a task refers to."""
        task, value, _ = row
        folder = Path(file).expanduser().parent if self.data_folder is None else self.data_folder
        return file_of(value, folder, task.name, urls=self.urls)

    def files(self, file: Any, rows: Sequence[_Row]) -> list[Path | str]:
        """Return the files of several tasks.

        Raises:
            DataError: If one does not exist.
        """
        files = [self.file_of(file, row) for row in rows]
        missing = [each for each in files if isinstance(each, Path) and not os.path.isfile(each)]
        if missing:
            raise DataError(
                f"Expected the files of the tasks in {file} under data_folder, but {len(missing)} of {len(files)} do "
                f"not exist, such as {show(str(missing[0]))[1:-1]}. Pass the folder that Label Studio serves from."
            )
        return files


@rank_zero_only
def _report(file: Any, left_out: int, disputed: int, on_disagreement: str) -> None:
    if left_out:
        log.warning("Left out %d tasks of %s, which have no annotation.", left_out, file)
    if disputed:
        what = "the latest one counts" if on_disagreement == "latest" else "these are left out"
        log.warning("Annotations differ in %d tasks of %s; %s.", disputed, file, what)


# ---------------------------------------------------------------------- choices


@dataclass(frozen=True)
class _Chosen:
    """The tasks of a stage, and their choices; ``None`` for prediction."""

    rows: list[_Row]
    targets: list[Any] | None


def _choices(reading: _Reading, files: Stages[Any], multi_label: bool | None) -> Stages[_Chosen]:
    """Return the tasks of each stage with their choices.

    Args:
        reading: How exports are read.
        files: The exports.
        multi_label: Whether a task may have several choices; ``None`` if it may where one of the train data has.

    Raises:
        DataError: If a task has several choices and must not, or none has a choice.
    """
    found = files.map(reading.rows)
    chosen = found.map(lambda _, rows: [choices_of(regions, task.name) for task, _, regions in rows])
    deciding = chosen.train or chosen.val or chosen.test or []
    several = any(len(each) > 1 for each in deciding) if multi_label is None else multi_label

    def target(stage: Stage, rows: list[_Row]) -> _Chosen:
        targets = getattr(chosen, stage.value)
        if stage is Stage.PREDICT or several:
            return _Chosen(rows, None if stage is Stage.PREDICT else targets)
        wrong = next((place for place, each in enumerate(targets) if len(each) > 1), None)
        if wrong is not None:
            raise DataError(
                f"Expected one choice per task in the {stage.value} data, as in the train data, but "
                f"{rows[wrong][0].name} has {show(targets[wrong])}. Pass multi_label=True if a task may have several."
            )
        kept = [place for place, each in enumerate(targets) if each]
        file = getattr(files, stage.value)
        if not kept:
            raise DataError(
                f"Expected choices in {file} for the {stage.value} data, but no annotation has one. Pass the control "
                "tag of the choices as from_name, or annotate the tasks."
            )
        _report(file, len(rows) - len(kept), 0, reading.on_disagreement)
        return _Chosen([rows[place] for place in kept], [targets[place][0] for place in kept])

    return found.map(target)


def _classify_files(data: Any, reading: _Reading, files: Stages[Any], multi_label: bool | None, options: Any) -> Any:
    data.check_options(options)
    given: dict[str, Any] = {}
    for stage, chosen in _choices(reading, files.required("file"), multi_label):
        given[f"{stage.value}_files"] = reading.files(getattr(files, stage.value), chosen.rows)
        if chosen.targets is not None:
            given[f"{stage.value}_targets"] = chosen.targets
    return data.from_files(**given, **options)


def images(
    data: Any,
    train_file: File = None,
    val_file: File = None,
    test_file: File = None,
    predict_file: File = None,
    *,
    data_folder: File = None,
    urls: bool = False,
    multi_label: bool | None = None,
    data_field: str | None = None,
    from_name: str | None = None,
    on_disagreement: Disagreement = "latest",
    **options: Any,
) -> Any:
    """Create a data module of images with classes from the choices in exports of Label Studio.

    A task counts with its annotation: the one that is marked as ground truth, or else the latest one. Those that were
    cancelled, and predictions, never count; tasks without an annotation are left out.

    Args:
        data: The class of the data module.
        train_file: The export to train on, as JSON or JSON-MIN.
        val_file: The export to validate on.
        test_file: The export to test on.
        predict_file: The export whose tasks are predicted, annotated or not.
        data_folder: The folder that Label Studio serves files from, by default that of the export. Tasks cannot refer
            to files outside of it.
        urls: Whether files on the web are downloaded when they are used; otherwise they are an error.
        multi_label: Whether a task may have several choices, or none; by default if one of the train data has several.
        data_field: The name of the field of the images, if it is not ``"image"``.
        from_name: The name of the control tag, if there are choices of several.
        on_disagreement: ``"latest"`` takes the latest annotation where several differ, ``"skip"`` leaves such tasks
            out, and ``"error"`` refuses them.
        options: The arguments of the class and of its preprocess.

    Raises:
        DataError: If a file is no export, a field or a tag is not known, or a file is missing.
    """
    reading = _Reading("image", is_choice, data_folder, urls, data_field, from_name, on_disagreement)
    files = Stages(train_file, val_file, test_file, predict_file)
    return _classify_files(data, reading, files, multi_label, options)


def recordings(
    data: Any,
    train_file: File = None,
    val_file: File = None,
    test_file: File = None,
    predict_file: File = None,
    *,
    data_folder: File = None,
    urls: bool = False,
    multi_label: bool | None = None,
    data_field: str | None = None,
    from_name: str | None = None,
    on_disagreement: Disagreement = "latest",
    **options: Any,
) -> Any:
    """Create a data module of recordings with classes from the choices in exports of Label Studio.

    The arguments and errors are those of :func:`images`; the usual field is ``"audio"``.
    """
    reading = _Reading("audio", is_choice, data_folder, urls, data_field, from_name, on_disagreement)
    files = Stages(train_file, val_file, test_file, predict_file)
    return _classify_files(data, reading, files, multi_label, options)


def texts(
    data: Any,
    train_file: File = None,
    val_file: File = None,
    test_file: File = None,
    predict_file: File = None,
    *,
    multi_label: bool | None = None,
    data_field: str | None = None,
    from_name: str | None = None,
    on_disagreement: Disagreement = "latest",
    **options: Any,
) -> Any:
    """Create a data module of texts with classes from the choices in exports of Label Studio.

    The arguments are those of :func:`images`, but for those of files; the usual field is ``"text"``.

    Raises:
        DataError: As for :func:`images`, and if a field is no text.
    """
    data.check_options(options)
    reading = _Reading("text", is_choice, None, False, data_field, from_name, on_disagreement)
    files = Stages(train_file, val_file, test_file, predict_file).required("file")
    given: dict[str, Any] = {}
    for stage, chosen in _choices(reading, files, multi_label):
        given[f"{stage.value}_data"] = [_text(row) for row in chosen.rows]
        if chosen.targets is not None:
            given[f"{stage.value}_targets"] = chosen.targets
    return data.from_lists(**given, **options)


def _text(row: _Row) -> str:
    task, value, _ = row
    if not isinstance(value, str):
        raise DataError(f"Expected a text in {task.name}, but got {show(value)}. Name the field: data_field=...")
    return value


def entities(
    data: Any,
    train_file: File = None,
    val_file: File = None,
    test_file: File = None,
    predict_file: File = None,
    *,
    data_field: str | None = None,
    from_name: str | None = None,
    on_disagreement: Disagreement = "latest",
    **options: Any,
) -> Any:
    """Create a data module of texts with entities from the labeled spans in exports of Label Studio.

    A task whose annotation is empty is a text without entities. The arguments are those of :func:`texts`, but for
    ``multi_label``.

    Raises:
        DataError: As for :func:`texts`, and if a span has another text than it says, or spans overlap.
    """
    data.check_options(options)
    reading = _Reading("text", is_span, None, False, data_field, from_name, on_disagreement)
    files = Stages(train_file, val_file, test_file, predict_file).required("file")
    given: dict[str, Any] = {}
    for stage, rows in files.map(reading.rows):
        given[f"{stage.value}_data"] = [_text(row) for row in rows]
        if stage is not Stage.PREDICT:
            given[f"{stage.value}_targets"] = [spans_of(row[2], _text(row), row[0].name) for row in rows]
    return data.from_lists(**given, **options)


# ---------------------------------------------------------------------- regions of images


def boxes(
    data: Any,
    train_file: File = None,
    val_file: File = None,
    test_file: File = None,
    predict_file: File = None,
    *,
    data_folder: File = None,
    urls: bool = False,
    data_field: str | None = None,
    from_name: str | None = None,
    on_disagreement: Disagreement = "latest",
    **options: Any,
) -> Any:
    """Create a data module of images with boxes from the rectangles in exports of Label Studio.

    A task whose annotation is empty is an image without objects; a rotated rectangle becomes the box around it. The
    arguments are those of :func:`images`, but for ``multi_label``.

    Raises:
        DataError: As for :func:`images`, and if an image has not the form of the one that was annotated.
    """
    reading = _Reading("image", is_rectangle, data_folder, urls, data_field, from_name, on_disagreement)
    files = Stages(train_file, val_file, test_file, predict_file).required("file")
    given: dict[str, Any] = {}
    for stage, rows in files.map(reading.rows):
        name = stage.value
        paths = given[f"{name}_files"] = reading.files(getattr(files, name), rows)
        if stage is not Stage.PREDICT:
            found = [
                boxes_of(regions, upright_size_of(path, regions[0].size) if regions else (1, 1), task.name)
                for path, (task, _, regions) in zip(paths, rows, strict=True)
            ]
            given[f"{name}_bboxes"] = [corners for corners, _ in found]
            given[f"{name}_targets"] = [labels for _, labels in found]
    return data.from_files(**given, **options)


def masks(
    data: Any,
    train_file: File = None,
    val_file: File = None,
    test_file: File = None,
    predict_file: File = None,
    *,
    data_folder: File = None,
    urls: bool = False,
    data_field: str | None = None,
    from_name: str | None = None,
    on_disagreement: Disagreement = "latest",
    **options: Any,
) -> Any:
    """Create a data module of images with masks from the brush strokes, polygons and rectangles in exports.

    The classes are ``"background"``, where nothing is drawn, and the labels, sorted; ``labels=[...]`` names those
    without the background in another order. Where areas overlap, the smaller one counts. The arguments are those of
    :func:`images`, but for ``multi_label``.

    Raises:
        DataError: As for :func:`boxes`, and if val or test data has a label that the train data has not.
    """
    # Of the package whose data is made.
    from flash.image.segmentation.coco import BACKGROUND, CocoMask

    data.check_options(options)
    reading = _Reading("image", is_shape, data_folder, urls, data_field, from_name, on_disagreement)
    files = Stages(train_file, val_file, test_file, predict_file).required("file")
    preprocess = options.get("preprocess")
    known = options.pop("labels", None) if preprocess is None else preprocess.targets.labels[1:]
    given: dict[str, Any] = {}
    for stage, rows in files.map(reading.rows):
        name = stage.value
        paths = given[f"{name}_files"] = reading.files(getattr(files, name), rows)
        if stage is Stage.PREDICT:
            continue
        sizes = [upright_size_of(path) for path in paths]
        found = [shapes_of(row[2], size, row[0].name) for row, size in zip(rows, sizes, strict=True)]
        known = sorted({label for _, labels in found for label in labels}) if known is None else list(known)
        index = {label: place + 1 for place, label in enumerate(known)}
        unknown = next((label for _, labels in found for label in labels if label not in index), None)
        if unknown is not None:
            raise DataError(
                f"Expected the labels in the {name} data to be among {show_some(known)}, but got {show(unknown)}. Name "
                "all of them: labels=[...]."
            )
        given[f"{name}_targets"] = [
            CocoMask(size, tuple(index[label] for label in labels), tuple(shapes), row[0].name)
            for row, size, (shapes, labels) in zip(rows, sizes, found, strict=True)
        ]
    if preprocess is None and known is not None:
        options["labels"] = [BACKGROUND, *known]
    return data.from_files(**given, **options)
