"""What is in the wheels that users install, and what their metadata promises."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import sys
import zipfile
from collections import Counter
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

pytestmark = pytest.mark.env

ROOT = Path(__file__).parent.parent
PLUGINS = {file.parent.name: file.parent for file in sorted(ROOT.glob("plugins/*/pyproject.toml"))}
SOURCES = {"flash-core": ROOT / "core", **PLUGINS}
DISTS = list(SOURCES)
# The old name of a domain, in the same wheel.
OLD_NAMES = {"flash-image": {"vision"}}
# These are as a third party's: each owns a top-level package.
OF_THEIR_OWN = {"flash-offline": "flash_offline"}
# A library that only a domain needs; core must neither require nor import it.
OF_A_DOMAIN = {
    *("datasets", "huggingface-hub", "nltk", "sentencepiece", "tokenizers", "transformers"),
    *("albumentations", "kornia", "opencv-python", "pil", "pillow", "scikit-image", "timm", "torchvision"),
    *("joblib", "pandas", "pytorch-tabnet", "scikit-learn", "scipy", "sklearn", "tabm"),
    *("librosa", "soundfile", "torchaudio"),
}


def files_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def read(wheel: Path, ending: str) -> str:
    (name,) = (name for name in files_in(wheel) if name.endswith(ending))
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


def metadata_of(wheel: Path) -> Message:
    return Parser().parsestr(read(wheel, ".dist-info/METADATA"))


def requirements_of(wheel: Path, of_extras: bool = False) -> set[str]:
    """The names of what a wheel requires, or of what its extras do."""
    lines = [line for line in metadata_of(wheel).get_all("Requires-Dist", []) if ("extra ==" in line) is of_extras]
    return {re.split(r"[\s<>=!~;\[]", line)[0].lower().replace("_", "-") for line in lines}


def test_only_the_wheel_of_core_contains_the_init_file_of_flash(wheels: dict[str, Path]) -> None:
    assert [name for name, wheel in wheels.items() if "flash/__init__.py" in files_in(wheel)] == ["flash-core"]


def test_no_path_is_in_two_wheels(wheels: dict[str, Path]) -> None:
    paths = Counter(path for wheel in wheels.values() for path in files_in(wheel))
    assert [path for path, times in paths.items() if times > 1] == []


@pytest.mark.parametrize("dist", PLUGINS)
def test_the_wheel_of_a_plugin_ships_its_own_folder_of_flash_and_nothing_else(
    wheels: dict[str, Path], dist: str
) -> None:
    files = [PurePosixPath(path) for path in files_in(wheels[dist]) if ".dist-info/" not in path]
    own = {folder_of(dist), *(f"flash/{name}" for name in OLD_NAMES.get(dist, ()))}
    assert {path for path in files if not any(path.is_relative_to(folder) for folder in own)} == set()
    assert all(any(path.is_relative_to(folder) for path in files) for folder in own)


def domain_of(dist: str) -> str:
    """What a plugin of ours is called inside flash."""
    return dist.removeprefix("flash-")


def folder_of(dist: str) -> str:
    """The folder that a package of ours owns."""
    return "flash" if dist == "flash-core" else OF_THEIR_OWN.get(dist, f"flash/{domain_of(dist)}")


def test_a_plugin_cannot_ship_the_init_file_of_flash_even_where_one_lies_in_its_sources(
    build_wheel: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "flash-tabular"
    shutil.copytree(SOURCES["flash-tabular"], copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (copy / "src" / "flash" / "__init__.py").write_text("raise ImportError('an editor made me')\n")
    assert "flash/__init__.py" not in files_in(build_wheel(copy, tmp_path))


@pytest.mark.parametrize("dist", DISTS)
def test_a_wheel_says_that_it_is_typed(wheels: dict[str, Path], dist: str) -> None:
    assert f"{folder_of(dist)}/py.typed" in files_in(wheels[dist])


@pytest.mark.parametrize("dist", DISTS)
def test_a_wheel_includes_the_whole_license(wheels: dict[str, Path], dist: str) -> None:
    assert read(wheels[dist], "licenses/LICENSE") == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("dist", DISTS)
def test_a_wheel_holds_every_module_of_its_sources_and_no_other_file(wheels: dict[str, Path], dist: str) -> None:
    folder = SOURCES[dist] / "src"
    sources = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    assert {path for path in files_in(wheels[dist]) if ".dist-info/" not in path} == sources


@pytest.mark.parametrize("dist", DISTS)
def test_a_wheel_holds_no_tests_and_no_benchmarks(wheels: dict[str, Path], dist: str) -> None:
    strange = {"tests", "benchmarks", "examples", "conftest.py"}
    found = [
        path
        for path in files_in(wheels[dist])
        if strange & set(PurePosixPath(path).parts)
        or (PurePosixPath(path).name.startswith("test_") and PurePosixPath(path).suffix == ".py")
    ]
    assert found == []


def test_the_wheel_of_core_brings_the_command(wheels: dict[str, Path]) -> None:
    assert entry_points_of(wheels["flash-core"])["console_scripts"] == {"flash": "flash.cli:main"}


@pytest.mark.parametrize("dist", PLUGINS)
def test_the_wheel_of_a_plugin_brings_its_entry_point(wheels: dict[str, Path], dist: str) -> None:
    package = folder_of(dist).replace("/", ".")
    assert entry_points_of(wheels[dist]) == {"flash.plugins": {domain_of(dist): f"{package}._plugin"}}


def entry_points_of(wheel: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string(read(wheel, ".dist-info/entry_points.txt"))
    return {section: dict(parser[section]) for section in parser.sections()}


def test_core_requires_nothing_of_a_domain(wheels: dict[str, Path]) -> None:
    assert requirements_of(wheels["flash-core"]) & OF_A_DOMAIN == set()


def test_core_imports_nothing_of_a_domain() -> None:
    assert imports_of(ROOT / "core" / "src") & OF_A_DOMAIN == set()


@pytest.mark.parametrize("dist", DISTS)
def test_what_a_package_imports_is_what_it_requires(wheels: dict[str, Path], dist: str) -> None:
    names_of_imports = {
        "dora-search": "dora",
        "flash-core": "flash",
        "hydra-core": "hydra",
        "pillow": "pil",
        "pyyaml": "yaml",
        "scikit-learn": "sklearn",
    }
    listed = requirements_of(wheels[dist]) | requirements_of(wheels[dist], of_extras=True)
    required = {names_of_imports.get(name, name).replace("-", "_") for name in listed}
    # What Torch, Lightning and Hydra require themselves; core requires the first two for every plugin.
    brought = {"omegaconf"} if "hydra" in required else set()
    if dist != "flash-core":
        brought |= {
            "lightning_fabric",
            "numpy",
            "pytorch_lightning",
            "torch",
            "torchmetrics",
            "tqdm",
            "typing_extensions",
        }
    assert imports_of(SOURCES[dist] / "src") - required - brought - {"flash", OF_THEIR_OWN.get(dist)} == set()


def imports_of(folder: Path) -> set[str]:
    """The top-level names that sources import, in functions too, those of the standard library left out."""
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return {name.lower() for name in names - sys.stdlib_module_names}


@pytest.mark.parametrize("dist", DISTS)
def test_the_version_of_a_wheel_is_the_one_that_its_module_says(wheels: dict[str, Path], dist: str) -> None:
    said = read(wheels[dist], f"{folder_of(dist)}/__init__.py")
    assert f'__version__ = "{metadata_of(wheels[dist])["Version"]}"' in said


@pytest.mark.parametrize("dist", PLUGINS)
def test_a_plugin_requires_the_core_that_it_was_built_with(wheels: dict[str, Path], dist: str) -> None:
    version = metadata_of(wheels["flash-core"])["Version"]
    lines = metadata_of(wheels[dist]).get_all("Requires-Dist", [])
    (line,) = (line for line in lines if line.startswith("flash-core"))
    assert f">={version}" in line
