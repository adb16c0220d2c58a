"""Exponential moving average of a module's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from flash.errors import ConfigurationError

__all__ = ["EMA"]


class EMA:
    """Exponential moving average of a module's weights, which can be swapped into the module.

    Register it as state beside the module. A checkpoint that is written while the average is swapped in still holds
    the module's own weights.

    Args:
        module: The module; buffers, such as the statistics of batch norm, are copied and not averaged.
        decay: The decay rate per step, from 0 to 1.
        warmup: Whether the decay starts small and increases, so that the initial weights count less.

    Raises:
        ConfigurationError: If the decay is not from 0 to 1.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> _ = model.weight.data.fill_(0.0)
        >>> ema = EMA(model, decay=0.5)
        >>> _ = model.weight.data.fill_(1.0)
        >>> ema.update()
        >>> with ema.swap():
        ...     model.weight.item()
        0.5
        >>> model.weight.item()
        1.0
    """

    def __init__(self, module: nn.Module, decay: float = 0.999, warmup: bool = False) -> None:
        if not 0 <= decay <= 1:
            raise ConfigurationError(f"Expected decay to be a number from 0 to 1, but got {decay!r}.")
        self.module = module
        self.decay = decay
        self.warmup = warmup
        self.steps = 0
        self._swapped = False
        self._average = {name: tensor.detach().clone() for name, tensor in self._tensors().items()}

    def _tensors(self) -> dict[str, Tensor]:
        return {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the current weights; call it after each optimizer step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warmup else self.decay
        names = {name for name, _ in self.module.named_parameters()}
        averaged = [
            (self._average[name], tensor.detach())
            for name, tensor in self._tensors().items()
            if name in names and tensor.is_floating_point()
        ]
        if averaged:
            averages, weights = zip(*averaged, strict=True)
            torch._foreach_lerp_(averages, weights, 1 - decay)
        for name, tensor in self._tensors().items():
            if name not in names or not tensor.is_floating_point():
                self._average[name].copy_(tensor)

    @contextmanager
    def swap(self) -> Iterator[nn.Module]:
        """Context manager: swap the averaged weights into the module, such as for validation."""
        if self._swapped:
            raise ConfigurationError("Expected the module to have its own weights, but swap() is in use already.")
        self._exchange()
        try:
            yield self.module
        finally:
            self._exchange()

    @contextmanager
    def swapped_back(self) -> Iterator[None]:
        """Context manager: swap the module's own weights back in, while its state is read."""
        if not self._swapped:
            yield
            return
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        # Exchange the storage, not the contents: a state dict that was read before stays unchanged.
        for name, tensor in self._tensors().items():
            tensor.data, self._average[name] = self._average[name], tensor.data
        self._swapped = not self._swapped

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of steps."""
        with self.swapped_back():
            return {"steps": self.steps, "average": dict(self._average)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the average and the number of steps."""
        self.steps = state["steps"]
        for name, tensor in state["average"].items():
            self._average[name].copy_(tensor)
