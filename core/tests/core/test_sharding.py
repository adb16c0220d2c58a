"""Tasks that can be sharded over processes, and those that cannot; the text plugin trains a task with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

import flash
from flash.core.sharding import ShardedStrategy, shard
from flash.errors import ConfigurationError
from flash.testing import silent_trainer
from flash.testing._group import run_group


class Loose(nn.Module):
    """Has a weight that is in no module."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.scale = nn.Linear(2, 1), nn.Parameter(torch.ones(1))


class Tied(nn.Module):
    """Two parts with the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight


@pytest.mark.parametrize(("model", "name"), [(Loose, "scale"), (Tied, "first.weight")])
def test_weights_outside_of_parts_or_in_two_of_them_are_an_error(model: Any, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"but {name} is not. Train it with strategy='ddp'"):
        shard(model(), [], None)


def test_the_trainer_has_a_name_for_the_strategy() -> None:
    assert isinstance(silent_trainer(devices=2, strategy="sharded").strategy, ShardedStrategy)


def test_a_task_without_a_strategy_that_shards_stays_as_it_is() -> None:
    task = flash.Task(nn.Linear(2, 1), nn.functional.mse_loss)
    task.configure_model()
    assert not any(isinstance(each, DTensor) for each in task.parameters())


@pytest.mark.process
def test_an_average_of_weights_is_refused() -> None:
    def work(rank: int) -> None:
        data = flash.DataModule.from_tensors(torch.zeros(8, 2), torch.zeros(8, 1), batch_size=2, seed=0)
        task = flash.Task(nn.Linear(2, 1), nn.functional.mse_loss)
        silent_trainer(devices=2, strategy="sharded", callbacks=["average_weights"]).fit(task, data)

    for outcome in run_group(work, 2):
        assert "Expected whole weights in each process, to average them, but strategy='sharded'" in str(outcome.error)


@pytest.mark.process
def test_layers_and_the_rest_of_parts_are_sharded_in_lists_too() -> None:
    def work(rank: int) -> list[int]:
        torch.distributed.init_process_group("gloo")
        mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("data_parallel",))
        task = nn.Module()
        task.backbone = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8))
        task.heads = nn.ModuleList([nn.Linear(8, 2), nn.Linear(8, 4)])
        shard(task, list(task.backbone), mesh["data_parallel"])
        out = task.heads[1](task.backbone(torch.ones(3, 4)))
        out.sum().backward()
        torch.distributed.destroy_process_group()
        return [each.to_local().numel() for each in task.parameters()]  # type: ignore[attr-defined]  # DTensor

    outcomes = run_group(work, 2)
    assert [outcome.error for outcome in outcomes] == [None, None]
    whole = [32, 8, 64, 8, 16, 2, 32, 4]
    assert [sum(pair) for pair in zip(*(outcome.result for outcome in outcomes), strict=True)] == whole


@pytest.mark.process
def test_statistics_of_batches_are_those_of_the_first_process_as_with_ddp() -> None:
    def train(strategy: str) -> tuple[Any, Any]:
        def work(rank: int) -> tuple[Any, Any]:
            torch.manual_seed(0)
            inputs, targets = torch.randn(24, 3) * torch.arange(1, 25)[:, None], torch.randn(24, 1)
            data = flash.DataModule.from_tensors(
                inputs, targets, val_data=inputs, val_targets=targets, batch_size=4, seed=0
            )
            network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
            task = flash.Task(network, nn.functional.mse_loss)
            trainer = silent_trainer(devices=2, strategy=strategy, max_epochs=2)
            trainer.fit(task, data)
            return task.history, trainer.predict(task, data.val_dataloader(), output="raw")

        outcomes = run_group(work, 2)
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert outcomes[0].result == outcomes[1].result
        result: tuple[Any, Any] = outcomes[0].result
        return result

    (sharded, found), (whole, expected) = train("sharded"), train("ddp")
    assert sharded == [pytest.approx(epoch) for epoch in whole]
    torch.testing.assert_close(found, expected)
