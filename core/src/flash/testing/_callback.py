"""Conformance checks of callbacks."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

import flash
from flash.plugins import get_host
from flash.testing._compare import flat, same, snapshot
from flash.testing._conformance import Conformance, Trainers, tier
from flash.testing._toy import ToyTask, toy_data

__all__ = ["CallbackConformance"]

_EPOCHS = 3


class CallbackConformance(Conformance):
    """Conformance checks of a callback that is selected by name, or that every trainer adds.

    It is tested on a small classifier, or on the task and data of :meth:`make_task` and :meth:`make_data`. A subclass
    sets ``name``, and, if the callback takes arguments, provides the fixture ``arguments``.

    Example:
        >>> class TestKeepBest(CallbackConformance):
        ...     name = "keep_best"
        ...     changes_training = True  # It restores the weights of another epoch.
    """

    #: The name of the callback for ``Trainer(callbacks=[...])``.
    name: ClassVar[str] = ""
    #: Whether it changes the training result; otherwise a run with it must end with the same weights as one without.
    changes_training: ClassVar[bool] = False
    #: Keys of its state that differ from run to run, such as durations.
    varies: ClassVar[Collection[str]] = ()

    @pytest.fixture
    def arguments(self) -> Mapping[str, Any]:
        """Return the arguments of its factory; by default none."""
        return {}

    def make_task(self) -> flash.Task:
        """Return the task that it is tested on."""
        return ToyTask()

    def make_data(self) -> flash.DataModule:
        """Return the data of all stages for the task."""
        return toy_data()

    def _run(self, trainer: Trainers, callbacks: list[Any], **options: Any) -> tuple[flash.Task, flash.Trainer]:
        pl.seed_everything(5, verbose=False)
        task, data = self.make_task(), self.make_data()
        resume = options.pop("ckpt_path", None)
        run = trainer(**{"max_epochs": _EPOCHS, "callbacks": callbacks, "plugin_callbacks": False, **options})
        run.fit(task, datamodule=data, ckpt_path=resume)
        return task, run

    def _made(self, arguments: Mapping[str, Any]) -> Callback:
        made: Callback = get_host().callbacks()[self.name].load()(**arguments)
        return made

    def _state(self, callback: Callback) -> dict[str, Any]:
        return {name: value for name, value in callback.state_dict().items() if name not in self.varies}

    def test_it_is_known_by_its_name(self, arguments: Mapping[str, Any], trainer: Trainers) -> None:
        """Check that a trainer creates it by name, and that it has a summary."""
        known = get_host().callbacks()
        assert self.name in known, f"Expected {self.name!r} among the callbacks, {sorted(known)}, but it is not."
        assert known[self.name].spec.summary.strip(), f"Expected a summary of {self.name!r}, but it has none."
        made = known[self.name].load()(**arguments)
        assert isinstance(made, Callback), f"Expected a Lightning callback, but got a {type(made).__name__}."
        held = [
            type(each) for each in trainer(callbacks=[(self.name, dict(arguments))], plugin_callbacks=False).callbacks
        ]
        assert type(made) in held, f"Expected a trainer to have {self.name!r} when it is asked for, but it has {held}."

    def test_every_trainer_gets_it_if_it_says_so(self, trainer: Trainers) -> None:
        """Check that an automatic callback needs no arguments, and that ``plugin_callbacks=False`` disables it."""
        if not get_host().callbacks()[self.name].spec.automatic:
            return
        try:
            made = self._made({})
        except Exception as error:
            raise AssertionError(
                f"Expected every trainer to get {self.name!r} without arguments, but it cannot be made: "
                f"{type(error).__name__}: {error}"
            ) from error
        held = {each: [type(other) for other in trainer(plugin_callbacks=each).callbacks] for each in (True, False)}
        assert type(made) in held[True], f"Expected every trainer to get {self.name!r}, but it has {held[True]}."
        assert type(made) not in held[False], f"Expected plugin_callbacks=False to leave out {self.name!r}."

    def test_all_stages_run_with_it(self, arguments: Mapping[str, Any], trainer: Trainers) -> None:
        """Check training, validation, test and prediction, without a logger and without checkpoints."""
        task, run = self._run(trainer, [self._made(arguments)], max_epochs=1)
        data = self.make_data()
        run.validate(task, datamodule=data, verbose=False)
        run.test(task, datamodule=data, verbose=False)
        found, size = flat(run.predict(task, datamodule=data)), len(data.predict_dataset)
        assert len(found) == size, f"Expected {size} predictions with {self.name!r}, but got {len(found)}."

    @tier("train")
    def test_a_run_with_it_ends_as_one_without(self, arguments: Mapping[str, Any], trainer: Trainers) -> None:
        """Check that a passive callback changes no weights and draws no random numbers."""
        if self.changes_training:
            return
        with_it, _ = self._run(trainer, [self._made(arguments)])
        after_it = torch.rand(1)
        without, _ = self._run(trainer, [])
        assert same(snapshot(with_it), snapshot(without)), (
            f"Expected a run with {self.name!r} to end as one without it, but the weights differ. Set "
            "changes_training = True if that is its purpose."
        )
        assert same(after_it, torch.rand(1)), (
            f"Expected {self.name!r} to draw no random numbers of torch, but it does. Use a generator of its own."
        )

    @tier("train")
    def test_its_state_is_plain_and_comes_back(
        self, arguments: Mapping[str, Any], trainer: Trainers, tmp_path: Path
    ) -> None:
        """Check that its state is serializable, and is restored when a run is resumed."""
        keep = ModelCheckpoint(tmp_path / "kept", filename="{epoch}", save_top_k=-1)
        whole, resumed = (self._made(arguments) for _ in range(2))
        task, _ = self._run(trainer, [whole, keep], enable_checkpointing=True)
        at_end = self._state(whole)
        path = tmp_path / "kept" / "epoch=0.ckpt"
        try:
            torch.load(path, weights_only=True)
        except pickle.UnpicklingError as error:
            raise AssertionError(
                f"Expected serializable values in the state of {self.name!r}, but torch says: {error}"
            ) from error
        again, _ = self._run(trainer, [resumed], ckpt_path=str(path))
        assert same(self._state(resumed), at_end), (
            f"Expected the state of {self.name!r} after a resumed run to be that of the whole one, {at_end}, but it is "
            f"{self._state(resumed)}. Return it from state_dict, and restore it in load_state_dict."
        )
        assert same(snapshot(again), snapshot(task), 1e-6), (
            f"Expected a run resumed with {self.name!r} to end as the whole one, but its weights differ."
        )

    @tier("train")
    def test_one_object_serves_two_runs(self, arguments: Mapping[str, Any], trainer: Trainers) -> None:
        """Check that a callback object keeps no state of a previous run."""
        made = self._made(arguments)
        (first, _), one = self._run(trainer, [made]), self._state(made)
        (second, _), other = self._run(trainer, [made]), self._state(made)
        assert same(snapshot(first), snapshot(second)), (
            f"Expected a second run with the same object of {self.name!r} to end as the first, but its weights differ."
        )
        assert same(one, other), (
            f"Expected {self.name!r} to reset its state in each run, but after a second one it has {other}."
        )

    def test_a_pickled_copy_runs(self, arguments: Mapping[str, Any], trainer: Trainers) -> None:
        """Check that the callback can be pickled, as multi-process training requires."""
        self._run(trainer, [pickle.loads(pickle.dumps(self._made(arguments)))], max_epochs=1)
