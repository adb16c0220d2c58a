"""Names of well-known encoder-decoders of the Hugging Face hub, for listings."""

from __future__ import annotations

__all__ = ["names"]

_NAMES = (
    "Helsinki-NLP/opus-mt-de-en",
    "Helsinki-NLP/opus-mt-en-ROMANCE",
    "Helsinki-NLP/opus-mt-en-de",
    "facebook/bart-base",
    "facebook/bart-large",
    "facebook/bart-large-cnn",
    "facebook/bart-large-xsum",
    "facebook/mbart-large-50-many-to-many-mmt",
    "facebook/nllb-200-distilled-600M",
    "google-t5/t5-base",
    "google-t5/t5-large",
    "google-t5/t5-small",
    "google/byt5-small",
    "google/flan-t5-base",
    "google/flan-t5-large",
    "google/flan-t5-small",
    "google/mt5-base",
    "google/mt5-small",
    "google/pegasus-xsum",
    "sshleifer/distilbart-cnn-12-6",
    "sshleifer/distilbart-xsum-12-6",
)


def names() -> tuple[str, ...]:
    """Return the names in alphabetical order, without heavy imports."""
    return _NAMES
