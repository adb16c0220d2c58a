"""Encode texts as the inputs of a network, as :class:`~flash.text.preprocess.TextPreprocess` does.

Generate texts, and find entities and answers in texts that are encoded in windows. An exported folder has a copy of
this file, which therefore needs nothing but numpy and the package tokenizers.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from flash.errors import DataError

__all__ = [
    "OUTSIDE",
    "Entity",
    "batches",
    "best_spans",
    "conll_columns",
    "encode",
    "encode_samples",
    "entities_of",
    "generate",
    "passage_places",
    "results",
    "run",
    "squad_entries",
    "token_at",
    "valid_tags",
    "windows_of",
    "word_places",
    "words_in",
]

_NEVER = np.float32(-1e9)
# Starts and ends of a window that are combined to spans.
_PLACES = 20
#: The tag of a word that is in no entity.
OUTSIDE = "O"
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
        source: The path of a table with a column of texts, or two of pairs; if the task was not trained on a table, of
            a file with one text a line, of CoNLL for entities, or of SQuAD for answers.
        settings: What :meth:`flash.text.preprocess.TextPreprocess.portable` returns.
        reader: It has ``folder``, with ``tokenizer.json``, and ``read_table(path)``, which returns the columns of a
            delimited file.
        batch_size: Texts per batch.

    Yields:
        The indices of the texts, and what :func:`encode` returns for them.

    Raises:
        DataError: If a column or a text is missing.
    """
    texts = _texts(source, settings, reader)
    for start in range(0, len(texts), batch_size):
        chosen = texts[start : start + batch_size]
        yield list(range(start, start + len(chosen))), encode_samples(chosen, settings, reader)


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
        samples: Texts, or pairs of texts; for entities also lists of words.
        settings: As for :func:`batches`.
        reader: As for :func:`batches`.
    """
    if "parts" in settings:
        return _encode_parts(samples, settings, _tokenizer(reader.folder))
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
    if not fields and "parts" in settings:
        return _lines_of_conll(source) if settings["parts"] == "entities" else _questions_of_squad(source)
    if not fields:
        # Not splitlines, which would take other characters, such as those between paragraphs, for ends of lines.
        return Path(source).read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
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
    return _padded(tokenizer.encode_batch([_whole(text, settings["prefix"]) for text in texts]), settings)


def _padded(found: Sequence[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids, the mask and maybe the segments of encodings, padded to the longest one."""
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

    Of windows, ``"values"`` is one array for each text, and ``"samples"`` says where its words or tokens are.

    Args:
        networks: Functions from named arrays to named arrays: ``model``, or ``encoder`` and ``decoder``.
        inputs: What :func:`encode` returned.
        result: The result of the task, with the settings of generation.
    """
    if "samples" in inputs:
        return _run_windows(networks["model"], inputs)
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
    """Return one result per text: a vector, the generated text, or its entities or answers."""
    if result["kind"] in ("entities", "answers"):
        find = _entities if result["kind"] == "entities" else _answers
        return [find(*each, result) for each in zip(outputs["values"], outputs["samples"], strict=True)]
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


# ---------------------------------------------------------------------- windows


class Entity(NamedTuple):
    """An entity: its label, its first word, and the word behind its last one."""

    label: str
    start: int
    stop: int


def windows_of(tokenizer: Any, texts: Sequence[Any], max_length: int, overlap: int) -> list[list[Any]]:
    """Return the windows of each text, as :func:`flash.text.windows.encode_windows` does.

    Args:
        tokenizer: A tokenizer of the package tokenizers, whose truncation is set.
        texts: Texts, or pairs of texts.
        max_length: The maximum number of tokens per window, including special tokens.
        overlap: The number of tokens that two neighboring windows share.

    Raises:
        DataError: If the first text of a pair leaves no room for the second one.
    """
    strategy = "longest_first" if isinstance(texts[0], str) else "only_second"
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length, stride=overlap, strategy=strategy, direction="right")
    try:
        return [[each, *each.overflowing] for each in tokenizer.encode_batch(list(texts))]
    except Exception as error:
        if "Truncation error" not in str(error):
            raise
        raise DataError(
            f"Expected questions that leave room for their contexts in {max_length} tokens (max_length), of which "
            f"{overlap} are of the window before, but one is too long. Shorten it, or raise max_length."
        ) from error


def _encode_parts(samples: Sequence[Any], settings: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """Return the inputs of the windows of all texts, and for each text where its words or tokens are in them."""
    if settings["parts"] == "entities":
        described: list[Any] = [_sentence(sample, settings["word"]) for sample in samples]
        texts: list[Any] = [each["text"] for each in described]
    else:
        texts = [_whole(sample, "") for sample in samples]
        described = [{"context": context} for _, context in texts]
    found = windows_of(tokenizer, texts, settings["max_length"], settings["overlap"])
    for each, windows in zip(described, found, strict=True):
        if settings["parts"] == "entities":
            each["places"] = word_places(each["starts"], each["stops"], windows)
        else:
            each["windows"] = [passage_places(window) for window in windows]
    inputs = _padded([window for windows in found for window in windows], settings)
    return {**inputs, "window_counts": np.array(list(map(len, found))), "samples": described}


def _run_windows(network: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs for the tokens of each text, one array ``(windows, tokens, values)`` for each."""
    own = {name: array for name, array in inputs.items() if name not in ("window_counts", "samples")}
    outputs = network(own)
    # Of tags there is one output, and of answers the logits of the start and the end.
    values = next(iter(outputs.values())) if len(outputs) == 1 else np.stack(list(outputs.values()), axis=-1)
    ends = np.cumsum(inputs["window_counts"])[:-1]
    return {"values": np.split(values, ends), "samples": inputs["samples"]}


