"""Optimizers and learning-rate schedulers: by class, callable, registered name, or ``(name, kwargs)``."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from flash.core.registry import ComponentRegistry, Registry
from flash.errors import ConfigurationError
from flash.serialization import call_with

__all__ = [
    "DEFAULT_OPTIMIZER",
    "follow_new_length",
    "is_default_optimizer",
    "lr_schedulers",
    "make_lr_scheduler",
    "make_optimizer",
    "optimizers",
    "split_parameters",
]

#: What a task is trained with where nobody chose an optimizer.
DEFAULT_OPTIMIZER = "AdamW"

# What torch's schedulers call the length of the training.
_LENGTHS = ("T_max", "total_iters", "total_steps")

#: The optimizers of torch, those of plugins, and those that are registered here.
optimizers = ComponentRegistry("optimizer", "optimizers")
#: The learning-rate schedulers of torch, those of plugins, and those that are registered here.
lr_schedulers = ComponentRegistry("lr scheduler", "learning-rate schedulers")


def cosine(optimizer: Optimizer, total_epochs: int | None = None) -> lr_scheduler.LRScheduler:
    """Lower the learning rate along half a cosine, to zero at the end; keep it where the training has no end.

    Args:
        optimizer: Whose learning rate it changes.
        total_epochs: The length of the training; filled in.
    """
    if total_epochs is None:
        return lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_epochs)


def split_parameters(
    parameters: Iterable[nn.Parameter], modules: Iterable[nn.Module], inside: dict[str, Any]
) -> list[dict[str, Any]]:
    """Make groups for an optimizer: the parameters outside of modules, then those inside; no group is empty.

    Args:
        parameters: What is trained.
        modules: The modules.
        inside: The settings of the parameters inside of them.

    Example:
        >>> backbone, head = nn.Linear(2, 2), nn.Linear(2, 1, bias=False)
        >>> groups = split_parameters([*backbone.parameters(), *head.parameters()], [backbone], {"lr_factor": 0.1})
        >>> [len(group["params"]) for group in groups], groups[1]["lr_factor"]
        ([1, 2], 0.1)
    """
    members = {id(parameter) for module in modules for parameter in module.parameters()}
    chosen = list(parameters)
    groups: list[dict[str, Any]] = [
        {"params": [each for each in chosen if id(each) not in members]},
        {"params": [each for each in chosen if id(each) in members], **inside},
    ]
    return [group for group in groups if group["params"]]


def is_default_optimizer(choice: Any) -> bool:
    """Return whether a choice is the optimizer that tasks have by default, whose rates were measured.

    Example:
        >>> is_default_optimizer("AdamW"), is_default_optimizer("SGD")
        (True, False)
    """
    return choice is torch.optim.AdamW or (isinstance(choice, str) and choice == DEFAULT_OPTIMIZER)


def make_optimizer(
    choice: Any, parameters: Iterable[nn.Parameter] | list[dict[str, Any]], learning_rate: float | None
) -> Optimizer:
    """Make an optimizer.

    Args:
        choice: A class such as ``torch.optim.SGD``, a callable that takes the parameters, a registered name, or
            ``(name or callable, kwargs)``.
        parameters: What it trains.
        learning_rate: Its learning rate; ``None`` leaves the optimizer's own default.

    Raises:
        ConfigurationError: If the choice is none of these, or its arguments do not fit.

    Example:
        >>> make_optimizer(("sgd", {"momentum": 0.9}), nn.Linear(2, 1).parameters(), 0.1).defaults["lr"]
        0.1
    """
    factory, kwargs, extra = _unpack("optimizer", choice, optimizers)
    if extra:
        raise ConfigurationError(f"Expected (optimizer, kwargs), but got {choice!r}.")
    trained = list(parameters)
    known: dict[str, Any] = {} if learning_rate is None else {"lr": learning_rate}
    if _gains_from_fusing(factory, trained, kwargs):
        known["fused"] = True
    name = f"the optimizer {_name_of(factory)}"
    made: Optimizer = call_with(name, factory, keywords=kwargs, first=[trained], known=known)
    return made


def _gains_from_fusing(factory: Any, parameters: list[Any], kwargs: dict[str, Any]) -> bool:
    """Whether torch's fused kernel is there and nothing speaks against it.

    For small networks on a CPU it takes a third of the time of torch's default, a Python loop over parameters. On
    other devices torch chooses well by itself.
    """
    if not inspect.isclass(factory) or "fused" not in inspect.signature(factory).parameters:
        return False
    if {"fused", "foreach", "capturable", "differentiable"} & set(kwargs):
        return False
    members = [
        member for each in parameters for member in (each.get("params", []) if isinstance(each, dict) else [each])
    ]
    return all(
        isinstance(member, Tensor) and member.device.type == "cpu" and member.is_floating_point() for member in members
    )


def make_lr_scheduler(choice: Any, optimizer: Optimizer, trainer: pl.Trainer | None) -> dict[str, Any]:
    """Make a learning-rate scheduler, as the dict that Lightning takes.

    The length of the training is filled in where the scheduler asks for it and the choice does not say it:
    ``total_steps`` (then it steps with each batch), ``T_max``, ``total_iters`` and ``total_epochs`` (epochs; steps with
    ``{"interval": "step"}``, and where an epoch has no end). ``max_steps`` is a length as ``max_epochs`` is.

    Args:
        choice: A class, a callable that takes the optimizer, a registered name, ``(name, kwargs)`` or
            ``(name, kwargs, Lightning's settings)`` such as ``{"interval": "step"}``.
        optimizer: Whose learning rate it changes.
        trainer: Knows how long the training is.

    Raises:
        ConfigurationError: If the choice is none of these, or its arguments do not fit.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
        >>> make_lr_scheduler(("StepLR", {"step_size": 3}), optimizer, None)["interval"]
        'epoch'
    """
    factory, kwargs, settings = _unpack("lr_scheduler", choice, lr_schedulers)
    known, interval, _ = _with_length(factory, kwargs, settings, optimizer, trainer)
    scheduler = call_with(
        f"the scheduler {_name_of(factory)}", factory, keywords=kwargs, first=[optimizer], known=known
    )
    result = {"scheduler": scheduler, "interval": interval}
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        result |= {"monitor": "val_loss", "strict": False}
    return result | settings


def _total_steps(trainer: pl.Trainer | None) -> int:
    steps = math.inf if trainer is None else trainer.estimated_stepping_batches
    if not math.isfinite(steps) or steps < 1:
        raise ConfigurationError(
            "Expected a training of known length for OneCycleLR, but it has no end. Give Trainer(max_epochs=...) "
            "or the scheduler total_steps."
        )
    return int(steps)


def _with_length(
    factory: Any, kwargs: dict[str, Any], settings: dict[str, Any], optimizer: Optimizer, trainer: pl.Trainer | None
) -> tuple[dict[str, Any], str, bool]:
    """Fill in the length of the training; return the arguments, the interval, and whether something was filled in."""
    if factory is lr_scheduler.OneCycleLR:
        kwargs = {"max_lr": [group["lr"] for group in optimizer.param_groups], **kwargs}
        if {"total_steps", "epochs"} & set(kwargs):
            return kwargs, "step", False
        return {**kwargs, "total_steps": _total_steps(trainer)}, "step", True
    asked = {"T_max", "total_iters", "total_epochs"} & set(inspect.signature(factory).parameters) - set(kwargs)
    length, interval = _length(trainer, settings.get("interval"))
    if not asked or length is None:
        return kwargs, "epoch", False
    return {**kwargs, **dict.fromkeys(asked, length)}, interval, True


def _length(trainer: pl.Trainer | None, interval: Any) -> tuple[int | None, str]:
    """The length of the training in epochs; in steps where that is asked for, or where an epoch has no end."""
    if trainer is None:
        return None, "epoch"
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
    steps = trainer.max_steps if trainer.max_steps > 0 else None
    if steps is None and interval != "step":
        return epochs, "epoch"
    total = trainer.estimated_stepping_batches
    if not math.isfinite(total):
        return None, "epoch"
    if interval != "step":
        trainer.fit_loop.setup_data()
        batches = trainer.num_training_batches
        if math.isfinite(batches) and batches > 0:
            return math.ceil(total / math.ceil(batches / trainer.accumulate_grad_batches)), "epoch"
    return int(total), "step"


def follow_new_length(choice: Any, scheduler: Any, trainer: pl.Trainer) -> None:
    """Put the scheduler of a resumed run where it would be in an uninterrupted run of the present length.

    A checkpoint holds the length that the interrupted run had; where the length was filled in, that of this run counts.

    Args:
        choice: What the scheduler was made from, see :func:`make_lr_scheduler`.
        scheduler: The scheduler, with the state of the checkpoint.
        trainer: Knows how long the training is now.
    """
    factory, kwargs, settings = _unpack("lr_scheduler", choice, lr_schedulers)
    optimizer = scheduler.optimizer
    kwargs, _, filled = _with_length(factory, kwargs, settings, optimizer, trainer)
    if not filled:
        return
    if factory is lr_scheduler.OneCycleLR:
        kwargs["max_lr"] = [group["max_lr"] for group in optimizer.param_groups]
    groups = [
        {**group, "params": [torch.zeros(1)], "lr": group.get("initial_lr", group["lr"])}
        for group in optimizer.param_groups
    ]
    with warnings.catch_warnings():
        # No optimizer steps between these steps of the scheduler.
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        stand_in = Optimizer(groups, dict(optimizer.defaults))
        fresh = factory(stand_in, **kwargs)
        if all(getattr(fresh, name, None) == getattr(scheduler, name, None) for name in _LENGTHS):
            return
        for _ in range(scheduler.last_epoch):
            fresh.step()
    scheduler.load_state_dict(fresh.state_dict())
    for group, there in zip(optimizer.param_groups, stand_in.param_groups, strict=True):
        group.update({name: value for name, value in there.items() if name != "params"})


def _unpack(kind: str, choice: Any, registry: Registry) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]:
    parts = choice if isinstance(choice, tuple | list) else (choice,)
    head, *rest = parts or (None,)
    if isinstance(head, str):
        head = registry.get(head)
    if not callable(head) or len(rest) > 2 or not all(isinstance(part, dict) for part in rest):
        raise ConfigurationError(
            f"Expected {kind} to be a class, a callable, a name such as {registry.list()[0]!r}, or (name, kwargs), "
            f"but got {choice!r}."
        )
    kwargs, settings = [*map(dict, rest), {}, {}][:2]
    return head, kwargs, settings


def _name_of(factory: Any) -> str:
    return getattr(factory, "__name__", repr(factory))
