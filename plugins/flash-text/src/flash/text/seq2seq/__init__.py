"""Texts made of texts: summarization and translation with encoder-decoders."""
