"""Damaged files, made from sound ones by a seed: the corpora of the tests in this folder."""
