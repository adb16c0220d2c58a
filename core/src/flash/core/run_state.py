"""Check the state of a run in a checkpoint, and explain what cannot be restored: for trainers and solvers alike."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from flash.errors import CheckpointError, FlashError

__all__ = ["AVERAGED", "check_counts", "check_optimizer", "check_run", "check_schedule", "explaining_damage"]

#: The entry of a checkpoint that says that the weights of the task are an average; a callback has the trained ones.
AVERAGED = "averaged_weights"

# The module of Lightning that restores a run, and the prefix of those that step an optimizer.
_RESTORES, _STEPS, _TORCH = "pytorch_lightning.trainer.connectors.checkpoint_connector", "torch.optim", "torch"
_VERSION = "pytorch-lightning_version"
_COUNTS = frozenset({"ready", "started", "processed", "completed"})


def check_run(checkpoint: Mapping[str, Any], source: object) -> None:
    """Check what each checkpoint of a trainer has, before anything is restored from it.

    Args:
        checkpoint: What the file holds.
        source: Its path or URL.

    Raises:
        CheckpointError: If something is missing, or is not what a trainer writes.

    Example:
        >>> check_run({"weight": 1}, "weights.pth")
        Traceback (most recent call last):
        ...
        flash.errors.CheckpointError: Expected a checkpoint that a Trainer saved, to resume from, but weights.pth \
holds something else, such as weights alone. Load weights with task.load_state_dict(torch.load(path, \
weights_only=True)), and a folder of save_pretrained with flash.Task.from_pretrained(folder).
    """
    if _VERSION not in checkpoint:
        raise CheckpointError(_no_run(source))
    checks: dict[str, Callable[[Any], bool]] = {
        _VERSION: _is_version,
        "epoch": _is_count,
        "global_step": _is_count,
        "state_dict": lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value),
        "loops": _are_loops,
        "callbacks": lambda value: isinstance(value, dict),
        "optimizer_states": _are_dicts,
        "lr_schedulers": _are_dicts,
    }
    # Those that weights alone, and versions before 2.0, may lack.
    optional = {"callbacks", "optimizer_states", "lr_schedulers"}
    if str(checkpoint[_VERSION]).startswith(("0.", "1.")):
        optional.add("loops")
    if checkpoint.get(AVERAGED):
        optional.remove("callbacks")
    for name, check in checks.items():
        if name not in checkpoint and name in optional:
            continue
        if name not in checkpoint or not check(checkpoint[name]):
            state = "is not what a Trainer writes" if name in checkpoint else "is missing"
            raise CheckpointError(_damage(source, f"{name!r} {state}"))


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and value[:1].isdecimal()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _are_dicts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _are_loops(value: Any) -> bool:
    """Return whether a value is the state of Lightning's loops: nested dicts, in which progress is counted."""
    if not isinstance(value, dict):
        return False
    for name, part in value.items():
        if name in _COUNTS and not _is_count(part):
            return False
        if name == "is_last_batch" and not isinstance(part, bool):
            return False
        if str(name).endswith("state_dict"):  # of a loader, or a user's own loop
            continue
        is_group = str(name).endswith(("loop", "progress")) or name in ("total", "current")
        if (is_group or isinstance(part, dict)) and not _are_loops(part):
            return False
    return True


def check_optimizer(optimizer: Optimizer, source: object) -> None:
    """Check what was loaded into an optimizer: each state is one of a parameter, each option of the right kind.

    Args:
        optimizer: The optimizer.
        source: The path or URL of the file.

    Raises:
        CheckpointError: If a state is of no parameter, or an option is missing or of another kind than the default.
    """
    # What is stored for a parameter that no group lists keeps its number as its key.
    lost = [key for key in optimizer.state if not isinstance(key, Tensor)]
    if lost:
        raise CheckpointError(_damage(source, f"the optimizer has a state of {lost[0]!r:.50}, which is no parameter"))
    for group in optimizer.param_groups:
        for name, default in optimizer.defaults.items():
            if name not in group or not _is_like(group[name], default):
                state = f"{name!r} is {group[name]!r:.50}" if name in group else f"{name!r} is missing"
                raise CheckpointError(_damage(source, f"among the options of the optimizer {state}"))


