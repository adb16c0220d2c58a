"""How good the tabular backbones are out of the box, on three tables, beside scikit-learn's gradient boosting.

Adult (census income; official test file; AUC), Titanic (survival; 5-fold cross-validation; accuracy and AUC) and
California housing (house values; 20 % test rows; RMSE and R2). Every backbone with its defaults, for at most
``--epochs`` epochs, with early stopping and the best weights by the loss on 10 % of the train rows. The test rows
choose nothing. The tables are read from ``../shared/data/tabular`` beside this repository, or from ``--data``.

Run: ``nox -s bench -- tabular_quality``; with ``--validation`` only scores of the validation rows are shown, which is
what choices of defaults are made by.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _timing import quiet
from pytorch_lightning import seed_everything
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import flash
from flash.tabular import (
    TabularClassificationData,
    TabularClassifier,
    TabularRegressionData,
    TabularRegressor,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular"
Split = tuple[pd.DataFrame, pd.DataFrame]


def adult(folder: Path) -> Iterator[Split]:
    yield pd.read_csv(folder / "adult_train.csv"), pd.read_csv(folder / "adult_test.csv")


def titanic(folder: Path) -> Iterator[Split]:
    frame = pd.read_csv(folder / "titanic.csv")
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(frame, frame["Survived"]):
        yield frame.iloc[train], frame.iloc[test]


def california(folder: Path) -> Iterator[Split]:
    train, test = train_test_split(pd.read_csv(folder / "california_housing.csv"), test_size=0.2, random_state=0)
    yield train, test


TABLES = {
    "adult": (adult, "income"),
    "titanic": (titanic, "Survived"),
    "california": (california, "median_house_value"),
}


def by_flash(train: pd.DataFrame, test: pd.DataFrame, target: str, options: Any, **task_options: Any) -> Any:
    """Return what is predicted for the test rows, the best validation loss, and the time."""
    seed_everything(options.seed, verbose=False)
    regression = target == "median_house_value"
    data_class: Any = TabularRegressionData if regression else TabularClassificationData
    task_class: Any = TabularRegressor if regression else TabularClassifier
    data = data_class.from_data_frame(
        target_fields=target,
        train_data_frame=train,
        val_split=0.1,
        verbose=False,
        **({"batch_size": options.batch_size} if options.batch_size else {}),
    )
    task = task_class.from_data(data, **task_options)
    best = ("keep_best", {"patience": options.patience})
    trainer = flash.Trainer(
        max_epochs=options.epochs,
        callbacks=[best],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    start = time.perf_counter()
    trainer.fit(task, data)
    seconds = time.perf_counter() - start
    keeper: Any = next(c for c in trainer.callbacks if type(c).__name__ == "KeepBest")
    output = "values" if regression else "probabilities"
    if options.validation:
        return None, keeper.best_score, seconds / trainer.current_epoch, trainer.current_epoch
    predictions = np.array(task.predict(test.drop(columns=target), output=output, batch_size=1024))
    return predictions, keeper.best_score, seconds / trainer.current_epoch, trainer.current_epoch


def by_boosting(train: pd.DataFrame, test: pd.DataFrame, target: str) -> Any:
    """Return the same with scikit-learn's defaults."""
    regression = target == "median_house_value"
    text = make_column_selector(dtype_exclude="number")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=254)
    columns = make_column_transformer((encoder, text), remainder="passthrough", verbose_feature_names_out=False)
    model: Any = HistGradientBoostingRegressor() if regression else HistGradientBoostingClassifier()
    pipeline = make_pipeline(columns, model)
    start = time.perf_counter()
    pipeline.fit(train.drop(columns=target), train[target])
    inputs = test.drop(columns=target)
    predictions = pipeline.predict(inputs) if regression else pipeline.predict_proba(inputs)
    return predictions, float("nan"), time.perf_counter() - start, 1


def scores(truth: pd.Series[Any], predictions: Any) -> dict[str, float]:
    if predictions.ndim == 1:
        return {"RMSE": root_mean_squared_error(truth, predictions), "R2": r2_score(truth, predictions)}
    labels = np.sort(truth.unique())
    return {
        "AUC": roc_auc_score(truth == labels[1], predictions[:, 1]),
        "accuracy": accuracy_score(truth, labels[predictions.argmax(1)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tables", nargs="*", default=list(TABLES))
    parser.add_argument("--backbones", nargs="*", default=TabularClassifier.available_backbones())
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--patience", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--task-options", type=eval, default={}, help="a dict, passed to from_data")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    for name in options.tables:
        make, target = TABLES[name]
        splits = list(make(options.data))
        print(f"{name}: {len(splits[0][0])} train rows, {len(splits)} split(s)")
        contenders: list[str] = list(options.backbones)
        if not options.validation:
            contenders.append("scikit-learn boosting")
        for backbone in contenders:
            found: list[dict[str, float]] = []
            runs = []
            for train, test in splits:
                if backbone in options.backbones:
                    run = by_flash(train, test, target, options, backbone=backbone, **options.task_options)
                else:
                    run = by_boosting(train, test, target)
                runs.append(run)
                if run[0] is not None:
                    found.append(scores(test[target], run[0]))
            means = {key: statistics.mean(row[key] for row in found) for key in (found[0] if found else {})}
            text = "  ".join(f"{key} {value:.5g}" for key, value in means.items())
            loss, seconds, epochs = (statistics.mean(run[i] for run in runs) for i in (1, 2, 3))
            print(f"  {backbone:22s} {text:30s} val loss {loss:.5f}  {seconds:5.2f} s/epoch  {epochs:4.0f} epochs")


if __name__ == "__main__":
    main()
