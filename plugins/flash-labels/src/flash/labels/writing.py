"""Predictions as tasks of Label Studio: a person sees them there, corrects them, and exports them again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np

from flash import DataModule
from flash.core.labeling import RankedRow, RankedRows
from flash.core.prediction import preprocess_of
from flash.data.folders import is_path, list_files
from flash.data.messages import show
from flash.errors import ConfigurationError, DataError
from flash.plugins import get_host
from flash.serialization import writing
from flash.serialization.json_values import dumps

from .paths import LOCAL_FILES, reference_to
from .rle import encode_mask

__all__ = ["label_config", "to_label_studio"]

# The tag of what a domain annotates; its field in a task has the name of the domain.
_OBJECTS = {"image": "Image", "audio": "Audio", "text": "Text", "video": "Video"}


class _Result(NamedTuple):
    """The prediction for a sample.

    Args:
        values: The fields of each result, such as its value and its score.
        score: The score of all; ``None`` if there is none.
    """

    values: list[dict[str, Any]]
    score: float | None


class _Form(NamedTuple):
    """The way the predictions of a kind of task are written.

    Args:
        type: The type of the results.
        tag: The control tag in the configuration of a project.
        output: The output that is predicted.
        result_of: Makes the results of the task, an output and the sample.
    """

    type: str
    tag: str
    output: str
    result_of: Callable[[Any, Any, Any], _Result]


def to_label_studio(
    task: Any,
    data: Any,
    file: str | Path,
    *,
    rows: RankedRows | None = None,
    stage: str = "predict",
    data_folder: str | Path | None = None,
    prefix: str = LOCAL_FILES,
    from_name: str = "label",
    model_version: str | None = None,
) -> int:
    """Write samples with their predictions as tasks that Label Studio imports, for a person to correct.

    With the rows of :func:`flash.core.labeling.rank_to_label` or :func:`flash.core.labeling.suspicious_labels`, those
    samples alone are written, in their order, with the prediction that they were ranked by; the data of each task has
    their ``rank``, ``rank_score`` and ``given_label`` too, which the configuration of a project can show.

    Args:
        task: A trained task: a classifier, a detector, a segmentation or a token classifier.
        data: Files or texts to predict, in a list; a folder of files; or a data module.
        file: The JSON file; an existing one is replaced.
        rows: The samples of a data module to write.
        stage: The stage of a data module, if there are no ``rows``.
        data_folder: The folder that Label Studio serves files from. Tasks refer to files by their path in it.
        prefix: What the reference to a file begins with.
        from_name: The name of the control tag in the configuration of the project; see :func:`label_config`.
        model_version: The name of the model in Label Studio; by default that of the class of the task.

    Returns:
        The number of tasks.

    Raises:
        ConfigurationError: If predictions of such a task cannot be written, or ``data_folder`` is missing.
        DataError: If samples are neither files nor texts, or a file lies outside of the folder.
        CheckpointError: If the file cannot be written.

    Example:
        It needs a trained task, such as one of flash-image.

        >>> rows = rank_to_label(task, data, count=100)  # doctest: +SKIP
        >>> to_label_studio(task, data, "tasks.json", rows=rows, data_folder="photos")  # doctest: +SKIP
        100
    """
    domain, form = _form_of(task)
    version = type(task).__name__ if model_version is None else model_version
    chosen = _samples(task, data, stage, rows, domain)
    references = chosen if domain == "text" else [reference_to(each, data_folder, prefix) for each in chosen]
    results = _predicted(task, form, chosen) if rows is None else _ranked(form, rows)
    with writing(Path(file), folder_argument="file") as written:
        for place, (reference, result) in enumerate(zip(references, results, strict=True)):
            content = {domain: reference} | ({} if rows is None else _rank(place, rows[place]))
            found = [
                {"id": f"{place}-{number}", "from_name": from_name, "to_name": domain, "type": form.type, **value}
                for number, value in enumerate(result.values)
            ]
            scores = {} if result.score is None else {"score": result.score}
            prediction = {"model_version": version, **scores, "result": found}
            written.write(b",\n" if place else b"[\n")
            written.write(dumps({"data": content, "predictions": [prediction]}))
        written.write(b"\n]\n")
    return len(chosen)


def label_config(task: Any, *, from_name: str = "label") -> str:
    """Return the configuration of a project in Label Studio, with the classes of a task.

    It goes into the settings of the project, under Labeling Interface, before tasks are imported.

    Args:
        task: The task.
        from_name: The name of the control tag, as for :func:`to_label_studio`.

    Raises:
        ConfigurationError: If predictions of such a task cannot be written, or its classes have no names.

    Example:
        It needs a task, such as one of flash-text.

        >>> print(label_config(task))  # doctest: +SKIP
        <View>
          <Text name="text" value="$text"/>
          <Choices name="label" toName="text" choice="single">
            <Choice value="negative"/>
            <Choice value="positive"/>
          </Choices>
        </View>
    """
    domain, form = _form_of(task)
    names = _names(task)
    choice = f' choice="{"multiple" if getattr(task, "multi_label", False) else "single"}"'
    inner = "Choice" if form.tag == "Choices" else "Label"
    lines = [f"    <{inner} value={quoteattr(str(name))}/>" for name in names]
    opening = f"  <{form.tag} name={quoteattr(from_name)} toName={quoteattr(domain)}"
    return "\n".join(
        [
            "<View>",
            f"  <{_OBJECTS[domain]} name={quoteattr(domain)} value={quoteattr(f'${domain}')}/>",
            f"{opening}{choice if form.tag == 'Choices' else ''}>",
            *lines,
            f"  </{form.tag}>",
            "</View>",
        ]
    )


# ---------------------------------------------------------------------- samples


def _samples(task: Any, data: Any, stage: str, rows: RankedRows | None, domain: str) -> list[Any]:
    """Return files or texts."""
    found: list[Any]
    if isinstance(data, DataModule):
        dataset = data.indexed_dataset(stage if rows is None else rows.stage)
        places = list(range(len(dataset))) if rows is None else [each.row for each in rows]
        found = list(dataset.display(places)) if domain == "text" else dataset.ids_of(places)
    elif rows is not None:
        raise ConfigurationError(
            f"Expected the data module that rows are of, but got {type(data).__name__}. Pass it as data."
        )
    elif isinstance(data, str | Path) and domain != "text":
        extensions = getattr(preprocess_of(task), "extensions", ())
        found = list(list_files(data, extensions, domain)) if os.path.isdir(Path(data).expanduser()) else [data]
    else:
        found = [data] if isinstance(data, str) else list(data)
    if not found:
        raise DataError("Expected at least one sample to write as a task, but got none.")
    wrong = next((each for each in found if not isinstance(each, str | (str if domain == "text" else Path))), None)
    if wrong is not None:
        what = "texts" if domain == "text" else "files"
        raise DataError(
            f"Expected {what}, which tasks of Label Studio can show, but got {show(wrong)}. Pass {what} in a list."
        )
    if domain != "text":
        _check_files(found)
    return found


def _check_files(files: Sequence[str | Path]) -> None:
    missing = [each for each in files if is_path(each) and not os.path.isfile(Path(each).expanduser())]
    if missing:
        raise DataError(
            f"Expected files, which tasks of Label Studio refer to, but {len(missing)} of {len(files)} samples are "
            f"none, such as {show(str(missing[0]))}. Samples in memory have to be saved first."
        )


def _predicted(task: Any, form: _Form, samples: Sequence[Any]) -> Iterator[_Result]:
    results = (result for _, result in task.predict_each(list(samples), output=form.output))
    for sample, result in zip(samples, results, strict=True):
        yield form.result_of(task, result, sample)


def _ranked(form: _Form, rows: RankedRows) -> Iterator[_Result]:
    if form.type != "choices":
        raise ConfigurationError("Expected a task with classes for rows that were ranked, but got one of another kind.")
    for row in rows:
        yield _Result([{"value": {"choices": [row.prediction]}, "score": row.probability}], row.probability)


def _rank(place: int, row: RankedRow) -> dict[str, Any]:
    given = {} if row.label is None else {"given_label": row.label}
    return {"rank": place + 1, "rank_score": row.score, **given}


# ---------------------------------------------------------------------- results


def _names(task: Any) -> list[str]:
    """Return the names of the classes that are written, in their order."""
    labels = getattr(task, "labels", None)
    if labels is None:
        raise ConfigurationError(
            f"Expected a task that knows the names of its classes, but this {type(task).__name__} has none. Make it "
            "with labels=[...], or with from_data(...)."
        )
    names = [str(each) for each in labels]
    if _form_of(task)[1].type == "labels":
        # Tags are B- and I- of a label.
        return list(dict.fromkeys(name[2:] for name in names if name[:2] in ("B-", "I-")))
    return names


def _choices(task: Any, probabilities: Sequence[float], sample: Any) -> _Result:  # noqa: ARG001  # of all forms
    names = _names(task)
    best = max(probabilities)
    if not task.multi_label:
        choice = names[list(probabilities).index(best)]
        return _Result([{"value": {"choices": [choice]}, "score": best}], best)
    chosen = [place for place, each in enumerate(probabilities) if each > task.threshold]
    # How sure the least certain decision is.
    score = min(max(each, 1 - each) for each in probabilities)
    return _Result(
        [{"value": {"choices": [names[place] for place in chosen]}, "score": score}] if chosen else [], score
    )


def _boxes(task: Any, found: Mapping[str, Any], sample: Any) -> _Result:  # noqa: ARG001
    width, height = size = _size(sample)
    values = []
    for (left, top, right, bottom), label, score in zip(found["boxes"], found["labels"], found["scores"], strict=True):
        box = {
            "x": 100 * left / width,
            "y": 100 * top / height,
            "width": 100 * (right - left) / width,
            "height": 100 * (bottom - top) / height,
            "rotation": 0,
        }
        values.append({"value": {**box, "rectanglelabels": [str(label)]}, "score": score, **_of_image(size)})
    # A task without a box, of which nothing is known, comes before those with certain ones.
    return _Result(values, min(found["scores"], default=0.0))


def _masks(task: Any, found: Any, sample: Any) -> _Result:  # noqa: ARG001
    names = _names(task)
    mask = np.asarray(found)
    values = []
    for place in np.unique(mask).tolist():
        # Where nothing is drawn.
        if names[place] != "background":
            value = {"format": "rle", "rle": encode_mask(mask == place), "brushlabels": [names[place]]}
            values.append({"value": value, **_of_image((mask.shape[1], mask.shape[0]))})
    return _Result(values, None)


def _spans(task: Any, found: Sequence[Mapping[str, Any]], sample: Any) -> _Result:  # noqa: ARG001
    values = []
    for each in found:
        # As a browser counts, where a character beyond the first 65,536 is two.
        start, end = (_units(sample[: each[side]]) for side in ("start", "end"))
        value = {"start": start, "end": end, "text": each["text"], "labels": [each["label"]]}
        values.append({"value": value, "score": each["score"]})
    return _Result(values, min((each["score"] for each in found), default=0.0))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _of_image(size: tuple[int, int]) -> dict[str, Any]:
    return {"original_width": size[0], "original_height": size[1], "image_rotation": 0}


def _size(image: str | Path) -> tuple[int, int]:
    """Return the width and height of an image, upright, in pixels."""
    # Of the package of the task.
    from flash.image import open_image
    from flash.image.detection.exif import upright_size

    return upright_size(image) or open_image(image).size


_FORMS = {
    "classification": _Form("choices", "Choices", "probabilities", _choices),
    "detection": _Form("rectanglelabels", "RectangleLabels", "boxes", _boxes),
    "semantic_segmentation": _Form("brushlabels", "BrushLabels", "labels", _masks),
    "token_classification": _Form("labels", "Labels", "entities", _spans),
}


def _form_of(task: Any) -> tuple[str, _Form]:
    """Return the domain of a task, and how its predictions are written."""
    domain, _, kind = (get_host().task_name(type(task)) or "").partition("/")
    if domain not in _OBJECTS or kind not in _FORMS:
        raise ConfigurationError(
            f"Expected a task of {', '.join(_OBJECTS)} whose predictions Label Studio can show ({', '.join(_FORMS)}), "
            f"but got {type(task).__name__}."
        )
    return domain, _FORMS[kind]
