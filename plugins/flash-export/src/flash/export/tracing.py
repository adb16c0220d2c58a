"""Trace a network with torch.export, for batches of any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flash.core.export import ExportedPart
from flash.data.portable import Sizes, make_inputs, named_specs, open_dimensions
from flash.errors import ExportError

from .formats import quiet

__all__ = ["CHECKED", "TRACED", "checked_sizes", "sizes_of", "trace", "traced_sizes"]

# The sizes of a batch that a network is traced with. Sizes of 0 and 1 would be fixed, and equal ones taken for one.
TRACED = (3, 6)
#: The sizes that a file is compared with the task at: the number of samples, and that of any other open dimension.
CHECKED = ((1, 17), (5, 1))


class _Flat(nn.Module):
    """Call a network with the tensors in the order of its inputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.network(*tensors)
        return outputs


def sizes_of(part: ExportedPart, samples: int, other: int) -> dict[str, int]:
    """Return the size of each open dimension, of a network that takes any."""
    limits = [spec.longest for spec in named_specs(part.inputs).values() if spec.longest is not None]
    return {name: samples if name == "batch" else min([other, *limits]) for name in open_dimensions(part.inputs)}


def traced_sizes(part: ExportedPart) -> Sizes:
    """Return the sizes that a network is traced with."""
    return part.sizes[0] if part.sizes else sizes_of(part, *TRACED)


def checked_sizes(part: ExportedPart) -> list[Sizes]:
    """Return the sizes that a file is compared with the task at."""
    return list(part.sizes[1:]) or [sizes_of(part, *sizes) for sizes in CHECKED]


def trace(part: ExportedPart, name: str) -> torch.export.ExportedProgram:
    """Trace a network.

    Args:
        part: The network, in eval mode on the CPU.
        name: What it is, for messages.

    Raises:
        ExportError: If it cannot be traced, or only for batches of one size.
    """
    specs = named_specs(part.inputs)
    example = make_inputs(part.inputs, traced_sizes(part))
    dynamic = tuple(dict.fromkeys(spec.dynamic, torch.export.Dim.DYNAMIC) for spec in specs.values())
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(_Flat(part.module), tuple(example), dynamic_shapes=(dynamic,))
    # For what it cannot trace, torch.export raises errors of many types.
    except Exception as error:
        raise ExportError(
            f"Expected a network that torch.export can trace with a batch of any size, but {name} cannot be: "
            f"{reason_of(error)}. Choose another backbone, or a newer torch than {torch.__version__}; docs/export.md "
            "lists those that are known to work."
        ) from error
    _own_empty_tensors(program)
    _forget_where(program)
    return program


def _own_empty_tensors(program: torch.export.ExportedProgram) -> None:
    """Give empty tensors that are parts of longer ones their own storage: ``torch.export.save`` fails on others."""
    for values in (program.constants, program.state_dict):
        for name, value in values.items():
            if isinstance(value, Tensor) and not value.numel():
                own = value.detach().clone()
                values[name] = nn.Parameter(own, value.requires_grad) if isinstance(value, nn.Parameter) else own


def _forget_where(program: torch.export.ExportedProgram) -> None:
    """Remove the stack traces of operators, which have paths of this machine and would be in the file."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)


def reason_of(error: Exception) -> str:
    """Return the first sentences of an error, on one line."""
    text = " ".join(str(error).split())
    return (f"{text[:300]}..." if len(text) > 300 else text).rstrip(".") or type(error).__name__
