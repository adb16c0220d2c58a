"""Save and restore the RNG states of Python, NumPy and PyTorch."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from flash.errors import CheckpointError

__all__ = ["capture_rng_state", "restore_rng_state"]


def capture_rng_state() -> dict[str, Any]:
    """Return the RNG states of Python, NumPy, PyTorch, and CUDA if it is initialized, as serializable values."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]  # torch's own
    }


def restore_rng_state(state: Mapping[str, Any]) -> None:
    """Restore the RNG states that :func:`capture_rng_state` returned.

    Raises:
        CheckpointError: If they are not such states.

    Example:
        >>> state = capture_rng_state()
        >>> first = torch.rand(1)
        >>> restore_rng_state(state)
        >>> bool(first == torch.rand(1))
        True
    """
    try:
        _restore(state)
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"Expected the states of random generators that Flash saved, but got others ({type(error).__name__}: "
            f"{error}). The checkpoint is damaged, or of another program: use an earlier one."
        ) from error


def _restore(state: Mapping[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, *rest = state["numpy"]
    # NumPy does not check the position, and reads memory beyond the keys.
    if not 0 <= position <= keys.numel():
        raise ValueError(f"the position {position} is not in the {keys.numel()} keys")
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, *rest))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])