def _is_like(value: Any, default: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, tuple | list):
        same_length = isinstance(value, tuple | list) and len(value) == len(default)
        return same_length and all(map(_is_like, value, default))
    if isinstance(default, int | float | Tensor):
        return _is_number(value) or (isinstance(value, Tensor) and value.numel() == 1)
    # An option that is off by default: whoever turns it on decides what it is.
    return value is None or default is not None or isinstance(value, bool | int | str) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def check_schedule(scheduler: Any, stored: Mapping[str, Any], source: object) -> None:
    """Check that a learning-rate schedule got each part of its state: what is missing keeps its first value.

    Args:
        scheduler: The schedule.
        stored: What the file holds of it.
        source: The path or URL of the file.

    Raises:
        CheckpointError: If a part is missing, or what is counted is not a number of epochs or steps. Which parts
            there are whose names begin with an underscore differs between versions.
    """
    missing = [name for name in scheduler.state_dict() if not name.startswith("_") and name not in stored]
    if missing:
        raise CheckpointError(_damage(source, f"{missing[0]!r} of the learning-rate schedule is missing"))
    for name in ("last_epoch", "_step_count"):
        if not _is_count(stored.get(name, 0)):
            reason = f"{name!r} of the learning-rate schedule is {stored[name]!r:.50}"
            raise CheckpointError(_damage(source, reason))


def check_counts(found: Mapping[str, int], made: Mapping[str, int], source: object) -> None:
    """Check that a checkpoint has as many states as a run has optimizers and schedulers: Lightning drops the rest.

    Args:
        found: How many states there are, by name.
        made: How many of these the task makes.
        source: The path or URL of the file.

    Raises:
        CheckpointError: If the numbers differ.
    """
    for name, count in found.items():
        if count != made[name]:
            raise CheckpointError(
                _damage(source, f"{name!r} has {count} states, and the task makes {made[name]} of these")
            )


@contextlib.contextmanager
def explaining_damage(source: object) -> Iterator[None]:
    """Raise a CheckpointError in place of what Lightning or torch raise for a state that does not fit.

    Only errors of restoring, and of the steps of an optimizer, are replaced; those of training stay as they are.

    Args:
        source: The path or URL of the checkpoint that the run goes on from.

    Raises:
        CheckpointError: In place of the error.
    """
    try:
        yield
    except FlashError:
        raise
    except Exception as error:
        if not _is_of_restoring(error.__traceback__):
            raise
        if isinstance(error, KeyError) and error.args == (_VERSION,):
            raise CheckpointError(_no_run(source)) from error
        raise CheckpointError(_damage(source, f"{type(error).__name__}: {error}".rstrip("."))) from error


def _is_of_restoring(trace: TracebackType | None) -> bool:
    frames = []
    while trace is not None:
        frames.append((str(trace.tb_frame.f_globals.get("__name__")), trace.tb_frame.f_code.co_name))
        trace = trace.tb_next
    if any(module == _RESTORES and name.lstrip("_").startswith(("restore", "resume")) for module, name in frames):
        return True
    # A step calls the closure, which trains: an error of the optimizer itself comes from torch alone.
    for module, _ in reversed(frames):
        if module.partition(".")[0] != _TORCH:
            return False
        if module.startswith(_STEPS):
            return True
    return False


def _no_run(source: object) -> str:
    return (
        f"Expected a checkpoint that a Trainer saved, to resume from, but {source} holds something else, such as "
        "weights alone. Load weights with task.load_state_dict(torch.load(path, weights_only=True)), and a folder of "
        "save_pretrained with flash.Task.from_pretrained(folder)."
    )


def _damage(source: object, reason: object) -> str:
    return (
        f"Expected a checkpoint of the same run, but the state in {source} is damaged, or of another run: {reason}. "
        "Copy or download it again, or use an earlier checkpoint."
    )
