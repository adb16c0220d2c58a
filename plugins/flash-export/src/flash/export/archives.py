"""Check a file of torch.export before it is loaded, since loading and running one may execute code."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from flash.errors import CheckpointError, UnsafeCheckpointError

__all__ = ["check_archive"]

# The files of an archive with a traced network; others, such as compiled libraries, would be loaded too.
_FILE = re.compile(
    r"[^/]+/(\.data/(version|serialization_id)|archive_format|archive_version|byteorder|models/model\.json"
    r"|data/(weights|constants)/((weight|tensor)_\d+|model_(weights|constants)_config\.json)|data/sample_inputs/model\.pt)"
)
# Operators of tensors, and of sizes. Names in torch and operator are looked up one after the other, so that all others
# could call anything.
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|torchvision)\.\w+(\.\w+)?|torch\.sym_\w+|math\.\w+"
    # A loop over a graph, whose operators are checked as well.
    r"|torch\.ops\.higher_order\.scan"
    r"|_operator\.(add|sub|mul|neg|pow|mod|floordiv|truediv|getitem|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
_OF_FILES = re.compile(r"torch\.ops\.\w+\.from_file\b.*")
# Expressions of sizes become objects of sympy by evaluation: classes, symbols and numbers, but no other function.
_SYMBOL = r"'[a-z]+_?\d+'|'-?[\d.]+(?:e[-+]?\d+)?'"
_EXPRESSION = re.compile(rf"[A-Z]\w*\(|{_SYMBOL}|\w+=(?:True|False|\d+)|-?\d+|[a-z]+\d+|\)|, |[-+*/]| ")
# A comparison of the sizes of inputs, which is evaluated too.
_GUARD = re.compile(r"L\['\w+'\](?:\[\d+\])*\.size\(\)\[\d+\]|\d+|[<>=!]=|[-+*/%<>()]|and|or|not| ")


def check_archive(path: Path) -> None:
    """Check that loading and running a file of torch.export executes nothing but operators of tensors.

    Args:
        path: The file.

    Raises:
        UnsafeCheckpointError: If it holds a pickle, a library, an expression or an operator that may execute code.
        CheckpointError: If it is no file of torch.export.

    Example:
        >>> import tempfile
        >>> from torch import nn
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     program = torch.export.export(nn.Linear(2, 1), (torch.zeros(3, 2),))
        ...     torch.export.save(program, f"{folder}/model.pt2")
        ...     check_archive(Path(folder, "model.pt2"))
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            for name in names:
                if not _FILE.fullmatch(name) or names.count(name) > 1:
                    raise _unsafe(path, f"the file {name!r:.100}")
                if name.endswith(".json"):
                    _check_json(path, json.loads(archive.read(name)))
                elif name.endswith(".pt"):
                    _check_tensors(path, archive.read(name))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"Expected a file of torch.export, but {path} is damaged: {error}. Copy it again, or export the task again."
        ) from error


def _unsafe(path: Path, what: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f"Expected operators of tensors alone, but {path} has {what}, which may execute code. If you trust it, run its "
        "predict.py instead, or export the task as onnx."
    )


def _check_tensors(path: Path, content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    # torch.export.load would read them as any pickle then.
    except Exception as error:
        raise _unsafe(path, "example inputs that are no tensors") from error


def _check_json(path: Path, content: Any) -> None:
    checks: dict[str, tuple[Callable[[Any], Any], str]] = {
        "use_pickle": (lambda value: value is False, "pickled weights"),
        "target": (_is_operator, "an operator"),
        "as_operator": (_is_operator, "an operator"),
        "as_custom_obj": (lambda value: False, "an object"),  # noqa: ARG005
        # It becomes a part of code.
        "as_graph": (lambda value: re.fullmatch(r"\w+", value["name"], re.ASCII), "the name of a graph"),
        "expr_str": (lambda value: not _EXPRESSION.sub("", value), "an expression"),
        "guards_code": (lambda value: not any(_GUARD.sub("", each) for each in value), "an expression"),
        "range_constraints": (lambda value: all(re.fullmatch(r"[a-z]+\d+", each) for each in value), "a symbol"),
    }
    for key, value in _pairs(content):
        if key in checks and not checks[key][0](value):
            shown = "" if key == "use_pickle" else f" {str(value)[:60]!r}"
            raise _unsafe(path, f"{checks[key][1]}{shown}")


def _is_operator(value: Any) -> bool:
    # The targets of inputs and outputs are names of tensors.
    return value is None or (bool(_OPERATOR.fullmatch(value)) and not _OF_FILES.fullmatch(value))


def _pairs(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys of all objects in values of JSON, with their values."""
    if isinstance(content, dict):
        yield from content.items()
    for each in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _pairs(each)
