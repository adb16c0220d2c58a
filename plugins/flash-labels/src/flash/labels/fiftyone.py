"""Datasets of FiftyOne as sources of data modules: ``from_source("fiftyone", train_dataset=dataset)``.

A dataset is a ``fiftyone.Dataset``, a view of one, such as ``dataset.match_tags("train")``, a list of its samples, or
the name of a dataset, which FiftyOne loads. What is read of a sample is its ``filepath`` and one field of labels.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from pytorch_lightning.utilities import rank_zero_only

from flash.data.messages import list_some, show
from flash.data.stage import Stage, Stages
from flash.errors import ConfigurationError, DataError

from .object_masks import DrawnObjects
from .sizes import upright_size_of

__all__ = ["boxes", "images", "instances", "keypoints", "masks"]

log = logging.getLogger(__name__)

# The fields of each sample, labeled or not.
_OWN_FIELDS = ("id", "filepath", "tags", "metadata", "created_at", "last_modified_at")

Samples: TypeAlias = str | Iterable[Any] | None


def images(
    data: Any,
    train_dataset: Samples = None,
    val_dataset: Samples = None,
    test_dataset: Samples = None,
    predict_dataset: Samples = None,
    *,
    label_field: str = "ground_truth",
    **options: Any,
) -> Any:
    """Create a data module of images with classes from datasets of FiftyOne.

    Labels are ``Classification``, one class per image, or ``Classifications``, several; samples without a label are
    left out, and those with an empty ``Classifications`` have no class.

    Args:
        data: The class of the data module.
        train_dataset: The dataset to train on, a view, samples, or the name of a dataset.
        val_dataset: The dataset to validate on.
        test_dataset: The dataset to test on.
        predict_dataset: The dataset to predict, labeled or not.
        label_field: The field of the labels.
        options: The arguments of the class and of its preprocess.

    Raises:
        DataError: If there is no such field, no sample has a label, a label is of another kind, or a file is missing.
        ConfigurationError: If the name of a dataset is given, and fiftyone is not installed.
    """
    return _from_files(
        data, (train_dataset, val_dataset, test_dataset, predict_dataset), label_field, _classes, options
    )


def boxes(
    data: Any,
    train_dataset: Samples = None,
    val_dataset: Samples = None,
    test_dataset: Samples = None,
    predict_dataset: Samples = None,
    *,
    label_field: str = "ground_truth",
    **options: Any,
) -> Any:
    """Create a data module of images with boxes from the ``Detections`` in datasets of FiftyOne.

    Boxes are fractions of the upright image. Samples whose ``Detections`` are empty are images without objects, those
    without a label are left out. The arguments and errors are those of :func:`images`.
    """
    return _from_files(
        data, (train_dataset, val_dataset, test_dataset, predict_dataset), label_field, _objects, options
    )


def masks(
    data: Any,
    train_dataset: Samples = None,
    val_dataset: Samples = None,
    test_dataset: Samples = None,
    predict_dataset: Samples = None,
    *,
    label_field: str = "ground_truth",
    **options: Any,
) -> Any:
    """Create a data module of images with masks from the ``Segmentation`` of samples in datasets of FiftyOne.

    Samples without a label are left out. The arguments and errors are those of :func:`images`.
    """
    data.check_options(options)
    datasets = (train_dataset, val_dataset, test_dataset, predict_dataset)
    return _from_files(data, datasets, label_field, _mask, options)


def instances(
    data: Any,
    train_dataset: Samples = None,
    val_dataset: Samples = None,
    test_dataset: Samples = None,
    predict_dataset: Samples = None,
    *,
    label_field: str = "ground_truth",
    **options: Any,
) -> Any:
    """Create a data module of images with a mask per object from the ``Detections`` in datasets of FiftyOne.

    Each detection has a ``mask``, or a file ``mask_path``, of the part of the upright image in its box, whose pixels
    that are not 0 are the object. Samples whose ``Detections`` are empty are images without objects, those without a
    label are left out. The arguments and errors are those of :func:`images`; so is a detection without a mask.
    """
    datasets = (train_dataset, val_dataset, test_dataset, predict_dataset)
    return _from_files(data, datasets, label_field, _masks_of_objects, options, DrawnObjects)


def keypoints(
    data: Any,
    train_dataset: Samples = None,
    val_dataset: Samples = None,
    test_dataset: Samples = None,
    predict_dataset: Samples = None,
    *,
    label_field: str = "ground_truth",
    **options: Any,
) -> Any:
    """Create a data module of images with the points of each object from the ``Keypoints`` in datasets of FiftyOne.

    Points are fractions of the upright image, NaN where a point is not annotated; each object has a box around its
    points. Names of points and lines between them are those of the skeleton of the train data, for the field or by
    default, unless ``keypoints`` is passed. Samples whose ``Keypoints`` are empty are images without objects, those
    without a label are left out. The arguments and errors are those of :func:`images`.
    """
    datasets = [
        _load(each) if isinstance(each, str) else each
        for each in (train_dataset, val_dataset, test_dataset, predict_dataset)
    ]
    known = {} if options.keys() & {"keypoints", "preprocess"} else _skeleton(datasets[0], label_field)
    return _from_files(data, datasets, label_field, _points, {**known, **options})


# What a label becomes: arguments of a constructor, without the stage, by their names.
_Read: TypeAlias = Callable[[Any, str, str], dict[str, Any]]


def _from_files(
    data: Any,
    datasets: Sequence[Samples],
    field: str,
    read: _Read,
    options: Any,
    drawn: Callable[[list[Any]], Sequence[Any]] | None = None,
) -> Any:
    given: dict[str, Any] = {}
    for stage, samples in Stages(*datasets).required("dataset").map(_samples):
        if stage is Stage.PREDICT:
            given["predict_files"] = _files(samples, stage)
            continue
        labels = [_label(sample, field) for sample in samples]
        kept = [(sample, label) for sample, label in zip(samples, labels, strict=True) if label is not None]
        if not kept:
            raise DataError(
                f"Expected labels in the field {field!r} of the {stage.value} samples, but none of {len(samples)} has "
                "one. Label them, or name another field: label_field=..."
            )
        _report(len(samples) - len(kept), field, stage)
        files = given[f"{stage.value}_files"] = _files([sample for sample, _ in kept], stage)
        for file, (_, label) in zip(files, kept, strict=True):
            for name, value in read(label, file, field).items():
                given.setdefault(f"{stage.value}_{name}", []).append(value)
        if drawn is not None:
            given[f"{stage.value}_masks"] = drawn(given[f"{stage.value}_masks"])
    return data.from_files(**given, **options)


def _samples(stage: Stage, dataset: Any) -> list[Any]:
    if isinstance(dataset, str):
        dataset = _load(dataset)
    if not isinstance(dataset, Iterable):
        raise DataError(
            f"Expected a dataset of FiftyOne, a view, a list of samples or a name as the {stage.value} data, but got "
            f"{type(dataset).__name__}."
        )
    samples = list(dataset)
    wrong = next((each for each in samples if not hasattr(each, "filepath")), None)
    if wrong is not None:
        raise DataError(
            f"Expected samples of FiftyOne in the {stage.value} data, each with a filepath, but one is a "
            f"{type(wrong).__name__}. Pass a fiftyone.Dataset, or from_files(train_files=..., train_targets=...)."
        )
    return samples


def _load(name: str) -> Any:
    try:
        fiftyone = import_module("fiftyone")
    except ImportError as error:
        raise ConfigurationError(
            f"Expected fiftyone, which loads the dataset {name!r}, to be installed: pip install fiftyone."
        ) from error
    try:
        found = fiftyone.load_dataset(name) if fiftyone.dataset_exists(name) else None
        known = fiftyone.list_datasets()
    # It starts a database server, or connects to one, with errors of many types.
    except Exception as error:
        raise DataError(
            f"Expected FiftyOne to load the dataset {name!r}, but it cannot: {error}. Pass a list of samples in place "
            "of the name, or mend its database."
        ) from error
    if found is None:
        names = list_some(known) or "none"
        raise DataError(f"Expected the name of a dataset of FiftyOne, but got {name!r}. There are: {names}.")
    return found


def _label(sample: Any, field: str) -> Any:
    try:
        return sample[field]
    except (KeyError, AttributeError) as error:
        names = [each for each in getattr(sample, "field_names", ()) if each not in _OWN_FIELDS]
        raise DataError(
            f"Expected a field {field!r} in the sample of {sample.filepath}, but it has {list_some(names) or 'none'}. "
            "Name the field of the labels: label_field=..."
        ) from error


def _files(samples: Sequence[Any], stage: Stage) -> list[str]:
    files = [str(sample.filepath) for sample in samples]
    missing = [each for each in files if not os.path.isfile(each)]
    if missing:
        raise DataError(
            f"Expected the files of the {stage.value} samples, but {len(missing)} of {len(files)} do not exist, such "
            f"as {show(missing[0])[1:-1]}. Correct their paths: dataset.set_values('filepath', paths)."
        )
    return files


@rank_zero_only
def _report(left_out: int, field: str, stage: Stage) -> None:
    if left_out:
        log.warning("Left out %d %s samples, which have no label in the field %r.", left_out, stage.value, field)


def _classes(label: Any, file: str, field: str) -> dict[str, Any]:
    if hasattr(label, "classifications"):
        return {"targets": [each.label for each in label.classifications]}
    if hasattr(label, "bounding_box") or not hasattr(label, "label"):
        raise _of_another_kind(label, file, field, "Classification or Classifications")
    return {"targets": label.label}


def _objects(label: Any, file: str, field: str) -> dict[str, Any]:
    if not hasattr(label, "detections"):
        raise _of_another_kind(label, file, field, "Detections")
    width, height = upright_size_of(Path(file)) if label.detections else (1, 1)
    boxes = []
    for each in label.detections:
        left, top, wide, tall = each.bounding_box
        boxes.append([left * width, top * height, (left + wide) * width, (top + tall) * height])
    return {"targets": [each.label for each in label.detections], "bboxes": boxes}


def _masks_of_objects(label: Any, file: str, field: str) -> dict[str, Any]:
    found = _objects(label, file, field)
    parts = [_part_of(each, file, field) for each in label.detections]
    return {"targets": found["targets"], "masks": (file, found["bboxes"], parts)}


def _part_of(detection: Any, file: str, field: str) -> Any:
    """Return the mask of an object, or the file of it."""
    path, mask = getattr(detection, "mask_path", None), getattr(detection, "mask", None)
    if path is None and mask is None:
        raise DataError(
            f"Expected Detections with a mask each in the field {field!r} of the sample of {file}, but one of "
            f"{detection.label!r} has none. Name another field, label_field=..., or take the data of image/detection."
        )
    if path is not None and not os.path.isfile(path):
        raise DataError(f"Expected the mask of an object in the sample of {file}, but there is no file {path}.")
    return mask if path is None else Path(path)


def _points(label: Any, file: str, field: str) -> dict[str, Any]:
    if not hasattr(label, "keypoints"):
        raise _of_another_kind(label, file, field, "Keypoints")
    width, height = upright_size_of(Path(file)) if label.keypoints else (1, 1)
    points = [[[x * width, y * height] for x, y in each.points] for each in label.keypoints]
    return {"targets": [each.label for each in label.keypoints], "keypoints": points}


def _skeleton(dataset: Any, field: str) -> dict[str, Any]:
    """Return the names of the points and the pairs between which there are lines, as far as a dataset says them."""
    found: Any = (getattr(dataset, "skeletons", None) or {}).get(field) or getattr(dataset, "default_skeleton", None)
    names = getattr(found, "labels", None)
    if not names:
        return {}
    lines = [pair for line in found.edges or () for pair in pairwise(line)]
    return {"keypoints": list(names), "skeleton": lines}


def _mask(label: Any, file: str, field: str) -> dict[str, Any]:
    path, mask = getattr(label, "mask_path", None), getattr(label, "mask", None)
    if path is None and mask is None:
        raise _of_another_kind(label, file, field, "Segmentation with a mask")
    return {"targets": mask if path is None else str(path)}


def _of_another_kind(label: Any, file: str, field: str, wanted: str) -> DataError:
    return DataError(
        f"Expected {wanted} in the field {field!r} of the sample of {file}, but got {type(label).__name__}. Name "
        "another field, label_field=..., or take the data of that task."
    )
