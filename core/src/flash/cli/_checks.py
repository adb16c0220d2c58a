"""Checks of the doctor: each yields problems, with the commands that repair them."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import flash
from flash.cli._installation import InstalledDist
from flash.cli._repairs import repair
from flash.errors import PluginError
from flash.plugins import Contribution, PluginHost, PluginInfo, PluginState, Provider
from flash.plugins._messages import sentence
from flash.plugins._problems import Known, Problem, name_problems, source_problems, target_problems
from flash.plugins.first_party import CORE, DOMAINS, is_first_party
from flash.plugins.info import canonical
from flash.plugins.types import Spec

__all__ = [
    "Finding",
    "clashes",
    "contributions",
    "leftover",
    "plugins",
    "problems",
    "shadows",
    "shared_files",
    "versions",
]

_PREDECESSOR = "lightning-flash"


@dataclass(frozen=True)
class Finding:
    """A problem, and the command that repairs it.

    Args:
        trouble: A description of the problem, in sentences.
        repair: The command to run.
        instead: An alternative command, which disables the plugin.
        wanted: Whether a setting asks for it, so that it is worth reporting but not a problem.
    """

    trouble: str
    repair: str
    instead: str = ""
    wanted: bool = False

    @property
    def remedy(self) -> str:
        """The command, with a prefix that says whether it repairs or undoes."""
        return f"{'undo' if self.wanted else 'repair'}: {self.repair}"


def leftover(dists: Iterable[InstalledDist]) -> Iterator[Finding]:
    """Find the predecessor, which installs into the same folder."""
    for dist in dists:
        if canonical(dist.name) == _PREDECESSOR:
            yield Finding(
                f"{dist.name} {dist.version} is installed; it writes into the same folder flash/.",
                f"pip uninstall -y {dist.name} && pip install --force-reinstall --no-deps {CORE}",
            )


def shadows(
    dists: Sequence[InstalledDist], portions: Iterable[str] | None = None, here: Path | None = None
) -> Iterator[Finding]:
    """Find folders and files named ``flash``, on the path or in the current folder, that no distribution owns."""
    core = Path(flash.__file__).parent.resolve()
    here = (here or Path.cwd()).resolve()
    on_path = [Path(portion).resolve() for portion in (flash.__path__ if portions is None else portions)]
    for odd in dict.fromkeys([*on_path, here / "flash", here / "flash.py"]):
        if odd == core or not odd.exists() or any(dist.holds(odd) for dist in dists):
            continue
        where = "in the current folder hides" if odd.parent == here else "on the module path mixes with"
        renamed = odd.with_name(f"my_{odd.name}")
        yield Finding(f"{odd} {where} the installed flash.", shlex.join(["mv", str(odd), str(renamed)]))


def shared_files(dists: Iterable[InstalledDist]) -> Iterator[Finding]:
    """Find files under ``flash/`` of two distributions: they overwrite, and on removal delete, each other's files."""
    owners: dict[str, list[str]] = defaultdict(list)
    for dist in dists:
        for file in dist.files:
            owners[file].append(dist.name)
    shared: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file, names in owners.items():
        if len(names) > 1:
            shared[tuple(sorted(names))].append(file)
    for sharers, files in shared.items():
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        rightful = _rightful(files[0])
        intruders = [name for name in sharers if canonical(name) != rightful]
        yield Finding(
            f"{' and '.join(sharers)} both installed {min(files)}{more}.",
            f"pip uninstall -y {' '.join(intruders)} && pip install --force-reinstall --no-deps {rightful}",
        )


def _rightful(file: str) -> str:
    return DOMAINS.get(file.split("/")[1], CORE)


