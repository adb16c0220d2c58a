"""Compare a file with the network that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flash.core.export import Arrays, ExportedPart
from flash.data.portable import Sizes, make_inputs, named_specs
from flash.errors import ExportError

from .tracing import checked_sizes, reason_of

__all__ = ["ABSOLUTE", "RELATIVE", "Difference", "check_agreement", "expected_outputs"]

#: The largest difference that rounding explains: in the unit of the output, and as a share of the value.
ABSOLUTE, RELATIVE = 1e-4, 1e-5

Run = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Difference:
    """Difference between a file and its network for one batch.

    Attributes:
        sizes: The sizes of the open dimensions of the batch.
        largest: The largest absolute difference of an output.
    """

    sizes: Sizes
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
    for seed, sizes in enumerate(checked_sizes(part), 1):
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
        found.append(Difference(sizes, max(_compare(part, expected, got, f"{name} with {shown}"), default=0.0)))
    return found


def expected_outputs(part: ExportedPart, tensors: list[torch.Tensor]) -> dict[str, Any]:
    """Return the outputs that a file should have, as arrays."""
    network = part.module if part.reference is None else part.reference
    with torch.no_grad():
        outputs = network(*tensors)
    return {name: tensor.numpy() for name, tensor in zip(part.outputs, outputs, strict=True)}


def _compare(part: ExportedPart, expected: Arrays, got: Arrays, what: str) -> list[float]:
    if part.align is not None:
        expected, got = part.align(expected, got)
    differences = []
    for name, array in expected.items():
        scale = part.scale_of(name)
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
