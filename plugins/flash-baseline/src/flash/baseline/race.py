"""The race: successive halving of runs within a time limit, on one validation part.

The runs that are fitted at once come first. The trainings of networks then go through rounds of equal length: each
trains for its share of the time, the worse half of those that still improve leaves the race, and the others go on from
where they were (Jamieson and Talwalkar, 2016). Time that is left is for the best one that can still improve.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from flash import DataModule

from ._resampling import Array
from .attempts import SHORTEST, Attempt, Here, Workers, containing, reason_of, seconds_per_sample, seeded
from .folder import Folder
from .leaderboard import Metric, score
from .problem import Problem
from .recipes import FEWEST_ROWS, Maker
from .results import FoldScore
from .runs import Run, TaskRun

__all__ = ["Outcome", "Race"]

# The part of the time that is left that one run that is fitted at once may take.
_FITTED = 0.6
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
        workers: Where runs are trained; by default in this process.
        seed: The seed of the weights.

    Attributes:
        outcomes: What came of each run, by its name.
        is_interrupted: Whether the user stopped the race.
        folds: The scores over folds of the models that were compared over folds, by name.
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
        workers: Here | Workers | None = None,
        seed: int = 0,
    ) -> None:
        self.workers = workers or Here(problem, seed)
        self.seed = seed
        self.makers = dict(makers)
        self.problem = problem
        self.metric = metric
        self.start = start
        self.deadline = deadline
        self.folder = folder
        self.say = say
        self.outcomes: dict[str, Outcome] = {}
        self.is_interrupted = False
        self.folds: dict[str, FoldScore] = {}

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

    def _rank(self, outcome: Outcome) -> tuple[bool, float, float]:
        """Return what to sort by: the metric, that over folds first; then, for ties, how sure the predictions are."""
        sign = -1.0 if self.metric.higher_is_better else 1.0
        folded = self.folds.get(outcome.run.name)
        scores = outcome.scores if folded is None else folded.scores
        tie = scores.get("log_loss", scores.get("mae", 0.0))
        return folded is None, sign * scores.get(self.metric.name, sign * math.inf), tie

    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _start(self) -> list[Outcome]:
        """Make the runs of all recipes, run those that are fitted at once, and return the trainings."""
        trainings: list[Outcome] = []
        self._step_each(self._fitted(trainings), lambda: self._left() * _FITTED)
        return trainings

    def _fitted(self, trainings: list[Outcome]) -> Iterator[Outcome]:
        """Make the runs, one recipe after the other, and yield those that are fitted at once."""
        for recipe, make in self.makers.items():
            runs: list[Run] = []
            with seeded(self.seed, recipe), self._contained(recipe):
                runs = make()
            for run in [] if recipe in self.outcomes else runs:
                outcome = self.outcomes[run.name] = Outcome(run)
                if isinstance(run, TaskRun):
                    trainings.append(outcome)
                    run.seconds = self.folder.seconds.get(run.name, 0.0)
                elif self._left() > 0 or run.kind == "trivial" or self._is_owed(run):
                    yield outcome

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
            self._step_round(racing, time.monotonic() + self._left() / (rounds - number))
            racing = [each for each in racing if _can_go_on(each)]
            if number < rounds - 1:
                racing = self._better_half(racing)
        idle = False
        while not idle and self._left() > SHORTEST:
            rest = sorted([each for each in trainings if _can_go_on(each)], key=self._rank)
            idle = not self._step_each(rest[: self.workers.count], self._left)

    def _better_half(self, racing: list[Outcome]) -> list[Outcome]:
        """Return those that go on: the better half, and those that have not begun."""
        begun = sorted([each for each in racing if each.outputs is not None], key=self._rank)
        keep = math.ceil(len(begun) / 2)
        for outcome in begun[keep:]:
            outcome.status = "stopped"
        return begun[:keep] + [each for each in racing if each.outputs is None]

    def _step_round(self, racing: list[Outcome], until: float) -> None:
        """Share the time of a round, in which as many train at a time as there are workers."""
        waiting = [each for each in racing if _can_go_on(each)]
        turns = iter(range(len(waiting), 0, -1))
        self._step_each(waiting, lambda: (until - time.monotonic()) / math.ceil(next(turns) / self.workers.count))

    def _step_each(self, outcomes: Iterable[Outcome], share: Callable[[], float]) -> bool:
        """Train runs, one after the other in each worker; return whether there was time for one of them.

        Args:
            outcomes: Those of the runs; the next one is taken when a worker is free.
            share: Called for each of them, returns the seconds for it.
        """
        waiting, running = iter(outcomes), dict[Future[Attempt], Outcome]()
        has_trained, is_more = False, True
        while is_more or running:
            while is_more and len(running) < self.workers.count:
                outcome = next(waiting, None)
                is_more = outcome is not None
                if outcome is not None and (begun := self._begin(outcome, share())) is not None:
                    running[begun] = outcome
            for each in self._done(running):
                has_trained |= self._finish(running.pop(each), each)
        return has_trained

    def _begin(self, outcome: Outcome, seconds: float) -> Future[Attempt] | None:
        """Begin to train a run for some seconds; ``None`` if there is no time for it."""
        # Not even the evaluation has to be measured.
        if isinstance(outcome.run, TaskRun) and seconds < SHORTEST:
            outcome.reason = outcome.reason or "no time was left for it"
            return None
        begun: Future[Attempt] | None = None
        with self._contained(outcome.run.name):  # A run that cannot be sent to a worker fails alone.
            begun = self.workers.begin(outcome.run, seconds, outcome.evaluation)
        return begun

    def _done(self, running: Mapping[Future[Attempt], Outcome]) -> list[Future[Attempt]]:
        """Wait for one of the runs in the workers; none is waited for after the race."""
        done = [each for each in running if each.done()]
        if running and not done:
            late = _OVERTIME * (self.deadline - self.start)
            done = list(wait(running, max(0.0, self._left()) + late, FIRST_COMPLETED).done)
        return done or list(running)

    def _finish(self, outcome: Outcome, begun: Future[Attempt]) -> bool:
        """Note what came of an attempt; return whether there was time to train."""
        run = outcome.run
        if not begun.done():
            outcome.status = "failed"
            self._fail(run.name, TimeoutError("its worker did not end in time"))
            return False
        made: Attempt | None = None
        with self._contained(run.name):
            made = begun.result()
        if made is None:
            return False
        outcome.evaluation = made.evaluation
        run.seconds += made.seconds
        if made.failure is not None:
            self._fail(run.name, made.failure)
        elif not made.has_trained:
            outcome.reason = outcome.reason or made.reason
            return False
        elif made.outputs is None:
            outcome.reason = made.reason
        else:
            with self._contained(run.name):
                outcome.scores = score(self.problem.scored_as, self.problem.targets["val"], made.outputs)
                outcome.outputs, outcome.status = made.outputs, "done"
        taken = {name: float(each.run.seconds) for name, each in self.outcomes.items()}
        self.folder.keep(time.monotonic() - self.start, self.folder.seconds | taken)
        self._report(outcome)
        return made.has_trained

    def predict(self, outcome: Outcome, part: str) -> Array | None:
        """Return the predictions of a part; ``None`` if the run fails, which it then has."""
        if part == "val":
            return outcome.outputs
        found: Array | None = None
        with self._contained(outcome.run.name):
            found = outcome.run.predict(self.problem.data, self.problem.parts[part])
        return found

    def _contained(self, name: str) -> AbstractContextManager[None]:
        """Let a run fail alone, whatever it raises; what the user stops goes on."""
        return containing(lambda error: self._fail(name, error))

    def _fail(self, name: str, error: BaseException | str) -> None:
        outcome = self.outcomes.setdefault(name, Outcome(_NotMade(name, "")))
        outcome.status, outcome.outputs, outcome.scores = "failed", None, {}
        outcome.reason = error if isinstance(error, str) else reason_of(error)
        self.say(f"{name}: failed. {outcome.reason}")

    def _report(self, outcome: Outcome) -> None:
        if outcome.outputs is None:
            if outcome.status == "out of time":
                self.say(f"{outcome.run.name}: out of time. {outcome.reason}".rstrip())
            return
        epochs = "" if outcome.run.epochs is None else f", {outcome.run.epochs} epochs"
        value = outcome.scores.get(self.metric.name, math.nan)
        self.say(f"{outcome.run.name}: {self.metric.name} {value:.4g} after {outcome.run.seconds:.1f} s{epochs}")


def _can_go_on(outcome: Outcome) -> bool:
    return not outcome.run.is_finished and outcome.status != "failed"


class _NotMade(Run):
    """The run of a recipe that could not be made."""

    def train(self, data: DataModule, seconds: float) -> None:
        raise NotImplementedError

    def predict(self, data: DataModule, dataset: Any) -> Array:
        raise NotImplementedError
