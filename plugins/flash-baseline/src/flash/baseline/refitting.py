"""Fit one model of a baseline again, such as one of scikit-learn, which no checkpoint holds."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytorch_lightning import seed_everything

from flash import DataModule
from flash.data.stage import Stage
from flash.data.streams import load_dataset
from flash.errors import ConfigurationError

from ._resampling import Array
from .problem import Problem, Source, pose
from .recipes import make_runs
from .runs import ModelRun

__all__ = ["Refitted", "refit", "refit_lines"]

log = logging.getLogger("flash.baseline")

_ARGUMENTS = ("val", "test", "task", "group", "time", "drop", "seed", "sep", "encoding", "decimal")


class Refitted:
    """A model of a baseline, fitted on its train samples.

    Args:
        run: The fitted model.
        problem: The data, with its parts.

    Attributes:
        data: The data module, whose train samples the model is fitted on.
        labels: The names of the classes; empty for numbers.
    """

    def __init__(self, run: ModelRun, problem: Problem) -> None:
        self.data: DataModule = problem.data
        self.labels = [] if problem.kind == "regression" else list(self.data.labels or problem.labels)
        self._run = run
        self._preprocess = problem.parts["train"].hooks.preprocess
        self._kind = problem.kind

    @property
    def model(self) -> Any:
        """The model of the recipe."""
        return self._run.model

    def outputs(self, raw: Any) -> Array:
        """Return probabilities ``(samples, classes)``, or numbers ``(samples, targets)``.

        Args:
            raw: The inputs, as ``task.predict`` takes them: a table, a folder, a list of files, ...
        """
        dataset: Any = load_dataset(raw, Stage.PREDICT, self._preprocess, None)
        return self._run.predict(self.data, dataset)

    def predict(self, raw: Any) -> list[Any]:
        """Return a class, a list of classes, or a number for each input; several numbers are a list.

        Args:
            raw: As for :meth:`outputs`.
        """
        outputs = self.outputs(raw)
        if self._kind == "classification":
            return [self.labels[place] for place in outputs.argmax(1)]
        if self._kind == "multi-label":
            return [[self.labels[place] for place in row.nonzero()[0]] for row in outputs > 0.5]
        return [row[0] if len(row) == 1 else row for row in outputs.tolist()]


def refit(
    name: str,
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    val: Any = None,
    test: Any = None,
    task: str | None = None,
    group: str | None = None,
    time: str | None = None,
    drop: Sequence[str] = (),
    seed: int = 0,
    sep: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
) -> Refitted:
    """Fit one model of a baseline on the train samples that :func:`flash.baseline.run` with these arguments has.

    Args:
        name: The name of its recipe, such as ``"boosting"``.
        data: As for :func:`flash.baseline.run`, and so are the other arguments.
        target: The column to predict, or several.
        val: Validation data.
        test: Test data.
        task: The name of the task.
        group: A column whose values the splits do not divide.
        time: A column of times.
        drop: Columns to leave out.
        seed: The seed of splits and models.
        sep: The separator of tables of text.
        encoding: The encoding of tables of text.
        decimal: The decimal mark of numbers in tables of text.

    Raises:
        ConfigurationError: If an argument is wrong, the recipe makes a network, or samples have several results each.
        DataError: If nothing can be learned from the data.

    Example:
        It needs a package with a task for the data, such as flash-tabular; the page on baselines runs it.

        >>> table = {"size": list(range(40)), "y": ["small"] * 20 + ["large"] * 20}
        >>> refit("boosting", table, "y").predict({"size": [1, 39]})  # doctest: +SKIP
        ['small', 'large']
    """
    source = Source(data, target, val, test, task, group, time, tuple(drop), seed, sep, encoding, decimal)
    seed_everything(seed, verbose=False)
    problem = pose(source, log.debug)
    if problem.kind == "structured":
        raise ConfigurationError(
            f"Expected a task with one result per sample, whose models predict it, but got {problem.name}, of which "
            f"models without a network only count what they find. Fit the recipe {name} yourself: its plugin has it."
        )
    with TemporaryDirectory() as folder:
        (run, *others) = make_runs(problem, Path(folder), None, seed, [name])[name]()
    if others or not isinstance(run, ModelRun):
        raise ConfigurationError(
            f"Expected the recipe of a model that is fitted at once, such as boosting, but {name} is a network. The "
            "best one of a baseline is in its best.ckpt: load it with flash.Task.load_from_checkpoint."
        )
    run.train(problem.data, 0.0)
    return Refitted(run, problem)


def refit_lines(name: str, source: Source) -> str:
    """Return lines of Python that fit a model again.

    Args:
        name: The name of its recipe.
        source: The data as the user passed it; data in memory is called ``data``.

    Example:
        >>> print(refit_lines("boosting", Source("train.csv", "price", seed=1)))
        from flash.baseline import refit
        <BLANKLINE>
        model = refit("boosting", "train.csv", "price", seed=1)
        model.predict("new.csv")
    """

    def shown(value: Any, otherwise: str) -> str:
        if isinstance(value, str | os.PathLike):
            return _quoted(str(value))
        if isinstance(value, int | None):
            return str(value)
        return f"[{', '.join(map(_quoted, value))}]" if isinstance(value, list | tuple) else otherwise

    words = [_quoted(name), shown(source.data, "data")]
    words += [] if source.target is None else [shown(source.target, "target")]
    defaults = Source(None)
    for argument in _ARGUMENTS:
        value = getattr(source, argument)
        # Data frames do not compare as a whole.
        if not (value is None or (isinstance(value, int | tuple) and value == getattr(defaults, argument))):
            words.append(f"{argument}={shown(value, argument)}")
    new = '"new.csv"' if isinstance(source.data, str | os.PathLike) and Path(source.data).suffix else "new"
    lines = ["from flash.baseline import refit", "", f"model = refit({', '.join(words)})", f"model.predict({new})"]
    return "\n".join(lines)


def _quoted(text: Any) -> str:
    return json.dumps(text, ensure_ascii=False) if isinstance(text, str) else repr(text)
