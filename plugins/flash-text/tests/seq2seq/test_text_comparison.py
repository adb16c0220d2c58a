"""Comparison of models that generate texts: statistics whose means give the metrics, and trivial models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flash.text import SummarizationData, TranslationData
from flash.text.seq2seq.comparison import GeneratedTexts
from flash.text.seq2seq.metrics import summarization_metrics, translation_metrics
from flash.text.seq2seq.recipes import copied, lead
from flash.text.seq2seq.tasks import SummarizationTask, TranslationTask

FOUND = ["the red fox sat on a mat today", "an owl in the oak", "ice", "", "Über den Wolken, sagt man", "xyz"]
TARGETS = ["a red fox sat on a mat", "the owl in the oak tree", "ice", "sea", "über den Wolken sagt man so", "abc"]


@pytest.mark.parametrize(
    ("task", "metrics"), [(SummarizationTask, summarization_metrics), (TranslationTask, translation_metrics)]
)
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [1, 4], [0, 0, 1], [3], [2], [5]])
def test_means_of_statistics_give_the_metrics_of_all_texts(
    task: type[GeneratedTexts], metrics: Any, rows: list[int]
) -> None:
    found, targets = [FOUND[row] for row in rows], [TARGETS[row] for row in rows]
    expected = {}
    for name, metric in metrics().items():
        metric.update(found, targets)
        expected[name] = float(metric.compute())
    statistics = task.text_statistics(FOUND, TARGETS)
    weights = np.bincount(rows, minlength=len(FOUND))[None].astype(float)
    values = {
        each.name: float(each.prepare(np.zeros((len(FOUND), 1)), statistics)(weights)[0])
        for each in task.statistics_metrics()
    }
    assert values == pytest.approx(expected, abs=1e-5)


def test_statistics_of_a_network_are_those_of_the_texts_that_it_generates(t5: str, texts: Any) -> None:
    sources, targets = texts(8), texts(8, seed=1)
    data = TranslationData.from_lists(sources, targets, sources, targets, batch_size=4)
    task = TranslationTask.from_data(data, backbone=t5, max_new_tokens=5)
    task.use_data(data)
    dataset = data.val_dataset.with_input_spec(task.input_spec)
    generated = task.predict(sources)
    found = task.predicted_statistics(dataset, batch_size=3)
    assert found.tolist() == TranslationTask.text_statistics(generated, targets).tolist()
    assert task.describe_predictions(dataset, [5, 0], []) == [generated[5], generated[0]]
    assert TranslationTask.describe_targets(data.val_dataset, [1], []) == [targets[1]]
    assert TranslationTask.true_statistics(data.val_dataset).tolist() == [[len(each)] for each in targets]


def test_the_trivial_summary_has_as_many_first_sentences_as_is_best_in_training() -> None:
    sources = ["One came. Two slept! Three ate.\nFour left.", "Sun shone. Rain fell. Ice melted."]
    targets = ["One came. Two slept!", "Sun shone. Rain fell."]
    data = SummarizationData.from_lists(sources, targets, sources, targets)
    model: Any = lead(data).fit(data)
    assert model.sentences == 2
    assert model.describe_predictions(data.val_dataset, [1, 0], []) == targets[::-1]
    assert model.predict(data.val_dataset).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert model.kind == "trivial"


def test_the_trivial_translation_is_the_text_itself() -> None:
    data = TranslationData.from_lists(["good day", "no"], ["guten Tag", "no"], ["no"], ["no"])
    model = copied(data).fit(data)
    assert model.describe_predictions(data.val_dataset, [0], []) == ["no"]
    statistics = TranslationTask.text_statistics(["no"], ["no"])
    assert model.predict(data.val_dataset).tolist() == statistics.tolist()
