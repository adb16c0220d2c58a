"""Finetuning strategies: freeze modules of a task before training, and unfreeze them later."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BaseFinetuning, Callback
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from flash.core._finetuning_state import (
    LightningResume,
    add_param_group,
    apply_state,
    capture_state,
    record_frozen,
    release,
    rewrap,
)
from flash.core.layers import backbone_layers, child_layers
from flash.core.registry import Registry, strategy_registry
from flash.errors import FinetuningError
from flash.serialization import NotSerializableError, call_with, from_serializable, to_serializable

__all__ = [
    "FlashBaseFinetuning",
    "Freeze",
    "FreezeUnfreeze",
    "NoFreeze",
    "StrategySpec",
    "UnfreezeMilestones",
    "as_modules",
    "backbone_layers",
    "finetuning_strategies",
    "is_strategy",
    "release",
    "resolve_strategy",
]

log = logging.getLogger(__name__)

Modules = nn.Module | Iterable[nn.Module]

# Learning rate of unfrozen parameters, as a multiple of that of the first group; the default of Lightning.
_UNFROZEN_LR_FACTOR = 0.1

#: The strategies by name, those of installed plugins included.
finetuning_strategies: Registry = strategy_registry()


class FlashBaseFinetuning(Callback):
    """Base class of finetuning strategies: freeze modules before training and unfreeze them later.

    Parameters of frozen modules have ``requires_grad=False`` and are not in the optimizer, and the modules stay in
    eval mode, so that BatchNorm statistics stay fixed and dropout is off. A run that is resumed from a checkpoint
    continues with the same parameters, groups and learning rates, regardless of :meth:`finetune_function`.

    Override :meth:`finetune_function` to unfreeze modules, and :meth:`freeze_before_training` to freeze others.

    The state of your own strategy belongs in :attr:`state`, a dict of serializable values: it is stored in each
    checkpoint, restored in a resumed run, and reset to the values of ``__init__`` at the start of each other run.

    Args:
        attr_names: Attributes of the task to freeze, such as ``"backbone"``; looked up on the task and inside its
            ``model``. The default is ``modules_to_freeze()`` of the task.
        train_bn: Whether BatchNorm layers inside frozen modules keep training.

    Example:
        >>> class FeatureExtractorFreezeUnfreeze(FlashBaseFinetuning):
        ...     def __init__(self, unfreeze_at_epoch=5, train_bn=True):
        ...         super().__init__("feature_extractor", train_bn)
        ...         self.unfreeze_at_epoch = unfreeze_at_epoch
        ...     def finetune_function(self, pl_module, current_epoch, optimizer):
        ...         if current_epoch == self.unfreeze_at_epoch:
        ...             self.unfreeze_and_add_param_group(pl_module.feature_extractor, optimizer)
        >>> class UnfreezeOnPlateau(FlashBaseFinetuning):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.state["best"] = float("inf")
        ...     def finetune_function(self, pl_module, epoch, optimizer):
        ...         loss = float(pl_module.trainer.callback_metrics.get("val_loss", "inf"))
        ...         if epoch and loss >= self.state["best"]:
        ...             self.unfreeze_and_add_param_group(pl_module.backbone, optimizer)
        ...         self.state["best"] = min(loss, self.state["best"])
        >>> UnfreezeOnPlateau().state
        {'best': inf}
    """

    #: State of the strategy, as serializable values; saved in checkpoints and restored from them.
    state: dict[str, Any]

    def __init__(self, attr_names: str | Sequence[str] | None = None, train_bn: bool = False) -> None:
        self.attr_names = [attr_names] if isinstance(attr_names, str) else attr_names and list(attr_names)
        self.train_bn = train_bn
        self.state = {}
        self._initial_state: dict[str, Any] | None = None
        self._state: dict[str, Any] = {}
        self._resumed = False
        self._trainer: pl.Trainer | None = None
        # Frozen roots in the order of the model, and the modules inside them that were unfrozen.
        self._frozen: list[nn.Module] = []
        self._unfrozen: set[int] = set()
        self._eval_modules: list[nn.Module] = []

    # ------------------------------------------------------------------ for strategies to override

    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:
        """Freeze the modules of the strategy; called before the optimizers are created."""
        self.freeze(self.modules_to_freeze(pl_module), train_bn=self.train_bn)

    def finetune_function(self, pl_module: pl.LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Unfreeze the modules of this epoch; called at the start of each epoch for each optimizer.

        A fourth parameter receives the index of the optimizer, as in Lightning 1.
        """

    # ------------------------------------------------------------------ tools for strategies

    def modules_to_freeze(self, pl_module: pl.LightningModule) -> list[nn.Module]:
        """Return the modules of ``attr_names``, or those of the task's ``modules_to_freeze()``.

        Raises:
            FinetuningError: If one is missing, or none of them has parameters.
        """
        found: list[nn.Module | None]
        if self.attr_names is None:
            found = [*_chosen_by_task(pl_module)]
            wanted = "a `backbone`"
        else:
            found = [_find_attribute(pl_module, name) for name in self.attr_names]
            wanted = " and ".join(f"`{name}`" for name in self.attr_names)
        modules = [module for module in found if module is not None]
        if len(modules) < len(found) or not any(True for module in modules for _ in module.parameters()):
            raise FinetuningError(
                f"Expected {wanted} with parameters to freeze, but {type(pl_module).__name__} has nothing to freeze "
                "there. Override modules_to_freeze() in the task, or choose the strategy 'no_freeze'."
            )
        return modules

    def layers(self, pl_module: pl.LightningModule) -> list[nn.Module]:
        """Return the layers of the frozen modules, in the order of the forward pass; each has parameters.

        They are those of the task, see :func:`~flash.core.layers.backbone_layers`; for modules of
        ``attr_names``, their children.

        Raises:
            FinetuningError: If there is nothing to freeze.
        """
        modules = self.modules_to_freeze(pl_module)
        return backbone_layers(pl_module) if self.attr_names is None else child_layers(modules)

    def unfreeze(self, modules: Modules) -> None:
        """Unfreeze modules inside frozen ones from the first step; for :meth:`freeze_before_training`.

        Args:
            modules: One module or several, such as adapters that were added to the backbone.
        """
        for root in _as_list(modules):
            for child in root.modules():
                self._unfrozen.add(id(child))
                child.training = True
                for parameter in child.parameters(recurse=False):
                    parameter.requires_grad = True

    def freeze(self, modules: Modules, train_bn: bool = False) -> None:
        """Freeze modules: set ``requires_grad=False`` and eval mode, so that BatchNorm statistics stay fixed.

        Args:
            modules: One module or several.
            train_bn: Whether BatchNorm layers inside keep training.
        """
        for root in _as_list(modules):
            self._frozen.append(root)
            for child in root.modules():
                if not (train_bn and isinstance(child, _BatchNorm)):
                    for parameter in child.parameters(recurse=False):
                        parameter.requires_grad = False

    def unfreeze_and_add_param_group(
        self,
        modules: Modules | None = None,
        optimizer: Optimizer | None = None,
        lr: float | None = None,
        initial_denom_lr: float | None = None,
        train_bn: bool = True,
        *,
        module: Modules | None = None,
    ) -> None:
        """Unfreeze modules and add their parameters to the optimizer as a new group; parameters are added only once.

        Args:
            modules: One module or several; ``module`` is accepted too.
            optimizer: The optimizer to add the parameters to.
            lr: The learning rate of the new group; by default a multiple of that of the first group.
            initial_denom_lr: The divisor of the first group's learning rate; by default it is multiplied by the task's
                ``backbone_lr_factor``, or by 0.1 if the task has none.
            train_bn: Whether BatchNorm layers inside are unfrozen too.
            module: An alias of ``modules``.
        """
        chosen = modules if modules is not None else module
        if chosen is None or optimizer is None:
            raise FinetuningError(
                "Expected modules to unfreeze and the optimizer that trains them, but one is missing."
            )
        children = [child for root in _as_list(chosen) for child in root.modules()]
        if not train_bn:
            children = [child for child in children if not isinstance(child, _BatchNorm)]
        first = optimizer.param_groups[0]["lr"]
        if lr is None:
            self._unfreeze_modules(children, optimizer, self._lr_scale(initial_denom_lr))
        elif self._unfreeze_modules(children, optimizer, lr / first if first else 1.0):
            optimizer.param_groups[-1]["lr"] = lr

    def _lr_scale(self, denominator: float | None) -> float:
        """Return the learning rate of unfrozen parameters as a multiple of that of the first group."""
        if denominator is not None:
            return 1.0 / denominator
        task = None if self._trainer is None else self._trainer.lightning_module
        factor = float(getattr(task, "backbone_lr_factor", 1.0))
        return _UNFROZEN_LR_FACTOR if factor == 1.0 else factor

    def _unfreeze_modules(self, children: Iterable[nn.Module], optimizer: Optimizer, scale: float) -> bool:
        """Unfreeze modules, not recursively; return whether parameters were added to the optimizer."""
        members = {id(p) for group in optimizer.param_groups for p in group["params"]}
        new_parameters: list[nn.Parameter] = []
        for child in children:
            self._unfrozen.add(id(child))
            child.training = True
            for parameter in child.parameters(recurse=False):
                parameter.requires_grad = True
                if id(parameter) not in members:
                    members.add(id(parameter))
                    new_parameters.append(parameter)
        self._unfreeze_containers()
        if new_parameters:
            add_param_group(self._trainer, optimizer, new_parameters, scale)
        return bool(new_parameters)

    def _unfreeze_containers(self) -> None:
        """Unfreeze containers whose parameters all train, with the dropout and activations inside them."""
        for module in [module for root in self._frozen for module in root.modules()]:
            weights = [] if isinstance(module, _BatchNorm) else list(module.parameters())
            if weights and all(weight.requires_grad for weight in weights):
                for child in module.modules():
                    if child is module or not any(True for _ in child.parameters(recurse=False)):
                        self._unfrozen.add(id(child))
                        child.training = True

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Reset the state, and freeze before the optimizers are created."""
        if stage != "fit":
            return
        release(pl_module)
        self._state, self._resumed, self._trainer = {}, False, trainer
        if self._initial_state is None:
            self._initial_state = copy.deepcopy(self.state)
        self.state = copy.deepcopy(self._initial_state)
        self._frozen, self._unfrozen = [], set()
        self.freeze_before_training(pl_module)
        self._record_frozen(pl_module)
        frozen = sum(p.numel() for p in pl_module.parameters() if not p.requires_grad)
        if frozen:
            total = sum(p.numel() for p in pl_module.parameters())
            log.info("%s froze %s of %s parameters.", type(self).__name__, f"{frozen:,}", f"{total:,}")

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the freezing of a resumed run, before the optimizers' own state is loaded."""
        if self._resumed:
            apply_state(self._state, trainer, pl_module)
            self._unfrozen = {id(child) for child in self._frozen_modules() if child.training}
            self._record_frozen(pl_module)
        self._state = capture_state(pl_module, trainer.optimizers)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Call :meth:`finetune_function` for each optimizer."""
        before = {id(p) for p in pl_module.parameters() if p.requires_grad}
        finetune: Any = self.finetune_function
        takes_number = _takes_optimizer_number(finetune)
        for number, optimizer in enumerate(trainer.optimizers):
            finetune(pl_module, trainer.current_epoch, optimizer, *([number] if takes_number else []))
        if before != {id(p) for p in pl_module.parameters() if p.requires_grad}:
            rewrap(trainer)
        self._record_frozen(pl_module)
        self._state = capture_state(pl_module, trainer.optimizers)

    def on_train_batch_start(self, *_: Any) -> None:
        """Set frozen modules to eval mode again, in case ``train()`` was called on the model."""
        self._set_eval_mode()

    def state_dict(self) -> dict[str, Any]:
        """Return the trainable parameters, the parameter groups, and :attr:`state`, as serializable values.

        Raises:
            FinetuningError: If a value in :attr:`state` cannot be serialized.
        """
        try:
            own = to_serializable(self.state)
        except NotSerializableError as error:
            raise FinetuningError(
                f"Expected the state of the strategy {type(self).__name__} to be serializable values (numbers, texts, "
                f"tensors, and lists and dicts of these), but {error}. Keep it in another attribute, or as such values."
            ) from error
        return {**self._state, "strategy": own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the run that is resumed."""
        self._state, self._resumed = dict(state_dict), True
        if "strategy" in self._state:
            self.state = from_serializable(self._state.pop("strategy"))

    def _frozen_modules(self) -> list[nn.Module]:
        return [
            child
            for root in self._frozen
            for child in root.modules()
            if id(child) not in self._unfrozen and not (self.train_bn and isinstance(child, _BatchNorm))
        ]

    def _set_eval_mode(self) -> None:
        for child in self._eval_modules:
            child.training = False

    def _record_frozen(self, pl_module: pl.LightningModule) -> None:
        self._eval_modules = self._frozen_modules()
        self._set_eval_mode()
        ours = {id(p) for root in self._frozen for p in root.parameters() if not p.requires_grad}
        in_eval = {id(child) for child in self._eval_modules}
        record_frozen(
            pl_module,
            [name for name, p in pl_module.named_parameters() if id(p) in ours],
            [name for name, m in pl_module.named_modules() if id(m) in in_eval],
        )


