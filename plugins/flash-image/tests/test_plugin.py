"""What the plugin shows of itself, and that showing it imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import flash
from flash.plugins import get_host

HEAVY = {"PIL", "numpy", "pytorch_lightning", "timm", "torch", "torchvision"}
RUN = """
import sys
from flash.cli import main

try:
    sys.exit(main(sys.argv[1:]))
finally:
    print("\\n", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def run(*arguments: str) -> list[str]:
    """The lines that the command line prints, and last the names of what it imported."""
    command = [sys.executable, "-c", RUN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("tasks", "image/classification"),
        ("tasks", "image/embedding"),
        ("backbones", "image"),
        ("backbones image --filter *vit*", "vit_base_patch16_224"),
        ("backbones image --filter resnet18", "1 name"),
        ("backbones image --describe resnet18", "timm"),
    ],
)
def test_a_listing_shows_the_plugin_and_imports_nothing_heavy(command: str, shown: str) -> None:
    *lines, imported = run(*command.split())
    assert any(shown in line for line in lines), "\n".join(lines)
    assert set(imported.split()) & HEAVY == set()


@pytest.mark.process
def test_importing_the_package_and_its_old_name_imports_nothing_heavy() -> None:
    program = "import flash.image, flash.vision, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert set(done.stdout.split()) & HEAVY == set()


@pytest.mark.parametrize("name", ["image/classification", "image/embedding"])
def test_the_plugin_names_classes_that_are_there(name: str) -> None:
    contribution = get_host().tasks()[name]
    assert issubclass(contribution.load("task"), flash.Task)
    assert issubclass(contribution.load("data"), flash.DataModule)


def test_the_package_names_all_that_it_exports() -> None:
    import flash.image

    assert all(hasattr(flash.image, name) for name in flash.image.__all__)
    with pytest.raises(AttributeError, match="Classifier"):
        _ = flash.image.Classifier  # type: ignore[attr-defined]  # that is the point


def test_the_old_name_has_the_same_things() -> None:
    import flash.image
    import flash.vision

    assert flash.vision.__all__ == flash.image.__all__
    assert flash.vision.ImageClassifier is flash.image.ImageClassifier
    with pytest.raises(AttributeError, match="Classifier"):
        _ = flash.vision.Classifier  # type: ignore[attr-defined]  # that is the point