def token_at(tokens: Sequence[tuple[int, int, int]], start: int, stop: int, first: int = 0) -> int:
    """Return the place in a list of the first token that has a character of a span; -1 if there is none.

    Args:
        tokens: The start and the end in the text, and the place in the window, of each token, in their order.
        start: The first character of the span.
        stop: The character behind its last one.
        first: The token to begin with.

    Example:
        >>> token_at([(0, 3, 1), (3, 7, 2)], start=4, stop=7)
        1
    """
    for place in range(first, len(tokens)):
        if tokens[place][1] > start:
            return place if tokens[place][0] < stop else -1
    return -1


def word_places(starts: Sequence[int], stops: Sequence[int], windows: Sequence[Any]) -> list[tuple[int, int]]:
    """Return the window of each word, and the place of its first token there; -1 for a word without tokens.

    A word that several windows have is classified where there are most tokens on either side of it.

    Args:
        starts: The first character of each word.
        stops: The character behind the last one of each word.
        windows: Encodings of the package tokenizers.
    """
    found = [(0, -1)] * len(starts)
    context = [-1] * len(starts)
    for number, each in enumerate(windows):
        spans = [
            (start, stop, place)
            for place, ((start, stop), special) in enumerate(zip(each.offsets, each.special_tokens_mask, strict=True))
            if not special and stop > start
        ]
        token = 0
        for word, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            at = token_at(spans, start, stop, token)
            if at < 0:
                continue
            token = at
            # A window that begins within a word has not its first token.
            begins_here = spans[at][0] <= start or (number == 0)
            around = min(at, len(spans) - 1 - at) if begins_here else -1
            if around > context[word]:
                found[word], context[word] = (number, spans[at][2]), around
    return found


def passage_places(window: Any) -> tuple[int, list[tuple[int, int]]]:
    """Return the place of the first token of a context in a window, and the start and end of its tokens in it."""
    inside = [place for place, part in enumerate(window.sequence_ids) if part == 1]
    return (inside[0] if inside else 0), [window.offsets[place] for place in inside]


# ---------------------------------------------------------------------- entities


def words_in(text: str, word: str) -> list[tuple[int, int]]:
    """Return where the words of a raw text are; each character of punctuation is a word of its own.

    Args:
        text: The text.
        word: The regular expression of what spaces divide.

    Example:
        >>> words_in("Ada's dog!", r"[^ ]+")
        [(0, 3), (3, 4), (4, 5), (6, 9), (9, 10)]
    """
    found = []
    for each in re.finditer(word, text):
        start = each.start()
        for place in range(each.start(), each.end()):
            if unicodedata.category(text[place])[0] in "PS":
                if start < place:
                    found.append((start, place))
                found.append((place, place + 1))
                start = place + 1
        if start < each.end():
            found.append((start, each.end()))
    return found


def _sentence(sample: Any, word: str) -> dict[str, Any]:
    """Return a text, or words that are joined by spaces, with the places of the words."""
    if isinstance(sample, str):
        text = _whole(sample, "")
        places = words_in(text, word)
    else:
        words = [_whole(each, "") for each in sample]
        text, ends = " ".join(words), np.cumsum([len(each) + 1 for each in words])
        places = [(int(end) - len(each) - 1, int(end) - 1) for each, end in zip(words, ends, strict=True)]
    return {"text": text, "starts": [start for start, _ in places], "stops": [stop for _, stop in places]}


