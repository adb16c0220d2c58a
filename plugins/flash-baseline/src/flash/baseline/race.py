"""The race: successive halving of runs within a time limit, on one validation part.

The runs that are fitted at once come first. The trainings of networks then go through rounds of equal length: each
trains for its share of the time, the worse half of those that still improve leaves the race, and the others go on from
where they were (Jamieson and Talwalkar, 2016). Time that is left is for the best one that can still improve.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from flash import DataModule
from flash.data.stage import Stage
from flash.errors import FlashError

from ._resampling import Array
from .folder import Folder
from .leaderboard import Metric, score
from .problem import Problem
from .recipes import FEWEST_ROWS, Maker
from .runs import OutOfTime, Run, TaskRun

__all__ = ["Outcome", "Race", "seconds_per_sample"]

log = logging.getLogger("flash.baseline")

# A training that gets less time than this is not worth its start.
_SHORTEST = 0.3
# The part of the time that is left that one run that is fitted at once may take.
_FITTED = 0.6
# The number of samples by which the time of an evaluation is measured.
_MEASURED = 32
_LONG_ENOUGH = 0.2
_BRIEF = 0.02
# The part of the time limit by which a first model that learns may be late, if reading and checks took all of it.
_OVERTIME = 0.1


@dataclass
class Outcome:
    """Outcome of a run.

    Args:
        run: The run.
        status: As in :class:`~flash.baseline.results.Entry`.
        outputs: Its predictions of the validation samples.
        scores: Its metrics on them.
        reason: Why it failed.
        evaluation: About how many seconds its predictions of the validation samples take.
    """

    run: Any
    status: Literal["done", "stopped", "failed", "out of time"] = "out of time"
    outputs: Array | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    evaluation: float | None = None


class Race:
    """A race of runs.

    Args:
        makers: What makes the runs, by the name of their recipe.
        problem: The data, with train and validation samples.
        metric: The metric that decides.
        start: The time that the baseline began, of ``time.monotonic()``.
        deadline: The time to stop at.
        folder: Where the race keeps how far it is, so that one that was killed goes on.
        say: Called with a line for the user at each step.

    Attributes:
        outcomes: What came of each run, by its name.
        is_interrupted: Whether the user stopped the race.
    """

    def __init__(
        self,
        makers: Mapping[str, Maker],
        problem: Problem,
        metric: Metric,
        start: float,
        deadline: float,
        folder: Folder,
        say: Callable[[str], None],
    ) -> None:
        self.makers = dict(makers)
        self.problem = problem
        self.metric = metric
        self.start = start
        self.deadline = deadline
        self.folder = folder
        self.say = say
        self.outcomes: dict[str, Outcome] = {}
        self.is_interrupted = False

    def run(self) -> None:
        """Run the race; after Ctrl-C, what is there is kept."""
        try:
            trainings = self._start()
            self._halve(trainings)
        except KeyboardInterrupt:
            self.is_interrupted = True
            self.say("Interrupted; the report has what is there.")

    def ranking(self) -> list[Outcome]:
        """Return the outcomes with predictions, the best first."""
        ranked = [each for each in self.outcomes.values() if each.outputs is not None]
        return sorted(ranked, key=self._rank)

    def _rank(self, outcome: Outcome) -> tuple[float, float]:
        """Return what to sort by: the metric, then, for ties, how sure the predictions are."""
        sign = -1.0 if self.metric.higher_is_better else 1.0
        tie = outcome.scores.get("log_loss", outcome.scores.get("mae", 0.0))
        return sign * outcome.scores.get(self.metric.name, sign * math.inf), tie

    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _start(self) -> list[Outcome]:
        """Make the runs of all recipes, run those that are fitted at once, and return the trainings."""
        trainings: list[Outcome] = []
        for recipe, make in self.makers.items():
            with self._contained(recipe):
                runs = make()
            for run in [] if recipe in self.outcomes else runs:
                outcome = self.outcomes[run.name] = Outcome(run)
                if isinstance(run, TaskRun):
                    trainings.append(outcome)
                    run.seconds = self.folder.seconds.get(run.name, 0.0)
                elif self._left() > 0 or run.kind == "trivial" or self._is_owed(run):
                    self._step(outcome, self._left() * _FITTED)
        return trainings

    def _is_owed(self, run: Run) -> bool:
        """Return whether a run is fitted after the deadline: quickly, and as the first model that learns."""
        learned = [each for each in self.outcomes.values() if each.run.kind != "trivial" and each.outputs is not None]
        if run.kind != "classical" or learned:
            return False
        dataset, parts = self.problem.data.train_dataset, self.problem.parts
        per_sample = seconds_per_sample(len(dataset), lambda count: dataset.display(range(count)), _BRIEF)
        evaluated = sum(len(parts[name]) for name in ("val", "test") if name in parts)
        samples = min(len(dataset), FEWEST_ROWS) + evaluated
        return per_sample * samples < _OVERTIME * (self.deadline - self.start)

    def _halve(self, trainings: list[Outcome]) -> None:
        """Give the trainings time in rounds, and the rest of the time to those that can still improve."""
        rounds = max(1, math.ceil(math.log2(max(len(trainings), 1))) + 1)
        # The pretrained ones first, whose head is fitted already.
        racing = sorted(trainings, key=lambda each: each.run.starts_from is None)
        for number in range(rounds):
            until = time.monotonic() + self._left() / (rounds - number)
            for place, outcome in enumerate(racing):
                self._step_within(outcome, (until - time.monotonic()) / (len(racing) - place))
            racing = [each for each in racing if _can_go_on(each)]
            if number < rounds - 1:
                racing = self._better_half(racing)
        idle = False
        while not idle and self._left() > _SHORTEST:
            rest = sorted([each for each in trainings if _can_go_on(each)], key=self._rank)
            idle = not any(self._step_within(each, self._left()) for each in rest[:1])

    def _better_half(self, racing: list[Outcome]) -> list[Outcome]:
        """Return those that go on: the better half, and those that have not begun."""
        begun = sorted([each for each in racing if each.outputs is not None], key=self._rank)
        keep = math.ceil(len(begun) / 2)
        for outcome in begun[keep:]:
            outcome.status = "stopped"
        return begun[:keep] + [each for each in racing if each.outputs is None]

    def _step_within(self, outcome: Outcome, seconds: float) -> bool:
        """Train a run for some seconds, its evaluation included; return whether there was time for it."""
        if not _can_go_on(outcome):
            return False
        if seconds < _SHORTEST:  # Not even the evaluation has to be measured.
            outcome.reason = outcome.reason or "no time was left for it"
            return False
        if outcome.evaluation is None:
            with self._contained(outcome.run.name):
                outcome.evaluation = self._measure(outcome.run)
        if outcome.evaluation is None:
            return False
        # A training evaluates its last weights, and the race its best ones; in the end, the test samples are predicted.
        tests = len(self.problem.parts.get("test", ())) / len(self.problem.parts["val"])
        share = seconds - (2 + tests) * outcome.evaluation
        if share < _SHORTEST:
            outcome.reason = outcome.reason or "an epoch takes longer than its share"
            return False
        self._step(outcome, share)
        return True

    def _measure(self, run: Run) -> float:
        """Return about how many seconds the prediction of the validation samples takes."""
        dataset = self.problem.parts["val"]

        def predict(count: int) -> None:
            run.predict(self.problem.data, dataset.subset(list(range(count)), Stage.VAL))

        return seconds_per_sample(len(dataset), predict, _LONG_ENOUGH) * len(dataset)

    def _step(self, outcome: Outcome, seconds: float) -> None:
        """Train a run for some seconds, and evaluate it."""
        run, start = outcome.run, time.monotonic()
        with self._contained(run.name):
            try:
                run.train(self.problem.data, seconds)
                outcome.outputs = run.predict(self.problem.data, self.problem.parts["val"])
                outcome.scores = score(self.problem.kind, self.problem.targets["val"], outcome.outputs)
                outcome.status = "done"
            except OutOfTime as error:
                outcome.reason = str(error)
        run.seconds += time.monotonic() - start
        taken = {name: float(each.run.seconds) for name, each in self.outcomes.items()}
        self.folder.keep(time.monotonic() - self.start, self.folder.seconds | taken)
        self._report(outcome)

    def predict(self, outcome: Outcome, part: str) -> Array | None:
        """Return the predictions of a part; ``None`` if the run fails, which it then has."""
        if part == "val":
            return outcome.outputs
        found: Array | None = None
        with self._contained(outcome.run.name):
            found = outcome.run.predict(self.problem.data, self.problem.parts[part])
        return found

    @contextmanager
    def _contained(self, name: str) -> Iterator[None]:
        """Let a run fail alone, whatever it raises; what the user stops goes on."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error  # Lightning's answer to Ctrl-C.
            self._fail(name, error)

    def _fail(self, name: str, error: BaseException) -> None:
        outcome = self.outcomes.setdefault(name, Outcome(_NotMade(name, "")))
        outcome.status, outcome.outputs, outcome.scores = "failed", None, {}
        outcome.reason = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, FlashError):
            outcome.reason = f"{type(error).__name__}: {outcome.reason}"
            log.debug("The run %s failed.", name, exc_info=error)
        self.say(f"{name}: failed. {outcome.reason}")

    def _report(self, outcome: Outcome) -> None:
        if outcome.outputs is None:
            if outcome.status == "out of time":
                self.say(f"{outcome.run.name}: out of time. {outcome.reason}".rstrip())
            return
        epochs = "" if outcome.run.epochs is None else f", {outcome.run.epochs} epochs"
        value = outcome.scores.get(self.metric.name, math.nan)
        self.say(f"{outcome.run.name}: {self.metric.name} {value:.4g} after {outcome.run.seconds:.1f} s{epochs}")


def seconds_per_sample(most: int, work: Callable[[int], object], long_enough: float) -> float:
    """Return the seconds that work takes for each sample, of as many samples as take long enough to measure.

    Of few samples, most of the time is that of the start.

    Args:
        most: The greatest number of samples.
        work: Called with a number of samples.
        long_enough: The seconds that are long enough.
    """
    count, seconds = 0, 0.0
    while count < most and seconds < long_enough:
        count = min(most, max(_MEASURED, 8 * count))
        start = time.monotonic()
        work(count)
        seconds = time.monotonic() - start
    return seconds / count


def _can_go_on(outcome: Outcome) -> bool:
    return not outcome.run.is_finished and outcome.status != "failed"


class _NotMade(Run):
    """The run of a recipe that could not be made."""

    def train(self, data: DataModule, seconds: float) -> None:
        raise NotImplementedError

    def predict(self, data: DataModule, dataset: Any) -> Array:
        raise NotImplementedError
