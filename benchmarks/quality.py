"""How good a default run of Flash is, beside scikit-learn's defaults, on many data sets and seeds.

A seed is another split of the data, other initial weights and another order. Tables: ``Trainer().fit(task, data)`` with
``val_split=0.2`` beside ``HistGradientBoosting``, which trains on the validation rows too. Photos and texts:
``Trainer().finetune(task, data, strategy="freeze")`` beside a logistic regression on the same features, standardized.
Neither has an option. The test rows choose nothing: choices are made with ``--validation``, where a fifth of the train
rows takes their place, and the test rows are not read.

Run: ``nox -s bench -- quality``; ``--only titanic --seeds 2`` for less, ``--backbones resnet mlp`` for the other
backbones of tables. The data packages that some tables come with are optional; what is not installed is left out, with
the command that installs it.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _datasets import DATA, TABLES, MissingDataError, Table
from _frozen import FROZEN, SILENT, run_frozen
from _timing import quiet
from pytorch_lightning import seed_everything
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, log_loss, r2_score

import flash
from flash.tabular import (
    TabularClassificationData,
    TabularClassifier,
    TabularRegressionData,
    TabularRegressor,
)

#: What each run is compared with.
PEERS = ("boosting", "logistic")
#: Scores by name; higher is better.
Scores = dict[str, float]


def flash_on_table(table: Table, train: pd.DataFrame, test: pd.DataFrame, seed: int, backbone: str) -> Scores:
    """Train with Flash's defaults, but for the backbone, and return the scores on the test rows."""
    seed_everything(seed, verbose=False)
    data_class: Any = TabularRegressionData if table.regression else TabularClassificationData
    task_class: Any = TabularRegressor if table.regression else TabularClassifier
    data = data_class.from_data_frame(
        target_fields=table.target, train_data_frame=train, val_split=0.2, seed=seed, verbose=False
    )
    task = task_class.from_data(data, backbone=backbone)
    trainer = flash.Trainer(accelerator="cpu", **SILENT)
    trainer.fit(task, data)
    inputs = test.drop(columns=table.target)
    if table.regression:
        return scores(test[table.target], np.array(task.predict(inputs, batch_size=1024)))
    probabilities = np.array(task.predict(inputs, output="probabilities", batch_size=1024))
    return scores(test[table.target], probabilities, task.labels)


def boosting_on_table(table: Table, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> Scores:
    """Train scikit-learn's gradient boosting with its defaults; text is categorical."""
    train, test = train.copy(), test.copy()
    for column in train.columns.difference([table.target]):
        if not pd.api.types.is_numeric_dtype(train[column]):
            known = train[column].value_counts().index[:254]
            train[column] = pd.Categorical(train[column], known)
            test[column] = pd.Categorical(test[column], known)
    kind: Any = HistGradientBoostingRegressor if table.regression else HistGradientBoostingClassifier
    model = kind(categorical_features="from_dtype", random_state=seed)
    inputs = test.drop(columns=table.target)
    model.fit(train.drop(columns=table.target), train[table.target])
    if table.regression:
        return scores(test[table.target], model.predict(inputs))
    return scores(test[table.target], model.predict_proba(inputs), list(model.classes_))


def scores(truth: pd.Series[Any], predicted: np.ndarray[Any, Any], labels: list[Any] | None = None) -> Scores:
    """Return R2 of numbers; accuracy, and log loss with a minus, of probabilities."""
    if labels is None:
        return {"R2": r2_score(truth, predicted)}
    order = np.argsort(np.array(labels))
    ordered = np.array(labels)[order]
    return {
        "accuracy": accuracy_score(truth, np.array(labels)[predicted.argmax(1)]),
        "-log loss": -log_loss(truth, predicted[:, order], labels=ordered),
    }


def run_table(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a record per seed and contender."""
    table = TABLES[name]
    for seed, (train, test) in enumerate(table.splits(options.data, options.seeds, options.validation)):
        for contender in ["boosting", *options.backbones]:
            start = time.perf_counter()
            if contender == "boosting":
                found = boosting_on_table(table, train, test, seed)
            else:
                found = flash_on_table(table, train, test, seed, contender)
            seconds = time.perf_counter() - start
            yield {"data": name, "rows": len(train), "seed": seed, "by": contender, "s": seconds, **found}


def summarize(records: list[dict[str, Any]]) -> None:
    """Print a table: each score of each contender beside the peer's, over the seeds."""
    heads = ("data", "rows", "score", "by", "mean", "sd", "peer", "sd", "diff", "se", "verdict", "s")
    print("\n{:16s} {:>6s} {:10s} {:14s} {:>8s} {:>7s} {:>8s} {:>7s} {:>8s} {:>7s}  {:12s} {:>6s}".format(*heads))
    tally: dict[tuple[str, str], list[str]] = {}
    for data in dict.fromkeys(record["data"] for record in records):
        found = [record for record in records if record["data"] == data]
        peers = {record["seed"]: record for record in found if record["by"] in PEERS}
        for by in dict.fromkeys(record["by"] for record in found if record["by"] not in PEERS):
            runs = [record for record in found if record["by"] == by]
            for score in [name for name in runs[0] if name not in ("data", "rows", "seed", "by", "s")]:
                ours = [run[score] for run in runs]
                theirs = [peers[run["seed"]][score] for run in runs]
                differences = [mine - other for mine, other in zip(ours, theirs, strict=True)]
                mean, error = statistics.mean(differences), _deviation(differences) / len(runs) ** 0.5
                verdict = verdict_of(mean, error) if len(runs) > 1 else "one seed"
                tally.setdefault((by, "accuracy or R2" if score != "-log loss" else score), []).append(verdict)
                seconds = statistics.mean(run["s"] for run in runs)
                print(
                    f"{data:16s} {runs[0]['rows']:6d} {score:10s} {by:14s} {statistics.mean(ours):8.4f} "
                    f"{_deviation(ours):7.4f} {statistics.mean(theirs):8.4f} {_deviation(theirs):7.4f} {mean:+8.4f} "
                    f"{error:7.4f}  {verdict:12s} {seconds:6.1f}"
                )
    for (by, score), verdicts in tally.items():
        counts = ", ".join(f"{kind} {verdicts.count(kind)}" for kind in ("won", "within noise", "lost"))
        print(f"{by}, {score}: {counts}")


def verdict_of(difference: float, error: float) -> str:
    """Return whether a mean difference is more than two standard errors."""
    if abs(difference) <= 2 * error:
        return "within noise"
    return "won" if difference > 0 else "lost"


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", nargs="*", default=[*TABLES, *FROZEN], choices=[*TABLES, *FROZEN], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--validation", action="store_true", help="leave the test rows alone")
    parser.add_argument("--backbones", nargs="*", default=["tabm"], help="of tables")
    parser.add_argument("--save", type=Path, help="a file that a line of JSON per run is added to")
    cache = Path(tempfile.gettempdir()) / "flash-quality"
    parser.add_argument("--cache", type=Path, default=cache, help="the folder of features of photos and texts")
    options = parser.parse_args()
    quiet()
    logging.getLogger("flash").addHandler(logging.NullHandler())
    logging.getLogger("flash").propagate = False
    records: list[dict[str, Any]] = []
    for name in options.only:
        try:
            for record in (run_frozen if name in FROZEN else run_table)(name, options):
                records.append(record)
                if options.save is not None:
                    with options.save.open("a") as file:
                        print(json.dumps(record), file=file)
        except MissingDataError as error:
            print(f"{name} is left out: {error}.", flush=True)
    summarize(records)


if __name__ == "__main__":
    main()
