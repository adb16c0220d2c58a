"""Encode texts as the inputs of a network, as :class:`~flash.text.preprocess.TextPreprocess` does.

An exported folder has a copy of this file, which therefore needs nothing but numpy and the package tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from flash.errors import DataError

__all__ = ["batches", "encode"]


def batches(
    source: str, settings: Mapping[str, Any], reader: Any, batch_size: int
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Yield the inputs of batches of texts.

    Args:
        source: The path of a table with a column of texts, or two of pairs; of a file with one text a line, if the task
            was not trained on a table.
        settings: What :meth:`flash.text.preprocess.TextPreprocess.portable` returns.
        reader: It has ``folder``, with ``tokenizer.json``, and ``read_table(path)``, which returns the columns of a
            delimited file.
        batch_size: Texts per batch.

    Yields:
        The indices of the texts, and what :func:`encode` returns for them.

    Raises:
        DataError: If a column or a text is missing.
    """
    tokenizer = Tokenizer.from_file(str(reader.folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings["max_length"], direction=settings["truncation_side"])
    texts = _texts(source, settings, reader)
    for start in range(0, len(texts), batch_size):
        chosen = texts[start : start + batch_size]
        yield list(range(start, start + len(chosen))), encode(chosen, settings, tokenizer)


def _texts(source: str, settings: Mapping[str, Any], reader: Any) -> list[Any]:
    fields = settings["input_fields"]
    if not fields:
        return Path(source).read_text(encoding="utf-8-sig").splitlines()
    table = reader.read_table(source)
    missing = [name for name in fields if name not in table]
    if missing:
        raise DataError(
            f"Expected the column {missing[0]!r} in {source}, but it has only {', '.join(map(repr, table))}."
        )
    columns = [table[name] for name in fields]
    empty = [row for row, cells in enumerate(zip(*columns, strict=True)) if None in cells]
    if empty:
        raise DataError(
            f"Expected a text in each row of {source}, but {len(empty)} of {len(columns[0])} have none, the first of "
            f"them row {empty[0]} (counted from 0). Drop these rows."
        )
    return list(columns[0]) if len(columns) == 1 else list(zip(*columns, strict=True))


def encode(texts: Sequence[Any], settings: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """Return ``input_ids`` and ``attention_mask``, int64, padded to the longest text, shape ``(texts, tokens)``.

    For pairs of texts there are ``token_type_ids`` too, if the network takes them.

    Args:
        texts: Texts, or pairs of texts.
        settings: As for :func:`batches`.
        tokenizer: A tokenizer of the package tokenizers, which truncates and does not pad.
    """
    found = tokenizer.encode_batch([_whole(text, settings["prefix"]) for text in texts])
    # Attention needs at least one token.
    rows = [each.ids or [settings["pad_id"]] for each in found]
    longest = settings["padded_length"] or max(map(len, rows))
    ids = np.full((len(rows), longest), settings["pad_id"], dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)], mask[place, : len(row)] = row, 1
    inputs = {"input_ids": ids, "attention_mask": mask}
    if settings["segments"]:
        inputs["token_type_ids"] = np.zeros_like(ids)
        for place, each in enumerate(found):
            inputs["token_type_ids"][place, : len(each.type_ids)] = each.type_ids
    return inputs


def _whole(text: Any, prefix: str) -> Any:
    """Return a text, or a pair of texts, with its prefix, and without halves of characters."""
    if isinstance(text, str):
        return (prefix + text).encode("utf-8", errors="replace").decode("utf-8")
    return tuple(_whole(part, prefix) for part in text)
