"""The data modules: one table in many forms, statistics of train rows alone, and what is refused."""

from __future__ import annotations

import keyword
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from flash.data.recognition import RawData
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.tabular import TabularClassificationData, TabularData, TabularRegressionData
from flash.tabular.preprocess import TabularPreprocess

Table = Callable[..., pd.DataFrame]


def tensors(dataset: Any) -> dict[str, Tensor]:
    """All rows of a dataset."""
    inputs, targets = dataset.columns.tree
    return {**inputs, "targets": targets}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)


def preprocess_of(datamodule: TabularData) -> TabularPreprocess:
    assert isinstance(datamodule.preprocess, TabularPreprocess)
    return datamodule.preprocess


def state_of(datamodule: TabularData) -> dict[str, Any]:
    return preprocess_of(datamodule).state_dict()


def columns_of(datamodule: TabularData) -> Any:
    schema = preprocess_of(datamodule).schema
    assert schema is not None
    return schema


FLATS = pd.DataFrame(
    {
        "area": [50.5, 60.25, None, 80.0],
        "rooms": [1, 2, 3, 4],
        "city": ["Rome", None, "Oslo", "Rome"],
        "balcony": [True, False, True, True],
        "built": ["1990-05-01", "2000-01-31", "1980-12-24", "1999-07-01"],
        "sold": ["no", "yes", "no", "yes"],
        "price": [1.5, 2.5, 3.5, 4.5],
    }
)


# ---------------------------------------------------------------------- constructors


@pytest.mark.parametrize("data", [TabularClassificationData, TabularRegressionData])
def test_every_constructor_makes_the_same_tensors_of_the_same_table(data: type[TabularData]) -> None:
    pytest.importorskip("pyarrow")
    target = "sold" if data is TabularClassificationData else "price"
    FLATS.to_csv("flats.csv", index=False)
    FLATS.to_parquet("flats.parquet")
    rows = FLATS.astype(object).where(FLATS.notna(), None).to_dict("records")
    options: dict[str, Any] = {"target_fields": target, "verbose": False}
    made = [
        data.from_data_frame(train_data_frame=FLATS, val_data_frame=FLATS, **options),
        data.from_csv(train_file="flats.csv", val_file=Path("flats.csv"), **options),
        data.from_parquet(train_file="flats.parquet", val_file=Path("flats.parquet"), **options),
        data.from_dicts(train_dict=FLATS.to_dict("list"), val_dict=FLATS.to_dict("list"), **options),
        data.from_lists(train_list=rows, val_list=rows, **options),
    ]
    for datamodule in made[1:]:
        assert_same(tensors(made[0].train_dataset), tensors(datamodule.train_dataset))
        assert_same(tensors(made[0].val_dataset), tensors(datamodule.val_dataset))
        assert state_of(datamodule) == state_of(made[0])


def test_rows_without_names_are_tables_too() -> None:
    dm = TabularClassificationData.from_lists(
        numerical_fields=0, target_fields=1, train_list=[(1, "a"), (2, "b")], verbose=False
    )
    assert tensors(dm.train_dataset)["numerical"].tolist() == [[-1.0], [1.0]]
    assert dm.labels == ["a", "b"]


def test_the_constructors_take_their_fields_by_position() -> None:
    dm = TabularClassificationData.from_data_frame(["city"], ["area"], "sold", FLATS)
    assert columns_of(dm).fields == ["area", "city"]


def test_names_that_numpy_made_are_names() -> None:
    frame = pd.DataFrame(np.arange(6).reshape(3, 2), columns=np.array([4, 7]))
    dm = TabularRegressionData.from_data_frame(
        numerical_fields=frame.columns[:1], target_fields=frame.columns[1], train_data_frame=frame, verbose=False
    )
    assert not preprocess_of(dm).several_targets
    assert tensors(dm.train_dataset)["targets"].tolist() == [[1.0], [3.0], [5.0]]


