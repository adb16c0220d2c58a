"""Compare a file with the network that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flash.core.export import ExportedPart
from flash.data.portable import make_inputs, named_specs
from flash.errors import ExportError

from .tracing import CHECKED, reason_of, sizes_of

__all__ = ["ABSOLUTE", "RELATIVE", "Difference", "check_agreement", "expected_outputs"]

#: The largest difference that rounding explains: in the unit of the output, and as a share of the value.
ABSOLUTE, RELATIVE = 1e-4, 1e-5

Run = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Difference:
    """How much a file and its network differ for one batch.

    Attributes:
        sizes: The sizes of the open dimensions of the batch.
        largest: The largest absolute difference of an output.
    """

    sizes: dict[str, int]
    largest: float


def check_agreement(part: ExportedPart, run: Run, name: str) -> list[Difference]:
    """Compare a file with its network at other sizes than the one that it was traced with.

    Args:
        part: The network, in eval mode on the CPU.
        run: Runs the file.
        name: What it is, for messages.

    Raises:
        ExportError: If the file cannot be run, or the outputs differ by more than rounding explains.
    """
    found = []
    for seed, (samples, other) in enumerate(CHECKED, 1):
        sizes = sizes_of(part, samples, other)
        tensors = make_inputs(part.inputs, sizes, seed)
        shown = " and ".join(f"{dimension} {size}" for dimension, size in sizes.items())
        expected = expected_outputs(part, tensors)
        try:
            arrays = dict(zip(named_specs(part.inputs), (tensor.numpy() for tensor in tensors), strict=True))
            got = run(arrays)
        # A runtime raises errors of many types for a file that it cannot run.
        except Exception as error:
            raise ExportError(
                f"Expected a file of {name} that runs with {shown}, but it does not: {reason_of(error)}. It was "
                "removed. Choose another format or another backbone."
            ) from error
        found.append(Difference(sizes, max(_compare(expected, got, part.scale, f"{name} with {shown}"), default=0.0)))
    return found


def expected_outputs(part: ExportedPart, tensors: list[torch.Tensor]) -> dict[str, Any]:
    """Return the outputs of the network as arrays."""
    with torch.no_grad():
        outputs = part.module(*tensors)
    return {name: tensor.numpy() for name, tensor in zip(part.outputs, outputs, strict=True)}


def _compare(expected: Mapping[str, Any], got: Mapping[str, Any], scale: float, what: str) -> list[float]:
    differences = []
    for name, array in expected.items():
        other = got[name]
        if array.shape != other.shape:
            raise ExportError(
                f"Expected the output {name} of {what} to have shape {array.shape}, as of the task, but the file "
                f"returns {other.shape}. It was removed. Choose another format or another backbone."
            )
        if not array.size:
            continue
        difference = np.abs(array.astype(np.float64) - other.astype(np.float64))
        allowed = ABSOLUTE * scale + RELATIVE * np.abs(array)
        if not (difference <= allowed).all():
            raise ExportError(
                f"Expected the output {name} of {what} to agree with the task within {ABSOLUTE * scale:g}, but it "
                f"differs by {difference.max():g}. The file was removed. Choose another format or another backbone."
            )
        differences.append(float(difference.max()))
    return differences
