"""Data sources of tables, besides the ``from_*`` constructors."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn import datasets

from flash.errors import ConfigurationError

from .data import TabularData

__all__ = ["from_sklearn"]

_NAMES = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def from_sklearn(data: type[TabularData], dataset: Any, seed: int = 0, **kwargs: Any) -> TabularData:
    """Create a data module from a built-in dataset of scikit-learn; nothing is downloaded.

    Args:
        data: The data module's class.
        dataset: A name, such as ``"breast_cancer"``, or a Bunch returned by a function of ``sklearn.datasets``.
        seed: The seed of the test and validation splits.
        kwargs: Arguments of ``from_data_frame``, such as ``val_split`` and ``test_split``.

    Raises:
        ConfigurationError: If there is no dataset of that name.

    Example:
        >>> from flash.tabular import TabularClassificationData
        >>> dm = TabularClassificationData.from_source("sklearn", dataset="iris", verbose=False)
        >>> dm.labels
        ['setosa', 'versicolor', 'virginica']
    """
    if isinstance(dataset, str):
        if dataset not in _NAMES:
            raise ConfigurationError(f"Expected dataset to be one of {', '.join(_NAMES)}, but got {dataset!r}.")
        dataset = getattr(datasets, f"load_{dataset}")(as_frame=True)
    frame = pd.DataFrame(dataset.data, columns=list(dataset.feature_names))
    target = pd.Series(dataset.target, index=frame.index)
    names = getattr(dataset, "target_names", None)
    if names is not None and target.dtype.kind in "iu":
        target = target.map(dict(enumerate(map(str, names))))
    frame["target"] = target
    return data.from_data_frame(target_fields="target", train_data_frame=frame, seed=seed, **kwargs)
