"""Run a network in the ONNX format with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnxruntime

_ERRORS_ONLY = 3


def load(path: str, inputs: Sequence[str], outputs: Sequence[str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function from named arrays to named arrays.

    Args:
        path: The file.
        inputs: The names of the inputs, in their order.
        outputs: The names of the outputs, in their order.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # Threads that wait in a loop for the next batch take the time of the program that makes it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # An input that the network does not need is not in the file.
    needed = {each.name for each in session.get_inputs()}

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: arrays[name] for name in inputs if name in needed}
        return dict(zip(outputs, session.run(list(outputs), given), strict=True))

    return run
