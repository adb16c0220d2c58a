"""``hydra_main``: a function that runs with a Hydra configuration, in an experiment of its own.

With Dora installed the result is Dora's own kind, so that ``dora run`` and ``dora grid`` take it. Otherwise it is
Hydra alone, with the signatures and folders that Dora would give.
"""

from __future__ import annotations

import functools
import getpass
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flash.errors import ConfigurationError
from flash.solver.plain import plain_config
from flash.solver.processes import launch_rank
from flash.solver.xp import XP, Settings

__all__ = ["HydraMain", "hydra_main"]

# What a program of Hydra's earlier days expects, and what Hydra now does only when it is asked to.
_OLD_BASES = ("1.0", "1.1")


def hydra_main(config_name: str, config_path: str | None, **kwargs: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a function of a configuration into a program.

    Args:
        config_name: The configuration's name, such as ``"config"``.
        config_path: Its folder, seen from the file of the function.
        kwargs: Further arguments of ``hydra.main``. A ``version_base`` of 1.1 gives what Hydra 1.1 did (the
            experiment's folder is the working directory), also on a Hydra that knows it no more.

    Returns:
        A decorator. What it makes has ``get_xp(argv)`` and ``get_xp_from_sig(sig)``, and runs when it is called.
    """
    _have_user()

    def decorate(main: Callable[..., Any]) -> Any:
        made: Callable[..., Any] = _dora_class() if importlib.util.find_spec("dora") is not None else HydraMain
        return made(main, config_name, config_path, **kwargs)

    return decorate


def _have_user() -> None:
    """Many configurations name a folder after the user, whom a container may not have."""
    if "USER" not in os.environ:
        try:
            os.environ["USER"] = getpass.getuser()
        except (KeyError, OSError):
            os.environ["USER"] = str(os.getuid())


def _modern(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Arguments that the installed Hydra takes, and whether the program expects to be moved to its folder."""
    base = kwargs.get("version_base", "1.1")
    old = base is not None and str(base) in _OLD_BASES
    rest = {key: value for key, value in kwargs.items() if key != "version_base"}
    # Hydra 1.3 asks for a base, with None for its own; 1.4 asks for none to be named.
    named = {"version_base": None if old else base} if _hydra_is_before_1_4() else {}
    return {**rest, **named}, old


def _hydra_is_before_1_4() -> bool:
    hydra = _import_hydra()
    return tuple(int(part) for part in hydra.__version__.split(".")[:2]) < (1, 4)


def _import_hydra() -> Any:
    try:
        import hydra
    except ImportError as error:
        raise ConfigurationError(
            "Expected the package hydra-core for hydra_main, but it is not installed: "
            "pip install 'flash-solver[hydra]', or 'flash-solver[dora]' for the command dora."
        ) from error
    return hydra


def _added_arguments(config: Any, moves: bool) -> list[str]:
    chosen = config.hydra.job.chdir
    # From 1.4 on it is never unset: "no" may be Hydra's own word.
    decided = chosen is not None if _hydra_is_before_1_4() else bool(chosen)
    if not moves or decided or "hydra.job.chdir" in " ".join(sys.argv[1:]):
        return []
    return ["hydra.job.chdir=true"]


def serve_through_dora() -> None:
    """Let Dora's own ``hydra_main`` serve programs of earlier days, where the installed Hydra refuses them.

    Such a program says ``from dora import hydra_main``, and this is where it meets this package. Nothing is changed
    on a Hydra that serves it as it is.
    """
    module: Any = sys.modules.get("dora.hydra")
    if module is not None and not _hydra_is_before_1_4():
        module.HydraMain = _dora_class()


@functools.cache
def _dora_class() -> type[Any]:
    from dora.hydra import HydraMain as DoraMain  # It takes two seconds to import.

    class DoraHydraMain(DoraMain):  # type: ignore[misc]  # Dora has no type information
        """Dora's program, on every Hydra that Dora itself cannot yet serve."""

        def __init__(self, main: Callable[..., Any], config_name: str, config_path: str | None, **kwargs: Any) -> None:
            modern, self._moves = _modern(kwargs)
            super().__init__(main, config_name=config_name, config_path=config_path, **modern)

        def _main(self) -> Any:
            config = _compose(self.full_config_path, self.config_name, (), self.hydra_kwargs, with_hydra=True)
            added = _added_arguments(config, self._moves)
            sys.argv.extend(added)
            try:
                return super()._main()
            finally:
                for argument in added:
                    sys.argv.remove(argument)

    return DoraHydraMain


class HydraMain:
    """A program with a Hydra configuration, without Dora.

    Args:
        main: The function; it gets the configuration.
        config_name: The configuration's name.
        config_path: Its folder, seen from the file of the function.
        kwargs: Further arguments of ``hydra.main``.
    """

    def __init__(self, main: Callable[..., Any], config_name: str, config_path: str | None, **kwargs: Any) -> None:
        self.main = main
        self.config_name = config_name
        self.config_path = config_path
        self.hydra_kwargs, self._moves = _modern(kwargs)
        self.full_config_path = _folder_of(main) / (config_path or "")
        self._base = self._compose([], with_hydra=True)
        self._groups = _config_groups(self.full_config_path, self.hydra_kwargs)
        section = plain_resolved(self._base.get("dora"))
        self.dora = Settings.from_config(section or {})
        # Hydra looks for the configuration from here: as it would, were this function the program itself.
        main.__module__ = "__main__"

    def _compose(self, overrides: Sequence[str], with_hydra: bool = False) -> Any:
        return _compose(self.full_config_path, self.config_name, overrides, self.hydra_kwargs, with_hydra)

    def get_xp(self, argv: Sequence[str]) -> XP:
        """Return the experiment that arguments stand for; it need not have run."""
        arguments = _last_of_each(argv)
        chosen = [(*argument.split("=", 1), argument) for argument in arguments]
        groups = [(key, value) for key, value, _ in chosen if key in self._groups]
        base = self._compose([argument for key, _, argument in chosen if key in self._groups])
        cfg = self._compose(arguments)
        delta = [*groups, *_differences(base, cfg)]
        return XP(self.dora, cfg=cfg, argv=arguments, delta=delta)

    def get_argv_from_sig(self, sig: str) -> list[str]:
        """Return the arguments of an experiment that has run.

        Raises:
            ConfigurationError: If none of that signature has.
        """
        file = XP(self.dora, cfg=None, argv=[], sig=sig).folder / ".argv.json"
        if not file.exists():
            raise ConfigurationError(
                f"Could not find experiment with signature {sig}: there is no {file}. Run it first, or look at the "
                "names of the folders there."
            )
        argv: list[str] = json.loads(file.read_text(encoding="utf-8"))
        return argv

    def get_xp_from_sig(self, sig: str) -> XP:
        """Return an experiment that has run."""
        return self.get_xp(self.get_argv_from_sig(sig))

    def init_xp(self, xp: XP) -> XP:
        """Make an experiment's folder, and note its arguments there."""
        xp.folder.mkdir(parents=True, exist_ok=True)
        if launch_rank() == 0:
            (xp.folder / ".argv.json").write_text(json.dumps(xp.argv), encoding="utf-8")
        return xp

    def __call__(self) -> Any:
        """Run the program with the arguments of the command line."""
        if {"-m", "--multirun"} & set(sys.argv[1:]):
            return self._run([])
        xp = self.init_xp(self.get_xp([argument for argument in sys.argv[1:] if "=" in argument]))
        added = [f"hydra.run.dir={xp.folder}", *_added_arguments(self._base, self._moves)]
        if launch_rank() > 0:
            added.append("hydra.output_subdir=null")
        with xp.enter():
            return self._run(added)

    def _run(self, added: list[str]) -> Any:
        hydra = _import_hydra()
        before = list(sys.argv)
        sys.argv.extend(added)
        try:
            decorate = hydra.main(config_name=self.config_name, config_path=self.config_path, **self.hydra_kwargs)
            return decorate(self.main)()
        finally:
            sys.argv[:] = before


def plain_resolved(section: Any) -> Any:
    """Return a section of a configuration as plain data, with its interpolations filled in."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(section, resolve=True) if OmegaConf.is_config(section) else section


def _folder_of(main: Callable[..., Any]) -> Path:
    if main.__module__ != "__main__":
        spec = importlib.util.find_spec(main.__module__)
        origin = None if spec is None else spec.origin
    else:
        spec = sys.modules["__main__"].__spec__
        origin = sys.argv[0] if spec is None else spec.origin
    if origin is None:
        raise ConfigurationError(
            "Expected the program to be in a file, for its configuration to be found beside it, but it is not. "
            "Write it to a file, or use BaseSolver(folder=...) without hydra_main."
        )
    return Path(origin).resolve().parent


def _initialized(folder: Path, kwargs: Mapping[str, Any]) -> Any:
    return _import_hydra().initialize_config_dir(str(folder), **kwargs)


def _compose(
    folder: Path, name: str, overrides: Sequence[str], kwargs: Mapping[str, Any], with_hydra: bool = False
) -> Any:
    with _initialized(folder, kwargs):
        from hydra import compose

        return compose(name, overrides=list(overrides), return_hydra_config=with_hydra)


def _config_groups(folder: Path, kwargs: Mapping[str, Any]) -> set[str]:
    with _initialized(folder, kwargs):
        from hydra.core.global_hydra import GlobalHydra

        return set(GlobalHydra.instance().hydra.list_all_config_groups())


def _last_of_each(argv: Sequence[str]) -> list[str]:
    """Of several arguments for one setting the last one counts."""
    last: dict[str, str] = {}
    for argument in argv:
        key, separator, _ = argument.partition("=")
        if not separator:
            raise ConfigurationError(f"Expected arguments such as lr=0.1, but got {argument!r}.")
        last.pop(key.strip(), None)
        last[key.strip()] = argument
    return list(last.values())


def _differences(base: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The settings that differ, by dotted name, in the order in which Dora lists them."""
    from omegaconf import DictConfig

    for key in [*sorted(base.keys()), *sorted(set(other.keys()) - set(base.keys()))]:
        name, value = f"{path}{key}", other[key]
        if key in base and isinstance(base[key], DictConfig) and isinstance(value, DictConfig):
            yield from _differences(base[key], value, f"{name}.")
        elif key not in base or base[key] != value:
            yield name, plain_config(value)
