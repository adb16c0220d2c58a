"""Conformance checks of finetuning strategies: freezing, unfreezing and resuming."""

from __future__ import annotations

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import nn

import flash
from flash.core.finetuning import FlashBaseFinetuning, backbone_layers, finetuning_strategies, resolve_strategy
from flash.errors import CheckpointError, FinetuningError, FlashError
from flash.testing._compare import same, snapshot
from flash.testing._conformance import Conformance, Trainers, tier
from flash.testing._toy import LAYERS, HeadOnlyTask, NestedToyTask, ToyTask, toy_data

__all__ = ["StrategyConformance"]

_EPOCHS = 4
_RESUMED_AFTER = 1


class StrategyConformance(Conformance):
    """Conformance checks of a finetuning strategy.

    It is tested on a task with a backbone of three layers, with batch norm, and a head, for four epochs. A subclass
    provides the fixture ``strategy`` and the method :meth:`trains`. To test it on another task, such as one with a
    real network, override :meth:`make_task` and :meth:`make_data` as well.

    Example:
        >>> class TestFreezeUnfreeze(StrategyConformance):
        ...     @pytest.fixture
        ...     def strategy(self):
        ...         return ("freeze_unfreeze", 2)
        ...     def trains(self, epoch):
        ...         return {0, 1, 2} if epoch >= 2 else set()
    """

    @pytest.fixture
    def strategy(self) -> Any:
        """Return the argument of ``Trainer.finetune(strategy=...)``: a name or ``(name, arguments)``; override it."""
        raise NotImplementedError("Expected a fixture `strategy` with a name, or a name and its arguments.")

    def trains(self, epoch: int) -> Collection[int]:
        """Return the indices of the backbone's layers that train in an epoch, both counted from 0; override it."""
        raise NotImplementedError("Expected a method `trains` that returns the layers that train in an epoch.")

    def make_task(self) -> flash.Task:
        """Return the task that the strategy is tested on."""
        return ToyTask()

    def make_data(self) -> flash.DataModule:
        """Return learnable data for the task, with validation data."""
        return toy_data()

    def layers(self, task: Any) -> list[nn.Module]:
        """Return the layers of the task's backbone, from input to output."""
        return backbone_layers(task)

    def _run(self, strategy: Any, trainer: Trainers, task: Any = None, **options: Any) -> tuple[Any, _Layers]:
        pl.seed_everything(5, verbose=False)
        task = self.make_task() if task is None else task
        seen = _Layers(self)
        resume = options.pop("ckpt_path", None)
        keep = options.pop("keep", None)
        callbacks = [seen] if keep is None else [seen, ModelCheckpoint(keep, filename="{epoch}", save_top_k=-1)]
        run = trainer(max_epochs=_EPOCHS, callbacks=callbacks, enable_checkpointing=keep is not None)
        run.finetune(task, self.make_data(), strategy=strategy, ckpt_path=resume)
        return task, seen

    def test_it_is_known_by_its_name(self, strategy: Any) -> None:
        """Check that ``flash strategies`` lists it with a summary."""
        name = strategy if isinstance(strategy, str) else strategy[0] if isinstance(strategy, tuple) else None
        assert isinstance(name, str), f"Expected a name, or a name and arguments, but got {strategy!r}."
        assert name in finetuning_strategies, (
            f"Expected a registered strategy {name!r}, but there is {list(finetuning_strategies)}."
        )
        summary = finetuning_strategies.entries()[name].summary
        assert summary.strip(), f"Expected a summary of the strategy {name!r}, but it has none."

    @tier("train")
    def test_what_is_frozen_rests_and_what_is_not_trains(self, strategy: Any, trainer: Trainers) -> None:
        """Check per epoch that frozen weights and BatchNorm statistics are bitwise unchanged, and others change."""
        _, seen = self._run(strategy, trainer)
        for epoch, changed in enumerate(seen.changed):
            expected = set(self.trains(epoch))
            assert changed == expected, (
                f"Expected the layers {sorted(expected)} to train in epoch {epoch}, but {sorted(changed)} changed."
            )
        assert all(seen.rest_changed), "Expected modules outside the backbone to train in each epoch, but they do not."

    @tier("train")
    def test_layers_inside_one_module_are_those_of_the_task(self, strategy: Any, trainer: Trainers) -> None:
        """Check a backbone with all layers inside one child, as in image networks: use ``self.layers``."""
        if type(self).make_task is not StrategyConformance.make_task:
            return
        _, seen = self._run(strategy, trainer, task=NestedToyTask())
        for epoch, active in enumerate(seen.active):
            expected = set(self.trains(epoch))
            assert active == expected, (
                f"Expected the layers {sorted(expected)} to train in epoch {epoch} where the backbone has them inside "
                f"one module, but {sorted(active)} do. Use the layers that self.layers(pl_module) returns."
            )

    @tier("train")
    def test_the_optimizer_holds_what_trains_once(self, strategy: Any, trainer: Trainers) -> None:
        """Check that unfrozen parameters are in the optimizer once, with a learning rate, and frozen ones are not."""
        _, seen = self._run(strategy, trainer)
        for epoch, (held, rates) in enumerate(zip(seen.held, seen.rates, strict=True)):
            expected = set(self.trains(epoch))
            twice = {layer for layer, times in held.items() if times > 1}
            assert not twice, (
                f"Expected parameters once in the optimizer, but in epoch {epoch} {twice} are in it twice."
            )
            present = {layer for layer, times in held.items() if times}
            assert present >= expected, (
                f"Expected the layers {sorted(expected)} in the optimizer in epoch {epoch}, but there are "
                f"{sorted(present)}."
            )
            assert epoch or present == expected, (
                f"Expected no frozen parameters in the optimizer at first, but the layers {sorted(present)} are in it."
            )
            assert all(rate > 0 for rate in rates), (
                f"Expected learning rates above 0 in epoch {epoch}, but got {rates}."
            )

    @tier("train")
    def test_frozen_layers_get_no_gradient_and_are_in_eval_mode(self, strategy: Any, trainer: Trainers) -> None:
        """Check that frozen layers have ``requires_grad=False`` and are in eval mode."""
        _, seen = self._run(strategy, trainer)
        for epoch, (active, training) in enumerate(zip(seen.active, seen.training, strict=True)):
            expected = set(self.trains(epoch))
            assert active == expected, (
                f"Expected gradients for the layers {sorted(expected)} in epoch {epoch}, but {sorted(active)} ask "
                "for them."
            )
            assert training == expected, (
                f"Expected the layers {sorted(expected)} in train mode in epoch {epoch}, but {sorted(training)} are."
            )

    @tier("train")
    def test_a_resumed_run_ends_as_the_whole_one(self, strategy: Any, trainer: Trainers, tmp_path: Path) -> None:
        """Check that a run resumed from an intermediate checkpoint ends with the same weights."""
        whole, _ = self._run(strategy, trainer, keep=tmp_path / "kept")
        resumed, _ = self._run(strategy, trainer, ckpt_path=str(tmp_path / "kept" / f"epoch={_RESUMED_AFTER}.ckpt"))
        assert same(snapshot(whole), snapshot(resumed), 1e-6), (
            f"Expected a run resumed after epoch {_RESUMED_AFTER} to end as the whole one, but its weights differ."
        )

    @tier("train")
    def test_what_it_remembers_comes_back(self, strategy: Any, trainer: Trainers, tmp_path: Path) -> None:
        """Check that the attributes and state of the strategy are restored when a run is resumed."""
        whole, resumed = (resolve_strategy(strategy)[0] for _ in range(2))
        self._run(whole, trainer, keep=tmp_path / "kept")
        self._run(resumed, trainer, ckpt_path=str(tmp_path / "kept" / f"epoch={_RESUMED_AFTER}.ckpt"))
        one, other = _memory(whole), _memory(resumed)
        lost = sorted(name for name in one.keys() | other.keys() if not same(one.get(name), other.get(name)))
        assert not lost, (
            f"Expected a run resumed after epoch {_RESUMED_AFTER} to end with what the strategy remembers of the whole "
            f"one, {[one.get(name) for name in lost]}, but {lost} are {[other.get(name) for name in lost]}. Keep it in "
            "self.state, which checkpoints hold."
        )

    @tier("train")
    def test_a_checkpoint_brings_the_network_back(self, strategy: Any, trainer: Trainers) -> None:
        """Check that structural changes of the strategy are applied again when a checkpoint of its run is loaded."""
        task, _ = self._run(strategy, trainer)
        task.trainer.save_checkpoint("run.ckpt")
        try:
            loaded = type(task).load_from_checkpoint("run.ckpt")
        except CheckpointError as error:
            raise AssertionError(
                f"Expected the checkpoint of a run to load, but: {error} Change the network with "
                "task.change_structure, which checkpoints record."
            ) from error
        assert same(snapshot(task), snapshot(loaded)), "Expected a checkpoint to restore all weights, but it does not."

    @tier("train")
    def test_a_second_run_on_the_same_task_starts_clean(self, strategy: Any, trainer: Trainers) -> None:
        """Check that layers that the first run unfroze are frozen again."""
        task, first = self._run(strategy, trainer)
        _, second = self._run(strategy, trainer, task=task)
        assert first.active == second.active, (
            f"Expected the second run to freeze as the first, {first.active}, but it trained {second.active}."
        )

    @tier("train")
    def test_one_object_serves_two_runs(self, strategy: Any, trainer: Trainers) -> None:
        """Check that a strategy object keeps no state of a previous run."""
        made = resolve_strategy(strategy)[0]
        runs = [self._run(made, trainer)[1] for _ in range(2)]
        assert runs[0].active == runs[1].active, (
            f"Expected the second run to freeze as the first, {runs[0].active}, but it trained {runs[1].active}."
        )

    @tier("train")
    def test_nothing_to_freeze_is_an_error(self, strategy: Any, trainer: Trainers) -> None:
        """Check that a strategy that freezes raises an error for a task without a backbone."""
        if set(self.trains(0)) == set(range(LAYERS)):
            self._run(strategy, trainer)
            return
        try:
            trainer().finetune(HeadOnlyTask(), toy_data(), strategy=strategy)
        except FinetuningError as error:
            assert len(str(error).split()) >= 4, f"Expected a sentence that says what is wrong, but got {str(error)!r}."
        else:
            raise AssertionError("Expected a FinetuningError for a task without a backbone, but it was trained.")

    def test_unknown_arguments_are_refused_in_words(self, strategy: Any) -> None:
        """Check that a misspelled argument raises a FlashError."""
        name = strategy if isinstance(strategy, str) else strategy[0]
        with pytest.raises(FlashError):
            resolve_strategy((name, {"no_such_argument": 1}))

    @tier("train")
    def test_a_pickled_copy_freezes_alike(self, strategy: Any, trainer: Trainers) -> None:
        """Check that the strategy can be pickled, as multi-process training requires."""
        made = pickle.loads(pickle.dumps(resolve_strategy(strategy)[0]))
        _, seen = self._run(made, trainer)
        assert seen.active[0] == set(self.trains(0)), (
            f"Expected a pickled copy to train the layers {set(self.trains(0))} at first, but it trains "
            f"{seen.active[0]}."
        )


