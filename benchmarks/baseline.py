"""What ``flash baseline`` does with its time, beside AutoGluon where that is installed.

On California housing, or another table (``--data``, ``--target``): the time in training and evaluation as a part of the
time of the race, which must be at least 0.9; then the test score of the best model. With AutoGluon
(``pip install autogluon.tabular[all]``) the same train and test rows and the same time limit are given to its
``medium_quality``, and its leaderboard is printed too.

Run: ``nox -s bench -- baseline``.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from _timing import quiet
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from flash.baseline import run

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular" / "california_housing.csv"


def autogluon(train: pd.DataFrame, test: pd.DataFrame, target: str, seconds: float) -> None:
    from autogluon.tabular import TabularPredictor

    with tempfile.TemporaryDirectory() as folder:
        predictor: Any = TabularPredictor(target, path=folder, verbosity=0)
        predictor.fit(train, time_limit=seconds, presets="medium_quality")
        print(predictor.leaderboard(test)[["model", "score_test", "score_val", "fit_time"]].to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--target", default="median_house_value")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    quiet()
    if options.data.exists():
        frame, target = pd.read_csv(options.data), options.target
    else:
        table = load_breast_cancer(as_frame=True)
        frame, target = table.data.assign(diagnosis=table.target_names[table.target]), "diagnosis"
    train, test = train_test_split(frame, test_size=0.2, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        found = run(train, target, test=test, time_limit=options.seconds, output=Path(folder, "out"))
    metric, times = found.results.metric, found.results.times
    for entry in found.leaderboard:
        scores = (each.get(metric, float("nan")) for each in (entry.scores, entry.test_scores))
        print(entry.name.ljust(20), *(f"{score:12.4f}" for score in scores))
    used = sum(entry.seconds for entry in found.leaderboard)
    print(f"times: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in times.items())}")
    print(f"training and evaluation: {used / times['race']:.2f} of the race (at least 0.9)")
    if importlib.util.find_spec("autogluon") is None:
        print("AutoGluon is not installed: pip install autogluon.tabular[all]")
    else:
        autogluon(train, test, target, options.seconds)


if __name__ == "__main__":
    main()
