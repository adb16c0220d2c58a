"""Capture and restore the changes of a finetuning run to a model and its optimizers, for resumed runs.

An optimizer's own state refers to its parameters by position only. A strategy that adds parameters during
training therefore has to rebuild the same groups, in the same order, before that state can be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.optim import Optimizer

from flash.errors import CheckpointError

__all__ = ["LightningResume", "add_param_group", "apply_state", "capture_state", "record_frozen", "release", "rewrap"]

_FROZEN = "_flash_frozen"
# Keys of an optimizer group that are learning rates: its own, and those that torch's schedulers store there.
_LEARNING_RATES = ("lr", "initial_lr", "max_lr", "min_lr")


def capture_state(module: pl.LightningModule, optimizers: Sequence[Optimizer]) -> dict[str, Any]:
    """Return trainable parameters, modules in eval mode and parameter groups, as serializable values."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        "trainable": [name for name, parameter in module.named_parameters() if parameter.requires_grad],
        "eval_modules": [name for name, child in module.named_modules() if not child.training],
        "param_groups": [
            [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]
            for optimizer in optimizers
        ],
    }


def apply_state(state: Mapping[str, Any], trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Restore a captured state in a model and its new optimizers.

    Raises:
        CheckpointError: If it is not such a state, or one of another model.
    """
    parameters = dict(module.named_parameters())
    _check_state(state, len(trainer.optimizers), parameters, dict(module.named_modules()))
    trainable, in_eval = set(state["trainable"]), set(state["eval_modules"])
    for name, parameter in parameters.items():
        parameter.requires_grad = name in trainable
    for name, child in module.named_modules():
        child.training = name not in in_eval
    for optimizer, groups in zip(trainer.optimizers, state["param_groups"], strict=True):
        for group, members in zip(optimizer.param_groups, groups, strict=False):
            group["params"] = [parameters[name] for name in members]
        for members in groups[len(optimizer.param_groups) :]:
            add_param_group(trainer, optimizer, [parameters[name] for name in members], scale=1.0)
    rewrap(trainer)


def _check_state(
    state: Mapping[str, Any], optimizers: int, parameters: Mapping[str, Any], modules: Mapping[str, Any]
) -> None:
    groups = state.get("param_groups")
    are_lists = isinstance(groups, list) and all(isinstance(each, list) for each in groups)
    checks = {
        "trainable": _are_names(state.get("trainable"), parameters),
        "eval_modules": _are_names(state.get("eval_modules"), modules),
        "param_groups": are_lists
        and len(groups or ()) == optimizers
        and all(_are_names(group, parameters) for each in groups or () for group in each),
    }
    wrong = [name for name, is_right in checks.items() if not is_right]
    if wrong:
        raise CheckpointError(
            f"Expected the names of this model's parameters and modules in the state of the finetuning strategy, but "
            f"{wrong[0]!r} of the checkpoint has others. It is damaged, or of another model: use an earlier one, or "
            "make the task with the same arguments."
        )


def _are_names(value: Any, known: Mapping[str, Any]) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name in known for name in value)


def add_param_group(
    trainer: pl.Trainer | None, optimizer: Optimizer, parameters: Iterable[nn.Parameter], scale: float
) -> None:
    """Add parameters as a new group, at ``scale`` times the learning rate of the first group.

    The values per group in learning-rate schedulers are extended for the new one.
    """
    first = optimizer.param_groups[0]
    group = {key: value for key, value in first.items() if key != "params"}
    group |= {key: group[key] * scale for key in _LEARNING_RATES if key in group}
    optimizer.add_param_group({"params": list(parameters), **group})
    if trainer is not None:
        for config in trainer.lr_scheduler_configs:
            _extend_scheduler(config.scheduler, optimizer, scale)


def _extend_scheduler(scheduler: Any, optimizer: Optimizer, scale: float) -> None:
    if getattr(scheduler, "optimizer", None) is not optimizer:
        return
    for nested in getattr(scheduler, "_schedulers", []):
        _extend_scheduler(nested, optimizer, scale)
    for name in ("base_lrs", "_last_lr", "min_lrs"):
        rates = getattr(scheduler, name, None)
        if isinstance(rates, list) and rates:
            rates.append(rates[0] * scale)
    lambdas = getattr(scheduler, "lr_lambdas", None)
    if isinstance(lambdas, list):
        lambdas.append(lambdas[0])


def rewrap(trainer: pl.Trainer) -> None:
    """Re-wrap the module in DDP after unfreezing.

    DDP registers gradient hooks only for parameters that were trainable when it was constructed.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy) and strategy.model is not strategy.lightning_module:
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def record_frozen(module: pl.LightningModule, parameters: Iterable[str], modules: Iterable[str]) -> None:
    """Record on the model what a strategy froze, so that the next run can undo it."""
    object.__setattr__(module, _FROZEN, (tuple(parameters), tuple(modules)))


def release(module: pl.LightningModule) -> None:
    """Unfreeze the modules that a previous finetuning run left frozen."""
    parameters, modules = getattr(module, _FROZEN, ((), ()))
    by_name = dict(module.named_parameters())
    for name in parameters:
        if name in by_name:
            by_name[name].requires_grad = True
    children = dict(module.named_modules())
    for name in modules:
        if name in children:
            children[name].training = True
    record_frozen(module, (), ())


class LightningResume(Callback):
    """Make a finetuning callback of Lightning resumable, by recording and restoring its changes."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}
        self._resumed = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Clear the state of a previous run."""
        self._state, self._resumed = {}, False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the freezing of a resumed run."""
        if self._resumed:
            apply_state(self._state, trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the changes of the strategy, which ran just before."""
        self._state = capture_state(pl_module, trainer.optimizers)

    def state_dict(self) -> dict[str, Any]:
        """Return the trainable parameters and the parameter groups."""
        return self._state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the run that is resumed."""
        self._state, self._resumed = state_dict, True
