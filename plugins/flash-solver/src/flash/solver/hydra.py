"""``hydra_main``: decorate a function to run with a Hydra configuration, in its own experiment.

If Dora is installed, the result is Dora's own class, so that ``dora run`` and ``dora grid`` accept it. Otherwise it
uses Hydra alone, with the same signatures and folders as Dora.
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
from flash.solver.processes import launch_rank
from flash.solver.serialization import config_to_container
from flash.solver.utils import explaining_write_errors, writing_in_folder
from flash.solver.xp import XP, Settings

__all__ = ["HydraMain", "hydra_main"]

# The values of version_base with the old default: the experiment's folder is the working directory.
_OLD_VERSION_BASES = ("1.0", "1.1")


def hydra_main(config_name: str, config_path: str | None, **kwargs: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that turns a function of a configuration into a program.

    Args:
        config_name: The configuration's name, such as ``"config"``.
        config_path: Its folder, relative to the file of the function.
        kwargs: Further arguments of ``hydra.main``. A ``version_base`` of 1.1 restores the behavior of Hydra 1.1 (the
            experiment's folder is the working directory), also on Hydra versions that no longer support it.

    Returns:
        A decorator. Its result has ``get_xp(argv)`` and ``get_xp_from_sig(sig)``, and runs when it is called.
    """
    _ensure_user()

    def decorate(main: Callable[..., Any]) -> Any:
        cls: Callable[..., Any] = _dora_class() if importlib.util.find_spec("dora") is not None else HydraMain
        return cls(main, config_name, config_path, **kwargs)

    return decorate


def _ensure_user() -> None:
    """Set the environment variable USER if it is missing, as in containers; many configurations refer to it."""
    if "USER" not in os.environ:
        try:
            os.environ["USER"] = getpass.getuser()
        except (KeyError, OSError):
            os.environ["USER"] = str(os.getuid())


