"""Conformance checks of tasks, from the first step to a checkpoint that a new process loads."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

import flash
from flash.core.finetuning import as_modules
from flash.errors import FinetuningError
from flash.testing._compare import flat, same, snapshot, take
from flash.testing._conformance import Trainers, tier
from flash.testing._features import FeatureChecks
from flash.testing._predict_arguments import PredictionTwinChecks
from flash.testing._process import in_clean_process
from flash.testing._requests import RequestChecks
from flash.testing._with_data import MakeData, refuse
from flash.testing._with_task import TOLERANCE, MakeTask, output_of, predict_of

__all__ = ["TaskConformance"]

_STRATEGIES: dict[str, Any] = {
    "no_freeze": "no_freeze",
    "freeze": "freeze",
    "freeze_unfreeze": ("freeze_unfreeze", 1),
    "unfreeze_milestones": ("unfreeze_milestones", ((1, 2), 1)),
}
# After the unfreezing epoch of freeze_unfreeze, and between the two milestones of unfreeze_milestones.
_RESUMED_AFTER = 1


class TaskConformance(FeatureChecks, PredictionTwinChecks, RequestChecks):
    """Conformance checks of a task.

    A subclass provides the fixtures ``constructor`` and ``parts``, as for :class:`DataModuleConformance`, and
    ``make_task``, ``raw_inputs`` and ``bad_inputs``.

    Example:
        >>> from torch import nn
        >>> from flash.core.classification import ClassificationTask
        >>> class TestClassifier(TaskConformance):
        ...     freezable = False  # It has no backbone.
        ...     @pytest.fixture
        ...     def constructor(self):
        ...         return flash.DataModule.from_tensors
        ...     @pytest.fixture
        ...     def parts(self):
        ...         x = torch.randn(40, 3)
        ...         y = (x[:, 0] > 0).long()
        ...         return {
        ...             "train": {"train_data": x, "train_targets": y},
        ...             "val": {"val_data": x[:7], "val_targets": y[:7]},
        ...             "test": {"test_data": x[:7], "test_targets": y[:7]},
        ...             "predict": {"predict_data": x[:7]},
        ...         }
        ...     @pytest.fixture
        ...     def make_task(self):
        ...         return lambda data: ClassificationTask(2, model=nn.Linear(3, 2), learning_rate=0.1)
        ...     @pytest.fixture
        ...     def raw_inputs(self, parts):
        ...         return parts["predict"]["predict_data"]
        ...     @pytest.fixture
        ...     def bad_inputs(self):
        ...         return {"there is no row": torch.zeros(0, 3)}
    """

    #: Number of epochs to learn the train data, and the factor to which the validation loss has to fall in them.
    epochs: ClassVar[int] = 15
    loss_falls_to: ClassVar[float] = 0.7

    # ------------------------------------------------------------------ training

    def test_each_stage_runs(self, make_task: MakeTask, make_data: MakeData, trainer: Trainers) -> None:
        """Check that training, validation and test log a finite loss, and prediction returns one result per sample."""
        data = make_data("train", "val", "test", "predict")
        task, run = make_task(data), trainer()
        run.fit(task, data)
        logged = dict(run.callback_metrics)
        logged |= {
            name: torch.tensor(value) for name, value in run.test(task, datamodule=data, verbose=False)[0].items()
        }
        for name in ("train_loss", "val_loss", "test_loss"):
            assert name in logged, f"Expected {name} to be logged, but there is {sorted(logged)}."
            assert math.isfinite(float(logged[name])), f"Expected a finite {name}, but got {float(logged[name])}."
        predictions = flat(run.predict(task, datamodule=data))
        assert len(predictions) == len(data.predict_dataset), (
            f"Expected one result for each of {len(data.predict_dataset)} samples, but got {len(predictions)}."
        )

    @tier("train")
    def test_the_loss_falls(self, make_task: MakeTask, make_data: MakeData, trainer: Trainers) -> None:
        """Check that the task learns: the validation loss falls by the factor :attr:`loss_falls_to`."""
        data = make_data("train", "val")
        task, run = make_task(data), trainer(max_epochs=self.epochs)
        before = run.validate(task, datamodule=data, verbose=False)[0]["val_loss"]
        run.fit(task, data)
        after = trainer().validate(task, datamodule=data, verbose=False)[0]["val_loss"]
        assert after <= self.loss_falls_to * before, (
            f"Expected the validation loss to fall from {before:.4f} to at most {self.loss_falls_to * before:.4f} in "
            f"{self.epochs} epochs, but it is {after:.4f}."
        )

    def test_gradient_reaches_every_trainable_parameter(
        self, make_task: MakeTask, make_data: MakeData, trainer: Trainers
    ) -> None:
        """Check that every trainable parameter has a finite, nonzero gradient."""
        data = make_data("train")
        task, seen = make_task(data), _Gradients()
        trainer(callbacks=[seen]).fit(task, data)
        silent = [
            name for name, weight in task.named_parameters() if weight.requires_grad and not seen.largest.get(name)
        ]
        assert not silent, f"Expected a gradient at every trainable parameter, but there was none at {silent}."
        broken = [name for name, largest in seen.largest.items() if not math.isfinite(largest)]
        assert not broken, f"Expected finite gradients, but those at {broken} are not."

    def test_the_optimizer_trains_the_weights_of_the_task(
        self, make_task: MakeTask, make_data: MakeData, trainer: Trainers
    ) -> None:
        """Check that the optimizer holds all trainable parameters once, and steps change them."""
        data = make_data("train")
        task, seen = make_task(data), _Gradients()
        run = trainer(callbacks=[seen])
        before = snapshot(task)
        run.fit(task, data)
        held = [
            id(weight) for optimizer in run.optimizers for group in optimizer.param_groups for weight in group["params"]
        ]
        assert len(held) == len(set(held)), "Expected each parameter once in the optimizer, but some are in it twice."
        named = {name: weight for name, weight in task.named_parameters() if weight.requires_grad}
        missing = [name for name, weight in named.items() if id(weight) not in held]
        assert not missing, f"Expected all trainable parameters in the optimizer, but {missing} are not in it."
        stale = len(set(held) - {id(weight) for weight in named.values()})
        assert not stale, f"Expected the task's own parameters in the optimizer, but {stale} in it are not of the task."
        resting = [
            name
            for name, weight in named.items()
            if torch.equal(weight.detach(), before[name]) and seen.largest.get(name, 0.0) > 1e-6
        ]
        assert not resting, f"Expected steps to change what has a gradient, but {resting} stayed as they were."

    @tier("train")
    def test_a_seed_reproduces_the_training(self, make_task: MakeTask, make_data: MakeData, trainer: Trainers) -> None:
        """Check that two runs with the same seed end with the same weights."""
        one, other = (self._trained(make_task, make_data, trainer, "train", "val") for _ in range(2))
        _assert_same_weights(one, other, "Expected two runs with one seed to end alike, but")

    @tier("train")
    def test_test_and_prediction_data_leave_no_trace_in_the_weights(
        self, make_task: MakeTask, make_data: MakeData, trainer: Trainers
    ) -> None:
        """Check that test and prediction data do not affect the trained weights."""
        alone = self._trained(make_task, make_data, trainer, "train", "val")
        beside = self._trained(make_task, make_data, trainer, "train", "val", "test", "predict")
        _assert_same_weights(alone, beside, "Expected that test and prediction data leave no trace in training, but")

    def test_a_train_set_smaller_than_a_batch_trains(
        self, make_task: MakeTask, make_data: MakeData, trainer: Trainers
    ) -> None:
        """Check that a batch size larger than the dataset trains one step per epoch."""
        data = make_data("train", batch_size=1000)
        task, run = make_task(data), trainer()
        before = snapshot(task)
        run.fit(task, data)
        assert run.global_step == 1, f"Expected one step with all samples in one batch, but got {run.global_step}."
        assert not same(before, snapshot(task)), (
            "Expected the step to change the weights, but they stayed as they were."
        )

    def _trained(self, make_task: MakeTask, make_data: MakeData, trainer: Trainers, *stages: str) -> flash.Task:
        pl.seed_everything(3, verbose=False)
        data = make_data(*stages)
        task = make_task(data)
        trainer(max_epochs=2).fit(task, data)
        return task

    # ------------------------------------------------------------------ finetuning

    @tier("train")
    @pytest.mark.parametrize("strategy", _STRATEGIES.values(), ids=_STRATEGIES)
    def test_strategies_freeze_what_they_say_and_resume(
        self, strategy: Any, make_task: MakeTask, make_data: MakeData, trainer: Trainers, tmp_path: Path
    ) -> None:
        """Check that a frozen backbone is bitwise unchanged until it unfreezes, and that runs can be resumed."""

        def run(resume: str | None = None) -> tuple[flash.Task, _Backbone]:
            pl.seed_everything(3, verbose=False)
            data, seen = make_data("train", "val"), _Backbone()
            task = make_task(data)
            keep = ModelCheckpoint(tmp_path / "kept", filename="{epoch}", save_top_k=-1)
            callbacks: list[Callback] = [seen] if resume else [seen, keep]
            trained = trainer(max_epochs=4, callbacks=callbacks, enable_checkpointing=resume is None)
            trained.finetune(task, data, strategy=strategy, ckpt_path=resume)
            return task, seen

        name = strategy if isinstance(strategy, str) else strategy[0]
        if name != "no_freeze" and not self.freezable:
            with pytest.raises(FinetuningError):
                run()
            return
        whole, seen = run()
        if name != "no_freeze":
            assert seen.frozen[0], f"Expected a frozen backbone in the first epoch with {name!r}, but it changed."
        if name in ("no_freeze", "freeze_unfreeze") and self.freezable:
            assert not seen.frozen[-1], (
                f"Expected a backbone that trains in the last epoch with {name!r}, but it is unchanged."
            )
        if name == "freeze":
            assert all(seen.frozen), f"Expected a frozen backbone with {name!r}, but it changed: {seen.frozen}."
        resumed, _ = run(str(tmp_path / "kept" / f"epoch={_RESUMED_AFTER}.ckpt"))
        _assert_same_weights(
            whole, resumed, f"Expected a run resumed after epoch {_RESUMED_AFTER} to end as the whole one, but"
        )

    # ------------------------------------------------------------------ prediction

    def test_predictions_are_complete_and_in_order(
        self, make_data: MakeData, fitted: flash.Task, raw_inputs: Any, trainer: Trainers
    ) -> None:
        """Check that there is one result per input, in the input order, also with a smaller last batch."""
        count = len(raw_inputs)
        expected = predict_of(fitted, raw_inputs)
        assert len(expected) == count, f"Expected {count} results of task.predict, but got {len(expected)}."
        backwards = list(reversed(range(count)))
        turned = predict_of(fitted, take(raw_inputs, backwards))
        assert same([turned[row] for row in backwards], expected, TOLERANCE), (
            "Expected the results in the order of the inputs, but with the inputs reversed they do not match."
        )
        for size in (2, 3):
            data = make_data("train", "predict", batch_size=size)
            batches = trainer().predict(fitted, datamodule=data, output=output_of(fitted))
            found = flat(batches)
            assert len(found) == count, f"Expected {count} results of trainer.predict, but got {len(found)}."
            assert same(found, expected, TOLERANCE), (
                f"Expected the results of trainer.predict in the order of the inputs with batch_size={size}, but they "
                "are not those of task.predict."
            )

    def test_one_by_one_equals_batched(self, fitted: flash.Task, raw_inputs: Any) -> None:
        """Check that the prediction of an input does not depend on the other inputs of the batch."""
        expected = predict_of(fitted, raw_inputs)
        for row, result in enumerate(expected):
            (alone,) = predict_of(fitted, take(raw_inputs, [row]))
            assert same(alone, result, TOLERANCE), (
                f"Expected input {row} to be predicted alone as among others, {result}, but got {alone}."
            )

    def test_prediction_and_validation_change_nothing(
        self, make_data: MakeData, fitted: flash.Task, raw_inputs: Any, trainer: Trainers
    ) -> None:
        """Check that weights, statistics and results do not change."""
        before, first = snapshot(fitted), predict_of(fitted, raw_inputs)
        data = make_data("train", "val", "test")
        trainer().validate(fitted, datamodule=data, verbose=False)
        trainer().test(fitted, datamodule=data, verbose=False)
        again, after = predict_of(fitted, raw_inputs), snapshot(fitted)
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert not changed, f"Expected unchanged weights outside training, but {changed} changed."
        assert same(first, again), "Expected the same results of the same inputs, but the second time they differ."

    def test_all_outputs_have_one_result_an_input(self, fitted: flash.Task, raw_inputs: Any) -> None:
        """Check that each of ``available_outputs()`` returns one result per input."""
        for name in fitted.available_outputs():
            found = fitted.predict(raw_inputs, output=name)
            assert len(found) == len(raw_inputs), (
                f"Expected {len(raw_inputs)} results with output={name!r}, but got {len(found)}."
            )

    def test_bad_input_is_refused_in_words(self, fitted: flash.Task, bad_inputs: Mapping[str, Any]) -> None:
        """Check that invalid raw inputs raise a FlashError."""
        assert bad_inputs, "Expected at least one example of bad input in the fixture `bad_inputs`, but it is empty."
        for wrong, raw in bad_inputs.items():
            refuse(wrong, lambda raw=raw: fitted.predict(raw))  # type: ignore[misc]  # mypy cannot infer a default

    # ------------------------------------------------------------------ checkpoints

    def test_a_checkpoint_is_plain_data(self, trained: flash.Task) -> None:
        """Check that a checkpoint loads without executing code."""
        trained.trainer.save_checkpoint("task.ckpt")
        try:
            torch.load("task.ckpt", weights_only=True)
        except pickle.UnpicklingError as error:
            raise AssertionError(f"Expected a checkpoint of serializable values, but torch says: {error}") from error

    @tier("process")
    def test_a_new_process_loads_a_checkpoint_and_predicts_the_same(
        self, trained: flash.Task, raw_inputs: Any, tmp_path: Path
    ) -> None:
        """Check that a checkpoint alone, without a network, restores labels, preprocess and weights."""
        task = trained
        task.trainer.save_checkpoint("task.ckpt")
        results = in_clean_process(
            tmp_path, _LOAD, path=str(tmp_path / "task.ckpt"), raw=raw_inputs, outputs=[output_of(task), None]
        )
        kind, *found = results
        own = f"{type(task).__module__}.{type(task).__qualname__}"
        assert kind == own, f"Expected a checkpoint that restores a {own}, but got a {kind}."
        for output, result in zip((output_of(task), None), found, strict=True):
            expected = task.predict(raw_inputs, output=output)
            assert same(result, expected, TOLERANCE), (
                f"Expected the results of before, such as {expected[0]!r}, from the checkpoint in a new process, but "
                f"got {result[0]!r}."
            )

    def test_a_folder_for_the_hub_restores_the_task(self, trained: flash.Task, raw_inputs: Any) -> None:
        """Check that a folder of ``save_pretrained`` restores the task, which is saved again without a trainer."""
        if find_spec("safetensors") is None:  # The extra flash-core[hub]; a plugin may be tested without it.
            return
        expected = predict_of(trained, raw_inputs)
        trained.save_pretrained("folder")
        found = flash.Task.from_pretrained("folder")
        assert type(found) is type(trained), f"Expected a {type(trained).__name__}, but got a {type(found).__name__}."
        assert same(predict_of(found, raw_inputs), expected), (
            "Expected the results of before from a folder for the Hub, but they differ."
        )
        try:
            found.save_pretrained("again")
        except Exception as error:
            raise AssertionError(
                f"Expected a task without a trainer to be saved, but got {type(error).__name__}: {error}"
            ) from error
        assert Path("again", "model.safetensors").read_bytes() == Path("folder", "model.safetensors").read_bytes(), (
            "Expected the weights that were loaded to be saved again, but others were."
        )

    def test_a_pickled_copy_predicts_the_same(self, fitted: flash.Task, raw_inputs: Any) -> None:
        """Check that the task can be pickled, as multi-process training requires."""
        expected = predict_of(fitted, raw_inputs)
        found = predict_of(pickle.loads(pickle.dumps(fitted)), raw_inputs)
        assert same(found, expected, TOLERANCE), "Expected a pickled copy to predict the same, but it does not."


_LOAD = """
import torch
import flash
torch.set_num_threads(1)
task = flash.Task.load_from_checkpoint(path)
kind = f"{type(task).__module__}.{type(task).__qualname__}"
result = [kind, *(task.predict(raw, output=output) for output in outputs)]
"""


class _Gradients(Callback):
    """Record the largest gradient of each parameter."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        for name, weight in pl_module.named_parameters():
            if weight.grad is not None:
                self.largest[name] = max(self.largest.get(name, 0.0), float(weight.grad.abs().max()))


class _Backbone(Callback):
    """Record per epoch whether the modules that strategies freeze are bitwise unchanged."""

    def __init__(self) -> None:
        self.frozen: list[bool] = []

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self._before = self._weights(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        before, self._before = self._before, self._weights(pl_module)
        self.frozen.append(same(before, self._before))

    @staticmethod
    def _weights(task: flash.Task) -> list[Any]:
        return [snapshot(root) for root in as_modules(task.modules_to_freeze())]


def _assert_same_weights(one: flash.Task, other: flash.Task, expectation: str) -> None:
    first, second = snapshot(one), snapshot(other)
    differ = [name for name in first.keys() & second.keys() if not same(first[name], second[name], 1e-6)]
    differ += sorted(first.keys() ^ second.keys())
    assert not differ, f"{expectation} these weights differ: {differ}."
