"""The parts of inputs, such as columns, and their exchange between samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flash.data.columns import Columns

__all__ = ["default_exchange", "default_parts", "inputs_of"]

_COLUMN = "column "


def inputs_of(sample: Any, predicting: bool) -> Any:
    """Return the inputs of a sample: the first part of a pair, except in prediction, where there is no target.

    Example:
        >>> inputs_of(("sun", 1), predicting=False), inputs_of(("sun", "moon"), predicting=True)
        ('sun', ('sun', 'moon'))
    """
    return sample[0] if not predicting and type(sample) in (tuple, list) and len(sample) == 2 else sample


def default_parts(samples: Any, predicting: bool) -> list[str]:
    """Return the keys of inputs that are a dict, or the columns of a tensor ``(samples, columns)`` in memory.

    Example:
        >>> default_parts([({"age": 20, "city": "Oslo"}, 1)], predicting=False)
        ['age', 'city']
    """
    inputs = inputs_of(samples.tree if isinstance(samples, Columns) else samples[0], predicting)
    if isinstance(inputs, Mapping):
        return [str(name) for name in inputs] if len(inputs) > 1 else []
    is_table = isinstance(samples, Columns) and isinstance(inputs, Tensor) and inputs.ndim == 2 and inputs.shape[1] > 1
    return [f"{_COLUMN}{place}" for place in range(inputs.shape[1])] if is_table else []


def default_exchange(samples: Any, part: str, order: Tensor, predicting: bool) -> Any:
    """Return samples with one of :func:`default_parts` from other samples.

    Args:
        samples: The samples.
        part: The name of the part.
        order: For each sample the index of the one whose part it gets, shape ``(samples,)``.
        predicting: Whether the samples have no targets.

    Example:
        >>> import torch
        >>> default_exchange([{"a": 1, "b": 1}, {"a": 2, "b": 2}], "b", torch.tensor([1, 0]), predicting=True)[0]
        {'a': 1, 'b': 2}
    """
    if not isinstance(samples, Columns):
        return _Exchanged(samples, part, order, predicting)
    inputs = inputs_of(samples.tree, predicting)
    if isinstance(inputs, Mapping):
        key = _key_of(inputs, part)
        changed: Any = {**inputs, key: Columns(inputs[key]).take(order)}
    else:
        place = int(part.removeprefix(_COLUMN))
        changed = inputs.clone()
        changed[:, place] = inputs[order, place]
    return Columns(changed if inputs is samples.tree or predicting else (changed, samples.tree[1]))


@dataclass(frozen=True)
class _Exchanged:
    """Samples that are dicts, with the values of one key from other samples."""

    samples: Any
    part: str
    order: Tensor
    predicting: bool

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> Any:
        sample, other = self.samples[row], self.samples[int(self.order[row])]
        inputs, theirs = (inputs_of(each, self.predicting) for each in (sample, other))
        key = _key_of(inputs, self.part)
        changed = {**inputs, key: theirs[key]}
        return changed if inputs is sample else (changed, sample[1])


def _key_of(inputs: Mapping[Any, Any], part: str) -> Any:
    return next(key for key in inputs if str(key) == part)