def _hydra_arguments(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return arguments for the installed Hydra, and whether the program expects to run in the experiment's folder."""
    base = kwargs.get("version_base", "1.1")
    old = base is not None and str(base) in _OLD_VERSION_BASES
    rest = {key: value for key, value in kwargs.items() if key != "version_base"}
    # Hydra 1.3 requires version_base, None for its own defaults; Hydra 1.4 rejects it.
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


def _chdir_override(config: Any, moves: bool) -> list[str]:
    chosen = config.hydra.job.chdir
    # From Hydra 1.4 on it is never unset: False may be Hydra's default.
    decided = chosen is not None if _hydra_is_before_1_4() else bool(chosen)
    if not moves or decided or "hydra.job.chdir" in " ".join(sys.argv[1:]):
        return []
    return ["hydra.job.chdir=true"]


def patch_dora_hydra_main() -> None:
    """Patch Dora's own ``hydra_main`` for Hydra 1.4, which rejects the ``version_base`` of older programs.

    It is for programs that use ``from dora import hydra_main``. With older Hydra versions nothing is patched.
    """
    module: Any = sys.modules.get("dora.hydra")
    if module is not None and not _hydra_is_before_1_4():
        module.HydraMain = _dora_class()


@functools.cache
def _dora_class() -> type[Any]:
    from dora.hydra import HydraMain as DoraMain  # Importing it takes two seconds.

    class DoraHydraMain(DoraMain):  # type: ignore[misc]  # Dora has no type information
        """Dora's ``HydraMain``, also for Hydra versions that Dora does not support yet."""

        def __init__(self, main: Callable[..., Any], config_name: str, config_path: str | None, **kwargs: Any) -> None:
            modern, self._changes_dir = _hydra_arguments(kwargs)
            super().__init__(main, config_name=config_name, config_path=config_path, **modern)

        def _main(self) -> Any:
            config = _compose(self.full_config_path, self.config_name, (), self.hydra_kwargs, with_hydra=True)
            added = _chdir_override(config, self._changes_dir)
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
        main: The function; it receives the configuration.
        config_name: The configuration's name.
        config_path: Its folder, relative to the file of the function.
        kwargs: Further arguments of ``hydra.main``.
    """

    def __init__(self, main: Callable[..., Any], config_name: str, config_path: str | None, **kwargs: Any) -> None:
        self.main = main
        self.config_name = config_name
        self.config_path = config_path
        self.hydra_kwargs, self._changes_dir = _hydra_arguments(kwargs)
        self.full_config_path = _folder_of_program(main) / (config_path or "")
        self._base = self._compose([], with_hydra=True)
        self._groups = _config_groups(self.full_config_path, self.hydra_kwargs)
        section = config_to_container(self._base.get("dora"), resolve=True)
        self.dora = Settings.from_config(section or {})
        # Hydra resolves config_path relative to this module: the same as if the function were the program itself.
        main.__module__ = "__main__"

    def _compose(self, overrides: Sequence[str], with_hydra: bool = False) -> Any:
        return _compose(self.full_config_path, self.config_name, overrides, self.hydra_kwargs, with_hydra)

    def get_xp(self, argv: Sequence[str]) -> XP:
        """Return the experiment of command-line arguments; it need not have run."""
        arguments = _last_overrides(argv)
        chosen = [(*argument.split("=", 1), argument) for argument in arguments]
        groups = [(key, value) for key, value, _ in chosen if key in self._groups]
        base = self._compose([argument for key, _, argument in chosen if key in self._groups])
        cfg = self._compose(arguments)
        delta = [*groups, *_config_differences(base, cfg)]
        return XP(self.dora, cfg=cfg, argv=arguments, delta=delta)

    def get_argv_from_sig(self, sig: str) -> list[str]:
        """Return the arguments of an experiment that has run.

        Raises:
            ConfigurationError: If no experiment with that signature has run.
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
        """Create an experiment's folder, and write its arguments to ``.argv.json`` there."""
        path = xp.folder / ".argv.json"
        with explaining_write_errors(path):
            xp.folder.mkdir(parents=True, exist_ok=True)
        if launch_rank() == 0:
            with writing_in_folder(path, "w") as file:
                json.dump(xp.argv, file)
        return xp

    def __call__(self) -> Any:
        """Run the program with the arguments of the command line."""
        if {"-m", "--multirun"} & set(sys.argv[1:]):
            return self._run([])
        xp = self.init_xp(self.get_xp([argument for argument in sys.argv[1:] if "=" in argument]))
        added = [f"hydra.run.dir={xp.folder}", *_chdir_override(self._base, self._changes_dir)]
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


def _folder_of_program(main: Callable[..., Any]) -> Path:
    if main.__module__ != "__main__":
        spec = importlib.util.find_spec(main.__module__)
        origin = None if spec is None else spec.origin
    else:
        spec = sys.modules["__main__"].__spec__
        origin = sys.argv[0] if spec is None else spec.origin
    if origin is None:
        raise ConfigurationError(
            "Expected the program to be in a file, as its configuration is looked up beside it, but it is not. "
            "Write it to a file, or use BaseSolver(folder=...) without hydra_main."
        )
    return Path(origin).resolve().parent


def _initialize(folder: Path, kwargs: Mapping[str, Any]) -> Any:
    return _import_hydra().initialize_config_dir(str(folder), **kwargs)


def _compose(
    folder: Path, name: str, overrides: Sequence[str], kwargs: Mapping[str, Any], with_hydra: bool = False
) -> Any:
    with _initialize(folder, kwargs):
        from hydra import compose

        return compose(name, overrides=list(overrides), return_hydra_config=with_hydra)


def _config_groups(folder: Path, kwargs: Mapping[str, Any]) -> set[str]:
    with _initialize(folder, kwargs):
        from hydra.core.global_hydra import GlobalHydra

        return set(GlobalHydra.instance().hydra.list_all_config_groups())


def _last_overrides(argv: Sequence[str]) -> list[str]:
    """Return the arguments without those that a later one for the same setting overrides."""
    last: dict[str, str] = {}
    for argument in argv:
        key, separator, _ = argument.partition("=")
        if not separator:
            raise ConfigurationError(f"Expected arguments such as lr=0.1, but got {argument!r}.")
        last.pop(key.strip(), None)
        last[key.strip()] = argument
    return list(last.values())


def _config_differences(base: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings that differ, as ``(dotted name, value)``, in Dora's order."""
    from omegaconf import DictConfig

    for key in [*sorted(base.keys()), *sorted(set(other.keys()) - set(base.keys()))]:
        name, value = f"{path}{key}", other[key]
        if key in base and isinstance(base[key], DictConfig) and isinstance(value, DictConfig):
            yield from _config_differences(base[key], value, f"{name}.")
        elif key not in base or base[key] != value:
            yield name, config_to_container(value)
