"""Description of a preprocess for use without Flash: the inputs that it makes, and a numpy encoder of raw data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from flash.errors import ConfigurationError

__all__ = [
    "InputSpecs",
    "Portable",
    "Sizes",
    "TensorSpec",
    "example_specs",
    "make_inputs",
    "named_specs",
    "open_dimensions",
]

#: The sizes of dimensions that an exported file leaves open.
Sizes: TypeAlias = Mapping[str, int]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a batch: its type, its shape, and which values it may have.

    Args:
        dtype: The name of the type, such as ``"float32"``.
        shape: A whole number for a dimension of a fixed size, a name for one that differs between batches: ``"batch"``
            for the samples, and others such as ``"length"``. It begins with ``"batch"``, or with 1 if the network takes
            one sample at a time.
        values: ``"numbers"`` for any numbers; ``"mask"`` for ones with zeros behind them in each row; the number of
            codes that there are, or one such number per column; or a tensor whose rows are examples.
        longest: The largest size of a dimension with another name than ``"batch"``; ``None`` if there is no limit.

    Raises:
        ConfigurationError: If the first dimension is neither ``"batch"`` nor 1.

    Example:
        >>> spec = TensorSpec("int64", ("batch", 2), values=(3, 5))
        >>> spec.make({"batch": 4}, seed=0).shape
        torch.Size([4, 2])
    """

    dtype: str
    shape: tuple[int | str, ...]
    values: str | int | Sequence[int] | Tensor = "numbers"
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.shape[:1] not in (("batch",), (1,)):
            raise ConfigurationError(
                "Expected a shape that begins with 'batch', or with 1 for one sample at a time, but got "
                f"{self.shape!r}."
            )

    @property
    def dynamic(self) -> dict[int, str]:
        """The dimensions of open size, with their names."""
        return {place: size for place, size in enumerate(self.shape) if isinstance(size, str)}

    def make(self, sizes: Sizes, seed: int) -> Tensor:
        """Return a random tensor, the same for the same seed.

        Args:
            sizes: The size of each dimension that has a name.
            seed: The seed.
        """
        shape = [sizes[size] if isinstance(size, str) else size for size in self.shape]
        generator = torch.Generator().manual_seed(seed)
        dtype: torch.dtype = getattr(torch, self.dtype)
        if isinstance(self.values, Tensor):
            rows = torch.randint(len(self.values), (shape[0],), generator=generator)
            return self.values[rows]
        if self.values == "mask":
            lengths = torch.randint(1, shape[1] + 1, (shape[0], 1), generator=generator)
            lengths[0] = shape[1]
            return (torch.arange(shape[1]) < lengths).to(dtype)
        if self.values == "numbers":
            return torch.randn(shape, generator=generator).to(dtype)
        counts = torch.tensor([self.values] if isinstance(self.values, int) else list(self.values))
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
        return (uniform * counts).floor().to(dtype)

    def to_json(self) -> dict[str, Any]:
        """Return the type, the shape and the largest open size as JSON can hold them."""
        limit = {} if self.longest is None else {"longest": self.longest}
        return {"dtype": self.dtype, "shape": list(self.shape), **limit}


#: The inputs of a network: one tensor, or several by name.
InputSpecs: TypeAlias = TensorSpec | Mapping[str, TensorSpec]


@dataclass(frozen=True)
class Portable:
    """Description of how the inputs of a network are made from raw inputs without Flash.

    The encoder is a module of the domain that needs numpy, and what ``requires`` names, but nothing of Flash: its
    source is copied beside an exported network. It has

    - ``batches(source, settings, reader, batch_size)``, which yields pairs of ids and named arrays: the inputs of up to
      ``batch_size`` samples. ``reader`` has ``folder``, the folder of ``files``, and ``read_table(path)``, which
      returns the columns of a delimited file as lists of text, ``None`` for an empty cell, or those of JSON Lines with
      their values; ``is_text`` of the result tells which;
    - optionally ``results(outputs, result, reader)``, which returns one result per sample, given the named arrays that
      the network returned and the ``result`` of the task, whose ``"output"`` is the one that is asked for, or ``None``;
    - optionally ``run(networks, inputs, result)``, which returns the outputs, for tasks of several networks;
    - optionally, so that the folder can be served, ``encode_samples(samples, settings, reader)``, which returns the
      named arrays of samples as a request has them (see :data:`flash.data.requests.RequestKind`), and
      ``check_upload(content)``, which is the check of :class:`~flash.data.requests.RequestFields`.

    Args:
        inputs: The inputs of the network before the hooks of the device; ``None`` if they are unknown.
        encoder: The name of the module; ``None`` if raw inputs cannot be encoded without Flash.
        settings: What the encoder needs to know, as JSON can hold it.
        files: Further files beside the network, by name, with their text.
        requires: The packages that the encoder needs besides numpy.
        reason: Why there is no encoder: the end of a sentence.

    Example:
        >>> Portable(TensorSpec("float32", ("batch", 4)), reason="rows are made by a function").encoder is None
        True
    """

    inputs: InputSpecs | None = None
    encoder: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    reason: str = ""


def named_specs(specs: InputSpecs) -> dict[str, TensorSpec]:
    """Return the specs of inputs by name; a single one is ``"input"``.

    Example:
        >>> list(named_specs(TensorSpec("float32", ("batch", 4))))
        ['input']
    """
    return {"input": specs} if isinstance(specs, TensorSpec) else dict(specs)


def make_inputs(specs: InputSpecs, sizes: Sizes, seed: int = 0) -> list[Tensor]:
    """Return random inputs in the order of the specs.

    Args:
        specs: What the inputs are.
        sizes: The size of each dimension that has a name.
        seed: The seed.

    Example:
        >>> [each.shape for each in make_inputs(TensorSpec("float32", ("batch", 4)), {"batch": 2})]
        [torch.Size([2, 4])]
    """
    return [spec.make(sizes, seed + place) for place, spec in enumerate(named_specs(specs).values())]


def example_specs(example: Any) -> InputSpecs:
    """Return the specs of a batch of inputs, whose number of samples alone is open.

    Args:
        example: A tensor, or a mapping of tensors.

    Raises:
        ConfigurationError: If it is neither.

    Example:
        >>> example_specs(torch.zeros(2, 4)).shape
        ('batch', 4)
    """
    if isinstance(example, Tensor) and example.ndim and len(example):
        return _spec_of(example)
    if isinstance(example, Mapping) and example and all(_is_batch(each) for each in example.values()):
        return {str(name): _spec_of(tensor) for name, tensor in example.items()}
    raise ConfigurationError(
        f"Expected a batch of inputs as the network takes them, a tensor or a dict of tensors, but got a "
        f"{type(example).__name__}. Take one from a loader: next(iter(data.predict_dataloader()))."
    )


def _is_batch(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) > 0


def _spec_of(tensor: Tensor) -> TensorSpec:
    return TensorSpec(str(tensor.dtype).removeprefix("torch."), ("batch", *tensor.shape[1:]), tensor.detach().cpu())


def open_dimensions(specs: InputSpecs) -> Iterator[str]:
    """Yield the names of the dimensions of open size, each once."""
    yield from dict.fromkeys(name for spec in named_specs(specs).values() for name in spec.dynamic.values())
