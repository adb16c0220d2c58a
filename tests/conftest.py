"""What the tests across packages share: built wheels, fresh environments, and programs that run in them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Helpers of several test modules, such as detectors.py.
sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).parent.parent
PACKAGES = {"flash-core": ROOT / "core"} | {
    file.parent.name: file.parent for file in ROOT.glob("plugins/*/pyproject.toml")
}
# What only domains need: an environment of core alone does not have it.
DOMAIN_LIBRARIES = (
    *("pandas", "sklearn", "scikit_learn", "scipy", "joblib", "pytorch_tabnet", "rtdl_", "tabm"),
    *("PIL", "pillow", "matplotlib", "pycocotools", "timm", "torchvision", "huggingface_hub", "safetensors"),
    *("tokenizers", "transformers"),
)
SETTINGS_OF_FLASH_AND_PYTHON = ("FLASH_", "PYTHON", "VIRTUAL_ENV")

Build = Callable[[Path, Path], Path]
MakeEnvironment = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a program and return what it wrote; a program that fails, fails the test with what it said."""

    def run_program(*command: str | Path, cwd: Path | None = None, check: bool = True) -> object:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or tmp_path_factory.mktemp("cwd"),
            env=_environment_variables(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{Path(command[0]).name} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    return run_program  # type: ignore[return-value]  # a Callable cannot say which keywords it takes


def _environment_variables() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS_OF_FLASH_AND_PYTHON)}
    # The link to the cache may cross file systems, and nothing here may ask a registry.
    return {**kept, "OMP_NUM_THREADS": "1", "UV_LINK_MODE": "copy", "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}


@pytest.fixture(scope="session")
def build_wheel(run: Run) -> Build:
    """Build the wheel of a source folder into another folder, with the build tools that are installed here."""

    def build(source: Path, target: Path) -> Path:
        before = set(target.glob("*.whl"))
        run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", target, cwd=source)
        (wheel,) = set(target.glob("*.whl")) - before
        return wheel

    return build


@pytest.fixture(scope="session")
def wheels(build_wheel: Build, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of all packages by name, built once."""
    target = tmp_path_factory.mktemp("wheels")
    return {name: build_wheel(source, target) for name, source in PACKAGES.items()}


@pytest.fixture(scope="session")
def make_environment(
    wheels: dict[str, Path], run: Run, uv: str, tmp_path_factory: pytest.TempPathFactory
) -> MakeEnvironment:
    """Make a fresh environment with our packages, each as "wheel" or "editable", and return its Python.

    All else, such as torch, is that of the running environment: linked, since copies would take minutes.
    """

    def make(**installed: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv")
        python = folder / "venv" / "bin" / "python"
        libraries = _link_libraries(folder / "libraries", with_domains="flash_tabular" in installed)
        (site_packages,) = folder.glob("venv/lib/*/site-packages")
        (site_packages / "libraries.pth").write_text(f"{libraries}\n")
        for name, how in installed.items():
            dist = name.replace("_", "-")
            what = [wheels[dist]] if how == "wheel" else ["--editable", PACKAGES[dist]]
            offline = ("--no-deps", "--no-index", "--no-build-isolation")
            run(uv, "pip", "install", "--quiet", *offline, "--python", python, *what)
        return python

    return make


def _link_libraries(folder: Path, with_domains: bool) -> Path:
    folder.mkdir()
    left_out = ("flash", *(() if with_domains else DOMAIN_LIBRARIES))
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            # Files that end in .pth, among them those of editable installs, only act in a site-packages folder.
            if not entry.name.startswith(left_out) and entry.suffix != ".pth":
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def uv() -> str:
    """The program that makes environments in milliseconds."""
    found: str = pytest.importorskip("uv").find_uv_bin()
    return found


@pytest.fixture(scope="session")
def python_of_core(make_environment: MakeEnvironment) -> Path:
    """The Python of an environment with flash-core alone, as a wheel."""
    return make_environment(flash_core="wheel")


@pytest.fixture(scope="session")
def python_of_both(make_environment: MakeEnvironment) -> Path:
    """The Python of an environment with flash-core and flash-tabular as wheels."""
    return make_environment(flash_core="wheel", flash_tabular="wheel")


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A tokenizer of a few words and letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", *["good", "bad", "film", "a", "and", "x"], *"abcdefghijklmnopqrstuvwxyz"]
    known = {word: place for place, word in enumerate(dict.fromkeys(words))}
    backend = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=40, **special)
