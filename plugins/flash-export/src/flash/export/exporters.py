"""The targets of ``flash_exporters``: what ``task.export(folder, format=...)`` calls for ``pt2`` and ``onnx``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flash import Task
from flash.errors import ConfigurationError

from .folder import write_export
from .formats import ONNX, PT2
from .quantization import Quantization

__all__ = ["export_onnx", "export_pt2"]


def export_pt2(task: Task, folder: str | Path, inputs: Any = None) -> Path:
    """Write a task as a program of torch.export; for arguments see :func:`flash.export.folder.write_export`."""
    return write_export(task, folder, PT2, inputs)


def export_onnx(task: Task, folder: str | Path, inputs: Any = None, quantize: bool = False, data: Any = None) -> Path:
    """Write a task as ONNX.

    Args:
        task: The task.
        folder: A new folder.
        inputs: A batch of inputs, if the preprocess does not say what they are.
        quantize: Whether to store the weights of matrix products as 8-bit integers. What that changes is measured and
            written to ``export.json``.
        data: A data module, on whose validation samples, or else test samples, it is measured; by default it is
            measured on random inputs.

    Raises:
        ConfigurationError: If a package of the extra is missing, or there is ``data`` without ``quantize``.
        ExportError: If the network cannot be exported, or the file disagrees with the task.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigurationError(
                f"Expected the package {package} for the format onnx, but it is not installed. Install it: pip install "
                '"flash-export[onnx]".'
            ) from error
    if data is not None and not quantize:
        raise ConfigurationError("Expected data together with quantize=True, but got it alone. Leave it out.")
    if not quantize:
        return write_export(task, folder, ONNX, inputs)
    return write_export(task, folder, ONNX, inputs, change=Quantization(data))
