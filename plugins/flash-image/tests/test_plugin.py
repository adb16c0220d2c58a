"""What the plugin shows of itself, and that showing it imports nothing heavy."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType

import numpy as np
import pytest

import flash
from flash.errors import PluginConflictError
from flash.image import ImageBackbone, ImageClassificationData, ImageClassifier
from flash.plugins import Backbone, PluginHost, get_host, hookimpl
from flash.plugins._current import use_host
from flash.plugins._discovery import from_objects, installed

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


@pytest.mark.parametrize("name", ["image/classification", "image/regression", "image/embedding"])
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


class Rival:
    """A plugin of somebody else that has networks of the same names."""

    @hookimpl
    def flash_backbones(self) -> Iterator[Backbone]:
        yield Backbone("resnet18", domain="image", factory="collections:Counter")
        yield Backbone("test_resnet", domain="image", factory="collections:Counter")


def test_the_default_backbone_and_the_tag_of_one_are_those_of_timm_whatever_else_is_installed() -> None:
    with use_host(PluginHost(lambda: [*installed(), *from_objects([Rival()])], {})):
        task = ImageClassifier(2, pretrained=False)
        assert isinstance(task.backbone, ImageBackbone)
        task = ImageClassifier(2, backbone="test_resnet.r160_in1k", pretrained=False)
        assert isinstance(task.backbone, ImageBackbone)
        with pytest.raises(PluginConflictError, match="Write 'flash-image/test_resnet' or 'Rival/test_resnet'"):
            ImageClassifier(2, backbone="test_resnet", pretrained=False)
        task = ImageClassifier(2, backbone="flash-image/test_resnet", pretrained=False)
        assert isinstance(task.backbone, ImageBackbone)


def test_making_a_task_asks_the_registry_for_one_name_only() -> None:
    pictures = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    data = ImageClassificationData.from_numpy(pictures, ["a", "b"] * 2, image_size=8)
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        file = frame.f_code.co_filename.replace("\\", "/")
        calls += event == "call" and "/flash/plugins/" in file and "regist" in file

    sys.setprofile(count)
    try:
        ImageClassifier.from_data(data, backbone="test_resnet", pretrained=False)
    finally:
        sys.setprofile(None)
    assert 0 < calls < 100


@pytest.mark.parametrize("name", ["flash.image", "flash.image.detection", "flash.vision"])
def test_a_package_lists_its_names_and_a_misspelled_one_is_an_attribute_error(name: str) -> None:
    package = importlib.import_module(name)
    assert "ObjectDetector" in dir(package)
    assert package.ObjectDetector.__name__ == "ObjectDetector"
    with pytest.raises(AttributeError, match="has no attribute 'ObjectDetectr'"):
        package.ObjectDetectr  # noqa: B018  # asking for it is the test
