"""What ``flash doctor`` looks for: what shadows Flash, files of two owners, requirements that are not met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flash as package
from flash.cli import _checks
from flash.cli._installation import InstalledDist

CORE = Path(package.__file__).parent


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


def test_the_predecessor_is_found_whatever_its_spelling(dist: Any) -> None:
    (finding,) = _checks.leftover([dist("Lightning_Flash", version="0.8.2"), dist("flash-core")])
    assert finding.trouble.startswith("Lightning_Flash 0.8.2 is installed")
    assert finding.repair.startswith("pip uninstall -y Lightning_Flash && ")


class TestSharedFiles:
    def test_files_of_one_owner_are_no_trouble(self, dist: Any) -> None:
        dists = [dist("flash-core", "flash/__init__.py"), dist("flash-image", "flash/image/__init__.py")]
        assert list(_checks.shared_files(dists)) == []

    def test_a_file_of_two_owners_is_given_back_to_the_rightful_one(self, dist: Any) -> None:
        dists = [
            dist("acme-audio", "flash/__init__.py", "flash/errors.py"),
            dist("flash-core", "flash/__init__.py"),
        ]
        (finding,) = _checks.shared_files(dists)
        assert finding.trouble == "acme-audio and flash-core both installed flash/__init__.py."
        assert finding.repair == ("pip uninstall -y acme-audio && pip install --force-reinstall --no-deps flash-core")

    def test_a_file_of_a_domain_belongs_to_its_plugin(self, dist: Any) -> None:
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
    def test_a_requirement_that_is_met_or_does_not_apply_is_no_trouble(self, requirement: str, dist: Any) -> None:
        assert list(_checks.versions([dist("acme-audio", requires=(requirement,))])) == []

    @pytest.mark.parametrize("requirement", ["flash-core>=99", "flash_core<0.0.1"])
    def test_a_requirement_that_is_not_met_is_found(self, requirement: str, dist: Any) -> None:
        (finding,) = _checks.versions([dist("acme-audio", requires=(requirement,))])
        assert finding.trouble.startswith("acme-audio 1.0 needs flash-core")
        assert finding.trouble.endswith(f", but flash-core {package.__version__} is installed.")
        assert finding.repair == "pip install --upgrade flash-core acme-audio"
