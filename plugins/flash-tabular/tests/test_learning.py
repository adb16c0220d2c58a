"""That networks learn: scores that a broken gradient, a frozen backbone or shuffled labels would not reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pytorch_lightning import seed_everything

import flash
from flash.tabular import (
    TabularClassificationData,
    TabularClassifier,
    TabularRegressionData,
    TabularRegressor,
)

MakeTrainer = Callable[..., flash.Trainer]
Tiny = Callable[[str], dict[str, Any]]

# The tiny sizes learn with larger steps than the real ones.
LEARNING_RATES = {"ft_transformer": 0.01, "mlp": 0.01, "resnet": 0.01, "tabm": 0.01, "tabnet": 0.03}


def corners(rows: int, seed: int) -> pd.DataFrame:
    """Whether two numbers have one sign, which neither says alone; and noise."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.uniform(-1, 1, (rows, 3)), columns=["x", "z", "noise"])
    frame["same"] = np.where(frame["x"] * frame["z"] > 0, "same", "other")
    return frame


def accuracy(task: flash.Task, frame: pd.DataFrame, target: str) -> float:
    return float((np.array(task.predict(frame, batch_size=1024)) == frame[target].to_numpy()).mean())


def r2(task: flash.Task, frame: pd.DataFrame, target: str) -> float:
    error = np.array(task.predict(frame, batch_size=1024)) - frame[target].to_numpy()
    return float(1 - (error**2).mean() / frame[target].var(ddof=0))


def learn_corners(train: pd.DataFrame, options: dict[str, Any], trainer: flash.Trainer, **run: Any) -> flash.Task:
    seed_everything(0)
    dm = TabularClassificationData.from_data_frame(None, ["x", "z", "noise"], "same", train, batch_size=128)
    task = TabularClassifier.from_data(dm, learning_rate=LEARNING_RATES[options["backbone"]], **options)
    trainer.finetune(task, dm, **{"strategy": "no_freeze", **run})
    return task


@pytest.mark.train
def test_each_backbone_learns_what_no_column_says_alone(backbone: dict[str, Any], trainer: MakeTrainer) -> None:
    task = learn_corners(corners(1500, 0), backbone, trainer(max_epochs=25))
    assert accuracy(task, corners(1000, 1), "same") > 0.9


@pytest.mark.train
@pytest.mark.parametrize("name", ["mlp", "tabm"])
def test_shuffled_labels_teach_nothing(name: str, tiny: Tiny, trainer: MakeTrainer) -> None:
    train = corners(1500, 0)
    train["same"] = np.random.default_rng(2).permutation(train["same"])
    task = learn_corners(train, tiny(name), trainer(max_epochs=10))
    assert accuracy(task, corners(1000, 1), "same") < 0.7


@pytest.mark.train
def test_a_head_alone_learns_less_than_the_whole_network(tiny: Tiny, trainer: MakeTrainer) -> None:
    task = learn_corners(corners(1500, 0), tiny("mlp"), trainer(max_epochs=25), strategy="freeze")
    assert accuracy(task, corners(1000, 1), "same") < 0.9


