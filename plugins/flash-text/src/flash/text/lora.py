"""The strategy ``lora``: train low-rank adapters in place of a network's weights."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from flash.core.finetuning import FlashBaseFinetuning
from flash.errors import FinetuningError

from .adapters import AdaptableTask, import_peft

__all__ = ["Lora"]


class Lora(FlashBaseFinetuning):
    """Keep the network's weights as they are, and train small matrices beside some of its layers, and the rest.

    The optimizer and checkpoints hold the adapters and what is not of the network, such as a head; see
    :class:`~flash.text.adapters.AdaptableTask` for what a checkpoint needs to be loaded. ``task.merge_adapters()`` adds
    them to the weights, for export. Adapters want a higher learning rate than whole networks, such as 1e-3.

    For tasks of flash-text; needs peft: ``pip install "flash-text[lora]"``.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021).

    Args:
        r: The rank of the adapters.
        alpha: What the adapters count: they are scaled by ``alpha / r``.
        dropout: How much of an adapter's input is left out in training, from 0 to 1.
        target_modules: Ends of the names of layers that get adapters, such as ``["query", "value"]``; by default those
            that peft chooses for the kind of model, or all linear layers.
        whole_checkpoints: Whether checkpoints hold all weights, so that they can be loaded where the network's own
            checkpoint is not.

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
        """Put the adapters in, and freeze the network but for them."""
        if not isinstance(pl_module, AdaptableTask):
            raise FinetuningError(
                f"Expected a task of flash-text, whose network can get adapters, but got a {type(pl_module).__name__}. "
                "Choose another strategy, such as 'freeze'."
            )
        pl_module.add_adapters(self.settings)
        network = pl_module.network
        self.freeze(network)
        self.unfreeze([module for name, module in network.named_modules() if "lora_" in name])