class NoFreeze(FlashBaseFinetuning):
    """Train everything from the first step.

    Example:
        >>> "no_freeze" in finetuning_strategies
        True
    """

    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:
        """Freeze nothing."""


class Freeze(FlashBaseFinetuning):
    """Keep the backbone frozen in the whole run and train the other modules.

    Args:
        attr_names: Attributes of the task to freeze; by default the task's ``modules_to_freeze()``.
        train_bn: Whether BatchNorm layers of the backbone keep training.

    Example:
        >>> Freeze(train_bn=True).train_bn
        True
    """


class FreezeUnfreeze(FlashBaseFinetuning):
    """Keep the backbone frozen until an epoch starts, then train everything.

    Unfrozen parameters train at a multiple of the current learning rate of the first group: the task's
    ``backbone_lr_factor``, or 0.1 if the task has none.

    Args:
        unfreeze_epoch: The epoch, counted from 0, at the start of which the backbone is unfrozen; at least 1.
        attr_names: Attributes of the task to freeze; by default the task's ``modules_to_freeze()``.
        train_bn: Whether BatchNorm layers of the backbone train while it is frozen.
        initial_denom_lr: The divisor of the learning rate for the unfrozen parameters, in place of that multiple.

    Raises:
        FinetuningError: If the epoch is not an integer of at least 1.

    Example:
        >>> FreezeUnfreeze(unfreeze_epoch=5).unfreeze_epoch
        5
    """

    def __init__(
        self,
        unfreeze_epoch: int = 10,
        attr_names: str | Sequence[str] | None = None,
        train_bn: bool = False,
        initial_denom_lr: float | None = None,
    ) -> None:
        super().__init__(attr_names, train_bn)
        self.unfreeze_epoch = _positive("unfreeze_epoch", unfreeze_epoch)
        self.initial_denom_lr = initial_denom_lr

    def finetune_function(self, pl_module: pl.LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Unfreeze the whole backbone from ``unfreeze_epoch`` on."""
        if epoch >= self.unfreeze_epoch and not self._unfrozen:
            self.unfreeze_and_add_param_group(self._frozen, optimizer, initial_denom_lr=self.initial_denom_lr)


class UnfreezeMilestones(FlashBaseFinetuning):
    """Keep the backbone frozen, unfreeze its last layers at a first epoch and the others at a second.

    Unfrozen parameters train at a multiple of the current learning rate of the first group: the task's
    ``backbone_lr_factor``, or 0.1 if the task has none.

    Args:
        unfreeze_milestones: The two epochs, counted from 0, the second after the first.
        num_layers: Number of layers to unfreeze at the first milestone, counted from the end; only layers with
            parameters count, see :func:`~flash.core.layers.backbone_layers`.
        attr_names: Attributes of the task to freeze; by default the task's ``modules_to_freeze()``.
        train_bn: Whether BatchNorm layers of the backbone train while it is frozen.
        initial_denom_lr: The divisor of the learning rate for the unfrozen parameters, in place of that multiple.

    Raises:
        FinetuningError: If the milestones are not two increasing integers, or ``num_layers`` is less than 1.

    Example:
        >>> UnfreezeMilestones((3, 6), num_layers=2).unfreeze_milestones
        (3, 6)
    """

    def __init__(
        self,
        unfreeze_milestones: tuple[int, int] = (5, 10),
        num_layers: int = 5,
        attr_names: str | Sequence[str] | None = None,
        train_bn: bool = False,
        initial_denom_lr: float | None = None,
    ) -> None:
        super().__init__(attr_names, train_bn)
        self.unfreeze_milestones = _increasing(unfreeze_milestones)
        self.num_layers = _positive("num_layers", num_layers)
        self.initial_denom_lr = initial_denom_lr

    def finetune_function(self, pl_module: pl.LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Unfreeze the last layers from the first milestone on, and all layers from the second on."""
        first, second = self.unfreeze_milestones
        if epoch >= second:
            layers = [child for root in self._frozen for child in root.modules() if id(child) not in self._unfrozen]
        elif epoch >= first and not self._unfrozen:
            layers = [child for layer in self._last_layers(pl_module) for child in layer.modules()]
        else:
            return
        if layers:
            self._unfreeze_modules(layers, optimizer, self._lr_scale(self.initial_denom_lr))

    def _last_layers(self, pl_module: pl.LightningModule) -> list[nn.Module]:
        layers = self.layers(pl_module)
        if self.num_layers < len(layers):
            return layers[-self.num_layers :]
        log.warning(
            "The backbone has %s layers with parameters: all of them are unfrozen at the first milestone, since "
            "num_layers is %s.",
            len(layers),
            self.num_layers,
        )
        return self._frozen


#: A finetuning strategy: a name, a pair of a name and its arguments such as ``("freeze_unfreeze", 5)``, or an object.
StrategySpec: TypeAlias = str | tuple[str, Any] | FlashBaseFinetuning | BaseFinetuning


def resolve_strategy(strategy: StrategySpec | None) -> list[Callback]:
    """Return the callbacks of a strategy: a name, ``(name, arguments)``, or a finetuning callback.

    Raises:
        FinetuningError: If it is none of these.
        UnknownNameError: If the name is not registered.

    Example:
        >>> resolve_strategy(("freeze_unfreeze", 5))[0].unfreeze_epoch
        5
    """
    if isinstance(strategy, str):
        return resolve_strategy(finetuning_strategies.get(strategy)())
    if isinstance(strategy, tuple) and len(strategy) == 2 and isinstance(strategy[0], str):
        name, arguments = strategy
        factory = finetuning_strategies.get(name)
        keywords = arguments if isinstance(arguments, Mapping) else {}
        positional = () if keywords is arguments else arguments if isinstance(arguments, tuple) else (arguments,)
        made = call_with(f"the strategy {name!r}", factory, positional, keywords, error=FinetuningError)
        return resolve_strategy(made)
    if isinstance(strategy, BaseFinetuning):
        return [strategy, LightningResume()]
    if isinstance(strategy, FlashBaseFinetuning):
        return [strategy]
    if isinstance(strategy, Callback):
        name = type(strategy).__name__
        raise FinetuningError(
            f"Expected a finetuning strategy, but {name} is a callback of another kind, which freezes nothing. Pass it "
            f"to the trainer, Trainer(callbacks=[{name}(...)]), and choose a strategy, such as strategy='freeze'."
        )
    names = ", ".join(repr(name) for name in finetuning_strategies.list())
    raise FinetuningError(
        f"Expected a finetuning strategy: one of {names}, a tuple such as ('freeze_unfreeze', 5), or a finetuning "
        f"callback, but got {strategy!r}. Choose one: trainer.finetune(task, datamodule, strategy='freeze')."
    )


def is_strategy(value: Any) -> bool:
    """Return whether a value has the form of a strategy, as opposed to data: a name, ``(name, arguments)``, a callback.

    Example:
        >>> is_strategy("freeze"), is_strategy(("freeze_unfreeze", 5)), is_strategy([1, 2])
        (True, True, False)
    """
    name = value[0] if isinstance(value, tuple) and value else value
    return isinstance(name, str | Callback)


def _chosen_by_task(pl_module: pl.LightningModule) -> list[nn.Module]:
    choose = getattr(pl_module, "modules_to_freeze", None)
    chosen = choose() if callable(choose) else _find_attribute(pl_module, "backbone")
    return [] if chosen is None else _as_list(chosen)


def _find_attribute(pl_module: pl.LightningModule, name: str) -> nn.Module | None:
    for owner in (pl_module, getattr(pl_module, "model", None)):
        found = getattr(owner, name, None)
        if isinstance(found, nn.Module):
            return found
    return None


def as_modules(chosen: nn.Module | Iterable[nn.Module] | None) -> list[nn.Module]:
    """Return the result of ``modules_to_freeze()`` as a list: one module, several or ``None``.

    Example:
        >>> as_modules(nn.Identity()), as_modules(None)
        ([Identity()], [])
    """
    return [] if chosen is None else [chosen] if isinstance(chosen, nn.Module) else list(chosen)


def _as_list(modules: Any) -> list[nn.Module]:
    if isinstance(modules, nn.ModuleDict):
        return list(modules.values())
    return as_modules(modules)


def _takes_optimizer_number(function: Any) -> bool:
    return len(inspect.signature(function).parameters) > 3


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FinetuningError(f"Expected {name} to be a whole number of at least 1, but got {value!r}.")
    return value


def _increasing(milestones: Any) -> tuple[int, int]:
    values = tuple(milestones) if isinstance(milestones, tuple | list) else ()
    if len(values) == 2 and isinstance(values[0], tuple | list):
        raise FinetuningError(
            f"Expected the two epochs, and after them the number of layers, but got {milestones!r}, the form of "
            f"version 0.x of Lightning Flash. Write UnfreezeMilestones({tuple(values[0])!r}, {values[1]!r})."
        )
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    if len(values) != 2 or not whole or values[0] < 1 or values[0] >= values[1]:
        raise FinetuningError(
            "Expected unfreeze_milestones to be two epochs of at least 1, the second after the first, such as "
            f"(5, 10), but got {milestones!r}."
        )
    return values[0], values[1]
