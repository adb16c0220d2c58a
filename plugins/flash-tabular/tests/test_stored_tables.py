"""Tables in Parquet that stay on disk: the same as in memory, however divided or interrupted, in bounded memory."""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

import flash
from flash.data import stored_columns, stored_table
from flash.data.stored_columns import StoredColumns
from flash.data.stored_table import StoredTable, store_table
from flash.data.table_parts import table_parts
from flash.data.tables import read_table
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressionData
from flash.testing import in_clean_process

ROWS = 1000


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 100 rows, and few blocks of few rows in memory."""
    monkeypatch.setattr(stored_table, "PART_CELLS", 900)
    monkeypatch.setattr(stored_columns, "_BLOCK_BYTES", 256)
    monkeypatch.setattr(stored_columns, "_BLOCKS", 40)


def rows(count: int = ROWS, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"key": [f"k{row}" for row in range(count)], "size": random.normal(size=count).round(4)})
    frame["color"] = random.choice(["red", "green", "1.0"], count)
    frame["day"] = pd.date_range("2024-01-01", periods=count, freq="h")
    frame["whole"] = random.integers(0, 9, count)
    frame["truth"] = random.random(count) < 0.5
    frame["price"] = frame["size"] * 3 + frame["whole"]
    frame["y"] = np.where(frame["size"] > 0.3, "yes", "no")
    frame.loc[::7, "size"] = None
    frame.loc[:150, "color"] = None
    return frame


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows().to_parquet(tmp_path / "rows.parquet", row_group_size=130)
    return tmp_path / "rows.parquet"


def made(path: Any, in_memory: bool | None = False, cls: Any = TabularClassificationData, **kwargs: Any) -> Any:
    kwargs = {"target_fields": "y", "verbose": False, "seed": 0, "batch_size": 32, **kwargs}
    fields = {"categorical_fields": ["color", "truth"], "numerical_fields": ["size", "day", "whole"]}
    return cls.from_parquet(train_file=path, in_memory=in_memory, **{**fields, **kwargs})


def all_rows(dataset: Any) -> Any:
    inputs, targets = dataset.columns.tree
    return torch.cat(
        [inputs["numerical"].double(), inputs["categorical"].double(), targets.reshape(len(targets), -1).double()], 1
    )


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (TabularClassificationData, {}),
        (TabularClassificationData, {"categorical_fields": None, "numerical_fields": None}),
        (TabularClassificationData, {"target_fields": ["truth"], "categorical_fields": ["color"]}),
        (TabularRegressionData, {"target_fields": "price"}),
    ],
)
def test_what_is_learned_and_encoded_is_that_of_a_table_in_memory(path: Path, cls: Any, options: Any) -> None:
    stored, whole = (made(path, in_memory, cls, **options) for in_memory in (False, True))
    assert isinstance(stored.train_dataset.columns, StoredColumns)
    assert not isinstance(whole.train_dataset.columns, StoredColumns)
    torch.testing.assert_close(all_rows(stored.train_dataset), all_rows(whole.train_dataset), rtol=1e-6, atol=1e-6)
    for name, fact in whole.facts.items():
        assert stored.facts[name] == fact or name in ("bins", "target_mean", "target_std")
    for one, other in zip(stored.facts["bins"], whole.facts["bins"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert stored.batch_size == whole.batch_size


def test_a_folder_and_a_list_of_files_are_tables_too(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for file, seed in zip(files, range(3), strict=True):
        rows(200, seed).to_parquet(file)
    for source in (tmp_path, files, [str(file) for file in files]):
        torch.testing.assert_close(
            all_rows(made(source).train_dataset), all_rows(made(source, True).train_dataset), rtol=1e-6, atol=1e-6
        )


def test_files_of_a_list_have_the_same_columns(tmp_path: Path) -> None:
    rows(20).to_parquet(tmp_path / "a.parquet")
    rows(20).rename(columns={"size": "width"}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"Expected the same columns in .*a.parquet and .*b.parquet, .*'size', 'width'"):
        made([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_the_size_decides_by_default(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_table(path) is None
    monkeypatch.setattr(stored_table, "LARGE_CELLS", 5000)
    assert isinstance(store_table(path), StoredTable)
    assert isinstance(made(path, None).train_dataset.columns, StoredColumns)
    # What needs all rows in memory has them there.
    assert not isinstance(made(path, None, val_split=0.2, groups="key").train_dataset.columns, StoredColumns)


def test_splits_by_groups_need_the_table_in_memory(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Expected tables in memory for splits by groups or times"):
        made(path, val_split=0.2, groups="key")


def test_splits_are_stratified_and_know_the_rows_of_the_file(path: Path) -> None:
    data = made(path, val_split=0.2, test_split=0.1)
    whole = rows()
    parts = {name: getattr(data, f"{name}_dataset") for name in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == [720, 180, 100]
    numbers = {name: part.ids_of(range(len(part))) for name, part in parts.items()}
    assert sorted(row for each in numbers.values() for row in each) == list(range(ROWS))
    share = (whole["y"] == "yes").mean()
    for name, part in parts.items():
        labels = [data.labels[place] for place in part.columns.tree[1].tolist()]
        assert labels == whole["y"].iloc[numbers[name]].tolist()
        assert abs(labels.count("yes") / len(labels) - share) < 0.01
    # Statistics are those of the train rows alone.
    size = whole["size"].iloc[numbers["train"]]
    assert data.preprocess.schema.numerical[0].mean == pytest.approx(size.mean())


def test_a_regression_is_split_at_random(path: Path) -> None:
    data = made(path, cls=TabularRegressionData, target_fields="price", val_split=0.25)
    assert (len(data.train_dataset), len(data.val_dataset)) == (750, 250)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.process)])
def test_epochs_have_each_row_once_in_an_order_of_their_own(path: Path, workers: int) -> None:
    data = made(path, batch_size=30, num_workers=workers)
    loader = data.train_dataloader()
    expected = Counter(tuple(row) for row in all_rows(data.train_dataset)[:, [0, -1]].tolist())
    epochs = []
    for _ in range(2):
        batches = [torch.stack([x["numerical"][:, 0].double(), y.double()], 1) for x, y in loader]
        epochs.append([tuple(row) for row in torch.cat(batches).tolist()])
        assert Counter(epochs[-1]) == expected
    assert epochs[0] != epochs[1]


def trained(path: Path, folder: Path, **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    data = made(path, val_split=0.2)
    task = TabularClassifier.from_data(data, backbone="mlp")
    ckpt_path = options.pop("ckpt_path", None)
    trainer = flash.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=folder, **options
    )
    trainer.fit(task, data, ckpt_path=ckpt_path)
    return task, trainer


@pytest.mark.train
def test_a_run_that_is_resumed_in_the_middle_of_an_epoch_ends_as_the_uninterrupted_one(
    path: Path, tmp_path: Path
) -> None:
    saving = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=37, save_top_k=-1)
    whole, _ = trained(path, tmp_path, max_epochs=3, callbacks=[saving])
    middle = tmp_path / "step=37.ckpt"
    resumed, trainer = trained(path, tmp_path, max_epochs=3, enable_checkpointing=False, ckpt_path=middle)
    assert trainer.global_step == 75
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_table_on_disk_is_predicted_as_one_in_memory(path: Path, tmp_path: Path) -> None:
    task, trainer = trained(path, tmp_path, max_epochs=1, enable_checkpointing=False)
    found = []
    for in_memory in (False, True):
        new = TabularClassificationData.from_parquet(
            predict_file=path, preprocess=task.preprocess, in_memory=in_memory, batch_size=64
        )
        assert isinstance(new.predict_dataset.columns, StoredColumns) is not in_memory
        trainer.predict(task, new, to=tmp_path / "out.parquet")
        found.append(pd.read_parquet(tmp_path / "out.parquet"))
    pd.testing.assert_frame_equal(found[0], found[1])
    assert found[0]["id"].tolist() == list(range(ROWS))
    assert found[0]["prediction"].tolist() == task.predict(rows())


def test_validation_rows_may_stay_on_disk_too(path: Path) -> None:
    data = made(path, val_file=path)
    torch.testing.assert_close(all_rows(data.val_dataset), all_rows(data.train_dataset))
    assert data.val_dataset.display([3])[0]["whole"] == rows()["whole"][3]


def test_an_error_of_a_value_tells_its_part(tmp_path: Path) -> None:
    frame = rows(400).astype({"whole": str})
    frame.loc[330, "whole"] = "many"
    frame.to_parquet(tmp_path / "rows.parquet")
    message = r"Expected numbers in column 'whole' of the train table, but got 'many' .* This is in .*rows 300 to 399"
    with pytest.raises(DataError, match=message):
        made(tmp_path / "rows.parquet")


def test_a_missing_column_is_an_error_that_names_it(path: Path) -> None:
    with pytest.raises(MissingColumnError, match="'height'"):
        made(path, numerical_fields=["height"])
    with pytest.raises(MissingColumnError, match="'z'"):
        made(path, target_fields="z")
    with pytest.raises(MissingColumnError, match="'z'"):
        made(path, target_fields="z", val_split=0.1)


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"Expected a Parquet file at .*rows.parquet, but"):
        made(tmp_path / "rows.parquet")


def test_a_table_without_rows_is_an_error(tmp_path: Path) -> None:
    rows(5).head(0).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"Expected .*rows.parquet to have rows, but it has none"):
        made(tmp_path / "rows.parquet")


def test_a_file_that_changes_is_an_error(path: Path) -> None:
    table = store_table(path, in_memory=False)
    assert table is not None
    rows(500).to_parquet(path)
    with pytest.raises(DataError, match=r"Expected .* to stay as it is .* had 1,000 rows and now has 500"):
        list(table.parts())


def test_unknown_targets_of_validation_rows_are_an_error(path: Path, tmp_path: Path) -> None:
    other = rows().assign(y="perhaps")
    other.to_parquet(tmp_path / "val.parquet")
    with pytest.raises(DataError, match=r"among those of the train rows \('no', 'yes'\), but got 'perhaps'"):
        made(path, val_file=tmp_path / "val.parquet")


def test_a_part_without_known_categories_is_no_warning(tmp_path: Path) -> None:
    """Of a table that is sorted by a column with many categories, whole parts have only rare ones."""
    frame = rows(400).assign(color=[f"c{row // 100}" for row in range(400)])
    frame.to_parquet(tmp_path / "rows.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(tmp_path / "rows.parquet")


def test_data_on_disk_goes_to_other_processes(path: Path) -> None:
    data = made(path)
    other = pickle.loads(pickle.dumps(data.train_dataset.columns))
    assert torch.equal(other.take([7])[0]["numerical"], data.train_dataset.columns.take([7])[0]["numerical"])


PROGRAM = """
import resource
from pathlib import Path

