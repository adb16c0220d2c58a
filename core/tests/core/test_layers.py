"""The layers of a backbone: which modules they are, in which order, and what strategies do with them."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

import flash
from flash.core.finetuning import FlashBaseFinetuning, UnfreezeMilestones
from flash.core.layers import backbone_layers, block_layers, child_layers, layers_by_group
from flash.errors import FinetuningError


class Encoder(nn.Module):
    """As transformers': embeddings, a list of blocks, a normalization, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.embeddings = nn.Linear(4, 4)
        self.dropout = nn.Dropout(0.5)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)) for _ in range(3)])
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Any) -> Any:
        x = self.dropout(self.embeddings(x) + self.token)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Net(flash.Task):
    def __init__(self, backbone: nn.Module, by_blocks: bool = False) -> None:
        super().__init__(loss_fn=nn.functional.cross_entropy, optimizer="SGD", learning_rate=0.1)
        self.backbone = backbone
        self.head = nn.Linear(4, 2)
        self.by_blocks = by_blocks

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))

    def backbone_layers(self) -> list[nn.Module]:
        return block_layers([self.backbone]) if self.by_blocks else super().backbone_layers()


def test_a_wrapper_is_opened_and_what_has_no_parameters_is_no_layer() -> None:
    inside = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    task = Net(nn.Sequential(nn.Sequential(inside), nn.Dropout()))
    assert backbone_layers(task) == [inside[0], inside[2]]


def test_a_backbone_without_children_is_one_layer() -> None:
    backbone = nn.Linear(4, 4)
    assert backbone_layers(Net(backbone)) == [backbone]


def test_the_items_of_a_list_stand_for_it_and_own_parameters_come_first() -> None:
    encoder = Encoder()
    layers = child_layers([encoder])
    assert [*layers[0].parameters()] == [encoder.token]
    assert layers[1:] == [encoder.embeddings, *encoder.blocks, encoder.norm]


def test_blocks_are_layers_with_what_comes_before_and_what_follows() -> None:
    encoder = Encoder()
    layers = block_layers([encoder])
    assert len(layers) == 4
    assert {*layers[0].parameters()} == {encoder.token, *encoder.embeddings.parameters()}
    assert layers[1:3] == [encoder.blocks[0], encoder.blocks[1]]
    assert {*layers[3].parameters()} == {*encoder.blocks[2].parameters(), *encoder.norm.parameters()}


def test_a_network_without_blocks_has_its_children_as_layers() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    assert block_layers([net]) == list(net)


def test_a_parameter_of_two_modules_belongs_to_the_first_layer() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    net = nn.Sequential(first, second)
    groups = dict.fromkeys(first.parameters(), 0) | {second.bias: 1}
    early, late = layers_by_group([net], groups)
    assert {*early.parameters()} == {first.weight, first.bias}
    assert [*late.parameters()] == [second.bias]


def test_a_plain_lightning_module_with_a_backbone_has_layers() -> None:
    module = pl.LightningModule()
    module.model = nn.Module()
    module.model.backbone = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert backbone_layers(module) == list(module.model.backbone)


@pytest.mark.parametrize("task", [flash.Task(nn.Linear(2, 2)), nn.Linear(2, 2), Net(nn.ReLU())])
def test_a_task_without_a_backbone_with_parameters_has_no_layers(task: Any) -> None:
    with pytest.raises(FinetuningError, match=r"Expected a `backbone` with parameters, to return its layers"):
        backbone_layers(task)


@pytest.mark.parametrize("wrong", [nn.ReLU(), "stem"])
def test_a_layer_without_parameters_is_an_error_that_names_the_task(wrong: Any) -> None:
    class Wrong(Net):
        def backbone_layers(self) -> list[nn.Module]:
            return [self.backbone, wrong]

    with pytest.raises(FinetuningError, match=r"Expected Wrong.backbone_layers\(\) to return modules with parameters"):
        backbone_layers(Wrong(nn.Linear(4, 4)))


class LayerByLayer(FlashBaseFinetuning):
    """Unfreezes a layer an epoch, the last one first, and notes what trains and what is in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, bool]] = []

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        layers = self.layers(pl_module)
        if 1 <= epoch <= len(layers):
            self.unfreeze_and_add_param_group(layers[-epoch], optimizer)
        trains = [all(weight.requires_grad for weight in layer.parameters()) for layer in layers]
        self.seen.append((sum(trains), pl_module.backbone.dropout.training))


@pytest.mark.train
def test_what_lies_between_layers_is_unfrozen_with_the_last_of_them(datamodule: Any, trainer_options: Any) -> None:
    strategy = LayerByLayer()
    flash.Trainer(max_epochs=6, **trainer_options).finetune(Net(Encoder(), by_blocks=True), datamodule, strategy)
    # The dropout of the encoder itself lies in no layer.
    assert strategy.seen == [(0, False), (1, False), (2, False), (3, False), (4, True), (4, True)]


@pytest.mark.train
def test_milestones_count_the_layers_that_the_task_gives(datamodule: Any, trainer_options: Any) -> None:
    task = Net(Encoder(), by_blocks=True)
    flash.Trainer(max_epochs=2, **trainer_options).finetune(task, datamodule, UnfreezeMilestones((1, 5), num_layers=2))
    trains = [all(weight.requires_grad for weight in layer.parameters()) for layer in backbone_layers(task)]
    assert trains == [False, False, True, True]


def test_named_attributes_have_the_layers_of_their_children() -> None:
    task = Net(nn.Linear(4, 4))
    head = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    task.add_module("head", head)
    assert FlashBaseFinetuning(["backbone", "head"]).layers(task) == [task.backbone, *head]
