"""Comparison of models of token classification: counts of entities, and the models without a network."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from flash.core.structured_prediction import Array
from flash.text import TokenClassificationData, TokenClassifier
from flash.text.token_classification.counting import entity_counts
from flash.text.token_classification.recipes import every_word, usual_tags
from flash.text.token_classification.tags import entities_of, kinds_of

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def scores(truth: Array, predicted: Array) -> dict[str, float]:
    """Return all metrics of statistics."""
    weights = np.ones((1, len(truth)))
    found = {each.name: each.prepare(truth, predicted) for each in TokenClassifier.statistics_metrics()}
    return {name: float(evaluate(weights)[0]) for name, evaluate in found.items()}


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_of_counted_entities_are_those_of_seqeval(seed: int) -> None:
    metrics = pytest.importorskip("seqeval.metrics", reason="seqeval is not here")
    draw = random.Random(seed)
    true = [draw.choices(LABELS, weights=[4, 1, 1, 1, 1], k=draw.randint(1, 12)) for _ in range(60)]
    predicted = [[tag if draw.random() < 0.7 else draw.choice(LABELS) for tag in row] for row in true]
    kinds = kinds_of(LABELS)
    entities, guesses = ([entities_of(row) for row in rows] for rows in (true, predicted))
    truth = entity_counts(entities, entities, kinds)[:, :2]
    found = scores(truth, entity_counts(entities, guesses, kinds))
    expected = {
        "f1": metrics.f1_score(true, predicted),
        "f1_macro": metrics.f1_score(true, predicted, average="macro"),
        "precision": metrics.precision_score(true, predicted),
        "recall": metrics.recall_score(true, predicted),
    }
    assert found == pytest.approx(expected)


def tagged(language: Any, **options: Any) -> TokenClassificationData:
    (words, tags), (val_words, val_tags) = language(40), language(20, seed=1)
    return TokenClassificationData.from_lists(words, tags, val_words, val_tags, batch_size=4, **options)


def test_statistics_of_a_network_give_the_metric_of_its_evaluation(bert: str, language: Any) -> None:
    data = tagged(language)
    task = TokenClassifier.from_data(data, backbone=bert, pretrained=False)
    last: Any = task.head
    layer = last if isinstance(last, nn.Linear) else last[-1]
    torch.manual_seed(0)
    nn.init.normal_(layer.weight, std=5)  # tags of all kinds
    task.use_data(data)
    dataset = data.val_dataset.with_input_spec(task.input_spec)
    truth = TokenClassifier.true_statistics(data.val_dataset, data.num_classes)
    found = scores(truth, task.predicted_statistics(dataset, batch_size=8))
    metrics = task.stage_metrics["val_metrics"]
    task.eval()
    for batch in data.val_dataloader():
        result = task.step(batch, 0)
        metrics.update(None, result["y_hat"], result["y"], rows=4)
    assert found["f1"] == pytest.approx(float(metrics.compute()["f1"]))
    assert TokenClassifier.class_counts(truth).tolist() == truth.tolist()
    assert list(TokenClassifier.statistics_labels(data.labels or [])) == ["LOC", "PER"]
    assert truth.sum(0).tolist() == [
        sum(tags.count(f"B-{kind}") for tags in language(20, seed=1)[1]) for kind in ("LOC", "PER")
    ]


def test_entities_are_put_into_words_as_predictions_and_targets(bert: str) -> None:
    words, tags = [["Ada", "Byron", "in", "London"], ["so", "what"]], [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"]]
    data = TokenClassificationData.from_lists(words, tags, words, tags)
    names = TokenClassifier.statistics_labels(data.labels or [])
    told = ["Ada Byron (PER), London (LOC)", "none"]
    assert TokenClassifier.describe_targets(data.val_dataset, [0, 1], names) == told
    assert usual_tags(data).fit(data).describe_predictions(data.val_dataset, [1, 0], names) == told[::-1]
    task: Any = TokenClassifier.from_data(data, backbone=bert, pretrained=False)
    layer: Any = task.head[-1] if isinstance(task.head, nn.Sequential) else task.head
    nn.init.zeros_(layer.weight)
    layer.bias.data.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0]))
    dataset = data.val_dataset.with_input_spec(task.input_spec)
    assert task.describe_predictions(dataset, [1], names) == ["so (LOC), what (LOC)"]


def test_the_trivial_model_takes_each_word_for_the_most_frequent_kind(language: Any) -> None:
    data = tagged(language)
    model = every_word(data).fit(data)
    assert every_word(data).kind == "trivial"
    predicted = model.predict(data.val_dataset)
    lengths = [len(words) for words in language(20, seed=1)[0]]
    guesses, hits = np.split(predicted, 2, axis=1)
    assert guesses.sum(1).tolist() == lengths
    assert (guesses.sum(0) > 0).sum() == 1
    assert 0 < hits.sum() < guesses.sum()


def test_the_most_frequent_tag_of_each_word_finds_entities_that_it_knows() -> None:
    words, tags = [["Ada", "Byron", "slept"], ["Ada", "in", "Rome"]], [["B-PER", "I-PER", "O"], ["B-PER", "O", "B-LOC"]]
    new, true = [["Rome", "saw", "Ada", "Byron"]], [["B-LOC", "O", "B-PER", "I-PER"]]
    data = TokenClassificationData.from_lists(words, tags, new, true)
    assert usual_tags(data).fit(data).predict(data.val_dataset).tolist() == [[1, 1, 1, 1]]
