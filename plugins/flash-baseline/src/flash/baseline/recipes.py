"""The runs of a race: those of every task, and those of the recipes that plugins register."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from flash import DataModule, Task
from flash.errors import ConfigurationError
from flash.plugins import Contribution, get_host

from .models import Constant, Model, models_for
from .problem import Problem, noun_of
from .runs import HeadRun, ModelRun, Run, TaskRun, has_pretrained_features

__all__ = ["FEWEST_ROWS", "Maker", "make_runs"]

#: Returns the runs of one recipe.
Maker = Callable[[], list[Run]]

# The rows per second that scikit-learn's models are sure to manage.
_ROWS_PER_SECOND = 4_000
#: The train samples that they get however little time there is.
FEWEST_ROWS = 1_000


def make_runs(
    problem: Problem, folder: Path, seconds: float | None, seed: int, chosen: Collection[str] | None = None
) -> dict[str, Maker]:
    """Return what makes the runs of a race by the name of their recipe, in the order to start them.

    First are those of every task: a constant, the models of scikit-learn, and the task with its defaults. Then come the
    recipes of plugins.

    Args:
        problem: The task and its data.
        folder: The folder for what the runs save.
        seconds: The time for the race, by which the models of scikit-learn take part of many rows;
            ``None`` for all.
        seed: The seed of the models of scikit-learn.
        chosen: The names of the recipes to take; ``None`` for all.

    Raises:
        ConfigurationError: If a name is chosen that is not there.
    """
    data = problem.data
    num_classes = data.num_classes
    num_targets = int(data.facts.get("num_targets", 1))
    most_rows = None if seconds is None else max(FEWEST_ROWS, int(seconds * _ROWS_PER_SECOND))
    what = "The mean of each target" if num_classes is None else "The frequency of each class"
    constant = ModelRun("constant", f"{what}, for every sample.", Constant(num_classes), "trivial")
    # The models of samples with one result each; those of structured prediction are recipes of their plugin.
    has_one_result = problem.kind != "structured"
    makers: dict[str, Maker] = {"constant": lambda: [constant]} if has_one_result else {}
    display, noun = data.train_dataset.display([0])[0], noun_of(data)
    models = models_for(display, num_classes, num_targets, most_rows, seed, noun) if has_one_result else {}
    for name, (summary, model) in models.items():
        if most_rows is not None and len(data.train_dataset) > most_rows:
            summary = f"{summary[:-1]}, on {most_rows:,} of the train samples."
        makers[name] = partial(_runs_of, name, summary, _always(model), data, folder)
    summary = f"{problem.task.__name__} with its defaults."
    makers["default"] = partial(_runs_of, "default", summary, problem.task.from_data, data, folder)
    for each in get_host().in_scope("recipe", problem.name):
        name = each.name if each.name not in makers else f"{each.provider.dist}/{each.name}"
        makers[name] = partial(_runs_of, name, each.spec.summary, _loaded(each), data, folder)
    unknown = [name for name in chosen or () if name not in makers]
    if unknown:
        raise ConfigurationError(f"Expected recipes among {', '.join(makers)}, but got {', '.join(unknown)}.")
    return {name: maker for name, maker in makers.items() if chosen is None or name in {*chosen, "constant"}}


def _always(model: Model) -> Callable[[DataModule], Model]:
    return lambda _: model


def _loaded(contribution: Contribution[Any]) -> Callable[[DataModule], Any]:
    """Return a recipe that is imported when it is called, so that one that fails fails alone."""
    return lambda data: contribution.load()(data)


def _runs_of(name: str, summary: str, recipe: Callable[[DataModule], Any], data: DataModule, folder: Path) -> list[Run]:
    """Return the runs of a recipe: one, or for a pretrained backbone its head alone first."""
    made = recipe(data)
    task, strategy = made if isinstance(made, tuple) else (made, None)
    if not isinstance(task, Task):
        if not (hasattr(task, "fit") and hasattr(task, "predict")):
            raise ConfigurationError(
                f"Expected the recipe {name!r} to return a task, a task with a finetuning strategy, or an object with "
                f"fit and predict, but got {type(task).__name__}."
            )
        return [ModelRun(name, summary, task, "trivial" if getattr(task, "kind", None) == "trivial" else "classical")]
    own = folder / _file_name(name)
    if not has_pretrained_features(task):
        return [TaskRun(name, summary, task, strategy, own)]
    head = HeadRun(f"{name} (head)", f"{summary.rstrip('.')}: a linear head on the frozen backbone.", task)
    if strategy == "freeze":
        return [head]

    return [head, TaskRun(name, summary, copy.deepcopy(task), strategy or "no_freeze", own, head)]


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name)
