"""Text to text: summarization and translation with encoder-decoders."""
