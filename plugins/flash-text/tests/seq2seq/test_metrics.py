"""Metrics: single numbers that agree with what their papers say."""

from __future__ import annotations

import pytest

from flash.text.seq2seq.metrics import Rouge, summarization_metrics, translation_metrics

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
