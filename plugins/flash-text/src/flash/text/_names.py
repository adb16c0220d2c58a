"""Names of well-known checkpoints for listings; any other name on the hub works as well."""

from __future__ import annotations

__all__ = ["names"]

_NAMES = (
    "albert-base-v2",
    "answerdotai/ModernBERT-base",
    "answerdotai/ModernBERT-large",
    "bert-base-cased",
    "bert-base-multilingual-cased",
    "bert-base-uncased",
    "bert-large-uncased",
    "distilbert-base-multilingual-cased",
    "distilbert-base-uncased",
    "distilroberta-base",
    "facebook/bart-base",
    "google/electra-small-discriminator",
    "google/mobilebert-uncased",
    "microsoft/deberta-v3-base",
    "microsoft/deberta-v3-small",
    "microsoft/mpnet-base",
    "prajjwal1/bert-medium",
    "prajjwal1/bert-mini",
    "prajjwal1/bert-small",
    "prajjwal1/bert-tiny",
    "roberta-base",
    "roberta-large",
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/all-mpnet-base-v2",
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "t5-small",
    "xlm-roberta-base",
)


def names() -> tuple[str, ...]:
    """Return the names, without heavy imports."""
    return _NAMES