@pytest.mark.parametrize("name", ["a b", "1", "train", keyword.kwlist[0], "ä.ö", "", "forward", "a/b"])
def test_a_column_can_have_any_name(name: str) -> None:
    frame = pd.DataFrame({name: [1.0, 2.0, None], f"{name}?": ["x", "y", "x"], "y": [0, 1, 0]})
    dm = TabularClassificationData.from_data_frame(target_fields="y", train_data_frame=frame, verbose=False)
    assert columns_of(dm).fields == [name, f"{name}?"]


def test_no_data_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="Expected data for at least one stage"):
        TabularClassificationData.from_data_frame(target_fields="y")
    for make in (TabularClassificationData.from_csv, TabularClassificationData.from_parquet):
        with pytest.raises(DataError, match="Expected at least one file: train_file, val_file, test_file or predict_"):
            make(target_fields="y")


@pytest.mark.parametrize("stage", ["train_file", "val_file", "test_file", "predict_file"])
def test_a_missing_file_is_named_at_once_whatever_it_is_for(stage: str) -> None:
    FLATS.to_csv("flats.csv", index=False)
    with pytest.raises(DataError, match=r"Expected a table at absent.csv, but there is no such file"):
        TabularClassificationData.from_csv(
            target_fields="sold", verbose=False, **{"train_file": "flats.csv", stage: "absent.csv"}
        )


def test_no_target_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected target_fields to name the column to predict"):
        TabularClassificationData.from_data_frame(train_data_frame=FLATS)


def test_an_empty_list_of_targets_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected target_fields to name the column to predict"):
        TabularClassificationData.from_data_frame(target_fields=[], train_data_frame=FLATS)


@pytest.mark.parametrize("stage", ["val", "test"])
def test_a_table_of_another_stage_that_lacks_a_column_is_named(stage: str) -> None:
    for lacking in ("area", "city", "sold"):
        with pytest.raises(MissingColumnError, match=rf"Expected the {stage} table to have the column '{lacking}'"):
            TabularClassificationData.from_data_frame(
                target_fields="sold",
                train_data_frame=FLATS,
                verbose=False,
                **{f"{stage}_data_frame": FLATS.drop(columns=lacking)},
            )


def test_kinds_of_tasks_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="Expected kind to be 'classification' or 'regression'"):
        TabularPreprocess("ranking")  # type: ignore[arg-type]


# ---------------------------------------------------------------------- what is printed


def test_inferred_columns_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    TabularClassificationData.from_data_frame(
        target_fields="sold", train_data_frame=FLATS.drop(columns="price").assign(land="IT")
    )
    assert capsys.readouterr().out.splitlines() == [
        "numerical_fields: area (with missing), rooms",
        "dates: built",
        "categorical_fields: city (2), balcony (2)",
        "left out: land (constant)",
        "target_fields: sold (2 classes: 'no', 'yes')",
    ]


def test_mean_and_spread_of_a_number_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    TabularRegressionData.from_data_frame(target_fields="price", train_data_frame=FLATS)
    assert "target_fields: price (mean 3, standard deviation 1.118)" in capsys.readouterr().out


def test_nothing_is_printed_where_fields_are_named_or_silence_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    TabularClassificationData.from_data_frame(["city"], ["area"], "sold", FLATS)
    TabularClassificationData.from_data_frame(None, ["area"], "sold", FLATS)
    TabularClassificationData.from_data_frame(target_fields="sold", train_data_frame=FLATS, verbose=False)
    assert capsys.readouterr().out == ""


def test_data_that_is_refused_prints_nothing_and_leaves_the_preprocess_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    preprocess = TabularPreprocess("classification", ["warm", "sold"])
    with pytest.raises(DataError, match="Expected numbers in column 'sold'"):
        TabularClassificationData.from_data_frame(
            train_data_frame=FLATS.assign(warm=[0, 1, 0, 1]), preprocess=preprocess
        )
    assert preprocess.state_dict() == {}
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------------- one file after another