import flash
from flash.tabular import TabularClassificationData, TabularClassifier

def value(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

# What is loaded for the first training is no part of the data.
def run(path, predicted):
    data = TabularClassificationData.from_parquet(
        target_fields="y", train_file=path, val_split=0.1, verbose=False, seed=0, batch_size=1024, in_memory=in_memory
    )
    task = TabularClassifier.from_data(data, backbone="mlp")
    trainer = flash.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, max_steps=100,
        limit_val_batches=20,
    )
    trainer.fit(task, data)
    new = TabularClassificationData.from_parquet(
        predict_file=path, preprocess=task.preprocess, batch_size=8192, in_memory=in_memory
    )
    trainer.predict(task, new, to=predicted)
    return len(data.train_dataset), len(data.val_dataset)

run(warm, warm.with_suffix(".csv"))
limit = value("VmData") + ceiling
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
Path("/proc/self/clear_refs").write_text("5")
before = value("VmRSS")
try:
    counts = run(path, path.with_name("predicted.parquet"))
    result = [*counts, value("VmHWM") - before]
except MemoryError:
    result = None
"""


def write_large(path: Path, count: int) -> None:
    """Write a table, 100,000 rows at a time."""
    random = np.random.default_rng(0)
    writer = None
    for start in range(0, count, 100_000):
        size = min(100_000, count - start)
        columns = {f"x{place}": random.normal(size=size) for place in range(6)}
        columns["color"] = random.choice(["red", "green", "blue"], size)
        columns["y"] = np.where(columns["x0"] > 0, "yes", "no")
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


@pytest.mark.slow
@pytest.mark.process
def test_ten_million_rows_are_trained_and_predicted_under_a_ceiling_of_memory(tmp_path: Path) -> None:
    """600 MB of private memory, which the system enforces; in memory the table alone takes 2 GB."""
    for name, count in (("warm", 300_000), ("many", 10_000_000)):
        write_large(tmp_path / f"{name}.parquet", count)
    found = in_clean_process(
        tmp_path,
        PROGRAM,
        warm=tmp_path / "warm.parquet",
        path=tmp_path / "many.parquet",
        ceiling=600_000_000,
        in_memory=False,
    )
    assert found is not None, "There was no memory left."
    assert found[:2] == [9_000_000, 1_000_000]
    assert found[2] < 600_000_000
    assert pq.read_metadata(tmp_path / "predicted.parquet").num_rows == 10_000_000


@pytest.mark.slow
@pytest.mark.process
def test_the_ceiling_is_too_low_for_rows_in_memory(tmp_path: Path) -> None:
    for name, count in (("warm", 10_000), ("many", 4_000_000)):
        write_large(tmp_path / f"{name}.parquet", count)
    paths = {"warm": tmp_path / "warm.parquet", "path": tmp_path / "many.parquet"}
    assert in_clean_process(tmp_path, PROGRAM, ceiling=600_000_000, in_memory=True, **paths) is None


def test_a_batch_is_as_large_as_that_of_a_table_in_memory(path: Path) -> None:
    sizes = [made(path, in_memory, batch_size=None).batch_size for in_memory in (True, False)]
    assert sizes[0] == sizes[1]


def test_a_table_on_disk_without_target_fields_is_an_error(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Expected target_fields to name the column to predict, but got none"):
        made(path, target_fields=None)


def folder_with(folder: Path, *tables: pa.Table) -> Path:
    for place, table in enumerate(tables):
        (folder / f"year={2020 + place}").mkdir(parents=True)
        pq.write_table(table, folder / f"year={2020 + place}" / "rows.parquet")
    return folder


@pytest.mark.parametrize(
    ("first", "second", "read"),
    [
        (pa.nulls(2), pa.array([1, None]), [None, None, 1, None]),
        (pa.array([1, 2]), pa.array([0.5, None]), [1, 2, 0.5, None]),
        (pa.array([1, 2], pa.int8()), pa.array([300, 2**40]), [1, 2, 300, 2**40]),
        (pa.nulls(2), pa.array(["x", None]), [None, None, "x", None]),
        # Of types that have none in common, values are of the first one.
        (pa.array([1, 2]), pa.array(["3", None]), [1, 2, 3, None]),
    ],
)
def test_a_column_of_a_folder_has_the_type_that_holds_the_values_of_all_files(
    first: pa.Array, second: pa.Array, read: list[Any], tmp_path: Path
) -> None:
    folder = folder_with(tmp_path / "t", pa.table({"a": first, "b": [1, 2]}), pa.table({"b": [3, 4], "a": second}))
    assert read_table(folder)["a"] == read
    stored = store_table(folder, in_memory=False)
    assert stored is not None
    assert stored.read(["a", "b"]).columns == {"a": read, "b": [1, 2, 3, 4]}
    assert [value for part in table_parts(folder) for value in part["a"]] == read


def test_a_column_that_only_later_files_of_a_folder_have_is_missing_in_the_first(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "t", pa.table({"a": [1, 2]}), pa.table({"a": [3], "late": ["x"]}))
    assert read_table(folder)["late"] == [None, None, "x"]
    stored = store_table(folder, in_memory=False)
    assert stored is not None
    assert stored.read(["late"])["late"] == [None, None, "x"]


def test_partitions_of_a_folder_are_of_one_type_in_memory_and_on_disk(tmp_path: Path) -> None:
    table = pa.table({"a": [0.5, 1.0, 2.5], "y": ["u", "v", "u"]})
    folder = folder_with(tmp_path / "t", table, table, table)
    loaded = [
        TabularClassificationData.from_parquet(train_file=folder, target_fields="y", in_memory=in_memory, verbose=False)
        for in_memory in (True, False)
    ]
    schemas = [data.preprocess.schema for data in loaded]
    assert schemas[0] == schemas[1]
    assert [each.name for each in schemas[0].categorical] == ["year"]
