"""Fixtures of the tests of token classification: a toy language of persons and places."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

FILLER = "the a film story actor scene music plot end was seems feels very quite some this that".split()  # noqa: SIM905  # words are read as a sentence
# Names of persons and of places alike: only the word before them tells which. Some have several tokens.
NAMES = ["great", "lovely", "brilliant", "moving", "awful", "boring", "clumsy", "weak", "momo", "lalina"]

Language = Callable[..., tuple[list[list[str]], list[list[str]]]]


def make_sentences(count: int, seed: int = 0, longest: int = 14) -> tuple[list[list[str]], list[list[str]]]:
    """Words with tags: "with" stands before a person, "of" before a place, of one or two names; names may lie bare."""
    draw = random.Random(seed)
    sentences, targets = [], []
    for _ in range(count):
        words: list[str] = []
        tags: list[str] = []
        size = draw.randint(4, longest)
        while len(words) < size:
            kind = draw.choice(["PER", "LOC", "", "", "bare"])
            if kind in ("PER", "LOC"):
                names = draw.randint(1, 2)
                words += ["with" if kind == "PER" else "of", *draw.choices(NAMES, k=names)]
                tags += ["O", f"B-{kind}", *[f"I-{kind}"] * (names - 1)]
            elif kind == "bare":
                words += [draw.choice(FILLER), draw.choice(NAMES)]
                tags += ["O", "O"]
            words.append(draw.choice(FILLER))
            tags.append("O")
        sentences.append(words)
        targets.append(tags)
    return sentences, targets


@pytest.fixture
def language() -> Language:
    """Makes sentences, lists of words, with the tags of persons and places."""
    return make_sentences


@pytest.fixture
def write_conll(tmp_path: Path) -> Callable[..., Path]:
    """Writes sentences with tags into a file as of CoNLL-2003, of four columns."""

    def write(sentences: list[list[str]], targets: list[list[str]], name: str = "train.conll") -> Path:
        blocks = ["-DOCSTART- -X- -X- O\n"]
        for words, tags in zip(sentences, targets, strict=True):
            blocks.append("".join(f"{word} NN I-NP {tag}\n" for word, tag in zip(words, tags, strict=True)))
        (tmp_path / name).write_text("\n".join(blocks), encoding="utf-8")
        return tmp_path / name

    return write
