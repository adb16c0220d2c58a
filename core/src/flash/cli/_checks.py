"""What the doctor looks for: each check gives what is wrong, with the command that repairs it."""

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
    """Something wrong, and the command that repairs it.

    Args:
        trouble: What is wrong, in sentences.
        repair: The command to run.
        instead: Another command, for who can live with less.
        wanted: Whether somebody asked for it, so that it is worth knowing but no trouble.
    """

    trouble: str
    repair: str
    instead: str = ""
    wanted: bool = False

    @property
    def remedy(self) -> str:
        """The command, with what it is good for."""
        return f"{'undo' if self.wanted else 'repair'}: {self.repair}"


def leftover(dists: Iterable[InstalledDist]) -> Iterator[Finding]:
    """The predecessor, which installs into the same folder."""
    for dist in dists:
        if canonical(dist.name) == _PREDECESSOR:
            yield Finding(
                f"{dist.name} {dist.version} is installed; it writes into the same folder flash/.",
                f"pip uninstall -y {dist.name} && pip install --force-reinstall --no-deps {CORE}",
            )


def shadows(
    dists: Sequence[InstalledDist], portions: Iterable[str] | None = None, here: Path | None = None
) -> Iterator[Finding]:
    """Folders and files named ``flash``, on the path or here, that no distribution put there."""
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
    """Files under ``flash/`` of two distributions: the last one wins, and the first to go deletes them."""
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
    """Distributions whose requirement on flash-core the present one does not meet."""
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
    """Find plugins that failed, conflict, or are kept out."""
    for info in infos:
        without = f"export {host.to_disable(info)}"
        if info.state is PluginState.FAILED:
            yield Finding(f"The plugin {info} failed: {sentence(info.error or '')}", repair(info, dists), without)
        elif info.state is PluginState.CONFLICT:
            trouble = f"The plugin {info} is in conflict: {sentence(info.error or '')}"
            yield Finding(trouble, without)
        elif info.state is PluginState.DISABLED:
            reason = sentence("; ".join(info.notes))
            yield Finding(f"The plugin {info} is kept out: {reason}", host.to_enable(info), wanted=True)


def contributions(
    infos: Iterable[PluginInfo], host: PluginHost, dists: Sequence[InstalledDist] = ()
) -> Iterator[Finding]:
    """Find what is wrong with what the loaded plugins contribute."""
    for info in infos:
        for problem in problems(info, host):
            trouble = f"The plugin {info}: {sentence(problem.text)}"
            yield Finding(trouble, repair(info, dists, problem.mark))


def problems(info: PluginInfo, host: PluginHost, load: bool = False) -> Iterator[Problem]:
    """Find what is wrong with what a plugin contributes.

    Args:
        info: The plugin.
        host: Knows what else there is.
        load: Import all targets. Without it their source is read.
    """
    known = Known.of(given.spec for each in host.infos() for given in each.contributions)
    for given in info.contributions:
        yield from name_problems(given.spec, known)
    if info.dist != CORE:
        yield from target_problems(info) if load else source_problems(info)


def clashes(host: PluginHost) -> Iterator[Finding]:
    """Find names that several plugins contribute, members of catalogues included."""
    by_name: dict[tuple[str, str, str], list[Contribution[Spec]]] = defaultdict(list)
    for info in host.infos():
        for given in info.contributions:
            for name in _names(given) if given.spec.unique_name else ():
                kind = "backbone" if given.spec.kind == "catalogue" else given.spec.kind
                by_name[kind, given.spec.scope, name].append(given)
    disputes: dict[tuple[str, str, tuple[Provider, ...]], list[str]] = defaultdict(list)
    for (kind, scope, name), several in by_name.items():
        providers = tuple(dict.fromkeys(each.provider for each in several))
        if len(providers) > 1:
            ordered = sorted(providers, key=lambda each: not is_first_party(each.dist))
            disputes[kind, scope, tuple(ordered)].append(name)
    for (kind, scope, providers), names in disputes.items():
        where = f"{scope} " if scope not in {"", "*"} else ""
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        dists = len({canonical(each.dist) for each in providers}) == len(providers)
        written = [f"{each.dist if dists else each.plugin}/{names[0]}" for each in providers]
        yield Finding(
            f"The {where}{kind} {names[0]!r}{more} is given by {' and by '.join(map(str, providers))}. "
            "A task's default and a checkpoint keep theirs; the name alone is refused.",
            f"write {' or '.join(map(repr, written))}",
        )


def _names(given: Contribution[Spec]) -> Sequence[str]:
    if given.spec.kind != "catalogue":
        return [given.name]
    try:
        return given.listed()
    except PluginError:
        return ()  # Another check says so.
