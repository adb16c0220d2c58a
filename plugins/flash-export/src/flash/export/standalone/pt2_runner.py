"""Run a network in the PT2 format with PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch


def load(path: str, inputs: Sequence[str], outputs: Sequence[str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function from named arrays to named arrays.

    Args:
        path: The file.
        inputs: The names of the inputs, in their order.
        outputs: The names of the outputs, in their order.
    """
    network = torch.export.load(path).module()

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        tensors = [torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in inputs]
        with torch.inference_mode():
            found = network(*tensors)
        return {name: tensor.numpy() for name, tensor in zip(outputs, found, strict=True)}

    return run
