"""Names for tables in programs for Lightning Flash 0.x: see :mod:`flash.former`, whose functions take these tables."""

from __future__ import annotations

from collections.abc import Mapping

from flash.former import FORMER_NAMES, Moved, moved

__all__ = ["DATA_ARGUMENTS", "DATA_MEMBERS", "MODULES", "NAMES", "TASK_ARGUMENTS"]

_CLASSIFIER = "Write from flash.tabular import TabularClassificationData, TabularClassifier."
_REGRESSOR = "Write from flash.tabular import TabularRegressionData, TabularRegressor."
_NO_FORECASTS = (
    "There is no forecasting here. Write columns of earlier values, table['last_week'] = table['y'].shift(7), for a "
    "TabularRegressor."
)
_FROM_DATA = "Leave it out: TabularClassifier.from_data(datamodule), or TabularRegressor, takes it from the data."

NAMES: Mapping[str, Moved | str] = {
    **FORMER_NAMES,
    **moved("flash.tabular", "TabularClassificationData", "TabularClassifier"),
    **moved("flash.tabular", "TabularRegressionData", "TabularRegressor"),
    "TabularForecaster": _NO_FORECASTS,
    "TabularForecastingData": _NO_FORECASTS,
}

MODULES: Mapping[str, str] = {
    **dict.fromkeys(
        (f"flash.tabular.classification{each}" for each in ("", ".cli", ".data", ".model", ".utils")), _CLASSIFIER
    ),
    **dict.fromkeys((f"flash.tabular.regression{each}" for each in ("", ".cli", ".data", ".model")), _REGRESSOR),
    **dict.fromkeys((f"flash.tabular.forecasting{each}" for each in ("", ".data", ".model")), _NO_FORECASTS),
}

DATA_MEMBERS: Mapping[str, str] = {
    **dict.fromkeys(("cat_dims", "embedding_sizes", "num_features"), _FROM_DATA),
    "parameters": (
        "Leave it out of a task: TabularClassifier.from_data(datamodule); for new rows write task.predict('new.csv')."
    ),
}

DATA_ARGUMENTS: Mapping[str, str] = {
    "parameters": "Write task.predict('new.csv') for new rows, or preprocess=task.preprocess in its place.",
}

TASK_ARGUMENTS: Mapping[str, str] = dict.fromkeys(
    ("cat_dims", "embedding_sizes", "num_features", "parameters"), _FROM_DATA
)
