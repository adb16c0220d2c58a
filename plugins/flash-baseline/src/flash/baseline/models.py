"""Models beside networks, for every task: a constant, and scikit-learn's on what a person looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from flash import DataModule
from flash.data.auto_dataset import AutoDataset
from flash.data.display import Display, is_image

from ._images import picture_of
from ._resampling import Array
from .samples import targets_of

__all__ = ["Constant", "Features", "Model", "OnDisplays", "models_for", "pixels", "rows"]

# As scikit-learn's boosting allows.
_MOST_CATEGORIES = 254
_MOST_WORDS = 50_000
_SIDE = 16


class Model(Protocol):
    """Model that a recipe may return besides a task."""

    def fit(self, data: DataModule) -> object:
        """Learn from the train samples."""

    def predict(self, dataset: AutoDataset) -> Any:
        """Return probabilities ``(samples, classes)`` or numbers ``(samples, targets)``; new samples have no target."""


class Constant:
    """Predicts the same for every sample: the frequency of each class, or the mean of each target.

    Args:
        num_classes: The number of classes; ``None`` for numbers.

    Example:
        >>> data = DataModule.from_tensors(np.zeros((4, 1)), np.array([0, 1, 1, 1]), seed=0)
        >>> Constant(2).fit(data).predict(data.train_dataset)[0].tolist()
        [0.25, 0.75]
    """

    def __init__(self, num_classes: int | None) -> None:
        self.num_classes = num_classes
        self._value: Array = np.zeros(1)

    def fit(self, data: DataModule) -> Constant:
        """Compute the frequencies, or the means, of the train targets."""
        targets = targets_of(data.train_dataset)
        if self.num_classes is not None and targets.ndim == 1:
            self._value = np.bincount(targets.astype(int), minlength=self.num_classes) / len(targets)
        else:
            self._value = targets.reshape(len(targets), -1).mean(0)
        return self

    def predict(self, dataset: AutoDataset) -> Array:
        """Return the value for each sample."""
        return np.tile(self._value, (len(dataset), 1))


class Features:
    """Features of what a person looks at, computed once for each dataset: several models share them.

    Args:
        function: From the displays of samples to features.

    Example:
        >>> data = DataModule.from_load_data_inputs([("sun", 1.0), ("evening", 0.0)])
        >>> lengths = Features(lambda displays: [len(each) for each in displays])
        >>> found = lengths.of(data.train_dataset, [0, 1])
        >>> found, lengths.of(data.train_dataset, [0, 1]) is found
        ([3, 7], True)
    """

    def __init__(self, function: Callable[[Sequence[Display]], Any]) -> None:
        self.function = function
        self._known: WeakKeyDictionary[AutoDataset, tuple[list[int], Any]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[Features], tuple[Any]]:
        """Return what is pickled: nothing of what is known of datasets, which are others in another process."""
        return Features, (self.function,)

    def of(self, dataset: AutoDataset, rows: Sequence[int]) -> Any:
        """Return the features of some samples; the last ones of each dataset are kept as long as it is.

        Args:
            dataset: The samples.
            rows: Their indices.
        """
        chosen = list(rows)
        known = self._known.get(dataset)
        if known is None or known[0] != chosen:
            known = self._known[dataset] = (chosen, self.function(dataset.display(chosen)))
        return known[1]


class OnDisplays:
    """A model of scikit-learn on what a person looks at: ``dataset.display(rows)``.

    Args:
        make_estimator: Returns a classifier or a regressor for the features of the train samples.
        features: What the estimator is fitted on.
        num_classes: The number of classes; ``None`` for numbers.
        most_rows: The greatest number of train samples; more are drawn at random.
        seed: The seed of the drawing.
    """

    def __init__(
        self,
        make_estimator: Callable[[Any], Any],
        features: Features,
        num_classes: int | None,
        most_rows: int | None = None,
        seed: int = 0,
    ) -> None:
        self.make_estimator = make_estimator
        self.features = features
        self.num_classes = num_classes
        self.most_rows = most_rows
        self.seed = seed
        self._fitted: list[Any] = []

    def fit(self, data: DataModule) -> OnDisplays:
        """Fit the estimator: for several classes per sample, one for each of them."""
        dataset = data.train_dataset
        rows = np.arange(len(dataset))
        if self.most_rows is not None and len(rows) > self.most_rows:
            rows = np.sort(np.random.default_rng(self.seed).permutation(len(rows))[: self.most_rows])
        targets = targets_of(dataset)[rows]
        inputs = self.features.of(dataset, rows.tolist())
        columns = targets.T if targets.ndim > 1 and self.num_classes is not None else [targets]
        self._fitted = [_fit(self.make_estimator(inputs), inputs, column) for column in columns]
        return self

    def predict(self, dataset: AutoDataset) -> Array:
        """Return probabilities ``(samples, classes)``, or numbers ``(samples, targets)``."""
        inputs = self.features.of(dataset, range(len(dataset)))
        if self.num_classes is None:
            return np.asarray(self._fitted[0].predict(inputs)).reshape(len(dataset), -1)
        if len(self._fitted) == 1:
            return _probabilities(self._fitted[0], inputs, self.num_classes)
        return np.stack([_probabilities(each, inputs, 2)[:, 1] for each in self._fitted], axis=1)


class _Always:
    """Predicts the one class that occurs."""

    def __init__(self, label: Any) -> None:
        self.classes_ = [label]

    def predict_proba(self, inputs: Any) -> Array:
        return np.ones((inputs.shape[0] if hasattr(inputs, "shape") else len(inputs), 1))


def _fit(estimator: Any, inputs: Any, targets: Array) -> Any:
    labels = np.unique(targets)
    is_classifier = hasattr(estimator, "predict_proba")
    return _Always(labels[0]) if is_classifier and len(labels) < 2 else estimator.fit(inputs, targets)


def _probabilities(estimator: Any, inputs: Any, num_classes: int) -> Array:
    found = estimator.predict_proba(inputs)
    probabilities = np.zeros((len(found), num_classes))
    probabilities[:, np.asarray(estimator.classes_, dtype=int)] = found
    return probabilities


def models_for(
    display: Display,
    num_classes: int | None,
    num_targets: int = 1,
    most_rows: int | None = None,
    seed: int = 0,
    noun: str = "image",
) -> dict[str, tuple[str, OnDisplays]]:
    """Return the classical models for samples of a kind, by name, with a summary of each.

    Args:
        display: What a person looks at for one of the samples.
        num_classes: The number of classes; ``None`` for numbers.
        num_targets: The number of numbers per sample.
        most_rows: The greatest number of train samples.
        seed: The seed.
        noun: What a sample is called.

    Example:
        >>> list(models_for("a fine film", 2)), list(models_for({"age": 30, "town": "Rome"}, None))
        (['words'], ['linear', 'boosting'])
    """
    kind = "Ridge regression" if num_classes is None else "Logistic regression"

    def on(features: Features, make: Callable[[Any], Any]) -> OnDisplays:
        return OnDisplays(make, features, num_classes, most_rows, seed)

    def linear(*steps: Any) -> Any:
        return make_pipeline(*steps, Ridge() if num_classes is None else LogisticRegression(max_iter=500))

    if is_image(display):
        model = on(Features(pixels), lambda _: linear(StandardScaler()))
        shown = picture_of(noun)
        where = "" if shown == "an image" else f" of {shown}"
        return {"pixels": (f"{kind} of {_SIDE} x {_SIDE} pixels{where}.", model)}
    if isinstance(display, str) or _are_texts(display):
        model = on(Features(_as_texts), lambda _: linear(_words()))
        return {"words": (f"{kind} of words and pairs of words (TF-IDF).", model)}
    names = list(display)

    table = Features(lambda displays: rows(displays, names))

    def boosted(inputs: Array) -> Any:
        return make_pipeline(_encoder(inputs, one_hot=False), _boosting(num_classes, num_targets, seed))

    return {
        "linear": (f"{kind} of the columns.", on(table, lambda inputs: linear(_encoder(inputs, one_hot=True)))),
        "boosting": ("Gradient boosting of scikit-learn, with its defaults.", on(table, boosted)),
    }


def _are_texts(display: Any) -> bool:
    return all(isinstance(value, str) and len(value.split()) > 3 for value in display.values())


def _words() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), max_features=_MOST_WORDS, sublinear_tf=True)


def _boosting(num_classes: int | None, num_targets: int, seed: int) -> Any:
    if num_classes is not None:
        return HistGradientBoostingClassifier(random_state=seed)
    single = HistGradientBoostingRegressor(random_state=seed)
    return single if num_targets == 1 else MultiOutputRegressor(single)


def _as_texts(displays: Sequence[Display]) -> list[str]:
    return [" ".join(map(str, each.values())) if isinstance(each, dict) else str(each) for each in displays]


def pixels(displays: Iterable[Display]) -> Array:
    """Return the colors of small images, shape ``(images, 3 * 16 * 16)``, each the mean of a part of the image.

    Example:
        >>> pixels([np.zeros((40, 30, 3), np.uint8)]).shape
        (1, 768)
    """
    return np.stack([_small(np.asarray(image)) for image in displays])


def _small(image: Array) -> Array:
    parts = image.astype(np.float32)
    for axis in (0, 1):
        size = parts.shape[axis]
        edges = np.linspace(0, size, _SIDE + 1)[:-1].astype(int)
        counts = np.diff(np.append(edges, size)).clip(1)
        shape = [1, 1, 1]
        shape[axis] = _SIDE
        parts = np.add.reduceat(parts, edges, axis=axis) / counts.reshape(shape)
    return np.asarray(parts.reshape(-1) / 255)


def rows(displays: Sequence[Display], names: Sequence[str]) -> Array:
    """Return the values of columns, shape ``(rows, columns)``, of type object.

    Example:
        >>> rows([{"age": 30, "town": "Rome"}, {"town": "Oslo", "age": None}], ["age", "town"]).tolist()
        [[30, 'Rome'], [None, 'Oslo']]
    """
    table = np.empty((len(displays), len(names)), dtype=object)
    for row, display in enumerate(displays):
        table[row] = [display.get(name) if isinstance(display, dict) else None for name in names]
    return table


def _encoder(table: Array, *, one_hot: bool) -> ColumnTransformer:
    """Return an encoder of columns: numbers as they are, others as categories.

    Args:
        table: The train rows, by which columns are numbers or not.
        one_hot: Whether categories are one-hot encoded, and numbers standardized, as linear models need them.
    """
    are_numbers = [_are_numbers(column) for column in table.T]
    numbers = [place for place, is_number in enumerate(are_numbers) if is_number]
    others = [place for place, is_number in enumerate(are_numbers) if not is_number]
    to_number, to_text = FunctionTransformer(_as_numbers), FunctionTransformer(_as_labels)
    if one_hot:
        scaled = make_pipeline(to_number, SimpleImputer(keep_empty_features=True), StandardScaler())
        encoder: Any = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=100)
    else:
        scaled = to_number
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            encoded_missing_value=np.nan,
            max_categories=_MOST_CATEGORIES,
        )
    return ColumnTransformer([("numbers", scaled, numbers), ("others", make_pipeline(to_text, encoder), others)])


def _are_numbers(column: Array) -> bool:
    present = [value for value in column if value is not None]
    return bool(present) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in present)


def _as_numbers(table: Array) -> Array:
    return np.array([[np.nan if value is None else float(value) for value in row] for row in table], dtype=np.float64)


def _as_labels(table: Array) -> Array:
    labels = np.empty(table.shape, dtype=object)
    labels[:] = [["" if value is None else str(value) for value in row] for row in table]
    return labels
