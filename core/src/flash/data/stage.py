"""The four stages that data goes through."""

from __future__ import annotations

from enum import Enum

__all__ = ["Stage"]


class Stage(str, Enum):
    """What a sample is used for; its value is the prefix of the hooks that serve only this stage.

    Example:
        >>> Stage.TRAIN.value
        'train'
    """

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    PREDICT = "predict"