def versions(dists: Iterable[InstalledDist]) -> Iterator[Finding]:
    """Find distributions whose requirement on flash-core the installed version does not meet."""
    from packaging.requirements import InvalidRequirement, Requirement

    for dist in dists:
        for text in dist.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            wanted = canonical(requirement.name) == CORE
            if not wanted or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
                continue
            if not requirement.specifier.contains(flash.__version__, prereleases=True):
                yield Finding(
                    f"{dist.name} {dist.version} needs {CORE}{requirement.specifier}, "
                    f"but {CORE} {flash.__version__} is installed.",
                    f"pip install --upgrade {CORE} {dist.name}",
                )


def plugins(infos: Iterable[PluginInfo], host: PluginHost, dists: Sequence[InstalledDist] = ()) -> Iterator[Finding]:
    """Find plugins that failed, conflict, or are disabled."""
    for info in infos:
        without = f"export {host.to_disable(info)}"
        if info.state is PluginState.FAILED:
            yield Finding(f"The plugin {info} failed: {sentence(info.error or '')}", repair(info, dists), without)
        elif info.state is PluginState.CONFLICT:
            trouble = f"The plugin {info} is in conflict: {sentence(info.error or '')}"
            yield Finding(trouble, without)
        elif info.state is PluginState.DISABLED:
            reason = sentence("; ".join(info.notes))
            yield Finding(f"The plugin {info} is disabled: {reason}", host.to_enable(info), wanted=True)


def contributions(
    infos: Iterable[PluginInfo], host: PluginHost, dists: Sequence[InstalledDist] = ()
) -> Iterator[Finding]:
    """Find problems in the contributions of the loaded plugins."""
    for info in infos:
        for problem in problems(info, host):
            trouble = f"The plugin {info}: {sentence(problem.text)}"
            yield Finding(trouble, repair(info, dists, problem.mark))


def problems(info: PluginInfo, host: PluginHost, load: bool = False) -> Iterator[Problem]:
    """Find problems in the contributions of a plugin.

    Args:
        info: The plugin.
        host: The host with all other plugins.
        load: Import all targets. Otherwise their source is parsed.
    """
    known = Known.of(contribution.spec for each in host.infos() for contribution in each.contributions)
    for contribution in info.contributions:
        yield from name_problems(contribution.spec, known)
    if info.dist != CORE:
        yield from target_problems(info) if load else source_problems(info)


def clashes(host: PluginHost) -> Iterator[Finding]:
    """Find names that several plugins register, names in catalogues included."""
    by_name: dict[tuple[str, str, str], list[Contribution[Spec]]] = defaultdict(list)
    for info in host.infos():
        for contribution in info.contributions:
            for name in _names(contribution) if contribution.spec.unique_name else ():
                kind = "backbone" if contribution.spec.kind == "catalogue" else contribution.spec.kind
                by_name[kind, contribution.spec.scope, name].append(contribution)
    ambiguous: dict[tuple[str, str, tuple[Provider, ...]], list[str]] = defaultdict(list)
    for (kind, scope, name), several in by_name.items():
        providers = tuple(dict.fromkeys(each.provider for each in several))
        if len(providers) > 1:
            ordered = sorted(providers, key=lambda each: not is_first_party(each.dist))
            ambiguous[kind, scope, tuple(ordered)].append(name)
    for (kind, scope, providers), names in ambiguous.items():
        where = f"{scope} " if scope not in {"", "*"} else ""
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        dists = len({canonical(each.dist) for each in providers}) == len(providers)
        written = [f"{each.dist if dists else each.plugin}/{names[0]}" for each in providers]
        yield Finding(
            f"The {where}{kind} {names[0]!r}{more} is registered by {' and by '.join(map(str, providers))}. "
            "A task's default and a checkpoint keep theirs; the name alone is ambiguous.",
            f"write {' or '.join(map(repr, written))}",
        )


def _names(contribution: Contribution[Spec]) -> Sequence[str]:
    if contribution.spec.kind != "catalogue":
        return [contribution.name]
    try:
        return contribution.listed()
    except PluginError:
        return ()  # Another check reports it.
