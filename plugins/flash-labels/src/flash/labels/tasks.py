"""Tasks of an export of Label Studio, in its formats JSON and JSON-MIN, with the annotation of each that counts."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from flash.data.messages import list_some, show
from flash.errors import ConfigurationError, DataError
from flash.serialization.json_values import loads

__all__ = ["Disagreement", "LabeledTask", "Region", "labeled_tasks", "read_tasks"]

#: Which annotation counts where people disagree: the latest one; or the task is left out; or that is an error.
Disagreement: TypeAlias = Literal["latest", "skip", "error"]

# What Label Studio writes into a record of JSON-MIN beside the data and the results.
_OF_RECORDS = {
    *("id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time", "agreement"),
    *("inner_id", "project"),
}


@dataclass(frozen=True)
class Region:
    """One result of an annotation: a choice, or a region with its labels.

    Args:
        name: The name of the control tag, ``from_name``.
        value: The value, as Label Studio writes it.
        size: Width and height, in pixels, of the image that was annotated; ``None`` if they are not written.
        rotation: By how many degrees the image was rotated in the editor.
    """

    name: str
    value: Mapping[str, Any]
    size: tuple[int, int] | None = None
    rotation: float = 0

    @property
    def labels(self) -> list[str] | None:
        """The labels of a region, or the choices; ``None`` if the value has none, as the shape without its label."""
        keys = [key for key in self.value if key == "choices" or key.endswith("labels")]
        found = self.value[keys[0]] if keys else None
        return [str(each) for each in found] if isinstance(found, list) else None


@dataclass(frozen=True)
class LabeledTask:
    """A task: what is annotated, and the annotations.

    Args:
        name: The name of the task in messages.
        data: What is annotated, by the names of the fields.
        annotations: The results of each annotation that was not cancelled, the latest one last.
        is_certain: Whether the last annotation is marked as ground truth, so that no other one counts.
    """

    name: str
    data: Mapping[str, Any]
    annotations: tuple[tuple[Region, ...], ...] = field(default=(), repr=False)
    is_certain: bool = False


def read_tasks(file: str | Path) -> tuple[list[LabeledTask], bool]:
    """Read the tasks of an export, in their order.

    Predictions, drafts and cancelled annotations are no labels.

    Args:
        file: A JSON file that Label Studio exported as JSON or as JSON-MIN.

    Returns:
        The tasks, and whether the file is JSON-MIN, where the results are among the fields of the data.

    Raises:
        DataError: If it is no such file, or has no task.
    """
    records = _records(Path(file).expanduser())
    if not records:
        raise DataError(f"Expected at least one task in {file}, but it has none. Export a project with tasks.")
    is_min = not any(isinstance(record.get("data"), Mapping) for record in records)
    if is_min:
        return _of_min(records, file), True
    return [_task(record, place, file) for place, record in enumerate(records)], False


def _records(file: Path) -> list[dict[str, Any]]:
    if not os.path.isfile(file):  # reading a pipe would wait for ever
        raise DataError(f"Expected {file} to be an export of Label Studio, but there is no such file. Check the path.")
    try:
        content = loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"Expected {file} to be an export of Label Studio in JSON, but it cannot be read: {error}. Export it again "
            "as JSON or JSON-MIN."
        ) from error
    records = [content] if isinstance(content, dict) else content
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DataError(
            f"Expected {file} to be a list of tasks, as Label Studio exports it, but got {show(content)}. Export it "
            "again as JSON or JSON-MIN."
        )
    return records


def _task(record: Mapping[str, Any], place: int, file: str | Path) -> LabeledTask:
    name = f"task {record.get('id', place)} of {file}"
    data = record.get("data")
    if not isinstance(data, Mapping):
        raise DataError(f"Expected each task to have data, such as {{'image': ...}}, but {name} has {show(data)}.")
    # The former name is that of files from before version 1.
    written = record.get("annotations", record.get("completions"))
    if written is not None and not isinstance(written, list):
        raise DataError(f"Expected the annotations of {name} to be a list, but got {show(written)}. Export it again.")
    given = [each for each in written or () if isinstance(each, Mapping) and not each.get("was_cancelled")]
    given.sort(key=_time)
    certain = [each for each in given if each.get("ground_truth")]
    return LabeledTask(name, data, tuple(_regions(each, name) for each in certain[-1:] or given), bool(certain))


def _time(annotation: Mapping[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _regions(annotation: Mapping[str, Any], name: str) -> tuple[Region, ...]:
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(each, Mapping) for each in results):
        raise DataError(
            f"Expected each annotation to have a list of results, but one of {name} has {show(results)}. Export it "
            "again as JSON."
        )
    # Relations between regions have no value.
    return tuple(
        _region(str(each.get("from_name")), each["value"], each, name)
        for each in results
        if isinstance(each.get("value"), Mapping)
    )


def _region(control: str, value: Mapping[str, Any], around: Mapping[str, Any], name: str) -> Region:
    sides = around.get("original_width"), around.get("original_height")
    size = None
    if any(sides):
        width, height = (side if type(side) is int and side > 0 else 0 for side in sides)
        if not width or not height:
            raise DataError(
                f"Expected original_width and original_height to be numbers of pixels, but {name} has "
                f"{show(sides[0])} and {show(sides[1])}. Export it again."
            )
        size = (width, height)
    return Region(control, value, size, _number(around.get("image_rotation") or 0, "image_rotation", name))


def _number(value: Any, what: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"Expected {what} to be a number, but {name} has {show(value)}. Export it again.")
    return float(value)


# ---------------------------------------------------------------------- JSON-MIN


def _of_min(records: Sequence[dict[str, Any]], file: str | Path) -> list[LabeledTask]:
    """Return the tasks of JSON-MIN, which has a record for each annotation."""
    by_task: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for place, record in enumerate(records):
        by_task[("id", str(record["id"])) if "id" in record else ("place", place)].append(record)
    tasks = []
    for (_, number), several in by_task.items():
        several.sort(key=_time)
        name = f"task {number} of {file}"
        tasks.append(
            LabeledTask(name, _without(several[-1]), tuple(_regions_of_record(record, name) for record in several))
        )
    return tasks


def _without(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _OF_RECORDS}


def _regions_of_record(record: Mapping[str, Any], name: str) -> tuple[Region, ...]:
    found = []
    for key, value in _without(record).items():
        if isinstance(value, str):
            # The data, or a single choice: which one it is, depends on the names of the fields.
            found.append(Region(key, {"choices": [value]}))
        elif isinstance(value, Mapping):
            found.append(Region(key, value))
        elif isinstance(value, list):
            found += [_region(key, each, each, name) for each in value if isinstance(each, Mapping)]
    return tuple(found)


# ---------------------------------------------------------------------- the annotation that counts


def labeled_tasks(
    file: str | Path,
    field_name: str,
    is_wanted: Callable[[Region], bool],
    *,
    data_field: str | None = None,
    from_name: str | None = None,
    on_disagreement: Disagreement = "latest",
) -> tuple[list[tuple[LabeledTask, Any, tuple[Region, ...] | None]], int]:
    """Return the tasks of an export, each with what is annotated and the results of the annotation that counts.

    Args:
        file: The export.
        field_name: The usual name of the field of the data, such as ``"image"``.
        is_wanted: Whether a result is of the kind that is read.
        data_field: The name of the field of the data, where it is another one.
        from_name: The name of the control tag, if the annotations have results of several.
        on_disagreement: Which annotation counts where several differ.

    Returns:
        The task, the value of its field, and the results, ``None`` for a task without annotations; and the number of
        tasks whose annotations differ.

    Raises:
        ConfigurationError: If ``on_disagreement`` has another value.
        DataError: If the field or the tag is not known, or annotations differ and that is an error.
    """
    if on_disagreement not in ("latest", "skip", "error"):
        raise ConfigurationError(
            f"Expected on_disagreement to be 'latest', 'skip' or 'error', but got {on_disagreement!r}."
        )
    tasks, is_min = read_tasks(file)
    name = data_field or _field_of(tasks, field_name, is_min, file)
    control = from_name or _control_of(tasks, is_wanted, name if is_min else None, file)
    if from_name is not None and not _has_control(tasks, from_name):
        raise DataError(
            f"Expected results of from_name={from_name!r} in {file}, but there are none. Its control tags are "
            f"{list_some(sorted(_controls(tasks, lambda _: True))) or 'none'}."
        )
    found: list[tuple[LabeledTask, Any, tuple[Region, ...] | None]] = []
    disputed = 0
    for task in tasks:
        if name not in task.data:
            raise DataError(
                f"Expected the field {name!r} in the data of each task, but {task.name} has "
                f"{list_some(map(repr, task.data)) or 'none'}. Name the field: data_field=..."
            )
        several = [
            tuple(region for region in regions if region.name == control and is_wanted(region))
            for regions in task.annotations
        ]
        differs = len({_canonical(regions) for regions in several}) > 1
        disputed += differs
        if differs and on_disagreement == "error":
            raise DataError(
                f"Expected the annotations of {task.name} to agree, but {len(several)} differ. Mark one as ground "
                "truth in Label Studio, or pass on_disagreement='latest' or 'skip'."
            )
        if not differs or on_disagreement == "latest":
            found.append((task, task.data[name], several[-1] if several else None))
    return found, disputed


def _canonical(regions: Sequence[Region]) -> str:
    return json.dumps(sorted(json.dumps(region.value, sort_keys=True) for region in regions))


def _field_of(tasks: Sequence[LabeledTask], usual: str, is_min: bool, file: str | Path) -> str:
    names = {name: None for task in tasks for name in task.data}
    if usual in names:
        return usual
    texts = [name for name in names if all(isinstance(task.data.get(name), str) for task in tasks)]
    if len(texts) == 1 and not is_min:
        return texts[0]
    raise DataError(
        f"Expected the field {usual!r} in the data of the tasks in {file}, but got "
        f"{list_some(map(repr, names)) or 'none'}. Name the field: data_field=..."
    )


def _controls(tasks: Sequence[LabeledTask], is_wanted: Callable[[Region], bool]) -> set[str]:
    return {region.name for task in tasks for regions in task.annotations for region in regions if is_wanted(region)}


def _has_control(tasks: Sequence[LabeledTask], name: str) -> bool:
    annotated = any(task.annotations for task in tasks)
    return not annotated or name in _controls(tasks, lambda _: True)


def _control_of(
    tasks: Sequence[LabeledTask], is_wanted: Callable[[Region], bool], data_field: str | None, file: str | Path
) -> str | None:
    names = sorted(_controls(tasks, is_wanted) - {data_field})
    if len(names) > 1:
        raise DataError(
            f"Expected results of one control tag in {file}, but those of {list_some(map(repr, names))} are of the "
            f"same kind. Name one: from_name={names[0]!r}."
        )
    return names[0] if names else None
