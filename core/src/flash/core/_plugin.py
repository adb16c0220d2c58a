"""What flash-core itself gives, through the same hooks as any plugin."""

from __future__ import annotations

from collections.abc import Iterable

from flash.plugins import CallbackSpec, Strategy, hookimpl


@hookimpl
def flash_finetuning_strategies() -> Iterable[Strategy]:
    """The four strategies that are always there."""
    home = "flash.core.finetuning"
    yield Strategy("no_freeze", f"{home}:NoFreeze", "Train everything from the start.")
    yield Strategy("freeze", f"{home}:Freeze", "Keep the backbone frozen; train the rest.")
    yield Strategy(
        "freeze_unfreeze",
        f"{home}:FreezeUnfreeze",
        "Keep the backbone frozen up to an epoch, then train everything.",
    )
    yield Strategy(
        "unfreeze_milestones",
        f"{home}:UnfreezeMilestones",
        "Thaw the last layers at one epoch, the others at a later one.",
    )


@hookimpl
def flash_callbacks() -> Iterable[CallbackSpec]:
    """Callbacks that a Trainer can be given by name."""
    yield CallbackSpec(
        "keep_best", "flash.core.callbacks:KeepBest", "Leave the task with the weights of its best epoch."
    )