@pytest.mark.train
def test_each_backbone_learns_large_numbers(backbone: dict[str, Any], trainer: MakeTrainer) -> None:
    def flats(rows: int, seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        frame = pd.DataFrame({"area": random.normal(80, 20, rows), "age": random.uniform(0, 100, rows)})
        frame["city"] = random.choice(["Oslo", "Rome"], rows)
        frame["price"] = 1e6 * (frame["area"] / 20 - frame["age"] / 50 + (frame["city"] == "Oslo")) + 5e6
        return frame

    seed_everything(0)
    dm = TabularRegressionData.from_data_frame("city", ["area", "age"], "price", flats(1500, 0), batch_size=128)
    task = TabularRegressor.from_data(dm, learning_rate=LEARNING_RATES[backbone["backbone"]], **backbone)
    trainer(max_epochs=15).fit(task, dm)
    assert r2(task, flats(500, 1), "price") > 0.9


@pytest.mark.train
def test_a_number_and_its_category_are_learned_together(backbone: dict[str, Any], trainer: MakeTrainer) -> None:
    def signs(rows: int, seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        frame = pd.DataFrame({"x": random.uniform(-1, 1, rows), "turn": random.choice(["yes", "no"], rows)})
        frame["positive"] = ((frame["x"] > 0) != (frame["turn"] == "yes")).astype(int)
        return frame

    seed_everything(0)
    dm = TabularClassificationData.from_data_frame("turn", "x", "positive", signs(2000, 0), batch_size=128)
    task = TabularClassifier.from_data(dm, learning_rate=LEARNING_RATES[backbone["backbone"]], **backbone)
    trainer(max_epochs=20).fit(task, dm)
    assert accuracy(task, signs(500, 1), "positive") > 0.9


@pytest.mark.train
@pytest.mark.parametrize("name", ["mlp", "tabm"])
def test_several_labels_and_several_numbers_are_learned_together(name: str, tiny: Tiny, trainer: MakeTrainer) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(1000, 2)), columns=["a", "b"])
    frame["p"], frame["q"] = (frame["a"] > 0).astype(int), (frame["b"] > 1).astype(int)
    frame["s"], frame["t"] = 1e6 * (frame["a"] + frame["b"]), -1e-3 * frame["b"]
    options = {"learning_rate": 0.02, **tiny(name)}

    seed_everything(0)
    labels = TabularClassificationData.from_data_frame(None, ["a", "b"], ["p", "q"], frame, batch_size=128)
    classifier = TabularClassifier.from_data(labels, **options)
    trainer(max_epochs=15).fit(classifier, labels)
    chosen = np.array(classifier.predict(frame, output="probabilities")) > 0.5
    assert (chosen == frame[["p", "q"]].to_numpy()).mean() > 0.95

    numbers = TabularRegressionData.from_data_frame(None, ["a", "b"], ["s", "t"], frame, batch_size=128)
    regressor = TabularRegressor.from_data(numbers, **options)
    trainer(max_epochs=15).fit(regressor, numbers)
    error = np.array(regressor.predict(frame)) - frame[["s", "t"]].to_numpy()
    assert (1 - (error**2).mean(0) / frame[["s", "t"]].var(ddof=0).to_numpy() > 0.9).all()


@pytest.mark.train
def test_whether_a_value_is_missing_is_learned(tiny: Tiny, trainer: MakeTrainer) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"n": random.normal(size=600)})
    frame["gone"] = (random.random(600) < 0.5).astype(int)
    frame.loc[frame["gone"] == 1, "n"] = np.nan
    seed_everything(0)
    dm = TabularClassificationData.from_data_frame(None, "n", "gone", frame, batch_size=100)
    task = TabularClassifier.from_data(dm, learning_rate=0.02, **tiny("mlp"))
    trainer(max_epochs=5).fit(task, dm)
    assert accuracy(task, frame, "gone") > 0.98


# ---------------------------------------------------------------------- real tables


def real_table(shared: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(shared / "data" / "tabular" / name)


@pytest.mark.train
def test_titanic_with_all_columns_and_no_settings(
    shared: Path, trainer: MakeTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = real_table(shared, "titanic.csv").sample(frac=1, random_state=0)
    train, test = rows[:700], rows[700:]
    seed_everything(0)
    dm = TabularClassificationData.from_data_frame(target_fields="Survived", train_data_frame=train)
    assert "left out: Name (text with 700 different values in 700 rows)" in capsys.readouterr().out
    task = TabularClassifier.from_data(dm)
    trainer(max_epochs=8).fit(task, dm)
    assert accuracy(task, test, "Survived") > 0.75


@pytest.mark.train
def test_adult_with_categories_that_the_train_rows_lack(shared: Path, trainer: MakeTrainer, tiny: Tiny) -> None:
    train, test = real_table(shared, "adult_train.csv")[:4000], real_table(shared, "adult_test.csv")[:2000]
    seed_everything(0)
    dm = TabularClassificationData.from_data_frame(
        target_fields="income", train_data_frame=train, test_data_frame=test, verbose=False
    )
    task = TabularClassifier.from_data(dm, learning_rate=0.02, **tiny("mlp"))
    trainer(max_epochs=4).fit(task, dm)
    assert accuracy(task, test, "income") > 0.82
