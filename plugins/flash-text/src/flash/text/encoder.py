"""Encode texts as the inputs of a network, as :class:`~flash.text.preprocess.TextPreprocess` does; generate texts.

An exported folder has a copy of this file, which therefore needs nothing but numpy and the package tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from flash.errors import DataError

__all__ = ["batches", "encode", "encode_samples", "generate", "results", "run"]

_NEVER = np.float32(-1e9)
# What transformers undoes where a tokenizer asks for it.
_SPACES = (
    *((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'")),
    *((" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")),
)


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
    tokenizer = _tokenizer(reader.folder, settings["max_length"], settings["truncation_side"])
    texts = _texts(source, settings, reader)
    for start in range(0, len(texts), batch_size):
        chosen = texts[start : start + batch_size]
        yield list(range(start, start + len(chosen))), encode(chosen, settings, tokenizer)


def _as_text(cell: Any, source: str) -> str | None:
    """Return a cell as text: numbers of JSON Lines too, as in training."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool | list | dict):
        raise DataError(
            f"Expected a text in each row of {source}, but one is a {type(cell).__name__}. Convert it to a text first."
        )
    return str(cell)


def encode_samples(samples: Sequence[Any], settings: Mapping[str, Any], reader: Any) -> dict[str, Any]:
    """Return what :func:`encode` does for the texts, or pairs of texts, of a request.

    Args:
        samples: Texts, or pairs of texts.
        settings: As for :func:`batches`.
        reader: As for :func:`batches`.
    """
    return encode(samples, settings, _tokenizer(reader.folder, settings["max_length"], settings["truncation_side"]))


@lru_cache(maxsize=8)
def _tokenizer(folder: Path, max_length: int | None = None, side: str = "right") -> Any:
    """Return the tokenizer of a folder; without a length, one that decodes."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if max_length is not None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length, direction=side)
    return tokenizer


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
    columns = [[_as_text(cell, source) for cell in table[name]] for name in fields]
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


# ---------------------------------------------------------------------- generation


def run(networks: Mapping[str, Any], inputs: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of the network; of an encoder and a decoder the ``tokens`` that they generate.

    Args:
        networks: Functions from named arrays to named arrays: ``model``, or ``encoder`` and ``decoder``.
        inputs: What :func:`encode` returned.
        result: The result of the task, with the settings of generation.
    """
    if "decoder" not in networks:
        outputs: dict[str, Any] = networks["model"](inputs)
        return outputs
    hidden = networks["encoder"](inputs)["hidden"]
    mask = inputs["attention_mask"]

    def next_logits(rows: Any, tokens: Any) -> Any:
        given = {"decoder_input_ids": tokens, "hidden": hidden[rows], "attention_mask": mask[rows]}
        return networks["decoder"](given)["logits"]

    return {"tokens": generate(next_logits, len(hidden), result["generation"])}


def results(outputs: Mapping[str, Any], result: Mapping[str, Any], reader: Any) -> list[Any]:
    """Return one result per text: a vector, or the generated text."""
    if result["kind"] != "texts":
        (vectors,) = outputs.values()
        rows: list[Any] = vectors.tolist()
        return rows
    tokenizer = _tokenizer(reader.folder)
    texts = []
    for tokens in outputs["tokens"]:
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        for spaced, plain in _SPACES if result["clean_up"] else ():
            text = text.replace(spaced, plain)
        texts.append(text.strip())
    return texts


def generate(next_logits: Any, count: int, settings: Mapping[str, Any]) -> list[list[int]]:
    """Return the tokens of each generated text: by greedy search, or beam search as transformers does it.

    Args:
        next_logits: Takes the indices of texts, shape ``(rows,)``, and the tokens so far, shape ``(rows, tokens)``;
            returns the logits of the next token, shape ``(rows, vocabulary)``.
        count: The number of texts.
        settings: ``start``, ``eos``, ``max_length``, ``min_length``, ``num_beams``, ``length_penalty``,
            ``early_stopping``, ``no_repeat_ngram_size``, ``repetition_penalty``, ``never``, the tokens that are not
            generated, ``forced_bos`` and ``forced_eos``.

    Example:
        >>> counting = lambda rows, tokens: np.eye(4, dtype=np.float32)[(tokens[:, -1] + 1) % 4]
        >>> settings = {"start": 0, "eos": [3], "max_length": 9, "min_length": 0, "num_beams": 1, "length_penalty": 1.0}
        >>> settings |= {"early_stopping": False, "no_repeat_ngram_size": 0, "repetition_penalty": 1.0}
        >>> generate(counting, 1, {**settings, "never": [], "forced_bos": None, "forced_eos": []})
        [[0, 1, 2, 3]]
    """
    if settings["num_beams"] == 1:
        return _greedy(next_logits, count, settings)
    return [_beam_search(next_logits, row, settings) for row in range(count)]


