"""StageTransforms: the transforms that a user passes, one for each stage or one for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flash.data.stage import Stage
from flash.errors import CheckpointError, ConfigurationError

from .albumentations import as_callable
from .transforms import describe

__all__ = ["TRANSFORMS", "OwnTransform", "StageTransforms", "lost_transforms"]

#: The arguments of transforms.
TRANSFORMS = ("transform", "train_transform", "val_transform", "test_transform", "predict_transform")

# The arguments that say how the images of a stage are made; the first that is passed counts. What is validated is what
# is tested and predicted, unless the user says otherwise.
_ARGUMENTS = {
    Stage.TRAIN: ("train_transform", "transform"),
    Stage.VAL: ("val_transform", "transform"),
    Stage.TEST: ("test_transform", "val_transform", "transform"),
    Stage.PREDICT: ("predict_transform", "val_transform", "transform"),
}


class OwnTransform(NamedTuple):
    """A transform of the user, and the argument that it was passed as."""

    argument: str
    function: Callable[..., Any]


class StageTransforms:
    """The transforms that a user passes, by their arguments.

    ``transform`` is for all stages, and ``train_transform``, ``val_transform``, ``test_transform`` and
    ``predict_transform`` for one. Test data and inputs to predict without one of their own get that of validation data.

    Args:
        given: The transforms by the names of these arguments; ``None`` for those that were not passed.
        makes: What such a transform does, in words.
        advice: The end of the message for something that is no transform.

    Raises:
        ConfigurationError: If one cannot be called.

    Example:
        >>> own = StageTransforms({"train_transform": abs, "val_transform": round}, "a callable", "")
        >>> [own.argument_of(stage) for stage in Stage]
        ['train_transform', 'val_transform', 'val_transform', 'val_transform']
    """

    def __init__(self, given: Mapping[str, Any], makes: str, advice: str) -> None:
        for name, transform in given.items():
            if transform is not None and not callable(transform):
                raise ConfigurationError(
                    f"Expected {name} to be {makes}, but got {transform!r}. {advice.format(name=name)}"
                )
        self._given = {name: as_callable(each) for name, each in given.items() if each is not None}

    def of(self, stage: Stage) -> OwnTransform | None:
        """Return the transform of a stage; ``None`` if it has the network's own."""
        name = self.argument_of(stage)
        return None if name is None else OwnTransform(name, self._given[name])

    def argument_of(self, stage: Stage) -> str | None:
        """Return the argument that says how images of a stage are made; ``None`` if none was passed."""
        return next((name for name in _ARGUMENTS[stage] if name in self._given), None)

    def described(self) -> dict[str, str | None]:
        """Return a description of each transform by its argument, which a checkpoint holds in place of its code."""
        return {name: describe(self._given.get(name)) for name in TRANSFORMS}


def lost_transforms(state: Mapping[str, Any], own: Callable[[Stage], Any], owner: str) -> dict[Stage, str]:
    """Return what is lost of the transforms of a checkpoint, as a sentence for validation and for test data.

    Args:
        state: What :meth:`StageTransforms.described` returned for the task that was trained.
        own: Returns the transform of a stage that was passed again; ``None`` if there is none.
        owner: The name of the class that has to be made with the transform.

    Raises:
        CheckpointError: If it is what makes the inputs to predict.
    """
    found: dict[Stage, str] = {}
    for stage in (Stage.VAL, Stage.TEST, Stage.PREDICT):
        argument = next((name for name in _ARGUMENTS[stage] if state.get(name) is not None), None)
        if argument is not None and own(stage) is None:
            found[stage] = (
                f"Expected the {argument} that the task was trained with, {state[argument]}, but a checkpoint "
                f"cannot hold its code. Pass it: load_from_checkpoint(path, preprocess={owner}({argument}=...))."
            )
    if Stage.PREDICT in found:
        raise CheckpointError(found[Stage.PREDICT])
    return found
