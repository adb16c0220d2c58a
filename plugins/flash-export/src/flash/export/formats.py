"""The formats ``pt2`` and ``onnx``, and how another plugin adds one."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import torch

from flash import Task
from flash.errors import ConfigurationError

__all__ = ["Format", "export_onnx", "export_pt2", "quiet"]

#: Writes a traced network to a path, given the names of its inputs and outputs.
Write: TypeAlias = Callable[[torch.export.ExportedProgram, Sequence[str], Sequence[str], Path], None]

# A file of ONNX has at most 2 GiB; larger weights are in a file beside it.
_MOST_BYTES = 1_900_000_000


@dataclass(frozen=True)
class Format:
    """A format of files.

    Args:
        name: The name of the format.
        suffix: The end of the names of its files, such as ``".onnx"``.
        write: Writes a network that torch.export has traced.
        runner: The name of a module whose ``load(path, inputs, outputs)`` returns a function from named arrays to named
            arrays; its source is copied into the folder, so it imports nothing of Flash.
        requires: The packages that the runner needs besides numpy.

    Example:
        >>> PT2.suffix, PT2.requires
        ('.pt2', ('torch',))
    """

    name: str
    suffix: str
    write: Write
    runner: str
    requires: tuple[str, ...] = ()

    @property
    def runner_module(self) -> ModuleType:
        """The module that runs the files."""
        return importlib.import_module(self.runner)


def _write_pt2(
    program: torch.export.ExportedProgram,
    inputs: Sequence[str],  # noqa: ARG001  # a program has the order of its inputs
    outputs: Sequence[str],  # noqa: ARG001
    path: Path,
) -> None:
    torch.export.save(program, path)


def _write_onnx(
    program: torch.export.ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], path: Path
) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    with quiet():
        torch.onnx.export(
            program,
            (),
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            external_data=size > _MOST_BYTES,
            verbose=False,
        )


PT2 = Format("pt2", ".pt2", _write_pt2, "flash.export.standalone.pt2_runner", ("torch",))
ONNX = Format("onnx", ".onnx", _write_onnx, "flash.export.standalone.onnx_runner", ("onnxruntime",))


def export_pt2(task: Task, folder: str | Path, inputs: Any = None) -> Path:
    """Write a task as a program of torch.export; for arguments see :func:`flash.export.folder.write_export`."""
    from .folder import write_export

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
    from .folder import write_export

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
    from .quantization import Quantization

    return write_export(task, folder, ONNX, inputs, change=Quantization(data))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context manager: keep what exporters print and warn of from the user, who cannot change it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