def _greedy(next_logits: Any, count: int, settings: Mapping[str, Any]) -> list[list[int]]:
    tokens = np.full((count, 1), settings["start"], dtype=np.int64)
    texts: dict[int, list[int]] = {}
    open_rows = np.arange(count)
    while len(open_rows):
        scores = _processed(next_logits(open_rows, tokens), tokens, settings)
        tokens = np.concatenate([tokens, scores.argmax(1)[:, None]], axis=1)
        ended = np.isin(tokens[:, -1], settings["eos"]) | (tokens.shape[1] >= settings["max_length"])
        texts |= {int(row): text.tolist() for row, text in zip(open_rows[ended], tokens[ended], strict=True)}
        open_rows, tokens = open_rows[~ended], tokens[~ended]
    return [texts[row] for row in range(count)]


def _beam_search(next_logits: Any, row: int, settings: Mapping[str, Any]) -> list[int]:
    beams, penalty, stops_early = settings["num_beams"], settings["length_penalty"], settings["early_stopping"]
    kept = max(2, 1 + len(settings["eos"])) * beams
    # Only the first beam counts at the start, since all are the same.
    running = [[settings["start"]]] * beams
    scores = np.where(np.arange(beams) == 0, np.float32(0), _NEVER).astype(np.float32)
    found: list[tuple[np.float32, list[int], bool]] = [(_NEVER, running[0], False)] * beams
    can_improve, length = True, 1
    while True:
        tokens = np.array(running, dtype=np.int64)
        logits = next_logits(np.full(beams, row), tokens)
        total = _processed(_log_softmax(logits), tokens, settings) + scores[:, None]
        best = np.argsort(-total.ravel(), kind="stable")[:kept]
        values, vocabulary = total.ravel()[best].astype(np.float32), total.shape[1]
        candidates = [[*running[place // vocabulary], int(place % vocabulary)] for place in best]
        ended = np.array([text[-1] in settings["eos"] or len(text) >= settings["max_length"] for text in candidates])
        open_values = values + ended * _NEVER
        chosen = np.argsort(-open_values, kind="stable")[:beams]
        running, scores = [candidates[place] for place in chosen], open_values[chosen]
        is_full = all(done for _, _, done in found) and stops_early is True
        for place in range(kept):
            done = bool(ended[place]) and place < beams
            value = values[place] / np.float32(length**penalty)
            value += (_NEVER if is_full else 0) + (0 if can_improve else _NEVER) + (0 if done else _NEVER)
            found.append((np.float32(value), candidates[place], done))
        found = sorted(found, key=lambda each: -each[0])[:beams]
        hypothetical = settings["max_length"] - 1 if stops_early == "never" and penalty > 0 else length
        worst = [min(each[0] for each in found) if done else _NEVER for _, _, done in found]
        can_improve &= any(scores[0] / np.float32(hypothetical**penalty) > each for each in worst)
        length += 1
        is_open = not (all(done for _, _, done in found) and stops_early is True)
        if not (can_improve and is_open and not ended.all()):
            return found[0][1]


def _log_softmax(logits: Any) -> Any:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _processed(scores: Any, tokens: Any, settings: Mapping[str, Any]) -> Any:
    """Return scores in which what may not come next is minus infinity, in the order of transformers' processors."""
    scores = scores.astype(np.float32).copy()
    length = tokens.shape[1]
    if settings["repetition_penalty"] != 1:
        seen = np.take_along_axis(scores, tokens, 1)
        changed = np.where(seen < 0, seen * settings["repetition_penalty"], seen / settings["repetition_penalty"])
        np.put_along_axis(scores, tokens, changed.astype(np.float32), 1)
    size = settings["no_repeat_ngram_size"]
    if size and length + 1 >= size:
        for row, text in enumerate(tokens.tolist()):
            start = text[length + 1 - size :]
            repeated = [
                text[place + size - 1] for place in range(length - size + 1) if text[place:][: size - 1] == start
            ]
            scores[row, repeated] = -np.inf
    # Folders that were exported before have no such setting.
    scores[:, settings.get("never", [])] = -np.inf
    if length < settings["min_length"]:
        scores[:, settings["eos"]] = -np.inf
    for forced, at in (([settings["forced_bos"]], 1), (settings["forced_eos"], settings["max_length"] - 1)):
        if length == at and forced and forced != [None]:
            scores[:] = -np.inf
            scores[:, forced] = 0
    return scores