def _entities(probabilities: Any, sentence: Mapping[str, Any], result: Mapping[str, Any]) -> list[Any]:
    """Return the entities of a text, or the tag of each word; a word without tokens has the tag O."""
    chosen, certain = [], []
    for window, place in sentence["places"]:
        own = probabilities[window, place] if place >= 0 else np.ones(1)
        chosen.append(result["labels"][int(own.argmax())])
        certain.append(float(own.max()))
    if result.get("output") == "tags":
        return valid_tags(chosen)
    text, starts, stops = sentence["text"], sentence["starts"], sentence["stops"]
    return [
        {
            "text": text[starts[first] : stops[stop - 1]],
            "label": label,
            "start": starts[first],
            "end": stops[stop - 1],
            "score": sum(certain[first:stop]) / (stop - first),
        }
        for label, first, stop in entities_of(chosen)
    ]


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of tags of the scheme ``"bio"``, as the script of CoNLL-2000 does and seqeval by default.

    An ``I-`` that goes on with nothing begins an entity, so that any tags can be read.

    Args:
        tags: The tags of a sentence.

    Example:
        >>> entities_of(["B-PER", "I-PER", "O", "I-LOC"])
        [Entity(label='PER', start=0, stop=2), Entity(label='LOC', start=3, stop=4)]
    """
    found = []
    start, label = 0, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        if label and tag == f"I-{label}":
            continue
        if label:
            found.append(Entity(label, start, place))
        start, label = place, tag.partition("-")[2]
    return found


def valid_tags(tags: Sequence[str]) -> list[str]:
    """Return tags in which an ``I-`` that goes on with nothing is a ``B-``.

    Example:
        >>> valid_tags(["O", "I-PER", "I-PER"])
        ['O', 'B-PER', 'I-PER']
    """
    valid = [OUTSIDE] * len(tags)
    for label, start, stop in entities_of(tags):
        valid[start:stop] = [f"B-{label}", *[f"I-{label}"] * (stop - start - 1)]
    return valid


def conll_columns(text: str, sep: str | None = None) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the number, the text and the columns of each line of CoNLL, no columns for an empty line.

    Lines of documents (``-DOCSTART-``) are left out.

    Args:
        text: The text of the file.
        sep: The separator of the columns; by default a tab if a line has one, and else spaces.
    """
    # Other characters that Python takes for the end of a line may be words.
    for number, line in enumerate(text.split("\n"), 1):
        columns = line.rstrip("\r").split(sep or ("\t" if "\t" in line else None)) if line.strip() else []
        if columns[:1] != ["-DOCSTART-"]:
            yield number, line, columns


def _lines_of_conll(source: str) -> list[list[str]]:
    sentences: list[list[str]] = [[]]
    for _, _, columns in conll_columns(Path(source).read_text(encoding="utf-8-sig")):
        if columns:
            sentences[-1].append(columns[0])
        elif sentences[-1]:
            sentences.append([])
    return [words for words in sentences if words]


# ---------------------------------------------------------------------- answers


def squad_entries(content: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the question, the context and the whole entry of each question of a file of SQuAD, as JSON has it."""
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                yield entry["question"], paragraph["context"], entry


def _questions_of_squad(source: str) -> list[tuple[str, str]]:
    try:
        content = json.loads(Path(source).read_text(encoding="utf-8-sig"))
        return [(question, context) for question, context, _ in squad_entries(content)]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"Expected {source} to be a file of SQuAD, an object with 'data' of 'paragraphs' of 'context' and 'qas', "
            f"but reading it says: {type(error).__name__}: {error}."
        ) from error


def _answers(logits: Any, passage: Mapping[str, Any], result: Mapping[str, Any]) -> Any:
    """Return the best answer, its text, or the best few."""
    windows = [(window, *places) for window, places in zip(logits, passage["windows"], strict=True)]
    names = ("n_best", "max_answer_length", "unanswerable")
    found = best_spans(windows, passage["context"], *(result[name] for name in names))
    output = result.get("output")
    return found if output == "n_best" else found[0]["text"] if output == "texts" else found[0]


def best_spans(
    windows: Sequence[tuple[Any, int, Any]], context: str, count: int, longest: int, unanswerable: bool
) -> list[dict[str, Any]]:
    """Return the best answers to a question: dicts of ``text``, ``start``, ``end`` and ``score``, best first.

    Args:
        windows: For each window the logits of the start and the end of the answer, shape ``(tokens, 2)``, the place of
            the first token of the context, and the start and the end of its tokens in the context.
        context: The context.
        count: The number of answers.
        longest: The maximum number of tokens of an answer.
        unanswerable: Whether there may be no answer.
    """
    spans: dict[tuple[int, int], float] = {}
    nothing = math.inf
    for logits, first, offsets in windows:
        nothing = min(nothing, float(logits[0].sum()))
        own = logits[first : first + len(offsets)]
        most = min(max(_PLACES, count), len(own))
        starts, ends = (np.argsort(-own[:, side], kind="stable")[:most].tolist() for side in (0, 1))
        for start in starts:
            for end in ends:
                if start <= end < start + longest and offsets[end][1] > offsets[start][0]:
                    place = int(offsets[start][0]), int(offsets[end][1])
                    score = float(own[start, 0] + own[end, 1])
                    spans[place] = max(score, spans.get(place, -math.inf))
    if unanswerable or not spans:
        spans[0, 0] = nothing
    best = sorted(spans.items(), key=lambda each: -each[1])[:count]
    weights = [math.exp(score - best[0][1]) for _, score in best]
    found = []
    for ((start, end), _), weight in zip(best, weights, strict=True):
        text = context[start:end]
        start += len(text) - len(text.lstrip())
        text = text.strip()
        found.append({"text": text, "start": start, "end": start + len(text), "score": weight / sum(weights)})
    return found
