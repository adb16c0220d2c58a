"""Classes in checkpoints: stored by spec or public path, found again after their file has moved."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.classification import ClassificationTask
from flash.errors import CheckpointError, UnsafeCheckpointError
from flash.plugins import TaskSpec, get_host, hookimpl, isolated_plugins
from flash.serialization import describe, instantiate, resolve_class
from flash.serialization.objects import public_path


class Tones(ClassificationTask):
    """A task that a plugin brings."""

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__(num_classes, model=nn.Linear(2, num_classes))


class TonesPlugin:
    @hookimpl
    def flash_tasks(self) -> Any:
        yield TaskSpec("audio/tones", task=f"{__name__}:Tones", data=f"{__name__}:Tones", summary="Tones.")


def test_a_class_is_stored_under_the_shortest_module_that_exports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = ModuleType("acme"), ModuleType("acme.deep")
    made = type("Made", (), {"__module__": "acme.deep"})
    module.Made = package.Made = made  # type: ignore[attr-defined]  # modules take any attribute
    monkeypatch.setitem(sys.modules, "acme", package)
    monkeypatch.setitem(sys.modules, "acme.deep", module)
    assert public_path(made) == "acme.deep:Made"
    package.__all__ = ["Made"]  # type: ignore[attr-defined]  # the same
    assert public_path(made) == "acme:Made"


def test_a_nested_class_and_one_of_core_keep_their_modules() -> None:
    class Inner:
        pass

    assert public_path(Inner).startswith(f"{__name__}:test_a_nested")
    assert public_path(flash.Task) == "flash:Task"
    assert public_path(ClassificationTask) == "flash.core.classification:ClassificationTask"


def test_a_task_is_found_by_its_spec_wherever_its_file_is() -> None:
    with isolated_plugins(TonesPlugin()):
        (spec,) = (each for each in get_host().contributions("task") if each.name == "audio/tones")
        moved = {**describe(Tones()), "dist": spec.provider.dist, "spec": spec.name, "class": "gone.module:Tones"}
        assert resolve_class(moved, flash.Task) is Tones


def test_a_class_that_is_in_no_plugin_says_to_import_its_module() -> None:
    description = {**describe(Tones()), "class": "gone.module:Tones", "dist": None}
    with pytest.raises(CheckpointError, match=r"holds a Tones, .* Import the module 'gone.module' that defines"):
        resolve_class(description, flash.Task)


def test_a_package_that_is_not_installed_is_named() -> None:
    description = {**describe(Tones()), "class": "gone.module:Tones", "dist": "acme-tones", "version": "1.0"}
    with pytest.raises(CheckpointError, match=r"comes from acme-tones 1\.0, which is not installed: pip install acme-"):
        resolve_class(description, flash.Task)


def test_a_class_that_its_package_no_longer_has_is_not_called_missing() -> None:
    description = {**describe(Tones()), "class": "flash.core.gone:Tones", "dist": "flash-core", "version": "0.1.0"}
    with pytest.raises(CheckpointError, match=r"flash-core 0\.1\.0, which is installed here as another version that"):
        resolve_class(description, flash.Task)


def test_a_class_of_another_kind_is_not_taken() -> None:
    description = {**describe(Tones()), "class": "flash:Trainer", "dist": "flash-core"}
    with pytest.raises(CheckpointError, match="holds a Trainer"):
        resolve_class(description, flash.Task)


def test_no_module_outside_of_plugins_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with pytest.raises(CheckpointError):
        resolve_class({**describe(Tones()), "class": "this:Task", "dist": None}, flash.Task)
    assert "this" not in sys.modules


def test_arguments_that_refer_to_other_functions_are_refused() -> None:
    description = {"init": {"num_classes": {"__reference__": "os:system"}}, "left_out": {}}
    with pytest.raises(UnsafeCheckpointError, match=r"'os:system' is not a name that a checkpoint may refer to"):
        instantiate(description, Tones, {}, source="load")


def test_overrides_win_over_recorded_arguments() -> None:
    made = instantiate(describe(Tones(3)), Tones, {"num_classes": 4}, source="load")
    assert made.num_classes == 4
    assert made.predict(torch.zeros(1, 2), output="probabilities")[0] == pytest.approx(
        made.predict(torch.zeros(1, 2), output="probabilities")[0]
    )
