"""The plugin of flash-core itself: its contributions, through the same hooks as any plugin."""

from __future__ import annotations

from collections.abc import Iterable

from flash.plugins import (
    CallbackSpec,
    Command,
    Loss,
    LRScheduler,
    Metric,
    Optimizer,
    Output,
    Renamed,
    Strategy,
    hookimpl,
)
from flash.plugins.components import Component

_OPTIMIZERS = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
_SCHEDULERS = (
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "StepLR",
)
# Name, scope and summary.
_OUTPUTS = (
    ("raw", "*", "The output of the network, unchanged."),
    ("labels", "*/classification", "The name of the most probable class, or of all classes above the threshold."),
    ("classes", "*/classification", "The index of the most probable class, or of all classes above the threshold."),
    ("probabilities", "*/classification", "One probability per class."),
    ("logits", "*/classification", "The network's scores, one number per class."),
    ("values", "*/regression", "One number per sample, in the units of the target."),
)
_METRICS = (
    ("accuracy", "*/classification", "Fraction of samples, or of labels, that are correct."),
    ("f1", "*/classification", "Harmonic mean of precision and recall, averaged over classes."),
    ("precision", "*/classification", "Fraction of predictions of a class that are correct, averaged over classes."),
    ("recall", "*/classification", "Fraction of samples of a class that are found, averaged over classes."),
    ("auroc", "*/classification", "Area under the receiver operating characteristic."),
    ("average_precision", "*/classification", "Area under the precision-recall curve."),
    ("kappa", "*/classification", "Cohen's kappa, the agreement beyond chance."),
    ("confusion_matrix", "*/classification", "Samples of each true class (row) by predicted class (column)."),
    ("mse", "*/regression", "Mean squared error."),
    ("rmse", "*/regression", "Root of the mean squared error."),
    ("mae", "*/regression", "Mean absolute error."),
    ("mape", "*/regression", "Mean absolute percentage error, as a fraction."),
    ("r2", "*/regression", "Coefficient of determination."),
)
# Name, function of torch.nn.functional, scope and summary.
_LOSSES = (
    ("cross_entropy", "cross_entropy", "*/classification", "Cross entropy of scores and class indices."),
    ("bce", "binary_cross_entropy_with_logits", "*/classification", "Binary cross entropy of scores."),
    ("mse", "mse_loss", "*/regression", "Mean squared error."),
    ("mae", "l1_loss", "*/regression", "Mean absolute error."),
    ("huber", "huber_loss", "*/regression", "Squared for small errors, absolute for large ones."),
    ("smooth_l1", "smooth_l1_loss", "*/regression", "Huber loss divided by its threshold."),
)
_COMMANDS = (
    ("fit", "train a task on data, and keep the run in a folder"),
    ("validate", "compute the scores of a checkpoint on validation data"),
    ("test", "compute the scores of a checkpoint on test data"),
    ("predict", "write one row per input with the prediction of a checkpoint"),
    ("shard", "write data as shards, which are read and shuffled from the disk"),
    ("tasks", "list the tasks of installed plugins"),
    ("backbones", "list the backbones, by domain"),
    ("strategies", "list the finetuning strategies"),
    (
        "components",
        "list what has a name: outputs, optimizers, metrics, losses, heads, augmentations, recipes, exporters, ...",
    ),
    ("plugins", "list the plugins with their states and contributions"),
    ("plugin", "start a plugin of your own: flash plugin new acme-audio; check one: flash plugin check acme-audio"),
    ("doctor", "find problems of the installation and how to repair them"),
)


@hookimpl
def flash_finetuning_strategies() -> Iterable[Strategy]:
    """Yield the four built-in strategies."""
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
        "Unfreeze the last layers at one epoch, the others at a later one.",
    )


@hookimpl
def flash_callbacks() -> Iterable[CallbackSpec]:
    """Yield the built-in callbacks, which a Trainer accepts by name."""
    yield CallbackSpec(
        "keep_best", "flash.core.callbacks:KeepBest", "Leave the task with the weights of its best epoch."
    )
    yield CallbackSpec(
        "average_weights",
        "flash.core.averaging:AverageWeights",
        "Validate a moving average of the weights, and leave the task with it.",
    )


@hookimpl
def flash_components() -> Iterable[Component]:
    """Yield the components of torch and torchmetrics that a task accepts by name."""
    for name in _OPTIMIZERS:
        yield Optimizer(name, f"torch.optim:{name}", summary=f"torch.optim.{name}")
    for name in _SCHEDULERS:
        target = f"torch.optim.lr_scheduler:{name}"
        yield LRScheduler(name, target, summary="Of torch.optim.lr_scheduler.")
    half = "Half a cosine from the learning rate to zero, over the whole training."
    yield LRScheduler("cosine", "flash.core.optimizers:cosine", summary=half)
    for name, shape in (("cosine_with_warmup", "half a cosine"), ("linear_with_warmup", "a line")):
        summary = f"A warm-up over a tenth of the training, then {shape} to zero."
        yield LRScheduler(name, f"flash.core.optimizers:{name}", summary=summary)
    for name, scope, summary in _OUTPUTS:
        yield Output(name, f"flash.core.outputs:{name}", scope, summary)
    for name, scope, summary in _METRICS:
        yield Metric(name, f"flash.core._metric_factories:{name}", scope, summary)
    for name, function, scope, summary in _LOSSES:
        yield Loss(name, f"torch.nn.functional:{function}", scope, summary)


@hookimpl
def flash_renames() -> Iterable[Renamed]:
    """Yield the names of components in Lightning Flash, which are still accepted."""
    yield Renamed("preds", "raw", of="output")


@hookimpl
def flash_commands() -> Iterable[Command]:
    """Yield the built-in commands of ``flash``."""
    for name, summary in _COMMANDS:
        module, function = ("evaluate", name) if name in ("validate", "test") else (name, "main")
        yield Command(name, f"flash.cli._{module}:{function}", summary)
