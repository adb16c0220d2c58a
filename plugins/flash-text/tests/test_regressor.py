"""Regression of texts: numbers of any source and container are learned, kept and refused as they should."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import flash
from flash.errors import ConfigurationError, DataError
from flash.text import TextClassificationData, TextClassifier, TextRegressionData, TextRegressor

MakeTrainer = Callable[..., flash.Trainer]
NUMBERS = "the great awful weak moving boring lovely brilliant clumsy".split()  # noqa: SIM905  # a number each
STRATEGIES: list[Any] = ["no_freeze", "freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 2))]


def make_numbers(count: int, seed: int) -> tuple[list[str], list[float]]:
    """Texts with one word that is a number, in a unit of 1,000 from 20,000 on."""
    rng = random.Random(seed)
    texts, targets = [], []
    for _ in range(count):
        number = rng.randrange(len(NUMBERS))
        words = rng.choices(["film", "story", "actor", "scene", "music"], k=rng.randint(1, 6))
        words.insert(rng.randint(0, len(words)), NUMBERS[number])
        texts.append(" ".join(words))
        targets.append(20_000.0 + 1_000 * number)
    return texts, targets


def make_data(train: int = 256, val: int = 64, **options: Any) -> TextRegressionData:
    options = {"batch_size": 16, "seed": 0, **options}
    return TextRegressionData.from_lists(*make_numbers(train, 0), *make_numbers(val, 1), **options)


def r2(predicted: Any, truth: Any) -> Any:
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    return 1 - ((predicted - truth) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)


@pytest.mark.train
def test_the_number_of_a_word_in_a_text_is_learned_and_kept(bert: str, trainer: MakeTrainer, tmp_path: Path) -> None:
    folder = shutil.copytree(bert, tmp_path / "gone")
    torch.manual_seed(0)
    data = make_data()
    task = TextRegressor.from_data(data, backbone=folder, learning_rate=3e-3, dropout=0.0)
    run = trainer(max_epochs=12)
    run.fit(task, data)
    texts, truth = make_numbers(64, 1)
    predicted = np.asarray(task.predict(texts))
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    assert logged["val_r2"] == pytest.approx(r2(predicted, truth), abs=1e-3)
    assert logged["val_rmse"] == pytest.approx(np.sqrt(((predicted - truth) ** 2).mean()), rel=1e-2)
    assert logged["val_mae"] == pytest.approx(np.abs(predicted - truth).mean(), rel=1e-2)
    new, new_truth = make_numbers(100, 2)
    assert r2(task.predict(new), new_truth) > 0.95
    run.save_checkpoint(tmp_path / "task.ckpt")
    shutil.rmtree(folder)
    again = flash.Task.load_from_checkpoint(tmp_path / "task.ckpt")
    assert isinstance(again, TextRegressor)
    assert again.predict(new) == task.predict(new)
    assert again.target_mean.tolist() == pytest.approx(data.facts["target_mean"])


@pytest.mark.train
def test_two_numbers_a_text_are_learned(bert: str, trainer: MakeTrainer) -> None:
    torch.manual_seed(0)

    def make(count: int, seed: int) -> tuple[list[str], np.ndarray]:
        texts, numbers = make_numbers(count, seed)
        return texts, np.stack([numbers, [0.001 * len(text.split()) for text in texts]], axis=1)

    data = TextRegressionData.from_lists(*make(256, 0), *make(64, 1), batch_size=16, seed=0)
    task = TextRegressor.from_data(data, backbone=bert, learning_rate=3e-3, dropout=0.0)
    trainer(max_epochs=16).fit(task, data)
    texts, truth = make(100, 2)
    assert (r2(task.predict(texts), truth) > 0.8).all()


@pytest.mark.train
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_every_strategy_trains(strategy: Any, bert: str, trainer: MakeTrainer) -> None:
    torch.manual_seed(0)
    data = make_data(64, 32)
    task = TextRegressor.from_data(data, backbone=bert)
    before = {name: value.clone() for name, value in task.backbone.state_dict().items()}
    (first,) = trainer().validate(task, data, verbose=False)
    trainer(max_epochs=4).finetune(task, data, strategy=strategy)
    (last,) = trainer().validate(task, data, verbose=False)
    assert last["val_rmse"] < first["val_rmse"]
    after = task.backbone.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before) == (strategy == "freeze")


def test_the_learning_rates_are_those_of_a_classifier(bert: str) -> None:
    def rates(task: Any) -> list[float]:
        return sorted({group["lr"] for group in task.configure_optimizers()["optimizer"].param_groups})

    for options in ({}, {"learning_rate": 1e-3}, {"pretrained": False}, {"optimizer": ("SGD", {"lr": 0.3})}):
        one, other = TextRegressor(backbone=bert, **options), TextClassifier(2, backbone=bert, **options)
        assert rates(one) == rates(other)


@pytest.mark.parametrize("fields", ["score", ["score", "half"]], ids=str)
def test_every_constructor_reads_the_same_numbers(fields: Any, tmp_path: Path, bert: str) -> None:
    table = pd.DataFrame({"text": ["a", "b c", "d", "e f g"], "score": [1.5, 2, 4, 7.25], "half": [0, -1, 5, 3]})
    names = [fields] if isinstance(fields, str) else fields
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    rows = table.to_dict("records")
    (tmp_path / "t.json").write_text(json.dumps(rows))
    numbers = table[fields].to_numpy()
    make = TextRegressionData
    made = {
        "from_csv": make.from_csv("text", fields, tmp_path / "t.csv"),
        "from_json": make.from_json("text", fields, tmp_path / "t.json"),
        "from_parquet": make.from_parquet("text", fields, tmp_path / "t.parquet"),
        "from_data_frame": make.from_data_frame("text", fields, table),
        "from_lists": make.from_lists(table["text"].tolist(), numbers.tolist()),
        "from_lists of an array": make.from_lists(table["text"], numbers),
        "from_datasets": make.from_datasets("text", fields, train_dataset=rows),
    }
    for name, data in made.items():
        assert data.facts["target_mean"] == pytest.approx(table[names].mean().tolist()), name
        assert data.facts["target_std"] == pytest.approx(table[names].std(ddof=0).tolist()), name
        task = TextRegressor.from_data(data, backbone=bert)
        dataset: Any = data.train_dataset
        assert [dataset[row][1].tolist() for row in range(4)] == numbers.tolist(), name
        assert np.asarray(task.predict(["a", "b"])).shape == ((2,) if len(names) == 1 else (2, 2))


def test_a_split_is_not_by_numbers(bert: str) -> None:
    texts = [f"text {number}" for number in range(20)]
    chosen = set()
    for seed in range(10):
        dataset: Any = TextRegressionData.from_lists(texts, list(range(20)), val_split=0.2, seed=seed).val_dataset
        chosen |= {int(dataset[row][1]) for row in range(len(dataset))}
    assert len(chosen) > 10


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("write", [float, str, lambda number: [number, number]], ids=["floats", "texts", "rows"])
def test_numbers_for_a_classifier_name_the_classes_for_regression(write: Any) -> None:
    texts = [f"text {number}" for number in range(30)]
    with pytest.raises(DataError, match=r"For numbers use TextRegressionData and TextRegressor\.$"):
        _ = TextClassificationData.from_lists(texts, [write(number / 7) for number in range(30)]).facts


def test_words_for_a_regressor_name_the_classes_for_classification() -> None:
    advice = r"Expected numbers .* but got 'good'. For classes use TextClassificationData and TextClassifier\.$"
    with pytest.raises(DataError, match=advice):
        _ = TextRegressionData.from_lists(["a", "b"], ["good", "bad"]).facts
    with pytest.raises(DataError, match=advice):
        _ = TextRegressionData.from_lists(["a", "b"], [1, 2], ["a", "b"], ["good", "bad"]).val_dataset


def test_a_dataset_with_classes_leads_to_classification() -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
    names = datasets.Features({"text": datasets.Value("string"), "mood": datasets.ClassLabel(names=["bad", "good"])})
    dataset = datasets.Dataset.from_dict({"text": ["a", "b"], "mood": [0, 1]}, features=names)
    with pytest.raises(DataError, match="but got indices of 2 classes, such as 'bad'. For classes use TextClass"):
        TextRegressionData.from_datasets("text", "mood", train_dataset=dataset)


def test_a_delimiter_is_for_classes() -> None:
    with pytest.raises(flash.errors.UnknownArgumentError, match="'delimiter'"):
        TextRegressionData.from_data_frame("text", "score", {"text": ["a"], "score": [1]}, delimiter=",")


def test_data_and_task_of_different_kinds_are_refused_with_the_names_of_both(bert: str) -> None:
    with pytest.raises(
        ConfigurationError, match="TextClassificationData for TextClassifier, but got TextRegressionData"
    ):
        TextClassifier.from_data(make_data(8, 4), backbone=bert)
    classes = TextClassificationData.from_lists(["a", "b"], ["x", "y"])
    with pytest.raises(
        ConfigurationError, match="TextRegressionData for TextRegressor, but got TextClassificationData"
    ):
        TextRegressor.from_data(classes, backbone=bert)


@pytest.mark.parametrize("dropout", [-0.1, 1, True, "half"])
def test_dropout_is_a_fraction(bert: str, dropout: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected dropout to be from 0 to below 1"):
        TextRegressor(backbone=bert, dropout=dropout)
