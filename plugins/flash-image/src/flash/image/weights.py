"""Pretrained weights from files: load all weights of a network, or raise an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flash.errors import CheckpointError
from flash.serialization import read_checkpoint

__all__ = ["load_weights", "read_weights"]

# The keys of the weights in checkpoints of training programs; averaged (EMA) weights first, as they were validated.
_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")
# Prefixes of the names of weights: of DDP, of Flash's own checkpoints, and of other programs.
_PREFIXES = ("", "module.", "network.", "backbone.network.", "backbone.", "model.", "encoder.")
_CLASSIFIERS = ("classifier", "fc", "head", "head_dist")


def read_weights(source: str | Path) -> dict[str, Tensor]:
    """Read the weights in a file without executing code in it.

    Args:
        source: The path or URL of a file from ``torch.save`` (a state dict, or a checkpoint that holds one), or the
            path of a ``.safetensors`` file.

    Raises:
        CheckpointError: If there is no such file, or it holds no weights.
        UnsafeCheckpointError: If loading it would execute code.
    """
    if str(source).endswith(".safetensors"):
        return _read_safetensors(source)
    found: Any = read_checkpoint(source)
    for key in _NESTED:
        if isinstance(found.get(key), Mapping):
            found = found[key]
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if not weights:
        raise CheckpointError(
            f"Expected weights in {source}, but found none, only {', '.join(map(repr, found)) or 'nothing'}. "
            "Save them with torch.save(network.state_dict(), path)."
        )
    return weights


def _read_safetensors(source: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(source)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"Expected weights in {source}, but it cannot be read: {error}.") from error


def load_weights(network: nn.Module, source: str | Path, name: str) -> None:
    """Load all weights of a network from a file, without those of a classifier.

    Args:
        network: The network to load the weights into.
        source: As in :func:`read_weights`; also a checkpoint of a Flash task with the same backbone.
        name: The name of the network in messages.

    Raises:
        CheckpointError: If a weight is missing, unknown, or of another shape.
    """
    weights = _match(read_weights(source), network)
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in weights and not key.endswith("num_batches_tracked")]
    unknown = [key for key in weights if key not in wanted and not _of_classifier(key, network)]
    wrong = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    if missing or unknown or wrong:
        shapes = [f"{key} {tuple(weights[key].shape)} instead of {tuple(wanted[key].shape)}" for key in wrong]
        found = {"missing": missing, "unknown": unknown, "of another shape": shapes}
        listed = "; ".join(f"{what}: {_some(keys)}" for what, keys in found.items() if keys)
        raise CheckpointError(
            f"Expected the weights of {name}, but those in {source} do not fit: {listed}. "
            "Check the backbone's name and backbone_kwargs."
        )
    network.load_state_dict({key: weights[key] for key in wanted if key in weights}, strict=False)


def _match(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return the weights without the prefix of their names that matches most of the network's own names."""
    wanted = network.state_dict().keys()
    stripped = [
        {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        for prefix in _PREFIXES
    ]
    return max(stripped, key=lambda found: len(wanted & found.keys()))


def _of_classifier(key: str, network: nn.Module) -> bool:
    own = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    names = {*_CLASSIFIERS, *((own,) if isinstance(own, str) else own)}
    return any(key.startswith(f"{name}.") for name in names)


def _some(keys: Iterable[str]) -> str:
    listed = list(keys)
    more = f", ... ({len(listed)} in all)" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
