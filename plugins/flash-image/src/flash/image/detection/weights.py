"""Weights of whole detectors: published ones, from torch's cache or the network, and weights in files."""

from __future__ import annotations

import logging
import pickle
import urllib.request
from pathlib import Path

import torch
from torch import Tensor, nn

from flash.errors import ConfigurationError

from ..hub import BackboneUnavailableError

__all__ = ["load_detector", "published_weights", "with_eps"]

log = logging.getLogger(__name__)

State = dict[str, Tensor]
# The layers of torchvision's detectors that depend on the number of classes or points.
_CLASS_LAYERS = (
    *("roi_heads.box_predictor.", "roi_heads.mask_predictor.", "roi_heads.keypoint_predictor."),
    "head.classification_head.",
)
# Seconds until a server counts as unreachable.
_TIMEOUT = 5.0


def published_weights(url: str) -> State:
    """Return the weights at a URL, from torch's cache if they are there.

    Raises:
        BackboneUnavailableError: If they are neither cached nor can be downloaded, or are damaged.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    try:
        if not file.is_file():
            request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # torchvision's own https addresses
            urllib.request.urlopen(request, timeout=_TIMEOUT).close()  # noqa: S310  # as above
        state: State = torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BackboneUnavailableError(
            f"Expected pretrained weights from {url}, but they could not be loaded: {error}. Connect to the network, "
            f"or put that file at {file}, or pass pretrained='path/to/weights.pth'; pretrained=False starts with "
            "random weights."
        ) from error
    return state


def with_eps(state: State, eps: float = 1e-5) -> State:
    """Convert weights of a batch normalization without epsilon to one that adds epsilon to the variances.

    Example:
        >>> with_eps({"bn.running_var": torch.tensor([1.0])}, eps=0.25)
        {'bn.running_var': tensor([0.7500])}
    """
    return {name: value - eps if name.endswith("running_var") else value for name, value in state.items()}


def load_detector(model: nn.Module, state: State, source: str) -> None:
    """Load the weights of a detector, except for layers whose shape depends on another number of classes.

    Args:
        model: The detector to load the weights into.
        state: The weights of a detector, or of a checkpoint of an :class:`~flash.image.ObjectDetector`.
        source: The name of the weights in messages.

    Raises:
        ConfigurationError: If other layers are missing, unknown, or of another shape.
    """
    own = model.state_dict()
    inside = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
    state = inside or state
    new = {
        _layer(name)
        for name, value in state.items()
        if name.startswith(_CLASS_LAYERS) and name in own and value.shape != own[name].shape
    }
    kept = {name: value for name, value in state.items() if _layer(name) not in new}
    try:
        # The modules themselves translate the names of older versions.
        missing, unknown = model.load_state_dict(kept, strict=False)
    except RuntimeError as error:
        raise ConfigurationError(_other_network(source, str(error))) from error
    missing = [name for name in missing if _layer(name) not in new]
    if missing or unknown:
        counts = f"{len(missing)} are missing and {len(unknown)} unknown, such as {(missing + unknown)[0]!r}"
        raise ConfigurationError(_other_network(source, counts))
    if new:
        log.info("Other classes than in %s: %s keep random weights.", source, ", ".join(sorted(new)))


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _other_network(source: str, problem: str) -> str:
    return (
        f"Expected the layers in {source} to be those of the chosen backbone, but they are not: {problem}. Choose the "
        "backbone, and the backbone_kwargs, that the weights were trained with."
    )
