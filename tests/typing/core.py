"""Programs as users of core write them: type checkers know what comes out."""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanSquaredError, MetricCollection
from typing_extensions import assert_type

import flash
from flash import DataModule, FlashError, Registry, Task, Trainer
from flash.core.finetuning import FlashBaseFinetuning, FreezeUnfreeze
from flash.errors import CheckpointError
from flash.types import LRSchedulerSpec, MetricSpec, OptimizerSpec, StrategySpec


class Regression(flash.Task):
    """A task as most authors write it."""

    def __init__(self, num_inputs: int, learning_rate: float = 0.01) -> None:
        super().__init__(nn.Linear(num_inputs, 1), nn.functional.mse_loss, learning_rate=learning_rate)
        self.backbone = nn.Linear(num_inputs, num_inputs)

    def forward(self, x: Any) -> Tensor:
        predictions: Tensor = super().forward(self.backbone(x))
        return predictions


class ThawAtFive(FlashBaseFinetuning):
    """A strategy as the documentation shows it."""

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        if epoch == 5:
            self.unfreeze_and_add_param_group(pl_module.backbone, optimizer)


def finetune() -> None:
    data = DataModule.from_tensors(torch.randn(8, 3), torch.randn(8, 1), seed=0)
    assert_type(data, DataModule)
    task = Regression.from_data(data)
    assert_type(task, Regression)
    trainer = flash.Trainer(max_epochs=1, logger=False)
    assert_type(trainer, Trainer)
    trainer.finetune(task, data, strategy="freeze")
    trainer.finetune(task, data, strategy=("freeze_unfreeze", 5))
    trainer.finetune(task, data, strategy=FreezeUnfreeze(unfreeze_epoch=5))
    trainer.finetune(task, data, strategy=ThawAtFive())
    assert_type(task.predict(torch.randn(2, 3)), list[Any])


def load() -> None:
    assert_type(Regression.load_from_checkpoint("task.ckpt"), Regression)
    try:
        task = flash.Task.load_from_checkpoint("task.ckpt")
    except CheckpointError as error:
        assert_type(error, CheckpointError)
        raise FlashError(f"The task is lost: {error}") from error
    else:
        assert_type(task, Task)


def choose() -> None:
    assert_type(Task.available_finetuning_strategies(), list[str])
    assert_type(Task.available_backbones("res*"), list[str])
    assert_type(Task.backbones, Registry)


def pass_on(
    optimizer: OptimizerSpec = "AdamW",
    lr_scheduler: LRSchedulerSpec | None = None,
    metrics: MetricSpec | None = None,
    strategy: StrategySpec = "freeze",
) -> Task:
    """A recipe of a user, which takes what Flash takes."""
    task = Task(nn.Linear(2, 1), "mse", optimizer=optimizer, lr_scheduler=lr_scheduler, metrics=metrics)
    Trainer(max_epochs=1).finetune(task, strategy=strategy)
    return task


def recipes() -> None:
    pass_on(torch.optim.SGD, ("StepLR", {"step_size": 3}, {"interval": "step"}), ["mae", MeanSquaredError()])
    pass_on(("SGD", {"momentum": 0.9}), torch.optim.lr_scheduler.ReduceLROnPlateau, {"error": nn.functional.l1_loss})
    pass_on(lambda parameters: torch.optim.SGD(parameters, lr=0.1), metrics=("f1", {"average": "macro"}))
    pass_on(strategy=("unfreeze_milestones", ((3, 6), 2)), metrics=MetricCollection([MeanSquaredError()]))
    pass_on(strategy=FreezeUnfreeze(3), lr_scheduler="cosine")
