"""Deterministic processes and trainers without output."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Final

import torch

import flash

__all__ = ["SILENT", "settle", "silent_trainer"]

# The options of a trainer that leaves nothing behind.
SILENT: Final[dict[str, Any]] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


def settle() -> None:
    """Seed torch, use one thread, and silence Lightning's log messages and warnings.

    Example:
        >>> settle()
        >>> torch.get_num_threads()
        1
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")


def silent_trainer(**options: Any) -> flash.Trainer:
    """Return a trainer for one epoch on the CPU, without logger, checkpoints and output.

    Args:
        options: Arguments of :class:`flash.Trainer` that override these.

    Example:
        >>> silent_trainer(max_epochs=3).max_epochs
        3
    """
    return flash.Trainer(**{"max_epochs": 1, **SILENT, **options})
