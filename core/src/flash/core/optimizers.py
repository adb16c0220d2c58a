"""Optimizers and learning-rate schedulers: by class, callable, registered name, or ``(name, kwargs)``."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from flash.core.registry import ComponentRegistry, Registry
from flash.errors import ConfigurationError
from flash.former import former_names
from flash.serialization import call_with

__all__ = [
    "DEFAULT_OPTIMIZER",
    "LRSchedulerSpec",
    "OptimizerSpec",
    "follow_new_length",
    "is_default_optimizer",
    "lr_schedulers",
    "make_lr_scheduler",
    "make_optimizer",
    "optimizers",
    "split_parameters",
]

_Optimizer: TypeAlias = str | Callable[..., Optimizer]
_LRScheduler: TypeAlias = str | Callable[..., lr_scheduler.LRScheduler]

#: An optimizer: a name, a class such as ``torch.optim.SGD``, a callable that takes the parameters, or a pair of one of
#: these and its arguments.
OptimizerSpec: TypeAlias = _Optimizer | tuple[_Optimizer, Mapping[str, Any]]
#: A learning-rate scheduler: a name, a class, a callable that takes the optimizer, or a tuple of one of these, its
#: arguments, and optionally Lightning's settings, such as ``{"interval": "step"}``.
LRSchedulerSpec: TypeAlias = (
    _LRScheduler | tuple[_LRScheduler, Mapping[str, Any]] | tuple[_LRScheduler, Mapping[str, Any], Mapping[str, Any]]
)

# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__ = former_names(__name__)

#: The default optimizer of a task.
DEFAULT_OPTIMIZER = "AdamW"

# Names of the length of the training in torch's schedulers.
_LENGTHS = ("T_max", "total_iters", "total_steps")

#: Optimizers by name: those of torch, of plugins, and registered ones.
optimizers = ComponentRegistry("optimizer", "optimizers")
#: Learning-rate schedulers by name: those of torch, of plugins, and registered ones.
lr_schedulers = ComponentRegistry("lr scheduler", "learning-rate schedulers")


def cosine(optimizer: Optimizer, total_epochs: int | None = None) -> lr_scheduler.LRScheduler:
    """Anneal the learning rate by half a cosine to zero at the end; keep it constant if the training has no end.

    Args:
        optimizer: The optimizer.
        total_epochs: The length of the training; filled in automatically.
    """
    if total_epochs is None:
        return lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_epochs)


def cosine_with_warmup(optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> lr_scheduler.LRScheduler:
    """Raise the learning rate from zero during a warm-up, and anneal it by half a cosine to zero at the end.

    Args:
        optimizer: The optimizer.
        total_steps: The length of the training in steps; filled in automatically.
        warmup: The share of the steps for the warm-up, from 0 to 1; or their number, if it is above 1.

    Raises:
        ConfigurationError: If the warm-up is negative, or as long as the training.
    """
    return _after_warmup(optimizer, total_steps, warmup, lambda done: 0.5 * (1 + math.cos(math.pi * done)))


def linear_with_warmup(optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> lr_scheduler.LRScheduler:
    """Raise the learning rate from zero during a warm-up, and lower it linearly to zero at the end.

    The arguments are those of :func:`cosine_with_warmup`.
    """
    return _after_warmup(optimizer, total_steps, warmup, lambda done: 1 - done)


def _after_warmup(
    optimizer: Optimizer, total_steps: int, warmup: float, factor: Callable[[float], float]
) -> lr_scheduler.LRScheduler:
    steps = math.ceil(warmup * total_steps) if warmup <= 1 else int(warmup)
    if warmup < 0 or steps >= total_steps:
        raise ConfigurationError(
            f"Expected a warm-up shorter than the training of {total_steps} steps, as a share such as 0.1 or a number "
            f"of steps, but got {warmup!r}."
        )

    def scale(step: int) -> float:
        return step / steps if step < steps else factor(min((step - steps) / (total_steps - steps), 1.0))

    scheduler = lr_scheduler.LambdaLR(optimizer, scale)
    # Stored in checkpoints, so that a resumed run of another length is noticed.
    scheduler.total_steps = total_steps  # type: ignore[attr-defined]
    return scheduler


def split_parameters(
    parameters: Iterable[nn.Parameter], modules: Iterable[nn.Module], inside: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer: parameters outside of modules, then those inside; none is empty.

    Args:
        parameters: The parameters to train.
        modules: The modules.
        inside: The settings of the group of parameters inside the modules.

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


def is_default_optimizer(choice: object) -> bool:
    """Return whether a choice is the default optimizer, for which default rates were measured.

    Example:
        >>> is_default_optimizer("AdamW"), is_default_optimizer("SGD")
        (True, False)
    """
    return choice is torch.optim.AdamW or (isinstance(choice, str) and choice == DEFAULT_OPTIMIZER)


def make_optimizer(
    choice: OptimizerSpec,
    parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
    learning_rate: float | None,
    fuse: bool = True,
) -> Optimizer:
    """Create an optimizer.

    Args:
        choice: A class such as ``torch.optim.SGD``, a callable that takes the parameters, a registered name, or
            ``(name or callable, kwargs)``.
        parameters: The parameters or parameter groups.
        learning_rate: Its learning rate; ``None`` uses the optimizer's own default.
        fuse: Whether torch's fused kernel may be chosen; not in mixed precision, where it cannot clip gradients.

    Raises:
        ConfigurationError: If the choice is none of these, its arguments do not fit, or it has another learning rate.

    Example:
        >>> make_optimizer(("sgd", {"momentum": 0.9}), nn.Linear(2, 1).parameters(), 0.1).defaults["lr"]
        0.1
    """
    factory, kwargs, extra = _unpack("optimizer", choice, optimizers)
    if extra:
        raise ConfigurationError(f"Expected (optimizer, kwargs), but got {choice!r}.")
    trained = list(parameters)
    own = {**getattr(factory, "keywords", {}), **kwargs}.get("lr")
    if None not in (own, learning_rate) and own != learning_rate:
        raise ConfigurationError(
            f"Expected one learning rate, but got learning_rate={learning_rate!r} and an optimizer with lr={own!r}. "
            "Leave one of them out; learning_rate=None if it is the task's default."
        )
    known: dict[str, Any] = {} if learning_rate is None or own is not None else {"lr": learning_rate}
    if fuse and _can_fuse(factory, trained, kwargs):
        known["fused"] = True
    name = f"the optimizer {_name_of(factory)}"
    made: Optimizer = call_with(name, factory, keywords=kwargs, first=[trained], known=known)
    return made


def _can_fuse(factory: Any, parameters: list[Any], kwargs: dict[str, Any]) -> bool:
    """Return whether torch's fused kernel is available and compatible with the arguments.

    For small networks on a CPU it takes a third of the time of torch's default, a Python loop over parameters. On
    other devices torch's default is good.
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


