"""Conformance checks of installed plugins."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, ClassVar

import flash
from flash.errors import FlashError
from flash.plugins import Contribution, PluginInfo, PluginState, first_party, get_host
from flash.plugins.info import canonical
from flash.plugins.types import Spec
from flash.testing._conformance import Conformance, tier
from flash.testing._process import in_new_interpreter

__all__ = ["PluginConformance"]

_MAX_SECONDS = 0.3
_MIN_WORDS = 3


class PluginConformance(Conformance):
    """Conformance checks of an installed plugin. A subclass sets the name of its entry point.

    Example:
        >>> class TestPlugin(PluginConformance):
        ...     plugin = "acme-audio"
    """

    #: The name of the entry point in the group ``flash.plugins``.
    plugin: ClassVar[str] = ""

    def info(self) -> PluginInfo:
        """Return the host's information about the plugin."""
        infos = get_host().infos()
        found = [info for info in infos if canonical(info.name) == canonical(self.plugin)]
        assert found, (
            f"Expected an installed plugin {self.plugin!r}, but there are {[each.name for each in infos]}. "
            "Install the package, with pip install -e ., and check its entry point."
        )
        return found[0]

    def contributions(self) -> tuple[Contribution[Spec], ...]:
        """Return the contributions of the plugin."""
        return self.info().contributions

    def test_it_is_loaded(self) -> None:
        """Check that the plugin is loaded, neither failed nor in conflict, and has contributions."""
        info = self.info()
        assert info.state is PluginState.LOADED, (
            f"Expected the plugin to be loaded, but it is {info.state}: {info.error}."
        )
        assert info.contributions, "Expected the plugin to have contributions, but its hooks return none."

    @tier("process")
    def test_it_imports_quickly_and_without_torch(self, tmp_path: Path) -> None:
        """Check that the plugin imports in 0.3 s without torch and other heavy packages, so that listings stay fast."""
        target = self.info().target
        seconds, heavy = in_new_interpreter(tmp_path, _IMPORT, target=target)
        assert not heavy, f"Expected {target} to import without torch, but it imports {heavy}. Name them in targets."
        assert seconds < _MAX_SECONDS, f"Expected {target} to import in {_MAX_SECONDS} s, but it takes {seconds:.2f} s."

    @tier("process")
    def test_its_import_leaves_the_process_as_it_was(self, tmp_path: Path) -> None:
        """Check that the import changes no environment variables, module path, warnings, logging or RNG state."""
        changed = in_new_interpreter(tmp_path, _EFFECTS, target=self.info().target)
        assert not changed, f"Expected the import of the plugin to have no side effects, but it changes {changed}."

    @tier("process")
    def test_its_hooks_give_the_same_each_time(self, tmp_path: Path) -> None:
        """Check that the hooks return the same contributions on each call."""
        same = in_new_interpreter(tmp_path, _TWICE, plugin=self.info().name)
        assert same, "Expected the hooks to return the same each time, but the second call returns something else."

    def test_every_target_resolves(self) -> None:
        """Check that each ``"module:attribute"`` can be imported, and is of the right type."""
        for contribution in self.contributions():
            for field in contribution.spec.targets:
                try:
                    found = contribution.load(field)
                except FlashError as error:
                    raise AssertionError(
                        f"Expected the target {field} of the {contribution.label}, but {error}"
                    ) from error
                _check_kind(contribution, field, found)

    def test_catalogues_list_names(self) -> None:
        """Check that a catalogue lists names, each once."""
        for contribution in self.contributions():
            if contribution.spec.kind == "catalogue":
                names = contribution.listed()
                assert names, f"Expected names in the {contribution.label}, but it lists none."
                assert len(names) == len(set(names)), f"Expected each name of the {contribution.label} once."

    def test_everything_has_a_summary(self) -> None:
        """Check that each contribution has a one-line summary for listings."""
        for contribution in self.contributions():
            summary = contribution.spec.summary
            words = summary.split()
            assert len(words) >= _MIN_WORDS, (
                f"Expected a sentence of at least {_MIN_WORDS} words as summary of the {contribution.label}, but got "
                f"{summary!r}."
            )
            assert "\n" not in summary, (
                f"Expected a summary of one line for the {contribution.label}, but got {summary!r}."
            )

    def test_targets_are_in_its_own_package(self) -> None:
        """Check that the targets are in packages of the plugin's distribution."""
        dist = self._dist()
        own = _packages(dist)
        for contribution in self.contributions():
            for field, target in contribution.spec.targets.items():
                module = target.partition(":")[0]
                assert any(module == each or module.startswith(each + ".") for each in own), (
                    f"Expected the target {field} of the {contribution.label} in a package of {dist.name}, "
                    f"{sorted(own)}, but it is {target}."
                )

    def test_its_distribution_ships_nothing_into_flash(self) -> None:
        """Check that no files are installed into ``flash``, which is reserved for Flash's own distributions."""
        dist = self._dist()
        if first_party.is_first_party(dist.name):
            return
        inside = [str(file) for file in dist.files or () if file.parts[:1] == ("flash",)]
        assert not inside, f"Expected a top-level package of its own, but {dist.name} ships {inside[0]}."

    def test_its_distribution_says_which_flash_core_it_needs(self) -> None:
        """Check that the requirement on flash-core is a range with a lower and an upper bound."""
        dist = self._dist()
        ranges = [
            text for text in dist.requires or () if re.match(r"flash[-_.]core\b(?!.*extra\s*==)", text, re.IGNORECASE)
        ]
        assert ranges, f"Expected {dist.name} to require flash-core, but it requires {list(dist.requires or ())}."
        for bound in (">=", "<"):
            assert any(bound in text for text in ranges), (
                f"Expected a range such as flash-core>=0.1,<0.2 in the requirements of {dist.name}, but got {ranges}."
            )

    def _dist(self) -> Distribution:
        return distribution(self.info().dist)


