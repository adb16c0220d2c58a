"""Import and inspect one plugin such that its errors do not affect other plugins."""

from __future__ import annotations

import inspect
import itertools
import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from importlib.metadata import distribution

import pluggy

from flash.errors import FlashError, PluginError
from flash.plugins import hookspecs
from flash.plugins._containment import silenced
from flash.plugins._discovery import Candidate
from flash.plugins._messages import clean, one_line, show
from flash.plugins._targets import why_not_found
from flash.plugins.info import Contribution, PluginInfo, PluginState, canonical
from flash.plugins.types import Spec

__all__ = ["HookApiError", "load"]

_SLOW_SECONDS = 1.0
_MAX_SPECS = 10_000
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class HookApiError(PluginError):
    """A plugin that requires a later flash-core."""


class _Hooks(pluggy.PluginManager):
    """Hooks of a single plugin: each plugin has its own manager, so that it cannot affect another one."""

    def __init__(self, plugin: object) -> None:
        super().__init__(hookspecs.PROJECT)
        self.add_hookspecs(hookspecs)
        self.register(plugin)
        self.callers = {caller.name: caller for caller in self.get_hookcallers(plugin) or ()}

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Ignore all attributes but marked functions.

        pluggy before 1.7 gets every attribute by ``getattr``, which makes a lazy module import all its submodules.
        """
        static = inspect.getattr_static(plugin, name, None)
        function = static.__func__ if isinstance(static, (classmethod, staticmethod)) else static
        if not hasattr(function, f"{self.project_name}_impl"):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def load(candidate: Candidate) -> PluginInfo:
    """Import a plugin and call its hooks; the returned info holds its contributions or the error."""
    if candidate.error:
        return candidate.info
    had_torch = "torch" in sys.modules
    start = time.perf_counter()
    with silenced() as printed:
        try:
            info = replace(candidate.info, state=PluginState.LOADED, contributions=_contributions(candidate))
        except KeyboardInterrupt:  # Raised by the user, not by the plugin.
            raise
        except BaseException as error:  # Such as SystemExit: a plugin must not end the process.
            info = replace(candidate.info, state=PluginState.FAILED, error=_explain(error, candidate), exception=error)
    seconds = time.perf_counter() - start
    notes = []
    if seconds > _SLOW_SECONDS:
        notes.append(f"slow: loading it took {seconds:.1f} s; import what is heavy in the targets, not in the plugin")
    if not had_torch and "torch" in sys.modules:
        notes.append("slow: it imports torch; name what needs torch by 'module:attribute' strings only")
    if printed.text:
        notes.append(f"it prints when it is loaded, which is kept from the output: {printed.text!r}")
    return replace(info, seconds=seconds, notes=tuple(notes))


def _explain(error: BaseException, candidate: Candidate) -> str:
    if isinstance(error, FlashError):
        return clean(error, 1000)
    module_name = candidate.target.partition(":")[0]
    entry = f"the entry point {candidate.provider.plugin} = {candidate.target}"
    hint = why_not_found(error, module_name)
    if hint is None:
        if isinstance(error, AttributeError) and ":" in candidate.target and module_name in sys.modules:
            return f"{entry}: {one_line(error)}"
        return one_line(error)
    if hint.startswith("there is no"):
        return f"{entry}: {hint}"
    missing = str(getattr(error, "name", "")).partition(".")[0]
    wanted = _requirement(candidate.provider.dist, missing)
    if wanted:
        return f"{one_line(error)}: {hint}: pip install {shlex.quote(wanted)}"
    return (
        f"{one_line(error)}: {hint}, and {candidate.provider.dist} does not declare it; its author adds it to "
        "'dependencies' in pyproject.toml"
    )


def _requirement(dist: str, module: str) -> str | None:
    """Return the requirement of a distribution that matches the name of a module, without its marker."""
    try:
        requires = distribution(dist).requires or ()
    except Exception:  # Missing or damaged metadata can fail in any way.
        return None
    found = (re.match(r"\s*([A-Za-z0-9._-]+)[^;]*", text) for text in requires)
    return next((match[0].strip() for match in found if match and canonical(match[1]) == canonical(module)), None)


def _contributions(candidate: Candidate) -> tuple[Contribution[Spec], ...]:
    plugin = candidate.load()
    _check_api(plugin)
    _check_parameters(plugin)
    hooks = _Hooks(plugin)
    _check_names(plugin, hooks)
    found: dict[tuple[str, str, str], Contribution[Spec]] = {}
    for hook in hookspecs.RESULTS:
        for spec in _results(hook, hooks):
            contribution = Contribution(spec, candidate.provider)
            key = (spec.kind, spec.scope, spec.name)
            if key in found:
                raise PluginError(f"{hook} returns the {contribution.label} twice")
            found[key] = contribution
    return tuple(found.values())


def _check_api(plugin: object) -> None:
    api = inspect.getattr_static(plugin, "HOOK_API", hookspecs.HOOK_API)
    if not isinstance(api, int):
        raise PluginError(f"HOOK_API must be an integer, but got {show(api)}")
    if api > hookspecs.HOOK_API:
        raise HookApiError(
            f"it is written for hook API {api}, but this flash-core has {hookspecs.HOOK_API}: "
            "pip install --upgrade flash-core"
        )


def _check_parameters(plugin: object) -> None:
    for hook in hookspecs.RESULTS:
        static = inspect.getattr_static(plugin, hook, None)
        function = static.__func__ if isinstance(static, (classmethod, staticmethod)) else static
        if not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            continue
        parameters = inspect.signature(getattr(plugin, hook)).parameters.values()
        needed = [each.name for each in parameters if each.default is each.empty and each.kind not in _VARIADIC]
        if needed:
            raise PluginError(f"{hook} takes {', '.join(needed)}, but hooks take no arguments: def {hook}()")


def _check_names(plugin: object, hooks: _Hooks) -> None:
    for hook in hookspecs.RESULTS:
        if hook not in hooks.callers and inspect.getattr_static(plugin, hook, None) is not None:
            raise PluginError(f"{hook} is not marked with @hookimpl from flash.plugins")
    if not hooks.callers:
        raise PluginError(f"it implements no hook; there are {', '.join(hookspecs.RESULTS)}")
    for name, caller in hooks.callers.items():
        if caller.has_spec() or all(impl.optionalhook for impl in caller.get_hookimpls()):
            continue
        close = get_close_matches(name, hookspecs.RESULTS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(hookspecs.RESULTS)}"
        raise PluginError(f"there is no hook {name}; {hint}")


def _results(hook: str, hooks: _Hooks) -> Iterator[Spec]:
    if hook not in hooks.callers:
        return
    try:
        results = itertools.chain.from_iterable(map(_each, hooks.callers[hook]()))
        specs = list(itertools.islice(results, _MAX_SPECS + 1))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = clean(error, 1000) if isinstance(error, FlashError) else f"{one_line(error)}"
        raise PluginError(f"{hook} raised {text}") from error
    if len(specs) > _MAX_SPECS:
        raise PluginError(f"{hook} returns more than {_MAX_SPECS:,} descriptions; a BackboneCatalogue lists many names")
    expected = hookspecs.RESULTS[hook]
    for spec in specs:
        if not isinstance(spec, expected):
            wanted = " or ".join(kind.__name__ for kind in expected)
            raise PluginError(f"{hook} must return {wanted} objects, but got {show(spec)} ({type(spec).__name__})")
        yield spec


def _each(result: object) -> Iterable[object]:
    # A single object, a string or a mapping, returned by mistake, is reported as it is and not iterated over.
    return result if isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping)) else [result]
