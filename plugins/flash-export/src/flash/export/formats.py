"""Formats of files, ``pt2`` and ``onnx``, and the class that describes one."""

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
from typing import TypeAlias

import torch

__all__ = ["ONNX", "PT2", "Format", "quiet"]

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
    # With gradients the exporter traces loops once more, in which it takes sizes from before them for new ones.
    with quiet(), torch.no_grad():
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
