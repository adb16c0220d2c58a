from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flash as package
from flash.cli import _checks
from flash.cli._installation import InstalledDist, installed_dists
from flash.cli._repairs import repair
from flash.errors import PluginError
from flash.plugins import (
    Backbone,
    BackboneCatalogue,
    DataSource,
    Output,
    PluginInfo,
    PluginState,
    TaskSpec,
    hookimpl,
)

CORE = Path(package.__file__).parent


def dist(name: str, *files: str, **facts: Any) -> InstalledDist:
    return InstalledDist(name, facts.pop("version", "1.0"), Path("/site").resolve(), files, **facts)


@pytest.fixture
def only_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with nothing in it but flash-core."""
    monkeypatch.setattr(package, "__path__", [str(CORE)])
    monkeypatch.setattr("flash.cli._doctor.installed_dists", lambda: [dist("flash-core")])


@pytest.mark.usefixtures("only_core")
class TestCommand:
    def test_an_installation_in_order_gets_a_clean_bill(self, flash: Any) -> None:
        result = flash("doctor")
        assert result.code == 0
        assert result.out.startswith(f"flash-core {package.__version__}, 1 plugin, Python 3.")
        assert result.out.endswith("\nNo trouble found.\n")

    def test_trouble_is_numbered_and_comes_with_its_repair(self, flash: Any, broken: Any) -> None:
        result = flash("doctor", plugins=[("broken", broken)])
        assert result.code == 1
        assert result.out.endswith(
            "\n\n1. The plugin 'broken' (acme-broken 1.2) failed: "
            "flash_tasks raised RuntimeError: out of order.\n"
            "   repair: pip install --upgrade flash-core acme-broken\n"
            "   or leave it out: export FLASH_DISABLE_PLUGINS=broken\n"
        )
        assert result.err == ""

    def test_json_is_a_list_of_findings(self, flash: Any, five_states: Any) -> None:
        result = flash("doctor", "--json", plugins=five_states[3:])
        assert result.code == 1
        first, second = json.loads(result.out)
        assert [first["repair"], second["repair"]] == [
            "export FLASH_DISABLE_PLUGINS=acme-twin",
            "export FLASH_DISABLE_PLUGINS=acme-Twin",
        ]
        assert first["wanted"] is False

    @pytest.mark.parametrize(
        ("raised", "repair"),
        [
            ("raise ModuleNotFoundError('torchtext')", "pip install --upgrade acme-spoilt"),
            ("HOOK_API = 99", "pip install --upgrade flash-core"),
            ("1 / 0", "pip install --upgrade flash-core acme-spoilt"),
        ],
    )
    def test_the_repair_fits_why_a_plugin_failed(
        self, flash: Any, raised: str, repair: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "acme").mkdir()
        (tmp_path / "acme" / "spoilt.py").write_text(raised)
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("acme", "acme.spoilt"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        result = flash("doctor", plugins=[("spoilt", None)])
        assert result.code == 1
        assert f"\n   repair: {repair}\n" in result.out

    @pytest.mark.parametrize(
        ("environ", "undo"),
        [
            ({"FLASH_DISABLE_PLUGINS": "audio"}, "unset FLASH_DISABLE_PLUGINS"),
            ({"FLASH_DISABLE_PLUGINS": "Acme_Audio"}, "unset FLASH_DISABLE_PLUGINS"),
            ({"FLASH_DISABLE_PLUGINS": "other,audio"}, "export FLASH_DISABLE_PLUGINS=other"),
            ({"FLASH_PLUGINS": ""}, "export FLASH_PLUGINS=audio"),
            ({"FLASH_PLUGINS": "other"}, "export FLASH_PLUGINS=other,audio"),
        ],
    )
    def test_what_a_variable_keeps_out_is_said_and_is_no_trouble(
        self, flash: Any, environ: dict[str, str], undo: str
    ) -> None:
        result = flash("doctor", **environ)
        assert result.code == 0
        assert "1. The plugin 'audio' (acme-audio 1.2) is disabled: FLASH_" in result.out
        assert f"\n   undo: {undo}\n" in result.out
        assert result.out.endswith("No other trouble found.\n")

    def test_a_name_of_two_plugins_is_found_and_neither_is_to_be_removed(self, flash: Any, five_states: Any) -> None:
        result = flash("doctor", plugins=[*five_states[:1], ("second", five_states[0][1])])
        assert result.code == 1
        out = " ".join(result.out.split())
        assert "The audio backbone 'wav_cnn' and 10 more is registered by acme-audio 1.2 and by acme-second 1.2." in out
        assert "repair: write 'acme-audio/wav_cnn' or 'acme-second/wav_cnn'" in out
        assert "uninstall" not in out

    def test_a_flash_folder_where_one_works_is_found(
        self, flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "flash").mkdir()
        result = flash("doctor")
        assert result.code == 1
        assert f"{tmp_path / 'flash'} in the current folder hides the installed flash." in result.out
        assert f"repair: mv {tmp_path / 'flash'} {tmp_path / 'my_flash'}" in result.out


class Mistaken:
    """Everything in it is wrong in a way that shows only in use."""

    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        yield TaskSpec("fish/classification", "argparse:Action", "json.decoder:JSONDecoder")

    @hookimpl
    def flash_backbones(self) -> Iterator[Any]:
        yield Backbone("net", "imagse", "json:lodas")
        yield Backbone("deep", "fish", "json.nothing:build")
        yield BackboneCatalogue("zoo", "fish", names="sys:exit", factory="json:loads")

    @hookimpl
    def flash_data_sources(self) -> Iterator[DataSource]:
        yield DataSource("zip", "fish/clasification", "json:loads")
        yield DataSource("far", "birds/classification", "json:loads")

    @hookimpl
    def flash_components(self) -> Iterator[Any]:
        yield Output("top3", "json:loads", "fihs/*")


MISTAKES = [
    "the backbone 'net' is for the domain 'imagse', which no task belongs to; did you mean 'image'?",
    "of the imagse backbone 'net', json:lodas cannot be imported: there is no 'lodas' in",
    "did you mean 'loads'?",
    "json.nothing:build cannot be imported: there is no module 'json.nothing'; the package has json.",
    "fish catalogue 'zoo' of acme-fish 1.2 cannot list its names: SystemExit",
    "the data source 'zip' fills the data of 'fish/clasification', which is no task; did you mean",
    "the output 'top3' is for 'fihs/*', a domain that no task belongs to; did you mean 'fish/*'?",
]


@pytest.mark.usefixtures("only_core")
class TestContributions:
    def test_what_shows_only_in_use_is_found_without_importing_it(self, flash: Any) -> None:
        result = flash("doctor", plugins=[("fish", Mistaken())])
        out = " ".join(result.out.split())
        assert result.code == 1
        assert [mistake for mistake in MISTAKES if mistake not in out] == []
        assert "birds" not in out

    def test_the_list_of_plugins_finds_the_same_names(self, flash: Any) -> None:
        out = " ".join(flash("plugins", "--check", plugins=[("fish", Mistaken())]).out.split())
        for mistake in (MISTAKES[0], MISTAKES[4], MISTAKES[5], MISTAKES[6]):
            assert mistake in out

    def test_a_class_that_is_no_task_is_found_by_both(
        self, flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "acme_of_doctor.py").write_text("class T: pass\nclass D: pass\n")
        monkeypatch.syspath_prepend(tmp_path)

        class Plugin:
            @hookimpl
            def flash_tasks(self) -> Iterator[TaskSpec]:
                yield TaskSpec("fish/classification", "acme_of_doctor:T", "acme_of_doctor:D")

        plugins = [("fish", Plugin())]
        out = " ".join(flash("doctor", plugins=plugins).out.split())
        assert "acme_of_doctor:T is not a task: it has to inherit from flash.Task, or from a class that does." in out
        assert "acme_of_doctor:D is not a data module: it has to inherit from flash.DataModule" in out
        assert "acme_of_doctor" not in sys.modules
        checked = flash("plugins", "--check", plugins=plugins)
        assert checked.code == 1
        out = " ".join(checked.out.split())
        assert "the task 'fish/classification' needs a subclass of flash.Task, but acme_of_doctor:T is none" in out

    def test_a_target_that_imports_what_is_not_installed_is_found(
        self, flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "acme_that_needs.py").write_text("import not_there_at_all.sub\ndef build(): ...\n")
        monkeypatch.syspath_prepend(tmp_path)

        class Plugin:
            @hookimpl
            def flash_backbones(self) -> Iterator[Backbone]:
                yield Backbone("net", "fish", "acme_that_needs:build")

        out = " ".join(flash("doctor", plugins=[("fish", Plugin())]).out.split())
        assert "acme_that_needs:build imports 'not_there_at_all', which is not installed." in out


class TestRepairs:
    """What is developed here is edited; what did not come from an index is not fetched from one."""

    def info(self, name: str = "acme-audio", **facts: Any) -> PluginInfo:
        known = {"name": "audio", "target": "acme_audio.plugin", "location": "/site", "state": PluginState.FAILED}
        return PluginInfo(**{**known, "dist": name, "version": "1.0", **facts})

    def test_of_an_editable_project_the_file_and_line_are_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "acme_audio").mkdir()
        (tmp_path / "acme_audio" / "__init__.py").write_text("")
        plugin = tmp_path / "acme_audio" / "plugin.py"
        plugin.write_text("# A comment.\nimport json\n1 / 0\n")
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("acme_audio", "acme_audio.plugin"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        with pytest.raises(ZeroDivisionError) as caught:
            importlib.import_module("acme_audio.plugin")
        dists = [dist("acme-audio", source=tmp_path.resolve())]
        assert repair(self.info(exception=caught.value), dists) == f"edit {plugin}, line 3"
        error = PluginError("flash_tasks is wrong")
        plugin.write_text("\n\ndef flash_tasks(): ...\n")
        assert repair(self.info(error=str(error), exception=error), dists) == f"edit {plugin}, line 3"
        assert repair(self.info(), dists, "def flash") == f"edit {plugin}, line 3"
        plugin.write_text("def f(:\n")
        with pytest.raises(SyntaxError) as syntax:
            compile(plugin.read_text(), str(plugin), "exec")
        assert repair(self.info(exception=syntax.value), dists) == f"edit {plugin}, line 1"

    def test_of_a_wrong_entry_point_the_project_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text("\n".join(["", 'a = "acme_gone.plugins"']))
        dists = [dist("acme-audio", source=tmp_path.resolve())]
        found = repair(self.info(target="acme_gone.plugins"), dists)
        assert found == f"edit {tmp_path.resolve() / 'pyproject.toml'}, line 2"

    def test_what_came_from_a_file_is_not_fetched_from_an_index(self) -> None:
        found = repair(self.info(), [dist("acme-audio", origin="file:///wheels/acme.whl")])
        assert found == "repair it in file:///wheels/acme.whl, where it was installed from, and install it again"

    def test_what_came_from_an_index_is_upgraded(self) -> None:
        assert repair(self.info(), [dist("acme-audio")]) == "pip install --upgrade flash-core acme-audio"

    def test_of_two_plugins_of_one_name_flashs_own_stays(self, flash: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flash.plugins._conflicts.is_first_party", lambda dist: dist == "acme-twin")
        plugins = [("twin", Mistaken()), ("Twin", Mistaken())]
        out = " ".join(flash("plugins", plugins=plugins).out.split())
        assert "twin acme-twin 1.2 loaded" in out
        assert "Twin acme-Twin 1.2 conflict the plugin name 'Twin' is also used by acme-twin 1.2, so it is not" in out
        assert "uninstall" not in out


class TestShadows:
    def test_core_itself_is_no_trouble(self) -> None:
        assert list(_checks.shadows([], [str(CORE)], here=CORE.parent)) == []

    def test_a_portion_that_no_dist_accounts_for_is(self, tmp_path: Path) -> None:
        odd = tmp_path / "somewhere" / "flash"
        odd.mkdir(parents=True)
        (finding,) = _checks.shadows([], [str(CORE), str(odd)], here=tmp_path)
        assert finding.trouble == f"{odd} on the module path mixes with the installed flash."

    def test_a_portion_that_a_dist_installed_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "flash").mkdir()
        owner = InstalledDist("flash-image", "1.0", tmp_path, ("flash/image/__init__.py",))
        assert list(_checks.shadows([owner], [str(tmp_path / "flash")], here=CORE)) == []

    def test_a_portion_of_an_editable_dist_is_none(self, tmp_path: Path) -> None:
        portion = tmp_path / "src" / "flash"
        portion.mkdir(parents=True)
        owner = InstalledDist("flash-image", "1.0", Path("/site"), source=tmp_path)
        assert list(_checks.shadows([owner], [str(portion)], here=CORE)) == []

    def test_a_script_named_flash_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "flash.py").write_text("")
        (finding,) = _checks.shadows([], [str(CORE)], here=tmp_path)
        assert finding.repair == f"mv {tmp_path / 'flash.py'} {tmp_path / 'my_flash.py'}"


def test_the_predecessor_is_found_whatever_its_spelling() -> None:
    (finding,) = _checks.leftover([dist("Lightning_Flash", version="0.8.2"), dist("flash-core")])
    assert finding.trouble.startswith("Lightning_Flash 0.8.2 is installed")
    assert finding.repair.startswith("pip uninstall -y Lightning_Flash && ")


class TestSharedFiles:
    def test_files_of_one_owner_are_no_trouble(self) -> None:
        dists = [dist("flash-core", "flash/__init__.py"), dist("flash-image", "flash/image/__init__.py")]
        assert list(_checks.shared_files(dists)) == []

    def test_a_file_of_two_owners_is_given_back_to_the_rightful_one(self) -> None:
        dists = [
            dist("acme-audio", "flash/__init__.py", "flash/errors.py"),
            dist("flash-core", "flash/__init__.py"),
        ]
        (finding,) = _checks.shared_files(dists)
        assert finding.trouble == "acme-audio and flash-core both installed flash/__init__.py."
        assert finding.repair == ("pip uninstall -y acme-audio && pip install --force-reinstall --no-deps flash-core")

    def test_a_file_of_a_domain_belongs_to_its_plugin(self) -> None:
        files = ("flash/image/__init__.py", "flash/image/model.py")
        (finding,) = _checks.shared_files([dist("flash-image", *files), dist("acme-vision", *files)])
        assert finding.trouble.endswith("both installed flash/image/__init__.py and 1 more.")
        assert finding.repair.startswith("pip uninstall -y acme-vision && ")
        assert finding.repair.endswith(" flash-image")


class TestVersions:
    @pytest.mark.parametrize(
        "requirement",
        [
            "flash-core",
            f"Flash_Core>={package.__version__}",
            "flash-core>=99; python_version < '3'",
            "flash-core>=99; extra == 'x'",
            "torch>=99",
            "not a requirement",
        ],
    )
    def test_a_requirement_that_is_met_or_does_not_apply_is_no_trouble(self, requirement: str) -> None:
        assert list(_checks.versions([dist("acme-audio", requires=(requirement,))])) == []

    @pytest.mark.parametrize("requirement", ["flash-core>=99", "flash_core<0.0.1"])
    def test_a_requirement_that_is_not_met_is_found(self, requirement: str) -> None:
        (finding,) = _checks.versions([dist("acme-audio", requires=(requirement,))])
        assert finding.trouble.startswith("acme-audio 1.0 needs flash-core")
        assert finding.trouble.endswith(f", but flash-core {package.__version__} is installed.")
        assert finding.repair == "pip install --upgrade flash-core acme-audio"


class TestInstalledDists:
    @pytest.fixture
    def install(self, tmp_path: Path) -> Any:
        def install(name: str, **files: str) -> None:
            info = tmp_path / f"{name}-1.0.dist-info"
            info.mkdir()
            for file, text in files.items():
                (info / file.replace("direct_url", "direct_url.json")).write_text(text)

        return install

    def test_files_requirements_and_folder_are_read(self, install: Any, tmp_path: Path) -> None:
        metadata = "Metadata-Version: 2.1\nName: flash-image\nVersion: 1.0\nRequires-Dist: flash-core<1\n"
        record = "flash/image/a.py,sha256=x,1\nflash/image/__pycache__/a.pyc,,\nother/b.py,,\n"
        install("flash_image", METADATA=metadata, RECORD=record)
        assert installed_dists([str(tmp_path)]) == [
            InstalledDist("flash-image", "1.0", tmp_path.resolve(), ("flash/image/a.py",), ("flash-core<1",))
        ]

    def test_the_source_of_an_editable_dist_is_read(self, install: Any, tmp_path: Path) -> None:
        metadata = "Metadata-Version: 2.1\nName: flash-image\nVersion: 1.0\n"
        direct = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
        install("flash_image", METADATA=metadata, direct_url=json.dumps(direct))
        assert installed_dists([str(tmp_path)])[0].source == tmp_path.resolve()

    def test_what_cannot_be_read_is_passed_over(self, install: Any, tmp_path: Path) -> None:
        install("nameless", METADATA="Metadata-Version: 2.1\n", direct_url="{")
        install("good", METADATA="Metadata-Version: 2.1\nName: good\nVersion: 1.0\n")
        assert [each.name for each in installed_dists([str(tmp_path)])] == ["good"]

    def test_of_two_copies_the_first_counts(self, install: Any, tmp_path: Path) -> None:
        install("good", METADATA="Metadata-Version: 2.1\nName: good\nVersion: 1.0\n")
        assert len(installed_dists([str(tmp_path), str(tmp_path)])) == 1
