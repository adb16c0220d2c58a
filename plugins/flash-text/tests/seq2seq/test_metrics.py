"""Metrics: single numbers that agree with what their papers say."""

from __future__ import annotations

import random
import string

import pytest
from torchmetrics.text import ROUGEScore

from flash.text.seq2seq.metrics import Rouge, summarization_metrics, translation_metrics, words_of

WRITTEN = ["the cat sat on the mat", "a dog"]
TARGETS = ["the cat is on the mat", "a dog"]


def test_rouge_counts_words_pairs_and_subsequences() -> None:
    values = {}
    for name, metric in summarization_metrics().items():
        metric.update(WRITTEN, TARGETS)
        values[name] = float(metric.compute())
    # Five of six words, three of five pairs; and all of the second text.
    assert values == pytest.approx({"rouge1": (5 / 6 + 1) / 2, "rouge2": (3 / 5 + 1) / 2, "rougeL": (5 / 6 + 1) / 2})


def test_rouge_is_computed_over_all_steps() -> None:
    metric = Rouge("rouge1")
    for written, target in zip(WRITTEN, TARGETS, strict=True):
        metric.update([written], [target])
    assert float(metric.compute()) == pytest.approx((5 / 6 + 1) / 2)


def test_translations_that_are_the_targets_get_one() -> None:
    for metric in translation_metrics().values():
        metric.update(["Das ist ein kleines, rotes Haus."] * 2, ["Das ist ein kleines, rotes Haus."] * 2)
        assert float(metric.compute()) == pytest.approx(1)


def test_bleu_takes_punctuation_for_tokens_as_sacrebleu_does() -> None:
    metric = translation_metrics()["bleu"]
    metric.update(["Das ist ein rotes Haus."], ["Das ist ein rotes Haus!"])
    # Of 6 tokens 5 are right, of 5 pairs 4, of 4 triples 3, of 3 fours 2.
    assert float(metric.compute()) == pytest.approx((5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


def test_chrf_compares_letters() -> None:
    metric = translation_metrics()["chrf"]
    metric.update(["Haus"], ["Maus"])
    # Letters 3 of 4, pairs 2 of 3, triples 1 of 2, of longer ones none; the mean is over six lengths.
    assert float(metric.compute()) == pytest.approx((3 / 4 + 2 / 3 + 1 / 2) / 6)


OTHERS = {
    "Cyrillic": "сегодня утром в москве прошёл сильный дождь",
    "Devanagari": "आज सुबह दिल्ली में भारी बारिश हुई",
    "Chinese": "今天早上北京下了大雨",
    "Arabic": "هطلت أمطار غزيرة هذا الصباح في القاهرة",
    "Greek": "σήμερα το πρωί έβρεξε στην αθήνα",
    "Korean": "오늘 아침 서울에 비가 많이 내렸다",
    "Japanese": "今朝東京で大雨が降った",
    "Thai": "วันนี้ฝนตกหนักที่กรุงเทพ",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_equal_texts_of_any_alphabet_get_one_and_unlike_ones_nothing(text: str) -> None:
    for metric in summarization_metrics().values():
        metric.update([text], [text])
        assert float(metric.compute()) == 1
        metric.reset()
        metric.update([text], ["the cat sat"])
        assert float(metric.compute()) == 0


def test_words_of_other_alphabets_are_counted() -> None:
    metric = Rouge("rouge1")
    metric.update(["в москве дождь"], ["в москве сегодня сильный дождь"])
    # All 3 written words are right, of 5.
    assert float(metric.compute()) == pytest.approx(2 * 1 * (3 / 5) / (1 + 3 / 5))
    metric = Rouge("rouge2")
    metric.update(["北京大雨"], ["北京下雨"])
    # One pair of characters of three.
    assert float(metric.compute()) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a_b, 3.5%!", "it s a b 3 5"),
        ("naïve Müller", "naïve müller"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("می\u200cخواهم", "میخواهم"),  # noqa: RUF001  # Persian
        ("GPT4在2024年", "gpt4 在 2024 年"),
        ("m² ™", "m"),
        ("", ""),
    ],
)
def test_words_are_letters_with_their_marks_and_digits(text: str, words: str) -> None:
    assert words_of(text) == words


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert words_of("e\u0301te\u0301") == words_of("été")


def test_scores_of_ascii_texts_are_those_of_torchmetrics() -> None:
    rng = random.Random(0)
    texts = ["".join(rng.choices("ab cd" + string.printable, k=40)) for _ in range(400)]
    for key in ("rouge1", "rouge2", "rougeL"):
        ours, theirs = Rouge(key), ROUGEScore(rouge_keys=key)
        ours.update(texts[:200], texts[200:])
        theirs.update(texts[:200], texts[200:])
        assert float(ours.compute()) == pytest.approx(float(theirs.compute()[f"{key}_fmeasure"]), abs=1e-7)
        assert float(ours.compute()) > 0 or key == "rouge2"
