"""Base class of all conformance checks, which ensures that no check is skipped."""

from __future__ import annotations

import logging
import types
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import pytest
import torch

import flash
from flash.errors import ConfigurationError
from flash.testing._network import blocked_network
from flash.testing._trainer import settle, silent_trainer

__all__ = ["Conformance", "Trainers", "tier"]

#: Creates trainers without logger, checkpoints and output; keywords are those of :class:`flash.Trainer`.
Trainers = Callable[..., flash.Trainer]

_KIT = "flash.testing"
_Check = TypeVar("_Check", bound=Callable[..., None])


def tier(name: Literal["train", "process"]) -> Callable[[_Check], _Check]:
    """Mark a check that trains for several epochs or starts processes; other checks are fast."""

    def put(check: _Check) -> _Check:
        check.tier = name  # type: ignore[attr-defined]  # functions take any attribute
        return check

    return put


class Conformance:
    """Base class of conformance checks, each run in its own folder, seeded, with one thread, without a network.

    A check that is known to fail is listed in :attr:`expected_failures` with the reason, and then has to fail. Checks
    cannot be omitted in any other way: a class with a check that is overridden, deselected or skipped fails.

    Example:
        >>> class TestMine(Conformance):
        ...     expected_failures = {"test_every_check_runs": "a check fails, and the reason is shown"}
    """

    #: Names of checks that fail, each with the reason.
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, reason in cls.expected_failures.items():
            check = cls._checks().get(name)
            if check is None:
                known = ", ".join(cls._checks())
                raise ConfigurationError(
                    f"Expected the names of checks in {cls.__name__}.expected_failures, but got {name!r}. "
                    f"There are {known}."
                )
            if not isinstance(reason, str) or not reason.strip():
                raise ConfigurationError(
                    f"Expected a reason for each of {cls.__name__}.expected_failures, but {name!r} has {reason!r}."
                )
            setattr(cls, name, _failing(check, reason))

    @classmethod
    def _checks(cls) -> dict[str, Any]:
        """Return the checks of the kit, by name, as the kit defines them."""
        bases = [base for base in reversed(cls.__mro__) if base.__module__.startswith(_KIT)]
        return {name: value for base in bases for name, value in vars(base).items() if name.startswith("test_")}

    # ------------------------------------------------------------------ fixtures

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _watched(cls, request: pytest.FixtureRequest) -> None:
        plugins = request.config.pluginmanager
        if not plugins.has_plugin(_Watcher.__name__):
            plugins.register(_Watcher(), _Watcher.__name__)

    @pytest.fixture(autouse=True)
    def _settled(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)
        for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
            monkeypatch.setenv(switch, "1")
        log = logging.getLogger("pytorch_lightning")
        before = torch.get_num_threads(), log.level
        with blocked_network() as attempts, warnings.catch_warnings():
            settle()
            yield
        torch.set_num_threads(before[0])
        log.setLevel(before[1])
        assert not attempts, f"Expected that nothing asks the network, but it was asked for {', '.join(attempts)}."

    @pytest.fixture
    def trainer(self, tmp_path: Path) -> Trainers:
        """Return a function that creates trainers without logger, checkpoints and output."""

        def make(**options: Any) -> flash.Trainer:
            quick: dict[str, Any] = {"num_sanity_val_steps": 0, "default_root_dir": tmp_path}
            return silent_trainer(**{**quick, **options})

        return make

    # ------------------------------------------------------------------ the check of the checks

    def test_every_check_runs(self, request: pytest.FixtureRequest) -> None:
        """Check that no check is overridden, marked to be skipped, or missing from the run."""
        cls = type(self)
        checks = cls._checks()
        own = {name: getattr(getattr(cls, name), "_kit_check", getattr(cls, name)) for name in checks}
        changed = sorted(name for name, check in checks.items() if own[name] is not check)
        assert not changed, f"Expected the kit's own checks, but {cls.__name__} overrides {changed}. {_HINT}"
        marks = {name: [mark.name for mark in _marks(getattr(cls, name))] for name in checks}
        skipped = sorted(name for name, names in marks.items() if {"skip", "skipif"} & set(names))
        assert not skipped, f"Expected that no check is skipped, but {skipped} are marked so. {_HINT}"
        if not _is_narrowed(request.config):
            items = [item for item in request.session.items if isinstance(item, pytest.Function)]
            collected = {item.originalname for item in items if item.cls is cls}
            missing = sorted(checks.keys() - collected)
            assert not missing, f"Expected {len(checks)} checks in the run, but {missing} are missing. {_HINT}"


_HINT = "A check that has to fail is named in expected_failures, with the reason."


class _Watcher:
    """Convert a check that is skipped at run time into a failure."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        cls = item.cls if isinstance(item, pytest.Function) else None
        is_check = cls and issubclass(cls, Conformance) and getattr(item, "originalname", "") in cls._checks()
        if is_check and report.skipped and not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"Expected that no check of the kit is skipped, but this one was. {_HINT}"
        return report


def _failing(check: Any, reason: str) -> Any:
    """Return a copy of a check that is expected to fail."""
    copy = types.FunctionType(check.__code__, check.__globals__, check.__name__, check.__defaults__, check.__closure__)
    copy.__kwdefaults__ = check.__kwdefaults__
    copy.__dict__.update(check.__dict__, _kit_check=check)
    copy.__doc__ = check.__doc__
    copy.__dict__["pytestmark"] = [*_marks(check), pytest.mark.xfail(reason=reason, strict=True).mark]
    return copy


def _marks(function: Any) -> list[Any]:
    return list(getattr(function, "pytestmark", []))


def _is_narrowed(config: pytest.Config) -> bool:
    """Return whether only some of the tests were selected."""
    if config.pluginmanager.has_plugin("flash.testing.fast"):
        return True
    option = config.option
    chosen = [getattr(option, name, None) for name in ("keyword", "markexpr", "deselect", "lf", "last_failed")]
    return any(chosen) or any("::" in str(argument) for argument in config.args)
