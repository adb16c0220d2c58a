"""Fixtures of the tests of question answering: questions about toy contexts."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

FILLER = "the a film story actor scene music plot end was seems feels very quite".split()  # noqa: SIM905  # words are read as a sentence
# What each question asks for.
KINDS = {"with": ["great", "lovely", "brilliant", "moving"], "of": ["awful", "boring", "clumsy", "weak"]}

Quiz = Callable[..., tuple[list[tuple[str, str]], list[dict[str, list[Any]]]]]


def make_quiz(
    count: int, seed: int = 0, longest: int = 6, without: bool = False
) -> tuple[list[tuple[str, str]], list[dict[str, list[Any]]]]:
    """Questions for the words of one of two kinds, one or two of each in a context; or, if wanted, of none."""
    draw = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    answers: list[dict[str, list[Any]]] = []
    for number in range(count):
        asked = draw.choice([*KINDS])
        is_there = not (without and number % 3 == 0)
        parts = []
        for kind, words in KINDS.items():
            parts.append((kind, " ".join(draw.choices(words, k=draw.randint(1, 2)))))
        draw.shuffle(parts)
        text, start, found = "", 0, ""
        for kind, name in parts:
            text += " ".join(draw.choices(FILLER, k=draw.randint(1, longest))) + " "
            if kind != asked or is_there:
                if kind == asked:
                    start, found = len(text), name
                text += f"{name} "
        pairs.append((asked, text + "end"))
        answers.append({"text": [found] if found else [], "answer_start": [start] if found else []})
    return pairs, answers


@pytest.fixture
def quiz() -> Quiz:
    """Makes questions with contexts, and their answers."""
    return make_quiz
