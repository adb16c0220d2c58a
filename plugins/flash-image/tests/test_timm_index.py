"""The list of timm's models: complete, and found without importing timm."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm

from flash.image import ImageClassifier
from flash.image.timm_index import INDEX, fresh_index, index_version, names


def test_the_shipped_list_is_that_of_the_timm_that_it_names() -> None:
    if timm.__version__ != index_version():
        pytest.skip(f"the list was made from timm {index_version()}, and {timm.__version__} is installed")
    refresh = "python -m flash.image.timm_index > plugins/flash-image/src/flash/image/_timm_names.txt"
    assert INDEX.read_text() == fresh_index(), f"refresh the list: {refresh}"


def test_the_names_are_sorted_and_have_no_duplicates_or_comments() -> None:
    found = names()
    assert found == sorted(set(found))
    assert all(name and not name.startswith("#") for name in found)


def test_a_model_that_only_the_installed_timm_has_is_listed_and_found(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [*timm.list_models(), "brand_new_net"]
    monkeypatch.setattr(timm, "list_models", lambda *_, **__: models)
    assert "brand_new_net" in names()
    assert "brand_new_net" in ImageClassifier.backbones


def test_a_mistyped_name_says_what_is_close() -> None:
    with pytest.raises(KeyError, match="Did you mean 'resnet18'"):
        ImageClassifier.backbones.get("resnt18")


@pytest.mark.process
def test_the_module_prints_a_fresh_list() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flash.image.timm_index"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.startswith(f"# The models of timm {timm.__version__}\n")
    assert "\nresnet18\n" in done.stdout
