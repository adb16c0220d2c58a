"""Core and a plugin share the package ``flash``, however each of them is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

pytestmark = pytest.mark.env

ROOT = Path(__file__).parent.parent
LAYOUTS = [("wheel", "wheel"), ("editable", "editable"), ("wheel", "editable"), ("editable", "wheel")]
SINCE_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="python -P is there since Python 3.11")

WHERE = """
from importlib.resources import files
import flash.tabular
print(flash.__file__, flash.tabular.__file__, files("flash.tabular").joinpath("py.typed").is_file(), sep="\\n")
"""

PICKLE = """
import pickle, sys
import flash
from flash.tabular import TabularClassifier

task = TabularClassifier(num_numerical=1, bins=[[0.0, 1.0, 2.0]], num_classes=2, backbone="mlp")
with open(sys.argv[1], "wb") as file:
    pickle.dump(task, file)
print(flash.Trainer.__module__, TabularClassifier.__module__, isinstance(task, flash.Task))
"""

UNPICKLE = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    task = pickle.load(file)
from flash.tabular import TabularClassifier
print(type(task) is TabularClassifier, task.num_classes)
"""


@pytest.fixture(scope="module", params=LAYOUTS, ids=["core_{}-plugin_{}".format(*layout) for layout in LAYOUTS])
def layout(request: pytest.FixtureRequest) -> tuple[str, str]:
    """How core and the plugin are installed."""
    how: tuple[str, str] = request.param
    return how


@pytest.fixture(scope="module")
def python(layout: tuple[str, str], make_environment: Any) -> Path:
    """The Python of an environment where they are installed so."""
    core, plugin = layout
    made: Path = make_environment(flash_core=core, flash_tabular=plugin)
    return made


class TestHoweverInstalled:
    def test_each_package_is_read_from_where_it_was_installed(
        self, python: Path, run: Any, layout: tuple[str, str]
    ) -> None:
        core, plugin, _ = run(python, "-c", WHERE).stdout.splitlines()
        assert tuple("editable" if Path(file).is_relative_to(ROOT) else "wheel" for file in (core, plugin)) == layout

    def test_files_of_the_plugin_are_found_as_resources(self, python: Path, run: Any) -> None:
        assert run(python, "-c", WHERE).stdout.splitlines()[-1] == "True"

    def test_core_and_plugin_work_together_in_one_program(self, python: Path, run: Any, tmp_path: Path) -> None:
        done = run(python, "-c", PICKLE, tmp_path / "task.pickle")
        assert done.stdout.split() == ["flash.core.trainer", "flash.tabular.tasks", "True"]
        # A second program, which runs without assertions, reads what the first one pickled.
        assert run(python, "-O", "-c", UNPICKLE, tmp_path / "task.pickle").stdout.split() == ["True", "2"]


class TestCoreAlone:
    def test_it_is_imported(self, python_of_core: Path, run: Any) -> None:
        assert run(python_of_core, "-c", "import flash; print(flash.Trainer)").stdout == (
            "<class 'flash.core.trainer.Trainer'>\n"
        )

    @pytest.mark.parametrize("domain", ["tabular", "image", "text"])
    def test_a_domain_that_is_not_installed_says_what_to_install(
        self, python_of_core: Path, run: Any, domain: str
    ) -> None:
        done = run(python_of_core, "-c", f"import flash; flash.{domain}", check=False)
        message = done.stderr.splitlines()[-1]
        assert message.startswith("AttributeError")
        assert f"pip install flash-{domain}" in message

    def test_a_domain_that_is_not_installed_is_no_attribute(self, python_of_core: Path, run: Any) -> None:
        code = "import flash; print(hasattr(flash, 'tabular'), hasattr(flash, 'image'), hasattr(flash, 'nonsense'))"
        assert run(python_of_core, "-c", code).stdout.split() == ["False", "False", "False"]

    def test_importing_from_a_domain_that_is_not_installed_is_an_import_error(
        self, python_of_core: Path, run: Any
    ) -> None:
        done = run(python_of_core, "-c", "from flash.tabular import TabularClassifier", check=False)
        assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'flash.tabular'"

    @pytest.mark.parametrize("command", ["plugins", "tasks", "backbones", "strategies", "doctor"])
    def test_the_command_runs(self, python_of_core: Path, run: Any, command: str) -> None:
        run(python_of_core.parent / "flash", command)


class TestWhatGoesWrong:
    def test_uninstalling_the_plugin_leaves_core_as_it_was(self, make_environment: Any, run: Any, uv: str) -> None:
        python = make_environment(flash_core="wheel", flash_tabular="wheel")
        run(uv, "pip", "uninstall", "--quiet", "--python", python, "flash-tabular")
        code = """
            from importlib.metadata import files
            import flash
            print(all(file.locate().is_file() for file in files("flash-core")), hasattr(flash, "tabular"))
        """
        assert run(python, "-c", dedent(code)).stdout.split() == ["True", "False"]

    @pytest.mark.parametrize("flags", [pytest.param(["-P"], marks=SINCE_3_11), []], ids=["safe_path", "default_path"])
    def test_a_folder_that_is_called_flash_where_one_works_changes_nothing(
        self, python_of_both: Path, run: Any, tmp_path: Path, flags: list[str]
    ) -> None:
        (tmp_path / "flash" / "tabular").mkdir(parents=True)
        (tmp_path / "flash" / "tabular" / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
        (tmp_path / "flash" / "notes.txt").write_text("Ideas.\n")
        code = "import flash.tabular; print(flash.__version__, flash.tabular.__file__)"
        done = run(python_of_both, *flags, "-c", code, cwd=tmp_path)
        assert "site-packages" in done.stdout

    def test_the_command_is_not_led_astray_by_a_folder_that_is_called_flash(
        self, python_of_both: Path, run: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "flash" / "cli").mkdir(parents=True)
        (tmp_path / "flash" / "cli" / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
        assert "tabular" in run(python_of_both.parent / "flash", "tasks", cwd=tmp_path).stdout
