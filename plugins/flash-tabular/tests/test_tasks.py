"""TabularClassifier and TabularRegressor: what they are made of, predict, train and store."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torchmetrics.classification import MulticlassF1Score

import flash
from flash.core.averaging import AverageWeights
from flash.errors import ConfigurationError, DataError, MissingColumnError, UnknownNameError
from flash.tabular import (
    TabularClassificationData,
    TabularClassifier,
    TabularRegressionData,
    TabularRegressor,
)
from flash.testing import in_clean_process

Table = Callable[..., pd.DataFrame]
MakeTrainer = Callable[..., flash.Trainer]
Tiny = Callable[[str], dict[str, Any]]
COLUMNS = ["area", "rooms", "city", "balcony"]


@pytest.fixture
def classifier(table: Table, kinds: dict[str, Any], tiny: Tiny, trainer: MakeTrainer) -> flash.Task:
    """A classifier that was trained for one epoch."""
    dm = kinds["binary"].load(table())
    task = TabularClassifier.from_data(dm, **tiny("mlp"))
    trainer().fit(task, dm)
    return task


@pytest.fixture
def regressor(table: Table, kinds: dict[str, Any], tiny: Tiny, trainer: MakeTrainer) -> flash.Task:
    """A regressor that was trained for one epoch."""
    dm = kinds["number"].load(table())
    task = TabularRegressor.from_data(dm, **tiny("mlp"))
    trainer().fit(task, dm)
    return task


def batch_of(datamodule: flash.DataModule) -> Any:
    return next(iter(datamodule.train_dataloader()))


def preprocess_state(datamodule: flash.DataModule) -> dict[str, Any]:
    assert datamodule.preprocess is not None
    return datamodule.preprocess.state_dict()


# ---------------------------------------------------------------------- making tasks


@pytest.mark.parametrize("task", [TabularClassifier, TabularRegressor])
def test_a_task_that_knows_no_columns_says_how_to_make_it(task: type[flash.Task]) -> None:
    options: dict[str, Any] = {"num_classes": 2} if task is TabularClassifier else {}
    with pytest.raises(ConfigurationError, match=rf"{task.__name__}.from_data\(datamodule\), which knows them"):
        task(**options)


def test_an_unknown_backbone_is_an_error_that_says_what_is_close(table: Table, kinds: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="tabnet"):
        TabularClassifier.from_data(kinds["binary"].load(table()), backbone="tabnett")


def test_a_module_can_be_the_backbone(table: Table, kinds: dict[str, Any], trainer: MakeTrainer) -> None:
    class Areas(nn.Module):
        out_features = 3

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return torch.relu(self.layer(inputs["numerical"]))

    dm = kinds["binary"].load(table())
    task = TabularClassifier.from_data(dm, backbone=Areas())
    trainer().fit(task, dm)
    assert len(task.predict(table()[COLUMNS])) == 40


def test_arguments_of_the_call_win_over_the_facts_of_the_data(table: Table, kinds: dict[str, Any], tiny: Tiny) -> None:
    dm = kinds["binary"].load(table())
    task = TabularClassifier.from_data(dm, labels=["kept", "sold"], learning_rate=0.5, **tiny("mlp"))
    assert task.labels == ["kept", "sold"]
    assert task.configure_optimizers()["optimizer"].param_groups[0]["initial_lr"] == 0.5


def test_an_optimizer_that_is_chosen_is_used(table: Table, kinds: dict[str, Any], tiny: Tiny) -> None:
    task = TabularClassifier.from_data(
        kinds["binary"].load(table()), optimizer="SGD", learning_rate=0.1, **tiny("tabm")
    )
    assert isinstance(task.configure_optimizers()["optimizer"], torch.optim.SGD)


def test_the_head_has_an_output_for_each_class_or_number(table: Table, kind: Any, backbone: dict[str, Any]) -> None:
    dm = kind.load(table())
    task = kind.task.from_data(dm, **backbone)
    expected = {"sold": 2, "size": 3, "price": 1}.get(kind.target, 2) if isinstance(kind.target, str) else 2
    assert task(batch_of(dm)[0]).shape == (20, expected)


# ---------------------------------------------------------------------- predicting


def test_labels_are_predicted_in_the_order_of_the_rows(classifier: flash.Task, table: Table) -> None:
    frame = table()[COLUMNS]
    predicted = classifier.predict(frame)
    probabilities = np.array(classifier.predict(frame, output="probabilities"))
    assert len(predicted) == 40
    assert predicted == [["no", "yes"][row] for row in probabilities.argmax(1)]
    backwards = classifier.predict(frame.iloc[::-1], output="probabilities")
    np.testing.assert_allclose(np.array(backwards)[::-1], probabilities, atol=1e-6)


@pytest.mark.parametrize("form", ["csv", "path", "parquet", "columns", "rows"])
def test_a_prediction_takes_a_table_in_any_form(classifier: flash.Task, table: Table, form: str) -> None:
    frame = table()[COLUMNS]
    expected = np.array(classifier.predict(frame, output="probabilities"))
    raw: Any
    if form in ("csv", "path"):
        frame.to_csv("flats.csv", index=False)
        raw = "flats.csv" if form == "csv" else Path("flats.csv")
    elif form == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet("flats.parquet")
        raw = "flats.parquet"
    else:
        raw = frame.to_dict("list" if form == "columns" else "records")
    np.testing.assert_allclose(np.array(classifier.predict(raw, output="probabilities")), expected, atol=1e-6)


def test_a_single_row_is_predicted_as_it_is_among_others(
    table: Table, kind: Any, backbone: dict[str, Any], trainer: MakeTrainer
) -> None:
    dm = kind.load(table())
    task = kind.task.from_data(dm, **backbone)
    trainer().fit(task, dm)
    frame = table(seed=1)[COLUMNS]
    together = np.array(task.predict(frame, output=kind.output, batch_size=64))
    alone = np.array([task.predict(frame[i : i + 1], output=kind.output)[0] for i in range(10)])
    np.testing.assert_allclose(alone, together[:10], rtol=1e-4, atol=1e-5)
    assert len(np.unique(together.round(6))) > 10


def test_other_columns_their_order_and_the_index_do_not_change_predictions(
    classifier: flash.Task, table: Table
) -> None:
    frame = table()
    expected = classifier.predict(frame[COLUMNS], output="probabilities")
    other = frame[["balcony", "price", "city", "rooms", "area"]].assign(extra=None)
    other.index = [5] * 40
    assert classifier.predict(other, output="probabilities") == expected


def test_missing_infinite_enormous_and_unseen_values_get_a_finite_prediction(
    table: Table, kinds: dict[str, Any], backbone: dict[str, Any], trainer: MakeTrainer
) -> None:
    dm = kinds["number"].load(table())
    task = TabularRegressor.from_data(dm, **backbone)
    trainer().fit(task, dm)
    rows = [
        {"area": None, "rooms": None, "city": None, "balcony": None},
        {"area": float("inf"), "rooms": -float("inf"), "city": "Atlantis", "balcony": "maybe"},
        {"area": 1e300, "rooms": -1e300, "city": "", "balcony": True},
    ]
    assert np.isfinite(task.predict(rows)).all()


@pytest.mark.parametrize("form", ["arrow", "nullable", "object", "transposed", "category", "subclass", "float32"])
def test_a_table_of_other_types_is_the_same_table(
    table: Table, kinds: dict[str, Any], tiny: Tiny, trainer: MakeTrainer, form: str
) -> None:
    frame = table().drop(columns="size").round(2)
    if form == "arrow":
        pytest.importorskip("pyarrow")
        other = frame.convert_dtypes(dtype_backend="pyarrow")
    elif form == "nullable":
        other = frame.convert_dtypes()
    elif form == "object":
        other = frame.astype(object)
    elif form == "transposed":
        other = frame.T.T
    elif form == "category":
        other = frame.astype({"city": "category", "balcony": "category"})
    elif form == "float32":
        other = frame.astype({"area": "float32", "rooms": "float32"})
    else:
        other = type("Frame", (pd.DataFrame,), {})(frame)
    dm = kinds["binary"].load(frame)
    task = TabularClassifier.from_data(dm, **tiny("mlp"))
    trainer().fit(task, dm)
    expected = task.predict(frame, output="probabilities")
    np.testing.assert_allclose(task.predict(other, output="probabilities"), expected, atol=1e-5)
    learned = preprocess_state(kinds["binary"].load(other))
    assert [c["name"] for c in learned["schema"]["numerical"]] == ["area", "rooms"]
    assert learned["targets"] == preprocess_state(dm)["targets"]


def test_a_table_that_lacks_a_column_is_an_error_that_names_it(classifier: flash.Task, table: Table) -> None:
    with pytest.raises(MissingColumnError, match=r"Expected the predict table to have the column 'rooms'"):
        classifier.predict(table()[["area", "city", "balcony"]])


def test_text_where_numbers_were_is_an_error_that_shows_it(classifier: flash.Task, table: Table) -> None:
    with pytest.raises(DataError, match=r"Expected numbers in column 'area' of the predict table, but got 'big'"):
        classifier.predict(table()[COLUMNS].assign(area="big"))


@pytest.mark.parametrize("raw", [pd.DataFrame(columns=COLUMNS), [], {}])
def test_an_empty_table_is_an_error(classifier: flash.Task, raw: Any) -> None:
    with pytest.raises(DataError, match="Expected the table to have rows and columns"):
        classifier.predict(raw)


def test_a_single_row_that_is_no_list_is_an_error_that_says_how_to_pass_it(classifier: flash.Task) -> None:
    with pytest.raises(DataError, match=r"For a single row, pass \[row\]"):
        classifier.predict({"area": 50.0, "rooms": 2, "city": "Rome", "balcony": True})


def test_a_task_that_was_never_trained_cannot_read_tables(table: Table) -> None:
    task = TabularClassifier(num_numerical=1, bins=[[0.0, 0.5, 1.0]], num_classes=2, backbone="mlp")
    with pytest.raises(DataError, match="trained"):
        task.predict(table())


def test_a_trainer_predicts_what_the_task_predicts(classifier: flash.Task, table: Table, trainer: MakeTrainer) -> None:
    dm = TabularClassificationData.from_data_frame(predict_data_frame=table()[COLUMNS], batch_size=16)
    batches = trainer().predict(classifier, datamodule=dm, output="probabilities")
    assert [len(batch) for batch in batches] == [16, 16, 8]
    flat = np.array([row for batch in batches for row in batch])
    np.testing.assert_allclose(flat, classifier.predict(table()[COLUMNS], output="probabilities"), atol=1e-6)


def test_probabilities_add_up_to_1(table: Table, backbone: dict[str, Any], kinds: dict[str, Any]) -> None:
    task = TabularClassifier.from_data(kinds["multi-class"].load(table()), **backbone)
    probabilities = np.array(task.predict(table()[COLUMNS], output="probabilities"))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_several_labels_are_predicted_each_for_itself(table: Table, kinds: dict[str, Any], tiny: Tiny) -> None:
    task = TabularClassifier.from_data(kinds["multi-label"].load(table()), **tiny("mlp"))
    probabilities = task.predict(table()[COLUMNS], output="probabilities")
    expected = [[name for name, p in zip(["warm", "cheap"], row, strict=True) if p > 0.5] for row in probabilities]
    assert task.predict(table()[COLUMNS]) == expected


def test_numbers_are_predicted_one_a_row_or_a_list_for_several_targets(
    table: Table, kinds: dict[str, Any], tiny: Tiny
) -> None:
    one = TabularRegressor.from_data(kinds["number"].load(table()), **tiny("mlp"))
    two = TabularRegressor.from_data(kinds["numbers"].load(table()), **tiny("mlp"))
    assert all(isinstance(value, float) for value in one.predict(table()[COLUMNS]))
    assert np.array(two.predict(table()[COLUMNS])).shape == (40, 2)


def test_predictions_and_metrics_are_in_the_units_of_the_target(
    regressor: flash.Task, table: Table, trainer: MakeTrainer
) -> None:
    frame = table()
    predicted = np.array(regressor.predict(frame[COLUMNS]))
    dm = TabularRegressionData.from_data_frame(test_data_frame=frame, preprocess=regressor.preprocess)
    (tested,) = trainer().test(regressor, dm)
    error = predicted - frame["price"].to_numpy()
    assert abs(predicted.mean() - frame["price"].mean()) < 2 * frame["price"].std()
    assert tested["test_rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert tested["test_mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert tested["test_r2"] == pytest.approx(1 - (error**2).sum() / (frame["price"].var(ddof=0) * 40), rel=1e-3)


def test_one_validation_row_is_enough(table: Table, kind: Any, tiny: Tiny, trainer: MakeTrainer) -> None:
    dm = kind.load(table(), val_data_frame=table(seed=1).head(1))
    task = kind.task.from_data(dm, **tiny("mlp"))
    fitting = trainer()
    fitting.fit(task, dm)
    assert torch.isfinite(fitting.callback_metrics["val_loss"])


# ---------------------------------------------------------------------- the loss


def test_the_loss_of_a_regression_is_that_of_standardized_targets(
    table: Table, kinds: dict[str, Any], tiny: Tiny
) -> None:
    losses = []
    for scale in (1.0, 1e6):
        torch.manual_seed(0)
        frame = table()
        frame["price"] = frame["price"] * scale
        dm = kinds["number"].load(frame)
        task = TabularRegressor.from_data(dm, **tiny("mlp")).eval()
        losses.append(task.step(batch_of(dm), 0)["loss"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] < 5


def test_the_training_loss_of_an_ensemble_is_the_mean_of_its_members(table: Table, kind: Any, tiny: Tiny) -> None:
    dm = kind.load(table())
    options = tiny("tabm")
    options["backbone_kwargs"] = {**options["backbone_kwargs"], "dropout": 0.0}
    task = kind.task.from_data(dm, **options).train()
    x, y = batch_of(dm)
    members = task.head(task.backbone(x))
    assert members.shape[:2] == (20, 3)
    if isinstance(task, TabularRegressor):
        # Written out, since it is the loss of standardized numbers whatever the units of predictions are.
        losses = [((members[:, place] - (y - task.target_mean) / task.target_std) ** 2).mean() for place in range(3)]
        assert torch.isclose(task.step((x, y), 0)["loss"], torch.stack(losses).mean())
        return
    losses = [task.compute_loss(members[:, member], y) for member in range(3)]
    assert torch.isclose(task.step((x, y), 0)["loss"], torch.stack(losses).mean())


def test_the_prediction_of_an_ensemble_is_the_mean_of_its_members_predictions(
    table: Table, kind: Any, tiny: Tiny
) -> None:
    dm = kind.load(table())
    task = kind.task.from_data(dm, **tiny("tabm")).eval()
    x, _ = batch_of(dm)
    members = task.head(task.backbone(x))
    if isinstance(task, TabularRegressor):
        torch.testing.assert_close(task(x), members.mean(1) * task.target_std + task.target_mean)
    else:
        mean = torch.stack([task.to_probabilities(members[:, member]) for member in range(3)]).mean(0)
        torch.testing.assert_close(task.to_probabilities(task(x)), mean)


def test_an_ensemble_of_one_is_a_network(table: Table, kind: Any, tiny: Tiny, trainer: MakeTrainer) -> None:
    dm = kind.load(table())
    options = tiny("tabm")
    options["backbone_kwargs"] = {**options["backbone_kwargs"], "k": 1}
    task = kind.task.from_data(dm, **options)
    trainer().fit(task, dm)
    assert len(task.predict(table()[COLUMNS])) == 40


def test_the_sparsity_of_tabnet_counts_in_training_alone(table: Table, kinds: dict[str, Any], tiny: Tiny) -> None:
    dm = kinds["binary"].load(table())
    batch = batch_of(dm)

    def loss(lambda_sparse: float, training: bool) -> float:
        torch.manual_seed(0)
        options = tiny("tabnet")
        options["backbone_kwargs"] = {**options["backbone_kwargs"], "lambda_sparse": lambda_sparse}
        task = TabularClassifier.from_data(dm, **options).train(training)
        return float(task.step(batch, 0)["loss"].detach())

    assert loss(1.0, True) > loss(0.0, True)
    assert loss(1.0, False) == loss(0.0, False)


@pytest.mark.train
@pytest.mark.parametrize("backbone_name", ["mlp", "tabm"])
def test_class_weights_make_a_rare_class_be_found(backbone_name: str, tiny: Tiny, trainer: MakeTrainer) -> None:
    random = np.random.default_rng(0)
    rare = random.random(600) < 0.08
    frame = pd.DataFrame({"n": random.normal(np.where(rare, 1.2, 0), 1), "y": np.where(rare, "rare", "usual")})
    dm = TabularClassificationData.from_data_frame(None, "n", "y", frame, batch_size=100, seed=0)

    def recall(class_weights: Any) -> float:
        seed_everything(0)
        options = {"learning_rate": 0.02, **tiny(backbone_name)}
        task = TabularClassifier.from_data(dm, class_weights=class_weights, **options)
        trainer(max_epochs=10).fit(task, dm)
        return float((np.array(task.predict(frame[["n"]])) == "rare")[rare].mean())

    assert recall(None) < 0.2
    assert recall("balanced") > 0.6
    assert recall([20.0, 1.0]) > 0.6


def test_weights_for_another_number_of_classes_are_an_error(table: Table, kinds: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Expected 2 class weights, one per class, but got shape"):
        TabularClassifier.from_data(kinds["binary"].load(table()), class_weights=[1.0, 2.0, 3.0])


def test_metrics_and_losses_can_be_chosen(
    table: Table, kinds: dict[str, Any], tiny: Tiny, trainer: MakeTrainer
) -> None:
    dm = kinds["number"].load(table(), val_data_frame=table(seed=1))
    regressor = TabularRegressor.from_data(
        dm, loss_fn=nn.functional.l1_loss, metrics=nn.functional.l1_loss, **tiny("mlp")
    )
    fitting = trainer()
    fitting.fit(regressor, dm)
    assert set(fitting.callback_metrics) == {"train_loss", "train_l1_loss", "val_loss", "val_l1_loss"}
    dm = kinds["binary"].load(table(), val_data_frame=table(seed=1))
    classifier = TabularClassifier.from_data(dm, metrics=MulticlassF1Score(2), **tiny("mlp"))
    fitting = trainer()
    fitting.fit(classifier, dm)
    assert "val_f1_score" in fitting.callback_metrics


# ---------------------------------------------------------------------- new data for a trained task


def test_metrics_and_losses_are_listed_by_the_kind_of_task() -> None:
    assert {"rmse", "r2"} <= {*TabularRegressor.available_metrics()}
    assert {"huber", "mae"} <= {*TabularRegressor.available_losses()}
    assert not {*TabularRegressor.available_metrics()} & {*TabularClassifier.available_metrics()}
    assert not {*TabularRegressor.available_losses()} & {*TabularClassifier.available_losses()}


def test_a_trained_task_goes_on_with_new_rows_that_go_through_its_own_preprocess(
    classifier: flash.Task, table: Table, trainer: MakeTrainer
) -> None:
    new = table(seed=5)
    dm = TabularClassificationData.from_data_frame(
        train_data_frame=new, preprocess=classifier.preprocess, batch_size=20
    )
    trainer().fit(classifier, dm)
    assert len(classifier.predict(new)) == 40


def test_new_data_with_statistics_of_its_own_is_refused(
    classifier: flash.Task, table: Table, kinds: dict[str, Any], trainer: MakeTrainer
) -> None:
    with pytest.raises(DataError, match=r"learned other statistics or labels.*preprocess=task.preprocess"):
        trainer().fit(classifier, kinds["binary"].load(table(seed=5)))


# ---------------------------------------------------------------------- checkpoints


def test_a_checkpoint_gives_the_task_and_its_predictions_back(
    table: Table, kind: Any, backbone: dict[str, Any], trainer: MakeTrainer
) -> None:
    dm = kind.load(table())
    task = kind.task.from_data(dm, **backbone)
    fitting = trainer()
    fitting.fit(task, dm)
    fitting.save_checkpoint("task.ckpt")
    loaded = flash.Task.load_from_checkpoint("task.ckpt")
    assert type(loaded) is kind.task
    other = table(seed=1)[COLUMNS]
    assert loaded.predict(other) == task.predict(other)
    assert loaded.predict(other, output=kind.output) == task.predict(other, output=kind.output)
    assert loaded.preprocess.state_dict() == task.preprocess.state_dict()


@pytest.mark.process
def test_a_checkpoint_loads_in_a_new_process(
    table: Table, kinds: dict[str, Any], tiny: Tiny, trainer: MakeTrainer
) -> None:
    dm = kinds["multi-class"].load(table())
    task = TabularClassifier.from_data(dm, class_weights="balanced", **tiny("tabm"))
    fitting = trainer()
    fitting.fit(task, dm)
    fitting.save_checkpoint("task.ckpt")
    table(seed=1)[COLUMNS].to_csv("flats.csv", index=False)
    program = (
        "import flash; task = flash.Task.load_from_checkpoint('task.ckpt');"
        "result = task.predict('flats.csv', output='probabilities')"
    )
    here = task.predict("flats.csv", output="probabilities")
    np.testing.assert_allclose(in_clean_process(Path.cwd(), program), here, atol=1e-6)


def test_a_loaded_task_says_nothing_and_knows_its_columns(
    classifier: flash.Task, trainer: MakeTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    fitting = trainer(max_epochs=0)
    fitting.strategy.connect(classifier)
    fitting.save_checkpoint("task.ckpt")
    loaded = TabularClassifier.load_from_checkpoint("task.ckpt")
    assert loaded.labels == ["no", "yes"]
    with pytest.raises(MissingColumnError, match="'area'"):
        loaded.predict([{"city": "Rome"}])
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------------- runs


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_train_and_predict(
    table: Table, kinds: dict[str, Any], backbone: dict[str, Any], trainer: MakeTrainer, precision: str
) -> None:
    dm = kinds["number"].load(table(), val_data_frame=table(seed=1))
    task = TabularRegressor.from_data(dm, **backbone)
    trainer(precision=precision).fit(task, dm)
    assert np.isfinite(task.predict(table())).all()


def test_copies_of_a_task_predict_the_same(classifier: flash.Task, table: Table) -> None:
    expected = classifier.predict(table(), output="probabilities")
    for copied in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert copied.predict(table(), output="probabilities") == expected


@pytest.mark.parametrize(("rows", "batch_size"), [(2, 20), (21, 20), (41, 2)])
def test_a_last_batch_of_any_size_can_be_trained_on(
    table: Table, kind: Any, backbone: dict[str, Any], trainer: MakeTrainer, rows: int, batch_size: int
) -> None:
    frame: Any = table(rows)
    frame.loc[: rows // 2, ["sold", "size", "area"]] = ["yes", "small", 50.0]
    frame.loc[rows // 2 :, ["sold", "size", "area"]] = ["no", "large", 60.0]
    dm = kind.load(frame.assign(rooms=np.arange(rows), city=["Oslo", *["Rome"] * (rows - 1)]), batch_size=batch_size)
    task = kind.task.from_data(dm, **backbone)
    trainer().fit(task, dm)
    assert len(task.predict(frame)) == rows


@pytest.mark.train
def test_two_runs_with_one_seed_give_equal_weights(
    table: Table, kinds: dict[str, Any], backbone: dict[str, Any], trainer: MakeTrainer
) -> None:
    def weights() -> dict[str, Tensor]:
        seed_everything(7)
        dm = kinds["binary"].load(table(), seed=None, val_split=0.2)
        task = TabularClassifier.from_data(dm, **backbone)
        trainer(max_epochs=2).fit(task, dm)
        return task.state_dict()

    one, two = weights(), weights()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.train
def test_the_freeze_strategy_trains_the_head_and_leaves_the_backbone_as_it_was(
    table: Table, kinds: dict[str, Any], backbone: dict[str, Any], trainer: MakeTrainer
) -> None:
    dm = kinds["binary"].load(table())
    task = TabularClassifier.from_data(dm, learning_rate=0.1, **backbone)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    trainer(max_epochs=2).finetune(task, dm, strategy="freeze")
    after = task.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("backbone."))
    assert all(not torch.equal(before[name], after[name]) for name in before if name.startswith("head."))


@pytest.mark.train
def test_a_frozen_backbone_thaws_later(table: Table, kinds: dict[str, Any], tiny: Tiny, trainer: MakeTrainer) -> None:
    dm = kinds["binary"].load(table())
    task = TabularClassifier.from_data(dm, learning_rate=0.1, **tiny("mlp"))
    before = {name: value.clone() for name, value in task.backbone.named_parameters()}
    trainer(max_epochs=2).finetune(task, dm, strategy=("freeze_unfreeze", 1))
    assert any(not torch.equal(before[name], value) for name, value in task.backbone.named_parameters())


class Joined(nn.Module):
    """Columns side by side, without an attribute for their number."""

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return torch.cat([x["numerical"], x["categorical"].float()], dim=1)


def test_the_features_of_a_module_of_ones_own_are_measured(
    table: Table, kinds: dict[str, Any], trainer: MakeTrainer
) -> None:
    dm = kinds["binary"].load(table())
    task = TabularClassifier.from_data(dm, backbone=Joined())
    inputs, _ = batch_of(dm)
    head: Any = task.head
    assert head.in_features == inputs["numerical"].shape[1] + inputs["categorical"].shape[1]
    trainer().fit(task, dm)


@pytest.mark.parametrize(
    ("backbone", "sentence"),
    [
        (nn.Identity(), "to return one vector per sample, shape .batch, features., but it returned a dict"),
        (nn.Sequential(nn.Linear(3, 2)), "Expected the backbone Sequential to take a dict, but it says"),
    ],
)
def test_a_module_that_takes_or_returns_something_else_says_so(
    backbone: nn.Module, sentence: str, table: Table, kinds: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        TabularClassifier.from_data(kinds["binary"].load(table()), backbone=backbone)


def test_the_scores_of_several_targets_are_named_after_their_columns(
    table: Table, trainer: MakeTrainer, tmp_path: Path
) -> None:
    frame = table().assign(rent=lambda rows: rows["area"] * 2.0, heat=lambda rows: rows["area"] % 7 + 0.5)
    dm = TabularRegressionData.from_data_frame(
        numerical_fields="area", target_fields=["rent", "heat"], train_data_frame=frame, val_split=0.25, seed=0
    )
    task = TabularRegressor.from_data(dm, backbone="mlp")
    fitted = trainer()
    fitted.fit(task, dm)
    assert {"val_rmse_rent", "val_rmse_heat", "val_mae_rent", "val_mae_heat"} <= set(fitted.callback_metrics)
    fitted.save_checkpoint(tmp_path / "a.ckpt")
    assert TabularRegressor.load_from_checkpoint(tmp_path / "a.ckpt").output_names == ["rent", "heat"]


def test_tabm_has_its_weights_averaged_by_default_as_it_was_measured_and_others_have_not(
    table: Table, kinds: dict[str, Any], tiny: Tiny
) -> None:
    dm = kinds["binary"].load(table())
    found = {name: TabularClassifier.from_data(dm, **tiny(name)).averages_weights for name in ("tabm", "mlp", "resnet")}
    assert found == {"tabm": True, "mlp": False, "resnet": False}


@pytest.mark.train
def test_a_default_run_of_tabm_ends_with_the_average_of_its_best_epoch(
    table: Table, kinds: dict[str, Any], tiny: Tiny, trainer: MakeTrainer, tmp_path: Path
) -> None:
    class Validated(Callback):
        weights: list[dict[str, Tensor]]

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            self.weights = []

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.state.fn == "fit" and not trainer.sanity_checking:
                self.weights.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    seen = Validated()
    dm = kinds["number"].load(table(), val_split=0.2, seed=0)
    task = TabularRegressor.from_data(dm, **tiny("tabm"))
    run = trainer(max_epochs=None, callbacks=[seen])
    run.fit(task, dm)
    losses = [epoch["val_loss"] for epoch in task.history]
    best = seen.weights[losses.index(min(losses))]
    average = next(each for each in run.callbacks if isinstance(each, AverageWeights))
    trained = average.state_dict()["trained"]["head.weight"]
    assert all(torch.equal(value, best[name]) for name, value in task.state_dict().items())
    assert not torch.equal(seen.weights[-1]["head.weight"], trained)
    run.validate(task, dm, verbose=False)
    assert float(run.callback_metrics["val_loss"]) == pytest.approx(min(losses), rel=1e-5)
