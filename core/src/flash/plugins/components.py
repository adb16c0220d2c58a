"""Parts of tasks that are selected by name, such as outputs and metrics; recipes of baselines; formats of export."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from flash.errors import ConfigurationError
from flash.plugins._messages import show
from flash.plugins._spec import ANY_CASE_NAME, BaseSpec

__all__ = [
    "COMPONENTS",
    "Augmentation",
    "Component",
    "Exporter",
    "Head",
    "LRScheduler",
    "Loss",
    "Metric",
    "Optimizer",
    "Output",
    "Recipe",
    "overlap",
]

_PART = r"(\*|[a-z0-9][a-z0-9_.+-]*)"
_SCOPE = re.compile(rf"\*|{_PART}/{_PART}")


@dataclass(frozen=True)
class _Component(BaseSpec):
    """Base class of components, with their common checks.

    Args:
        name: The name to select it by; it may have capital letters.
        target: Target of the component.
        scope: The tasks that have it: ``"*"`` for all, ``"image/*"``, ``"*/classification"``, or one task.
        summary: One sentence for listings.

    Raises:
        ConfigurationError: If the name, the target or the scope is malformed.
    """

    target: str
    scope: str = "*"
    summary: str = ""

    target_fields: ClassVar[tuple[str, ...]] = ("target",)
    name_pattern: ClassVar[re.Pattern[str]] = ANY_CASE_NAME

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.scope, str) or not _SCOPE.fullmatch(self.scope):
            raise ConfigurationError(
                f"{type(self).__name__}.scope must be '*' or look like 'image/*', '*/classification' or "
                f"'image/classification', but got {show(self.scope)}"
            )


@dataclass(frozen=True)
class Output(_Component):
    """A presentation of predictions, ``task.predict(..., output="name")``.

    The target is called as ``target(predictions, task)`` with the predictions of a batch and returns a list with one
    result per sample.

    Example:
        >>> Output("top3", target="acme.outputs:top3", scope="*/classification").kind
        'output'
    """

    kind: ClassVar[str] = "output"


@dataclass(frozen=True)
class Optimizer(_Component):
    """An optimizer, ``Task(optimizer="name")``: a class of torch, or a callable that takes parameters and ``lr``.

    Example:
        >>> Optimizer("lion", target="acme.optimizers:Lion", summary="Sign momentum (2302.06675).").scope
        '*'
    """

    kind: ClassVar[str] = "optimizer"


@dataclass(frozen=True)
class LRScheduler(_Component):
    """A learning-rate scheduler, ``Task(lr_scheduler="name")``: a class of torch, or a callable of an optimizer.

    Example:
        >>> LRScheduler("wave", target="acme.schedulers:wave").targets
        {'target': 'acme.schedulers:wave'}
    """

    kind: ClassVar[str] = "lr scheduler"


@dataclass(frozen=True)
class Metric(_Component):
    """A metric, ``Task(metrics="name")``.

    The target returns a torchmetrics object or a callable ``(predictions, targets) -> number``. It receives those of
    ``num_classes``, ``num_labels``, ``num_outputs``, ``task`` (``"multiclass"`` or ``"multilabel"``), ``threshold`` and
    ``labels`` that it has parameters for and the task knows.

    Example:
        >>> Metric("kappa", target="torchmetrics:CohenKappa", scope="*/classification").kind
        'metric'
    """

    kind: ClassVar[str] = "metric"


@dataclass(frozen=True)
class Loss(_Component):
    """A loss, ``Task(loss_fn="name")``: a class without required arguments, or a function of predictions and targets.

    Example:
        >>> Loss("focal", target="acme.losses:focal", scope="*/classification").kind
        'loss'
    """

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True)
class Head(_Component):
    """The head of a network, on top of its backbone, selected by name in the tasks of a domain.

    The domain defines the arguments of the target; for images these are ``(in_features, outputs)``.

    Example:
        >>> Head("cosine", target="acme.heads:cosine", scope="image/classification").scope
        'image/classification'
    """

    kind: ClassVar[str] = "head"


@dataclass(frozen=True)
class Augmentation(_Component):
    """A random transform of training samples, selected by name in the data modules of a domain.

    The domain defines the arguments and the return value of the target. For images it is a factory: called with the
    ``ImageConfig``, it returns a callable that takes and returns a PIL image.

    Example:
        >>> Augmentation("gray", target="acme.augmentations:gray", scope="image/*").kind
        'augmentation'
    """

    kind: ClassVar[str] = "augmentation"


@dataclass(frozen=True)
class Recipe(_Component):
    """A candidate for the baseline of a task: a model that a race trains, and compares with others.

    The target is called with the data, a :class:`flash.DataModule` whose train samples are loaded. It returns one of

    - a :class:`flash.Task`, made for the data, which is trained with ``trainer.fit``;
    - a pair of a task and a finetuning strategy, which is trained with ``trainer.finetune``;
    - an object with ``fit(data)`` and ``predict(dataset)``, such as a model of scikit-learn: ``predict`` returns one
      row per sample of an :class:`~flash.data.auto_dataset.AutoDataset`, probabilities ``(samples, classes)`` or
      numbers ``(samples, targets)``, as a tensor or an array; of a
      :class:`~flash.core.structured_prediction.StructuredTask` its ``predicted_statistics``. One with the attribute
      ``kind = "trivial"`` is a trivial model.

    Example:
        >>> Recipe("wav_cnn", target="acme.recipes:wav_cnn", scope="audio/*", summary="A small network.").kind
        'recipe'
    """

    kind: ClassVar[str] = "recipe"


@dataclass(frozen=True)
class Exporter(_Component):
    """A format of exported tasks, ``task.export(folder, format="name")``.

    The target is called as ``target(task, folder, inputs=inputs, **options)``, writes the folder and returns its path.
    ``inputs`` is a batch of the user, or ``None``; see :mod:`flash.core.export` for what a task says of itself.

    Example:
        >>> Exporter("coreml", target="acme.coreml:export", summary="For phones.").scope
        '*'
    """

    kind: ClassVar[str] = "exporter"


Component = Output | Optimizer | LRScheduler | Metric | Loss | Head | Augmentation

#: The classes of components.
COMPONENTS = (Output, Optimizer, LRScheduler, Metric, Loss, Head, Augmentation)


def overlap(one: str, other: str) -> bool:
    """Return whether two scopes can have a task in common.

    Example:
        >>> overlap("image/*", "*/classification"), overlap("image/*", "text/classification"), overlap("*", "a/b")
        (True, False, True)
    """
    if "*" in (one, other):
        return True
    pairs = zip(one.split("/"), other.split("/"), strict=True)
    return all("*" in pair or pair[0] == pair[1] for pair in pairs)