def test_a_category_that_is_text_in_the_train_file_is_text_in_every_file() -> None:
    pd.DataFrame({"code": ["007", "010", "A1"], "y": [0, 1, 0]}).to_csv("train.csv", index=False)
    pd.DataFrame({"code": ["010", "007"], "y": [1, 0]}).to_csv("other.csv", index=False)
    dm = TabularClassificationData.from_csv(
        target_fields="y", train_file="train.csv", val_file="other.csv", predict_file="other.csv", verbose=False
    )
    assert tensors(dm.val_dataset)["categorical"].tolist() == [[2], [1]]
    assert dm.predict_dataset.columns.tree["categorical"].tolist() == [[2], [1]]


def test_labels_that_are_text_in_the_train_file_are_text_in_every_file() -> None:
    pd.DataFrame({"n": [1, 2, 3], "y": ["0", "1", "none of them"]}).to_csv("train.csv", index=False)
    pd.DataFrame({"n": [1, 2], "y": [1, 0]}).to_csv("val.csv", index=False)
    dm = TabularClassificationData.from_csv(
        target_fields="y", train_file="train.csv", val_file="val.csv", verbose=False
    )
    assert tensors(dm.val_dataset)["targets"].tolist() == [1, 0]


def test_whole_numbers_are_the_same_category_in_a_file_where_one_is_missing() -> None:
    pd.DataFrame({"code": [1, 2, 3], "y": [0, 1, 0]}).to_csv("train.csv", index=False)
    pd.DataFrame({"code": [3, None, 1], "y": [0, 1, 0]}).to_csv("val.csv", index=False)
    dm = TabularClassificationData.from_csv(
        "code", target_fields="y", train_file="train.csv", val_file="val.csv", verbose=False
    )
    assert tensors(dm.val_dataset)["categorical"].tolist() == [[3], [0], [1]]


# ---------------------------------------------------------------------- statistics of train rows alone


@pytest.mark.parametrize("stage", ["val", "test", "predict"])
def test_rows_of_other_stages_change_nothing_that_is_learned(table: Table, stage: str) -> None:
    train = table().drop(columns=["sold", "size", "warm", "cheap", "rent"])
    other = table(seed=1).assign(area=1e6, price=-1.0)
    other["city"] = ["Rome"] + ["Paris"] * 39
    options: dict[str, Any] = {"target_fields": "price", "train_data_frame": train, "verbose": False}
    alone = TabularRegressionData.from_data_frame(**options)
    together = TabularRegressionData.from_data_frame(**options, **{f"{stage}_data_frame": other})
    assert state_of(together) == state_of(alone)
    assert together.facts == alone.facts
    assert_same(tensors(together.train_dataset), tensors(alone.train_dataset))


@pytest.mark.parametrize("data", [TabularClassificationData, TabularRegressionData])
def test_validation_rows_are_split_off_before_anything_is_learned(data: type[TabularData]) -> None:
    frame = pd.DataFrame({"row": range(30), "n": np.arange(30.0) ** 2, "y": [0, 1, 2] * 10})
    dm = data.from_data_frame("row", "n", "y", frame, val_split=0.3, seed=0)
    schema = columns_of(dm)
    known = sorted(int(category) for category in schema.categorical[0].categories)
    assert len(known) == len(dm.train_dataset) == 21
    assert tensors(dm.val_dataset)["categorical"].tolist() == [[0]] * 9
    assert schema.numerical[0].mean == pytest.approx(frame["n"][known].mean())
    assert schema.numerical[0].std == pytest.approx(frame["n"][known].std(ddof=0))
    if data is TabularRegressionData:
        assert dm.facts["target_mean"] == pytest.approx([frame["y"][known].mean()])


