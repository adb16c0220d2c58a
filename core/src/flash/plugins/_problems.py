"""Find problems in the contributions of a loaded plugin, for ``flash doctor`` and ``flash plugins``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from flash.errors import PluginError
from flash.plugins._containment import silenced
from flash.plugins._source import find_installed, is_installed, modules_beside, target_problem
from flash.plugins.first_party import DOMAINS
from flash.plugins.info import Contribution, PluginInfo
from flash.plugins.renames import Renamed
from flash.plugins.types import Backbone, BackboneCatalogue, Command, DataSource, Spec, Strategy, TaskSpec

__all__ = ["BASES", "Known", "Problem", "name_problems", "source_problems", "target_problems"]

_CLOSE = 0.75


@dataclass(frozen=True)
class Problem:
    """A problem of a contribution.

    Args:
        text: A sentence about the problem, without its full stop.
        mark: A substring of the plugin's source, to locate the line.
    """

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Known:
    """The known domains and tasks.

    Args:
        domains: Names of the domains.
        tasks: Names of the tasks.
        names: All contributed names, each with its kind.
    """

    domains: frozenset[str]
    tasks: frozenset[str]
    names: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, specs: Iterable[Spec]) -> Known:
        """Collect the names in descriptions; a backbone alone does not define a domain."""
        specs = tuple(specs)
        tasks = frozenset(spec.name for spec in specs if isinstance(spec, TaskSpec))
        names = frozenset((spec.kind, spec.name) for spec in specs)
        return cls(frozenset(DOMAINS) | {task.partition("/")[0] for task in tasks}, tasks, names)


def name_problems(spec: Spec, known: Known) -> Iterator[Problem]:
    """Find misspelled domains and tasks in a description.

    Args:
        spec: The description.
        known: The known domains and tasks, the plugin's own tasks included.
    """
    if isinstance(spec, (TaskSpec, Strategy, Command)):
        return
    if isinstance(spec, Renamed):
        # Backbones are not checked, since those of a catalogue are not listed here.
        if spec.of not in {"class", "backbone"} and (spec.of, spec.new) not in known.names:
            names = [name for kind, name in sorted(known.names) if kind == spec.of]
            close = get_close_matches(spec.new, names, n=1, cutoff=_CLOSE)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield Problem(f"the {spec.of} {spec.old!r} is called {spec.new!r} now, which is none{hint}", spec.new)
        return
    if isinstance(spec, (Backbone, BackboneCatalogue)):
        close = get_close_matches(spec.domain, known.domains - {spec.domain}, n=1, cutoff=_CLOSE)
        if close and spec.domain not in known.domains:
            yield Problem(
                f"the {spec.kind} {spec.name!r} is for the domain {spec.domain!r}, which no task belongs to; "
                f"did you mean {close[0]!r}?",
                f'"{spec.domain}"',
            )
        return
    if "*" in spec.scope:
        domain = spec.scope.partition("/")[0]
        close = get_close_matches(domain, known.domains, n=1, cutoff=_CLOSE)
        if domain not in known.domains | {"*", ""} and close:
            yield Problem(
                f"the {spec.kind} {spec.name!r} is for {spec.scope!r}, a domain that no task belongs to; did you mean "
                f"'{close[0]}/{spec.scope.partition('/')[2]}'?",
                spec.scope,
            )
        return
    if not spec.scope or spec.scope in known.tasks:
        return
    domain = spec.scope.partition("/")[0]
    installed = domain in {task.partition("/")[0] for task in known.tasks}
    close = [task for task in sorted(known.tasks) if _alike(task, spec.scope)]
    if close or installed:
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known.tasks))}"
        what = "fills the data of" if isinstance(spec, DataSource) else "is for"
        yield Problem(f"the {spec.kind} {spec.name!r} {what} {spec.scope!r}, which is no task; {hint}", spec.scope)


def _alike(one: str, other: str) -> bool:
    pairs = zip(one.split("/"), other.split("/"), strict=True)
    return all(get_close_matches(part, [counterpart], n=1, cutoff=_CLOSE) for part, counterpart in pairs)


def source_problems(info: PluginInfo) -> Iterator[Problem]:
    """Find targets that cannot be imported or are of the wrong class, without importing them.

    Only the functions that list the names of catalogues are imported and called; they have to be cheap.

    Args:
        info: The plugin.
    """
    for contribution in info.contributions:
        if isinstance(contribution.spec, BackboneCatalogue):
            try:
                contribution.listed()
            except PluginError as error:
                yield Problem(str(error), contribution.spec.names)
        for field, target in contribution.spec.targets.items():
            text = target_problem(target, find_installed, modules_beside, BASES.get((contribution.spec.kind, field)))
            text = text or _missing_import(target)
            if text:
                yield Problem(f"of the {contribution.label}, {text}", target)


def _missing_import(target: str) -> str | None:
    source = find_installed(target.partition(":")[0])
    for each in source.imports() if source else ():
        top = each.module.partition(".")[0]
        if not each.optional and not is_installed(top):
            return f"{target} imports {top!r}, which is not installed"
    return None


#: The base class that a target has to inherit from, by the kind of the description and its field.
BASES = {("task", "task"): {"task": "flash.Task"}, ("task", "data"): {"data module": "flash.DataModule"}}


def target_problems(info: PluginInfo) -> Iterator[Problem]:
    """Import all targets of a plugin, and find those that fail or are of the wrong class.

    Args:
        info: The plugin.
    """
    for contribution in info.contributions:
        for field, target in contribution.spec.targets.items():
            text = _target_problem(contribution, field, target)
            if text:
                yield Problem(text, target)


def _target_problem(contribution: Contribution[Spec], field: str, target: str) -> str | None:
    try:
        with silenced():
            if isinstance(contribution.spec, BackboneCatalogue) and field == "names":
                contribution.listed()
                return None
            found = contribution.load(field)
    except PluginError as error:
        return str(error)
    if isinstance(contribution.spec, TaskSpec):
        return _wrong_class(contribution, field, target, found)
    if not callable(found):
        return f"the {contribution.label} needs something that can be called, but {target} is a {type(found).__name__}"
    return None


def _wrong_class(contribution: Contribution[Spec], field: str, target: str, found: object) -> str | None:
    import flash

    wanted: type = flash.Task if field == "task" else flash.DataModule
    if isinstance(found, type) and issubclass(found, wanted):
        return None
    return f"the {contribution.label} needs a subclass of flash.{wanted.__name__}, but {target} is none"
