"""Conformance checks of data modules."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
import torch

import flash
from flash.data.auto_dataset import AutoDataset
from flash.data.stage import Stage
from flash.data.streams import load_dataset
from flash.errors import FlashError
from flash.serialization import describe, instantiate
from flash.testing._augmentation import AugmentationChecks
from flash.testing._compare import flat, same
from flash.testing._conformance import tier
from flash.testing._constructors import ConstructorChecks
from flash.testing._process import clean_context
from flash.testing._with_data import (
    STAGES,
    Constructor,
    MakeData,
    Parts,
    batches_of,
    dataset_of,
    equal_samples,
    refuse,
    same_samples,
)

__all__ = ["DataModuleConformance"]

# The samples of a stage that are divided, and the pieces of each.
_DIVIDED, _MOST_PIECES = 3, 9


class DataModuleConformance(AugmentationChecks, ConstructorChecks):
    """Conformance checks of a data module.

    A subclass provides the fixtures ``constructor``, ``parts`` and ``bad_parts``; ``constructors``, if there are
    others; and ``augmented``, if there is augmentation. Batches are compared sample by sample; if the tensors of a
    batch do not have one row per sample, override :meth:`samples_of`.

    Example:
        >>> class TestTensors(DataModuleConformance):
        ...     @pytest.fixture
        ...     def constructor(self):
        ...         return flash.DataModule.from_tensors
        ...     @pytest.fixture
        ...     def parts(self):
        ...         x, y = torch.randn(30, 2), torch.arange(30) % 2
        ...         return {
        ...             "train": {"train_data": x, "train_targets": y},
        ...             "val": {"val_data": x[:7], "val_targets": y[:7]},
        ...             "test": {"test_data": x[:7], "test_targets": y[:7]},
        ...             "predict": {"predict_data": x[:7]},
        ...         }
        ...     @pytest.fixture
        ...     def bad_parts(self):
        ...         return {"targets are missing": {"train_data": torch.randn(3, 2)}}
    """

    @pytest.fixture
    def bad_parts(self) -> Parts:
        """Return arguments that the constructor must reject, by a description of the error; override it."""
        raise NotImplementedError("Expected a fixture `bad_parts` with arguments that have to be refused.")

    def test_each_stage_has_each_sample_once(self, make_data: MakeData) -> None:
        """Check that batches of any size contain each sample of a stage once; the last batch may be smaller."""
        for stage in STAGES[1:]:
            size = len(dataset_of(make_data("train", stage), stage))
            found = []
            for batch_size in (2, 3):
                data = make_data("train", stage, batch_size=batch_size)
                batches = list(batches_of(data, stage))
                expected = math.ceil(size / batch_size)
                assert len(batches) == expected, (
                    f"Expected {expected} batches of the {size} {stage} samples with batch_size={batch_size}, but got "
                    f"{len(batches)}."
                )
                found.append(flat(map(self.samples_of, batches)))
                assert len(found[-1]) == size, (
                    f"Expected {size} {stage} samples in the batches, but got {len(found[-1])}."
                )
            in_order = stage == "predict"
            assert equal_samples(*found) if in_order else same_samples(*found), (
                f"Expected the same {stage} samples{' in the same order' if in_order else ''} with any batch size, but "
                "they differ."
            )

    def test_an_epoch_has_each_train_sample_once_in_an_order_of_the_seed(self, make_data: MakeData) -> None:
        """Check that train samples are shuffled reproducibly by seed, and that none is lost or repeated."""
        first, again, other = (make_data("train", seed=seed) for seed in (0, 0, 1))
        size = len(first.train_dataset)
        one, same_seed, other_seed = (self.samples(data, "train") for data in (first, again, other))
        assert len(one) in {size, size - 1}, f"Expected the {size} train samples in an epoch, but got {len(one)}."
        assert equal_samples(one, same_seed), "Expected one order of the train samples for one seed, but got two."
        assert not equal_samples(one, other_seed), (
            "Expected the order of the train samples to depend on the seed, but it does not."
        )
        if len(one) == size:
            assert same_samples(one, other_seed), "Expected each train sample once in an epoch, but some are missing."

    def test_a_set_smaller_than_a_batch_is_one_batch(self, make_data: MakeData) -> None:
        """Check that a large batch size loses no samples."""
        data = make_data("train", "val", batch_size=1000)
        for stage in ("train", "val"):
            sizes = [len(self.samples_of(batch)) for batch in batches_of(data, stage)]
            size = len(dataset_of(data, stage))
            assert sizes == [size], f"Expected one batch of all {size} {stage} samples, but got batches of {sizes}."

    def test_what_is_learned_comes_from_the_train_data_alone(self, make_data: MakeData) -> None:
        """Check that validation, test and prediction data change no statistics, labels or train batches."""
        alone, beside = make_data("train"), make_data(*STAGES)
        for stage in STAGES:
            dataset_of(beside, stage)
        one, other = _state(alone), _state(beside)
        assert same(one, other), f"Expected to learn from train data alone, {one}, but with other data it is {other}."
        assert same(alone.facts, beside.facts), (
            f"Expected facts of the train data alone, {alone.facts}, but with other data they are {beside.facts}."
        )
        assert equal_samples(self.samples(alone, "train"), self.samples(beside, "train")), (
            "Expected the same train batches whatever other data there is, but they differ."
        )

    def test_what_is_learned_is_plain_data_that_another_preprocess_takes_over(self, make_data: MakeData) -> None:
        """Check that the state of the preprocess is serializable, and restores an equal one."""
        preprocess = make_data("train").preprocess
        if preprocess is None:
            return
        state = preprocess.state_dict()
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        try:
            loaded = torch.load(file, weights_only=True)
        except pickle.UnpicklingError as error:
            raise AssertionError(
                f"Expected serializable values in the preprocess's state_dict, but torch says: {error}"
            ) from error
        fresh = instantiate(describe(preprocess), type(preprocess), {}, source=type(preprocess).__name__)
        fresh.load_state_dict(loaded)
        assert same(fresh.state_dict(), state), (
            f"Expected load_state_dict to restore what state_dict returned, {state}, but got {fresh.state_dict()}."
        )

    def test_what_users_hand_in_stays_as_it_was(self, constructor: Constructor, parts: Parts) -> None:
        """Check that the constructor does not modify its arguments, and is reproducible."""
        arguments = {**parts.get("options", {}), **parts["train"], **parts["test"], "batch_size": 4, "seed": 0}
        before = copy.deepcopy(arguments)
        first, second = (self.samples(constructor(**arguments), "test") for _ in range(2))
        assert equal_samples(first, second), (
            "Expected the same batches of the same arguments, but the second time they differ."
        )
        changed = [name for name in before if not _is_as_before(before[name], arguments[name])]
        assert not changed, f"Expected the constructor to leave its arguments as they were, but it changed {changed}."

    def test_a_validation_split_is_seeded_and_not_empty(self, make_data: MakeData) -> None:
        """Check that ``val_split`` moves samples from the train to the validation data, reproducibly by seed."""
        whole = len(make_data("train").train_dataset)
        one, again = (make_data("train", val_split=0.25) for _ in range(2))
        sizes = len(one.train_dataset), len(one.val_dataset)
        assert sum(sizes) == whole, f"Expected {whole} samples split in two, but got {sizes}."
        assert min(sizes) > 0, f"Expected samples on both sides of the split, but got {sizes}."
        assert equal_samples(self.samples(one, "val"), self.samples(again, "val")), (
            "Expected one split of one seed, but got two."
        )

    def test_a_split_learns_from_its_train_rows_alone(
        self, make_data: MakeData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Check that statistics are not computed from rows that ``val_split`` moves to validation."""
        seen: dict[str, Any] = {}
        split = flash.DataModule._split

        def noted(module: Any, given: Any, *arguments: Any) -> Any:
            seen["preprocess"] = copy.deepcopy(module.preprocess)
            parts = split(module, given, *arguments)
            seen["train"] = copy.deepcopy(parts[Stage.TRAIN])
            return parts

        with monkeypatch.context() as patch:
            patch.setattr(flash.DataModule, "_split", noted)
            data = make_data("train", val_split=0.25)
        alone = seen["preprocess"]
        if alone is None:
            return
        before = alone.state_dict()
        assert not before, (
            f"Expected nothing that is learned before the split, but the preprocess has learned {before}."
        )
        load_dataset(seen["train"], Stage.TRAIN, alone)
        dataset_of(data, "val")
        found = _state(data)
        assert same(found, alone.state_dict()), (
            f"Expected to learn from the train rows of the split alone, {alone.state_dict()}, but with validation rows "
            f"beside them it is {found}."
        )

    @tier("process")
    def test_two_workers_give_the_same_batches(self, make_data: MakeData) -> None:
        """Check that datasets and hooks can be pickled to fresh worker processes."""
        expected = self.samples(make_data("train", "val"), "val")
        data = make_data("train", "val", num_workers=2, persistent_workers=False)
        found = flat(self.samples_of(batch) for batch in batches_of(data, "val", context=clean_context()))
        assert equal_samples(expected, found), "Expected the same batches from two workers, but they differ."

    def test_a_pickled_copy_gives_the_same_batches(self, make_data: MakeData) -> None:
        """Check that the data module can be pickled, as multi-process training requires."""
        data = make_data("train", "val")
        copied = pickle.loads(pickle.dumps(data))
        assert equal_samples(self.samples(data, "val"), self.samples(copied, "val")), (
            "Expected the same batches of a pickled copy, but they differ."
        )

    def test_each_sample_can_be_shown_to_a_person(self, make_data: MakeData) -> None:
        """Check that ``display`` returns text, values by name or an image for each sample, for any rows."""
        data = make_data(*STAGES)
        for stage in STAGES:
            dataset = dataset_of(data, stage)
            if not isinstance(dataset, AutoDataset) or not _is_prepared(dataset):
                continue
            # Raises an error if a value is of another type.
            shown = dataset.display(range(len(dataset)))
            assert not any(isinstance(value, dict) and not value for value in shown), (
                f"Expected display to show each {stage} sample, but it returned an empty dict."
            )
            last = [len(dataset) - 1, 0]
            assert same(dataset.display(last), [shown[row] for row in last]), (
                f"Expected display to return the {stage} samples of the rows that it was asked for, but it did not."
            )
            assert same(dataset.subset(last, Stage(stage)).display([0]), [shown[last[0]]]), (
                f"Expected display to show the samples of a subset of the {stage} data, but it showed others."
            )

    def test_a_sample_without_some_of_its_pieces_is_a_sample(self, make_data: MakeData) -> None:
        """Check the hook ``pieces``, if there is one: places in what is shown, samples that change by what is left out.

        Without no piece, it is the sample as it was.
        """
        data = make_data(*STAGES)
        for stage in STAGES[1:]:
            dataset = dataset_of(data, stage)
            if not isinstance(dataset, AutoDataset) or not _is_prepared(dataset):
                continue
            changes, count = False, 0
            for row in range(min(len(dataset), _DIVIDED)):
                # Raises an error if a place is not inside of what is shown.
                pieces = dataset.pieces(row, _MOST_PIECES)
                if pieces is None:
                    continue
                count += len(pieces.places)
                assert same(dataset.display([row]), [pieces.shown]), (
                    f"Expected pieces of what display shows of the {stage} samples, but pieces shows something else."
                )
                assert len(pieces.places) <= _MOST_PIECES, (
                    f"Expected at most {_MOST_PIECES} pieces, but got {len(pieces.places)} of a {stage} sample."
                )
                without = dataset.without_pieces(pieces, [[], *([place] for place in range(len(pieces.places)))])
                assert len(without) == len(pieces.places) + 1, (
                    f"Expected one {stage} sample for each collection of pieces, {len(pieces.places) + 1}, but got "
                    f"{len(without)}."
                )
                whole, *others = (without[place] for place in range(len(without)))
                assert same(whole, dataset[row]), (
                    f"Expected a {stage} sample without no piece to be as it was, but it differs."
                )
                changes = changes or any(not same(each, whole) for each in others)
                has_target = stage != "predict" and isinstance(whole, tuple) and len(whole) == 2
                assert not has_target or all(same(each[1], whole[1]) for each in others), (
                    f"Expected a {stage} sample without a piece to keep its target, but it has another."
                )
            assert changes or not count, (
                f"Expected {stage} samples that change if a piece is left out, but none of {count} pieces changes them."
            )

    def test_bad_data_is_refused_in_words(self, constructor: Constructor, parts: Parts, bad_parts: Parts) -> None:
        """Check that invalid data raises a FlashError in the constructor, or at the latest when it is loaded."""
        assert bad_parts, "Expected at least one example of bad data in the fixture `bad_parts`, but it is empty."
        for wrong, arguments in bad_parts.items():

            def read(arguments: Mapping[str, Any] = arguments) -> None:
                data = constructor(**{**parts.get("options", {}), **arguments})
                for stage in STAGES:
                    if dataset_of(data, stage) is not None:
                        list(batches_of(data, stage))

            refuse(wrong, read)


def _state(data: flash.DataModule) -> dict[str, Any]:
    return {} if data.preprocess is None else data.preprocess.state_dict()


def _is_prepared(dataset: AutoDataset) -> bool:
    """Return whether the samples can be accessed, which some can be only once a task is connected."""
    try:
        dataset.samples[0]
    except FlashError:
        return False
    return True


def _is_as_before(before: Any, after: Any) -> bool:
    return bool(before.equals(after)) if hasattr(before, "equals") else same(before, after)
