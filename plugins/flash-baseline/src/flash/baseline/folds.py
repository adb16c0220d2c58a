"""The last round of a race over folds: the best models are fitted again without each fold, and predict it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from flash import DataModule
from flash.data.recognition import RawData, part_folders
from flash.data.splits import split_folds
from flash.errors import ConfigurationError, DataError, FlashError
from flash.serialization import writing

from ._resampling import Array
from .attempts import Here, containing, reason_of, seeded
from .leaderboard import bootstrap, score
from .problem import Problem, Source, pose_fold
from .race import Outcome, Race
from .recipes import make_runs
from .results import FoldScore

__all__ = ["Folds", "check_folds", "compare_over_folds"]

# The parts whose samples are divided.
_PARTS = ("train", "val")
# How many models are compared, the best of the race.
_FINALISTS = 3


def check_folds(folds: int | None, source: Source, engine: str | None) -> None:
    """Check that folds can be made of data, before it is read.

    Args:
        folds: Their number; ``None`` for no folds.
        source: The data.
        engine: The engine that recipes are trained on.

    Raises:
        ConfigurationError: If the number is not an integer above 1, or something excludes folds.
    """
    if folds is None:
        return
    if type(folds) is not int or folds < 2:
        raise ConfigurationError(f"Expected folds to be an integer above 1, but got {folds!r}.")
    reasons = {
        "time": (source.time, "which says that later rows are predicted from earlier ones"),
        "val": (source.val, "which says what models are compared on"),
        "engine": (engine, "since folds are fitted in this process"),
        "a data module": (isinstance(source.data, DataModule) or None, "which is split already"),
        "a folder of validation files": (_val_folder(source.data), "which says what models are compared on"),
    }
    for name, (value, why) in reasons.items():
        if value is not None:
            raise ConfigurationError(f"Expected folds without {name}, {why}. Leave folds or {name} out.")


def _val_folder(data: object) -> Path | None:
    return part_folders(Path(data).expanduser()).get("val") if isinstance(data, str | os.PathLike) else None


class Folds:
    """The train and validation rows of a table in folds, or the files of a folder.

    Args:
        problem: The task and its data, with its table.
        source: The data as the user passed it.
        count: The number of folds.

    Attributes:
        targets: The target of each row.
        groups: The group of each row; ``None`` without groups.
        parts: Of each fold the places of the rows that it holds out. A row of a class that no other fold has is in
            none, since no model can know the class.

    Raises:
        ConfigurationError: If the data is no table and no folder with a subfolder per class.
        DataError: If there are fewer rows or groups than folds.
    """

    def __init__(self, problem: Problem, source: Source, count: int) -> None:
        if problem.kind == "structured":
            raise ConfigurationError(
                f"Expected samples with one result each to make folds of, but those of {problem.name} have more. Leave "
                "folds out."
            )
        self.problem, self.source, self.count = problem, source, count
        known = [problem.parts[part].source_rows for part in _PARTS]
        if problem.raw is None:
            self._raw = _table_of_files(problem, source)
            self._rows = np.arange(sum(len(problem.parts[part]) for part in _PARTS))
        else:
            self._raw = problem.raw
            self._rows = np.concatenate([np.asarray(each.rows) for each in known if each is not None])
        self.targets: Array = np.concatenate([problem.targets[part] for part in _PARTS])
        groups = None if source.group is None else self._raw.cells(source.group)
        self.groups = None if groups is None else [groups[row] for row in self._rows.tolist()]
        self._classes = _classes(problem, self.targets)
        self._folds = split_folds(len(self._rows), count, source.seed, self._classes, self.groups)
        self.parts = [self._known(fold) for fold in self._folds]

    def _known(self, fold: Array) -> Array:
        """Return the rows of a fold whose classes other rows have."""
        if self._classes is None:
            return fold
        there = {label for row in np.setdiff1d(np.arange(len(self._rows)), fold) for label in _each(self._classes[row])}
        return np.array([row for row in fold if there.issuperset(_each(self._classes[row]))], dtype=np.int64)

    def problem_of(self, fold: int) -> Problem:
        """Return the problem of a fold.

        Args:
            fold: Its number, from 0.
        """
        # Nothing is learned from the rows of unknown classes either: their groups may be in the fold.
        learned = np.setdiff1d(np.arange(len(self._rows)), self._folds[fold])
        rows = (self._rows[learned].tolist(), self._rows[self.parts[fold]].tolist())
        return pose_fold(self.source, self.problem, self._raw, *rows)


def _table_of_files(problem: Problem, source: Source) -> RawData:
    """Return the train and validation files of folders of classes, as a table of files and their labels."""
    if problem.kind != "classification" or not isinstance(source.data, str | os.PathLike):
        raise ConfigurationError(
            f"Expected a table, or a folder with a subfolder per class, to make folds of, but got {problem.title}. "
            "Leave folds out."
        )
    parts = [problem.parts[part] for part in _PARTS]
    files = [str(each) for part in parts for each in part.ids_of(range(len(part)))]
    return RawData.of({"file": files, "label": [label for part in _PARTS for label in problem.named(part)]})


def _classes(problem: Problem, targets: Array) -> list[object] | None:
    if problem.kind == "regression":
        return None
    if problem.kind == "multi-label":
        return [np.flatnonzero(row).tolist() for row in targets]
    found: list[object] = targets.tolist()
    return found


def _each(classes: object) -> list[object]:
    return list(classes) if isinstance(classes, list) else [classes]


def compare_over_folds(race: Race, folds: Folds, deadline: float) -> None:
    """Fit the best models of a race again without each fold, and note their scores over all folds.

    Each gets an equal share of the time that is left. What a model predicted of a fold is kept in the folder of the
    race, for a run that is killed.

    Args:
        race: The race, which has been run.
        folds: The folds.
        deadline: When the time is up, of ``time.monotonic()``.
    """
    names = [each.run.name for each in race.ranking() if each.run.kind != "trivial"][:_FINALISTS]
    if race.is_interrupted or not names:
        return
    outputs: dict[str, dict[int, Array]] = {name: {} for name in names}
    failed: set[str] = set()
    # Those that take little time first: one that takes more than its share delays no other.
    finalists = sorted([race.outcomes[name] for name in names], key=lambda each: float(each.run.seconds))
    try:
        for fold in range(folds.count):
            left = len(finalists) * (folds.count - fold)
            for outcome, found in _predicted(race, folds, fold, finalists, left, deadline, failed):
                outputs[outcome.run.name][fold] = found
    except KeyboardInterrupt:
        race.is_interrupted = True
        race.say("Interrupted; models that were not fitted without each fold are compared on the validation part.")
    late = [name for name in names if len(outputs[name]) < folds.count and name not in failed]
    if names[0] in late:
        race.say(
            f"There was no time to fit {names[0]}, the best model of the race, without each of {folds.count} folds: "
            "models are compared on the validation part. Give it a longer time limit."
        )
        return
    for name in names:
        if len(outputs[name]) == folds.count:
            race.folds[name] = scored = _score(race, folds, name, outputs[name])
            value = scored.scores.get(race.metric.name, math.nan)
            race.say(f"{name}: {race.metric.name} {value:.4g} over {folds.count} folds")
        else:
            why = "there was no time to fit it" if name in late else "it could not be fitted"
            race.say(f"{name}: {why} without each of {folds.count} folds, and it comes after those that were.")


def _predicted(
    race: Race, folds: Folds, fold: int, finalists: list[Outcome], left: int, deadline: float, failed: set[str]
) -> Iterator[tuple[Outcome, Array]]:
    """Yield the predictions of a fold by each model that there is time for; add the names of those that fail."""
    folder = race.folder.runs / "folds" / str(fold)
    problem: Problem | None = None
    for number, outcome in enumerate(finalists):
        file = folder / f"{_file_name(outcome.run.name)}.npy"
        found = np.load(file) if file.is_file() else None
        if found is None and outcome.run.name not in failed and time.monotonic() < deadline:
            with containing(partial(_tell, race, failed, outcome)):
                problem = problem or _checked(folds.problem_of(fold), folds.parts[fold])
                found = _fit(race, problem, outcome, folder, (deadline - time.monotonic()) / (left - number))
            if found is not None:
                _keep(file, found)
                race.folder.keep(time.monotonic() - race.start, race.folder.seconds)
        if found is not None:
            yield outcome, found


def _checked(problem: Problem, held: Array) -> Problem:
    there = len(problem.parts["val"])
    if there != len(held):
        raise DataError(
            f"Expected all {len(held)} rows of a fold, but {len(held) - there} of them cannot be opened. Remove them."
        )
    return problem


def _tell(race: Race, failed: set[str], outcome: Outcome, error: BaseException) -> None:
    failed.add(outcome.run.name)
    race.say(f"{outcome.run.name}: failed in a fold. {reason_of(error)}")


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name)


def _keep(file: Path, outputs: Array) -> None:
    with writing(file, folder_argument="-o FOLDER") as written:
        np.save(written, outputs)


def _fit(race: Race, problem: Problem, outcome: Outcome, folder: Path, seconds: float) -> Array | None:
    """Fit a model on the rows of a fold; return its predictions of the others, ``None`` if there is no time."""
    name = outcome.run.name
    recipe = name if name in race.makers else name.removesuffix(" (head)")
    start = time.monotonic()
    with seeded(race.seed, recipe):
        runs = make_runs(problem, folder, seconds, race.seed, [recipe])[recipe]()
    for run in runs:
        made = Here(problem, race.seed).begin(run, seconds - (time.monotonic() - start), None).result()
        if made.failure is not None:
            raise FlashError(made.failure)
        if run.name == name and made.outputs is not None:
            return _in_order_of(race.problem, problem, made.outputs)
    return None


def _in_order_of(whole: Problem, part: Problem, outputs: Array) -> Array:
    """Return outputs with the classes in the order of those of all rows."""
    if whole.kind == "regression" or part.labels == whole.labels:
        return outputs
    found = np.zeros((len(outputs), len(whole.labels)))
    found[:, [whole.labels.index(label) for label in part.labels]] = outputs
    return found


def _score(race: Race, folds: Folds, name: str, outputs: dict[int, Array]) -> FoldScore:
    kind, metric = race.problem.scored_as, race.metric
    rows = np.concatenate(folds.parts)
    whole = np.concatenate([outputs[fold] for fold in range(folds.count)])
    targets = folds.targets[rows]
    groups = None if folds.groups is None else [folds.groups[row] for row in rows]
    scores = score(kind, targets, whole)
    each = [score(kind, folds.targets[part], outputs[fold]).get(metric.name) for fold, part in enumerate(folds.parts)]
    return FoldScore(
        name=name,
        folds=folds.count,
        samples=len(rows),
        scores=dict(sorted(scores.items(), key=lambda item: item[0] != metric.name)),
        interval=bootstrap(metric, targets, whole, groups=groups),
        each=each,
    )