def test_validation_rows_are_stratified_by_class_and_decided_by_the_seed(table: Table) -> None:
    frame = table(100)
    frame["sold"] = ["yes"] * 10 + ["no"] * 90

    def split(seed: int) -> dict[str, Tensor]:
        return tensors(
            TabularClassificationData.from_data_frame(
                None, ["area"], "sold", frame, val_split=0.2, seed=seed
            ).val_dataset
        )

    assert torch.bincount(split(0)["targets"]).tolist() == [18, 2]
    assert_same(split(0), split(0))
    assert not torch.equal(split(0)["numerical"], split(1)["numerical"])


@pytest.mark.parametrize("form", ["csv", "dicts", "lists"])
def test_validation_rows_can_be_split_off_every_form_of_a_table(table: Table, form: str) -> None:
    frame = table()[["area", "price"]]
    frame.to_csv("train.csv", index=False)
    options: dict[str, Any] = {"target_fields": "price", "val_split": 0.25, "seed": 0, "verbose": False}
    if form == "csv":
        dm = TabularRegressionData.from_csv(train_file="train.csv", **options)
    elif form == "dicts":
        dm = TabularRegressionData.from_dicts(train_dict=frame.to_dict("list"), **options)
    else:
        dm = TabularRegressionData.from_lists(train_list=frame.to_dict("records"), **options)
    assert (len(dm.train_dataset), len(dm.val_dataset)) == (30, 10)


def test_an_index_that_is_not_0_to_n_changes_nothing(table: Table) -> None:
    frame = table()
    odd = frame.set_axis([7, 7, *"abcdefgh", *range(30)], axis=0)
    options: dict[str, Any] = {"target_fields": "sold", "verbose": False, "val_split": 0.2, "seed": 0}
    one = TabularClassificationData.from_data_frame(train_data_frame=frame, **options)
    two = TabularClassificationData.from_data_frame(train_data_frame=odd, **options)
    assert_same(tensors(one.train_dataset), tensors(two.train_dataset))
    assert_same(tensors(one.val_dataset), tensors(two.val_dataset))


def test_the_given_frame_is_not_changed(table: Table) -> None:
    frame = table()
    before = frame.copy(deep=True)
    TabularClassificationData.from_data_frame(target_fields="sold", train_data_frame=frame, verbose=False)
    pd.testing.assert_frame_equal(frame, before)


# ---------------------------------------------------------------------- kinds of tables


def test_a_table_of_numbers_only_has_no_codes() -> None:
    dm = TabularRegressionData.from_data_frame(None, ["rooms"], "price", FLATS)
    assert tensors(dm.train_dataset)["categorical"].shape == (4, 0)
    assert dm.facts["cardinalities"] == []


def test_a_table_of_categories_only_has_no_numbers() -> None:
    dm = TabularRegressionData.from_data_frame(["city"], None, "price", FLATS)
    assert tensors(dm.train_dataset)["numerical"].shape == (4, 0)
    assert (dm.facts["num_numerical"], dm.facts["bins"], dm.facts["cardinalities"]) == (0, [], [3])


def test_facts_say_what_a_task_must_know(table: Table) -> None:
    columns = ["area", "rooms", "city", "sold"]
    dm = TabularClassificationData.from_data_frame(
        target_fields="sold", train_data_frame=table()[columns], verbose=False
    )
    assert dm.facts["num_numerical"] == len(dm.facts["bins"]) == 2
    assert dm.facts["cardinalities"] == [2, 4]
    assert (dm.num_classes, dm.labels, dm.multi_label) == (2, ["no", "yes"], False)
    assert sum(dm.facts["class_counts"]) == 40


def test_several_targets_are_facts_of_the_data(table: Table) -> None:
    labels = TabularClassificationData.from_data_frame(["city"], ["area"], ["warm", "cheap"], table())
    numbers = TabularRegressionData.from_data_frame(["city"], ["area"], ["price", "rent"], table())
    assert (labels.num_classes, labels.labels, labels.multi_label) == (2, ["warm", "cheap"], True)
    assert (numbers.facts["num_targets"], len(numbers.facts["target_mean"])) == (2, 2)


