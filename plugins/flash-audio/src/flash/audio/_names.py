"""The names of backbones of other packages, for listings: nothing heavy is imported."""

from __future__ import annotations

from flash.plugins.registry import backbone_registry

__all__ = ["images", "waveforms"]

_WAVEFORMS = (
    "facebook/hubert-base-ls960",
    "facebook/wav2vec2-base",
    "facebook/wav2vec2-large-xlsr-53",
    "facebook/wav2vec2-xls-r-300m",
    "microsoft/wavlm-base-plus",
    "microsoft/wavlm-large",
)


def images() -> list[str]:
    """Return the names of the backbones for images that are installed."""
    return backbone_registry("image").list()


def waveforms() -> tuple[str, ...]:
    """Return well-known checkpoints of transformers; any other of the hub, and a folder, works as well."""
    return _WAVEFORMS
