"""``flash plugin check``: find problems of a plugin before it is installed, as the doctor does afterwards."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

from flash import plugins
from flash.cli._output import counted, print_json
from flash.cli._package import Package, read_package
from flash.cli._specs_in_source import hooks_in, is_marked, specs_in
from flash.errors import ConfigurationError, PluginError
from flash.plugins import HOOK_API, hookspecs
from flash.plugins._conflicts import why_foreign
from flash.plugins._current import get_host
from flash.plugins._messages import clean
from flash.plugins._problems import BASES, Known, name_problems
from flash.plugins._source import Source, target_problem
from flash.plugins.first_party import CORE, is_first_party, published_owner
from flash.plugins.info import PluginInfo, PluginState, canonical
from flash.plugins.types import Backbone, Spec

__all__ = ["add_to", "check_package", "run"]

_HEAVY = {"torch", "pytorch_lightning", "torchmetrics", "lightning"}


def add_to(commands: Any) -> None:
    """Add the subcommand to ``flash plugin``."""
    parser = commands.add_parser(
        "check",
        help="say what is wrong with a project or a wheel, before it is installed",
        description="Say what is wrong with the project of a plugin, or a wheel, before it is installed. Its source is "
        "read; nothing of it runs.",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="the folder of a project, or a wheel")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check a plugin."""
    package = read_package(arguments.path)
    found = list(dict.fromkeys(check_package(package)))
    if arguments.json:
        print_json({"name": package.name, "version": package.version, "problems": found})
        return int(bool(found))
    print(f"{package.name} {package.version}".rstrip() + f": {counted(len(package.entry_points), 'plugin')}")
    for number, problem in enumerate(found, 1):
        print(f"\n{number}. {problem}" + ("" if problem.endswith("?") else "."))
    if not found:
        print("No trouble found. Install it, and 'flash plugins --check' imports all of it.")
    return int(bool(found))


def check_package(package: Package) -> Iterator[str]:
    """Find problems of a plugin that is not installed.

    Args:
        package: The project or wheel.

    Yields:
        A sentence per problem, without its full stop.
    """
    yield from _entry_points(package)
    yield from _files(package)
    specs: list[tuple[Spec, str]] = []
    for name, target in package.entry_points.items():
        source = package.modules.get(target.partition(":")[0])
        if source is not None:
            yield from _syntax(source) or (*_imported(source), *_hooks(source, name))
            specs += [(spec, place) for spec, place in _specs(source) if not isinstance(spec, ConfigurationError)]
            yield from (f"{place}: {spec}" for spec, place in _specs(source) if isinstance(spec, ConfigurationError))
    yield from _described(package, specs)
    yield from _dependencies(package)


def _entry_points(package: Package) -> Iterator[str]:
    if not package.entry_points:
        yield (
            "it has no entry point in the group flash.plugins, so nothing finds it; add to pyproject.toml "
            f'[project.entry-points."flash.plugins"] {package.name} = "{package.name.replace("-", "_")}.plugin"'
        )
    for name, target in package.entry_points.items():
        module = target.partition(":")[0]
        if module not in package.modules:
            near = package.beside(module) or [each for each in package.modules if each.partition(".")[0] == module]
            close = get_close_matches(module, near, n=1) or near[:5]
            has = f"; the package has {', '.join(close)}" if close else ""
            yield f"the entry point {name} = {clean(target)}: there is no such module{has}"
        owner = next((info for info in get_host().infos(load=False) if canonical(info.name) == canonical(name)), None)
        if owner and canonical(owner.dist) != canonical(package.name):
            yield f"the entry point {name} is also that of {owner.package}; rename it, such as to {package.name}"


def _files(package: Package) -> Iterator[str]:
    wrong = [file for file in package.flash_files if not is_first_party(package.name) or file == "flash/__init__.py"]
    if wrong:
        yield (
            f"it ships {wrong[0]} into the folder of Flash, where distributions overwrite each other's files; move it "
            f"into a package of its own, such as {package.name.replace('-', '_')}/"
        )


def _syntax(source: Source) -> list[str]:
    try:
        source.tree  # noqa: B018  # Accessing the property parses the source.
    except SyntaxError as error:
        return [f"{source.file}, line {error.lineno}: {error.msg}"]
    return []


def _imported(source: Source) -> Iterator[str]:
    """Find names that a module imports from ``flash.plugins``, and that are not there."""
    for node in source.tree.body:
        for each in node.names if isinstance(node, ast.ImportFrom) and node.module == "flash.plugins" else ():
            if each.name != "*" and not hasattr(plugins, each.name):
                close = get_close_matches(each.name, plugins.__all__, n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(plugins.__all__)}"
                yield f"{source.file}, line {node.lineno}: flash.plugins has no {clean(each.name)}; {hint}"