def test_a_list_of_one_target_is_multi_label(table: Table) -> None:
    dm = TabularClassificationData.from_data_frame(["city"], ["area"], ["warm"], table())
    assert (dm.multi_label, dm.num_classes) == (True, 1)


# ---------------------------------------------------------------------- batches


@pytest.mark.process
def test_workers_give_the_batches_that_this_process_gives(table: Table) -> None:
    def batches(num_workers: int) -> list[Any]:
        dm = TabularClassificationData.from_data_frame(
            ["city"],
            ["area", "rooms"],
            "sold",
            table(),
            val_data_frame=table(seed=1),
            batch_size=16,
            num_workers=num_workers,
            seed=3,
        )
        return [*dm.train_dataloader(), *dm.val_dataloader()]

    here, there = batches(0), batches(2)
    assert len(here) == len(there) == 6
    for (x, y), (other_x, other_y) in zip(here, there, strict=True):
        assert torch.equal(y, other_y)
        assert all(torch.equal(x[name], other_x[name]) for name in x)


def test_train_rows_are_shuffled_and_the_others_are_in_order(table: Table) -> None:
    dm = TabularRegressionData.from_data_frame(
        None, ["area"], "price", table(), val_data_frame=table(), batch_size=7, seed=0
    )
    train = torch.cat([y for _, y in dm.train_dataloader()])
    val = torch.cat([y for _, y in dm.val_dataloader()])
    assert not torch.equal(train, val)
    assert torch.equal(train.sort(dim=0).values, val.sort(dim=0).values)
    assert val.flatten().tolist() == pytest.approx(table()["price"].tolist())


def test_data_without_train_rows_waits_for_a_trained_task() -> None:
    dm = TabularClassificationData.from_data_frame(predict_data_frame=FLATS)
    with pytest.raises(DataError, match="Expected a trained task, whose preprocess knows the columns"):
        dm.predict_dataloader()


def test_validation_rows_alone_need_the_preprocess_of_a_trained_task() -> None:
    trained = TabularClassificationData.from_data_frame(["city"], ["area"], "sold", FLATS)
    alone = TabularClassificationData.from_data_frame(val_data_frame=FLATS)
    with pytest.raises(DataError, match=r"pass preprocess=task.preprocess of a trained task"):
        alone.val_dataloader()
    dm = TabularClassificationData.from_data_frame(val_data_frame=FLATS, preprocess=trained.preprocess)
    assert tensors(dm.val_dataset)["targets"].tolist() == [0, 1, 0, 1]


def test_a_given_preprocess_keeps_what_it_learned_when_new_train_rows_come() -> None:
    trained = TabularClassificationData.from_data_frame(["city"], ["area"], "sold", FLATS)
    before = state_of(trained)
    dm = TabularClassificationData.from_data_frame(
        train_data_frame=FLATS.assign(area=1.0, sold="yes"), preprocess=trained.preprocess
    )
    assert state_of(dm) == before
    assert (dm.num_classes, dm.labels) == (2, ["no", "yes"])


@pytest.mark.parametrize("constructor", ["from_csv", "from_json", "from_parquet"])
def test_an_unknown_argument_is_refused_before_a_file_is_read(constructor: str) -> None:
    make = getattr(TabularClassificationData, constructor)
    with pytest.raises(
        ConfigurationError, match=rf"Data\.{constructor} takes, but got 'vebose'\. Did you mean 'verbose'"
    ):
        make(target_fields="y", train_file="nowhere", vebose=False)


def test_a_table_is_read_from_json() -> None:
    Path("t.jsonl").write_text('{"n": 1, "y": "a"}\n{"n": 2, "y": "b"}\n')
    dm = TabularClassificationData.from_json(target_fields="y", train_file="t.jsonl", verbose=False)
    assert dm.labels == ["a", "b"]


