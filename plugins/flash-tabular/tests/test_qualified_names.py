"""What a task means by its default stays what it is, whatever else is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import torch

from flash.errors import PluginConflictError
from flash.plugins import Backbone, PluginHost, hookimpl
from flash.plugins._current import use_host
from flash.plugins._discovery import from_objects, installed
from flash.tabular import TabularClassificationData, TabularClassifier


class Rival:
    """A plugin of somebody else that has networks of the same names."""

    @hookimpl
    def flash_backbones(self) -> Iterator[Backbone]:
        for name in ("tabm", "mlp"):
            yield Backbone(name, domain="tabular", factory="collections:Counter")


@pytest.fixture
def data() -> Any:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "y": ["n", "p", "n", "p"]})
    return TabularClassificationData.from_data_frame(target_fields="y", train_data_frame=frame, batch_size=2)


@pytest.fixture(autouse=True)
def _rival() -> Iterator[None]:
    with use_host(PluginHost(lambda: [*installed(), *from_objects([Rival()])], {})):
        yield


def test_the_default_backbone_is_the_one_of_this_package(data: Any) -> None:
    assert TabularClassifier.from_data(data).backbone.members > 1


def test_another_name_that_two_plugins_give_has_to_be_qualified(data: Any) -> None:
    with pytest.raises(PluginConflictError, match=r"Write 'flash-tabular/mlp' or 'Rival/mlp'\.$"):
        TabularClassifier.from_data(data, backbone="mlp")
    assert type(TabularClassifier.from_data(data, backbone="flash-tabular/mlp").backbone).__name__ != "Counter"


def test_a_checkpoint_means_the_backbone_that_it_was_written_with(data: Any, trainer: Any) -> None:
    task = TabularClassifier.from_data(data, backbone="flash-tabular/mlp", backbone_kwargs={"n_blocks": 1})
    run = trainer()
    run.fit(task, data)
    run.save_checkpoint("task.ckpt")
    loaded = TabularClassifier.load_from_checkpoint("task.ckpt")
    assert loaded.recorded_arguments["backbone"] == "flash-tabular/mlp"
    assert type(loaded.backbone) is type(task.backbone)


def test_a_checkpoint_that_was_written_before_the_other_plugin_came_loads(data: Any, trainer: Any) -> None:
    with use_host(PluginHost(installed, {})):
        task = TabularClassifier.from_data(data, backbone="mlp", backbone_kwargs={"n_blocks": 1})
        run = trainer()
        run.fit(task, data)
        run.save_checkpoint("task.ckpt")
    assert type(TabularClassifier.load_from_checkpoint("task.ckpt").backbone) is type(task.backbone)


def test_a_file_of_0_1_0_with_the_bare_name_loads_too(data: Any, trainer: Any) -> None:
    with use_host(PluginHost(installed, {})):
        task = TabularClassifier.from_data(data, backbone="mlp", backbone_kwargs={"n_blocks": 1})
        run = trainer()
        run.fit(task, data)
        run.save_checkpoint("task.ckpt")
    stored = torch.load("task.ckpt", weights_only=True)
    assert stored["flash"]["task"]["init"]["backbone"] == "flash-tabular/mlp"
    stored["flash"]["task"]["init"]["backbone"] = "mlp"
    torch.save(stored, "task.ckpt")
    assert type(TabularClassifier.load_from_checkpoint("task.ckpt").backbone) is type(task.backbone)


def test_a_name_of_the_ancestor_stands_for_the_network_that_it_names_now(data: Any) -> None:
    task = TabularClassifier.from_data(data, backbone="fttransformer")
    assert type(task.backbone) is type(TabularClassifier.from_data(data, backbone="ft_transformer").backbone)
    assert "fttransformer" not in TabularClassifier.available_backbones()
