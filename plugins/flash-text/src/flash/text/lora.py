"""Lora: the finetuning strategy that trains low-rank adapters in place of a network's weights."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from flash.core.finetuning import FlashBaseFinetuning
from flash.errors import FinetuningError

from .adapters import AdaptableTask, import_peft

__all__ = ["Lora"]


class Lora(FlashBaseFinetuning):
    """Freeze the network, and train low-rank adapters of its layers together with the head.

    The optimizer and checkpoints hold the adapters and the weights outside the network, such as a head; see
    :class:`~flash.text.adapters.AdaptableTask` for loading such a checkpoint. ``task.merge_adapters()`` merges the
    adapters into the weights, for export. Adapters need a higher learning rate than whole networks, such as 1e-3.

    For tasks of flash-text; needs peft: ``pip install "flash-text[lora]"``.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021).

    Args:
        r: The rank of the adapters.
        alpha: The scale of the adapters: they are multiplied by ``alpha / r``.
        dropout: The dropout probability of an adapter's input.
        target_modules: Suffixes of the names of layers with adapters, such as ``["query", "value"]``; by default
            peft's choice for the model type, or all linear layers.
        whole_checkpoints: Whether checkpoints hold all weights, so that they load without the network's own
            checkpoint.

    Raises:
        FinetuningError: If a setting is out of range.
        ConfigurationError: If peft is not installed.

    Example:
        >>> Lora(r=4).settings["r"]
        4
    """

    def __init__(
        self,
        r: int = 8,
        alpha: float = 16,
        dropout: float = 0.0,
        target_modules: list[str] | str | None = None,
        whole_checkpoints: bool = False,
    ) -> None:
        super().__init__()
        import_peft()
        if isinstance(r, bool) or not isinstance(r, int) or r < 1:
            raise FinetuningError(f"Expected r to be a whole number of at least 1, but got {r!r}.")
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise FinetuningError(f"Expected dropout to be from 0 to below 1, but got {dropout!r}.")
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or alpha <= 0:
            raise FinetuningError(f"Expected alpha to be a number above 0, but got {alpha!r}.")
        self.settings: dict[str, Any] = {
            "r": r,
            "alpha": alpha,
            "dropout": dropout,
            "target_modules": target_modules,
            "whole_checkpoints": whole_checkpoints,
        }

    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:
        """Add the adapters, and freeze the network except for them."""
        if not isinstance(pl_module, AdaptableTask):
            raise FinetuningError(
                f"Expected a task of flash-text, whose network supports adapters, but got a "
                f"{type(pl_module).__name__}. Choose another strategy, such as 'freeze'."
            )
        pl_module.add_adapters(self.settings)
        network = pl_module.network
        self.freeze(network)
        self.unfreeze([module for name, module in network.named_modules() if "lora_" in name])
