"""Loops that can be interrupted in the middle and resumed in another process."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
from torch import distributed as dist

from flash.errors import ConfigurationError
from flash.serialization import capture_rng_state, restore_rng_state
from flash.solver import distrib
from flash.solver.errors import Interrupted
from flash.solver.interrupt import StopRequest, catch_stop_signals
from flash.solver.state import StateDictSource, load_into, state_of

__all__ = ["RandomStates", "ResumableLoop", "StageRun", "sync_stop_request"]

# The number of steps between checks of several processes whether any of them received a stop signal.
_STEPS_BETWEEN_CHECKS = 10
_EXHAUSTED = object()


class RandomStates:
    """All random states that a program draws from: the global ones, and those of registered generators.

    Args:
        generators: Returns the registered generators, by name.
    """

    def __init__(self, generators: Callable[[], Mapping[str, torch.Generator]] = dict) -> None:
        self._generators = generators

    def capture(self) -> dict[str, Any]:
        """Return the states as serializable values."""
        generators = {name: each.get_state() for name, each in self._generators().items()}
        return {**capture_rng_state(), "generators": generators}

    def restore(self, states: Mapping[str, Any]) -> None:
        """Restore the states that :meth:`capture` returned, also without those of generators, as in older files.

        Raises:
            CheckpointError: If they are not such states.
        """
        restore_rng_state(states)
        stored = states.get("generators", {})
        for name, generator in self._generators().items():
            if name in stored:
                load_into(generator, stored[name])


@dataclass
class StageRun:
    """The progress of a stage.

    Args:
        name: The stage.
        begin: The start time, as of ``time.perf_counter``.
        resume: The position to resume from; ``None`` once it is reached.
        random: The random states of the program.
    """

    name: str
    begin: float
    resume: dict[str, Any] | None = None
    random: RandomStates = field(default_factory=RandomStates)
    loops: int = 0
    #: The final carried state of each finished loop, and the random states then.
    carried: list[Any] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)
    request: StopRequest | None = None
    _signals: ExitStack = field(default_factory=ExitStack)

    def listen(self) -> StopRequest:
        """Catch stop signals from now on, until the stage is closed."""
        if self.request is None:
            self.request = self._signals.enter_context(catch_stop_signals())
        return self.request

    def close(self) -> None:
        """Restore the previous signal handlers."""
        self._signals.close()


class ResumableLoop:
    """Iterable wrapper that resumes after the item at which it was interrupted.

    A checkpoint between two steps holds the number of drawn items, the random states before the first item and now,
    and the carried state. To resume, the same items are drawn again and skipped. A loop that was finished before is
    skipped, and what follows it sees the random states of its end.

    Args:
        iterable: The items; must yield the same ones in the same order, given the same RNG state.
        stage: The stage of the loop.
        save: Writes a checkpoint, given the position of the loop and whether to stop.
        carry: State that changes from step to step and is not registered: averagers, lists, dicts, tensors; several
            as a tuple.
        commit_every: The interval between checkpoints: a number of steps, or a ``timedelta``.
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        stage: StageRun,
        save: Callable[[dict[str, Any], bool], None],
        carry: Any = None,
        commit_every: int | timedelta | None = None,
    ) -> None:
        self.iterable = iterable
        self.stage = stage
        self.carried = () if carry is None else carry if type(carry) is tuple else (carry,)
        for item in self.carried:
            if not isinstance(item, StateDictSource | list | dict | torch.Tensor | torch.Generator):
                raise ConfigurationError(
                    "Expected carry to be something that can be changed in place, such as an averager, a list or a "
                    f"dict, or a tuple of such, but got a {type(item).__name__}."
                )
        self._save = save
        self.commit_every = _check_interval(commit_every)
        self.number = stage.loops
        stage.loops += 1
        resume = stage.resume
        self._is_finished = resume is not None and self.number < resume["loop"]
        self._resume = resume if resume is not None and self.number == resume["loop"] else None
        self.skipped: int = 0 if self._resume is None else self._resume["index"]

    def __iter__(self) -> Iterator[Any]:
        """Yield the remaining items."""
        if self._is_finished:
            assert self.stage.resume is not None
            resume = self.stage.resume
            # Older files have no random states of the end.
            state, end = resume["carried"][self.number], resume.get("ends", {})
            self._load_carry(state)
            self.stage.carried.append(state)
            if end:
                self.stage.random.restore(end[self.number])
            self.stage.ends.append(self.stage.random.capture())
            return
        self._start = self.stage.random.capture() if self._resume is None else self._resume["start"]
        self._start_generator = self._generator_state()
        yield from self._steps(self.stage.listen())
        self.stage.carried.append(copy.deepcopy(self._carry_state()))
        self.stage.ends.append(self.stage.random.capture())

    def _steps(self, request: StopRequest) -> Iterator[Any]:
        iterator, index = self._fast_forward()
        self._last_save = time.monotonic()
        several = distrib.is_distributed()
        end = _min_length(self.iterable) if several else None
        every = self._steps_between_checks(several)
        while True:
            stop = due = 0
            if several:
                if end is not None and index < end and index % every == 0:
                    stop, due = self._agree(request, index)
            elif request.signum or self.commit_every is not None:
                stop, due = self._agree(request, index)
            position = self._position(index) if stop or due else None
            item = next(iterator, _EXHAUSTED)
            # No checkpoint after the last item: on resume the loop's body would not run again, and the variables that
            # it assigns would be missing. The end of the stage is near.
            if item is _EXHAUSTED:
                return
            if position is not None:
                self._save(position, bool(stop))
                self._last_save = time.monotonic()
                if stop:
                    raise Interrupted(stop)
            yield item
            index += 1

    def _steps_between_checks(self, several: bool) -> int:
        if not several:
            return 1
        return self.commit_every if isinstance(self.commit_every, int) else _STEPS_BETWEEN_CHECKS

    def _agree(self, request: StopRequest, index: int) -> tuple[int, int]:
        """Return the stop signal, 0 for none, and whether a checkpoint is due."""
        due = False
        if index > self.skipped and isinstance(self.commit_every, int):
            due = index % self.commit_every == 0
        elif index > self.skipped and isinstance(self.commit_every, timedelta):
            due = time.monotonic() - self._last_save >= self.commit_every.total_seconds()
        return sync_stop_request(request, due)

    def _position(self, index: int) -> dict[str, Any]:
        return {
            "loop": self.number,
            "index": index,
            "start": self._start,
            "generator": self._start_generator,
            "random": self.stage.random.capture(),
            "carry": self._carry_state(),
            "carried": list(self.stage.carried),
            "ends": list(self.stage.ends),
        }

    def _fast_forward(self) -> tuple[Iterator[Any], int]:
        resume, self._resume = self._resume, None
        if resume is None:
            return iter(self.iterable), 0
        self.stage.random.restore(resume["start"])
        generator = getattr(self.iterable, "generator", None)
        if resume["generator"] is not None and isinstance(generator, torch.Generator):
            generator.set_state(resume["generator"])
            self._start_generator = resume["generator"]
        iterator = iter(self.iterable)
        for _ in range(resume["index"]):
            next(iterator, None)
        self.stage.random.restore(resume["random"])
        self._load_carry(resume["carry"])
        self.stage.resume = None
        return iterator, resume["index"]

    def _generator_state(self) -> torch.Tensor | None:
        generator = getattr(self.iterable, "generator", None)
        return generator.get_state() if isinstance(generator, torch.Generator) else None

    def _carry_state(self) -> list[Any]:
        return [state_of(item) for item in self.carried]

    def _load_carry(self, states: list[Any]) -> None:
        for item, state in zip(self.carried, states, strict=True):
            load_into(item, state)


def sync_stop_request(request: StopRequest, due: bool = False) -> tuple[int, int]:
    """Return the stop signal that any process received, 0 for none, and whether a checkpoint is due in any of them."""
    if not distrib.is_distributed():
        return request.signum, int(due)
    vote = torch.tensor([request.signum, int(due)], device="cuda" if "nccl" in dist.get_backend() else "cpu")
    dist.all_reduce(vote, dist.ReduceOp.MAX)
    return int(vote[0]), int(vote[1])


def _check_interval(every: Any) -> int | timedelta | None:
    fits = every is None or (isinstance(every, timedelta) and every > timedelta(0))
    if not fits and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise ConfigurationError(
            f"Expected commit_every to be a number of steps or a timedelta, greater than 0, but got {every!r}."
        )
    return every  # type: ignore[no-any-return]  # checked just now


def _min_length(iterable: Iterable[Any]) -> int:
    """Return the smallest length of the iterable over all processes; 0 if it has no length in one of them."""
    length = len(iterable) if isinstance(iterable, Sized) else 0
    return int(min(distrib.gather_objects(length)))
