"""Programs for Lightning Flash 0.x find the names of tables, or are told what to write."""

from __future__ import annotations

import pandas as pd
import pytest

from flash.errors import ConfigurationError, FormerMemberError, FormerNameError
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressionData, TabularRegressor
from flash.tabular import _former as former


def test_classes_are_found_in_their_former_modules() -> None:
    from flash.tabular.classification import TabularClassifier as FormerClassifier  # type: ignore[attr-defined]
    from flash.tabular.regression import TabularRegressor as FormerRegressor  # type: ignore[attr-defined]

    assert FormerClassifier is TabularClassifier
    assert FormerRegressor is TabularRegressor


def test_a_task_that_is_not_here_says_what_to_write() -> None:
    for module in ("flash.tabular", "flash.tabular.forecasting"):
        with pytest.raises(FormerNameError, match=r"There is no forecasting here. Write columns of earlier values"):
            exec(f"from {module} import TabularForecaster", {})


@pytest.mark.parametrize("member", former.DATA_MEMBERS)
def test_a_member_of_data_says_what_to_write(member: str) -> None:
    data = TabularRegressionData.from_dicts(target_fields="y", train_dict={"x": [1, 2], "y": [0, 1]}, verbose=False)
    with pytest.raises(FormerMemberError) as caught:
        getattr(data, member)
    assert former.DATA_MEMBERS[member] in str(caught.value)
    assert not hasattr(data, member)


def test_target_field_is_another_name_of_target_fields() -> None:
    columns = {"x": [1, 2], "y": ["p", "q"]}
    data = TabularClassificationData.from_dicts(target_field="y", train_dict=columns, val_dict=columns, verbose=False)
    assert data.labels == ["p", "q"]
    with pytest.raises(ConfigurationError, match="target_fields='y' and target_field='x'. Leave target_field out"):
        TabularClassificationData.from_dicts(target_fields="y", target_field="x", train_dict=columns)


def test_target_field_of_files_is_another_name_of_target_fields() -> None:
    frame = pd.DataFrame({"x": [1, 2], "y": ["p", "q"]})
    frame.to_csv("t.csv", index=False)
    frame.to_json("t.json", orient="records")
    frame.to_parquet("t.parquet")
    for kind in ("csv", "json", "parquet"):
        read = getattr(TabularClassificationData, f"from_{kind}")
        assert read(train_file=f"t.{kind}", target_field="y", verbose=False).labels == ["p", "q"]