def test_the_decimal_mark_is_kept_by_the_preprocess() -> None:
    Path("t.csv").write_text("x;y\n0,5;a\n2,5;b\n")
    dm = TabularClassificationData.from_csv(target_fields="y", train_file="t.csv", decimal=",", verbose=False)
    assert dm.facts["num_numerical"] == 1
    with pytest.raises(ConfigurationError, match="Expected decimal or the preprocess of a trained task"):
        TabularClassificationData.from_csv(test_file="t.csv", preprocess=dm.preprocess, decimal=",")
    tests = TabularClassificationData.from_csv(test_file="t.csv", preprocess=dm.preprocess)
    assert torch.equal(tests.test_dataset[1][0]["numerical"], dm.train_dataset[1][0]["numerical"])


def test_a_column_of_groups_is_no_feature_and_is_never_divided(tmp_path: Path) -> None:
    rows = [{"age": 20 + row % 7, "site": f"s{row // 6}", "bought": row % 2} for row in range(48)]
    file = tmp_path / "train.csv"
    file.write_text("age,site,bought\n" + "\n".join(",".join(map(str, row.values())) for row in rows))
    for made in (
        TabularClassificationData.from_lists(
            target_fields="bought", train_list=rows, val_split=0.25, groups="site", seed=0, verbose=False
        ),
        TabularClassificationData.from_csv(
            target_fields="bought", train_file=file, val_split=0.25, groups="site", seed=0, verbose=False
        ),
    ):
        assert made.facts["num_numerical"] == 1
        assert made.facts["cardinalities"] == []
        assert (len(made.train_dataset), len(made.val_dataset)) == (36, 12)
    with pytest.raises(ConfigurationError, match="Expected each column in one role, but 'site' is named in several"):
        TabularClassificationData.from_lists(
            categorical_fields="site", target_fields="bought", train_list=rows, val_split=0.25, groups="site"
        )


def test_a_split_with_one_row_a_class_says_so() -> None:
    with pytest.raises(DataError, match="each row has all rows of a class. Add rows of these classes, or pass valid"):
        TabularClassificationData.from_dicts(
            target_fields="y", train_dict={"x": list(range(6)), "y": list("abcdef")}, val_split=0.34, verbose=False
        )


def test_each_label_of_several_columns_keeps_a_train_row() -> None:
    columns = {"x": list(range(10)), "red": [0] * 8 + [1, 1], "round": [1, 0] * 5}
    for seed in range(10):
        dm = TabularClassificationData.from_dicts(
            target_fields=["red", "round"], train_dict=columns, val_split=0.5, seed=seed, verbose=False
        )
        assert dm.facts["class_counts"][0] >= 1


@pytest.mark.parametrize("data_class", [TabularClassificationData, TabularRegressionData])
def test_a_missing_target_is_found_before_the_split(data_class: Any) -> None:
    columns = {"x": list(range(8)), "y": [1, 2, 1, 2, 1, 2, 1, None]}
    for seed in range(4):
        with pytest.raises(DataError, match="in every row of the train table, but column 'y' is missing in 1 of 8"):
            data_class.from_dicts(target_fields="y", train_dict=columns, val_split=0.5, seed=seed, verbose=False)


def test_tables_are_recognized_by_the_kind_of_their_target() -> None:
    raw = RawData.of({"age": [20, 30, 40], "bought": ["no", "yes", "no"], "price": [0.5, 1.5, 2.5]})
    classes = TabularClassificationData.recognize(raw, "bought")
    assert classes is not None
    assert classes.why == (
        "it is a table with 2 columns besides the target, and the target bought has 2 different values that are not "
        "numbers"
    )
    made = getattr(TabularClassificationData, classes.constructor)(**classes.arguments, verbose=False)
    assert made.labels == ["no", "yes"]
    numbers = TabularRegressionData.recognize(raw, "price")
    other = TabularClassificationData.recognize(raw, "price")
    assert numbers is not None
    assert other is not None
    assert other.certainty < numbers.certainty == classes.certainty == 0.5
    assert TabularClassificationData.recognize(raw) is None
    assert TabularClassificationData.recognize(RawData.of({"bought": ["no", "yes"]}), "bought") is None
