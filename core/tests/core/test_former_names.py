"""Programs for the ancestor, Lightning Flash, run or are told what to write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import flash
from flash import Trainer
from flash.data.samples import SampleData
from flash.errors import UnknownArgumentError
from flash.serialization.arguments import FORMER_ARGUMENTS


def test_download_data_has_its_former_place_too() -> None:
    from flash.core.data.utils import download_data

    assert download_data is flash.download_data


@pytest.mark.parametrize("name", ["gpus", "progress_bar_refresh_rate", "weights_summary"])
def test_a_former_argument_of_a_trainer_says_what_to_write(name: str) -> None:
    options: dict[str, Any] = {name: 1}
    with pytest.raises(UnknownArgumentError) as caught:
        Trainer(**options)
    assert FORMER_ARGUMENTS[name] in str(caught.value)


def test_former_arguments_of_runs_say_what_to_write() -> None:
    task, trainer = flash.Task(nn.Linear(1, 1)), Trainer(logger=False, enable_checkpointing=False)
    with pytest.raises(UnknownArgumentError, match=r"Trainer.finetune takes, but got 'train_bn'. .*'train_bn': True"):
        trainer.finetune(task, None, strategy="freeze", train_bn=True)
    with pytest.raises(UnknownArgumentError, match="but got 'train_dataloader'. Write train_dataloaders"):
        trainer.fit(task, train_dataloader=[])
    with pytest.raises(UnknownArgumentError, match="'strategi'. Did you mean 'strategy'"):
        trainer.finetune(task, None, strategi="freeze")


def test_former_arguments_of_data_and_tasks_say_what_to_write() -> None:
    with pytest.raises(UnknownArgumentError, match="from_csv takes, but got 'target_field'. Write target_fields"):
        SampleData.from_csv("a", target_field="b", train_file="t.csv")
    with pytest.raises(UnknownArgumentError, match="'train_resolver'. Leave it out, and write whole paths"):
        SampleData.from_data_frame("a", "b", {"a": [1]}, train_resolver=str)
    with pytest.raises(UnknownArgumentError, match="'parameters'. Leave it out: from_data takes"):
        flash.Task(nn.Linear(1, 1), parameters={})  # type: ignore[call-arg]  # on purpose


def test_loaders_may_come_by_their_place() -> None:
    class Net(flash.Task):
        def __init__(self) -> None:
            super().__init__(loss_fn=nn.functional.cross_entropy)
            self.backbone, self.head = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.backbone(x))

    loader = DataLoader(TensorDataset(torch.randn(4, 2), torch.tensor([0, 1, 0, 1])))
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    for finetunes in (False, True):
        trainer = Trainer(max_epochs=1, enable_model_summary=False, accelerator="cpu", **options)
        if finetunes:
            trainer.finetune(Net(), loader, strategy="freeze", val_dataloaders=loader)
        else:
            trainer.fit(Net(), loader, loader)
        assert "val_loss" in trainer.callback_metrics
