"""The folder of an exported task: networks, export.json, and the program that predicts."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import platform
import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch

from flash import Task
from flash.core.export import ExportedPart, portable_of
from flash.core.prediction import evaluating
from flash.data.messages import show
from flash.data.portable import InputSpecs, Portable, example_specs, named_specs
from flash.download import digest
from flash.errors import ConfigurationError, ExportError, FlashError
from flash.plugins import dist_of, get_host
from flash.serialization import is_free, writing_folder

from .agreement import ABSOLUTE, RELATIVE, Difference, check_agreement
from .formats import Format
from .loading import DESCRIPTION, describe_service
from .standalone.predict import VERSION, checksum
from .tracing import reason_of, trace

__all__ = ["Change", "standalone_source", "write_export"]

_PREDICT = "flash.export.standalone.predict"
_TABLES = {"delimited": "flash.data.delimited", "json_table": "flash.data._json_table"}
_IMPORT = "from flash.errors import DataError\n"
_CLASS = 'class DataError(ValueError):\n    """Data that cannot be used as asked."""\n'


class Change(Protocol):
    """A change of a file after it was compared with the task, such as quantization."""

    def apply(self, task: Task, part: ExportedPart, path: Path, format: Format) -> dict[str, Any]:
        """Change the file, and return what that costs, as JSON can hold it."""


def write_export(
    task: Task, folder: str | Path, format: Format, inputs: Any = None, change: Change | None = None
) -> Path:
    """Write a task into a new folder: each network in a format, ``export.json``, and the program that predicts.

    Each file is loaded again and compared with the task at two other sizes of a batch. The folder appears when it is
    complete.

    Args:
        task: The task.
        folder: A folder that does not exist yet, or is empty.
        format: The format.
        inputs: A batch of inputs as the network takes them, if the preprocess does not say what they are.
        change: A change of the files.

    Returns:
        The folder.

    Raises:
        ConfigurationError: If the folder is not empty, or the inputs of the network are unknown.
        ExportError: If a network cannot be exported, or a file disagrees with the task.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from torch import nn
        >>> from flash.export.formats import PT2
        >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     written = write_export(Task(nn.Linear(2, 1)), f"{folder}/exported", PT2, torch.zeros(2, 2))
        ...     sorted(file.name for file in written.iterdir())
        ['export.json', 'model.pt2']
    """
    target = Path(folder)
    if not is_free(target):
        raise ConfigurationError(
            f"Expected an empty or a new folder for the export, but {target} is there already. Choose another folder, "
            "or remove it."
        )
    portable = portable_of(task)
    specs = portable.inputs if inputs is None else example_specs(inputs)
    if specs is None:
        raise ConfigurationError(
            f"Expected to know the inputs of the network, but {portable.reason}. Pass a batch of inputs: "
            "task.export(folder, inputs=...)."
        )
    writing = writing_folder(target, folder_argument="task.export(folder)")
    with writing as temporary, _on_cpu(task), _in_single_precision(task), evaluating(task):
        networks, differences, changes = _write_networks(task, specs, format, temporary, change)
        description = {
            "version": VERSION,
            "format": format.name,
            "task": get_host().task_name(type(task)) or f"{type(task).__module__}.{type(task).__qualname__}",
            "networks": networks,
            "result": _result_of(task),
            "preprocess": _describe(portable, format),
            "service": describe_service(task, portable, format),
            "agreement": {
                "absolute": {name: each["absolute"] for name, each in differences.items()},
                "relative": RELATIVE,
                "checked": {name: each["checked"] for name, each in differences.items()},
            },
            **({"changes": changes} if changes else {}),
            "versions": _versions(task, format, portable),
        }
        if portable.encoder is None:
            warnings.warn(
                f"Expected to write predict.py too, which makes inputs from raw data, but {portable.reason}. The "
                "network is written without it.",
                stacklevel=4,
            )
        else:
            _write_program(temporary, portable, format)
        # Not the program itself, which a user may change.
        files = sorted(file for file in temporary.iterdir() if file.name != "predict.py")
        description["files"] = {file.name: digest(file) for file in files}
        description["sha256"] = checksum(description)
        text = json.dumps(description, indent=1, ensure_ascii=False, allow_nan=False)
        (temporary / DESCRIPTION).write_text(text, encoding="utf-8")
    return target


def _write_networks(
    task: Task, specs: InputSpecs, format: Format, folder: Path, change: Change | None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    networks, differences, changes = {}, {}, {}
    for name, part in _parts_of(task, specs).items():
        if not name.isidentifier():
            raise ExportError(f"Expected an identifier as the name of a network, but got {name!r}. Rename it.")
        shown = _name_of(task, name)
        part.module.eval()
        path = folder / f"{name}{format.suffix}"
        inputs = list(named_specs(part.inputs))
        program = trace(part, shown)
        _write(format, program, inputs, part, path, shown)
        found = _load_and_check(format, path, inputs, part, shown)
        checked = [{**each.sizes, "largest_difference": each.largest} for each in found]
        differences[name] = {"absolute": _tolerance(part), "checked": checked}
        if change is not None:
            changes[name] = change.apply(task, part, path, format)
        networks[name] = {
            "file": path.name,
            "inputs": {key: spec.to_json() for key, spec in named_specs(part.inputs).items()},
            "outputs": list(part.outputs),
        }
    return networks, differences, changes


def _parts_of(task: Task, specs: InputSpecs) -> Mapping[str, ExportedPart]:
    try:
        return task.exported_parts(specs)
    except FlashError:
        raise
    # A network raises errors of many types for inputs that it does not take.
    except Exception as error:
        shown = ", ".join(f"{spec.dtype} of shape {spec.shape}" for spec in named_specs(specs).values())
        raise ExportError(
            f"Expected inputs that {_name_of(task, 'model')} takes, but with {shown} it raised: {reason_of(error)}. "
            "Pass a batch of inputs as the network takes them: task.export(folder, inputs=...)."
        ) from error


def _write(format: Format, program: Any, inputs: list[str], part: ExportedPart, path: Path, name: str) -> None:
    try:
        format.write(program, inputs, part.outputs, path)
    except OSError:
        raise
    # Exporters raise errors of many types for an operation that they do not know.
    except Exception as error:
        raise ExportError(
            f"Expected a network that can be written as {format.name}, but {name} cannot be: {reason_of(error)}. "
            "Choose another format or another backbone."
        ) from error


def _load_and_check(format: Format, path: Path, inputs: list[str], part: ExportedPart, name: str) -> list[Difference]:
    try:
        run = format.runner_module.load(str(path), inputs, list(part.outputs))
    # A runtime raises errors of many types for a file that it cannot read.
    except Exception as error:
        raise ExportError(
            f"Expected a file of {name} that can be loaded, but it cannot be: {reason_of(error)}. It was "
            "removed. Choose another format or another backbone."
        ) from error
    return check_agreement(part, run, name)


def _tolerance(part: ExportedPart) -> float | dict[str, float]:
    if isinstance(part.scale, Mapping):
        return {output: ABSOLUTE * part.scale_of(output) for output in part.outputs}
    return ABSOLUTE * part.scale


def _name_of(task: Task, part: str) -> str:
    backbone = task.recorded_arguments.get("backbone")
    with_backbone = f" with the backbone {backbone!r}" if isinstance(backbone, str) else ""
    of_part = "" if part == "model" else f" ({part})"
    return f"{type(task).__name__}{with_backbone}{of_part}"


def _result_of(task: Task) -> dict[str, Any]:
    """Return what turns outputs into results, with the output that the task was told to predict."""
    result = task.exported_result()
    if task.output in ("classes", "labels", "probabilities", "raw"):
        return {**result, "output": task.output}
    if task.output is not None and result.get("output") != task.output:
        warnings.warn(
            f"Expected task.output to be one that the folder has too, but it is {show(task.output)}: predict.py "
            "returns that of a task whose output is None. Set task.output = None if you agree.",
            stacklevel=5,
        )
    return result


def _describe(portable: Portable, format: Format) -> dict[str, Any]:
    if portable.encoder is None:
        return {"reason": portable.reason}
    return {"requires": ["numpy", *format.requires, *portable.requires], "settings": dict(portable.settings)}


def _write_program(folder: Path, portable: Portable, format: Format) -> None:
    assert portable.encoder is not None
    modules = {"predict": _PREDICT, **_TABLES, "runner": format.runner, "encoder": portable.encoder}
    for name, module in modules.items():
        (folder / f"{name}.py").write_text(standalone_source(module), encoding="utf-8")
    for name, text in portable.files.items():
        if Path(name).name != name:
            raise ExportError(f"Expected the name of a file, without folders, but got {name!r}. Rename it.")
        (folder / name).write_text(text, encoding="utf-8")


def standalone_source(module: str) -> str:
    """Return the source of a module for a folder without Flash; it may import :class:`flash.errors.DataError` alone.

    Args:
        module: The name of the module.

    Raises:
        ExportError: If it imports anything else of Flash.

    Example:
        >>> "import flash" in standalone_source("flash.export.standalone.predict")
        False
    """
    source = inspect.getsource(importlib.import_module(module)).replace(_IMPORT, f"\n{_CLASS}\n")
    wrong = [line for line in source.splitlines() if line.strip().startswith(("import flash", "from flash", "from ."))]
    if wrong:
        raise ExportError(
            f"Expected {module} to import nothing of Flash, so that its source works alone, but it has {wrong[0]!r}. "
            "Move what it needs into it."
        )
    return source


def _versions(task: Task, format: Format, portable: Portable) -> dict[str, str]:
    dists = ["flash-core", "flash-export", dist_of(type(task).__module__), "torch", "numpy"]
    names = dict.fromkeys(each for each in [*dists, *format.requires, *portable.requires] if each)
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@contextlib.contextmanager
def _on_cpu(task: Task) -> Iterator[None]:
    """Context manager: move a task to the CPU, and back."""
    device = task.device
    task.to("cpu")
    try:
        yield
    finally:
        task.to(device)


@contextlib.contextmanager
def _in_single_precision(task: Task) -> Iterator[None]:
    """Context manager: convert weights, and give back those of before; few runtimes know the others on a CPU."""
    tensors = [*task.parameters(), *task.buffers()]
    before = [(each, each.data) for each in tensors if each.is_floating_point() and each.dtype != torch.float32]
    try:
        for each, data in before:
            each.data = data.float()
        yield
    finally:
        for each, data in before:
            each.data = data