def _memory(strategy: Any) -> dict[str, Any]:
    """Return the state of a strategy and the serializable values among its own attributes."""
    shared = vars(FlashBaseFinetuning()) if isinstance(strategy, FlashBaseFinetuning) else {}
    plain = (bool, int, float, str, list, tuple, dict)
    own = {name: each for name, each in vars(strategy).items() if name not in shared and isinstance(each, plain)}
    return {**own, **(strategy.state if isinstance(strategy, FlashBaseFinetuning) else strategy.state_dict())}


class _Layers(Callback):
    """Record per epoch which layers change, require gradients, are in train mode, and are in the optimizer."""

    def __init__(self, suite: StrategyConformance) -> None:
        self.suite = suite
        self.changed: list[set[int]] = []
        self.rest_changed: list[bool] = []
        self.active: list[set[int]] = []
        self.training: list[set[int]] = []
        self.held: list[dict[int, int]] = []
        self.rates: list[list[float]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx:
            return
        layers = self.suite.layers(pl_module)
        weights = [list(layer.parameters()) for layer in layers]
        self.active.append(
            {place for place, each in enumerate(weights) if any(weight.requires_grad for weight in each)}
        )
        # A layer may be a container that groups modules from elsewhere in the task.
        own = {id(module) for module in pl_module.modules()}
        modes = [[module.training for module in layer.modules() if id(module) in own] for layer in layers]
        self.training.append({place for place, mode in enumerate(modes) if any(mode)})
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        held = [id(weight) for group in groups for weight in group["params"]]
        self.held.append({place: max(held.count(id(weight)) for weight in each) for place, each in enumerate(weights)})
        self.rates.append([float(group["lr"]) for group in groups])
        self._before = self._weights(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        before, after = self._before, self._weights(pl_module)
        self.changed.append({place for place in range(len(before) - 1) if not same(before[place], after[place])})
        self.rest_changed.append(not same(before[-1], after[-1]))

    def _weights(self, task: Any) -> list[Any]:
        """Return copies of the weights of each layer, and of all parameters outside them."""
        layers = self.suite.layers(task)
        inside = {id(value) for layer in layers for value in [*layer.parameters(), *layer.buffers()]}
        rest = {name: value.detach().clone() for name, value in task.named_parameters() if id(value) not in inside}
        return [*map(snapshot, layers), rest]
