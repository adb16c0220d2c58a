"""Pretrained weights of timm, from the cache or the hub; an error, never random weights, if there are none."""

from __future__ import annotations

import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache

from flash.errors import ConfigurationError, FlashError

__all__ = ["BackboneUnavailableError", "load_from_hub"]

log = logging.getLogger(__name__)

# Seconds. The hub's own client retries for most of a minute before it reports that there is no network.
_TIMEOUT = 5.0


class BackboneUnavailableError(FlashError, OSError):
    """Pretrained weights that are not cached and cannot be downloaded."""


def load_from_hub(make: Callable[..., Any], architecture: str, tag: str) -> Any:
    """Make a model of timm with its pretrained weights.

    Args:
        make: Called with the arguments of ``timm.create_model`` that select the weights.
        architecture: The name of the model.
        tag: The tag of the weights; empty for the default ones.

    Raises:
        ConfigurationError: If there are no weights for this model.
        BackboneUnavailableError: If they are neither cached nor can be downloaded.
    """
    name = f"{architecture}.{tag}" if tag else architecture
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise ConfigurationError(
            f"Expected pretrained weights of {name}, but timm {timm.__version__} has none. Pass pretrained=False for "
            "random weights, or the path of a file that has some."
        )
    cached = _cached_safetensors(config)
    if cached is not None:
        # Without asking the hub for newer ones, which takes a minute where there is no network.
        log.info("Loading the weights of %s from the cache: %s", name, cached)
        return make(pretrained=True, pretrained_cfg_overlay={"file": cached, "custom_load": False})
    try:
        _check_network(config)
        return make(pretrained=True)
    except OSError as error:  # The base class of the errors of the hub's client, urllib and torch.
        raise BackboneUnavailableError(
            f"Expected the pretrained weights of {name}, but they are not cached and cannot be downloaded "
            f"({type(error).__name__}: {_first_line(error)}). Connect to the network once; "
            "pass pretrained='path/to/weights', or pretrained=False for random weights; or choose a backbone of the "
            "package flash-offline, whose weights come with pip."
        ) from error


def _cached_safetensors(config: Any) -> str | None:
    if not config.hf_hub_id or config.hf_hub_filename or "@" in config.hf_hub_id:
        return None
    found = try_to_load_from_cache(config.hf_hub_id, "model.safetensors")
    return found if isinstance(found, str) else None


def _check_network(config: Any) -> None:
    """Raise within seconds if there is no network."""
    url = constants.ENDPOINT if config.hf_hub_id else config.url
    if constants.HF_HUB_OFFLINE or not str(url).startswith(("http://", "https://")) or _is_cached(config):
        return
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_TIMEOUT).close()  # noqa: S310  # http(s), as checked above
    except urllib.error.HTTPError:
        return
    except urllib.error.URLError as error:
        # The hub's client may have certificates that Python does not.
        if not isinstance(error.reason, ssl.SSLError):
            raise


def _is_cached(config: Any) -> bool:
    if config.hf_hub_id:
        name = config.hf_hub_filename or "pytorch_model.bin"
        return isinstance(try_to_load_from_cache(config.hf_hub_id.partition("@")[0], name), str)
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(config.url).name).is_file()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
