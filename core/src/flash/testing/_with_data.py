"""Fixtures that checks of data modules and of tasks share, and functions to compare samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from torch.utils._pytree import tree_leaves

import flash
from flash.errors import FlashError
from flash.testing._compare import flat, same
from flash.testing._conformance import Conformance

__all__ = [
    "STAGES",
    "Constructor",
    "Constructors",
    "MakeData",
    "Parts",
    "WithData",
    "WithSamples",
    "batches_of",
    "dataset_of",
    "equal_samples",
    "maker",
    "refuse",
    "same_samples",
]

#: Creates a data module from the arguments of some stages: ``make_data("train", "val", batch_size=3)``.
MakeData = Callable[..., flash.DataModule]
#: Arguments of a constructor, by stage or by a description of the error.
Parts = Mapping[str, Mapping[str, Any]]
Constructor = Callable[..., flash.DataModule]
#: Constructors by name, each with its arguments by stage.
Constructors = Mapping[str, tuple[Constructor, Parts]]

STAGES = ("train", "val", "test", "predict")


class WithSamples(Conformance):
    """Checks that compare the samples of a data module."""

    def samples_of(self, batch: Any) -> list[Any]:
        """Split a batch into comparable samples, without padding.

        By default row ``i`` of each tensor of the batch belongs to sample ``i``.
        """
        leaves = tree_leaves(batch)
        return [[leaf[row] for leaf in leaves] for row in range(len(leaves[0]))]

    def samples(self, data: flash.DataModule, stage: str) -> list[Any]:
        """Return all samples of a stage, in the order of its batches."""
        return flat(self.samples_of(batch) for batch in batches_of(data, stage))


class WithData(WithSamples):
    """Checks that need data, with the fixtures ``constructor`` and ``parts``."""

    @pytest.fixture
    def constructor(self) -> Constructor:
        """Return the constructor of the data module, such as ``AudioData.from_files``; override it in your subclass."""
        raise NotImplementedError("Expected a fixture `constructor` that returns the constructor of the data module.")

    @pytest.fixture
    def parts(self) -> Parts:
        """Return the constructor's arguments by stage; override it in your subclass.

        The keys are ``train``, ``val``, ``test`` and ``predict``, and ``options`` for shared arguments. The data must
        be learnable for the task. Train has at least 24 samples, the others 5 or more.
        """
        raise NotImplementedError("Expected a fixture `parts` with the constructor's arguments by stage.")

    @pytest.fixture
    def constructors(self) -> Constructors:
        """Return the other constructors of the data module, each with its arguments by stage; by default none.

        Such as ``{"from_folders": (AudioData.from_folders, {"train": {"train_folder": ...}, ...})}``. The data is that
        of ``parts`` in another form: the samples have to be the same, in any order.
        """
        return {}

    @pytest.fixture
    def augmented(self) -> Mapping[str, Any]:
        """Return the options of the constructor that enable random augmentation; by default none."""
        return {}

    @pytest.fixture
    def make_data(self, constructor: Constructor, parts: Parts) -> MakeData:
        """Return a function that creates a data module from the arguments of some stages."""
        return maker(constructor, parts)


def maker(constructor: Constructor, parts: Parts) -> MakeData:
    """Return a function that creates a data module from the arguments of some stages."""

    def make(*stages: str, **options: Any) -> flash.DataModule:
        chosen = [copy.deepcopy(parts[stage]) for stage in ("options", *stages) if stage in parts]
        arguments = {name: value for part in chosen for name, value in part.items()}
        return constructor(**{**arguments, "batch_size": 4, "seed": 0, **options})

    return make


def refuse(wrong: str, action: Callable[[], Any]) -> None:
    """Assert that an action raises a FlashError with a sentence as message."""
    try:
        action()
    except FlashError as error:
        words = str(error).split()
        assert len(words) >= 4, f"Expected a sentence that says what is wrong where {wrong}, but got {str(error)!r}."
    except Exception as error:
        text = f"Expected a FlashError where {wrong}, but got a {type(error).__name__}: {error}"
        raise AssertionError(text) from error
    else:
        raise AssertionError(f"Expected a FlashError where {wrong}, but it went through.")


def batches_of(data: flash.DataModule, stage: str, context: Any = None, loader: Any = None) -> Iterable[Any]:
    """Yield the batches of a stage after the transforms on the device."""
    loader = getattr(data, f"{stage}_dataloader")() if loader is None else loader
    if context is not None:
        loader.multiprocessing_context = context
    hooks = getattr(dataset_of(data, stage), "hooks", None)
    return (batch if hooks is None else hooks.transform_on_device(batch) for batch in loader)


def dataset_of(data: flash.DataModule, stage: str) -> Any:
    """Return the dataset of a stage, loading it if necessary."""
    return getattr(data, f"{stage}_dataset")


def equal_samples(one: list[Any], other: list[Any]) -> bool:
    """Return whether two lists have the same samples in the same order."""
    return same(one, other, 1e-5)


def same_samples(one: list[Any], other: list[Any]) -> bool:
    """Return whether two lists have the same samples, in any order."""
    rest = list(other)
    for sample in one:
        place = next((place for place, each in enumerate(rest) if same(sample, each, 1e-5)), None)
        if place is None:
            return False
        del rest[place]
    return not rest
