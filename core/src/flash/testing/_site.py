"""A temporary site-packages folder, in which a test installs plugins."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from typing_extensions import Self

from flash.plugins import PluginHost
from flash.plugins._current import use_host
from flash.testing import _network

__all__ = ["FlashResult", "PluginSite", "plugin_site"]

# By its path: importing the module would import the whole kit, and torch with it.
_PROGRAM = """
import runpy, sys
block = runpy.run_path(sys.argv[1])["blocked_network"]
from flash.cli import main
with block():
    sys.exit(main(sys.argv[2:]))
"""


@dataclass(frozen=True)
class FlashResult:
    """The result of a command.

    Args:
        code: The exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str


class PluginSite:
    r"""A folder in which plugins are installed as by pip, without pip.

    While the context is open, the folder is on the module path and in ``PYTHONPATH``, so that this process and its
    subprocesses find its plugins in addition to the installed ones. Afterwards this is undone, and modules from the
    folder are removed from ``sys.modules`` until it is opened again.

    Args:
        folder: The folder, created if it does not exist.

    Example:
        >>> import tempfile
        >>> from flash.plugins import get_host
        >>> source = "from flash.plugins import CallbackSpec, hookimpl\n\n@hookimpl\ndef flash_callbacks():\n"
        >>> source += "    yield CallbackSpec('carbon', factory='collections:Counter')\n"
        >>> with tempfile.TemporaryDirectory() as folder, PluginSite(folder) as site:
        ...     site.install("acme-carbon", {"acme_carbon/plugin.py": source})
        ...     get_host().callbacks()["carbon"].provider.dist
        'acme-carbon'
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._stack = ExitStack()
        self._modules: dict[str, ModuleType] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        patch = pytest.MonkeyPatch()
        sys.modules.update(self._modules)
        self._stack.callback(self._remove_modules)
        self._stack.callback(patch.undo)
        patch.syspath_prepend(self.folder)
        patch.setenv("PYTHONPATH", str(self.folder), prepend=os.pathsep)
        self._refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def install(
        self,
        dist: str,
        files: Path | Mapping[str, str],
        *,
        plugins: Mapping[str, str] | None = None,
        version: str = "1.0",
        requires: Sequence[str] = (),
    ) -> None:
        """Install a distribution.

        Args:
            dist: Its name, such as ``"acme-audio"``.
            files: The folder of its package, which is copied, or the text of each file by its path, such as
                ``{"acme_audio/plugin.py": "..."}``.
            plugins: Its entry points in the group ``flash.plugins``, by name; by default one, of the name of the
                distribution, for the module ``plugin`` of its package.
            version: Its version.
            requires: Its requirements, such as ``["flash-core>=0.1,<0.2"]``.
        """
        written = self._write(files)
        entries = plugins if plugins is not None else {dist: f"{Path(written[0]).parts[0]}.plugin"}
        info = f"{dist.replace('-', '_')}-{version}.dist-info"
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
        metadata = {
            "METADATA": f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n{needs}",
            "entry_points.txt": f"[flash.plugins]\n{lines}",
            "RECORD": "".join(f"{each},,\n" for each in written),
        }
        self._write({f"{info}/{name}": text for name, text in metadata.items()})
        self._refresh()

    def run_flash(self, *arguments: str | Path, cwd: Path | None = None, **environ: str) -> FlashResult:
        """Run ``flash`` in a new process, without a network.

        Args:
            arguments: The arguments after ``flash`` on the command line.
            cwd: The folder to run it in; by default the current one.
            environ: Variables to set, such as ``FLASH_PLUGINS="acme-audio"``.
        """
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, _network.__file__, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return FlashResult(done.returncode, done.stdout, done.stderr)

    def _write(self, files: Path | Mapping[str, str]) -> list[str]:
        """Write files, and return their paths in the folder."""
        if isinstance(files, Path):
            target = self.folder / files.name
            shutil.copytree(files, target, ignore=shutil.ignore_patterns("__pycache__"))
            return [path.relative_to(self.folder).as_posix() for path in sorted(target.rglob("*")) if path.is_file()]
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")
        return list(files)

    def _refresh(self) -> None:
        """Replace the plugin host, so that this process finds the installed plugins, if the context is open."""
        importlib.invalidate_caches()
        if str(self.folder) in sys.path:
            self._stack.enter_context(use_host(PluginHost()))

    def _remove_modules(self) -> None:
        inside = f"{self.folder}{os.sep}"
        for name, module in list(sys.modules.items()):
            if any(place.startswith(inside) for place in _places(module)):
                self._modules[name] = sys.modules.pop(name)


def _places(module: object) -> list[str]:
    """Return the file of a module, and the folders of a package, which may have no file."""
    # vars instead of getattr: some modules define __getattr__ for any name.
    own = vars(module) if isinstance(module, ModuleType) else {}
    places = [str(own.get("__file__"))]
    with suppress(KeyError):  # The path of a package without __init__.py depends on its parent, which may be gone.
        places += own.get("__path__") or ()
    return places


@pytest.fixture
def plugin_site(tmp_path: Path) -> Iterator[PluginSite]:
    """Open a :class:`flash.testing.PluginSite` during a test; load it with :mod:`flash.testing.fixtures`."""
    with PluginSite(tmp_path / "site") as site:
        yield site