def _check_kind(contribution: Contribution[Spec], field: str, found: Any) -> None:
    wanted: dict[str, type] = {"task": flash.Task, "data": flash.DataModule}
    if field in wanted:
        kind = wanted[field]
        fits = isinstance(found, type) and issubclass(found, kind)
        assert fits, (
            f"Expected the {field} of the {contribution.label} to be a subclass of flash.{kind.__name__}, but got "
            f"{found!r}."
        )
    else:
        assert callable(found), f"Expected the {field} of the {contribution.label} to be callable, but got {found!r}."


def _packages(dist: Distribution) -> set[str]:
    """Return the packages that a distribution owns: those of its plugins."""
    targets = [entry.value.partition(":")[0] for entry in dist.entry_points if entry.group == "flash.plugins"]
    parts = [target.split(".") for target in targets]
    return {".".join(each[: 2 if each[0] == "flash" else 1]) for each in parts}


_IMPORT = """
import importlib, sys, time
import flash.plugins
def seconds():
    before = set(sys.modules)
    start = time.perf_counter()
    importlib.import_module(target.partition(":")[0])
    took = time.perf_counter() - start
    return took
took = seconds()
heavy = sorted({"torch", "numpy", "pandas", "sklearn", "PIL"} & set(sys.modules))
result = took, heavy
"""

_EFFECTS = """
import importlib, logging, os, random, sys, warnings
import flash.plugins
def state():
    return {
        "os.environ": dict(os.environ),
        "sys.path": list(sys.path),
        "warnings.filters": list(warnings.filters),
        "logging's handlers": list(logging.getLogger().handlers),
        "random numbers": random.getstate(),
        "the current folder": os.getcwd(),
    }
before = state()
importlib.import_module(target.partition(":")[0])
after = state()
result = [name for name in before if before[name] != after[name]]
"""

_TWICE = """
from flash.plugins import PluginHost
def specs():
    (info,) = [info for info in PluginHost().infos() if info.name == plugin]
    return [each.spec for each in info.contributions]
result = specs() == specs()
"""