def _hooks(source: Source, name: str) -> Iterator[str]:
    hooks = list(hooks_in(source))
    if not hooks:
        there = ", ".join(hookspecs.RESULTS)
        yield f"{source.file}, which the entry point {name} names, implements no hook; there are {there}"
    for hook in hooks:
        place = f"{source.file}, line {hook.lineno}"
        arguments = [each.arg for each in hook.args.args if each.arg not in {"self", "cls"}]
        if hook.name not in hookspecs.RESULTS:
            close = get_close_matches(hook.name, hookspecs.RESULTS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(hookspecs.RESULTS)}"
            yield f"{place}: there is no hook {hook.name}; {hint}"
        elif not is_marked(hook):
            yield f"{place}: {hook.name} is not marked with @hookimpl from flash.plugins"
        if len(arguments) > len(hook.args.defaults):
            yield f"{place}: {hook.name} takes {', '.join(arguments)}, but hooks take no arguments: def {hook.name}()"
    for each in source.imports():
        if each.module.partition(".")[0] in _HEAVY and not each.optional:
            yield (
                f"{source.file}, line {each.line}: it imports {each.module} when it is loaded, which makes every flash "
                "command slow; name what needs it by 'module:attribute' strings only"
            )
    for node in source.tree.body:
        value = getattr(node, "value", None)
        named = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "HOOK_API"
        if named and isinstance(value, ast.Constant) and isinstance(value.value, int) and value.value > HOOK_API:
            yield (
                f"{source.file}, line {node.lineno}: it is written for hook API {value.value}, but this flash-core has "
                f"{HOOK_API}: pip install --upgrade flash-core"
            )


def _specs(source: Source) -> list[tuple[Spec | ConfigurationError, str]]:
    if _syntax(source):
        return []
    return [(spec, f"{source.file}, line {line}") for spec, line in specs_in(source)]


def _described(package: Package, specs: list[tuple[Spec, str]]) -> Iterator[str]:
    host = get_host()
    others = [
        contribution
        for info in host.infos()
        for contribution in info.contributions
        if canonical(info.dist) != canonical(package.name)
    ]
    known = Known.of([*(each.spec for each in others), *(spec for spec, _ in specs)])
    own = {module.partition(".")[0] for module in package.modules} - {"flash"}
    target = next(iter(package.entry_points.values()), "")
    itself = PluginInfo(package.name, package.name, package.version, target, "", PluginState.AVAILABLE)
    for index, (spec, place) in enumerate(specs):
        if spec.unique_name and any(_same_name(spec, other) for other, _ in specs[:index]):
            yield f"{place}: the {spec.kind} {spec.name!r} is there twice; remove or rename one"
        yield from (f"{place}: {problem.text}" for problem in name_problems(spec, known))
        for field, target in spec.targets.items():
            if target.partition(".")[0].partition(":")[0] in own:
                wrong = target_problem(target, package.modules.get, package.beside, BASES.get((spec.kind, field)))
                if wrong:
                    yield f"{place}: {wrong}"
        foreign = why_foreign(spec, itself, host.infos(load=False))
        if foreign:
            yield f"{place}: {foreign}"
        others_named = {str(each.provider) for each in others if spec.unique_name and _same_name(spec, each.spec)}
        if isinstance(spec, Backbone):
            others_named |= {
                str(each.provider) for each in host.contributions("catalogue", spec.domain) if _has(each, spec)
            }
        if others_named:
            names = " and by ".join(sorted(others_named))
            yield (
                f"{place}: the {spec.kind} {spec.name!r} is also registered by {names}, so "
                f"users have to write '{canonical(package.name)}/{spec.name}'; choose another name"
            )


def _same_name(one: Spec, other: Spec) -> bool:
    return (one.kind, one.scope, one.name) == (other.kind, other.scope, other.name)


def _has(catalogue: Any, spec: Spec) -> bool:
    try:
        return spec.name in catalogue.listed()
    except PluginError:
        return False


def _dependencies(package: Package) -> Iterator[str]:
    declared = {canonical(name) for name in map(_required, package.requires) if name}
    needs_core = [text for text in package.requires if canonical(_required(text) or "") == CORE]
    if not needs_core:
        yield "it does not require flash-core; add it to 'dependencies', such as flash-core>=0.1,<0.2"
    elif not re.search(r"<|==|~=", needs_core[0]):
        yield f"it requires {needs_core[0]!r} without an upper bound; write a range, such as flash-core>=0.1,<0.2"
    own = {module.partition(".")[0] for module in package.modules}
    allowed = declared | _required_by_flash(declared)
    providers = packages_distributions()
    seen: set[str] = set()
    for source in package.modules.values():
        if _syntax(source):
            yield from _syntax(source)
            continue
        for each in source.imports():
            dist = _dist_of(each.module, providers)
            top = each.module.partition(".")[0]
            unknown = top not in own | sys.stdlib_module_names and not dist & (allowed | {canonical(package.name)})
            if unknown and not each.optional and top not in seen and top != "__future__":
                seen.add(top)
                yield (
                    f"{source.file}, line {each.line}: it imports {each.module!r}, which no dependency provides; add "
                    f"{min(dist, default=top)!r} to 'dependencies'"
                )


def _required(text: str) -> str | None:
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", text)
    return found[1] if found and "extra ==" not in text else None


def _required_by_flash(declared: set[str]) -> set[str]:
    """Return the transitive requirements of flash-core and of the published packages among the declared ones."""
    found: set[str] = set()
    pending = {each for each in declared if is_first_party(each)} | ({CORE} if declared else set())
    for _ in range(3):  # A domain, flash-core, torch, numpy.
        pending = {canonical(each) for dist in pending for each in map(_required, _requires(dist)) if each}
        found |= pending
    return found


def _requires(dist: str) -> list[str]:
    try:
        return requires(dist) or []
    except PackageNotFoundError:
        return []


def _dist_of(module: str, providers: Any) -> set[str]:
    published = published_owner(module)
    first = module.partition(".")[0]
    return {published} if published else {canonical(each) for each in providers.get(first, [first])}