def make_lr_scheduler(choice: LRSchedulerSpec, optimizer: Optimizer, trainer: pl.Trainer | None) -> dict[str, Any]:
    """Create a learning-rate scheduler, as Lightning's configuration dict.

    The length of the training is filled in if the scheduler has a parameter for it that was not passed:
    ``total_steps`` (then it steps with each batch), ``T_max``, ``total_iters`` and ``total_epochs`` (epochs; steps with
    ``{"interval": "step"}``, and if an epoch has no end). The length is ``max_epochs`` or ``max_steps``.

    Args:
        choice: A class, a callable that takes the optimizer, a registered name, ``(name, kwargs)`` or
            ``(name, kwargs, Lightning's settings)`` such as ``{"interval": "step"}``.
        optimizer: The optimizer.
        trainer: The trainer, for the length of the training.

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


def _total_steps(trainer: pl.Trainer | None, name: str) -> int:
    steps = math.inf if trainer is None else trainer.estimated_stepping_batches
    if not math.isfinite(steps) or steps < 1:
        raise ConfigurationError(
            f"Expected a training of known length for {name}, but it has no end. Pass Trainer(max_epochs=...) "
            "or total_steps of the scheduler."
        )
    return int(steps)


def _with_length(
    factory: Any, kwargs: dict[str, Any], settings: dict[str, Any], optimizer: Optimizer, trainer: pl.Trainer | None
) -> tuple[dict[str, Any], str, bool]:
    """Fill in the length of the training; return the arguments, the interval, and whether a length was filled in."""
    if factory is lr_scheduler.OneCycleLR:
        kwargs = {"max_lr": [group["lr"] for group in optimizer.param_groups], **kwargs}
    parameters = set(inspect.signature(factory).parameters)
    if "total_steps" in parameters:
        if {"total_steps", "epochs"} & set(kwargs):
            return kwargs, "step", False
        return {**kwargs, "total_steps": _total_steps(trainer, _name_of(factory))}, "step", True
    asked = {"T_max", "total_iters", "total_epochs"} & parameters - set(kwargs)
    length, interval = _length(trainer, settings.get("interval"))
    if not asked or length is None:
        return kwargs, "epoch", False
    return {**kwargs, **dict.fromkeys(asked, length)}, interval, True


def _length(trainer: pl.Trainer | None, interval: Any) -> tuple[int | None, str]:
    """Return the length of the training in epochs; in steps if that is the interval, or if an epoch has no end."""
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


def follow_new_length(choice: LRSchedulerSpec, scheduler: lr_scheduler.LRScheduler, trainer: pl.Trainer) -> None:
    """Set the scheduler of a resumed run to its state in an uninterrupted run of the new length.

    A checkpoint has the length of the interrupted run; if the length was filled in, it is replaced by that of this run.

    Args:
        choice: The argument of :func:`make_lr_scheduler`.
        scheduler: The scheduler, with the state of the checkpoint.
        trainer: The trainer, for the new length of the training.
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
        # The optimizer does not step between these steps of the scheduler.
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
    if not callable(head) or len(rest) > 2 or not all(isinstance(part, Mapping) for part in rest):
        raise ConfigurationError(
            f"Expected {kind} to be a class, a callable, a name such as {registry.list()[0]!r}, or (name, kwargs), "
            f"but got {choice!r}."
        )
    kwargs, settings = [*map(dict, rest), {}, {}][:2]
    return head, kwargs, settings


def _name_of(factory: Any) -> str:
    return getattr(factory, "__name__", repr(factory))
